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
from . import linear

_NO_STEP = (np.linalg.LinAlgError, ArithmeticError, ValueError, RuntimeError)

Solve = Callable[[Matrix, np.ndarray], np.ndarray]


def search(mcp: MixedComplementarity, z: np.ndarray, steps: int = 30) -> tuple[np.ndarray, float, int]:
    """(best point, its relative residual, steps taken) from any z; given up at a singular system or a cycle."""
    return _iterate(mcp, z, steps, linear.solve_regular)


def polish(mcp: MixedComplementarity, z: np.ndarray, steps: int = 8) -> np.ndarray:
    """The best of a few steps from a z that is nearly a solution; singular systems by least squares."""
    return _iterate(mcp, z, steps, linear.solve)[0]


def _iterate(mcp: MixedComplementarity, z: np.ndarray, steps: int, solve: Solve) -> tuple[np.ndarray, float, int]:
    best = np.clip(z, mcp.lower, mcp.upper)
    best_error = mcp.error(best)
    point, guesses, since = best, set(), 0
    for count in range(1, steps + 1):
        try:
            point, guess = _step(mcp, point, solve)
            candidate = np.clip(point, mcp.lower, mcp.upper)
            error = mcp.error(candidate)
        except _NO_STEP:
            return best, best_error, count
        since = 0 if error < 0.9 * best_error else since + 1
        if error < best_error:
            best, best_error = candidate, error
        # Affine conditions: the guess decides the point, so a guess made before repeats what came after it.
        repeated = mcp.is_affine and guess in guesses
        if not np.isfinite(error) or repeated or since > 8 or best_error < 1e-15:
            return best, best_error, count
        guesses.add(guess)
    return best, best_error, steps


def _step(mcp: MixedComplementarity, y: np.ndarray, solve: Solve) -> tuple[np.ndarray, bytes]:
    """(next point, the guess that it rests on)."""
    z = np.clip(y, mcp.lower, mcp.upper)
    column, row = mcp.scales(z)
    jacobian = mcp.compact_jacobian(z)
    value = mcp.F(z) + jacobian @ (y - z)
    slack = value / row
    low = (y - mcp.lower) / column < slack
    up = ((mcp.upper - y) / column < -slack) & ~low
    free = np.flatnonzero(~low & ~up)
    moved = np.where(low, mcp.lower, np.where(up, mcp.upper, y))
    if free.size:
        right = -(value + jacobian @ (moved - y))[free]
        part = jacobian[np.ix_(free, free)] if isinstance(jacobian, np.ndarray) else jacobian[free][:, free]
        moved[free] = y[free] + solve(part, right)
    return moved, np.packbits(np.concatenate([low, up])).tobytes()
