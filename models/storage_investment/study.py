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
from math import inf, isfinite, isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.certificate import CERTIFIED, UNCERTIFIED
from equilibrium.errors import EquilibriumError, Refused
from equilibrium.threshold import FOUND, NONE, threshold

from . import symmetric, theory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST, MOST = 0.1, 100.0
"""Numbers of firms between which crossings are looked for (below one they are formal: N-bar may lie there)."""

NEAR = 0.995
"""Crossings are looked for up to this part of N-zero: nearer, sizes vanish in what money can be measured to."""

RATIO = 1.2
"""Each number of firms looked at, over the one before."""

WHOLE = 12
"""Up to here sizes are tabled for every whole number of firms."""

CLOSE = 1e-4
"""Relative width around a formula within which a run of the case looks for the crossing."""

MEANINGS = {
    "N-bar": "a merchant builds less than a welfare owner below it, more above it",
    "N-tilde": "a merchant raises welfare below it, lowers it above",
    "N-zero": "a merchant builds nothing from here on",
    "K-hat": "a planner builds above this rise of the industry's marginal cost",
}


@dataclass(frozen=True)
class Point:
    """An equilibrium: size (of no_storage the spread p2 - F p1), welfare, verdict; NaN and the reason where it is not
    certified."""

    size: float
    welfare: float
    verdict: str
    reason: str = ""


@dataclass
class Points:
    """Equilibria at real numbers of firms, each solved once and certified."""

    setting: theory.Setting
    known: dict[tuple[str, float], Point] = field(default_factory=dict)

    def at(self, who: str, number: float) -> Point:
        """The equilibrium with a ``merchant``, a ``welfare_owner`` or ``no_storage``."""
        key = (who, float(number))
        if key not in self.known:
            self.known[key] = self._solved(who, number)
        return self.known[key]

    def _solved(self, who: str, number: float) -> Point:
        try:
            model = getattr(symmetric, who)(self.setting, number)
            found = solve(model).certificate
        except EquilibriumError as error:
            return Point(nan, nan, UNCERTIFIED, str(error))
        if found.verdict != CERTIFIED:
            return Point(nan, nan, found.verdict, found.scope)
        spread = pyo.value(model.price[2]) - self.setting.F * pyo.value(model.price[1])
        size = spread if who == "no_storage" else max(0.0, float(model.storage.size.value))
        return Point(size, pyo.value(model.welfare), CERTIFIED)

    def excess(self, number: float) -> float:
        """The welfare owner's size less the merchant's."""
        return self.at("welfare_owner", number).size - self.at("merchant", number).size

    def gain(self, number: float) -> float:
        """What a merchant adds to welfare, per unit of its size: so it stays away from zero as the size vanishes."""
        with_storage = self.at("merchant", number)
        change = with_storage.welfare - self.at("no_storage", number).welfare
        return change if isnan(change) else change / with_storage.size if with_storage.size > 0 else 0.0

    def spread(self, number: float) -> float:
        """p2 - F p1 without storage."""
        return self.at("no_storage", number).size


def critical_numbers(
    data: Any, alternatives: Sequence[Any], progress: Callable[[str], None]
) -> Mapping[str, pd.DataFrame]:
    """Tables ``critical`` (numbers from equilibria beside formulas) and ``sizes`` (what is built at each N).

    Raises Refused where the case is not one of two periods and identical firms without capacity limits.
    """
    s = theory.setting(data)
    if isinstance(s, str):
        raise Refused(f"critical numbers of firms need the source's two-period model; here that is {s}")
    points, formulas = Points(s), theory.critical(s)
    progress("number of firms from which nothing is built")
    zero = _n_zero(points)
    end = min(NEAR * zero["equilibrium"], MOST) if zero["equilibrium"] > 0 else MOST
    grid = [float(n) for n in np.geomspace(LEAST, end, 2 + int(np.log(end / LEAST) / np.log(RATIO)))]
    rows = []
    for name, measure in (("N-bar", points.excess), ("N-tilde", points.gain)):
        progress(name)
        rows += _crossings(name, measure, grid)
    progress("K-hat")
    rows += [zero, _k_hat(s)]
    progress("sizes")
    return {"critical": _with_formulas(rows, formulas, data), "sizes": sizes(points, grid, s, money(data))}


def money(data: Any) -> str:
    """The unit of welfare in a case's currency: kEUR, kUSD."""
    return str(data.units["storage.power_cost"].partition("/")[0])


def nearby(data: Any, s: theory.Setting) -> pd.DataFrame:
    """The rows of ``critical`` that have a formula, from equilibria just beside it: few are solved, and a crossing is
    found where the formula puts one (within CLOSE of it) or not at all."""
    points, formulas = Points(s), theory.critical(s)
    measures = {"N-bar": points.excess, "N-tilde": points.gain, "N-zero": points.spread, "K-hat": _planned_spread(s)}
    rows = []
    for name, (value, _) in formulas.items():
        if isfinite(value):
            ends = [value * (1 - CLOSE), value * (1 + CLOSE)]
            rows += _crossings(name, measures[name], ends)
        else:
            rows.append(_row(name, nan, "not looked for", ""))
    return _with_formulas(rows, formulas, data)


def _crossings(name: str, measure: Callable[[float], float], grid: Sequence[float]) -> list[dict[str, Any]]:
    """A row for every change of sign on the grid, refined by Brent's method; a row that says so where there is none, or
    where not every point is certified."""
    rows = []
    values = [measure(n) for n in grid]
    for (a, low), (b, up) in pairwise(zip(grid, values, strict=True)):
        if low * up < 0:
            word = "falls" if low > 0 else "rises"
            try:
                rows.append(_row(name, _root(measure, a, b), word))
            except Refused as error:
                rows.append(_row(name, nan, f"{word} between {a:g} and {b:g}: {error}", UNCERTIFIED))
    missing = [n for n, value in zip(grid, values, strict=True) if isnan(value)]
    if missing:
        told = f"{len(missing)} of {len(grid)} points are not certified, from {missing[0]:g} to {missing[-1]:g}"
        rows.append(_row(name, nan, told, UNCERTIFIED))
    elif not rows:
        side = "positive" if values[-1] > 0 else "negative"
        rows.append(_row(name, nan, f"no crossing from {grid[0]:g} to {grid[-1]:g}: {side} throughout"))
    return rows


def _root(measure: Callable[[float], float], a: float, b: float) -> float:
    """The crossing between a and b. Raises Refused where a point on the way is not certified."""

    def certified(number: float) -> float:
        value = measure(number)
        if isnan(value):
            raise Refused(f"the equilibrium at {number:g} is not certified")
        return value

    return float(brentq(certified, a, b, xtol=1e-12, rtol=1e-14))


def _row(name: str, value: float, crossing: str, verdict: str = CERTIFIED) -> dict[str, Any]:
    return {"number": name, "equilibrium": value, "crossing": crossing, "verdict": verdict}


def _with_formulas(
    rows: Sequence[dict[str, Any]], formulas: Mapping[str, tuple[float, str]], data: Any
) -> pd.DataFrame:
    """The rows with unit, formula, difference, whether the formula holds, meaning."""
    table = pd.DataFrame(rows)
    slope = data.units["firms.cost_slope"]
    table.insert(1, "unit", [slope if name == "K-hat" else "1" for name in table["number"]])
    table.insert(3, "formula", [formulas[name][0] for name in table["number"]])
    with np.errstate(invalid="ignore"):
        same = table["equilibrium"] == table["formula"]  # both infinite
        table.insert(4, "difference", np.where(same, 0.0, table["equilibrium"] - table["formula"]))
    table["formula holds"] = [formulas[name][1] for name in table["number"]]
    table["meaning"] = table["number"].map(MEANINGS)
    return table


def _n_zero(points: Points) -> dict[str, Any]:
    """The number of firms at which the spread without storage is gone."""

    def spread(number: float) -> float:
        value = points.spread(number)
        if isnan(value):
            raise Refused(points.at("no_storage", number).reason)
        return value

    try:
        found = threshold(spread, LEAST, 1.0, 1e6)
    except Refused as error:
        return _row("N-zero", nan, str(error), UNCERTIFIED)
    if found.answer == NONE:
        return _row("N-zero", nan, f"nothing is built at any number of firms from {LEAST:g} on")
    if found.answer == FOUND:
        return _row("N-zero", found.value, "falls")
    return _row("N-zero", inf, f"never: something is built up to {found.high:g} firms")


def _planned_spread(s: theory.Setting) -> Callable[[float], float]:
    """F p1 - p2 of a planner without storage at a cost slope K; NaN where it is not certified."""

    def closed(slope: float) -> float:
        model = symmetric.planned(replace(s, K=slope))
        try:
            if not solve(model).certificate.ok:
                return nan
        except EquilibriumError:
            return nan
        return s.F * pyo.value(model.price[1]) - pyo.value(model.price[2])

    return closed


def _k_hat(s: theory.Setting) -> dict[str, Any]:
    """The cost slope at which the planner's spread without storage opens."""
    if s.lost <= 0:
        return _row("K-hat", nan, "not looked for", "")
    closed = _planned_spread(s)

    def certified(slope: float) -> float:
        value = closed(slope)
        if isnan(value):
            raise Refused(f"the planner with K = {slope:g} is not certified")
        return value

    try:
        found = threshold(certified, 0.0, 0.1 * min(s.Z1, s.Z2), 1e6 * max(s.Z1, s.Z2))
    except Refused as error:
        return _row("K-hat", nan, str(error), UNCERTIFIED)
    if found.answer == NONE:
        return _row("K-hat", nan, "a planner builds at any K, zero included")
    if found.answer == FOUND:
        return _row("K-hat", found.value, "falls")
    return _row("K-hat", nan, f"a planner builds at no K up to {found.high:g}")


def sizes(points: Points, grid: Sequence[float], s: theory.Setting, unit: str) -> pd.DataFrame:
    """One row a number of firms (those of the grid, and each whole one up to WHOLE): what merchant and welfare owner
    build, what both do to welfare."""
    rows = []
    few = [float(n) for n in range(1, WHOLE + 1) if n <= grid[-1]]
    for number in sorted({*few, *(n for n in grid if n > 1), float(s.N)}):
        merchant, owner, alone = (points.at(who, number) for who in ("merchant", "welfare_owner", "no_storage"))
        doubtful = [one for one in (merchant, owner, alone) if one.verdict != CERTIFIED]
        rows.append(
            {
                "firms": number,
                "merchant [GW]": merchant.size,
                "welfare owner [GW]": owner.size,
                f"merchant's welfare change [{unit}]": merchant.welfare - alone.welfare,
                f"welfare owner's welfare change [{unit}]": owner.welfare - alone.welfare,
                "merchant": "" if doubtful else invests(merchant.size, owner.size),
                "verdict": doubtful[0].verdict if doubtful else CERTIFIED,
                "reason": doubtful[0].reason if doubtful else "",
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
