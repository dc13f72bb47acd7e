"""The whole set of solutions of a monotone affine problem, from one of them: a polyhedron, so every column has a range.

If the problem is monotone and x solves it, y in the box solves it exactly if y keeps every column at which F(x) is not
zero, F(y) is zero where x is strictly between its bounds and has the sign that x's bound asks for elsewhere, and
S (y - x) = 0 with S the symmetric part of the matrix: (y - x)'(F(y) - F(x)) = 0 for any two solutions, and a positive
semidefinite form vanishes only on its kernel. Rows may be multiplied by positive factors, and free columns that their
own rows define (prices, rules) are eliminated before S is taken. Cottle, Pang and Stone (1992), section 3.1, treat
lower bounds alone.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .enumeration import SAME, Connected, sizes
from .mcp import OUTSIDE, MixedComplementarity
from .monotone import null_space
from .solvers.outcome import Termination
from .solvers.polyhedron import Limits, Polyhedron
from .tolerances import CONVEX


class NoSuchSolution(Exception):
    """What was taken for a solution satisfies the conditions only in relation to terms that grow without limit."""


def convex_set(mcp: MixedComplementarity, z: np.ndarray) -> Connected | None:
    """The ranges of all columns over the solutions of ``mcp``, of which z is one; None where it is not monotone.

    Raises NoSuchSolution where z is none: its terms are so large that what is wrong does not show beside them.
    """
    if mcp.matrix is None or mcp.vector is None:
        return None
    kernel = _kernel_rows(mcp)
    if kernel is None:
        return None
    matrix = mcp.matrix.toarray()
    held, equal, limits = _limits(mcp, z, kernel)
    loose = _loose(np.vstack([np.eye(mcp.size)[held], matrix[equal], kernel]))
    lower, upper = z.copy(), z.copy()
    if loose.size:
        right = np.concatenate([-mcp.vector, np.zeros(len(kernel))])
        data = Limits(mcp.lower, mcp.upper, right, right)
        polyhedron = Polyhedron(sp.csr_array(np.vstack([matrix, kernel])), data)
        if polyhedron.minimise(limits)[1] is Termination.INFEASIBLE:
            raise NoSuchSolution("no finite values satisfy the conditions; they hold in relation to ever larger terms")
        found = polyhedron.ranges(limits, list(np.eye(mcp.size)[loose]))
        if found is None:
            return None
        lower[loose], upper[loose] = np.minimum(found[0], z[loose]), np.maximum(found[1], z[loose])
    narrow = upper - lower <= SAME * sizes(mcp, z)[0]
    return Connected(z, np.where(narrow, z, lower), np.where(narrow, z, upper))


def _limits(mcp: MixedComplementarity, z: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray, Limits]:
    """(columns that keep their value, rows that stay zero, limits of columns and rows) over all solutions."""
    assert mcp.vector is not None
    column, row = sizes(mcp, z)
    value = mcp.F(z)
    fixed = mcp.upper - mcp.lower <= 1e-7 * column  # at both bounds, so that its row may have either sign
    held = (np.abs(value) > 1e-7 * row) | fixed
    at_lower = z - mcp.lower <= 1e-7 * column
    at_upper = mcp.upper - z <= 1e-7 * column
    equal = ~held & ~at_lower & ~at_upper
    row_lower = np.where(equal | (at_lower & ~fixed), -mcp.vector, -np.inf)
    row_upper = np.where(equal | (at_upper & ~fixed), -mcp.vector, np.inf)
    still = kernel @ z
    limits = Limits(
        np.where(held, z, mcp.lower),
        np.where(held, z, mcp.upper),
        np.concatenate([row_lower, still]),
        np.concatenate([row_upper, still]),
    )
    return held, equal, limits


def _kernel_rows(mcp: MixedComplementarity) -> np.ndarray | None:
    """Rows that vanish on the difference of any two solutions; None where the problem is not shown to be monotone."""
    assert mcp.matrix is not None
    matrix = mcp.matrix.toarray()
    kept, reduced = _without_definitions(mcp, matrix)
    reduced = _balanced(reduced)
    free = np.isneginf(mcp.lower[kept]) & np.isposinf(mcp.upper[kept])
    basis = null_space(reduced[free], len(kept))
    symmetric = (reduced + reduced.T) / 2
    projected = basis.T @ symmetric @ basis
    if projected.size and np.linalg.eigvalsh(projected)[0] < -CONVEX * max(float(np.abs(symmetric).max()), 1e-300):
        return None
    rows = np.zeros((basis.shape[1], mcp.size))
    rows[:, kept] = basis.T @ symmetric
    size = np.abs(rows).max(axis=1, initial=0.0)
    return rows[size > 1e-12 * max(float(size.max(initial=0.0)), 1e-300)]


def _without_definitions(mcp: MixedComplementarity, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(columns that are left, their matrix) once free outside columns with regular rows of their own are eliminated."""
    free = np.isneginf(mcp.lower) & np.isposinf(mcp.upper)
    outside = np.flatnonzero((mcp.kind == OUTSIDE) & free)
    own = outside[np.abs(matrix[np.ix_(outside, outside)]).sum(axis=1) > 0]
    block = matrix[np.ix_(own, own)]
    if not own.size or np.linalg.matrix_rank(block) < own.size:
        return np.arange(mcp.size), matrix
    kept = np.setdiff1d(np.arange(mcp.size), own)
    through = np.linalg.solve(block, matrix[np.ix_(own, kept)])
    return kept, matrix[np.ix_(kept, kept)] - matrix[np.ix_(kept, own)] @ through


def _balanced(matrix: np.ndarray) -> np.ndarray:
    """Rows with nothing on the diagonal multiplied by the positive factor that makes them skew to their column."""
    balanced = matrix.copy()
    for k in np.flatnonzero(np.diag(matrix) == 0):
        row, column = matrix[k], -matrix[:, k]
        size = float(row @ row)
        factor = float(row @ column) / size if size > 0 else 0.0
        if factor > 0 and np.abs(factor * row - column).max() <= 1e-9 * np.abs(column).max():
            balanced[k] = factor * row
    return balanced


def _loose(equalities: np.ndarray) -> np.ndarray:
    """The columns that can move while the equalities hold."""
    size = np.abs(equalities).max(axis=1, initial=0.0)
    basis = null_space(equalities / np.where(size > 0, size, 1.0)[:, None], equalities.shape[1])
    return np.flatnonzero(np.abs(basis).max(axis=1, initial=0.0) > 1e-9)
