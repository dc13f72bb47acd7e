"""Newton, the monotone programme and Ipopt against enumeration of complementarity patterns, and against published
answers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from games import INF, pure
from pyomo.mpec import Complementarity, complements

from equilibrium import find_game, solve
from equilibrium.doctor import have_nonlinear
from equilibrium.formulations import complementarity
from equilibrium.solution import derive
from equilibrium.solvers import ipopt, newton
from equilibrium.testing import assert_certified

nonlinear_only = pytest.mark.skipif(not have_nonlinear(), reason="needs Ipopt and ASL")


def enumerate_solutions(matrix, vector, lower, upper) -> list[np.ndarray]:
    """Every solution that a regular pattern (at lower, at upper, between) gives."""
    found = []
    for pattern in product((0, 1, 2), repeat=len(vector)):
        at = np.array(pattern)
        if np.isinf(lower[at == 0]).any() or np.isinf(upper[at == 1]).any():
            continue
        z = np.where(at == 0, lower, np.where(at == 1, upper, 0.0))
        free = np.flatnonzero(at == 2)
        try:
            z[free] = np.linalg.solve(matrix[np.ix_(free, free)], -(vector + matrix @ z)[free])
        except np.linalg.LinAlgError:
            continue
        if np.abs(z - np.clip(z - (matrix @ z + vector), lower, upper)).max() < 1e-9:
            found.append(z)
    return found


def instance(random: np.random.Generator, family: str):
    n = int(random.integers(1, 5))
    root, skew = random.normal(size=(n, n)), np.triu(random.normal(size=(n, n)), 1)
    matrix = root @ root.T + 0.1 * np.eye(n) + skew - skew.T
    if family == "P-matrix":  # triangular with a positive diagonal and large entries above it: far from monotone
        matrix = np.diag(random.uniform(0.5, 2, n)) + 4 * skew
    lower = np.where(random.random(n) < 0.7, 0.0, -INF)
    upper = np.where(random.random(n) < 0.3, random.uniform(0.5, 2, n), INF)
    vector = random.normal(size=n) * 2
    if family == "bi-active":  # planted solution at which both sides of some pairs vanish
        z = np.clip(random.normal(size=n), lower, upper)
        vector = -(matrix @ z)
        inside = (z > lower) & (z < upper)
        vector += np.where(inside | (random.random(n) < 0.7), 0.0, np.where(z <= lower, 1.0, -1.0))
    if family == "bad units":
        unit = 10.0 ** random.uniform(-3, 3, n)  # one per quantity, so that the problem stays monotone
        matrix, vector = unit[:, None] * matrix * unit, unit * vector
        lower, upper = lower / unit, upper / unit
    return matrix, vector, lower, upper


@pytest.mark.parametrize("family", ["monotone", "P-matrix", "bi-active", "bad units"])
def test_against_enumeration(family):
    """All families have exactly one solution (positive definite symmetric part, or a P-matrix)."""
    random = np.random.default_rng(len(family))
    for k in range(40):
        matrix, vector, lower, upper = instance(random, family)
        mcp = derive(find_game(pure(matrix, vector, lower, upper)))
        expected = enumerate_solutions(matrix, vector, lower, upper)
        solvers = (
            ["newton"] + (["qp"] if family != "P-matrix" else []) + (["ipopt"] if k < 10 and have_nonlinear() else [])
        )
        for solver in solvers:
            z, outcome = complementarity.SOLVERS[solver](mcp)
            assert outcome.ok, (family, k, solver, outcome)
            size = np.abs(expected[0]).max() + 1e-300
            assert z == pytest.approx(expected[0], abs=1e-8 * max(size, 1e-3)), (family, k, solver)


def test_k11():
    """Four pairs, M = ..., unique z = (2.8, 0, 0.8, 1.2): F = (0, 1.4 - ... >= 0, 0, 0)."""
    matrix = np.array([[0.0, 0, -1, -1], [0, 0, 1, -2], [1, -1, 2, -2], [1, 2, -2, 4]])
    vector = np.array([2.0, 2, -2, -6])
    m = pure(matrix, vector, [0.0] * 4, [INF] * 4)
    for solver in (None, "newton", "qp") + (("ipopt",) if have_nonlinear() else ()):
        solution = solve(m, solver=solver)
        assert_certified(solution)
        assert [m.z[k].value for k in range(4)] == pytest.approx([2.8, 0, 0.8, 1.2], abs=1e-8)


@nonlinear_only
def test_k12():
    """Josephy's problem: x = (sqrt(6) / 2, 0, 0, 1 / 2)."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var([1, 2, 3, 4], initialize=1.0)
    x = m.x
    rows = {
        1: 3 * x[1] ** 2 + 2 * x[1] * x[2] + 2 * x[2] ** 2 + x[3] + 3 * x[4] - 6,
        2: 2 * x[1] ** 2 + x[1] + x[2] ** 2 + 3 * x[3] + 2 * x[4] - 2,
        3: 3 * x[1] ** 2 + x[1] * x[2] + 2 * x[2] ** 2 + 2 * x[3] + 3 * x[4] - 1,
        4: x[1] ** 2 + 3 * x[2] ** 2 + 2 * x[3] + 3 * x[4] - 3,
    }
    m.pair = Complementarity(m.x.index_set(), rule=lambda m, k: complements(rows[k] >= 0, m.x[k] >= 0))
    for solver in (None, "newton", "ipopt"):
        for k in m.x:
            m.x[k].set_value(1.0)
        assert_certified(solve(m, solver=solver))
        assert [x[k].value for k in m.x] == pytest.approx([np.sqrt(6) / 2, 0, 0, 0.5], abs=1e-8)


def test_outcomes_have_names():
    """z >= 0 _|_ -1 has no solution; a single Newton step does not reach a solution far away."""
    mcp = derive(find_game(pure(np.array([[0.0]]), np.array([-1.0]), [0.0], [INF])))
    _, outcome = newton.solve(mcp)
    assert outcome.termination.value == "limit reached"
    _, outcome = complementarity.monotone_programme(mcp)
    assert outcome.termination.value == "infeasible"
    assert outcome.advice
    if have_nonlinear():
        _, outcome = ipopt.solve(mcp, restarts=1)
        assert not outcome.ok


def test_crossed_bounds_are_infeasible():
    mcp = derive(find_game(pure(np.array([[1.0]]), np.array([-1.0]), [0.0], [INF])))
    mcp.upper[0] = -1.0
    _, outcome = newton.solve(mcp)
    assert outcome.termination.value == "infeasible"
