"""Is a sparse symmetric matrix positive semidefinite? Asked block by block, without a dense matrix of its size."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from scipy.sparse.csgraph import connected_components

from .tolerances import CONVEX

BLOCK = 300
"""Connected blocks up to this size are asked for their eigenvalues, larger ones for the signs of their pivots."""


def semidefinite(matrix: sp.csr_array, margin: float = -CONVEX) -> bool:
    """Whether every eigenvalue is at least ``margin`` times the largest entry (rounding below zero counts as zero).

    Blocks that nothing connects are looked at one by one: eigenvalues of small ones, Cholesky of the others (a
    factorisation that meets positive pivots only is backward stable, so they prove it to within rounding).
    """
    n = matrix.shape[0]
    if n == 0:
        return True
    least = margin * (float(abs(matrix).max()) if matrix.nnz else 0.0)
    if not matrix.diagonal().min() >= least:
        return False
    matrix = sp.csr_array(matrix)
    matrix.eliminate_zeros()
    count, label = connected_components(matrix, directed=False)
    if count == n:
        return True
    size = np.bincount(label)
    small = np.flatnonzero((size > 1) & (size <= BLOCK))
    if small.size and _lowest_of_blocks(matrix, label, size, small) < least:
        return False
    large = np.flatnonzero(size[label] > BLOCK)
    return not large.size or _factorises(sp.csc_array(matrix[large][:, large]), least)


def _lowest_of_blocks(matrix: sp.csr_array, label: np.ndarray, size: np.ndarray, blocks: np.ndarray) -> float:
    """The lowest eigenvalue of some connected blocks, those of one size at a time."""
    order = np.argsort(label, kind="stable")
    first = np.cumsum(size) - size
    place = np.empty(len(label), dtype=int)  # of a row within its block
    place[order] = np.arange(len(label)) - first[label[order]]
    row = np.repeat(np.arange(len(label)), np.diff(matrix.indptr))
    lowest = np.inf
    for width in np.unique(size[blocks]):
        wanted = blocks[size[blocks] == width]
        number = np.full(len(size), -1)
        number[wanted] = np.arange(len(wanted))
        inside = np.flatnonzero(number[label[row]] >= 0)
        dense = np.zeros((len(wanted), width, width))
        i, j = row[inside], matrix.indices[inside]
        dense[number[label[i]], place[i], place[j]] = matrix.data[inside]
        lowest = min(lowest, float(np.linalg.eigvalsh(dense)[:, 0].min()))
    return lowest


def _factorises(matrix: sp.csc_array, least: float) -> bool:
    """Whether ``matrix - least`` has a Cholesky factorisation: LU without a change of pivots, all of them positive."""
    shifted = sp.csc_array(matrix - least * sp.eye_array(matrix.shape[0]))
    try:
        factor = symmetric_factor(shifted)
    except RuntimeError:  # exactly singular
        return False
    return np.array_equal(factor.perm_r, factor.perm_c) and bool((factor.U.diagonal() > 0).all())


def symmetric_factor(matrix: sp.csc_array) -> spla.SuperLU:
    """LU with an order for symmetric patterns and pivots from the diagonal: a tenth of the fill of the usual one."""
    return spla.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
