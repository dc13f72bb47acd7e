"""Pay-as-bid with truthful bids: what a period's output costs is shared out, no more is paid (producers earn nothing).

Who pays what is a rule that has to be chosen. ``pro_rata``: everybody pays C(q)/q for each MWh. ``increment``: whoever
is flexible pays what it adds to the cost, C(q) less C(q - own load); the others pay the rest. (Where demand is known,
producers would bid the clearing price instead, and the outcome is that of one price.)
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from .structures import bill, buyers, setting, supply_at
from .supply import cost

PRO_RATA, INCREMENT = "pro_rata", "increment"


def pay_as_bid(data: Any, aggregators: int = 2, sharing: str = PRO_RATA) -> pyo.ConcreteModel:
    """A aggregators with equal shares minimise what they pay under pay-as-bid."""
    model = setting(data)
    buyers(model, {k + 1: model.flexible_energy / aggregators for k in range(aggregators)})
    supply_at(model, lambda t: sum(block.load[t] for block in model.aggregator.values()))
    if sharing == PRO_RATA:
        for t in model.period:  # C(q)/q
            model.price[t] = model.cost_linear + model.cost_power * model.output[t] ** (1 + model.cost_exponent)
        for block in model.aggregator.values():
            block.minimise_bill = pyo.Objective(expr=bill(model, block.load))
        return model
    model.charge = pyo.Expression(model.aggregators, rule=_added)
    for name, block in model.aggregator.items():
        block.minimise_bill = pyo.Objective(expr=model.charge[name])
    return model


def _added(model: pyo.ConcreteModel, name: Any) -> Any:
    """What one aggregator adds to the cost of all periods, EUR."""
    own = model.aggregator[name].load
    return sum(cost(model, model.output[t]) - cost(model, model.output[t] - own[t]) for t in model.period)
