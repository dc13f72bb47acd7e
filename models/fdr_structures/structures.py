"""Who controls the flexible resources: one function per structure, each a plain Pyomo model.

Common to all. Inflexible demand x_t (net of renewables and imports) in each period t; flexible energy S that must be
bought over the periods together; producers with inverse supply P. Whoever buys decides ``load[t]``, the flexible
energy taken in t, with sum_t load[t] = its energy. Output is q_t = x_t + all flexible load, the price p_t = P(q_t).

Who moves the price: where ``price`` is an Expression of the loads, buyers know that they move it along the producers'
supply; in ``price_taking`` it is a Var that clears the market, and everybody takes it as given.

On one residual demand (``netted = yes``) the price-taking generator's fixed output y is taken off demand in every
structure, as it must be before costs are compared with the integrated generator/aggregator (Propositions 5 and 6).

Source: T. P. Tangeras (2023), "Competition for flexible distribution resources in a 'smart' electricity distribution
network", sections 2 and 3. Deviations: the paper has a = 0 in the cost; decisions are written as loads by period (s =
load off-peak).
"""

from __future__ import annotations

from math import inf
from typing import Any

import pyomo.environ as pyo
from pyomo.mpec import Complementarity, complements

from equilibrium.branches import Branch

from . import own
from .supply import cost, inverse_supply


def setting(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """Periods, demand and supply: what all structures share. Nobody decides anything yet."""
    model = pyo.ConcreteModel()
    model.period = pyo.Set(initialize=list(data.tables["demand"].index), ordered=True)
    model.demand = data.param("demand", "load")
    model.flexible_energy = data.param("parameters", "flexible_energy")
    model.cost_linear = data.param("parameters", "cost_linear")
    model.cost_power = data.param("parameters", "cost_power")
    model.cost_exponent = data.param("parameters", "cost_exponent")
    model.generator_output = data.param("parameters", "generator_output")
    model.netted = netted == "yes"
    model.residual_demand = pyo.Expression(
        model.period, rule=lambda m, t: m.demand[t] - (m.generator_output if netted == "yes" else 0.0)
    )
    return model


def buyer(model: pyo.ConcreteModel, block: Any, energy: Any) -> None:
    """A Block that decides when to take ``energy``: load[t] >= 0, sum over the periods = energy."""
    block.load = pyo.Var(model.period, within=pyo.NonNegativeReals)
    block.energy = pyo.Expression(expr=energy)
    block.service = pyo.Constraint(expr=sum(block.load[t] for t in model.period) == block.energy)


def supply_at(model: pyo.ConcreteModel, flexible_load: Any, shifting_cost: Any = None) -> None:
    """Output and price as Expressions of the flexible loads: buyers move the price along the inverse supply.

    shifting_cost: what moving loads costs beside the producers' cost, EUR.
    """
    model.flexible_load = pyo.Expression(model.period, rule=lambda m, t: flexible_load(t))
    model.output = pyo.Expression(model.period, rule=lambda m, t: m.residual_demand[t] + m.flexible_load[t])
    model.price = pyo.Expression(model.period, rule=lambda m, t: inverse_supply(m, m.output[t]))
    model.system_cost = pyo.Expression(expr=sum(cost(model, model.output[t]) for t in model.period))
    if shifting_cost is not None:
        model.producers_cost = pyo.Expression(expr=model.system_cost.expr)
        model.system_cost.set_value(model.producers_cost + shifting_cost)


def bill(model: pyo.ConcreteModel, load: Any) -> Any:
    """What a buyer pays for its load, EUR."""
    return sum(model.price[t] * load[t] for t in model.period)


def efficient(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """A planner takes the flexible energy when it costs the system least (Lemma 1): min sum_t C(x_t + load_t)."""
    model = setting(data, netted)
    model.planner = pyo.Block()
    buyer(model, model.planner, model.flexible_energy)
    supply_at(model, lambda t: model.planner.load[t])
    model.planner.minimise_cost = pyo.Objective(expr=model.system_cost)
    return model


def price_taking(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """Households and producers take prices that clear each period (Corollary 1).

    Households: min sum_t p_t load_t. Producers: max sum_t p_t q_t - C(q_t). Clearing: q_t - x_t - load_t >= 0 _|_ p_t
    >= 0.
    """
    model = setting(data, netted)
    model.price = pyo.Var(model.period)
    model.households = pyo.Block()
    buyer(model, model.households, model.flexible_energy)
    model.households.minimise_bill = pyo.Objective(expr=bill(model, model.households.load))
    model.producers = pyo.Block()
    model.producers.output = pyo.Var(model.period, within=pyo.NonNegativeReals)
    model.producers.revenue = pyo.Expression(expr=sum(model.price[t] * model.producers.output[t] for t in model.period))
    model.producers.cost = pyo.Expression(expr=sum(cost(model, model.producers.output[t]) for t in model.period))
    model.producers.maximise_profit = pyo.Objective(
        expr=model.producers.revenue - model.producers.cost, sense=pyo.maximize
    )
    model.clearing = Complementarity(
        model.period,
        rule=lambda m, t: complements(
            m.producers.output[t] - m.residual_demand[t] - m.households.load[t] >= 0, m.price[t] >= 0
        ),
    )
    model.flexible_load = pyo.Expression(model.period, rule=lambda m, t: m.households.load[t])
    model.output = pyo.Expression(model.period, rule=lambda m, t: m.producers.output[t])
    model.system_cost = pyo.Expression(expr=model.producers.cost)
    return model


def passive(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """Households see one average price and spread their energy evenly (Proposition 1): a rule, nobody decides."""
    model = setting(data, netted)
    model.households = pyo.Block()
    model.households.load = pyo.Var(model.period)
    model.households.even = pyo.Constraint(
        model.period, rule=lambda b, t: b.load[t] == model.flexible_energy / len(model.period)
    )
    supply_at(model, lambda t: model.households.load[t])
    return model


def dso_aggregator(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """The distribution system operator is the only aggregator (Proposition 2): min sum_t P(q_t) load_t."""
    model = setting(data, netted)
    model.dso = pyo.Block()
    buyer(model, model.dso, model.flexible_energy)
    supply_at(model, lambda t: model.dso.load[t])
    model.dso.minimise_bill = pyo.Objective(expr=bill(model, model.dso.load))
    return model


def buyers(model: pyo.ConcreteModel, energy: dict[Any, Any], decides: Any = buyer) -> dict[Any, Any]:
    """A Block ``aggregator[name]`` for every name, which decides when to take its energy (``decides`` states what it
    decides, as ``buyer`` does); the Blocks by name."""
    model.aggregators = pyo.Set(initialize=list(energy), ordered=True)
    model.aggregator = pyo.Block(model.aggregators)
    for name in model.aggregators:
        decides(model, model.aggregator[name], energy[name])
    return dict(model.aggregator.items())


def spend_little(model: pyo.ConcreteModel, block: Any) -> None:
    """The Objective of an aggregator: the bill for its load and what shifting costs it, where the data say so."""
    spent = bill(model, block.load)
    if block.component("shifting_cost") is not None:
        spent = spent + block.shifting_cost
    block.minimise_bill = pyo.Objective(expr=spent)


def compete(model: pyo.ConcreteModel, blocks: dict[Any, Any]) -> pyo.ConcreteModel:
    """Independent aggregators, each minimising what it spends on its own energy while all of them move the price."""
    supply_at(model, lambda t: sum(block.load[t] for block in blocks.values()), own.shifting(blocks))
    for block in blocks.values():
        spend_little(model, block)
    return model


def cournot(data: Any, aggregators: int = 2, netted: str = "no") -> pyo.ConcreteModel:
    """A aggregators with equal shares of the flexible energy (Proposition 3): Cournot competition among buyers."""
    model = setting(data, netted)
    return compete(model, buyers(model, {k + 1: model.flexible_energy / aggregators for k in range(aggregators)}))


def own_energy(model: pyo.ConcreteModel, data: Any) -> dict[Any, Any]:
    """The energy of every aggregator of table ``aggregators`` by name: its share of all."""
    model.share = data.param("aggregators", "share")
    return {a: model.share[a] * model.flexible_energy for a in data.tables["aggregators"].index}


def shares(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """Aggregators of table ``aggregators``, with what limits and costs they have of their own: Cournot competition
    among unequal buyers."""
    model = setting(data, netted)
    blocks = buyers(model, own_energy(model, data))
    own.state(model, data, blocks)
    return compete(model, blocks)


def planned(model: pyo.ConcreteModel, data: Any) -> Any:
    """A Block ``planner`` that decides the loads of all aggregators of table ``aggregators`` within their own limits.
    Gives what shifting costs them, None where nothing."""
    model.planner = pyo.Block()
    energy = own_energy(model, data)
    model.planner.aggregator = pyo.Block(list(energy))
    for name, block in model.planner.aggregator.items():
        buyer(model, block, energy[name])
    blocks = dict(model.planner.aggregator.items())
    own.state(model, data, blocks)
    model.planner.load = pyo.Expression(model.period, rule=lambda b, t: sum(one.load[t] for one in blocks.values()))
    return own.shifting(blocks)


def efficient_shares(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """A planner runs the aggregators of table ``aggregators``: min sum_t C(q_t) + what shifting costs, within their own
    limits. Who of them takes what in a period may make no difference, and is not reported."""
    model = setting(data, netted)
    cost_of_shifting = planned(model, data)
    supply_at(model, lambda t: model.planner.load[t], cost_of_shifting)
    model.planner.minimise_cost = pyo.Objective(expr=model.system_cost)
    return model


def mixed_own_dispatch(data: Any, aggregators: int = 2, netted: str = "no") -> pyo.ConcreteModel:
    """The DSO owns one aggregator with share L, A - 1 rivals share the rest equally; each dispatches its own (section
    3.3)."""
    model = setting(data, netted)
    model.dso_share = data.param("parameters", "dso_share")
    rest = (1 - model.dso_share) * model.flexible_energy / (aggregators - 1)
    energy = {"dso": model.dso_share * model.flexible_energy}
    return compete(model, buyers(model, energy | {f"rival {k + 1}": rest for k in range(aggregators - 1)}))


def mixed_dso_dispatch(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """The DSO owns share L and dispatches its own load d and its rivals' load r (Proposition 4): min sum_t P(x_t +
    d_t + r_t) d_t.

    Rivals are not players. The payoff is not concave in (d, r) together; see ``one_block_branches``.
    """
    model = setting(data, netted)
    model.dso_share = data.param("parameters", "dso_share")
    model.dso = pyo.Block()
    buyer(model, model.dso, model.dso_share * model.flexible_energy)
    model.dso.rivals = pyo.Block()
    buyer(model, model.dso.rivals, (1 - model.dso_share) * model.flexible_energy)
    limit_rivals(model, data)
    supply_at(model, lambda t: model.dso.load[t] + model.dso.rivals.load[t])
    model.dso.minimise_bill = pyo.Objective(expr=bill(model, model.dso.load))
    return model


def one_block_branches(model: pyo.ConcreteModel) -> list[Branch]:
    """All of the rivals' energy in one period: every optimum of the DSO with two periods is on one of these branches.

    Proof, with d and r the loads off-peak, S and R the two energies and Omega minus the DSO's bill. (1) d and r both
    strictly inside: at a stationary point Omega_rr = -P1''d - P2''(S-d) and the determinant of the Hessian is -(P1' +
    P2')^2 < 0, a saddle. (2) d = S: dOmega/dr = -P1' S < 0, so r = 0. (3) d = 0: dOmega/dr = P2' S > 0, so r = R. So
    r is 0 or R in every optimum. On each branch the bill is a sum of P(q_t) d_t, convex in d.

    With a limit on the rivals' load in a period r has other ends, and of two periods the proof is the same.

    More periods, and any price F_t(d_t + r_t) that does not fall with load: with the totals given the bill is linear in
    d, so own load goes to the periods with the lowest prices, and own and rivals' load meet in one period m at most. If
    rivals are elsewhere too, all of theirs in m may go there: F_m falls, and no other period with own load changes.
    Then rivals are in m alone, or in periods without own load; all of them in one of these makes the same bill. So
    some optimum has them in one period; where d is zero in several, which it is makes no difference to the DSO.
    """
    rivals = model.dso.rivals
    energy = pyo.value(rivals.energy)
    if rivals.component("even") is not None:
        return [Branch("rivals even", [(rivals.load[t], energy / len(model.period)) for t in model.period])]
    if rivals.component("most") is not None:
        return [_filled(model, t, energy, pyo.value(model.rivals_limit)) for t in model.period]
    return [
        Branch(f"rivals in {t}", [(rivals.load[u], energy if u == t else 0.0) for u in model.period])
        for t in model.period
    ]


def limit_rivals(model: pyo.ConcreteModel, data: Any) -> None:
    """What the DSO may give its rivals in one period, where the data set a limit that may bind.

    Where it leaves no choice, rounding apart, their loads are stated as even: a sum of loads at their limits would miss
    their energy by rounding.
    """
    rivals, limit = model.dso.rivals, data.parameters.get("rivals_limit", inf)
    energy, periods = pyo.value(rivals.energy), len(model.period)
    if not own.exceeds(energy, limit):
        return
    if not own.exceeds(limit * periods, energy):
        rivals.service.deactivate()
        rivals.even = pyo.Constraint(model.period, rule=lambda b, t: b.load[t] == b.energy / periods)
        return
    model.rivals_limit = data.param("parameters", "rivals_limit")
    rivals.most = pyo.Constraint(model.period, rule=lambda b, t: b.load[t] <= model.rivals_limit)


def _filled(model: pyo.ConcreteModel, first: Any, energy: float, most: float) -> Branch:
    """Rivals fill period ``first``, then the others by falling demand, each up to its limit: with more than two periods
    one vertex of many."""
    order = [first, *sorted((t for t in model.period if t != first), key=lambda t: -pyo.value(model.demand[t]))]
    left, held = energy, []
    for t in order:
        held.append((model.dso.rivals.load[t], min(left, most)))
        left -= held[-1][1]
    return Branch(f"rivals fill {first} first", held, exhaustive=len(order) == 2)


def generator_aggregator(data: Any) -> pyo.ConcreteModel:
    """A price-taking generator with fixed output y is the only aggregator (Proposition 5), on residual demand x_t - y.

    max sum_t P(q_t) (y - load_t), q_t = x_t - y + load_t: it sells what its own customers do not use.
    """
    model = setting(data, "yes")
    model.generator = pyo.Block()
    buyer(model, model.generator, model.flexible_energy)
    supply_at(model, lambda t: model.generator.load[t])
    model.generator.net_sale = pyo.Expression(model.period, rule=lambda b, t: model.generator_output - b.load[t])
    model.generator.maximise_revenue = pyo.Objective(
        expr=sum(model.price[t] * model.generator.net_sale[t] for t in model.period), sense=pyo.maximize
    )
    return model


def _regulate(model: pyo.ConcreteModel, own_sale: Any, name: str) -> pyo.ConcreteModel:
    """A monopoly aggregator that is paid R (Proposition 7), and the regulator that works out the efficient plan.

    R(s) is the integral from s to the efficient s* of P'(q2)(S-u) - P'(q1)u, which is [bill - cost](s) - [bill -
    cost](s*): the aggregator is paid its market power back and so bears the system cost. With a generator's own
    output y, loads are net of y.
    """
    block, model.regulator = pyo.Block(), pyo.Block()
    model.add_component(name, block)
    for one in (model.regulator, block):
        buyer(model, one, model.flexible_energy)
    supply_at(model, lambda t: block.load[t])
    regulate(model, lambda t: model.residual_demand[t], model.system_cost, name, own_sale)
    return model


def regulate(
    model: pyo.ConcreteModel, demand: Any, producers_cost: Any, name: str = "aggregator", own_sale: Any = 0.0
) -> None:
    """Plan, payment, fee and the Objectives of the Block ``regulator`` and of the aggregator's Block ``name``.

    ``demand(t)``: what the price-taking producers deliver beside the aggregator's load; ``producers_cost``: their cost.
    """
    plan, block = model.regulator.load, model.component(name)
    model.planned_output = pyo.Expression(model.period, rule=lambda m, t: demand(t) + plan[t])
    model.planned_price = pyo.Expression(model.period, rule=lambda m, t: inverse_supply(m, m.planned_output[t]))
    model.planned_cost = pyo.Expression(expr=sum(cost(model, model.planned_output[t]) for t in model.period))
    model.regulator.minimise_cost = pyo.Objective(expr=model.planned_cost)
    block.bill = pyo.Expression(expr=sum(model.price[t] * (block.load[t] - own_sale) for t in model.period))
    model.planned_bill = pyo.Expression(expr=sum(model.planned_price[t] * (plan[t] - own_sale) for t in model.period))
    model.payment = pyo.Expression(expr=(block.bill - producers_cost) - (model.planned_bill - model.planned_cost))
    model.fee = pyo.Expression(
        expr=sum(model.planned_price[t] for t in model.period) * model.flexible_energy / len(model.period)
    )
    block.maximise_profit = pyo.Objective(expr=model.fee - block.bill + model.payment, sense=pyo.maximize)


def regulated(data: Any, netted: str = "no") -> pyo.ConcreteModel:
    """The monopoly aggregator with the regulatory payment R(s) and the fee t_R = (p1* + p2*) S / 2 (section 3.6)."""
    return _regulate(setting(data, netted), 0.0, "aggregator")


def regulated_generator(data: Any) -> pyo.ConcreteModel:
    """The generator/aggregator with the payment whose slope is P'(q1)(s - y) - P'(q2)(S - s - y)."""
    model = setting(data, "yes")
    return _regulate(model, model.generator_output, "generator")
