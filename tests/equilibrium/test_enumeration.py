"""All solutions of small affine problems, against independent enumeration by square linear systems."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from equilibrium.convex_set import NoSuchSolution, convex_set
from equilibrium.enumeration import Enumeration, branching, enumerate_all
from equilibrium.mcp import OUTSIDE, MixedComplementarity

INF = float("inf")


def problem(matrix, vector, lower=None, upper=None) -> MixedComplementarity:
    """lower <= z <= upper _|_ matrix z + vector without players; z >= 0 if no bounds are given."""
    n = len(vector)
    lower = np.zeros(n) if lower is None else np.array(lower, dtype=float)
    upper = np.full(n, INF) if upper is None else np.array(upper, dtype=float)
    outside = np.full(n, OUTSIDE), np.full(n, -1)
    names, matrix = [f"z{k}" for k in range(n)], sp.csr_array(np.array(matrix, dtype=float))
    return MixedComplementarity(names, *outside, [None] * n, lower, upper, matrix, np.array(vector, dtype=float))


def by_hand(mcp: MixedComplementarity) -> tuple[list[np.ndarray], bool]:
    """(isolated candidates: the solutions of regular patterns; whether some pattern is singular)."""
    matrix, vector, n = mcp.matrix.toarray(), mcp.vector, mcp.size
    points: list[np.ndarray] = []
    singular = False
    for pattern in product((0, 1, 2), repeat=n):
        at = np.array(pattern)
        if np.isinf(mcp.lower[at == 0]).any() or np.isinf(mcp.upper[at == 1]).any():
            continue
        z = np.where(at == 0, mcp.lower, np.where(at == 1, mcp.upper, 0.0))
        free = np.flatnonzero(at == 2)
        if free.size:
            block = matrix[np.ix_(free, free)]
            if abs(np.linalg.det(block)) < 1e-9:
                singular = True
                continue
            z[free] = np.linalg.solve(block, -(vector + matrix @ z)[free])
        if error(mcp, z) < 1e-8 and not any(np.abs(z - other).max() < 1e-6 for other in points):
            points.append(z)
    return points, singular


def error(mcp: MixedComplementarity, z: np.ndarray) -> float:
    """The plain natural residual, not the package's relative one."""
    return float(np.abs(z - np.clip(z - (mcp.matrix.toarray() @ z + mcp.vector), mcp.lower, mcp.upper)).max())


def draw(random: np.random.Generator, integers: bool) -> MixedComplementarity:
    n = int(random.integers(1, 6))
    matrix, vector = random.normal(size=(n, n)), random.normal(size=n)
    if integers:  # singular blocks, degenerate points, continua
        matrix, vector = np.round(2 * matrix), np.round(2 * vector)
    lower = np.where(random.random(n) < 0.8, 0.0, -INF)
    upper = np.where(random.random(n) < 0.4, 2.0, INF)
    return problem(matrix, vector, lower, upper)


def assert_as_by_hand(mcp: MixedComplementarity) -> Enumeration:
    found = enumerate_all(mcp)
    points, singular = by_hand(mcp)
    assert found.complete
    for one in found.solutions:
        assert error(mcp, one.point) < 1e-8
        assert (one.lower <= one.point + 1e-9).all() and (one.point <= one.upper + 1e-9).all()
    for z in points:
        near = [one for one in found.solutions if ((one.lower - 1e-6 <= z) & (z <= one.upper + 1e-6)).all()]
        assert near, (z, found)
    if not singular:
        assert len(points) == len(found.solutions)
        assert all(one.isolated for one in found.solutions)
    for one in found.solutions:
        if one.isolated:
            assert singular or any(np.abs(one.point - z).max() < 1e-6 for z in points)
    return found


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_random_problems(seed, integers):
    """Thirty problems a seed: mixed bounds, free columns, any number of solutions."""
    random = np.random.default_rng(seed)
    counts = {len(assert_as_by_hand(draw(random, integers)).solutions) for _ in range(30)}
    assert {0, 1} <= counts and max(counts) > 1  # the draw holds problems of every kind


@pytest.mark.parametrize("seed", range(40))
def test_p_matrices_have_exactly_one_solution(seed):
    """Diagonally dominant, not symmetric, so a P-matrix whatever the vector (Cottle, Pang and Stone, 3.3.7)."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 9))
    matrix = random.normal(size=(n, n))
    matrix += np.diag(np.abs(matrix).sum(axis=1) + 0.1 - np.diag(matrix))
    mcp = problem(matrix, random.normal(size=n))
    found = enumerate_all(mcp)
    assert found.complete
    assert len(found.solutions) == 1
    assert found.solutions[0].isolated
    assert error(mcp, found.solutions[0].point) < 1e-10


@pytest.mark.parametrize("seed", range(40))
def test_nonpositive_rows_have_no_solution(seed):
    """M <= 0 and some q_i < 0 leave no z >= 0 with M z + q >= 0."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 12))
    vector = random.normal(size=n)
    vector[int(random.integers(n))] = -random.uniform(1e-3, 1)
    found = enumerate_all(problem(-random.uniform(0, 1, size=(n, n)), vector))
    assert found.none


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_independent_pairs_that_are_two_sided(n):
    """z _|_ 1 - z for each column: 0 or 1 each, 2^n solutions."""
    found = enumerate_all(problem(-np.eye(n), np.ones(n)))
    assert found.complete
    corners = {tuple(np.round(one.point, 9)) for one in found.solutions}
    assert corners == set(product((0.0, 1.0), repeat=n))


def test_a_segment_beside_a_point():
    """z1 + z2 <= 1 with equality where one is positive: the origin, and the segment from (1, 0) to (0, 1)."""
    found = enumerate_all(problem([[-1, -1], [-1, -1]], [1, 1]))
    point, segment = sorted(found.solutions, key=lambda one: not one.isolated)
    assert point.point.tolist() == [0, 0]
    assert (segment.lower.tolist(), segment.upper.tolist()) == ([0, 0], [1, 1])


def test_a_ray_has_no_end():
    found = enumerate_all(problem([[0.0]], [0.0]))
    assert [(one.lower.tolist(), one.upper.tolist()) for one in found.solutions] == [([0.0], [INF])]


def test_touching_pieces_are_one_set():
    """0 <= x, y <= 1 with F = (0, 2 x - 1): y = 1 where x < 1/2, y = 0 where x > 1/2, anything between at x = 1/2."""
    found = enumerate_all(problem([[0, 0], [2, 0]], [0, -1], [0, 0], [1, 1]))
    assert len(found.solutions) == 1
    assert not found.solutions[0].convex
    assert (found.solutions[0].lower.tolist(), found.solutions[0].upper.tolist()) == ([0, 0], [1, 1])


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
@pytest.mark.parametrize("seed", range(10))
def test_units_do_not_matter(seed, scale):
    """Quantities in other units, money in others: the same solutions."""
    random = np.random.default_rng(seed)
    mcp = draw(random, False)
    other = problem(mcp.matrix.toarray(), mcp.vector * scale, mcp.lower * scale, mcp.upper * scale)
    money = problem(mcp.matrix.toarray() * scale, mcp.vector * scale, mcp.lower, mcp.upper)
    found, bigger, dearer = (enumerate_all(one) for one in (mcp, other, money))
    assert found.complete and bigger.complete and dearer.complete
    first = sorted(tuple(np.round(one.point, 6)) for one in found.solutions)
    assert first == sorted(tuple(np.round(one.point / scale, 6)) for one in bigger.solutions)
    assert first == sorted(tuple(np.round(one.point, 6)) for one in dearer.solutions)


def test_a_search_that_was_stopped_says_so():
    random = np.random.default_rng(0)
    mcp = problem(random.normal(size=(12, 12)), np.abs(random.normal(size=12)))
    whole, part = enumerate_all(mcp), enumerate_all(mcp, nodes=10)
    assert whole.complete and not part.complete
    assert not part.none
    assert len(part.solutions) <= len(whole.solutions)


def test_only_affine_problems():
    mcp = problem([[1.0]], [1.0])
    mcp.matrix = None
    with pytest.raises(ValueError, match="affine"):
        enumerate_all(mcp)


def test_crossed_bounds_have_no_solution():
    assert enumerate_all(problem([[1.0]], [1.0], [2.0], [1.0])).none


def test_what_is_decided():
    assert branching(problem(np.eye(4), np.zeros(4), [0, -INF, 1, -INF], [INF, INF, 1, 2])) == 2


# ---- the convex set of a monotone problem ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_the_set_of_a_monotone_problem_is_that_of_the_enumeration(seed):
    """Positive semidefinite of any rank plus a skew part, in integers: forty problems a seed."""
    random = np.random.default_rng(seed)
    sets = 0
    for _ in range(40):
        n = int(random.integers(1, 6))
        root = random.integers(-2, 3, size=(n, int(random.integers(0, n + 1)))).astype(float)
        skew = np.triu(random.integers(-1, 2, size=(n, n)).astype(float), 1)
        lower = np.where(random.random(n) < 0.8, 0.0, -INF)
        upper = np.where(random.random(n) < 0.4, 2.0, INF)
        mcp = problem(root @ root.T + skew - skew.T, random.integers(-3, 4, size=n), lower, upper)
        found = enumerate_all(mcp)
        assert found.complete and len(found.solutions) <= 1  # convex, so connected
        for one in found.solutions:
            whole = convex_set(mcp, one.point)
            assert whole is not None
            np.testing.assert_allclose(whole.lower, one.lower, atol=1e-6)
            np.testing.assert_allclose(whole.upper, one.upper, atol=1e-6)
            sets += not one.isolated
    assert sets


def test_no_convex_set_where_it_is_not_monotone():
    assert convex_set(problem([[-1.0]], [1.0]), np.array([0.0])) is None


def test_a_solution_at_infinity_is_none():
    """2 x - 2 y = 1 and 2 y - 2 x = 1: in relation to ever larger terms both hold."""
    mcp = problem([[2, -2], [-2, 2]], [-1, -1])
    far = np.array([5e9, 5e9])
    assert mcp.error(far) < 1e-9
    assert enumerate_all(mcp).none
    with pytest.raises(NoSuchSolution):
        convex_set(mcp, far)


def test_prices_in_thousandths_beside_quantities_in_thousands():
    """A limit's multiplier of 0.002 beside outputs of 1400: no piece is taken for another, no point for a set."""
    matrix = [[2e-8, 1e-3, -1e-8, 1e-3], [-1e-3, 0, -1e-3, 0], [0, 0, 0, 1e-3], [-1e-3, 0, -1e-3, 0]]
    mcp = problem(matrix, [1e-5, 1.5, 0, 2], [0, 0, 0, 0], [2900, INF, 1400, INF])
    found = enumerate_all(mcp)
    assert found.complete
    assert any((one.lower <= (100, 0.002, 1400, 0)).all() and one.upper[1] >= 0.002 for one in found.solutions)


def test_whole_numbers_as_bounds():
    """Bounds given as integers: an upper bound of 0.0028 beside lower bounds of 0 is not cut to 0."""
    mcp = problem([[0, -3e6], [-1e6, 0]], [0, -1000], [0, 0], [0.0015, 0.0028])
    mcp.lower = np.array([0, 0])
    found = enumerate_all(mcp)
    assert found.complete
    assert [one.point.tolist() for one in found.solutions] == [[0.0015, 0.0028]]


@pytest.mark.parametrize("seed", range(20))
def test_a_unit_for_each_column_does_not_matter(seed: int):
    """Columns in units from 1e-9 to 1e9: the same solutions, and no complaint about a badly scaled system."""
    random = np.random.default_rng(seed)
    plain = draw(random, False)
    unit = 10.0 ** random.uniform(-9, 9, plain.size)
    matrix = unit[:, None] * plain.matrix.toarray() * unit
    other = problem(matrix, unit * plain.vector, plain.lower / unit, plain.upper / unit)
    first, second = enumerate_all(plain), enumerate_all(other)
    assert first.complete and second.complete and len(first.solutions) == len(second.solutions)
    points = [
        sorted((unit ** (which == 1) * one.point).tolist() for one in found.solutions)
        for which, found in enumerate((first, second))
    ]
    assert np.array(points[1]) == pytest.approx(np.array(points[0]), rel=1e-7, abs=1e-9)
