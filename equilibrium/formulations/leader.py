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
from ..led import Led, Optimum, distinct
from ..reactions import answer, reactions, response_kind, told
from ..tolerances import FEASIBLE, REGRET
from . import disjunctions, homotopy, regimes, tracing
from .own_limits import narrowed
from .ties import OPTIMISTIC, PESSIMISTIC, answer_in, break_ties, check_ties

FEW = 3
"""With at most so many decisions, less the equalities among them, all regimes are looked for."""

STRICT = 1e-9
"""A payoff whose slope changes by less than this part over the range of decisions may be flat: rounding looks alike."""

SOME = 50
"""More combinations of whole numbers than this are first branched on together with the followers' pairs."""

WHOLE = 2000
"""At most so many combinations of whole numbers are tried one by one."""


class Unsettled(Exception):
    """A route found something but cannot vouch for it."""


NOT_HERE = (regimes.NotAFunction, Unsettled, tracing.NotSeparable, disjunctions.NotLinear, Refused)
"""A route does not apply, or found nothing: the next one is tried."""


def solve(problem: LeaderProblem, formulation: str | None = None, ties: str = OPTIMISTIC) -> Led:
    """The best decision found, with what is proved about it. ties: which way the followers break them, one of TIES.

    Raises Infeasible, Refused.
    """
    check_ties(ties)
    began = time.perf_counter()
    smaller, columns, values = narrowed(problem)
    if len(columns) == problem.count:
        found = _only(smaller)
    else:
        found = (_whole if smaller.whole.any() else _continuous)(smaller, formulation, ties)
    if found.reactions is None:
        found = _with_ties(smaller, found)
    return replace(found.beside(columns, values), seconds=time.perf_counter() - began)


def _only(problem: LeaderProblem) -> Led:
    """A leader whose limits leave it one decision. Raises Infeasible where the followers have no answer to it."""
    nothing = np.zeros(0)
    z = answer(problem.reaction.at(nothing))
    if z is None:
        raise Infeasible(f"the followers have no answer to the only decision that {problem.player.name}'s limits leave")
    if (problem.excess(z) > FEASIBLE).any():
        raise Infeasible(
            f"{problem.player.name}'s own limits leave it one decision, and the followers' answer to it breaks its "
            f"constraints ({', '.join(dict.fromkeys(problem.row_names))})"
        )
    cost = problem.cost(z)
    return Led(
        nothing, z, cost, cost, "fixed", "its limits leave one decision", (Optimum(nothing, cost),), 1, unique=True
    )


def _with_ties(problem: LeaderProblem, found: Led) -> Led:
    """What ties of the followers do at the decision found, where their answers form a convex set."""
    kind = response_kind(problem)
    if kind.settled or not kind.single:
        return found
    spread = reactions(problem, found.x, found.z)
    note = told(problem, spread)
    return replace(found, reactions=spread, notes=(*found.notes, *([note] if note else [])))


def _whole(problem: LeaderProblem, formulation: str | None, ties: str) -> Led:
    """Whole-numbered decisions: in one programme where the followers are separate markets, else, where they are many,
    by branching on them together with the followers' pairs, else one combination at a time."""
    if formulation in (None, "tracing") and (ties != PESSIMISTIC or response_kind(problem).settled):
        try:
            traced = tracing.solve(problem)
        except tracing.NotSeparable:
            traced = None
        if traced is not None and traced.proved:
            return traced
    count = _combinations(problem)
    if count > SOME and formulation in (None, "disjunctions") and ties == OPTIMISTIC:
        try:
            found = disjunctions.solve(problem)
        except (disjunctions.NotLinear, Refused):
            pass
        else:
            if found.proved or count > WHOLE:
                return found
    return _one_by_one(problem, formulation, ties)


def _combinations(problem: LeaderProblem) -> float:
    low, up = _whole_range(problem)
    return float(np.prod(up - low + 1))


def _whole_range(problem: LeaderProblem) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest whole numbers that are possible, by whole-numbered decision."""
    return np.ceil(problem.lower[problem.whole] - 1e-9), np.floor(problem.upper[problem.whole] + 1e-9)


def _one_by_one(problem: LeaderProblem, formulation: str | None, ties: str) -> Led:
    columns = np.flatnonzero(problem.whole)
    low, up = _whole_range(problem)
    count = _combinations(problem)
    if not count <= WHOLE:
        raise Refused(
            f"{problem.player.name} decides whole numbers with {count:g} combinations; at most {WHOLE} are tried one "
            "by one. Give them tighter bounds"
        )
    best: Led | None = None
    bound, reasons = np.inf, []
    for values in product(*(np.arange(a, b + 1) for a, b in zip(low, up, strict=True))):
        try:
            found = _continuous(problem.hold(np.array(values), columns), formulation, ties)
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


def _continuous(problem: LeaderProblem, formulation: str | None, ties: str) -> Led:
    """The first route that proves its answer, else the best of what they found. ``formulation``: only that route."""
    moving = _freedom(problem)
    routes = {
        "regimes": lambda: _by_regimes(problem, ties),
        "tracing": lambda: tracing.solve(problem),
        "disjunctions": lambda: disjunctions.solve(problem),
        "homotopy": lambda: homotopy.solve(problem),
    }
    if formulation in routes:
        routes = {formulation: routes[formulation]}
    elif moving > FEW:
        del routes["regimes"]
    found: list[Led] = []
    reasons = []
    for name, route in routes.items():
        if name != "regimes" and ties == PESSIMISTIC and not response_kind(problem).settled:
            reasons.append(f"{name} breaks ties in the leader's favour")
            continue
        try:
            found.append(route())
        except NOT_HERE as error:
            reasons.append(f"{name}: {error}")
        if found and found[-1].proved:
            break
    if not found:
        raise Refused(f"no route found a decision of {problem.player.name}: {'; '.join(reasons)}")
    best = min(found, key=lambda led: led.cost)
    bound = max(led.bound for led in found)
    return replace(best, bound=min(bound, best.cost))


def _freedom(problem: LeaderProblem) -> int:
    """How many of the leader's decisions are left open by its bounds and by equalities among them alone."""
    moving = problem.lower < problem.upper
    table, low, up = regimes.own_rows(problem)
    equal = table[low == up][:, moving]
    return int(moving.sum()) - (int(np.linalg.matrix_rank(equal)) if equal.size else 0)


def _by_regimes(problem: LeaderProblem, ties: str) -> Led:
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
    x, spread, attained, proved = best.found.x, None, True, found.complete
    notes: tuple[str, ...] = ()
    if kind.settled:
        z = answer_in(problem, best, x)
    else:
        broken = break_ties(problem, solved, best, ties)
        x, z, spread, attained = broken.x, broken.z, broken.spread, broken.attained
        proved = proved and broken.judged
        notes = (broken.note,) if broken.note else ()
    cost = problem.cost(np.concatenate([x, z]))
    bound = min(cost, _cost(best)) if proved else -np.inf
    reason = f"{found.reason} {'cover all its decisions' if found.complete else '(not all)'}; {kind.reason}"
    optima = distinct([Optimum(r.found.x, _cost(r)) for r in solved if r.local])  # type: ignore[union-attr, arg-type]
    alone = found.complete and _alone(problem, solved, x, cost)
    return Led(x, z, cost, bound, "regimes", reason, optima, len(found.regimes), 0.0, spread, alone, attained, notes)


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
        width = np.where(np.isfinite(problem.upper - problem.lower), problem.upper - problem.lower, np.abs(x))[moving]
        span = max(float(width.max()), 1e-300)
        slope = max(float(np.abs(regime.reduced[1][moving]).max()), span * float(np.abs(curved).max()), 1e-300)
        strict = span * float(np.linalg.eigvalsh(curved)[0]) > STRICT * slope
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
