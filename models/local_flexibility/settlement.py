"""What accepted bids are paid under each rule, from a clearing with ties split.

* ``pay_as_bid``: the price of the bid.
* ``pay_as_cleared``: lam_t for every kWh taken away in t, lam the marginal cost of the requirement.
* ``pay_as_cleared_net``: lam_t - rho_p, net of rho, the marginal value of payback room in the period of payback.
* ``vcg``: the price of the bid and the Clarke rent C(without a) - C, what clearing would cost more without a's bids.
  The excluded aggregator keeps its baseline.

Marginal prices need not be unique. Settlement uses those with the least total, and the range of the total is reported:
lam O (and - rho R) over all price systems is the slope of the least cost C as requirement (and room) grow or shrink in
proportion, which is a linear programme in the change of the clearing (``_slope``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyomo.environ as pyo

from equilibrium import solve

from . import setting
from .clearing import clear
from .ties import Dispatch, Numbers

PRICES = ("pay_as_cleared", "pay_as_cleared_net")
AT_LIMIT = 1e-9  # closer to a limit than this part of it counts as there


@dataclass(frozen=True)
class Prices:
    """A system of marginal prices, EUR/kWh by (feeder, period): of relief and of payback room. total: what it pays for
    all relief, EUR."""

    relief: Numbers
    payback: Numbers
    total: float


def bids(model: Any, dispatch: Dispatch) -> dict[str, float]:
    """What each aggregator's accepted bids ask for, EUR (negative: it pays)."""
    found = dict.fromkeys(model.aggregator, 0.0)
    price = {t: pyo.value(model.price[t]) for t in model.period}
    markup = {a: pyo.value(model.markup[model.scenario, a]) for a in model.aggregator}
    for (u, t), q in dispatch.cut.items():
        found[model.owner[u]] += (markup[model.owner[u]] - price[t]) * q
    for (u, t), q in dispatch.add.items():
        found[model.owner[u]] += price[t] * q
    return found


def cleared(model: Any, dispatch: Dispatch, prices: Prices) -> dict[str, float]:
    """What each aggregator gets at marginal prices, EUR; ``prices.payback`` counts where it is not empty."""
    found = dict.fromkeys(model.aggregator, 0.0)
    for (u, t), q in dispatch.cut.items():
        found[model.owner[u]] += prices.relief.get((model.home[u], t), 0.0) * q
    for (u, t), q in dispatch.add.items():
        found[model.owner[u]] -= prices.payback.get((model.home[u], t), 0.0) * q
    return found


def price_range(model: Any, day: str, net: bool) -> tuple[Prices, Prices]:
    """The price systems with the least and the largest total. Raises RuntimeError where they are not certified."""
    return _slope(model, day, net, -1.0), _slope(model, day, net, 1.0)


def _slope(model: Any, day: str, net: bool, sign: float) -> Prices:
    """How the least cost moves as the requirement (net: and room) grows (sign 1) or shrinks (-1) in proportion.

    min cost of (dcut, dadd, dunserved) with relief rows at sign * O, payback rows that are full at most sign * R (net)
    or 0, and every change in the direction that limits leave.
    """
    block, tangent = model.operator[day], pyo.ConcreteModel()
    tangent.operator = pyo.Block()
    needed = {place: sign * float(pyo.value(row.upper)) for place, row in block.relief.items()}
    full = {place: float(pyo.value(row.upper)) for place, row in block.payback.items() if _full(row)}
    room = {place: sign * most if net else 0.0 for place, most in full.items()}
    here, given = tangent.operator, setting.limits(model, day)
    clear(here, model, model.home, replace(given, requirement=needed, room=room))
    for name in ("cut", "add", "unserved"):
        for k, change in here.component(name).items():
            _direct(change, block.component(name)[k])
    solution = solve(tangent)
    if not solution.certificate.ok:
        raise RuntimeError(f"the marginal prices of day {day} are not certified: {solution.certificate.scope}")
    margins = solution.multipliers
    relief = {k: float(margins[here.relief[k].name]) for k, value in needed.items() if value}
    payback = {k: float(margins[f"{here.payback[k].name}.upper"]) for k in full if net and not needed.get(k)}
    return Prices(relief, payback, sign * float(pyo.value(here.cost)))


def _direct(change: Any, now: Any) -> None:
    """A change may go up unless the Var is at its upper limit, and down unless it is at zero."""
    size = AT_LIMIT * max(1e-300, now.value, now.ub or 0.0)
    change.domain = pyo.Reals
    change.setlb(0.0 if now.value <= size else None)
    change.setub(0.0 if now.ub is not None and now.value >= now.ub - size else None)


def _full(row: Any) -> bool:
    most, used = float(pyo.value(row.upper)), float(pyo.value(row.body))
    return most - used <= AT_LIMIT * max(most, used)
