"""Many affine complementarity problems of one pattern at once: lower <= z <= upper _|_ M_s z + q_s, s = 1..S.

Newton on the active set (the method of ``active_set``) from a guess that serves all; what it does not settle, a
primal-dual interior point (Mehrotra 1992; monotone problems) and Newton on the active set from there. Systems that may
be singular are shifted by a small multiple of the identity and refined, as in ``settle``. Everything is judged by the
same relative residual as a single problem, so what does not converge is known by name. Arrays hold a row per column of
the problem and a column per scenario; scenarios that have settled drop out.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ..mcp import DECISION, MULTIPLIER, MixedComplementarity
from .elimination import Elimination, Factor
from .settle import SHIFT, balance

NUMBERS = 2_000_000
"""How many numbers of one kind are worked on at a time: few enough for fast memory, enough for long vectors."""

WORTH = 0.25
"""Share of the first scenarios that Newton from the common start must solve to be tried on the others."""

VAST = 1e3
"""Scaled multipliers (most are near one) beyond this are taken back where smaller ones do as well."""

SETTLED = 1e-13
"""Relative residual at which a scenario needs no further step."""

NOTHING = 1e-13
"""A scaled column (most are near one) that is closer to zero than this may be rounding of zero. In a row where every
term is such a number none of them is small in relation to the others, so the row would count as wrong."""

START, INTERIOR = 1, 2
"""How a scenario was solved: by Newton from the common start, or from its own interior point; 0: it was not."""


@dataclass
class Shape:
    """What all scenarios share: pattern, kinds of column, scaling, order of elimination.

    The scaled problem is in y = z / column with rows row * F; entries of M are multiplied by ``weight``.
    """

    mcp: MixedComplementarity
    rows: np.ndarray
    columns: np.ndarray
    row: np.ndarray
    column: np.ndarray
    weight: np.ndarray
    has_lower: np.ndarray
    has_upper: np.ndarray
    family: np.ndarray
    order: Elimination

    @classmethod
    def of(cls, mcp: MixedComplementarity) -> Shape:
        """From one of the problems."""
        pattern = mcp.matrix
        assert pattern is not None
        n = mcp.size
        rows = np.repeat(np.arange(n), np.diff(pattern.indptr))
        columns = pattern.indices
        row, column = _scaling(mcp)
        has_lower, has_upper = np.isfinite(mcp.lower), np.isfinite(mcp.upper)
        i = np.concatenate([rows, columns, np.arange(n)])
        j = np.concatenate([columns, rows, np.arange(n)])
        skew = sp.csr_array(pattern.multiply(pattern.T))
        opposite = np.asarray(skew[i, j]).ravel() < 0
        ready = has_lower | has_upper | (pattern.diagonal() > 0)
        order = Elimination(n, i, j, ready, opposite)
        return cls(
            mcp,
            rows,
            columns,
            row,
            column,
            row[rows] * column[columns],
            has_lower,
            has_upper,
            mcp.families(),
            order,
        )


def _scaling(mcp: MixedComplementarity) -> tuple[np.ndarray, np.ndarray]:
    """(factors of rows, of columns) that bring coefficients, quantities and prices near one."""
    assert mcp.matrix is not None and mcp.vector is not None
    factor = balance(mcp.matrix)
    decides = mcp.kind == DECISION
    limits = np.concatenate([mcp.lower[decides] / factor[decides], mcp.upper[decides] / factor[decides]])
    price = _size(factor[decides] * mcp.vector[decides])
    quantity = _size(factor[~decides] * mcp.vector[~decides]) or _size(limits) or price
    price = price or quantity or 1.0
    quantity = quantity or 1.0
    return factor / np.where(decides, price, quantity), factor * np.where(decides, quantity, price)


def _size(values: np.ndarray) -> float:
    values = np.abs(values[np.isfinite(values)])
    values = values[values > 0]
    return float(np.quantile(values, 0.9)) if values.size else 0.0


@dataclass
class Problems:
    """Some scenarios, in their own units: data (entries of M, scenarios or 1), q, lower, upper (n, scenarios).

    tangent: M z + q is the tangent of something curved, so that q is no term of it. terms (n, scenarios): size of what
    q was added up from; itself if not given.
    """

    shape: Shape
    data: np.ndarray
    q: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    tangent: bool = False
    terms: np.ndarray | None = None

    @property
    def count(self) -> int:
        """How many scenarios there are."""
        return self.q.shape[1]

    @property
    def shared(self) -> bool:
        """Whether all scenarios have the same M."""
        return self.data.shape[1] == 1

    def of(self, chosen: np.ndarray) -> Problems:
        """Some of the scenarios."""
        data = self.data if self.shared else self.data[:, chosen]
        terms = None if self.terms is None else self.terms[:, chosen]
        q, lower, upper = self.q[:, chosen], self.lower[:, chosen], self.upper[:, chosen]
        return replace(self, data=data, q=q, lower=lower, upper=upper, terms=terms)

    def times(self, z: np.ndarray, size: bool = False) -> np.ndarray:
        """M z, or |M| |z| if ``size``."""
        data = np.abs(self.data) if size else self.data
        z = np.abs(z) if size else z
        n = self.shape.mcp.size
        rows, columns = self.shape.rows, self.shape.columns
        if self.shared:
            return sp.csr_array((data[:, 0], (rows, columns)), shape=(n, n)) @ z
        adds = sp.csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(n, len(rows)))
        return adds @ (data * z[columns])

    def F(self, z: np.ndarray) -> np.ndarray:
        """The rows at z."""
        return self.times(z) + self.q

    def scales(self, z: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As ``MixedComplementarity.scales``, for all scenarios."""
        family = self.shape.family
        order = np.argsort(family, kind="stable")
        starts = np.flatnonzero(np.diff(family[order], prepend=-1))
        largest = np.maximum.reduceat(np.abs(z)[order], starts, axis=0) if len(order) else np.abs(z)
        column = largest[family]
        constant = np.abs(self.q) if self.terms is None else self.terms
        row = self.times(z, size=True) + np.abs(value) + (0.0 if self.tangent else constant)
        return np.where(column > 0, column, 1.0), np.where(row > 0, row, 1.0)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """The natural residual of every row, relative, as ``MixedComplementarity.residual``; infinite where z is not
        finite."""
        value = self.F(z)
        column, row = self.scales(z, value)
        moved = np.clip(z / column - value / row, self.lower / column, self.upper / column)
        found = np.abs(z / column - moved)
        return np.where(np.isnan(found), np.inf, found)

    def error(self, z: np.ndarray) -> np.ndarray:
        """The largest relative residual of every scenario."""
        return self.residual(z).max(axis=0, initial=0.0)

    def scaled(self) -> Problems:
        """The same in the scaled variables."""
        shape = self.shape
        column = shape.column[:, None]
        return replace(
            self,
            data=self.data * shape.weight[:, None],
            q=self.q * shape.row[:, None],
            lower=self.lower / column,
            upper=self.upper / column,
        )


def solve(problems: Problems, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z (n, scenarios), largest relative residual, START, INTERIOR or 0 for each scenario).

    start (n,): a point near the solutions of many of the scenarios.
    """
    width = max(8, NUMBERS // max(problems.shape.order.entries, 1))
    parts = [np.arange(k, min(k + width, problems.count)) for k in range(0, problems.count, width)]
    found = [_solve(problems.of(parts[0]), start)]
    near = bool(np.mean(found[0][2] == START) >= WORTH)
    with ThreadPoolExecutor(cores()) as pool:  # numpy works on long vectors without holding the interpreter
        found += pool.map(lambda part: _solve(problems.of(part), start if near else None), parts[1:])
    z, error, how = zip(*found, strict=True)
    return np.concatenate(z, axis=1), np.concatenate(error), np.concatenate(how)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _solve(problems: Problems, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.errstate(all="ignore"):  # what has no solution may go anywhere; it is found by its residual
        return solve_from(problems, None if start is None else np.repeat(start[:, None], problems.count, axis=1))


def solve_from(problems: Problems, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As ``solve``, every scenario from its own point, start (n, scenarios), or from an interior point at once."""
    n, count = problems.q.shape
    z, error, how = np.zeros((n, count)), np.full(count, np.inf), np.zeros(count, dtype=int)
    if start is not None:
        z, error = newton(problems, start / problems.shape.column[:, None], None)
        how = np.where(error <= 100 * SETTLED, START, 0)
    left = np.flatnonzero(how == 0)
    if left.size:
        some = problems.of(left)
        other, error_then = newton(some, *interior(some.scaled()))
        better = error_then < error[left]
        z[:, left[better]], error[left[better]] = other[:, better], error_then[better]
        how[left[better]] = INTERIOR
    _take_back(problems, z, error)
    return z, error, how


def _take_back(problems: Problems, z: np.ndarray, error: np.ndarray) -> None:
    """Replace vast multipliers, in place, where limits leave no room inside and others fit the same decisions: beside
    large terms nothing is accurate. The rows of the same active set are solved again from multipliers of zero."""
    multiplier = problems.shape.mcp.kind == MULTIPLIER
    column = problems.shape.column[:, None]
    size = np.abs((z / column)[multiplier]).max(axis=0, initial=0.0)
    vast = np.flatnonzero((size > VAST) & (error <= 100 * SETTLED))
    if not vast.size:
        return
    some, there = problems.of(vast), z[:, vast]
    free = np.isneginf(some.lower) & np.isposinf(some.upper)
    y = np.where(multiplier[:, None] & free, 0.0, there / column)
    kept = np.where(there <= some.lower, np.inf, np.where(there >= some.upper, -np.inf, 0.0))
    other, error_then = newton(some, y, kept, steps=3)
    smaller = np.abs((other / column)[multiplier]).max(axis=0, initial=0.0) < size[vast]
    better = smaller & (error_then <= 100 * SETTLED)
    z[:, vast[better]], error[vast[better]] = other[:, better], error_then[better]


def solve_inside(problems: Problems) -> np.ndarray:
    """Solutions that are at no bound at which not all solutions are, as far as an interior point finds them."""
    with np.errstate(all="ignore"):
        return solve_from(problems, None)[0]


def _entries(scaled: Problems, diagonal: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The entries of M + diagonal for ``Elimination``, rows and columns not kept replaced by the identity's."""
    shape = scaled.shape
    entries = np.zeros((shape.order.entries, keep.shape[1]))
    both = keep[shape.rows] & keep[shape.columns]
    entries[shape.order.given[: len(shape.rows)]] = np.where(both, scaled.data, 0.0)
    entries[shape.order.diagonal] += np.where(keep, diagonal, 1.0)
    return entries


# ---- Newton on the active set ---------------------------------------------------------------------------------------


def newton(
    problems: Problems, y: np.ndarray, slack: np.ndarray | None, steps: int = 14, patience: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """(best z met, its relative residual) from the scaled points y.

    slack: what stands for F in the first guess of who is at a bound (multipliers of an interior point); F itself if not
    given. A scenario is given up after ``patience`` steps that do not help.
    """
    best = back(problems, problems.scaled(), y)
    error = problems.error(best)
    stalled = np.zeros(problems.count, dtype=int)
    alive = np.flatnonzero(error > SETTLED)
    some = problems.of(alive)
    scaled, y = some.scaled(), y[:, alive]
    slack = None if slack is None else slack[:, alive]
    for _ in range(steps):
        if not alive.size:
            break
        y = step(scaled, y, slack)
        slack = None
        z, found = _tidy(some, back(some, scaled, y))
        stalled[alive] = np.where(found < 0.5 * error[alive], 0, stalled[alive] + 1)
        better = found < error[alive]
        best[:, alive[better]], error[alive[better]] = z[:, better], found[better]
        on = (error[alive] > SETTLED) & (stalled[alive] <= patience) & np.isfinite(found)
        if not on.all():
            alive, y = alive[on], y[:, on]
            some, scaled = some.of(on), scaled.of(on)
    return best, error


def back(problems: Problems, scaled: Problems, y: np.ndarray) -> np.ndarray:
    """z of scaled points, inside the box, and exactly at a bound where y is."""
    z = np.clip(y * problems.shape.column[:, None], problems.lower, problems.upper)
    return np.where(y <= scaled.lower, problems.lower, np.where(y >= scaled.upper, problems.upper, z))


def _tidy(problems: Problems, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(z, its relative residual), rounding of zero replaced by zero where that lowers the residual."""
    error = problems.error(z)
    off = np.flatnonzero(error > SETTLED)
    if off.size:
        some, there = problems.of(off), z[:, off]
        noise = np.abs(there) <= NOTHING * problems.shape.column[:, None]
        there = np.clip(np.where(noise, 0.0, there), some.lower, some.upper)
        other = some.error(there)
        better = other < error[off]
        z[:, off[better]], error[off[better]] = there[:, better], other[better]
    return z, error


def step(scaled: Problems, y: np.ndarray, slack: np.ndarray | None) -> np.ndarray:
    """Columns nearer to a bound than their row is to zero go there; the others solve their rows."""
    F = scaled.F(y) if slack is None else slack
    low = y - scaled.lower < F
    up = (scaled.upper - y < -F) & ~low
    low |= scaled.lower == scaled.upper
    moved = np.where(low, scaled.lower, np.where(up, scaled.upper, y))
    free = ~(low | up)
    factor = scaled.shape.order.factor(_entries(scaled, np.full((len(y), 1), SHIFT), free))
    return moved + _refined(scaled, factor, free, moved)


def _refined(scaled: Problems, factor: Factor, free: np.ndarray, moved: np.ndarray, rounds: int = 6) -> np.ndarray:
    """The move of the free columns that makes their rows zero: with the factors of a matrix near theirs, refined."""
    move = np.zeros_like(moved)
    right = np.where(free, -scaled.F(moved), 0.0)
    left, size = right, np.abs(right).max(axis=0, initial=0.0)
    target = 1e-15 * size
    for _ in range(rounds):
        trial = move + factor.solve(left)
        rest = np.where(free, right - scaled.times(trial), 0.0)
        size_then = np.abs(rest).max(axis=0, initial=0.0)
        better = size_then < size
        move, left = np.where(better, trial, move), np.where(better, rest, left)
        helped = better & (size_then < 0.3 * size) & (size_then > target)
        size = np.where(better, size_then, size)
        if not helped.any():
            break
    return move


# ---- primal-dual interior point -------------------------------------------------------------------------------------


@dataclass
class _Inside:
    """Points strictly inside: y, distances to the bounds a, b and their multipliers v, w (1 and 0 where no bound)."""

    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    v: np.ndarray
    w: np.ndarray

    def of(self, chosen: np.ndarray) -> _Inside:
        return _Inside(*(x[:, chosen] for x in (self.y, self.a, self.b, self.v, self.w)))


def interior(scaled: Problems, steps: int = 40, tolerance: float = 1e-7) -> tuple[np.ndarray, np.ndarray]:
    """(y, multipliers of the lower less those of the upper bounds) near solutions of monotone problems."""
    at = _inside(scaled)
    best_y, best_slack = at.y.copy(), at.v - at.w
    alive = np.arange(scaled.count)
    fixed = scaled.lower == scaled.upper
    for _ in range(steps):
        pairs = np.maximum(
            (scaled.shape.has_lower[:, None] & ~fixed).sum(0) + (scaled.shape.has_upper[:, None] & ~fixed).sum(0), 1
        )
        gap = ((at.a * at.v).sum(axis=0) + (at.b * at.w).sum(axis=0)) / pairs
        F = scaled.F(at.y)
        off = np.where(fixed, 0.0, F - at.v + at.w)
        best_y[:, alive], best_slack[:, alive] = at.y, np.where(fixed, F, at.v - at.w)
        unsettled = np.maximum(
            np.where(at.v > 0, np.minimum(at.a, at.v), 0.0), np.where(at.w > 0, np.minimum(at.b, at.w), 0.0)
        )
        error = np.maximum(np.abs(off), unsettled).max(axis=0, initial=0.0)
        on = (error > tolerance) & np.isfinite(error)
        if not on.any():
            break
        if not on.all():
            alive, at, scaled = alive[on], at.of(on), scaled.of(on)
            fixed, gap, F, off, pairs = fixed[:, on], gap[on], F[:, on], off[:, on], pairs[on]
        at = _advance(scaled, at, F, off, gap, pairs, fixed)
    return best_y, best_slack


def _inside(scaled: Problems) -> _Inside:
    has_lower, has_upper = scaled.shape.has_lower[:, None], scaled.shape.has_upper[:, None]
    room = scaled.upper - scaled.lower
    fixed = room == 0
    low = np.where(has_lower, scaled.lower, np.where(has_upper, scaled.upper - 2.0, -1.0))
    y = np.where(fixed, scaled.lower, low + np.minimum(1.0, np.where(has_lower & has_upper, 0.5 * room, 1.0)))
    a = np.where(has_lower & ~fixed, y - scaled.lower, 1.0)
    b = np.where(has_upper & ~fixed, scaled.upper - y, 1.0)
    v = np.where(has_lower & ~fixed, 1.0, 0.0)
    w = np.where(has_upper & ~fixed, 1.0 / np.maximum(b, 1.0), 0.0)
    return _Inside(y, a, b, v, w)


def _advance(
    scaled: Problems,
    at: _Inside,
    F: np.ndarray,
    off: np.ndarray,
    gap: np.ndarray,
    pairs: np.ndarray,
    fixed: np.ndarray,
) -> _Inside:
    """One predictor and corrector step."""
    y, a, b, v, w = at.y, at.a, at.b, at.v, at.w
    per_a, per_b = v / a, w / b
    factor = scaled.shape.order.factor(_entries(scaled, per_a + per_b + 0.01 * SHIFT, ~fixed))
    move = factor.solve(np.where(fixed, 0.0, -F))
    dv, dw = -v - per_a * move, -w + per_b * move
    length = _length(at, move, dv, dw)
    reached = (
        (a + length * move) * (v + length * dv) * (v > 0) + (b - length * move) * (w + length * dw) * (w > 0)
    ).sum(axis=0) / pairs
    centre = gap * np.clip(reached / np.maximum(gap, 1e-300), 0.0, 1.0) ** 3
    aim_v = np.where(v > 0, (centre - move * dv) / a - v, 0.0)
    aim_w = np.where(w > 0, (centre + move * dw) / b - w, 0.0)
    move = factor.solve(np.where(fixed, 0.0, -off + aim_v - aim_w))
    dv, dw = aim_v - per_a * move, aim_w + per_b * move
    length = np.minimum(1.0, 0.995 * _length(at, move, dv, dw, most=2.0))
    has_v, has_w = v > 0, w > 0
    return _Inside(
        y + length * move,
        np.where(has_v, a + length * move, 1.0),
        np.where(has_w, b - length * move, 1.0),
        v + length * dv,
        w + length * dw,
    )


def _length(at: _Inside, move: np.ndarray, dv: np.ndarray, dw: np.ndarray, most: float = 1.0) -> np.ndarray:
    """The largest step, at most ``most``, that keeps distances and multipliers from falling below zero."""
    found = np.full(move.shape[1], most)
    for size, change, has in ((at.a, move, at.v), (at.b, -move, at.w), (at.v, dv, at.v), (at.w, dw, at.w)):
        ratio = np.where((change < 0) & (has > 0), -size / change, most)
        found = np.minimum(found, ratio.min(axis=0, initial=most))
    return found
