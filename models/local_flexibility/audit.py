"""A gaming audit: what a submitted schedule costs, earns and causes, held against the aggregator's cheapest plan.

For every aggregator of a scenario, the others as submitted: how much of its charging stands elsewhere than in the
cheapest plan within its habits, what that costs it, what it earns in the market in expectation over the days, from
which mark-up on it pays, and up to which penalty on charging that is not there. And in which periods the aggregator is
pivotal: what the others offer there does not cover the requirement.

A schedule that costs more than it must and pays only through the market is the mark of gaming; it is no proof of
intent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import inf, isfinite, nan
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium.certificate import UNCERTIFIED

from . import setting, strategic
from .delivery import cheapest_price
from .outcome import Outcome, Plan, clear_at
from .reply import Asker, candidates, moved

NEAR = 1e-6  # EUR/kWh; a break-even mark-up is checked so far to either side
NOTHING = 1e-9  # part of the money or energy at stake that counts as none


@dataclass(frozen=True)
class Case:
    """A submitted schedule: of whom, in which scenario, under which rule of offers."""

    data: Any
    scenario: str
    offers: str
    aggregator: str

    @cached_property
    def asker(self) -> Asker:
        """The aggregator as a strategic one."""
        return Asker.of(self.data, dict(aggregator=self.aggregator, scenario=self.scenario, offers=self.offers))

    @cached_property
    def cheapest(self) -> Plan:
        """Its least-cost plan, kWh by (fleet, period)."""
        return strategic.cheapest(self.asker.model())

    @cached_property
    def other(self) -> Any:
        """The case with the cheapest plan submitted instead."""
        table = self.data.tables["baselines"]
        fleets = {u for u, _ in self.cheapest}
        rows = table[[not (s == self.scenario and u in fleets) for s, u, _ in table.index]]
        index = pd.MultiIndex.from_tuples([(self.scenario, *k) for k in self.cheapest], names=table.index.names)
        own = table.reindex(index).fillna({"plugged_in": inf, "source": ""})
        own["energy"] = list(self.cheapest.values())
        return replace(self.data, tables={**self.data.tables, "baselines": pd.concat([rows, own])})

    def clear(self, cheapest: bool = False, markup: float | None = None) -> Outcome:
        """The clearing with the submitted schedule or with the cheapest plan."""
        markups = {} if markup is None else {self.aggregator: markup}
        return clear_at(self.other if cheapest else self.data, self.scenario, self.offers, markups=markups)


def audit(data: Any, scenario: str, offers: str, progress: Callable[[str], None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(what is conspicuous, the money behind it): one row for each aggregator of a scenario that has fleets."""
    table, found = data.tables["fleets"], []
    for a in sorted({table.at[k, "aggregator"] for k in table.index if k[0] == scenario}):
        progress(f"{scenario}: {a}")
        found.append(_rows(Case(data, scenario, offers, a)))
    return pd.DataFrame([one for one, _ in found]), pd.DataFrame([money for _, money in found])


def _rows(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    a = case.aggregator
    submitted, other = case.clear(), case.clear(cheapest=True)
    mine = {k: float(pyo.value(s)) for k, s in submitted.model.baseline.items() if submitted.model.owner[k[0]] == a}
    extra = _clean(submitted.bill(a) - other.bill(a), submitted.bill(a))
    gain = _clean(submitted.profit(a) - other.profit(a), submitted.bill(a))
    missing, saved = _missing(case, submitted, mine)
    who = {"scenario": case.scenario, "aggregator": a}
    row = {"elsewhere [kWh]": _clean(moved(mine, case.cheapest), sum(mine.values())), "dearer [EUR]": extra}
    row |= {"gain [EUR]": gain, "pays from mark-up [EUR/kWh]": break_even(case, extra)}
    row |= {"pays up to penalty [EUR/kWh]": _penalty(gain + saved, missing) if extra else nan}
    checked = turns_at(case, row["pays from mark-up [EUR/kWh]"])
    row |= {"pivotal": "; ".join(pivotal(submitted, a)) or "never"}
    row |= {"verdict": "certified" if checked else UNCERTIFIED}
    needs = _requirement(submitted), _requirement(other)
    costs = submitted.operator_cost(), other.operator_cost()
    money = {"bill [EUR]": submitted.bill(a), "mark-ups [EUR]": submitted.profit(a) + submitted.bill(a)}
    money |= {"profit [EUR]": submitted.profit(a), "profit of cheapest [EUR]": other.profit(a)}
    money |= {"not there [kWh]": missing, "requirement added [kWh]": _clean(needs[0] - needs[1], needs[0])}
    return who | row, who | money | {"operator cost added [EUR]": _clean(costs[0] - costs[1], costs[0])}


def _clean(difference: float, size: float) -> float:
    """Zero for what is rounding."""
    return difference if abs(difference) > NOTHING * max(1.0, abs(size)) else 0.0


def break_even(case: Case, extra: float) -> float:
    """The mark-up at which the schedule begins to pay, searched from the one asked: downwards if it pays there, else
    upwards, EUR/kWh; infinite if it never does, not a number for a cheapest plan. extra: what it costs more, EUR."""
    if extra == 0:
        return nan
    asked = float(case.data.tables["aggregators"].at[(case.scenario, case.aggregator), "markup"])
    levels = candidates(case.asker)
    below = [0.0, *(m for m in levels if m < asked), asked]
    level = inf
    for low, high in reversed(list(pairwise(below))):
        sold = _sold_more(case, (low + high) / 2)
        if sold * high <= extra:
            break
        level = max(low, extra / sold)
        if level > low:
            break
    if level < inf:
        return level
    for low, high in pairwise([asked, *(m for m in levels if m > asked)]):
        sold = _sold_more(case, (low + high) / 2)
        if sold * high > extra:
            return max(low, extra / sold)
    return inf


def turns_at(case: Case, level: float) -> bool:
    """Whether the schedule does not pay just below a mark-up and pays just above it, cleared again at both."""
    if not isfinite(level) or level <= NEAR:
        return True
    gains = []
    for markup in (level - NEAR, level + NEAR):
        there = case.clear(markup=markup), case.clear(True, markup)
        gains.append(there[0].profit(case.aggregator) - there[1].profit(case.aggregator))
    return gains[0] <= 0 <= gains[1]


def _sold_more(case: Case, markup: float) -> float:
    """What the schedule sells more than the cheapest plan, expected kWh."""
    return _sold(case.clear(markup=markup), case.aggregator) - _sold(case.clear(True, markup), case.aggregator)


def _sold(outcome: Outcome, aggregator: str) -> float:
    return sum(outcome.chance(d) * outcome.accepted(aggregator, d) for d in outcome.dispatch)


def _missing(case: Case, outcome: Outcome, mine: Mapping[tuple[str, str], float]) -> tuple[float, float]:
    """(expected energy declared, not taken and not there, kWh; what charging it in the cheapest period saves, EUR)."""
    table = case.data.tables.get("availability")
    there = {} if table is None else table["energy"].to_dict()
    price, least = case.data.tables["periods"]["price"], cheapest_price(outcome.model)
    total = saved = 0.0
    for d, dispatch in outcome.dispatch.items():
        for (u, t), s in mine.items():
            left = s - dispatch.cut.get((u, t), 0.0) - there.get((case.scenario, u, t), inf)
            total += outcome.chance(d) * max(0.0, left)
            saved += outcome.chance(d) * max(0.0, left) * float(price[t] - least)
    return total, saved


def _penalty(value: float, missing: float) -> float:
    """Where value - rho * missing is zero, EUR/kWh; infinite where nothing is missing, 0 where it does not pay."""
    if value <= 0:
        return 0.0
    return value / missing if missing > NOTHING else inf


def _requirement(outcome: Outcome) -> float:
    """Expected requirement of all periods, kWh."""
    return sum(outcome.chance(d) * float(pyo.value(need)) for (d, _, _), need in outcome.model.requirement.items())


def pivotal(outcome: Outcome, aggregator: str) -> Iterator[str]:
    """'day period (feeder)' where what the others offer does not cover the requirement."""
    model = outcome.model
    for (d, f, t), need in model.requirement.items():
        needed = float(pyo.value(need))
        others = sum(
            float(pyo.value(offer))
            for (u, p), offer in model.offer.items()
            if p == t and model.home[u] == f and model.owner[u] != aggregator
        )
        if others < needed * (1 - NOTHING):
            yield f"{d} {t} ({f})"


def scenarios(data: Any, alternatives: Any) -> list[tuple[str, str]]:
    """(scenario, rule of offers) of the alternatives that clear fleets, each once; all scenarios if there is none."""
    found = [
        (setting.chosen(data, one.options["scenario"]), one.options["offers"])
        for one in alternatives
        if one.structure in ("clearing", "strategic")
    ]
    return list(dict.fromkeys(found)) or [(here, "whole") for here in setting.scenarios(data)]
