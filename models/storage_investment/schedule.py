"""The same question over any number of periods: power, energy and a schedule.

level_t = level_(t-1) + charge_t / F - discharge_t, 0 <= level <= E, discharge <= P, charge <= (charge_limit) P; the
level is measured in discharged energy. Before the first period it is that after the last (cyclic), or both are given in
the table ``levels``.

At negative prices a schedule that may charge and discharge in one period is paid for the losses. With ``modes`` =
"exclusive" each period is one of charging or one of discharging (a whole-numbered decision of the owner); with "free"
the limits alone hold, and ``accounts.warnings`` names the periods in which both are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Refused

from .setting import compete, investment_cost, order, prices, setting, technology
from .two_period import installed, trade

FREE, EXCLUSIVE = "free", "exclusive"


def _schedule(model: pyo.ConcreteModel, block: Any, power: Any, energy: Any, modes: str) -> None:
    """Charge, discharge and level of one owner, within ``power`` and ``energy``."""
    block.charge = pyo.Var(model.period, bounds=(0, model.charge_limit * model.power_limit))
    block.discharge = pyo.Var(model.period, bounds=(0, model.power_limit))
    block.level = pyo.Var(model.period, within=pyo.NonNegativeReals)
    block.injection = pyo.Expression(model.period, rule=lambda b, t: b.discharge[t] - b.charge[t])
    first, last = model.period.first(), model.period.last()
    given = model.component("table_start") is not None

    def before(t: Any) -> Any:
        return model.start if given and t == first else block.level[model.period.prevw(t)]

    block.balance = pyo.Constraint(
        model.period,
        rule=lambda b, t: b.level[t] == before(t) + b.charge[t] / model.charge_ratio - b.discharge[t],
    )
    if given:
        block.start_fits = pyo.Constraint(expr=model.start <= energy)
        block.end = pyo.Constraint(expr=block.level[last] == model.end)
    block.discharging = pyo.Constraint(model.period, rule=lambda b, t: b.discharge[t] <= power)
    block.charging = pyo.Constraint(model.period, rule=lambda b, t: b.charge[t] <= model.charge_limit * power)
    block.room = pyo.Constraint(model.period, rule=lambda b, t: b.level[t] <= energy)
    block.investment = pyo.Expression(expr=investment_cost(model, power, energy))
    if modes == EXCLUSIVE:
        _exclude(model, block)


def _exclude(model: pyo.ConcreteModel, block: Any) -> None:
    """A period is one of charging (charging = 1) or of discharging (0)."""
    if not model.power_limit.value < inf:
        raise Refused("exclusive modes need a largest power (storage.power_limit): it is what a mode switches off")
    block.mode = pyo.Var(model.period, within=pyo.Binary)
    most = model.power_limit
    block.charges = pyo.Constraint(model.period, rule=lambda b, t: b.charge[t] <= model.charge_limit * most * b.mode[t])
    block.discharges = pyo.Constraint(model.period, rule=lambda b, t: b.discharge[t] <= most * (1 - b.mode[t]))


def _built(model: pyo.ConcreteModel, block: Any, modes: str) -> None:
    """One owner that decides its power and energy as well."""
    block.power = pyo.Var(bounds=(0, model.power_limit))
    block.energy = pyo.Var(bounds=(0, model.energy_limit))
    _schedule(model, block, block.power, block.energy, modes)


def _setting(
    data: Any, owners: Sequence[Any] = (1,), planned: bool = False, inside: bool = False
) -> tuple[pyo.ConcreteModel, Any]:
    """Model and storage Blocks; ``planned``: a planner owns the firms, ``inside``: the storage as well."""
    model = setting(data, planned)
    technology(data, model)
    table = data.param("storage", "charge_limit")
    model.table_charge_limit = table
    model.charge_limit = table[data.tables["storage"].index[0]]
    if "levels" in data.tables:
        key = data.tables["levels"].index[0]
        model.table_start, model.table_end = data.param("levels", "start"), data.param("levels", "end")
        model.start, model.end = model.table_start[key], model.table_end[key]
    model.owners = pyo.Set(initialize=owners, ordered=True)
    host = model.planner if inside else model
    host.storage = pyo.Block(model.owners)
    return model, host.storage


def _finish(model: pyo.ConcreteModel, storage: Any) -> None:
    prices(model, lambda t: sum(storage[i].injection[t] for i in model.owners))
    model.welfare = pyo.Expression(expr=model.surplus - sum(storage[i].investment for i in model.owners))


def _investors(
    data: Any, owners: Sequence[Any] = (1,), planned: bool = False, modes: str = FREE
) -> tuple[pyo.ConcreteModel, Any]:
    model, storage = _setting(data, owners, planned, inside=planned and modes == FREE)
    for i in model.owners:
        _built(model, storage[i], modes)
    _finish(model, storage)
    return model, storage


def _trade(model: pyo.ConcreteModel, block: Any) -> None:
    block.profit = pyo.Objective(expr=trade(model, block) - block.investment, sense=pyo.maximize)


def _serve(model: pyo.ConcreteModel, block: Any) -> None:
    block.maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)


def _numbered(owners: int) -> range:
    return range(1, owners + 1)


def merchant_schedule(data: Any, owners: int = 1, modes: str = EXCLUSIVE) -> pyo.ConcreteModel:
    """Identical owners, each maximising its own profit, move before the firms."""
    model, storage = _investors(data, _numbered(owners), modes=modes)
    for block in storage.values():
        _trade(model, block)
    compete(model)
    return order(model, list(storage.values()))


def welfare_schedule(data: Any, modes: str = EXCLUSIVE) -> pyo.ConcreteModel:
    """One owner that maximises welfare moves before the firms."""
    model, storage = _investors(data, modes=modes)
    _serve(model, storage[1])
    compete(model)
    return order(model, [storage[1]])


def mixed_schedule(data: Any, modes: str = EXCLUSIVE) -> pyo.ConcreteModel:
    """The owners of table ``owners``, each a merchant or one that maximises welfare, move before the firms."""
    kinds = data.tables["owners"]["kind"]
    model, storage = _investors(data, list(kinds.index), modes=modes)
    for name, kind in kinds.items():
        (_trade if kind == "merchant" else _serve)(model, storage[name])
    compete(model)
    return order(model, list(storage.values()))


def planner_schedule(data: Any, modes: str = EXCLUSIVE) -> pyo.ConcreteModel:
    """A planner decides schedule and all output: one concave programme.

    With exclusive modes it moves before a dispatcher of the plants who maximises the same welfare; as both want the
    same, what they reach is what one of them alone would.
    """
    if modes == EXCLUSIVE:
        return _planner_with_modes(data)
    model, _ = _investors(data, planned=True)
    _serve(model, model.planner)
    return model


def _planner_with_modes(data: Any) -> pyo.ConcreteModel:
    model, storage = _investors(data, planned=True, modes=EXCLUSIVE)
    _serve(model, storage[1])
    model.planner.maximise_surplus = pyo.Objective(expr=model.surplus, sense=pyo.maximize)
    model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    model.stage[storage[1]], model.stage[model.planner] = 1, 2
    return model


def installed_schedule(data: Any, modes: str = EXCLUSIVE) -> pyo.ConcreteModel:
    """A merchant operates a storage whose power and energy are given (table ``installed``)."""
    model, storage = _setting(data)
    installed(data, model)
    _schedule(model, storage[1], model.installed_power, model.installed_energy, modes)
    _finish(model, storage)
    _trade(model, storage[1])
    compete(model)
    return order(model, [storage[1]])


def open_loop_schedule(data: Any, owners: int = 1) -> pyo.ConcreteModel:
    """Owners and firms decide everything at once, each given the others: Cournot storage."""
    model, storage = _investors(data, _numbered(owners))
    for block in storage.values():
        _trade(model, block)
    compete(model)
    return model
