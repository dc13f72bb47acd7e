"""Who is accepted where bids tie: pro rata, and never at a higher cost.

A clearing that is not unique leaves open which of equally dear bids are taken and who pays back when. Of all clearings
of least cost one is taken with (1) the least shortage, (2) the accepted parts of the offers as even as they can be
(least sum of cut^2/offer), which decides where shortage is, (3) payback as even as it can be in relation to headroom
(least sum of add^2/headroom).
Where no limit of a vehicle interferes that is a split in proportion to the offers. It does not depend on the order or
the names of bids. Indivisible lots cannot be split, and with feed-in limits or congestion points above feeders no split
is defined here: then what was found is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import pyomo.environ as pyo

from equilibrium import interior, solve
from equilibrium.errors import NotCertified
from equilibrium.scenarios import as_number, ever_larger, larger, one_by_one, where_larger

LARGE = 300  # so many loose quantities are split by an interior point, to some 1e-8 of their size
ZERO = 1e-9  # a margin below this part of the largest one is none: the bids tie
ROUNDING = 1e-13  # an amount below this part of the largest is none: beside other rounding errors it would be wrong
Place = tuple[str, str]
Numbers = Mapping[Place, Any]  # plain numbers, or one per scenario of a study
Goal = Callable[[Any], Any]


@dataclass(frozen=True)
class Dispatch:
    """What was cleared on one day, kWh: cut and add by (unit, period), unserved by (feeder, period), and what of the
    feed-in was curtailed."""

    cut: Numbers
    add: Numbers
    unserved: Numbers
    curtailed: Numbers = field(default_factory=dict)

    @property
    def missing(self) -> Any:
        """What no bid relieved, kWh."""
        return sum(self.unserved.values()) + sum(self.curtailed.values())


def split(solved: Any) -> dict[str, Dispatch]:
    """The clearing of every day with ties split. Raises NotCertified where the split is not certified."""
    model = solved.model
    if _unsplit(model):
        return {d: _found(model.operator[d]) for d in model.day}
    margins = solved.solution.margins
    small = _tie(margins)
    return {d: _split(model, model.operator[d], margins, small) for d in model.day}


def least_shortage(model: Any, solution: Any) -> dict[Any, Any]:
    """What no bid relieves in every block of a clearing, the least of all clearings of least cost, kWh."""
    if _unsplit(model):
        return {k: _found(block).missing for k, block in model.operator.items()}
    small, found = _tie(solution.margins), {}
    for k, block in model.operator.items():
        stage = _Stage(model, block, solution.margins, small)
        found[k] = stage.reduced(_found(block), stage.every_loose()).missing
    return found


def even(charge: Any, solution: Any) -> dict[Any, Any]:
    """What a fleet charges at least cost, in proportion to its limits in periods that tie, kWh by period."""
    margins = solution.margins
    small = _tie(margins)
    loose = {t: where_larger(abs(margins.get(v, 0.0)), small, 0.0, as_number(v.ub)) for t, v in charge.items()}
    most = sum(loose.values())
    total = sum(where_larger(loose[t], 0.0, as_number(v.value), 0.0) for t, v in charge.items())
    share = total / where_larger(most, 0.0, most, 1.0)
    return {t: where_larger(loose[t], 0.0, share * loose[t], as_number(v.value)) for t, v in charge.items()}


def _unsplit(model: Any) -> bool:
    """Whether what was found is taken."""
    found = bool(model.lots or model.limited or model.sensitivity)
    if found:
        one_by_one("no split of ties is defined with lots, feed-in limits or points")
    return found


def _tie(margins: Mapping[Any, Any]) -> Any:
    """A margin up to this size is none."""
    return ZERO * reduce(larger, (abs(margin) for margin in margins.values()), 0.0)


def _split(model: Any, block: Any, margins: Any, small: Any) -> Dispatch:
    stage = _Stage(model, block, margins, small)
    loose = stage.every_loose()
    here = stage.reduced(_found(block), loose)
    if len(loose.cut) > 1:
        here = stage.solve(here, loose, lambda part: _unevenness(part["cut"]))
    if len(loose.add) > 1:
        loose = replace(loose, cut={}, unserved={})
        here = stage.solve(here, loose, lambda part: _unevenness(part["add"]))
    return here


def _found(block: Any) -> Dispatch:
    cut, give = _numbers(block.cut), block.component("give")
    if give is not None:
        cut = {k: q + max(0.0, float(give[k].value)) for k, q in cut.items()}
    curtailed = {} if give is None else _numbers(block.curtailed)
    return Dispatch(cut, _numbers(block.add), _numbers(block.unserved), curtailed)


def _numbers(variable: Any) -> dict[Place, Any]:
    found = {k: larger(0.0, as_number(v.value)) for k, v in variable.items()}
    least = ROUNDING * reduce(larger, found.values(), 0.0)
    return {k: where_larger(q, least, q, 0.0) for k, q in found.items()}


def _shortage(part: Any) -> Any:
    return sum(part["unserved"].x.values())


def _unevenness(part: Any) -> Any:
    return sum(x**2 / part.limit[k] for k, x in part.x.items())


@dataclass(frozen=True)
class _Stage:
    """One choice among the clearings of least cost of a day: those that leave alone what has a margin above
    ``small``."""

    model: Any
    block: Any
    margins: Any
    small: Any

    def every_loose(self) -> Dispatch:
        """What may differ, with its limits in place of amounts."""
        return Dispatch(*(self._loose(name) for name in ("cut", "add", "unserved")))

    def reduced(self, here: Dispatch, loose: Dispatch) -> Dispatch:
        """The clearing with the least shortage."""
        return self.solve(here, loose, _shortage) if loose.unserved and loose.cut else here

    def _loose(self, name: str) -> dict[Place, Any]:
        """What may differ between clearings of least cost, with its upper limit; 0 in scenarios where it may not."""
        found = {}
        for k, v in self.block.component(name).items():
            most = self.block.relief[k].upper if name == "unserved" else v.ub
            most = self._if_loose(v, as_number(pyo.value(most)))
            if ever_larger(most, 0.0):
                found[k] = most
        return found

    def _if_loose(self, what: Any, number: Any) -> Any:
        return where_larger(abs(self.margins.get(what, 0.0)), self.small, 0.0, number)

    def solve(self, here: Dispatch, loose: Dispatch, goal: Goal) -> Dispatch:
        """The clearing with the least ``goal`` in which only what is loose moves, and shortage stays the same in sum
        unless it is the goal."""
        model, home = pyo.ConcreteModel(), self.model.home
        model.part = pyo.Block(["cut", "add", "unserved"])
        for name in ("cut", "add", "unserved"):
            _movable(model.part[name], getattr(loose, name), getattr(here, name))
        cut, add, unserved = (model.part[name] for name in ("cut", "add", "unserved"))
        bought = _totals(((home[u], t), cut.change[u, t]) for u, t in cut.x)
        for place in unserved.x:
            bought.setdefault(place, []).append(unserved.change[place])
        model.relief = pyo.Constraint(list(bought), rule=lambda m, *f: pyo.quicksum(bought[f]) == 0)
        moved = _totals([*((u, cut.change[u, t]) for u, t in cut.x), *((u, -add.change[u, t]) for u, t in add.x)])
        model.balance = pyo.Constraint(list(moved), rule=lambda m, u: pyo.quicksum(moved[u]) == 0)
        self._payback(model, add, here)
        if loose.unserved and goal is not _shortage:
            model.shortage = pyo.Constraint(expr=pyo.quicksum(unserved.change.values()) == 0)
        model.goal = pyo.Objective(expr=goal(model.part))
        _minimise(model, len(cut.x) + len(add.x))
        return Dispatch(*(_moved(old, new.x) for old, new in zip(_parts(here), (cut, add, unserved), strict=True)))

    def _payback(self, model: Any, add: Any, here: Dispatch) -> None:
        """Room that is left stays left where it is worth nothing, and is none where it is worth something."""
        home = self.model.home
        returned, used = (_totals(((home[u], t), (u, t)) for u, t in part) for part in (add.x, here.add))
        left, most = {}, {}
        for place, inside in returned.items():
            row = self.block.payback[place]
            most_used = as_number(pyo.value(row.upper))
            room = most_used - sum(here.add[k] for k in used[place])
            room = where_larger(room, ROUNDING * most_used, room, 0.0)
            left[place] = self._if_loose(row, room)
            most[place] = self._if_loose(row, room + sum(here.add[k] for k in inside))
        model.left, model.most = numbers(left), numbers(most)
        model.spare = pyo.Var(list(returned), bounds=lambda m, *f: (0.0, m.most[f]))
        model.payback = pyo.Constraint(
            list(returned),
            rule=lambda m, *f: pyo.quicksum(add.change[k] for k in returned[f]) + m.spare[f] == m.left[f],
        )


def _movable(block: Any, loose: Numbers, here: Numbers) -> None:
    """``x``, between 0 and ``limit`` where it is loose, else as it is; ``change``: how far it moves."""
    keys = list(loose)
    block.limit = numbers({k: where_larger(loose[k], 0.0, loose[k], 1.0) for k in keys})
    block.least = numbers({k: where_larger(loose[k], 0.0, 0.0, here[k]) for k in keys})
    block.most = numbers({k: where_larger(loose[k], 0.0, loose[k], here[k]) for k in keys})
    block.here = numbers({k: here[k] for k in keys})
    block.x = pyo.Var(keys, bounds=lambda b, *k: (b.least[k], b.most[k]))
    block.change = pyo.Expression(keys, rule=lambda b, *k: b.x[k] - b.here[k])


def numbers(values: Numbers) -> Any:
    """A Param with these numbers."""
    return pyo.Param(list(values), initialize=dict(values), mutable=True, within=pyo.Reals)


def _minimise(model: pyo.ConcreteModel, size: int) -> None:
    if size > LARGE:
        one_by_one(f"ties of more than {LARGE} quantities are split one by one")
        interior.minimise(model)
        return
    solution = solve(model)
    if not solution.certificate.ok:
        raise NotCertified(f"the split of ties is not certified: {solution.certificate.scope}")


def _parts(dispatch: Dispatch) -> tuple[Numbers, Numbers, Numbers]:
    return dispatch.cut, dispatch.add, dispatch.unserved


def _moved(old: Numbers, new: Any) -> dict[Place, Any]:
    return dict(old) | _numbers(new)


def _totals(pairs: Iterable[Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key, member in pairs:
        found.setdefault(key, []).append(member)
    return found
