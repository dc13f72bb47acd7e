"""Limits beyond a feeder's rating: how much a feeder may feed in, and congestion points that several feeders load.

**Feed-in.** Where the net load would fall below ``-F dt``, the operator buys that vehicles charge *more* there, X =
max(0, -F dt - net). A unit raises its charging there and reduces it in other periods (``give``), in which the net load
may fall by D = net - O + F dt:

    sum_u lift_ut + curtailed_t = X_t,   lift_ut <= add_ut,   sum_t give_ut <= sum_t lift_ut,   sum_u give_ut <= D_t

So what is given up elsewhere never exceeds what was lifted: nothing is moved for its price alone. What is shifted out
of overloaded periods may be paid back in these, and then counts.

**Points.** Feeder f loads point c with g_cf of its net load. What feeders need for themselves is bought as before; more
(``extra``) is bought for points:

    sum_f g_cf (extra_ft + sum_u (give_ut - add_ut)) >= E_ct,   sum_f g_cf extra_ft <= max(E_ct, need of other points)

with E_ct the load of the point beyond its rating once feeders have bought for themselves (negative: room).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

Place = tuple[str, str]


@dataclass(frozen=True)
class FeedIn:
    """By (feeder, period), kWh: required[f, t] more load, fall[f, t] by which the net load may fall elsewhere."""

    required: Mapping[Place, Any]
    fall: Mapping[Place, Any]


@dataclass(frozen=True)
class Points:
    """sensitivity[c][f]; excess[c, t] (negative: room) and most[c, t] that may be bought for the point, kWh."""

    sensitivity: Mapping[str, Mapping[str, Any]]
    excess: Mapping[Place, Any]
    most: Mapping[Place, Any]


def state_feed_in(block: Any, feed_in: FeedIn, offer: Mapping[Place, Any], home: Mapping[str, str]) -> None:
    """Variables and rows of feed-in limits; the balance of units and the payoff are stated with the clearing."""
    places = list(feed_in.required)
    block.give = pyo.Var(list(offer), within=pyo.NonNegativeReals)
    block.lift = pyo.Var(list(block.add), within=pyo.NonNegativeReals)
    block.curtailed = pyo.Var(places, within=pyo.NonNegativeReals)
    lifted, given = by_place(block.lift, home), by_place(block.give, home)
    block.offered_once = pyo.Constraint(list(offer), rule=lambda b, *k: b.cut[k] + b.give[k] <= offer[k])
    block.lift_charges = pyo.Constraint(list(block.add), rule=lambda b, *k: b.lift[k] - b.add[k] <= 0)
    block.feed_in = pyo.Constraint(
        places,
        rule=lambda b, *f: pyo.quicksum(lifted.get(f, ())) + b.curtailed[f] == feed_in.required[f],
    )
    block.falls = pyo.Constraint(list(given), rule=lambda b, *f: pyo.quicksum(given[f]) <= feed_in.fall[f])
    taken, raised = by_unit(block.give), by_unit(block.lift)
    block.paired = pyo.Constraint(
        list(taken), rule=lambda b, u: pyo.quicksum(taken[u]) - pyo.quicksum(raised.get(u, ())) <= 0
    )


def state_points(block: Any, points: Points, home: Mapping[str, str]) -> None:
    """Rows of points above feeders; ``extra[f, t]`` enters the feeders' own rows."""
    added, give = by_place(block.add, home), block.component("give")
    given = {} if give is None else by_place(give, home)

    def relieved(f: Place) -> Any:
        return block.extra[f] + pyo.quicksum(given.get(f, ())) - pyo.quicksum(added.get(f, ()))

    used: dict[Place, list[tuple[Any, Place]]] = {
        (c, t): [(weight, (f, t)) for f, weight in points.sensitivity[c].items()] for c, t in points.excess
    }
    block.point = pyo.Constraint(
        list(points.excess),
        rule=lambda b, *c: pyo.quicksum(g * relieved(f) for g, f in used[c]) >= points.excess[c],
    )
    block.point_purchase = pyo.Constraint(
        list(points.excess), rule=lambda b, *c: pyo.quicksum(g * b.extra[f] for g, f in used[c]) <= points.most[c]
    )


def by_place(variable: Any, home: Mapping[str, str]) -> dict[Place, list[Any]]:
    """Members of a Var by (unit, period), by the unit's feeder and the period."""
    found: dict[Place, list[Any]] = {}
    for (u, t), member in variable.items():
        found.setdefault((home[u], t), []).append(member)
    return found


def by_unit(variable: Any) -> dict[str, list[Any]]:
    """Members of a Var by (unit, period), by unit."""
    found: dict[str, list[Any]] = {}
    for (u, _), member in variable.items():
        found.setdefault(u, []).append(member)
    return found
