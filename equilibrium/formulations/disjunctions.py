"""A leader whose payoff is linear or convex once the followers' conditions are used: exact, by disjunctions.

The answer is optimistic: where followers are indifferent the leader picks. Branching needs no big numbers and proves
its answer when it ends; where it does not end, a mixed-integer programme with audited bounds takes over.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ..errors import Infeasible, Refused
from ..hierarchy import LeaderProblem, Quadratic
from ..led import Led, Optimum
from ..reactions import Kind, Reactions, reactions, response_kind, told
from . import audited, branching
from .linear import NotLinear, restate

FIRST = 200
"""After so many nodes a mixed-integer programme is asked for a good decision, which cuts off more of the rest."""

NODES = 20_000
"""At most so many nodes are branched on."""

SECONDS = 20.0
"""And for so long (where decisions are whole numbers ``LONGER``: the other way is one combination at a time)."""

LONGER = 200.0


def solve(problem: LeaderProblem, nodes: int = NODES, seconds: float | None = None) -> Led:
    """The leader's best decision if ties go its way, with what is proved about it.

    nodes, seconds: limits of branching. Raises NotLinear where the payoff cannot be restated, Infeasible where no
    decision is possible or where the gain is endless, Refused where nothing was found within the limits.
    """
    began = time.perf_counter()
    seconds = (LONGER if problem.whole.any() else SECONDS) if seconds is None else seconds
    restated = restate(problem)
    relaxation = branching.Relaxation(problem, restated)
    tree, audit = _search(relaxation, nodes, seconds)
    if tree.endless:
        raise Infeasible(f"{problem.player.name} can gain without limit; look for a missing bound on its decisions")
    if tree.best is None:
        if not tree.exhausted:
            raise Refused(f"no possible decision of {problem.player.name} was found: {_count(tree)}")
        raise _impossible(problem, nodes, seconds)
    best = tree.best
    kind = response_kind(problem)
    spread, notes = _ties(problem, kind, best)
    return Led(
        best.x,
        best.z,
        best.cost,
        min(tree.bound, best.cost),
        "disjunctions",
        f"{_count(tree)}; payoff {'linear' if restated.is_linear else 'convex'} given the followers' conditions; "
        f"{kind.reason}",
        (Optimum(best.x, best.cost),),
        tree.nodes,
        time.perf_counter() - began,
        spread,
        notes=(*notes, *([str(audit)] if audit is not None else [])),
    )


def _search(
    relaxation: branching.Relaxation, nodes: int, seconds: float
) -> tuple[branching.Tree, audited.Audit | None]:
    """Branching; where that takes long a mixed-integer programme, and branching again from what it found."""
    began = time.perf_counter()
    linear = relaxation.restated.is_linear
    tree = branching.explore(relaxation, min(nodes, FIRST) if linear else nodes, seconds)
    if tree.exhausted or tree.endless or not linear:
        return tree, None
    found = audited.solve(relaxation, seconds)
    best = min((p for p in (tree.best, found.best) if p is not None), key=lambda point: point.cost, default=None)
    bound = max(tree.bound, found.bound)
    proved = found.impossible or (best is not None and best.cost - bound <= branching.ENOUGH * abs(best.cost))
    tree = replace(tree, best=best, bound=bound, exhausted=proved, endless=found.endless)
    if proved or found.endless or nodes <= FIRST:
        return tree, found.audit
    left = max(1.0, seconds - (time.perf_counter() - began))
    again = branching.explore(relaxation, nodes - FIRST, left, best)
    again.nodes += tree.nodes
    if again.exhausted or again.endless:
        return again, None  # the proof is by branching; no guess matters
    again.bound = max(again.bound, bound)
    return again, found.audit


def _count(tree: branching.Tree) -> str:
    return f"{tree.nodes} nodes of branching on the followers' pairs{'' if tree.exhausted else ', not all of them'}"


def _ties(problem: LeaderProblem, kind: Kind, best: branching.Point) -> tuple[Reactions | None, list[str]]:
    """What else the followers may answer to the decision found."""
    if kind.settled:
        return None, []
    if not kind.single:
        return None, [
            "the followers may have several separate answers to this decision; the one that suits "
            f"{problem.player.name} best is taken"
        ]
    spread = reactions(problem, best.x, best.z)
    note = told(problem, spread)
    return spread, [note] if note else []


def _impossible(problem: LeaderProblem, nodes: int, seconds: float) -> Infeasible:
    """Why no decision is possible: the followers have no answer, or their answers break the leader's rows."""
    rows = np.any(problem.table[:, problem.count :] != 0, axis=1)
    names = ", ".join(dict.fromkeys(name for name, row in zip(problem.row_names, rows, strict=True) if row))
    if names:
        flat = Quadratic(np.zeros_like(problem.cost.hessian), np.zeros_like(problem.cost.gradient), 0.0)
        own = replace(
            problem,
            cost=flat,
            table=problem.table[~rows],
            low=problem.low[~rows],
            up=problem.up[~rows],
            row_names=tuple(name for name, row in zip(problem.row_names, rows, strict=True) if not row),
        )
        if branching.explore(branching.Relaxation(own, restate(own)), nodes, seconds).best is not None:
            return Infeasible(
                f"whatever {problem.player.name} decides, the followers' answer breaks its own constraints ({names}); "
                "they are tested on that answer, not moved into the followers' problems"
            )
    return Infeasible(f"no decision of {problem.player.name} satisfies its limits and leaves the followers an answer")


__all__ = ["NotLinear", "solve"]
