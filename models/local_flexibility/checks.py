"""What no single cell shows: names that stand in one table and not in the other, energies that do not add up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from equilibrium.errors import Fault
from equilibrium.scenarios import as_number, larger

from .setting import keys, scenarios

SUM = 1e-9  # relative; how far sums may be from what they should be (numbers written with twelve digits)


def check(data: Any) -> list[Fault]:
    """Every fault across tables."""
    return [
        *_scenarios(data),
        *_loads(data),
        *_fleets(data),
        *_energies(data),
        *_vehicles(data),
        *_points(data),
    ]


def _fault(table: str, message: str, column: str = "", value: str | None = None, allowed: str = "") -> Fault:
    return Fault(f"{table}.csv", message, None, column, value, allowed)


def _scenarios(data: Any) -> Iterator[Fault]:
    """Every scenario has days whose probabilities sum to one, and aggregators."""
    known = scenarios(data)
    for table in ("days", "aggregators", "fleets", "portfolios", "points"):
        for here in sorted({k[0] for k in keys(data, table)} - set(known)):
            yield _fault(table, "a scenario that feeders.csv does not have", "scenario", here, ", ".join(known))
    for here in known:
        chances = [p for (s, _), p in data.tables["days"]["probability"].items() if s == here]
        if abs(sum(chances) - 1) > SUM:
            message = f"the probabilities of the days of scenario '{here}' do not sum to one"
            yield _fault("days", message, "probability", f"{sum(chances):.12g}", "a sum of 1")
        if not any(s == here for s, _ in keys(data, "aggregators")):
            yield _fault("aggregators", f"no aggregator in scenario '{here}'")


def _loads(data: Any) -> Iterator[Fault]:
    """A load for every day, feeder and period of every scenario."""
    known, periods = set(keys(data, "loads")), keys(data, "periods")
    wanted = {(d, f) for s, d in keys(data, "days") for r, f in keys(data, "feeders") if r == s}
    for d, f in sorted(wanted):
        missing = [t for t in periods if (d, f, t) not in known]
        if missing:
            yield _fault("loads", f"no load of feeder {f} on day {d} in period {', '.join(missing)}")
    strange = sorted({t for _, _, t in known} - set(periods))
    yield from (_fault("loads", "a period that periods.csv does not have", "period", t) for t in strange)


def _points(data: Any) -> Iterator[Fault]:
    """Points have sensitivities, to feeders that exist."""
    points, feeders = {c for _, c in keys(data, "points")}, {f for _, f in keys(data, "feeders")}
    loaded = {c for c, _ in keys(data, "sensitivities")}
    yield from (_fault("sensitivities", "no feeder loads this point", "point", c) for c in sorted(points - loaded))
    for c, f in keys(data, "sensitivities"):
        if c not in points:
            yield _fault("sensitivities", "a point that points.csv does not have", "point", c)
        if f not in feeders:
            yield _fault("sensitivities", "a feeder that feeders.csv does not have", "feeder", f)


def _fleets(data: Any) -> Iterator[Fault]:
    """Fleets name aggregators and feeders of their scenario; baselines and envelopes name fleets and periods."""
    places = {"aggregator": set(keys(data, "aggregators")), "feeder": set(keys(data, "feeders"))}
    for here, fleet in keys(data, "fleets"):
        for column, known in places.items():
            name = data.tables["fleets"].at[(here, fleet), column]
            if (here, name) not in known:
                message = f"fleet {fleet} of scenario '{here}' names one that {column}s.csv does not have there"
                yield _fault("fleets", message, column, name)
    periods, fleets = set(keys(data, "periods")), set(keys(data, "fleets"))
    for table in ("baselines", "envelopes", "availability"):
        for here, fleet, t in keys(data, table):
            if (here, fleet) not in fleets:
                yield _fault(table, "a fleet that fleets.csv does not have in this scenario", "fleet", fleet)
            if t not in periods:
                yield _fault(table, "a period that periods.csv does not have", "period", t)


def _energies(data: Any) -> Iterator[Fault]:
    """What a fleet declares adds up to what its vehicles need, and its chargers can deliver it."""
    if "fleets" not in data.tables or "baselines" not in data.tables:
        return
    duration = data.tables["periods"]["duration"]
    declared = data.tables["baselines"]["energy"]
    totals = declared.groupby(level=[0, 1]).sum()
    for row in data.tables["fleets"].itertuples():
        wanted, found = row.vehicles * row.energy, as_number(totals.get(row.Index, 0.0))
        if abs(found - wanted) > SUM * larger(wanted, found):
            message = f"the baseline of fleet {row.Index[1]} in scenario '{row.Index[0]}' is not what its vehicles need"
            yield _fault("baselines", message, "energy", f"{found:.12g}", f"a sum of {wanted:.12g} kWh")
    for (here, fleet, t), energy in declared.items():
        if (here, fleet) in data.tables["fleets"].index and t in duration.index:
            row = data.tables["fleets"].loc[(here, fleet)]
            most = row["vehicles"] * row["charger"] * duration[t]
            if energy > most * (1 + SUM):
                message = f"fleet {fleet} cannot charge so much in period {t}"
                yield _fault("baselines", message, "energy", f"{energy:.12g}", f"at most {most:.12g} kWh")


def _vehicles(data: Any) -> Iterator[Fault]:
    """Vehicles name known feeders, portfolios and periods; they charge what they need, while they are plugged in."""
    if "vehicles" not in data.tables:
        return
    table, periods = data.tables["vehicles"], keys(data, "periods")
    order = {t: k for k, t in enumerate(periods)}
    feeders, held = {f for _, f in keys(data, "feeders")}, {p for _, p in keys(data, "portfolios")}
    for column, known in (("feeder", feeders), ("portfolio", held), ("arrival", order), ("departure", order)):
        for u, name in table[column].items():
            if name not in known:
                yield _fault("vehicles", f"vehicle {u} names an unknown {column}", column, name)
    known = set(keys(data, "aggregators"))
    for (here, p), a in _column(data, "portfolios", "aggregator"):
        if (here, a) not in known:
            message = f"portfolio {p} names an aggregator that scenario '{here}' does not have"
            yield _fault("portfolios", message, "aggregator", a)
    yield from _plans(data, table, order)


def _plans(data: Any, table: pd.DataFrame, order: dict[str, int]) -> Iterator[Fault]:
    duration, totals = data.tables["periods"]["duration"], dict.fromkeys(table.index, 0.0)
    window = {
        u: (order[a], order[b])
        for u, a, b in zip(table.index, table["arrival"], table["departure"], strict=True)
        if a in order and b in order
    }
    for (u, t), energy in _column(data, "charging", "energy"):
        if u not in totals or t not in order:
            yield _fault("charging", f"an unknown vehicle or period: {u}, {t}")
            continue
        totals[u] += energy
        first, last = window.get(u, (0, len(order)))
        if not first <= order[t] < last:
            yield _fault("charging", f"vehicle {u} is not plugged in in period {t}", "period", t)
        elif energy > table.at[u, "charger"] * duration[t] * (1 + SUM):
            yield _fault("charging", f"more than the charger of vehicle {u} delivers in {t}", "energy", f"{energy:g}")
    for u, found in totals.items():
        wanted = table.at[u, "energy"]
        if abs(found - wanted) > SUM * larger(wanted, found):
            message = f"what vehicle {u} declares is not what it needs"
            yield _fault("charging", message, "energy", f"{found:.12g}", f"a sum of {wanted:.12g} kWh")


def _column(data: Any, table: str, column: str) -> Any:
    return data.tables[table][column].items() if table in data.tables else ()
