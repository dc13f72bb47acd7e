"""The value of a parameter at which something measured at equilibria crosses zero.

The measure is asked at the low end first. It is expected to fall through zero once between the ends: "from which
intensity on does it no longer pay". Where it does not, the answer is a word, not a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq, elementwise

from .scenarios import Scenarios

NONE, UNBOUNDED, FOUND = "none", "unbounded", "found"


@dataclass(frozen=True)
class Threshold:
    """``answer``: found (then ``value`` is the crossing), none (negative at the low end already), unbounded (not
    negative up to ``high``, the largest value that was tried). ``evaluations``: equilibria solved."""

    answer: str
    value: float
    high: float
    evaluations: int

    def __str__(self) -> str:
        return f"{self.value:.10g}" if self.answer == FOUND else self.answer


def threshold(
    surplus: Callable[[float], float],
    low: float,
    step: float,
    high: float = math.inf,
    xtol: float = 1e-12,
    growth: float = 2.0,
) -> Threshold:
    """The largest parameter up to which ``surplus`` is not negative, by growing steps and Brent's method.

    surplus: a continuous measure at the certified equilibrium of a parameter value; it raises where there is none. low:
    where the parameter begins. step: the first step upwards, times ``growth`` after each until the sign changes or
    ``high`` is reached (with no ``high``: 60 steps). xtol: absolute, on the parameter.

    A measure that comes back to zero within one step is not seen; a smaller step sees it.
    """
    asked: dict[float, float] = {}

    def measure(value: float) -> float:
        if value not in asked:
            asked[value] = float(surplus(value))
        return asked[value]

    if measure(low) < 0:
        return Threshold(NONE, math.nan, low, len(asked))
    inside, k = low, 0
    while inside < high and (k < 60 or math.isfinite(high)):
        outside = min(inside + step * growth**k, high)
        k += 1
        if measure(outside) < 0:
            value = float(brentq(measure, inside, outside, xtol=xtol, rtol=1e-14))
            return Threshold(FOUND, value, outside, len(asked))
        inside = outside
    return Threshold(UNBOUNDED, math.inf, inside, len(asked))


def root(excess: Callable[[Any], Any], low: float, high: float, xtol: float = 1e-10, rtol: float = 1e-12) -> Any:
    """Where ``excess``, of different signs at the two ends, is zero: Brent's method; where it has one number per
    scenario (``scenarios``), Chandrupatla's, all at once. Raises ValueError where the signs are the same."""
    ends = {low: excess(low), high: excess(high)}
    first = ends[low]
    if not isinstance(first, Scenarios):
        return float(brentq(lambda at: ends[at] if at in ends else excess(at), low, high, xtol=xtol, rtol=rtol))
    tape, count = first.tape, len(first.values)

    def values(at: np.ndarray, which: np.ndarray) -> np.ndarray:
        which = which.astype(int)
        everywhere = np.full(count, low)
        everywhere[which] = at
        return np.asarray(excess(Scenarios(everywhere, tape)).values[which])

    ends_at = np.full(count, low), np.full(count, high)
    tolerances = {"xatol": xtol, "xrtol": rtol, "fatol": 0.0, "frtol": 0.0}
    found = elementwise.find_root(values, ends_at, args=(np.arange(count),), tolerances=tolerances)
    tape.astray |= ~found.success
    return Scenarios(found.x, tape)
