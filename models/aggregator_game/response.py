"""What aggregators buy at a total Y: one number per aggregator, whatever the number of users.

At the total Y with price p and slope q = p'(Y) an aggregator's condition of optimality is, for every alpha in [0, inf]
and max-min, one equation in its multiplier exp(theta):

    sum_i (1/g_i - 1) / (2 a_i) = 1/q        (g_i as in ``users``, the sum over users with b_i > p).

It is solved here for all aggregators at once. Their purchases r_j(Y) = sum_i x_i and the derivatives of r_j with
respect to p and q follow from sums over the same users. Users are passed in pieces small enough for the processor's
cache.

Everything here works on many scenarios at once as well: users' numbers then are (users, scenarios), or (users, 1) where
they are the same in all, those of aggregators (aggregators, scenarios), prices (scenarios,) or one per aggregator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import users

Array = np.ndarray

PIECE = 8192
"""Users in one piece: some twenty arrays of this length fit the second-level cache."""

MANY = 50_000
"""From so many users the pieces are shared between two threads (numpy lets go of the interpreter inside a pass)."""

PASSES = 80
"""Newton's steps on the multipliers at most; without a better start three to six are needed."""

CLOSE = 3e-8
"""A step of theta this small ends them: the totals are corrected to first order, so what is left is its square."""

JUMP = 20.0
"""Largest first step of theta; later ones may be longer each time, until it is enclosed from both sides."""


@dataclass(frozen=True)
class Point:
    """What aggregators do at one total: purchases y [MWh], their derivatives with respect to the price p and to its
    slope q, the multipliers theta and (except for max-min) how they move with p and with q; one entry per aggregator.
    """

    y: Array
    dp: Array
    dq: Array
    theta: Array
    theta_dp: Array | float = 0.0
    theta_dq: Array | float = 0.0


def of_some(values: Any, scenarios: Any) -> Any:
    """Numbers of some scenarios; what is the same in all stays."""
    return values[..., scenarios] if isinstance(values, np.ndarray) and values.shape[-1] > 1 else values


@dataclass(frozen=True)
class Group:
    """Aggregators with the same kind of allocation.

    rule: alone, welfare, proportional, half, fair or equal. a, b: of all users, one aggregator after the other. start:
    first user of each, and the end. alpha: one per aggregator, (aggregators, 1) for many scenarios. where: their
    numbers in the game.
    """

    rule: str
    a: Array
    b: Array
    start: Array
    alpha: Array
    where: Array
    pieces: Sequence[Piece] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pieces", list(_pieces(self.start)))


@dataclass(frozen=True)
class Piece:
    """Users ``inside``, those of the aggregators ``of``, which begin at ``begins`` within the piece; ``sizes``: how
    many of each."""

    inside: slice
    of: slice
    begins: Array
    sizes: Array

    def sum(self, values: Array) -> Array:
        """Sums over the users of each aggregator."""
        return values.sum(axis=0, keepdims=True) if len(self.begins) == 1 else np.add.reduceat(values, self.begins)

    def spread(self, one_each: Array) -> Array:
        """A number of each aggregator, for each of its users here."""
        found = one_each[self.of]
        return found if len(self.begins) == 1 else np.repeat(found, self.sizes, axis=0)

    def faced(self, price: Any) -> Any:
        """A price (or its slope), common to all or one of each aggregator and scenario, as the users here face it."""
        return self.spread(price) if isinstance(price, np.ndarray) and price.ndim == 2 else price


def _pieces(start: Array) -> Iterator[Piece]:
    for low in range(0, int(start[-1]), PIECE):
        high = min(low + PIECE, int(start[-1]))
        first = int(np.searchsorted(start, low, side="right")) - 1
        last = int(np.searchsorted(start, high, side="left"))
        edges = np.clip(start[first : last + 1], low, high) - low
        yield Piece(slice(low, high), slice(first, last), edges[:-1], np.diff(edges))


def each(pieces: Sequence[Piece], work: Callable[[Piece], Array]) -> list[Array]:
    """``work`` on every piece, on two threads where there is much of it; results in the order of the pieces."""
    if len(pieces) * PIECE < MANY:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, pieces))


def respond(
    group: Group,
    p: Any,
    q: Any,
    theta: Array | None = None,
    memory: Array | None = None,
    close: float = CLOSE,
) -> Point:
    """Purchases of the group's aggregators at price ``p`` with slope ``q`` > 0. theta: multipliers to begin with.
    memory: what ``users.fair`` begins with, changed in place. close: the last step of theta is at most this.

    An aggregator with alpha >= 1 (or max-min) must have b > p for all its users; one with alpha < 1 leaves out those
    with b <= p.
    """
    if group.rule == "alone":
        return _alone(group, p, q)
    if group.rule == "welfare":
        return _welfare(group, p, q, theta)
    smallest = _smallest(group, p) if group.rule == "equal" else None
    theta = _start(group, p, q) if theta is None else theta
    low, high = np.full(theta.shape, -700.0), np.full(theta.shape, np.inf if smallest is None else 0.0)
    for k in range(1, PASSES + 1):
        sums = _sums(group, p, theta, smallest, memory)
        bought = sums[0] > 0  # an aggregator that lost all its users buys nothing
        value = np.log(sums[0] * q, out=np.zeros(theta.shape), where=bought)
        step = value * np.divide(sums[0], sums[1], out=np.zeros(theta.shape), where=bought)
        step = np.where(sums[0] < np.inf, step, k * JUMP)  # some g is too small for a number: theta is far too low
        if (np.abs(step) <= close).all():
            return _point(sums, q, theta, step, smallest is None)
        low, high = np.where(value > 0, theta, low), np.where(value < 0, theta, high)
        ahead = theta + np.clip(step, -k * JUMP, k * JUMP)
        inside = (ahead > low) & (ahead < high) | (np.abs(step) <= CLOSE)
        theta = np.where(inside, ahead, 0.5 * (low + high))
    raise ArithmeticError("the multipliers of the aggregators did not converge")


def _point(sums: Array, q: Any, theta: Array, step: Array, fair: bool) -> Point:
    """Purchases and slopes from the sums of a pass, corrected for the last step of theta."""
    _, _, x, lost, over_beta, moved, kept, weight, share = sums
    weight = np.where(weight > 0, weight, 1.0)
    per_p, per_q = moved / weight, 1 / (weight * q * q)
    y, dp, dq = x - lost * step, kept - over_beta - share * per_p, -share * per_q
    return Point(y, dp, dq, theta + step, per_p, per_q) if fair else Point(y, dp, dq, theta + step)


def _sums(group: Group, p: Any, theta: Array, smallest: Array | None, memory: Array | None) -> Array:
    """Nine sums over the users of each aggregator, as rows (h_i = ln g_i; all with 1/(2a) inside):

    (1/g - 1); its fall with theta; x; its fall with theta; x/beta; what the price does to the first sum and to x
    through g; and the second and fourth with respect to the multiplier that is held while the price moves.
    """

    def work(piece: Piece) -> Array:
        a, beta = group.a[piece.inside], group.b[piece.inside] - piece.faced(p)
        weight = 0.5 / a
        if not beta.min() > 0:
            weight = np.where(beta > 0, weight, 0.0)
            beta = np.where(beta > 0, beta, 1.0)
        g, rest, e = _normal(group, piece, theta, beta, a, smallest, memory)
        part = rest / (1 + g) * weight  # (1 - g) / (2a)
        over_g, times_g = weight / g, weight * g
        falls = [part / g, over_g * e, beta * part, beta * times_g * e, part]
        if smallest is None:
            m = 2 * piece.spread(group.alpha) - 1
            falls += [m * over_g * e / beta, m * times_g * e, falls[1], falls[3]]
        else:
            f = rest / (g * g)
            falls += [over_g * f / beta, times_g * f, over_g * f, beta * times_g * f]
        return np.array([piece.sum(values) for values in falls])

    total = np.zeros((9, *theta.shape))
    for piece, found in zip(group.pieces, each(group.pieces, work), strict=True):
        total[:, piece.of] += found
    return total


def allocate(group: Group, p: Any, q: Any, theta: Array) -> tuple[Array, Array]:
    """Purchases x [MWh] and surpluses s [EUR] of the group's users at the multipliers ``theta`` of this price."""
    smallest = _smallest(group, p) if group.rule == "equal" else None
    shape = (len(group.a), *_shape(group, p)[1:])
    x, s = np.empty(shape), np.empty(shape)

    def work(piece: Piece) -> Array:
        a, beta = group.a[piece.inside], group.b[piece.inside] - piece.faced(p)
        there = beta > 0
        beta = np.where(there, beta, 1.0)
        if group.rule == "alone":
            slope = piece.faced(q)
            g, rest = slope / (2 * a + slope), 4 * a * (a + slope) / (2 * a + slope) ** 2
        elif group.rule == "welfare":
            g = np.minimum(piece.spread(theta) / beta, 1.0)
            rest = (1 - g) * (1 + g)
        else:
            g, rest, _ = _normal(group, piece, theta, beta, a, smallest)
        x[piece.inside] = np.where(there, beta * rest / (2 * a * (1 + g)), 0.0)
        s[piece.inside] = np.where(there, beta * beta * rest / (4 * a), 0.0)
        return x[:0]

    each(group.pieces, work)
    return x, s


def _normal(
    group: Group,
    piece: Piece,
    theta: Array,
    beta: Array,
    a: Array,
    smallest: Array | None,
    memory: Array | None = None,
) -> users.Normal:
    spread = piece.spread(theta)
    if smallest is not None:
        return users.equal(spread, beta, a, piece.spread(smallest))
    if group.rule == "proportional":
        return users.proportional(spread, beta, a)
    if group.rule == "half":
        return users.half(spread, beta, a)
    return users.fair(
        spread, beta, a, piece.spread(group.alpha), None if memory is None or not memory.size else memory[piece.inside]
    )


def _alone(group: Group, p: Any, q: Any) -> Point:
    """Single users: x = (b - p) / (2a + q), whatever their alpha."""
    scale = 1 / (2 * group.a + q)
    y = np.maximum(group.b - p, 0) * scale
    return Point(y, np.where(y > 0, -scale, 0.0), -y * scale, np.zeros(y.shape))


def _shape(group: Group, p: Any) -> tuple[int, ...]:
    """Of numbers one per aggregator (and scenario)."""
    return np.broadcast_shapes(group.alpha.shape, np.shape(p))


def _welfare(group: Group, p: Any, q: Any, theta: Array | None) -> Point:
    """alpha = 0: lambda = q (B - p A) / (1 + q A) over the users with b - p > lambda; Newton's steps find that set.

    theta is lambda itself. The left side of sum max(0, beta - lambda) / (2a) = lambda / q is convex, so steps from
    below rise to the solution, and end after finitely many.
    """
    level = np.zeros(_shape(group, p)) if theta is None else theta
    for _ in range(PASSES):

        def work(piece: Piece, level: Array = level) -> Array:
            beta = group.b[piece.inside] - piece.faced(p)
            buys, half = beta > piece.spread(level), 0.5 / group.a[piece.inside]
            return np.array([piece.sum(np.where(buys, half, 0.0)), piece.sum(np.where(buys, half * beta, 0.0))])

        total = np.zeros((2, *level.shape))
        for piece, found in zip(group.pieces, each(group.pieces, work), strict=True):
            total[:, piece.of] += found
        scale = 1 / (1 + q * total[0])
        new = np.maximum(q * total[1] * scale, 0.0)
        if (np.abs(new - level) <= 4e-15 * new).all():
            return Point(new / q, -total[0] * scale, -total[0] * total[1] * scale**2, new)
        level = new
    raise ArithmeticError("the multipliers of the aggregators did not converge")


def _smallest(group: Group, p: Any) -> Array:
    """The smallest beta^2 / (4a) among each aggregator's users: what it could give the one that is hardest to serve."""

    def work(piece: Piece) -> Array:
        beta = group.b[piece.inside] - piece.faced(p)
        values = beta * beta / (4 * group.a[piece.inside])
        return np.minimum.reduceat(values, piece.begins)

    found = np.full(_shape(group, p), np.inf)
    for piece, values in zip(group.pieces, each(group.pieces, work), strict=True):
        found[piece.of] = np.minimum(found[piece.of], values)
    return found


def _start(group: Group, p: Any, q: Any) -> Array:
    """Multipliers at which the users' g would average what the condition asks for: A q / (1 + A q), A = sum 1/(2a)."""

    def work(piece: Piece) -> Array:
        weight, beta = 0.5 / group.a[piece.inside], group.b[piece.inside] - piece.faced(p)
        weight = np.where(beta > 0, weight, 0.0)
        alpha = piece.spread(group.alpha) if group.rule != "equal" else 0.0
        shift = alpha * np.log(4 * group.a[piece.inside]) - (2 * alpha - 1) * np.log(np.where(beta > 0, beta, 1.0))
        return np.array([piece.sum(weight), piece.sum(weight * shift)])

    total = np.zeros((2, *_shape(group, p)))
    for piece, found in zip(group.pieces, each(group.pieces, work), strict=True):
        total[:, piece.of] += found
    total[0] = np.where(total[0] > 0, total[0], 1.0)
    g = total[0] * q / (1 + total[0] * q)
    if group.rule == "equal":
        return np.log(g)
    return np.log(g) - group.alpha * np.log((1 - g) * (1 + g)) + total[1] / total[0]
