"""Every route gives the same answer where it is the only one, and the answers are those known from the literature."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from games import cournot, network, oligopsony, random_cournot

from equilibrium import solve
from equilibrium.doctor import have_nonlinear
from equilibrium.errors import Refused
from equilibrium.testing import assert_agree, assert_certified

ROUTES = [("complementarity", "newton"), ("complementarity", "qp"), ("best_response", None)]


def compare(model: pyo.ConcreteModel, ipopt: bool = False) -> None:
    base = solve(model)
    assert_certified(base)
    routes = ROUTES + ([("complementarity", "ipopt")] if ipopt and have_nonlinear() else [])
    for formulation, solver in routes:
        if formulation == "best_response" and base.answer.game.variables:
            with pytest.raises(Refused, match="players alone"):
                solve(model, formulation)
            continue
        other = solve(model, formulation, solver)
        assert_certified(other)
        assert_agree(base, other)


@pytest.mark.parametrize("game", [random_cournot, oligopsony, network])
@pytest.mark.parametrize("batch", range(4))
def test_on_random_games(game, batch):
    random = np.random.default_rng(batch)
    for k in range(17):
        compare(game(random, nodes=2) if game is network else game(random), ipopt=k < 2)


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_k1_symmetric_cournot(n):
    """q = (a - c) / (b (n + 1)), P = (a + n c) / (n + 1)."""
    m = cournot(100, 1, [20] * n)
    compare(m)
    assert m.firm[0].q.value == pytest.approx(80 / (n + 1), rel=1e-10)
    assert pyo.value(m.price) == pytest.approx((100 + 20 * n) / (n + 1), rel=1e-10)


@pytest.mark.parametrize("conjecture", [0.0, 1.0])
def test_k3_conjectures(conjecture):
    """P = 30 - 4 Q, C = q + q^2 / 2, two firms: 29 = (9 + 4 cv) q."""
    m = cournot(30, 4, [1, 1], [1, 1], conjecture=conjecture)
    assert_certified(solve(m))
    assert m.firm[0].q.value == pytest.approx(29 / (9 + 4 * conjecture), rel=1e-10)


COST = {1: (0.55, 0.81), 2: (0.62, 1.25), 3: (0.78, 1.35)}
CAPACITY = {1: (21000, 16000), 2: (17000, 22000), 3: (18000, 14000)}


def three_firms(takers: set[int]) -> pyo.ConcreteModel:
    """P = 2.5 - Q / 60000; price takers see the price as a Var, the others as an Expression."""
    m = pyo.ConcreteModel()
    m.firm = pyo.Block([1, 2, 3])
    for k in m.firm:
        m.firm[k].x = pyo.Var([0, 1], bounds=lambda b, p, k=k: (0, CAPACITY[k][p]))
        m.firm[k].output = pyo.Expression(expr=m.firm[k].x[0] + m.firm[k].x[1])
    m.total = pyo.Expression(expr=sum(m.firm[k].output for k in m.firm))
    m.price = pyo.Expression(expr=2.5 - m.total / 60000)
    if takers:
        m.given_price = pyo.Var()
        m.inverse_demand = pyo.Constraint(expr=m.given_price == m.price)
    for k in m.firm:
        b = m.firm[k]
        price = m.given_price if k in takers else m.price
        b.o = pyo.Objective(expr=price * b.output - sum(COST[k][p] * b.x[p] for p in (0, 1)), sense=pyo.maximize)
    return m


@pytest.mark.parametrize(
    ("takers", "outputs", "price"),
    [
        ({1, 2, 3}, (21000, 16000, 17000, 3000, 18000, 0), 1.25),
        (set(), (21000, 12200, 17000, 0, 18000, 0), 2.5 - 68200 / 60000),
        ({1}, (21000, 16000, 17000, 0, 18000, 0), 1.30),
        ({3}, (21000, 11400, 17000, 0, 18000, 1600), 1.35),
    ],
)
def test_k4_three_firms_with_capacities(takers, outputs, price):
    m = three_firms(takers)
    solution = solve(m)
    assert_certified(solution)
    assert [m.firm[k].x[p].value for k in m.firm for p in (0, 1)] == pytest.approx(outputs, rel=1e-8, abs=1e-4)
    assert pyo.value(m.price) == pytest.approx(price, rel=1e-9)


def test_k4_shared_yard():
    """Q <= 60000 shared: f1p2 = 4000 and a common multiplier of P - 0.81 - q1 / 60000 = 1.5 - 0.81 - 25000 / 60000."""
    m = three_firms(set())
    m.yard = pyo.Constraint(expr=m.total <= 60000)
    for formulation in (None, "complementarity"):
        solution = solve(m, formulation)
        assert_certified(solution)
        found = [m.firm[k].x[p].value for k in m.firm for p in (0, 1)]
        assert found == pytest.approx((21000, 4000, 17000, 0, 18000, 0), rel=1e-8, abs=1e-4)
        assert solution.multipliers["yard.upper"] == pytest.approx(0.69 - 25 / 60, rel=1e-8)


def test_k5_two_nodes():
    """Generation (10, 3, 5, 0), flow 5, d = (8, 10), P = (12, 15), line rent 2.5; plant 3 at its capacity with rent
    zero."""
    m = pyo.ConcreteModel()
    m.price = pyo.Var([1, 2])
    m.plant, m.users = pyo.Block(range(4)), pyo.Block([1, 2])
    for k, (node, cost, capacity) in enumerate([(1, 10, 10), (1, 12, 10), (2, 15, 5), (2, 18, 5)]):
        m.plant[k].q = pyo.Var(bounds=(0, capacity))
        m.plant[k].o = pyo.Objective(expr=(m.price[node] - cost) * m.plant[k].q, sense=pyo.maximize)
    for node, slope in ((1, 1.0), (2, 0.5)):
        b = m.users[node]
        b.d = pyo.Var(within=pyo.NonNegativeReals)
        b.o = pyo.Objective(expr=20 * b.d - 0.5 * slope * b.d**2 - m.price[node] * b.d, sense=pyo.maximize)
    m.line = pyo.Block()
    m.line.flow = pyo.Var(within=pyo.NonNegativeReals)
    m.line.limit = pyo.Constraint(expr=m.line.flow <= 5)
    m.line.o = pyo.Objective(expr=(m.price[2] - m.price[1] - 0.5) * m.line.flow, sense=pyo.maximize)
    m.at1 = pyo.Constraint(expr=m.plant[0].q + m.plant[1].q - m.line.flow == m.users[1].d)
    m.at2 = pyo.Constraint(expr=m.users[2].d == m.plant[2].q + m.plant[3].q + m.line.flow)
    for formulation in (None, "complementarity"):
        solution = solve(m, formulation)
        assert_certified(solution)
        assert [m.plant[k].q.value for k in range(4)] == pytest.approx([10, 3, 5, 0], abs=1e-8)
        assert (m.price[1].value, m.price[2].value) == pytest.approx((12, 15))
        assert solution.multipliers["line.limit.upper"] == pytest.approx(2.5)


def test_k23_river_basin():
    """Shared pollution limits: x, both multipliers and profits to the digits published."""
    c1, c2, e = (0.1, 0.12, 0.15), (0.01, 0.05, 0.01), (0.5, 0.25, 0.75)
    U = ((6.5, 4.583), (5, 6.25), (5.5, 3.75))
    m = pyo.ConcreteModel()
    m.firm = pyo.Block(range(3))
    for i in range(3):
        m.firm[i].x = pyo.Var(within=pyo.NonNegativeReals)
    total = sum(m.firm[i].x for i in range(3))
    for i in range(3):
        x = m.firm[i].x
        m.firm[i].o = pyo.Objective(expr=(3 - 0.01 * total) * x - c1[i] * x - c2[i] * x**2, sense=pyo.maximize)
    m.limit = pyo.Constraint([0, 1], rule=lambda m, k: sum(U[i][k] * e[i] * m.firm[i].x for i in range(3)) <= 100)
    solution = solve(m)
    assert_certified(solution)
    assert [m.firm[i].x.value for i in range(3)] == pytest.approx([21.1448, 16.0279, 2.7260], abs=6e-5)
    assert solution.multipliers["limit[0].upper"] == pytest.approx(0.57436, abs=6e-6)
    assert solution.multipliers["limit[1].upper"] == pytest.approx(0, abs=1e-9)
    assert [pyo.value(m.firm[i].o) for i in range(3)] == pytest.approx([48.412, 26.921, 6.607], abs=6e-4)


def test_best_responses_that_cannot_settle_say_so():
    """Matching pennies over [-1, 1]: x wants y's sign, y the opposite. Pulled strongly, turns run away from (0, 0) to
    the corners."""
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(bounds=(-1, 1), initialize=0.3), pyo.Var(bounds=(-1, 1), initialize=0.3)
    m.a.o = pyo.Objective(expr=0.5 * m.a.x**2 - 3 * m.a.x * m.b.y)
    m.b.o = pyo.Objective(expr=0.5 * m.b.y**2 + 3 * m.a.x * m.b.y)
    assert solve(m, "best_response").certificate.verdict == "cycling"
    assert_certified(solve(m))
    assert (m.a.x.value, m.b.y.value) == pytest.approx((0, 0), abs=1e-12)


def test_an_unlimited_player_is_named_by_best_responses_too():
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(0, None))
    m.a.o = pyo.Objective(expr=-m.a.x)
    try:
        found = solve(m, "best_response").certificate.verdict
    except Exception as error:
        assert "unbounded" in str(error)
    else:
        assert found == "uncertified"
