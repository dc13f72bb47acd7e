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

from equilibrium.scenarios import current

from . import membership
from .equilibria import profile, verdict
from .examination import START, examine
from .game import SMALL, Excess, Game, Price
from .search import follow_each, polish_each, searching
from .stationary import SEARCH, ceilings, every, in_turn, lowest_user

Array = np.ndarray

NUMBERS = 40_000
"""Users times scenarios that are treated at a time: some thirty arrays of this length stay near the processor."""


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
            _tried(replace(game, alpha=alpha), some, answers)
    return answers


def _tried(game: Game, some: Array, answers: Answers) -> None:
    """The answers in some scenarios; one in which multipliers do not converge is left undecided."""
    try:
        with np.errstate(all="ignore"):  # what is not finite does not pass the examination
            answers.take(some, _play(game.only(some), len(some)))
    except ArithmeticError:
        for half in np.array_split(some, 2) if len(some) > 1 else ():
            _tried(game, half, answers)


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
    left, blocking = np.flatnonzero(high > 0), lowest_user(game, count)
    without = (high <= 0) & (blocking >= 0)
    if kappa <= 0 and (game.alpha >= 1).any():
        without[left] = _blocked(game.only(left), high[left])
    answers.verdict[without], answers.blocked_by[without] = "none", blocking[without]
    left = left[~without[left]]
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
    for some, totals in in_turn(found):
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


def _blocked(game: Game, high: Array) -> Array:
    """Whether excess demand, which falls with the total, is above zero at the highest: there is no equilibrium."""
    if not len(high):
        return np.zeros(0, dtype=bool)
    beyond = Excess(game)(high)[0]
    return np.asarray(np.isfinite(beyond) & (beyond > 0))


def _enclosed(game: Game, high: Array, kappa: float) -> tuple[Array, Array]:
    """(the lowest equilibrium's total, verdict) where several are possible."""
    zeros = follow_each([searching(SMALL * top, top, kappa, SEARCH) for top in high.tolist()], Excess(game))
    return (
        np.array([one.found[0] if one.found and one.complete else np.nan for one in zeros]),
        np.array([verdict(len(one.found), True) if one.complete else "" for one in zeros], dtype=object),
    )


def kept(a: Array, b: Array, owner: Array, alpha: Array, rules: Sequence[str], price: Any) -> Array:
    """As ``membership.kept``, for the scenarios on which code runs now: (users, scenarios).

    Those in which the price without aggregators is not found go astray. The rule 'maximal' is a search, made for one
    scenario after the other."""
    tape = current()
    assert tape is not None
    count = len(tape.astray)
    bound = (alpha >= 1) & (np.bincount(owner, minlength=len(alpha)) > 1)
    if (bound & (np.array(rules) == "maximal")).any():
        return np.stack([_kept(a, b, owner, alpha, list(rules), price.of(k), k) for k in range(count)], axis=1)
    filtered = (bound & (np.array(rules) == "filtered"))[owner]
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


def _kept(a: Array, b: Array, owner: Array, alpha: Array, rules: list[str], price: Price, k: int) -> Array:
    """``membership.kept`` in one scenario."""
    a, b = (values[:, min(k, values.shape[1] - 1)] for values in (a, b))
    return membership.kept(a, b, owner, alpha, rules, price)


def _slices(scenarios: Array, users: int) -> Iterator[Array]:
    """So many scenarios at a time as stay near the processor."""
    width = max(1, NUMBERS // users)
    for first in range(0, len(scenarios), width):
        yield scenarios[first : first + width]
