"""Steps from active set to active set, restarts, and the mixed-integer search, on arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.families import instance, problem
from equilibrium.formulations import complementarity
from equilibrium.mcp import DENSE, MixedComplementarity, Names
from equilibrium.solvers import active_set, mixed_integer, newton, systems


def cournot(firms: int, seed: int) -> MixedComplementarity:
    """Firms with capacities and one line of demand; most of them end at a bound."""
    random = np.random.default_rng(seed)
    matrix = random.uniform(0.5, 2) * (np.eye(firms) + 1)
    upper = 150 / firms * random.uniform(0.5, 2, firms)
    return problem(matrix, -random.uniform(50, 100, firms), upper)


@pytest.mark.parametrize("seed", range(10))
def test_steps_between_active_sets_settle(seed):
    """Clipped to the box, the iterates of these games cycle for ever."""
    mcp = cournot(120, seed)
    z, error, steps = active_set.search(mcp, mcp.interior())
    assert error <= 1e-13 and steps <= 15
    assert (z == mcp.lower).sum() > 15 and (z == mcp.upper).sum() > 15


def test_a_function_is_not_asked_outside_the_box():
    """q_k >= 0 _|_ q_k^0.5 - a_k + sum of q: the root has no value below zero, and some firms stay at zero."""
    intercept = np.array([3.0, 2.5, 2.0, 0.1, 0.01])

    def function(z):
        assert (z >= 0).all(), "asked outside the box"
        return np.sqrt(z) + z.sum() - intercept

    def derivative(z):
        assert (z >= 0).all(), "asked outside the box"
        return np.diag(0.5 / np.sqrt(np.maximum(z, 1e-300))) + 1

    mcp = problem(np.eye(5), np.zeros(5))
    mcp.matrix, mcp.vector, mcp.function, mcp.derivative = None, None, function, derivative
    mcp.start = np.full(5, 0.5)
    z, outcome = newton.solve(mcp)
    assert outcome.ok
    # With the total Q known, q_k = max(a_k - Q, 0)^2; Q by bisection.
    low, high = 0.0, 3.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (np.maximum(intercept - middle, 0) ** 2).sum() > middle else (low, middle)
    assert z == pytest.approx(np.maximum(intercept - low, 0) ** 2, abs=1e-9)
    assert (z == 0).any()


def test_a_large_singular_active_set():
    """Every capacity stated twice, some zero, costs that tie; large enough for sparse LU, which may crash on these."""
    firms = 550
    random = np.random.default_rng(1)
    ones = sp.hstack([sp.eye_array(firms), sp.eye_array(firms)])
    own = sp.csr_array(np.ones((firms, firms)))
    matrix = sp.block_array([[own, ones], [-ones.T, None]])
    capacity = random.integers(0, 6, firms).astype(float)
    mcp = problem(np.eye(3 * firms), np.concatenate([random.integers(1, 8, firms) * 5.0 - 40, capacity, capacity]))
    mcp.matrix = sp.csr_array(matrix)
    assert mcp.size > DENSE
    z, outcome = newton.solve(mcp)
    assert outcome.ok
    value = mcp.matrix @ z + mcp.vector
    assert np.abs(z - np.maximum(z - value, 0)).max() <= 1e-10


def test_singular_systems():
    singular, right = np.ones((2, 2)), np.array([1.0, 1.0])
    with pytest.raises(np.linalg.LinAlgError):
        systems.solve_regular(singular, right)
    assert systems.solve(singular, right) == pytest.approx([0.5, 0.5])
    for solve in (systems.solve, systems.solve_regular):
        with pytest.raises(np.linalg.LinAlgError):
            solve(np.array([[np.nan]]), np.ones(1))


def test_several_starts_find_what_one_does_not():
    """Matrices of any kind: of those that the first start leaves, several starts solve at least a third."""
    left = [instance("indef", seed) for seed in range(20)]
    left = [mcp for mcp in left if not newton.solve(mcp)[1].ok]
    assert len(left) >= 5
    outcomes = [newton.solve_from_several(mcp) for mcp in left]
    for mcp, (z, outcome) in zip(left, outcomes, strict=True):
        assert outcome.ok == (np.abs(z - np.maximum(z - mcp.F(z), 0)).max() <= 1e-9)
    assert sum(outcome.ok for _, outcome in outcomes) >= len(left) / 3


def test_several_starts_pass_over_points_without_a_value():
    """log z = 1 with z free: half of the starts have no logarithm."""
    mcp = problem(np.eye(1), np.zeros(1))
    mcp.lower[0], mcp.matrix, mcp.vector = -np.inf, None, None
    mcp.function = lambda z: np.array([math.log(z[0]) - 1])
    mcp.derivative = lambda z: np.array([[1 / z[0]]])
    mcp.start = np.array([1e-3])
    assert active_set.search(mcp, np.array([-1.0]))[1] == np.inf
    z, outcome = newton.solve_from_several(mcp)
    assert outcome.ok and z == pytest.approx([math.e])


@pytest.mark.parametrize("seed", range(20))
def test_mixed_integer_search_on_mixed_boxes(seed):
    """Columns with one bound, with two, with none; the planted solution has columns at each."""
    random = np.random.default_rng(seed)
    n = 8
    mcp = problem(random.normal(size=(n, n)), np.zeros(n))
    mcp.lower = np.where(random.random(n) < 0.6, -random.uniform(0, 1, n), -np.inf)
    mcp.upper = np.where(random.random(n) < 0.6, random.uniform(0, 1, n), np.inf)
    z = np.clip(2 * random.normal(size=n), mcp.lower, mcp.upper)
    slack = np.where(z == mcp.lower, 1.0, np.where(z == mcp.upper, -1.0, 0.0)) * random.uniform(0, 1, n)
    mcp.vector = slack - mcp.matrix @ z
    found, outcome = mixed_integer.solve(mcp)
    assert outcome.ok
    value = mcp.matrix.toarray() @ found + mcp.vector
    assert np.abs(found - np.clip(found - value, mcp.lower, mcp.upper)).max() <= 1e-10


@pytest.mark.parametrize(
    ("matrix", "vector"),
    [
        ([[-1.0]], [-1.0]),
        ([[-1.0, 0.5], [0.5, -1.0]], [-1.0, -1.0]),  # the rows cannot both be nonnegative
        ([[0.0, 1.0], [1.0, 1.0]], [-1.0, 0.0]),  # z_2 >= 1 makes row 2 positive, and that makes z_2 zero
    ],
)
def test_problems_without_a_solution_are_not_solved(matrix, vector):
    mcp = problem(np.array(matrix), np.array(vector))
    for solver in (None, "newton", "milp"):
        _, outcome = complementarity.solve(mcp, solver)
        assert not outcome.ok


def test_a_row_of_rounding_errors_is_compared_with_what_its_family_could_make_of_it() -> None:
    """z2 = 0 beside z1 = 1: an error of a rounding of z1 is none, one of 1e-14 is."""
    mcp = MixedComplementarity(
        Names(["one", "two"]),
        np.zeros(2, dtype=int),
        np.zeros(2, dtype=int),
        [("", ""), ("", "")],
        np.full(2, -np.inf),
        np.full(2, np.inf),
        sp.csr_array(np.eye(2)),
        np.array([-1.0, 0.0]),
    )
    assert mcp.error(np.array([1.0, 1e-16])) < 1e-9
    assert mcp.error(np.array([1.0, 1e-14])) > 1e-9
