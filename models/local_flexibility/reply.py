"""A strategic aggregator's best reply at one mark-up and penalty, and how it changes with either.

At a given mark-up m and penalty rho the best profit is a certified answer of the structure ``strategic``. A plan earns

    profit = m Q + (a part without m) = (a part without rho) - rho F,

Q expected accepted and F expected missing energy. Q changes with m only at a rival's mark-up, at ``m_b + pi_p' - pi_p``
where a limit on headroom may bind, and where shortage is as cheap (``candidates``). In between the best profit is the
largest of finitely many straight lines: convex, and its corners, where the best plan changes, are found exactly by
cutting lines (``pieces``; Eisner and Severance, 1976, J. ACM 23). Profit does not fall in m between candidates and ties
are the aggregator's, so its best mark-up is a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Any

import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import Data, change
from equilibrium.errors import NotCertified

from . import delivery as delivering
from . import setting, strategic

SAME = 1e-8  # part of the money at stake by which two profits are one
APART = 1e-6  # EUR/kWh; changes of plan closer to each other, or to a candidate from above, are not looked for


@dataclass(frozen=True)
class Reply:
    """The best plan at a mark-up and a penalty. profit, bill: EUR; accepted, missing: expected kWh; plan: kWh by
    (fleet, period); verdict: of the certificate."""

    profit: float
    bill: float
    accepted: float
    missing: float
    plan: Mapping[tuple[str, str], float]
    verdict: str

    def moved(self, other: Reply) -> float:
        """Energy that the other plan has elsewhere, kWh."""
        return moved(self.plan, other.plan)


def moved(plan: Mapping[tuple[str, str], float], other: Mapping[tuple[str, str], float]) -> float:
    """Energy that stands elsewhere in the other plan of the same energy, kWh."""
    return sum(abs(plan.get(k, 0.0) - other.get(k, 0.0)) for k in {*plan, *other}) / 2


@dataclass(frozen=True)
class Asker:
    """Whose best reply is asked for, in which case and under which options of the structure ``strategic``."""

    data: Data
    aggregator: str
    scenario: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, data: Data, options: Mapping[str, Any]) -> Asker:
        """From the options of an alternative of the structure ``strategic``."""
        model = strategic.state(data, **options)
        rest = {k: v for k, v in options.items() if k not in ("aggregator", "scenario")}
        return cls(data, options["aggregator"], model.scenario, rest)

    def under(self, markup: float | None = None, penalty: float | None = None) -> Asker:
        """The same with another mark-up or penalty."""
        changes: dict[str, float] = {}
        if markup is not None:
            changes[f"aggregators.markup[{self.scenario},{self.aggregator}]"] = float(markup)
        options = dict(self.options) if penalty is None else {**self.options, "penalty": float(penalty)}
        return replace(self, data=change(self.data, changes), options=options)

    def model(self) -> pyo.ConcreteModel:
        """The aggregator's problem, not solved."""
        return strategic.state(self.data, self.aggregator, self.scenario, **self.options)

    def reply(self) -> Reply:
        """The best plan. Raises NotCertified where it is not certified, Refused."""
        model = strategic.strategic(self.data, self.aggregator, self.scenario, **self.options)
        solution = solve(model)
        if not solution.certificate.ok:
            raise NotCertified(f"the best reply of {self.aggregator} is not certified: {solution.certificate.scope}")
        leader, here = model.leader, model.scenario
        accepted = sum(float(pyo.value(model.probability[here, d] * leader.accepted[d])) for d in model.day)
        missing = delivering.expected_missing(model) if leader.component("missing") is not None else 0.0
        profit, bill = float(pyo.value(leader.profit)), float(pyo.value(leader.bill))
        return Reply(profit, bill, accepted, missing, strategic.planned(model), solution.certificate.verdict)


def largest_markup(asker: Asker) -> float:
    """The largest mark-up worth asking: the cap, or where all bids cost more than shortage, EUR/kWh."""
    model = asker.model()
    dearest = float(pyo.value(model.alternative_cost)) + _spread(model)
    return min(dearest, float(asker.options.get("markup_cap", inf)))


def _spread(model: Any) -> float:
    price = [float(pyo.value(model.price[t])) for t in model.period]
    return max(price) - min(price)


def candidates(asker: Asker) -> list[float]:
    """Mark-ups among which a best one lies, rising, EUR/kWh.

    The largest one; rivals' mark-ups; where shortage costs as much as a bid from t to p; and where some headroom may
    bind, rivals' mark-ups (and sums m_i - m_j + m_k of theirs) plus a price difference of two periods of payback.
    Exchanges through more than three rivals' bids are left out.
    """
    model = asker.model()
    cap = largest_markup(asker)
    price = {t: float(pyo.value(model.price[t])) for t in model.period}
    rooms = {t for (_, _, t), room in model.leader.room.items() if room.ub > 0}
    needs = {t for (_, _, t), need in model.leader.requirement.items() if need.ub > 0}
    rivals = {float(pyo.value(model.markup[model.scenario, a])) for a in {*model.owner.values()} - {asker.aggregator}}
    found = {cap, *rivals}
    shortage = float(pyo.value(model.alternative_cost))
    found |= {shortage - price[p] + price[t] for t in needs for p in rooms}
    if headroom_may_bind(model):
        bases = rivals | {i - j + k for i in rivals for j in rivals for k in rivals}
        found |= {base + price[q] - price[p] for base in bases for p in rooms for q in rooms}
    return _distinct(sorted(m for m in found if 0 < m <= cap))


def _distinct(values: list[float]) -> list[float]:
    kept: list[float] = []
    for value in values:
        if not kept or value - kept[-1] > 1e-12 * max(1.0, value):
            kept.append(value)
    return kept


def headroom_may_bind(model: Any) -> bool:
    """Whether some fleet could be asked to charge more in a period than it can.

    It is not where chargers take all the room that may ever be left there, or all that the fleet may be relieved of
    elsewhere.
    """
    mine = {u for u, _ in model.leader.charge}
    for u, f in model.home.items():
        for p in model.period:
            room = max(model.leader.room[d, f, p].ub for d in model.day)
            if u in mine:
                free = float(pyo.value(setting.chargeable(model, u, p)))
                offered = sum(model.leader.charge[u, t].ub for t in model.period if t != p)
            else:
                free = float(pyo.value(model.headroom[u, p]))
                offered = sum(float(pyo.value(model.offer.get((u, t), 0.0))) for t in model.period if t != p)
            if free < min(room, offered) * (1 - 1e-9):
                return True
    return False


@dataclass(frozen=True)
class Piece:
    """A range of the mark-up or the penalty, EUR/kWh, over which one plan is best, solved at ``at``. slope: what its
    profit gains per unit, kWh."""

    low: float
    high: float
    reply: Reply
    at: float
    slope: float

    def profit(self, x: float) -> float:
        """Profit at another mark-up or penalty of the range, EUR."""
        return self.reply.profit + self.slope * (x - self.at)


def over_markups(asker: Asker, low: float, high: float) -> list[Piece]:
    """The best plans at mark-ups from low to high, in order."""
    ends = [low, *(m for m in candidates(asker) if low < m < high), high]
    found: list[Piece] = []
    for a, b in pairwise(ends):
        if b - a > 2 * APART:
            first, *rest = pieces(lambda m: asker.under(markup=m).reply(), lambda r: r.accepted, a + APART, b)
            found += [replace(first, low=a), *rest]
    return _joined(found)


def over_penalties(asker: Asker, low: float, high: float) -> list[Piece]:
    """The best plans at penalties from low to high, in order."""
    return _joined(pieces(lambda rho: asker.under(penalty=rho).reply(), lambda r: -r.missing, low, high))


def pieces(solve_at: Callable[[float], Reply], slope: Callable[[Reply], float], low: float, high: float) -> list[Piece]:
    """Where which reply is best between low and high, if the best profit is the largest of straight lines.

    solve_at(x): the best reply at x; slope(reply): what its profit gains per unit of x.
    """
    first, last = (low, solve_at(low)), (high, solve_at(high))
    corners = _corners(solve_at, slope, first, last)
    ends = [low, *(x for x, _ in corners), high]
    best = [first, *(point for _, point in corners)]
    return [
        Piece(a, b, reply, at, slope(reply))
        for (a, b), (at, reply) in zip(pairwise(ends), best, strict=True)
        if b - a > 1e-12
    ]


def _corners(
    solve_at: Callable[[float], Reply],
    slope: Callable[[Reply], float],
    left: tuple[float, Reply],
    right: tuple[float, Reply],
) -> list[tuple[float, tuple[float, Reply]]]:
    """(x, the point whose reply is best from x on) for every change of plan between two points, in order."""
    (a, one), (b, other) = left, right
    size = SAME * max(1.0, abs(one.profit), abs(other.profit))
    if abs(one.profit + slope(one) * (b - a) - other.profit) <= size:
        return []
    steeper = slope(other) - slope(one)
    x = a + (other.profit - slope(other) * (b - a) - one.profit) / -steeper
    if not a + APART < x < b - APART:
        return [(min(max(x, a), b), right)]
    middle = solve_at(x)
    if middle.profit <= one.profit + slope(one) * (x - a) + size:
        return [(x, right)]
    return [
        *_corners(solve_at, slope, left, (x, middle)),
        *_corners(solve_at, slope, (x, middle), right),
    ]


def _joined(found: list[Piece]) -> list[Piece]:
    """Neighbours with the same plan that fares alike are one."""
    kept: list[Piece] = []
    for piece in found:
        if kept and _alike(kept[-1].reply, piece.reply):
            kept[-1] = replace(kept[-1], high=piece.high)
        else:
            kept.append(piece)
    return kept


def _alike(one: Reply, other: Reply) -> bool:
    gaps = one.moved(other), abs(one.accepted - other.accepted), abs(one.missing - other.missing)
    return max(gaps) <= SAME * max(1.0, sum(one.plan.values()))
