"""Parts of welfare at a solved model, in EUR over all hours (hourly amounts times the hours' weights).

Definitions. Consumer surplus: D (Pbar - lam) of inelastic demand, d Q^2/2 of elastic demand at retail price c - d Q.
Margin of demand response placed on demand: gamma Q^2/2, the difference between what consumers pay for it at its
marginal cost and its cost. Producer surplus: revenue at the destination, minus congestion prices, tolls, production
cost and the cost of demand response placed on plants. Demand that goes without is a plant that costs its value.
Welfare of a country: these, and half of the rent of every link
that ends there. Welfare of a market (separable cost): gross value there, minus what it costs to produce and respond
for it, tolls included; a plant's cost of demand response is divided in proportion to its sales.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from equilibrium.scenarios import larger

from .inputs import lost

Link = tuple[str, str]


def over_hours(model: Any, amount: Any) -> float:
    """sum_h w_h amount(h), for an amount in EUR/h that is an expression of the model or a number."""
    return sum(pyo.value(model.weight[h]) * pyo.value(amount(h)) for h in model.hour)


def sold(model: Any, n: str, m: str, h: int) -> float:
    """What the plants of n sell in m, MW."""
    return sum(pyo.value(model.fleet[n].sales[t, m, h]) for t in model.plants[n])


def sold_by(model: Any, f: str, m: str, h: int) -> float:
    """What firm f sells in m from all its plants, MW."""
    own = [
        block.sales[t, m, h]
        for n, block in model.firm[f].fleet.items()
        if m in model.destinations[n]
        for t in model.firms[f][n]
    ]
    return sum(pyo.value(x) for x in own)


def profit(model: Any, f: str) -> float:
    """What firm f earns at cleared prices, minus transmission, production and demand response on its plants."""
    from .readings import transmission

    def earned(h: int) -> Any:
        total = 0.0
        for n, block in model.firm[f].fleet.items():
            for t in model.firms[f][n]:
                for m in model.destinations[n]:
                    net = model.price[m, h] - (transmission(model, n, m, h) if m != n else 0.0)
                    total += net * block.sales[t, m, h]
                total -= block.production_cost[t, h] + block.response_cost[t, h]
        return total

    return over_hours(model, earned)


def gross_value(model: Any, n: str) -> float:
    """What consumption of country n is worth to those who consume."""

    def amount(h: int) -> Any:
        Q = model.consumption[n, h]
        if h in model.elastic[n]:
            return model.choke[n, h] * Q - model.fall[n, h] * Q**2 / 2
        return model.worth[n, h] * Q

    return over_hours(model, amount)


def consumer_surplus(model: Any, n: str) -> float:
    """Gross value minus the bill at retail prices."""
    return gross_value(model, n) - over_hours(model, lambda h: retail_price(model, n, h) * model.consumption[n, h])


def retail_price(model: Any, n: str, h: int) -> Any:
    """Price that consumers of n face: the wholesale price and the marginal cost of demand response placed on them."""
    responding = model.gamma["demand", n] * model.consumption[n, h] if h in model.elastic[n] else 0.0
    return model.price[n, h] + responding


def response_margin(model: Any, n: str) -> float:
    """gamma Q^2/2 of demand response placed on demand: revenue gamma Q^2 minus its cost."""
    return demand_response_on_demand(model, n)


def demand_response_on_demand(model: Any, n: str) -> float:
    """Cost of demand response placed on the consumption of n."""
    elastic = model.elastic[n]
    return over_hours(
        model, lambda h: model.gamma["demand", n] * model.consumption[n, h] ** 2 / 2 if h in elastic else 0.0
    )


def demand_response_on_plants(model: Any, n: str) -> float:
    """Cost of demand response placed on the plants of n."""
    return over_hours(model, lambda h: sum(model.fleet[n].response_cost[t, h] for t in model.plants[n]))


def generation_cost(model: Any, n: str) -> float:
    """Production cost of the plants of n, without demand response."""
    return over_hours(model, lambda h: sum(model.fleet[n].production_cost[t, h] for t in model.plants[n]))


def lost_load_cost(model: Any, n: str) -> float:
    """Value of the demand of n that goes without."""
    return over_hours(model, lambda h: model.lost_value[n] * lost(model, n, h)) if n in model.lost_load else 0.0


def lost_load_surplus(model: Any, n: str) -> float:
    """What demand that goes without is paid for beyond its value: positive only where all of it goes without."""
    return over_hours(model, lambda h: model.price[n, h] * lost(model, n, h)) - lost_load_cost(model, n)


def output(model: Any, n: str, h: int) -> float:
    """Generation of country n, MW."""
    return sum(pyo.value(model.fleet[n].output[t, h]) for t in model.plants[n])


def congestion_price(model: Any, link: Link, h: int) -> float:
    """Price of the link's capacity, EUR/MWh: its clearing price, or what the operator of a used link earns."""
    if model.by_destination:
        return model.congestion[(*link, h)].value if (*link, h) in model.congestion else 0.0
    n, m = link
    return larger(0.0, pyo.value(model.price[m, h] - model.price[n, h] - model.toll[link]))


def rent(model: Any, link: Link) -> float:
    """Congestion rent of a link in its direction."""
    n, m = link
    if model.by_destination:
        return over_hours(model, lambda h: congestion_price(model, link, h) * model.flow[n, m, h])
    return over_hours(model, lambda h: (model.price[m, h] - model.price[n, h] - model.toll[link]) * model.flow[n, m, h])


def toll_cost(model: Any, link: Link) -> float:
    """Resources used in sending over a link."""
    return over_hours(model, lambda h: model.toll[link] * model.flow[(*link, h)])


def revenue(model: Any, n: str) -> float:
    """What the plants of n are paid at the destinations."""
    if not model.by_destination:
        return over_hours(model, lambda h: model.price[n, h] * output(model, n, h))
    if not model.plants[n]:
        return 0.0
    goals = model.destinations[n]
    return over_hours(model, lambda h: sum(model.price[m, h] * sold(model, n, m, h) for m in goals))


def producer_surplus(model: Any, n: str) -> float:
    """Revenue minus transmission, production and demand response on plants."""
    sending = 0.0
    if model.by_destination:
        sending = sum(rent(model, link) + toll_cost(model, link) for link in model.link if link[0] == n)
    return revenue(model, n) - sending - generation_cost(model, n) - demand_response_on_plants(model, n)


def country_welfare(model: Any, n: str) -> float:
    """Surpluses and margin of country n with half of the rent of every link that ends there."""
    rents = sum(rent(model, link) for link in model.link if n in link) / 2
    surplus = consumer_surplus(model, n) + producer_surplus(model, n) + lost_load_surplus(model, n)
    return surplus + response_margin(model, n) + rents


def resources(model: Any) -> float:
    """Gross value minus all real costs: total welfare counted without any price."""
    value = sum(
        gross_value(model, n)
        - generation_cost(model, n)
        - lost_load_cost(model, n)
        - demand_response_on_demand(model, n)
        - demand_response_on_plants(model, n)
        for n in model.country
    )
    return value - sum(toll_cost(model, link) for link in model.link)


def market_welfare(model: Any, m: str) -> float:
    """Gross value in m minus what producing, sending and responding for it costs (separable cost only)."""
    from .readings import plant_cost

    def cost(h: int) -> float:
        total = 0.0
        for n in model.fleet:
            if m not in model.destinations[n]:
                continue
            for t in model.plants[n]:
                x, X = pyo.value(model.fleet[n].sales[t, m, h]), pyo.value(model.fleet[n].output[t, h])
                total += pyo.value(plant_cost(model, n, t, x))
                total += pyo.value(model.fleet[n].response_cost[t, h]) * x / X if X else 0.0
        return total

    sending = sum(toll_cost(model, link) for link in model.link if link[1] == m)
    value = gross_value(model, m) - lost_load_cost(model, m)
    return value - over_hours(model, cost) - sending - demand_response_on_demand(model, m)
