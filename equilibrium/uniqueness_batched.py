"""The argument of ``uniqueness`` for many scenarios of one pattern, at their solutions.

Of monotone conditions two solutions differ by a move that no curvature notices, that keeps every equality and every
limit with a positive multiplier, and that leaves decisions alone which lose by moving. Curvature, squares of those rows
and of those decisions are added up; where the sum is positive definite (its elimination meets positive pivots only),
the move is zero and the decisions are the only ones.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .mcp import DECISION
from .solvers import batched
from .solvers.elimination import Elimination

PRODUCTS = 30_000
"""With more products of coefficients in the squared rows nothing is claimed: their order of elimination takes long."""

CLEAR = 1e-7
"""How far from zero, relative to its terms, a multiplier or a slope must be to count as such."""

MARGIN = 1e-9
"""What is taken off a diagonal of ones before its pivots are looked at."""


def decisions_unique(problems: batched.Problems, z: np.ndarray) -> np.ndarray:
    """For every scenario whether its decisions z (n, scenarios) are shown to be the only ones; the conditions are
    monotone."""
    found = np.zeros(problems.count, dtype=bool)
    sum_of_squares = _Squares.of(problems.shape) if problems.count else None
    if sum_of_squares is None:
        return found
    width = max(1, batched.NUMBERS // max(sum_of_squares.order.entries + sum_of_squares.pairs.shape[1], 1))
    with np.errstate(all="ignore"):
        for first in range(0, problems.count, width):
            part = np.arange(first, min(first + width, problems.count))
            found[part] = sum_of_squares.definite(problems.of(part), z[:, part])
    return found


class _Squares:
    """Where curvature, squared rows and squared decisions add up, and in what order the sum is eliminated.

    curved, held: entries of M that are curvature, that stand in rows; pairs: (two entries of ``held`` in one row).
    """

    def __init__(self, shape: batched.Shape, curved: np.ndarray, held: np.ndarray, pairs: np.ndarray) -> None:
        self.shape, self.curved, self.held, self.pairs = shape, curved, held, pairs
        self.decides = np.flatnonzero(shape.mcp.kind == DECISION)
        place = np.full(shape.mcp.size, -1)
        place[self.decides] = np.arange(len(self.decides))
        i, j = place[shape.rows[curved]], place[shape.columns[curved]]
        a, b = (place[shape.columns[held[side]]] for side in pairs)
        n = len(self.decides)
        self.i, self.j = np.concatenate([i, j, a, np.arange(n)]), np.concatenate([j, i, b, np.arange(n)])
        every = np.ones(n, dtype=bool)
        self.order = Elimination(n, self.i, self.j, every, np.zeros(len(self.i), dtype=bool))
        given = self.order.given
        self.add = sp.csr_array((np.ones(len(given)), (given, np.arange(len(given)))), (self.order.entries, len(given)))

    @classmethod
    def of(cls, shape: batched.Shape) -> _Squares | None:
        """None where multipliers and prices enter each other's rows, or where there would be too many products."""
        decides = shape.mcp.kind == DECISION
        if not decides.any() or (~decides[shape.rows] & ~decides[shape.columns]).any():
            return None
        curved = np.flatnonzero(decides[shape.rows] & decides[shape.columns])
        held = np.flatnonzero(~decides[shape.rows])
        length = np.bincount(shape.rows[held], minlength=shape.mcp.size)
        if (length.astype(float) ** 2).sum() > PRODUCTS:
            return None
        first = np.cumsum(length) - length  # entries are stored row by row
        mine = length[shape.rows[held]]
        one = np.repeat(np.arange(len(held)), mine)
        within = np.arange(mine.sum()) - np.repeat(np.cumsum(mine) - mine, mine)
        return cls(shape, curved, held, np.array([one, first[shape.rows[held]][one] + within], dtype=int))

    def definite(self, problems: batched.Problems, z: np.ndarray) -> np.ndarray:
        """For every scenario whether the sum is positive definite."""
        mcp, rows = self.shape.mcp, self.shape.rows[self.held]
        value = problems.F(z)
        column, row = problems.scales(z, value)
        kept = np.isneginf(mcp.lower)[:, None] | (z > CLEAR * column)
        stuck = np.abs(value[self.decides]) > CLEAR * row[self.decides]
        count = z.shape[1]
        data = np.broadcast_to(problems.data, (problems.data.shape[0], count))
        core = 0.5 * data[self.curved] / np.abs(data[self.curved]).max(axis=0, initial=1e-300)
        table = data[self.held]
        largest = np.zeros((mcp.size, count))
        np.maximum.at(largest, rows, np.abs(table))
        table = np.where(kept[rows], table / np.where(largest > 0, largest, 1.0)[rows], 0.0)
        squares = table[self.pairs[0]] * table[self.pairs[1]]
        entries = self.add @ np.concatenate([core, core, squares, stuck.astype(float)])
        return self._positive(entries)

    def _positive(self, entries: np.ndarray) -> np.ndarray:
        diagonal = entries[self.order.diagonal]
        good = (diagonal > 0).all(axis=0)
        root = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scale = np.ones_like(entries)
        scale[self.order.given] = root[self.i] * root[self.j]
        entries = entries * scale
        entries[self.order.diagonal] -= MARGIN
        factor = self.order.factor(entries)
        for pivot, _, _ in factor.steps:
            good &= (pivot > 0).all(axis=0)
        if factor.core.shape[1]:
            finite = np.isfinite(factor.core).all(axis=(1, 2))
            core = np.where(finite[:, None, None], factor.core, 0.0)
            good &= finite & (np.linalg.eigvalsh(core)[:, 0] > 0)
        return good
