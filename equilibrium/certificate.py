"""The certificate: is this an equilibrium? Computed on the model as it was stated, whatever route found the answer.

For every player its own problem is solved again with the rest given:

* regret: how much more its payoff could be, in money. Positive means that it would deviate.
* distance: how far its decisions are from its best response, in units of its decisions (where the best response is unique).
* residual: how far the conditions of optimality are from holding, relative to the size of their terms (price units).

For what stands outside the players: how far clearing rows and rules are from holding. Regret alone is second order (a decision off
by 3e-5 loses 1e-10 of the bill), so all three are asked for. Payoffs and rows are evaluated by Pyomo on the plain model,
which checks the derivation of the conditions as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.common.collections import ComponentSet
from pyomo.core.expr.visitor import identify_variables, polynomial_degree

from .convexity import prove
from .formulations import potential
from .branches import Candidate
from .mcp import DECISION, MULTIPLIER, MixedComplementarity
from .players import Conduct, Game, Player, conduct
from .solvers import newton
from .solvers.outcome import Outcome, Termination
from .tolerances import DISTANCE, FEASIBLE, REGRET, RESIDUAL
from .uniqueness import NOT_PROVED, Uniqueness, examine, null_space, player_box

CERTIFIED, LOCAL, RULE, UNCERTIFIED, CYCLING = "certified", "certified, local", "rule", "uncertified", "cycling"


@dataclass(frozen=True)
class Check:
    """One row of the certificate: a player, or the conditions outside them.

    regret [money], bill [money] it is compared with; distance [units of the decisions], size it is compared with; residual [relative];
    infeasibility [relative]. NaN where a measure does not apply, with the reason in ``note``.
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
        limits = (
            (self.regret, REGRET * max(self.bill, 1e-300)),
            (-self.regret, REGRET * max(self.bill, 1e-300)),  # better than its own best response: the re-solve failed
            (self.distance, DISTANCE * max(self.size, 1e-300)),
            (self.residual, RESIDUAL),
            (self.infeasibility, FEASIBLE),
        )
        return all(np.isnan(value) or value <= limit for value, limit in limits) and not np.isinf(self.regret)


@dataclass(frozen=True)
class Certificate:
    """Verdict, what it covers (scope), a row per player and one for the outside, uniqueness, and warnings on conduct."""

    verdict: str
    scope: str
    checks: tuple[Check, ...]
    uniqueness: Uniqueness
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
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
    checks, proofs = [], []
    for index, player in enumerate(game.players):
        check, proof = _player(answer, index, player, z, found[player.name])
        checks.append(check)
        proofs.append(proof)
    outside = _outside(game, mcp, z)
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
        return CERTIFIED, "global, by the market's own concave branches: " + ", ".join(c.branch for c in answer.candidates)
    if all(proofs):
        return CERTIFIED, "global: every player's own problem is convex and was solved again"
    unproved = ", ".join(p.name for p, proof in zip(answer.game.players, proofs, strict=True) if not proof)
    return LOCAL, f"no proof that the problem of {unproved} is convex; nobody gains by a small deviation"


def _among_branches(candidates: Sequence[Candidate]) -> Uniqueness:
    """A player solved by branches: its optimum is unique if it is so on the best branch and the others are strictly worse."""
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
    answer: Answer, index: int, player: Player, z: np.ndarray, behaviour: Conduct
) -> tuple[Check, str | None]:
    mcp = answer.mcp
    columns = np.flatnonzero(mcp.player == index)
    decisions = np.flatnonzero(mcp.kind[columns] == DECISION)
    own = columns[decisions]
    size = float(np.abs(z[own]).max(initial=0.0))
    residual = float(mcp.residual(z)[columns].max(initial=0.0))
    infeasible = _infeasibility(player)
    shared = [mcp.names[k] for k in np.flatnonzero(mcp.kind == 3)]
    common = dict(
        name=player.name, kind="player", size=size, residual=residual, infeasibility=infeasible, moves=behaviour.moves,
        takes=behaviour.takes,
    )  # fmt: skip
    if answer.candidates:
        return _against_candidates(answer, player, own, z, common), answer.candidates[0].proof
    part = _boxed(_with_arrays(mcp.part(columns, z), player, z[columns]), decisions, size)
    affine = part.is_affine
    response = _respond(part)
    if response is None:
        bill = abs(_payoff(player))
        note = "its own problem could not be solved again" if affine else "its own nonlinear problem could not be solved again"
        return Check(regret=np.inf, bill=bill, distance=np.nan, proof="", note=note, **common), None
    best, proof = response
    if proof is None:
        proof = prove(player, player_box(player))
    regret, bill = _regret(player, part, decisions, z[own], best[decisions], bool(shared))
    distance, note = _distance(part, decisions, z[own], best)
    if proof is None and not _second_order(part, z[columns]):
        regret, note = np.inf, "a stationary point that is not even a local optimum (a saddle, or a wrong corner)"
    return Check(regret=regret, bill=bill, distance=distance, proof=proof or "", note=note, **common), proof


def _respond(part: MixedComplementarity) -> tuple[np.ndarray, str | None] | None:
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
    part.start, own = None, part.start
    answer, outcome = newton.solve(part)
    if not outcome.ok:
        answer, outcome = newton.solve(part, own)
    return (answer, None) if outcome.ok else None


def _with_arrays(part: MixedComplementarity, player: Player, z: np.ndarray) -> MixedComplementarity:
    """A player may have an affine problem of its own in a nonlinear game (a price taker): read off its arrays, so that a linear
    payoff without a unique optimum is solved as the programme it is."""
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
    """Give decisions that enter the payoff linearly and have no limit a stated box: ten times the player's own quantities."""
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


def _payoff(player: Player) -> float:
    """The player's (minimised) objective at the Vars' present values, evaluated by Pyomo."""
    return player.sign * float(pyo.value(player.objective.expr))


def _regret(
    player: Player, part: MixedComplementarity, decisions: np.ndarray, x: np.ndarray, y: np.ndarray, shared: bool
) -> tuple[float, float]:
    """(what it could gain, the size of its bill). The quadratic difference is exact; Pyomo's evaluation must confirm it."""
    here, there = _payoff(player), _payoff_at(player, y)
    if part.matrix is None or part.vector is None:
        point = np.zeros(part.size)
        point[decisions] = x
        size = float(np.abs(part.F(point)[decisions]) @ np.abs(x))  # a profit may be zero where the bill is not
        bill = max(abs(here), abs(there), size, 1e-300)
        return here - there, bill
    hessian = part.matrix[decisions][:, decisions]
    gradient = part.vector[decisions]
    step = x - y
    bill = float(np.abs(gradient) @ np.abs(x) + np.abs(x) @ (abs(hessian) @ np.abs(x))) or max(abs(here), 1e-300)
    bill = max(bill, abs(here))
    regret = float((hessian @ y + gradient) @ step + 0.5 * step @ (hessian @ step))
    probe = x + 0.1 * max(float(np.abs(x).max(initial=0.0)), 1e-9) * np.cos(np.arange(len(x)))  # also where regret is zero
    elsewhere = _payoff_at(player, probe)
    change = float((hessian @ x + gradient) @ (probe - x) + 0.5 * (probe - x) @ (hessian @ (probe - x)))
    for payoff, derived in ((there, -regret), (elsewhere, change)):
        if not shared and abs(payoff - here - derived) > 1e-9 * max(bill, abs(here), abs(payoff)):
            return np.inf, bill  # the derived conditions do not belong to this payoff
    return regret, bill


def _payoff_at(player: Player, values: np.ndarray) -> float:
    before = [v.value for v in player.decisions]
    try:
        for variable, value in zip(player.decisions, values, strict=True):
            variable.set_value(float(value), skip_validation=True)
        return _payoff(player)
    finally:
        for variable, value in zip(player.decisions, before, strict=True):
            variable.set_value(value, skip_validation=True)


def _distance(part: MixedComplementarity, decisions: np.ndarray, x: np.ndarray, best: np.ndarray) -> tuple[float, str]:
    """Distance to the best response, where it is unique: payoff strictly curved on the moves that the equalities allow."""
    curved = part.jacobian(best)[decisions][:, decisions]
    equal = np.flatnonzero((part.kind == MULTIPLIER) & np.isneginf(part.lower))
    table = part.jacobian(best)[equal][:, decisions]
    if not _strict(curved, table):
        return np.nan, "payoff not strictly curved: certified by residual and regret"
    return float(np.abs(x - best[decisions]).max(initial=0.0)), ""


def _second_order(part: MixedComplementarity, z: np.ndarray) -> bool:
    """Whether the payoff curves the right way on the moves that active limits leave free (necessary for a local optimum)."""
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
    return not projected.size or float(np.linalg.eigvalsh(projected)[0]) >= -1e-8 * max(float(np.abs(curved).max()), 1e-300)


def _strict(curved: sp.csr_array, table: sp.csr_array) -> bool:
    n = curved.shape[0]
    diagonal = curved.diagonal()
    if (diagonal > 0).all() and curved.count_nonzero() == n:
        return True
    if n > 800:
        return False
    basis = null_space(table.toarray(), n)
    projected = basis.T @ ((curved + curved.T) / 2).toarray() @ basis
    return not projected.size or float(np.linalg.eigvalsh(projected)[0]) > 1e-10 * max(float(np.abs(projected).max()), 1e-300)


def _against_candidates(answer: Answer, player: Player, own: np.ndarray, z: np.ndarray, common: dict) -> Check:
    best = answer.candidates[0]
    here = float(pyo.value(player.objective.expr))
    regret = (best.payoff - here) * (-player.sign)
    ties = [c for c in answer.candidates if abs(c.payoff - best.payoff) <= REGRET * max(abs(best.payoff), 1e-300)]
    distances = [max(abs(z[k] - c.values[answer.mcp.names[k]]) for k in own) for c in ties]
    return Check(
        regret=regret, bill=max(abs(best.payoff), 1e-300), distance=min(distances), proof=best.proof,
        note="" if len(ties) == 1 else f"{len(ties)} branches give the same payoff", **common,
    )  # fmt: skip


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


def _violation(row) -> float:
    body = float(pyo.value(row.body))
    scale = max(abs(body), *(abs(limit) for limit in (row.lb, row.ub) if limit is not None), 1e-300)
    terms = sum(abs(float(pyo.value(arg))) for arg in getattr(row.body, "args", ()) if not isinstance(arg, str))
    scale = max(scale, terms)
    low = row.lb - body if row.has_lb() else 0.0
    high = body - row.ub if row.has_ub() else 0.0
    return max(low, high, 0.0) / scale


def _outside(game: Game, mcp: MixedComplementarity, z: np.ndarray) -> Check | None:
    """Clearing pairs, equality rows and shared constraints, evaluated by Pyomo on the plain model."""
    columns = np.flatnonzero(mcp.player < 0)
    if not columns.size:
        return None
    rows = max((_violation(row) for row in (*game.equations, *game.shared)), default=0.0)
    bounds = 0.0
    for variable in game.variables:
        value = float(variable.value)
        for low, high in ((variable.lb, value), (value, variable.ub)):
            if low is not None and high is not None and low > high:
                bounds = max(bounds, (low - high) / max(abs(low), abs(high)))
    residual = float(mcp.residual(z)[columns].max())
    for pair in game.pairs:
        residual = max(residual, _pair_residual(pair, mcp, z))
    return Check(
        "clearing and rules", "outside", np.nan, np.nan, np.nan, np.nan, residual, max(rows, bounds), "", "conditions outside the players"
    )


def _pair_residual(pair, mcp: MixedComplementarity, z: np.ndarray) -> float:
    """The pair's natural residual from Pyomo's own evaluation, relative to the scales of the assembled row."""
    column = next(k for k, c in enumerate(mcp.components) if c is pair.variable)
    column_scale, row_scale = mcp.scales(z)
    value = float(pyo.value(pair.body)) / row_scale[column]
    price = float(pair.variable.value) / column_scale[column]
    moved = np.clip(price - value, pair.lower / column_scale[column], pair.upper / column_scale[column])
    return abs(price - float(moved))
