"""How an equilibrium moves with a parameter: derivatives by the implicit function theorem.

At a solution z(p) of lower(p) <= z <= upper(p) _|_ F(z, p), columns held by a bound with F not zero move with the
bound, and the other rows stay zero: F_z dz + F_p dp = 0. That is a derivative where every bound that holds has F
different from zero (strict complementarity) and F_z is regular on the columns between bounds. Where a bound holds with
F = 0 the answer has a kink; on each side of it dz solves a small complementarity problem of its own (Robinson,
Mathematics of Operations Research 5, 1980), and there is a one-sided derivative where that has one answer.

F_p is taken from the conditions derived again at nearby values of the Param: exact where they are affine in it,
fourth order where they are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import scipy.sparse as sp

from .enumeration import enumerate_all, sizes
from .errors import Refused
from .mcp import MixedComplementarity
from .players import find_game
from .solution import Solution, derive
from .solvers import systems
from .stated import gradient, number

STEP = 1e-3
"""Step in a Param, relative to its value: truncation (fourth power) and rounding are then both near 1e-12."""

ACTIVE = 1e-7
"""Closer than this to a bound, or to F = 0, counts as there (relative to the size of the terms)."""

_OFFSETS: dict[str | None, tuple[int, ...]] = {None: (-2, -1, 1, 2), "up": (1, 2, 3, 4), "down": (-1, -2, -3, -4)}
_WEIGHTS: dict[str | None, tuple[int, ...]] = {  # the first one for the present value
    None: (0, 1, -8, 8, -1),
    "up": (-25, 48, -36, 16, -3),
    "down": (25, -48, 36, -16, 3),
}


def sensitivity(solution: Solution, params: Any, of: Sequence[Any] = (), side: str | None = None) -> pd.DataFrame:
    """Derivatives of the equilibrium as rows (variable, parameter, derivative): every Var, and the multiplier of every
    constraint that is not a bound, with respect to every Param.

    params: a mutable Param, one member of one, or several of them. of: named Expressions whose total derivative is
    added to the rows (a price that players move, a cost). side: 'up' or 'down' for the one-sided derivative as the
    Param rises or falls (both are slopes per unit of the Param); without it a kink is refused. The model is left as it
    was.

    Raises Refused, by name and with the reason, where there is no such derivative: the answer is not certified or not
    locally unique, a bound is only just touched, or the Param changes the shape of the problem.
    """
    if side not in _OFFSETS:
        raise Refused(f"side is {side!r}; it is 'up', 'down' or left out")
    if not solution.certificate.ok:
        raise Refused(f"the answer is {solution.certificate.verdict}: there is no equilibrium to differentiate")
    mcp, z, rows = solution.answer.mcp, solution.answer.z, []
    linear = _Linearised(mcp, z, side)
    for param in _members(params):
        moved = linear.solve(_slopes(solution, param, side), param.name)
        rows += [(name, param.name, float(slope)) for name, slope in zip(mcp.names, moved, strict=True)]
        rows += [(quantity.name, param.name, _total(solution, quantity, param, moved, side)) for quantity in of]
    return pd.DataFrame(rows, columns=["variable", "parameter", "derivative"])


def _members(params: Any) -> Iterator[Any]:
    """Every single Param. Raises Refused for one that is not mutable or holds no number."""
    several = isinstance(params, Iterable) and not hasattr(params, "ctype")
    for param in params if several else (params,):
        if getattr(param, "ctype", None) is not pyo.Param:
            raise Refused(f"{getattr(param, 'name', param)} is no Param; derivatives are taken with respect to Params")
        if not param.parent_component().mutable:
            raise Refused(f"the Param {param.name} is not mutable: its number was built into the model (mutable=True)")
        for member in param.values() if param.is_indexed() else (param,):
            if not isinstance(pyo.value(member), (int, float)):
                raise Refused(f"the Param {member.name} holds no number")
            yield member


# ---- how the conditions move with a Param ---------------------------------------------------------------------------


@contextmanager
def _at(param: Any, value: float) -> Iterator[None]:
    before = param.value
    try:
        try:
            param.set_value(value)
        except ValueError as error:
            raise Refused(
                f"{param.name} cannot take {value:g}, so its derivative has one side only; ask for side='up' or 'down'"
            ) from error
        yield
    finally:
        param.set_value(before)


def _stencil(param: Any, side: str | None) -> tuple[float, list[float]]:
    """(step, values of the Param)."""
    here = float(pyo.value(param))
    step = STEP * (abs(here) or 1.0)
    return step, [here + offset * step for offset in _OFFSETS[side]]


def _slopes(solution: Solution, param: Any, side: str | None) -> np.ndarray:
    """Derivatives of (F at z, lower, upper) with respect to the Param, one after the other; zero for absent bounds."""
    mcp, z = solution.answer.mcp, solution.answer.z
    here = _conditions(mcp, z)
    step, values = _stencil(param, side)
    points = [here]
    for value in values:
        with _at(param, value):
            there = derive(find_game(solution.model))
        if there.names != mcp.names:
            raise Refused(f"{param.name} changes the shape of the problem: some term vanishes at its present value")
        points.append(_conditions(there, z))
    found = np.array(points)
    if not np.isfinite(found).all():
        raise Refused(f"{param.name} makes a bound appear or disappear near its present value")
    if side is None:
        column, row = sizes(mcp, z)
        _refuse_kink(mcp, found, step, np.concatenate([row, column, column]), param.name)
    return np.array(_WEIGHTS[side]) @ found / (12 * step)


def _conditions(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    """F(z), lower and upper in one array; absent bounds as zeros, and NaN where one is infinite the wrong way."""
    lower = np.where(np.isneginf(mcp.lower), 0.0, mcp.lower)
    upper = np.where(np.isposinf(mcp.upper), 0.0, mcp.upper)
    return np.concatenate([mcp.F(z), lower, upper])


def _refuse_kink(mcp: MixedComplementarity, points: np.ndarray, step: float, size: np.ndarray, name: str) -> None:
    """Compare the one-sided slopes of the conditions at the Param's present value."""
    here, before2, before, after, after2 = points
    left = (3 * here - 4 * before + before2) / (2 * step)
    right = (4 * after - 3 * here - after2) / (2 * step)
    rounding = 1e-12 * np.maximum(size, np.abs(points).max(axis=0)) / step
    wrong = np.flatnonzero(np.abs(right - left) > 1e-4 * np.maximum(np.abs(left), np.abs(right)) + rounding)
    if wrong.size:
        where = mcp.names[int(wrong[0]) % mcp.size]
        raise Refused(f"the condition of {where} has a kink or a jump in {name} at its present value")


def _total(solution: Solution, quantity: Any, param: Any, moved: np.ndarray, side: str | None) -> float:
    """The total derivative of an Expression: through the Vars, and through the Param itself."""
    mcp, z = solution.answer.mcp, solution.answer.z
    columns = [k for k, component in enumerate(mcp.components) if not isinstance(component, tuple)]
    variables = [mcp.components[k] for k in columns]
    before = [variable.value for variable in variables]
    try:
        for variable, k in zip(variables, columns, strict=True):
            variable.set_value(float(z[k]), skip_validation=True)
        through = np.array(gradient(quantity.expr, variables)) @ moved[columns] if columns else 0.0
        step, values = _stencil(param, side)
        points = [number(quantity.expr)]
        for value in values:
            with _at(param, value):
                points.append(number(quantity.expr))
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.set_value(value, skip_validation=True)
    return float(through + np.array(_WEIGHTS[side]) @ np.array(points) / (12 * step))


# ---- how the answer moves with its conditions -----------------------------------------------------------------------


class _Linearised:
    """The conditions around z, sorted: columns held by a bound, columns that only touch one, columns between."""

    def __init__(self, mcp: MixedComplementarity, z: np.ndarray, side: str | None) -> None:
        self.mcp, self.sign = mcp, -1.0 if side == "down" else 1.0
        column, row = sizes(mcp, z)
        self.jacobian = mcp.compact_jacobian(z)
        presses = np.abs(mcp.F(z)) > ACTIVE * row
        fixed = mcp.lower == mcp.upper
        self.low = z - mcp.lower <= ACTIVE * column
        self.up = (mcp.upper - z <= ACTIVE * column) & ~self.low
        self.held = fixed | presses & (self.low | self.up)
        self.touching = (self.low | self.up) & ~self.held
        if self.touching.any() and side is None:
            raise Refused(
                f"{self.named(self.touching)} only just touches a bound or limit (strict complementarity fails), so "
                "the answer may have a kink here; ask for side='up' or side='down'"
            )

    def solve(self, slopes: np.ndarray, name: str) -> np.ndarray:
        """dz per unit of the Param, given the slopes of F, of the lower and of the upper bounds."""
        rows, lower, upper = slopes.reshape(3, -1)
        bound = np.where(self.up, upper, lower)
        if self.touching.any():
            return self.one_sided(rows, bound, name)
        moved = np.where(self.held, bound, 0.0)
        free = np.flatnonzero(~self.held)
        right = -(rows + self.jacobian @ moved)[free]
        moved[free] = self.regular(free, right)
        return moved

    def regular(self, free: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Solve the rows of the columns between bounds; refuse where they do not determine them."""
        if isinstance(self.jacobian, np.ndarray):
            block = self.jacobian[np.ix_(free, free)]
            _, singular, kernel = np.linalg.svd(_equilibrated(block))
            if free.size and singular[-1] <= 1e-10 * singular[0]:
                loose = np.zeros(self.mcp.size, dtype=bool)
                loose[free[np.abs(kernel[-1]) > 1e-6 * np.abs(kernel[-1]).max()]] = True
                raise Refused(
                    f"the answer is not locally unique: {self.named(loose)} can move while all conditions hold"
                )
        else:
            block = self.jacobian[free][:, free]
        found = systems.solve(block, right) if free.size else right
        off = np.abs(block @ found - right)
        if (off > 1e-8 * np.maximum(abs(block) @ np.abs(found), 1e-300)).any():
            raise Refused("the answer is not locally unique: the conditions between bounds do not determine it")
        return found

    def one_sided(self, rows: np.ndarray, bound: np.ndarray, name: str) -> np.ndarray:
        """The move in the direction asked for: a complementarity problem in the columns that touch a bound."""
        mcp, direction = self.mcp, self.sign
        lower = np.where(self.held | self.touching & self.low, direction * bound, -np.inf)
        upper = np.where(self.held | self.touching & self.up, direction * bound, np.inf)
        matrix, vector = sp.csr_array(self.jacobian), direction * rows
        problem = MixedComplementarity(mcp.names, mcp.kind, mcp.player, mcp.components, lower, upper, matrix, vector)
        search = enumerate_all(problem)
        if not search.complete or len(search.solutions) != 1 or not search.solutions[0].isolated:
            raise Refused(
                f"the answer does not move in one way with {name}: {self.named(self.touching)} only just touches a "
                "bound or limit, and the conditions there have no single answer"
            )
        return direction * search.solutions[0].point

    def named(self, columns: np.ndarray, most: int = 3) -> str:
        """The names of some columns, as many as are good to read."""
        names = [self.mcp.names[int(k)] for k in np.flatnonzero(columns)]
        return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _equilibrated(block: np.ndarray) -> np.ndarray:
    """Rows and columns divided by the root of their largest entries, so that units do not matter."""
    scaled = block.copy()
    for _ in range(3):
        for axis in (1, 0):
            size = np.sqrt(np.abs(scaled).max(axis=axis, keepdims=True, initial=0.0))
            scaled /= np.where(size > 0, size, 1.0)
    return scaled
