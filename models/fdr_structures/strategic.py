"""Structures with market power in generation (section 4 of the paper), one function each, plain Pyomo models.

The order of moves is not stated in the paper; ``timing`` says how it is read.

* N (Nash): loads and generators' outputs are decided at once, each given the others.
* L (leaders): whoever decides loads moves first and sees the generators react.
* H (closed loop, two periods): loads and first-period outputs are decided at once, second-period outputs after the
  loads are seen. Given for completeness: the load off-peak may fall below the passive one.

Everything else is as in ``structures``: x_t inflexible demand, S flexible energy, P the inverse supply of the
price-taking producers, q_t = x_t + load_t - generation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyomo.environ as pyo

from equilibrium.branches import Branch
from equilibrium.errors import DataError, Fault, Refused

from . import generation, own, structures
from .structures import bill, buyer, regulate, setting

NASH, LEADERS, HOURLY, ENERGY = "N", "L", "H", "E"


def _setting(data: Any) -> pyo.ConcreteModel:
    model = setting(data)
    generation.plants(model, data)
    return model


def _generators(model: pyo.ConcreteModel, timing: str) -> None:
    """A Block for every generator; in reading H a second one, ``generator_later``, for the last period."""
    now = list(model.period)
    if timing == HOURLY:
        if len(now) != 2:
            raise Refused(f"the closed-loop reading H is for two periods, and the case has {len(now)}")
        model.generator_later = pyo.Block(model.generators)
        for g in model.generators:
            generation.plant(model, model.generator_later[g], g, now[1:])
        now = now[:1]
    model.generator = pyo.Block(model.generators)
    for g in model.generators:
        generation.plant(model, model.generator[g], g, now)


def _blocks(model: pyo.ConcreteModel) -> list[Any]:
    """The generators' Blocks, those of the last period apart."""
    found = list(model.generator.values())
    return found + (list(model.generator_later.values()) if model.component("generator_later") else [])


def _output(model: pyo.ConcreteModel, g: Any, t: Any) -> Any:
    block = model.generator[g]
    return block.generation[t] if t in block.generation else model.generator_later[g].generation[t]


def _supply(model: pyo.ConcreteModel, flexible_load: Callable[[Any], Any], shifting_cost: Any = None) -> None:
    generation.supply_beside(
        model,
        flexible_load,
        lambda g, t: _output(model, g, t),
        sum(block.generation_cost for block in _blocks(model)),
        shifting_cost,
    )


def _order(model: pyo.ConcreteModel, timing: str, deciders: list[Any]) -> pyo.ConcreteModel:
    """Generators compete; Suffix ``stage`` where somebody moves first."""
    for block in _blocks(model):
        generation.compete(model, block)
    if timing in (LEADERS, HOURLY):
        model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
        for block in deciders:
            model.stage[block] = 1
        for block in _blocks(model):
            model.stage[block] = 2
    if timing == HOURLY:
        for block in model.generator.values():
            model.stage[block] = 1
    return model


def check_timing(data: Any, timing: str = NASH, **_: Any) -> list[Fault]:
    """The fault of a reading that is for two periods where the case has more."""
    count = len(data.tables["demand"])
    if count == 2 or timing not in (HOURLY, ENERGY):
        return []
    message = f"this order of moves is for two periods; the case has {count}"
    allowed = ", ".join(f"timing={one}" for one in (NASH, LEADERS))
    return [Fault("alternatives.csv", message, None, "options", f"timing={timing}", allowed)]


def first_best(data: Any) -> pyo.ConcreteModel:
    """A planner decides loads and all output: min sum_t C(q_t) + Psi(y_t)."""
    model = _setting(data)
    model.planner = pyo.Block()
    buyer(model, model.planner, model.flexible_energy)
    return plan(model)


def first_best_shares(data: Any) -> pyo.ConcreteModel:
    """A planner decides all output and the loads of the aggregators of table ``aggregators``, within their own limits:
    min sum_t C(q_t) + Psi(y_t) + what shifting costs."""
    model = _setting(data)
    return plan(model, structures.planned(model, data))


def plan(model: pyo.ConcreteModel, shifting_cost: Any = None) -> pyo.ConcreteModel:
    """The planner, who decides ``load`` already, decides all output as well and minimises the system cost."""
    model.planner.plant = pyo.Block(model.generators)
    for g in model.generators:
        generation.plant(model, model.planner.plant[g], g)
    generation.supply_beside(
        model,
        lambda t: model.planner.load[t],
        lambda g, t: model.planner.plant[g].generation[t],
        sum(model.planner.plant[g].generation_cost for g in model.generators),
        shifting_cost,
    )
    generation.sells_no_more_than_used(model, model.planner)
    model.planner.minimise_cost = pyo.Objective(expr=model.system_cost)
    return model


def second_best(data: Any) -> pyo.ConcreteModel:
    """A planner decides loads and sees the generators react: min over loads of system cost at their replies."""
    model = _setting(data)
    model.planner = pyo.Block()
    buyer(model, model.planner, model.flexible_energy)
    _generators(model, LEADERS)
    _supply(model, lambda t: model.planner.load[t])
    model.planner.minimise_cost = pyo.Objective(expr=model.system_cost)
    return _order(model, LEADERS, [model.planner])


def strategic_passive(data: Any) -> pyo.ConcreteModel:
    """Households spread their energy evenly, a rule; generators compete over what that leaves."""
    model = _setting(data)
    model.households = pyo.Block()
    model.households.load = pyo.Var(model.period)
    model.households.even = pyo.Constraint(
        model.period, rule=lambda b, t: b.load[t] == model.flexible_energy / len(model.period)
    )
    _generators(model, NASH)
    _supply(model, lambda t: model.households.load[t])
    return _order(model, NASH, [])


def strategic_dso(data: Any, timing: str = NASH) -> pyo.ConcreteModel:
    """The DSO is the only aggregator, generators have market power."""
    model = _setting(data)
    model.dso = pyo.Block()
    buyer(model, model.dso, model.flexible_energy)
    _generators(model, timing)
    _supply(model, lambda t: model.dso.load[t])
    model.dso.minimise_bill = pyo.Objective(expr=bill(model, model.dso.load))
    return _order(model, timing, [model.dso])


def compete(model: pyo.ConcreteModel, blocks: dict[Any, Any], timing: str) -> pyo.ConcreteModel:
    """Independent aggregators, each minimising what it spends on its own energy, and the generators."""
    _generators(model, timing)
    _supply(model, lambda t: sum(block.load[t] for block in blocks.values()), own.shifting(blocks))
    for block in blocks.values():
        structures.spend_little(model, block)
    return _order(model, timing, list(blocks.values()))


def strategic_cournot(data: Any, aggregators: int = 2, timing: str = NASH) -> pyo.ConcreteModel:
    """A aggregators with equal shares, and generators with market power."""
    model = _setting(data)
    energy = {k + 1: model.flexible_energy / aggregators for k in range(aggregators)}
    return compete(model, structures.buyers(model, energy), timing)


def strategic_shares(data: Any, timing: str = NASH) -> pyo.ConcreteModel:
    """Aggregators of table ``aggregators``, with what limits and costs they have of their own, and generators with
    market power."""
    model = _setting(data)
    blocks = structures.buyers(model, structures.own_energy(model, data))
    own.state(model, data, blocks)
    return compete(model, blocks, timing)


def integrated(data: Any, owner: str = "") -> pyo.ConcreteModel:
    """One generator is also the only aggregator: max sum_t P(q_t)(y_t - load_t) - Psi(y_t) over both at once.

    owner: its name, see ``owner_of``. Other generators, if any, move at the same time. Raises DataError.
    """
    model = _setting(data)
    _generators(model, NASH)
    firm = model.generator[owner_of(data, owner)]
    buyer(model, firm, model.flexible_energy)
    _supply(model, lambda t: firm.load[t])
    generation.sells_no_more_than_used(model, firm)
    firm.net_sale = pyo.Expression(model.period, rule=lambda b, t: b.generation[t] - b.load[t])
    firm.maximise_profit = pyo.Objective(
        expr=sum(model.price[t] * firm.net_sale[t] for t in model.period) - firm.generation_cost, sense=pyo.maximize
    )
    for block in model.generator.values():
        if block is not firm:
            generation.compete(model, block)
    return model


def owner_of(data: Any, name: str = "") -> str:
    """The generator that owns the aggregator: the one of that name, without a name the only one.

    Raises DataError where there is no such generator, and where there are several and none is named.
    """
    faults = check_owner(data, name)
    if faults:
        raise DataError(faults)
    return name or str(data.tables["generators"].index[0])


def check_owner(data: Any, owner: str = "") -> list[Fault]:
    """The fault of an owner that no generator is, or that is not named where there are several generators."""
    names = [str(g) for g in data.tables["generators"].index]
    if owner in names or (not owner and len(names) == 1):
        return []
    message = "there is no such generator" if owner else "of several generators one must be named as owner"
    allowed = ", ".join(f"owner={g}" for g in names[:20])
    return [Fault("alternatives.csv", message, None, "options", f"owner={owner}" if owner else None, allowed)]


def strategic_regulated(data: Any) -> pyo.ConcreteModel:
    """A monopoly aggregator that is paid back its market power, given the generators' outputs (Proposition 7).

    The payment is the integral of P'(q2)(S - u) - P'(q1) u from its load to the planned one with q_i = x_i + u_i - y_i,
    so the aggregator bears the cost of the price-taking producers. The plan evens prices out as far as can be; since
    these producers deliver more where demand is higher, that is the second-best plan.
    """
    model = _setting(data)
    model.aggregator, model.regulator = pyo.Block(), pyo.Block()
    for block in (model.aggregator, model.regulator):
        buyer(model, block, model.flexible_energy)
    _generators(model, NASH)
    _supply(model, lambda t: model.aggregator.load[t])
    regulate(
        model,
        lambda t: model.residual_demand[t] - sum(model.generation[g, t] for g in model.generators),
        model.producers_cost,
    )
    return _order(model, NASH, [])


def strategic_mixed(data: Any, timing: str = NASH) -> pyo.ConcreteModel:
    """The DSO owns share L and dispatches its own load d and its rivals' load r; generators have market power.

    timing: N, the DSO and the generators decide at once; L, the DSO moves first; E, the generators decide their total
    energy and the DSO, which dispatches them too, what share of it is delivered in each period.
    """
    model = _setting(data)
    model.dso_share = data.param("parameters", "dso_share")
    model.dso = pyo.Block()
    buyer(model, model.dso, model.dso_share * model.flexible_energy)
    model.dso.rivals = pyo.Block()
    buyer(model, model.dso.rivals, (1 - model.dso_share) * model.flexible_energy)
    structures.limit_rivals(model, data)
    if timing == ENERGY:
        _dispatched_generators(model)
    else:
        _generators(model, timing)
    _supply(model, lambda t: model.dso.load[t] + model.dso.rivals.load[t])
    model.dso.minimise_bill = pyo.Objective(expr=bill(model, model.dso.load))
    if timing == ENERGY:
        for block in model.generator.values():
            generation.earn(model, block)
        return model
    return _order(model, timing, [model.dso])


def _dispatched_generators(model: pyo.ConcreteModel) -> None:
    """Generators that decide their energy over both periods; the DSO decides the share delivered in each.

    The DSO decides shares, not amounts: more energy then goes where the generator's energy goes already. Nobody may
    commit more than its part of the smallest demand, so that all of it can be delivered in any one period.
    """
    if len(model.period) != 2:
        raise Refused(
            f"reading E, in which generators commit energy, is for two periods; the case has {len(model.period)}"
        )
    model.dso.delivery = pyo.Block(model.generators)
    model.generator = pyo.Block(model.generators)
    for g in model.generators:
        shares, block = model.dso.delivery[g], model.generator[g]
        shares.share = pyo.Var(model.period, within=pyo.NonNegativeReals)
        shares.all = pyo.Constraint(expr=sum(shares.share[t] for t in model.period) == 1)
        block.energy = pyo.Var(bounds=(0, model.generation_capacity[g]))
        block.deliverable = pyo.Constraint(
            model.period, rule=lambda b, t: b.energy <= model.residual_demand[t] / len(model.generators)
        )
        block.generation = pyo.Expression(model.period, rule=lambda b, t, s=shares: s.share[t] * b.energy)
        block.generation_cost = pyo.Expression(
            expr=sum(generation.production_cost(model, g, block.generation[t]) for t in model.period)
        )


ONE_EACH = "with rivals' loads given, generators' outputs rise with the price and the DSO's marginal bill with its load"
"""Why the DSO beside generators that move at once has one equilibrium once its rivals' loads are given, if no generator
costs less than the first MWh of the price-taking producers (psi1_g >= a).

Generators: y_g = clip((P - psi1_g)/(P' + psi2_g), 0, capacity) at every equilibrium, a function of q. Its slope has the
sign of P'(P' + psi2_g) - (P - psi1_g) P'', and (P - psi1_g) P'' <= b' q^(1+sigma) P'' = sigma/(1+sigma) P'^2 < P'^2
with b' = (2+sigma) b. So q + sum_g y_g(q) = x_t + load_t rises in q, and q_t is a rising function of load_t. (q_t = 0
is none: some y_g > 0 there earns less than its cost.) DSO: P(q_t) + P'(q_t) d_t is mu where d_t > 0 and at least mu
where d_t = 0; with P' rising it is a strictly rising function of d_t, so sum_t d_t = S has one solution mu.
"""


def _dearer(model: pyo.ConcreteModel) -> bool:
    """Whether no generator costs less than the first MWh of the price-taking producers."""
    return all(pyo.value(model.generation_cost[g]) >= pyo.value(model.cost_linear) for g in model.generators)


def _delivers(model: pyo.ConcreteModel) -> bool:
    """Whether the price-taking producers deliver no less than nothing: what the DSO sends away from a period, beside
    outputs that are given, may be more than they deliver there, and what it would then pay is not stated."""
    return all(pyo.value(model.output[t]) >= -1e-9 * pyo.value(model.residual_demand[t]) for t in model.period)


def one_block_branches(model: pyo.ConcreteModel) -> list[Branch]:
    """All of the rivals' energy in one period and, where the DSO dispatches them, each generator's in another.

    The proof of ``structures.one_block_branches`` holds for any given outputs of the generators, which only shift the
    demands. In reading E only the rivals' load less the generators' output enters the DSO's bill, one block of energy
    R + sum ybar whose extremes are: rivals in one period, generators in the other. All of it can be delivered in any
    period, so q_t >= 0 cuts no extreme off. Where the DSO leads, read ``structures.one_block_branches`` with
    the price as it rises with load once generators react.

    Where generators that decide at once may serve a period alone, the DSO's moves to less than nothing from the other
    producers prove nothing: the branches are then candidates, see ``generation.check_price_is_set``.
    """
    plain = structures.one_block_branches(model)
    if model.dso.component("delivery") is None:
        if model.component("stage") is not None:
            return plain
        single = ONE_EACH if _dearer(model) else ""
        exhaustive = bool(single) or generation.never_flooded(model)
        return [
            replace(
                branch, exhaustive=branch.exhaustive and exhaustive, single=single, admissible=lambda: _delivers(model)
            )
            for branch in plain
        ]
    deliveries = list(model.dso.delivery.values())
    found = []
    for branch, t in zip(plain if len(plain) > 1 else plain * len(model.period), model.period, strict=True):
        for u in model.period:
            if u != t:
                held = [(one.share[v], float(u == v)) for one in deliveries for v in model.period]
                found.append(Branch(f"{branch.name}, generators in {u}", [*branch.held, *held]))
    return found
