"""Several leaders with nonlinear parts: each in turn decides again, the others held, until a round moves nobody.

Rounds converge linearly, and each is costly, so Anderson's mixing of the last rounds proposes where to go on. It only
proposes: what counts is the last round, in which every leader looked again from several starts and stayed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .formulations.nonlinear_leader import solve_nonlinear
from .hierarchy import Hierarchy
from .led import Led

ROUNDS = 200
"""Most rounds."""

STARTS = 8
"""Points from which every leader searches in the rounds that decide."""

SETTLED = 1e-9
"""A round that moves nobody by more than this, relative to the largest decision, moves nobody: what Ipopt resolves."""

WINDOW = 4
"""So many rounds are mixed."""


@dataclass(frozen=True)
class Settled:
    """Where the leaders ended: decisions, what each leader's last search found, how far the last round moved (relative
    to the largest decision), how many rounds there were, and whether they settled."""

    x: np.ndarray
    led: tuple[Led, ...]
    gap: float
    rounds: int
    done: bool


def settle(hierarchy: Hierarchy, x: np.ndarray) -> Settled:
    """Leaders in turn from the decisions ``x``. Raises Refused where a leader's problem has no answer."""
    limits = [v.bounds for v in hierarchy.x]
    low = np.array([-np.inf if a is None else a for a, _ in limits], dtype=float)
    up = np.array([np.inf if b is None else b for _, b in limits], dtype=float)
    starts, history = 1, []
    found: list[Led] = []
    gap = np.inf
    for count in range(1, ROUNDS + 1):
        before, found = x.copy(), []
        for which, own in enumerate(hierarchy.parts):
            led, _ = solve_nonlinear(hierarchy, which, x, starts, relaxed=False)
            x[own] = led.x
            found.append(led)
        gap = float(np.abs(x - before).max(initial=0.0)) / max(float(np.abs(x).max(initial=0.0)), 1e-300)
        if gap <= SETTLED and starts > 1:
            return Settled(x, tuple(found), gap, count, True)
        starts = STARTS if gap <= SETTLED else 1
        history = [*history[1 - WINDOW :], (before, x.copy())]
        if starts == 1 and len(history) > 1:
            x = np.clip(mixed(history), low, up)
    return Settled(x, tuple(found), gap, ROUNDS, False)


def mixed(history: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Anderson's proposal from the last rounds (before, after): weights that sum to one and make the mean move small,
    applied to the ends of the rounds."""
    moves = np.array([after - before for before, after in history])
    ends = np.array([after for _, after in history])
    weights, *_ = np.linalg.lstsq((moves[:-1] - moves[-1]).T, -moves[-1], rcond=1e-8)
    return ends[-1] + weights @ (ends[:-1] - ends[-1])
