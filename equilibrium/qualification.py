"""Do a player's limits leave it any room? Where they do not, conditions of optimality may have no multipliers.

For convex limits Slater's condition (a point that satisfies every nonlinear limit strictly) makes the conditions
necessary. It is looked for before a player with nonlinear limits is solved.
"""

from __future__ import annotations

import numpy as np
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.expr.visitor import identify_variables, polynomial_degree
from scipy.optimize import minimize

from . import stated
from .conditions import sides
from .players import Player

ROOM = 1e-6
"""Slack, relative to the size of a row's terms, below which a limit counts as having no interior."""


def without_room(player: Player) -> list[str]:
    """Names of the player's nonlinear limits that no point found satisfies strictly together; empty if one does (or if
    there are none)."""
    curved = [row for row in player.constraints if polynomial_degree(row.body) not in (0, 1)]
    if not curved or len(player.decisions) > 50:
        return []
    before = [v.value for v in player.decisions]
    try:
        rooms = [_room_from(player, curved, np.array(start)) for start in _starts(player)]
    finally:
        for variable, value in zip(player.decisions, before, strict=True):
            variable.set_value(value, skip_validation=True)
    known = [room for room in rooms if room is not None]
    return [row.name for row in curved] if known and max(known) <= ROOM else []


def _starts(player: Player) -> list[list[float]]:
    given = [float(v.value) if v.value is not None else 0.0 for v in player.decisions]
    random = np.random.default_rng(0)
    return [given, [0.0] * len(given), *(random.normal(size=(2, len(given))).tolist())]


def _room_from(player: Player, curved: list[ConstraintData], start: np.ndarray) -> float | None:
    """``_most_room``; None where the search leaves the domain of a logarithm or a root, which says nothing."""
    try:
        return _most_room(player, curved, start)
    except (ValueError, ArithmeticError):
        return None


def _most_room(player: Player, curved: list[ConstraintData], start: np.ndarray) -> float:
    """The largest t with every nonlinear limit kept by t (at most one) and the linear ones kept, from one start."""
    variables = list(player.decisions)
    strict = {id(row) for row in curved if not row.equality}

    def load(point: np.ndarray) -> None:
        for variable, value in zip(variables, point, strict=True):
            variable.set_value(float(value), skip_validation=True)

    def value(v: np.ndarray, row: ConstraintData, sign: float, limit: float) -> float:
        load(v[:-1])
        return sign * (stated.number(row.body) - limit) - (v[-1] if id(row) in strict else 0.0)

    def slope(v: np.ndarray, row: ConstraintData, sign: float) -> np.ndarray:
        load(v[:-1])
        entered = list(identify_variables(row.body, include_fixed=False))
        found = dict(zip(map(id, entered), stated.gradient(row.body, entered), strict=True))
        own = [sign * found.get(id(v), 0.0) for v in variables]
        return np.array([*own, -1.0 if id(row) in strict else 0.0])

    limits = [
        {
            "type": "eq" if side == "equal" else "ineq",
            "fun": lambda v, r=row, s=sign, b=limit: value(v, r, s, b),
            "jac": lambda v, r=row, s=sign: slope(v, r, s),
        }
        for row in player.constraints
        for side, sign, limit in sides(row)
    ]
    bounds = [v.bounds for v in variables]
    aim = np.array([*np.zeros(len(variables)), -1.0])
    found = minimize(
        lambda v: -v[-1], np.array([*start, 0.0]), jac=lambda v: aim, bounds=[*bounds, (None, 1.0)], constraints=limits
    )
    load(found.x[:-1])
    gaps = [
        (sign * (stated.number(row.body) - limit), side)
        for row in player.constraints
        for side, sign, limit in sides(row)
    ]
    broken = max((abs(gap) if side == "equal" else max(0.0, -gap) for gap, side in gaps), default=0.0)
    return float(found.x[-1]) - broken
