"""Answers of many affine problems along a line: lower <= y <= upper _|_ M_s y + q_s + t u_s, for every t and s.

Where the pattern (which columns are at a bound) is regular and stays, y = slope t + offset. The march goes from piece
to piece: the nearest t at which a column meets its bound or a row changes its sign ends a piece; the columns that do so
there change sides, and those whose answer then moves the wrong way change back, one at a time in the end (Murty's rule,
which ends for P-matrices), until the pattern holds just beyond. A pattern that holds at both ends of a piece holds in
between, because everything is affine in t: that is checked, so it does not matter how a pattern was found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .elimination import inverses

LOW, INSIDE, HIGH = -1, 0, 1

MOST = 200
"""Pieces in one direction."""

FLAT = 1e-11
"""A slope below this, in units of the start, is rounding."""

REGULAR = 1e12
"""Largest condition number of a pattern's (scaled) matrix."""

CLEAR = 1e-9
"""At the start every column must be this far from changing sides, relative."""


@dataclass
class Lines:
    """Problems along a line, matrix (scenarios, columns, columns), the others (scenarios, columns).

    column, row, span: the units (scenarios, columns) and (scenarios,): y = column times its number here, and so on.
    """

    matrix: np.ndarray
    vector: np.ndarray
    along: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    column: np.ndarray
    span: np.ndarray

    @classmethod
    def at(cls, plain: Lines, y: np.ndarray, t: np.ndarray, family: np.ndarray) -> Lines:
        """The same in units of an answer y at t: of the largest of each ``family`` of columns (columns,)."""
        column = np.zeros_like(y)
        for one in np.unique(family):
            mine = family == one
            column[:, mine] = np.abs(y[:, mine]).max(axis=1, initial=0.0)[:, None]
        column = np.where(column > 0, column, 1.0)
        span = np.where(t != 0, np.abs(t), 1.0)
        moved = plain.along * t[:, None]
        row = _times(np.abs(plain.matrix), column) + np.abs(plain.vector) + np.abs(moved)
        row = np.where(row > 0, row, 1.0)
        return cls(
            plain.matrix * column[:, None, :] / row[:, :, None],
            plain.vector / row,
            plain.along * span[:, None] / row,
            plain.lower / column,
            plain.upper / column,
            column,
            span,
        )

    def of(self, chosen: np.ndarray) -> Lines:
        """Some of the scenarios."""
        return Lines(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def turned(self) -> Lines:
        """The same with -t for t."""
        return replace(self, along=-self.along)

    def error(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The largest natural residual of every scenario at (y, t), relative; infinite where it is not finite."""
        with np.errstate(invalid="ignore"):
            value = _times(self.matrix, y) + self.vector + self.along * t[:, None]
            terms = _times(np.abs(self.matrix), np.abs(y)) + np.abs(self.vector) + np.abs(self.along * t[:, None])
            size, large = np.maximum(terms, 1.0), np.maximum(np.abs(y).max(axis=1, initial=0.0), 1.0)[:, None]
            moved = np.clip(y / large - value / size, self.lower / large, self.upper / large)
            found = np.abs(y / large - moved).max(axis=1, initial=0.0)
        return np.where(np.isnan(found), np.inf, found)


@dataclass
class Piece:
    """In the scenarios ``which`` y = slope t + offset for low <= t <= up; pattern (which, columns)."""

    which: np.ndarray
    low: np.ndarray
    up: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    pattern: np.ndarray

    def turned(self) -> Piece:
        """The same with -t for t."""
        return replace(self, low=-self.up, up=-self.low, slope=-self.slope)

    def at(self, t: np.ndarray) -> np.ndarray:
        """y at t (which,)."""
        return self.slope * t[:, None] + self.offset


@dataclass
class Marched:
    """Pieces from the start on; stop (scenarios,): where each scenario's last one ends, infinity if it has no end, NaN
    where it was given up; there: y at the stop; error: the largest residual at an end of a piece."""

    pieces: list[Piece]
    stop: np.ndarray
    there: np.ndarray
    error: np.ndarray


def sides(lines: Lines, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the pattern of an answer y at t, how far each column is from another side), in units of ``lines``."""
    value = _times(lines.matrix, y) + lines.vector + lines.along * t[:, None]
    below, above = y - lines.lower, lines.upper - y
    pattern = np.where(below <= value, LOW, np.where(above <= -value, HIGH, INSIDE))
    fixed = lines.lower == lines.upper
    pattern = np.where(fixed, LOW, pattern)
    margin = np.where(pattern == INSIDE, np.minimum(below, above), np.abs(value))
    return pattern, np.where(fixed, np.inf, margin)


def march(lines: Lines, pattern: np.ndarray, t: np.ndarray) -> Marched:
    """The pieces from t upwards, for all scenarios together."""
    count, size = pattern.shape
    stop, error = np.full(count, np.nan), np.zeros(count)
    there = np.full((count, size), np.nan)
    pieces: list[Piece] = []
    alive, pattern, t = np.arange(count), pattern.copy(), t.copy()
    some = lines
    slope, offset, good = respond(some, pattern)
    for _ in range(MOST):
        if not good.all():
            alive, pattern, t, slope, offset = (a[good] for a in (alive, pattern, t, slope, offset))
            some = some.of(good)
        if not alive.size:
            break
        when = _crossings(some, pattern, slope, offset, t)
        end = when.min(axis=1)
        pieces.append(Piece(alive, t, end, slope, offset, pattern.copy()))
        ended = np.where(np.isfinite(end), end, t)
        beyond = np.where(np.isfinite(end), end, t + 1.0)
        for point in (t, beyond):
            error[alive] = np.maximum(error[alive], some.error(slope * point[:, None] + offset, point))
        stop[alive], there[alive] = end, slope * ended[:, None] + offset
        on = np.isfinite(end)
        alive, pattern, t, when, slope = alive[on], pattern[on], end[on], when[on], slope[on]
        some = some.of(on)
        stop_here = stop[alive].copy()
        stop[alive] = np.nan
        tied = when <= t[:, None] + FLAT * np.maximum(np.abs(t), 1.0)[:, None]
        pattern, slope, offset, good = _beyond(some, pattern, slope, tied)
        stop[alive[~good]] = stop_here[~good]
    return Marched(pieces, stop, there, error)


def respond(lines: Lines, pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(slope, offset of the answer with this pattern, whether the pattern is regular)."""
    inside = pattern == INSIDE
    bound = np.where(pattern == LOW, lines.lower, np.where(pattern == HIGH, lines.upper, 0.0))
    table = np.where(inside[:, :, None] & inside[:, None, :], lines.matrix, 0.0)
    diagonal = np.arange(pattern.shape[1])
    table[:, diagonal, diagonal] += ~inside
    offset = np.where(inside, -(lines.vector + _times(lines.matrix, bound)), bound)
    right = np.stack([np.where(inside, -lines.along, 0.0), offset], axis=2)
    with np.errstate(all="ignore"):
        inverse = inverses(table)
        found = inverse @ right
        found = found + inverse @ (right - table @ found)
        size = np.abs(table).sum(axis=2).max(axis=1) * np.abs(inverse).sum(axis=2).max(axis=1)
    good = (size <= REGULAR) & np.isfinite(found).all(axis=(1, 2))
    slope = np.where(np.abs(found[:, :, 0]) <= FLAT, 0.0, found[:, :, 0])
    return slope, np.where(inside, found[:, :, 1], bound), good


# ---------------------------------------------------------------------------------------------------------------------


def _times(matrix: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (matrix @ y[:, :, None])[:, :, 0]


def _rates(lines: Lines, slope: np.ndarray) -> np.ndarray:
    """What the rows change by with t."""
    found = _times(lines.matrix, slope) + lines.along
    return np.where(np.abs(found) <= FLAT, 0.0, found)


def _crossings(lines: Lines, pattern: np.ndarray, slope: np.ndarray, offset: np.ndarray, t: np.ndarray) -> np.ndarray:
    """When, at t or later, each column changes sides; infinity: it does not."""
    rate, level = _rates(lines, slope), _times(lines.matrix, offset) + lines.vector
    inside, fixed = pattern == INSIDE, lines.lower == lines.upper
    with np.errstate(all="ignore"):
        meets = np.where(slope < 0, (lines.lower - offset) / slope, (lines.upper - offset) / slope)
        turns = -level / rate
    leaves = np.where(pattern == LOW, rate < 0, rate > 0) & ~inside & ~fixed
    when = np.where(inside & (slope != 0), meets, np.where(leaves, turns, np.inf))
    return np.maximum(np.where(np.isnan(when), np.inf, when), t[:, None])


def _beyond(
    lines: Lines, pattern: np.ndarray, before: np.ndarray, tied: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(pattern that holds just beyond, slope, offset, whether one was found); ``before``: the slope up to here;
    ``tied``: columns that may change."""
    home = np.where(pattern == INSIDE, np.where(before < 0, LOW, HIGH), pattern)
    pattern = np.where(tied, np.where(pattern == INSIDE, home, INSIDE), pattern)
    slope, offset, good = respond(lines, pattern)
    left = good.copy()
    for attempt in range(2 * pattern.shape[1] + 8):
        inside = pattern == INSIDE
        way = np.where(inside, slope, _rates(lines, slope))
        wrong = tied & left[:, None] & (np.where(home == LOW, -way, way) > FLAT)
        left &= wrong.any(axis=1)
        if not left.any():
            break
        if attempt >= 4:
            wrong &= np.cumsum(wrong, axis=1) == 1
        pattern = np.where(wrong, np.where(inside, home, INSIDE), pattern)
        slope_then, offset_then, regular = respond(lines.of(left), pattern[left])
        slope[left], offset[left] = slope_then, offset_then
        good[left] = regular
        left &= good
    return pattern, slope, offset, good & ~left
