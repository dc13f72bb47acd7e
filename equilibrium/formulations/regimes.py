"""A leader's problem, exactly: the followers' reaction is affine in the leader's decisions, regime by regime.

A regime is a pattern of the followers' conditions (which columns are at a bound, which are inside). Where the pattern
is regular the answer is z = response x + offset on a polyhedron of x. Regimes are found one after the other: at a
generic point of what is not yet covered the followers' problem is solved, its pattern gives a polyhedron, and what is
left is cut along its facets. In every regime the leader's payoff is a quadratic function of x alone, whose minimum is
found exactly; the best regime is the global optimum.

Covered are all regimes wider than WIDTH (relative). Where the reaction jumps (prices that are not unique), the optimum
may be a limit that is reached only if the followers' tie is broken in the leader's favour; ``reactions`` says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from ..hierarchy import LeaderProblem
from ..mcp import MixedComplementarity
from ..reactions import answer, signs
from ..sides import INSIDE, LOW, sides_of
from ..solvers import quadratic
from ..solvers.linear import Linear
from ..solvers.outcome import Termination

WIDTH = 1e-8
"""Pieces narrower than this, relative to the scale of x, are not searched."""


@dataclass
class Regime:
    """One pattern of the followers: z = response x + offset wherever table x <= limit; the leader's best x there."""

    pattern: bytes
    response: np.ndarray
    offset: np.ndarray
    table: np.ndarray
    limit: np.ndarray
    reduced: tuple[np.ndarray, np.ndarray, float] = field(default=(np.zeros(0), np.zeros(0), 0.0), repr=False)
    found: quadratic.Minimum | None = None
    local: bool = False  # whether its best point is a local optimum over all regimes

    @property
    def key(self) -> bytes:
        """Pattern and limits: where followers tie in what the leader does not see, one pattern may come with several
        polyhedra, each around the answer it was found with."""
        power = np.exp2(np.frexp(self.limit)[1])
        return self.pattern + np.round(self.limit / power, 9).tobytes() + power.tobytes()

    def cost(self, x: np.ndarray) -> float:
        """The leader's minimised payoff at x."""
        hessian, gradient, constant = self.reduced
        return float(0.5 * x @ hessian @ x + gradient @ x + constant)

    def slope(self, x: np.ndarray) -> np.ndarray:
        """Its gradient at x."""
        return self.reduced[0] @ x + self.reduced[1]


@dataclass
class Exploration:
    """Every regime found, and whether they cover all of the leader's decisions (else why not)."""

    regimes: list[Regime]
    complete: bool
    reason: str
    seconds: float = 0.0


class NotAFunction(Exception):
    """The followers' reaction is not unique in what the leader sees, in some whole regime."""


@dataclass
class _Piece:
    table: np.ndarray  # rows of unit length in scaled x
    limit: np.ndarray


def explore(problem: LeaderProblem, most: int = 400, seconds: float = 20.0) -> Exploration:
    """All regimes of ``problem`` with the leader's best decision in each. Raises NotAFunction.

    most: give up (incomplete) after so many regimes; seconds: or after that long.
    """
    began = time.perf_counter()
    scale = scales(problem)
    domain = _Domain(problem, scale)
    random = np.random.default_rng(0)
    stack = [_Piece(np.zeros((0, problem.count)), np.zeros(0))]
    regimes: dict[bytes, Regime] = {}
    lost = 0
    while stack:
        if len(regimes) > most or time.perf_counter() - began > seconds:
            return Exploration(list(regimes.values()), False, f"more than {len(regimes)} regimes", _since(began))
        piece = stack.pop()
        centre, radius = domain.centre(piece)
        if centre is None or radius <= WIDTH:
            continue
        regime = _regime_near(problem, centre, 0.25 * radius, scale, random)
        if regime is None:
            regime = _regime_near(problem, domain.inward(random), 0.25 * radius, scale, random)
        if regime is None:
            lost += 1
            continue
        regimes.setdefault(regime.key, regime)
        stack.extend(_left_over(piece, regime, scale))
    for regime in regimes.values():
        _best_in(problem, regime)
    _mark_local(problem, list(regimes.values()))
    reason = f"{len(regimes)} regimes" if not lost else f"{lost} pieces where the followers' problem was not solved"
    open_ended = [r for r in regimes.values() if r.found is not None and not r.found.proved]
    if open_ended:
        reason = "a regime in which the leader's payoff is not convex was not searched to the end"
    return Exploration(list(regimes.values()), not lost and not open_ended, reason, _since(began))


def trace(problem: LeaderProblem, low: float, up: float, most: int = 2000) -> list[tuple[Regime, float, float]]:
    """The regimes of a leader with one decision between low and up, in pieces (regime, from, to). Raises NotAFunction,
    or RuntimeError where the followers' problem is not solved somewhere."""
    scale = np.array([max(abs(low), abs(up), 1e-300)])
    random = np.random.default_rng(0)
    stack: list[tuple[float, float]] = [(low, up)]
    found: list[tuple[Regime, float, float]] = []
    while stack:
        a, b = stack.pop()
        if b - a <= 1e-12 * scale[0]:
            if not found:
                stack.append((a - scale[0], a + scale[0]))
            continue
        middle = np.array([0.5 * (a + b)])
        wide = replace(problem, lower=np.array([a]), upper=np.array([b]))
        regime = _regime_near(wide, middle, 0.5 * (b - a) / scale[0], scale, random)
        if regime is None or len(found) > most:
            raise NotAFunction("the followers' problem was not solved everywhere")
        ends = regime.limit / regime.table[:, 0]
        left = max(a, float(ends[regime.table[:, 0] < 0].max(initial=-np.inf)))
        right = min(b, float(ends[regime.table[:, 0] > 0].min(initial=np.inf)))
        found.append((regime, left, right))
        stack += [(a, left), (right, b)]
    return found


def scales(problem: LeaderProblem) -> np.ndarray:
    """A typical size of each of the leader's decisions: its range, else what moves the followers' conditions by their
    own size."""
    width = problem.upper - problem.lower
    reaction = problem.reaction
    assert reaction.slope is not None and reaction.vector is not None
    found = np.ones(problem.count)
    size = abs(reaction.slope).toarray()
    for k in range(problem.count):
        if np.isfinite(width[k]) and width[k] > 0:
            found[k] = width[k]
            continue
        rows = size[:, k] > 0
        ratios = np.abs(reaction.vector[rows]) / size[rows, k]
        ratios = ratios[ratios > 0]
        if ratios.size:
            found[k] = float(np.median(ratios))
    return found


# ---------------------------------------------------------------------------------------------------------------------


def _since(began: float) -> float:
    return time.perf_counter() - began


def own_rows(problem: LeaderProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(table, low, up) of the leader's limits in which only its own decisions stand."""
    d = problem.count
    alone = ~np.any(problem.table[:, d:] != 0, axis=1)
    return problem.table[alone][:, :d], problem.low[alone], problem.up[alone]


class _Domain:
    """What limits x whatever piece is looked at: the leader's own rows, and the followers' rows that must hold.

    Columns (x / scale, z, r); the last is the distance to the limits, to be made as large as can be.
    """

    def __init__(self, problem: LeaderProblem, scale: np.ndarray) -> None:
        reaction, d, n = problem.reaction, problem.count, problem.reaction.size
        assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
        self.d, self.scale = d, scale
        moving = problem.upper > problem.lower
        sign = signs(reaction)
        keep = np.flatnonzero(~np.isnan(sign))
        table, low, up = own_rows(problem)
        own = table * scale
        equal = low == up  # an equality among x leaves no interior: it is required, without a distance
        size = np.where(equal, 0.0, np.linalg.norm(own[:, moving], axis=1))
        followers = np.hstack([reaction.slope.toarray()[keep] * scale, reaction.matrix.toarray()[keep]])
        eye = np.eye(d)
        floor, ceiling = problem.lower / scale, problem.upper / scale
        none, far = np.zeros((d, n)), np.full(d, np.inf)
        least = -reaction.vector[keep]
        rows = np.vstack(
            [
                np.hstack([own, np.zeros((len(own), n)), -size[:, None]]),
                np.hstack([-own, np.zeros((len(own), n)), -size[:, None]]),
                np.hstack([followers, np.zeros((len(keep), 1))]),
                np.hstack([eye, none, np.where(moving, -1.0, 0.0)[:, None]]),
                np.hstack([eye, none, np.where(moving, 1.0, 0.0)[:, None]]),
            ]
        )
        above = np.concatenate([low, -up, np.where(sign[keep] >= 0, least, -np.inf), floor, -far])
        below = np.concatenate([np.full(2 * len(own), np.inf), np.where(sign[keep] <= 0, least, np.inf), far, ceiling])
        self.lower = np.concatenate([floor, reaction.lower, [0.0]])
        self.upper = np.concatenate([ceiling, reaction.upper, [1.0]])
        self.linear = Linear(sp.csr_array(rows), above, below, self.lower, self.upper)
        self.last = np.zeros(len(self.lower))

    def centre(self, piece: _Piece) -> tuple[np.ndarray | None, float]:
        """A point of the piece far from its limits at which the followers' rows can hold, and how far (scaled)."""
        m = len(self.lower)
        cuts = np.zeros((len(piece.limit), m))
        cuts[:, : self.d] = piece.table
        cuts[:, -1] = 1.0
        self.linear.limit(cuts, piece.limit)
        self.last, found = self.linear.minimise(-np.eye(m)[-1], self.lower, self.upper)
        if found is not Termination.SOLVED:
            return None, 0.0
        return self.last[: self.d] * self.scale, float(self.last[-1])

    def inward(self, random: np.random.Generator) -> np.ndarray:
        """The mean of the last centre and of what lies far from it along a random line, where the followers' rows hold
        too: the centre itself may lie at the end of what the followers can answer."""
        d, v = self.d, self.last
        far = 10 * (1 + np.abs(v[:d]))
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[:d], upper[:d] = np.maximum(lower[:d], v[:d] - far), np.minimum(upper[:d], v[:d] + far)
        lower[-1] = 0.25 * v[-1]
        aim = np.zeros(len(v))
        aim[:d] = random.normal(size=d)
        points = [v[:d]]
        for sign in (1.0, -1.0):
            x, found = self.linear.minimise(sign * aim, lower, upper)
            if found is Termination.SOLVED:
                points.append(x[:d])
        return np.average(points, axis=0, weights=[2.0, *np.ones(len(points) - 1)]) * self.scale


def _regime_near(
    problem: LeaderProblem, centre: np.ndarray, radius: float, scale: np.ndarray, random: np.random.Generator
) -> Regime | None:
    """The regime at a generic point near ``centre``; None where the followers' problem is not solved there."""
    moving = problem.upper > problem.lower
    table, low, up = own_rows(problem)
    equalities = table[up == low] * scale
    fallback = None
    for attempt in range(8):
        step = random.normal(size=problem.count) * moving
        if len(equalities):
            step -= np.linalg.lstsq(equalities, equalities @ step, rcond=None)[0]
        length = np.linalg.norm(step)
        x = centre + (0.3 * radius * random.random() * step / length * scale if length > 0 and attempt else 0.0)
        x = np.clip(x, problem.lower, problem.upper)
        reaction = problem.reaction.at(x)
        z = answer(reaction)
        if z is None:
            continue
        pattern, strict = _pattern(reaction, z)
        regime = _regime(problem, x, z, pattern, scale)
        if regime is not None and strict:
            return regime
        fallback = regime or fallback
    return fallback


def _pattern(reaction: MixedComplementarity, z: np.ndarray) -> tuple[np.ndarray, bool]:
    """Where each column is, and whether that is beyond doubt (strict complementarity)."""
    sides = sides_of(reaction, z)
    return sides.pattern, bool((sides.margin > 1e-9).all())


def _regime(
    problem: LeaderProblem, x: np.ndarray, z: np.ndarray, pattern: np.ndarray, scale: np.ndarray
) -> Regime | None:
    """The affine reaction of a pattern and where it is valid; None if the pattern is not one that x can move within."""
    reaction = problem.reaction
    assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
    matrix, slope = reaction.matrix.toarray(), reaction.slope.toarray()
    inside = np.flatnonzero(pattern == INSIDE)
    response = np.zeros((reaction.size, problem.count))
    part = matrix[np.ix_(inside, inside)]
    if inside.size:
        row = 1 / np.maximum(np.abs(part).max(axis=1), 1e-300)
        left, singular, right = np.linalg.svd(part * row[:, None])
        small = singular <= 1e-11 * singular[0]
        if small.any():
            loose = right[small]
            if np.abs(left[:, small].T @ (slope[inside] * row[:, None])).max(initial=0.0) > 1e-9 * max(
                np.abs(slope[inside]).max(initial=0.0), 1e-300
            ):
                return None  # the pattern holds at this x only
            if np.abs(loose[:, problem.seen[inside]]).max(initial=0.0) > 1e-8:
                raise NotAFunction(
                    "the followers' reaction is not unique: " + ", ".join(_most_loose(reaction, inside, loose))
                )
            inverse = right[~small].T @ np.diag(1 / singular[~small]) @ left[:, ~small].T
        else:
            inverse = right.T @ np.diag(1 / singular) @ left.T
        response[inside] = -inverse @ (slope[inside] * row[:, None])
    offset = z - response @ x
    outside = np.flatnonzero(pattern != INSIDE)
    offset[outside] = np.where(pattern[outside] == LOW, reaction.lower[outside], reaction.upper[outside])
    rows, limits = [], []
    for bound, sign in ((reaction.lower, -1.0), (reaction.upper, 1.0)):
        k = inside[np.isfinite(bound[inside])]
        rows.append(sign * response[k])
        limits.append(sign * (bound[k] - offset[k]))
    change = matrix[outside] @ response + slope[outside]
    level = matrix[outside] @ offset + reaction.vector[outside]
    side = np.where(pattern[outside] == LOW, -1.0, 1.0)
    both = reaction.lower[outside] < reaction.upper[outside]
    rows.append((side[:, None] * change)[both])
    limits.append((-side * level)[both])
    table, limit = _unit_rows(np.vstack(rows), np.concatenate(limits), scale)
    if (table @ (x / scale) - limit > 1e-7).any():
        return None
    return Regime(pattern.tobytes(), response, offset, table / scale, limit)


def _most_loose(reaction: MixedComplementarity, inside: np.ndarray, loose: np.ndarray) -> list[str]:
    weight = np.abs(loose).max(axis=0)
    return [reaction.names[inside[k]] for k in np.argsort(-weight)[:3] if weight[k] > 1e-6]


def _unit_rows(rows: np.ndarray, limits: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unit length in scaled x, equal ones once (identical players switch together), empty ones dropped."""
    scaled = rows * scale
    size = np.linalg.norm(scaled, axis=1)
    reach = np.maximum(np.abs(limits), 1e-300)
    used = size > 1e-12 * reach  # otherwise the row does not depend on x
    used &= size > 0
    scaled, limits = scaled[used] / size[used, None], limits[used] / size[used]
    if not len(scaled):
        return scaled, limits
    power = np.exp2(np.frexp(limits)[1])
    key = np.round(np.column_stack([scaled, limits / power, power]), 10)
    _, first = np.unique(key, axis=0, return_index=True)
    first.sort()
    return scaled[first], limits[first]


def _left_over(piece: _Piece, regime: Regime, scale: np.ndarray) -> list[_Piece]:
    """The piece without the regime, cut along its facets."""
    table, found = regime.table * scale, []
    for j in range(len(table)):
        found.append(
            _Piece(
                np.vstack([piece.table, table[:j], -table[j : j + 1]]),
                np.concatenate([piece.limit, regime.limit[:j], -regime.limit[j : j + 1]]),
            )
        )
    return found


def _best_in(problem: LeaderProblem, regime: Regime) -> None:
    """The leader's best decision in the regime (its own constraints included); ``found`` stays None where none is
    possible."""
    d = problem.count
    lift = np.vstack([np.eye(d), regime.response])
    base = np.concatenate([np.zeros(d), regime.offset])
    cost = problem.cost
    gradient = lift.T @ (cost.hessian @ base + cost.gradient)
    regime.reduced = (lift.T @ cost.hessian @ lift, gradient, cost(base))
    table = problem.table @ lift
    shift = problem.table @ base
    found = quadratic.minimise(
        regime.reduced[0],
        gradient,
        np.vstack([regime.table, table]),
        np.concatenate([np.full(len(regime.limit), -np.inf), problem.low - shift]),
        np.concatenate([regime.limit, problem.up - shift]),
        problem.lower,
        problem.upper,
    )
    regime.found = None if found.termination is Termination.INFEASIBLE else found


def _mark_local(problem: LeaderProblem, regimes: list[Regime]) -> None:
    """A regime's best point is a local optimum if no regime that contains it has a better point nearby."""
    solved = [r for r in regimes if r.found is not None and r.found.x is not None]
    for regime in solved:
        assert regime.found is not None and regime.found.x is not None
        x = regime.found.x
        here = regime.cost(x)
        regime.local = all(
            not quadratic.descends(
                other.slope(x), other.table, other.limit, problem.lower, problem.upper, x, max(abs(here), 1e-300)
            )
            for other in solved
            if other is not regime
            and (other.table @ x <= other.limit + 1e-9 * (1 + np.abs(other.limit))).all()
            and other.cost(x) <= here + 1e-9 * max(abs(here), 1e-300)
        ) and not any(
            other.cost(x) < here - 1e-9 * max(abs(here), 1e-300)
            for other in solved
            if (other.table @ x <= other.limit + 1e-9 * (1 + np.abs(other.limit))).all()
        )
