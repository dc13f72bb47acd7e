"""The two-period model with N identical firms, N any positive real number: what critical numbers of firms are about.

One firm stands for all. Its rivals sell (N - 1) times its output, which a rule outside the players states and the firm
takes as given; its own output moves the price as in ``two_period``. At whole N this is the symmetric equilibrium of N
separate firms (which, for linear demand and increasing marginal costs, is the only one).
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import pyomo.environ as pyo

from .theory import Setting


def _market(s: Setting, number: float) -> pyo.ConcreteModel:
    """Demand, the representative firm, its rivals; no storage and no Objective yet."""
    model = pyo.ConcreteModel()
    model.period = pyo.Set(initialize=[1, 2], ordered=True)
    model.number = pyo.Param(initialize=number, mutable=True)
    model.intercept = pyo.Param(model.period, initialize={1: s.A1, 2: s.A2}, mutable=True)
    model.slope = pyo.Param(model.period, initialize={1: s.Z1, 2: s.Z2}, mutable=True)
    model.firm = pyo.Block()
    model.firm.output = pyo.Var(model.period, within=pyo.NonNegativeReals)
    return model


def _storage(s: Setting, model: pyo.ConcreteModel, host: Any) -> Any:
    """An owner's size k and operation d <= k, on ``host`` as a Block of its own."""
    host.storage = pyo.Block()
    block = host.storage
    block.size = pyo.Var(bounds=(0, s.limit if isfinite(s.limit) else None))
    block.discharged = pyo.Var(within=pyo.NonNegativeReals)
    block.limit = pyo.Constraint(expr=block.discharged <= block.size)
    block.investment = pyo.Expression(expr=s.I * block.size**2 / 2)
    feed = {1: -s.F * block.discharged, 2: block.discharged}
    block.injection = pyo.Expression(model.period, rule=lambda b, t: feed[t])
    return block


def _prices(s: Setting, model: pyo.ConcreteModel, rivals: Any, block: Any = None) -> None:
    """Price and welfare; ``rivals[t]`` is what all firms but one sell."""
    firm, injection = model.firm, block.injection if block is not None else {1: 0.0, 2: 0.0}
    model.generation = pyo.Expression(model.period, rule=lambda m, t: firm.output[t] + rivals[t])
    model.consumption = pyo.Expression(model.period, rule=lambda m, t: m.generation[t] + injection[t])
    model.price = pyo.Expression(model.period, rule=lambda m, t: m.intercept[t] - m.slope[t] * m.consumption[t])
    # N firms with output G / N each, b g + N K g^2 / 2, cost the industry B G + K G^2 / 2 together.
    model.welfare = pyo.Expression(
        expr=sum(
            model.intercept[t] * model.consumption[t]
            - model.slope[t] * model.consumption[t] ** 2 / 2
            - s.B * model.generation[t]
            - s.K * model.generation[t] ** 2 / 2
            for t in model.period
        )
        - (block.investment if block is not None else 0.0)
    )


def _compete(s: Setting, model: pyo.ConcreteModel) -> None:
    firm = model.firm
    cost = sum(s.B * firm.output[t] + model.number * s.K * firm.output[t] ** 2 / 2 for t in model.period)
    firm.profit = pyo.Objective(
        expr=sum(model.price[t] * firm.output[t] for t in model.period) - cost, sense=pyo.maximize
    )


def _cournot(s: Setting, number: float, stored: bool) -> pyo.ConcreteModel:
    model = _market(s, number)
    model.rivals = pyo.Var(model.period)
    model.alike = pyo.Constraint(model.period, rule=lambda m, t: m.rivals[t] == (m.number - 1) * m.firm.output[t])
    _prices(s, model, model.rivals, _storage(s, model, model) if stored else None)
    _compete(s, model)
    if stored:
        model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
        model.stage[model.storage], model.stage[model.firm] = 1, 2
    return model


def no_storage(s: Setting, number: float) -> pyo.ConcreteModel:
    """The firms alone."""
    return _cournot(s, number, stored=False)


def merchant(s: Setting, number: float) -> pyo.ConcreteModel:
    """A profit-maximising owner moves before the firms."""
    model = _cournot(s, number, stored=True)
    block = model.storage
    trade = sum(model.price[t] * block.injection[t] for t in model.period)
    block.profit = pyo.Objective(expr=trade - block.investment, sense=pyo.maximize)
    return model


def welfare_owner(s: Setting, number: float) -> pyo.ConcreteModel:
    """A welfare-maximising owner moves before the firms."""
    model = _cournot(s, number, stored=True)
    model.storage.maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)
    return model


def planned(s: Setting) -> pyo.ConcreteModel:
    """A planner decides all output, without storage (the number of firms does not matter to it)."""
    model = _market(s, 1.0)
    _prices(s, model, {1: 0.0, 2: 0.0})
    model.firm.maximise_welfare = pyo.Objective(expr=model.welfare, sense=pyo.maximize)
    return model
