"""The players' conditions once more, from the model as it was stated: Pyomo's own values and derivatives of its
expressions.

Nothing here uses the arrays of ``conditions`` or ``kkt``, so a mistake in them shows as a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.numeric_types import native_numeric_types
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.numeric_expr import NegationExpression, ProductExpression, SumExpression
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
    worst, rows = np.zeros(mcp.size), _Rows(game, mcp)
    for point in points:
        found = _at(game, mcp, rows, point)
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
    slopes: dict[int, float] = {}
    if _linear(expression, 1.0, slopes):
        return [slopes.get(id(v), 0.0) for v in variables]
    return [float(slope) for slope in differentiate(expression, wrt_list=variables, mode=Modes.reverse_numeric)]


class _Rows:
    """What does not depend on the point: which column is whose, limits of rows, which Vars enter them."""

    def __init__(self, game: Game, mcp: MixedComplementarity) -> None:
        self.column = {id(c): k for k, c in enumerate(mcp.components) if not isinstance(c, tuple)}
        multiplier = {(id(c[0]), c[1]): k for k, c in enumerate(mcp.components) if isinstance(c, tuple)}
        self.sides: dict[int, list[tuple[int, float, float]]] = {}  # of a row: (multiplier's column, sign, limit)
        every = (*(row for player in game.players for row in player.constraints), *game.shared, *game.equations)
        for row in every:
            names = [name for name in ("equal", "lower", "upper") if (id(row), name) in multiplier]
            if names:
                known = {name: (sign, limit) for name, sign, limit in sides(row)}
                self.sides[id(row)] = [(multiplier[id(row), name], *known[name]) for name in names]
        self.charged = [row for row in (*game.shared, *game.equations) if id(row) in self.sides]
        self.paying = charged_to(game, self.charged)
        self._slopes: dict[int, dict[int, float] | None] = {}

    def slopes(self, part: Any, expression: Any) -> dict[int, float]:
        """Derivatives of a row's or an Objective's expression with respect to its free Vars, by id."""
        if id(part) not in self._slopes:
            found: dict[int, float] = {}
            self._slopes[id(part)] = found if _linear(expression, 1.0, found) else None
        known = self._slopes[id(part)]
        if known is not None:
            return known
        entered = list(identify_variables(expression, include_fixed=False))
        return dict(zip(map(id, entered), gradient(expression, entered), strict=True))


def _linear(expression: Any, factor: float, found: dict[int, float]) -> bool:
    """Add ``factor`` times the coefficients of an expression that is written as a sum of Vars times numbers; False if
    it is written in another way."""
    if expression.__class__ in native_numeric_types or not expression.is_potentially_variable():
        return True
    if expression.is_variable_type():
        if not expression.fixed:
            found[id(expression)] = found.get(id(expression), 0.0) + factor
        return True
    if isinstance(expression, SumExpression):
        return all(_linear(term, factor, found) for term in expression.args)
    if isinstance(expression, ProductExpression):
        first, second = expression.args
        if first.__class__ in native_numeric_types or not first.is_potentially_variable():
            return _linear(second, factor * float(pyo.value(first)), found)
        return False
    if isinstance(expression, NegationExpression):
        return _linear(expression.args[0], -factor, found)
    return isinstance(expression, NamedExpressionData) and _linear(expression.expr, factor, found)


def _at(game: Game, mcp: MixedComplementarity, rows: _Rows, z: np.ndarray) -> np.ndarray:
    """F at z by Pyomo; plus infinity where it is not evaluated here, NaN where it has no value."""
    variables = [(k, c) for k, c in enumerate(mcp.components) if not isinstance(c, tuple)]
    before = [variable.value for _, variable in variables]
    try:
        for k, variable in variables:
            variable.set_value(float(z[k]), skip_validation=True)
        return _evaluate(game, rows, z)
    finally:
        for (_, variable), value in zip(variables, before, strict=True):
            variable.set_value(value, skip_validation=True)


def _evaluate(game: Game, rows: _Rows, z: np.ndarray) -> np.ndarray:
    found = np.full(len(z), np.inf)
    for i, player in enumerate(game.players):
        _stationarity(player, i, rows, z, found)
    for row in (*(row for player in game.players for row in player.constraints), *rows.charged):
        if id(row) in rows.sides:
            body = number(row.body)
            for k, sign, limit in rows.sides[id(row)]:
                found[k] = sign * (body - limit)
    for pair in game.pairs:
        found[rows.column[id(pair.variable)]] = number(pair.body)
    return found


def charged_to(game: Game, rows: Sequence[ConstraintData]) -> list[list[ConstraintData]]:
    """For every player those of some rows outside the players that hold its decisions."""
    found: list[list[ConstraintData]] = [[] for _ in game.players]
    for row in rows:
        entering = {game.owner.get(v, -1) for v in identify_variables(row.body, include_fixed=False)}
        for i in entering - {-1}:
            found[i].append(row)
    return found


def _stationarity(player: Player, index: int, rows: _Rows, z: np.ndarray, found: np.ndarray) -> None:
    own = [rows.column[id(v)] for v in player.decisions]
    mine = {id(v): k for k, v in enumerate(player.decisions)}
    total = np.zeros(len(own))
    try:
        parts = [(player.sign, player.objective, player.objective.expr)]
        for row in (*player.constraints, *rows.paying[index]):
            charged = sum(sign * z[k] for k, sign, _ in rows.sides.get(id(row), ()))
            if charged:
                parts.append((-charged, row, row.body))
        for weight, part, expression in parts:
            for variable, slope in rows.slopes(part, expression).items():
                if variable in mine:
                    total[mine[variable]] += weight * slope
    except ERRORS:
        total = np.full(len(own), np.nan)
    found[own] = total


def number(expression: Any) -> float:
    """The value of an expression, NaN where it has none (a logarithm of something negative)."""
    try:
        return float(pyo.value(expression, exception=False))
    except ERRORS:
        return np.nan
