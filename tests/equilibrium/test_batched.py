"""Many equilibria at once: the same as one by one."""

import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp
from pyomo.mpec import Complementarity, complements

from equilibrium import solve
from equilibrium.batches import solve_many
from equilibrium.errors import Refused
from equilibrium.mcp import DECISION, OUTSIDE, MixedComplementarity
from equilibrium.solvers import batched, newton


def stack(random, n, count, vary):
    """Strictly monotone random problems of one pattern, some columns free or with one bound only."""
    root = random.normal(size=(n, n)) * (random.random((n, n)) < 0.5)
    matrix = root @ root.T + 0.1 * np.eye(n) + (skew := random.normal(size=(n, n))) - skew.T
    pattern = sp.csr_array(matrix)
    data = np.repeat(pattern.data[:, None], count if vary else 1, axis=1)
    if vary:
        data = data * random.uniform(0.5, 2.0, count)
    lower, upper = np.zeros(n), np.where(random.random(n) < 0.5, 1.5, np.inf)
    lower[random.random(n) < 0.2] = -np.inf
    kind = np.where(np.arange(n) < n - 2, DECISION, OUTSIDE)
    names = [f"z{k}" for k in range(n)]
    q = 3 * random.normal(size=(n, count))
    mcp = MixedComplementarity(names, kind, np.zeros(n, dtype=int), names, lower, upper, pattern, q[:, 0])
    limits = (np.broadcast_to(bound[:, None], q.shape) for bound in (lower, upper))
    return batched.Problems(batched.Shape.of(mcp), data, q, *limits)


def single(problems, k):
    mcp = problems.shape.mcp
    data = problems.data[:, 0 if problems.shared else k]
    matrix = sp.csr_array((data, mcp.matrix.indices, mcp.matrix.indptr), shape=mcp.matrix.shape)
    return MixedComplementarity(
        mcp.names, mcp.kind, mcp.player, mcp.components, mcp.lower, mcp.upper, matrix, problems.q[:, k]
    )


@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_thousands_of_random_problems(seed, vary):
    random = np.random.default_rng(seed)
    problems = stack(random, int(random.integers(3, 20)), 200, vary)
    z, error, _ = batched.solve(problems, problems.shape.mcp.interior())
    assert error.max() < 1e-11
    for k in range(0, 200, 10):
        alone = single(problems, k)
        assert alone.error(z[:, k]) < 1e-11  # the residual of one is that of many
        answer, outcome = newton.solve(alone)
        assert outcome.ok and np.allclose(answer, z[:, k], rtol=1e-9, atol=1e-9)


def market(cournot=False):
    """Two plants, elastic demand, a line that may bind; numbers are Params."""
    m = pyo.ConcreteModel()
    m.cost = pyo.Param([1, 2], initialize={1: 10, 2: 20}, mutable=True)
    m.slope = pyo.Param([1, 2], initialize=1, mutable=True)
    m.room = pyo.Param([1, 2], initialize=8, mutable=True)
    m.need = pyo.Param(initialize=12, mutable=True)
    m.plant = pyo.Block([1, 2])
    if not cournot:
        m.price = pyo.Var()
    for k in m.plant:
        m.plant[k].q = pyo.Var(within=pyo.NonNegativeReals)
        m.plant[k].capacity = pyo.Constraint(expr=m.plant[k].q <= m.room[k])
    total = m.plant[1].q + m.plant[2].q
    if cournot:
        m.price = pyo.Expression(expr=m.need * 5 - 2 * total)
    for k in m.plant:
        q = m.plant[k].q
        m.plant[k].profit = pyo.Objective(expr=m.price * q - m.cost[k] * q - m.slope[k] * q**2 / 2, sense=pyo.maximize)
    if not cournot:
        m.clearing = Complementarity(expr=complements(total - m.need == 0, m.price))
    m.revenue = pyo.Expression(expr=m.price * total)
    return m


def cells(random, count):
    return {
        "cost[1]": random.uniform(5, 30, count),
        "slope[2]": random.uniform(0.5, 3, count),
        "room[1]": random.uniform(6, 9, count),
        "need": random.uniform(2, 13.9, count),
    }


@pytest.mark.parametrize("cournot", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_what_a_loop_gives(seed, cournot):
    m, count = market(cournot), 300
    given = cells(np.random.default_rng(seed), count)
    batch = solve_many(m, given)
    revenue = batch.value(m.revenue)
    assert batch.ok.all() and (batch.table["route"] == "together").all() and batch.examined
    assert m.need.value == 12 and m.plant[1].q.value is None  # the model is as it was
    for s in range(0, count, 15):
        for cell, values in given.items():
            m.find_component(cell).set_value(values[s])
        solution = solve(m)
        assert solution.certificate.ok
        for variable in m.component_data_objects(pyo.Var):
            assert batch.value(variable)[s] == pytest.approx(variable.value, rel=1e-9, abs=1e-9)
        assert revenue[s] == pytest.approx(pyo.value(m.revenue), rel=1e-9, abs=1e-9)
    assert (batch.value(m.need) == given["need"]).all()


def test_what_cannot_be_served_is_a_row_with_its_reason():
    m, count = market(), 40
    load = np.linspace(1, 20, count)  # 16 can be served
    batch = solve_many(m, {"need": load})
    assert (batch.ok == (load < 16)).all()
    lost = batch.table[~batch.ok]
    assert (lost["route"] == "alone").all() and lost["reason"].str.len().min() > 10
    assert np.isnan(batch.value(m.price)[~batch.ok]).all() and np.isfinite(batch.value(m.price)[batch.ok]).all()


def test_a_plant_that_is_away_and_one_without_slope():
    """Bounds that meet (capacity zero), and a payoff that is flat in some scenarios."""
    m, count = market(), 60
    room = np.where(np.arange(count) % 3 == 0, 0.0, 8.0)
    slope = np.where(np.arange(count) % 4 == 0, 0.0, 1.0)
    batch = solve_many(m, {"room[1]": room, "slope[1]": slope, "need": np.linspace(1, 7.5, count)})
    assert batch.ok.all()
    assert (batch.value(m.plant[1].q)[room == 0] == 0).all()


def test_a_nonconcave_player_is_refused_in_its_scenarios_only():
    m, count = market(), 20
    slope = np.where(np.arange(count) == 7, -1.0, 1.0)
    batch = solve_many(m, {"slope[1]": slope})
    assert batch.table["verdict"][7] == "refused" and batch.ok.sum() == count - 1


@pytest.mark.parametrize(
    "given", [{"nothing": [1.0]}, {"need": [1.0], "cost[1]": [1.0, 2.0]}, {"need": ["a"]}, {"need": 3.0}, {}]
)
def test_wrong_cells_are_refused(given):
    with pytest.raises(Refused):
        solve_many(market(), given)
