"""The same question over any number of periods: power, energy and a schedule, cyclic over the horizon.

level_t = level_(t-1) + charge_t / F - discharge_t, the level before the first period being that after the last; the
level is measured in discharged energy, 0 <= level <= E, discharge <= P, charge <= (charge_limit) P.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from .setting import compete, investment_cost, order, prices, setting, technology
from .two_period import installed, trade


def _schedule(model: pyo.ConcreteModel, block: Any, power: Any, energy: Any) -> None:
    """Charge, discharge and level of one owner, within ``power`` and ``energy``."""
    block.charge = pyo.Var(model.period, bounds=(0, model.charge_limit * model.power_limit))
    block.discharge = pyo.Var(model.period, bounds=(0, model.power_limit))
    block.level = pyo.Var(model.period, within=pyo.NonNegativeReals)
    block.injection = pyo.Expression(model.period, rule=lambda b, t: b.discharge[t] - b.charge[t])
    block.balance = pyo.Constraint(
        model.period,
        rule=lambda b, t: (
            b.level[t] == b.level[model.period.prevw(t)] + b.charge[t] / model.charge_ratio - b.discharge[t]
        ),
    )
    block.discharging = pyo.Constraint(model.period, rule=lambda b, t: b.discharge[t] <= power)
    block.charging = pyo.Constraint(model.period, rule=lambda b, t: b.charge[t] <= model.charge_limit * power)
    block.room = pyo.Constraint(model.period, rule=lambda b, t: b.level[t] <= energy)
    block.investment = pyo.Expression(expr=investment_cost(model, power, energy))


def _built(model: pyo.ConcreteModel, block: Any) -> None:
    """One owner that decides its power and energy as well."""
    block.power = pyo.Var(bounds=(0, model.power_limit))
    block.energy = pyo.Var(bounds=(0, model.energy_limit))
    _schedule(model, block, block.power, block.energy)


def _setting(data: Any, owners: int = 1, planned: bool = False) -> tuple[pyo.ConcreteModel, Any]:
    """Model and host of the storage Blocks."""
    model = setting(data, planned)
    technology(data, model)
    table = data.param("storage", "charge_limit")
    model.table_charge_limit = table
    model.charge_limit = table[data.tables["storage"].index[0]]
    model.owners = pyo.RangeSet(owners)
    host = model.planner if planned else model
    host.storage = pyo.Block(model.owners)
    return model, host.storage


def _finish(model: pyo.ConcreteModel, storage: Any) -> None:
    prices(model, lambda t: sum(storage[i].injection[t] for i in model.owners))
    model.welfare = pyo.Expression(expr=model.surplus - sum(storage[i].investment for i in model.owners))


def _investors(data: Any, owners: int = 1, planned: bool = False) -> tuple[pyo.ConcreteModel, Any]:
    model, storage = _setting(data, owners, planned)
    for i in model.owners:
        _built(model, storage[i])
    _finish(model, storage)
    return model, storage


def _trading(model: pyo.ConcreteModel, storage: Any) -> None:
    for i in model.owners:
        storage[i].profit = pyo.Objective(expr=trade(model, storage[i]) - storage[i].investment, sense=pyo.maximize)


def merchant_schedule(data: Any, owners: int = 1) -> pyo.ConcreteModel:
    """Identical owners, each maximising its own profit, move before the firms."""
    model, storage = _investors(data, owners)
    _trading(model, storage)
    compete(model)
    return order(model, list(storage.values()))


def welfare_schedule(data: Any) -> pyo.ConcreteModel:
    """One owner that maximises welfare moves before the firms."""
    model, storage = _investors(data)
    storage[1].maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)
    compete(model)
    return order(model, [storage[1]])


def planner_schedule(data: Any) -> pyo.ConcreteModel:
    """A planner decides storage and all output: one concave programme."""
    model, _ = _investors(data, planned=True)
    model.planner.maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)
    return model


def installed_schedule(data: Any) -> pyo.ConcreteModel:
    """A merchant operates a storage whose power and energy are given (table ``installed``)."""
    model, storage = _setting(data)
    installed(data, model)
    _schedule(model, storage[1], model.installed_power, model.installed_energy)
    _finish(model, storage)
    _trading(model, storage)
    compete(model)
    return order(model, [storage[1]])


def open_loop_schedule(data: Any, owners: int = 1) -> pyo.ConcreteModel:
    """Owners and firms decide everything at once, each given the others: Cournot storage."""
    model, storage = _investors(data, owners)
    _trading(model, storage)
    compete(model)
    return model
