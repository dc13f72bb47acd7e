"""From tables to the numbers of a model: plants by rows or by a law, their availability, elastic demand in two forms.

Every number is an Expression of the mutable Params that hold the table cells.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from equilibrium.scenarios import is_finite


def keys(data: Any, table: str) -> list[Any]:
    """Keys of a table; none if the case does not have it."""
    return list(data.tables[table].index) if table in data.tables else []


def by_law(data: Any) -> dict[tuple[str, str], int]:
    """Plants of the table ``fleets`` by (country, name), with their place in the geometric law: 0 is the cheapest.

    They are named t1, t2, ... in the order of the law.
    """
    counts = data.tables["fleets"]["plants"] if keys(data, "fleets") else {}
    return {(n, f"t{k + 1}"): k for n, count in counts.items() for k in range(int(count))}


def all_plants(data: Any) -> list[tuple[str, str]]:
    """(country, plant) of every plant, those given by rows first."""
    return [*keys(data, "plants"), *by_law(data)]


def elastic_keys(data: Any) -> list[tuple[str, int]]:
    """(country, hour) of elastic demand, given by its line or by a point on it."""
    return [*keys(data, "elastic_demand"), *keys(data, "reference_demand")]


def state_plants(model: pyo.ConcreteModel, data: Any) -> None:
    """``cost_intercept[n, t]``, ``cost_slope[n, t]``, ``capacity[n, t]`` (MW, may be infinite), ``share[n, t, h]``."""
    rows, law = set(keys(data, "plants")), by_law(data)
    for name in ("intercept", "slope", "capacity"):
        if rows:
            model.add_component(f"plant_{name}", data.param("plants", name))
        if law:
            model.add_component(f"fleet_{name}", data.param("fleets", name))
    if law:
        model.fleet_ratio = data.param("fleets", "ratio")
    model.share = data.param("availability", "share") if keys(data, "availability") else pyo.Param([])
    pairs = all_plants(data)

    def cell(m: Any, name: str, n: str, t: str) -> Any:
        if (n, t) in rows:
            return m.component(f"plant_{name}")[n, t]
        return m.component(f"fleet_{name}")[n] * (1.0 if name == "capacity" else m.fleet_ratio[n] ** law[n, t])

    model.cost_intercept = pyo.Expression(pairs, rule=lambda m, n, t: cell(m, "intercept", n, t))
    model.cost_slope = pyo.Expression(pairs, rule=lambda m, n, t: cell(m, "slope", n, t))
    model.capacity = pyo.Expression(pairs, rule=lambda m, n, t: cell(m, "capacity", n, t))


def limited(model: pyo.ConcreteModel, n: str, t: str) -> bool:
    """Whether the plant has a capacity."""
    return is_finite(pyo.value(model.capacity[n, t]))


def available(model: pyo.ConcreteModel, n: str, t: str, h: int) -> Any:
    """Capacity of the plant in the hour, MW."""
    full = model.capacity[n, t]
    return full * model.share[n, t, h] if (n, t, h) in model.share else full


def state_elastic(model: pyo.ConcreteModel, data: Any) -> None:
    """``choke[n, h]`` and ``fall[n, h]`` of retail price = choke - fall consumption.

    From an elasticity eps < 0 at price p0 and quantity Q0: fall d = -p0/(eps Q0), choke c = p0 + d Q0.
    """
    lines, points = set(keys(data, "elastic_demand")), set(keys(data, "reference_demand"))
    if lines:
        model.line_intercept = data.param("elastic_demand", "intercept")
        model.line_slope = data.param("elastic_demand", "slope")
    if points:
        model.point_price = data.param("reference_demand", "price")
        model.point_quantity = data.param("reference_demand", "quantity")
        model.point_elasticity = data.param("reference_demand", "elasticity")

    def fall(m: Any, n: str, h: int) -> Any:
        if (n, h) in lines:
            return m.line_slope[n, h]
        return -m.point_price[n, h] / (m.point_elasticity[n, h] * m.point_quantity[n, h])

    def choke(m: Any, n: str, h: int) -> Any:
        if (n, h) in lines:
            return m.line_intercept[n, h]
        return m.point_price[n, h] + fall(m, n, h) * m.point_quantity[n, h]

    both = sorted(lines | points)
    model.fall = pyo.Expression(both, rule=fall)
    model.choke = pyo.Expression(both, rule=choke)


def state_lost_load(model: pyo.ConcreteModel, data: Any) -> None:
    """Demand that goes without, where the case gives it a value: a last plant of the country that sells at home.

    A price taker: max sum_h w_h (lam_n - value_n) lost_nh, 0 <= lost_nh <= D_nh. Only inelastic demand can be lost.
    ``lost[n, h]`` is its quantity, where demand can be lost.
    """
    valued = set(keys(data, "lost_load"))
    if valued:
        model.lost_value = data.param("lost_load", "value")
    hours = {n: [h for h in model.hour if h not in model.elastic[n]] for n in model.country}
    model.lost_load = pyo.Block([n for n in model.country if n in valued and hours[n]])
    for n, block in model.lost_load.items():
        block.quantity = pyo.Var(hours[n], within=pyo.NonNegativeReals)
        block.demand = pyo.Constraint(hours[n], rule=lambda b, h, n=n: b.quantity[h] <= model.inelastic[n, h])
        block.maximise_profit = pyo.Objective(
            expr=sum(model.weight[h] * (model.price[n, h] - model.lost_value[n]) * block.quantity[h] for h in hours[n]),
            sense=pyo.maximize,
        )

    pairs = [(n, h) for n in model.lost_load for h in hours[n]]
    model.lost = pyo.Expression(pairs, rule=lambda m, n, h: m.lost_load[n].quantity[h])


def lost(model: pyo.ConcreteModel, n: str, h: int) -> Any:
    """Demand of the country that goes without in the hour, MW."""
    can = n in model.lost_load and h not in model.elastic[n]
    return model.lost[n, h] if can else 0.0
