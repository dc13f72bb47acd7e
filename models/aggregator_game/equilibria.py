"""Equilibria of the game with what each user gets, verified by best responses, all deviations considered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .game import Excess, Game, candidates, own
from .response import allocate

Array = np.ndarray

WORSE = 1e-11
"""By how much (relative) a payoff may fall short of the best response's and count as a tie with it."""

SAME = 1e-9
"""Profiles nearer than this, relative to the total, are the same in a cycle of best responses."""

BLOCKED = (
    "no price below the lowest b among the users of aggregators with alpha >= 1 balances demand; at any price above it "
    "that user has no surplus, so no profile has finite payoffs"
)

IDLE = "nobody values the first unit above the price if nothing is bought"

ROUNDS = 60
"""Rounds of best responses in turn at most."""


@dataclass(frozen=True)
class Profile:
    """Purchases x [MWh] and surpluses s [EUR] of all users, totals y [MWh] of the aggregators, total and price."""

    total: Any
    price: Any
    y: Array
    x: Array
    s: Array


@dataclass(frozen=True)
class Found:
    """What is known about a game's equilibria.

    verdict: unique (proved), several (all of them, or those known), one (found, others not excluded), none (proved), or
    unsettled (none found, none excluded). reason: why. complete: whether the list was proved to be complete. rejected:
    totals that satisfy the conditions of optimality and are no equilibria. cycle: where there is none, the profiles
    through which best responses in turn come back to where they were. blocked_by: the user whose low b leaves no
    equilibrium with finite payoffs, -1 otherwise.
    """

    verdict: str
    reason: str
    equilibria: tuple[Profile, ...]
    complete: bool
    rejected: tuple[float, ...] = ()
    cycle: tuple[Array, ...] = ()
    blocked_by: int = -1


def solve(game: Game, every: bool = True) -> Found:
    """The equilibria of ``game``. every: look for all of them where theory does not say that there is one."""
    price = game.price.at(0.0)[0]
    if game.b.max(initial=-np.inf) <= price and game.cap[1] < 0:
        nothing = np.zeros(len(game.a))
        return Found("unique", IDLE, (Profile(0.0, price, np.zeros(len(game.alpha)), nothing, nothing),), True)
    excess = Excess(game)
    zeros = candidates(game, None if every or game.choosy else 0, excess)
    profiles = [profile(game, total, excess) for total in zeros.found]
    kept, rejected = [], []
    for one in profiles:
        (kept if stands(game, one) else rejected).append(one)
    lost = tuple(one.total for one in rejected)
    word = verdict(len(kept), zeros.complete)
    reason = _reason(game, zeros.complete, len(lost))
    if kept:
        return Found(word, reason, tuple(kept), zeros.complete, lost)
    if not lost and zeros.complete and game.cap[1] >= 0:
        return Found(word, BLOCKED, (), True, lost, (), game.cap[1])
    word = word if game.choosy else "unsettled"  # there is one: it was not found
    return Found(word, reason, (), zeros.complete, lost, cycle(game))


def verdict(count: int, complete: bool) -> str:
    """What is known where so many equilibria were found, and the list is proved to be complete or not."""
    if count > 1:
        return "several"
    if count == 1:
        return "unique" if complete else "one"
    return "none" if complete else "unsettled"


def _reason(game: Game, complete: bool, rejected: int) -> str:
    kappa = game.kappa
    if complete and kappa is not None and kappa <= 0:
        text = f"the slopes of the responses add up to less than one (bound {kappa + 1:.4g})"
        text += "" if not game.choosy else " between the prices at which users drop out, all of which were examined"
    elif complete and kappa is None:
        text = "no total leaves everybody who has to be served a surplus"
    elif complete:
        text = f"every total was examined with the slope bound {kappa:.4g}, up to clusters of 1e-7 of the range"
    elif kappa is None:
        text = "searched on a grid: for 0 < alpha < 1/2 no bound on the slopes of the responses is known"
    else:
        text = f"the slopes of the responses may add up to {kappa + 1:.4g}; others were not excluded"
    if rejected:
        text += f"; {rejected} further stationary profile{'s' if rejected > 1 else ''} rejected by a better response"
    return text


def profile(game: Game, total: Any, excess: Excess | None = None) -> Profile:
    """Everybody's purchases and surpluses at a total. excess: the game's, with multipliers of totals not far away."""
    excess = excess or Excess(game)
    excess(total)
    p, q, _ = game.price.at(total)
    return shared(game, excess, total, p, q)


def shared(game: Game, excess: Excess, total: Any, p: Any, q: Any) -> Profile:
    """What everybody gets at the multipliers that ``excess`` met the price with (as ``Excess.meet``)."""
    sizes, parts = np.diff(game.start), []
    for group, point in zip(game.groups, excess.points, strict=True):
        parts.append((group.where, point.y, *allocate(group, own(p, group), own(q, group), point.theta)))
    if len(parts) == 1:
        return Profile(total, p, *parts[0][1:])
    scenarios = parts[0][2].shape[1:]
    x, s, y = (np.zeros((count, *scenarios)) for count in (len(game.a), len(game.a), len(sizes)))
    for where, bought, own_x, own_s in parts:
        belongs = np.zeros(len(sizes), dtype=bool)
        belongs[where] = True
        users = np.repeat(belongs, sizes)
        x[users], s[users], y[where] = own_x, own_s, bought
    return Profile(total, p, y, x, s)


def payoff(s: Array, alpha: float) -> float:
    """The aggregator's payoff for its users' surpluses s > 0: their alpha-fair sum, the smallest for max-min."""
    if np.isinf(alpha):
        return float(s.min())
    if alpha == 1:
        return float(np.log(s).sum())
    return float((s ** (1 - alpha)).sum() / (1 - alpha)) if alpha else float(s.sum())


def response(game: Game, j: int, given: float) -> Profile | None:
    """Aggregator ``j``'s best response to a demand ``given`` of the others; None where every purchase leaves somebody
    without surplus (alpha >= 1)."""
    mine = game.alone(j, given)
    excess = Excess(mine)
    profiles = [profile(mine, total, excess) for total in candidates(mine, None, excess).found]
    alpha = float(game.alpha[j])
    if not profiles:
        single_or_low = len(mine.a) == 1 or alpha < 1
        nothing = np.zeros(len(mine.a))
        return Profile(0.0, mine.price.at(0.0)[0], np.zeros(1), nothing, nothing) if single_or_low else None
    alpha = 0.0 if len(mine.a) == 1 else alpha
    return max(profiles, key=lambda one: payoff(one.s, alpha))


def stands(game: Game, one: Profile) -> bool:
    """Whether nobody would deviate. Only aggregators with 0 < alpha < 1 and several users have to be asked: for the
    others the condition of optimality is sufficient."""
    for group in game.choosy:
        for j in group.where[group.alpha < 1]:
            best = response(game, int(j), one.total - float(one.y[j]))
            here = payoff(one.s[game.start[j] : game.start[j + 1]], float(game.alpha[j]))
            there = payoff(best.s, float(game.alpha[j])) if best is not None else here
            if here < there - WORSE * abs(there):
                return False
    return True


def cycle(game: Game) -> tuple[Array, ...]:
    """The profiles through which best responses in turn return to an earlier one; empty where they do not."""
    y, seen = np.zeros(len(game.alpha)), []
    for _ in range(ROUNDS):
        for j in range(len(y)):
            best = response(game, j, float(y.sum() - y[j]))
            if best is None:
                return ()
            y = y.copy()
            y[j] = best.total
        for k, old in enumerate(seen):
            if np.abs(old - y).max() <= SAME * max(float(y.sum()), 1e-300):
                return tuple(seen[k:]) if len(seen) - k > 1 else ()
        seen.append(y)
    return ()
