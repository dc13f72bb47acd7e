"""Interval arithmetic on arrays: what contains an operation's values over many boxes at once.

An interval is a pair (low, up) of arrays, one number per box. Where nothing is known it is (-inf, inf).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

Interval: TypeAlias = tuple[np.ndarray, np.ndarray]


def add(a: Interval, b: Interval) -> Interval:
    """a + b."""
    return a[0] + b[0], a[1] + b[1]


def negative(a: Interval) -> Interval:
    """-a."""
    return -a[1], -a[0]


def times(a: Interval, b: Interval) -> Interval:
    """a b; zero times infinity is zero, since what is enclosed is finite."""
    corners = np.array(np.broadcast_arrays(a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]))
    corners[np.isnan(corners)] = 0.0
    return corners.min(axis=0), corners.max(axis=0)


def divide(a: Interval, b: Interval) -> Interval:
    """a / b; unknown where b contains zero."""
    away = (b[0] > 0) | (b[1] < 0)
    low, up = times(a, (1 / np.where(away, b[1], 1.0), 1 / np.where(away, b[0], 1.0)))
    return np.where(away, low, -np.inf), np.where(away, up, np.inf)


def power(a: Interval, p: Interval) -> Interval:
    """a ** p for a known p: increasing or decreasing in a >= 0, and whole powers of any a; else unknown."""
    (low, up), exponent = a, np.asarray(p[0], dtype=float)
    first, last = np.abs(low) ** exponent, np.abs(up) ** exponent
    whole = exponent == np.round(exponent)
    even = whole & (exponent % 2 == 0) & (exponent >= 0)
    odd = whole & (exponent % 2 == 1) & (exponent >= 0)
    inside = (low < 0) & (up > 0)
    right = low >= 0
    found_low = np.select([right & (exponent >= 0), right, even, odd], [
        first, last, np.where(inside, 0.0, np.minimum(first, last)), np.sign(low) * first,
    ], -np.inf)  # fmt: skip
    found_up = np.select([right & (exponent >= 0), right, even, odd], [
        last, first, np.maximum(first, last), np.sign(up) * last,
    ], np.inf)  # fmt: skip
    known = p[0] == p[1]
    return np.where(known, found_low, -np.inf), np.where(known, found_up, np.inf)


def absolute(a: Interval) -> Interval:
    """|a|."""
    low, up = a
    inside = (low < 0) & (up > 0)
    return np.where(inside, 0.0, np.minimum(np.abs(low), np.abs(up))), np.maximum(np.abs(low), np.abs(up))


def increasing(function: Callable[[np.ndarray], np.ndarray], domain: float = -np.inf) -> Callable[[Interval], Interval]:
    """An increasing function, which has no value below ``domain``."""

    def enclosed(a: Interval) -> Interval:
        return np.where(a[0] >= domain, function(a[0]), -np.inf), np.where(a[1] >= domain, function(a[1]), np.inf)

    return enclosed


def unknown(a: Interval) -> Interval:
    """Of a function about which nothing is known."""
    return np.full_like(a[0], -np.inf), np.full_like(a[1], np.inf)


def _swings(a: Interval) -> Interval:
    return np.full_like(a[0], -1.0), np.ones_like(a[1])


OPERATIONS: Mapping[str, Callable[..., Interval]] = {
    "+": add,
    "-": negative,
    "*": times,
    "/": divide,
    "**": power,
    "abs": absolute,
    "exp": increasing(np.exp),
    "log": increasing(np.log, 0.0),
    "log10": increasing(np.log10, 0.0),
    "sqrt": increasing(np.sqrt, 0.0),
    "atan": increasing(np.arctan),
    "sin": _swings,
    "cos": _swings,
}
"""By the names that ``compiled`` gives them."""
