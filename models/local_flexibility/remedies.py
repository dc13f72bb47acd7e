"""What would stop a strategic aggregator: one case under each remedy, its best play in each.

* pay as cleared (two versions): its best plan under pay as bid, settled at marginal prices. What it earns is a lower
  bound, for another plan might earn more; a ``yes`` is therefore proved, a ``no`` is not.
* vcg: its best plan if paid its Clarke rent (exact).
* penalty: its best plan if declared charging that is left out costs the penalty of some alternative (exact), and the
  penalty from which on its honest plan is best, by how many of its vehicles are there.
* cap: its best plan at a largest mark-up, and the cap from which down the honest plan is best (exact).
* capacity limitation by forecast: the operator buys what its own forecast (the honest baselines) needs. Income does not
  depend on what is declared, so the honest plan is best.
* capacity limitation by rights: the operator would have to buy back every charger's right to be used; who is pivotal.
* diversification: n equal aggregators instead of the fleets there are, one of them strategic (exact).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.errors import NotCertified

from . import delivery, setting, settlement, strategic, values
from .outcome import Outcome, Plan, clear_at, rents
from .reply import Asker, Piece, Reply, moved, over_markups, over_penalties

PAYS = 1e-6  # EUR; a gain below it is none
HIGH = 100.0  # penalties are looked at up to so many times the cost of shortage

COLUMNS = ("scenario", "remedy", "level", "unit", "moved [kWh]", "profit [EUR]", "honest profit [EUR]", "gain [EUR]")
COLUMNS += ("gaming pays", "operator cost [EUR]", "social cost [EUR]", "indispensable", "verdict", "note")


@dataclass(frozen=True)
class Street:
    """One case with its strategic aggregator, its honest plan, the best one if nothing is done, and the penalties to be
    looked at, EUR/kWh."""

    asker: Asker
    honest: Plan
    best: Reply
    penalties: tuple[float, ...] = ()

    @classmethod
    def of(cls, data: Any, options: Mapping[str, Any], penalties: tuple[float, ...] = ()) -> Street:
        """From the options of an alternative of the structure ``strategic``."""
        asker = Asker.of(data, {**options, "delivery": "enforced", "settlement": "pay_as_bid"})
        return cls(asker, strategic.cheapest(asker.model()), asker.reply(), penalties)

    def clear(self, plan: Plan, markup: float | None = None, without: str = "", data: Any = None) -> Outcome:
        """The operator's clearing with the aggregator's plan (and mark-up)."""
        a, markups = self.asker.aggregator, {}
        if markup is not None:
            markups[a] = markup
        data = self.asker.data if data is None else data
        return clear_at(data, self.asker.scenario, self.asker.options["offers"], {a: plan}, markups, without)

    def indispensable(self, plan: Plan) -> str:
        """Without whose bids some day would see a shortage (that it does not see anyway)."""
        here = self.clear(plan)
        base = _shortage(here)
        found = [a for a in here.model.aggregator if _shortage(self.clear(plan, without=a)) > base + PAYS]
        return ", ".join(found) or "nobody"


def _shortage(outcome: Outcome) -> float:
    return max(day.missing for day in outcome.dispatch.values())


def compare(street: Street, progress: Callable[[str], None]) -> pd.DataFrame:
    """One row for each remedy, columns ``COLUMNS``."""
    rows = []
    for remedy in (nothing, cleared, clarke, penalty, cap, forecast, rights, divided):
        progress(f"{street.asker.scenario}: {remedy.__name__}")
        rows += list(remedy(street))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    street: Street, remedy: str, level: float, unit: str, plan: Plan, gains: tuple[float, float], **rest: Any
) -> dict[str, Any]:
    """A row; gains: profit and honest profit, EUR."""
    profit, honest = gains
    row = {"scenario": street.asker.scenario, "remedy": remedy, "level": level, "unit": unit}
    row |= {"moved [kWh]": moved(plan, street.honest), "profit [EUR]": profit, "honest profit [EUR]": honest}
    row |= {"gain [EUR]": profit - honest, "gaming pays": "yes" if profit - honest > PAYS else "no"}
    row |= {"indispensable": street.indispensable(plan), "verdict": "certified", "note": ""}
    return row | rest


def _costs(outcome: Outcome) -> dict[str, float]:
    return {"operator cost [EUR]": outcome.operator_cost(), "social cost [EUR]": outcome.social_cost()}


def nothing(street: Street) -> Iterator[dict[str, Any]]:
    """Honest play, and the best play under pay as bid."""
    a, best = street.asker.aggregator, street.best
    honest, again = street.clear(street.honest), street.clear(best.plan)
    profits = honest.profit(a), honest.profit(a)
    yield _row(street, "none, honest plan", nan, "", street.honest, profits, **_costs(honest))
    yield _row(street, "none, best plan", nan, "", best.plan, (best.profit, honest.profit(a)), **_costs(again))


def cleared(street: Street) -> Iterator[dict[str, Any]]:
    """Pay as cleared, gross and net of the price of payback room, at the lowest price system."""
    a = street.asker.aggregator
    for rule in settlement.PRICES:
        paid = [_at_marginal_prices(street.clear(plan), rule) for plan in (street.best.plan, street.honest)]
        again = street.clear(street.best.plan)
        costs = {"operator cost [EUR]": paid[0].pop(""), "social cost [EUR]": again.social_cost()}
        note = "plan of pay as bid: the gain is at least this"
        gains = (paid[0][a], paid[1][a])
        yield _row(street, rule.replace("_", " "), nan, "", street.best.plan, gains, **costs, note=note)


def _at_marginal_prices(outcome: Outcome, rule: str) -> dict[str, float]:
    """Expected profit by aggregator, and under '' the operator's cost, EUR."""
    model = outcome.model
    found = dict.fromkeys([*model.aggregator, ""], 0.0)
    for d, dispatch in outcome.dispatch.items():
        lowest, _ = settlement.price_range(model, d, rule == "pay_as_cleared_net")
        paid, bills = settlement.cleared(model, dispatch, lowest), values.final_bills(model, dispatch)
        shortage = dispatch.missing * float(pyo.value(model.alternative_cost))
        for name in model.aggregator:
            found[name] += outcome.chance(d) * (paid[name] - bills[name])
        found[""] += outcome.chance(d) * (sum(paid.values()) + shortage)
    return found


def clarke(street: Street) -> Iterator[dict[str, Any]]:
    """Paid what its bids save: truthful mark-up, best plan."""
    asker, a = street.asker, street.asker.aggregator
    best = replace(asker, options={**asker.options, "settlement": "vcg"}).reply()
    honest = _clarke(street, street.honest)
    again = _clarke(street, best.plan)
    costs = {"operator cost [EUR]": again[""], "social cost [EUR]": street.clear(best.plan, 0.0).social_cost()}
    yield _row(street, "vcg", nan, "", best.plan, (best.profit, honest[a]), **costs)


def _clarke(street: Street, plan: Plan) -> dict[str, float]:
    """Expected profit by aggregator if all are paid their Clarke rents, and under '' the operator's cost, EUR."""
    here = street.clear(plan, 0.0)
    cost = here.operator_cost()
    who = street.asker.aggregator
    found = rents(street.asker.data, here, street.asker.options["offers"], {who: plan}, {who: 0.0})
    rent = {a: sum(here.chance(d) * found[d, a] for d in here.model.day) for a in here.model.aggregator}
    return {a: x - here.bill(a) + _extra(here, a) for a, x in rent.items()} | {"": cost + sum(rent.values())}


def _extra(outcome: Outcome, a: str) -> float:
    """Mark-ups in accepted bids, EUR."""
    return outcome.profit(a) + outcome.bill(a)


def penalty(street: Street) -> Iterator[dict[str, Any]]:
    """Penalties on what is declared and not charged."""
    for level in street.penalties:
        options = {**street.asker.options, "delivery": "penalised", "penalty": level}
        asker = replace(street.asker, options=options)
        best, note = asker.reply(), ""
        again, honest = street.clear(best.plan), street.clear(street.honest).profit(asker.aggregator)
        costs = _costs(again)
        if best.missing > PAYS:
            less, late = _left_out(asker, again)
            costs["social cost [EUR]"] -= less
            note = (
                f"{best.missing:.6g} kWh not delivered; they overload the network by {late:.6g} kWh, not in the costs"
            )
        yield _row(street, "penalty", level, "EUR/kWh", best.plan, (best.profit, honest), **costs, note=note)


def _left_out(asker: Asker, again: Outcome) -> tuple[float, float]:
    """(what leaving out saves at wholesale prices, EUR; the overload that it makes, kWh), both expected."""
    model = asker.model()
    solve(model)
    left: dict[str, dict[tuple[str, str], float]] = {d: {} for d in model.day}
    for (d, u, t), f in model.leader.missing.items():
        left[d][u, t] = max(0.0, float(f.value))
    late = sum(again.chance(d) * delivery.overload(again, d, part) for d, part in left.items())
    return delivery.saved(model), late


def cap(street: Street) -> Iterator[dict[str, Any]]:
    """The largest cap on its mark-up under which the honest plan is best."""
    asker, a = street.asker, street.asker.aggregator
    asked = float(pyo.value(asker.model().asked))
    level = stops_at(over_markups(asker, 0.0, asked), street.honest)
    honest = street.clear(street.honest, level)
    note = "the honest plan is best up to this cap" if level < asked else "no cap needed"
    profits = honest.profit(a), honest.profit(a)
    yield _row(street, "mark-up cap", level, "EUR/kWh", street.honest, profits, **_costs(honest), note=note)


def stops_at(found: list[Piece], honest: Plan) -> float:
    """The largest mark-up up to which the honest plan (one that costs no more) is best, EUR/kWh."""
    least = found[0].reply.bill
    gaming = [piece.low for piece in found if piece.reply.bill > least + PAYS]
    return gaming[0] if gaming else found[-1].high


def forecast(street: Street) -> Iterator[dict[str, Any]]:
    """Capacity limitation bought on the operator's forecast: honest baselines of everybody."""
    a, honest = street.asker.aggregator, street.clear(street.honest)
    profits = honest.profit(a), honest.profit(a)
    dearer = street.best.bill - honest.bill(a)
    note = f"charging as the best plan says would cost it {dearer:.6g} EUR"
    if street.best.accepted > PAYS:
        note += f"; credible only against {dearer / street.best.accepted:.6f} EUR/kWh later"
    yield _row(street, "capacity limitation, forecast", nan, "", street.honest, profits, **_costs(honest), note=note)


def rights(street: Street) -> Iterator[dict[str, Any]]:
    """Capacity limitation bought from contractual rights: who is pivotal. It has no price here."""
    table = rights_table(street)
    pivotal = table[table["residual supply index"] < 1 - PAYS]
    names = ", ".join(sorted(set(pivotal["aggregator"]))) or "nobody"
    row = dict.fromkeys(COLUMNS, nan) | {"scenario": street.asker.scenario, "remedy": "capacity limitation, rights"}
    row |= {"unit": "", "gaming pays": "", "indispensable": names, "verdict": "not priced"}
    yield row | {"note": f"who is pivotal does not depend on plans; efficient cost {efficient_cost(street):.6f} EUR"}


def rights_table(street: Street) -> pd.DataFrame:
    """Every period in which rights exceed capacity: what must be bought back, and each one's residual supply index."""
    model = street.clear(street.honest).model
    rows = []
    for d in model.day:
        for f in model.feeder:
            for t in model.period:
                right = dict.fromkeys(model.aggregator, 0.0)
                for u, home in model.home.items():
                    right[model.owner[u]] += float(pyo.value(setting.chargeable(model, u, t))) * (home == f)
                load = float(pyo.value(model.inflexible[d, f, t] * model.duration[t]))
                total, need = sum(right.values()), load - float(pyo.value(setting.capacity(model, f, t)))
                if total + need <= PAYS:
                    continue
                for a in model.aggregator:
                    row = {"scenario": street.asker.scenario, "day": d, "feeder": f, "period": t, "aggregator": a}
                    row |= {"rights [kWh]": total, "to buy back [kWh]": total + need}
                    rest = total - right[a]
                    row |= {"residual supply index": rest / (total + need)}
                    rows.append(row | {"pivotal for [kWh]": max(0.0, total + need - rest)})
    columns = ("scenario", "day", "feeder", "period", "aggregator", "rights [kWh]", "to buy back [kWh]")
    return pd.DataFrame(rows, columns=[*columns, "residual supply index", "pivotal for [kWh]"])


def efficient_cost(street: Street) -> float:
    """What it costs all fleets, at wholesale prices, to stay within the ratings on every day, EUR; habits aside.

    Raises NotCertified where there is no certified plan.
    """
    model = street.clear(street.honest).model
    return _cheapest_total(model, True) - _cheapest_total(model, False)


def _cheapest_total(model: Any, limited: bool) -> float:
    plan = pyo.ConcreteModel()
    places = [(u, t) for u in model.home for t in model.period]
    plan.charge = pyo.Var(places, within=pyo.NonNegativeReals)
    for u, t in places:
        plan.charge[u, t].setub(float(pyo.value(setting.chargeable(model, u, t))))
    energy = {u: sum(float(pyo.value(model.baseline.get((u, t), 0.0))) for t in model.period) for u in model.home}
    plan.served = pyo.Constraint(
        list(model.home), rule=lambda m, u: sum(m.charge[u, t] for t in model.period) == energy[u]
    )
    if limited:
        spots = [(d, f, t) for d in model.day for f in model.feeder for t in model.period]
        plan.rating = pyo.Constraint(
            spots,
            rule=lambda m, d, f, t: (
                sum(m.charge[u, t] for u, home in model.home.items() if home == f)
                <= float(pyo.value(setting.capacity(model, f, t) - model.inflexible[d, f, t] * model.duration[t]))
            ),
        )
    plan.cost = pyo.Objective(expr=sum(float(pyo.value(model.price[t])) * plan.charge[u, t] for u, t in places))
    solution = solve(plan)
    if not solution.certificate.ok:
        raise NotCertified(f"the efficient plan is not certified: {solution.certificate.scope}")
    return float(pyo.value(plan.cost))


def divided(street: Street) -> Iterator[dict[str, Any]]:
    """The least number of equal aggregators of which none gains by gaming."""
    for row in division(street, lambda text: None).to_dict("records"):
        if row["gain [EUR]"] <= PAYS:
            left = {k: row[k] for k in ("operator cost [EUR]", "social cost [EUR]", "indispensable")}
            rest = dict.fromkeys(COLUMNS, nan) | {"scenario": street.asker.scenario, "remedy": "diversification"}
            rest |= {"level": row["aggregators"], "unit": "1", "moved [kWh]": 0.0, "gain [EUR]": row["gain [EUR]"]}
            rest |= {"profit [EUR]": row["profit [EUR]"], "honest profit [EUR]": row["honest profit [EUR]"]}
            note = "all offers continuous; one of so many equal aggregators is strategic"
            yield rest | left | {"gaming pays": "no", "verdict": "certified", "note": note}
            return


def division(street: Street, progress: Callable[[str], None]) -> pd.DataFrame:
    """Profit, gain and costs for every number of equal aggregators that divides the vehicles, down to no gain."""
    total, rows = _vehicles(street), []
    for n in (k for k in range(2, total + 1) if total % k == 0):
        progress(f"{street.asker.scenario}: {n} equal aggregators")
        small = divide(street, n)
        a = small.asker.aggregator
        honest, again = small.clear(small.honest), small.clear(small.best.plan)
        gain = small.best.profit - honest.profit(a)
        row = {"scenario": street.asker.scenario, "aggregators": n, "moved [kWh]": moved(small.best.plan, small.honest)}
        row |= {"profit [EUR]": small.best.profit, "honest profit [EUR]": honest.profit(a), "gain [EUR]": gain}
        row |= {"gain without honest income [EUR]": small.best.profit + honest.bill(a)} | _costs(again)
        alone = small.indispensable(small.best.plan).split(", ")  # the others stand together: theirs says nothing
        rows.append(row | {"indispensable": a if a in alone else "nobody", "verdict": small.best.verdict})
        if gain <= PAYS:
            break
    return pd.DataFrame(rows)


def _vehicles(street: Street) -> int:
    table, here = street.asker.data.tables["fleets"], street.asker.scenario
    return int(table.loc[[k for k in table.index if k[0] == here], "vehicles"].sum())


def divide(street: Street, number: int) -> Street:
    """The same vehicles in the hands of ``number`` equal aggregators: the strategic one, and the others, who ask the
    same as each other, together in one of the other fleets. Offers are continuous."""
    asker, data, here = street.asker, street.asker.data, street.asker.scenario
    tables = {name: data.tables[name].copy() for name in ("fleets", "baselines", "envelopes") if name in data.tables}
    fleets = tables["fleets"]
    names = [u for s, u in fleets.index if s == here]
    mine = next(u for u in names if fleets.at[(here, u), "aggregator"] == asker.aggregator)
    rest = next(u for u in names if u != mine)
    total = _vehicles(street)
    old = int(fleets.at[(here, mine), "vehicles"])
    part = {u: 0 for u in names} | {mine: total // number, rest: total - total // number}
    declared = tables["baselines"]["energy"]
    for t in setting.keys(data, "periods"):
        whole = sum(float(declared.get((here, u, t), 0.0)) for u in names)
        for u in names:
            if (here, u, t) in declared.index:
                tables["baselines"].at[(here, u, t), "energy"] = whole * part[u] / total
            elif part[u] and whole:
                raise ValueError(f"fleet {u} has no row of baselines in period {t}")
    if "envelopes" in tables:
        for key in tables["envelopes"].index:
            if key[:2] == (here, mine):
                tables["envelopes"].at[key, "energy"] *= part[mine] / old
    for u in names:
        fleets.at[(here, u), "vehicles"] = part[u]
    changed = replace(data, tables={**data.tables, **tables})
    options = {**asker.options, "offers": "continuous", "scenario": here, "aggregator": asker.aggregator}
    return Street.of(changed, options)


def penalties(street: Street, progress: Callable[[str], None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """By how many of its vehicles are there where its best plan has most: the penalty from which on nothing is left
    out, and from which on its honest plan is best (infinite: none); and its profit and the operator's cost, plan by
    plan.

    Ends with the first number at which the plan without remedy is delivered in full: more vehicles change nothing.
    """
    (u, t), _ = max(street.best.plan.items(), key=lambda one: one[1] - street.honest.get(one[0], 0.0))
    fleet = street.asker.data.tables["fleets"].loc[(street.asker.scenario, u)]
    each = float(fleet["charger"]) * float(street.asker.data.tables["periods"].at[t, "duration"])
    top = HIGH * float(street.asker.data.parameters["alternative_cost"])
    rows, plans = [], []
    for there in [each * k for k in range(int(fleet["vehicles"]) + 1)]:
        progress(f"{street.asker.scenario}: {there:g} kWh there")
        found = by_penalty(street, u, t, there, top)
        who = {"scenario": street.asker.scenario, "fleet": u, "period": t, "there [kWh]": there}
        row = {"profit without penalty [EUR]": found[0].profit(0.0), "profit in the end [EUR]": found[-1].profit(top)}
        row |= {"all delivered from [EUR/kWh]": _since(found, lambda reply: reply.missing <= PAYS)}
        row |= {"honest from [EUR/kWh]": _since(found, lambda reply: moved(reply.plan, street.honest) <= PAYS)}
        rows.append(who | row | {"verdict": "certified"})
        plans += [who | _of_piece(street, piece) for piece in found]
        if found[-1].profit(top) >= street.best.profit - PAYS:
            break
    return pd.DataFrame(rows), pd.DataFrame(plans)


def by_penalty(street: Street, fleet: str, period: str, there: float, top: float) -> list[Piece]:
    """The best plans at penalties from nothing to top, with so much truly available in one period."""
    asker = replace(street.asker, options={**street.asker.options, "delivery": "penalised"})
    return over_penalties(replace(asker, data=_there(asker, fleet, period, there)), 0.0, top)


def _of_piece(street: Street, piece: Piece) -> dict[str, Any]:
    row = {"from penalty [EUR/kWh]": piece.low, "to penalty [EUR/kWh]": piece.high}
    row |= {"profit at the start [EUR]": piece.profit(piece.low), "profit at the end [EUR]": piece.profit(piece.high)}
    row |= {"not delivered [kWh]": piece.reply.missing}
    return row | {"operator cost [EUR]": street.clear(piece.reply.plan).operator_cost(), "verdict": "certified"}


def _since(found: list[Piece], holds: Callable[[Reply], bool]) -> float:
    level = inf
    for piece in reversed(found):
        if not holds(piece.reply):
            return level
        level = piece.low
    return level


def _there(asker: Asker, fleet: str, period: str, energy: float) -> Any:
    """The case with so much truly available in one period."""
    key = (asker.scenario, fleet, period)
    index = pd.MultiIndex.from_tuples([key], names=["scenario", "fleet", "period"])
    one = pd.DataFrame({"energy": [energy], "source": [""]}, index=index)
    known = asker.data.tables.get("availability")
    table = one if known is None else pd.concat([known.drop(index=[key], errors="ignore"), one])
    return replace(asker.data, tables={**asker.data.tables, "availability": table})
