"""All zeros of a function of one variable, as far as a bound on its slope allows it to be proved that they are all.

The function is the excess demand f(Y) = sum_j r_j(Y) - Y. Where f' < 0 is known there is at most one zero. Where only
f' <= kappa is known, a point with f(Y) = v < 0 rules out zeros up to Y - v/kappa, and one with v > 0 rules them out
from Y - v/kappa on: what is left shrinks to the zeros themselves. Without any bound a grid is used, which proves
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

Function = Callable[[float], tuple[float, float]]
"""Value and slope at a point."""

CLUSTER = 1e-7
"""Zeros nearer to each other than this part of the range count as one."""

GRID = 96
"""Points of a grid on one interval where no bound on the slope is known."""

NEAR = 1e-9
"""The last step of Newton's method towards a zero is at most this part of it; what is left is about its square."""

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
    at = 0.5 * (low + high) if start is None or not low < start < high else start
    above = below = False
    for _ in range(ITERATIONS):
        value, slope = f(at)
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


def all_zeros(f: Function, low: float, high: float, kappa: float | None, allowed: int) -> Zeros:
    """Zeros of f on (low, high). kappa: an upper bound of f' there, None if none is known. allowed: evaluations."""
    if kappa is not None and kappa <= 0:
        only = polish(f, low, high)
        return Zeros(() if only is None else (only,), True)
    if kappa is None:
        return Zeros(tuple(_on_a_grid(f, low, high)), False)
    found: list[float] = []
    try:
        _enclose(f, (low, f(low)[0]), (high, f(high)[0]), kappa, CLUSTER * (high - low), [allowed], found)
    except Exhausted:
        return Zeros(tuple(sorted(found)), False)
    return Zeros(tuple(sorted(found)), True)


End = tuple[float, float]


def _enclose(f: Function, low: End, high: End, kappa: float, least: float, left: list[int], found: list[float]) -> None:
    """Every zero between two points with known values, parts of at most ``least`` around a zero counting as one."""
    todo = [(low, high)]
    while todo:
        (a, fa), (b, fb) = todo.pop()
        if left[0] <= 0:
            raise Exhausted
        if fa * fb < 0:
            zero = _crossing(f, a, b, fa > 0)
            found.append(zero)
            before, after = zero - least, zero + least
            left[0] -= 12
            todo += [((a, fa), (before, f(before)[0]))] if before > a else []
            todo += [((after, f(after)[0]), (b, fb))] if after < b else []
            continue
        step = max(least, (-fa if fa < 0 else fb) / kappa)
        middle = a + step if fa < 0 else b - step
        if a < middle < b:
            left[0] -= 1
            value = f(middle)[0]
            todo += [((a, fa), (middle, value))] if fa < 0 < value else []
            todo += [((middle, value), (b, fb))] if fb > 0 > value else []
            todo.append(((middle, value), (b, fb)) if fa < 0 else ((a, fa), (middle, value)))


def _on_a_grid(f: Function, low: float, high: float) -> list[float]:
    """Zeros at changes of sign, and at extrema between grid points that reach across zero."""
    points = [low + (high - low) * k / GRID for k in range(GRID + 1)]
    values = [f(point) for point in points]
    ends = []
    for k in range(GRID):
        (fa, da), (fb, db) = values[k], values[k + 1]
        ends.append((points[k], fa))
        if fa * fb > 0 and fa * da < 0 < fb * db:
            ends.append(_extremum(f, points[k], points[k + 1], da))
    ends.append((points[-1], values[-1][0]))
    return [_crossing(f, a, b, fa > 0) for (a, fa), (b, fb) in pairwise(ends) if fa * fb < 0]


def _extremum(f: Function, a: float, b: float, slope: float) -> End:
    for _ in range(60):
        middle = 0.5 * (a + b)
        if (f(middle)[1] > 0) == (slope > 0):
            a = middle
        else:
            b = middle
    return 0.5 * (a + b), f(0.5 * (a + b))[0]


def _crossing(f: Function, low: float, high: float, falling: bool) -> float:
    """The zero between two points with different signs; where f rises, found on its mirror image."""
    if falling:
        found = polish(f, low, high)
        return high if found is None else found  # the sign changes nearer to an end than numbers can tell

    def mirrored(y: float) -> tuple[float, float]:
        value, slope = f(-y)
        return value, -slope

    found = polish(mirrored, -high, -low)
    return low if found is None else -found
