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
from ..tolerances import RESIDUAL
from .active_set import polish

SHIFT = 3e-6
"""The multiple of the identity, after rows and columns were scaled to largest entries of one. Elimination whose pivots
may be as small as this loses eps / SHIFT^2 of the answer, refinement has to take out a part SHIFT of it: the third root
of eps makes both small. (At 1e-9 a chain of free flows between countries was lost altogether.)"""


def exact(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    """The answer of an active-set method to a monotone problem made exact: polished, and regularised where what binds
    leaves decisions or multipliers open."""
    polished = polish(mcp, z)
    error = mcp.error(polished)
    if error <= 0.01 * RESIDUAL:
        return polished
    settled = settle(mcp, z)
    return settled if mcp.error(settled) < error else polished


def settle(mcp: MixedComplementarity, z: np.ndarray, steps: int = 15) -> np.ndarray:
    """The best point met (by ``mcp.error``) in at most ``steps`` steps from ``z``; ``mcp`` is affine and monotone."""
    ratio = _ratio(mcp, z)
    best = np.clip(z, mcp.lower, mcp.upper)
    point, best_error, stalled = z, mcp.error(best), 0
    for _ in range(steps):
        try:
            with np.errstate(over="raise", invalid="raise"):  # multipliers of limits that contradict each other
                point = _step(mcp, point, ratio)
        except (RuntimeError, ArithmeticError):
            break
        inside = np.clip(point, mcp.lower, mcp.upper)
        error = mcp.error(inside)
        stalled = 0 if error < 0.5 * best_error else stalled + 1
        if error < best_error:
            best, best_error = inside, error
        if best_error < 1e-14 or stalled > 5 or not np.isfinite(error):
            break
    return best


def _ratio(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    """For each column its size over that of its row: the largest of all decisions, or of all prices and multipliers.

    An interior point knows both to a small part of these. After the first step it does not matter: a column then is
    at its bound exactly, or its row is zero.
    """
    decides = mcp.kind == DECISION
    row = mcp.scales(z)[1]
    quantity, price = (float(np.abs(z[columns]).max(initial=0.0)) for columns in (decides, ~decides))
    payoff, limit = (float(row[columns].max(initial=0.0)) for columns in (decides, ~decides))
    price = max(price, payoff) or 1.0  # every multiplier may be zero, but for what the interior point leaves of them
    return np.where(decides, (quantity or 1.0) / (payoff or 1.0), price / (limit or 1.0))


def _step(mcp: MixedComplementarity, z: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Columns nearer to a bound than their row is to zero go there; the others solve their rows, bounds or not (who
    passes a bound stays there in the next step)."""
    slack = mcp.F(z) * ratio
    low = z - mcp.lower < slack
    up = (mcp.upper - z < -slack) & ~low
    moved = np.where(low, mcp.lower, np.where(up, mcp.upper, z))
    free = np.flatnonzero(~low & ~up)
    if free.size:
        part = mcp.jacobian(z)[free][:, free]
        moved[free] += solve_regularised(part, -mcp.F(moved)[free])
    return moved


def solve_regularised(matrix: sp.csr_array, right: np.ndarray) -> np.ndarray:
    """matrix x = right for a monotone matrix that may be singular; where it is, an x near zero."""
    factor = balance(matrix)
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


def balance(matrix: sp.csr_array, rounds: int = 5) -> np.ndarray:
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
