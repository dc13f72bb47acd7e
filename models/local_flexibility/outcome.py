"""What the market answers to given baselines and mark-ups: the operator's clearing on every day, ties split pro rata.

Used to evaluate again what a strategic aggregator found, to compare plans, and to settle under other rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.errors import NotCertified

from . import setting
from .clearing import clear
from .ties import Dispatch, split

Plan = Mapping[tuple[str, str], float]  # kWh by (fleet, period)


@dataclass(frozen=True)
class Outcome:
    """A clearing of every day of a scenario. solution: certified; dispatch by day, ties split; ``model.baseline``,
    ``model.markup``, ``model.operator`` are what was cleared."""

    model: Any
    solution: Any
    dispatch: Mapping[str, Dispatch]

    def chance(self, day: str) -> float:
        """Probability of a day."""
        return float(pyo.value(self.model.probability[self.model.scenario, day]))

    def accepted(self, aggregator: str, day: str) -> float:
        """What is taken of an aggregator's offers, kWh."""
        cut = self.dispatch[day].cut
        return sum(q for (u, _), q in cut.items() if self.model.owner[u] == aggregator)

    def bill(self, aggregator: str) -> float:
        """Wholesale cost of what an aggregator declared, EUR."""
        mine = ((t, s) for (u, t), s in self.model.baseline.items() if self.model.owner[u] == aggregator)
        return sum(float(pyo.value(self.model.price[t] * s)) for t, s in mine)

    def profit(self, aggregator: str) -> float:
        """Expected profit when bids are paid as bid: m Q less the bill of the baseline, EUR."""
        markup = float(pyo.value(self.model.markup[self.model.scenario, aggregator]))
        income = sum(self.chance(d) * markup * self.accepted(aggregator, d) for d in self.model.day)
        return income - self.bill(aggregator)

    def operator_cost(self, day: str | None = None) -> float:
        """Cost of clearing on a day, or expected, EUR."""
        if day is not None:
            return float(pyo.value(self.model.operator[day].cost))
        return sum(self.chance(d) * self.operator_cost(d) for d in self.model.day)

    def social_cost(self) -> float:
        """Expected wholesale cost of all charging in the end and of shortage, EUR."""
        price = {t: float(pyo.value(self.model.price[t])) for t in self.model.period}
        total = sum(self.bill(a) for a in self.model.aggregator)
        for d, dispatch in self.dispatch.items():
            moved = sum(price[t] * q for (_, t), q in dispatch.add.items())
            moved -= sum(price[t] * q for (_, t), q in dispatch.cut.items())
            shortage = float(pyo.value(self.model.alternative_cost)) * dispatch.missing
            total += self.chance(d) * (moved + shortage)
        return total


def clear_at(
    data: Any,
    scenario: str,
    offers: str,
    plans: Mapping[str, Plan] | None = None,
    markups: Mapping[str, float] | None = None,
    without: str = "",
) -> Outcome:
    """Clear every day with the baselines of some aggregators replaced (``plans``) and mark-ups replaced.

    Fleets with a plan offer all of it (they are strategic); others by the rule ``offers``. without: whose bids are left
    out (it keeps its baseline). Raises NotCertified where the clearing is not certified.
    """
    model = stated(data, scenario, offers, plans or {}, markups or {})
    model.operator = pyo.Block(model.day)
    for d in model.day:
        others = {
            name: {k: most for k, most in getattr(model, name).items() if model.owner[k[0]] != without}
            for name in ("offer", "headroom")
        }
        clear(model.operator[d], model, model.home, setting.limits(model, d, **others))
    solution = solve(model)
    if not solution.certificate.ok:
        raise NotCertified(f"the clearing is not certified: {solution.certificate.scope}")
    return Outcome(model, solution, split(_Solved(model, solution)))


@dataclass(frozen=True)
class _Solved:
    """What ``ties.split`` asks of a solved alternative."""

    model: Any
    solution: Any


def stated(
    data: Any, scenario: str, offers: str, plans: Mapping[str, Plan], markups: Mapping[str, float]
) -> pyo.ConcreteModel:
    """The setting of a scenario with some baselines and mark-ups replaced; nobody with an Objective yet."""
    model = setting.setting(data, scenario)
    setting.fleets(data, model, offers)
    for a, m in markups.items():
        model.markup[model.scenario, a] = float(m)
    for a, plan in plans.items():
        for u in (u for u, owner in model.owner.items() if owner == a):
            for t in model.period:
                s = float(plan.get((u, t), 0.0))
                model.baseline[u, t] = model.offer[u, t] = s
                model.headroom[u, t] = max(0.0, float(pyo.value(setting.chargeable(model, u, t))) - s)
    setting.network(model)
    return model


def rents(
    data: Any, here: Outcome, offers: str, plans: Mapping[str, Plan], markups: Mapping[str, float]
) -> dict[tuple[str, str], float]:
    """What ``here``, cleared with these plans and mark-ups, would cost more without the bids of one, EUR.

    By (day, aggregator). Who is left out keeps its baseline. Raises NotCertified where a clearing is not certified.
    """
    found = {}
    for a in here.model.aggregator:
        alone = clear_at(data, here.model.scenario, offers, plans, markups, without=a)
        found |= {(d, a): alone.operator_cost(d) - here.operator_cost(d) for d in here.model.day}
    return found
