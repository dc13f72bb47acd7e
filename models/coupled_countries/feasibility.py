"""Can inelastic demand be served at all? Answered before solving: where not, who misses how much, and why.

The least demand that must go unserved is a maximum flow, found by one linear programme over all hours. By its dual
(the minimum cut) a set of countries needs more than what their own plants and the links to them can deliver; any set
proves a shortage, the minimum cut the whole of it. For two countries the rule reads: D_n <= K_n + Cap_mn for each, and
D_1 + D_2 <= K_1 + K_2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from scipy.optimize import linprog

from equilibrium.errors import Infeasible, NotCertified
from equilibrium.scenarios import smaller

from .inputs import available

SERVED = 1e-9  # relative shortage that is rounding
FEW = 6  # up to so many countries every cut is looked at
SHOWN = 5  # hours that are explained; of the others, their number


@dataclass(frozen=True)
class System:
    """What can be produced and moved in some hours, and what must be served.

    capacity, demand: MW by hour and country. limit: MW by link (from, to), positions of countries. transit: imports
    may be passed on; otherwise only what a country's own plants produce leaves it.
    """

    countries: Sequence[str]
    capacity: np.ndarray
    demand: np.ndarray
    limit: Mapping[tuple[int, int], float]
    transit: bool


@dataclass(frozen=True)
class Shortage:
    """One hour: the least unserved demand (MW, in all and by country: one split of it) and the countries of the cut."""

    total: float
    missing: Mapping[str, float]
    cut: tuple[str, ...]


def require_supply(model: Any) -> None:
    """Raise Infeasible where some hour's inelastic demand cannot be served: who, how much is missing, and why."""
    if len(model.country) <= FEW and all(_every_cut_holds(model, h) for h in model.hour):
        return
    hours, system = list(model.hour), system_of(model)
    found = {h: short for h, short in zip(hours, shortages(system), strict=True) if short is not None}
    if not found:
        return
    told = [f"hour {h}: {explained(system, k, found[h])}" for k, h in enumerate(hours) if h in found][:SHOWN]
    if len(found) > SHOWN:
        told.append(f"the same kind of shortage in {len(found) - SHOWN} more hours")
    advice = "add capacity, a larger link, or a value of lost load (lost_load.csv)"
    raise Infeasible(f"inelastic demand exceeds what plants and links can deliver: {'; '.join(told)}; {advice}")


def _every_cut_holds(model: Any, h: int) -> bool:
    """Whether no set of countries needs more than its plants and the links to it can deliver (see ``deliverable``)."""
    own = {n: _produced(model, n, h) for n in model.country}
    needs = {n: _needed(model, n, h) for n in model.country}
    for size in range(1, len(own) + 1):
        for group in itertools.combinations(own, size):
            entering = {n: 0.0 for n in own if n not in group}
            for n, m in model.link:
                if m in group and n in entering:
                    entering[n] = entering[n] + pyo.value(model.limit[n, m])
            if model.by_destination:
                entering = {n: smaller(own[n], room) for n, room in entering.items()}
            if sum(needs[n] for n in group) > sum(own[n] for n in group) + sum(entering.values()):
                return False
    return True


def _produced(model: Any, n: str, h: int) -> Any:
    return sum(pyo.value(available(model, n, t, h)) for t in model.plants[n])


def _needed(model: Any, n: str, h: int) -> Any:
    """Inelastic demand that may not be lost, MW."""
    free = h in model.elastic[n] or (n, h) in model.lost
    return 0.0 if free else pyo.value(model.consumption[n, h])


def system_of(model: Any) -> System:
    """The system of a stated model. Elastic demand needs nothing, nor does demand that may be lost at a value."""
    countries = list(model.country)
    place = {n: k for k, n in enumerate(countries)}
    return System(
        countries,
        np.array([[float(_produced(model, n, h)) for n in countries] for h in model.hour]),
        np.array([[float(_needed(model, n, h)) for n in countries] for h in model.hour]),
        {(place[n], place[m]): float(pyo.value(model.limit[n, m])) for n, m in model.link},
        not model.by_destination,
    )


def shortages(system: System) -> list[Shortage | None]:
    """For every hour its shortage, None where all demand can be served."""
    found: list[Shortage | None] = [None] * len(system.demand)
    short = np.flatnonzero((system.capacity < system.demand).any(axis=1))  # otherwise everybody serves itself
    if not len(short):
        return found
    missing, price = _least_unserved(system, short)
    for row, hour in enumerate(short):
        total, demand = float(missing[row].sum()), float(system.demand[hour].sum())
        if total > SERVED * demand:
            names = system.countries
            by_country = {n: float(mw) for n, mw in zip(names, missing[row], strict=True) if mw > SERVED * demand}
            found[hour] = Shortage(
                total, by_country, tuple(n for n, p in zip(names, price[row], strict=True) if p > 0.5)
            )
    return found


def _least_unserved(system: System, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unserved demand (hours by countries) and what one more MW of demand adds to it: 1 in the minimum cut, else 0.

    Of each hour: output x_n <= K_n, unserved u_n <= D_n, flows F <= Cap; min sum u. One programme, a block an hour.
    """
    count, links = len(system.countries), list(system.limit)
    serve = np.hstack([np.eye(count), np.eye(count), np.zeros((count, len(links)))])
    leave = np.hstack([np.eye(count), np.zeros((count, count + len(links)))])
    for k, (n, m) in enumerate(links, 2 * count):
        serve[m, k] += 1
        serve[n, k] -= system.transit
        leave[n, k] += not system.transit
    own, demand = system.capacity[hours], system.demand[hours]
    blocks = sp.identity(len(hours), format="csr")
    finite = np.isfinite(own)
    upper = np.hstack([np.full_like(demand, np.inf), demand, np.tile(list(system.limit.values()), (len(hours), 1))])
    answer = linprog(
        np.tile(np.r_[np.zeros(count), np.ones(count), np.zeros(len(links))], len(hours)),
        A_ub=sp.vstack([-sp.kron(blocks, serve), sp.kron(blocks, leave).tocsr()[finite.ravel()]]),
        b_ub=np.concatenate([-demand.ravel(), own[finite]]),
        bounds=np.column_stack([np.zeros(upper.size), upper.ravel()]),
        method="highs",
    )
    if answer.x is None:
        raise NotCertified(f"the linear programme of the shortage was not solved: {answer.message}")
    unserved = answer.x.reshape(len(hours), -1)[:, count : 2 * count]
    return unserved, -answer.ineqlin.marginals[: demand.size].reshape(demand.shape)


def deliverable(system: System, hour: int, group: set[int]) -> tuple[float, float]:
    """MW that can serve a group of countries: from plants in it, and over links from outside it."""
    own = system.capacity[hour]
    inside = sum(own[n] for n in group)
    entering = {n: 0.0 for n in range(len(own)) if n not in group}
    for (n, m), cap in system.limit.items():
        if m in group and n in entering:
            entering[n] += cap
    if not system.transit:
        entering = {n: min(own[n], cap) for n, cap in entering.items()}
    return float(inside), float(sum(entering.values()))


def explained(system: System, hour: int, short: Shortage) -> str:
    """The shortage in words: each connected part of the cut with what it needs and what can reach it."""
    parts = []
    for group in _connected(system, {k for k, n in enumerate(system.countries) if n in short.cut}):
        needs = float(sum(system.demand[hour][k] for k in group))
        inside, over = deliverable(system, hour, group)
        names = " and ".join(sorted(system.countries[k] for k in group))
        parts.append(
            f"{names} need{'s' if len(group) == 1 else ' together'} {needs:.6g} MW, but own plants give at most "
            f"{inside:.6g} MW and links bring at most {over:.6g} MW"
        )
    split = ", ".join(f"{mw:.6g} MW in {n}" for n, mw in short.missing.items())
    return f"{short.total:.6g} MW cannot be served ({split}), because {' and '.join(parts)}"


def _connected(system: System, group: set[int]) -> list[set[int]]:
    """The group, divided by what links connect at all (also through countries outside the group)."""
    links = [pair for pair, cap in system.limit.items() if cap > 0]
    count = len(system.countries)
    table = sp.coo_matrix((np.ones(len(links)), tuple(np.array(links, dtype=int).reshape(-1, 2).T)), (count, count))
    _, label = sp.csgraph.connected_components(table, directed=False)
    return [part for k in sorted(set(label)) if (part := {n for n in group if label[n] == k})]


def largest_shortage(system: System, hour: int) -> float:
    """The shortage by the rule: the largest, over groups of countries, of need minus what can reach it (2^N groups)."""
    count = len(system.countries)
    groups = [{n for n in range(count) if bits >> n & 1} for bits in range(2**count)]
    excess = [sum(system.demand[hour][n] for n in g) - math.fsum(deliverable(system, hour, g)) for g in groups]
    return max(float(e) for e in excess)
