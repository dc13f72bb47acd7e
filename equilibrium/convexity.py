"""Is a player's problem convex, with the rest given? Only then does a stationary point prove that nobody gains by
deviating.

Three proofs are tried: eigenvalues of a quadratic payoff; composition rules (sums, products with constants, powers of
convex nonnegative terms, exponentials); and a Hessian enclosed by interval arithmetic over the player's box, cut into
parts where the first enclosure is too wide. Without a proof the answer is certified only locally.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.common.collections import ComponentMap
from pyomo.contrib.fbbt.expression_bounds_walker import ExpressionBoundsVisitor
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.base.var import VarData
from pyomo.core.expr import numeric_expr as ne
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.visitor import identify_variables
from scipy.sparse.csgraph import connected_components

from .players import Player

PIECES = 256
"""Into how many parts a box is cut before the interval proof is given up."""


def prove(player: Player, box: list[tuple[float, float]]) -> str | None:
    """The reason why the player's problem is convex in its own decisions over ``box``, or None: payoff and nonlinear
    constraints.

    box: for every decision the interval it can take. Vars of others are held at their values.
    """
    own = ComponentMap(zip(player.decisions, box, strict=True))
    payoff = _convex(player.sign * player.objective.expr, own)
    if payoff is None:
        return None
    for row in player.constraints:
        if curvature(row.body, own) in ("constant", "affine"):
            continue
        if row.equality or not all(
            _convex(body, own) for body, there in ((row.body, row.has_ub()), (-row.body, row.has_lb())) if there
        ):
            return None
    return payoff


def _convex(expression: Any, own: ComponentMap) -> str | None:
    if curvature(expression, own) in ("constant", "affine", "convex"):
        return "convex by composition"
    pieces = _interval_hessian(expression, list(own), list(own.values()))
    return None if pieces is None else f"convex by an interval Hessian on {pieces} box{'es' if pieces > 1 else ''}"


# ---- composition ----------------------------------------------------------------------------------------------------


def curvature(expression: Any, own: ComponentMap) -> str:
    """'constant', 'affine', 'convex', 'concave' or 'unknown' in the Vars of ``own``; others count as constants."""
    if isinstance(expression, NamedExpressionData):
        return curvature(expression.expr, own)
    if isinstance(expression, VarData):
        return "affine" if expression in own and not expression.fixed else "constant"
    if not hasattr(expression, "args") or not any(
        v in own for v in identify_variables(expression, include_fixed=False)
    ):
        return "constant"
    if isinstance(expression, ne.SumExpression):
        return _sum([curvature(arg, own) for arg in expression.args])
    if isinstance(expression, ne.NegationExpression):
        return _flip(curvature(expression.args[0], own))
    if isinstance(expression, ne.ProductExpression):
        left, right = expression.args
        kinds = curvature(left, own), curvature(right, own)
        if "constant" in kinds:
            constant, other = (left, kinds[1]) if kinds[0] == "constant" else (right, kinds[0])
            return _times(pyo.value(constant), other)
        return "unknown"
    if isinstance(expression, ne.DivisionExpression):
        top, bottom = expression.args
        return _times(1 / pyo.value(bottom), curvature(top, own)) if curvature(bottom, own) == "constant" else "unknown"
    if isinstance(expression, ne.PowExpression):
        return _power(expression, own)
    if isinstance(expression, ne.UnaryFunctionExpression):
        inner = curvature(expression.args[0], own)
        if expression.name == "exp" and inner in ("affine", "convex", "constant"):
            return "convex"
        if expression.name in ("log", "sqrt") and inner in ("affine", "concave"):
            return "concave"
    return "unknown"


def _sum(kinds: list[str]) -> str:
    found = {kind for kind in kinds if kind != "constant"}
    if not found:
        return "constant"
    if found <= {"affine"}:
        return "affine"
    if found <= {"affine", "convex"}:
        return "convex"
    return "concave" if found <= {"affine", "concave"} else "unknown"


def _flip(kind: str) -> str:
    return {"convex": "concave", "concave": "convex"}.get(kind, kind)


def _times(factor: float, kind: str) -> str:
    if factor == 0:
        return "constant"
    return kind if factor > 0 else _flip(kind)


def _power(expression: ne.PowExpression, own: ComponentMap) -> str:
    base, exponent = expression.args
    if curvature(exponent, own) != "constant":
        return "unknown"
    power, inner = float(pyo.value(exponent)), curvature(base, own)
    if power == 1:
        return inner
    low, _ = bounds(base, own)
    if inner == "affine" and power >= 2 and power % 2 == 0:
        return "convex"
    if power > 1 and inner in ("affine", "convex") and low >= 0:
        return "convex"
    if 0 < power < 1 and inner in ("affine", "concave") and low >= 0:
        return "concave"
    if power < 0 and inner in ("affine", "concave") and low >= 0:  # infinite at zero, convex all the same
        return "convex"
    return "unknown"


def bounds(expression: Any, own: ComponentMap) -> tuple[float, float]:
    """An interval that contains the expression over the box ``own``; other Vars are held at their values."""
    leaf = ComponentMap()
    for variable in identify_variables(expression, include_fixed=True):
        if variable in own and not variable.fixed:
            leaf[variable] = own[variable]
        else:
            value = pyo.value(variable)
            leaf[variable] = (value, value)
    visitor = ExpressionBoundsVisitor(leaf_bounds=leaf)
    with np.errstate(all="ignore"):  # 0 * inf is a wide interval, not a fault
        low, up = visitor.walk_expression(expression)
    return (-math.inf if low is None else low, math.inf if up is None else up)


# ---- interval Hessian -----------------------------------------------------------------------------------------------


def _interval_hessian(expression: Any, variables: list[VarData], box: list[tuple[float, float]]) -> int | None:
    """Over how many parts of the box the Hessian was shown positive semidefinite; None if it was not shown."""
    second: dict[tuple[int, int], Any] = {}
    first = differentiate(expression, wrt_list=variables, mode=Modes.reverse_symbolic)
    for i, derivative in enumerate(first):
        for offset, entry in enumerate(slopes(derivative, variables[i:])):
            symbolic = hasattr(entry, "args") or isinstance(entry, VarData)
            if symbolic or pyo.value(entry) != 0:
                second[i, i + offset] = entry if symbolic else float(pyo.value(entry))
    pieces = 0
    for members in _groups(second, len(variables)):
        entries = {(i, j): entry for (i, j), entry in second.items() if i in members}
        done = _cover(entries, members, variables, box)
        if done is None:
            return None
        pieces = max(pieces, done)
    return pieces


def _groups(second: dict[tuple[int, int], Any], n: int) -> list[list[int]]:
    """Which Vars bend the payoff together: separate periods are shown convex one by one."""
    i, j = np.array(list(second), dtype=int).reshape(-1, 2).T
    count, label = connected_components(sp.csr_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    return [np.flatnonzero(label == k).tolist() for k in range(count) if np.isin(label[i], k).any()]


def _cover(
    entries: dict[tuple[int, int], Any], members: list[int], variables: list[VarData], box: list[tuple[float, float]]
) -> int | None:
    """Into how many parts the box was cut to show the block of the Hessian over ``members`` positive semidefinite."""
    place = {id(v): k for k, v in enumerate(variables)}
    inside = {place[id(v)] for e in entries.values() for v in _vars(e) if id(v) in place} | set(members)
    todo, done = [box], 0
    while todo:
        part = todo.pop()
        if _positive(entries, members, variables, part):
            done += 1
            continue
        widths = {k: part[k][1] - part[k][0] for k in inside}
        k = max(widths, key=lambda k: widths[k])
        if done + len(todo) >= PIECES or not math.isfinite(widths[k]) or widths[k] <= 1e-9:
            return None
        middle = 0.5 * (part[k][0] + part[k][1])
        todo.append([*part[:k], (part[k][0], middle), *part[k + 1 :]])
        todo.append([*part[:k], (middle, part[k][1]), *part[k + 1 :]])
    return done


def _vars(entry: Any) -> list[VarData]:
    if isinstance(entry, VarData):
        return [entry]
    return list(identify_variables(entry, include_fixed=False)) if hasattr(entry, "args") else []


def slopes(derivative: Any, variables: list[VarData]) -> list[Any]:
    """The derivatives of a derivative, which may itself be a number, a Param or one of the Vars."""
    if isinstance(derivative, VarData):
        return [1.0 if variable is derivative else 0.0 for variable in variables]
    if not hasattr(derivative, "args"):
        return [0.0] * len(variables)
    return differentiate(derivative, wrt_list=variables, mode=Modes.reverse_symbolic)


def _positive(
    entries: dict[tuple[int, int], Any], members: list[int], variables: list[VarData], box: list[tuple[float, float]]
) -> bool:
    place = {k: index for index, k in enumerate(members)}
    centre, radius = np.zeros((len(members), len(members))), np.zeros((len(members), len(members)))
    own = ComponentMap(zip(variables, box, strict=True))
    for (row, column), entry in entries.items():
        i, j = place[row], place[column]
        try:
            low, up = bounds(entry, own) if hasattr(entry, "args") or isinstance(entry, VarData) else (entry, entry)
        except (ArithmeticError, ValueError):
            return False
        if not (math.isfinite(low) and math.isfinite(up)):
            return False
        centre[i, j] = centre[j, i] = 0.5 * (low + up)
        radius[i, j] = radius[j, i] = 0.5 * (up - low)
    lowest = float(np.linalg.eigvalsh(centre)[0])
    if not np.count_nonzero(
        radius - np.diag(np.diag(radius))
    ):  # a diagonal error moves eigenvalues by at most its entries
        return float(np.linalg.eigvalsh(centre - radius)[0]) >= -1e-12 * max(1.0, abs(centre).max())
    return lowest - float(radius.sum(axis=1).max()) >= -1e-12 * max(1.0, abs(centre).max())
