"""The range of system cost where the DSO dispatches its rivals and does not care in which of several periods they buy.

Idle periods are those in which the DSO buys nothing itself, so that no price there matters to it. Let the rivals buy in
idle periods only, and let B be the DSO's bill with its own loads d. Which other splits r of their energy over the idle
periods are equilibria too, with the same d?

* Without generators with market power, and where the DSO decides first: every one. The bill is B for each.
* Where generators decide at once with it: those with P(x_t - Y_t(r_t)) >= mu in every idle period, Y_t being what
  generators deliver where rivals take r_t and mu the DSO's marginal expenditure. Needed: otherwise it would send the
  rivals of t to another idle period, at no cost, and buy in t itself. Enough: no bill is below that of the best own
  loads beside no rivals at all, and by these inequalities that is B. Since Y_t rises with r_t they are an upper limit
  on r_t, the higher the larger x_t is.

System cost is a convex function of the demand in a period, the same one in each (for generators see E20 on the page of
the market), so it is least with idle periods filled to one level as far as limits allow, and most with all rivals in
the idle period with the largest demand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.calculus.derivatives import differentiate
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.errors import NotCertified

from .supply import inverse_supply
from .undetermined import WIDE

CLOSE = 1e-9
"""Marginal expenditures nearer to one another than this part count as equal."""

Split = dict[Any, float]


def spread(model: Any) -> tuple[float, float] | None:
    """(least, most) system cost, EUR, over the equilibria with the DSO's own loads, of a model that is at one of them.

    None where its dispatch is determined, and where rivals have a limit in each period. Raises NotCertified where
    generators' answer to a split is not certified.
    """
    dso = model.component("dso")
    if dso is None or dso.component("rivals") is None or dso.component("delivery") is not None:
        return None
    if dso.rivals.component("most") is not None or dso.rivals.component("even") is not None:
        return None
    energy = pyo.value(dso.rivals.energy)
    idle = [t for t in model.period if dso.load[t].value <= WIDE * pyo.value(dso.energy)]
    if len(idle) < 2 or sum(dso.rivals.load[t].value for t in idle) < (1 - WIDE) * energy:
        return None
    answer = _answers(model)
    demand = {t: float(pyo.value(model.residual_demand[t])) for t in idle}
    most_in = dict.fromkeys(idle, energy)
    if model.component("generators") is not None and model.component("stage") is None:
        most_in = _limits(model, idle, energy, answer)
        most_in |= {t: energy for t in idle if dso.rivals.load[t].value >= (1 - WIDE) * energy}  # as was found
    low, high = min(demand.values()), max(demand.values()) + 2 * energy
    level = brentq(lambda x: sum(_filled(x, demand, most_in).values()) - energy, low, high)
    largest = max((t for t in idle if most_in[t] >= energy), key=lambda t: demand[t])
    found = float(pyo.value(model.system_cost))
    least = min(found, float(pyo.value(answer(_filled(level, demand, most_in)).system_cost)))
    most = max(found, float(pyo.value(answer({largest: energy}).system_cost)))
    return (least, most) if most - least > WIDE**2 * abs(most) else None


def _filled(level: float, demand: dict[Any, float], most_in: dict[Any, float]) -> Split:
    """Idle periods filled up to a level of demand, each as far as it may be."""
    return {t: min(max(0.0, level - x), most_in[t]) for t, x in demand.items()}


def _answers(model: Any) -> Callable[[Split], Any]:
    """A function from the rivals' loads to a copy of the model with them, the DSO's own loads as they are and
    generators, if any, at their equilibrium."""
    copy = model.clone()
    copy.dso.minimise_bill.deactivate()
    for row in copy.dso.component_data_objects(pyo.Constraint, active=True):
        row.deactivate()
    copy.dso.load.fix()
    if copy.component("stage") is not None:
        copy.del_component("stage")

    def at(split: Split) -> Any:
        for t in copy.period:
            copy.dso.rivals.load[t].fix(split.get(t, 0.0))
        if copy.component("generators") is not None:
            certificate = solve(copy).certificate
            if not certificate.ok:
                raise NotCertified(
                    f"generators' answer to a split of rivals' load is not certified: {certificate.scope}"
                )
        return copy

    return at


def _limits(model: Any, idle: list[Any], energy: float, answer: Callable[[Split], Any]) -> dict[Any, float]:
    """The most that rivals may take in each idle period while the DSO does not want to buy there, MWh."""
    own = model.dso.load
    active = max(model.period, key=lambda t: own[t].value)
    level = float(differentiate(model.dso.minimise_bill.expr, wrt=own[active]))

    def stays(loads: np.ndarray) -> np.ndarray:
        there = answer(dict(zip(idle, loads.tolist(), strict=True)))
        left = [pyo.value(there.output[t]) - load for t, load in zip(idle, loads, strict=True)]
        return np.array([pyo.value(inverse_supply(model, q)) >= level - CLOSE * abs(level) for q in left])

    low, high = np.zeros(len(idle)), np.full(len(idle), energy)
    fine = stays(high)
    low[fine] = energy
    while (high - low > CLOSE * energy).any():
        middle = (low + high) / 2
        fine = stays(middle)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle)
    return dict(zip(idle, low.tolist(), strict=True))
