"""Seeded deviations of a leader that keep its own limits, for the certificate to try.

Steps of many sizes towards random corners of the limits in which only the leader's own decisions stand. Of a convex set
every direction is met, and a step between two of its points stays inside: a box around the decisions would miss every
equality.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from .formulations.regimes import own_rows
from .hierarchy import LeaderProblem
from .players import Player
from .solvers.linear import Linear, mixed_integer
from .solvers.outcome import Termination


def towards_corners(problem: LeaderProblem, x: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Up to ``count`` decisions at 1, 1/10, 1/100 and 1/1000 of the way from x to a random corner.

    Whole numbers change on the whole way only. What has no limit is kept within ten times the size of x.
    """
    random = np.random.default_rng(0)
    table, low, up = own_rows(problem)
    rows = sp.csr_array(table)
    reach = 10 * max(1.0, float(np.abs(x).max(initial=0.0)))
    lower = np.where(np.isneginf(problem.lower), np.minimum(x, 0.0) - reach, problem.lower)
    upper = np.where(np.isposinf(problem.upper), np.maximum(x, 0.0) + reach, problem.upper)
    floor, ceiling = np.where(problem.whole, x, lower), np.where(problem.whole, x, upper)
    held = Linear(rows, low, up, lower, upper)
    for s in range(count):
        aim = random.normal(size=len(x))
        if s % 4 == 0 and problem.whole.any():
            found = mixed_integer(aim, rows, low, up, lower, upper, problem.whole, seconds=5.0)
            corner, solved = found.w, not np.isnan(found.w).any()
        else:
            corner, stopped = held.minimise(aim, floor, ceiling)
            solved = stopped is Termination.SOLVED
        if solved:
            trial = x + 10.0 ** -(s % 4) * (corner - x)
            trial[problem.whole] = np.round(trial[problem.whole])
            yield trial


def around(player: Player, x: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """``count`` decisions around x within their bounds, where limits are not linear."""
    random = np.random.default_rng(0)
    bounds = [v.bounds for v in player.decisions]
    lower = np.array([-np.inf if low is None else low for low, _ in bounds], dtype=float)
    upper = np.array([np.inf if up is None else up for _, up in bounds], dtype=float)
    whole = np.array([not v.is_continuous() for v in player.decisions])
    reach = np.where(np.isfinite(upper - lower), upper - lower, 1.0 + np.abs(x))
    for s in range(count):
        trial = np.clip(x + random.normal(size=len(x)) * reach * 10.0 ** -(s % 4), lower, upper)
        trial[whole] = np.round(trial[whole])
        yield trial
