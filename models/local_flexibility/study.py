"""Studies of strategic play: many best replies of one case.

``mark-ups``: the best plan at every mark-up. ``congestion``: the plan over mark-up and probability of the first day.
``alternative-cost``: profit and the operator's cost against the cost of shortage. ``several``: strategic aggregators
against each other. ``remedies`` and ``audit``: see there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium.certificate import UNCERTIFIED
from equilibrium.data import change
from equilibrium.errors import NotCertified, Refused
from equilibrium.market import Study

from . import audit, play, remedies, setting, several
from .outcome import clear_at
from .reply import Asker, Piece, Reply, candidates, largest_markup, over_markups

Progress = Callable[[str], None]
Tables = Mapping[str, pd.DataFrame]
CHANCES = np.linspace(0.0, 1.0, 11)
COSTS = (0.05, 0.1, 0.2, 0.5, 1.0)  # of the case's cost of shortage


def _askers(data: Any, alternatives: Sequence[Any], enforced: bool = True) -> dict[str, Asker]:
    """The alternatives of the structure ``strategic`` under pay as bid (enforced: and with enforced delivery). Raises
    Refused if there is none."""
    found = {
        one.name: Asker.of(data, one.options)
        for one in alternatives
        if one.structure == "strategic"
        and one.options["settlement"] == "pay_as_bid"
        and not (enforced and one.options["delivery"] == "penalised")
    }
    if not found:
        raise Refused("this study asks for an alternative of the structure 'strategic' (settlement pay_as_bid)")
    return found


def _cost(asker: Asker, reply: Reply, markup: float) -> float:
    outcome = clear_at(
        asker.data, asker.scenario, asker.options["offers"], {asker.aggregator: reply.plan}, {asker.aggregator: markup}
    )
    return outcome.operator_cost()


def _plan(reply: Reply) -> str:
    """'A 0: 88, 3: 8' for a plan."""
    fleets = dict.fromkeys(u for u, _ in reply.plan)
    return "; ".join(
        f"{u} " + ", ".join(f"{t}: {x:.6g}" for (v, t), x in reply.plan.items() if v == u and x > 1e-6) for u in fleets
    )


def markups(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """candidates: every mark-up among which a best one lies; plans: which plan is best from where to where."""
    tried, ranges = [], []
    for name, asker in _askers(data, alternatives).items():
        top = largest_markup(asker)
        for m in candidates(asker):
            progress(f"{name}: mark-up {m:g}")
            tried.append({"alternative": name, "mark-up [EUR/kWh]": m} | _reply(asker.under(markup=m)))
        progress(f"{name}: where the plan changes")
        for piece in over_markups(asker, 0.0, top):
            ranges.append({"alternative": name} | _piece(asker, piece))
    return {"candidates": pd.DataFrame(tried), "plans": pd.DataFrame(ranges)}


def _reply(asker: Asker) -> dict[str, Any]:
    """Profit, sales and plan, or the reason why there is none."""
    try:
        found = asker.reply()
    except NotCertified as error:
        return {"verdict": UNCERTIFIED, "reason": str(error)}
    return _told(found) | {"reason": ""}


def _told(found: Reply) -> dict[str, Any]:
    row = {"profit [EUR]": found.profit, "expected sales [kWh]": found.accepted, "bill [EUR]": found.bill}
    return row | {"plan [kWh]": _plan(found), "verdict": found.verdict}


def _piece(asker: Asker, piece: Piece) -> dict[str, Any]:
    row = {"from mark-up [EUR/kWh]": piece.low, "to mark-up [EUR/kWh]": piece.high}
    row |= {"profit at the start [EUR]": piece.profit(piece.low), "profit at the end [EUR]": piece.profit(piece.high)}
    middle, end = (_cost(asker, piece.reply, m) for m in ((piece.low + piece.high) / 2, piece.high))
    row |= {"operator cost at the start [EUR]": 2 * middle - end, "operator cost at the end [EUR]": end}
    row |= {"expected sales [kWh]": piece.reply.accepted, "plan [kWh]": _plan(piece.reply)}
    return row | {"verdict": piece.reply.verdict}


def congestion(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """plans: the best plan at every mark-up, for probabilities of the first of two days from 0 to 1."""
    rows = []
    for name, asker in _askers(data, alternatives).items():
        days = [d for s, d in setting.keys(data, "days") if s == asker.scenario]
        if len(days) != 2:
            continue
        for chance in CHANCES:
            progress(f"{name}: probability {chance:.1f} of day {days[0]}")
            cells = {f"days.probability[{asker.scenario},{days[0]}]": chance}
            cells |= {f"days.probability[{asker.scenario},{days[1]}]": 1 - chance}
            here = replace(asker, data=change(asker.data, cells))
            for piece in over_markups(here, 0.0, largest_markup(here)):
                row = {"alternative": name, "day": days[0], "probability": chance}
                row |= {"from mark-up [EUR/kWh]": piece.low, "to mark-up [EUR/kWh]": piece.high}
                row |= {f"declared {u} {t} [kWh]": x for (u, t), x in piece.reply.plan.items()}
                rows.append(row | {"verdict": piece.reply.verdict})
    if not rows:
        raise Refused("this study asks for a strategic alternative whose scenario has two days")
    return {"plans": pd.DataFrame(rows)}


def alternative_cost(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """costs: the best plan at the largest mark-up at which none of its bids costs more than shortage, no cap."""
    rows = []
    for name, asker in _askers(data, alternatives).items():
        model = asker.model()
        prices = [float(pyo.value(model.price[t])) for t in model.period]
        for part in COSTS:
            shortage = part * float(data.parameters["alternative_cost"])
            progress(f"{name}: cost of shortage {shortage:g}")
            markup = shortage - (max(prices) - min(prices))
            if markup < 0:
                continue
            options = {**asker.options, "markup_cap": inf}
            data_there = change(asker.data, {"parameters.alternative_cost": shortage})
            here = replace(asker, data=data_there, options=options)
            row = {"alternative": name, "cost of shortage [EUR/kWh]": shortage, "mark-up [EUR/kWh]": markup}
            found = here.under(markup=markup).reply()
            row |= _told(found) | {"operator cost [EUR]": _cost(here, found, markup)}
            rows.append(row)
    return {"costs": pd.DataFrame(rows)}


def against_each_other(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """summary and rounds of best replies in turn, for every scenario with two or more strategic aggregators."""
    table, found = data.tables["aggregators"], []
    for here in setting.scenarios(data):
        players = [a for (s, a), word in table["strategic"].items() if s == here and word == "yes"]
        if len(players) > 1:
            found.append(several.report(data, here, "whole", players, progress))
    if not found:
        raise Refused("this study asks for a scenario with two or more strategic aggregators (column 'strategic')")
    summary, rounds = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
    return {"rounds": rounds, "summary": summary}


def compare(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """remedies: one row each; penalties, aggregators, rights: what they depend on; plans: best plans by penalty."""
    found: dict[tuple[str, str], Asker] = {}
    penalties: dict[tuple[str, str], set[float]] = {}
    for one in _askers(data, alternatives, enforced=False).values():
        who = (one.scenario, one.aggregator)
        found.setdefault(who, one)
        if one.options["delivery"] == "penalised":
            penalties.setdefault(who, set()).add(float(one.options["penalty"]))
    streets = {
        who: remedies.Street.of(
            data,
            {**one.options, "scenario": one.scenario, "aggregator": one.aggregator},
            tuple(sorted(penalties.get(who, ()))),
        )
        for who, one in found.items()
    }
    names = ("remedies", "penalties", "aggregators", "rights", "plans")
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
    for street in streets.values():
        parts["remedies"].append(remedies.compare(street, progress))
        thresholds, plans = remedies.penalties(street, progress)
        parts["penalties"].append(thresholds)
        parts["plans"].append(plans)
        parts["aggregators"].append(remedies.division(street, progress))
        parts["rights"].append(remedies.rights_table(street))
    return {name: pd.concat(parts[name], ignore_index=True) for name in reversed(parts)}


def submitted(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """audit and money: one row for each scenario and aggregator."""
    if not setting.keys(data, "fleets") or not setting.keys(data, "baselines"):
        raise Refused("the audit asks for fleets and their baselines")
    found = [audit.audit(data, here, offers, progress) for here, offers in audit.scenarios(data, alternatives)]
    conspicuous, money = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
    return {"money": money, "audit": conspicuous}


STUDIES = {
    "mark-ups": Study("which plan a strategic aggregator declares at which mark-up", markups, play.markups),
    "congestion": Study("what it declares by mark-up and probability of congestion", congestion, play.congestion),
    "alternative-cost": Study("its profit against the cost of shortage", alternative_cost, play.alternative_cost),
    "several": Study("several strategic aggregators against each other", against_each_other, play.several),
    "remedies": Study("what would stop a strategic aggregator", compare, play.remedies),
    "audit": Study("what submitted schedules cost, earn and cause", submitted, play.audit),
}
