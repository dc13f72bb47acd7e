"""Who is accepted where bids tie: pro rata, and never at a higher cost.

A clearing that is not unique leaves open which of equally dear bids are taken and who pays back when. Of all clearings
of least cost one is taken with (1) the least shortage, (2) the accepted parts of the offers as even as they can be
(least sum of cut^2/offer), (3) payback as even as it can be in relation to headroom (least sum of add^2/headroom).
Where no limit of a vehicle interferes that is a split in proportion to the offers. It does not depend on the order or
the names of bids. Indivisible lots cannot be split, and with feed-in limits or congestion points above feeders no split
is defined here: then what was found is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyomo.environ as pyo

from equilibrium import interior, solve

LARGE = 300  # so many loose quantities are split by an interior point, to some 1e-8 of their size
ZERO = 1e-9  # a margin below this part of the largest one is none: the bids tie
Place = tuple[str, str]
Numbers = Mapping[Place, float]


@dataclass(frozen=True)
class Dispatch:
    """What was cleared on one day, kWh: cut and add by (unit, period), unserved by (feeder, period), and what of the
    feed-in was curtailed."""

    cut: Numbers
    add: Numbers
    unserved: Numbers
    curtailed: Numbers = field(default_factory=dict)

    @property
    def missing(self) -> float:
        """What no bid relieved, kWh."""
        return sum(self.unserved.values()) + sum(self.curtailed.values())


def split(solved: Any) -> dict[str, Dispatch]:
    """The clearing of every day with ties split. Raises RuntimeError where the split is not certified."""
    model = solved.model
    if model.lots or model.limited or model.sensitivity:  # what was found is taken
        return {d: _found(model.operator[d]) for d in model.day}
    margins = solved.solution.margins
    small = ZERO * max(abs(margin) for margin in margins.values())
    return {d: _split(model, model.operator[d], margins, small) for d in model.day}


def _split(model: Any, block: Any, margins: Any, small: float) -> Dispatch:
    here = _found(block)
    loose = Dispatch(*(_loose(part, margins, small) for part in (block.cut, block.add, block.unserved)))
    full = {place for place, row in block.payback.items() if abs(margins.get(row, 0.0)) > small}
    stage = _Stage(model, block, full, _totals(((model.home[u], t), (u, t)) for u, t in block.add))
    if loose.unserved:
        here = stage.solve(here, loose, lambda p: sum(p.unserved.values()))
        loose = replace(loose, unserved={})
    if len(loose.cut) > 1:
        here = stage.solve(here, loose, lambda p: sum(x**2 / loose.cut[k] for k, x in p.cut.items()))
    if len(loose.add) > 1:
        loose = replace(loose, cut={})
        here = stage.solve(here, loose, lambda p: sum(x**2 / loose.add[k] for k, x in p.add.items()))
    return here


def _found(block: Any) -> Dispatch:
    cut, give = _numbers(block.cut), block.component("give")
    if give is not None:
        cut = {k: q + max(0.0, float(give[k].value)) for k, q in cut.items()}
    curtailed = {} if give is None else _numbers(block.curtailed)
    return Dispatch(cut, _numbers(block.add), _numbers(block.unserved), curtailed)


def _numbers(variable: Any) -> dict[Place, float]:
    return {k: max(0.0, float(v.value)) for k, v in variable.items()}


def _loose(variable: Any, margins: Any, small: float) -> dict[Place, float]:
    """What may differ between clearings of least cost, with its upper limit (infinite: none)."""
    found = {}
    for k, v in variable.items():
        if abs(margins.get(v, 0.0)) <= small:
            most = v.ub
            most = float("inf") if most is None else float(most)
            if most > 0:
                found[k] = most
    return found


@dataclass(frozen=True)
class _Stage:
    """One choice among the clearings of least cost of a day; ``full`` are the places without payback room left."""

    model: Any
    block: Any
    full: set[Place]
    units: Mapping[Place, list[Place]]

    def solve(self, here: Dispatch, loose: Dispatch, goal: Any) -> Dispatch:
        """The clearing with the least ``goal`` in which only what is loose moves."""
        model = pyo.ConcreteModel()
        model.part = pyo.Block(["cut", "add", "unserved"])
        for name, limits in (("cut", loose.cut), ("add", loose.add), ("unserved", loose.unserved)):
            model.part[name].x = pyo.Var(list(limits), within=pyo.NonNegativeReals)
            for k, most in limits.items():
                model.part[name].x[k].setub(None if most == float("inf") else most)
        cut, add, unserved = (model.part[name].x for name in ("cut", "add", "unserved"))
        home = self.model.home
        bought = _totals(((home[u], t), (u, t)) for u, t in cut)
        for place in unserved:
            bought.setdefault(place, [])
        model.relief = pyo.Constraint(
            list(bought),
            rule=lambda m, *f: (
                sum(cut[k] - here.cut[k] for k in bought[f])
                + (unserved[f] - here.unserved[f] if f in unserved else 0.0)
                == 0
            ),
        )
        returned = _totals(((home[u], t), (u, t)) for u, t in add)
        model.payback = pyo.Constraint(list(returned), rule=lambda m, *f: self._room(f, returned[f], add, here))
        moved = _totals([*((u, ("cut", (u, t))) for u, t in cut), *((u, ("add", (u, t))) for u, t in add)])
        model.balance = pyo.Constraint(
            list(moved),
            rule=lambda m, u: (
                sum((cut[k] - here.cut[k]) if name == "cut" else (here.add[k] - add[k]) for name, k in moved[u]) == 0
            ),
        )
        chosen = Dispatch(dict(cut.items()), dict(add.items()), dict(unserved.items()))
        model.goal = pyo.Objective(expr=goal(chosen))
        _minimise(model, len(cut) + len(add))
        return Dispatch(*(_moved(old, new) for old, new in zip(_parts(here), (cut, add, unserved), strict=True)))

    def _room(self, place: Place, inside: list[Place], add: Any, here: Dispatch) -> Any:
        change = sum(add[k] - here.add[k] for k in inside)
        if place in self.full:
            return change == 0
        room = float(pyo.value(self.block.payback[place].upper))
        return change <= max(0.0, room - sum(here.add[k] for k in self.units[place]))


def _minimise(model: pyo.ConcreteModel, size: int) -> None:
    if size > LARGE:
        interior.minimise(model)
        return
    solution = solve(model)
    if not solution.certificate.ok:
        raise RuntimeError(f"the split of ties is not certified: {solution.certificate.scope}")


def _parts(dispatch: Dispatch) -> tuple[Numbers, Numbers, Numbers]:
    return dispatch.cut, dispatch.add, dispatch.unserved


def _moved(old: Numbers, new: Any) -> dict[Place, float]:
    return dict(old) | {k: max(0.0, float(v.value)) for k, v in new.items()}


def _totals(pairs: Iterable[Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key, member in pairs:
        found.setdefault(key, []).append(member)
    return found
