"""What is reported of a solved structure: quantities, prices, cost, and who pays whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.errors import NotCertified

from . import open_dispatch, own, structures, threshold, undetermined
from .batteries import battery_efficient, battery_first_best
from .generation import check_price_is_set, production_cost
from .strategic import first_best, first_best_shares

BATTERIES = ", batteries"
LIMITED = ", own limits"  # the benchmark of aggregators that have limits or costs of their own has them as well


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit: every reported number of one alternative."""
    model = solved.model
    check_price_is_set(model)
    rows: list[tuple[str, str, float, str]] = []
    open_loads = undetermined.ranges(model)
    for t, (least, most) in open_loads.items():
        rows.append(("least flexible load", f"period={t}", least, "MWh"))
        rows.append(("most flexible load", f"period={t}", most, "MWh"))
    for t in model.period if not open_loads else ():
        rows.append(("flexible load", f"period={t}", pyo.value(model.flexible_load[t]), "MWh"))
    rows += generation(model, undetermined.outputs(model) if open_loads else {})
    for name, load in loads(model).items():
        rows += [("flexible load", f"aggregator={name};period={t}", pyo.value(load[t]), "MWh") for t in model.period]
    for t in model.period:
        rows.append(("output", f"period={t}", pyo.value(model.output[t]), "MWh"))
    for t in model.period:
        rows.append(("price", f"period={t}", pyo.value(model.price[t]), "EUR/MWh"))
    prices = [pyo.value(model.price[t]) for t in model.period]
    spread = prices[1] - prices[0] if len(prices) == 2 else max(prices) - min(prices)
    rows.append(("price spread", "", spread, "EUR/MWh"))
    rows += [("shifting cost", f"aggregator={name}", paid, "EUR") for name, paid in shifting_costs(model).items()]
    cost = pyo.value(model.system_cost)
    rows.append(("system cost", "", cost, "EUR"))
    ends = open_dispatch.spread(model) if np.any(solved.solution.certificate.ok) else None
    if ends is not None:
        rows += [("least system cost", "", ends[0], "EUR"), ("most system cost", "", ends[1], "EUR")]
    kind, limited = _kind(model), own.stated(model)
    best = benchmark(_key(solved.data, kind + LIMITED if limited else kind), model.netted)
    rows.append(("loss against efficient", "", cost - best.cost, "EUR"))
    if not open_loads:
        rows.append(("bill", "", bill(model), "EUR"))
    rows += [("payoff", f"player={player.name}", payoff(player), "EUR") for player in players(solved.solution)]
    if kind != "load" or limited or solved.alternative.structure == "pay_as_bid":
        return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])
    if model.component("payment") is not None:
        paid = pyo.value(model.payment)
    else:  # what the regulation of Proposition 7 would pay at this structure's load
        paid = (bill(model) - cost) - (best.bill - best.cost)
    rows.append(("regulatory payment", "", paid, "EUR"))
    has_limit = solved.data.parameters.get("rivals_limit", np.inf) < np.inf
    if solved.alternative.structure == "mixed_dso_dispatch" and len(model.period) == 2 and not has_limit:
        rows.append(("threshold share", "", threshold.solve_threshold(solved.data, model.netted), "1"))
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def _kind(model: Any) -> str:
    """Which plan a structure is compared with, limits of its aggregators apart."""
    kind = "generators" if model.component("generators") is not None else "load"
    return kind + (BATTERIES if model.component("given_back") is not None else "")


def excess(solved: Any) -> float:
    """System cost above that of the plan for which aggregators' own limits and costs do not count, EUR: one plan for
    all alternatives of a kind, so what limits cost is in it."""
    model = solved.model
    return float(pyo.value(model.system_cost) - benchmark(_key(solved.data, _kind(model)), model.netted).cost)


def generation(model: Any, ends: Mapping[tuple[Any, Any], tuple[float, float]]) -> list[tuple[str, str, float, str]]:
    """Rows: output of every generator with market power in every period, or where it is not determined its ``ends``;
    none where there are no such generators."""
    rows = []
    for g, t in model.generation if model.component("generators") is not None else ():
        index = f"generator={g};period={t}"
        if (g, t) in ends:
            rows += [
                (f"{end} generation", index, v, "MWh") for end, v in zip(("least", "most"), ends[g, t], strict=True)
            ]
        else:
            rows.append(("generation", index, pyo.value(model.generation[g, t]), "MWh"))
    return rows


def players(solution: Any) -> Any:
    """Everybody who decides, those who move first included."""
    answer = solution.answer
    return (answer.game if answer.leading is None else answer.leading.game).players


def payoff(player: Any) -> float:
    """A player's payoff as money it keeps: its Objective if it maximises, minus it if it minimises, EUR."""
    return -player.sign * pyo.value(player.objective.expr)


def shifting_costs(model: Any) -> dict[str, Any]:
    """What it costs every aggregator that its load is not even, EUR; empty where the data state no such cost."""
    planner = model.component("planner")
    home = model if planner is None else planner
    blocks = home.component("aggregator")
    if model.component("shifting_cost") is None or blocks is None:
        return {}
    return {name: pyo.value(block.shifting_cost) for name, block in blocks.items()}


def loads(model: Any) -> dict[str, Any]:
    """The flexible load of every aggregator by name, where there are several or the DSO dispatches its rivals'."""
    if model.component("aggregator") is not None and model.aggregator.is_indexed():
        return {name: model.aggregator[name].load for name in model.aggregators}
    if model.component("dso") is not None and model.dso.component("rivals") is not None:
        return {"dso": model.dso.load, "rivals": model.dso.rivals.load}
    return {}


def bill(model: Any) -> float:
    """What the flexible energy costs at the uniform prices, E(s), or by the rule of pay-as-bid, EUR."""
    if model.component("charge") is not None:
        return sum(pyo.value(model.charge[name]) for name in model.aggregators)
    return sum(pyo.value(model.price[t] * model.flexible_load[t]) for t in model.period)


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit. Payments (positive: received) between parties add up to zero; costs are real
    resources. Where loads are not determined these are the books of one of the equilibria.

    Whoever buys the flexible energy pays the producers and the generator at the uniform prices; a fee between
    households and aggregators is a constant that changes nothing and is left out, except the regulated one.
    """
    model = solved.model
    if model.component("charge") is not None:
        return _increments(model)
    price = {t: pyo.value(model.price[t]) for t in model.period}
    output = {t: pyo.value(model.output[t]) for t in model.period}
    demand = {t: pyo.value(model.demand[t]) for t in model.period}
    fixed = {t: demand[t] - pyo.value(model.residual_demand[t]) for t in model.period}
    rows = [("inflexible consumers", "payment", -sum(price[t] * demand[t] for t in price), "EUR")]
    for name, load in _buyers(model).items():
        rows.append((name, "payment", -sum(price[t] * pyo.value(load[t]) for t in price), "EUR"))
    rows.append(("dispatchable producers", "payment", sum(price[t] * output[t] for t in price), "EUR"))
    strategic = model.component("generators") is not None
    apart = model.component("producers_cost")
    theirs = model.system_cost if apart is None else apart
    rows.append(("dispatchable producers", "cost", -pyo.value(theirs), "EUR"))
    for name, paid in shifting_costs(model).items():
        rows.append((f"aggregator {name}", "cost", -paid, "EUR"))
    rows.append(("fixed generator", "payment", sum(price[t] * fixed[t] for t in price), "EUR"))
    for g in model.generators if strategic else ():
        delivered = {t: pyo.value(model.generation[g, t]) for t in price}
        real = sum(pyo.value(production_cost(model, g, delivered[t])) for t in price)
        rows.append((f"generator {g}", "payment", sum(price[t] * delivered[t] for t in price), "EUR"))
        rows.append((f"generator {g}", "cost", -real, "EUR"))
    if model.component("payment") is not None:
        buyer = next(iter(_buyers(model)))
        rows += [
            (buyer, "regulatory payment", pyo.value(model.payment), "EUR"),
            (buyer, "fee", pyo.value(model.fee), "EUR"),
        ]
        rows += [("regulator", "regulatory payment", -pyo.value(model.payment), "EUR")]
        rows += [("flexible households", "fee", -pyo.value(model.fee), "EUR")]
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])


def _increments(model: Any) -> pd.DataFrame:
    """The books where every load pays what it adds to the cost, and the inflexible the rest."""
    total = pyo.value(model.system_cost)
    rows = [("inflexible consumers", "payment", bill(model) - total, "EUR")]
    rows += [(f"aggregator {a}", "payment", -pyo.value(model.charge[a]), "EUR") for a in model.aggregators]
    rows += [("dispatchable producers", "payment", total, "EUR"), ("dispatchable producers", "cost", -total, "EUR")]
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])


def _buyers(model: Any) -> dict[str, Any]:
    """Who pays for the flexible energy: party name and load by period."""
    several = loads(model)
    if several:
        return {f"aggregator {name}": load for name, load in several.items()}
    for name, party in (
        ("planner", "flexible households"),
        ("households", "flexible households"),
        ("dso", "dso"),
        ("aggregator", "regulated aggregator"),
        ("generator", "generator as aggregator"),
    ):
        block = model.component(name)
        if block is not None and not block.is_indexed():
            return {party: block.load}
    for g, block in model.generator.items():
        if block.component("load") is not None:
            return {f"generator {g} as aggregator": block.load}
    raise KeyError("no buyer of flexible energy in this model")


def _key(data: Any, kind: str) -> tuple[Any, ...]:
    """The numbers that decide the efficient cost, hashable, with the data itself alongside for building."""
    tables = ["demand", *(["generators"] if kind.startswith("generators") else [])]
    tables += [name for name in ("aggregators", "windows") if kind.endswith(LIMITED) and name in data.tables]
    numbers = tuple(tuple(data.tables[name].itertuples(name=None)) for name in tables)
    return _Hashed((kind, *sorted(data.parameters.items())), numbers, data)  # type: ignore[return-value]


class _Hashed(tuple):
    """(parameters, tables, data) compared by the first two, so that the benchmark is solved once per case."""

    def __new__(cls, parameters: Any, tables: Any, data: Any) -> _Hashed:
        item = super().__new__(cls, (parameters, tables))
        item.data = data  # type: ignore[attr-defined]
        return item


@dataclass(frozen=True)
class Benchmark:
    """System cost and bill of the efficient plan, EUR."""

    cost: float
    bill: float


@lru_cache(maxsize=64)
def benchmark(key: Any, netted: bool) -> Benchmark:
    """The efficient plan on the same residual demand, solved and certified. Raises NotCertified where it is not
    certified."""
    match key[0][0]:
        case "generators":
            model = first_best(key.data)
        case "load, batteries":
            model = battery_efficient(key.data)
        case "generators, batteries":
            model = battery_first_best(key.data)
        case "load":
            model = structures.efficient(key.data, "yes" if netted else "no")
        case "generators, own limits":
            model = first_best_shares(key.data)
        case _:
            model = structures.efficient_shares(key.data, "yes" if netted else "no")
    solution = solve(model)
    if not solution.certificate.ok:
        raise NotCertified(f"the efficient benchmark is not certified: {solution.certificate.scope}")
    return Benchmark(pyo.value(model.system_cost), bill(model))
