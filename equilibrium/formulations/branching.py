"""A leader's problem by branching on the followers' complementarity pairs, without any big number.

Over w = (x, z, a, b) with F = a - b the followers' conditions are linear but for (z - l)'a = 0 and (u - z)'b = 0. They
are left out first; a pair that the answer breaks is then branched on (z at its lower bound, F = 0, z at its upper one),
depth first, and a node is cut off once its bound shows that it holds nothing better (Bard and Moore, A branch and bound
algorithm for the bilevel programming problem, SIAM Journal on Scientific and Statistical Computing 11, 1990).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from ..hierarchy import LeaderProblem
from ..solvers import newton, quadratic
from ..solvers.linear import Linear
from ..solvers.outcome import Termination
from ..tolerances import FEASIBLE, RESIDUAL
from .linear import Restated

LOW, INSIDE, HIGH = 0, 1, 2

NEAR = 1e-6
"""Pairs broken by less than this, relative, are tried as if they held; what comes of it is then exact."""

ENOUGH = 5e-10
"""A node that cannot bring the payoff down by more than this (relative) holds nothing better."""

NOISE = 1e-12
"""Rounding of a payoff, relative to its terms."""


class Relaxation:
    """The rows that hold whatever the pairs do, and what a pattern of the pairs means for the bounds of w."""

    def __init__(self, problem: LeaderProblem, restated: Restated) -> None:
        reaction, d = problem.reaction, problem.count
        assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
        n = reaction.size
        self.problem, self.restated = problem, restated
        self.d, self.n = d, n
        self.low, self.high = reaction.lower, reaction.upper
        eye = sp.eye_array(n)
        followers = sp.hstack([reaction.slope, reaction.matrix, -eye, eye])
        own = sp.hstack([sp.csr_array(problem.table), sp.csr_array((len(problem.table), 2 * n))])
        self.rows = sp.csr_array(sp.vstack([followers, own]))
        self.row_lower = np.concatenate([-reaction.vector, problem.low])
        self.row_upper = np.concatenate([-reaction.vector, problem.up])
        held = self.low >= self.high
        whole = problem.whole
        self.lower = np.concatenate(
            [np.where(whole, np.ceil(problem.lower - 1e-9), problem.lower), self.low, np.zeros(2 * n)]
        )
        self.upper = np.concatenate(
            [
                np.where(whole, np.floor(problem.upper + 1e-9), problem.upper),
                self.high,
                np.where(np.isfinite(self.low) | held, np.inf, 0.0),
                np.where(np.isfinite(self.high) | held, np.inf, 0.0),
            ]
        )
        self.linear = Linear(self.rows, self.row_lower, self.row_upper, self.lower, self.upper)
        curved = np.flatnonzero(np.any(restated.hessian != 0, axis=1))
        still = np.zeros((len(curved), self.rows.shape[1]))
        still[:, : d + n] = restated.hessian[curved]
        least, most = (
            np.concatenate([np.where(np.isfinite(limit), 0.0, limit), np.zeros(len(curved))])
            for limit in (self.row_lower, self.row_upper)
        )
        self.cone = Linear(
            sp.csr_array(sp.vstack([self.rows, sp.csr_array(still)])), least, most, self.lower, self.upper
        )

    def undecided(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The pairs that bounds on w do not decide yet."""
        z, a, b = (slice(self.d + k * self.n, self.d + (k + 1) * self.n) for k in range(3))
        return np.flatnonzero((lower[z] < upper[z]) & ((upper[a] > 0) | (upper[b] > 0)))

    def fix(self, pair: int, side: int, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on w with one pair decided."""
        lower, upper = lower.copy(), upper.copy()
        z, a, b = (self.d + k * self.n + pair for k in range(3))
        if side == LOW:
            upper[z], upper[b] = self.low[pair], 0.0
        elif side == HIGH:
            lower[z], upper[a] = self.high[pair], 0.0
        else:
            upper[a] = upper[b] = 0.0
        return lower, upper

    def distances(self, w: np.ndarray) -> np.ndarray:
        """How far w is from each side of every pair (pairs by sides), relative; infinite where there is no side."""
        x, z, a, b = np.split(w, [self.d, self.d + self.n, self.d + 2 * self.n])
        column, row = self.problem.reaction.at(x).scales(z)
        below, above = (z - self.low) / column, (self.high - z) / column
        a, b = a / row, b / row
        return np.column_stack([np.maximum(below, b), np.maximum(a, b), np.maximum(above, a)])

    def decide(
        self, w: np.ndarray, lower: np.ndarray, upper: np.ndarray, distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on w with every pair on the side that w is nearest to, and whole numbers where w has them."""
        for pair in self.undecided(lower, upper):
            lower, upper = self.fix(int(pair), int(np.argmin(distances[pair])), lower, upper)
        lower, upper = lower.copy(), upper.copy()
        whole = np.flatnonzero(self.problem.whole)
        lower[whole] = upper[whole] = np.round(w[whole])
        return lower, upper

    def fractions(self, w: np.ndarray) -> np.ndarray:
        """How far each decision that takes whole numbers only is from one."""
        x = w[: self.d]
        return np.where(self.problem.whole, np.abs(x - np.round(x)), 0.0)

    def terms(self, w: np.ndarray) -> float:
        """Size of the terms of the restated payoff."""
        v = np.abs(w[: self.d + self.n])
        form = self.restated
        return float(0.5 * v @ np.abs(form.hessian) @ v + np.abs(form.gradient) @ np.abs(w) + abs(form.constant))

    def minimise(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, float, Termination]:
        """(w, its restated payoff, termination) of the relaxed problem within bounds on w."""
        form = self.restated
        if form.is_linear:
            w, termination = self.linear.minimise(form.gradient, lower, upper)
        else:
            w, termination = self._curved(lower, upper)
        return w, form(w) if termination is Termination.SOLVED else -np.inf, termination

    def _curved(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, Termination]:
        """The same where the payoff is convex: a quadratic programme in the columns that bounds leave free."""
        form, free = self.restated, lower < upper
        if (lower > upper).any():
            return lower, Termination.INFEASIBLE
        if self._ray(lower, upper) is not None:
            there = self.linear.minimise(np.zeros(len(lower)), lower, upper)[1]
            return lower, Termination.UNBOUNDED if there is Termination.SOLVED else there
        v, held = free[: self.d + self.n], np.where(free, 0.0, lower)
        size, shift = int(free.sum()), self.rows @ held
        hessian = np.zeros((size, size))
        hessian[: v.sum(), : v.sum()] = form.hessian[np.ix_(v, v)]
        gradient = form.gradient.copy()
        gradient[: len(v)] += form.hessian @ held[: len(v)]
        found = quadratic.minimise(
            hessian,
            gradient[free],
            self.rows[:, free].toarray(),
            self.row_lower - shift,
            self.row_upper - shift,
            lower[free],
            upper[free],
        )
        w = held
        if found.x is not None:
            w[free] = found.x
            return w, Termination.SOLVED if found.proved else Termination.FAILED
        if found.termination is Termination.INFEASIBLE:  # a second opinion, from a solver that errs less
            again = self.linear.minimise(np.zeros(len(lower)), lower, upper)[1]
            return w, again if again is Termination.INFEASIBLE else Termination.FAILED
        return w, found.termination

    def glance(self, lower: np.ndarray, upper: np.ndarray, near: np.ndarray) -> tuple[float, bool]:
        """(a bound on a convex payoff from its tangent at ``near``, whether bounds on w leave any point)."""
        form = self.restated
        slope = form.gradient.copy()
        slope[: len(form.hessian)] += form.hessian @ near[: len(form.hessian)]
        w, termination = self.linear.minimise(slope, lower, upper)
        if termination is Termination.SOLVED:
            return form(near) + float(slope @ (w - near)), True
        return -np.inf, termination is not Termination.INFEASIBLE

    def escape(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray | None:
        """A point plus a direction of endless gain, where the relaxed problem is unbounded; None where not found.

        All terms of the pairs are of one sign, so a pair holds along the whole direction if it holds at this point.
        """
        ray = self._ray(lower, upper)
        if ray is None:
            return None
        point, found = self.linear.minimise(np.zeros(len(lower)), lower, upper)
        return point + ray * max(1.0, float(np.abs(point).max())) if found is Termination.SOLVED else None

    def _ray(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray | None:
        """A direction of the relaxed problem along which the payoff falls without end; None if there is none."""
        low, up = np.where(np.isfinite(lower), 0.0, -1.0), np.where(np.isfinite(upper), 0.0, 1.0)
        ray, found = self.cone.minimise(self.restated.gradient, low, up)
        if found is not Termination.SOLVED or np.abs(ray).max(initial=0.0) < 0.5:  # a true one reaches the box
            return None
        gain, terms = self.restated.gradient @ ray, np.abs(self.restated.gradient) @ np.abs(ray)
        return ray if gain < -1e-9 * terms else None

    def settle(self, w: np.ndarray) -> Point | None:
        """The decision and the answer at w to full accuracy; None if w is neither possible nor an answer."""
        problem = self.problem
        x = np.clip(w[: self.d], self.lower[: self.d], self.upper[: self.d])
        x = np.where(problem.whole, np.round(x), x)
        z = np.clip(w[self.d : self.d + self.n], self.low, self.high)
        reaction = problem.reaction.at(x)
        if not reaction.error(z) <= 1e-13:
            polished = newton.polish(reaction, z)
            change = abs(problem.cost(np.concatenate([x, polished])) - problem.cost(np.concatenate([x, z])))
            if change <= RESIDUAL * self.terms(w):
                z = polished
        v = np.concatenate([x, z])
        if not (reaction.error(z) <= RESIDUAL and problem.excess(v).max(initial=0.0) <= FEASIBLE):
            return None
        return Point(x, z, problem.cost(v), self.terms(w))


@dataclass(frozen=True)
class Point:
    """A decision, an answer to it, the minimised payoff there and the size of its terms."""

    x: np.ndarray
    z: np.ndarray
    cost: float
    terms: float


@dataclass
class Tree:
    """What branching found. bound: no decision brings the payoff below it; exhausted: nothing was left unsearched;
    endless: the leader gains without limit."""

    best: Point | None = None
    bound: float = np.inf
    exhausted: bool = True
    endless: bool = False
    nodes: int = 0
    _stack: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list, repr=False)

    def cutoff(self) -> float:
        """A node whose bound is not below this holds nothing better."""
        if self.best is None:
            return np.inf
        return self.best.cost - ENOUGH * abs(self.best.cost) - NOISE * self.best.terms


def explore(relaxation: Relaxation, nodes: int, seconds: float, best: Point | None = None) -> Tree:
    """Branch until nothing is left, or to the limits; ``best``: a point that is known already."""
    began = time.perf_counter()
    tree = Tree(best)
    nowhere = np.clip(0.0, relaxation.lower, relaxation.upper)
    tree._stack.append((-np.inf, relaxation.lower, relaxation.upper, nowhere))
    while tree._stack and not tree.endless:
        if tree.nodes >= nodes or time.perf_counter() - began > seconds:
            tree.exhausted = False
            tree.bound = min(tree.bound, *(node[0] for node in tree._stack))
            break
        bound, lower, upper, near = tree._stack.pop()
        if not relaxation.restated.is_linear:
            value, possible = relaxation.glance(lower, upper, near)
            bound = max(bound, value) if possible else np.inf
        if bound >= tree.cutoff():
            tree.bound = min(tree.bound, bound)
            continue
        tree.nodes += 1
        _visit(relaxation, tree, bound, lower, upper, near)
    if tree.best is not None:
        gap = tree.best.cost - tree.bound
        tree.bound = tree.best.cost if gap <= NOISE * tree.best.terms else tree.bound
    return tree


def _visit(
    relaxation: Relaxation, tree: Tree, bound: float, lower: np.ndarray, upper: np.ndarray, near: np.ndarray
) -> None:
    """Solve one node, keep what is better, and branch if something better may lie below; near: the parent's w."""
    w, value, termination = relaxation.minimise(lower, upper)
    if termination is Termination.INFEASIBLE:
        return
    distances = None
    if termination is Termination.SOLVED:
        bound = max(bound, value)
        if bound >= tree.cutoff():
            tree.bound = min(tree.bound, bound)
            return
        distances = relaxation.distances(w)
        if _try(relaxation, tree, w, lower, upper, distances) and bound >= tree.cutoff():
            tree.bound = min(tree.bound, bound)
            return
    elif termination is Termination.UNBOUNDED:
        far = relaxation.escape(lower, upper)
        if far is not None:
            w, distances = far, relaxation.distances(far)
            if _endless(relaxation, w, lower, upper, distances):
                tree.endless = True
                return
    children = _children(relaxation, w, lower, upper, distances)
    if not children:  # everything is decided, and still nothing closed this node
        tree.exhausted = False
        tree.bound = min(tree.bound, bound)
    near = w if termination is Termination.SOLVED else near
    tree._stack.extend((bound, *child, near) for child in reversed(children))


def _try(
    relaxation: Relaxation,
    tree: Tree,
    w: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    distances: np.ndarray,
) -> bool:
    """Keep w as the best point so far if its pairs (nearly) hold and it is better; whether it was kept."""
    pairs = relaxation.undecided(lower, upper)
    if distances[pairs].min(axis=1).max(initial=0.0) > NEAR or relaxation.fractions(w).max(initial=0.0) > NEAR:
        return False
    if pairs.size or relaxation.problem.whole.any():
        w, _, termination = relaxation.minimise(*relaxation.decide(w, lower, upper, distances))
        if termination is not Termination.SOLVED:
            return False
    point = relaxation.settle(w)
    if point is None or (tree.best is not None and point.cost >= tree.best.cost):
        return point is not None
    tree.best = point
    return True


def _endless(
    relaxation: Relaxation, w: np.ndarray, lower: np.ndarray, upper: np.ndarray, distances: np.ndarray
) -> bool:
    """Whether the gain is endless with every pair on the side that holds along the direction."""
    pairs = relaxation.undecided(lower, upper)
    if distances[pairs].min(axis=1).max(initial=0.0) > NEAR or relaxation.fractions(w).max(initial=0.0) > NEAR:
        return False
    return relaxation.minimise(*relaxation.decide(w, lower, upper, distances))[2] is Termination.UNBOUNDED


def _children(
    relaxation: Relaxation, w: np.ndarray, lower: np.ndarray, upper: np.ndarray, distances: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Bounds of the nodes below this one, the most promising first; none where everything is decided."""
    fractions = relaxation.fractions(w) if distances is not None else np.zeros(relaxation.d)
    pairs = relaxation.undecided(lower, upper)
    if fractions.max(initial=0.0) <= NEAR and pairs.size:
        if distances is None:
            pair, order = int(pairs[0]), np.array([INSIDE, LOW, HIGH])
        else:
            pair = int(pairs[np.argmax(distances[pairs].min(axis=1))])
            order = np.argsort(distances[pair], kind="stable")
        there = [True, True, True]
        there[LOW], there[HIGH] = bool(np.isfinite(relaxation.low[pair])), bool(np.isfinite(relaxation.high[pair]))
        return [relaxation.fix(pair, int(side), lower, upper) for side in order if there[side]]
    open_ended = np.flatnonzero(relaxation.problem.whole & (lower < upper)[: relaxation.d])
    if not open_ended.size:
        return []
    k = int(open_ended[np.argmax(fractions[open_ended])])
    at = np.floor(w[k]) if distances is not None else np.floor(0.5 * (lower[k] + upper[k]))
    if not np.isfinite(at):
        return []
    at = float(np.clip(at, lower[k], upper[k] - 1))
    below, above = upper.copy(), lower.copy()
    below[k], above[k] = at, at + 1
    return [(lower, below), (above, upper)]
