"""Seeded deviations of a leader that keep its own limits, for the certificate to try.

Steps of many sizes towards random corners of the linear limits in which only the leader's own decisions stand. Of a
convex set every direction is met, and a step between two of its points stays inside: a box around the decisions would
miss every equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp

from .conditions import NotAffine, Reader
from .formulations.regimes import own_rows
from .hierarchy import LeaderProblem
from .players import Player
from .solvers.linear import Linear, mixed_integer
from .solvers.outcome import Termination


@dataclass(frozen=True)
class Limits:
    """What limits a leader's own decisions: low <= table x <= up, lower <= x <= upper; ``whole``: in whole numbers."""

    table: np.ndarray
    low: np.ndarray
    up: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    whole: np.ndarray


def limits_of(problem: LeaderProblem) -> Limits:
    """The limits of a problem with linear rows."""
    return Limits(*own_rows(problem), problem.lower, problem.upper, problem.whole)


def linear_limits(player: Player) -> Limits:
    """Bounds and those of a player's rows that are linear and hold nobody else's Vars; the others are left out."""
    place = {id(v): k for k, v in enumerate(player.decisions)}
    reader, rows, low, up = Reader(), [], [], []
    for row in player.constraints:
        try:
            found = reader.read(row.body, row.name)
        except NotAffine:
            continue
        if found.quadratic or not found.linear.keys() <= place.keys():
            continue
        rows.append(np.zeros(len(place)))
        for key, value in found.linear.items():
            rows[-1][place[key]] += value
        low.append(-np.inf if row.lower is None else float(pyo.value(row.lower)) - found.constant)
        up.append(np.inf if row.upper is None else float(pyo.value(row.upper)) - found.constant)
    bounds = [v.bounds for v in player.decisions]
    return Limits(
        np.array(rows).reshape(len(rows), len(place)),
        np.array(low),
        np.array(up),
        np.array([-np.inf if a is None else a for a, _ in bounds], dtype=float),
        np.array([np.inf if b is None else b for _, b in bounds], dtype=float),
        np.array([not v.is_continuous() for v in player.decisions]),
    )


def towards_corners(limits: Limits, x: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Up to ``count`` decisions at 1, 1/10, 1/100 and 1/1000 of the way from x to a random corner.

    Whole numbers change on the whole way only. What has no limit is kept within ten times the size of x.
    """
    random = np.random.default_rng(0)
    table, low, up, whole = limits.table, limits.low, limits.up, limits.whole
    rows = sp.csr_array(table)
    reach = 10 * max(1.0, float(np.abs(x).max(initial=0.0)))
    lower = np.where(np.isneginf(limits.lower), np.minimum(x, 0.0) - reach, limits.lower)
    upper = np.where(np.isposinf(limits.upper), np.maximum(x, 0.0) + reach, limits.upper)
    floor, ceiling = np.where(whole, x, lower), np.where(whole, x, upper)
    held = Linear(rows, low, up, lower, upper)
    for s in range(count):
        aim = random.normal(size=len(x))
        if s % 4 == 0 and whole.any():
            found = mixed_integer(aim, rows, low, up, lower, upper, whole, seconds=5.0)
            corner, solved = found.w, not np.isnan(found.w).any()
        else:
            corner, stopped = held.minimise(aim, floor, ceiling)
            solved = stopped is Termination.SOLVED
        if solved:
            trial = x + 10.0 ** -(s % 4) * (corner - x)
            trial[whole] = np.round(trial[whole])
            yield trial
