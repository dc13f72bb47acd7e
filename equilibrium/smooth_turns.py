"""Several leaders with nonlinear parts: each in turn decides again, the others held, until a round moves nobody.

Rounds converge linearly, and each is costly, so Anderson's acceleration proposes where to go on. It only
proposes: what counts is the last round, in which every leader looked again from several starts and stayed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .acceleration import Anderson
from .formulations.nonlinear_leader import solve_nonlinear
from .hierarchy import Hierarchy
from .led import Led

ROUNDS = 200
"""Most rounds."""

STARTS = 8
"""Points from which every leader searches in the rounds that decide."""

SETTLED = 1e-9
"""A round that moves nobody by more than this, relative to the largest decision, moves nobody: what Ipopt resolves."""


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
    starts, memory = 1, Anderson()
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
        ahead = memory.after(before, x) if starts == 1 else None
        if ahead is not None:
            x = np.clip(ahead, low, up)
    return Settled(x, tuple(found), gap, ROUNDS, False)
