"""The certificate: is this an equilibrium? Computed on the model as it was stated, whatever route found the answer.

For every player its own problem is solved again with the rest given:

* regret: how much more its payoff could be, in money. Positive means that it would deviate.
* distance: how far its decisions are from its best response, in units of its decisions (where the best response is
  unique).
* residual: how far the conditions of optimality are from holding, relative to the size of their terms (price units).

For what stands outside the players: how far clearing rows and rules are from holding. Regret alone is second order (a
decision off by 3e-5 loses 1e-10 of the bill), so all three are asked for. Payoffs and rows are evaluated by Pyomo on
the plain model, which checks the derivation of the conditions as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.common.collections import ComponentSet
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.expr.visitor import identify_variables, polynomial_degree

from . import stated
from .branches import Candidate
from .conditions import sides
from .convexity import prove
from .formulations import potential
from .mcp import DECISION, MULTIPLIER, SHARED, MixedComplementarity
from .players import Conduct, Game, Player, conduct
from .solvers import newton
from .solvers.outcome import Outcome, Termination
from .stated import ERRORS
from .tolerances import DISTANCE, FEASIBLE, REGRET, RESIDUAL
from .uniqueness import NOT_PROVED, Uniqueness, examine, null_space, player_box

CERTIFIED, LOCAL, RULE, UNCERTIFIED, CYCLING = "certified", "certified, local", "rule", "uncertified", "cycling"


@dataclass(frozen=True)
class Check:
    """One row of the certificate: a player, or the conditions outside them.

    regret [money], bill [money] it is compared with; distance [units of the decisions], size it is compared with;
    residual [relative]; infeasibility [relative]. NaN where a measure does not apply, with the reason in ``note``.
    """

    name: str
    kind: str  # player or outside
    regret: float
    bill: float
    distance: float
    size: float
    residual: float
    infeasibility: float
    proof: str
    note: str = ""
    moves: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every measure that applies is within its tolerance."""
        limits = (
            (self.regret, REGRET * max(self.bill, 1e-300)),
            (-self.regret, REGRET * max(self.bill, 1e-300)),  # better than its own best response: the re-solve failed
            (self.distance, DISTANCE * max(self.size, 1e-300)),
            (self.residual, RESIDUAL),
            (self.infeasibility, FEASIBLE),
        )
        known = not np.isnan(self.residual) and not np.isnan(self.infeasibility)
        return known and all(np.isnan(value) or value <= limit for value, limit in limits) and not np.isinf(self.regret)


@dataclass(frozen=True)
class Certificate:
    """Verdict, what it covers (scope), a row per player and one for the outside, uniqueness, and warnings on
    conduct."""

    verdict: str
    scope: str
    checks: tuple[Check, ...]
    uniqueness: Uniqueness
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the answer may be used: certified (also locally) or a rule."""
        return self.verdict in (CERTIFIED, LOCAL, RULE)


@dataclass
class Answer:
    """What a route found: a game, its conditions, values of all columns, and how it was done."""

    game: Game
    mcp: MixedComplementarity
    z: np.ndarray
    outcome: Outcome
    formulation: str
    reason: str
    candidates: Sequence[Candidate] = field(default_factory=tuple)


def certify(answer: Answer) -> Certificate:
    """Examine ``answer`` at the values the model's Vars have now."""
    game, mcp = answer.game, answer.mcp
    z = _current(answer)
    found = {c.player: c for c in conduct(game)}
    if not np.isfinite(z).all():
        missing = mcp.names[int(np.flatnonzero(~np.isfinite(z))[0])]
        return Certificate(
            UNCERTIFIED, f"{missing} has no finite value", (), Uniqueness(NOT_PROVED, NOT_PROVED, "no answer")
        )
    residual = np.nan_to_num(np.maximum(mcp.residual(z), stated.mismatch(game, mcp, z)), nan=np.inf)
    checks, proofs = [], []
    for index, player in enumerate(game.players):
        check, proof = _player(answer, index, player, z, found[player.name], residual)
        checks.append(check)
        proofs.append(proof)
    outside = _outside(game, mcp, residual)
    if outside is not None:
        checks.append(outside)
    uniqueness = _among_branches(answer.candidates) if answer.candidates else examine(game, mcp, z, proofs)
    warnings = tuple(w for c in found.values() for w in c.warnings)
    verdict, scope = _verdict(answer, checks, proofs)
    return Certificate(verdict, scope, tuple(checks), uniqueness, warnings)


def _verdict(answer: Answer, checks: list[Check], proofs: list[str | None]) -> tuple[str, str]:
    if not all(check.passed for check in checks):
        wrong = ", ".join(check.name for check in checks if not check.passed)
        return (CYCLING if answer.outcome.termination is Termination.CYCLING else UNCERTIFIED), f"fails for {wrong}"
    if not answer.game.players:
        return RULE, "nobody decides; the rules hold"
    if answer.candidates:
        return CERTIFIED, "global, by the market's own concave branches: " + ", ".join(
            c.branch for c in answer.candidates
        )
    if all(proofs):
        return CERTIFIED, "global: every player's own problem is convex and was solved again"
    unproved = ", ".join(p.name for p, proof in zip(answer.game.players, proofs, strict=True) if not proof)
    return LOCAL, f"no proof that the problem of {unproved} is convex; nobody gains by a small deviation"


def _among_branches(candidates: Sequence[Candidate]) -> Uniqueness:
    """A player solved by branches: its optimum is unique if it is so on the best branch and the others are strictly
    worse."""
    best, *others = candidates
    gap = min((abs(c.payoff - best.payoff) for c in others), default=np.inf)
    if gap <= REGRET * max(abs(best.payoff), 1e-300):
        return Uniqueness("not unique", NOT_PROVED, "several branches give the same payoff")
    word = "unique" if best.unique else NOT_PROVED
    return Uniqueness(word, word, f"every other branch is worse by {gap:.3g} or more")


def _current(answer: Answer) -> np.ndarray:
    """The columns with the Vars' present values (so that a tampered model is seen as it is)."""
    z = answer.z.copy()
    for column, component in enumerate(answer.mcp.components):
        if not isinstance(component, tuple):
            z[column] = np.nan if component.value is None else float(component.value)
    return z


def _player(
    answer: Answer, index: int, player: Player, z: np.ndarray, behaviour: Conduct, residuals: np.ndarray
) -> tuple[Check, str | None]:
    mcp = answer.mcp
    columns = np.flatnonzero(mcp.player == index)
    decisions = np.flatnonzero(mcp.kind[columns] == DECISION)
    own = columns[decisions]
    size = float(np.abs(z[own]).max(initial=0.0))
    everybody = float(np.abs(z[mcp.kind == DECISION]).max(initial=0.0))
    size = max(size, 1e-5 * everybody)  # who does nothing is off by rounding of what the others do
    residual = float(residuals[columns].max(initial=0.0))
    infeasible = _infeasibility(player)
    charges = _charges(answer, player, z)
    common: dict[str, Any] = dict(
        name=player.name,
        kind="player",
        size=size,
        residual=residual,
        infeasibility=infeasible,
        moves=behaviour.moves,
        takes=behaviour.takes,
    )
    if answer.candidates:
        return _against_candidates(answer, player, own, z, common), answer.candidates[0].proof
    part = _boxed(_with_arrays(mcp.part(columns, z), player, z[columns]), decisions, size)
    affine = part.is_affine
    response = _respond(part, z[columns], lambda x: _payoff_at(player, x[decisions], charges, feasible=True))
    if response is None:
        bill = abs(_payoff(player, charges))
        note = f"its own {'' if affine else 'nonlinear '}problem could not be solved again"
        return Check(regret=np.inf, bill=bill, distance=np.nan, proof="", note=note, **common), None
    best, proof = response
    if proof is None:
        proof = prove(player, player_box(player))
    turnover = float(mcp.scales(z)[1][own] @ np.maximum(np.abs(z[own]), np.abs(best[decisions])))
    regret, bill = _regret(player, part, decisions, z[own], best[decisions], charges, turnover)
    distance, note = _distance(part, decisions, z[own], best)
    if proof is None and not _second_order(part, z[columns]):
        regret, note = np.inf, "a stationary point that is not even a local optimum (a saddle, or a wrong corner)"
    elif proof is None:
        better = _search(player, part, decisions, z[columns], charges)
        if better > max(regret, REGRET * bill):
            regret, note = better, "a better answer was found by sampling"
    return Check(regret=regret, bill=bill, distance=distance, proof=proof or "", note=note, **common), proof


def _respond(
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


def _with_arrays(part: MixedComplementarity, player: Player, z: np.ndarray) -> MixedComplementarity:
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


def _boxed(part: MixedComplementarity, decisions: np.ndarray, size: float) -> MixedComplementarity:
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


def _charges(answer: Answer, player: Player, z: np.ndarray) -> list[tuple[float, Any]]:
    """What the player pays for shared rows: (multiplier with sign, body), to be taken off its minimised payoff."""
    own, found = ComponentSet(player.decisions), []
    for k in np.flatnonzero(answer.mcp.kind == SHARED):
        row, side = answer.mcp.components[k]
        if z[k] and any(v in own for v in identify_variables(row.body, include_fixed=False)):
            found.append((z[k] * next(sign for name, sign, _ in sides(row) if name == side), row.body))
    return found


def _payoff(player: Player, charges: list[tuple[float, Any]]) -> float:
    """The player's (minimised) objective, shared rows charged, at the Vars' present values; infinity where it has
    none."""
    found = player.sign * stated.number(player.objective.expr) - sum(m * stated.number(body) for m, body in charges)
    return np.inf if np.isnan(found) else found


def _regret(
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
    here, there = _payoff(player, charges), _payoff_at(player, y, charges)
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


def _payoff_at(player: Player, values: np.ndarray, charges: list[tuple[float, Any]], feasible: bool = False) -> float:
    """The payoff with other decisions; infinity where they break a limit and ``feasible`` is asked for."""
    before = [v.value for v in player.decisions]
    try:
        for variable, value in zip(player.decisions, values, strict=True):
            variable.set_value(float(value), skip_validation=True)
        if feasible and _infeasibility(player) > FEASIBLE:
            return np.inf
        return _payoff(player, charges)
    finally:
        for variable, value in zip(player.decisions, before, strict=True):
            variable.set_value(value, skip_validation=True)


def _search(
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
    here = _payoff(player, charges)
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
        found.append(_payoff_at(player, point, charges, feasible=True))
    return here - min(found)


def _distance(part: MixedComplementarity, decisions: np.ndarray, x: np.ndarray, best: np.ndarray) -> tuple[float, str]:
    """Distance to the best response, where it is unique: payoff strictly curved on the moves that the equalities
    allow."""
    curved = part.jacobian(best)[decisions][:, decisions]
    equal = np.flatnonzero((part.kind == MULTIPLIER) & np.isneginf(part.lower))
    table = part.jacobian(best)[equal][:, decisions]
    if not _strict(curved, table):
        return np.nan, "payoff not strictly curved: certified by residual and regret"
    return float(np.abs(x - best[decisions]).max(initial=0.0)), ""


def _second_order(part: MixedComplementarity, z: np.ndarray) -> bool:
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


def _against_candidates(
    answer: Answer, player: Player, own: np.ndarray, z: np.ndarray, common: dict[str, Any]
) -> Check:
    best = answer.candidates[0]
    here = float(pyo.value(player.objective.expr))
    regret = (best.payoff - here) * (-player.sign)
    ties = [c for c in answer.candidates if abs(c.payoff - best.payoff) <= REGRET * max(abs(best.payoff), 1e-300)]
    distances = [max(abs(z[k] - c.values[answer.mcp.names[k]]) for k in own) for c in ties]
    return Check(
        regret=regret,
        bill=max(abs(best.payoff), 1e-300),
        distance=min(distances),
        proof=best.proof,
        note="" if len(ties) == 1 else f"{len(ties)} branches give the same payoff",
        **common,
    )


def _infeasibility(player: Player) -> float:
    """The largest violation of the player's own constraints and bounds, relative to the size of their terms."""
    worst = 0.0
    for variable in player.decisions:
        if variable.value is None:
            return np.inf
        value = float(variable.value)
        for low, high in ((variable.lb, value), (value, variable.ub)):
            if low is not None and high is not None:
                worst = max(worst, (low - high) / max(abs(low), abs(high), 1e-300) if low > high else 0.0)
    return max(worst, max((_violation(row) for row in player.constraints), default=0.0))


def _violation(row: ConstraintData) -> float:
    try:
        body = float(pyo.value(row.body))
        low = row.lb - body if row.has_lb() else 0.0
        high = body - row.ub if row.has_ub() else 0.0
        if not np.isfinite(body):
            return np.inf
        return max(low, high) / stated.size(row) if max(low, high) > 0 else 0.0
    except ERRORS:
        return np.inf


def _outside(game: Game, mcp: MixedComplementarity, residuals: np.ndarray) -> Check | None:
    """Clearing pairs, equality rows and shared constraints, evaluated by Pyomo on the plain model."""
    columns = np.flatnonzero(mcp.player < 0)
    if not columns.size:
        return None
    rows = max((_violation(row) for row in (*game.equations, *game.shared)), default=0.0)
    bounds = 0.0
    for variable in game.variables:
        if variable.value is None:
            return _outside_check(np.inf, np.inf, f"{variable.name} has no value")
        value = float(variable.value)
        for low, high in ((variable.lb, value), (value, variable.ub)):
            if low is not None and high is not None and low > high:
                bounds = max(bounds, (low - high) / max(abs(low), abs(high)))
    note = "conditions outside the players"
    if bounds > FEASIBLE:
        note = "a Var outside the players leaves its own bounds: pair it with its row (Complementarity), or free it"
    residual = float(residuals[columns].max())
    return _outside_check(residual, max(rows, bounds), note)


def _outside_check(residual: float, infeasibility: float, note: str) -> Check:
    nothing = np.nan  # nobody decides here: no regret, no best response
    return Check(
        "clearing and rules",
        "outside",
        nothing,
        nothing,
        nothing,
        nothing,
        residual,
        infeasibility,
        proof="",
        note=note,
    )
