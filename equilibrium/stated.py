"""The players' conditions once more, from the model as it was stated: Pyomo's own values and derivatives of its
expressions.

Nothing here uses the arrays of ``conditions`` or ``kkt``, so a mistake in them shows as a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.visitor import identify_variables

from .conditions import sides
from .mcp import MixedComplementarity
from .players import Game, Player

ERRORS = (ArithmeticError, ValueError, TypeError)


def mismatch(game: Game, mcp: MixedComplementarity, z: np.ndarray, seed: int = 0) -> np.ndarray:
    """For every column how far ``mcp`` is from the stated model, relative to the size of the row's terms (zero: the
    same).

    Looked at in z, and for affine conditions in one random point besides, so that a wrong coefficient of a Var that
    is zero shows too. Equality rows outside the players are left out: their feasibility says the same.
    """
    points = [z]
    if mcp.is_affine:
        points.append(z + mcp.scales(z)[0] * np.random.default_rng(seed).normal(size=mcp.size))
    worst = np.zeros(mcp.size)
    for point in points:
        found = _at(game, mcp, point)
        with np.errstate(invalid="ignore"):
            error = np.abs(found - mcp.F(point)) / mcp.scales(point)[1]
        known = ~np.isposinf(found)
        worst[known] = np.maximum(worst, np.nan_to_num(error, nan=np.inf))[known]
    return worst


def size(row: ConstraintData) -> float:
    """The size of a row's terms: what its violation is compared with."""
    variables = list(identify_variables(row.body, include_fixed=False))
    body = float(pyo.value(row.body))
    terms = np.array(gradient(row.body, variables)) * np.array([float(v.value) for v in variables])
    limits = [abs(limit) for limit in (row.lb, row.ub) if limit is not None]
    return float(max(np.abs(terms).sum() + abs(body - terms.sum()), *limits, abs(body), 1e-300))


def gradient(expression: Any, variables: list) -> list[float]:
    """Derivatives of an expression at the Vars' present values, by Pyomo."""
    if not variables:
        return []
    return [float(slope) for slope in differentiate(expression, wrt_list=variables, mode=Modes.reverse_numeric)]


def _at(game: Game, mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    """F at z by Pyomo; plus infinity where it is not evaluated here, NaN where it has no value."""
    variables = [(k, c) for k, c in enumerate(mcp.components) if not isinstance(c, tuple)]
    before = [variable.value for _, variable in variables]
    try:
        for k, variable in variables:
            variable.set_value(float(z[k]), skip_validation=True)
        return _evaluate(game, mcp, z)
    finally:
        for (_, variable), value in zip(variables, before, strict=True):
            variable.set_value(value, skip_validation=True)


def _evaluate(game: Game, mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    found = np.full(mcp.size, np.inf)
    column = {id(c): k for k, c in enumerate(mcp.components) if not isinstance(c, tuple)}
    multiplier = {(id(c[0]), c[1]): k for k, c in enumerate(mcp.components) if isinstance(c, tuple)}
    charged = [
        row
        for row in (*game.shared, *game.equations)
        if any((id(row), side) in multiplier for side, _, _ in sides(row))
    ]
    paying = charged_to(game, charged)
    for i, player in enumerate(game.players):
        _stationarity(player, [*player.constraints, *paying[i]], column, multiplier, z, found)
    for row in (*(row for player in game.players for row in player.constraints), *charged):
        for side, sign, limit in sides(row):
            if (id(row), side) in multiplier:
                found[multiplier[id(row), side]] = sign * (number(row.body) - limit)
    for pair in game.pairs:
        found[column[id(pair.variable)]] = number(pair.body)
    return found


def charged_to(game: Game, rows: Sequence[ConstraintData]) -> list[list[ConstraintData]]:
    """For every player those of some rows outside the players that hold its decisions."""
    found: list[list[ConstraintData]] = [[] for _ in game.players]
    for row in rows:
        entering = {game.owner.get(v, -1) for v in identify_variables(row.body, include_fixed=False)}
        for i in entering - {-1}:
            found[i].append(row)
    return found


def _stationarity(
    player: Player,
    rows: list[ConstraintData],
    column: dict[int, int],
    multiplier: dict[tuple[int, str], int],
    z: np.ndarray,
    found: np.ndarray,
) -> None:
    own = [column[id(v)] for v in player.decisions]
    mine = {id(v): k for k, v in enumerate(player.decisions)}
    try:
        total = player.sign * np.array(gradient(player.objective.expr, list(player.decisions)))
        for row in rows:
            held = [
                sign * z[multiplier[id(row), side]] for side, sign, _ in sides(row) if (id(row), side) in multiplier
            ]
            entered = (
                [v for v in identify_variables(row.body, include_fixed=False) if id(v) in mine] if any(held) else []
            )
            for variable, slope in zip(entered, gradient(row.body, entered), strict=True):
                total[mine[id(variable)]] -= sum(held) * slope
    except ERRORS:
        total = np.full(len(own), np.nan)
    found[own] = total


def number(expression: Any) -> float:
    """The value of an expression, NaN where it has none (a logarithm of something negative)."""
    try:
        return float(pyo.value(expression, exception=False))
    except ERRORS:
        return np.nan
