"""Leaders: known problems, the two-period storage investor, ties, limits on what followers answer, several leaders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.optimize import brentq, minimize_scalar

from benchmarks.leaders import SETS, bard, bilevel, candler_townsley, order, pair, pool, storage
from equilibrium import solve
from equilibrium.errors import Infeasible, Refused
from equilibrium.testing import assert_certified, describe, tamper


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("owner", ["merchant", "welfare"])
def test_two_period_storage_finds_the_global_optimum_and_proves_it(name, owner):
    data, merchant, welfare = SETS[name]
    model = storage(*data, owner=owner)
    solution = solve(model)
    assert_certified(solution)
    expected = merchant if owner == "merchant" else welfare
    assert model.storage.k.value == pytest.approx(expected, abs=1e-8)


def test_both_peaks_of_a_merchant_are_listed():
    for name, trap in (("S8a", 30.42035398), ("S8b", 18.13380282)):
        model = storage(*SETS[name][0])
        optima = solve(model).answer.leading.led[0].optima
        assert [o.x[0] for o in optima] == pytest.approx([SETS[name][1], trap], abs=1e-7)


def test_successive_monopoly():
    m = pair()
    m.leader.w, m.follower.q = pyo.Var(), pyo.Var(bounds=(0, None))
    m.leader.profit = pyo.Objective(expr=(m.leader.w - 20) * m.follower.q, sense=pyo.maximize)
    m.follower.profit = pyo.Objective(expr=(100 - m.follower.q - m.leader.w) * m.follower.q, sense=pyo.maximize)
    solution = solve(order(m, m.leader))
    assert_certified(solution)
    assert (m.leader.w.value, m.follower.q.value) == pytest.approx((60, 20))
    assert pyo.value(m.leader.profit) == pytest.approx(800)
    assert pyo.value(m.follower.profit) == pytest.approx(400)


def test_stackelberg_with_quadratic_cost():
    m = pair()
    for b in (m.leader, m.follower):
        b.q = pyo.Var(bounds=(0, None))
    price = 30 - 4 * (m.leader.q + m.follower.q)
    for b in (m.leader, m.follower):
        b.profit = pyo.Objective(expr=price * b.q - b.q - b.q**2 / 2, sense=pyo.maximize)
    assert_certified(solve(order(m, m.leader)))
    assert (m.leader.q.value, m.follower.q.value) == pytest.approx((2.959184, 1.907029), abs=1e-6)
    assert pyo.value(price) == pytest.approx(10.535147, abs=1e-6)
    assert pyo.value(m.leader.profit) == pytest.approx(23.837869, abs=1e-6)


def test_a_firm_with_two_processes_leads_price_takers():
    m = pyo.ConcreteModel()
    m.firm, m.price = pyo.Block([1, 2, 3]), pyo.Var()
    cost = {1: (0.55, 0.81), 2: (0.62, 1.25), 3: (0.78, 1.35)}
    capacity = {1: (21000, 16000), 2: (17000, 22000), 3: (18000, 14000)}
    for i in m.firm:
        m.firm[i].x = pyo.Var([0, 1], bounds=lambda b, p, i=i: (0, capacity[i][p]))
    total = sum(m.firm[i].x[p] for i in m.firm for p in (0, 1))
    m.demand = pyo.Constraint(expr=m.price == 2.5 - total / 60000)
    for i in m.firm:
        profit = sum((m.price - cost[i][p]) * m.firm[i].x[p] for p in (0, 1))
        m.firm[i].profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    assert_certified(solve(order(m, m.firm[2])))
    assert [m.firm[2].x[p].value for p in (0, 1)] == pytest.approx([17000, 0])
    assert sum(m.firm[i].x[p].value for i in (1, 3) for p in (0, 1)) == pytest.approx(55000)
    assert m.price.value == pytest.approx(1.30)
    assert pyo.value(m.firm[2].profit) == pytest.approx(11560)


def test_henderson_and_quandt():
    m = bilevel(
        [(0, 200)],
        [(0, None)],
        lambda x, y: x[0] ** 2 / 2 + x[0] * y[0] / 2 - 95 * x[0],
        lambda x, y: y[0] * (x[0] / 2 + y[0] - 100),
    )
    assert_certified(solve(m))
    assert m.leader.x[0].value == pytest.approx(93.333333, abs=1e-5)
    assert pyo.value(m.leader.cost) == pytest.approx(-3266.6667, abs=1e-4)
    assert pyo.value(m.follower.cost) == pytest.approx(-711.1111, abs=1e-4)


@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_a_leader_with_two_followers_stated_as_maximisers_or_minimisers(sense):
    m = pyo.ConcreteModel()
    m.leader, m.follower = pyo.Block(), pyo.Block([1, 2])
    firms = [m.leader, m.follower[1], m.follower[2]]
    for b in firms:
        b.q = pyo.Var(bounds=(0, None))
    price = 13 - sum(b.q for b in firms)
    for b in firms:
        b.gain = pyo.Objective(expr=(price - 1) * b.q * (1 if sense == pyo.maximize else -1), sense=sense)
    assert_certified(solve(order(m, m.leader)))
    assert [b.q.value for b in firms] == pytest.approx([6, 2, 2])


def test_linear_bilevel_of_bard():
    m = bard()
    solution = solve(m)
    assert_certified(solution)
    assert (m.leader.x[0].value, m.follower.y[0].value) == pytest.approx((4, 4))


def test_linear_bilevel_of_candler_and_townsley():
    m = candler_townsley()
    solution = solve(m)
    assert_certified(solution)
    assert solution.answer.formulation == "disjunctions"
    assert pyo.value(m.leader.cost) == pytest.approx(-29.2)
    assert [v.value for v in m.leader.x.values()] == pytest.approx([0, 0.9], abs=1e-9)
    assert [v.value for v in m.follower.y.values()] == pytest.approx([0, 0.6, 0.4], abs=1e-9)


def test_linear_bilevel_with_the_follower_in_x():
    m = bilevel(
        [(0, 8)],
        [(None, None)],
        lambda x, y: 3 * y[0] + x[0],
        lambda x, y: y[0],
        leader_rows=[lambda x, y: y[0] <= 5],
        follower_rows=[
            lambda x, y: y[0] + x[0] <= 8,
            lambda x, y: 4 * y[0] + x[0] >= 8,
            lambda x, y: 2 * y[0] + x[0] <= 13,
            lambda x, y: 2 * y[0] <= 7 * x[0],
        ],
    )
    assert_certified(solve(m))
    assert pyo.value(m.leader.cost) == pytest.approx(6.13333, abs=1e-4)
    assert m.leader.x[0].value == pytest.approx(8 / 15)


def test_a_price_that_is_not_unique_is_told_both_ways():
    m = pool()
    solution = solve(m)
    assert_certified(solution)
    assert m.leader.x.value == pytest.approx(50)
    assert m.price.value == pytest.approx(15)
    assert [m.plant[i].q.value for i in m.plant] == pytest.approx([50, 150, 0])
    (led,) = solution.answer.leading.led
    assert (led.reactions.least, led.reactions.most) == pytest.approx((-190000, 1124000))
    assert [(low, up) for name, low, up in led.reactions.ranges if name == "price"] == [pytest.approx((12, 15))]
    assert "approached but not reached" in solution.certificate.checks[0].note


def test_what_is_told_of_a_leader():
    table = solve(storage(*SETS["S8a"][0])).leaders
    row = table.iloc[0]
    assert (row["leader"], row["route"], row["stationarity"], row["optima"]) == ("storage", "regimes", "S", 2)
    assert row["payoff"] == pytest.approx(431.38204225, abs=1e-7)
    assert (row["bound"], row["against"]) == pytest.approx((row["payoff"], row["payoff"]), rel=1e-12)
    row = solve(pool()).leaders.iloc[0]
    assert (row["payoff"], row["bound"], row["against"]) == pytest.approx((190000, 190000, -1124000))
    assert solve(pool(), "homotopy").leaders["bound"].iloc[0] == np.inf


def test_a_value_that_is_only_approached_is_no_answer_if_ties_go_against_the_leader():
    m = pool()
    certificate = solve(m, ties="pessimistic").certificate
    assert certificate.verdict == "none"
    assert "190000 is approached as its decision nears 50, and reached by none" in certificate.scope


@pytest.mark.parametrize(("weight", "verdict", "x", "cost"), [(0.2, "certified", 0.0, -0.2), (-1.0, "none", 0.5, -2.5)])
def test_ties_against_the_leader(weight, verdict, x, cost):
    """The follower takes y = 1 below x = 1/2, y = 0 above, and anything there."""
    m = bilevel(
        [(0, 1)],
        [(0, 1)],
        lambda x, y: x[0] - 0.2 * y[0] if weight > 0 else -x[0] - 2 * y[0],
        lambda x, y: (x[0] - 0.5) * y[0],
    )
    solution = solve(m, ties="pessimistic")
    assert solution.certificate.verdict == verdict
    assert m.leader.x[0].value == pytest.approx(x)
    assert solution.answer.leading.led[0].cost == pytest.approx(cost)


def test_other_ways_to_break_ties_are_refused():
    with pytest.raises(Refused, match="optimistic, pessimistic"):
        solve(pool(), ties="fair")


def test_a_limit_of_the_leader_on_the_followers_answer_is_tested_not_imposed_on_them():
    m = bilevel(
        [(0, 5)],
        [(None, 2)],
        lambda x, y: -x[0],
        lambda x, y: -y[0],
        leader_rows=[lambda x, y: y[0] <= 0],
    )
    m.leader.x[0].domain = pyo.Integers
    with pytest.raises(Infeasible, match="tested on that answer"):
        solve(m)


def test_whole_numbers_of_a_leader_are_tried_one_by_one():
    m = bilevel([(0, 10)], [(0, None)], lambda x, y: (x[0] - 2.6) ** 2 + y[0], lambda x, y: (y[0] - x[0]) ** 2)
    m.leader.x[0].domain = pyo.Integers
    assert_certified(solve(m))
    assert (m.leader.x[0].value, m.follower.y[0].value) == pytest.approx((2, 2))


def test_whole_numbers_of_a_follower_are_refused():
    m = bilevel([(0, 10)], [(0, 9)], lambda x, y: x[0], lambda x, y: (y[0] - x[0]) ** 2)
    m.follower.y[0].domain = pyo.Integers
    with pytest.raises(Refused, match="integer"):
        solve(m)


def test_a_follower_that_is_not_convex_is_refused():
    m = bilevel([(0, 10)], [(-1, 1)], lambda x, y: x[0] + y[0], lambda x, y: -(y[0] ** 2) + x[0] * y[0])
    with pytest.raises(Refused, match="not concave"):
        solve(m)


def test_a_shared_limit_of_leader_and_follower_must_say_whose_it_is():
    m = bilevel([(0, 10)], [(0, 9)], lambda x, y: -x[0], lambda x, y: (y[0] - 1) ** 2)
    m.limit = pyo.Constraint(expr=m.leader.x[0] + m.follower.y[0] <= 5)
    with pytest.raises(Refused, match="say whose it is"):
        solve(m)


def test_a_leader_that_gains_without_limit_is_named():
    m = bilevel([(0, None)], [(0, 9)], lambda x, y: -x[0], lambda x, y: (y[0] - 1) ** 2)
    with pytest.raises(Infeasible, match="leader can gain without limit"):
        solve(m)


def test_three_stages_are_refused():
    m = pyo.ConcreteModel()
    m.b = pyo.Block([1, 2, 3])
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for i in m.b:
        m.b[i].q = pyo.Var(bounds=(0, 1))
        m.b[i].cost = pyo.Objective(expr=m.b[i].q)
        m.stage[m.b[i]] = i
    with pytest.raises(Refused, match="3 stages"):
        solve(m)


def test_a_follower_inside_the_leaders_block_keeps_its_own_decisions():
    m = pyo.ConcreteModel()
    m.leader = pyo.Block()
    m.leader.follower = pyo.Block()
    m.leader.q, m.leader.follower.q = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    price = 30 - 4 * (m.leader.q + m.leader.follower.q)
    for b in (m.leader, m.leader.follower):
        b.profit = pyo.Objective(expr=price * b.q - b.q - b.q**2 / 2, sense=pyo.maximize)
    assert_certified(solve(order(m, m.leader)))
    assert (m.leader.q.value, m.leader.follower.q.value) == pytest.approx((2.959184, 1.907029), abs=1e-6)


def test_two_leaders_and_two_followers():
    """P = 13 - Q, cost 1: followers answer q = (12 - X)/3 each, so leader i maximises x_i (12 - X)/3: x = 4 each."""
    m = pyo.ConcreteModel()
    m.firm = pyo.Block([1, 2, 3, 4])
    for i in m.firm:
        m.firm[i].q = pyo.Var(bounds=(0, None))
    price = 13 - sum(m.firm[i].q for i in m.firm)
    for i in m.firm:
        m.firm[i].profit = pyo.Objective(expr=(price - 1) * m.firm[i].q, sense=pyo.maximize)
    solution = solve(order(m, m.firm[1], m.firm[2]))
    assert_certified(solution)
    assert [m.firm[i].q.value for i in m.firm] == pytest.approx([4, 4, 4 / 3, 4 / 3], abs=1e-9)
    assert solution.certificate.uniqueness.decisions == "not proved"


def test_leaders_that_never_settle_are_said_to_cycle():
    """One leader wants the followers' sum matched, the other missed: no pure equilibrium (matching pennies)."""
    m = pyo.ConcreteModel()
    m.leader, m.follower = pyo.Block([1, 2]), pyo.Block()
    for i in (1, 2):
        m.leader[i].x = pyo.Var(domain=pyo.Integers, bounds=(0, 1))
    m.follower.y = pyo.Var()
    m.follower.cost = pyo.Objective(expr=(m.follower.y - m.leader[1].x - m.leader[2].x) ** 2)
    match = (m.leader[1].x + m.leader[2].x - 1) * (m.leader[1].x + m.leader[2].x - 1)
    m.leader[1].cost = pyo.Objective(expr=match + 0 * m.follower.y)
    m.leader[2].cost = pyo.Objective(expr=match + 0 * m.follower.y, sense=pyo.maximize)
    solution = solve(order(m, m.leader[1], m.leader[2]))
    assert solution.certificate.verdict == "cycling"
    assert len(solution.answer.leading.profiles) > 1


def test_a_changed_decision_of_a_leader_or_a_follower_is_rejected():
    for name in ("S1", "S8a", "S9"):
        model = storage(*SETS[name][0])
        solution = solve(model)
        for relative in (1e-6, 1e-4, 1e-2):
            for variable in (model.storage.k, model.generator[0].output[2]):
                size = max(abs(variable.value), 1.0)
                certificate = tamper(solution, variable, relative * size)
                assert not certificate.ok, describe(certificate)


def test_solving_adds_nothing_to_the_model():
    for make in (pool, candler_townsley, lambda: storage(*SETS["S8a"][0])):
        model = make()
        before = [c.name for c in model.component_objects()]
        fixed = [v.fixed for v in model.component_data_objects(pyo.Var)]
        twin = model.clone()
        solve(model)
        assert [c.name for c in model.component_objects()] == before
        assert [v.fixed for v in model.component_data_objects(pyo.Var)] == fixed
        solve(twin)
        first, second = ([v.value for v in m.component_data_objects(pyo.Var)] for m in (model, twin))
        assert first == pytest.approx(second, abs=1e-9)


def test_the_answer_moves_when_the_order_does():
    """The same Blocks under two orders: S2 with three generators, 12.857 before them and 5.415 together with them."""
    data = (50, 120, 1, 1, 10, 0, 1.1, 0.1, 3)
    before = storage(*data)
    solve(before)
    together = storage(*data)
    together.del_component(together.stage)
    solve(together)
    assert together.storage.k.value == pytest.approx(5.414847162, abs=1e-8)
    assert before.storage.k.value == pytest.approx(12.86, abs=5e-3)


# ---------------------------------------------------------------------------------------------------------------------


def market(random):
    """A merchant with a quantity s (bought where negative) before Cournot firms with capacities; random data."""
    n = int(random.integers(1, 5))
    A, Z = random.uniform(40, 120), random.uniform(0.5, 2)
    b, c = random.uniform(5, 60, n), random.uniform(0, 1, n) * (random.random() < 0.7)
    G = random.uniform(2, 40, n)
    return A, Z, b, c, G, float(random.uniform(0, 0.5)), float(random.uniform(-10, 60))


def stated(A, Z, b, c, G, own, value):
    m = pyo.ConcreteModel()
    m.merchant, m.firm = pyo.Block(), pyo.Block(range(len(b)))
    m.merchant.s = pyo.Var(bounds=(-20, 30))
    for i in m.firm:
        m.firm[i].g = pyo.Var(bounds=(0, G[i]))
    price = A - Z * (m.merchant.s + sum(m.firm[i].g for i in m.firm))
    for i in m.firm:
        g = m.firm[i].g
        m.firm[i].profit = pyo.Objective(expr=(price - b[i]) * g - c[i] * g**2 / 2, sense=pyo.maximize)
    s = m.merchant.s
    m.merchant.profit = pyo.Objective(expr=(price - value) * s - own * s**2 / 2, sense=pyo.maximize)
    return order(m, m.merchant)


def brute(A, Z, b, c, G, own, value):
    """The merchant's best profit by a fine grid, each cell refined; the firms' answer by bisection on the price."""

    def profit(s):
        def excess(p):
            return p - (A - Z * (s + np.clip((p - b) / (Z + c), 0, G).sum()))

        p = brentq(excess, -1e4, 1e4, xtol=1e-13, rtol=1e-14)
        return (p - value) * s - own * s**2 / 2

    grid = np.linspace(-20, 30, 101)
    best = max(profit(s) for s in grid)
    for low, up in pairwise(grid):
        if max(profit(low), profit(up)) > best - 0.2 * abs(best) - 20:
            best = max(
                best,
                -minimize_scalar(
                    lambda s: -profit(s), bounds=(low, up), options={"xatol": 1e-10}, method="bounded"
                ).fun,
            )
    return best


def test_random_merchants_against_a_search_that_knows_nothing_of_regimes():
    random = np.random.default_rng(11)
    for _ in range(40):
        data = market(random)
        model = stated(*data)
        solution = solve(model)
        assert_certified(solution)
        expected = brute(*data)
        assert pyo.value(model.merchant.profit) == pytest.approx(expected, rel=1e-7, abs=1e-7)
