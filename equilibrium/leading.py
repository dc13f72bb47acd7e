"""Leaders over followers: every leader's best decision given the other leaders', and the certificate of the answer.

With several leaders each in turn decides again, with the others' decisions held and all followers reacting, until
nobody moves or an earlier profile returns; rounds that approach a profile at a steady rate are accelerated. The
certificate looks at the model as it was stated: the followers' answer is certified like any game; a leader's payoff
is evaluated by Pyomo, compared with the best decision known and with
seeded deviations after which the followers are solved again; its stationarity is computed from the problem's own
arrays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import leader_branches, leaders_start, smooth_turns, stated
from .acceleration import Anderson
from .behaviour import Conduct
from .branches import Branch
from .concavity import refuse_concave
from .conditions import NotAffine, affine
from .errors import Refused
from .feasibility import infeasibility
from .formulations import leader
from .formulations.nonlinear_leader import NO_SLOPE, solve_nonlinear
from .formulations.regimes import own_rows
from .hierarchy import Hierarchy, LeaderForm, LeaderProblem, current, leader_form
from .kkt import nonlinear
from .led import Led
from .mcp import MixedComplementarity
from .players import Game
from .reactions import answer
from .solvers.outcome import Outcome, Termination
from .stationarity import Stationarity, examine
from .tolerances import FEASIBLE, REGRET
from .trials import limits_of, linear_limits, towards_corners

ROUNDS = 200
"""Most turns of several leaders."""

SAMPLES, FEW = 24, 6
"""Seeded deviations of each leader that the certificate tries; few where the followers are many or not affine."""


@dataclass(frozen=True)
class Leading:
    """The leaders' side of an answer: order of moves, followers' conditions with the leaders' decisions as symbols, and
    what each leader's last search found.

    forms: the leaders' problems as stated, none where the followers or a leader are not affine; gap: the largest gain
    (relative to the payoff) a leader still had in the last round; profiles: the decisions of the rounds of a cycle,
    empty where there is none.
    """

    game: Game
    hierarchy: Hierarchy
    reaction: MixedComplementarity | None  # None where the followers or a leader are not affine
    led: tuple[Led, ...]
    forms: tuple[LeaderForm, ...] = ()
    gap: float = 0.0
    profiles: tuple[np.ndarray, ...] = ()

    def problem(self, which: int, x: np.ndarray) -> LeaderProblem:
        """The problem of one leader, the others' decisions at x."""
        assert self.reaction is not None
        return self.forms[which].at(x)

    def at(self, x: np.ndarray) -> MixedComplementarity:
        """The followers' conditions once the leaders have decided x."""
        return nonlinear(self.hierarchy.followers, x) if self.reaction is None else self.reaction.at(x)


def decide(
    game: Game, hierarchy: Hierarchy, formulation: str | None, ties: str, branches: Sequence[Branch] = ()
) -> tuple[np.ndarray, np.ndarray, Leading, Outcome]:
    """(the leaders' decisions, the followers' answer, what was found, outcome). branches: of one leader over affine
    followers whose payoff is not concave."""
    began = time.perf_counter()
    x = current(hierarchy.x)
    read = _affine(hierarchy)
    if read is None:
        return _smooth(game, hierarchy, formulation, x, began)
    reaction, forms = read
    if len(hierarchy.leaders) == 1:
        problem = forms[0].at(x)
        if branches and formulation is None:
            led = leader_branches.solve(problem, hierarchy, branches, ties)
        else:
            led = leader.solve(problem, formulation, ties)
        found = Leading(game, hierarchy, reaction, (led,), forms)
        return led.x, led.z, found, _outcome(Termination.SOLVED, led.reason, began, led.starts)
    return _turns(game, hierarchy, reaction, forms, formulation, ties, x, began)


def _affine(hierarchy: Hierarchy) -> tuple[MixedComplementarity, tuple[LeaderForm, ...]] | None:
    """The followers' affine conditions and the leaders' problems, or None where they, a leader's payoff or its limits
    are of another kind."""
    try:
        reaction = affine(hierarchy.followers)
        forms = tuple(leader_form(hierarchy, which, reaction) for which in range(len(hierarchy.leaders)))
    except NotAffine:
        return None
    refuse_concave(hierarchy.followers, reaction)
    return reaction, forms


def _smooth(
    game: Game, hierarchy: Hierarchy, formulation: str | None, x: np.ndarray, began: float
) -> tuple[np.ndarray, np.ndarray, Leading, Outcome]:
    """Leaders with nonlinear parts: locally, from several starts."""
    if formulation not in (None, "leader", "homotopy"):
        raise Refused(f"the formulation '{formulation}' needs affine followers and a quadratic payoff")
    try:
        if len(hierarchy.leaders) > 1:
            return _smooth_turns(game, hierarchy, x, began)
        led, _ = solve_nonlinear(hierarchy, 0, x)
    except ArithmeticError as error:
        raise Refused(NO_SLOPE) from error
    return (
        led.x,
        led.z,
        Leading(game, hierarchy, None, (led,)),
        _outcome(Termination.SOLVED, led.reason, began, led.starts),
    )


def _smooth_turns(
    game: Game, hierarchy: Hierarchy, x: np.ndarray, began: float
) -> tuple[np.ndarray, np.ndarray, Leading, Outcome]:
    """Several leaders with nonlinear parts: locally, in turn. SOLVED where they settle, LIMIT otherwise."""
    ended = smooth_turns.settle(hierarchy, x)
    if ended.done:
        message = f"leaders in turn: nobody moved in round {ended.rounds}, last move {ended.gap:.1e}"
    else:
        message = f"undecided: leaders in turn did not settle in {ended.rounds} rounds, last move {ended.gap:.1e}"
    outcome = _outcome(
        Termination.SOLVED if ended.done else Termination.LIMIT,
        f"{message}; {ended.led[0].reason}",
        began,
        ended.rounds,
    )
    return ended.x, ended.led[-1].z, Leading(game, hierarchy, None, ended.led, gap=np.inf), outcome


def _turns(
    game: Game,
    hierarchy: Hierarchy,
    reaction: MixedComplementarity,
    forms: tuple[LeaderForm, ...],
    formulation: str | None,
    ties: str,
    x: np.ndarray,
    began: float,
) -> tuple[np.ndarray, np.ndarray, Leading, Outcome]:
    """Leaders in turn. SOLVED where a round moves nobody, CYCLING where an earlier profile returns, LIMIT otherwise."""
    x = leaders_start.begin(forms, x).copy()
    seen = [x.copy()]
    memory, whole = Anderson(), np.array([not v.is_continuous() for v in hierarchy.x])
    found: list[Led] = []
    gap, termination, message, cycle = np.inf, Termination.LIMIT, "", seen[:0]
    for count in range(1, ROUNDS + 1):
        before, found, gap = x.copy(), [], 0.0
        for which, own in enumerate(hierarchy.parts):
            problem = forms[which].at(x)
            led = leader.solve(problem, formulation, ties)
            gap = max(gap, _gain(problem, x[own], led))
            x[own] = led.x
            found.append(led)
        size = max(float(np.abs(x).max(initial=0.0)), 1e-300)
        if np.abs(x - before).max(initial=0.0) <= 1e-11 * size:
            termination = Termination.SOLVED
            message = f"leaders in turn: nobody moved in round {count}, best-response gap {gap:.1e}; {found[0].reason}"
            break
        near = [k for k, old in enumerate(seen) if np.abs(old - x).max() <= 1e-9 * size]
        if near and np.abs(x - before).max() > 1e-6 * size:
            cycle = seen[near[-1] :]
            termination = Termination.CYCLING
            message = f"leaders in turn: round {count} returns to round {near[-1]}; {_ranges(hierarchy, cycle)}"
            break
        seen.append(x.copy())
        ahead = memory.after(before, x)
        if ahead is not None:
            ahead[whole] = x[whole]
            if _allowed(forms, ahead):
                x, seen = ahead, [ahead.copy()]
    if termination is Termination.LIMIT:
        message = f"undecided: leaders in turn did not settle in {ROUNDS} rounds, best-response gap {gap:.1e}"
    z = found[-1].z
    result = Leading(game, hierarchy, reaction, tuple(found), forms, gap, tuple(cycle))
    return x, z, result, _outcome(termination, message, began, count)


def _allowed(forms: tuple[LeaderForm, ...], x: np.ndarray) -> bool:
    """Whether every leader's bounds and its limits on its own decisions hold at x (moved onto bounds just missed)."""
    for form in forms:
        own, problem = form.own, form.at(x)
        inside = np.clip(x[own], problem.lower, problem.upper)
        if np.abs(inside - x[own]).max(initial=0.0) > FEASIBLE * max(float(np.abs(x).max()), 1e-300):
            return False
        x[own] = inside
        table, low, up = own_rows(problem)
        size = np.abs(table) @ np.abs(inside) + 1e-300
        if (np.maximum(low - table @ inside, table @ inside - up) > FEASIBLE * size).any():
            return False
    return True


def _ranges(hierarchy: Hierarchy, cycle: list[np.ndarray]) -> str:
    """The range of every decision over a cycle, in words (the first few)."""
    low, up = np.min(cycle, axis=0), np.max(cycle, axis=0)
    told = [f"{v.name} from {a:.6g} to {b:.6g}" for v, a, b in zip(hierarchy.x, low, up, strict=True) if b > a]
    return ", ".join(told[:6]) + (" ..." if len(told) > 6 else "")


def _gain(problem: LeaderProblem, x: np.ndarray, led: Led) -> float:
    """What the leader gains by its answer, relative to its payoff; infinite where the followers were not solved."""
    z = answer(problem.reaction.at(x))
    if z is None:
        return np.inf
    return (problem.cost(np.concatenate([x, z])) - led.cost) / max(abs(led.cost), 1e-300)


def _outcome(termination: Termination, message: str, began: float, count: int) -> Outcome:
    return Outcome(termination, message, time.perf_counter() - began, "leaders in turn", iterations=count)


# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """One leader's measures (see ``certificate.Check``), its stationarity, and its conduct."""

    measures: dict[str, Any]
    stationarity: Stationarity
    proved: bool


def examine_leader(found: Leading, which: int, behaviour: Conduct) -> Verdict:
    """Examine leader ``which`` at the values the model's Vars have now."""
    player = found.hierarchy.leaders[which]
    own = found.hierarchy.parts[which]
    led = found.led[which]
    x = current(found.hierarchy.x)
    if found.reaction is None:
        return _examine_smooth(found, which, behaviour, x)
    problem = found.problem(which, x)
    z = np.array([0.0 if isinstance(c, tuple) else float(c.value) for c in found.reaction.components])
    z = _with_multipliers(problem, x[own], z, led)
    here = player.sign * stated.number(player.objective.expr)
    bill = max(abs(here), abs(led.cost), 1e-300)
    better, tried = _deviations(found, which, x, here)
    kind = examine(problem.hold(x[own][problem.whole], np.flatnonzero(problem.whole)), x[own], z)
    ties = [o for o in led.optima if o.cost - led.cost <= REGRET * bill] or [leader.Optimum(led.x, led.cost)]
    distance = min(float(np.abs(x[own] - o.x).max(initial=0.0)) for o in [*ties, leader.Optimum(led.x, led.cost)])
    regret = max(here - led.cost, better)
    note = "; ".join([f"{kind.word}-stationary" if kind.word != "none" else "not stationary", *led.notes])
    if better > max(REGRET * bill, here - led.cost):
        note = f"a better decision was found by sampling; {note}"
    residual = kind.descent if not np.isnan(kind.descent) else max(0.0, better) / bill
    rivals = {v.name for v in found.hierarchy.x}
    off = abs(problem.cost(np.concatenate([x[own], z])) - here) / max(bill, _turnover(problem, x[own], z))
    measures = dict(
        name=player.name,
        kind="player",
        regret=regret,
        bill=bill,
        distance=distance,
        size=max(float(np.abs(x[own]).max(initial=0.0)), 1e-5 * float(np.abs(z).max(initial=0.0)), 1e-300),
        residual=max(residual, off),
        infeasibility=infeasibility(player),
        proof=f"{led.route}: {led.reason} ({_tried(better, bill, tried)})",
        note=note,
        moves=tuple(dict.fromkeys([*behaviour.moves, *(name for name in behaviour.takes if name not in rivals)])),
        takes=tuple(name for name in behaviour.takes if name in rivals),
    )
    return Verdict(measures, kind, led.proved)


def told(found: Leading, which: int) -> dict[str, Any]:
    """What a leader's search found, payoffs in its own sense (see ``Solution.leaders``)."""
    player, led = found.hierarchy.leaders[which], found.led[which]
    sense, word = player.sign, "not classified"
    if found.reaction is not None:
        x = current(found.hierarchy.x)
        problem = found.problem(which, x)
        word = examine(problem.hold(led.x[problem.whole], np.flatnonzero(problem.whole)), led.x, led.z).word
    worst = led.cost if led.reactions is None else led.reactions.most
    return {
        "leader": player.name,
        "payoff": sense * led.cost,
        "bound": sense * led.bound,
        "against": sense * worst,
        "stationarity": word,
        "route": led.route,
        "starts": led.starts,
        "optima": len(led.optima),
    }


def _examine_smooth(found: Leading, which: int, behaviour: Conduct, x: np.ndarray) -> Verdict:
    """The measures of a leader with nonlinear parts: against what was found, and against small deviations."""
    player, led = found.hierarchy.leaders[which], found.led[which]
    own = found.hierarchy.parts[which]
    rivals = {v.name for v in found.hierarchy.x} - {v.name for v in player.decisions}
    here = player.sign * stated.number(player.objective.expr)
    bill = max(abs(here), abs(led.cost), 1e-300)
    better, tried = _deviations(found, which, x, here)
    ties = (*led.optima[:1], leader.Optimum(led.x, led.cost))
    distance = min(float(np.abs(x[own] - o.x).max(initial=0.0)) for o in ties)
    measures = dict(
        name=player.name,
        kind="player",
        regret=max(here - led.cost, better),
        bill=bill,
        distance=distance,
        size=max(float(np.abs(x[own]).max(initial=0.0)), 1e-300),
        residual=max(0.0, better) / bill,
        infeasibility=infeasibility(player),
        proof=f"{led.route}: {led.reason} ({_tried(better, bill, tried)})",
        note="; ".join(led.notes),
        moves=tuple(dict.fromkeys([*behaviour.moves, *(name for name in behaviour.takes if name not in rivals)])),
        takes=tuple(name for name in behaviour.takes if name in rivals),
    )
    return Verdict(measures, Stationarity("not classified", np.nan, 0), False)


def _turnover(problem: LeaderProblem, x: np.ndarray, z: np.ndarray) -> float:
    v = np.abs(np.concatenate([x, z]))
    return float(0.5 * v @ np.abs(problem.cost.hessian) @ v + np.abs(problem.cost.gradient) @ v)


def _with_multipliers(problem: LeaderProblem, x: np.ndarray, z: np.ndarray, led: Led) -> np.ndarray:
    """The followers' columns at the Vars' values, with the multipliers of a fresh solution at x."""
    held = np.array([isinstance(c, tuple) for c in problem.reaction.components])
    z = z.copy()
    z[held] = led.z[held]
    reaction = problem.reaction.at(x)
    if reaction.error(z) <= 1e-9:
        return z
    fresh = answer(reaction)
    if fresh is not None:
        z[held] = fresh[held]
    return z


def _tried(better: float, bill: float, judged: int) -> str:
    """What the seeded deviations showed, in words."""
    if not judged:
        return "no deviation could be tried"
    gain = "gain nothing" if better <= REGRET * bill else f"gain up to {better:.1e}"
    return f"{judged} deviations within its limits, with the followers solved again, {gain}"


def _deviations(found: Leading, which: int, x: np.ndarray, here: float) -> tuple[float, int]:
    """(the largest gain of the leader over seeded deviations, how many could be judged); the followers answer each."""
    player, own = found.hierarchy.leaders[which], found.hierarchy.parts[which]
    if all(v.lb is not None and v.lb == v.ub for v in player.decisions):
        return 0.0, 0
    base = found.at(x)
    columns = [(k, c) for k, c in enumerate(base.components) if not isinstance(c, tuple)]
    before = [c.value for _, c in columns]
    best, judged = -np.inf, 0
    affine = found.reaction is not None
    count = SAMPLES if affine and base.size <= 300 else FEW
    limits = limits_of(found.problem(which, x)) if affine else linear_limits(player)
    trials = towards_corners(limits, x[own], count)
    try:
        for trial in trials:
            everybody = x.copy()
            everybody[own] = trial
            z = answer(found.at(everybody))
            if z is None:
                continue
            for variable, value in zip(player.decisions, trial, strict=True):
                variable.set_value(float(value), skip_validation=True)
            for k, variable in columns:
                variable.set_value(float(z[k]), skip_validation=True)
            if infeasibility(player) > FEASIBLE:
                continue
            judged += 1
            best = max(best, here - player.sign * stated.number(player.objective.expr))
    finally:
        for variable, value in zip(player.decisions, x[own], strict=True):
            variable.set_value(float(value), skip_validation=True)
        for (_, variable), value in zip(columns, before, strict=True):
            variable.set_value(value, skip_validation=True)
    return (best if judged else 0.0), judged
