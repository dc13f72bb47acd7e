"""Who is served where an aggregator with alpha >= 1 cannot serve everybody: rules fixed before the game.

An aggregator with alpha >= 1 (or max-min) values a user without surplus at minus infinity (max-min: nothing else
counts), so it can only play for users with b above the price. Three rules say for whom it plays:

* literal: for all of them. There may be no equilibrium with finite payoffs; then that is the answer.
* filtered: for those who would buy something if there were no aggregators. An equilibrium then exists: each
  term (1/g - 1)/(2a) of an aggregator's condition is at most 1/p', its value for a user alone, so aggregated users buy
  no more than alone at the same price, and the price does not pass that of the game without aggregators.
* maximal: the fewest users, those with the lowest b, are left out for an equilibrium with finite payoffs to exist.

Users who are left out buy nothing. Objectives over "users active after the decision" are no option: for alpha >= 1
leaving a user out would raise the sum.
"""

from __future__ import annotations

import numpy as np

from .game import Excess, Game, Price, candidates, ceiling

Array = np.ndarray

RULES = ("literal", "filtered", "maximal")


def without_aggregators(a: Array, b: Array, price: Price) -> Game:
    """The game in which every user buys for itself."""
    return Game(a, b, np.arange(len(a) + 1), np.zeros(len(a)), price)


def kept(a: Array, b: Array, owner: Array, alpha: Array, rules: list[str], price: Price, cap: float = np.inf) -> Array:
    """Which users are served, one truth value for each. owner: number of each user's aggregator; users of one
    aggregator stand together. alpha, rules: one per aggregator. cap: of the price."""
    sizes = np.bincount(owner, minlength=len(alpha))
    bound = (alpha >= 1) & (sizes > 1)
    served = np.ones(len(a), dtype=bool)
    filtered = bound & (np.array(rules) == "filtered")
    if filtered.any():
        found = candidates(without_aggregators(a, b, price)).found
        level = price.at(found[0])[0] if found else price.at(0.0)[0]
        served &= ~filtered[owner] | (b > min(level, cap))
    maximal = bound & (np.array(rules) == "maximal")
    if maximal.any():
        served &= _fewest(a, b, owner, alpha, price, served, maximal)
    return served


def reduced(a: Array, b: Array, owner: Array, alpha: Array, price: Price, served: Array) -> tuple[Game, Array]:
    """The game of the users served, and the numbers of the aggregators that still have some."""
    sizes = np.bincount(owner[served], minlength=len(alpha))
    there = np.flatnonzero(sizes)
    start = np.concatenate([[0], np.cumsum(sizes[there])])
    everybody = bool(served.all())
    return Game(a if everybody else a[served], b if everybody else b[served], start, alpha[there], price), there


def _fewest(a: Array, b: Array, owner: Array, alpha: Array, price: Price, served: Array, maximal: Array) -> Array:
    """Users left when as few as possible, in ascending order of b, are dropped from the aggregators ``maximal``.

    One after the other: whether an equilibrium exists depends on whose user comes next, so it may exist, cease to and
    exist again while users are dropped.
    """
    order = np.flatnonzero(maximal[owner] & served)
    left = served.copy()
    for user in order[np.argsort(b[order], kind="stable")]:
        if not left.any() or _playable(reduced(a, b, owner, alpha, price, left)[0]):
            break
        left[user] = False
    return left


def _playable(game: Game) -> bool:
    """Whether an equilibrium with finite payoffs exists. Excess demand begins above zero, so below zero at the highest
    total is enough; where its slope is known to be negative it is also needed."""
    kappa, high = game.kappa, ceiling(game)
    if high > 0 and Excess(game)(high)[0] < 0:
        return True
    return not (kappa is not None and kappa <= 0) and bool(candidates(game).found)
