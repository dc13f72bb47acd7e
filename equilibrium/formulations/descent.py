"""From a point near a local optimum of a leader to the local optimum itself, over affine followers.

A *branch* says for every pair of the followers' conditions which side holds with equality. On a branch everything is
linear in (x, z), so the leader's best decision there is a quadratic programme in what is left to choose. A local
optimum is best on every branch that contains it: where some pairs have both sides zero, their other branches are
looked at, and the search goes on from the better one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.linalg.lapack import dgecon, dgetrf

from ..errors import Infeasible
from ..hierarchy import LeaderProblem
from ..mcp import MixedComplementarity
from ..sides import INSIDE, LOW, sides_of
from ..solvers import newton, quadratic
from ..solvers.outcome import Termination
from ..tolerances import CONVEX, FEASIBLE, RESIDUAL

CLOSE = 1e-6
"""Both sides of a pair count as zero up to this, relative: an answer of a homotopy is that far from a kink."""

FEW = 4
"""With at most so many such pairs all their branches are looked at (2^4)."""

PROBES = 8
"""With more of them, so many steps in random directions tell which branches meet at the point."""

BETTER = 1e-11
"""An improvement smaller than this, relative to the terms of the payoff, is rounding."""


@dataclass(frozen=True)
class Point:
    """A decision with an answer to it that was checked, and the leader's minimised payoff there."""

    x: np.ndarray
    z: np.ndarray
    cost: float


@dataclass
class Descent:
    """Searches of one problem; what was found on a convex branch is found once for all of them.

    ``scale``: a typical size of each decision.
    """

    problem: LeaderProblem
    scale: np.ndarray
    known: dict[bytes, Point | None] = field(default_factory=dict)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def settle(self, x: np.ndarray, z: np.ndarray, most: int = 200) -> Point | None:
        """The local optimum that the search from (x, z) ends in; None if no branch near it has an allowed decision.

        most: branches looked at. Raises Infeasible where the payoff falls without end.
        """
        best: Point | None = None
        place = (x, z)
        limits = self.problem.lower, self.problem.upper
        visited: set[bytes] = set()
        moved = True
        while moved and len(visited) < most:
            moved = False
            for pattern in meeting(self.problem.reaction.at, *place, *limits, self.scale, self.random):
                key = pattern.tobytes()
                if key in visited:
                    continue
                visited.add(key)
                found = self._on_branch(pattern, place)
                if found is not None and (best is None or found.cost < best.cost - self._rounding(best)):
                    best, place, moved = found, (found.x, found.z), True
                    break
        here = checked(self.problem, x, z) if best is None else None
        return best or here

    def _rounding(self, point: Point) -> float:
        v, cost = np.concatenate([point.x, point.z]), self.problem.cost
        return BETTER * float(0.5 * np.abs(v) @ np.abs(cost.hessian) @ np.abs(v) + np.abs(cost.gradient) @ np.abs(v))

    def _on_branch(self, pattern: np.ndarray, place: tuple[np.ndarray, np.ndarray]) -> Point | None:
        key = pattern.tobytes()
        if key not in self.known:
            found, lasting = _best_on(self.problem, pattern, place)
            if not lasting:
                return found
            self.known[key] = found
        return self.known[key]


def meeting(
    reaction_at: Callable[[np.ndarray], MixedComplementarity],
    x: np.ndarray,
    z: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    scale: np.ndarray,
    random: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Patterns of the branches that meet at (x, z) or pass close by, that of the point itself first.

    reaction_at: the followers' problem for a decision; lower, upper, scale: bounds and sizes of the decisions.
    """
    pattern, other, near = pattern_of(reaction_at(x), z)
    yield pattern
    for count in range(1, (len(near) if len(near) <= FEW else 1) + 1):
        for chosen in combinations(near, count):
            flipped = pattern.copy()
            flipped[list(chosen)] = other[list(chosen)]
            yield flipped
    if len(near) > FEW:
        for _ in range(PROBES):
            aside = x + 1e-4 * scale * (lower < upper) * random.uniform(-1, 1, len(x))
            probe = reaction_at(np.clip(aside, lower, upper))
            answer, outcome = newton.solve(probe, z, iterations=30)
            if outcome.ok:
                yield pattern_of(probe, answer)[0]


def checked(problem: LeaderProblem, x: np.ndarray, z: np.ndarray) -> Point | None:
    """(x, z) with z polished as an answer to x, and the payoff there; None if it is no answer or not allowed."""
    x = np.clip(x, problem.lower, problem.upper)
    reaction = problem.reaction.at(x)
    z = np.clip(z, reaction.lower, reaction.upper)
    if reaction.error(z) > 1e-13:
        z = newton.polish(reaction, z)
    v = np.concatenate([x, z])
    if not reaction.error(z) <= RESIDUAL or not problem.excess(v).max(initial=0.0) <= FEASIBLE:
        return None
    return Point(x, z, problem.cost(v))


def pattern_of(reaction: MixedComplementarity, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(side of every column: LOW, INSIDE or HIGH; its other side; the columns with both sides zero, up to CLOSE)."""
    sides = sides_of(reaction, z)
    fixed = reaction.lower >= reaction.upper
    sides.pattern[fixed] = LOW
    return sides.pattern, sides.other, np.flatnonzero((sides.margin <= CLOSE) & ~fixed)


# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Branch:
    """(x, z) = basis y + base, subject to table y <= limit and lower <= y <= upper; ``plain``: y is x itself."""

    basis: sp.csr_array
    base: np.ndarray
    table: np.ndarray
    limit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    plain: bool


def _best_on(
    problem: LeaderProblem, pattern: np.ndarray, place: tuple[np.ndarray, np.ndarray]
) -> tuple[Point | None, bool]:
    """The leader's best decision on a branch, and whether it is that wherever the search comes from."""
    branch = _branch(problem, pattern)
    if branch is None:
        return None, True
    hessian, gradient = _reduced(problem, branch)
    limits = (branch.table, np.full(len(branch.limit), -np.inf), branch.limit, branch.lower, branch.upper)
    found = quadratic.minimise(hessian, gradient, *limits)
    lasting = found.proved
    if found.termination is Termination.UNBOUNDED and lasting:
        raise Infeasible(f"{problem.player.name} can gain without limit; look for a missing bound on its decisions")
    y = found.x
    if y is None and found.termination is not Termination.INFEASIBLE:
        v = np.concatenate(place)
        start = place[0] if branch.plain else branch.basis.T @ (v - branch.base)
        y = _local(hessian, gradient, limits, start)
    if y is None:
        return None, lasting
    v = branch.basis @ y + branch.base
    return checked(problem, v[: problem.count], v[problem.count :]), lasting


def _reduced(problem: LeaderProblem, branch: _Branch) -> tuple[np.ndarray, np.ndarray]:
    """Hessian and gradient of the leader's payoff over a branch's y, rounding cleared away."""
    basis, curved = branch.basis, sp.csr_array(problem.cost.hessian)
    hessian = (basis.T @ curved @ basis).toarray()
    gradient = basis.T @ (curved @ branch.base + problem.cost.gradient)
    most = (abs(basis).T @ abs(curved) @ abs(basis)).toarray()
    terms = abs(basis).T @ (abs(curved) @ np.abs(branch.base) + np.abs(problem.cost.gradient))
    clean = np.where(np.abs(hessian) > 1e-13 * most, hessian, 0.0)
    return (clean + clean.T) / 2, np.where(np.abs(gradient) > 1e-13 * terms, gradient, 0.0)


def _branch(problem: LeaderProblem, pattern: np.ndarray) -> _Branch | None:
    """The branch of a pattern; None if nothing satisfies its equalities."""
    reaction, d = problem.reaction, problem.count
    assert reaction.vector is not None and reaction.slope is not None
    matrix, slope = reaction.compact_jacobian(reaction.lower), reaction.slope.toarray()
    matrix = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    inside, outside = np.flatnonzero(pattern == INSIDE), np.flatnonzero(pattern != INSIDE)
    held = np.zeros(reaction.size)
    held[outside] = np.where(pattern[outside] == LOW, reaction.lower[outside], reaction.upper[outside])
    level = reaction.vector + matrix @ held  # F at x = 0 and z_inside = 0
    part = matrix[np.ix_(inside, inside)]
    response = _response(part, np.column_stack([slope[inside], level[inside]]))
    if response is not None:
        basis, base = np.zeros((d + reaction.size, d)), np.concatenate([np.zeros(d), held])
        basis[:d] = np.eye(d)
        basis[d + inside], base[d + inside] = -response[:, :d], -response[:, d]
        lower, upper = problem.lower, problem.upper
    else:
        place = np.concatenate([np.arange(d), d + inside])
        found = _null(np.hstack([slope[inside], part]), -level[inside], np.r_[np.full(d, True), problem.seen][place])
        if found is None:
            return None
        point, loose = found
        basis, base = np.zeros((d + reaction.size, loose.shape[1])), np.concatenate([np.zeros(d), held])
        basis[place], base[place] = loose, point
        lower, upper = np.full(loose.shape[1], -np.inf), np.full(loose.shape[1], np.inf)
    none = np.zeros((0, basis.shape[1]))
    branch = _Branch(sp.csr_array(basis), base, none, np.zeros(0), lower, upper, response is not None)
    return _limited(problem, pattern, branch)


def _response(part: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """part^-1 right, or None where that is not well defined."""
    if not len(part):
        return np.zeros((0, right.shape[1]))
    row, column = _sizes(part, 1), _sizes(part / _sizes(part, 1)[:, None], 0)
    scaled = part / row[:, None] / column
    factor, pivots, status = dgetrf(scaled)
    if status or dgecon(factor, np.abs(scaled).sum(axis=0).max(), norm="1")[0] < 1e-12:
        return None
    return scipy.linalg.lu_solve((factor, pivots), right / row[:, None]) / column[:, None]


def _null(table: np.ndarray, right: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A solution of table v = right and a basis of all others; None where there is none.

    Directions that change nothing ``seen`` come as columns of their own, with zeros there free of rounding.
    """
    row, column = _sizes(table, 1), _sizes(table / _sizes(table, 1)[:, None], 0)
    table, right = table / row[:, None], right / row
    left, singular, across = np.linalg.svd(table / column)
    rank = int((singular > 1e-11 * singular[0]).sum())
    point = (across[:rank].T @ ((left[:, :rank].T @ right) / singular[:rank])) / column
    if np.abs(table @ point - right).max() > 1e-9 * max(1.0, float(np.abs(right).max())):
        return None
    loose = across[rank:].T
    if loose.shape[1]:
        _, strength, turn = np.linalg.svd(loose[seen])
        loose = loose @ turn.T
        hidden = np.append(strength, np.zeros(loose.shape[1] - len(strength))) <= 1e-12
        loose[np.ix_(seen, hidden)] = 0.0
    return point, np.where(np.abs(loose) > 1e-13, loose, 0.0) / column[:, None]


def _sizes(table: np.ndarray, axis: int) -> np.ndarray:
    """The largest entry of every row or column, one where there is none."""
    largest = np.abs(table).max(axis=axis, initial=0.0)
    return np.where(largest > 0, largest, 1.0)


def _limited(problem: LeaderProblem, pattern: np.ndarray, branch: _Branch) -> _Branch | None:
    """The branch with its limits; None if one that nothing can change is broken."""
    reaction, d = problem.reaction, problem.count
    assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
    inside = d + np.flatnonzero(pattern == INSIDE)
    signed = np.flatnonzero((pattern != INSIDE) & (reaction.lower < reaction.upper))
    sign = np.where(pattern[signed] == LOW, -1.0, 1.0)
    followers = sp.csr_array(sp.hstack([reaction.slope, reaction.matrix]))[signed]
    own = sp.csr_array(problem.table)
    bounds = [np.concatenate([problem.lower, reaction.lower]), np.concatenate([problem.upper, reaction.upper])]
    unit = inside if branch.plain else np.r_[:d, inside]
    parts = [
        (branch.basis[unit].toarray(), bounds[1][unit] - branch.base[unit], np.abs(branch.base[unit])),
        (-branch.basis[unit].toarray(), branch.base[unit] - bounds[0][unit], np.abs(branch.base[unit])),
        _mapped(sp.diags_array(sign) @ followers, -sign * reaction.vector[signed], branch),
        _mapped(own, problem.up, branch),
        _mapped(-own, -problem.low, branch),
    ]
    table, limit, size = (np.concatenate([part[k] for part in parts]) for k in range(3))
    finite = np.isfinite(limit)
    table, limit, size = table[finite], limit[finite], size[finite]
    length = np.linalg.norm(table, axis=1)
    empty = length <= 1e-13 * np.maximum(size, np.abs(limit))
    if (limit[empty] < -FEASIBLE * np.maximum(size, np.abs(limit))[empty]).any():
        return None
    table, limit = table[~empty] / length[~empty, None], limit[~empty] / length[~empty]
    if len(table):  # equal rows once: identical players switch together
        power = np.exp2(np.frexp(limit)[1])
        key = np.round(np.column_stack([table, limit / power, power]), 12)
        first = np.sort(np.unique(key, axis=0, return_index=True)[1])
        table, limit = table[first], limit[first]
    return replace(branch, table=table, limit=limit)


def _mapped(rows: sp.csr_array, limit: np.ndarray, branch: _Branch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows over (x, z) as rows over y: (table, limit, size of the terms)."""
    return (rows @ branch.basis).toarray(), limit - rows @ branch.base, abs(rows) @ np.abs(branch.base)


def _local(
    hessian: np.ndarray, gradient: np.ndarray, limits: tuple[np.ndarray, ...], y: np.ndarray, rounds: int = 100
) -> np.ndarray | None:
    """A local minimum of a quadratic function that is not convex: convex programmes that touch it from above at the
    last point, so that every round goes down."""
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    lift = np.maximum(-values, 0.0) + CONVEX * max(float(np.abs(values).max()), 1e-300)
    extra = (vectors * lift) @ vectors.T
    least = np.inf
    for _ in range(rounds):
        found = quadratic.minimise(hessian + extra, gradient - extra @ y, *limits)
        if found.x is None:
            return None
        last, y = y, found.x
        value = float(0.5 * y @ hessian @ y + gradient @ y)
        terms = float(0.5 * np.abs(y) @ np.abs(hessian) @ np.abs(y) + np.abs(gradient) @ np.abs(y))
        if value >= least - 1e-14 * terms:
            return _exact(hessian, gradient, limits, y if value < least else last)
        least = value
    return None  # it still falls: perhaps without end


def _exact(hessian: np.ndarray, gradient: np.ndarray, limits: tuple[np.ndarray, ...], y: np.ndarray) -> np.ndarray:
    """The stationary point on the limits that are active at y, where it is allowed and no worse."""
    table, _, up, lower, upper = limits
    unit = np.eye(len(y))
    rows, ends = np.vstack([table, unit, -unit]), np.concatenate([up, upper, -lower])
    size = 1.0 + np.abs(np.where(np.isfinite(ends), ends, 0.0))
    active = ends - rows @ y <= 1e-7 * size
    across = rows[active]
    system = np.block([[hessian, across.T], [across, np.zeros((len(across), len(across)))]])
    right = np.concatenate([-(hessian @ y + gradient), ends[active] - across @ y])
    moved = y + np.linalg.lstsq(system, right, rcond=1e-12)[0][: len(y)]
    allowed = (rows @ moved - ends <= 1e-11 * size).all()
    terms = 0.5 * np.abs(y) @ np.abs(hessian) @ np.abs(y) + np.abs(gradient) @ np.abs(y)
    gain = 0.5 * y @ hessian @ y + gradient @ y - 0.5 * moved @ hessian @ moved - gradient @ moved
    return np.clip(moved, lower, upper) if allowed and gain >= -1e-13 * terms else y
