"""The operator's clearing of flexibility bids on one day: a linear programme, one player.

    min  sum_u [ sum_t (m_a(u) - pi_t) cut_ut + sum_p pi_p add_up ] + c_alt sum_ft unserved_ft
    s.t. sum_{u at f} cut_ut + unserved_ft  = O_ft      relief: exactly the requirement is bought
         sum_{u at f} add_ut               <= R_ft      payback: what was shifted makes no new congestion
         sum_t cut_ut = sum_t add_ut                    balance: every kWh taken away comes back
         0 <= cut_ut <= offer_ut,  0 <= add_ut <= headroom_ut,  unserved_ft >= 0

A unit u is a fleet or a vehicle at feeder f of aggregator a. A bid (t to p) of unit u costs m_a + pi_p - pi_t per kWh:
the wholesale difference is signed, so a truthful bid may be negative. It is additive in t and p, so pairs of hours are
not needed. O or R is zero in every hour, so bids reduce in congested hours and pay back in others, whatever the
numbers; the shape of the programme never depends on them.

Limits on feed-in and congestion points above feeders add to this (``congestion``). Offers may be indivisible
(``lot``): then more than the requirement may have to be bought, sum cut + unserved = O + surplus, with a surplus
smaller than any accepted lot (``_in_lots``).

Everything that limits the clearing is handed in (``Limits``): numbers, expressions of Params, or of Vars that somebody
else decides before (a strategic aggregator's baseline and mark-up).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyomo.environ as pyo

from .congestion import FeedIn, Points, by_place, by_unit, state_feed_in, state_points

WHOLE = 1e-9  # an offer so close below a whole number of lots counts as that number
TINY = 1e-15  # kWh
STRICTLY = 1 - 1e-6  # a surplus smaller than a lot by this factor: the lot could not be left out

Unit = str
Period = str
Feeder = str


@dataclass(frozen=True)
class Limits:
    """What an operator faces on one day. Every value is a number, or an expression of Params or of others' Vars.

    requirement[f, t] and room[f, t] [kWh], one of them zero in every period; offer[u, t] and headroom[u, t] [kWh],
    absent where a unit offers nothing; markup[u] [EUR/kWh]. lot[u, t] [kWh]: offers are accepted in whole lots only;
    empty: any part of them is. feed_in, points: limits beyond the feeders' ratings, None where there are none.
    """

    requirement: Mapping[tuple[Feeder, Period], Any]
    room: Mapping[tuple[Feeder, Period], Any]
    offer: Mapping[tuple[Unit, Period], Any]
    headroom: Mapping[tuple[Unit, Period], Any]
    markup: Mapping[Unit, Any]
    lot: Mapping[tuple[Unit, Period], Any] = field(default_factory=dict)
    feed_in: FeedIn | None = None
    points: Points | None = None


def clear(block: Any, model: Any, home: Mapping[Unit, Feeder], limits: Limits) -> None:
    """State the clearing on ``block``, which becomes a player that minimises what relief costs, EUR.

    model has ``price[t]`` (EUR/kWh) and ``alternative_cost`` (EUR/kWh). home: the feeder of every unit.
    """
    relief, cuts, adds = list(limits.requirement), list(limits.offer), list(limits.headroom)
    block.cut = pyo.Var(cuts, within=pyo.NonNegativeReals)
    block.add = pyo.Var(adds, within=pyo.NonNegativeReals)
    block.unserved = pyo.Var(relief, within=pyo.NonNegativeReals)
    limit(block, "offered", block.cut, limits.offer)
    limit(block, "chargeable", block.add, limits.headroom)
    bought, raised = by_place(block.cut, home), by_place(block.add, home)
    more: list[Any] = []  # what is bought beyond the requirement
    if limits.lot:
        _in_lots(block, limits, home)
        more.append(block.surplus)
    if limits.feed_in:
        state_feed_in(block, limits.feed_in, limits.offer, home)
    if limits.points:
        block.extra = pyo.Var(relief, within=pyo.NonNegativeReals)
        state_points(block, limits.points, home)
        more.append(block.extra)
    block.relief = pyo.Constraint(
        relief,
        rule=lambda b, *f: (
            pyo.quicksum(bought.get(f, ())) + b.unserved[f] - sum(beyond[f] for beyond in more) == limits.requirement[f]
        ),
    )
    block.payback = pyo.Constraint(
        [place for place in limits.room if place in raised],
        rule=lambda b, *f: pyo.quicksum(raised[f]) <= limits.room[f],
    )
    reductions = [block.cut, block.give] if limits.feed_in else [block.cut]
    given, taken = [by_unit(variable) for variable in reductions], by_unit(block.add)
    block.balance = pyo.Constraint(
        [u for u in home if u in given[0] or u in taken],
        rule=lambda b, u: (
            pyo.quicksum(q for part in given for q in part.get(u, ())) - pyo.quicksum(taken.get(u, ())) == 0
        ),
    )
    missing = [*block.unserved.values(), *(block.curtailed.values() if limits.feed_in else ())]
    block.shortage_cost = pyo.Expression(expr=model.alternative_cost * pyo.quicksum(missing))
    block.cost = pyo.Objective(expr=_asked(block, model, limits, reductions) + block.shortage_cost)


def _in_lots(block: Any, limits: Limits, home: Mapping[Unit, Feeder]) -> None:
    """Offers are accepted in whole lots. More than the requirement may be bought, but so much less than the smallest
    accepted lot that none could be left out; nothing is bought where nothing is required.

        cut = lot count,  count <= offer / lot,  surplus <= lot where taken,  surplus <= (all offers) [O > 0]
    """
    most = {k: pyo.floor(limits.offer[k] / (size + TINY) + WHOLE) for k, size in limits.lot.items()}
    places = {(u, t): (home[u], t) for u, t in limits.lot}
    total: dict[tuple[Feeder, Period], Any] = {}
    for k, place in places.items():
        total[place] = total.get(place, 0.0) + limits.offer[k]
    block.count = pyo.Var(list(limits.lot), within=pyo.NonNegativeIntegers)
    block.taken = pyo.Var(list(limits.lot), within=pyo.Binary)
    block.surplus = pyo.Var(list(limits.requirement), within=pyo.NonNegativeReals)
    for k, number in most.items():
        block.count[k].setub(number)
    for place, needed in limits.requirement.items():
        block.surplus[place].setub(total[place] * needed / (needed + TINY) if place in total else 0.0)
    block.lots = pyo.Constraint(list(limits.lot), rule=lambda b, *k: b.cut[k] - limits.lot[k] * b.count[k] == 0)
    block.started = pyo.Constraint(list(limits.lot), rule=lambda b, *k: b.count[k] - most[k] * b.taken[k] <= 0)
    block.needed = pyo.Constraint(
        list(limits.lot),
        rule=lambda b, *k: b.surplus[places[k]] - STRICTLY * limits.lot[k] + total[places[k]] * (b.taken[k] - 1) <= 0,
    )


def _asked(block: Any, model: Any, limits: Limits, reductions: list[Any]) -> Any:
    """What accepted bids ask for: the wholesale difference of what was moved, and mark-ups.

    Added up by period and by mark-up: sums of Vars are read many times faster than as many products.
    """
    added, taken = _at([block.add]), _at(reductions)
    markups, accepted = {}, {}  # by identity: units of one aggregator share the mark-up
    for variable in reductions:
        for (u, _), q in variable.items():
            markups[id(limits.markup[u])] = limits.markup[u]
            accepted.setdefault(id(limits.markup[u]), []).append(q)
    wholesale = pyo.quicksum(
        model.price[t] * (pyo.quicksum(added.get(t, ())) - pyo.quicksum(taken.get(t, ())))
        for t in dict.fromkeys([*added, *taken])
    )
    return wholesale + pyo.quicksum(m * pyo.quicksum(accepted[k]) for k, m in markups.items())


def _at(variables: list[Any]) -> dict[Period, list[Any]]:
    found: dict[Period, list[Any]] = {}
    for variable in variables:
        for (_, t), q in variable.items():
            found.setdefault(t, []).append(q)
    return found


def limit(block: Any, name: str, variable: Any, limits: Mapping[Any, Any]) -> None:
    """variable[k] <= limits[k]: a bound where the limit is a number, rows ``name`` where somebody else decides it."""
    decided = [k for k, most in limits.items() if pyo.is_potentially_variable(most)]
    for k, most in limits.items():
        if not pyo.is_potentially_variable(most):
            variable[k].setub(most)
    if decided:
        block.add_component(name, pyo.Constraint(decided, rule=lambda b, *k: variable[k] <= limits[k]))
