"""All zeros of a function of one variable, as far as a bound on its slope allows it to be proved that they are all.

The function is the excess demand f(Y) = sum_j r_j(Y) - Y. Where f' < 0 is known there is at most one zero. Where only
f' <= kappa is known, a point with f(Y) = v < 0 rules out zeros up to Y - v/kappa, and one with v > 0 rules them out
from Y - v/kappa on: what is left shrinks to the zeros themselves. Without any bound a grid is used, which proves
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

Function = Callable[[float], tuple[float, float]]
"""Value and slope at a point."""

CLUSTER = 1e-7
"""Zeros nearer to each other than this part of the range count as one."""

GRID = 96
"""Points of a grid on one interval where no bound on the slope is known."""

NEAR = 1e-9
"""The last step of Newton's method towards a zero is at most this part of it; what is left is about its square."""

APPROACH, NEARBY = 8, 1e-3
"""Steps, and the last step relative to the point, of an approach to a zero from values that need not be exact."""

ITERATIONS = 200
"""Steps towards one zero; some ten are needed."""


@dataclass(frozen=True)
class Zeros:
    """The zeros found, in ascending order, and whether it was proved that there are no others."""

    found: tuple[float, ...]
    complete: bool


class Exhausted(Exception):
    """The evaluations that were allowed are used up."""


def polish(f: Function, low: float, high: float, start: float | None = None) -> float | None:
    """The zero between ``low`` and ``high``, where f falls from above to below zero: Newton's method in the bracket.

    The ends are not evaluated. None where f turns out to keep one sign.
    """
    return follow(_polish(low, high, start), f)


def approach(f: Function, low: float, high: float, start: float) -> float:
    """A point near the zero where f falls from above to below zero, by Newton's method without safeguards: ``start``,
    or the last point between ``low`` and ``high`` if it leads astray."""
    at = start
    for _ in range(APPROACH):
        value, slope = f(at)
        ahead = at - value / slope if slope < 0 else math.nan
        if not low < ahead < high:
            return at
        away, at = abs(ahead - at), ahead
        if away <= NEARBY * at:
            break
    return at


def all_zeros(f: Function, low: float, high: float, kappa: float | None, allowed: int) -> Zeros:
    """Zeros of f on (low, high). kappa: an upper bound of f' there, None if none is known. allowed: evaluations."""
    return follow(searching(low, high, kappa, allowed), f)


# ---- searches that ask for one value after the other ----------------------------------------------------------------

T = TypeVar("T")
Search = Generator[float, tuple[float, float], T]
"""A search that yields the points at which it wants value and slope, and returns what it found."""


def follow(search: Search[T], f: Function) -> T:
    """What a search finds in ``f``."""
    try:
        at = next(search)
        while True:
            at = search.send(f(at))
    except StopIteration as end:
        found: T = end.value
        return found


def searching(low: float, high: float, kappa: float | None, allowed: int) -> Search[Zeros]:
    """As ``all_zeros``."""
    if kappa is not None and kappa <= 0:
        only = yield from _polish(low, high, None)
        return Zeros(() if only is None else (only,), True)
    if kappa is None:
        return Zeros(tuple((yield from _on_a_grid(low, high))), False)
    found: list[float] = []
    try:
        ends = [(low, (yield low)[0]), (high, (yield high)[0])]
        yield from _enclose(ends[0], ends[1], kappa, CLUSTER * (high - low), [allowed], found)
    except Exhausted:
        return Zeros(tuple(sorted(found)), False)
    return Zeros(tuple(sorted(found)), True)


def part_by_part(parts: Sequence[tuple[float, float]], kappa: float | None, allowed: int) -> Search[Zeros]:
    """``searching`` on one interval after the other."""
    found: list[float] = []
    complete = True
    for low, high in parts:
        part = yield from searching(low, high, kappa, allowed)
        found += part.found
        complete = complete and part.complete
    return Zeros(tuple(found), complete)


def _polish(low: float, high: float, start: float | None) -> Search[float | None]:
    at = 0.5 * (low + high) if start is None or not low < start < high else start
    above = below = False
    for _ in range(ITERATIONS):
        value, slope = yield at
        if value == 0:
            return at
        above, below = above or value > 0, below or value < 0
        low, high = (at, high) if value > 0 else (low, at)
        ahead = at - value / slope if slope < 0 else math.nan
        if low <= ahead <= high and abs(ahead - at) <= NEAR * abs(at):
            return ahead
        if high - low <= 4e-16 * abs(high):
            return at if above and below else None
        at = ahead if low < ahead < high else 0.5 * (low + high)
    return at if above and below else None


End = tuple[float, float]


def _enclose(low: End, high: End, kappa: float, least: float, left: list[int], found: list[float]) -> Search[None]:
    """Every zero between two points with known values, parts of at most ``least`` around a zero counting as one."""
    todo = [(low, high)]
    while todo:
        (a, fa), (b, fb) = todo.pop()
        if left[0] <= 0 or math.isnan(fa + fb):
            raise Exhausted
        if fa * fb < 0:
            zero = yield from _crossing(a, b, fa > 0)
            found.append(zero)
            before, after = zero - least, zero + least
            left[0] -= 12
            todo += [((a, fa), (before, (yield before)[0]))] if before > a else []
            todo += [((after, (yield after)[0]), (b, fb))] if after < b else []
            continue
        step = max(least, (-fa if fa < 0 else fb) / kappa)
        middle = a + step if fa < 0 else b - step
        if a < middle < b:
            left[0] -= 1
            value = (yield middle)[0]
            todo += [((a, fa), (middle, value))] if fa < 0 < value else []
            todo += [((middle, value), (b, fb))] if fb > 0 > value else []
            todo.append(((middle, value), (b, fb)) if fa < 0 else ((a, fa), (middle, value)))


def _on_a_grid(low: float, high: float) -> Search[list[float]]:
    """Zeros at changes of sign, and at extrema between grid points that reach across zero."""
    points = [low + (high - low) * k / GRID for k in range(GRID + 1)]
    values = []
    for point in points:
        values.append((yield point))
    ends = []
    for k in range(GRID):
        (fa, da), (fb, db) = values[k], values[k + 1]
        ends.append((points[k], fa))
        if fa * fb > 0 and fa * da < 0 < fb * db:
            ends.append((yield from _extremum(points[k], points[k + 1], da)))
    ends.append((points[-1], values[-1][0]))
    found = []
    for (a, fa), (b, fb) in pairwise(ends):
        if fa * fb < 0:
            found.append((yield from _crossing(a, b, fa > 0)))
    return found


def _extremum(a: float, b: float, slope: float) -> Search[End]:
    for _ in range(60):
        middle = 0.5 * (a + b)
        if ((yield middle)[1] > 0) == (slope > 0):
            a = middle
        else:
            b = middle
    middle = 0.5 * (a + b)
    return middle, (yield middle)[0]


def _crossing(low: float, high: float, falling: bool) -> Search[float]:
    """The zero between two points with different signs; where f rises, found on its mirror image."""
    if falling:
        found = yield from _polish(low, high, None)
        return high if found is None else found  # the sign changes nearer to an end than numbers can tell
    found = yield from _mirrored(_polish(-high, -low, None))
    return low if found is None else -found


def _mirrored(search: Search[T]) -> Search[T]:
    """A search of the mirror image."""
    try:
        at = next(search)
        while True:
            value, slope = yield -at
            at = search.send((value, -slope))
    except StopIteration as end:
        found: T = end.value
        return found


# ---- many functions at once -----------------------------------------------------------------------------------------


def polish_each(f: Any, low: np.ndarray, high: np.ndarray, start: np.ndarray, known: np.ndarray) -> np.ndarray:
    """As ``polish``, for many functions side by side: arrays (..., scenarios); NaN where there is nothing to be found.

    f: gives values and slopes at an array of points, and ``f.only(scenarios)`` the same for some scenarios. known:
    functions that are not to be asked.
    """
    roots, scenarios = np.full(high.shape, np.nan), np.arange(high.shape[-1])
    low, high = np.where(known, 0.0, low), np.where(known, 0.0, high)
    at = np.where((low < start) & (start < high), start, 0.5 * (low + high))
    above, below, done = np.zeros_like(known), np.zeros_like(known), known
    for _ in range(ITERATIONS):
        left = np.flatnonzero(~done.reshape(-1, len(scenarios)).all(axis=0))
        if not left.size:
            break
        if 2 * left.size <= len(scenarios):
            f, scenarios = f.only(left), scenarios[left]
            low, high, at, above, below, done = (one[..., left] for one in (low, high, at, above, below, done))
        value, slope = f(at)
        above, below = above | (value > 0), below | (value < 0)
        low, high = np.where(value > 0, at, low), np.where(value > 0, high, at)
        with np.errstate(all="ignore"):
            ahead = np.where(slope < 0, at - value / slope, np.nan)
        near = (low <= ahead) & (ahead <= high) & (np.abs(ahead - at) <= NEAR * np.abs(at))
        shut = high - low <= 4e-16 * np.abs(high)
        now = ~done & ((value == 0) | near | shut)
        zero = np.where(value == 0, at, np.where(near, ahead, np.where(above & below, at, np.nan)))
        roots[..., scenarios] = np.where(now, zero, roots[..., scenarios])
        done = done | now
        inside = (low < ahead) & (ahead < high)
        at = np.where(done, at, np.where(inside, ahead, 0.5 * (low + high)))
    return roots


def follow_each(searches: list[Search[T]], f: Any) -> list[T]:
    """As ``follow``, one search in each scenario of ``f``, which is as for ``polish_each``."""
    found: dict[int, T] = {}
    points = {k: next(search) for k, search in enumerate(searches)}
    active = scenarios = list(points)
    while active:
        if 2 * len(active) <= len(scenarios):
            f, scenarios = f.only(np.searchsorted(scenarios, active)), active
        values, slopes = (one.tolist() for one in f(np.array([points[k] for k in scenarios])))
        told = dict(zip(scenarios, zip(values, slopes, strict=True), strict=True))
        still = []
        for k in active:
            try:
                points[k] = searches[k].send(told[k])
                still.append(k)
            except StopIteration as end:
                found[k] = end.value
        active = still
    return [found[k] for k in range(len(searches))]
