"""Declared charging that does not take place, and a penalty on it.

A fleet declares more in a period than its vehicles there can take, or simply does not charge. On day d fleet u leaves
out f_udt of what it declared and the operator did not move:

    b_ut - cut_udt - real_ut <= f_udt <= b_ut - cut_udt,  f_udt >= 0

real is what is truly available (table ``availability``; without a row all that is declared). Energy left out is
charged in the cheapest period instead and pays the penalty rho, so it brings (pi_t - min pi - rho) f. Leaving out more
than one must is allowed: where rho is below a price difference it pays, even for honest baselines.

The operator does not foresee it. What arrives in the cheapest period may overload the network: reported, and priced at
the operator's alternative cost, beside its cost of clearing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyomo.environ as pyo

from equilibrium.scenarios import as_number, larger

from . import setting

Place = tuple[str, str]


def allow(model: Any, data: Any, penalty: float) -> None:
    """State on ``leader`` what it leaves out, ``missing[d, u, t]`` in kWh, at a penalty in EUR/kWh."""
    leader, here = model.leader, model.scenario
    model.penalty = penalty
    if setting.keys(data, "availability"):
        model.availability = data.param("availability", "energy")
    places = [(d, u, t) for d in model.day for u, t in leader.charge]
    leader.missing = pyo.Var(places, within=pyo.NonNegativeReals)
    leader.leftover, leader.shortfall = pyo.Constraint(places), pyo.Constraint(places)
    for d, u, t in places:
        leader.missing[d, u, t].setub(leader.charge[u, t].ub)
        kept = leader.charge[u, t] - model.operator[d].cut[u, t]
        leader.leftover[d, u, t] = leader.missing[d, u, t] <= kept
        if model.component("availability") is not None and (here, u, t) in model.availability:
            leader.shortfall[d, u, t] = leader.missing[d, u, t] >= kept - model.availability[here, u, t]


def cheapest_price(model: Any) -> float:
    """min pi, EUR/kWh."""
    return min(float(pyo.value(model.price[t])) for t in model.period)


def gain(model: Any) -> Any:
    """Expected gain from energy left out, penalty paid, EUR."""
    leader, here = model.leader, model.scenario
    least = cheapest_price(model)
    return sum(
        model.probability[here, d] * (model.price[t] - least - model.penalty) * f
        for (d, _, t), f in leader.missing.items()
    )


def expected_missing(model: Any) -> float:
    """Expected energy left out, kWh."""
    here = model.scenario
    return sum(
        float(pyo.value(model.probability[here, d])) * max(0.0, f.value)
        for (d, _, _), f in model.leader.missing.items()
    )


def report(model: Any, again: Any) -> Iterator[tuple[str, str, float, str]]:
    """(quantity, index, value, unit): energy left out by day, penalties, and the overload that it makes."""
    cost = float(pyo.value(model.alternative_cost))
    for d in model.day:
        left: dict[Place, float] = {}
        for (day, u, t), f in model.leader.missing.items():
            if day == d:
                left[u, t] = max(0.0, float(f.value))
        total = sum(left.values())
        extra = overload(again, d, left)
        yield "not delivered", f"day={d}", total, "kWh"
        yield "penalty", f"day={d}", total * float(pyo.value(model.penalty)), "EUR"
        yield "overload by non-delivery", f"day={d}", extra, "kWh"
        yield "cost of overload", f"day={d}", extra * cost, "EUR"
    yield "expected not delivered", "", expected_missing(model), "kWh"


def accounts(model: Any) -> list[tuple[str, str, float, str]]:
    """Payments for what is left out, in expectation: the penalty, and the cheaper energy."""
    if model.leader.component("missing") is None:
        return []
    who, less = f"aggregator {model.strategist}", saved(model)
    fine = expected_missing(model) * float(pyo.value(model.penalty))
    return [
        (who, "payment of penalty", -fine, "EUR"),
        ("operator", "payment of penalty", fine, "EUR"),
        (who, "payment for energy, charged later", less, "EUR"),
        ("wholesale market", "payment for energy, charged later", -less, "EUR"),
    ]


def saved(model: Any) -> float:
    """What charging in the cheapest period saves at wholesale prices, expected, EUR."""
    here, least = model.scenario, cheapest_price(model)
    return sum(
        float(pyo.value(model.probability[here, d] * (model.price[t] - least))) * max(0.0, float(f.value))
        for (d, _, t), f in model.leader.missing.items()
    )


def overload(again: Any, day: str, left: dict[Place, Any]) -> Any:
    """How far net loads exceed the ratings once what was left out arrives in the cheapest period, kWh.

    again: the clearing of the declared baselines; left: by (fleet, period).
    """
    model = again.model
    last = min(model.period, key=lambda t: as_number(pyo.value(model.price[t])))
    change: dict[Place, Any] = {}
    for (u, t), f in left.items():
        for place, size in (((model.home[u], t), -f), ((model.home[u], last), f)):
            change[place] = change.get(place, 0.0) + size
    return sum(
        larger(0.0, load + change.get(place, 0.0) - as_number(pyo.value(setting.capacity(model, *place))))
        for place, load in net_after(again, day).items()
    )


def net_after(again: Any, day: str) -> dict[Place, Any]:
    """Net load after clearing by (feeder, period), kWh; what the operator covers otherwise is taken off."""
    model, dispatch = again.model, again.dispatch[day]
    after = {(f, t): as_number(pyo.value(model.net[day, f, t])) for f in model.feeder for t in model.period}
    for sign, part in ((-1.0, dispatch.cut), (1.0, dispatch.add)):
        for (u, t), q in part.items():
            after[model.home[u], t] += sign * q
    for place, q in dispatch.unserved.items():
        after[place] -= q
    return after
