"""One player's own problem, solved again with the rest given: its possible gain, its distance to the best answer.

``together`` does the same for all players of an affine game at once. The quadratic difference of payoffs is exact
where subtraction would lose it, and Pyomo's evaluation of the payoff must confirm it. Where convexity is not proved,
second-order conditions and a seeded search look for something better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from pyomo.common.collections import ComponentSet
from pyomo.core.expr.visitor import identify_variables, polynomial_degree

from . import stated
from .boxes import player_box
from .conditions import sides
from .convexity import prove
from .definite import semidefinite
from .feasibility import infeasibility
from .formulations import potential
from .mcp import DECISION, MULTIPLIER, SHARED, MixedComplementarity
from .monotone import null_space
from .players import Player
from .solvers import newton
from .tolerances import FEASIBLE, REGRET

CHARGED = "convex with its limits charged at their multipliers"

FLAT = "payoff not strictly curved: certified by residual and regret"


Charges: TypeAlias = Sequence[tuple[float, Any]]
"""What a player pays for shared rows: (multiplier with sign, body), to be taken off its minimised payoff."""


@dataclass(frozen=True)
class Deviation:
    """What a player could gain by its best response, and how far away that is.

    regret [money] and the bill [money] it is compared with; distance [units of its decisions], NaN where the best
    response may not be unique; proof that the response is global, or None; note: a reason in words.
    """

    regret: float
    bill: float
    distance: float
    proof: str | None
    note: str = ""


def examine(
    mcp: MixedComplementarity, player: Player, columns: np.ndarray, z: np.ndarray, size: float, charges: Charges
) -> Deviation:
    """What ``player`` could gain at z. columns: its own; size: of its decisions; charges: for shared rows."""
    decisions = np.flatnonzero(mcp.kind[columns] == DECISION)
    own = columns[decisions]
    part = boxed(with_arrays(mcp.part(columns, z), player, z[columns]), size)
    affine = part.is_affine
    response = respond(part, z[columns], lambda x: payoff_at(player, x[decisions], charges, feasible=True))
    if response is None:
        note = f"its own {'' if affine else 'nonlinear '}problem could not be solved again"
        return Deviation(np.inf, abs(payoff(player, charges)), np.nan, None, note)
    best, proof = response
    if proof is None:
        proof = prove(player, player_box(player))
    if proof is None and not charges:
        proof = _charged(part, player, decisions, z[columns])
    turnover = float(mcp.scales(z)[1][own] @ np.maximum(np.abs(z[own]), np.abs(best[decisions])))
    gain, bill = regret(player, part, decisions, z[own], best[decisions], charges, turnover)
    away, note = distance(part, decisions, z[own], best)
    if proof is None and not second_order(part, z[columns]):
        gain, note = np.inf, "a stationary point that is not even a local optimum (a saddle, or a wrong corner)"
    elif proof is None:
        better = search(player, part, decisions, z[columns], charges)
        if better > max(gain, REGRET * bill):
            gain, note = better, "a better answer was found by sampling"
    return Deviation(gain, bill, away, proof, note)


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


def _charged(part: MixedComplementarity, player: Player, decisions: np.ndarray, z: np.ndarray) -> str | None:
    """Where payoff and limits are at most quadratic in the player's decisions, the Hessian of its payoff with limits
    charged at their multipliers is the same everywhere. If it is positive semidefinite, nothing that keeps the limits
    is better than a point at which the conditions hold (sufficiency of a saddle point of the Lagrangian)."""
    if not _quadratic(player, limits=2):
        return None
    hessian = sp.csr_array(part.jacobian(z))[decisions][:, decisions]
    return CHARGED if semidefinite(hessian) else None


def _quadratic(player: Player, limits: int = 1) -> bool:
    """Whether the payoff is at most quadratic in the player's own Vars, and its constraints of a degree of at most
    ``limits``."""
    own = ComponentSet(player.decisions)
    rows = [(player.objective.expr, 2), *((row.body, limits) for row in player.constraints)]
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


def boxed(part: MixedComplementarity, size: float | np.ndarray) -> MixedComplementarity:
    """Give decisions that enter the payoff linearly and have no limit a stated box: ten times the player's own
    quantities.

    size: the largest of those, one number or one for each column.
    """
    if part.matrix is None:
        return part
    decisions = np.flatnonzero(part.kind == DECISION)
    linear = np.zeros(part.size, dtype=bool)
    linear[decisions] = np.abs(part.matrix[decisions][:, decisions]).sum(axis=1) == 0
    reach = 10 * np.maximum(size, 1.0)
    part.lower = np.where(linear & np.isneginf(part.lower), -reach, part.lower)
    part.upper = np.where(linear & np.isposinf(part.upper), reach, part.upper)
    return part


def charges(mcp: MixedComplementarity, players: Sequence[Player], z: np.ndarray) -> list[list[tuple[float, Any]]]:
    """For every player what it pays for shared rows: (multiplier with sign, body)."""
    owner = {id(v): i for i, player in enumerate(players) for v in player.decisions}
    found: list[list[tuple[float, Any]]] = [[] for _ in players]
    for k in np.flatnonzero((mcp.kind == SHARED) & (z != 0)):
        row, side = mcp.components[k]
        sign = next(sign for name, sign, _ in sides(row) if name == side)
        entering = {owner.get(id(v), -1) for v in identify_variables(row.body, include_fixed=False)}
        for i in sorted(entering - {-1}):
            found[i].append((z[k] * sign, row.body))
    return found


def payoff(player: Player, charges: Charges) -> float:
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
    charges: Charges,
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
    exact = float((hessian @ y + gradient) @ step + 0.5 * step @ (hessian @ step))
    return confirmed(exact, here - there, bill), bill


def confirmed(exact: float, evaluated: float, bill: float) -> float:
    """The exact difference of payoffs; infinity where Pyomo's evaluation of the payoff does not confirm it."""
    return exact if abs(evaluated - exact) <= 1e-9 * bill else np.inf


def payoff_at(player: Player, values: np.ndarray, charges: Charges, feasible: bool = False) -> float:
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
    charges: Charges,
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
    if not strict(curved, table):
        return np.nan, FLAT
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


def strict(curved: sp.csr_array, table: sp.csr_array) -> bool:
    """Whether a payoff with Hessian ``curved`` is strictly curved on the moves that keep ``table`` x."""
    n = curved.shape[0]
    diagonal = curved.diagonal()
    if (diagonal > 0).all() and curved.count_nonzero() == n:
        return True
    if n > 800:
        return bool((diagonal > 0).all()) and semidefinite(sp.csr_array((curved + curved.T) / 2), 1e-10)
    basis = null_space(table.toarray(), n)
    projected = basis.T @ ((curved + curved.T) / 2).toarray() @ basis
    return not projected.size or float(np.linalg.eigvalsh(projected)[0]) > 1e-10 * max(
        float(np.abs(projected).max()), 1e-300
    )
