"""From an interior point of a large monotone problem to the exact answer: Newton on the active set, regularised.

An interior point knows each column to 1e-8 of the largest of its kind. Columns nearer to their bound than their row is
to zero are put there; the others solve their rows. That system may be singular (prices without a plant between its
limits, plants of equal cost): a small multiple of the identity makes it regular, and iterative refinement takes its
effect out again as far as the rows are concerned, so what the rows leave open stays where the interior point had it.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from ..definite import symmetric_factor
from ..mcp import DECISION, MixedComplementarity

SHIFT = 1e-9
"""The multiple of the identity, after rows and columns were scaled to largest entries of one."""


def settle(mcp: MixedComplementarity, z: np.ndarray, steps: int = 12) -> np.ndarray:
    """The best point met (by ``mcp.error``) in at most ``steps`` steps from ``z``; ``mcp`` is affine and monotone."""
    point = np.clip(z, mcp.lower, mcp.upper)
    point = _snapped(mcp, point, _by_kind(mcp, point))
    best, best_error, stalled = point, mcp.error(point), 0
    for _ in range(steps):
        try:
            point = _step(mcp, point)
        except (RuntimeError, ArithmeticError):
            break
        error = mcp.error(point)
        stalled = 0 if error < 0.5 * best_error else stalled + 1
        if error < best_error:
            best, best_error = point, error
        if best_error < 1e-14 or stalled > 3 or not np.isfinite(error):
            break
    return best


def _by_kind(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    """The largest decision for decisions, the largest price or multiplier for those: an interior point knows a small
    part of that."""
    decides = mcp.kind == DECISION
    sizes = [float(np.abs(z[columns]).max(initial=0.0)) or 1.0 for columns in (decides, ~decides)]
    return np.where(decides, *sizes)


def _sides(mcp: MixedComplementarity, z: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slack = mcp.F(z) / mcp.scales(z)[1]
    low = (z - mcp.lower) / column < slack
    return low, ((mcp.upper - z) / column < -slack) & ~low


def _snapped(mcp: MixedComplementarity, z: np.ndarray, column: np.ndarray) -> np.ndarray:
    low, up = _sides(mcp, z, column)
    return np.where(low, mcp.lower, np.where(up, mcp.upper, z))


def _step(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    low, up = _sides(mcp, z, mcp.scales(z)[0])
    moved = np.where(low, mcp.lower, np.where(up, mcp.upper, z))
    free = np.flatnonzero(~low & ~up)
    if free.size:
        part = mcp.jacobian(z)[free][:, free]
        moved[free] += solve_regularised(part, -mcp.F(moved)[free])
    return np.clip(moved, mcp.lower, mcp.upper)


def solve_regularised(matrix: sp.csr_array, right: np.ndarray) -> np.ndarray:
    """matrix x = right for a monotone matrix that may be singular; where it is, an x near zero."""
    factor = _balance(matrix)
    scaled = sp.csc_array(sp.diags_array(factor) @ matrix @ sp.diags_array(factor))
    shifted, target = sp.csc_array(scaled + SHIFT * sp.eye_array(len(right))), factor * right
    x, left = _refined(scaled, symmetric_factor(shifted), target)
    if left > 1e-10 * float(np.abs(target).max(initial=0.0)):  # pivots on the diagonal were too small
        other, left_then = _refined(scaled, spla.splu(shifted), target)
        x = other if left_then < left else x
    return factor * x


def _refined(
    matrix: sp.csc_array, factor: spla.SuperLU, target: np.ndarray, refinements: int = 30
) -> tuple[np.ndarray, float]:
    """(x, largest residual) of matrix x = target by refinement with the factor of a matrix near it."""
    x, left = np.zeros(len(target)), target
    best, best_left = x, float(np.abs(left).max(initial=0.0))
    for _ in range(refinements):
        x = x + factor.solve(left)
        left = target - matrix @ x
        size = float(np.abs(left).max(initial=0.0))
        if not size < 0.5 * best_left:
            break
        best, best_left = x, size
    return best, best_left


def _balance(matrix: sp.csr_array, rounds: int = 5) -> np.ndarray:
    """One factor for each row and column alike (that keeps the matrix monotone), so that largest entries are near
    one."""
    entries = sp.coo_array(matrix)
    (i, j), size = entries.coords, np.abs(entries.data)
    factor = np.ones(matrix.shape[0])
    for _ in range(rounds):
        largest = np.zeros(len(factor))
        now = size * factor[i] * factor[j]
        np.maximum.at(largest, i, now)
        np.maximum.at(largest, j, now)
        factor = factor / np.sqrt(np.where(largest > 0, largest, 1.0))
    return factor
