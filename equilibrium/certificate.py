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

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from . import deviation, stated, together
from .behaviour import Conduct, conduct
from .boxes import player_box
from .branches import Candidate
from .feasibility import infeasibility, violation
from .hierarchy import current
from .leading import Leading, examine_leader
from .mcp import DECISION, MixedComplementarity, members
from .players import Game, Player
from .solvers import scip
from .solvers.outcome import Outcome, Termination
from .tolerances import DISTANCE, FEASIBLE, REGRET, RESIDUAL
from .uniqueness import NOT_PROVED, Uniqueness, examine

CERTIFIED, LOCAL, RULE, UNCERTIFIED, CYCLING = "certified", "certified, local", "rule", "uncertified", "cycling"
SEVERAL, NONE = "several", "none"  # said by ``multiplicity``, after a search


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
        """Whether the answer may be used: certified (also locally, also as one of several) or a rule."""
        return self.verdict in (CERTIFIED, LOCAL, RULE, SEVERAL)


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
    leading: Leading | None = None  # the leaders' side, where some move first; game and mcp are then the followers'
    among: Uniqueness | None = None  # what the games of a player's branches say on other equilibria

    @property
    def branched(self) -> int | None:
        """Which player was solved by branches, if any."""
        if not self.candidates:
            return None
        known = self.candidates[0].values
        return next(i for i, p in enumerate(self.game.players) if all(v.name in known for v in p.decisions))


def certify(answer: Answer, restate: bool = True) -> Certificate:
    """Examine ``answer`` at the values the model's Vars have now.

    restate: whether the conditions are also compared with the model as it was stated, by Pyomo's own derivatives.
    """
    if answer.leading is not None:
        return _with_leaders(answer, answer.leading)
    game, mcp = answer.game, answer.mcp
    z = _current(answer)
    found = {c.player: c for c in conduct(game)}
    if not np.isfinite(z).all():
        missing = mcp.names[int(np.flatnonzero(~np.isfinite(z))[0])]
        return Certificate(
            UNCERTIFIED, f"{missing} has no finite value", (), Uniqueness(NOT_PROVED, NOT_PROVED, "no answer")
        )
    try:
        mismatch = stated.mismatch(game, mcp, z) if restate else np.zeros(mcp.size)
        residual = np.nan_to_num(np.maximum(mcp.residual(z), mismatch), nan=np.inf)
        checks, proofs = _players(answer, z, residual, found)
        outside = _outside(game, mcp, residual)
    except (ValueError, ArithmeticError) as error:  # the logarithm of a negative number, a division by zero
        return Certificate(
            UNCERTIFIED, f"a term has no value there ({error})", (), Uniqueness(NOT_PROVED, NOT_PROVED, "no answer")
        )
    if outside is not None:
        checks.append(outside)
    if answer.candidates:
        uniqueness = answer.among or _among_branches(answer.candidates)
    else:
        uniqueness = examine(game, mcp, z, proofs)
    warnings = tuple(w for c in found.values() for w in c.warnings)
    verdict, scope = _verdict(answer, checks, proofs)
    return Certificate(verdict, scope, tuple(checks), uniqueness, warnings)


def _verdict(answer: Answer, checks: list[Check], proofs: list[str | None]) -> tuple[str, str]:
    if not all(check.passed for check in checks):
        wrong = ", ".join(check.name for check in checks if not check.passed)
        told = answer.outcome
        why = "" if told.ok else f"; {told.solver}: {told.message}"
        return (CYCLING if told.termination is Termination.CYCLING else UNCERTIFIED), f"fails for {wrong}{why}"
    if not answer.game.players and answer.game.pairs:
        return CERTIFIED, "a solution of the complementarity conditions as stated; nobody decides anything"
    if not answer.game.players:
        return RULE, "nobody decides; the rules hold"
    if not all(c.exhaustive for c in answer.candidates):
        return LOCAL, f"the best of {len(answer.candidates)} candidates; others were not looked at"
    if answer.candidates and all(proofs):
        scope = "global, by the market's own concave branches: " + ", ".join(c.branch for c in answer.candidates)
        several = answer.among is not None and answer.among.decisions == "not unique"
        return (SEVERAL, f"{answer.among.reason}; {scope}") if several and answer.among else (CERTIFIED, scope)
    if all(proofs):
        charged = " (or is, with limits charged at their multipliers)" if deviation.CHARGED in proofs else ""
        return CERTIFIED, f"global: every player's own problem is convex{charged} and was solved again"
    unproved = ", ".join(p.name for p, proof in zip(answer.game.players, proofs, strict=True) if not proof)
    return LOCAL, f"no proof that the problem of {unproved} is convex; nobody gains by a small deviation"


def _with_leaders(answer: Answer, found: Leading) -> Certificate:
    """The followers' certificate at the leaders' present decisions, with a row for every leader."""
    x = current(found.hierarchy.x)
    below = certify(replace(answer, mcp=found.at(x), leading=None))
    behaviour = {c.player: c for c in conduct(found.game)}
    verdicts = [examine_leader(found, i, behaviour[p.name]) for i, p in enumerate(found.hierarchy.leaders)]
    leaders = [Check(**verdict.measures) for verdict in verdicts]
    checks = (*leaders, *below.checks)
    alone = len(found.led) == 1 and found.led[0].unique and below.uniqueness.decisions == "unique"
    reason = f"leaders: {found.led[0].reason}; followers: {below.uniqueness.reason}"
    uniqueness = Uniqueness("unique" if alone else NOT_PROVED, below.uniqueness.prices if alone else NOT_PROVED, reason)
    warnings = (*below.warnings, *(w for p in found.hierarchy.leaders for w in behaviour[p.name].warnings))
    if not (below.ok and answer.outcome.ok and all(check.passed for check in checks)):
        cycling = answer.outcome.termination is Termination.CYCLING
        wrong = ", ".join(check.name for check in checks if not check.passed) or "the followers"
        scope = f"fails for {wrong}" if answer.outcome.ok else answer.outcome.message
        return Certificate(CYCLING if cycling else UNCERTIFIED, scope, checks, uniqueness, warnings)
    if not all(led.attained for led in found.led):
        return Certificate(
            NONE,
            "no best decision: " + "; ".join(n for led in found.led for n in led.notes),
            checks,
            uniqueness,
            warnings,
        )
    local = [led.reason for led in found.led if not led.proved]
    if local or below.verdict == LOCAL:
        scope = f"{local[0]}; no bound proves it" if local else below.scope
        return Certificate(LOCAL, scope, checks, uniqueness, warnings)
    return Certificate(CERTIFIED, f"global: {answer.outcome.message}", checks, uniqueness, warnings)


def nothing_here(answer: Answer) -> Certificate:
    """The certificate of a proof that there is no equilibrium: the reason stands in the outcome."""
    return Certificate(NONE, answer.outcome.message, (), Uniqueness(NOT_PROVED, NOT_PROVED, "there is none"))


def _among_branches(candidates: Sequence[Candidate]) -> Uniqueness:
    """A player solved by branches: its optimum is unique if it is so on the best branch and the others are strictly
    worse."""
    best, *others = candidates
    if not best.exhaustive:
        return Uniqueness(NOT_PROVED, NOT_PROVED, "candidates other than these were not looked at")
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


def _players(
    answer: Answer, z: np.ndarray, residual: np.ndarray, behaviour: dict[str, Conduct]
) -> tuple[list[Check], list[str | None]]:
    """A check for every player, and the proofs that their own problems are convex."""
    game, mcp = answer.game, answer.mcp
    columns = members(mcp.player, len(game.players))
    owns = [mine[mcp.kind[mine] == DECISION] for mine in columns]
    everybody = float(np.abs([*z[mcp.kind == DECISION], *current(game.ahead)]).max(initial=0.0))
    # Who does nothing is off by rounding of what the others do.
    sizes = np.array([max(float(np.abs(z[own]).max(initial=0.0)), 1e-5 * everybody) for own in owns])
    common: list[dict[str, Any]] = [
        dict(
            name=player.name,
            kind="player",
            size=float(sizes[i]),
            residual=float(residual[columns[i]].max(initial=0.0)),
            infeasibility=infeasibility(player),
            moves=behaviour[player.name].moves,
            takes=behaviour[player.name].takes,
        )
        for i, player in enumerate(game.players)
    ]
    charges = deviation.charges(mcp, game.players, z)
    which = answer.branched
    whole = None if which is not None else together.examine(mcp, game.players, z, sizes, charges)
    checks: list[Check] = []
    for i, player in enumerate(game.players):
        if i == which:
            checks.append(_against_candidates(answer, player, owns[i], z, common[i]))
            continue
        d = whole[i] if whole else deviation.examine(mcp, player, columns[i], z, float(sizes[i]), charges[i])
        checks.append(
            Check(regret=d.regret, bill=d.bill, distance=d.distance, proof=d.proof or "", note=d.note, **common[i])
        )
    return checks, [check.proof or None for check in checks]


def _against_candidates(
    answer: Answer, player: Player, own: np.ndarray, z: np.ndarray, common: dict[str, Any]
) -> Check:
    best = answer.candidates[0]
    here = float(pyo.value(player.objective.expr))
    regret = (best.payoff - here) * (-player.sign)
    ties = [c for c in answer.candidates if abs(c.payoff - best.payoff) <= REGRET * max(abs(best.payoff), 1e-300)]
    distances = [max(abs(z[k] - c.values[answer.mcp.names[k]]) for k in own) for c in ties]
    bill = max(abs(best.payoff), 1e-300)
    return Check(
        regret=regret,
        bill=bill,
        distance=min(distances),
        proof=best.proof,
        note="" if len(ties) == 1 else f"{len(ties)} branches give the same payoff",
        **common,
    )


def second_opinion(answer: Answer, certificate: Certificate) -> Certificate:
    """The certificate after SCIP was asked about a player solved by branches; unchanged where SCIP is not installed.

    Asked for answers that are reported, not in every solve: spatial branch and bound may take seconds.
    """
    if not answer.candidates or not scip.available():
        return certificate
    which = answer.branched
    assert which is not None
    checks = list(certificate.checks)
    check = checks[which]
    better, word = _ask_scip(answer.game.players[which], check.bill)
    checks[which] = replace(check, regret=max(check.regret, better), note="; ".join(filter(None, (check.note, word))))
    proofs = [check.proof or None for check in checks if check.kind == "player"]
    verdict, scope = _verdict(answer, checks, proofs)
    return replace(certificate, verdict=verdict, scope=scope, checks=tuple(checks))


def _ask_scip(player: Player, bill: float) -> tuple[float, str]:
    """(what SCIP finds beyond the answer, its word)."""
    found = scip.minimum(player, player_box(player))
    if found is None:
        return 0.0, "SCIP did not finish"
    incumbent, bound = found
    here = player.sign * float(pyo.value(player.objective.expr))
    prices = stated.gradient(player.objective.expr, list(player.decisions))
    slack = scip.AGREES * (bill + sum(map(abs, prices)))  # it may break a limit by 1e-6 and gain the price of that
    if incumbent < here - slack:
        return here - incumbent, "SCIP found a better answer"
    return 0.0, "confirmed by SCIP within its tolerance" if bound >= here - slack else "SCIP did not confirm it"


def _outside(game: Game, mcp: MixedComplementarity, residuals: np.ndarray) -> Check | None:
    """Clearing pairs, equality rows and shared constraints, evaluated by Pyomo on the plain model."""
    columns = np.flatnonzero(mcp.player < 0)
    if not columns.size:
        return None
    rows = max((violation(row) for row in (*game.equations, *game.shared)), default=0.0)
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
