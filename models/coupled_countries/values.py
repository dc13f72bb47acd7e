"""What is reported of a solved market: prices, rents, quantities and welfare.

Only what the reading determines: sales by destination in the separable reading alone; elsewhere net exports.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyomo.environ as pyo

from . import conduct, inputs, parts

Row = tuple[str, str, float, str]


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit: every reported number of one alternative."""
    model = solved.model
    rows = [*prices(model), *plants(model, solved.solution.multipliers), *firms(model)]
    rows += [*balances(model), *welfare(model)]
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def prices(model: Any) -> list[Row]:
    """Wholesale, retail and congestion prices."""
    rows = [
        ("price", f"country={n};hour={h}", model.price[n, h].value, "EUR/MWh")
        for n in model.country
        for h in model.hour
    ]
    rows += [
        ("retail price", f"country={n};hour={h}", pyo.value(parts.retail_price(model, n, h)), "EUR/MWh")
        for n in model.country
        for h in model.hour
    ]
    rows += [
        ("congestion price", f"from={n};hour={h};to={m}", parts.congestion_price(model, (n, m), h), "EUR/MWh")
        for n, m in sorted(model.link)
        for h in model.hour
    ]
    return rows


def plants(model: Any, multipliers: pd.Series) -> list[Row]:
    """Generation and capacity rent of every plant; its sales by destination where cost is separable."""
    rows: list[Row] = []
    for n in model.fleet:
        fleet = model.fleet[n]
        for t in sorted(model.plants[n]):
            for h in model.hour:
                where = f"country={n};hour={h};plant={t}"
                rows.append(("generation", where, pyo.value(fleet.output[t, h]), "MW"))
                rows.append(("capacity rent", where, capacity_rent(model, multipliers, n, t, h), "EUR/MWh"))
                if model.split:
                    rows += [
                        ("sales", f"{where};to={m}", fleet.sales[t, m, h].value, "MW")
                        for m in sorted(model.destinations[n])
                    ]
    return rows


def firms(model: Any) -> list[Row]:
    """Sales to the markets in which a firm moves the price (there they are unique whatever the cost), and profits.

    Profits are listed for firms with a conjecture or with an owner's name; without either a firm earns its country's
    producer surplus.
    """
    moved = conduct.strategic(model)
    rows: list[Row] = [
        ("sales", f"firm={f};hour={h};to={m}", parts.sold_by(model, f, m, h), "MW")
        for f, m in moved
        for h in model.hour
    ]
    named = [f for f in model.firms if f not in model.country or f in {i for i, _ in moved}]
    return rows + [("profit", f"firm={f}", parts.profit(model, f), "EUR") for f in named]


def capacity_rent(model: Any, multipliers: pd.Series, n: str, t: str, h: int) -> float:
    """What one more MW of the plant is worth for an hour, EUR/MWh; 0 where there is no limit."""
    fleet = model.fleet[n]
    if (t, h) not in fleet.capacity:
        return 0.0
    name = fleet.capacity[t, h].name
    found = multipliers[name if name in multipliers.index else f"{name}.upper"]
    return found / pyo.value(model.weight[h])


def balances(model: Any) -> list[Row]:
    """Demand, lost load and net export of every country; flow over every link, net of the way back."""
    rows: list[Row] = []
    for n in model.country:
        for h in model.hour:
            consumed = pyo.value(model.consumption[n, h])
            made, lost = parts.output(model, n, h), pyo.value(inputs.lost(model, n, h))
            rows.append(("consumption", f"country={n};hour={h}", consumed, "MW"))
            rows.append(("net export", f"country={n};hour={h}", made + lost - consumed, "MW"))
            if (n, h) in model.lost:
                rows.append(("lost load", f"country={n};hour={h}", lost, "MW"))
    for n, m in sorted(model.link):
        for h in model.hour:
            back = model.flow[m, n, h] if (m, n) in model.link else 0.0
            rows.append(("net flow", f"from={n};hour={h};to={m}", pyo.value(model.flow[n, m, h] - back), "MW"))
    return rows


def welfare(model: Any) -> list[Row]:
    """Costs, surpluses, rents and welfare over all hours, EUR."""
    named = (
        ("generation cost", parts.generation_cost),
        ("demand response cost", lambda m, n: parts.demand_response_on_demand(m, n) + _on_plants(m, n)),
        ("consumer surplus", parts.consumer_surplus),
        ("producer surplus", parts.producer_surplus),
        ("demand response margin", parts.response_margin),
        ("country welfare", parts.country_welfare),
    )
    rows = [(name, f"country={n}", part(model, n), "EUR") for name, part in named for n in model.country]
    if model.split:
        rows += [("market welfare", f"country={n}", parts.market_welfare(model, n), "EUR") for n in model.country]
    rows.append(("congestion rent", "", sum(parts.rent(model, link) for link in model.link) + 0.0, "EUR"))
    rows.append(("welfare", "", sum(parts.country_welfare(model, n) for n in model.country), "EUR"))
    return rows


def _on_plants(model: Any, n: str) -> float:
    return parts.demand_response_on_plants(model, n)
