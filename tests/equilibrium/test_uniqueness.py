"""'Unique' is said only where it is so: against enumeration of every complementarity pattern."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from games import INF, cournot, pure
from pyomo.mpec import Complementarity, complements

from equilibrium import solve
from equilibrium.testing import assert_certified


def several(matrix: np.ndarray, vector: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> bool:
    """Whether lower <= z <= upper _|_ matrix z + vector has more than one solution.

    For each pattern (at lower, at upper, between) the solutions are a polyhedron: a regular one is a point; a
    singular one that holds a point in its relative interior counts as several.
    """
    n, found = len(vector), []
    for pattern in product((0, 1, 2), repeat=n):
        at = np.array(pattern)
        if np.isinf(lower[at == 0]).any() or np.isinf(upper[at == 1]).any():
            continue
        z = np.where(at == 0, lower, np.where(at == 1, upper, 0.0))
        free = np.flatnonzero(at == 2)
        if free.size:
            block = matrix[np.ix_(free, free)]
            right = -(vector + matrix @ z)[free]
            if np.linalg.matrix_rank(block, tol=1e-9) < free.size:
                step = np.linalg.lstsq(block, right, rcond=None)[0]
                if np.abs(block @ step - right).max() > 1e-9:
                    continue
                kernel = np.linalg.svd(block)[2][-1]
                z[free] = step
                for t in np.linspace(-5, 5, 81):
                    other = z.copy()
                    other[free] += t * kernel
                    if _solves(matrix, vector, lower, upper, other):
                        found.append(other)
                continue
            z[free] = np.linalg.solve(block, right)
        if _solves(matrix, vector, lower, upper, z):
            found.append(z)
    return any(np.abs(z - found[0]).max() > 1e-6 for z in found)


def _solves(matrix, vector, lower, upper, z) -> bool:
    return np.abs(z - np.clip(z - (matrix @ z + vector), lower, upper)).max() < 1e-9


def random_matrix(random: np.random.Generator, n: int) -> np.ndarray:
    """Integers, so that kernels are exact: definite, singular semidefinite with a skew part, or anything."""
    root = random.integers(-2, 3, size=(n, n)).astype(float)
    skew = np.triu(random.integers(-1, 2, size=(n, n)).astype(float), 1)
    kind = random.integers(4)
    if kind == 0:
        return root @ root.T + np.eye(n)
    if kind == 1:
        return root[:, : max(1, n - 1)] @ root[:, : max(1, n - 1)].T + skew - skew.T
    if kind == 2:
        return np.outer(root[:, 0], root[:, 0])
    return root


@pytest.mark.parametrize("seed", range(75))
def test_pairs_without_players(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 4))
    matrix, vector = random_matrix(random, n), random.integers(-3, 4, size=n).astype(float)
    lower, upper = np.zeros(n), np.where(random.random(n) < 0.4, 2.0, INF)
    m = pure(matrix, vector, lower, upper)
    try:
        solution = solve(m)
    except Exception as error:  # no solution, in words
        assert type(error).__name__ in ("Infeasible", "Refused")
        return
    found = solution.certificate
    if found.ok and "unique" in (found.uniqueness.decisions, found.uniqueness.prices):
        assert not several(matrix, vector, lower, upper)


@pytest.mark.parametrize("seed", range(75))
def test_players(seed):
    """Every column a player of its own with a convex payoff, or one planner with a (singular) convex payoff."""
    random = np.random.default_rng(1000 + seed)
    n = int(random.integers(1, 4))
    matrix, vector = random_matrix(random, n), random.integers(-3, 4, size=n).astype(float)
    planner = bool(random.random() < 0.5)
    matrix = (matrix + matrix.T) / 2 if planner else matrix
    if not planner:
        np.fill_diagonal(matrix, np.abs(np.diag(matrix)))
    lower, upper = np.full(n, -1.0), np.full(n, 2.0)
    m = pyo.ConcreteModel()
    m.p = pyo.Block(range(1 if planner else n))
    if planner:
        m.p[0].x = pyo.Var(range(n), bounds=(-1, 2))
        x = [m.p[0].x[k] for k in range(n)]
        square = 0.5 * sum(matrix[j, k] * x[j] * x[k] for j in range(n) for k in range(n))
        m.p[0].o = pyo.Objective(expr=square + sum(vector[k] * x[k] for k in range(n)))
    else:
        for k in range(n):
            m.p[k].x = pyo.Var(bounds=(-1, 2))
        x = [m.p[k].x for k in range(n)]
        for k in range(n):
            slope = vector[k] + sum(matrix[k, j] * x[j] for j in range(n) if j != k)
            m.p[k].o = pyo.Objective(expr=slope * x[k] + 0.5 * matrix[k, k] * x[k] ** 2)
    try:
        found = solve(m).certificate
    except Exception as error:
        assert type(error).__name__ in ("Infeasible", "Refused")
        return
    if found.verdict == "certified" and found.uniqueness.decisions == "unique":
        assert not several(matrix, vector, lower, upper)


def test_something_is_proved():
    """The tests above can be passed by saying nothing: these have one solution, and it is said."""
    assert solve(cournot(100, 1, [10, 20, 30], capacity=[10, None, None])).certificate.uniqueness.decisions == "unique"
    assert (
        solve(
            pure(np.array([[2.0, 1], [0, 1]]), np.array([-1.0, -1]), [0, 0], [INF, INF])
        ).certificate.uniqueness.decisions
        == "unique"
    )
    m = pyo.ConcreteModel()
    m.f = pyo.Block([1, 2])
    for k in m.f:
        m.f[k].q = pyo.Var(bounds=(0, 10))
        m.f[k].o = pyo.Objective(expr=pyo.exp(m.f[k].q) - 5 * k * m.f[k].q)
    assert solve(m).certificate.uniqueness.decisions == "unique"


def test_regular_is_not_unique_for_pairs():
    """z >= 0 _|_ 1 - z: both 0 and 1."""
    found = solve(pure(np.array([[-1.0]]), np.array([1.0]), [0.0], [INF])).certificate.uniqueness
    assert found.decisions != "unique"


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_payoffs_that_couple_away_from_the_answer(start):
    """min (x - y^2)^2 and min (y - x^2)^2: (0, 0) and (1, 1) both; the cross derivatives vanish at the first."""
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(bounds=(-2, 2), initialize=start), pyo.Var(bounds=(-2, 2), initialize=start)
    m.a.o = pyo.Objective(expr=(m.a.x - m.b.y**2) ** 2)
    m.b.o = pyo.Objective(expr=(m.b.y - m.a.x**2) ** 2)
    found = solve(m).certificate
    assert m.a.x.value == pytest.approx(start, abs=1e-8)
    assert found.uniqueness.decisions != "unique"


@pytest.mark.parametrize("demand", [10.0, 12.0])
def test_prices_at_vertical_demand(demand):
    """Two plants, 10 + 2 MW at costs 1 and 3: with demand 10 every price in [1, 3] clears, with 12 every price from 3
    up."""
    m = pyo.ConcreteModel()
    m.price = pyo.Var()
    m.plant = pyo.Block([1, 2])
    for k, capacity, cost in ((1, 10.0, 1.0), (2, 2.0, 3.0)):
        m.plant[k].q = pyo.Var(bounds=(0, capacity))
        m.plant[k].o = pyo.Objective(expr=(m.price - cost) * m.plant[k].q, sense=pyo.maximize)
    m.clearing = Complementarity(expr=complements(m.plant[1].q + m.plant[2].q - demand >= 0, m.price >= 0))
    solution = solve(m)
    assert_certified(solution)
    assert solution.certificate.uniqueness.prices != "unique"


def test_a_tie_between_plants():
    """Two plants of equal cost share demand in any way."""
    m = pyo.ConcreteModel()
    m.p = pyo.Block()
    m.p.q = pyo.Var([1, 2], bounds=(0, 10))
    m.p.c = pyo.Constraint(expr=m.p.q[1] + m.p.q[2] == 8)
    m.p.o = pyo.Objective(expr=3 * m.p.q[1] + 3 * m.p.q[2])
    solution = solve(m)
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions != "unique"
