"""The best decision of one leader over affine followers, for many scenarios at once.

The argument. The leader's decisions x reach the followers through one number t = c'x only, and these answer every t
with one z(t) (strictly monotone conditions), which is affine piece by piece. So the leader's problem is that of t:

    V(t) = min over x of cost(x, z(t))   subject to   c'x = t, the leader's own bounds and rows (in which no z stands).

The cost is quadratic; where it is convex in x along c'x = t, the conditions of optimality of this programme are
sufficient. Put below those of the followers they are one affine complementarity problem in which t alone varies,

    z:  M z + t u + q                  _|_  the followers' box          m:  A x - b >= 0  _|_  m >= 0 (free: equations)
    x:  Hxx x + Hxz z + g - A'm - c s  _|_  the leader's bounds         s:  c'x - t = 0

``solvers.pieces`` marches through its pieces for all scenarios together, from some t both ways until the leader's
limits end. That they end there is proved by duality: c is a combination, of the right signs, of the normals of the
limits that hold x. On a piece V is one quadratic function of t, convex or not, whose minimum is at its stationary point
or at an end. The pieces cover all t that are possible, so the best of them is the global optimum and its value the
bound.

What is not shown goes alone: equally good decisions apart from each other, patterns that are singular, a start from
which a column may turn either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls

from . import curvature
from .batches import problems_of
from .mcp import DECISION, MULTIPLIER, MixedComplementarity, Names
from .one_leader import OneLeader
from .scenarios import NotVectorised
from .solvers import batched, pieces
from .solvers.pieces import INSIDE, LOW, Lines
from .tolerances import CONVEX, FEASIBLE, REGRET, RESIDUAL

SHARE = 0.381966
"""Where between its limits a decision begins: a share that nobody's numbers contain."""

APART = 1e-7
"""Decisions further apart than this, relative, are two."""

SAME = 1e-14
"""What is this close to a bound is at it, relative."""


@dataclass
class Optima:
    """Global optima of the scenarios ``which`` (positions in the group): x, z (scenarios, columns), cost; alone:
    whether no other decision does as well; count: pieces looked at."""

    which: np.ndarray
    x: np.ndarray
    z: np.ndarray
    cost: np.ndarray
    alone: np.ndarray
    count: np.ndarray


def optima(group: OneLeader) -> tuple[Optima, np.ndarray]:
    """(the global optima of the scenarios where one was proved, why not in the others)."""
    size = group.hessian.shape[1] + group.table.shape[1] + 1
    if size > curvature.DENSE:
        raise NotVectorised(f"{size} columns of followers and leader are too many for dense matrices")
    parts = curvature.chunks(group.count, size * size)
    found, reasons = zip(*(_optima(group.of(part)) for part in parts), strict=True)
    names = ("x", "z", "cost", "alone", "count")
    which = np.concatenate([part[one.which] for part, one in zip(parts, found, strict=True)])
    return Optima(which, *(np.concatenate([getattr(one, n) for one in found]) for n in names)), np.concatenate(reasons)


def _optima(group: OneLeader) -> tuple[Optima, np.ndarray]:
    reasons = np.full(group.count, "", dtype=object)
    reasons[~np.broadcast_to(curvature.monotone(group.followers)[1], group.count)] = (
        "the followers' conditions are not shown strictly monotone"
    )
    convex, strict = _bent_up(group)
    reasons[~convex & (reasons == "")] = "the leader's payoff is not concave where what the followers see is held"
    keep = np.flatnonzero(reasons == "")
    if not keep.size:
        x, z = np.zeros((0, group.weight.shape[1])), np.zeros((0, group.followers.mcp.size))
        return Optima(keep, x, z, np.zeros(0), np.zeros(0, dtype=bool), keep), reasons
    some = group.of(keep)
    plain = _lines(some)
    t, y = _start(some)
    lines = Lines.at(plain, y, t, _families(some))
    t, y = t / lines.span, y / lines.column
    pattern, margin = pieces.sides(lines, y, t)
    sound = (lines.error(y, t) <= RESIDUAL) & (margin.min(axis=1) > pieces.CLEAR)
    up = pieces.march(lines, pattern, t)
    down = pieces.march(lines.turned(), pattern, -t)
    sound &= (up.error <= RESIDUAL) & (down.error <= RESIDUAL)
    sound &= _ended(some, up, lines.column, 1.0) & _ended(some, down, lines.column, -1.0)
    reasons[keep[~sound]] = "the followers' answer was not followed to both ends"
    return _best(
        some, plain, lines, [*up.pieces, *(p.turned() for p in down.pieces)], sound, strict[keep], keep, reasons
    )


def _bent_up(group: OneLeader) -> tuple[np.ndarray, np.ndarray]:
    """Whether the cost is convex, and strictly, in x where c'x is held."""
    d = group.weight.shape[1]
    if d == 1:
        every = np.ones(group.count, dtype=bool)
        return every, every
    own = group.hessian[:, :d, :d]
    size = np.maximum(np.abs(own).max(axis=(1, 2)), 1e-300)
    c = group.weight / np.linalg.norm(group.weight, axis=1)[:, None]
    across = np.eye(d) - c[:, :, None] * c[:, None, :]
    lifted = across @ own @ across / size[:, None, None] + 2 * d * c[:, :, None] * c[:, None, :]
    lowest = np.linalg.eigvalsh(lifted)[:, 0]
    return lowest >= -CONVEX, lowest > CONVEX


def _lifted(group: OneLeader) -> np.ndarray:
    """Hxx + rho c c': the same problem where c'x is held, and convex all round where rho is large enough."""
    d, c = group.weight.shape[1], group.weight
    own = group.hessian[:, :d, :d]
    rho = np.abs(own).max(axis=(1, 2)) / (c * c).sum(axis=1)
    return own + rho[:, None, None] * c[:, :, None] * c[:, None, :]


def _lines(group: OneLeader) -> Lines:
    """The conditions of followers and leader, columns z, x, m, s, along t."""
    mcp, d, m = group.followers.mcp, group.weight.shape[1], group.table.shape[1]
    n, count = mcp.size, group.count
    size = n + d + m + 1
    z, x, rows, last = slice(0, n), slice(n, n + d), slice(n + d, n + d + m), n + d + m
    matrix, vector, along = np.zeros((count, size, size)), np.zeros((count, size)), np.zeros((count, size))
    pattern = mcp.matrix
    assert pattern is not None
    i = np.repeat(np.arange(n), np.diff(pattern.indptr))
    matrix[:, i, pattern.indices] = group.followers.matrix.part(slice(None)).T
    matrix[:, x, z] = group.hessian[:, :d, d:]
    matrix[:, x, x] = _lifted(group)
    matrix[:, x, rows] = -group.table.transpose(0, 2, 1)
    matrix[:, x, last] = -group.weight
    matrix[:, rows, x] = group.table
    matrix[:, last, x] = group.weight
    vector[:, z] = group.followers.vector.part(slice(None)).T
    vector[:, x] = group.gradient[:, :d]
    vector[:, rows] = -group.limit
    along[:, z], along[:, last] = group.reach, -1.0
    lower, upper = np.full((count, size), -np.inf), np.full((count, size), np.inf)
    lower[:, z], upper[:, z] = (stack.part(slice(None)).T for stack in (group.followers.lower, group.followers.upper))
    lower[:, x], upper[:, x] = group.lower, group.upper
    lower[:, rows] = np.where(group.equal, -np.inf, 0.0)
    ones = np.ones((count, size))
    return Lines(matrix, vector, along, lower, upper, ones, ones[:, 0])


def _families(group: OneLeader) -> np.ndarray:
    """Which columns of ``_lines`` are of one kind, and so of one size."""
    own = group.followers.mcp.families()
    k, d, m = int(own.max(initial=0)) + 1, group.weight.shape[1], group.table.shape[1]
    return np.concatenate([own, np.full(d, k), np.full(m + 1, k + 1)])


def _start(group: OneLeader) -> tuple[np.ndarray, np.ndarray]:
    """(t, the columns of ``_lines`` there) well within the leader's limits."""
    d, m = group.weight.shape[1], group.table.shape[1]
    first, size = _somewhere(group)
    if m:
        near = np.zeros((group.count, d, d))
        near[:, np.arange(d), np.arange(d)] = 1 / size**2
        first = _programme(near, -first / size**2, group.table, group.limit, group.equal, group.lower, group.upper)[
            :, :d
        ]
    t = (group.weight * first).sum(axis=1)
    problems = problems_of(group.followers)
    problems = replace(problems, q=problems.q + (group.reach * t[:, None]).T)
    z = batched.solve(problems, group.followers.mcp.interior())[0].T
    given = group.gradient[:, :d] + (group.hessian[:, :d, d:] @ z[:, :, None])[:, :, 0]
    table = np.concatenate([group.table, group.weight[:, None, :]], axis=1)
    limit = np.concatenate([group.limit, t[:, None]], axis=1)
    rest = _programme(_lifted(group), given, table, limit, np.append(group.equal, True), group.lower, group.upper)
    return t, np.concatenate([z, rest], axis=1)


def _somewhere(group: OneLeader) -> tuple[np.ndarray, np.ndarray]:
    """(decisions between their bounds, a typical size of each): its range, else what moves the followers' conditions by
    their own size."""
    with np.errstate(all="ignore"):
        level = np.abs(group.followers.vector.part(slice(None)).T)
        ratio = np.where((group.reach != 0) & (level > 0), level / np.abs(group.reach), np.nan)
    typical = np.ones(group.count)
    known = ~np.isnan(ratio).all(axis=1)
    typical[known] = np.nanmedian(ratio[known], axis=1)
    low, up = np.isfinite(group.lower), np.isfinite(group.upper)
    with np.errstate(invalid="ignore"):
        size = np.where(low & up, group.upper - group.lower, typical[:, None])
    size = np.where(size > 0, size, 1.0)
    from_low = np.where(low, group.lower, 0.0) + SHARE * size
    first = np.where(up & ~low, group.upper - SHARE * size, from_low)
    return np.clip(first, group.lower, group.upper), size


def _programme(
    hessian: np.ndarray,
    gradient: np.ndarray,
    table: np.ndarray,
    limit: np.ndarray,
    equal: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> np.ndarray:
    """(x, multipliers) (scenarios, columns) of convex programmes: x'Hx/2 + g'x, table x >= limit (equal: =), bounds."""
    (count, m, d), size = table.shape, table.shape[1] + table.shape[2]
    matrix = np.zeros((count, size, size))
    matrix[:, :d, :d], matrix[:, :d, d:], matrix[:, d:, :d] = hessian, -table.transpose(0, 2, 1), table
    i, j = np.nonzero((matrix != 0).any(axis=0))
    data, q = np.ascontiguousarray(matrix[:, i, j].T), np.concatenate([gradient, -limit], axis=1).T
    floor = np.concatenate([lower, np.broadcast_to(np.where(equal, -np.inf, 0.0), (count, m))], axis=1).T
    ceiling = np.concatenate([upper, np.full((count, m), np.inf)], axis=1).T
    pattern = sp.csr_array((data[:, 0], (i, j)), shape=(size, size))
    mcp = MixedComplementarity(
        Names(str(k) for k in range(size)),
        np.array([DECISION] * d + [MULTIPLIER] * m),
        np.zeros(size, dtype=int),
        [None] * size,
        floor[:, 0],
        ceiling[:, 0],
        pattern,
        q[:, 0],
    )
    problems = batched.Problems(batched.Shape.of(mcp), data, np.ascontiguousarray(q), floor, ceiling)
    return batched.solve(problems, mcp.interior())[0].T


# ---- both ends -------------------------------------------------------------------------------------------------------


def _ended(group: OneLeader, marched: pieces.Marched, column: np.ndarray, sign: float) -> np.ndarray:
    """Whether the march went on without end, or stopped where the leader's limits allow no larger (sign 1) or smaller
    t: sign c is a combination of outward normals of the limits that hold x there."""
    n, d = group.followers.mcp.size, group.weight.shape[1]
    found = np.isposinf(marched.stop)
    known: dict[bytes, bool] = {}
    x = (marched.there * column)[:, n : n + d]
    size = column[:, n : n + d]
    low, up = x - group.lower <= FEASIBLE * size, group.upper - x <= FEASIBLE * size
    terms = (np.abs(group.table) @ size[:, :, None])[:, :, 0] + np.abs(group.limit)
    tight = np.abs((group.table @ x[:, :, None])[:, :, 0] - group.limit) <= FEASIBLE * terms
    for s in np.flatnonzero(np.isfinite(marched.stop)):
        table = group.table[s]
        normals = np.concatenate([-np.eye(d)[low[s]], np.eye(d)[up[s]], -table[tight[s]], table[group.equal]])
        aim = sign * group.weight[s]
        key = normals.tobytes() + aim.tobytes()
        if key not in known:
            known[key] = bool(len(normals)) and nnls(normals.T, aim)[1] <= 1e-9 * float(np.abs(aim).max())
        found[s] = known[key]
    return found


# ---- the best piece --------------------------------------------------------------------------------------------------


@dataclass
class _Candidates:
    """Points of one piece in the scenarios ``which``, at t, with their cost; falls: whether it falls from there on
    into the piece, so that the point is no optimum."""

    which: np.ndarray
    t: np.ndarray
    cost: np.ndarray
    falls: np.ndarray


def _best(
    group: OneLeader,
    plain: Lines,
    lines: Lines,
    found: Sequence[pieces.Piece],
    sound: np.ndarray,
    strict: np.ndarray,
    keep: np.ndarray,
    reasons: np.ndarray,
) -> tuple[Optima, np.ndarray]:
    n, d = group.followers.mcp.size, group.weight.shape[1]
    count, size = lines.vector.shape
    least, at, terms = np.full(count, np.inf), np.zeros(count), np.zeros(count)
    y, pattern = np.zeros((count, size)), np.zeros((count, size), dtype=int)
    number, endless = np.zeros(count, dtype=int), np.zeros(count, dtype=bool)
    tried: list[_Candidates] = []
    for piece in found:
        number[piece.which] += 1
        here = lines.column[piece.which]
        points, without_end = _points(group.of(piece.which), piece, here, n, d)
        endless[piece.which] |= without_end
        for t, falls in points:
            some = ~np.isnan(t)
            which = piece.which[some]
            there = (piece.slope[some] * t[some, None] + piece.offset[some]) * here[some]
            cost, large = group.of(which).cost(np.concatenate([there[:, n : n + d], there[:, :n]], axis=1))
            tried.append(_Candidates(which, t[some], cost, falls[some]))
            better = cost < least[which]
            into = which[better]
            least[into], at[into], terms[into] = cost[better], t[some][better], large[better]
            y[into], pattern[into] = there[better], piece.pattern[some][better]
    several = _several(tried, least, at, terms)
    reasons[keep[sound & endless]] = "the leader may gain without limit"
    reasons[keep[sound & several & ~endless]] = "several decisions are equally good"
    good = np.flatnonzero(sound & ~several & ~endless & np.isfinite(least))
    y, pattern = y[good], pattern[good]
    floor, ceiling = plain.lower[good], plain.upper[good]
    y = np.where(pattern == LOW, floor, np.where(pattern == INSIDE, y, ceiling))
    close = SAME * lines.column[good]
    y = np.where(np.abs(y - floor) <= close, floor, np.where(np.abs(y - ceiling) <= close, ceiling, y))
    some = group.of(good)
    x, z = y[:, n : n + d], y[:, :n]
    _, margin = pieces.sides(lines.of(good), y / lines.column[good], at[good])
    firm = margin[:, n : n + d + group.table.shape[1]].min(axis=1, initial=np.inf) > pieces.CLEAR
    cost = some.cost(np.concatenate([x, z], axis=1))[0]
    return Optima(keep[good], x, z, cost, strict[good] | firm, number[good]), reasons


def _points(
    group: OneLeader, piece: pieces.Piece, column: np.ndarray, n: int, d: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """([(t, whether V falls from there into the piece)] of the points of a piece that may be its best: where V is
    stationary, and both ends, NaN where there is none; whether V falls without end)."""
    from_low = np.isfinite(piece.low)
    base = np.where(from_low, piece.low, piece.up)
    slope, there = piece.slope * column, piece.at(base) * column
    slope, there = (np.concatenate([v[:, n : n + d], v[:, :n]], axis=1) for v in (slope, there))
    bent = (group.hessian @ slope[:, :, None])[:, :, 0]
    curve, size = (slope * bent).sum(axis=1), (np.abs(slope) * np.abs(bent)).sum(axis=1)
    tilt = (there * bent + slope * group.gradient).sum(axis=1)
    terms = (np.abs(there * bent) + np.abs(slope * group.gradient)).sum(axis=1)
    convex = curve > 1e-12 * size
    with np.errstate(all="ignore"):
        inside = np.where(convex, np.clip(base - tilt / curve, piece.low, piece.up), np.nan)
        rate = [tilt + curve * (end - base) for end in (piece.low, piece.up)]
    low, up = (np.where(np.isfinite(end), end, np.nan) for end in (piece.low, piece.up))
    ends = [(low, rate[0] < -1e-12 * terms), (up, rate[1] > 1e-12 * terms)]
    outward = np.where(from_low, tilt, -tilt)
    endless = ~(np.isfinite(piece.low) & np.isfinite(piece.up)) & ~convex
    endless &= (curve < -1e-12 * size) | (outward <= 1e-12 * terms)
    return [(inside, np.zeros(len(inside), dtype=bool)), *ends], endless


def _several(tried: Sequence[_Candidates], least: np.ndarray, at: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Whether optima apart from each other are equally good."""
    equal: list[tuple[int, float]] = []
    slopes: set[tuple[int, float]] = set()
    for one in tried:
        k = one.which
        as_good = one.cost <= least[k] + REGRET * np.maximum(np.abs(least[k]), 1e-3 * terms[k])
        apart = np.abs(one.t - at[k]) > APART * np.maximum(np.abs(one.t), np.abs(at[k]))
        for j in np.flatnonzero(as_good & apart):
            point = int(k[j]), float(one.t[j])
            equal.append(point)
            if one.falls[j]:
                slopes.add(point)
    found = np.zeros(len(least), dtype=bool)
    found[[k for k, t in equal if (k, t) not in slopes]] = True
    return found
