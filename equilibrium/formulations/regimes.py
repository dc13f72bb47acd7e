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
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from ..hierarchy import LeaderProblem
from ..mcp import DECISION, MixedComplementarity
from ..solvers import highs, quadratic
from ..solvers.outcome import Termination
from . import complementarity

WIDTH = 1e-8
"""Pieces narrower than this, relative to the scale of x, are not searched."""

LOW, INSIDE, HIGH = -1, 0, 1


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
    random = np.random.default_rng(0)
    stack = [_Piece(np.zeros((0, problem.count)), np.zeros(0))]
    regimes: dict[bytes, Regime] = {}
    lost = 0
    while stack:
        if len(regimes) > most or time.perf_counter() - began > seconds:
            return Exploration(list(regimes.values()), False, f"more than {len(regimes)} regimes", _since(began))
        piece = stack.pop()
        centre, radius = _centre(problem, piece, scale)
        if centre is None or radius <= WIDTH:
            continue
        regime = _regime_near(problem, centre, radius, scale, random)
        if regime is None:
            lost += 1
            continue
        regimes.setdefault(regime.pattern, regime)
        stack.extend(_left_over(piece, regime, scale))
    for regime in regimes.values():
        _best_in(problem, regime)
    _mark_local(problem, list(regimes.values()))
    reason = f"{len(regimes)} regimes" if not lost else f"{lost} pieces where the followers' problem was not solved"
    open_ended = [r for r in regimes.values() if r.found is not None and not r.found.proved]
    if open_ended:
        reason = "a regime in which the leader's payoff is not convex was not searched to the end"
    return Exploration(list(regimes.values()), not lost and not open_ended, reason, _since(began))


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


def relaxed_rows(reaction: MixedComplementarity) -> np.ndarray:
    """Signs of the followers' rows that hold whatever they answer: 1 for F >= 0, -1 for F <= 0, 0 for F = 0, NaN for
    rows that may take either sign."""
    low, up = np.isfinite(reaction.lower), np.isfinite(reaction.upper)
    sign = np.full(reaction.size, np.nan)
    sign[~low & ~up] = 0.0
    sign[low & ~up] = 1.0
    sign[~low & up] = -1.0
    return sign


def _centre(problem: LeaderProblem, piece: _Piece, scale: np.ndarray) -> tuple[np.ndarray | None, float]:
    """A point of the piece far from its facets at which the followers' rows can hold, and how far it is (scaled)."""
    reaction, d = problem.reaction, problem.count
    assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
    n = reaction.size
    moving = problem.upper > problem.lower
    sign = relaxed_rows(reaction)
    keep = np.flatnonzero(~np.isnan(sign))
    followers = sp.hstack([reaction.slope[keep] @ sp.diags_array(scale), reaction.matrix[keep]])
    table, low, up = own_rows(problem)
    own = table * scale
    size = np.linalg.norm(own[:, moving], axis=1) if table.size else np.zeros(0)
    rows = sp.vstack(
        [
            sp.hstack([sp.csr_array(piece.table), sp.csr_array((len(piece.limit), n)), np.ones((len(piece.limit), 1))]),
            sp.hstack([sp.csr_array(own), sp.csr_array((len(own), n)), -size[:, None]]) if len(own) else None,
            sp.hstack([sp.csr_array(-own), sp.csr_array((len(own), n)), -size[:, None]]) if len(own) else None,
            sp.hstack([followers, sp.csr_array((len(keep), 1))]),
            # r <= distance to the bounds of x
            sp.hstack([sp.eye_array(d), sp.csr_array((d, n)), np.where(moving, -1.0, 0.0)[:, None]]),
            sp.hstack([sp.eye_array(d), sp.csr_array((d, n)), np.where(moving, 1.0, 0.0)[:, None]]),
        ],
        format="csr",
    )
    least = -reaction.vector[keep]
    equal = up == low if len(own) else np.zeros(0, dtype=bool)
    if len(own):  # an equality among x leaves no interior: it is required, without a radius
        rows = sp.csr_array(rows)
        rows = rows.tolil()
        for k in np.flatnonzero(equal):
            rows[len(piece.limit) + k, d + n] = 0.0
            rows[len(piece.limit) + len(own) + k, d + n] = 0.0
        rows = rows.tocsr()
    row_lower = np.concatenate(
        [
            np.full(len(piece.limit), -np.inf),
            low,
            -up,
            np.where(sign[keep] >= 0, least, -np.inf),
            problem.lower / scale,
            np.full(d, -np.inf),
        ]
    )
    row_upper = np.concatenate(
        [
            piece.limit,
            np.full(2 * len(own), np.inf),
            np.where(sign[keep] <= 0, least, np.inf),
            np.full(d, np.inf),
            problem.upper / scale,
        ]
    )
    programme = highs.Programme(
        sp.csc_array((d + n + 1, d + n + 1)),
        np.concatenate([np.zeros(d + n), [-1.0]]),
        sp.csr_array(rows),
        row_lower,
        row_upper,
        np.concatenate([problem.lower / scale, reaction.lower, [0.0]]),
        np.concatenate([problem.upper / scale, reaction.upper, [1.0]]),
    )
    v, _, outcome = highs.minimise(programme)
    if not outcome.ok:
        return None, 0.0
    return v[:d] * scale, float(v[-1])


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
        z, outcome = complementarity.solve(reaction)
        if not outcome.ok:
            continue
        pattern, strict = _pattern(reaction, z)
        regime = _regime(problem, x, z, pattern, scale)
        if regime is not None and strict:
            return regime
        fallback = regime or fallback
    return fallback


def _pattern(reaction: MixedComplementarity, z: np.ndarray) -> tuple[np.ndarray, bool]:
    """Where each column is, and whether that is beyond doubt (strict complementarity)."""
    column, row = reaction.scales(z)
    slack = reaction.F(z) / row
    below = np.where(np.isfinite(reaction.lower), (z - reaction.lower) / column, np.inf)
    above = np.where(np.isfinite(reaction.upper), (reaction.upper - z) / column, np.inf)
    pattern = np.full(reaction.size, INSIDE, dtype=np.int8)
    pattern[below <= slack] = LOW
    pattern[(above <= -slack) & (below > slack)] = HIGH
    margin = np.where(pattern == INSIDE, np.minimum(below, above), np.abs(slack))
    return pattern, bool((margin > 1e-9).all())


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
            if np.abs(loose[:, problem.seen[inside]]).max(initial=0.0) > 1e-8:
                raise NotAFunction(
                    "the followers' reaction is not unique: " + ", ".join(_most_loose(reaction, inside, loose))
                )
            if np.abs(left[:, small].T @ (slope[inside] * row[:, None])).max(initial=0.0) > 1e-9 * max(
                np.abs(slope[inside]).max(initial=0.0), 1e-300
            ):
                return None  # the pattern holds at this x only
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
    sign = np.where(pattern[outside] == LOW, -1.0, 1.0)
    both = reaction.lower[outside] < reaction.upper[outside]
    rows.append((sign[:, None] * change)[both])
    limits.append((-sign * level)[both])
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


__all__ = ["DECISION", "Exploration", "NotAFunction", "Regime", "explore"]
