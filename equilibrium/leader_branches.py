"""One leader whose payoff is not concave, solved through the branches its market names (see ``branches``).

Each branch puts some of the leader's decisions in at values and leaves a leader's problem over the rest. The best of
them is the leader's best decision where every optimum is known to lie on a branch, and no branch can have a better one
than its own bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .branches import Branch
from .errors import Infeasible, Refused
from .formulations import leader
from .hierarchy import Hierarchy, LeaderProblem
from .led import Led, distinct
from .tolerances import REGRET


def solve(problem: LeaderProblem, hierarchy: Hierarchy, branches: Sequence[Branch], ties: str) -> Led:
    """The best decision over all branches. Raises Infeasible where none has one, Refused where a branch holds what the
    leader does not decide."""
    began = time.perf_counter()
    place = {id(v): k for k, v in enumerate(hierarchy.x)}
    found: list[Led] = []
    for branch in branches:
        columns = np.array([place.get(id(v), -1) for v, _ in branch.held], dtype=int)
        if (columns < 0).any():
            raise Refused(f"the branch '{branch.name}' holds what {problem.player.name} does not decide")
        led = _on(problem, columns, np.array([float(value) for _, value in branch.held]), ties)
        if led is not None:
            found.append(led)
    if not found:
        names = ", ".join(branch.name for branch in branches)
        raise Infeasible(f"no decision of {problem.player.name} is possible on any of its branches: {names}")
    best = min(found, key=lambda led: led.cost)
    every = all(branch.exhaustive for branch in branches)
    bound = min(led.bound for led in found) if every else -np.inf
    what = "branches" if every else "candidates, others were not looked at"
    level = [led for led in found if led.cost - best.cost <= REGRET * abs(best.cost)]
    return replace(
        best,
        bound=min(bound, best.cost),
        reason=f"best of {len(found)} {what}; on its own {best.reason}",
        optima=distinct(optimum for led in found for optimum in led.optima),
        starts=sum(led.starts for led in found),
        seconds=time.perf_counter() - began,
        unique=best.unique and len(level) == 1 and every,
    )


def _on(problem: LeaderProblem, columns: np.ndarray, values: np.ndarray, ties: str) -> Led | None:
    """The leader's best decision with some of them at values; None where nothing is feasible."""
    if not problem.holds(columns, values):
        return None
    try:
        return leader.solve(problem.without(columns, values), None, ties).beside(columns, values)
    except Infeasible:
        return None
