"""Newton on the minimum map: guess which columns stay at a bound, let the rows of the others hold with equality, solve.

    low:  z - lower < F,    up:  upper - z < -F,    free: the others,   F_free + (dF/dz)_free (new - z) = 0

Only free columns are factorised. An iterate may leave the box (clipped there, the guess cycles where many columns move
one price); F is continued linearly outside, so functions that have no value there are not asked for one. This is the
primal-dual active set method (Hintermueller, Ito and Kunisch 2002): a few steps where it converges, which is certain
near a regular solution and usual for P-matrices, and a cycle of guesses where it does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..mcp import Matrix, MixedComplementarity
from . import systems

EXACT = 1e-14
"""Relative residual at which nothing is left but rounding."""

_NO_STEP = (np.linalg.LinAlgError, ArithmeticError, ValueError, RuntimeError)

Solve = Callable[[Matrix, np.ndarray], np.ndarray]


def search(mcp: MixedComplementarity, z: np.ndarray, steps: int = 30) -> tuple[np.ndarray, float, int]:
    """(best point, its relative residual, steps taken) from any z; given up at a singular system or a cycle.

    The residual is infinite where F has no value at z.
    """
    return _iterate(mcp, z, steps, systems.solve_regular)


def polish(mcp: MixedComplementarity, z: np.ndarray, steps: int = 8) -> np.ndarray:
    """The best of a few steps from a z that is nearly a solution; singular systems by least squares."""
    return _iterate(mcp, z, steps, systems.solve)[0]


class _Point:
    """What is known at a point, evaluated once: F continued linearly outside the box, and the residual inside it."""

    def __init__(self, mcp: MixedComplementarity, y: np.ndarray) -> None:
        self.y, self.inside = y, np.clip(y, mcp.lower, mcp.upper)
        value = mcp.F(self.inside)
        self.jacobian = mcp.compact_jacobian(self.inside)
        self.column, self.row = mcp.scales(self.inside, value, self.jacobian)
        error = float(mcp.distance(self.inside, value, self.column, self.row).max(initial=0.0))
        self.error = error if np.isfinite(error) and np.isfinite(y).all() else np.inf
        self.value = value + self.jacobian @ (y - self.inside)


def _iterate(mcp: MixedComplementarity, z: np.ndarray, steps: int, solve: Solve) -> tuple[np.ndarray, float, int]:
    start = np.clip(z, mcp.lower, mcp.upper)
    try:
        point = _Point(mcp, start)
    except _NO_STEP:
        return start, np.inf, 0
    best, guesses, since, count = point, set(), 0, 0
    while count < steps and since <= 8 and best.error > EXACT:
        count += 1
        try:
            y, guess = _step(mcp, point, solve)
            point = _Point(mcp, y)
        except _NO_STEP:
            break
        since = 0 if point.error < 0.9 * best.error else since + 1
        if point.error < best.error:
            best = point
        # Affine conditions: the guess decides the point, so a guess made before repeats what came after it.
        if np.isinf(point.error) or (mcp.is_affine and guess in guesses):
            break
        guesses.add(guess)
    return best.inside, best.error, count


def _step(mcp: MixedComplementarity, at: _Point, solve: Solve) -> tuple[np.ndarray, bytes]:
    """(next point, the guess that it rests on)."""
    y, jacobian, slack = at.y, at.jacobian, at.value / at.row
    low = (y - mcp.lower) / at.column < slack
    up = ((mcp.upper - y) / at.column < -slack) & ~low
    free = np.flatnonzero(~low & ~up)
    moved = np.where(low, mcp.lower, np.where(up, mcp.upper, y))
    if free.size:
        right = -(at.value + jacobian @ (moved - y))[free]
        moved[free] = y[free] + solve(jacobian[free][:, free], right)
    return moved, np.packbits(np.concatenate([low, up])).tobytes()
