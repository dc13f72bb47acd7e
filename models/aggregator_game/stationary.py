"""Totals of many scenarios that may be equilibria: up to where they lie, and all at which every purchase is stationary.

Games hold many scenarios as in ``many``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .game import EDGE, Excess, Game, bounds, ceiling, parts_of
from .search import Zeros, follow_each, part_by_part

Array = np.ndarray

SEARCH = 500
"""Evaluations for all equilibria of a scenario; where they do not do, it is left to a longer search of its own."""


def members(game: Game) -> tuple[Array, Array]:
    """Which aggregators serve all their users (alpha >= 1), and which may leave some out (0 < alpha < 1)."""
    several = np.diff(game.start) > 1
    return several & (game.alpha >= 1), several & (game.alpha > 0) & (game.alpha < 1)


def served(game: Game) -> Array:
    """First values, infinite for users who are not served."""
    return np.where(np.isfinite(game.b), game.b, np.inf)


def lowest_user(game: Game, count: int) -> Array:
    """The user with the lowest first value among those of aggregators with alpha >= 1, by scenario; -1 without any."""
    inside = np.repeat(members(game)[0], np.diff(game.start))
    if not inside.any():
        return np.full(count, -1)
    return np.broadcast_to(np.flatnonzero(inside)[served(game)[inside].argmin(axis=0)], (count,))


def ceilings(game: Game, count: int) -> Array:
    """A total that no equilibrium exceeds (scenarios,); NaN where users might drop out below it.

    Nobody buys above the highest first value, an aggregator with alpha >= 1 has all its users served, and where even
    the most that can be bought is less than the total at which the first user of one with 0 < alpha < 1 drops out, no
    user does."""
    first = game.start[:-1]
    highest, lowest = np.maximum.reduceat(game.b, first).max(axis=0), np.minimum.reduceat(served(game), first)
    all_served, choosy = (np.where(one[:, None], lowest, np.inf).min(axis=0) for one in members(game))
    return np.broadcast_to(
        highest_total(game, highest, all_served, choosy, lambda bought: bought.sum(axis=0)), (count,)
    )


def highest_total(game: Game, highest: Array, all_served: Array, choosy: Array, together: Any) -> Array:
    """As ``ceilings``, for all aggregators or for each by itself at the game's price (aggregators, scenarios).

    highest: first values above which nobody buys. all_served, choosy: the lowest ones of aggregators that serve all
    their users, and of those that may leave some out; infinite without any. together: adds up what they buy, or not.
    """
    top = np.minimum(game.price.total(highest), game.price.total(all_served) * (1 - EDGE))
    drop = game.price.total(choosy)
    if not np.isfinite(drop).any():
        return top
    at = np.minimum(top, drop)
    p, q, _ = game.price.at(at)
    safe = (at > 0) & ((together(bounds(game, p, q)[0]) < at) | (top <= drop))
    return np.where(np.isinf(drop), top, np.where(safe, at, np.nan))


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


def in_turn(found: Sequence[Zeros | None]) -> Iterator[tuple[Array, Array]]:
    """The first totals of all scenarios that have one, the second ones, and so on: (scenarios, totals)."""
    lists = [one.found if one else () for one in found]
    for c in range(max(map(len, lists), default=0)):
        which = [k for k, totals in enumerate(lists) if len(totals) > c]
        yield np.array(which), np.array([lists[k][c] for k in which])
