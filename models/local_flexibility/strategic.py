"""A strategic aggregator: it declares a baseline, and asks for a mark-up, with the operator's clearing in mind.

It moves first, before the load of the day is known; on every day the operator then clears all bids at least cost (the
same programme as everywhere, ``clearing``). At a given mark-up m it solves

    max  sum_d P_d m Q_d - sum_ut pi_t b_ut
    s.t. sum_t b_ut = energy of the fleet,  0 <= b_ut <= U_ut
         O_dft - R_dft = L_dft dt + rivals' baselines + sum_u b_ut - K_f dt
         0 <= O_dft <= most z_dft,  0 <= R_dft <= room (1 - z_dft),  z binary
         Q_d = what the operator takes from it on day d: an answer to (O_d, R_d, b, m)

Payments at bid prices less the wholesale cost of what is charged in the end leave m Q - pi b: the wholesale difference
of a bid is what its shift costs. Net load above or below the rating decides which hours are congested, and so who may
bid where; that is one binary of the aggregator per hour, and the clearing keeps its shape. Where the operator is
indifferent the aggregator is taken first (optimistic), as in any formulation by conditions of optimality.

Its offers are continuous; whole steps are asked of the others (option ``offers``).

Options of the same model are remedies. ``delivery=penalised`` (``delivery``): what was declared, not taken by the
operator and not charged costs a penalty. ``settlement=vcg``: it bids truthfully, which is its best bid under any
baseline, and is paid what its bids save, so it maximises

    sum_d P_d (cost of clearing without its bids - cost of clearing) - sum_ut pi_t b_ut
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Refused

from . import delivery as delivering
from . import setting
from .clearing import Limits, clear
from .outcome import Outcome, clear_at, rents
from .settlement import bids


def strategic(
    data: Any, aggregator: str, scenario: str = "", offers: str = "whole", **options: Any
) -> pyo.ConcreteModel:
    """One aggregator chooses the baselines of its fleets at its mark-up in ``aggregators.csv``; the operator follows.

    options: see ``state``. ``leader.charge[u, t]`` kWh; ``operator[d]`` the clearing of each day, ``alone[d]`` (vcg)
    the one without its bids. Raises Refused for an unknown aggregator, and where the scenario limits feed-in or has
    congestion points above feeders: there the leader's choice of congested hours is not written down.
    """
    model = state(data, aggregator, scenario, offers, **options)
    if model.limited or model.sensitivity:
        raise Refused(
            f"scenario '{model.scenario}' limits feed-in or has congestion points above its feeders; a strategic "
            "aggregator is stated for ratings of feeders only"
        )
    return model


def state(
    data: Any,
    aggregator: str,
    scenario: str = "",
    offers: str = "whole",
    delivery: str = "enforced",
    settlement: str = "pay_as_bid",
    penalty: float = 0.0,
    markup_cap: float = inf,
) -> pyo.ConcreteModel:
    """The same without looking at what it leaves out. penalty: on what is left out, EUR/kWh, where ``delivery`` is
    penalised; markup_cap: no more is asked, EUR/kWh."""
    model = setting.setting(data, scenario)
    setting.fleets(data, model, offers)
    if aggregator not in model.aggregator:
        raise Refused(f"there is no aggregator '{aggregator}' in scenario '{model.scenario}' of aggregators.csv")
    model.strategist, model.settlement = aggregator, settlement
    model.asked = _asked(model, markup_cap)
    model.operator = pyo.Block(model.day)
    lead(model, data)
    for d in model.day:
        clear(model.operator[d], model, model.home, _limits(model, d))
    if settlement == "vcg":
        model.alone = pyo.Block(model.day)
        for d in model.day:
            clear(model.alone[d], model, model.home, _without_own(model, _limits(model, d)))
    model.leader.accepted = pyo.Expression(model.day, rule=lambda b, d: accepted(model, d))
    if delivery == "penalised":
        delivering.allow(model, data, penalty)
    _profit(model)
    model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    model.stage[model.leader] = 1
    for block in (*model.operator.values(), *(model.alone.values() if settlement == "vcg" else ())):
        model.stage[block] = 2
    return model


def _asked(model: Any, cap: float) -> Any:
    """The mark-up that the aggregator asks, EUR/kWh: none if it is paid what it saves."""
    if model.settlement == "vcg":
        return 0.0
    asked = model.markup[model.scenario, model.strategist]
    return asked if pyo.value(asked) <= cap else cap


def lead(model: Any, data: Any) -> None:
    """State what the aggregator decides on ``leader``: baselines, and with them requirement and room."""
    here = model.scenario
    mine = [u for u, a in model.owner.items() if a == model.strategist]
    model.energy = data.param("fleets", "energy")
    if setting.keys(data, "envelopes"):
        model.envelope = data.param("envelopes", "energy")
    model.leader = leader = pyo.Block()
    leader.charge = pyo.Var(mine, model.period, within=pyo.NonNegativeReals)
    for u, t in leader.charge:
        leader.charge[u, t].setub(most(model, u, t))
    leader.served = pyo.Constraint(
        mine,
        rule=lambda b, u: sum(b.charge[u, t] for t in model.period) == model.energy[here, u] * model.vehicles[here, u],
    )
    places = [(d, f, t) for d in model.day for f in model.feeder for t in model.period]
    leader.requirement = pyo.Var(places, within=pyo.NonNegativeReals)
    leader.room = pyo.Var(places, within=pyo.NonNegativeReals)
    leader.congested = pyo.Var(places, within=pyo.Binary)
    leader.balance, leader.over, leader.under = (pyo.Constraint(places) for _ in range(3))
    for d, f, t in places:
        given, own = _charging(model, mine, f, t)
        excess = model.inflexible[d, f, t] * model.duration[t] + given - setting.capacity(model, f, t)
        largest = setting.positive(excess + sum(most(model, u, t) for u in own))
        spare = setting.positive(-excess)
        leader.requirement[d, f, t].setub(largest)
        leader.room[d, f, t].setub(spare)
        z = leader.congested[d, f, t]
        leader.balance[d, f, t] = leader.requirement[d, f, t] - leader.room[d, f, t] == excess + sum(
            leader.charge[u, t] for u in own
        )
        leader.over[d, f, t] = leader.requirement[d, f, t] <= largest * z
        leader.under[d, f, t] = leader.room[d, f, t] <= spare * (1 - z)


def most(model: Any, u: str, t: str) -> Any:
    """U: the most that a fleet charges of its own accord in a period, kWh."""
    here = model.scenario
    if model.component("envelope") is not None and (here, u, t) in model.envelope:
        return model.envelope[here, u, t]
    return model.vehicles[here, u] * model.charger[here, u] * model.duration[t]


def _charging(model: Any, mine: list[str], f: str, t: str) -> tuple[Any, list[str]]:
    """(the others' baselines at a feeder, own units there)."""
    others = sum(s for (u, p), s in model.baseline.items() if p == t and model.home[u] == f and u not in mine)
    return others, [u for u in mine if model.home[u] == f]


def _limits(model: Any, d: str) -> Limits:
    leader, here = model.leader, model.scenario
    places = [(f, t) for f in model.feeder for t in model.period]
    offer = {k: s for k, s in model.offer.items() if model.owner[k[0]] != model.strategist}
    headroom = {k: s for k, s in model.headroom.items() if model.owner[k[0]] != model.strategist}
    for u, t in leader.charge:
        offer[u, t] = leader.charge[u, t]
        headroom[u, t] = setting.chargeable(model, u, t) - leader.charge[u, t]
    asked = {a: model.markup[here, a] for a in model.aggregator} | {model.strategist: model.asked}
    return Limits(
        requirement={(f, t): leader.requirement[d, f, t] for f, t in places},
        room={(f, t): leader.room[d, f, t] for f, t in places},
        offer=offer,
        headroom=headroom,
        markup={u: asked[a] for u, a in model.owner.items()},
    )


def _without_own(model: Any, limits: Limits) -> Limits:
    """The same without the aggregator's bids; it keeps its baseline."""

    def others(part: Any) -> dict[Any, Any]:
        return {k: most for k, most in part.items() if model.owner[k[0]] != model.strategist}

    return replace(limits, offer=others(limits.offer), headroom=others(limits.headroom))


def accepted(model: Any, d: str) -> Any:
    """Q: what the operator takes of the aggregator's offers on a day, kWh."""
    return sum(q for (u, _), q in model.operator[d].cut.items() if model.owner[u] == model.strategist)


def _profit(model: Any) -> None:
    leader, here = model.leader, model.scenario
    chance = {d: model.probability[here, d] for d in model.day}
    if model.settlement == "vcg":
        income = sum(chance[d] * (model.alone[d].cost - model.operator[d].cost) for d in model.day)
    else:
        income = model.asked * sum(chance[d] * leader.accepted[d] for d in model.day)
    leader.income = pyo.Expression(expr=income)
    leader.bill = pyo.Expression(expr=sum(model.price[t] * leader.charge[u, t] for u, t in leader.charge))
    gained = delivering.gain(model) if leader.component("missing") is not None else 0.0
    leader.profit = pyo.Objective(expr=leader.income - leader.bill + gained, sense=pyo.maximize)


def report(solved: Any) -> Iterator[tuple[str, str, float, str]]:
    """(quantity, index, value, unit): what the aggregator declares and earns, and the same after clearing once more.

    ``profit cleared again`` and the operator's cost come from the plain clearing with the baselines found, ties split
    pro rata; where bids of others tie with its own it may be less than ``profit``, which has them broken its way.
    """
    model = solved.model
    leader, a = model.leader, model.strategist
    again = cleared_again(solved)
    honest = _cleared(solved, cheapest(model))
    for (u, t), s in planned(model).items():
        yield "declared", f"fleet={u};period={t}", s, "kWh"
    paid = payments(solved, again)
    for d in model.day:
        yield "accepted", f"aggregator={a};day={d}", float(pyo.value(leader.accepted[d])), "kWh"
        yield "operator cost", f"day={d}", _cost(again, paid, d), "EUR"
    yield "expected operator cost", "", sum(again.chance(d) * _cost(again, paid, d) for d in model.day), "EUR"
    less = delivering.saved(model) if leader.component("missing") is not None else 0.0
    yield "expected social cost", "", again.social_cost() - less, "EUR"
    yield "profit", f"aggregator={a}", float(pyo.value(leader.profit)), "EUR"
    if leader.component("missing") is not None:
        yield from delivering.report(model, again)
    elif model.settlement == "pay_as_bid":
        yield "profit cleared again", f"aggregator={a}", again.profit(a), "EUR"
        yield "honest profit", f"aggregator={a}", honest.profit(a), "EUR"
    yield "honest profit without market", f"aggregator={a}", -honest.bill(a), "EUR"
    yield "honest operator cost", "", honest.operator_cost(), "EUR"


def payments(solved: Any, again: Outcome) -> dict[str, dict[str, float]]:
    """By day what each aggregator is paid for relief, EUR: its bids, with settlement=vcg also what they save."""
    model = solved.model
    paid = {d: bids(again.model, dispatch) for d, dispatch in again.dispatch.items()}
    if model.settlement == "vcg":
        who, offers = model.strategist, solved.alternative.options["offers"]
        for (d, a), rent in rents(solved.data, again, offers, {who: planned(model)}, {who: 0.0}).items():
            paid[d][a] += rent
    return paid


def _cost(again: Outcome, paid: dict[str, dict[str, float]], d: str) -> float:
    """What the operator pays on a day, and shortage, EUR."""
    return sum(paid[d].values()) + again.dispatch[d].missing * float(pyo.value(again.model.alternative_cost))


def cheapest(model: Any) -> dict[tuple[str, str], float]:
    """The least-cost baselines of the aggregator's fleets within their envelopes: cheapest periods first, the earlier
    one of equally dear ones (the answer of the structure ``competitive``)."""
    order = sorted(model.period, key=lambda t: float(pyo.value(model.price[t])))
    plan: dict[tuple[str, str], float] = {}
    for u in dict.fromkeys(u for u, _ in model.leader.charge):
        left = float(pyo.value(model.energy[model.scenario, u] * model.vehicles[model.scenario, u]))
        for t in order:
            plan[u, t] = min(left, float(model.leader.charge[u, t].ub))
            left -= plan[u, t]
    return plan


def planned(model: Any) -> dict[tuple[str, str], float]:
    """The baselines found, kWh by (fleet, period)."""
    return {k: max(0.0, float(v.value)) for k, v in model.leader.charge.items()}


def cleared_again(solved: Any) -> Outcome:
    """The plain clearing with the baselines found."""
    return _cleared(solved, planned(solved.model))


def _cleared(solved: Any, plan: dict[tuple[str, str], float]) -> Outcome:
    model, a = solved.model, solved.model.strategist
    markups = {a: float(pyo.value(model.asked))}
    return clear_at(solved.data, model.scenario, solved.alternative.options["offers"], {a: plan}, markups)
