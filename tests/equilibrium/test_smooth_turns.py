"""Several leaders over followers with nonlinear parts: they settle where nobody gains, and say so when they do not."""

from __future__ import annotations

import pyomo.environ as pyo
import pytest
from scipy.optimize import brentq

from equilibrium import smooth_turns, solve


def leaders_over_a_fringe(leaders: int) -> pyo.ConcreteModel:
    """Stackelberg-Cournot: leaders x_i, one follower y with cost y^3/3, demand price 10 - (sum x + y)."""
    m = pyo.ConcreteModel()
    m.firm = pyo.Block(range(leaders))
    m.follower = pyo.Block()
    m.follower.y = pyo.Var(bounds=(0, None), initialize=1.0)
    for k in range(leaders):
        m.firm[k].x = pyo.Var(bounds=(0, 10), initialize=1.0)
    m.price = pyo.Expression(expr=10 - sum(m.firm[k].x for k in range(leaders)) - m.follower.y)
    for k in range(leaders):
        m.firm[k].profit = pyo.Objective(expr=m.price * m.firm[k].x, sense=pyo.maximize)
    m.follower.profit = pyo.Objective(expr=m.price * m.follower.y - m.follower.y**3 / 3, sense=pyo.maximize)
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for k in range(leaders):
        m.stage[m.firm[k]] = 1
    m.stage[m.follower] = 2
    return m


def by_hand(leaders: int) -> tuple[float, float]:
    """The follower: 10 - X - 2 y = y^2, so y' = -1/(2 + 2 y); each of n leaders: 10 - X - y = (1 + y') X / n."""

    def reply(total: float) -> float:
        return -1 + (1 + 10 - total) ** 0.5

    def condition(total: float) -> float:
        y = reply(total)
        return 10 - total - y - (1 - 1 / (2 + 2 * y)) * total / leaders

    total = brentq(condition, 0.0, 10.0, xtol=1e-14)
    return total, reply(total)


@pytest.mark.parametrize("leaders", [2, 3])
def test_leaders_settle_where_the_conditions_by_hand_say(leaders: int) -> None:
    pytest.importorskip("cyipopt")
    m = leaders_over_a_fringe(leaders)
    solution = solve(m)
    assert solution.certificate.verdict == "certified, local"
    total, y = by_hand(leaders)
    assert [m.firm[k].x.value for k in range(leaders)] == pytest.approx([total / leaders] * leaders, rel=1e-7)
    assert m.follower.y.value == pytest.approx(y, rel=1e-7)


def test_leaders_that_were_given_no_time_are_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cyipopt")
    monkeypatch.setattr(smooth_turns, "ROUNDS", 2)
    solution = solve(leaders_over_a_fringe(3))
    assert not solution.certificate.ok
    assert "did not settle in 2 rounds" in solution.outcome.message


def two_periods(size: float) -> pyo.ConcreteModel:
    """A buyer splits its energy over two periods, a seller decides the first period's output at the same time and the
    second's after it; supply is curved. The second stage sees the buyer's second load only. All quantities times
    ``size``, prices the same."""
    m = pyo.ConcreteModel()
    m.buyer, m.early, m.late = pyo.Block(), pyo.Block(), pyo.Block()
    m.buyer.load = pyo.Var([1, 2], bounds=(0, None), initialize=0.7 * size)
    m.buyer.energy = pyo.Constraint(expr=m.buyer.load[1] + m.buyer.load[2] == 1.4 * size)
    for block in (m.early, m.late):
        block.output = pyo.Var(bounds=(0, None), initialize=size)
    rest = {1: 2 * size + m.buyer.load[1] - m.early.output, 2: 3 * size + m.buyer.load[2] - m.late.output}
    m.price = pyo.Expression([1, 2], rule=lambda m, t: pyo.exp(rest[t] / size / 2))
    m.buyer.bill = pyo.Objective(expr=sum(m.price[t] * m.buyer.load[t] for t in (1, 2)))
    for t, block in ((1, m.early), (2, m.late)):
        worth = m.price[t] * block.output - 0.4 * block.output - 0.05 * block.output**2 / size
        block.profit = pyo.Objective(expr=worth, sense=pyo.maximize)
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for block, stage in ((m.buyer, 1), (m.early, 1), (m.late, 2)):
        m.stage[block] = stage
    return m


@pytest.mark.parametrize("size", [1e-3, 0.02, 1.0, 50.0])
def test_leaders_settle_alike_whatever_the_size_of_a_decision_that_followers_do_not_see(size: float) -> None:
    pytest.importorskip("cyipopt")
    small, m = two_periods(1.0), two_periods(size)
    first, solution = solve(small), solve(m)
    assert solution.certificate.verdict == "certified, local"
    assert solution.outcome.message.split(",")[0] == first.outcome.message.split(",")[0]  # in the same round
    found, want = ([b.load[1].value, b.load[2].value] for b in (m.buyer, small.buyer))
    assert found == pytest.approx([size * v for v in want], rel=1e-8)
