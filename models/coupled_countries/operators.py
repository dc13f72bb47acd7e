"""What the paper's programme literally says: each operator minds its own country (Appendix 2).

Operator n minimises the cost of its own plants, min sum_t cost(x_tnn + sum_m x_tnm), subject to capacities, links and
one balance, its own:

    sum_t x_tnn + sum_t x_tmn = Q_n,   imports x_tmn decided by the others.

With the multiplier lam_n of that balance its conditions are MC + r - lam_n >= 0 for sales at home and MC + r + P_nm >=
0 for exports, which only cost. So nobody exports: the equilibrium is autarky, and there is none where D_n exceeds the
plants of n. (Appendix 3 writes lam_m into the second condition, which this programme cannot give.)

Stated here as everywhere in this market, with the balance outside and its multiplier as the price: the operator earns
lam_n on what it sells at home and nothing on exports. Its problem is convex, so both statements have the same
solutions; a test states the programme with the balance on the operator's Block.

If instead both operators answer for both balances, any split of the demands that both can keep is a generalised Nash
equilibrium, since the other's plan leaves an operator no choice. The one with the same multipliers for both (the
variational equilibrium) is what the conditions of Appendix 3 mean: the structures ``separable`` and ``joint``.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Infeasible, Refused
from equilibrium.scenarios import is_finite

from .conduct import TAKING
from .inputs import available
from .readings import by_destination, refuse_local


def own_balance(data: Any, demand: str = "after", cost: str = "joint") -> pyo.ConcreteModel:
    """Operators that mind only their own balance; ``cost``: joint or separable.

    Raises Infeasible where a country cannot serve itself, and Refused for a plant whose first MW costs less than
    nothing: it would run and be sent away for its own sake.
    """
    split = cost == "separable"
    if not split:
        refuse_local(data, demand)
    model = by_destination(data, demand, TAKING, split, abroad=False)
    for n in model.country:
        for t in model.plants[n]:
            if pyo.value(model.cost_intercept[n, t]) < 0:
                raise Refused(
                    f"plant {t} of {n} has a negative intercept: an operator would run it and export for nothing; "
                    "choose the structure 'joint' or 'separable'"
                )
    _require_own_supply(model)
    return model


def _require_own_supply(model: Any) -> None:
    """Raise Infeasible where inelastic demand exceeds the country's own plants: nobody will export to it."""
    found = []
    for n in model.country:
        for h in model.hour:
            own = sum(pyo.value(available(model, n, t, h)) for t in model.plants[n])
            free = h in model.elastic[n] or (n, h) in model.lost
            missing = 0.0 if free else pyo.value(model.consumption[n, h]) - own
            if missing > 0 and is_finite(missing):
                found.append(f"{missing:.6g} MW in {n}, hour {h}")
    if found:
        raise Infeasible(
            f"no equilibrium: operators that mind only their own balance export nothing, and own plants are short of "
            f"{'; '.join(found)}"
        )
