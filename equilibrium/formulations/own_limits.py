"""What a leader's own limits leave of each of its decisions.

One row low <= a'x <= up with bounds on x says x_k in [(low - max of the others)/a_k, (up - min of the others)/a_k].
Rows are gone through until nothing moves. Decisions that are left one value only are put in: a set without an interior
has no regimes wider than nothing, though there may be a decision in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..hierarchy import LeaderProblem
from .regimes import own_rows

PASSES = 20
"""Most times that all rows are gone through."""

SAME = 1e-12
"""A range narrower than this, relative to its ends, is one value."""


def ends(row: np.ndarray, low: float, up: float, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range of each x_k over low <= row'x <= up, lower <= x <= upper; no entry of ``row`` is zero."""
    parts = np.sort(np.array([row * lower, row * upper]), axis=0)
    infinite = ~np.isfinite(parts)
    finite = np.where(infinite, 0.0, parts)
    others = finite.sum(axis=1, keepdims=True) - finite
    open_ended = infinite.sum(axis=1, keepdims=True) - infinite > 0
    rest = np.where(open_ended, np.array([[-np.inf], [np.inf]]), others)
    found = np.sort(np.array([low - rest[1], up - rest[0]]) / row, axis=0)
    return np.maximum(lower, found[0]), np.minimum(upper, found[1])


def ranges(problem: LeaderProblem) -> tuple[np.ndarray, np.ndarray]:
    """(least, most) of every decision as bounds and own rows say, one row at a time; crossed where they contradict."""
    table, low, up = own_rows(problem)
    rows = [(np.flatnonzero(row), row[row != 0], a, b) for row, a, b in zip(table, low, up, strict=True) if row.any()]
    least, most = problem.lower.copy(), problem.upper.copy()
    for _ in range(PASSES if rows else 0):
        before = least.copy(), most.copy()
        for mine, row, a, b in rows:
            least[mine], most[mine] = ends(row, a, b, least[mine], most[mine])
        if np.array_equal(before[0], least) and np.array_equal(before[1], most):
            break
    return least, most


def narrowed(problem: LeaderProblem) -> tuple[LeaderProblem, np.ndarray, np.ndarray]:
    """(the problem over the decisions that have room, with finite ranges where rows give them; the positions of the
    others, and their values)."""
    least, most = ranges(problem)
    width = np.maximum(np.abs(least), np.abs(most))
    known = np.isfinite(width) & ~problem.whole
    fixed = known.copy()
    fixed[known] = np.abs(most - least)[known] <= SAME * width[known]
    columns = np.flatnonzero(fixed)
    middle = 0.5 * (least[columns] + most[columns])
    values = np.clip(middle, problem.lower[columns], problem.upper[columns])
    if not (problem.holds(columns, values) if columns.size else True) or (least > most)[~fixed].any():
        return problem, columns[:0], values[:0]  # its limits contradict one another, or hardly: for the routes to say
    kept = replace(
        problem,
        lower=np.where(np.isfinite(problem.lower), problem.lower, least),
        upper=np.where(np.isfinite(problem.upper), problem.upper, most),
    )
    return kept.without(columns, values) if columns.size else kept, columns, values
