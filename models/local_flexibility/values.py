"""What is reported of a solved structure: loads, volumes, costs, payments and who is indispensable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.errors import NotCertified
from equilibrium.scenarios import larger, where_larger

from . import delivery, settlement, strategic, structures
from .settlement import PRICES, Prices
from .ties import Dispatch, even, least_shortage, split

Row = tuple[str, str, Any, str]
ROUNDING = 1e-9  # part of the requirement that counts as nothing when asked who is pivotal


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit: every reported number of one alternative."""
    if solved.alternative.structure == "strategic":
        rows = list(strategic.report(solved))
    else:
        rows = _baselines(solved) if solved.alternative.structure == "competitive" else list(_cleared(solved))
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def _baselines(solved: Any) -> list[Row]:
    rows: list[Row] = []
    for u, block in solved.model.fleet.items():
        charging = even(block.charge, solved.solution)
        rows += [("charging", f"fleet={u};period={t}", energy, "kWh") for t, energy in charging.items()]
        rows.append(("bill", f"fleet={u}", pyo.value(block.bill), "EUR"))
    return rows


@dataclass(frozen=True)
class Day:
    """One day cleared and settled: asked for by bids and paid to each aggregator (EUR), rents and shortages without
    each aggregator (vcg), range of marginal prices (pay_as_cleared)."""

    name: str
    dispatch: Dispatch
    asked: dict[str, Any]
    paid: dict[str, Any]
    prices: tuple[Prices, Prices] | None = None
    rent: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, Any] = field(default_factory=dict)  # kWh unserved without the aggregator


def days(solved: Any) -> list[Day]:
    """Every day cleared, ties split, settled by the alternative's rule; found once for each solution."""
    model = solved.model
    if getattr(model, "settled", (None, []))[0] is not solved.solution:
        model.settled = (solved.solution, _settle(solved))
    return list(model.settled[1])


def _settle(solved: Any) -> list[Day]:
    model, rule = solved.model, solved.model.settlement
    alone, shortage = _without(solved) if rule == "vcg" else (None, {})
    found = []
    for d, dispatch in split(solved).items():
        asked = settlement.bids(model, dispatch)
        if rule in PRICES:
            prices = settlement.price_range(model, d, rule == "pay_as_cleared_net")
            found.append(Day(d, dispatch, asked, settlement.cleared(model, dispatch, prices[0]), prices))
        elif alone is not None:
            cost = pyo.value(model.operator[d].cost)
            rent = {a: pyo.value(alone.operator[d, a].cost) - cost for a in model.aggregator}
            missing = {a: shortage[d, a] for a in model.aggregator}
            found.append(Day(d, dispatch, asked, {a: asked[a] + rent[a] for a in asked}, None, rent, missing))
        else:
            found.append(Day(d, dispatch, asked, asked))
    return found


def _without(solved: Any) -> tuple[Any, dict[Any, Any]]:
    """The clearing of every day without each aggregator in turn, and its shortage, kWh. Raises NotCertified where it is
    not certified."""
    model = structures.without_each(solved.data, solved.alternative.structure, solved.alternative.options)
    solution = solve(model)
    if not solution.certificate.ok:
        raise NotCertified(f"clearing without one aggregator is not certified: {solution.certificate.scope}")
    return model, least_shortage(model, solution)


def _cleared(solved: Any) -> Iterator[Row]:
    model = solved.model
    expected: dict[str, Any] = {}
    for day in days(solved):
        weight = pyo.value(model.probability[model.scenario, day.name])
        for quantity, value in _totals(model, day).items():
            yield quantity, f"day={day.name}", value, UNITS[quantity]
            expected[quantity] = expected.get(quantity, 0.0) + weight * value
        yield from _aggregators(model, day)
        yield from _network(model, day)
        yield from _prices(day)
        yield from _undelivered(model, day)
    for quantity, value in expected.items():
        yield f"expected {quantity}", "", value, UNITS[quantity]


UNITS = {
    "operator cost": "EUR",
    "mark-ups": "EUR",
    "redispatched energy": "kWh",
    "unserved energy": "kWh",
    "wholesale cost of redispatch": "EUR",
    "declared bill": "EUR",
    "bill": "EUR",
    "social cost": "EUR",
}


def _totals(model: Any, day: Day) -> dict[str, Any]:
    price = {t: pyo.value(model.price[t]) for t in model.period}
    markup = {u: pyo.value(model.markup[model.scenario, a]) for u, a in model.owner.items()}
    unserved = day.dispatch.missing
    shortage = unserved * pyo.value(model.alternative_cost)
    wholesale = sum(price[t] * q for (_, t), q in day.dispatch.add.items())
    wholesale -= sum(price[t] * q for (_, t), q in day.dispatch.cut.items())
    declared = sum(price[t] * pyo.value(s) for (_, t), s in model.baseline.items())
    return {
        "operator cost": sum(day.paid.values()) + shortage,
        "mark-ups": sum(markup[u] * q for (u, _), q in day.dispatch.cut.items()),
        "redispatched energy": sum(day.dispatch.cut.values()),
        "unserved energy": unserved,
        "wholesale cost of redispatch": wholesale,
        "declared bill": declared,
        "bill": declared + wholesale,
        "social cost": declared + wholesale + shortage,
    }


def _aggregators(model: Any, day: Day) -> Iterator[Row]:
    accepted: dict[str, Any] = dict.fromkeys(model.aggregator, 0.0)
    for (u, _), q in day.dispatch.cut.items():
        accepted[model.owner[u]] += q
    bill = final_bills(model, day.dispatch)
    for a in model.aggregator:
        index = f"aggregator={a};day={day.name}"
        yield "accepted", index, accepted[a], "kWh"
        yield "payment", index, day.paid[a], "EUR"
        yield "mark-up profit", index, accepted[a] * pyo.value(model.markup[model.scenario, a]), "EUR"
        yield "profit", index, day.paid[a] - bill[a], "EUR"
        if day.rent:
            needed = sum(pyo.value(most) for (d, _, _), most in model.requirement.items() if d == day.name)
            yield "Clarke rent", index, day.rent[a], "EUR"
            yield "indispensable", index, where_larger(day.missing[a], ROUNDING * needed, 1.0, 0.0), "1"


def final_bills(model: Any, dispatch: Dispatch) -> dict[str, Any]:
    """What each aggregator pays for the energy that is charged in the end, at wholesale prices, EUR."""
    price = {t: pyo.value(model.price[t]) for t in model.period}
    found: dict[str, Any] = dict.fromkeys(model.aggregator, 0.0)
    for sign, part in ((1, model.baseline), (-1, dispatch.cut), (1, dispatch.add)):
        for (u, t), q in part.items():
            found[model.owner[u]] += sign * price[t] * pyo.value(q)
    return found


def _network(model: Any, day: Day) -> Iterator[Row]:
    """Net loads before and after, and in congested periods the requirement and the residual supply of who offers."""
    moved: dict[tuple[str, str], Any] = {}
    for sign, part in ((-1, day.dispatch.cut), (1, day.dispatch.add)):
        for (u, t), q in part.items():
            place = (model.home[u], t)
            moved[place] = moved.get(place, 0.0) + sign * q
    offers: dict[tuple[str, str], dict[str, Any]] = {}
    for (u, t), most in model.offer.items():
        by = offers.setdefault((model.home[u], t), {})
        by[model.owner[u]] = by.get(model.owner[u], 0.0) + pyo.value(most)
    after: dict[tuple[str, str], Any] = {}
    for f in model.feeder:
        for t in model.period:
            index = f"day={day.name};feeder={f};period={t}"
            before = pyo.value(model.net[day.name, f, t])
            after[f, t] = before + moved.get((f, t), 0.0) - day.dispatch.unserved[f, t]
            after[f, t] += day.dispatch.curtailed.get((f, t), 0.0)
            yield "net load before", index, before, "kWh"
            yield "net load after", index, after[f, t], "kWh"
            if model.raised and pyo.value(model.raised[day.name, f, t]) > 0:
                yield "more load required", index, pyo.value(model.raised[day.name, f, t]), "kWh"
            needed = pyo.value(model.requirement[day.name, f, t])
            if needed > 0:
                yield "requirement", index, needed, "kWh"
                by = offers.get((f, t), {})
                for a in sorted(by):
                    index = f"aggregator={a};day={day.name};feeder={f};period={t}"
                    rest = (sum(by.values()) - by.get(a, 0.0)) / needed
                    yield "residual supply index", index, rest, "1"
                    yield "pivotal", index, where_larger(1 - ROUNDING, rest, 1.0, 0.0), "1"
    yield from _points(model, day, after)


def _undelivered(model: Any, day: Day) -> Iterator[Row]:
    """What fleets cannot charge although it is left to them, and the overload where it is charged instead: in the
    cheapest period (table ``availability``)."""
    if model.component("availability") is None:
        return
    left = {}
    for (u, t), s in model.baseline.items():
        kept = pyo.value(s) - day.dispatch.cut.get((u, t), 0.0) + day.dispatch.add.get((u, t), 0.0)
        if (model.scenario, u, t) in model.availability:
            left[u, t] = larger(0.0, kept - pyo.value(model.availability[model.scenario, u, t]))
    extra = delivery.overload(Cleared(model, {day.name: day.dispatch}), day.name, left)
    index = f"day={day.name}"
    yield "not delivered", index, sum(left.values()), "kWh"
    yield "overload by non-delivery", index, extra, "kWh"
    yield "cost of overload", index, extra * pyo.value(model.alternative_cost), "EUR"


@dataclass(frozen=True)
class Cleared:
    """A model with the clearing of its days, by day."""

    model: Any
    dispatch: dict[str, Dispatch]


def _points(model: Any, day: Day, after: dict[tuple[str, str], Any]) -> Iterator[Row]:
    for c, weight in model.sensitivity.items():
        for t in model.period:
            index = f"day={day.name};period={t};point={c}"
            yield "point load before", index, pyo.value(model.point_load[day.name, c, t]), "kWh"
            yield "point load after", index, sum(pyo.value(g) * after[f, t] for f, g in weight.items()), "kWh"


def _prices(day: Day) -> Iterator[Row]:
    if day.prices is None:
        return
    for word, prices in zip(("lowest", "highest"), day.prices, strict=True):
        yield f"relief settled at {word} prices", f"day={day.name}", prices.total, "EUR"
        for name, part in (("relief price", prices.relief), ("payback price", prices.payback)):
            for (f, t), value in part.items():
                yield f"{name}, {word}", f"day={day.name};feeder={f};period={t}", value, "EUR/kWh"
