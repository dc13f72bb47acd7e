"""Where the paper's thresholds in closed form hold: on one line of supply.

The formulas (module ``isolated``) need supply P = a + b X over everything between consumption before and at the
threshold. A merit order is such a line between its corners: a and b are those of the plants at the margin, after the
full ones. What the full plants really cost cancels in the change of welfare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .isolated import Isolated

ROUNDING = 1e-12  # relative
Plant = tuple[float, float, float]  # intercept EUR/MWh, slope EUR/MWh/MW, capacity MW


@dataclass(frozen=True)
class Line:
    """Supply P = intercept + slope X for X between low and high (MW)."""

    intercept: float
    slope: float
    low: float
    high: float


@dataclass(frozen=True)
class Closed:
    """Thresholds in closed form: least consumption (MW) and largest intensity (negative: none); why not, if not."""

    quantity: float
    intensity: float
    reason: str = ""


def output(plants: Sequence[Plant], price: float, strictly: bool = False) -> float:
    """MW that price takers produce at a price; plants of constant cost at just that price in full, unless strictly."""
    total = 0.0
    for a, b, K in plants:
        if b > 0:
            total += min(max((price - a) / b, 0.0), K)
        elif a < price or (a == price and not strictly):
            total += K
    return total


def line_at(plants: Sequence[Plant], quantity: float) -> Line | None:
    """The line of the merit order that contains a quantity (of two, the left one); None beyond all capacity."""
    corners = sorted({a for a, _, _ in plants} | {a + b * K for a, b, K in plants if math.isfinite(K)})
    points = [(output(plants, p, strictly), p) for p in corners for strictly in (True, False)]
    for (low, p), (high, q) in pairwise(points):
        if low <= quantity <= high and high > low and math.isfinite(high):
            slope = (q - p) / (high - low)
            return Line(p - slope * low, slope, low, high)
    low, p = points[-1]
    if not math.isfinite(low):  # a plant of constant cost without a limit
        return Line(p, 0.0, points[-2][0], math.inf)
    rest = [1 / b for _, b, K in plants if b > 0 and math.isinf(K)]
    if not rest or quantity < low:
        return None
    return Line(p - low / sum(rest), 1 / sum(rest), low, math.inf)


def closed(country: Isolated, supply: Line, criterion: str) -> Closed:
    """The threshold of a criterion (``WELFARE`` or ``CONSUMERS`` of module ``isolated``) where it has a closed form."""
    if reason := country.why_not(criterion):
        return Closed(math.nan, math.nan, reason)
    quantity = country.least(criterion)
    if supply.low * (1 - ROUNDING) <= quantity <= supply.high * (1 + ROUNDING):
        return Closed(quantity, country.largest(criterion))
    span = f"{supply.low:.6g} to {supply.high:.6g} MW" if math.isfinite(supply.high) else f"above {supply.low:.6g} MW"
    reason = f"the formula's least consumption, {quantity:.6g} MW, is not on the line of supply before ({span})"
    return Closed(math.nan, math.nan, reason)
