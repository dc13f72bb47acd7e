"""The study ``demand_response``: who gains from it, up to which intensity, and what the paper's formulas say.

For every country with demand response and every way to state the market among the case's alternatives. Thresholds are
found by root finding on certified equilibria. The least consumption Q_min is that at the threshold; demand there has
the elasticity limit: it may be at most that elastic (in absolute value) for the criterion to hold. Hours: consumption
and prices in tables are means over hours, weighted by their length; criteria are sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.data import Data
from equilibrium.errors import EquilibriumError

from . import inputs, segment
from .isolated import CONSUMERS as OF_CONSUMERS
from .isolated import WELFARE, Isolated
from .isolated import elasticity as elasticity_of
from .response import (
    CONSUMERS,
    COUNTRY,
    MARKET,
    TOTAL,
    Level,
    Response,
    explicit,
    found,
    neighbourhood,
    responding,
    variants,
)

Progress = Callable[[str], None]
POINTS = 13  # intensities of the sweep from 0 to beyond the largest threshold
ANSWERED = "certified"
WHOSE = {
    COUNTRY: "welfare of {}",
    MARKET: "welfare of the market of {}",
    TOTAL: "welfare of all countries",
    CONSUMERS: "surplus of the consumers of {}",
}


def demand_response(data: Data, alternatives: Sequence[Any], progress: Progress) -> Mapping[str, pd.DataFrame]:
    """Tables: thresholds (a row per criterion), closed_form, sweep (a row per intensity), changes (of criteria, the
    same rows), answers (in words)."""
    names = ("thresholds", "closed_form", "sweep", "changes", "answers")
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for n in responding(data):
        near = neighbourhood(data, n)
        for variant in variants(data.market, alternatives):
            progress(f"{n}, {variant.name}: thresholds")
            asked = Response(near, variant, n)
            rows = thresholds(asked)
            progress(f"{n}, {variant.name}: sweep of the intensity")
            tables["thresholds"] += rows
            tables["closed_form"] += closed_form(asked, rows)
            for point in intensities(asked, rows):
                tables["sweep"].append(sweep_row(asked, point))
                tables["changes"].append(changes_row(asked, point))
            tables["answers"] += answers(asked, rows)
    return {name: pd.DataFrame(rows) for name, rows in tables.items() if rows}


def mean(data: Data, by_hour: Mapping[int, float]) -> float:
    """Mean over hours, weighted by their length."""
    weights = [weight(data, h) for h in by_hour]
    return float(np.average(list(by_hour.values()), weights=weights))


def weight(data: Data, hour: int) -> float:
    """Length of an hour, h."""
    return float(data.tables["hours"]["weight"][hour]) if "hours" in data.tables else 1.0


# ---------------------------------------------------------------------------------------------------------- thresholds


def thresholds(asked: Response) -> list[dict[str, Any]]:
    """A row per criterion; where an equilibrium is missing, one row with the reason."""
    where = {"country": asked.country, "reading": asked.variant.name}
    try:
        before = asked.before()
    except EquilibriumError as error:
        return [{**where, "criterion": "all", "answer": "not answered", "verdict": str(error)}]
    rows = []
    for criterion in asked.criteria():
        row = {**where, "criterion": criterion, "before [EUR]": before.criteria[criterion]}
        try:
            rows.append(row | threshold_row(asked, criterion))
        except EquilibriumError as error:
            rows.append(row | {"answer": "not answered", "verdict": str(error)})
    return rows


def threshold_row(asked: Response, criterion: str) -> dict[str, Any]:
    """Largest intensity, least consumption and elasticity limit of one criterion."""
    crossing = asked.threshold(criterion)
    row: dict[str, Any] = {"answer": crossing.answer, "intensity": math.nan, "Q_min [MW]": math.nan}
    row |= {"elasticity limit": math.nan, "Q before [MW]": mean(asked.data, asked.before().consumption)}
    if found(crossing):
        level = asked.after(crossing.value)
        row |= {"intensity": crossing.value, "Q_min [MW]": mean(asked.data, level.consumption)}
        row |= {"elasticity limit": elasticity(asked, level)}
    return row | {"tried up to": crossing.high, "verdict": ANSWERED}


def elasticity(asked: Response, level: Level) -> float:
    """Elasticity of demand at a level, signed; of several hours the mean over consumption (NaN where there is none)."""
    lines = explicit(asked.data).tables["elastic_demand"]
    told = [
        (weight(asked.data, h) * Q, elasticity_of(*lines.loc[(asked.country, h), ["intercept", "slope"]], Q))
        for h, Q in level.consumption.items()
        if (asked.country, h) in lines.index and Q > 0
    ]
    if not told:
        return math.nan
    return float(np.average([e for _, e in told], weights=[q for q, _ in told]))


# --------------------------------------------------------------------------------------------------------- closed form


def closed_form(asked: Response, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The paper's thresholds beside those of equilibria, or why they do not hold here."""
    table = []
    for row in rows:
        if row["criterion"] not in (COUNTRY, CONSUMERS) or row["answer"] == "not answered":
            continue
        reason, alone = setting(asked)
        closed, limit = segment.Closed(math.nan, math.nan, reason), math.nan
        if alone is not None:
            closed = segment.closed(*alone, WELFARE if row["criterion"] == COUNTRY else OF_CONSUMERS)
        if alone is not None and not closed.reason:
            limit = alone[0].elasticity(closed.quantity)
        table.append(
            {
                **{name: row[name] for name in ("country", "reading", "criterion")},
                "intensity": row["intensity"],
                "closed form intensity": closed.intensity,
                "Q_min [MW]": row["Q_min [MW]"],
                "closed form Q_min [MW]": closed.quantity,
                "closed form elasticity limit": limit,
                "holds": closed.reason or ("yes" if closed.intensity >= 0 else "yes: none, already below at 0"),
                "verdict": row["verdict"],
            }
        )
    return table


def setting(asked: Response) -> tuple[str, tuple[Isolated, segment.Line] | None]:
    """Why the closed forms do not hold, or the numbers that they need."""
    n, data = asked.country, explicit(asked.data)
    placement = data.tables["demand_response"]["placement"][n]
    if placement != "demand":
        return f"demand response is placed on {placement}, not on demand", None
    open_links = [pair for pair in inputs.keys(data, "links") if data.tables["links"]["capacity"][pair] > 0]
    if open_links:
        return "the country trades: prices depend on its neighbours", None
    hours = [h for m, h in inputs.keys(data, "elastic_demand") if m == n]
    if len(asked.before().consumption) > 1:
        return "several hours share one intensity", None
    if n in inputs.keys(data, "lost_load"):
        return "demand may go without: supply has a last plant", None
    own, point = data.tables["inelastic_demand"].loc[(n, hours[0])], data.tables["elastic_demand"].loc[(n, hours[0])]
    line = segment.line_at(plants_of(data, n, hours[0]), float(own["quantity"]))
    if line is None:
        return "demand before is beyond all capacity", None
    numbers = (own["quantity"], own["value"], point["intercept"], point["slope"])
    return "", (Isolated(line.intercept, line.slope, *map(float, numbers)), line)


def plants_of(data: Data, n: str, hour: int) -> list[segment.Plant]:
    """(intercept, slope, capacity available in the hour) of every plant of a country, rows and law."""
    shares = data.tables["availability"]["share"] if "availability" in data.tables else {}
    places, found = inputs.by_law(data), []
    for country, t in inputs.all_plants(data):
        if country != n:
            continue
        rows = (n, t) in inputs.keys(data, "plants")
        row = data.tables["plants"].loc[(n, t)] if rows else data.tables["fleets"].loc[n]
        times = 1.0 if rows else float(row["ratio"]) ** places[n, t]
        share = float(shares[n, t, hour]) if (n, t, hour) in shares else 1.0
        capacity = float(row["capacity"]) * share if math.isfinite(row["capacity"]) else math.inf
        found.append((float(row["intercept"]) * times, float(row["slope"]) * times, capacity))
    return found


# --------------------------------------------------------------------------------------------------------------- sweep


def intensities(asked: Response, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """From 0 (the elastic baseline) to beyond the largest threshold, the case's own among them; none without before."""
    if any(row["criterion"] == "all" for row in rows):
        return []
    own = float(asked.data.tables["demand_response"]["intensity"][asked.country])
    largest = max([row["intensity"] for row in rows if row["answer"] == "found"], default=max(own, asked.slope()))
    return sorted({*np.linspace(0, 1.3 * max(largest, own), POINTS).tolist(), own})


def sweep_row(asked: Response, intensity: float) -> dict[str, Any]:
    """One intensity: quantities, prices and elasticity of demand."""
    where: dict[str, Any] = {"country": asked.country, "reading": asked.variant.name, "intensity": intensity}
    try:
        after = asked.after(intensity)
    except EquilibriumError as error:
        return {**where, "verdict": str(error)}
    return where | {
        "Q [MW]": mean(asked.data, after.consumption),
        "price [EUR/MWh]": mean(asked.data, after.price),
        "retail price [EUR/MWh]": mean(asked.data, after.retail),
        "net export [MW]": mean(asked.data, after.net_export),
        "elasticity": elasticity(asked, after),
        "verdict": ANSWERED,
    }


def changes_row(asked: Response, intensity: float) -> dict[str, Any]:
    """Change of every criterion against before; that of total welfare from before to the elastic baseline (another
    description of demand) and from there to the intensity (the response)."""
    where: dict[str, Any] = {"country": asked.country, "reading": asked.variant.name, "intensity": intensity}
    try:
        after, before, baseline = asked.after(intensity), asked.before(), asked.after(0.0)
    except EquilibriumError as error:
        return {**where, "verdict": str(error)}
    row = where | {f"{name} [EUR]": after.criteria[name] - before.criteria[name] for name in asked.criteria()}
    row["by preferences [EUR]"] = baseline.criteria[TOTAL] - before.criteria[TOTAL]
    row["by response [EUR]"] = after.criteria[TOTAL] - baseline.criteria[TOTAL]
    return row | {"verdict": ANSWERED}


# ------------------------------------------------------------------------------------------------------------- answers


def answers(asked: Response, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the numbers say, in sentences."""
    where = {"country": asked.country, "reading": asked.variant.name}
    told = [sentence(row) for row in rows if row["answer"] != "not answered"]
    if told:
        told += [preferences(asked), isolated(asked)]
    return [{**where, "answer": text} for text in told if text]


def sentence(row: Mapping[str, Any]) -> str:
    """Up to which intensity a criterion holds, and whether less can be consumed than before without a loss."""
    who = WHOSE[row["criterion"]].format(row["country"])
    if row["answer"] == "none":
        return f"The {who} is below its level before at every intensity tried, already without demand response."
    if row["answer"] == "unbounded":
        return f"The {who} stays above its level before at every intensity tried (up to {row['tried up to']:.4g})."
    least, before = row["Q_min [MW]"], row["Q before [MW]"]
    if least < before:
        less = "an actual reduction of consumption is possible without a loss of it"
    else:
        less = "an actual reduction of consumption is not possible without a loss of it"
    text = (
        f"The {who} is at least that before up to intensity {row['intensity']:.6g}, where {least:.6g} MW are consumed"
    )
    text += f" ({before:.6g} before): {less}."
    limit = -row["elasticity limit"]
    return text + (f" At the equilibrium demand may be at most {limit:.4g} elastic." if limit == limit else "")


def preferences(asked: Response) -> str:
    """How much of the change of total welfare is the change of the description of demand."""
    own = float(asked.data.tables["demand_response"]["intensity"][asked.country])
    try:
        change = asked.change(TOTAL, own)
        part = asked.change(TOTAL, 0.0)
    except EquilibriumError:
        return ""
    return (
        f"At the case's intensity {own:.6g} total welfare changes by {change:.6g} EUR: {part:.6g} because demand is "
        f"described by another curve (intensity 0 against before), {change - part:.6g} because of the response."
    )


def isolated(asked: Response) -> str:
    """The condition under which an actual reduction costs no welfare, for a country by itself."""
    _, alone = setting(asked)
    if alone is None:
        return ""
    country = alone[0]
    limit = 2 * country.value - country.price
    holds = country.c > limit
    return (
        f"In closed form: consumption can fall below {country.D:.6g} MW without a loss of welfare "
        f"{'because' if holds else 'only if'} c > 2 Pbar - P1; here c is {country.c:.6g}, 2 Pbar - P1 {limit:.6g}."
    )
