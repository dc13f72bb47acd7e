"""Games of users drawn at random, for studies that average over draws: who is with whom, what each variant gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equilibrium.errors import Refused

from . import setting
from .equilibria import payoff, response, solve
from .game import Price
from .membership import kept, reduced
from .values import gini

Array = np.ndarray

REGRET = 1e-8
"""By how much (relative) a best response may raise a payoff for the profile to count as an equilibrium."""

CERTIFIED, UNCERTIFIED = "certified", "uncertified"


@dataclass(frozen=True)
class Crowd:
    """Small users that are drawn, the price, and single users beside them.

    a, b: curvature [EUR/MWh^2] and first value [EUR/MWh] of the small users, one row per draw. large: (a, b) of each
    single large user.
    """

    a: Array
    b: Array
    large: tuple[tuple[float, float], ...]
    price: Price


@dataclass(frozen=True)
class Outcome:
    """What the small users of one draw get: purchases x [MWh] and surpluses s [EUR], at a price [EUR/MWh]; whether best
    responses confirmed it. Without an equilibrium x and s are empty."""

    x: Array
    s: Array
    price: float
    verdict: str


def crowd(data: Any, draws: int) -> Crowd:
    """``draws`` draws of the case's users, from seed 0 on, and its single users. Raises Refused if none are drawn."""
    users, table = data.tables.get("users"), data.tables.get("draws")
    if table is None:
        raise Refused("this study draws users at random; the case draws none (table draws)")
    drawn = [setting.draw(table.iloc[0], seed) for seed in range(draws)]
    single = [] if users is None else list(zip(users["curvature"], users["first_value"], strict=True))
    return Crowd(
        np.array([a for a, _ in drawn]),
        np.array([b for _, b in drawn]),
        tuple((float(a), float(b)) for a, b in single),
        setting.price(data),
    )


def play(
    a: Array,
    b: Array,
    alpha: Sequence[float],
    rule: str,
    large: Iterable[tuple[float, float]],
    price: Price,
    throughout: bool = False,
) -> Outcome:
    """The equilibrium of one draw. alpha: of the aggregators, among which the users a, b are split in equal consecutive
    parts; empty: every user buys for itself. rule: membership of all. large: single users beside them. throughout: the
    rule is applied whatever alpha, so that variants with different alphas have the same members."""
    alone, beside = len(alpha) == 0, list(large)
    groups = len(a) if alone else len(alpha)
    sizes = [len(part) for part in np.array_split(np.arange(len(a)), groups)]
    owner = np.repeat(np.arange(groups + len(beside)), sizes + [1] * len(beside))
    fairness = np.append(np.zeros(groups) if alone else np.asarray(alpha, dtype=float), np.zeros(len(beside)))
    every_a, every_b = (np.append(own, [one[k] for one in beside]) for k, own in ((0, a), (1, b)))
    ruled = np.full(len(fairness), np.inf) if throughout else fairness
    served = kept(every_a, every_b, owner, ruled, [rule] * len(fairness), price)
    game, _ = reduced(every_a, every_b, owner, fairness, price, served)
    found = solve(game, every=False)
    if not found.equilibria and found.verdict != "none":
        found = solve(game)
    if not found.equilibria:
        return Outcome(np.zeros(0), np.zeros(0), float("nan"), "none" if found.verdict == "none" else UNCERTIFIED)
    one = found.equilibria[0]
    x, s = np.zeros(len(served)), np.zeros(len(served))
    x[served], s[served] = one.x, one.s
    verdict = CERTIFIED if confirmed(game, one) else UNCERTIFIED
    return Outcome(x[: len(a)], s[: len(a)], one.price, verdict)


def confirmed(game: Any, one: Any) -> bool:
    """Whether no aggregator's best response to the others brings it more. Of many single users, whose response is in
    closed form, all are asked at once."""
    single = np.diff(game.start) == 1
    given, own = one.total - one.y[single], game.start[:-1][single]
    a, b = game.a[own], game.b[own]
    if game.price.exponent == 1:
        c = game.price.slope
        best = np.maximum(b - game.price.intercept - c * given, 0) / (2 * (a + c))
        if len(best) and np.abs(best - one.y[single]).max() > REGRET * max(float(best.max()), 1e-300):
            return False
        single_done = single
    else:
        single_done = np.zeros(len(single), dtype=bool)
    for j in np.flatnonzero(~single_done):
        best_j = response(game, int(j), one.total - float(one.y[j]))
        if best_j is None:
            return False
        alpha = float(game.alpha[j]) if not single[j] else 0.0
        here = payoff(one.s[game.start[j] : game.start[j + 1]], alpha)
        there = payoff(best_j.s, alpha)
        if there - here > REGRET * max(abs(there), abs(here)):
            return False
    return True


PRICE, SURPLUS, CONSUMPTION = "price [EUR/MWh]", "surplus [EUR]", "use [MWh]"
GINI, SMALLEST, TOTAL = "Gini", "least [EUR]", "total [EUR]"
MEASURES: Mapping[str, Callable[[Outcome], float]] = {
    PRICE: lambda one: one.price,
    SURPLUS: lambda one: float(one.s.mean()),
    CONSUMPTION: lambda one: float(one.x.mean()),
    GINI: lambda one: gini(one.s),
    "Gini use": lambda one: gini(one.x),
    "deviation [MWh]": lambda one: float(one.x.std()),
    SMALLEST: lambda one: float(one.s.min()),
    TOTAL: lambda one: float(one.s.sum()),
}


def averages(outcomes: Sequence[Outcome], told: Iterable[str] = tuple(MEASURES)) -> Mapping[str, Any]:
    """Means over the draws with an equilibrium of what is computed within each draw, dropped users as zeros; how many
    draws have one; the verdict of all together. told: names of ``MEASURES``."""
    found = [one for one in outcomes if len(one.x)]
    bad = [one for one in outcomes if one.verdict == UNCERTIFIED]
    row: dict[str, Any] = {"draws": f"{len(found)}/{len(outcomes)}"}
    for name in told:
        row[name] = float(np.mean([MEASURES[name](one) for one in found])) if found else float("nan")
    row["verdict"] = UNCERTIFIED if bad else (CERTIFIED if found else "none")
    return row
