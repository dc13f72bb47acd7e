"""The ways of large models give what those of small ones give: here taken on small ones, and on some thousand rows."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp
from games import cournot, network, oligopsony, random_cournot
from test_uniqueness import random_matrix, several

from equilibrium import definite, find_game, solve, uniqueness, uniqueness_sparse
from equilibrium.formulations import potential
from equilibrium.mcp import Names
from equilibrium.solution import derive
from equilibrium.solvers import clarabel
from equilibrium.solvers.settle import solve_regularised
from equilibrium.testing import assert_agree, assert_certified, tamper

needs_clarabel = pytest.mark.skipif(not clarabel.available(), reason="needs Clarabel")


def blocks(random: np.random.Generator) -> np.ndarray:
    """A shuffled block-diagonal symmetric matrix: definite, singular or indefinite."""
    parts = []
    for _ in range(int(random.integers(1, 5))):
        n = int(random.integers(1, 7))
        root = random.normal(size=(n, int(random.integers(1, 7))))
        parts.append(root @ root.T - random.choice([0.0, 0.0, 1e-7, 1e-3, 0.1]) * np.eye(n))
    matrix = sp.block_diag(parts).toarray()
    order = random.permutation(len(matrix))
    return matrix[np.ix_(order, order)]


@pytest.mark.parametrize("largest", [1, 3, 300])
def test_semidefinite_against_eigenvalues(largest, monkeypatch):
    """By eigenvalues of blocks up to ``largest`` rows and pivots above; Hessians that are singular count as
    semidefinite."""
    monkeypatch.setattr(definite, "BLOCK", largest)
    found = []
    for seed in range(300):
        matrix = blocks(np.random.default_rng(seed))
        size = np.abs(matrix).max()
        found.append(np.linalg.eigvalsh(matrix)[0] >= -1e-9 * size)
        assert definite.semidefinite(sp.csr_array(matrix)) == found[-1], seed
        shifted = matrix + 1e-3 * size * np.eye(len(matrix))
        strictly = np.linalg.eigvalsh(shifted)[0] >= 1e-4 * np.abs(shifted).max()
        assert definite.semidefinite(sp.csr_array(shifted), 1e-4) == strictly, seed
    assert 50 < sum(found) < 250


def test_a_singular_system_is_solved_where_it_can_be():
    """Two equal rows: of all answers one near zero, exact."""
    matrix = sp.csr_array(np.array([[2.0, 1, 1], [-1, 0, 0], [-1, 0, 0]]))
    x = solve_regularised(matrix, np.array([3.0, -1, -1]))
    assert matrix @ x == pytest.approx([3, -1, -1], rel=1e-12)
    assert np.abs(x).max() < 10


@needs_clarabel
@pytest.mark.parametrize("game", [random_cournot, oligopsony, network])
@pytest.mark.parametrize("seed", range(25))
def test_the_interior_point_route(game, seed, monkeypatch):
    """Small games by the route of large ones: certified, and the same answer."""
    m = game(np.random.default_rng(seed))
    usual = solve(m)
    monkeypatch.setattr(potential, "INTERIOR", 0)
    other = solve(m)
    assert_certified(other)
    assert usual.outcome.solver != other.outcome.solver == "Clarabel"
    assert_agree(usual, other)


@needs_clarabel
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_interior_point_route_in_other_money(scale, monkeypatch):
    monkeypatch.setattr(potential, "INTERIOR", 0)
    solution = solve(network(np.random.default_rng(3), scale=scale))
    assert_certified(solution)
    assert solution.outcome.solver == "Clarabel"


@needs_clarabel
def test_the_interior_point_says_infeasible_and_unbounded(monkeypatch):
    monkeypatch.setattr(potential, "INTERIOR", 0)
    for word in ("infeasible", "unbounded"):
        m = pyo.ConcreteModel()
        m.a = pyo.Block()
        m.a.x = pyo.Var([0, 1], bounds=(0, None))
        if word == "infeasible":
            m.a.low = pyo.Constraint(expr=m.a.x[0] + m.a.x[1] >= 2)
            m.a.high = pyo.Constraint(expr=m.a.x[0] + m.a.x[1] <= 1)
        m.a.o = pyo.Objective(expr=m.a.x[1] if word == "infeasible" else -m.a.x[0])
        mcp = derive(find_game(m))
        _, outcome = potential.solve(mcp, potential.find(mcp))
        assert outcome.termination.value == word


@pytest.mark.parametrize("seed", range(150))
def test_uniqueness_without_dense_matrices(seed):
    """It claims no more than the dense test, and nothing where enumeration finds several answers."""
    random = np.random.default_rng(2000 + seed)
    n = int(random.integers(1, 4))
    matrix, vector = random_matrix(random, n), random.integers(-3, 4, size=n).astype(float)
    np.fill_diagonal(matrix, np.abs(np.diag(matrix)))
    m = pyo.ConcreteModel()
    m.p = pyo.Block(range(n))
    for k in range(n):
        m.p[k].x = pyo.Var(bounds=(-1, 2))
    x = [m.p[k].x for k in range(n)]
    for k in range(n):
        slope = vector[k] + sum(matrix[k, j] * x[j] for j in range(n) if j != k)
        m.p[k].o = pyo.Objective(expr=slope * x[k] + 0.5 * matrix[k, k] * x[k] ** 2)
    solution = solve(m)
    if not solution.certificate.ok:
        pytest.skip("not solved")
    decisions, _, _ = uniqueness_sparse.examine(solution.answer.mcp, solution.answer.z)
    if decisions:
        assert not several(matrix, vector, np.full(n, -1.0), np.full(n, 2.0))
        assert solution.certificate.uniqueness.decisions == "unique"


@pytest.mark.parametrize("game", [random_cournot, oligopsony, network])
def test_uniqueness_is_shown_without_dense_matrices_too(game, monkeypatch):
    """Games of one answer each; prices of the network too where the dense test shows them."""
    for seed in range(20):
        m = game(np.random.default_rng(seed))
        usual = solve(m).certificate.uniqueness
        with monkeypatch.context() as patch:
            patch.setattr(uniqueness, "SMALL", 0)
            patch.setattr(uniqueness, "LARGEST", 0)
            other = solve(m).certificate.uniqueness
        assert other.decisions == usual.decisions == "unique"
        assert other.prices == usual.prices


def test_prices_defined_through_others_are_put_in(monkeypatch):
    """total == q0 + q1 and price == 100 - total, two rules one upon the other."""
    monkeypatch.setattr(uniqueness, "SMALL", 0)
    monkeypatch.setattr(uniqueness, "LARGEST", 0)
    m = pyo.ConcreteModel()
    m.total, m.price = pyo.Var(), pyo.Var()
    m.firm = pyo.Block([0, 1])
    for k in m.firm:
        m.firm[k].q = pyo.Var(bounds=(0, 60))
        m.firm[k].o = pyo.Objective(expr=(m.price - 10 * k) * m.firm[k].q - m.firm[k].q ** 2, sense=pyo.maximize)
    m.sum = pyo.Constraint(expr=m.total == m.firm[0].q + m.firm[1].q)
    m.demand = pyo.Constraint(expr=m.price == 100 - m.total)
    solution = solve(m)
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "unique"


def test_ties_are_not_unique_without_dense_matrices_either(monkeypatch):
    monkeypatch.setattr(uniqueness, "SMALL", 0)
    monkeypatch.setattr(uniqueness, "LARGEST", 0)
    m = pyo.ConcreteModel()
    m.p = pyo.Block()
    m.p.q = pyo.Var([1, 2], bounds=(0, 10))
    m.p.c = pyo.Constraint(expr=m.p.q[1] + m.p.q[2] == 8)
    m.p.o = pyo.Objective(expr=3 * m.p.q[1] + 3 * m.p.q[2])
    assert solve(m).certificate.uniqueness.decisions != "unique"


def test_some_thousand_rows():
    """700 nodes in a line: certified, unique, and an altered decision or price is caught."""
    m = network(np.random.default_rng(5), nodes=700)
    solution = solve(m)
    assert solution.answer.mcp.size == 2799
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "unique"
    inner = next(b.q for b in m.plant.values() if 1 < b.q.value < b.q.ub - 1)
    assert tamper(solution, inner, 1e-6 * inner.value).verdict == "uncertified"
    assert tamper(solution, m.price[300], 1e-6 * m.price[300].value).verdict == "uncertified"


def test_names_are_asked_for_when_they_are_read():
    m = cournot(100, 1, [20, 30])
    m.firm[0].low = pyo.Constraint(expr=m.firm[0].q >= 1)
    names = Names(["text", m.firm[1].q, (m.firm[0].low, "lower"), (m.firm[0].low, "equal")])
    assert list(names) == ["text", "firm[1].q", "firm[0].low.lower", "firm[0].low"]
    assert names.of([2, 0]) == ["firm[0].low.lower", "text"]
    assert names[1:2] == ["firm[1].q"]
    assert names.index("firm[1].q") == 1
