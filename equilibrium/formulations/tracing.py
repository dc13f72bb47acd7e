"""A leader over separate markets: each market's reaction traced exactly, the leader's problem bounded by HiGHS.

Where the followers fall into blocks that do not touch (one market an hour), and the leader reaches each block through
one number s = w'x (its net injection), the answer of a block is a piecewise linear function of s and its part of the
leader's payoff a piecewise quadratic one. Pieces are merged into convex groups with one binary each; tangents bound
every group from below:

    minimise  x'Hx/2 + c'x + sum_k sum_j v_kj   subject to   v_kj >= tangents,  s_kj in its group,  sum_j s_kj = w_k'x

as a mixed-integer linear programme. Its optimum is a bound; the true payoff at its answer, improved by a convex
programme on the pieces chosen, is a value. Tangents are added where the answer lies until bound and value meet.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ..errors import Infeasible
from ..hierarchy import LeaderProblem, Quadratic
from ..led import Led, Optimum
from ..mcp import MixedComplementarity
from ..reactions import response_kind
from ..solvers import highs, quadratic
from ..solvers.growing import Growing
from ..solvers.outcome import Termination
from ..tolerances import CONVEX
from . import regimes
from .own_limits import ends

GAP = 1e-8
"""Bound and value have met where they are this close, relative to what the leader's decision changes: a welfare of 1e5
that an owner moves by 10 is bounded to 1e-7, not to 1e-3."""

STRICT = 1e-6
"""A payoff counts as strictly convex in s where its slope changes by more than this part over the range of s."""

ROUNDS = 60
"""Most programmes that are solved."""


class NotSeparable(Exception):
    """The followers do not fall into blocks that the leader reaches through one number each."""


@dataclass(frozen=True)
class Piece:
    """On low <= s <= up the block answers z = response s + offset and costs a s^2/2 + b s + c."""

    low: float
    up: float
    a: float
    b: float
    c: float
    response: np.ndarray
    offset: np.ndarray

    def value(self, s: float) -> float:
        """The cost at s."""
        return 0.5 * self.a * s * s + self.b * s + self.c

    def slope(self, s: float) -> float:
        """Its derivative."""
        return self.a * s + self.b


@dataclass(frozen=True)
class Block:
    """Followers' columns, the weights w of s = w'x, and the pieces in order, sorted into convex groups."""

    columns: np.ndarray
    weight: np.ndarray
    groups: tuple[tuple[Piece, ...], ...]

    def pieces(self) -> list[Piece]:
        """All pieces in order."""
        return [piece for group in self.groups for piece in group]


def solve(problem: LeaderProblem, seconds: float = 120.0) -> Led:
    """The global optimum with a bound. Raises NotSeparable where this route does not apply, Infeasible."""
    began = time.perf_counter()
    blocks, rest = separate(problem)
    table, low, up = regimes.own_rows(problem)
    master = _Master(problem, blocks, rest, table, low, up)
    best: tuple[float, np.ndarray] | None = None
    bound = -np.inf
    for _ in range(ROUNDS):
        found = master.solve(max(1.0, seconds - (time.perf_counter() - began)))
        if found is None:
            raise Infeasible(f"no decision satisfies the limits of {problem.player.name}")
        x, lowest = found
        bound = max(bound, lowest)
        better = _descend(problem, blocks, rest, table, low, up, x)
        if best is None or better[0] < best[0]:
            best = better
        master.add_tangents(x, better[1])
        gap = best[0] - bound
        stake = max(abs(best[0] - rest.constant), 1e-4 * abs(best[0]), 1e-300)  # at least 1e-12 of the value
        if gap <= GAP * stake or time.perf_counter() - began > seconds:
            break
    assert best is not None
    cost, x = best
    z = np.zeros(problem.reaction.size)
    for block in blocks:
        s = float(block.weight @ x)
        piece = _piece_at(block, s)
        z[block.columns] = piece.response * s + piece.offset
    z = np.clip(z, problem.reaction.lower, problem.reaction.upper)
    pieces = sum(len(block.pieces()) for block in blocks)
    reason = (
        f"{len(blocks)} separate markets with {pieces} regimes, bound within {max(0.0, cost - bound):.2g} of the value"
    )
    seconds, optima = time.perf_counter() - began, (Optimum(x, cost),)
    return Led(
        x, z, cost, min(bound, cost), "tracing", reason, optima, 1, seconds, unique=_strictly_convex(problem, blocks)
    )


def _strictly_convex(problem: LeaderProblem, blocks: list[Block]) -> bool:
    """Whether the payoff is strictly convex in all that the leader may move, so that its optimum is the only one."""
    if problem.whole.any() or any(len(block.groups) > 1 for block in blocks):
        return False
    for block in blocks:
        pieces = block.pieces()
        slopes = [piece.slope(end) for piece in pieces for end in (piece.low, piece.up)]
        width, size = pieces[-1].up - pieces[0].low, max(np.abs(slopes).max(), 1e-300)
        if any(piece.a * width <= STRICT * size for piece in pieces):
            return False
    moving = problem.upper > problem.lower
    weights = np.array([block.weight for block in blocks])[:, moving]
    return bool(np.linalg.matrix_rank(weights) == moving.sum())


# ---------------------------------------------------------------------------------------------------------------------


def separate(problem: LeaderProblem) -> tuple[list[Block], Quadratic]:
    """The blocks with their pieces, and what of the leader's cost depends on x alone. Raises NotSeparable.

    Every block costs nothing at the leader's smallest decisions; the constant is what the leader then has.
    """
    reaction, d = problem.reaction, problem.count
    if np.any(problem.table[:, d:]):
        raise NotSeparable("a constraint of the leader holds followers' Vars")
    kind = response_kind(problem)
    if not kind.settled:
        raise NotSeparable("the followers' reaction may jump")
    assert reaction.matrix is not None and reaction.slope is not None
    joined = abs(reaction.matrix) + abs(reaction.matrix.T) + sp.csr_array(np.abs(problem.cost.hessian[d:, d:]))
    _, label = connected_components(joined, directed=False)
    base = problem.cost.hessian[:d, :d].copy()
    blocks = []
    gradient, constant = problem.cost.gradient[:d].copy(), problem.cost.constant
    nothing = np.clip(0.0, problem.lower, problem.upper)
    slope = reaction.slope.toarray()
    box = _box(problem)
    shared: dict[bytes, list[Piece]] = reaction._made.setdefault("traced", {})
    order = np.argsort(label, kind="stable")
    for columns in np.split(order, np.cumsum(np.bincount(label))[:-1]):
        weight, through = _one_number(slope[columns], problem.cost.hessian[d + columns][:, :d])
        curve = _own_curve(base, weight)
        base -= curve * np.outer(weight, weight)
        low, up = _reach(problem, weight, box)
        lone = _alone(problem, columns, weight, through, low, up, curve)
        block = Block(columns, weight, _groups(_trace(lone, shared)))
        level = _value_at(block, nothing)
        constant += level
        blocks.append(_lowered(block, level))
    if float(np.linalg.eigvalsh((base + base.T) / 2)[0]) < -CONVEX * max(np.abs(problem.cost.hessian).max(), 1e-300):
        raise NotSeparable("the leader's own cost is not convex")
    return blocks, Quadratic(base, gradient, constant)


def _one_number(slope: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(w, [u, h]) with slope = u w' and cross = h w'; w has a largest entry of one."""
    both = np.vstack([slope, cross])
    size = np.abs(both).max(axis=1)
    if not size.any():
        return np.zeros(both.shape[1]), np.zeros(len(both))
    row = both[int(np.argmax(size))]
    weight = row / row[int(np.argmax(np.abs(row)))]
    through = both @ weight / (weight @ weight)
    if np.abs(both - np.outer(through, weight)).max() > 1e-12 * size.max():
        raise NotSeparable("the leader reaches a block of followers through more than one number")
    return weight, through


def _own_curve(base: np.ndarray, weight: np.ndarray) -> float:
    """How much of the leader's own curvature is that of s = w'x (so that a block's pieces are as convex as can be)."""
    used = np.flatnonzero(weight)
    if not used.size:
        return 0.0
    part = base[np.ix_(used, used)] / np.outer(weight[used], weight[used])
    return float(part.flat[0]) if np.ptp(part) <= 1e-12 * np.abs(part).max() else 0.0


@dataclass(frozen=True)
class _Box:
    """The leader's own limits: rows low <= table x <= up, and the range of each decision where one row alone gives it
    (NaN where a programme has to say)."""

    table: sp.csr_array
    low: np.ndarray
    up: np.ndarray
    least: np.ndarray
    most: np.ndarray


def _box(problem: LeaderProblem) -> _Box:
    table, low, up = regimes.own_rows(problem)
    used = table != 0
    once = used.sum(axis=0) <= 1
    least = np.where(used.any(axis=0), np.nan, problem.lower)
    most = np.where(used.any(axis=0), np.nan, problem.upper)
    for row, mine, a, b in zip(table, used, low, up, strict=True):
        if once[mine].all():
            least[mine], most[mine] = ends(row[mine], a, b, problem.lower[mine], problem.upper[mine])
    empty = ~(least <= most)
    least[empty] = most[empty] = np.nan
    return _Box(sp.csr_array(table), low, up, least, most)


def _reach(problem: LeaderProblem, weight: np.ndarray, box: _Box) -> tuple[float, float]:
    """The range of w'x over the leader's own limits."""
    ends = _alone_in(weight, box) or _by_programme(problem, weight, box)
    width = ends[1] - ends[0]
    slack = 1e-9 * max(abs(ends[0]), abs(ends[1]), 1e-300)
    return (ends[0] - slack, ends[1] + slack) if width >= 0 else (ends[1], ends[0])


def _alone_in(weight: np.ndarray, box: _Box) -> tuple[float, float] | None:
    """The range of w'x where w holds one decision whose range is known."""
    used = np.flatnonzero(weight)
    if len(used) != 1 or not np.isfinite([box.least[used[0]], box.most[used[0]]]).all():
        return None
    ends = sorted(float(weight[used[0]] * end) for end in (box.least[used[0]], box.most[used[0]]))
    return ends[0], ends[1]


def _by_programme(problem: LeaderProblem, weight: np.ndarray, box: _Box) -> tuple[float, float]:
    ends = []
    for sign in (1.0, -1.0):
        corner = np.where(sign * weight > 0, problem.lower, problem.upper)
        used = weight != 0
        if np.isfinite(corner[used]).all() and not len(box.low):
            ends.append(float(weight[used] @ corner[used]))
            continue
        d = problem.count
        programme = highs.Programme(
            sp.csc_array((d, d)), sign * weight, box.table, box.low, box.up, problem.lower, problem.upper
        )
        x, _, outcome = highs.minimise(programme)
        if outcome.termination is Termination.INFEASIBLE:
            raise Infeasible(f"no decision satisfies the limits of {problem.player.name}")
        if not outcome.ok:
            raise NotSeparable("a market can be reached without limit")
        ends.append(float(weight @ x))
    return ends[0], ends[1]


def _alone(
    problem: LeaderProblem,
    columns: np.ndarray,
    weight: np.ndarray,
    through: np.ndarray,
    low: float,
    up: float,
    curve: float,
) -> LeaderProblem:
    """The leader's problem in one block, with s as its only decision."""
    d, n = problem.count, len(columns)
    reaction = problem.reaction
    assert reaction.matrix is not None and reaction.vector is not None
    part = MixedComplementarity(
        reaction.names.of(columns),
        reaction.kind[columns],
        reaction.player[columns],
        [reaction.components[k] for k in columns],
        reaction.lower[columns],
        reaction.upper[columns],
        sp.csr_array(reaction.matrix[columns][:, columns]),
        reaction.vector[columns],
        start=None if reaction.start is None else reaction.start[columns],
        slope=sp.csr_array(through[:n, None]),
    )
    hessian = np.zeros((n + 1, n + 1))
    hessian[0, 0] = curve
    hessian[0, 1:] = hessian[1:, 0] = through[n:]
    hessian[1:, 1:] = problem.cost.hessian[d + columns][:, d + columns]
    cost = Quadratic(hessian, np.concatenate([[0.0], problem.cost.gradient[d + columns]]), 0.0)
    nothing = np.zeros(0)
    return LeaderProblem(
        problem.player,
        part,
        cost,
        np.zeros((0, n + 1)),
        nothing,
        nothing,
        np.array([low]),
        np.array([up]),
        np.array([False]),
        (),
    )


def _trace(lone: LeaderProblem, shared: dict[bytes, list[Piece]]) -> list[Piece]:
    """The pieces of one block from end to end; blocks with the same numbers are traced once."""
    reaction = lone.reaction
    assert reaction.matrix is not None and reaction.slope is not None and reaction.vector is not None
    parts = (reaction.matrix.toarray(), reaction.slope.toarray(), reaction.vector, reaction.lower, reaction.upper)
    key = b"".join(
        np.ascontiguousarray(a).tobytes()
        for a in (*parts, lone.cost.hessian, lone.cost.gradient, lone.lower, lone.upper)
    )
    if key not in shared:
        low, up = float(lone.lower[0]), float(lone.upper[0])
        found = regimes.trace(lone, low, up)
        pieces = [_priced(lone, regime, a, b) for regime, a, b in found]
        shared[key] = sorted(pieces, key=lambda piece: piece.low)
    return shared[key]


def _priced(lone: LeaderProblem, regime: regimes.Regime, low: float, up: float) -> Piece:
    lift = np.concatenate([[1.0], regime.response[:, 0]])
    base = np.concatenate([[0.0], regime.offset])
    cost = lone.cost
    a = float(lift @ cost.hessian @ lift)
    b = float(lift @ (cost.hessian @ base + cost.gradient))
    return Piece(low, up, a, b, cost(base), regime.response[:, 0], regime.offset)


def _groups(pieces: list[Piece]) -> tuple[tuple[Piece, ...], ...]:
    """Consecutive pieces merged as long as the function stays convex."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        size = max(abs(piece.slope(piece.low)), abs(piece.slope(piece.up)), 1e-300)
        if piece.a * max(piece.up - piece.low, 0.0) < -1e-9 * size:
            raise NotSeparable("the leader's payoff is not concave within a regime")
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and abs(last.value(piece.low) - piece.value(piece.low)) <= 1e-9 * max(abs(last.value(piece.low)), size)
            and piece.slope(piece.low) >= last.slope(piece.low) - 1e-11 * size
        ):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return tuple(tuple(group) for group in groups)


def _lowered(block: Block, level: float) -> Block:
    """The block with ``level`` taken off its cost."""
    groups = tuple(tuple(replace(piece, c=piece.c - level) for piece in group) for group in block.groups)
    return replace(block, groups=groups)


def _value_at(block: Block, x: np.ndarray) -> float:
    """What the block costs at the decision x."""
    s = float(block.weight @ x)
    return _piece_at(block, s).value(s)


def _piece_at(block: Block, s: float) -> Piece:
    pieces = block.pieces()
    inside = [p for p in pieces if p.low <= s <= p.up]
    if inside:
        return min(inside, key=lambda p: p.value(s))
    return min(pieces, key=lambda p: max(p.low - s, s - p.up))


def _descend(
    problem: LeaderProblem,
    blocks: list[Block],
    rest: Quadratic,
    table: np.ndarray,
    low: np.ndarray,
    up: np.ndarray,
    x: np.ndarray,
) -> tuple[float, np.ndarray]:
    """(value, x) of the best decision reached from x by convex programmes on the pieces, moving to neighbouring
    pieces while that helps."""
    chosen = [block.pieces().index(_piece_at(block, float(block.weight @ x))) for block in blocks]
    lower, upper = problem.lower.copy(), problem.upper.copy()
    whole = problem.whole
    lower[whole] = upper[whole] = np.round(x[whole])
    best_value, best_x = np.inf, x
    for _ in range(60):
        found = _on_pieces(blocks, chosen, rest, table, low, up, lower, upper)
        if found is None:
            break
        value = rest(found) + sum(_value_at(b, found) for b in blocks)
        if value >= best_value - 1e-13 * abs(best_value):
            if value < best_value:
                best_value, best_x = value, found
            break
        best_value, best_x = value, found
        chosen = _neighbours(blocks, chosen, found)
    return best_value, best_x


def _on_pieces(
    blocks: list[Block],
    chosen: list[int],
    rest: Quadratic,
    table: np.ndarray,
    low: np.ndarray,
    up: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> np.ndarray | None:
    weights = np.array([b.weight for b in blocks])
    pieces = [b.pieces()[k] for b, k in zip(blocks, chosen, strict=True)]
    # The outer ends are the leader's own limits, which stand in the table: as rows here they would nearly repeat them.
    floor = np.array([-np.inf if k == 0 else p.low for k, p in zip(chosen, pieces, strict=True)])
    ceiling = np.array(
        [np.inf if k == len(b.pieces()) - 1 else p.up for b, k, p in zip(blocks, chosen, pieces, strict=True)]
    )
    curve = np.array([max(p.a, 0.0) for p in pieces])
    hessian = rest.hessian + (weights.T * curve) @ weights
    gradient = rest.gradient + weights.T @ np.array([p.b for p in pieces])
    used = np.abs(weights).max(axis=1) > 0
    found = quadratic.minimise(
        hessian,
        gradient,
        np.vstack([table, weights[used]]),
        np.concatenate([low, floor[used]]),
        np.concatenate([up, ceiling[used]]),
        lower,
        upper,
    )
    return found.x


def _neighbours(blocks: list[Block], chosen: list[int], x: np.ndarray) -> list[int]:
    """The pieces to try next: over the edge where s lies on one and the neighbour continues the same group."""
    moved = list(chosen)
    for k, block in enumerate(blocks):
        pieces = block.pieces()
        s, piece = float(block.weight @ x), pieces[chosen[k]]
        size = 1e-9 * max(abs(piece.low), abs(piece.up), 1e-300)
        if s >= piece.up - size and chosen[k] + 1 < len(pieces) and pieces[chosen[k] + 1].up > piece.up + size:
            moved[k] = chosen[k] + 1
        elif s <= piece.low + size and chosen[k] > 0 and pieces[chosen[k] - 1].low < piece.low - size:
            moved[k] = chosen[k] - 1
    return moved


class _Master:
    """The mixed-integer programme over x, binaries and tangents, kept in one HiGHS model."""

    def __init__(
        self,
        problem: LeaderProblem,
        blocks: list[Block],
        rest: Quadratic,
        table: np.ndarray,
        low: np.ndarray,
        up: np.ndarray,
    ) -> None:
        self.blocks, self.rest, self.d = blocks, rest, problem.count
        self.programme = Growing()
        for k in range(self.d):
            self.programme.column(rest.gradient[k], problem.lower[k], problem.upper[k], bool(problem.whole[k]))
        for row, a, b in zip(table, low, up, strict=True):
            self.programme.row(a, b, np.flatnonzero(row), row[row != 0])
        self.factors = self._curved(rest.hessian)
        self.places: list[list[tuple[int, int, int]]] = []
        for block in blocks:
            self._block(block)
        self.constant = rest.constant

    def _curved(self, hessian: np.ndarray) -> list[tuple[np.ndarray, int]]:
        """One column a curved direction r of the leader's own cost, at least the tangents of (r'x)^2/2."""
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        largest = max(float(values[-1]), 1e-300) if len(values) else 1.0
        found = []
        for value, vector in zip(values, vectors.T, strict=True):
            if value > 1e-12 * largest and value > 0:
                found.append((np.sqrt(value) * vector, self.programme.column(1.0, 0.0, np.inf)))
        return found

    def _block(self, block: Block) -> None:
        places = []
        used = np.flatnonzero(block.weight)
        for group in block.groups:
            least, most = group[0].low, group[-1].up
            s = self.programme.column(0.0, min(least, 0.0), max(most, 0.0))
            v = self.programme.column(1.0, -np.inf, np.inf)
            y = self.programme.column(0.0, 0.0, 1.0, len(block.groups) > 1)
            self.programme.row(0.0, np.inf, np.array([s, y]), np.array([1.0, -least]))
            self.programme.row(-np.inf, 0.0, np.array([s, y]), np.array([1.0, -most]))
            places.append((s, v, y))
            for piece in group:
                for point in np.linspace(piece.low, piece.up, 3):
                    self._tangent(places[-1], piece, point)
        self.programme.row(1.0, 1.0, np.array([y for _, _, y in places]), np.ones(len(places)))
        index = np.concatenate([used, [s for s, _, _ in places]])
        self.programme.row(0.0, 0.0, index, np.concatenate([block.weight[used], -np.ones(len(places))]))
        self.places.append(places)

    def _tangent(self, place: tuple[int, int, int], piece: Piece, point: float) -> None:
        s, v, y = place
        slope = piece.slope(point)
        self.programme.row(
            0.0, np.inf, np.array([v, s, y]), np.array([1.0, -slope, slope * point - piece.value(point)])
        )

    def add_tangents(self, *points: np.ndarray) -> None:
        """Tangents where the given decisions lie."""
        for x in points:
            for r, column in self.factors:
                t = float(r @ x)
                used = np.flatnonzero(r)
                self.programme.row(-0.5 * t * t, np.inf, np.append(used, column), np.append(-t * r[used], 1.0))
            for block, places in zip(self.blocks, self.places, strict=True):
                s = float(block.weight @ x)
                for group, place in zip(block.groups, places, strict=True):
                    for piece in group:
                        if piece.low - 1e-9 <= s <= piece.up + 1e-9:
                            self._tangent(place, piece, s)

    def solve(self, seconds: float) -> tuple[np.ndarray, float] | None:
        """(x, proved lower bound); None where nothing is feasible."""
        x, bound, ended = self.programme.solve(seconds)
        if ended is Termination.INFEASIBLE:
            return None
        if x is None:
            raise NotSeparable("HiGHS stopped without an answer")
        return x[: self.d], bound + self.constant
