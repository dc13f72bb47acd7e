"""One function per structure, each a plain Pyomo model.

``clearing`` and ``vehicles``: on each day the operator buys relief at least cost from bids that are data. Days are
independent; bids are made before the day is known. ``competitive``: price-taking aggregators choose their baselines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Refused

from . import setting
from .clearing import clear
from .settlement import PRICES


def clearing(data: Any, scenario: str = "", offers: str = "whole", settlement: str = "pay_as_bid") -> pyo.ConcreteModel:
    """The operator clears the bids of fleets, one linear programme a day."""
    model = setting.setting(data, scenario)
    setting.fleets(data, model, offers)
    if setting.keys(data, "availability"):
        model.availability = data.param("availability", "energy")
    return _operate(model, settlement)


def vehicles(
    data: Any, scenario: str = "", offers: str = "continuous", settlement: str = "pay_as_bid"
) -> pyo.ConcreteModel:
    """The operator clears the bids of single vehicles, each with its own charger and window."""
    model = setting.setting(data, scenario)
    setting.vehicles(data, model, offers)
    return _operate(model, settlement)


def _operate(model: pyo.ConcreteModel, settlement: str) -> pyo.ConcreteModel:
    setting.network(model)
    _refuse(model, settlement)
    model.settlement = settlement
    model.operator = pyo.Block(model.day)
    for d in model.day:
        clear(model.operator[d], model, model.home, setting.limits(model, d))
    return model


def _refuse(model: pyo.ConcreteModel, settlement: str) -> None:
    """Combinations that have no meaning, or none that is written down here."""
    if model.lots and settlement in PRICES:
        raise Refused(f"there are no marginal prices of indivisible lots, so settlement={settlement} has no meaning")
    if (model.raised or model.sensitivity) and settlement in PRICES:
        raise Refused(f"settlement={settlement} is for feeders with a rating alone, without feed-in limits and points")
    if model.lots and (model.raised or model.sensitivity):
        raise Refused("offers=lots is for feeders with a rating alone, without feed-in limits and points")


def without_each(data: Any, structure: str, options: Mapping[str, Any]) -> pyo.ConcreteModel:
    """The clearing of every day without the bids of each aggregator in turn: ``operator[day, aggregator]``.

    Who is excluded keeps its baseline.
    """
    model = setting.setting(data, options["scenario"])
    if structure == "vehicles":
        setting.vehicles(data, model, options["offers"])
    else:
        setting.fleets(data, model, options["offers"])
    setting.network(model)
    model.operator = pyo.Block(model.day, model.aggregator)
    for d, a in model.operator:
        others = {
            name: {k: most for k, most in getattr(model, name).items() if model.owner[k[0]] != a}
            for name in ("offer", "headroom")
        }
        clear(model.operator[d, a], model, model.home, setting.limits(model, d, **others))
    return model


def competitive(data: Any, scenario: str = "") -> pyo.ConcreteModel:
    """Every fleet charges where the wholesale price is lowest, within its habit (table ``envelopes``).

    min sum_t pi_t s_t, sum_t s_t = energy of all vehicles, 0 <= s_t <= U_t; without a row U_t is what the chargers of
    the fleet can deliver.
    """
    model = setting.setting(data, scenario)
    setting.fleets(data, model, "continuous")
    here, names = model.scenario, list(model.home)
    model.energy = data.param("fleets", "energy")
    if setting.keys(data, "envelopes"):
        model.envelope = data.param("envelopes", "energy")
    model.fleet = pyo.Block(names)
    for u in names:
        block = model.fleet[u]
        block.charge = pyo.Var(model.period, within=pyo.NonNegativeReals)
        for t in model.period:
            full = model.vehicles[here, u] * model.charger[here, u] * model.duration[t]
            known = model.component("envelope") is not None and (here, u, t) in model.envelope
            block.charge[t].setub(model.envelope[here, u, t] if known else full)
        block.served = pyo.Constraint(
            expr=sum(block.charge[t] for t in model.period) == model.energy[here, u] * model.vehicles[here, u]
        )
        block.bill = pyo.Objective(expr=sum(model.price[t] * block.charge[t] for t in model.period))
    return model
