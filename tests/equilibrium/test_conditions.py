"""Signs, units, multipliers, and prices as what one more unit of demand costs."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from games import network
from pyomo.mpec import Complementarity, complements

from equilibrium import solve
from equilibrium.errors import Infeasible, Refused
from equilibrium.testing import assert_agree, assert_certified, values

SEEDS = range(12)


def dispatch(
    demand: float, sign: float = 1.0, sense=pyo.minimize, money: float = 1.0, row: str = "equality"
) -> pyo.ConcreteModel:
    """min money * sum_k (c_k g_k + d_k g_k^2 / 2), sum g = demand, g_1 + g_2 <= 12, 1 <= g_3 <= 4; row ``balance``
    times ``sign``."""
    m = pyo.ConcreteModel()
    m.p = pyo.Block()
    p = m.p
    p.g = pyo.Var([1, 2, 3])
    cost = money * sum(c * p.g[k] + 0.5 * d * p.g[k] ** 2 for k, c, d in ((1, 1.0, 1.0), (2, 2.0, 0.5), (3, 6.0, 2.0)))
    p.o = pyo.Objective(expr=cost if sense == pyo.minimize else -cost, sense=sense)
    total = p.g[1] + p.g[2] + p.g[3]
    if row == "equality":
        p.balance = pyo.Constraint(expr=sign * total == sign * demand)
    else:
        p.balance = pyo.Constraint(expr=sign * total >= sign * demand if sign > 0 else sign * total <= sign * demand)
    p.line = pyo.Constraint(
        expr=sign * (p.g[1] + p.g[2]) <= sign * 12 if sign > 0 else sign * (p.g[1] + p.g[2]) >= sign * 12
    )
    p.plant = pyo.Constraint(expr=pyo.inequality(1, p.g[3], 4))
    p.low = pyo.Constraint([1, 2], rule=lambda b, k: b.g[k] >= 0)
    return m


def cost_of(demand: float) -> float:
    m = dispatch(demand)
    assert_certified(solve(m))
    return pyo.value(m.p.o)


@pytest.mark.parametrize("demand", [5.0, 10.0, 14.5])
def test_multiplier_of_a_balance_is_the_cost_of_one_more_unit(demand):
    step = 1e-3
    slope = (cost_of(demand + step) - cost_of(demand - step)) / (2 * step)
    found = solve(dispatch(demand)).multipliers["p.balance"]
    assert found == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("sense", [pyo.minimize, pyo.maximize])
@pytest.mark.parametrize("sign", [1.0, -1.0, 3.0, -0.25])
@pytest.mark.parametrize("row", ["equality", "inequality"])
def test_how_a_constraint_is_written_changes_no_decision(sign, sense, row):
    """A row times s: same decisions, multiplier divided by |s| for limits and by s for equalities."""
    base, other = solve(dispatch(14.5, row=row)), solve(dispatch(14.5, sign, sense, row=row))
    assert_certified(other)
    assert_agree(base, other)
    first, second = base.multipliers, other.multipliers
    suffix = {"equality": ("", ""), "inequality": (".lower", ".lower" if sign > 0 else ".upper")}[row]
    factor = sign if row == "equality" else abs(sign)
    assert second["p.balance" + suffix[1]] * factor == pytest.approx(first["p.balance" + suffix[0]], rel=1e-9)
    line = second["p.line.upper" if sign > 0 else "p.line.lower"]
    assert line * abs(sign) == pytest.approx(first["p.line.upper"], rel=1e-9)
    assert line > 0


@pytest.mark.parametrize("money", [1e-4, 1e3, 1e6])
def test_money_times_k_leaves_decisions_and_multiplies_multipliers(money):
    base, other = solve(dispatch(14.5)), solve(dispatch(14.5, money=money))
    assert_certified(other)
    assert_agree(base, other)
    assert (other.multipliers / money).to_numpy() == pytest.approx(base.multipliers.to_numpy(), rel=1e-8, abs=1e-9)


def test_limits_that_became_bounds_keep_their_multipliers():
    """With demand 5 plant 3 is at its lower limit 1, worth 6 + 2 - p, p the marginal cost of plants 1 and 2."""
    solution = solve(dispatch(5.0))
    assert_certified(solution)
    price = solution.multipliers["p.balance"]
    assert solution.multipliers["p.plant.lower"] == pytest.approx(8 - price, rel=1e-9)
    assert solution.multipliers["p.plant.upper"] == 0
    assert solution.multipliers["p.low[1].lower"] == 0


@pytest.mark.parametrize("factor", [2.0, -4.0])
def test_of_several_limits_on_one_var_the_tightest_has_the_multiplier(factor):
    """min (x - 9)^2 with x <= 5 and factor * x <= or >= factor * 3: slope at 3 is 12, per unit of the row 12 /
    |factor|."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var()
    m.a.o = pyo.Objective(expr=(m.a.x - 9) ** 2)
    m.a.loose = pyo.Constraint(expr=m.a.x <= 5)
    m.a.tight = pyo.Constraint(expr=factor * m.a.x <= factor * 3 if factor > 0 else factor * m.a.x >= factor * 3)
    found = solve(m).multipliers
    assert found["a.loose.upper"] == 0
    assert found["a.tight.upper" if factor > 0 else "a.tight.lower"] == pytest.approx(12 / abs(factor))


def test_a_singleton_equality_has_a_signed_multiplier():
    """min (x - 9)^2 with 2 x = 6: cost (r/2 - 9)^2 for right-hand side r, slope (3 - 9) = -6."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var()
    m.a.o = pyo.Objective(expr=(m.a.x - 9) ** 2)
    m.a.c = pyo.Constraint(expr=2 * m.a.x == 6)
    assert solve(m).multipliers["a.c"] == pytest.approx(-6)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_ranged_rows_have_a_multiplier_for_each_side(side):
    """min (x - t)^2 + (y - t)^2 with 2 <= x + y <= 4: t = 0 lifts to x = y = 1 (multiplier 2), t = 3 lowers to 2
    (multiplier 2)."""
    t = 0.0 if side == "lower" else 3.0
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(), pyo.Var()
    m.a.o = pyo.Objective(expr=(m.a.x - t) ** 2 + (m.a.y - t) ** 2)
    m.a.c = pyo.Constraint(expr=pyo.inequality(2, m.a.x + m.a.y, 4))
    solution = solve(m)
    assert_certified(solution)
    assert solution.multipliers[f"a.c.{side}"] == pytest.approx(2)
    assert solution.multipliers["a.c.upper" if side == "lower" else "a.c.lower"] == pytest.approx(0)


def test_limits_that_cross_by_rounding_alone_are_no_contradiction():
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(0.1 + 0.2, None))
    m.a.o = pyo.Objective(expr=m.a.x**2)
    m.a.c = pyo.Constraint(expr=m.a.x <= 0.3)
    assert_certified(solve(m))
    m.a.x.setlb(0.3001)
    with pytest.raises(Infeasible, match=r"a\.x must be at least 0\.3001 and at most 0\.3"):
        solve(m)


def test_a_constraint_that_no_free_var_enters_must_hold():
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(), pyo.Var(initialize=2.0)
    m.a.y.fix()
    m.a.o = pyo.Objective(expr=(m.a.x - 1) ** 2)
    m.a.c = pyo.Constraint(expr=3 * m.a.y <= 6)
    assert_certified(solve(m))
    m.a.y.fix(2.1)
    with pytest.raises(Infeasible, match=r"a\.c cannot hold"):
        solve(m)


def test_a_constraint_without_the_players_decisions_is_refused():
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(), pyo.Var()
    m.a.o, m.b.o = pyo.Objective(expr=m.a.x**2), pyo.Objective(expr=m.b.y**2)
    m.a.c = pyo.Constraint(expr=m.b.y >= 1)
    with pytest.raises(Refused, match=r"a\.c stands on the Block a but holds none of its decisions"):
        solve(m)


@pytest.mark.parametrize("seed", SEEDS)
def test_swapping_the_sides_of_clearing_rows_changes_nothing(seed):
    base = solve(network(np.random.default_rng(seed)))
    other = solve(network(np.random.default_rng(seed), flip=(0, 2)))
    assert_certified(base)
    assert_certified(other)
    assert_agree(base, other)
    assert base.answer.formulation == other.answer.formulation == "potential"


@pytest.mark.parametrize("seed", SEEDS)
def test_money_times_k_multiplies_prices(seed):
    base, other = solve(network(np.random.default_rng(seed))), solve(network(np.random.default_rng(seed), scale=250.0))
    assert_certified(other)
    first, second = values(base), values(other)
    for name, value in first.items():
        assert second[name] == pytest.approx(value * (250.0 if name.startswith("price") else 1.0), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_price_is_what_one_more_unit_of_demand_costs(seed):
    """System cost W (plants and links, minus what users value), with inflexible demand at node 0 moved by 1e-3 both
    ways.

    All players' minimised payoffs add up to W + sum_n p_n (d_n - q_n - arriving_n) = W - p_0 extra by the clearing
    rows.
    """
    step = 1e-3

    def system(extra: float) -> tuple[float, float]:
        m = network(np.random.default_rng(seed), extra=extra)
        solution = solve(m)
        assert_certified(solution)
        payoffs = sum(p.sign * pyo.value(p.objective) for p in solution.answer.game.players)
        return payoffs + m.price[0].value * extra, m.price[0].value

    (high, _), (low, _), (_, price) = system(1 + step), system(1 - step), system(1.0)
    assert (high - low) / (2 * step) == pytest.approx(price, rel=1e-5)


def test_pairs_may_be_written_either_way_round():
    """Demand 3 against cost q^2: price 6, however the pair is written."""
    written = [
        lambda q, p: complements(q - 3 >= 0, p >= 0),
        lambda q, p: complements(p >= 0, q - 3 >= 0),
        lambda q, p: complements(p >= 0, q >= 3),
        lambda q, p: complements(3 - q <= 0, p >= 0),
        lambda q, p: complements(q >= 3, p >= 0),
        lambda q, p: complements(q - 3 == 0, p),
        lambda q, p: complements(pyo.inequality(0, p, 100), q - 3),
    ]
    for pair in written:
        m = pyo.ConcreteModel()
        m.p = pyo.Var()
        m.f = pyo.Block()
        m.f.q = pyo.Var()
        m.f.o = pyo.Objective(expr=m.p * m.f.q - m.f.q**2, sense=pyo.maximize)
        m.pair = Complementarity(expr=pair(m.f.q, m.p))
        assert_certified(solve(m))
        assert m.p.value == pytest.approx(6)


def test_a_pair_at_its_upper_bound():
    """A price cap of 4 with demand that is cut off at it: q = 2 < 3 and p = 4."""
    m = pyo.ConcreteModel()
    m.p = pyo.Var()
    m.f = pyo.Block()
    m.f.q = pyo.Var()
    m.f.o = pyo.Objective(expr=m.p * m.f.q - m.f.q**2, sense=pyo.maximize)
    m.pair = Complementarity(expr=complements(pyo.inequality(0, m.p, 4), m.f.q - 3))
    assert_certified(solve(m))
    assert (m.p.value, m.f.q.value) == pytest.approx((4, 2))
