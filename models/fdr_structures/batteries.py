"""Batteries instead of a service (footnote 10 of the paper, as it can be read): nothing has to be bought in the end.

An owner with share L_a has a battery of range 2 L_a S that begins and ends half full. load[t] is what it takes from the
grid, below zero where it gives back: level_t = level_(t-1) + load_t, or with losses on the way in and out level_t =
level_(t-1) + eta charge_t - discharge_t/eta. With two periods and no losses, s in [-L_a S, L_a S] is bought off-peak
and sold in the peak. As to quantities this is the service with demand x_i - S and energy 2 S for linear supply; as to
bills and for curved supply it is not.

Beside generators with market power (table ``generators``) owners decide at once with them (N) or first (L), as in
``strategic``.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Fault, Refused

from . import generation, strategic
from .structures import buyers, compete, own_energy, setting, supply_at


def _setting(data: Any) -> pyo.ConcreteModel:
    """Raises Refused where batteries could give back more than is used in a period."""
    model = setting(data)
    if data.parameters["battery_efficiency"] != 1:  # without losses charge and discharge are one decision
        model.battery_efficiency = data.param("parameters", "battery_efficiency")
    model.given_back = pyo.Expression(expr=_once(len(model.period)) * model.flexible_energy)
    most, least = pyo.value(model.given_back), min(pyo.value(model.demand[t]) for t in model.period)
    if most >= least:
        raise Refused(_too_large(most, least))
    return model


def _once(periods: int) -> int:
    """What can be given back in one period, over S."""
    return 1 if periods == 2 else 2


def _too_large(most: float, least: float) -> str:
    return (
        f"batteries could give back {most:g} MWh in a period in which {least:g} MWh are used; the producers would have "
        "to deliver less than nothing"
    )


def check_size(data: Any, **_: Any) -> list[Fault]:
    """The fault of batteries that could give back more than is used in a period."""
    load, energy = data.tables["demand"]["load"], data.parameters["flexible_energy"]
    most, least = _once(len(load)) * energy, float(load.min())
    if most < least:
        return []
    allowed = f"less than {least / _once(len(load)):g} MWh"
    return [Fault("parameters.csv", _too_large(most, least), None, "flexible_energy", f"{energy:g}", allowed)]


def battery(model: pyo.ConcreteModel, block: Any, energy: Any) -> None:
    """A Block that decides ``load[t]`` of a battery with range 2 ``energy``, half full at both ends."""
    block.energy = pyo.Expression(expr=energy)
    block.level = pyo.Var(model.period, within=pyo.NonNegativeReals)
    block.room = pyo.Constraint(model.period, rule=lambda b, t: b.level[t] <= 2 * b.energy)
    eta = model.component("battery_efficiency")
    if eta is None:
        block.load = pyo.Var(model.period)
        gained = dict(block.load.items())
    else:
        block.charge = pyo.Var(model.period, within=pyo.NonNegativeReals)
        block.discharge = pyo.Var(model.period, within=pyo.NonNegativeReals)
        block.load = pyo.Expression(model.period, rule=lambda b, t: b.charge[t] - b.discharge[t])
        gained = {t: eta * block.charge[t] - block.discharge[t] / eta for t in model.period}

    def before(t: Any) -> Any:
        return block.energy if t == model.period.first() else block.level[model.period.prev(t)]

    block.balance = pyo.Constraint(model.period, rule=lambda b, t: b.level[t] == before(t) + gained[t])
    block.end = pyo.Constraint(expr=block.level[model.period.last()] == block.energy)


def battery_efficient(data: Any) -> pyo.ConcreteModel:
    """A planner runs all batteries when it costs the system least."""
    model = _setting(data)
    model.planner = pyo.Block()
    battery(model, model.planner, model.flexible_energy)
    supply_at(model, lambda t: model.planner.load[t])
    model.planner.minimise_cost = pyo.Objective(expr=model.system_cost)
    return model


def battery_cournot(data: Any, aggregators: int = 2) -> pyo.ConcreteModel:
    """A owners with equal batteries compete."""
    model = _setting(data)
    return compete(model, buyers(model, _equal(model, aggregators), battery))


def battery_shares(data: Any) -> pyo.ConcreteModel:
    """Owners with the shares of table ``aggregators`` compete."""
    model = _setting(data)
    return compete(model, buyers(model, own_energy(model, data), battery))


def _equal(model: pyo.ConcreteModel, count: int) -> dict[Any, Any]:
    return {k + 1: model.flexible_energy / count for k in range(count)}


def battery_first_best(data: Any) -> pyo.ConcreteModel:
    """A planner runs all batteries and decides all output."""
    model = _setting(data)
    generation.plants(model, data)
    model.planner = pyo.Block()
    battery(model, model.planner, model.flexible_energy)
    return strategic.plan(model)


def strategic_battery_cournot(data: Any, aggregators: int = 2, timing: str = strategic.NASH) -> pyo.ConcreteModel:
    """A owners with equal batteries, and generators with market power."""
    model = _setting(data)
    generation.plants(model, data)
    return strategic.compete(model, buyers(model, _equal(model, aggregators), battery), timing)


def strategic_battery_shares(data: Any, timing: str = strategic.NASH) -> pyo.ConcreteModel:
    """Owners of batteries with the shares of table ``aggregators``, and generators with market power."""
    model = _setting(data)
    generation.plants(model, data)
    return strategic.compete(model, buyers(model, own_energy(model, data), battery), timing)
