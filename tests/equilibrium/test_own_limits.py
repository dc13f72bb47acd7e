"""Leaders whose own limits leave them little or no room."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from benchmarks.leaders import order, pair
from equilibrium import solve
from equilibrium.errors import Infeasible
from equilibrium.formulations.own_limits import ends


def buyer(windows: dict[int, tuple[float, float]], energy: float = 4.0, rise: float = 1.0) -> pyo.ConcreteModel:
    """Buys ``energy`` over three hours from a Cournot seller that reacts; a row keeps its load in a window."""
    m = pair()
    m.t = pyo.RangeSet(3)
    m.leader.x, m.follower.q = pyo.Var(m.t, bounds=(0, None)), pyo.Var(m.t, bounds=(0, None))
    m.leader.all = pyo.Constraint(expr=sum(m.leader.x[t] for t in m.t) == energy)
    m.leader.window = pyo.Constraint(list(windows), rule=lambda b, t: (windows[t][0], b.x[t], windows[t][1]))
    price = {t: 10 + t - m.follower.q[t] + rise * m.leader.x[t] for t in m.t}
    m.leader.bill = pyo.Objective(expr=sum(price[t] * m.leader.x[t] for t in m.t))
    m.follower.profit = pyo.Objective(expr=sum((price[t] - 2) * m.follower.q[t] for t in m.t), sense=pyo.maximize)
    return order(m, m.leader)


def loads(m: pyo.ConcreteModel) -> list[float]:
    return [m.leader.x[t].value for t in m.t]


@pytest.mark.parametrize(
    ("windows", "want"),
    [
        ({1: (1, 1), 2: (2, 2)}, [1, 2, 1]),  # two held, the sum holds the third
        ({1: (1, 1), 2: (2, 2), 3: (1, 1)}, [1, 2, 1]),
        ({1: (0, 1), 2: (0, 2), 3: (0, 1)}, [1, 2, 1]),  # all at their largest
        ({1: (2, 9), 2: (1, 9), 3: (1, 9)}, [2, 1, 1]),  # all at their lowest
        ({1: (0.1, 0.1), 2: (0.2, 0.2)}, [0.1, 0.2, 3.7]),  # with rounding
    ],
)
def test_a_leader_with_one_decision(windows: dict[int, tuple[float, float]], want: list[float]) -> None:
    m = buyer(windows)
    solution = solve(m)
    assert solution.certificate.verdict == "certified"
    assert loads(m) == pytest.approx(want, rel=1e-12)
    assert m.follower.q[1].value == pytest.approx((9 + want[0]) / 2)  # max (11 + x - q - 2) q
    assert solution.certificate.uniqueness.decisions == "unique"


def test_a_leader_with_room_in_two_of_three_hours() -> None:
    """With x1 = 0 the price in t is (12 + t + x)/2: 14 + 2 x2 = 15 + 2 x3 and x2 + x3 = 4 give 2.25 and 1.75."""
    m = buyer({1: (0, 0)})
    solution = solve(m)
    assert solution.certificate.verdict == "certified"
    assert loads(m) == pytest.approx([0, 2.25, 1.75], abs=1e-9)


def test_little_energy_beside_large_numbers() -> None:
    m = buyer({}, energy=1e-7)
    assert solve(m).certificate.verdict == "certified"
    assert loads(m) == pytest.approx([1e-7, 0, 0], abs=1e-15)


def test_windows_that_contradict_the_energy() -> None:
    with pytest.raises(Infeasible):
        solve(buyer({1: (0, 1), 2: (0, 1), 3: (0, 1)}))


def test_a_bill_that_does_not_depend_on_the_decision_is_not_called_unique() -> None:
    """The seller's reaction takes up what two units of load a unit raise the price: the price does not move."""
    m = pair()
    m.t = pyo.RangeSet(2)
    m.leader.x, m.follower.q = pyo.Var(m.t, bounds=(0, None)), pyo.Var(m.t, bounds=(0, None))
    m.leader.all = pyo.Constraint(expr=sum(m.leader.x[t] for t in m.t) == 1)
    price = {t: 40 - 0.7 * (m.follower.q[t] - m.leader.x[t]) for t in m.t}
    m.leader.bill = pyo.Objective(expr=sum(price[t] * m.leader.x[t] for t in m.t))
    m.follower.loss = pyo.Objective(expr=sum((m.follower.q[t] - m.leader.x[t]) ** 2 for t in m.t))
    solution = solve(order(m, m.leader))
    assert pyo.value(m.leader.bill) == pytest.approx(40.0)
    assert solution.certificate.uniqueness.decisions != "unique"


def test_ranges_of_one_row() -> None:
    """x - 2 y <= 3 with x in [4, 9], y in [0, 1]: x <= 5, y >= 1/2; the lower side says nothing."""
    low, up = ends(np.array([1.0, -2.0]), -np.inf, 3.0, np.array([4.0, 0.0]), np.array([9.0, 1.0]))
    assert (low.tolist(), up.tolist()) == ([4.0, 0.5], [5.0, 1.0])
