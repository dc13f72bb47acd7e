"""What is reported of a solved structure: quantities, prices, cost, and who pays whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve

from . import structures, threshold


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit: every reported number of one alternative."""
    model = solved.model
    rows: list[tuple[str, str, float, str]] = []
    for t in model.period:
        rows.append(("flexible load", f"period={t}", pyo.value(model.flexible_load[t]), "MWh"))
    for name, load in loads(model).items():
        rows += [("flexible load", f"aggregator={name};period={t}", pyo.value(load[t]), "MWh") for t in model.period]
    for t in model.period:
        rows.append(("output", f"period={t}", pyo.value(model.output[t]), "MWh"))
    for t in model.period:
        rows.append(("price", f"period={t}", pyo.value(model.price[t]), "EUR/MWh"))
    first, last = model.period.first(), model.period.last()
    rows.append(("price spread", "", pyo.value(model.price[last] - model.price[first]), "EUR/MWh"))
    cost = pyo.value(model.system_cost)
    rows.append(("system cost", "", cost, "EUR"))
    best = benchmark(_key(solved.data), model.netted)
    rows.append(("loss against efficient", "", cost - best.cost, "EUR"))
    rows.append(("bill", "", bill(model), "EUR"))
    rows += [
        ("payoff", f"player={player.name}", payoff(player), "EUR") for player in solved.solution.answer.game.players
    ]
    if model.component("payment") is not None:
        paid = pyo.value(model.payment)
    else:  # what the regulation of Proposition 7 would pay at this structure's load
        paid = (bill(model) - cost) - (best.bill - best.cost)
    rows.append(("regulatory payment", "", paid, "EUR"))
    if solved.alternative.structure == "mixed_dso_dispatch":
        rows.append(("threshold share", "", threshold.solve_threshold(solved.data, model.netted), "1"))
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def payoff(player: Any) -> float:
    """A player's payoff as money it keeps: its Objective if it maximises, minus it if it minimises, EUR."""
    return -player.sign * pyo.value(player.objective.expr)


def loads(model: Any) -> dict[str, Any]:
    """The flexible load of every aggregator by name, where there are several or the DSO dispatches its rivals'."""
    if model.component("aggregator") is not None and model.aggregator.is_indexed():
        return {name: model.aggregator[name].load for name in model.aggregators}
    if model.component("dso") is not None and model.dso.component("rivals") is not None:
        return {"dso": model.dso.load, "rivals": model.dso.rivals.load}
    return {}


def bill(model: Any) -> float:
    """What the flexible energy costs at the uniform prices, E(s), EUR."""
    return sum(pyo.value(model.price[t] * model.flexible_load[t]) for t in model.period)


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit. Payments (positive: received) between parties add up to zero; costs are real
    resources.

    Whoever buys the flexible energy pays the producers and the generator at the uniform prices; a fee between
    households and aggregators is a constant that changes nothing and is left out, except the regulated one.
    """
    model = solved.model
    price = {t: pyo.value(model.price[t]) for t in model.period}
    output = {t: pyo.value(model.output[t]) for t in model.period}
    demand = {t: pyo.value(model.demand[t]) for t in model.period}
    fixed = {t: demand[t] - pyo.value(model.residual_demand[t]) for t in model.period}
    rows = [("inflexible consumers", "payment", -sum(price[t] * demand[t] for t in price), "EUR")]
    for name, load in _buyers(model).items():
        rows.append((name, "payment", -sum(price[t] * pyo.value(load[t]) for t in price), "EUR"))
    rows.append(("dispatchable producers", "payment", sum(price[t] * output[t] for t in price), "EUR"))
    rows.append(("dispatchable producers", "cost", -pyo.value(model.system_cost), "EUR"))
    rows.append(("fixed generator", "payment", sum(price[t] * fixed[t] for t in price), "EUR"))
    if model.component("payment") is not None:
        buyer = next(iter(_buyers(model)))
        rows += [
            (buyer, "regulatory payment", pyo.value(model.payment), "EUR"),
            (buyer, "fee", pyo.value(model.fee), "EUR"),
        ]
        rows += [("regulator", "regulatory payment", -pyo.value(model.payment), "EUR")]
        rows += [("flexible households", "fee", -pyo.value(model.fee), "EUR")]
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
        if block is not None:
            return {party: block.load}
    raise KeyError("no buyer of flexible energy in this model")


def _key(data: Any) -> tuple[Any, ...]:
    """The numbers that decide the efficient cost, hashable, with the data itself alongside for building."""
    return _Hashed(tuple(sorted(data.parameters.items())), tuple(data.tables["demand"]["load"].items()), data)  # type: ignore[return-value]


class _Hashed(tuple):
    """(parameters, demand, data) compared by the first two, so that the benchmark is solved once per case."""

    def __new__(cls, parameters: Any, demand: Any, data: Any) -> _Hashed:
        item = super().__new__(cls, (parameters, demand))
        item.data = data  # type: ignore[attr-defined]
        return item


@dataclass(frozen=True)
class Benchmark:
    """System cost and bill of the efficient plan, EUR."""

    cost: float
    bill: float


@lru_cache(maxsize=64)
def benchmark(key: Any, netted: bool) -> Benchmark:
    """The efficient plan on the same residual demand, solved and certified. Raises RuntimeError where it is not
    certified."""
    model = structures.efficient(key.data, "yes" if netted else "no")
    solution = solve(model)
    if not solution.certificate.ok:
        raise RuntimeError(f"the efficient benchmark is not certified: {solution.certificate.scope}")
    return Benchmark(pyo.value(model.system_cost), bill(model))
