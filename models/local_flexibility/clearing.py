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

Everything that limits the clearing is handed in (``Limits``): numbers, expressions of Params, or of Vars that somebody
else decides before (a strategic aggregator's baseline and mark-up).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

Unit = str
Period = str
Feeder = str


@dataclass(frozen=True)
class Limits:
    """What an operator faces on one day. Every value is a number, or an expression of Params or of others' Vars.

    requirement[f, t] and room[f, t] [kWh], one of them zero in every period; offer[u, t] and headroom[u, t] [kWh],
    absent where a unit offers nothing; markup[u] [EUR/kWh].
    """

    requirement: Mapping[tuple[Feeder, Period], Any]
    room: Mapping[tuple[Feeder, Period], Any]
    offer: Mapping[tuple[Unit, Period], Any]
    headroom: Mapping[tuple[Unit, Period], Any]
    markup: Mapping[Unit, Any]


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
    reduced, raised = _by(cuts, home), _by(adds, home)
    block.relief = pyo.Constraint(
        relief,
        rule=lambda b, f, t: (
            pyo.quicksum(b.cut[u, t] for u in reduced.get((f, t), ())) + b.unserved[f, t] == limits.requirement[f, t]
        ),
    )
    block.payback = pyo.Constraint(
        [place for place in limits.room if place in raised],
        rule=lambda b, f, t: pyo.quicksum(b.add[u, t] for u in raised[f, t]) <= limits.room[f, t],
    )
    given, taken = _by_unit(cuts), _by_unit(adds)
    block.balance = pyo.Constraint(
        list(home),
        rule=lambda b, u: (
            pyo.quicksum(b.cut[u, t] for t in given.get(u, ())) - pyo.quicksum(b.add[u, t] for t in taken.get(u, ()))
            == 0
            if u in given or u in taken
            else pyo.Constraint.Skip
        ),
    )
    block.bid_cost = pyo.Expression(
        list(home),
        rule=lambda b, u: (
            pyo.quicksum((limits.markup[u] - model.price[t]) * b.cut[u, t] for t in given.get(u, ()))
            + pyo.quicksum(model.price[t] * b.add[u, t] for t in taken.get(u, ()))
        ),
    )
    block.shortage_cost = pyo.Expression(
        expr=model.alternative_cost * pyo.quicksum(block.unserved[place] for place in relief)
    )
    block.cost = pyo.Objective(expr=pyo.quicksum(block.bid_cost[u] for u in home) + block.shortage_cost)


def limit(block: Any, name: str, variable: Any, limits: Mapping[Any, Any]) -> None:
    """variable[k] <= limits[k]: a bound where the limit is a number, rows ``name`` where somebody else decides it."""
    decided = [k for k, most in limits.items() if pyo.is_potentially_variable(most)]
    for k, most in limits.items():
        if not pyo.is_potentially_variable(most):
            variable[k].setub(most)
    if decided:
        block.add_component(name, pyo.Constraint(decided, rule=lambda b, *k: variable[k] <= limits[k]))


def _by(keys: list[tuple[Unit, Period]], home: Mapping[Unit, Feeder]) -> dict[tuple[Feeder, Period], list[Unit]]:
    found: dict[tuple[Feeder, Period], list[Unit]] = {}
    for u, t in keys:
        found.setdefault((home[u], t), []).append(u)
    return found


def _by_unit(keys: list[tuple[Unit, Period]]) -> dict[Unit, list[Period]]:
    found: dict[Unit, list[Period]] = {}
    for u, t in keys:
        found.setdefault(u, []).append(t)
    return found
