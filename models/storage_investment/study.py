"""The critical numbers of firms from equilibria, at any real number of firms, beside their formulas.

N-bar: the merchant's size overtakes the welfare owner's. N-tilde: welfare with the merchant falls below that without.
N-zero: the spread without storage is gone, nothing is built. K-hat: the planner's spread without storage opens. Each is
the root of what certified equilibria of ``symmetric`` give; where K > 0 there may be several crossings, or none, and
all that the numbers of firms looked at show are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.errors import Refused
from equilibrium.threshold import FOUND, threshold

from . import symmetric, theory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST, MOST = 0.1, 100.0
"""Numbers of firms between which crossings are looked for (below one they are formal: N-bar may lie there)."""

NEAR = 0.995
"""Crossings are looked for up to this part of N-zero: nearer, sizes vanish in what money can be measured to."""

RATIO = 1.2
"""Each number of firms looked at, over the one before."""

MEANINGS = {
    "N-bar": "a merchant builds less than a welfare owner below it, more above it",
    "N-tilde": "a merchant raises welfare below it, lowers it above",
    "N-zero": "a merchant builds nothing from here on",
    "K-hat": "a planner builds above this cost slope [EUR/MWh/GWh]",
}


@dataclass
class Points:
    """Equilibria at real numbers of firms, each solved once and certified."""

    setting: theory.Setting
    known: dict[tuple[str, float], tuple[float, float, str]] = field(default_factory=dict)

    def at(self, who: str, number: float) -> tuple[float, float, str]:
        """(size, welfare, verdict) with a ``merchant``, a ``welfare_owner`` or ``no_storage``; of no_storage the first
        is the spread p2 - F p1. Raises Refused where the equilibrium is not certified."""
        key = (who, float(number))
        if key not in self.known:
            model = getattr(symmetric, who)(self.setting, number)
            found = solve(model).certificate
            if found.verdict != "certified":
                raise Refused(f"{who} with {number:g} firms is {found.verdict}: {found.scope}")
            spread = pyo.value(model.price[2]) - self.setting.F * pyo.value(model.price[1])
            size = spread if who == "no_storage" else max(0.0, float(model.storage.size.value))
            self.known[key] = (size, pyo.value(model.welfare), found.verdict)
        return self.known[key]

    def excess(self, number: float) -> float:
        """The welfare owner's size less the merchant's."""
        return self.at("welfare_owner", number)[0] - self.at("merchant", number)[0]

    def gain(self, number: float) -> float:
        """What a merchant adds to welfare, per unit of its size: so it stays away from zero as the size vanishes."""
        size, welfare, _ = self.at("merchant", number)
        return (welfare - self.at("no_storage", number)[1]) / size if size > 0 else 0.0

    def spread(self, number: float) -> float:
        """p2 - F p1 without storage."""
        return self.at("no_storage", number)[0]


def critical_numbers(
    data: Any, alternatives: Sequence[Any], progress: Callable[[str], None]
) -> Mapping[str, pd.DataFrame]:
    """Tables ``critical`` (numbers from equilibria beside formulas) and ``sizes`` (what is built at each N).

    Raises Refused where the case is not one of two periods and identical firms without capacity limits.
    """
    s = theory.setting(data)
    if isinstance(s, str):
        raise Refused(f"critical numbers of firms need the source's two-period model; here that is {s}")
    points = Points(s)
    progress("number of firms from which nothing is built")
    zero = threshold(points.spread, LEAST, 1.0, 1e6)
    last = zero.value if zero.answer == FOUND else inf
    end = min(NEAR * last, MOST)
    grid = [float(n) for n in np.geomspace(LEAST, end, 2 + int(np.log(end / LEAST) / np.log(RATIO)))]
    rows = []
    for name, measure, formula in (("N-bar", points.excess, s.n_bar), ("N-tilde", points.gain, s.n_tilde)):
        progress(name)
        rows += _crossings(name, measure, grid, formula() if s.K == 0 else nan)
    word = "falls" if zero.answer == FOUND else "never: something is built whatever the number of firms"
    value = zero.value if zero.answer == FOUND else inf
    rows += [_row("N-zero", value, s.n_zero() if s.K == 0 else nan, word), _k_hat(s, progress)]
    progress("sizes")
    return {"critical": pd.DataFrame(rows), "sizes": sizes(points, grid, s)}


def _crossings(name: str, measure: Callable[[float], float], grid: Sequence[float], formula: float) -> list[dict]:
    """A row for every change of sign on the grid, refined by Brent's method; one that says so where there is none."""
    rows = []
    for a, b in pairwise(grid):
        low, up = measure(a), measure(b)
        if low * up < 0:
            root = float(brentq(measure, a, b, xtol=1e-12, rtol=1e-14))
            rows.append(_row(name, root, formula, "falls" if low > 0 else "rises"))
    if not rows:
        side = "positive" if measure(grid[-1]) > 0 else "negative"
        rows.append(_row(name, nan, formula, f"no crossing from N = {grid[0]:g} to {grid[-1]:g}: {side} throughout"))
    return rows


def _row(name: str, value: float, formula: float, crossing: str) -> dict[str, Any]:
    known = isfinite(value) and isfinite(formula)
    return {
        "number": name,
        "equilibrium": value,
        "formula": formula,
        "difference": value - formula if known else (0.0 if value == formula else nan),
        "crossing": crossing,
        "meaning": MEANINGS[name],
        "verdict": "certified",
    }


def _k_hat(s: theory.Setting, progress: Callable[[str], None]) -> dict[str, Any]:
    """The cost slope at which the planner's spread without storage opens."""
    progress("K-hat")
    if s.lost <= 0:
        return _row("K-hat", nan, nan, "nothing is lost in storing: a planner builds at any K above zero")

    def closed(slope: float) -> float:
        model = symmetric.planned(replace(s, K=slope))
        found = solve(model).certificate
        if not found.ok:
            raise Refused(f"the planner with K = {slope:g} is {found.verdict}: {found.scope}")
        return s.F * pyo.value(model.price[1]) - pyo.value(model.price[2])

    found = threshold(closed, 0.0, 0.1 * min(s.Z1, s.Z2), 1e6 * max(s.Z1, s.Z2))
    if found.answer == FOUND:
        return _row("K-hat", found.value, s.k_hat(), "falls")
    return _row("K-hat", nan, s.k_hat(), f"a planner builds at no K up to {found.high:g}")


def sizes(points: Points, grid: Sequence[float], s: theory.Setting) -> pd.DataFrame:
    """One row a number of firms: what merchant and welfare owner build, what the merchant does to welfare."""
    rows = []
    for number in sorted({*(n for n in grid if n >= 1), float(s.N)}):
        merchant, with_merchant, verdict = points.at("merchant", number)
        owner, with_owner, other = points.at("welfare_owner", number)
        alone = points.at("no_storage", number)[1]
        rows.append(
            {
                "firms": number,
                "merchant [GW]": merchant,
                "welfare owner [GW]": owner,
                "merchant's welfare change [kEUR]": with_merchant - alone,
                "welfare owner's welfare change [kEUR]": with_owner - alone,
                "merchant": invests(merchant, owner),
                "verdict": verdict if verdict == other else f"{verdict}; {other}",
            }
        )
    return pd.DataFrame(rows)


def invests(size: float, target: float) -> str:
    """Over- or under-invested against the welfare owner's size."""
    if abs(size - target) <= 1e-7 * max(size, target):
        return "the same"
    return "over-invested" if size > target else "under-invested"


def draw(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, Figure]:
    """``firms``: what is built and what it does to welfare over the number of firms, with the critical numbers."""
    from . import figures

    return {"firms": figures.firms(tables["sizes"], tables["critical"])}
