"""One decision of a leader, and followers who may answer in several ways: which way do ties go?

Optimistic: they go the leader's way. Pessimistic: against it. At all but the ends of regimes the answer is unique, so
both values have the same limits; they differ at the ends. A pessimistic optimum need not exist: its value may be
approached by decisions near an end and be reached by none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import Infeasible, Refused
from ..hierarchy import LeaderProblem
from ..reactions import Reactions, reactions, told
from ..solvers import newton
from ..tolerances import REGRET
from .regimes import Regime

OPTIMISTIC, PESSIMISTIC = "optimistic", "pessimistic"
TIES = (OPTIMISTIC, PESSIMISTIC)


@dataclass(frozen=True)
class Broken:
    """The decision, the followers' answer to it, the range over ties, whether its value is reached, whether all ends
    could be judged, and what to tell."""

    x: np.ndarray
    z: np.ndarray
    spread: Reactions
    attained: bool
    judged: bool
    note: str


def break_ties(problem: LeaderProblem, solved: list[Regime], best: Regime, ties: str) -> Broken:
    """The leader's best decision once ties go one way or the other; ``best`` is the regime with the best limit.

    Raises Infeasible where a tie leaves the leader's payoff without limit.
    """
    assert best.found is not None and best.found.x is not None
    limit = best.cost(best.found.x)
    points = _points(problem, solved)
    judged = not any(np.isnan(found.least) for _, _, found in points)
    for x, _, found in points:
        if np.isneginf(found.least) and ties == OPTIMISTIC:
            raise Infeasible(_endless(problem, x, found))
    slack = REGRET * max(abs(limit), 1e-300)
    known = [p for p in points if not np.isnan(p[2].most)]
    if ties == OPTIMISTIC:  # of equally good decisions the one that depends least on ties
        least = min(p[2].least for p in known)
        known = [p for p in known if p[2].least <= least + slack]
    x, z, spread = min(known, key=lambda p: p[2].most)
    if ties == OPTIMISTIC:
        return Broken(x, spread.best, spread, True, judged, _told(problem, points, spread, limit))
    if spread.most <= limit + slack:
        return Broken(x, spread.worst, spread, True, judged, _told(problem, points, spread, limit))
    x, z = best.found.x, answer_in(problem, best, best.found.x)
    note = f"{_money(problem, limit)} is approached as its decision nears {x[0]:.10g}, and reached by none"
    return Broken(x, z, reactions(problem, x, z), False, judged, note)


def answer_in(problem: LeaderProblem, regime: Regime, x: np.ndarray) -> np.ndarray:
    """The followers' answer to x in a regime, to full accuracy."""
    z = np.clip(regime.response @ x + regime.offset, problem.reaction.lower, problem.reaction.upper)
    reaction = problem.reaction.at(x)
    return z if reaction.error(z) <= 1e-13 else newton.polish(reaction, z)


def check_ties(ties: str) -> None:
    """Raise Refused if there is no such way to break ties."""
    if ties not in TIES:
        raise Refused(f"ties are broken in one of these ways: {', '.join(TIES)}; found {ties!r}")


# ---------------------------------------------------------------------------------------------------------------------


def _points(problem: LeaderProblem, solved: list[Regime]) -> list[tuple[np.ndarray, np.ndarray, Reactions]]:
    """The best point and the ends of every regime, with the range of the leader's payoff over the answers there."""
    found: dict[float, tuple[np.ndarray, np.ndarray, Reactions]] = {}
    for regime in solved:
        assert regime.found is not None and regime.found.x is not None
        with np.errstate(divide="ignore", invalid="ignore"):
            at = regime.limit / regime.table[:, 0]
        for end in (regime.found.x[0], *at[np.isfinite(at)], problem.lower[0], problem.upper[0]):
            inside = (regime.table[:, 0] * end <= regime.limit + 1e-9 * (1 + np.abs(regime.limit))).all()
            if inside and problem.lower[0] <= end <= problem.upper[0] and end not in found:
                x = np.array([end])
                z = answer_in(problem, regime, x)
                spread = reactions(problem, x, z)
                if np.isfinite(spread.most) or np.isfinite(spread.least) or not spread.settled:
                    found[end] = (x, z, spread)
    return list(found.values())


def _money(problem: LeaderProblem, cost: float) -> str:
    return f"{problem.player.sign * cost:.10g}"


def _endless(problem: LeaderProblem, x: np.ndarray, found: Reactions) -> str:
    names = ", ".join(name for name, a, b in found.ranges if not np.isfinite(b - a))
    return (
        f"{problem.player.name} can gain without limit: at its decision {x[0]:.6g} the followers leave {names} open; "
        "look for a missing price cap, value of lost load or slope of demand"
    )


def _told(
    problem: LeaderProblem, points: list[tuple[np.ndarray, np.ndarray, Reactions]], spread: Reactions, limit: float
) -> str:
    words = told(problem, spread)
    if not words:
        return ""
    if min((p[2].most for p in points if not np.isnan(p[2].most)), default=np.inf) > limit + REGRET * abs(limit):
        words += f". If ties go against it, {_money(problem, limit)} is approached but not reached by any decision"
    return words
