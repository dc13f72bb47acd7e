"""The argument of ``uniqueness`` for affine problems that are too large for dense matrices.

The kernel conditions are added up into one symmetric matrix, curvature of the conditions plus squares of the rows
that a move must keep, and that is shown positive definite by ``definite``. Where this is too expensive or too close to
call, nothing is claimed.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from .definite import BLOCK, semidefinite
from .mcp import DECISION, OUTSIDE, MixedComplementarity, members

LIFTED = 1e7
"""Products of coefficients that squared rows may have; longer rows are left out, which claims less."""


def examine(mcp: MixedComplementarity, z: np.ndarray) -> tuple[bool, bool, str]:
    """(whether the decisions at the solution z are shown unique, whether the prices are, why or why not)."""
    assert mcp.matrix is not None
    kept, matrix = _without_defined(mcp)
    decisions, rows = np.flatnonzero(mcp.kind[kept] == DECISION), np.flatnonzero(mcp.kind[kept] != DECISION)
    table = sp.csr_array(matrix[rows][:, decisions])
    if not _skew(matrix, decisions, rows, table):
        return False, False, "limits that depend on others' decisions"
    core = matrix[decisions][:, decisions]
    curved = sp.csr_array((core + core.T) / 2)
    scale = float(abs(curved).max()) if curved.nnz else 0.0
    curved = curved / (scale or 1.0)
    lower, upper = mcp.lower[kept], mcp.upper[kept]
    equal = np.isneginf(lower[rows]) & np.isposinf(upper[rows])
    if not semidefinite(curved) and not semidefinite(sp.csr_array(curved + 100 * _squared(table[equal]))):
        return False, False, "the conditions are not monotone, or it was not shown that they are"
    column, row = (size[kept] for size in mcp.scales(z))
    point, value = z[kept], mcp.F(z)[kept]
    movable = np.abs(value[decisions]) <= 1e-7 * row[decisions]
    held = equal | (point[rows] > 1e-7 * column[rows])
    bent = curved[movable][:, movable]
    unique = _definite(bent) or _definite(sp.csr_array(bent + _squared(_unit(table[held])[:, movable])))
    if not unique:
        return False, False, "monotone conditions; the set of equilibria is convex"
    tight = equal | np.isneginf(lower[rows]) | (np.abs(value[rows]) <= 1e-7 * row[rows])
    room = np.minimum(point - lower, upper - point)[decisions] > 1e-7 * column[decisions]
    active = _unit(table[tight])[:, room]
    return True, _definite(sp.csr_array(active @ active.T)), "monotone conditions"


def everywhere(mcp: MixedComplementarity) -> tuple[bool, bool]:
    """(whether the conditions are shown monotone, whether so strictly that the decisions are unique), whatever the
    constants and limits are."""
    assert mcp.matrix is not None
    kept, matrix = _without_defined(mcp)
    decisions, rows = np.flatnonzero(mcp.kind[kept] == DECISION), np.flatnonzero(mcp.kind[kept] != DECISION)
    if not _skew(matrix, decisions, rows, sp.csr_array(matrix[rows][:, decisions])):
        return False, False
    core = matrix[decisions][:, decisions]
    curved = sp.csr_array((core + core.T) / 2)
    return semidefinite(curved), _definite(curved)


def _without_defined(mcp: MixedComplementarity) -> tuple[np.ndarray, sp.csr_array]:
    """(remaining columns, matrix) after free outside columns that their own rows determine (defined prices, rules) have
    been put in; all columns where that cannot be done."""
    assert mcp.matrix is not None
    free = np.isneginf(mcp.lower) & np.isposinf(mcp.upper)
    outside = np.flatnonzero((mcp.kind == OUTSIDE) & free)
    own = outside[abs(mcp.matrix[outside][:, outside]).sum(axis=1) > 0]
    inverse = _inverse(sp.csr_array(mcp.matrix[own][:, own]))
    if not own.size or inverse is None:
        return np.arange(mcp.size), mcp.matrix
    rest = np.setdiff1d(np.arange(mcp.size), own)
    through = mcp.matrix[rest][:, own] @ inverse @ mcp.matrix[own][:, rest]
    return rest, sp.csr_array(mcp.matrix[rest][:, rest] - through)


def _inverse(matrix: sp.csr_array) -> sp.csr_array | None:
    """The inverse, connected block by connected block; None where one is singular or larger than BLOCK."""
    n = matrix.shape[0]
    count, label = connected_components(matrix, directed=False)
    if count == n:
        diagonal = matrix.diagonal()
        return None if not diagonal.all() else sp.csr_array(sp.diags_array(1 / diagonal))
    rows, columns, values = [], [], []
    for block in members(label, count):
        if len(block) > BLOCK:
            return None
        dense = matrix[block][:, block].toarray()
        if np.linalg.matrix_rank(dense) < len(block):
            return None
        rows.append(np.repeat(block, len(block)))
        columns.append(np.tile(block, len(block)))
        values.append(np.linalg.inv(dense).ravel())
    return sp.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n))


def _skew(matrix: sp.csr_array, decisions: np.ndarray, rows: np.ndarray, table: sp.csr_array) -> bool:
    """Whether decisions and multipliers are skew up to a positive factor per row, with nothing between multipliers."""
    if not rows.size:
        return True
    seen = sp.csr_array(-matrix[decisions][:, rows].T)
    largest = max(_largest(table), _largest(seen))
    if _largest(matrix[rows][:, rows]) > 1e-12 * largest:
        return False
    size = table.multiply(table).sum(axis=1)
    factor = table.multiply(seen).sum(axis=1) / np.where(size > 0, size, 1.0)
    off = seen - sp.diags_array(factor) @ table
    return bool((factor[size > 0] > 0).all()) and _largest(off) <= 1e-9 * largest


def _largest(matrix: sp.csr_array) -> float:
    return float(abs(matrix).max()) if matrix.nnz else 0.0


def _squared(rows: sp.csr_array) -> sp.csr_array:
    """rows' rows, without the longest rows where that would be too much."""
    rows = sp.csr_array(rows)
    length = np.diff(rows.indptr)
    order = np.argsort(length, kind="stable")
    few = rows[order[np.cumsum(length[order].astype(float) ** 2) <= LIFTED]]
    return sp.csr_array(few.T @ few)


def _definite(matrix: sp.csr_array) -> bool:
    """Whether a symmetric matrix with entries near one is positive definite, well away from what rounding does."""
    diagonal = matrix.diagonal()
    if not matrix.shape[0]:
        return True
    if not diagonal.min() > 1e-6 * diagonal.max():
        return False
    factor = sp.diags_array(1 / np.sqrt(diagonal))
    return semidefinite(sp.csr_array(factor @ matrix @ factor), 1e-9)


def _unit(table: sp.csr_array) -> sp.csr_array:
    size = abs(table).max(axis=1).toarray().ravel()
    return sp.csr_array(sp.diags_array(1 / np.where(size > 0, size, 1.0)) @ table)
