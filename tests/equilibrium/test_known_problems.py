"""Problems from the literature as plain players, without a condition written by hand; their answers to 1e-6 relative.

The numbers are closed forms derived beside the test, or were found by enumerating the complementarity pattern.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo
import pytest
from games import INF, cournot, pure
from pyomo.mpec import Complementarity, ComplementarityList, complements

from equilibrium import Solution, solve
from equilibrium.errors import Refused
from equilibrium.testing import assert_certified

QUICK = 2.0
"""Seconds each of these may take."""


def solved(model: pyo.ConcreteModel) -> Solution:
    began = time.perf_counter()
    solution = solve(model)
    assert time.perf_counter() - began < QUICK
    assert_certified(solution)
    return solution


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_linear_symmetric_cournot(n):
    """P = a - b Q, cost c: q = (a - c) / (b (n + 1)), P = (a + n c) / (n + 1), loss (a - c)^2 / (2 b (n + 1)^2)."""
    a, b, c = 100.0, 1.0, 20.0
    m = cournot(a, b, [c] * n)
    solution = solved(m)
    total = sum(firm.q.value for firm in m.firm.values())
    assert [firm.q.value for firm in m.firm.values()] == [near((a - c) / (b * (n + 1)))] * n
    assert pyo.value(m.price) == near((a + n * c) / (n + 1))
    assert (a - c) ** 2 / (2 * b) - (a - c) * total + b * total**2 / 2 == near((a - c) ** 2 / (2 * b * (n + 1) ** 2))
    assert solution.certificate.uniqueness.decisions == "unique"


@pytest.mark.parametrize("conjecture", [0, 1, 2])
def test_duopoly_with_conjectures(conjecture):
    """P = 30 - 4 Q, C(q) = q + q^2 / 2: q = 29 / (9 + 4 cv)."""
    m = cournot(30.0, 4.0, [1.0, 1.0], [1.0, 1.0], conjecture=float(conjecture))
    solved(m)
    q = 29 / (9 + 4 * conjecture)
    assert [firm.q.value for firm in m.firm.values()] == [near(q), near(q)]
    assert pyo.value(m.price) == near(30 - 8 * q)


COST = ((0.55, 0.81), (0.62, 1.25), (0.78, 1.35))
CAPACITY = ((21000, 16000), (17000, 22000), (18000, 14000))


def three_firms(takers: tuple[int, ...], yard: float | None = None) -> pyo.ConcreteModel:
    """Firms with two processes each on P = 2.5 - Q / 60000; those of ``takers`` take the price as given."""
    m = pyo.ConcreteModel()
    m.firm, m.process = pyo.Block(range(3)), pyo.RangeSet(0, 1)
    for i in m.firm:
        m.firm[i].x = pyo.Var(m.process, within=pyo.NonNegativeReals)
        m.firm[i].limit = pyo.Constraint(m.process, rule=lambda b, k, i=i: b.x[k] <= CAPACITY[i][k])
    m.total = pyo.Expression(expr=sum(m.firm[i].x[k] for i in m.firm for k in m.process))
    m.inverse = pyo.Expression(expr=2.5 - m.total / 60000)
    m.price = pyo.Var()
    m.demand = pyo.Constraint(expr=m.price == m.inverse)
    for i in m.firm:
        price = m.price if i in takers else m.inverse
        margin = sum((price - COST[i][k]) * m.firm[i].x[k] for k in m.process)
        m.firm[i].profit = pyo.Objective(expr=margin, sense=pyo.maximize)
    if yard is not None:
        m.yard = pyo.Constraint(expr=m.total <= yard)
    return m


THREE_FIRMS = [
    ((0, 1, 2), None, (21000, 16000, 17000, 3000, 18000, 0), 1.25, (21740, 10710, 8460)),
    ((), None, (21000, 12200, 17000, 0, 18000, 0), 2.5 - 68200 / 60000, (23830.6667, 12636.6667, 10500)),
    ((0,), None, (21000, 16000, 17000, 0, 18000, 0), 1.30, (23590, 11560, 9360)),
    ((2,), None, (21000, 11400, 17000, 0, 18000, 1600), 1.35, (22956, 12410, 10260)),
    ((), 60000.0, (21000, 4000, 17000, 0, 18000, 0), 1.50, None),
]


@pytest.mark.parametrize(("takers", "yard", "outputs", "price", "profits"), THREE_FIRMS)
def test_three_firms_with_two_processes(takers, yard, outputs, price, profits):
    m = three_firms(takers, yard)
    solution = solved(m)
    assert [m.firm[i].x[k].value for i in m.firm for k in m.process] == [
        pytest.approx(x, rel=1e-7, abs=1e-3) for x in outputs
    ]
    assert m.price.value == near(price)
    if profits is not None:
        assert [pyo.value(m.firm[i].profit) for i in m.firm] == [near(profit) for profit in profits]
    if yard is not None:  # the variational equilibrium: every firm is charged the same for the yard
        assert solution.multipliers["yard.upper"] == near(0.82 / 3)
    assert solution.certificate.uniqueness.decisions == "unique"


def test_consumer_surplus_of_the_three_firms():
    for takers, surplus in (((0, 1, 2), 46875.0), ((), 68200**2 / 120000)):
        m = three_firms(takers)
        solved(m)
        assert 0.5 * (2.5 - m.price.value) * pyo.value(m.total) == near(surplus)


def test_two_nodes_and_a_line():
    """Plants of node 1: cost 10, 12; of node 2: 15, 18. The line (cap 5, toll 0.5) is full: rent 15 - 12 - 0.5."""
    plants = ((1, 10, 10), (1, 12, 10), (2, 15, 5), (2, 18, 5))
    m = pyo.ConcreteModel()
    m.price = pyo.Var([1, 2])
    m.plant, m.users, m.line = pyo.Block(range(4)), pyo.Block([1, 2]), pyo.Block()
    for k, (node, cost, capacity) in enumerate(plants):
        m.plant[k].g = pyo.Var(bounds=(0, capacity))
        m.plant[k].profit = pyo.Objective(expr=(m.price[node] - cost) * m.plant[k].g, sense=pyo.maximize)
    for node, slope in ((1, 1.0), (2, 0.5)):
        u = m.users[node]
        u.d = pyo.Var(within=pyo.NonNegativeReals)
        u.surplus = pyo.Objective(expr=(20 - m.price[node]) * u.d - slope / 2 * u.d**2, sense=pyo.maximize)
    m.line.flow = pyo.Var(within=pyo.NonNegativeReals)
    m.line.limit = pyo.Constraint(expr=m.line.flow <= 5)
    m.line.rent = pyo.Objective(expr=(m.price[2] - m.price[1] - 0.5) * m.line.flow, sense=pyo.maximize)
    arriving = {1: -m.line.flow, 2: m.line.flow}

    @m.Constraint([1, 2])
    def cleared(m, node):
        made = sum(m.plant[k].g for k in range(4) if plants[k][0] == node)
        return made + arriving[node] == m.users[node].d

    solution = solved(m)
    assert [m.plant[k].g.value for k in range(4)] == [near(10), near(3), near(5), near(0)]
    assert [m.users[n].d.value for n in (1, 2)] == [near(8), near(10)]
    assert [m.price[n].value for n in (1, 2)] == [near(12), near(15)]
    assert m.line.flow.value == near(5)
    assert solution.multipliers["line.limit.upper"] == near(2.5)


LCP = np.array([[0, 0, -1, -1], [0, 0, 1, -2], [1, -1, 2, -2], [1, 2, -2, 4.0]]), np.array([2, 2, -2, -6.0])


def pairs(rule: Callable) -> Callable[[], pyo.ConcreteModel]:
    def build() -> pyo.ConcreteModel:
        m = pyo.ConcreteModel()
        m.x = pyo.Var(range(4))
        matrix, vector = LCP
        m.row = pyo.Expression(range(4), rule=lambda m, i: matrix[i] @ list(m.x.values()) + vector[i])
        m.pair = Complementarity(range(4), rule=lambda m, i: rule(m.row[i], m.x[i]))
        return m

    return build


def as_list() -> pyo.ConcreteModel:
    m = pairs(lambda row, x: complements(row >= 0, x >= 0))()
    m.pair.deactivate()
    m.pairs = ComplementarityList()
    for i in range(4):
        m.pairs.add(complements(m.x[i] >= 0, m.row[i] >= 0))
    return m


def with_slacks() -> pyo.ConcreteModel:
    m = pairs(lambda row, x: complements(row >= 0, x >= 0))()
    m.pair.deactivate()
    m.slack = pyo.Var(range(4))
    m.define = pyo.Constraint(range(4), rule=lambda m, i: m.slack[i] == m.row[i])
    m.other = Complementarity(range(4), rule=lambda m, i: complements(m.x[i] >= 0, m.slack[i] >= 0))
    return m


WRITINGS = {
    "row first": pairs(lambda row, x: complements(row >= 0, x >= 0)),
    "variable first": pairs(lambda row, x: complements(x >= 0, row >= 0)),
    "turned rows": pairs(lambda row, x: complements(-row <= 0, x >= 0)),
    "turned variables": pairs(lambda row, x: complements(row >= 0, -2 * x <= 0)),
    "box": pairs(lambda row, x: complements(pyo.inequality(0, x, 100), row)),
    "box second": pairs(lambda row, x: complements(row, pyo.inequality(0, x, 100))),
    "list": as_list,
    "slacks": with_slacks,
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_small_lcp_however_it_is_written(writing):
    m = WRITINGS[writing]()
    solution = solved(m)
    assert [x.value for x in m.x.values()] == [near(2.8), near(0), near(0.8), near(1.2)]
    assert solution.certificate.uniqueness.decisions == "unique"


def test_a_pair_that_bounds_one_side_only_is_refused():
    m = pairs(lambda row, x: complements(row >= 0, x))()
    with pytest.raises(Refused, match="only one of its sides"):
        solve(m)


@pytest.mark.parametrize("turned", [False, True])
def test_a_nonlinear_complementarity_problem(turned):
    """Josephy's problem: the one solution with x >= 0 is (sqrt(6) / 2, 0, 0, 1 / 2)."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(1, 5))
    x = m.x
    rows = {
        1: 3 * x[1] ** 2 + 2 * x[1] * x[2] + 2 * x[2] ** 2 + x[3] + 3 * x[4] - 6,
        2: 2 * x[1] ** 2 + x[1] + x[2] ** 2 + 3 * x[3] + 2 * x[4] - 2,
        3: 3 * x[1] ** 2 + x[1] * x[2] + 2 * x[2] ** 2 + 2 * x[3] + 3 * x[4] - 1,
        4: x[1] ** 2 + 3 * x[2] ** 2 + 2 * x[3] + 3 * x[4] - 3,
    }
    sides = (lambda i: (x[i] >= 0, rows[i] >= 0)) if turned else (lambda i: (rows[i] >= 0, x[i] >= 0))
    m.pair = Complementarity(range(1, 5), rule=lambda m, i: complements(*sides(i)))
    solved(m)
    assert [v.value for v in x.values()] == [near(np.sqrt(6) / 2), near(0), near(0), near(0.5)]


def test_river_basin_pollution():
    """Three firms that share two limits: the equilibrium in which the same multiplier is charged to all."""
    first, second = (0.1, 0.12, 0.15), (0.01, 0.05, 0.01)
    load = np.array([(6.5, 4.583), (5, 6.25), (5.5, 3.75)]) * np.array([[0.5], [0.25], [0.75]])
    m = pyo.ConcreteModel()
    m.firm = pyo.Block(range(3))
    for i in m.firm:
        m.firm[i].x = pyo.Var(within=pyo.NonNegativeReals)
    x = [m.firm[i].x for i in m.firm]
    for i in m.firm:
        cost = first[i] * x[i] + second[i] * x[i] ** 2
        m.firm[i].profit = pyo.Objective(expr=(3 - 0.01 * sum(x)) * x[i] - cost, sense=pyo.maximize)
    m.limit = pyo.Constraint([0, 1], rule=lambda m, k: sum(load[i, k] * x[i] for i in range(3)) <= 100)
    solution = solved(m)
    assert [v.value for v in x] == [pytest.approx(q, abs=6e-5) for q in (21.1448, 16.0279, 2.7260)]
    assert solution.multipliers["limit[0].upper"] == pytest.approx(0.57436, rel=1e-5)
    assert solution.multipliers["limit[1].upper"] == near(0)
    assert [pyo.value(m.firm[i].profit) for i in m.firm] == [
        pytest.approx(p, abs=6e-4) for p in (48.412, 26.921, 6.607)
    ]
    assert pyo.value(m.limit[1].body) == pytest.approx(81.164, rel=1e-5)


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("links", [2, 3])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
def test_alpha_fair_sharing_of_a_line(alpha, links, bounded):
    """One user crosses all links, the others one each: x0 = 1 / (1 + L^(1/alpha)), the others 1 - x0."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(links + 1), bounds=(0, 1 if bounded else None))
    m.link = pyo.Constraint(range(1, links + 1), rule=lambda m, k: m.x[0] + m.x[k] <= 1)
    worth = [pyo.log(x) if alpha == 1 else x ** (1 - alpha) / (1 - alpha) for x in m.x.values()]
    m.welfare = pyo.Objective(expr=sum(worth), sense=pyo.maximize)
    solved(m)
    crossing = 1 / (1 + links ** (1 / alpha))
    assert [x.value for x in m.x.values()] == [near(crossing), *[near(1 - crossing)] * links]


def test_the_lcp_as_arrays():
    """The same small LCP built from its matrix."""
    m = pure(*LCP, [0.0] * 4, [INF] * 4)
    solved(m)
    assert [m.z[k].value for k in range(4)] == [near(2.8), near(0), near(0.8), near(1.2)]
