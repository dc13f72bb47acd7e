"""The game in many scenarios at once: numbers differ, who is with whom does not.

A game then holds users' numbers as (users, scenarios), or (users, 1) where they are the same in all; a user who is not
served has a first value of minus infinity. The same equations as for one scenario are solved side by side, and each
scenario's equilibrium is examined in the same way: every aggregator's best response to the others is looked for anew,
over all deviations.

What is left undecided here is to be answered alone: searches that take long, scenarios that may have no equilibrium
because an aggregator with 0 < alpha < 1 leaves every candidate, whatever does not pass the examination.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equilibrium.scenarios import NotVectorised, current
from equilibrium.tolerances import DISTANCE, REGRET, RESIDUAL

from .equilibria import WORSE, Profile, profile, shared, verdict
from .game import EDGE, SMALL, Excess, Game, bounds, ceiling, own, parts_of
from .response import Group
from .search import Zeros, follow_each, part_by_part, polish_each, searching

Array = np.ndarray

NUMBERS = 40_000
"""Users times scenarios that are treated at a time: some thirty arrays of this length stay near the processor."""

SEARCH = 500
"""Evaluations for all equilibria of a scenario; where they do not do, it is left to a longer search of its own."""

START = 0.7
"""Where searches begin, as a part of the range."""


@dataclass(frozen=True)
class Answers:
    """What is known of each scenario.

    verdict: as of ``equilibria.Found``, empty where it is left undecided. blocked_by: as there. x: purchases (users,
    scenarios) in the first equilibrium [MWh], NaN where there is none.
    """

    verdict: Array
    blocked_by: Array
    x: Array

    @classmethod
    def empty(cls, game: Game, count: int) -> Answers:
        """Nothing known."""
        return cls(np.full(count, "", dtype=object), np.full(count, -1), np.full((len(game.a), count), np.nan))

    def take(self, scenarios: Array, found: Answers) -> None:
        """What was found in some scenarios."""
        self.verdict[scenarios], self.blocked_by[scenarios] = found.verdict, found.blocked_by
        self.x[:, scenarios] = found.x


def play(game: Game, count: int) -> Answers:
    """The equilibria of ``game`` in its ``count`` scenarios."""
    answers = Answers.empty(game, count)
    for which, alpha in _fairness(game, count):
        for some in _slices(which, len(game.a)):
            try:
                with np.errstate(all="ignore"):  # what is not finite does not pass the examination
                    answers.take(some, _play(replace(game.only(some), alpha=alpha), len(some)))
            except ArithmeticError:  # in one of them, multipliers do not converge
                continue
    return answers


def _fairness(game: Game, count: int) -> Iterator[tuple[Array, Array]]:
    """Scenarios in which the same aggregators serve at most one user, and alpha: such an aggregator plays alike
    whatever it is."""
    served = np.add.reduceat(np.isfinite(game.b), game.start[:-1], dtype=int)
    few, kind = np.unique(np.broadcast_to(served <= 1, (len(served), count)), axis=1, return_inverse=True)
    for k, pattern in enumerate(few.T):
        yield np.flatnonzero(kind.ravel() == k), np.where(pattern, 0.0, game.alpha)


def _play(game: Game, count: int) -> Answers:
    answers, high, kappa = Answers.empty(game, count), ceilings(game, count), game.kappa
    if kappa is None or (kappa > 0 and game.choosy):
        return _thorough(game, count)
    unsure = np.flatnonzero(np.isnan(high))
    if unsure.size:
        answers.take(unsure, _thorough(game.only(unsure), len(unsure)))
    left, blocking = np.flatnonzero(high > 0), _lowest(game, count)
    if kappa <= 0 and (game.alpha >= 1).any():
        left = _without(game, high, blocking, left, answers)
    if not left.size:
        return answers
    game, high = game.only(left), high[left]
    if kappa <= 0:
        nothing = np.zeros(len(left), dtype=bool)
        total = polish_each(Excess(game), SMALL * high, high, START * high, nothing)
        words = np.where(np.isnan(total), "", verdict(1, True))
    else:
        total, words = _enclosed(game, high, kappa)
    none = np.isnan(total) & (words == "none")
    answers.verdict[left[none]], answers.blocked_by[left[none]] = "none", blocking[left[none]]
    there = np.flatnonzero(~np.isnan(total))
    if there.size:
        game = game.only(there)
        one = profile(game, total[there])
        passed, _ = examine(game, one)
        answers.verdict[left[there]] = np.where(passed, words[there], "")
        answers.x[:, left[there]] = one.x
    return answers


def _thorough(game: Game, count: int) -> Answers:
    """Where users may drop out, or slopes are not known: every stationary total, and those that no aggregator leaves
    for another stationary purchase."""
    answers, found = Answers.empty(game, count), every(game, count)
    counted, sure = np.zeros(count, dtype=int), np.array([one is not None for one in found])
    for some, totals in _in_turn(found):
        part = game.only(some)
        one = profile(part, totals)
        passed, stands = examine(part, one)
        sure[some] &= passed | ~stands
        first = passed & (counted[some] == 0)
        answers.x[:, some[first]] = one.x[:, first]
        counted[some] += passed
    for k in np.flatnonzero(sure & (counted > 0)).tolist():
        answers.verdict[k] = verdict(int(counted[k]), bool(found[k] and found[k].complete))
    return answers


def every(game: Game, count: int) -> list[Zeros | None]:
    """All totals at which every aggregator's purchase is stationary, by scenario; None where the search takes long."""
    found: list[Zeros | None] = [None] * count
    searches, some = [], []
    for k in range(count):
        one = game.at(k)
        high = ceiling(one)
        parts, complete = parts_of(one, high) if high > 0 else ([], False)
        if parts and complete:
            searches.append(part_by_part(parts, one.kappa, SEARCH))
            some.append(k)
    if some:
        known = follow_each(searches, Excess(game.only(np.array(some))))
        for k, zeros in zip(some, known, strict=True):
            found[k] = zeros if zeros.complete or game.kappa is None else None
    return found


def _without(game: Game, high: Array, blocking: Array, left: Array, answers: Answers) -> Array:
    """Excess demand falls with the total: where it is above zero at the highest there is no equilibrium. The others."""
    if not left.size:
        return left
    none = Excess(game.only(left))(high[left])[0] > 0
    answers.verdict[left[none]], answers.blocked_by[left[none]] = "none", blocking[left[none]]
    return left[~none]


def _enclosed(game: Game, high: Array, kappa: float) -> tuple[Array, Array]:
    """(the lowest equilibrium's total, verdict) where several are possible."""
    zeros = follow_each([searching(SMALL * top, top, kappa, SEARCH) for top in high.tolist()], Excess(game))
    return (
        np.array([one.found[0] if one.found and one.complete else np.nan for one in zeros]),
        np.array([verdict(len(one.found), True) if one.complete else "" for one in zeros], dtype=object),
    )


def _members(game: Game) -> tuple[Array, Array]:
    """Which aggregators serve all their users (alpha >= 1), and which may leave some out (0 < alpha < 1)."""
    several = np.diff(game.start) > 1
    return several & (game.alpha >= 1), several & (game.alpha > 0) & (game.alpha < 1)


def _served(game: Game) -> Array:
    """First values, infinite for users who are not served."""
    return np.where(np.isfinite(game.b), game.b, np.inf)


def _lowest(game: Game, count: int) -> Array:
    """The user with the lowest first value among those of aggregators with alpha >= 1, by scenario; -1 without any."""
    inside = np.repeat(_members(game)[0], np.diff(game.start))
    if not inside.any():
        return np.full(count, -1)
    return np.broadcast_to(np.flatnonzero(inside)[_served(game)[inside].argmin(axis=0)], (count,))


def ceilings(game: Game, count: int) -> Array:
    """A total that no equilibrium exceeds (scenarios,); NaN where users might drop out below it.

    Nobody buys above the highest first value, an aggregator with alpha >= 1 has all its users served, and where even
    the most that can be bought is less than the total at which the first user of one with 0 < alpha < 1 drops out, no
    user does."""
    first = game.start[:-1]
    highest, lowest = np.maximum.reduceat(game.b, first).max(axis=0), np.minimum.reduceat(_served(game), first)
    all_served, choosy = (np.where(one[:, None], lowest, np.inf).min(axis=0) for one in _members(game))
    return np.broadcast_to(_ceiling(game, highest, all_served, choosy, lambda bought: bought.sum(axis=0)), (count,))


def _ceiling(game: Game, highest: Array, all_served: Array, choosy: Array, together: Any) -> Array:
    top = np.minimum(game.price.total(highest), game.price.total(all_served) * (1 - EDGE))
    drop = game.price.total(choosy)
    if not np.isfinite(drop).any():
        return top
    at = np.minimum(top, drop)
    p, q, _ = game.price.at(at)
    safe = (at > 0) & ((together(bounds(game, p, q)[0]) < at) | (top <= drop))
    return np.where(np.isinf(drop), top, np.where(safe, at, np.nan))


# ---- the examination ------------------------------------------------------------------------------------------------


class Responses:
    """What each aggregator would buy beyond y where it buys y and the others what they are ``given``: f_j(y) = r_j - y
    and its slope, (aggregators, scenarios)."""

    def __init__(self, excess: Excess) -> None:
        self.excess = excess

    def __call__(self, y: Array) -> tuple[Array, Array]:
        """f and f' of every aggregator."""
        p, q, bend = self.excess.game.price.at(y)
        self.excess.meet(p, q)
        value, slope = np.empty(y.shape), np.empty(y.shape)
        for group, point in zip(self.excess.game.groups, self.excess.points, strict=True):
            value[group.where] = point.y
            slope[group.where] = own(q, group) * point.dp + own(bend, group) * point.dq
        return value - y, slope - 1.0

    def only(self, scenarios: Array) -> Responses:
        """In some of the scenarios."""
        return Responses(self.excess.only(scenarios))


def examine(game: Game, one: Profile) -> tuple[Array, Array]:
    """(Whether every measure of the certificate is within its tolerance; whether all choices of who takes part are the
    best), (scenarios,) each."""
    first, live = game.start[:-1], np.add.reduceat(np.isfinite(game.b), game.start[:-1], dtype=int) > 0
    alpha = np.where(np.diff(game.start) > 1, game.alpha, 0.0)[:, None]
    best, answered = responses(game, one)
    here, there = payoffs(game, one.s), payoffs(game, best.s)
    spent = np.add.reduceat(np.abs(one.s), first)
    bill = np.where(alpha == 0, spent, np.maximum(np.abs(here), np.abs(there)))
    largest = np.maximum.reduceat(one.x, first)
    size = np.where(largest > 0, largest, one.x.max(axis=0))
    away = np.maximum.reduceat(np.abs(best.x - one.x), first)
    residual = np.maximum.reduceat(mismatch(game, one), first)
    passed = (np.abs(there - here) <= REGRET * np.maximum(bill, 1e-300)) & (residual <= RESIDUAL)
    passed &= away <= DISTANCE * np.maximum(size, 1e-300)
    chosen = ~((alpha > 0) & (alpha < 1)) | ~answered | (here >= there - WORSE * np.abs(there))
    return ((passed & chosen & answered) | ~live).all(axis=0), (chosen | ~live).all(axis=0)


def responses(game: Game, one: Profile) -> tuple[Profile, Array]:
    """Every aggregator's best response to the others, (aggregators, scenarios), and whether it is known to be that."""
    first, given = game.start[:-1], one.y.sum(axis=0) - one.y
    alone = replace(game, price=replace(game.price, given=given))
    all_served, choosy = _members(game)
    lowest = np.minimum.reduceat(_served(game), first)
    limits = (np.where(kind[:, None], lowest, np.inf) for kind in (all_served, choosy))
    high = np.broadcast_to(_ceiling(alone, np.maximum.reduceat(game.b, first), *limits, lambda y: y), given.shape)
    high = np.where((choosy & (game.alpha < 0.5))[:, None], np.nan, high)  # the slope is not bounded
    nothing = ~(high > 0)
    y = polish_each(Responses(Excess(alone)), SMALL * high, high, START * high, nothing)
    keeps_out = nothing & ~np.isnan(high) & ~all_served[:, None]
    y = np.where(keeps_out, 0.0, y)
    answered = ~np.isnan(y)
    p, q, _ = alone.price.at(np.where(answered, y, one.y))
    excess = Excess(alone)
    excess.meet(p, q)
    found = shared(alone, excess, y, p, q)
    out = np.repeat(keeps_out, np.diff(game.start), axis=0)
    found = replace(found, x=np.where(out, 0.0, found.x), s=np.where(out, 0.0, found.s))
    for j in np.flatnonzero(choosy):
        some = np.flatnonzero(np.isnan(high[j]))
        if some.size:
            inside = slice(game.start[j], game.start[j + 1])
            mine = game.only(some).alone(int(j), given[j, some])
            answered[j, some] = _choices(mine, found.x[inside], found.s[inside], some)
    return found, answered


def _choices(mine: Game, x: Array, s: Array, some: Array) -> Array:
    """The best of all stationary purchases of an aggregator by itself, put into its users' x and s in some scenarios;
    where these are known to be all."""
    found = every(mine, len(some))
    x[:, some], s[:, some] = 0.0, 0.0
    top = np.full(len(some), -np.inf)
    for which, totals in _in_turn(found):
        part = mine.only(which)
        one = profile(part, totals)
        worth = payoffs(part, one.s)[0]
        better = worth > top[which]
        top[which] = np.maximum(worth, top[which])
        x[:, some[which[better]]], s[:, some[which[better]]] = one.x[:, better], one.s[:, better]
    return np.array([one is not None for one in found])


def _in_turn(found: Sequence[Zeros | None]) -> Iterator[tuple[Array, Array]]:
    """The first totals of all scenarios that have one, the second ones, and so on: (scenarios, totals)."""
    lists = [one.found if one else () for one in found]
    for c in range(max(map(len, lists), default=0)):
        which = [k for k, totals in enumerate(lists) if len(totals) > c]
        yield np.array(which), np.array([lists[k][c] for k in which])


def payoffs(game: Game, s: Array) -> Array:
    """Every aggregator's payoff for its users' surpluses s, (aggregators, scenarios), as ``equilibria.payoff``."""
    found, served = np.empty((len(game.alpha), s.shape[1])), np.broadcast_to(np.isfinite(game.b), s.shape)
    for group, inside in _groups(game):
        own_s, there = s[inside], served[inside]
        with np.errstate(divide="ignore", invalid="ignore"):
            found[group.where] = _payoffs(group, own_s, there)
    return found


def _payoffs(group: Group, s: Array, served: Array) -> Array:
    first = group.start[:-1]
    if group.rule in ("alone", "welfare"):
        return np.add.reduceat(s, first)
    if group.rule == "equal":
        return np.minimum.reduceat(np.where(served, s, np.inf), first)
    if group.rule == "proportional":
        return np.add.reduceat(np.where(served, np.log(s), 0.0), first)
    rest = 1 - np.repeat(group.alpha, np.diff(group.start), axis=0)
    return np.add.reduceat(np.where(served, s**rest, 0.0), first) / (1 - group.alpha)


def mismatch(game: Game, one: Profile) -> Array:
    """How far each user's purchase is from the condition of optimality as stated, relative to the size of its terms
    (users, scenarios): s^(-alpha) (b - p - 2 a x) = p' sum s^(-alpha) x over the aggregator's users who buy, no more
    than that for the others; for max-min, equal surpluses s and sum x / (b - p - 2 a x) = 1/p'."""
    found, (p, q, _) = np.zeros(one.x.shape), game.price.at(one.total)
    for group, inside in _groups(game):
        x, s, first = one.x[inside], one.s[inside], group.start[:-1]
        served, sizes = np.broadcast_to(np.isfinite(group.b), x.shape), np.diff(group.start)
        margin = np.where(served, group.b - p - 2 * group.a * x, 1.0)
        size = np.where(served, np.abs(group.b) + np.abs(p) + 2 * group.a * x, 1.0)
        with np.errstate(all="ignore"):
            if group.rule == "equal":
                least = np.repeat(_payoffs(group, s, served), sizes, axis=0)
                spread = np.where(served, s / least - 1, 0.0)
                tight = np.minimum.reduceat(np.where(served, margin / size, 1.0), first) < 1e-3
                whole = np.add.reduceat(np.where(served, x / margin, 0.0), first) * q - 1
                off = np.abs(spread) + np.repeat(np.where(tight, 0.0, np.abs(whole)), sizes, axis=0)
            else:
                alpha = 0.0 if group.rule == "alone" else np.repeat(group.alpha, sizes, axis=0)
                weight = np.where(served & (x > 0), s, 1.0) ** -alpha
                paid = np.repeat(np.add.reduceat(weight * x, first), sizes, axis=0) * q
                off = np.where(x > 0, np.abs(weight * margin - paid), weight * margin - paid) / (weight * size)
        found[inside] = np.where(served, off, 0.0)
    return found


def _groups(game: Game) -> Iterator[tuple[Group, Any]]:
    """Groups, and which users are theirs."""
    sizes = np.diff(game.start)
    for group in game.groups:
        if len(group.where) == len(sizes):
            yield group, slice(None)
        else:
            belongs = np.zeros(len(sizes), dtype=bool)
            belongs[group.where] = True
            yield group, np.repeat(belongs, sizes)


def kept(a: Array, b: Array, owner: Array, alpha: Array, rules: Sequence[str], price: Any) -> Array:
    """As ``membership.kept``, for the scenarios on which code runs now: (users, scenarios). Those in which the price
    without aggregators is not found go astray. Raises NotVectorised for the rule 'maximal', a search of its own."""
    tape = current()
    assert tape is not None
    bound = (alpha >= 1) & (np.bincount(owner, minlength=len(alpha)) > 1)
    if (bound & (np.array(rules) == "maximal")).any():
        raise NotVectorised("who is served by the rule 'maximal' is found user by user")
    filtered = (bound & (np.array(rules) == "filtered"))[owner]
    count = len(tape.astray)
    if not filtered.any():
        return np.ones((len(a), count), dtype=bool)
    alone, level = Game(a, b, np.arange(len(a) + 1), np.zeros(len(a)), price), np.empty(count)
    for some in _slices(np.arange(count), len(a)):
        game = alone.only(some)
        high = ceilings(game, len(some))
        total = polish_each(Excess(game), SMALL * high, high, START * high, ~(high > 0))
        level[some] = game.price.at(total)[0]
    tape.astray |= np.isnan(level)
    return ~filtered[:, None] | (b > level)


def _slices(scenarios: Array, users: int) -> Iterator[Array]:
    """So many scenarios at a time as stay near the processor."""
    width = max(1, NUMBERS // users)
    for first in range(0, len(scenarios), width):
        yield scenarios[first : first + width]
