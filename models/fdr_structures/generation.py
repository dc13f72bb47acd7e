"""Generators with market power beside the price-taking producers (section 4 of the paper).

Generator g delivers y_gt >= 0 in period t at cost Psi_g(y) = psi1 y + psi2 y^2 / 2 per period, up to its capacity. The
price-taking producers deliver the rest, q_t = x_t + load_t - sum_g y_gt >= 0, and the price is P(q_t): a generator that
holds back raises it. Each generator keeps q_t >= 0, since nobody buys more than is used (where q_t = 0 the price is a).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Refused

from .supply import cost, inverse_supply

NOTHING = 1e-6
"""Output below this part of demand is none: solvers find loads to 1e-7."""


def plants(model: pyo.ConcreteModel, data: Any) -> None:
    """Params of table ``generators``: who may deliver, at what cost, how much."""
    model.generators = pyo.Set(initialize=list(data.tables["generators"].index), ordered=True)
    model.generation_cost = data.param("generators", "cost")
    model.generation_slope = data.param("generators", "cost_slope")
    model.generation_capacity = data.param("generators", "capacity")


def plant(model: pyo.ConcreteModel, block: Any, name: Any, periods: Iterable[Any] | None = None) -> None:
    """A Block that decides ``generation[t]`` of one generator in ``periods`` (all of them if not given)."""
    periods = list(model.period if periods is None else periods)
    block.generation = pyo.Var(periods, bounds=(0, model.generation_capacity[name]))
    block.generation_cost = pyo.Expression(expr=sum(production_cost(model, name, block.generation[t]) for t in periods))


def production_cost(model: pyo.ConcreteModel, name: Any, output: Any) -> Any:
    """Psi(y) of one generator in one period, EUR."""
    return model.generation_cost[name] * output + model.generation_slope[name] * output**2 / 2


def supply_beside(
    model: pyo.ConcreteModel, flexible_load: Any, generation: Any, generation_cost: Any, shifting_cost: Any = None
) -> None:
    """Output of the price-taking producers, price and costs as Expressions of loads and generators' outputs.

    ``flexible_load(t)``: all flexible load; ``generation(g, t)``: output of generator g; ``generation_cost``: of all;
    ``shifting_cost``: what moving loads costs, if anything.
    """
    model.flexible_load = pyo.Expression(model.period, rule=lambda m, t: flexible_load(t))
    model.generation = pyo.Expression(model.generators, model.period, rule=lambda m, g, t: generation(g, t))
    model.output = pyo.Expression(
        model.period,
        rule=lambda m, t: m.residual_demand[t] + m.flexible_load[t] - sum(m.generation[g, t] for g in m.generators),
    )
    model.price = pyo.Expression(model.period, rule=lambda m, t: inverse_supply(m, m.output[t]))
    model.producers_cost = pyo.Expression(expr=sum(cost(model, model.output[t]) for t in model.period))
    model.generators_cost = pyo.Expression(expr=generation_cost)
    real = model.producers_cost + model.generators_cost
    model.system_cost = pyo.Expression(expr=real if shifting_cost is None else real + shifting_cost)


def sells_no_more_than_used(model: pyo.ConcreteModel, block: Any, periods: Iterable[Any] | None = None) -> None:
    """The price-taking producers cannot deliver less than nothing: a limit of whoever generates."""
    periods = list(model.period if periods is None else periods)
    block.residual = pyo.Constraint(periods, rule=lambda b, t: model.output[t] >= 0)


def compete(model: pyo.ConcreteModel, block: Any) -> None:
    """The Block of a generator maximises its profit and delivers no more than is used (stated if it may bind)."""
    if not never_flooded(model):
        sells_no_more_than_used(model, block, block.generation.keys())
    earn(model, block)


def never_flooded(model: pyo.ConcreteModel) -> bool:
    """Whether competing generators leave something to the other producers, whatever is used; without the limit periods
    are separate markets in which they react to loads by one continuous function.

    Linear supply P = a + beta q. A generator that delivers y > 0 has a + beta q - beta y >= psi1 + psi2 y. If q <= 0,
    then y <= k = (a - psi1)/(beta + psi2), so all of them deliver no more than the sum of the k that are positive.
    Where that is less than the least demand, without flexible load and with all that batteries can give back, q > 0.
    """
    if pyo.value(model.cost_exponent) != 0:
        return False
    a, beta = pyo.value(model.cost_linear), 2 * pyo.value(model.cost_power)
    most = sum(
        max(0.0, (a - pyo.value(model.generation_cost[g])) / (beta + pyo.value(model.generation_slope[g])))
        for g in model.generators
    )
    given_back = model.component("given_back")
    least = min(pyo.value(model.residual_demand[t]) for t in model.period)
    return most < least - (0.0 if given_back is None else pyo.value(given_back))


def check_price_is_set(model: pyo.ConcreteModel) -> None:
    """Raise Refused where generators with market power serve a period alone while others decide loads.

    There q_t = 0: whoever decides a load at once with them could take less, and the price-taking producers would
    deliver less than nothing at a price below their lowest. That is no market, so neither is what such moves prove.
    Generators, a planner and an owner of both see to q_t >= 0 themselves, and in reading E it always holds.
    """
    dso = model.component("dso")
    if model.component("generators") is None or (dso is None and model.component("aggregator") is None):
        return
    if dso is not None and dso.component("delivery") is not None:
        return
    alone = [t for t in model.period if pyo.value(model.output[t]) <= NOTHING * pyo.value(model.residual_demand[t])]
    if alone:
        named = ", ".join(map(str, alone[:6])) + (f" and {len(alone) - 6} more" if len(alone) > 6 else "")
        raise Refused(
            f"generators with market power serve everything in {named}: the price-taking producers, who set the price, "
            "deliver nothing there, and no price follows if loads fall; raise the generators' cost or lower their "
            "capacity, raise demand, or lower cost_linear"
        )


def earn(model: pyo.ConcreteModel, block: Any) -> None:
    """The Objective of a generator: revenue less cost, knowing that it moves the price."""
    block.revenue = pyo.Expression(expr=sum(model.price[t] * block.generation[t] for t in block.generation))
    block.maximise_profit = pyo.Objective(expr=block.revenue - block.generation_cost, sense=pyo.maximize)
