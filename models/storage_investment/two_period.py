"""The source's model: two periods, off-peak then on-peak; one function per structure, each a plain Pyomo model.

An owner decides its size k (discharged energy, GWh) and its operation d in [0, k]: it takes F d in the first period and
feeds d into the second. In ``merchant``, ``welfare_owner`` and their variants it moves before the firms and sees them
react; in ``simultaneous_operation`` only the size comes first; in ``open_loop`` nothing does. k pays for power and
energy alike.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Refused

from .setting import compete, investment_cost, order, prices, setting, technology


def _two_periods(data: Any, planned: bool = False) -> pyo.ConcreteModel:
    count = len(data.tables["periods"])
    if count != 2:
        raise Refused(
            f"this structure is the source's model of two periods, and the case has {count}; use the structures whose "
            "name ends in 'schedule'"
        )
    if "levels" in data.tables:
        raise Refused(
            "in the source's model of two periods storage begins and ends empty; given levels (levels.csv) are for the "
            "structures whose name ends in 'schedule'"
        )
    model = setting(data, planned)
    technology(data, model)
    return model


def _operation(model: pyo.ConcreteModel, block: Any) -> None:
    """d >= 0 with its charge F d, its net feed-in and its trading profit (once the price is there)."""
    block.discharged = pyo.Var(within=pyo.NonNegativeReals)
    first, second = model.period
    feed = {first: -model.charge_ratio * block.discharged, second: block.discharged}
    block.injection = pyo.Expression(model.period, rule=lambda b, t: feed[t])


def _size(model: pyo.ConcreteModel, block: Any) -> None:
    """k >= 0 within the limits on power and energy, and what it costs."""
    block.size = pyo.Var(within=pyo.NonNegativeReals)
    block.power_limit = pyo.Constraint(expr=block.size <= model.power_limit)
    block.energy_limit = pyo.Constraint(expr=block.size <= model.energy_limit)
    block.investment = pyo.Expression(expr=investment_cost(model, block.size, block.size))


def _storage(model: pyo.ConcreteModel, block: Any) -> None:
    _size(model, block)
    _operation(model, block)
    block.limit = pyo.Constraint(expr=block.discharged <= block.size)


def trade(model: Any, block: Any) -> Any:
    """What a storage earns by trading, kEUR."""
    return sum(model.price[t] * block.injection[t] for t in model.period)


def _owners(data: Any, owners: int = 1) -> pyo.ConcreteModel:
    """Owners with sizes and operation, prices; no Objective yet."""
    model = _two_periods(data)
    model.owners = pyo.RangeSet(owners)
    model.storage = pyo.Block(model.owners)
    for i in model.owners:
        _storage(model, model.storage[i])
    prices(model, lambda t: sum(model.storage[i].injection[t] for i in model.owners))
    model.welfare = pyo.Expression(expr=model.surplus - sum(model.storage[i].investment for i in model.owners))
    return model


def _trading(model: pyo.ConcreteModel, subsidy: Any = 0.0) -> None:
    for i in model.owners:
        block = model.storage[i]
        block.subsidy = pyo.Expression(expr=subsidy * block.discharged)
        block.profit = pyo.Objective(expr=trade(model, block) - block.investment + block.subsidy, sense=pyo.maximize)


def _stackelberg(model: pyo.ConcreteModel) -> pyo.ConcreteModel:
    return order(model, [model.storage[i] for i in model.owners])


def merchant(data: Any, owners: int = 1) -> pyo.ConcreteModel:
    """Identical owners, each maximising its own profit, move before the firms: the source's merchant for one."""
    model = _owners(data, owners)
    _trading(model)
    compete(model)
    return _stackelberg(model)


def welfare_owner(data: Any) -> pyo.ConcreteModel:
    """One owner that maximises welfare moves before the firms."""
    model = _owners(data)
    model.storage[1].maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)
    compete(model)
    return _stackelberg(model)


def planner(data: Any) -> pyo.ConcreteModel:
    """A planner decides storage and all output: one concave programme."""
    model = _two_periods(data, planned=True)
    model.owners = pyo.RangeSet(1)
    model.planner.storage = pyo.Block(model.owners)
    block = model.planner.storage[1]
    _storage(model, block)
    prices(model, lambda t: block.injection[t])
    model.welfare = pyo.Expression(expr=model.surplus - block.investment)
    model.planner.maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)
    return model


def simultaneous_operation(data: Any) -> pyo.ConcreteModel:
    """The size comes first; then operation and output are decided at once, each given the other."""
    model = _two_periods(data)
    model.owners = pyo.RangeSet(1)
    model.storage = pyo.Block(model.owners)
    model.operator = pyo.Block()
    block = model.storage[1]
    _size(model, block)
    _operation(model, model.operator)
    model.operator.limit = pyo.Constraint(expr=model.operator.discharged <= block.size)
    prices(model, lambda t: model.operator.injection[t])
    model.welfare = pyo.Expression(expr=model.surplus - block.investment)
    model.operator.profit = pyo.Objective(expr=trade(model, model.operator), sense=pyo.maximize)
    block.profit = pyo.Objective(expr=trade(model, model.operator) - block.investment, sense=pyo.maximize)
    compete(model)
    return order(model, [block], [model.operator])


def open_loop(data: Any) -> pyo.ConcreteModel:
    """Size, operation and output are all decided at once, each given the others."""
    model = _owners(data)
    _trading(model)
    compete(model)
    return model


def installed_merchant(data: Any) -> pyo.ConcreteModel:
    """A merchant operates a storage whose power and energy are given (table ``installed``); nothing is invested."""
    model = _two_periods(data)
    installed(data, model)
    model.owners = pyo.RangeSet(1)
    model.storage = pyo.Block(model.owners)
    block = model.storage[1]
    _operation(model, block)
    block.power_limit = pyo.Constraint(expr=block.discharged <= model.installed_power)
    block.energy_limit = pyo.Constraint(expr=block.discharged <= model.installed_energy)
    block.investment = pyo.Expression(expr=investment_cost(model, model.installed_power, model.installed_energy))
    prices(model, lambda t: block.injection[t])
    model.welfare = pyo.Expression(expr=model.surplus - block.investment)
    block.profit = pyo.Objective(expr=trade(model, block) - block.investment, sense=pyo.maximize)
    compete(model)
    return _stackelberg(model)


def installed(data: Any, model: pyo.ConcreteModel) -> None:
    """Params of the one row of table ``installed``."""
    key = data.tables["installed"].index[0]
    model.table_power = data.param("installed", "power")
    model.table_energy = data.param("installed", "energy")
    model.installed_power = model.table_power[key]
    model.installed_energy = model.table_energy[key]


def subsidised_merchant(data: Any) -> pyo.ConcreteModel:
    """The merchant is paid a subsidy (negative: pays a tax) on what it discharges.

    Paid on size it would not do what the source wants: the merchant of S2 then builds storage that it leaves unused.
    """
    model = _owners(data)
    model.table_subsidy = data.param("policy", "subsidy")
    _trading(model, model.table_subsidy[data.tables["policy"].index[0]])
    compete(model)
    return _stackelberg(model)


def ramping_merchant(data: Any) -> pyo.ConcreteModel:
    """Each firm pays a charge on what its output rises from the first period to the second (a fall is paid back; a
    negative charge is a subsidy)."""
    model = _owners(data)
    _trading(model)
    model.table_ramping = data.param("policy", "ramping_charge")
    charge = model.table_ramping[data.tables["policy"].index[0]]
    first, second = model.period
    compete(model, lambda output: charge * (output[second] - output[first]))
    return _stackelberg(model)
