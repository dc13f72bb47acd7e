"""What all structures share: periods, Cournot firms, the price, welfare, and the order of moves.

The price is an Expression of what firms and storage feed in, so everybody who feeds in moves it along the inverse
demand (as a Var cleared by a row outside it would be taken as given: perfect competition).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo


def setting(data: Any, planned: bool = False) -> pyo.ConcreteModel:
    """Periods, demand and firms with outputs; nobody has an Objective yet. ``planned``: a planner owns the firms."""
    model = pyo.ConcreteModel()
    model.period = pyo.Set(initialize=list(data.tables["periods"].index), ordered=True)
    model.intercept = data.param("periods", "intercept")
    model.slope = data.param("periods", "slope")
    model.must_run = data.param("periods", "must_run")
    model.firms = pyo.Set(initialize=list(data.tables["firms"].index), ordered=True)
    model.cost = data.param("firms", "cost")
    model.cost_slope = data.param("firms", "cost_slope")
    model.capacity = data.param("firms", "capacity")
    host = model
    if planned:
        host = model.planner = pyo.Block()
    host.firm = pyo.Block(model.firms)
    for f in model.firms:
        host.firm[f].output = pyo.Var(model.period, bounds=(0, model.capacity[f]))
    return model


def firm(model: Any, name: Any) -> Any:
    """The Block of one firm, its own or inside the planner's."""
    return (model if model.component("firm") is not None else model.planner).firm[name]


def technology(data: Any, model: pyo.ConcreteModel) -> None:
    """Params of the one storage technology that every owner can build."""
    key = data.tables["storage"].index[0]
    for name in ("charge_ratio", "power_cost", "energy_cost", "quadratic_cost", "power_limit", "energy_limit"):
        table = data.param("storage", name)
        model.add_component(f"table_{name}", table)
        setattr(model, name, table[key])


def prices(model: pyo.ConcreteModel, injection: Any) -> None:
    """Consumption, price and welfare before storage is paid for, ``injection(t)`` the storage's net feed-in, GWh."""
    model.injection = pyo.Expression(model.period, rule=lambda m, t: injection(t))
    model.generation = pyo.Expression(model.period, rule=lambda m, t: sum(firm(m, f).output[t] for f in m.firms))
    model.consumption = pyo.Expression(model.period, rule=lambda m, t: m.must_run[t] + m.generation[t] + m.injection[t])
    model.price = pyo.Expression(model.period, rule=lambda m, t: m.intercept[t] - m.slope[t] * m.consumption[t])
    model.benefit = pyo.Expression(
        model.period,
        rule=lambda m, t: m.intercept[t] * m.consumption[t] - m.slope[t] * m.consumption[t] ** 2 / 2,
    )
    model.production_cost = pyo.Expression(model.firms, rule=lambda m, f: sum(_cost(m, f, t) for t in m.period))
    model.surplus = pyo.Expression(
        expr=sum(model.benefit[t] for t in model.period) - sum(model.production_cost[f] for f in model.firms)
    )


def _cost(model: Any, name: Any, t: Any) -> Any:
    g = firm(model, name).output[t]
    return model.cost[name] * g + model.cost_slope[name] * g**2 / 2


def compete(model: pyo.ConcreteModel, charge: Any = None) -> None:
    """Every firm maximises its profit, knowing that its own output moves the price. ``charge(output)``: what it pays
    beside its cost, kEUR."""
    for f in model.firms:
        block = model.firm[f]
        block.revenue = pyo.Expression(expr=sum(model.price[t] * block.output[t] for t in model.period))
        block.charge = pyo.Expression(expr=charge(block.output) if charge else 0.0)
        block.profit = pyo.Objective(expr=block.revenue - model.production_cost[f] - block.charge, sense=pyo.maximize)


def order(model: pyo.ConcreteModel, leaders: Sequence[Any], followers: Sequence[Any] = ()) -> pyo.ConcreteModel:
    """Leaders move first; ``followers`` and all firms see their decisions."""
    model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for block in leaders:
        model.stage[block] = 1
    for block in (*followers, *model.firm.values()):
        model.stage[block] = 2
    return model


def investment_cost(model: Any, power: Any, energy: Any) -> Any:
    """c_P P + c_E E + I P^2 / 2, kEUR."""
    return model.power_cost * power + model.energy_cost * energy + model.quadratic_cost * power**2 / 2


def no_storage(data: Any) -> pyo.ConcreteModel:
    """The firms alone: the Cournot equilibrium of every period."""
    model = setting(data)
    prices(model, lambda t: 0.0)
    compete(model)
    return model
