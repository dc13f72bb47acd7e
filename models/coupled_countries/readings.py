"""The market in three readings, each a plain Pyomo model.

Common to all, in every hour h of w_h hours. Firms: each decides for its plants (all those of a country, unless the
data name owners) and takes prices, or moves them as it conjectures (module ``conduct``). Consumers: inelastic ones take
D_n (a rule); elastic ones are a player that takes the price. Clearing: what is sold in a country equals
its consumption; the price lam_n is a free Var.

``separable``, ``joint``: plants sell by destination over direct links and pay the congestion price of the link, which
clears its capacity: Cap_nm - sum_t x_tnm >= 0 _|_ P_nm >= 0 (an operator that offers all it has). ``netted``: plants
sell at home; the operator of each link buys at one end and sells at the other.

With price takers the conditions are those of one convex quadratic programme. They are not those of operators that each
minimise the cost of their own country subject to its own balance: such operators never export (module ``operators``).

Source: C. Clastres and H. Khalfallah (2014), sections 2 and 3, Appendices 2 and 3. Deviations: fleets are paid the
price at the destination; any number of countries; tolls; the netted reading.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyomo.environ as pyo
from pyomo.mpec import Complementarity, complements

from equilibrium.errors import Refused
from equilibrium.scenarios import is_finite

from .conduct import holdings, perceived_prices, refuse_netted
from .feasibility import require_supply
from .inputs import (
    all_plants,
    available,
    elastic_keys,
    keys,
    limited,
    lost,
    state_elastic,
    state_lost_load,
    state_plants,
)


def demands(data: Any) -> set[tuple[str, int]]:
    """(country, hour) for which there is a demand of either kind."""
    return {*keys(data, "inelastic_demand"), *elastic_keys(data)}


def countries(data: Any) -> list[str]:
    """Every country with plants or demand, sorted by name."""
    return sorted({n for n, _ in all_plants(data)} | {n for n, _ in demands(data)})


def hours(data: Any) -> list[int]:
    """Every hour with a demand, in order."""
    return sorted({h for _, h in demands(data)})


def links(data: Any) -> list[tuple[str, str]]:
    """(from, to) of every direction in which there is a link."""
    return keys(data, "links")


def setting(data: Any, demand: str) -> pyo.ConcreteModel:
    """Sets, numbers, prices and consumers: what all readings share. ``demand``: before, after or baseline."""
    model = pyo.ConcreteModel()
    model.country = pyo.Set(initialize=countries(data), ordered=True)
    model.hour = pyo.Set(initialize=hours(data), ordered=True)
    model.link = pyo.Set(initialize=links(data), ordered=True, dimen=2)
    model.plants = {n: [t for m, t in all_plants(data) if m == n] for n in model.country}
    state_plants(model, data)
    if keys(data, "links"):
        model.limit = data.param("links", "capacity")
        model.toll = data.param("links", "toll")
    if keys(data, "hours"):
        model.duration = data.param("hours", "weight")
    model.weight = pyo.Expression(model.hour, rule=lambda m, h: m.duration[h] if keys(data, "hours") else 1.0)
    model.price = pyo.Var(model.country, model.hour)
    response(model, data, demand)
    consumers(model, data, demand)
    state_lost_load(model, data)
    return model


def response(model: pyo.ConcreteModel, data: Any, demand: str) -> None:
    """``gamma[place, n]``: slope that demand response adds in country n, 0 where it is placed elsewhere or not used."""
    active = demand == "after"
    placement = dict(data.tables["demand_response"]["placement"]) if keys(data, "demand_response") else {}
    if placement:
        model.intensity = data.param("demand_response", "intensity")

    def slope(m: Any, place: str, n: str) -> Any:
        return m.intensity[n] if active and placement.get(n) == place else 0.0

    model.gamma = pyo.Expression(["demand", "plant", "local"], model.country, rule=slope)


def consumers(model: pyo.ConcreteModel, data: Any, demand: str) -> None:
    """Consumption of every country and hour: a number, or decided by consumers.

    Elastic: max sum_h w_h [c Q - d Q^2/2 - gamma Q^2/2 - lam Q], with the gamma placed on demand.
    """
    fixed, elastic = set(keys(data, "inelastic_demand")), set(elastic_keys(data))
    chosen = elastic - fixed if demand == "before" else elastic
    if fixed:
        model.inelastic = data.param("inelastic_demand", "quantity")
        model.worth = data.param("inelastic_demand", "value")
    state_elastic(model, data)
    model.elastic = {n: [h for h in model.hour if (n, h) in chosen] for n in model.country}
    model.consumers = pyo.Block([n for n in model.country if model.elastic[n]])
    for n, block in model.consumers.items():
        block.consumption = pyo.Var(model.elastic[n], within=pyo.NonNegativeReals)
        block.maximise_surplus = pyo.Objective(
            expr=sum(
                model.weight[h]
                * (
                    model.choke[n, h] * Q
                    - (model.fall[n, h] + model.gamma["demand", n]) * Q**2 / 2
                    - model.price[n, h] * Q
                )
                for h, Q in block.consumption.items()
            ),
            sense=pyo.maximize,
        )
    model.consumption = pyo.Expression(
        model.country,
        model.hour,
        rule=lambda m, n, h: m.consumers[n].consumption[h] if h in m.elastic[n] else m.inelastic[n, h],
    )


def plant_cost(model: pyo.ConcreteModel, n: str, t: str, x: Any) -> Any:
    """Cost of x MW from plant t of country n for an hour, without demand response, EUR/h."""
    return model.cost_intercept[n, t] * x + model.cost_slope[n, t] * x**2 / 2


def limit_output(model: pyo.ConcreteModel, block: Any, n: str) -> None:
    """Output of a fleet's plants is at most their capacity, where there is one."""
    where = [(t, h) for t, h in block.output if limited(model, n, t)]
    block.capacity = pyo.Constraint(where, rule=lambda b, t, h: b.output[t, h] <= available(model, n, t, h))


def clear(model: pyo.ConcreteModel, supplied: Any) -> None:
    """What is supplied in a country, or lost there, equals its demand; the price is what one more MWh of it costs."""
    model.balance = Complementarity(
        model.country,
        model.hour,
        rule=lambda m, n, h: complements(supplied(n, h) + lost(m, n, h) - m.consumption[n, h] == 0, m.price[n, h]),
    )


def separable(data: Any, demand: str = "after", conduct: str = "conjectured") -> pyo.ConcreteModel:
    """Plants with a cost for each destination: sum_m [a x_tnm + (b + gamma) x_tnm^2/2]. Raises Infeasible, and Refused
    for a conjecture towards inelastic demand."""
    return by_destination(data, demand, conduct, split=True)


def joint(data: Any, demand: str = "after", conduct: str = "conjectured") -> pyo.ConcreteModel:
    """Plants with one cost of their output, a X + (b + gamma) X^2/2 with X = sum_m x_tnm. Raises Infeasible, and
    Refused for a conjecture towards inelastic demand and for a local placement, which has a meaning only where cost is
    separable."""
    refuse_local(data, demand)
    return by_destination(data, demand, conduct, split=False)


def by_destination(data: Any, demand: str, conduct: str, split: bool, abroad: bool = True) -> pyo.ConcreteModel:
    """Firms sell by destination: max sum w (price - P_nm - toll_nm) x_tnm - cost, sum_m x_tnm <= K_tn.

    The price is lam_m, or what the firm's conjecture makes of it (module ``conduct``). Not ``abroad``: nothing is paid
    for exports, so links serve nobody (module ``operators``).
    """
    model = setting(data, demand)
    model.by_destination, model.split, model.abroad = True, split, abroad
    if abroad:
        require_supply(model)
    narrow = [link for link in model.link if is_finite(model.limit[link].value)]
    model.congestion = pyo.Var(narrow, model.hour)
    model.destinations = {n: [n] + [m for k, m in model.link if k == n] for n in model.country}
    model.firms = holdings(model, data)
    model.firm = pyo.Block(list(model.firms))
    for f, held in model.firms.items():
        model.firm[f].fleet = pyo.Block(list(held))
        for n, plants in held.items():
            _fleet(model, model.firm[f].fleet[n], n, plants)
    model.fleet = {n: located(model, n) for n in model.country if model.plants[n]}

    def sold(n: str, m: str, h: int) -> Any:
        return sum(model.fleet[n].sales[t, m, h] for t in model.plants[n])

    def supplied(m: str, h: int) -> Any:
        return sum(sold(k, m, h) for k in model.country if m in model.destinations[k])

    model.link_capacity = Complementarity(
        narrow,
        model.hour,
        rule=lambda m, i, j, h: complements(m.limit[i, j] - sold(i, j, h) >= 0, m.congestion[i, j, h] >= 0),
    )
    clear(model, supplied)
    model.flow = pyo.Expression(model.link, model.hour, rule=lambda m, i, j, h: sold(i, j, h))
    perceived_prices(model, data, conduct, supplied)
    for f in model.firms:
        _maximise_profit(model, f)
    return model


def located(model: pyo.ConcreteModel, n: str) -> SimpleNamespace:
    """The plants of country n, whoever owns them: ``sales``, ``output``, costs and ``capacity`` rows by their keys."""
    held = [model.firm[f].fleet[n] for f, countries in model.firms.items() if n in countries]
    names = ("sales", "output", "production_cost", "response_cost", "capacity")
    return SimpleNamespace(
        **{name: {key: part for block in held for key, part in getattr(block, name).items()} for name in names}
    )


def _fleet(model: pyo.ConcreteModel, block: Any, n: str, plants: list[str]) -> None:
    """What a firm decides of its plants in country n: ``sales`` by destination, and the ``output`` and costs that
    follow."""
    goals = model.destinations[n]
    block.sales = pyo.Var(plants, goals, model.hour, within=pyo.NonNegativeReals)
    block.output = pyo.Expression(plants, model.hour, rule=lambda b, t, h: sum(b.sales[t, m, h] for m in goals))
    limit_output(model, block, n)

    def production(b: Any, t: str, h: int) -> Any:
        if model.split:
            return sum(plant_cost(model, n, t, b.sales[t, m, h]) for m in goals)
        return plant_cost(model, n, t, b.output[t, h])

    def responding(b: Any, t: str, h: int) -> Any:
        everywhere = sum(b.sales[t, m, h] ** 2 for m in goals) if model.split else b.output[t, h] ** 2
        local = b.sales[t, n, h] ** 2 if model.split else 0.0
        return (model.gamma["plant", n] * everywhere + model.gamma["local", n] * local) / 2

    block.production_cost = pyo.Expression(plants, model.hour, rule=production)
    block.response_cost = pyo.Expression(plants, model.hour, rule=responding)


def _maximise_profit(model: pyo.ConcreteModel, f: str) -> None:
    """Profit of firm f: what its sales earn at the destinations, minus transmission, production and response."""

    def net_price(n: str, m: str, h: int) -> Any:
        price = model.perceived_price[f, m, h] if (f, m, h) in model.perceived_price else model.price[m, h]
        if m == n:
            return price
        return (price if model.abroad else 0.0) - transmission(model, n, m, h)

    model.firm[f].maximise_profit = pyo.Objective(
        expr=sum(
            model.weight[h]
            * (
                sum(net_price(n, m, h) * fleet.sales[t, m, h] for m in model.destinations[n])
                - fleet.production_cost[t, h]
                - fleet.response_cost[t, h]
            )
            for n, fleet in model.firm[f].fleet.items()
            for t, h in fleet.output
        ),
        sense=pyo.maximize,
    )


def transmission(model: pyo.ConcreteModel, n: str, m: str, h: int) -> Any:
    """What sending a MWh from n to m costs the sender: congestion price and toll, EUR/MWh."""
    priced = (n, m, h) in model.congestion
    return model.congestion[n, m, h] + model.toll[n, m] if priced else model.toll[n, m]


def netted(data: Any, demand: str = "after", conduct: str = "conjectured") -> pyo.ConcreteModel:
    """Fleets sell at home, link operators trade: max sum w (lam_m - lam_n - toll) F_nm with 0 <= F_nm <= Cap_nm.

    Raises Refused for a local placement, which has a meaning only where cost is separable, and for conjectures, which
    are about sales by destination.
    """
    refuse_local(data, demand)
    refuse_netted(data, conduct)
    model = setting(data, demand)
    model.by_destination, model.split, model.firms = False, False, {}
    require_supply(model)
    model.fleet = pyo.Block([n for n in model.country if model.plants[n]])
    for n in model.fleet:
        _home_fleet(model, n)
    model.operator = pyo.Block(model.link)
    for n, m in model.link:
        _operator(model, n, m)
    model.flow = pyo.Expression(model.link, model.hour, rule=lambda m, i, j, h: m.operator[i, j].flow[h])

    def supplied(n: str, h: int) -> Any:
        home = sum(model.fleet[n].output[t, h] for t in model.plants[n])
        return home + sum(model.flow[i, j, h] * ((j == n) - (i == n)) for i, j in model.link if n in (i, j))

    clear(model, supplied)
    return model


def _home_fleet(model: pyo.ConcreteModel, n: str) -> None:
    """The plants of country n as one player that takes the price at home; its Block states ``output``."""
    block, plants = model.fleet[n], model.plants[n]
    block.output = pyo.Var(plants, model.hour, within=pyo.NonNegativeReals)
    limit_output(model, block, n)
    block.production_cost = pyo.Expression(
        plants, model.hour, rule=lambda b, t, h: plant_cost(model, n, t, b.output[t, h])
    )
    block.response_cost = pyo.Expression(
        plants, model.hour, rule=lambda b, t, h: model.gamma["plant", n] * b.output[t, h] ** 2 / 2
    )
    block.maximise_profit = pyo.Objective(
        expr=sum(
            model.weight[h]
            * (model.price[n, h] * block.output[t, h] - block.production_cost[t, h] - block.response_cost[t, h])
            for t in plants
            for h in model.hour
        ),
        sense=pyo.maximize,
    )


def _operator(model: pyo.ConcreteModel, n: str, m: str) -> None:
    """The operator of the link from n to m buys in n and sells in m, taking both prices."""
    block = model.operator[n, m]
    block.flow = pyo.Var(model.hour, within=pyo.NonNegativeReals)
    if is_finite(model.limit[n, m].value):
        block.capacity = pyo.Constraint(model.hour, rule=lambda b, h: b.flow[h] <= model.limit[n, m])
    block.maximise_rent = pyo.Objective(
        expr=sum(
            model.weight[h] * (model.price[m, h] - model.price[n, h] - model.toll[n, m]) * block.flow[h]
            for h in model.hour
        ),
        sense=pyo.maximize,
    )


def refuse_local(data: Any, demand: str) -> None:
    """Raise Refused for demand response on home sales, which needs a cost for each destination."""
    placed = dict(data.tables["demand_response"]["placement"]) if keys(data, "demand_response") else {}
    local = [n for n, place in placed.items() if place == "local"]
    if local and demand == "after":
        raise Refused(
            f"demand response of {', '.join(local)} is placed on home sales (local), which only the separable reading "
            "distinguishes; choose the structure 'separable', or the placement demand or plant"
        )
