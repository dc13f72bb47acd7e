"""All answers of the followers to one decision, and the range of what a leader gets over them.

For monotone conditions the answers to x form a polyhedron. With one answer z* known it is

    F(z) = a - b,  a, b >= 0,  l <= z <= u,  (M + M')(z - z*) = 0,  q'z - l'a + u'b as at z*

(Cottle, Pang and Stone, The Linear Complementarity Problem, theorem 3.1.7, written for a box).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .formulations import complementarity
from .hierarchy import LeaderProblem
from .mcp import OUTSIDE, MixedComplementarity
from .monotone import null_space
from .solvers import highs, newton
from .solvers.linear import Linear
from .solvers.outcome import Termination
from .tolerances import CONVEX
from .uniqueness import p_matrix

_NOTHING, _NO_ROWS = np.zeros(0), np.zeros((0, 0))

SETTLED = 1e-7
"""A range narrower than this, relative to the size of the column's family, is one value."""


@dataclass(frozen=True)
class Reactions:
    """What the leader's (minimised) payoff can be at one decision: least if ties go its way, most if against it.

    NaN where it is not known; best, worst: an answer z that gives it; ranges: (column, from, to) of the unsettled ones.
    """

    least: float
    most: float
    best: np.ndarray
    worst: np.ndarray
    ranges: tuple[tuple[str, float, float], ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the leader gets the same whatever the followers answer."""
        return not self.ranges


def reactions(problem: LeaderProblem, x: np.ndarray, z: np.ndarray) -> Reactions:
    """The range of the leader's payoff over all answers to x, of which z is one. The followers must be monotone."""
    answers = _Answers(problem.reaction.at(x), z)
    d = problem.count
    rows, shift = problem.table[:, d:], problem.table[:, :d] @ x
    seen = np.flatnonzero(problem.seen)
    column = problem.reaction.scales(z)[0]
    ranges = {int(k): answers.range(int(k)) for k in seen}
    moving = [k for k, (a, b) in ranges.items() if not b - a <= SETTLED * column[k]]
    value = problem.cost(np.concatenate([x, z]))
    told = tuple((problem.reaction.names[k], *ranges[k]) for k in moving)
    if not moving:
        return Reactions(value, value, z, z)
    base = np.concatenate([x, z])
    base[[d + k for k in moving]] = 0.0
    slope = problem.cost.slope(base)[d:]
    curved = problem.cost.hessian[d:, d:][np.ix_(moving, moving)]
    if np.any(curved):
        return Reactions(np.nan, np.nan, z, z, told)
    aim = np.zeros(len(z))
    aim[moving] = slope[moving]
    # Ties that go the leader's way also respect its own constraints.
    best = answers.extreme(aim, rows, problem.low - shift, problem.up - shift)
    worst = answers.extreme(-aim)
    if best is None or worst is None:
        return Reactions(-np.inf if best is None else value, np.inf if worst is None else value, z, z, told)
    return Reactions(
        problem.cost(np.concatenate([x, best])), problem.cost(np.concatenate([x, worst])), best, worst, told
    )


def told(problem: LeaderProblem, spread: Reactions) -> str:
    """What ties of the followers do to the leader's payoff (own sense), in words; empty where they do nothing."""
    if spread.settled:
        return ""
    sense = problem.player.sign
    intervals = [f"{name} from {low:.6g} to {up:.6g}" for name, low, up in spread.ranges[:4]]
    words = f"the followers' answer to this decision is not unique ({', '.join(intervals)})"
    if np.isnan(spread.least) or np.isnan(spread.most):
        return f"{words}; what {problem.player.name} gets at the worst is not known"
    return (
        f"{words}; {problem.player.name} gets from {sense * spread.most:.10g} to {sense * spread.least:.10g} as they "
        "break ties"
    )


def answer(reaction: MixedComplementarity) -> np.ndarray | None:
    """An answer of the followers once x is decided (``LeaderProblem.reaction.at(x)``), or None where none was found."""
    try:
        z, outcome = newton.solve(reaction, iterations=30)
    except ArithmeticError:  # a term without a value or a slope
        return None
    if outcome.ok:
        return z
    if reaction.is_affine and not _possible(reaction):
        return None
    z, outcome = complementarity.solve(reaction)
    return z if outcome.ok else None


def signs(reaction: MixedComplementarity) -> np.ndarray:
    """Signs of the rows that hold whatever the followers answer: 1 for F >= 0, -1 for F <= 0, 0 for F = 0, NaN for
    rows that may take either sign."""
    low, up = np.isfinite(reaction.lower), np.isfinite(reaction.upper)
    sign = np.full(reaction.size, np.nan)
    sign[~low & ~up] = 0.0
    sign[low & ~up] = 1.0
    sign[~low & up] = -1.0
    return sign


def _possible(reaction: MixedComplementarity) -> bool:
    """Whether the rows without their complementarity can hold: a quick look before the harder routes."""
    assert reaction.matrix is not None and reaction.vector is not None
    sign = signs(reaction)
    keep = np.flatnonzero(~np.isnan(sign))
    n = reaction.size
    programme = highs.Programme(
        sp.csc_array((n, n)),
        np.zeros(n),
        sp.csr_array(reaction.matrix[keep]),
        np.where(sign[keep] >= 0, -reaction.vector[keep], -np.inf),
        np.where(sign[keep] <= 0, -reaction.vector[keep], np.inf),
        reaction.lower,
        reaction.upper,
    )
    return highs.minimise(programme)[2].termination is not Termination.INFEASIBLE


@dataclass(frozen=True)
class Kind:
    """How the followers answer: ``single``: to any decision with one answer or a convex set of them; ``settled``: with
    one answer, as far as the leader sees it; why."""

    single: bool
    settled: bool
    reason: str


def response_kind(problem: LeaderProblem) -> Kind:
    """What the followers' affine conditions say about their answers, for every decision of the leader."""
    reaction = problem.reaction
    assert reaction.matrix is not None
    matrix = reaction.matrix.toarray()
    kept, reduced, solved = _without_defined(reaction, matrix)
    symmetric = reduced + reduced.T
    largest = max(float(np.abs(symmetric).max(initial=0.0)), 1e-300)
    if reduced.size and float(np.linalg.eigvalsh(symmetric)[0]) < -CONVEX * largest:
        if len(kept) <= 14 and p_matrix(reduced) and np.isfinite(reaction.lower[kept]).all():
            return Kind(True, True, "the followers' conditions have one answer to every decision (P-matrix)")
        return Kind(False, False, "their conditions are not monotone")
    free = np.isneginf(reaction.lower[kept]) & np.isposinf(reaction.upper[kept])
    rows = np.vstack(
        [
            symmetric / largest,
            reduced[free] / np.maximum(np.abs(reduced[free]).max(axis=1, initial=0.0), 1e-300)[:, None],
        ]
    )
    loose = null_space(rows, len(kept))
    # What is defined by an equality row moves with what defines it.
    moves = np.vstack(
        [loose[np.flatnonzero(problem.seen[kept])], (solved @ loose)[problem.seen[solved_columns(reaction, kept)]]]
    )
    if np.abs(moves).max(initial=0.0) <= 1e-9:
        return Kind(True, True, "the followers have one answer to every decision (strictly monotone in what is seen)")
    return Kind(True, False, "the followers' answers to a decision form a convex set (monotone)")


def solved_columns(reaction: MixedComplementarity, kept: np.ndarray) -> np.ndarray:
    """The columns that are not kept."""
    return np.setdiff1d(np.arange(reaction.size), kept)


def _without_defined(reaction: MixedComplementarity, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eliminate free outside columns that their own rows define: (columns kept, their matrix, what the others become).

    The others change by the last matrix times the change of the kept ones.
    """
    free = np.isneginf(reaction.lower) & np.isposinf(reaction.upper)
    outside = np.flatnonzero((reaction.kind == OUTSIDE) & free)
    own = outside[np.abs(matrix[np.ix_(outside, outside)]).sum(axis=1) > 0]
    if own.size and np.linalg.matrix_rank(matrix[np.ix_(own, own)]) == own.size:
        kept = np.setdiff1d(np.arange(reaction.size), own)
        solved = -np.linalg.solve(matrix[np.ix_(own, own)], matrix[np.ix_(own, kept)])
        return kept, matrix[np.ix_(kept, kept)] + matrix[np.ix_(kept, own)] @ solved, solved
    return np.arange(reaction.size), matrix, np.zeros((0, reaction.size))


class _Answers:
    """The polyhedron of all answers, as the rows of a linear programme in (z, a, b)."""

    def __init__(self, mcp: MixedComplementarity, z: np.ndarray) -> None:
        assert mcp.matrix is not None and mcp.vector is not None
        n = mcp.size
        self.z = z
        low, up = np.isfinite(mcp.lower), np.isfinite(mcp.upper)
        value = mcp.F(z)
        a, b = np.where(low, np.maximum(value, 0.0), 0.0), np.where(up, np.maximum(-value, 0.0), 0.0)
        symmetric = mcp.matrix + mcp.matrix.T
        eye = sp.eye_array(n)
        floor, ceiling = np.where(low, mcp.lower, 0.0), np.where(up, mcp.upper, 0.0)
        gap = np.concatenate([mcp.vector, -floor, ceiling])
        rows = sp.csr_array(
            sp.vstack([sp.hstack([mcp.matrix, -eye, eye]), sp.hstack([symmetric, sp.csr_array((n, 2 * n))]), gap[None]])
        )
        right = np.concatenate([-mcp.vector, symmetric @ z, [gap @ np.concatenate([z, a, b])]])
        self.lower = np.concatenate([mcp.lower, np.zeros(2 * n)])
        self.upper = np.concatenate([mcp.upper, np.where(low, np.inf, 0.0), np.where(up, np.inf, 0.0)])
        self.linear = Linear(rows, right, right, self.lower, self.upper)

    def extreme(
        self, aim: np.ndarray, rows: np.ndarray = _NO_ROWS, low: np.ndarray = _NOTHING, up: np.ndarray = _NOTHING
    ) -> np.ndarray | None:
        """The answer with the least aim'z (among those with low <= rows z <= up); None where there is no least one."""
        n = len(self.z)
        limits = np.concatenate([up, -low])
        told = np.isfinite(limits)
        if len(limits):
            both = np.hstack([np.vstack([rows, -rows]), np.zeros((len(limits), 2 * n))])
            self.linear.limit(both[told], limits[told])
        v, found = self.linear.minimise(np.concatenate([aim, np.zeros(2 * n)]), self.lower, self.upper)
        if len(limits):
            self.linear.limit(np.zeros((0, 3 * n)), _NOTHING)
        return v[:n] if found is Termination.SOLVED else None

    def range(self, k: int) -> tuple[float, float]:
        """The interval of column k over all answers (the value itself where the programme cannot be solved)."""
        aim = np.zeros(len(self.z))
        aim[k] = 1.0
        least, most = self.extreme(aim), self.extreme(-aim)
        return (
            -np.inf if least is None else min(float(least[k]), self.z[k]),
            np.inf if most is None else max(float(most[k]), self.z[k]),
        )
