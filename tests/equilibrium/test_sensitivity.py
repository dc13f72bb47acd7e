"""Derivatives of equilibria against solving again, and against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from pyomo.mpec import Complementarity, complements

from equilibrium import solve
from equilibrium.errors import Refused
from equilibrium.sensitivity import sensitivity
from equilibrium.testing import assert_certified


def oligopoly(random: np.random.Generator) -> pyo.ConcreteModel:
    """Cournot firms with curved costs and capacities, all numbers mutable Params."""
    n = int(random.integers(2, 6))
    m = pyo.ConcreteModel()
    m.intercept = pyo.Param(initialize=100.0, mutable=True)
    m.slope = pyo.Param(initialize=float(random.uniform(0.5, 3)), mutable=True)
    m.firm = pyo.Block(range(n))
    for i in m.firm:
        b = m.firm[i]
        b.cost = pyo.Param(initialize=float(random.uniform(5, 90)), mutable=True)
        b.curve = pyo.Param(initialize=float(random.uniform(0.1, 2)), mutable=True)
        b.capacity = pyo.Param(initialize=float(random.uniform(2, 40)), mutable=True)
        b.q = pyo.Var(within=pyo.NonNegativeReals)
        b.limit = pyo.Constraint(expr=b.q <= b.capacity)
    m.price = pyo.Expression(expr=m.intercept - m.slope * sum(m.firm[i].q for i in m.firm))
    for i in m.firm:
        b = m.firm[i]
        b.profit = pyo.Objective(expr=(m.price - b.cost) * b.q - b.curve**2 * b.q**2 / 2, sense=pyo.maximize)
    return m


def market(random: np.random.Generator) -> pyo.ConcreteModel:
    """Price takers behind a line: clearing rows with their prices, a demand that is a number."""
    m = pyo.ConcreteModel()
    m.demand = pyo.Param(
        [0, 1], initialize={0: float(random.uniform(5, 20)), 1: float(random.uniform(5, 20))}, mutable=True
    )
    m.price = pyo.Var([0, 1])
    m.plant, m.line = pyo.Block([0, 1]), pyo.Block()
    m.line.flow = pyo.Var(bounds=(-float(random.uniform(0.5, 8)), float(random.uniform(0.5, 8))))
    m.line.rent = pyo.Objective(expr=(m.price[1] - m.price[0]) * m.line.flow, sense=pyo.maximize)
    for k in m.plant:
        b = m.plant[k]
        b.q = pyo.Var([1, 2], within=pyo.NonNegativeReals)
        first, second = (float(random.uniform(1, 30)) for _ in range(2))
        b.cost = pyo.Expression(
            expr=first * b.q[1] + second * b.q[2] + b.q[1] ** 2 / 2 + float(random.uniform(0.2, 2)) * b.q[2] ** 2
        )
        b.profit = pyo.Objective(expr=m.price[k] * (b.q[1] + b.q[2]) - b.cost, sense=pyo.maximize)
    arriving = {0: -m.line.flow, 1: m.line.flow}
    m.cleared = pyo.Constraint([0, 1], rule=lambda m, k: m.plant[k].q[1] + m.plant[k].q[2] + arriving[k] == m.demand[k])
    m.cost = pyo.Expression(expr=m.plant[0].cost + m.plant[1].cost)
    return m


def values(model: pyo.ConcreteModel) -> dict[str, float]:
    return {v.name: v.value for v in model.component_data_objects(pyo.Var)}


def differences(model: pyo.ConcreteModel, param, relative: float = 1e-4) -> dict[str, float]:
    """Central differences by solving again; affine answers make them exact, others to the fourth power of the step."""
    here = param.value
    step = relative * abs(here)
    found = []
    for offset in (-2, -1, 1, 2):
        param.set_value(here + offset * step)
        assert_certified(solve(model))
        found.append(values(model))
    param.set_value(here)
    solve(model)
    return {k: (found[0][k] - 8 * found[1][k] + 8 * found[2][k] - found[3][k]) / (12 * step) for k in found[0]}


def agree(model: pyo.ConcreteModel, params: list) -> None:
    """Derivatives equal differences to 1e-6; where the answer has a kink within the steps, neither is asked for."""
    solution = solve(model)
    assert_certified(solution)
    table = sensitivity(solution, params)
    for param in params:
        found = table[table["parameter"] == param.name].set_index("variable")["derivative"]
        for name, slope in differences(model, param).items():
            size = max(abs(found[name]), 1e-3 * abs(model.find_component(name).value / param.value))
            assert found[name] == pytest.approx(slope, rel=1e-6, abs=1e-6 * size), (name, param.name)


@pytest.mark.parametrize("seed", range(15))
def test_an_oligopoly_solved_again(seed):
    m = oligopoly(np.random.default_rng(seed))
    b = m.firm[0]
    params = [m.intercept, m.slope, b.cost, b.curve, b.capacity]
    agree(m, [params[seed % 5], params[(seed + 1) % 5]])


@pytest.mark.parametrize("seed", range(10))
def test_a_market_solved_again(seed):
    m = market(np.random.default_rng(seed))
    agree(m, [m.demand[0], m.demand[1]])


@pytest.mark.parametrize("seed", range(10))
def test_the_price_is_the_cost_of_one_more_unit_of_demand(seed):
    """As the derivative of total cost, and by solving with a little more demand."""
    m = market(np.random.default_rng(100 + seed))
    solution = solve(m)
    prices, cost = [m.price[k].value for k in (0, 1)], pyo.value(m.cost)
    table = sensitivity(solution, m.demand, of=[m.cost])
    rise = table[table["variable"] == "cost"].set_index("parameter")["derivative"]
    for k in (0, 1):
        assert rise[f"demand[{k}]"] == pytest.approx(prices[k], rel=1e-9)
        m.demand[k] = m.demand[k].value + 1e-5
        assert_certified(solve(m))
        assert (pyo.value(m.cost) - cost) / 1e-5 == pytest.approx(prices[k], rel=1e-4)
        m.demand[k] = m.demand[k].value - 1e-5


def test_two_cournot_firms_by_formula():
    """q = (a - 2 c1 + c2) / (3 b), P = (a + c1 + c2) / 3: derivatives of both in every parameter."""
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Param(initialize=90.0, mutable=True), pyo.Param(initialize=2.0, mutable=True)
    m.c = pyo.Param([0, 1], initialize={0: 10.0, 1: 20.0}, mutable=True)
    m.firm = pyo.Block([0, 1])
    for i in m.firm:
        m.firm[i].q = pyo.Var(within=pyo.NonNegativeReals)
    m.price = pyo.Expression(expr=m.a - m.b * (m.firm[0].q + m.firm[1].q))
    for i in m.firm:
        m.firm[i].o = pyo.Objective(expr=(m.price - m.c[i]) * m.firm[i].q, sense=pyo.maximize)
    table = sensitivity(solve(m), [m.a, m.b, m.c], of=[m.price]).set_index(["variable", "parameter"])["derivative"]
    q = (90 - 20 + 20) / 6
    assert table["firm[0].q", "a"] == pytest.approx(1 / 6, rel=1e-11)
    assert table["firm[0].q", "b"] == pytest.approx(-q / 2, rel=1e-11)
    assert table["firm[0].q", "c[0]"] == pytest.approx(-2 / 6, rel=1e-11)
    assert table["firm[0].q", "c[1]"] == pytest.approx(1 / 6, rel=1e-11)
    assert [table["price", name] for name in ("a", "c[0]", "c[1]")] == [pytest.approx(1 / 3, rel=1e-11)] * 3
    assert table["price", "b"] == pytest.approx(0, abs=1e-10)


def test_a_nonlinear_game():
    """Cost q^p / p on P = a - q: a - 2 q = q^(p - 1), differentiated by hand."""
    m = pyo.ConcreteModel()
    m.a, m.p = pyo.Param(initialize=10.0, mutable=True), pyo.Param(initialize=2.5, mutable=True)
    m.firm = pyo.Block()
    m.firm.q = pyo.Var(bounds=(0, 20), initialize=1.0)
    q = m.firm.q
    m.firm.o = pyo.Objective(expr=(m.a - q) * q - q**m.p / m.p, sense=pyo.maximize)
    table = sensitivity(solve(m), [m.a, m.p]).set_index("parameter")["derivative"]
    x = q.value
    assert table["a"] == pytest.approx(1 / (2 + 1.5 * x**0.5), rel=1e-9)
    assert table["p"] == pytest.approx(-(x**1.5) * np.log(x) / (2 + 1.5 * x**0.5), rel=1e-9)


def limit_reached(capacity: float) -> pyo.ConcreteModel:
    """A buyer with value 60 d - d^2 who moves P = 10 + d wants 12.5; its limit is a Param."""
    m = pyo.ConcreteModel()
    m.limit = pyo.Param(initialize=capacity, mutable=True)
    m.buyer = pyo.Block()
    m.buyer.d = pyo.Var(within=pyo.NonNegativeReals)
    m.buyer.most = pyo.Constraint(expr=m.buyer.d <= m.limit)
    m.buyer.o = pyo.Objective(expr=(50 - 2 * m.buyer.d) * m.buyer.d, sense=pyo.maximize)
    return m


def test_a_limit_that_is_just_reached_has_two_slopes():
    solution = solve(limit_reached(12.5))
    limit = solution.model.limit
    with pytest.raises(Refused, match=r"buyer\.d only just touches"):
        sensitivity(solution, limit)
    assert sensitivity(solution, limit, side="up")["derivative"].tolist() == [pytest.approx(0, abs=1e-12)]
    assert sensitivity(solution, limit, side="down")["derivative"].tolist() == [pytest.approx(1, rel=1e-12)]
    for capacity, slope in ((10.0, 1.0), (15.0, 0.0)):
        solution = solve(limit_reached(capacity))
        for side in (None, "up", "down"):
            found = sensitivity(solution, solution.model.limit, side=side)
            assert found["derivative"].tolist() == [pytest.approx(slope, abs=1e-12)]


def with_param(change: Callable[[pyo.ConcreteModel], None]) -> pyo.ConcreteModel:
    m = pyo.ConcreteModel()
    m.p = pyo.Param(initialize=1.0, mutable=True)
    m.player = pyo.Block()
    m.player.x = pyo.Var([1, 2], bounds=(0, 10))
    change(m)
    return m


def test_an_answer_that_is_not_locally_unique_is_refused_by_name():
    def tie(m):
        m.player.x.setlb(None)
        m.player.x.setub(None)
        m.player.o = pyo.Objective(expr=(m.player.x[1] + m.player.x[2] - 5 * m.p) ** 2)

    solution = solve(with_param(tie))
    with pytest.raises(Refused, match=r"not locally unique: player\.x\[1\], player\.x\[2\]"):
        sensitivity(solution, solution.model.p)


def test_a_param_with_a_kink_is_refused():
    def kinked(m):
        m.player.first = pyo.Constraint(expr=m.player.x[1] <= 5 * m.p)
        m.player.second = pyo.Constraint(expr=m.player.x[1] <= 8 - 3 * m.p)
        m.player.o = pyo.Objective(expr=(m.player.x[1] - 9) ** 2 + (m.player.x[2] - m.p**3) ** 2)

    solution = solve(with_param(kinked))
    with pytest.raises(Refused, match="kink or a jump in p"):
        sensitivity(solution, solution.model.p)
    for side, slope in (("up", -3.0), ("down", 5.0)):
        found = sensitivity(solution, solution.model.p, side=side)["derivative"].tolist()
        assert found == [pytest.approx(slope), pytest.approx(3.0)]


def test_what_cannot_be_differentiated_is_refused():
    m = limit_reached(10.0)
    m.fixed = pyo.Param(initialize=1.0)
    solution = solve(m)
    with pytest.raises(Refused, match="not mutable"):
        sensitivity(solution, m.fixed)
    with pytest.raises(Refused, match="is no Param"):
        sensitivity(solution, m.buyer.d)
    with pytest.raises(Refused, match="'up', 'down'"):
        sensitivity(solution, m.limit, side="left")
    none = pyo.ConcreteModel()
    none.p, none.z = pyo.Param(initialize=1.0, mutable=True), pyo.Var()
    none.pair = Complementarity(expr=complements(-none.z - none.p >= 0, none.z >= 0))
    with pytest.raises(Refused, match="the answer is none"):
        sensitivity(solve(none), none.p)


def test_the_model_is_left_as_it_was():
    m = oligopoly(np.random.default_rng(3))
    solution = solve(m)
    text = {p.name: p.value for p in m.component_data_objects(pyo.Param)}
    before = values(m)
    m.firm[0].q.value = 1.0  # a value given since then neither enters nor is lost
    first = sensitivity(solution, [m.intercept], of=[m.price])
    assert values(m) == before | {"firm[0].q": 1.0}
    assert {p.name: p.value for p in m.component_data_objects(pyo.Param)} == text
    m.firm[0].q.value = before["firm[0].q"]
    pd.testing.assert_frame_equal(first, sensitivity(solution, [m.intercept], of=[m.price]))
