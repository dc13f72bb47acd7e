"""The game under a cap on the price: p = min(cap, p0 + c Y^k).

Above the total at which the cap binds nobody moves the price any more: whoever buys there gives each user what it would
buy as a price taker, (b - cap) / (2a). Where the cap begins the price stops rising, so payoffs have a kink that bends
upwards and no best response lies on it. A best response is therefore one of the game without a cap that stays below it,
or the price takers' purchase if that reaches it; an equilibrium has either all below or all at the cap, and either kind
may exist, both, or none.
"""

from __future__ import annotations

import numpy as np

from .equilibria import WORSE, Found, Profile, payoff, profile, solve
from .game import Excess, Game, candidates

Array = np.ndarray


def equilibria(game: Game, cap: float, every: bool = True) -> Found:
    """The equilibria of ``game`` with its price capped, in the order of their totals."""
    limit = game.price.total(cap)
    free = solve(game, every)
    found = [one for one in free.equilibria if one.total <= limit]
    if (taken := _taken(game, cap)) is not None and taken.total > limit:
        found.append(taken)
    kept = [one for one in found if all(_content(game, cap, one, j) for j in range(len(game.alpha)))]
    lost = tuple(one.total for one in found if one not in kept)
    reason = f"below the cap: {free.reason}; at the cap everybody takes the price"
    verdict = "several" if len(kept) > 1 else ("unique" if free.complete else "one")
    if kept:
        return Found(verdict, reason, tuple(kept), free.complete, lost)
    blocked = free.blocked_by if not lost else -1
    verdict = "none" if free.complete else "unsettled"
    if lost:
        reason += "; each is left by an aggregator that gains on the other side of the cap"
    return Found(verdict, reason, (), free.complete, lost, (), blocked)


def response(game: Game, cap: float, j: int, given: float) -> Profile | None:
    """Aggregator ``j``'s best response to a demand ``given`` of the others; None where every purchase leaves somebody
    without surplus (alpha >= 1)."""
    own, limit = game.alone(j, given), game.price.total(cap)
    excess = Excess(own)
    options = [profile(own, y, excess) for y in candidates(own, None, excess).found if given + y <= limit]
    taken = _taken(own, cap)
    if taken is not None and given + taken.total >= limit:
        options.append(taken)
    alpha = _fairness(game, j)
    if options:
        return max(options, key=lambda one: payoff(one.s, alpha))
    if alpha >= 1:
        return None
    nothing = np.zeros(len(own.a))
    return Profile(0.0, min(cap, own.price.at(0.0)[0]), np.zeros(1), nothing, nothing)


def _taken(game: Game, cap: float) -> Profile | None:
    """What price takers buy at the cap; None where an aggregator with alpha >= 1 could not serve all its users."""
    beta = game.b - cap
    if game.cap[0] <= cap:
        return None
    x = np.maximum(beta, 0.0) / (2 * game.a)
    y = np.add.reduceat(x, game.start[:-1])
    return Profile(float(y.sum()), cap, y, x, np.maximum(beta, 0.0) ** 2 / (4 * game.a))


def _fairness(game: Game, j: int) -> float:
    return float(game.alpha[j]) if game.start[j + 1] - game.start[j] > 1 else 0.0


def _content(game: Game, cap: float, one: Profile, j: int) -> bool:
    """Whether aggregator ``j`` gains nothing by another purchase."""
    best = response(game, cap, j, one.total - float(one.y[j]))
    if best is None:
        return False
    alpha = _fairness(game, j)
    here, there = payoff(one.s[game.start[j] : game.start[j + 1]], alpha), payoff(best.s, alpha)
    return here >= there - WORSE * abs(there)
