"""Leaders over separate markets, traced exactly and bounded."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from benchmarks.leaders import bilevel, day, order
from equilibrium import solve
from equilibrium.errors import Refused
from equilibrium.testing import assert_certified


@pytest.mark.parametrize(
    ("owner", "gain", "P", "E"),
    [("merchant", 112.73018252, 3.50164322, 11.92133461), ("welfare", 58990.68133579, 0.80685188, 1.28357823)],
)
def test_a_day_of_storage_is_solved_to_a_proved_bound(owner, gain, P, E):
    model = day(owner=owner)
    solution = solve(model)
    assert_certified(solution)
    (led,) = solution.answer.leading.led
    assert led.route == "tracing"
    assert led.cost - led.bound <= 1e-8 * abs(led.cost)
    assert pyo.value(model.storage.gain) == pytest.approx(gain, abs=1e-7)
    assert (model.storage.P.value, model.storage.E.value) == pytest.approx((P, E), abs=1e-7)


def test_size_held_at_two_and_eight():
    model = day()
    model.storage.P.fix(2)
    model.storage.E.fix(8)
    solution = solve(model)
    assert_certified(solution)
    # The investment of 2*2 + 14*8 + 4*2**2/2 = 124 is in both numbers.
    assert pyo.value(model.storage.gain) == pytest.approx(94.62217779, abs=1e-6)


def test_tracing_equals_regimes_on_random_merchants_in_two_hours():
    random = np.random.default_rng(4)
    for _ in range(25):
        first, second = (_two_hours(np.random.default_rng(seed)) for seed in [int(random.integers(1e9))] * 2)
        one, other = solve(first, "tracing"), solve(second, "regimes")
        assert_certified(one)
        assert_certified(other)
        values = [pyo.value(m.merchant.profit) for m in (first, second)]
        assert values[0] == pytest.approx(values[1], rel=1e-8, abs=1e-8)
        alone = [s.certificate.uniqueness.decisions == "unique" for s in (one, other)]
        assert alone[1] or not alone[0]


def test_a_strictly_convex_payoff_has_one_optimum_and_a_flat_one_is_not_claimed_to():
    def buyer(slope):
        """Buys four units over four hours of Cournot markets; with slope zero price does not move with its load."""
        m = pyo.ConcreteModel()
        m.buyer, m.firm = pyo.Block(), pyo.Block(range(4))
        m.buyer.load = pyo.Var(range(4), bounds=(0, None))
        m.buyer.all = pyo.Constraint(expr=sum(m.buyer.load[h] for h in range(4)) == 4)
        bill = 0.0
        for h, block in m.firm.items():
            block.q = pyo.Var(bounds=(0, None))
            price = 20 + h - block.q + slope * m.buyer.load[h]
            block.profit = pyo.Objective(expr=(price - 2) * block.q, sense=pyo.maximize)
            bill += price * m.buyer.load[h]
        m.buyer.bill = pyo.Objective(expr=bill)
        return order(m, m.buyer)

    solution = solve(buyer(1.0), "tracing")
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "unique"
    flat = solve(buyer(0.0), "tracing")
    assert flat.certificate.uniqueness.decisions == "not proved"


def _two_hours(random):
    """A merchant moves energy between two hours of Cournot markets; each firm decides one hour's output."""
    m = pyo.ConcreteModel()
    m.merchant, m.firm = pyo.Block(), pyo.Block([0, 1], range(3))
    m.merchant.s = pyo.Var([0, 1], bounds=(-20, 20))
    m.merchant.kept = pyo.Constraint(expr=m.merchant.s[0] + 1.2 * m.merchant.s[1] <= 0)
    profit = -0.05 * sum(m.merchant.s[h] ** 2 for h in (0, 1))
    for h in (0, 1):
        A, Z = random.uniform(40, 120), random.uniform(0.5, 2)
        for i in range(3):
            m.firm[h, i].g = pyo.Var(bounds=(0, float(random.uniform(2, 30))))
        price = A - Z * (m.merchant.s[h] + sum(m.firm[h, i].g for i in range(3)))
        profit += price * m.merchant.s[h]
        for i in range(3):
            g, b = m.firm[h, i].g, random.uniform(5, 80)
            m.firm[h, i].profit = pyo.Objective(expr=(price - b) * g, sense=pyo.maximize)
    m.merchant.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    return order(m, m.merchant)


def test_tracing_says_why_it_does_not_apply():
    m = bilevel(
        [(0, 1), (0, 1)],
        [(0, None)],
        lambda x, y: x[0] + x[1] + y[0],
        lambda x, y: (y[0] - x[0]) ** 2,
        leader_rows=[lambda x, y: y[0] <= 1],
    )
    with pytest.raises(Refused, match="holds followers' Vars"):
        solve(m, "tracing")
