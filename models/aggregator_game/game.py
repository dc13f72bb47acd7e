"""The game among aggregators reduced to one number, the total Y: sum_j r_j(Y) = Y.

A total that satisfies it is an equilibrium if every aggregator's purchase is a best response to the others, all
deviations considered. For single users, alpha = 0, alpha >= 1 and max-min the condition of optimality is sufficient
(the problem is convex, in ln x for alpha >= 1). For 0 < alpha < 1 it is not: which users are left out is a choice, and
each candidate is compared with every other stationary point of the aggregator's own problem.

A game, its excess demand and its price may hold many scenarios at once (``many``), as in ``response``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .response import CLOSE, Group, Point, of_some, respond
from .search import Zeros, approach, follow, part_by_part, polish

Array = np.ndarray

EDGE = 1e-12
"""How near (relative) a price at which a user drops out is approached."""

SMALL = 1e-12
"""The smallest total considered, relative to the largest."""

FAR = 1.0
"""Multipliers (logarithms) are not moved further than this before they are solved for."""

BOUNDS = 40
"""Steps towards a bound at most; fewer than ten are needed."""

BREAKS = 2000
"""Prices at which users of aggregators with 0 < alpha < 1 drop out are all examined up to this number; beyond it one
zero is found, and nothing is said of others."""

ROUGH = 0.1
"""On the way to a zero multipliers are solved for up to this (in the logarithm), purchases corrected for the rest."""

MANY, STRIDE = 50_000, 64
"""From so many users the answer for every 64th user comes first."""

WORK = 2_000_000
"""Users times evaluations a search for all equilibria may take."""


@dataclass(frozen=True)
class Price:
    """p(Y) = intercept + slope (given + Y)^exponent, increasing and convex; ``given`` is what others buy [MWh].

    Numbers, or arrays of one per scenario.
    """

    slope: Any
    exponent: Any = 1.0
    intercept: Any = 0.0
    given: Any = 0.0

    def at(self, total: Any) -> tuple[Any, Any, Any]:
        """Price and its first two derivatives."""
        y, k = self.given + total, self.exponent
        if isinstance(k, float) and k == 1:
            return self.intercept + self.slope * y, self.slope, 0.0
        if isinstance(y, np.ndarray):
            bend = np.where(y > 0, k * (k - 1) * np.where(y > 0, y, 1.0) ** (k - 2), 0.0)
        else:
            bend = k * (k - 1) * y ** (k - 2) if y > 0 else 0.0
        return self.intercept + self.slope * y**k, self.slope * k * y ** (k - 1), self.slope * bend

    def total(self, price: Any) -> Any:
        """The total at which the price is ``price``; zero where it is lower even if nothing is bought."""
        most = (np.maximum(price - self.intercept, 0.0) / self.slope) ** (1 / self.exponent)
        return np.maximum(most - self.given, 0.0)

    def of(self, scenario: int) -> Price:
        """That of one scenario."""
        return Price(*(float(np.ravel(of_some(getattr(self, one.name), scenario))[0]) for one in fields(Price)))


@dataclass(frozen=True)
class Game:
    """Users a, b of all aggregators, one aggregator after the other; ``start`` is each one's first user, and the end.

    alpha: one per aggregator, inf for max-min. An aggregator of one user plays alike whatever its alpha. In many
    scenarios at once a user who is not served has a first value b of minus infinity.
    """

    a: Array
    b: Array
    start: Array
    alpha: Array
    price: Price
    groups: tuple[Group, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(_grouped(self)))

    @property
    def choosy(self) -> list[Group]:
        """Aggregators with 0 < alpha < 1 and several users: they may leave users out."""
        return [g for g in self.groups if g.rule in ("fair", "half") and (g.alpha < 1).any()]

    @property
    def cap(self) -> tuple[float, int]:
        """The price below which every user of an aggregator with alpha >= 1 buys something (infinite if there is none),
        and the user with the lowest b among them (-1)."""
        best, who = np.inf, -1
        sizes = np.diff(self.start)
        bound = (self.alpha >= 1) & (sizes > 1)
        if bound.all() and bound.any():
            who = int(np.argmin(self.b))
            return float(self.b[who]), who
        for j in np.flatnonzero(bound):
            own = self.b[self.start[j] : self.start[j + 1]]
            if own.min() < best:
                best, who = float(own.min()), int(self.start[j] + np.argmin(own))
        return best, who

    @property
    def kappa(self) -> float | None:
        """An upper bound of the slope of sum_j r_j(Y) - Y while nobody drops out; None where none is known."""
        sizes = np.diff(self.start)
        bounds = [slope_bound(float(alpha)) for alpha in self.alpha[sizes > 1]]
        known = [bound for bound in bounds if bound is not None]
        return sum(known) - 1.0 if len(known) == len(bounds) else None

    def sample(self, stride: int) -> Game:
        """A game with every ``stride``-th user of each aggregator that has enough of them, at the same prices."""
        sizes = np.diff(self.start)
        keep = np.concatenate(
            [np.arange(low, high, stride) for low, high in zip(self.start, self.start[1:], strict=False)]
        )
        start = np.concatenate([[0], np.cumsum(-(-sizes // stride))])
        scale = self.a.size / keep.size
        price = replace(self.price, slope=self.price.slope * scale**self.price.exponent)
        return Game(self.a[keep], self.b[keep], start, self.alpha, price)

    def only(self, scenarios: Array) -> Game:
        """The game in some of its scenarios."""
        price = Price(*(of_some(getattr(self.price, one.name), scenarios) for one in fields(Price)))
        return Game(of_some(self.a, scenarios), of_some(self.b, scenarios), self.start, self.alpha, price)

    def at(self, scenario: int) -> Game:
        """One of its scenarios by itself, users who are not served left out."""
        a, b = (values[:, min(scenario, values.shape[1] - 1)] for values in (self.a, self.b))
        served = np.isfinite(b)
        sizes = np.add.reduceat(served, self.start[:-1], dtype=int)
        there = sizes > 0
        return Game(
            a[served], b[served], np.append(0, np.cumsum(sizes[there])), self.alpha[there], self.price.of(scenario)
        )

    def alone(self, j: int, given: Any) -> Game:
        """The game of aggregator ``j`` by itself while the others buy ``given`` MWh."""
        inside = slice(self.start[j], self.start[j + 1])
        size = np.array([0, self.start[j + 1] - self.start[j]])
        price = replace(self.price, given=self.price.given + given)
        return Game(self.a[inside], self.b[inside], size, self.alpha[j : j + 1], price)


def slope_bound(alpha: float) -> float | None:
    """An upper bound of r_j'(Y) over all users that are served: t^2 with t = (r-1)/(r+1), r = sqrt(2 alpha - 1) for
    alpha > 1, zero for alpha in {0} and [1/2, 1], 1 for max-min; none for 0 < alpha < 1/2."""
    if alpha == 0 or 0.5 <= alpha <= 1:
        return 0.0
    if alpha < 0.5:
        return None
    if np.isinf(alpha):
        return 1.0
    r = np.sqrt(2 * alpha - 1)
    return float(((r - 1) / (r + 1)) ** 2)


def _grouped(game: Game) -> Iterator[Group]:
    sizes = np.diff(game.start)
    alpha = game.alpha.reshape(-1, *(1 for _ in game.a.shape[1:]))
    if (sizes == 1).all():
        yield Group("alone", game.a, game.b, game.start, alpha, np.arange(len(sizes)))
        return
    rules = np.full(len(sizes), "fair", dtype=object)
    for fairness, rule in ((0.0, "welfare"), (0.5, "half"), (1.0, "proportional"), (np.inf, "equal")):
        rules[game.alpha == fairness] = rule
    rules[sizes == 1] = "alone"
    for rule in dict.fromkeys(rules.tolist()):
        where = np.flatnonzero(rules == rule)
        if len(where) == len(sizes):
            yield Group(rule, game.a, game.b, game.start, alpha, where)
        else:
            users = np.repeat(rules == rule, sizes)
            start = np.concatenate([[0], np.cumsum(sizes[where])])
            yield Group(rule, game.a[users], game.b[users], start, alpha[where], where)


class Excess:
    """The excess demand f(Y) = sum_j r_j(Y) - Y with its slope; each total's multipliers lead to those of the next."""

    def __init__(self, game: Game, theta: list[Array] | None = None) -> None:
        self.game, self.theta, self.close = game, theta, CLOSE
        self.before: tuple[Any, Any] = (0.0, 0.0)
        self.points: list[Point] = []
        self.memories: list[Array] = []

    def __call__(self, total: Any) -> tuple[Any, Any]:
        """f and f' at a total; ``points`` then holds what the groups do there."""
        p, q, curvature = self.game.price.at(total)
        self.meet(p, q)
        value = sum(point.y.sum(axis=0) for point in self.points) - total
        slope = sum(q * point.dp.sum(axis=0) + curvature * point.dq.sum(axis=0) for point in self.points) - 1.0
        return value, slope

    def meet(self, p: Any, q: Any) -> None:
        """What the groups do at a price with a slope: numbers, one per scenario, or one per aggregator and scenario."""
        nothing: list[Any] = [None] * len(self.game.groups)
        points = self._met(p, q, self._ahead(p, q)) if self.points else []
        if not points or not all(np.isfinite(point.theta).all() for point in points):  # multipliers led too far away
            self.memories = [np.zeros(_of_fair(group, p)) for group in self.game.groups]
            points = self._met(p, q, nothing if self.points else self.theta or nothing)
        self.points, self.before = points, (p, q)

    def _met(self, p: Any, q: Any, theta: Sequence[Any]) -> list[Point]:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # far from the multipliers, g may be zero
            return [
                respond(group, own(p, group), own(q, group), first, memory, self.close)
                for group, first, memory in zip(self.game.groups, theta, self.memories, strict=True)
            ]

    def _ahead(self, p: Any, q: Any) -> list[Array]:
        """The multipliers expected at another price and slope, to first order."""
        dp, dq = p - self.before[0], q - self.before[1]
        return [
            x.theta + np.clip(x.theta_dp * own(dp, group) + x.theta_dq * own(dq, group), -FAR, FAR)
            for x, group in zip(self.points, self.game.groups, strict=True)
        ]

    def only(self, scenarios: Array) -> Excess:
        """In some of its scenarios."""
        found = Excess(self.game.only(scenarios))
        found.before = (of_some(self.before[0], scenarios), of_some(self.before[1], scenarios))
        found.points = [Point(*(of_some(values, scenarios) for values in _fields(point))) for point in self.points]
        found.memories = [of_some(memory, scenarios) for memory in self.memories]
        return found


def own(price: Any, group: Group) -> Any:
    """A price as a group's aggregators meet it: common to all, or one of each aggregator of the game."""
    return price[group.where] if isinstance(price, np.ndarray) and price.ndim == 2 else price


def _of_fair(group: Group, p: Any) -> tuple[int, ...]:
    """The shape of what ``users.fair`` remembers; nothing for other rules."""
    return (len(group.a), *np.shape(p)[-1:]) if group.rule == "fair" else (0,)


def _fields(point: Point) -> tuple[Any, ...]:
    return tuple(getattr(point, one.name) for one in fields(point))


def parts_of(game: Game, high: float) -> tuple[list[tuple[float, float]], bool]:
    """Intervals of the total on which no user drops out, up to ``high``; whether these are all."""
    low, edges = SMALL * high, []
    for group in game.choosy:
        sizes = np.repeat(group.alpha < 1, np.diff(group.start))
        floor, ceiling = game.price.at(low)[0], game.price.at(high)[0]
        own = group.b[sizes]
        edges.append(own[(own > floor) & (own < ceiling)])
    breaks = np.unique(np.concatenate(edges)) if edges else np.zeros(0)
    complete = len(breaks) <= BREAKS and len(breaks) * len(game.a) <= WORK
    inner = [game.price.total(float(b)) for b in breaks[:BREAKS]]
    ends = [low, *inner, high]
    parts = [
        (a * (1 + EDGE) if k else a, b * (1 - EDGE) if k + 2 < len(ends) else b)
        for k, (a, b) in enumerate(pairwise(ends))
    ]
    return [(a, b) for a, b in parts if b > a], complete


def crowded(game: Game) -> bool:
    """Whether users may drop out at so many prices that they are not examined."""
    high = ceiling(game) if game.choosy else 0.0
    return high > 0 and not parts_of(game, high)[1]


def ceiling(game: Game) -> float:
    """A total that no equilibrium exceeds: nobody buys above the highest b, all are served below ``cap``, and (asked
    where users may drop out) no allocation whatever buys more than ``most``."""
    top = game.price.total(float(game.b.max()))
    cap = game.cap[0]
    top = min(top, game.price.total(cap) * (1 - EDGE)) if np.isfinite(cap) else top
    return _below(game, top) if game.choosy and top > 0 else top


def _below(game: Game, top: float) -> float:
    """A total up to ``top`` above which even ``most`` is less than the total. Newton's method from where the first user
    drops out: often nobody does."""
    sizes = np.diff(game.start)
    eager = np.repeat((sizes > 1) & (game.alpha > 0) & (game.alpha < 1), sizes)
    at, low = min(top, game.price.total(float(game.b[eager].min()))), 0.0
    at = at if at > 0 else top
    for _ in range(BOUNDS):
        value, slope = most(game, at)
        if value < 0:
            top = at
            if low == 0 and at == game.price.total(float(game.b[eager].min())):
                break  # nobody drops out below the total: it need not be known better
        else:
            low = at
        ahead = (at - value / slope) * (1 + 1e-6)
        if abs(ahead - top) <= 2e-6 * top:
            break
        at = ahead if low < ahead < top else 0.5 * (low + top)
    return top


def most(game: Game, total: float) -> tuple[float, float]:
    """An upper bound of sum_j r_j(Y) - Y, falling in Y, and its slope."""
    p, q, curvature = game.price.at(total)
    bought, per_p, per_q = bounds(game, p, q)
    return float(bought.sum()) - total, float(per_p.sum()) * q + float(per_q.sum()) * curvature - 1.0


def bounds(game: Game, p: Any, q: Any) -> tuple[Array, Array, Array]:
    """The most each aggregator may buy at a price and slope, and its derivatives with respect to these.

    Whatever its alpha, and whoever takes part, an aggregator's purchase is the sum of beta_i (1 - g_i) / (2 a_i) with
    sum (1/g_i - 1) / (2 a_i) = 1/q over the users with beta_i > 0. The largest such sum has g_i = min(1, nu /
    sqrt(beta_i)); it falls as the price or its slope rises.
    """
    sizes, first = np.diff(game.start), game.start[:-1]
    faced = np.repeat(p, sizes, axis=0) if isinstance(p, np.ndarray) and p.ndim == 2 else p
    weight, root = 0.5 / game.a, np.sqrt(np.maximum(game.b - faced, 0.0))
    level = np.zeros((len(sizes), *root.shape[1:]))
    for _ in range(BOUNDS):
        inside = np.where(root > np.repeat(level, sizes, axis=0), weight, 0.0)
        sums, roots = np.add.reduceat(inside, first), np.add.reduceat(inside * root, first)
        new = roots / (sums + 1 / q)
        settled = (new - level <= 1e-12 * new).all()
        level = new
        if settled:
            break
    bought = np.add.reduceat(inside * root * root, first) - level * roots
    per_p = np.where(level > 0, level * np.add.reduceat(inside / np.where(root > 0, root, 1.0), first) - sums, 0.0)
    return bought, per_p, -level * level / (q * q)


def candidates(game: Game, allowed: int | None = None, excess: Excess | None = None) -> Zeros:
    """All totals Y with sum_j r_j(Y) = Y, and whether these are proved to be all.

    allowed: evaluations of the game that may be spent; 0 for one zero, with nothing said about others. excess: the
    game's excess demand where the caller wants to go on with its multipliers.
    """
    high = ceiling(game)
    if not high > 0:
        return Zeros((), True)
    excess, kappa = excess or Excess(game), game.kappa
    parts, complete = parts_of(game, high)
    if len(parts) == 1 and (allowed == 0 or (kappa is not None and kappa <= 0)):
        only = one(game, high, excess)
        return Zeros(() if only is None else (only,), kappa is not None and kappa <= 0)
    if not complete:
        only = one(game, high, excess)
        return Zeros(() if only is None else (only,), False)
    budget = max(50, WORK // len(game.a)) if allowed is None else allowed
    return follow(part_by_part(parts, kappa, budget), excess)


def one(game: Game, high: float, excess: Excess) -> float | None:
    """One total up to ``high`` with sum_j r_j(Y) = Y, from the answer of a sample of the users where they are many;
    None if f keeps one sign on the way."""
    start = 0.7 * high
    if len(game.a) > MANY and len(game.a) > 100 * len(game.alpha):
        sample = Excess(game.sample(STRIDE))
        top = ceiling(sample.game)
        near = polish(sample, SMALL * top, top, 0.7 * top)
        if near is not None:
            start, excess.theta = near * len(game.a) / len(sample.game.a), [point.theta for point in sample.points]
    excess.close = ROUGH
    start = approach(excess, SMALL * high, high, start)
    excess.close = CLOSE
    return polish(excess, SMALL * high, high, start)
