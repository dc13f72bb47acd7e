"""The paper's thresholds in closed form, and where they hold.

For a country without trade whose supply is one line P = a + b X over everything between consumption before and at the
threshold, with demand response placed on demand:

    SW1 = D (Pbar - a) - b D^2/2          Q_SW = 2 SW1/(c - a)        gamma_SW = (c - a)^2/(2 SW1) - b - d
    CS1 = D (Pbar - a - b D)              Q_CS = sqrt(2 CS1/d)        gamma_CS = (c - a) sqrt(d/(2 CS1)) - b - d

A merit order is such a line between its corners: a and b are those of the plants at the margin, after the full ones.
What the full plants really cost cancels in the change of welfare. Source: C. Clastres and H. Khalfallah (2014),
equations 16 and 22 and footnotes 18 and 31; both are right under these assumptions alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Plant = tuple[float, float, float]  # intercept EUR/MWh, slope EUR/MWh/MW, capacity MW


@dataclass(frozen=True)
class Line:
    """Supply P = intercept + slope X for X between low and high (MW)."""

    intercept: float
    slope: float
    low: float
    high: float


@dataclass(frozen=True)
class Country:
    """What the formulas use: D, Pbar, c, d and the line of supply at D."""

    quantity: float
    value: float
    choke: float
    fall: float
    supply: Line


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


def welfare(country: Country) -> Closed:
    """Threshold of welfare."""
    s, D = country.supply, country.quantity
    before = D * (country.value - s.intercept) - s.slope * D**2 / 2
    margin = country.choke - s.intercept
    if before <= 0:
        return Closed(math.nan, math.nan, f"welfare before is not positive ({before:.6g}): every intensity keeps it")
    if margin <= 0:
        return Closed(math.nan, math.nan, "nobody would pay the cost of the first MW: no consumption after")
    return _on_line(country, 2 * before / margin, margin**2 / (2 * before) - s.slope - country.fall)


def consumers(country: Country) -> Closed:
    """Threshold of consumer surplus."""
    s, D, d = country.supply, country.quantity, country.fall
    before = D * (country.value - s.intercept - s.slope * D)
    margin = country.choke - s.intercept
    if before <= 0:
        return Closed(math.nan, math.nan, f"surplus before is not positive ({before:.6g}): every intensity keeps it")
    if margin <= 0:
        return Closed(math.nan, math.nan, "nobody would pay the cost of the first MW: no consumption after")
    return _on_line(country, math.sqrt(2 * before / d), margin * math.sqrt(d / (2 * before)) - s.slope - d)


def _on_line(country: Country, quantity: float, intensity: float) -> Closed:
    s = country.supply
    if s.low * (1 - 1e-12) <= quantity <= s.high * (1 + 1e-12):
        return Closed(quantity, intensity)
    span = f"{s.low:.6g} to {s.high:.6g} MW" if math.isfinite(s.high) else f"above {s.low:.6g} MW"
    reason = f"the formula's least consumption, {quantity:.6g} MW, is not on the line of supply before ({span})"
    return Closed(math.nan, math.nan, reason)


def elasticity(choke: float, fall: float, quantity: float) -> float:
    """Elasticity of demand at a point of its line (negative)."""
    return 1 - choke / (fall * quantity)
