"""Limits and costs that an aggregator of table ``aggregators`` has of its own: what its customers can bear and mind.

Load a in period t lies between ``lowest`` and ``largest`` of table ``windows`` (where it has a row) and is at most the
aggregator's ``limit``. Moving load away from the even spread, which is what passive households take, costs

    (k_a / 2) sum_t (load_at - L_a S / T)^2,    k_a = ``shifting_cost`` in EUR/MWh^2, at least 0,

a real resource, such as comfort: part of the system cost, paid to nobody. The first MWh moved is free and each further
one k_a dearer; of two periods, d MWh moved from one to the other cost k_a d^2. An aggregator's energy is L_a S.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Fault

from .theory import Buyer

ROUNDING = 1e-9
"""How far energies may miss one another in a table that is written with twelve digits, over the aggregator's energy."""


def exceeds(energy: Any, most: Any) -> bool:
    """Whether an energy is more than there is room for, rounding apart, MWh."""
    return bool(energy > most * (1 + ROUNDING))


def stated(model: pyo.ConcreteModel) -> bool:
    """Whether some aggregator of the model has a limit, a window or a cost of shifting."""
    return any(model.component(name) is not None for name in ("limit", "lowest", "shifting_cost"))


def _costly(data: Any) -> bool:
    return any(cost > 0 for cost in _column(data, "shifting_cost").values())


def _column(data: Any, name: str) -> dict[Any, Any]:
    """A column of table ``aggregators`` by aggregator; empty where the table lacks it."""
    table = data.tables["aggregators"]
    return table[name].to_dict() if name in table else {}


def state(model: pyo.ConcreteModel, data: Any, blocks: Mapping[Any, Any]) -> None:
    """Limits of ``load`` on every aggregator's Block, and Expressions ``shifting_cost`` on all of them if any has one,
    EUR."""
    limits = _column(data, "limit")
    if any(limit < inf for limit in limits.values()):
        model.limit = data.param("aggregators", "limit")
    for name, block in blocks.items():
        if model.component("limit") is not None and limits[name] < inf:
            block.most = pyo.Constraint(model.period, rule=lambda b, t, a=name: b.load[t] <= model.limit[a])
    if "windows" in data.tables:
        _windows(model, data, blocks)
    if _costly(data):
        model.shifting_cost = data.param("aggregators", "shifting_cost")
        for name, block in blocks.items():
            even = block.energy / len(model.period)
            away = sum((block.load[t] - even) ** 2 for t in model.period)
            block.shifting_cost = pyo.Expression(expr=model.shifting_cost[name] / 2 * away)


def _windows(model: pyo.ConcreteModel, data: Any, blocks: Mapping[Any, Any]) -> None:
    """lowest <= load_at <= largest in the periods for which table ``windows`` has a row."""
    table = data.tables["windows"]
    model.lowest = data.param("windows", "lowest")
    finite = {key for key, largest in table["largest"].items() if largest < inf}
    if finite:
        model.largest = data.param("windows", "largest")
    for name, block in blocks.items():
        periods = [t for a, t in table.index if a == name]
        block.lowest = pyo.Constraint(periods, rule=lambda b, t, a=name: b.load[t] >= model.lowest[a, t])
        below = [t for t in periods if (name, t) in finite]
        block.largest = pyo.Constraint(below, rule=lambda b, t, a=name: b.load[t] <= model.largest[a, t])


def shifting(blocks: Mapping[Any, Any]) -> Any:
    """What shifting costs all aggregators, EUR; None where no cost is stated."""
    stated = [block.shifting_cost for block in blocks.values() if block.component("shifting_cost") is not None]
    return sum(stated) if stated else None


def ends(data: Any) -> dict[tuple[Any, Any], tuple[Any, Any]]:
    """(least, most) load of every aggregator in every period by its limit and its window, MWh: (0, inf) without any."""
    limits = _column(data, "limit")
    found = {
        (name, t): (0.0, limits.get(name, inf))
        for name in data.tables["aggregators"].index
        for t in data.tables["demand"].index
    }
    if "windows" in data.tables:
        table = data.tables["windows"]
        for key, lowest, largest in zip(table.index, table["lowest"], table["largest"], strict=True):
            if key in found:
                found[key] = (lowest, min(found[key][1], largest))
    return found


def buyers(data: Any) -> dict[str, Buyer]:
    """The aggregators of the table as theory sees them, two periods: what each can take off-peak, and its cost."""
    (first, second), between, costs = data.tables["demand"].index, ends(data), _column(data, "shifting_cost")
    found = {}
    for name, share in _column(data, "share").items():
        energy = float(share * data.parameters["flexible_energy"])
        (least, most), (later, latest) = between[name, first], between[name, second]
        low, high = max(least, energy - latest), min(most, energy - later)
        found[str(name)] = Buyer(energy, low, high, float(costs.get(name, 0.0)))
    return found


def batteries(data: Any, structure: str, options: Mapping[str, Any]) -> dict[str, Buyer]:
    """The owners of batteries of a structure as theory sees them, two periods and no losses."""
    energy = data.parameters["flexible_energy"]
    if structure.endswith("shares"):
        owned = {str(name): share * energy for name, share in _column(data, "share").items()}
    else:
        count = int(options.get("aggregators", 2)) if structure.endswith("cournot") else 1
        owned = {str(k + 1): energy / count for k in range(count)}
    return {name: Buyer(0.0, -e, e) for name, e in owned.items()}


def faults(data: Any) -> list[Fault]:
    """Windows of nobody or of no period, windows that are empty, and aggregators whose limits do not fit their
    energy."""
    if "aggregators" not in data.tables:
        if "windows" not in data.tables:
            return []
        return [Fault("windows.csv", "windows need the table of their aggregators", allowed="a file aggregators.csv")]
    between = ends(data)
    wrong = _rows(data, between) if "windows" in data.tables else []
    return wrong or [fault for name in data.tables["aggregators"].index for fault in _room(data, name, between)]


def _rows(data: Any, between: Mapping[Any, tuple[Any, Any]]) -> list[Fault]:
    """Rows of table ``windows`` with an unknown name, and rows whose lowest load is above the largest."""
    found = []
    known = {"aggregator": list(data.tables["aggregators"].index), "period": list(data.tables["demand"].index)}
    for number, (key, lowest) in enumerate(data.tables["windows"]["lowest"].items(), 2):
        strange = [(c, name) for c, name in zip(known, key, strict=True) if name not in known[c]]
        for column, name in strange:
            allowed = "one of " + ", ".join(str(one) for one in known[column][:20])
            found.append(Fault("windows.csv", f"there is no such {column}", number, column, str(name), allowed))
        if not strange and lowest > (most := between[key][1]):
            message = "the lowest load is above the largest that the window and the aggregator's limit allow"
            found.append(Fault("windows.csv", message, number, "lowest", f"{lowest:g}", f"at most {most:g} MWh"))
    return found


def _room(data: Any, name: Any, between: Mapping[Any, tuple[Any, Any]]) -> list[Fault]:
    """The fault of an aggregator whose least loads add up to more than its energy, or whose largest to less."""
    table, periods = data.tables["aggregators"], list(data.tables["demand"].index)
    energy = table["share"][name] * data.parameters["flexible_energy"]
    least, most = (sum(between[name, t][side] for t in periods) for side in (0, 1))
    if exceeds(energy, most):
        limit = _column(data, "limit").get(name, inf)
        if exceeds(energy, limit * len(periods)):
            row = list(table.index).index(name) + 2
            message, needed = (
                f"the limit of {name} leaves no room for its energy",
                f"at least {energy / len(periods):g}",
            )
            return [Fault("aggregators.csv", message, row, "limit", f"{limit:g}", f"{needed} MWh")]
        message = f"the windows of {name} leave no room for its energy"
        return [Fault("windows.csv", message, None, "largest", f"a sum of {most:.12g}", f"at least {energy:.12g} MWh")]
    if exceeds(least, energy):
        message = f"the windows of {name} ask for more than its energy"
        return [Fault("windows.csv", message, None, "lowest", f"a sum of {least:.12g}", f"at most {energy:.12g} MWh")]
    return []
