"""The study ``comparative_statics``: does the least consumption Q_min rise or fall with each number of the case?

Each number is raised and lowered by STEP of itself, and every threshold is found again at certified equilibria. A
parameter of a country means all its plants together (costs, capacities), all its hours, all its links in a direction;
m stands for all countries that links connect with n. Signs hold for an increase; "-/0" says that the two sides
differ (a kink). Blank: there is nothing to change (no limit, no demand of that kind).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.data import Data
from equilibrium.errors import EquilibriumError

from .response import Response, Variant, explicit, found, neighbourhood, responding, variants
from .study import ANSWERED, mean

Progress = Callable[[str], None]
STEP = 0.02
ZERO = 1e-7  # relative change of Q_min that is rounding: thresholds are right to some 1e-11

# parameter: tables whose column of that name it changes, whose rows: n, others, links out of n, links into n
PARAMETERS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "D_n": (("inelastic_demand",), "quantity", "n"),
    "Pbar_n": (("inelastic_demand",), "value", "n"),
    "c_n": (("elastic_demand",), "intercept", "n"),
    "d_n": (("elastic_demand",), "slope", "n"),
    "a_n": (("plants", "fleets"), "intercept", "n"),
    "b_n": (("plants", "fleets"), "slope", "n"),
    "K_n": (("plants", "fleets"), "capacity", "n"),
    "D_m": (("inelastic_demand",), "quantity", "m"),
    "K_m": (("plants", "fleets"), "capacity", "m"),
    "a_m": (("plants", "fleets"), "intercept", "m"),
    "Cap_nm": (("links",), "capacity", "out"),
    "Cap_mn": (("links",), "capacity", "in"),
}


def comparative_statics(data: Data, alternatives: Sequence[Any], progress: Progress) -> Mapping[str, pd.DataFrame]:
    """Tables: numbers (a row per criterion and parameter), signs (a row per criterion, a column per parameter)."""
    signs: list[dict[str, Any]] = []
    numbers: list[dict[str, Any]] = []
    for n in responding(data):
        near = explicit(neighbourhood(data, n))
        for variant in variants(data.market, alternatives):
            base = Response(near, variant, n)
            try:
                start = starts(base)
            except EquilibriumError as error:
                row = {"country": n, "reading": variant.name, "criterion": "all", "verdict": str(error)}
                signs.append(row)
                continue
            rows = []
            for name in PARAMETERS:
                progress(f"{n}, {variant.name}: {name}")
                rows += told(base, name, start)
            numbers += rows
            signs += [signs_row(n, variant, base, criterion, start, rows) for criterion in start]
    return {name: pd.DataFrame(rows) for name, rows in (("numbers", numbers), ("signs", signs)) if rows}


def starts(base: Response) -> dict[str, float]:
    """Threshold intensity of every criterion, NaN where it is none or unbounded."""
    crossings = {criterion: base.threshold(criterion) for criterion in base.criteria()}
    return {criterion: one.value if found(one) else math.nan for criterion, one in crossings.items()}


def scaled(data: Data, parameter: str, country: str, factor: float) -> Data | None:
    """The data with a parameter times a factor; None where there is nothing that it could change."""
    tables, column, whose = PARAMETERS[parameter]
    changed, any_changed = dict(data.tables), False
    for name in tables:
        if name not in changed:
            continue
        rows, frame = _rows(changed[name].index, whose, country), changed[name].copy()
        rows &= np.isfinite(frame[column].to_numpy()) & (frame[column].to_numpy() != 0)
        any_changed |= bool(rows.any())
        frame.loc[rows, column] *= factor
        changed[name] = frame
    return Data(data.market, data.parameters, changed) if any_changed else None


def _rows(index: pd.Index, whose: str, country: str) -> np.ndarray:
    if whose in ("out", "in"):
        return np.asarray(index.get_level_values("from" if whose == "out" else "to") == country)
    own = np.asarray(index.get_level_values("country") == country)
    return own if whose == "n" else ~own


def told(base: Response, parameter: str, start: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row per criterion: Q_min and threshold intensity at -STEP, base and +STEP, and the sign; none if no change."""
    n, variant = base.country, base.variant
    less, more = (scaled(base.data, parameter, n, factor) for factor in (1 - STEP, 1 + STEP))
    if less is None or more is None:
        return []
    points = {"-": Response(less, variant, n), "base": base, "+": Response(more, variant, n)}
    rows = []
    for criterion, intensity in start.items():
        row: dict[str, Any] = {"country": n, "reading": variant.name, "criterion": criterion, "parameter": parameter}
        if math.isnan(intensity):
            rows.append(row | {"sign": "no threshold", "verdict": ANSWERED})
            continue
        try:
            roots = {word: root(points[word], criterion, intensity) for word in "-+"} | {"base": intensity}
        except EquilibriumError as error:
            rows.append(row | {"sign": "", "verdict": str(error)})
            continue
        if any(math.isnan(value) for value in roots.values()):
            rows.append(row | {"sign": "no threshold on one side", "verdict": ANSWERED})
            continue
        least = {word: mean(points[word].data, points[word].after(roots[word]).consumption) for word in points}
        row |= {"sign": sign(least), **{f"Q_min {word} [MW]": value for word, value in least.items()}}
        row |= {f"intensity {word}": value for word, value in roots.items()}
        rows.append(row | {"verdict": ANSWERED})
    return rows


def root(asked: Response, criterion: str, near: float) -> float:
    """Threshold intensity near a known one: secants through equilibria solved so far, else the search from zero."""
    asked.after(near)
    if len(asked.known) == 1:
        asked.after(near * (1 + 1e-3))
    for _ in range(12):
        step, here = _secant(asked, criterion)
        if not here / 4 < here + step < 4 * here:  # a secant that leads far away leads astray; false also for NaN
            break
        if abs(step) <= 1e-11 * asked.slope():
            return here
        asked.after(here + step)
    crossing = asked.threshold(criterion)
    return crossing.value if found(crossing) else math.nan


def _secant(asked: Response, criterion: str) -> tuple[float, float]:
    """(step, where from): to zero along the line through the two best points solved so far that are not as good as one.

    Best: where the criterion has changed least. Points closer than 1e-7 of each other would give a slope of rounding.
    """
    best = sorted(asked.known, key=lambda g: abs(asked.change(criterion, g)))
    here = best[0]
    there = next((g for g in best[1:] if abs(g - here) > 1e-7 * here), None)
    if there is None:
        return math.nan, here
    here_change, there_change = asked.change(criterion, here), asked.change(criterion, there)
    return (
        math.nan if here_change == there_change else -here_change * (here - there) / (here_change - there_change)
    ), here


def sign(least: Mapping[str, float]) -> str:
    """Sign of the change of Q_min with an increase; both sides where they differ."""

    def of(change: float) -> str:
        return "0" if abs(change) <= ZERO * abs(least["base"]) else "+" if change > 0 else "-"

    below, above = of(least["base"] - least["-"]), of(least["+"] - least["base"])
    return above if below == above else f"{below}/{above}"


def signs_row(
    n: str,
    variant: Variant,
    base: Response,
    criterion: str,
    start: Mapping[str, float],
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The signs of one criterion for all parameters beside its Q_min."""
    own = {row["parameter"]: row for row in rows if row["criterion"] == criterion}
    intensity = start[criterion]
    least = math.nan if math.isnan(intensity) else mean(base.data, base.after(intensity).consumption)
    verdicts = {row["verdict"] for row in own.values()}
    return {
        "country": n,
        "reading": variant.name,
        "criterion": criterion,
        "Q_min [MW]": least,
        **{name: own[name]["sign"] if name in own else "" for name in PARAMETERS},
        "verdict": ANSWERED if verdicts <= {ANSWERED} else "not answered: see numbers",
    }
