"""Affine problems that fall apart: hours without storage between them, feeders without a line, plants of a price taker.

Connected components of the pattern are found first; nothing one of them decides moves another. Those of a single column
have a closed form; the others are solved together wherever their patterns are equal (``batched``). What that leaves
is a smaller problem of the same kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ..mcp import MixedComplementarity
from ..tolerances import RESIDUAL
from . import batched
from .outcome import Outcome, Termination

SMALL = 300
"""Problems up to this size are solved as one: as quick."""

FEW = 4
"""With fewer components than this nothing is gained."""

LARGEST, FULLEST = 3000, 100_000
"""Components of more columns or entries go to a sparse solver: the order of elimination takes too long to find."""

EACH = 100
"""Columns that a component may have for every component of its shape: few large ones are quicker one by one."""


def by_parts(
    mcp: MixedComplementarity, whole: Callable[[MixedComplementarity], tuple[np.ndarray, Outcome]]
) -> tuple[np.ndarray, Outcome]:
    """A solution of ``mcp``; ``whole`` solves what does not fall apart into parts that can be solved together."""
    if mcp.size <= SMALL:
        return whole(mcp)
    began = time.perf_counter()
    z, left = solve(mcp)
    if len(left) == mcp.size:
        return whole(mcp)
    if left.size:
        z[left], outcome = whole(restricted(mcp, left))
        if outcome.termination in (Termination.INFEASIBLE, Termination.UNBOUNDED):
            return z, outcome
    error = mcp.error(z)
    if error > RESIDUAL:
        return whole(mcp)
    seconds = time.perf_counter() - began
    return z, Outcome(Termination.SOLVED, f"relative residual {error:.1e}", seconds, "independent parts, many at once")


def solve(mcp: MixedComplementarity) -> tuple[np.ndarray, np.ndarray]:
    """(z, the columns of components that were not solved: all of them where there are fewer than ``FEW``)."""
    assert mcp.matrix is not None and mcp.vector is not None
    z = mcp.interior()
    parts, label = connected_components(mcp.matrix, directed=False)
    if parts < FEW:
        return z, np.arange(mcp.size)
    solved = np.zeros(mcp.size, dtype=bool)
    single = np.flatnonzero(np.bincount(label, minlength=parts)[label] == 1)
    z[single], solved[single] = _singles(mcp, single)
    for columns in alike(mcp, label, parts):
        count, n = columns.shape
        if count < FEW or n > EACH * count or not orderly(n, int(np.diff(mcp.matrix.indptr)[columns[0]].sum())):
            continue
        problems = stacked(mcp, columns)
        found, error, _ = batched.solve(problems, z[columns[0]])
        good = columns[error <= 0.01 * RESIDUAL]
        z[good.T] = found[:, error <= 0.01 * RESIDUAL]
        solved[good] = True
    return z, np.flatnonzero(~solved)


def orderly(n: int, entries: int) -> bool:
    """Whether an order of elimination is found quickly."""
    return n <= LARGEST and entries <= FULLEST


def _singles(mcp: MixedComplementarity, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(z, whether there is one) for columns that nothing else enters, a z + q each."""
    assert mcp.matrix is not None and mcp.vector is not None
    a, q = mcp.matrix.diagonal()[columns], mcp.vector[columns]
    lower, upper = mcp.lower[columns], mcp.upper[columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        free = np.where(a > 0, -q / a, np.where(q > 0, -np.inf, np.where(q < 0, np.inf, mcp.interior()[columns])))
    z = np.clip(free, lower, upper)
    return np.where(np.isfinite(z), z, 0.0), np.isfinite(z) & (a >= 0) & (lower <= upper)


def alike(mcp: MixedComplementarity, label: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Components of one pattern (entries, kinds of column, which bounds exist): their columns (components, size)."""
    assert mcp.matrix is not None
    matrix = sp.csr_array(mcp.matrix)
    matrix.sort_indices()
    order = np.argsort(label, kind="stable")
    size = np.bincount(label, minlength=count)
    first = np.cumsum(size) - size
    place = np.empty(mcp.size, dtype=np.int64)
    place[order] = np.arange(mcp.size) - first[label[order]]
    stored = np.bincount(label, np.diff(matrix.indptr), minlength=count).astype(int)
    traits = 4 * mcp.kind + 2 * np.isfinite(mcp.lower) + np.isfinite(mcp.upper)
    shapes = np.unique(np.column_stack([size, stored])[size > 1], axis=0)
    for n, entries in shapes:
        chosen = np.flatnonzero((size == n) & (stored == entries))
        columns = order[first[chosen][:, None] + np.arange(n)]
        pattern = np.hstack([_indices(matrix, columns, place), np.diff(matrix.indptr)[columns], traits[columns]])
        kinds, which = np.unique(pattern, axis=0, return_inverse=True)
        for k in range(len(kinds)):
            yield columns[which.ravel() == k]


def _positions(matrix: sp.csr_array, columns: np.ndarray) -> np.ndarray:
    """Where the entries of the rows ``columns`` (components, size) stand, (components, entries)."""
    length = np.diff(matrix.indptr)[columns]
    starts = np.repeat(matrix.indptr[columns].ravel(), length.ravel())
    ends = np.cumsum(length.ravel())
    within = np.arange(ends[-1]) - np.repeat(ends - length.ravel(), length.ravel())
    return (starts + within).reshape(len(columns), -1)


def _indices(matrix: sp.csr_array, columns: np.ndarray, place: np.ndarray) -> np.ndarray:
    return place[matrix.indices[_positions(matrix, columns)]]


def stacked(mcp: MixedComplementarity, columns: np.ndarray) -> batched.Problems:
    """Components of one pattern, (components, size), as problems to be solved together."""
    assert mcp.matrix is not None and mcp.vector is not None
    matrix = sp.csr_array(mcp.matrix)
    matrix.sort_indices()
    data = matrix.data[_positions(matrix, columns)].T
    if (data == data[:, :1]).all():
        data = data[:, :1]
    q, lower, upper = (x[columns].T.copy() for x in (mcp.vector, mcp.lower, mcp.upper))
    terms = None if mcp.terms is None else mcp.terms[columns].T
    return batched.Problems(batched.Shape.of(restricted(mcp, columns[0])), data, q, lower, upper, terms=terms)


def restricted(mcp: MixedComplementarity, columns: np.ndarray) -> MixedComplementarity:
    """The problem of some columns that nothing else enters."""
    assert mcp.matrix is not None and mcp.vector is not None
    matrix = sp.csr_array(sp.csr_array(mcp.matrix)[columns][:, columns])
    matrix.sort_indices()
    return replace(
        mcp,
        names=mcp.names.of(columns),
        kind=mcp.kind[columns],
        player=mcp.player[columns],
        components=[mcp.components[k] for k in columns],
        lower=mcp.lower[columns],
        upper=mcp.upper[columns],
        matrix=matrix,
        vector=mcp.vector[columns],
        absorbed=[],
        start=None if mcp.start is None else mcp.start[columns],
        terms=None if mcp.terms is None else mcp.terms[columns],
        _made={},
    )
