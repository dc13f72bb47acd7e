"""Problems that fall apart are solved part by part: the same as whole, and what cannot be solved is left by name."""

import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp

from equilibrium import solve
from equilibrium.mcp import DECISION, OUTSIDE, MixedComplementarity
from equilibrium.solvers import apart, newton


def parts(random, sizes, count):
    """``count`` strictly monotone problems of each size, their columns in between each other: (problem, labels)."""
    blocks, lower, upper, kind = [], [], [], []
    for n in sizes:
        pattern = random.random((n, n)) < 0.6
        bounded = random.random(n) < 0.5
        for _ in range(count):
            root = np.where(pattern, random.normal(size=(n, n)), 0.0)
            skew = random.normal(size=(n, n))
            blocks.append(root @ root.T + 0.1 * np.eye(n) + skew - skew.T)
            lower.append(np.where(bounded, 0.0, -np.inf))
            upper.append(np.where(bounded, 1.5, np.inf))
            kind.append(np.where(np.arange(n) <= n // 2, DECISION, OUTSIDE))
    label = random.permutation(np.repeat(np.arange(len(blocks)), [len(block) for block in blocks]))
    order = np.empty(len(label), dtype=int)
    order[np.argsort(label, kind="stable")] = np.arange(len(label))
    matrix = sp.csr_array(sp.block_diag(blocks, format="csr"))[order][:, order]
    lower, upper, kind = (np.concatenate(one)[order] for one in (lower, upper, kind))
    size = len(order)
    names = [f"z{k}" for k in range(size)]
    vector = 3 * random.normal(size=size)
    mcp = MixedComplementarity(
        names, kind, np.zeros(size, dtype=int), names, lower, upper, sp.csr_array(matrix), vector
    )
    return mcp, label


@pytest.mark.parametrize("seed", range(10))
def test_part_by_part_is_the_whole(seed):
    random = np.random.default_rng(seed)
    mcp, _ = parts(random, (1, 2, 5, 9), 6)
    z, left = apart.solve(mcp)
    whole, outcome = newton.solve(mcp)
    assert not left.size and outcome.ok
    assert mcp.error(z) < 1e-11
    assert np.allclose(z, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_columns_of_one_kind_stand_together(seed):
    """Every group holds whole components, and each of them only once."""
    mcp, label = parts(np.random.default_rng(seed), (3, 6), 5)
    groups = list(apart.alike(mcp, label, label.max() + 1))
    assert sorted(np.concatenate([group.ravel() for group in groups])) == list(range(mcp.size))
    for group in groups:
        for columns in group:
            assert len(set(label[columns])) == 1 and len(columns) == (label == label[columns[0]]).sum()
            traits = mcp.kind, np.isfinite(mcp.lower), np.isfinite(mcp.upper)
            assert all((trait[columns] == trait[group[0]]).all() for trait in traits)


def test_single_columns_have_a_closed_form():
    """Curved, level with a slope either way, level without one; a slope without a limit has no answer."""
    diagonal, q = np.array([2.0, 0.0, 0.0, 0.0, 0.0, -1.0]), np.array([-3.0, 1.0, -1.0, 0.0, -1.0, 0.5])
    lower, upper = np.zeros(6), np.array([9.0, 9.0, 9.0, 9.0, np.inf, 9.0])
    names = [f"z{k}" for k in range(6)]
    kind, player = np.full(6, DECISION), np.zeros(6, dtype=int)
    mcp = MixedComplementarity(names, kind, player, names, lower, upper, sp.csr_array(np.diag(diagonal)), q)
    z, left = apart.solve(mcp)
    assert z[:3] == pytest.approx([1.5, 0.0, 9.0], abs=0) and 0 <= z[3] <= 9
    assert left.tolist() == [4, 5]


def test_what_has_no_solution_is_left():
    """x >= 1 and x <= 0 through rows, in one of the parts only."""
    block = np.array([[1.0, -1.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    count = 6
    vector = np.tile([-3.0, -1.0, 2.0], count)  # 1 <= x <= 2
    vector[5] = 0.0  # x <= 0
    names = [f"z{k}" for k in range(3 * count)]
    lower = np.tile([-np.inf, 0.0, 0.0], count)
    kind, player = np.tile([DECISION, OUTSIDE, OUTSIDE], count), np.zeros(3 * count, dtype=int)
    matrix = sp.csr_array(sp.block_diag([block] * count, format="csr"))
    mcp = MixedComplementarity(names, kind, player, names, lower, np.full(3 * count, np.inf), matrix, vector)
    z, left = apart.solve(mcp)
    assert left.tolist() == [3, 4, 5]
    assert z.reshape(count, 3)[[0, 2, 3, 4, 5], 0] == pytest.approx(2.0)


def hours(count, linked=False):
    """Two plants, a trader and elastic demand in every hour; ``linked``: one plant has energy for some hours only."""
    random = np.random.default_rng(count)
    m = pyo.ConcreteModel()
    m.hour = pyo.RangeSet(count)
    m.price = pyo.Var(["a", "b"], m.hour)
    m.plant = pyo.Block(["a", "b"])
    cost = {"a": 10.0, "b": 20.0}
    for n in m.plant:
        m.plant[n].q = pyo.Var(m.hour, bounds=(0, 60))
        q = m.plant[n].q
        m.plant[n].profit = pyo.Objective(
            expr=sum((m.price[n, h] - cost[n]) * q[h] - 0.05 * q[h] ** 2 for h in m.hour), sense=pyo.maximize
        )
    if linked:
        m.plant["a"].energy = pyo.Constraint(expr=sum(m.plant["a"].q[h] for h in m.hour) <= 34 * count)
    m.trader = pyo.Block()
    m.trader.flow = pyo.Var(m.hour, bounds=(-5, 5))
    m.trader.rent = pyo.Objective(
        expr=sum((m.price["b", h] - m.price["a", h]) * m.trader.flow[h] for h in m.hour), sense=pyo.maximize
    )
    load = {(n, h): float(random.uniform(20, 50)) for n in m.plant for h in m.hour}
    flow = {"a": -1.0, "b": 1.0}
    m.balance = pyo.Constraint(
        ["a", "b"], m.hour, rule=lambda m, n, h: m.plant[n].q[h] + flow[n] * m.trader.flow[h] == load[n, h]
    )
    return m, load


def test_hours_without_a_link_are_found():
    m, load = hours(100)
    solution = solve(m)
    assert solution.certificate.verdict == "certified" and "independent parts" in solution.route
    assert solution.certificate.uniqueness.decisions == "unique"
    for h in m.hour:  # a is cheaper: the line is full towards b until costs meet, which they do not
        assert m.trader.flow[h].value == pytest.approx(5.0, abs=1e-12)
        assert m.plant["a"].q[h].value == pytest.approx(load["a", h] + 5, rel=1e-12)
        assert m.price["b", h].value == pytest.approx(20 + 0.1 * (load["b", h] - 5), rel=1e-12)


def test_hours_that_are_linked_are_one_problem():
    m, _ = hours(100, linked=True)
    solution = solve(m)
    assert solution.certificate.verdict == "certified" and "independent parts" not in solution.route
    assert sum(q.value for q in m.plant["a"].q.values()) == pytest.approx(3400, rel=1e-9)


def test_hours_of_a_game_without_a_potential():
    """Best responses x = (a - s y) / b with unlike s, floor at zero, hour by hour."""
    random, count = np.random.default_rng(1), 200
    m = pyo.ConcreteModel()
    m.firm = pyo.Block([1, 2])
    slope, base = {1: 0.4, 2: 0.7}, random.uniform(-1, 3, (3, count))
    for i in m.firm:
        m.firm[i].x = pyo.Var(range(count), within=pyo.NonNegativeReals)
    for i in m.firm:
        x, y = m.firm[i].x, m.firm[3 - i].x
        gain = sum(float(base[i, h]) * x[h] - x[h] ** 2 / 2 - slope[i] * x[h] * y[h] for h in range(count))
        m.firm[i].gain = pyo.Objective(expr=gain, sense=pyo.maximize)
    solution = solve(m)
    assert solution.certificate.verdict == "certified" and "independent parts" in solution.route
    for h in range(count):
        first, second = m.firm[1].x[h].value, m.firm[2].x[h].value
        assert first == pytest.approx(max(base[1, h] - slope[1] * second, 0), abs=1e-12)
        assert second == pytest.approx(max(base[2, h] - slope[2] * first, 0), abs=1e-12)
