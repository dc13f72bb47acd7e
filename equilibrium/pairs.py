"""Complementarity pairs that stand outside the players, read into ``lower <= variable <= upper _|_ body``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap
from pyomo.core.base.var import VarData
from pyomo.core.expr.numeric_expr import NumericExpression
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression, RangedExpression
from pyomo.core.expr.visitor import identify_variables
from pyomo.mpec.complementarity import ComplementarityData
from pyomo.repn import generate_standard_repn

from .errors import Refused
from .scenarios import as_number, is_finite


@dataclass(frozen=True)
class Pair:
    """A complementarity pair outside the players: ``lower <= variable <= upper _|_ body``."""

    name: str
    variable: VarData
    body: NumericExpression
    lower: float
    upper: float


def read_pair(data: ComplementarityData, owner: ComponentMap) -> Pair:
    """Read ``complements(row, variable bound)`` as lower <= v <= upper _|_ F, with F >= 0 at the lower bound."""
    sides = [_split(arg) for arg in data._args]
    if not any(isinstance(body, VarData) for body, _, _ in sides):
        sides = [_solved(*side) for side in sides]
    plain = [isinstance(body, VarData) for body, _, _ in sides]
    if not any(plain):
        raise Refused(
            f"the pair {data.name} has no side that is a bound of one Var; write complements(row >= 0, price >= 0)"
        )
    # The price is the side that is a single Var; if both are, the one of no player, else the second: complements(row,
    # price).
    theirs = [alone and owner.get(side[0], -1) >= 0 for alone, side in zip(plain, sides, strict=True)]
    v = 1 if plain[1] and not (theirs[1] and plain[0] and not theirs[0]) else 0
    (variable, low, up), (body, row_low, row_up) = sides[v], sides[1 - v]
    if row_low != row_up and not is_finite(low) and not is_finite(up) and (is_finite(row_low) or is_finite(row_up)):
        raise Refused(
            f"the pair {data.name} bounds only one of its sides; write complements(row >= 0, {variable.name} >= 0), or "
            f"complements(row == 0, {variable.name}) for a free Var"
        )
    if row_low == row_up and is_finite(row_low) and is_finite(max(low, -up)):
        raise Refused(f"the pair {data.name} joins an equality with a bounded Var; use an inequality, or a free Var")
    if is_finite(row_low) and not is_finite(up):
        return Pair(data.name, variable, body - row_low, low, up)
    if is_finite(row_up) and not is_finite(up):  # row <= b with v >= l: F = b - row
        return Pair(data.name, variable, row_up - body, low, up)
    if is_finite(row_up) and not is_finite(low):  # row <= b with v <= u: F = row - b
        return Pair(data.name, variable, body - row_up, low, up)
    if is_finite(row_low) and not is_finite(low):  # row >= b with v <= u: F = b - row
        return Pair(data.name, variable, row_low - body, low, up)
    if not is_finite(row_low) and not is_finite(row_up):
        return Pair(data.name, variable, body, low, up)
    raise Refused(
        f"the pair {data.name} gives limits on both sides; write inequality(lower, variable, upper) with a plain row"
    )


def _split(relation: object) -> tuple[NumericExpression, float, float]:
    """A relation as (body, lower, upper) with constant lower and upper; a plain expression has no limits."""
    if isinstance(relation, EqualityExpression):
        left, right = relation.args
        return left - right, 0.0, 0.0
    if isinstance(relation, RangedExpression):
        low, body, up = relation.args
        return body, as_number(pyo.value(low)), as_number(pyo.value(up))
    if isinstance(relation, InequalityExpression):
        small, large = relation.args
        if _constant(small):
            return large, as_number(pyo.value(small)), math.inf
        if _constant(large):
            return small, -math.inf, as_number(pyo.value(large))
        return large - small, 0.0, math.inf
    return relation, -math.inf, math.inf


def _solved(body: object, lower: float, upper: float) -> tuple[object, float, float]:
    """A relation in one Var alone, such as -x <= 0 or 2 x - 6 >= 0, as bounds of that Var; others as they are."""
    repn = generate_standard_repn(body)
    if not repn.is_linear() or len(repn.linear_vars) != 1 or not repn.linear_coefs[0]:
        return body, lower, upper
    ends = [(end - repn.constant) / repn.linear_coefs[0] for end in (lower, upper)]
    return repn.linear_vars[0], min(ends), max(ends)


def _constant(expression: object) -> bool:
    return (
        not any(True for _ in identify_variables(expression, include_fixed=False))
        if hasattr(expression, "is_expression_type")
        else True
    )


def check_pairs(pairs: tuple[Pair, ...], owner: ComponentMap) -> None:
    """Refuse pairs whose price a player owns, is fixed, or stands in two pairs."""
    seen: dict[int, Pair] = {}
    for pair in pairs:
        if owner.get(pair.variable, -1) >= 0:
            raise Refused(
                f"the pair {pair.name} prices with {pair.variable.name}, which belongs to a player; prices belong to "
                f"no player"
            )
        if pair.variable.fixed:
            raise Refused(
                f"{pair.variable.name} is fixed but the pair {pair.name} determines it; deactivate the pair, or "
                f"leave the Var free"
            )
        low, up = pair.variable.bounds
        if (low is not None and low > pair.lower + 1e-15) or (up is not None and up < pair.upper - 1e-15):
            raise Refused(
                f"{pair.variable.name} in the pair {pair.name} has tighter bounds than the pair states; make them equal"
            )
        other = seen.setdefault(id(pair.variable), pair)
        if other is not pair:
            raise Refused(
                f"{pair.variable.name} is the price of two pairs, {other.name} and {pair.name}; a price clears one row"
            )
