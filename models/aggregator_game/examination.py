"""Is it an equilibrium, in many scenarios at once?

Every aggregator's best response to the others is looked for anew, over all deviations, and the conditions of optimality
are evaluated as they are stated.

Games hold many scenarios as in ``many``; tolerances are those of a single certificate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from equilibrium.tolerances import DISTANCE, REGRET, RESIDUAL

from .equilibria import WORSE, Profile, profile, shared
from .game import SMALL, Excess, Game, own
from .response import Group
from .search import polish_each
from .stationary import every, highest_total, in_turn, members, served

Array = np.ndarray

START = 0.7
"""Where searches begin, as a part of the range."""


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
    left = (alpha > 0) & (alpha < 1) & live & answered & (here < there - WORSE * np.abs(there))
    return ((passed & answered) | ~live).all(axis=0) & ~left.any(axis=0), ~left.any(axis=0)


def responses(game: Game, one: Profile) -> tuple[Profile, Array]:
    """Every aggregator's best response to the others, (aggregators, scenarios), and whether it is known to be that."""
    first, given = game.start[:-1], one.y.sum(axis=0) - one.y
    alone = replace(game, price=replace(game.price, given=given))
    all_served, choosy = members(game)
    lowest = np.minimum.reduceat(served(game), first)
    limits = (np.where(kind[:, None], lowest, np.inf) for kind in (all_served, choosy))
    high = np.broadcast_to(highest_total(alone, np.maximum.reduceat(game.b, first), *limits, lambda y: y), given.shape)
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
    for which, totals in in_turn(found):
        part = mine.only(which)
        one = profile(part, totals)
        worth = payoffs(part, one.s)[0]
        better = worth > top[which]
        top[which] = np.maximum(worth, top[which])
        x[:, some[which[better]]], s[:, some[which[better]]] = one.x[:, better], one.s[:, better]
    return np.array([one is not None for one in found])


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
