"""What all structures share: periods, days, feeders, units with their baselines, requirement and room.

A unit is a fleet (table ``fleets``) or a vehicle (table ``vehicles``). All energies are per period, in kWh: a load or a
rating in kW counts times the length of the period.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Refused
from equilibrium.scenarios import is_finite

from .clearing import Limits
from .congestion import FeedIn, Points

WHOLE = 1e-9  # a baseline so close below a whole number of steps counts as that number (rounding of the data)
ROUNDING = 1e-14  # a net load so close to the capacity is the capacity: neither relief is needed nor is there room
AT_A_POINT = 1e-12  # the same above feeders, where the rounding of several adds up
TINY = 1e-15  # kWh; a minimum bid of zero admits everything


def keys(data: Any, table: str) -> list[Any]:
    """Keys of a table; none if the case does not have it."""
    return list(data.tables[table].index) if table in data.tables else []


def scenarios(data: Any) -> list[str]:
    """Names of the scenarios, in the order of the feeders."""
    return list(dict.fromkeys(scenario for scenario, _ in keys(data, "feeders")))


def chosen(data: Any, scenario: str) -> str:
    """The scenario asked for, the first one if none is. Raises Refused for an unknown one."""
    known = scenarios(data)
    if scenario and scenario not in known:
        raise Refused(f"there is no scenario '{scenario}' in feeders.csv; there are {', '.join(known)}")
    return scenario or known[0]


def setting(data: Any, scenario: str) -> pyo.ConcreteModel:
    """Sets and numbers of one scenario; no unit and nobody with an Objective yet."""
    model = pyo.ConcreteModel()
    model.scenario = here = chosen(data, scenario)
    model.period = pyo.Set(initialize=keys(data, "periods"), ordered=True)
    model.day = pyo.Set(initialize=sorted(d for s, d in keys(data, "days") if s == here), ordered=True)
    model.feeder = pyo.Set(initialize=sorted(f for s, f in keys(data, "feeders") if s == here), ordered=True)
    model.aggregator = pyo.Set(initialize=sorted(a for s, a in keys(data, "aggregators") if s == here), ordered=True)
    model.duration = data.param("periods", "duration")
    model.price = data.param("periods", "price")
    model.inflexible = data.param("loads", "load")
    model.rating = data.param("feeders", "rating")
    model.probability = data.param("days", "probability")
    model.markup = data.param("aggregators", "markup")
    model.alternative_cost = data.param("parameters", "alternative_cost")
    model.minimum_bid = data.param("parameters", "minimum_bid")
    _beyond_ratings(data, model)
    return model


def _beyond_ratings(data: Any, model: pyo.ConcreteModel) -> None:
    """``limited``: feeders with a limit on what they feed in; ``sensitivity``: what feeders load each point with."""
    here, limits = model.scenario, data.tables["feeders"].get("feed_in", {})
    model.limited = {f for f in model.feeder if is_finite(limits.get((here, f), math.inf))}
    if "feed_in" in data.tables["feeders"]:
        model.feed_in = data.param("feeders", "feed_in")
    model.sensitivity = {c: {} for s, c in keys(data, "points") if s == here}
    if model.sensitivity:
        model.point_rating, model.weight = data.param("points", "rating"), data.param("sensitivities", "sensitivity")
    for c, f in keys(data, "sensitivities"):
        if c in model.sensitivity and f in model.feeder:
            model.sensitivity[c][f] = model.weight[c, f]


def fleets(data: Any, model: pyo.ConcreteModel, offers: str) -> None:
    """Units are fleets: ``home``, ``owner``, ``baseline``, ``offer``, ``headroom``, in sorted order of their names.

    A fleet may charge with all its vehicles that are plugged in, whatever its habit. ``offers``: 'whole' takes
    baselines down to a multiple of ``offer_step``, 'continuous' and 'lots' offer all of them, 'lots' in indivisible
    parts (``lots``).
    """
    here = model.scenario
    names = sorted(u for s, u in keys(data, "fleets") if s == here)
    if not names:
        raise Refused(f"fleets.csv has no fleet in scenario '{here}'; vehicles are cleared by the structure 'vehicles'")
    table = data.tables["fleets"]
    model.vehicles, model.charger = data.param("fleets", "vehicles"), data.param("fleets", "charger")
    model.declared, model.plugged = data.param("baselines", "energy"), data.param("baselines", "plugged_in")
    model.offer_step = data.param("parameters", "offer_step")
    model.home = {u: table.at[(here, u), "feeder"] for u in names}
    model.owner = {u: table.at[(here, u), "aggregator"] for u in names}
    model.baseline = {(u, t): model.declared[here, u, t] for s, u, t in keys(data, "baselines") if s == here}
    model.offer = {place: offered(model, s, offers) for place, s in model.baseline.items()}
    model.headroom = {(u, t): _headroom(model, u, t) for u in names for t in model.period}
    if "lot" in table:
        model.lot = data.param("fleets", "lot")
    model.lots = {(u, t): _lot(model, here, u, t) for u, t in model.offer if offers == "lots"}


def _lot(model: pyo.ConcreteModel, here: str, u: str, t: str) -> Any:
    """The lot of a fleet, or what one of its chargers delivers in the period, kWh."""
    given = model.lot[here, u]
    return given + positive(1 - given / TINY) * model.charger[here, u] * model.duration[t]


def offered(model: pyo.ConcreteModel, baseline: Any, offers: str) -> Any:
    """What is offered of a baseline: whole steps ('whole') or all of it; nothing below the minimum bid."""
    step = model.offer_step
    quantity = step * pyo.floor(baseline / step + WHOLE) if offers == "whole" else baseline
    enough = pyo.floor(quantity / (model.minimum_bid + TINY) + WHOLE)  # at least 1 from the minimum bid on
    return quantity * (1 - positive(1 - enough))


def chargeable(model: pyo.ConcreteModel, u: str, t: str) -> Any:
    """Pmax N_t dt: what a fleet's vehicles that are plugged in can charge (all, where the table does not say), kWh."""
    here, count = model.scenario, model.vehicles[model.scenario, u]
    if (here, u, t) in model.plugged and is_finite(pyo.value(model.plugged[here, u, t])):
        count = model.plugged[here, u, t]
    return count * model.charger[here, u] * model.duration[t]


def _headroom(model: pyo.ConcreteModel, u: str, t: str) -> Any:
    """Pmax N_t dt - s, kWh."""
    return positive(chargeable(model, u, t) - model.baseline.get((u, t), 0.0))


def vehicles(data: Any, model: pyo.ConcreteModel, offers: str) -> None:
    """Units are vehicles, which charge while they are plugged in. ``offers``: 'continuous' gives back any part of what
    was planned for a period, 'whole' any part of the whole steps in it, 'lots' all of it or nothing.

    A minimum bid is asked of fleets alone.
    """
    here = model.scenario
    table, names = data.tables["vehicles"], sorted(keys(data, "vehicles"))
    owners = data.tables["portfolios"]["aggregator"]
    model.charger, model.declared = data.param("vehicles", "charger"), data.param("charging", "energy")
    model.home = {u: table.at[u, "feeder"] for u in names}
    model.owner = {u: owners[here, table.at[u, "portfolio"]] for u in names}
    order = {t: k for k, t in enumerate(model.period)}
    periods = list(model.period)
    model.baseline = {place: model.declared[place] for place in keys(data, "charging")}
    model.offer_step = data.param("parameters", "offer_step")
    step = model.offer_step
    whole = {place: step * pyo.floor(s / step + WHOLE) for place, s in model.baseline.items() if offers == "whole"}
    model.offer = whole or dict(model.baseline)
    model.lots = dict(model.baseline) if offers == "lots" else {}
    model.headroom = {}
    for u, first, last in zip(table.index, table["arrival"], table["departure"], strict=True):
        for t in periods[order[first] : order[last]]:
            full = model.charger[u] * model.duration[t]
            model.headroom[u, t] = full - model.baseline[u, t] if (u, t) in model.baseline else full


def network(model: pyo.ConcreteModel, planned: Callable[[str, str], Any] | None = None) -> None:
    """Net load before clearing, requirement and room of every day, feeder and period, kWh.

    planned(f, t): charging at a feeder, the units' baselines if not given. net = L dt + charging; requirement O =
    max(0, net - K dt), room R = max(0, K dt - net).
    """
    charging: dict[tuple[str, str], list[Any]] = {}
    for (u, t), s in model.baseline.items():
        charging.setdefault((model.home[u], t), []).append(s)

    model.net, model.requirement, model.room = {}, {}, {}
    for f, t in product(model.feeder, model.period):
        total = planned(f, t) if planned else sum(charging.get((f, t), ()))
        for d in model.day:
            net, most = model.inflexible[d, f, t] * model.duration[t] + total, capacity(model, f, t)
            model.net[d, f, t] = net
            model.requirement[d, f, t] = positive(net - (1 + ROUNDING) * most)
            model.room[d, f, t] = positive((1 - ROUNDING) * most - net)
    _feed_in(model)
    _points(model)


def _feed_in(model: pyo.ConcreteModel) -> None:
    """``raised``: by day, feeder and period how much more load is needed, ``fall``: by how much it may fall, kWh.

    Both empty where no feeder of the scenario limits what it feeds in.
    """
    model.raised, model.fall, here = {}, {}, model.scenario
    if not model.limited:
        return
    for f, t in product(model.feeder, model.period):
        limited = f in model.limited
        for d in model.day:
            place = (d, f, t)
            deepest = model.feed_in[here, f] * model.duration[t] if limited else 0.0
            model.raised[place] = positive(-model.net[place] - (1 + ROUNDING) * deepest) if limited else 0.0
            left = model.net[place] - model.requirement[place]  # load that stays: it may fall to the limit
            model.fall[place] = positive(left + (1 - ROUNDING) * deepest) if limited else 0.0


def _points(model: pyo.ConcreteModel) -> None:
    """``point_load``, ``point_excess`` and ``point_most`` of every day, point and period, kWh; empty without points."""
    model.point_load, model.point_excess, model.point_most, here = {}, {}, {}, model.scenario
    for d, t in product(model.day, model.period):
        for c, weight in model.sensitivity.items():
            load = sum(g * model.net[d, f, t] for f, g in weight.items())
            relieved = sum(g * model.requirement[d, f, t] for f, g in weight.items())
            model.point_load[d, c, t] = load
            capable = model.point_rating[here, c] * model.duration[t]
            model.point_excess[d, c, t] = load - relieved - (1 + AT_A_POINT) * capable
        for c in model.sensitivity:
            model.point_most[d, c, t] = _most(model, d, c, t)


def _most(model: pyo.ConcreteModel, day: str, point: str, t: str) -> Any:
    """The most that is bought for a point: what it needs, or what others may need from its feeders if that is more."""
    for_others: Any = 0.0
    for f, g in model.sensitivity[point].items():
        largest: Any = 0.0
        for c, weight in model.sensitivity.items():
            if c != point and f in weight:
                largest = larger(largest, positive(model.point_excess[day, c, t]) / weight[f])
        for_others += g * largest
    return larger(positive(model.point_excess[day, point, t]), for_others)


def larger(x: Any, y: Any) -> Any:
    """max(x, y) for expressions of Params."""
    return (x + y + abs(x - y)) / 2


def capacity(model: pyo.ConcreteModel, feeder: str, t: str) -> Any:
    """K dt: energy that a feeder's transformer carries in a period, kWh."""
    return model.rating[model.scenario, feeder] * model.duration[t]


def limits(model: pyo.ConcreteModel, day: str, **others: Any) -> Limits:
    """What the operator faces on one day, from the model's requirement, room, offers and headroom.

    others: any of these replaced, as a strategic aggregator's decisions do.
    """
    places = [(f, t) for f in model.feeder for t in model.period]
    given: dict[str, Any] = dict(
        requirement={place: model.requirement[(day, *place)] for place in places},
        room={place: model.room[(day, *place)] for place in places},
        offer=model.offer,
        headroom=model.headroom,
        markup={u: model.markup[model.scenario, a] for u, a in model.owner.items()},
        lot={place: size for place, size in model.lots.items() if place in others.get("offer", model.offer)},
        feed_in=_limits_of_feed_in(model, day, places),
        points=_limits_of_points(model, day),
    )
    return Limits(**given | others)


def _limits_of_feed_in(model: pyo.ConcreteModel, day: str, places: list[tuple[str, str]]) -> FeedIn | None:
    if not model.raised:
        return None
    return FeedIn(*({place: part[(day, *place)] for place in places} for part in (model.raised, model.fall)))


def _limits_of_points(model: pyo.ConcreteModel, day: str) -> Points | None:
    if not model.sensitivity:
        return None
    parts = (
        {(c, t): x for (d, c, t), x in part.items() if d == day} for part in (model.point_excess, model.point_most)
    )
    return Points(model.sensitivity, *parts)


def positive(x: Any) -> Any:
    """max(0, x) for an expression of Params."""
    return (x + abs(x)) / 2
