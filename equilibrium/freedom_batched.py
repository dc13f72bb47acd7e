"""What may differ between the solutions of a monotone problem, for many scenarios of one pattern at their solutions.

As in ``convex_set``: any two solutions differ by a move that no curvature notices, that leaves alone every column whose
row is not zero and keeps at zero every row whose column is strictly between its bounds. The squares of all that are
added up; random vectors, multiplied by the inverse of the (slightly shifted) sum, become moves for which it vanishes.
A column that none of them changes has one value. A move that leads to another solution shows that there are several;
where bounds that are met by chance stand in the way, neither is known.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .enumeration import SAME
from .mcp import DECISION
from .solvers import batched
from .solvers.elimination import Elimination, Factor
from .tolerances import RESIDUAL
from .uniqueness_batched import CLEAR, PRODUCTS

SHIFT = 1e-8
"""What is added to the diagonal of the sum, whose rows have entries up to one."""

STILL = 1e-6
"""A column that random moves of size one change by less is not changed."""

ROUNDS, TRIED = 3, 2
"""How often a vector is multiplied by the inverse, and how many vectors are."""


def moves(problems: batched.Problems, z: np.ndarray) -> list[np.ndarray] | None:
    """Random moves (n, scenarios) from the solutions z that keep what all solutions keep, in the problems' units: zero
    where nothing moves, NaN where it cannot be told. None where the pattern is not of this kind or too dense."""
    kept = _Kept.of(problems.shape) if problems.count else None
    if kept is None:
        return None
    found = [np.full(z.shape, np.nan) for _ in range(TRIED)]
    width = max(1, batched.NUMBERS // max(kept.order.entries + kept.pairs.shape[1], 1))
    with np.errstate(all="ignore"):
        for first in range(0, problems.count, width):
            part = np.arange(first, min(first + width, problems.count))
            for place, move in zip(found, kept.vanishing(problems.of(part), z[:, part]), strict=True):
                place[:, part] = move
    return found


def several(problems: batched.Problems, z: np.ndarray) -> np.ndarray:
    """For every scenario whether a move from z leads to a solution with other decisions."""
    found = moves(problems, z) or []
    decides = (problems.shape.mcp.kind == DECISION)[:, None]
    shown = np.zeros(problems.count, dtype=bool)
    with np.errstate(all="ignore"):
        size = problems.scales(z, problems.F(z))[0]
        for move in found:
            for way in (np.where(decides, move, 0.0), np.where(decides, -move, 0.0)):
                other = np.clip(z + 0.5 * _length(problems, z, way) * way, problems.lower, problems.upper)
                apart = (np.abs(other - z) > 10 * SAME * size).any(axis=0)
                shown |= apart & (problems.error(other) <= RESIDUAL)
        return shown & (problems.error(z) <= RESIDUAL)


def _length(problems: batched.Problems, z: np.ndarray, way: np.ndarray) -> np.ndarray:
    """How far every scenario can go until a bound or a row is met."""
    value = problems.F(z)
    change = problems.times(way)
    room = np.where(way > 0, problems.upper - z, z - problems.lower) / np.abs(way)
    limit = np.where(way == 0, np.inf, room)
    rest = np.where((value * change < 0) & (np.abs(change) > 1e-12 * np.abs(way).max(axis=0)), -value / change, np.inf)
    length = np.minimum(limit.min(axis=0, initial=np.inf), rest.min(axis=0, initial=np.inf))
    return np.where(np.isfinite(length), length, np.where(np.isposinf(length), 1.0, 0.0))


class _Kept:
    """Where curvature and the squares of rows add up, and in what order the sum is eliminated.

    curved: entries of M that are curvature; pairs: (two entries of one row of M).
    """

    def __init__(self, shape: batched.Shape, curved: np.ndarray, pairs: np.ndarray) -> None:
        self.shape, self.curved, self.pairs = shape, curved, pairs
        n = shape.mcp.size
        i, j = shape.rows[curved], shape.columns[curved]
        a, b = (shape.columns[side] for side in pairs)
        i, j = np.concatenate([i, j, a, np.arange(n)]), np.concatenate([j, i, b, np.arange(n)])
        self.order = Elimination(n, i, j, np.ones(n, dtype=bool), np.zeros(len(i), dtype=bool))
        given = self.order.given
        self.add = sp.csr_array((np.ones(len(given)), (given, np.arange(len(given)))), (self.order.entries, len(given)))

    @classmethod
    def of(cls, shape: batched.Shape) -> _Kept | None:
        """None where multipliers and prices enter each other's rows, or where there would be too many products."""
        decides = shape.mcp.kind == DECISION
        if not decides.any() or (~decides[shape.rows] & ~decides[shape.columns]).any():
            return None
        length = np.bincount(shape.rows, minlength=shape.mcp.size)
        if (length.astype(float) ** 2).sum() > PRODUCTS:
            return None
        first = np.cumsum(length) - length  # entries are stored row by row
        mine = length[shape.rows]
        one = np.repeat(np.arange(len(shape.rows)), mine)
        within = np.arange(mine.sum()) - np.repeat(np.cumsum(mine) - mine, mine)
        curved = np.flatnonzero(decides[shape.rows] & decides[shape.columns])
        return cls(shape, curved, np.array([one, first[shape.rows][one] + within], dtype=int))

    def vanishing(self, problems: batched.Problems, z: np.ndarray) -> list[np.ndarray]:
        """Moves for which the sum vanishes."""
        scaled, rows = problems.scaled(), self.shape.rows
        n, count = z.shape
        value = problems.F(z)
        column, row = problems.scales(z, value)
        held = (np.abs(value) > CLEAR * row) | (problems.lower == problems.upper)
        inside = ~held & (z - problems.lower > CLEAR * column) & (problems.upper - z > CLEAR * column)
        data = np.broadcast_to(scaled.data, (len(rows), count))
        largest = np.zeros((n, count))
        np.maximum.at(largest, rows, np.abs(data))
        table = np.where(inside[rows], data / np.where(largest > 0, largest, 1.0)[rows], 0.0)
        core = data[self.curved] / np.maximum(np.abs(data[self.curved]).max(axis=0, initial=0.0), 1e-300)
        squares = table[self.pairs[0]] * table[self.pairs[1]]
        entries = self.add @ np.concatenate([0.5 * core, 0.5 * core, squares, held.astype(float)])
        entries[self.order.diagonal] += SHIFT
        factor = self.order.factor(entries)
        random = np.random.default_rng(0)
        return [self._vanishing(factor, random.normal(size=(n, 1)) * np.ones((1, count))) for _ in range(TRIED)]

    def _vanishing(self, factor: Factor, move: np.ndarray) -> np.ndarray:
        for _ in range(ROUNDS):
            move = SHIFT * factor.solve(move)
        still = np.abs(move) <= STILL
        move = np.where(still, 0.0, move) * self.shape.column[:, None]
        return np.where(np.isfinite(move).all(axis=0), move, np.nan)
