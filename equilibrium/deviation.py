"""One player's own problem, solved again with the rest given: its possible gain, its distance to the best answer.

The quadratic difference of payoffs is exact where subtraction would lose it, and Pyomo's evaluation of the payoff must
confirm it. Where convexity is not proved, second-order conditions and a seeded search look for something better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from pyomo.common.collections import ComponentSet
from pyomo.core.expr.visitor import identify_variables, polynomial_degree

from . import stated
from .boxes import player_box
from .conditions import sides
from .feasibility import infeasibility
from .formulations import potential
from .mcp import DECISION, MULTIPLIER, SHARED, MixedComplementarity
from .monotone import null_space
from .players import Player
from .solvers import newton
from .tolerances import FEASIBLE


def respond(
    part: MixedComplementarity, z: np.ndarray, payoff: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, str | None] | None:
    """(best response with its multipliers, proof that it is global), or None where the problem was not solved."""
    if part.is_affine:
        found = potential.find(part)
        if found is None:
            answer, outcome = newton.solve(part)
            return (answer, None) if outcome.ok else None
        answer, outcome = potential.solve(part, found)
        if not outcome.ok:
            answer, outcome = newton.solve(part)
        return (answer, "convex quadratic") if outcome.ok else None
    part.start = None  # a neutral start first: the answer examined shall not decide what it is compared with
    here, answers = payoff(z), []
    for start in (None, z):
        answer, outcome = newton.solve(part, start)
        if outcome.ok:
            answers.append(answer)
            if payoff(answer) <= here:
                break
    return (min(answers, key=payoff), None) if answers else None


def with_arrays(part: MixedComplementarity, player: Player, z: np.ndarray) -> MixedComplementarity:
    """A player may have an affine problem of its own in a nonlinear game (a price taker): read off its arrays, so
    that a linear payoff without a unique optimum is solved as the programme it is."""
    if part.is_affine or not _quadratic(player):
        return part
    part.matrix = part.jacobian(z)
    part.vector = part.function(z) - part.matrix @ z if part.function is not None else None
    return part


def _quadratic(player: Player) -> bool:
    """Whether the payoff is at most quadratic and every constraint linear in the player's own Vars."""
    own = ComponentSet(player.decisions)
    rows = [(player.objective.expr, 2), *((row.body, 1) for row in player.constraints)]
    held = ComponentSet(
        v for expression, _ in rows for v in identify_variables(expression, include_fixed=False) if v not in own
    )
    try:
        for variable in held:
            variable.fixed = True
        degrees = [(polynomial_degree(expression), most) for expression, most in rows]
    finally:
        for variable in held:
            variable.fixed = False
    return all(degree is not None and degree <= most for degree, most in degrees)


def boxed(part: MixedComplementarity, decisions: np.ndarray, size: float) -> MixedComplementarity:
    """Give decisions that enter the payoff linearly and have no limit a stated box: ten times the player's own
    quantities."""
    if part.matrix is None:
        return part
    linear = np.abs(part.matrix[decisions][:, decisions]).sum(axis=1) == 0
    reach = 10 * max(size, 1.0)
    lower, upper = part.lower.copy(), part.upper.copy()
    for k in decisions[linear]:
        lower[k] = max(lower[k], -reach) if np.isneginf(lower[k]) else lower[k]
        upper[k] = min(upper[k], reach) if np.isposinf(upper[k]) else upper[k]
    part.lower, part.upper = lower, upper
    return part


def charges(mcp: MixedComplementarity, player: Player, z: np.ndarray) -> list[tuple[float, Any]]:
    """What the player pays for shared rows: (multiplier with sign, body), to be taken off its minimised payoff."""
    own, found = ComponentSet(player.decisions), []
    for k in np.flatnonzero(mcp.kind == SHARED):
        row, side = mcp.components[k]
        if z[k] and any(v in own for v in identify_variables(row.body, include_fixed=False)):
            found.append((z[k] * next(sign for name, sign, _ in sides(row) if name == side), row.body))
    return found


def payoff(player: Player, charges: list[tuple[float, Any]]) -> float:
    """The player's (minimised) objective, shared rows charged, at the Vars' present values; infinity where it has
    none."""
    found = player.sign * stated.number(player.objective.expr) - sum(m * stated.number(body) for m, body in charges)
    return np.inf if np.isnan(found) else found


def regret(
    player: Player,
    part: MixedComplementarity,
    decisions: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    charges: list[tuple[float, Any]],
    turnover: float,
) -> tuple[float, float]:
    """(what it could gain, the size of its bill). The quadratic difference is exact; Pyomo's evaluation must confirm
    it.

    turnover: what the player pays and receives, added up; a trader's bill may be zero where its turnover is not.
    """
    here, there = payoff(player, charges), payoff_at(player, y, charges)
    bill = max(abs(here), abs(there), turnover, 1e-300)
    if part.matrix is None or part.vector is None:
        return here - there, bill
    hessian = part.matrix[decisions][:, decisions]
    gradient = part.vector[decisions]
    step = x - y
    regret = float((hessian @ y + gradient) @ step + 0.5 * step @ (hessian @ step))
    if not abs((here - there) - regret) <= 1e-9 * bill:
        return np.inf, bill  # the derived conditions do not belong to this payoff
    return regret, bill


def payoff_at(player: Player, values: np.ndarray, charges: list[tuple[float, Any]], feasible: bool = False) -> float:
    """The payoff with other decisions; infinity where they break a limit and ``feasible`` is asked for."""
    before = [v.value for v in player.decisions]
    try:
        for variable, value in zip(player.decisions, values, strict=True):
            variable.set_value(float(value), skip_validation=True)
        if feasible and infeasibility(player) > FEASIBLE:
            return np.inf
        return payoff(player, charges)
    finally:
        for variable, value in zip(player.decisions, before, strict=True):
            variable.set_value(value, skip_validation=True)


def search(
    player: Player,
    part: MixedComplementarity,
    decisions: np.ndarray,
    z: np.ndarray,
    charges: list[tuple[float, Any]],
    samples: int = 60,
    starts: int = 4,
) -> float:
    """How much better the best of some seeded feasible points is: moves of many sizes, and stationary points from
    other starts."""
    random = np.random.default_rng(0)
    x, low, up = z[decisions], part.lower[decisions], part.upper[decisions]
    here = payoff(player, charges)
    equal = np.flatnonzero((part.kind == MULTIPLIER) & np.isneginf(part.lower))
    basis = null_space(part.jacobian(z)[equal][:, decisions].toarray(), len(x))
    reach = np.where(np.isfinite(up - low), up - low, 10 * max(float(np.abs(x).max(initial=0.0)), 1.0))
    points = []
    for k in range(samples if basis.shape[1] else 0):
        move = basis @ (basis.T @ (reach * random.normal(size=len(x))))
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(move > 0, (up - x) / move, np.where(move < 0, (low - x) / move, np.inf))
        free = np.abs(move) > 1e-12 * reach
        points.append(x + min(1.0, float(room[free].min(initial=np.inf))) * 10.0 ** (-(k % 4)) * move)
    points = [np.clip(point, low, up) for point in points]
    box = np.array(player_box(player)).reshape(-1, 2)
    for _ in range(starts if len(x) <= 60 and np.isfinite(box).all() else 0):
        begin = z.copy()
        begin[decisions] = random.uniform(box[:, 0], box[:, 1])
        answer, outcome = newton.solve(part, begin, iterations=60)
        if outcome.ok:
            points.append(answer[decisions])
    found = [here]
    for point in points:
        found.append(payoff_at(player, point, charges, feasible=True))
    return here - min(found)


def distance(part: MixedComplementarity, decisions: np.ndarray, x: np.ndarray, best: np.ndarray) -> tuple[float, str]:
    """Distance to the best response, where it is unique: payoff strictly curved on the moves that the equalities
    allow."""
    curved = part.jacobian(best)[decisions][:, decisions]
    equal = np.flatnonzero((part.kind == MULTIPLIER) & np.isneginf(part.lower))
    table = part.jacobian(best)[equal][:, decisions]
    if not _strict(curved, table):
        return np.nan, "payoff not strictly curved: certified by residual and regret"
    return float(np.abs(x - best[decisions]).max(initial=0.0)), ""


def second_order(part: MixedComplementarity, z: np.ndarray) -> bool:
    """Whether the payoff curves the right way on the moves that active limits leave free (necessary for a local
    optimum)."""
    column, row = part.scales(z)
    value = part.F(z)
    decisions = np.flatnonzero(part.kind == DECISION)
    limits = np.flatnonzero(part.kind == MULTIPLIER)
    inside = decisions[(z - part.lower > 1e-7 * column)[decisions] & (part.upper - z > 1e-7 * column)[decisions]]
    held = limits[np.isneginf(part.lower[limits]) | (np.abs(value[limits]) <= 1e-7 * row[limits])]
    jacobian = part.jacobian(z)
    curved = ((jacobian + jacobian.T) / 2)[inside][:, inside].toarray()
    basis = null_space(jacobian[held][:, inside].toarray(), len(inside))
    projected = basis.T @ curved @ basis
    return not projected.size or float(np.linalg.eigvalsh(projected)[0]) >= -1e-8 * max(
        float(np.abs(curved).max()), 1e-300
    )


def _strict(curved: sp.csr_array, table: sp.csr_array) -> bool:
    n = curved.shape[0]
    diagonal = curved.diagonal()
    if (diagonal > 0).all() and curved.count_nonzero() == n:
        return True
    if n > 800:
        return False
    basis = null_space(table.toarray(), n)
    projected = basis.T @ ((curved + curved.T) / 2).toarray() @ basis
    return not projected.size or float(np.linalg.eigvalsh(projected)[0]) > 1e-10 * max(
        float(np.abs(projected).max()), 1e-300
    )
