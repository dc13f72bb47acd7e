"""One leader over followers who react: which routes apply, and the best answer they give.

* regimes: the reaction is affine piece by piece; all pieces are found and the leader's problem solved in each (exact).
* tracing: the followers fall into separate markets, each reached through one number; bounded by HiGHS (exact).
* disjunctions: where the leader's payoff is linear once the followers' conditions are used (HiGHS, audited big-M).
* homotopy: Ipopt from several starts, polished and re-checked; local.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import numpy as np

from ..errors import Infeasible, Refused
from ..hierarchy import LeaderProblem
from ..led import Led, Optimum
from ..reactions import Reactions, reactions, response_kind
from ..solvers import newton
from ..tolerances import CONVEX, FEASIBLE, REGRET
from . import regimes, tracing

FEW = 3
"""With at most so many decisions all regimes are looked for."""

WHOLE = 2000
"""At most so many combinations of whole numbers are tried one by one."""


def solve(problem: LeaderProblem, formulation: str | None = None) -> Led:
    """The best decision found, with what is proved about it. Raises Infeasible, Refused."""
    began = time.perf_counter()
    found = _whole(problem, formulation) if problem.whole.any() else _continuous(problem, formulation)
    if found.reactions is None:
        found = _with_ties(problem, found)
    return replace(found, seconds=time.perf_counter() - began)


def _with_ties(problem: LeaderProblem, found: Led) -> Led:
    """What ties of the followers do at the decision found, where their answers form a convex set."""
    kind = response_kind(problem)
    if kind.settled or not kind.single:
        return found
    spread = reactions(problem, found.x, found.z)
    if spread.settled:
        return replace(found, reactions=spread)
    sense = problem.player.sign
    note = (
        f"the followers' answer to this decision is not unique; {problem.player.name} gets from "
        f"{sense * spread.most:.10g} to {sense * spread.least:.10g} as they break ties"
    )
    return replace(found, reactions=spread, notes=(*found.notes, note))


def _whole(problem: LeaderProblem, formulation: str | None) -> Led:
    """Whole-numbered decisions one combination at a time."""
    columns = np.flatnonzero(problem.whole)
    low, up = np.ceil(problem.lower[columns] - 1e-9), np.floor(problem.upper[columns] + 1e-9)
    count = float(np.prod(up - low + 1))
    if not count <= WHOLE:
        raise Refused(
            f"{problem.player.name} decides whole numbers with {count:g} combinations; at most {WHOLE} are tried one "
            "by one. Give them tighter bounds"
        )
    best: Led | None = None
    bound, reasons = np.inf, []
    for values in product(*(np.arange(a, b + 1) for a, b in zip(low, up, strict=True))):
        try:
            found = _continuous(problem.hold(np.array(values), columns), formulation)
        except Infeasible as error:
            reasons.append(str(error))
            continue
        bound = min(bound, found.bound)
        if best is None or found.cost < best.cost:
            best = found
    if best is None:
        raise Infeasible(
            f"none of the {count:g} whole-numbered decisions of {problem.player.name} is possible: {reasons[0]}"
        )
    return replace(best, bound=bound, reason=f"{best.reason}, for each of {count:g} combinations of whole numbers")


def _continuous(problem: LeaderProblem, formulation: str | None) -> Led:
    moving = int((problem.lower < problem.upper).sum())
    tried = ""
    if formulation == "regimes" or (formulation in (None, "leader") and moving <= FEW):
        try:
            return _by_regimes(problem)
        except (regimes.NotAFunction, Unsettled) as error:
            if formulation == "regimes":
                raise Refused(f"regimes do not apply: {error}") from error
            tried = str(error)
    if formulation in (None, "leader", "tracing"):
        try:
            return tracing.solve(problem)
        except tracing.NotSeparable as error:
            if formulation == "tracing":
                raise Refused(f"tracing does not apply: {error}") from error
            tried = "; ".join(filter(None, (tried, str(error))))
    raise Refused(f"no other route yet: {tried}")


class Unsettled(Exception):
    """A route found something but cannot vouch for it."""


def _by_regimes(problem: LeaderProblem) -> Led:
    kind = response_kind(problem)
    if not kind.single:
        raise Unsettled(f"the followers may have several separate answers ({kind.reason})")
    if not kind.settled and problem.count > 1:
        raise Unsettled("the followers' reaction may jump, and ties along a facet were not examined")
    found = regimes.explore(problem)
    solved = [r for r in found.regimes if r.found is not None and r.found.x is not None]
    if any(r.found is not None and r.found.termination.name == "UNBOUNDED" for r in found.regimes):
        raise Infeasible(f"{problem.player.name} can gain without limit; look for a missing bound on its decisions")
    if not solved:
        _nothing(problem, found)
    best = min(solved, key=_cost)
    assert best.found is not None and best.found.x is not None
    x = best.found.x
    z = _answer(problem, best, x)
    spread = None
    notes: list[str] = []
    if not kind.settled:
        x, z, spread, notes = _ties(problem, solved, best, x, z)
    cost = problem.cost(np.concatenate([x, z]))
    bound = min(cost, _cost(best)) if found.complete else -np.inf
    reason = f"{found.reason} {'cover all its decisions' if found.complete else '(not all)'}; {kind.reason}"
    optima = _distinct([Optimum(r.found.x, _cost(r)) for r in solved if r.local])  # type: ignore[union-attr, arg-type]
    alone = found.complete and _alone(problem, solved, x, cost)
    return Led(x, z, cost, bound, "regimes", reason, optima, len(found.regimes), 0.0, spread, alone, tuple(notes))


def _alone(problem: LeaderProblem, solved: list[regimes.Regime], x: np.ndarray, cost: float) -> bool:
    """Whether no regime has another point that costs no more than x."""
    moving = problem.lower < problem.upper
    for regime in solved:
        if _cost(regime) > cost + REGRET * abs(cost):
            continue
        assert regime.found is not None and regime.found.x is not None
        curved = regime.reduced[0][np.ix_(moving, moving)]
        if not curved.size:
            continue
        strict = float(np.linalg.eigvalsh(curved)[0]) > CONVEX * max(float(np.abs(curved).max()), 1e-300)
        steep = problem.count == 1 and abs(regime.slope(x)[0]) > 1e-9 * max(abs(regime.reduced[1][0]), 1e-300)
        if not (strict or steep) or not np.allclose(regime.found.x, x, rtol=1e-7, atol=1e-9):
            return False
    return True


def _cost(regime: regimes.Regime) -> float:
    assert regime.found is not None and regime.found.x is not None
    return regime.cost(regime.found.x)


def _nothing(problem: LeaderProblem, found: regimes.Exploration) -> None:
    if not found.complete:
        raise Refused(f"no decision of {problem.player.name} was found that its own constraints allow: {found.reason}")
    if not found.regimes:
        raise Infeasible(
            f"no decision of {problem.player.name} satisfies its limits and leaves the followers an answer"
        )
    names = ", ".join(dict.fromkeys(problem.row_names))
    raise Infeasible(
        f"whatever {problem.player.name} decides, the followers' answer breaks its own constraints ({names}); they are "
        "tested on that answer, not moved into the followers' problems"
    )


def _answer(problem: LeaderProblem, regime: regimes.Regime, x: np.ndarray) -> np.ndarray:
    z = np.clip(regime.response @ x + regime.offset, problem.reaction.lower, problem.reaction.upper)
    reaction = problem.reaction.at(x)
    return z if reaction.error(z) <= 1e-13 else newton.polish(reaction, z)


def _ties(
    problem: LeaderProblem, solved: list[regimes.Regime], best: regimes.Regime, x: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Reactions, list[str]]:
    """With one decision: the followers' ties at every end of a regime, for something better than any limit."""
    limit, notes = _cost(best), []
    spread = reactions(problem, x, z)
    ends = {x[0]: z}
    for regime in solved:
        with np.errstate(divide="ignore", invalid="ignore"):
            at = regime.limit / regime.table[:, 0]
        for end in (*at[np.isfinite(at)], problem.lower[0], problem.upper[0]):
            inside = (regime.table[:, 0] * end <= regime.limit + 1e-9 * (1 + np.abs(regime.limit))).all()
            if inside and problem.lower[0] <= end <= problem.upper[0]:
                ends.setdefault(end, _answer(problem, regime, np.array([end])))
    for end, answer in ends.items():
        found = reactions(problem, np.array([end]), answer)
        if np.isneginf(found.least):
            names = ", ".join(name for name, a, b in found.ranges if not np.isfinite(b - a))
            raise Infeasible(
                f"{problem.player.name} can gain without limit: at its decision {end:.6g} the followers leave {names} "
                "open; look for a missing price cap, value of lost load or slope of demand"
            )
        allowed = not problem.excess(np.concatenate([[end], found.best])).max(initial=0.0) > FEASIBLE
        if allowed and found.least < min(spread.least, limit) - REGRET * abs(limit):
            x, z, spread = np.array([end]), found.best, found
    if not spread.settled:
        sense = problem.player.sign
        if spread.least <= limit + REGRET * abs(limit):
            z = spread.best
        notes.append(
            f"the followers' answer to this decision is not unique; {problem.player.name} gets from "
            f"{sense * spread.most:.10g} to {sense * spread.least:.10g} as they break ties. If ties go against it, the "
            f"value {sense * limit:.10g} is approached but not reached by any decision"
        )
    return x, z, spread, notes


def _distinct(optima: list[Optimum]) -> tuple[Optimum, ...]:
    kept: list[Optimum] = []
    for optimum in sorted(optima, key=lambda o: o.cost):
        if not any(np.allclose(optimum.x, other.x, rtol=1e-6, atol=1e-9) for other in kept):
            kept.append(optimum)
    return tuple(kept)
