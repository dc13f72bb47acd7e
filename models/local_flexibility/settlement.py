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
from equilibrium.errors import NotCertified
from equilibrium.scenarios import as_number, larger, where_larger

from . import setting
from .clearing import clear
from .ties import Dispatch, Numbers, numbers

PRICES = ("pay_as_cleared", "pay_as_cleared_net")
AT_LIMIT = 1e-9  # closer to a limit than this part of it counts as there


@dataclass(frozen=True)
class Prices:
    """A system of marginal prices, EUR/kWh by (feeder, period): of relief and of payback room. total: what it pays for
    all relief, EUR."""

    relief: Numbers
    payback: Numbers
    total: Any


def bids(model: Any, dispatch: Dispatch) -> dict[str, Any]:
    """What each aggregator's accepted bids ask for, EUR (negative: it pays)."""
    found: dict[str, Any] = dict.fromkeys(model.aggregator, 0.0)
    price = {t: pyo.value(model.price[t]) for t in model.period}
    markup = {a: pyo.value(model.markup[model.scenario, a]) for a in model.aggregator}
    for (u, t), q in dispatch.cut.items():
        found[model.owner[u]] += (markup[model.owner[u]] - price[t]) * q
    for (u, t), q in dispatch.add.items():
        found[model.owner[u]] += price[t] * q
    return found


def cleared(model: Any, dispatch: Dispatch, prices: Prices) -> dict[str, Any]:
    """What each aggregator gets at marginal prices, EUR; ``prices.payback`` counts where it is not empty."""
    found: dict[str, Any] = dict.fromkeys(model.aggregator, 0.0)
    for (u, t), q in dispatch.cut.items():
        found[model.owner[u]] += prices.relief.get((model.home[u], t), 0.0) * q
    for (u, t), q in dispatch.add.items():
        found[model.owner[u]] -= prices.payback.get((model.home[u], t), 0.0) * q
    return found


def price_range(model: Any, day: str, net: bool) -> tuple[Prices, Prices]:
    """The price systems with the least and the largest total. Raises NotCertified where they are not certified."""
    return _slope(model, day, net, -1.0), _slope(model, day, net, 1.0)


def _slope(model: Any, day: str, net: bool, sign: float) -> Prices:
    """How the least cost moves as the requirement (net: and room) grows (sign 1) or shrinks (-1) in proportion.

    min cost of (dcut, dadd, dunserved) with relief rows at sign * O, payback rows that are full at most sign * R (net)
    or 0, and every change in the direction that limits leave, none beyond all that comes and goes: in a flow from
    units to periods nothing more has to move, because at least cost no round trip pays.
    """
    block, tangent = model.operator[day], pyo.ConcreteModel()
    tangent.operator = pyo.Block()
    tangent.price = numbers({t: _number(model.price[t]) for t in model.period})
    tangent.alternative_cost = pyo.Param(initialize=_number(model.alternative_cost), mutable=True, within=pyo.Reals)
    tangent.markup = numbers({a: _number(model.markup[model.scenario, a]) for a in model.aggregator})
    asked = {u: tangent.markup[a] for u, a in model.owner.items()}
    tangent.needed = numbers({place: sign * _number(row.upper) for place, row in block.relief.items()})
    most = {place: _number(row.upper) for place, row in block.payback.items()}
    far = 2 * sum(abs(_number(part)) for part in (*tangent.needed.values(), *most.values()))
    full = {place: _full(row) for place, row in block.payback.items()}
    tangent.room = numbers({k: where_larger(full[k], 0.0, sign * most[k] if net else 0.0, far) for k in most})
    tangent.least, tangent.most = pyo.Block(), pyo.Block()
    here, given = tangent.operator, setting.limits(model, day)
    clear(here, tangent, model.home, replace(given, requirement=tangent.needed, room=tangent.room, markup=asked))
    for name in ("cut", "add", "unserved"):
        _direct(tangent, name, here.component(name), block.component(name), far)
    solution = solve(tangent)
    if not solution.certificate.ok:
        raise NotCertified(f"the marginal prices of day {day} are not certified: {solution.certificate.scope}")
    margins = solution.multipliers
    relief = {k: margins[here.relief[k].name] for k, needed in tangent.needed.items() if abs(_number(needed)) > 0}
    payback = {k: margins[f"{here.payback[k].name}.upper"] for k, room in most.items() if net and room > 0}
    return Prices(relief, payback, sign * _number(here.cost))


def _direct(tangent: Any, name: str, changes: Any, now: Any, far: Any) -> None:
    """A change may go up unless the Var is at its upper limit, and down unless it is at zero; not beyond ``far``."""
    least, most = {}, {}
    for k, at in now.items():
        value, limit = as_number(at.value), as_number(at.ub or 0.0)
        size = AT_LIMIT * larger(1e-300, larger(value, limit))
        least[k] = where_larger(value, size, -far, 0.0)
        most[k] = far if at.ub is None else where_larger(value, limit - size, 0.0, far)
    tangent.least.add_component(name, numbers(least))
    tangent.most.add_component(name, numbers(most))
    for k, change in changes.items():
        change.domain = pyo.Reals
        change.setlb(tangent.least.component(name)[k])
        change.setub(tangent.most.component(name)[k])


def _full(row: Any) -> Any:
    """1 where nothing of the room is left, else 0."""
    most, used = _number(row.upper), _number(row.body)
    return where_larger(most - used, AT_LIMIT * larger(most, used), 0.0, 1.0)


def _number(value: Any) -> Any:
    return as_number(pyo.value(value))
