"""Can inelastic demand be served at all? Answered before solving, with what is missing and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from scipy.optimize import linprog

from equilibrium.errors import Infeasible

SERVED = 1e-9  # relative shortage that is rounding


def require_supply(model: Any) -> None:
    """Raise Infeasible where some hour's inelastic demand cannot be served: which country misses how many MW."""
    found = []
    for h in model.hour:
        missing = shortage(model, h)
        total = sum(missing.values())
        if total > SERVED * sum(demand(model, h).values()):
            where = ", ".join(f"{mw:.6g} MW in {n}" for n, mw in missing.items() if mw > SERVED * total)
            found.append(f"hour {h}: {total:.6g} MW cannot be served ({where})")
    if found:
        advice = "add capacity, a larger link, or a last plant at the value of lost load"
        raise Infeasible(f"inelastic demand exceeds what plants and links can deliver, {'; '.join(found)}; {advice}")


def demand(model: Any, h: int) -> dict[str, float]:
    """Inelastic demand by country, MW; 0 where demand is elastic."""
    return {n: 0.0 if h in model.elastic[n] else float(pyo.value(model.consumption[n, h])) for n in model.country}


def shortage(model: Any, h: int) -> dict[str, float]:
    """Smallest total of unserved inelastic demand, by country (MW): a linear programme over flows.

    Its split between countries need not be unique, its total is. With direct sales only what a country's own plants
    produce may leave it; with link operators imports may be passed on.
    """
    wanted = demand(model, h)
    capacity = {n: sum(float(pyo.value(model.capacity[n, t])) for t in model.plants[n]) for n in model.country}
    if all(capacity[n] >= wanted[n] for n in model.country):
        return dict.fromkeys(model.country, 0.0)
    countries, links = list(model.country), list(model.link)
    place = {n: k for k, n in enumerate(countries)}
    count, flows = len(countries), len(links)
    # Variables: sales at home, unserved demand, flows.
    served = np.hstack([np.eye(count), np.eye(count), np.zeros((count, flows))])
    leaving = np.hstack([np.eye(count), np.zeros((count, count + flows))])
    for k, (n, m) in enumerate(links, 2 * count):
        served[place[m], k] += 1
        (leaving if model.by_destination else served)[place[n], k] += 1 if model.by_destination else -1
    limits = [float(pyo.value(model.limit[link])) for link in links]
    upper = [*(np.inf for _ in countries), *wanted.values(), *limits]
    own = np.array([capacity[n] for n in countries])
    limited = np.isfinite(own)
    answer = linprog(
        [0.0] * count + [1.0] * count + [0.0] * flows,
        A_ub=np.vstack([-served, leaving[limited]]),
        b_ub=np.concatenate([-np.array(list(wanted.values())), own[limited]]),
        bounds=[(0.0, u) for u in upper],
        method="highs",
    )
    return dict(zip(countries, answer.x[count : 2 * count], strict=True))
