"""Small affine problems that are not monotone, as a mixed-integer programme: each column at its lower bound, at its
upper one, or its row an equation.

    F_i <= high_i a_i,   z_i <= upper_i - width_i a_i,   a_i in {0, 1}     (a_i = 1: at the lower bound)
    F_i >= low_i  d_i,   z_i >= lower_i + width_i d_i,   d_i in {0, 1}     (d_i = 1: at the upper bound)

``low`` and ``high`` follow from the box by interval arithmetic. Sides without a bound get one, far away: too near a
bound can only hide solutions, so what is found is one, and what is not found proves nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from ..mcp import MixedComplementarity
from . import billups, highs
from .active_set import polish
from .outcome import Outcome, Termination

LARGEST = 200
"""Columns up to which the search is tried: its time grows exponentially."""

REACH = (10.0, 1e3)
"""How far sides without a bound reach, in units of the scaled problem's own constants; tried in this order."""


def solve(mcp: MixedComplementarity, time_limit: float = 5.0) -> tuple[np.ndarray, Outcome]:
    """A polished solution of an affine problem, or the best that was found. ``time_limit``: seconds for each reach."""
    began = time.perf_counter()
    best = mcp.interior()
    failed = Outcome(Termination.FAILED, "no solution found", 0.0, "HiGHS", highs.version())
    if mcp.matrix is None or mcp.size > LARGEST:
        return best, replace(failed, message=f"not affine, or more than {LARGEST} columns")
    best_error = mcp.error(best)
    for reach in REACH:
        found, _ = _search(mcp, reach, time_limit)
        if found is None:
            continue
        z = polish(mcp, found)
        if mcp.error(z) < best_error:
            best, best_error = z, mcp.error(z)
        if best_error <= 1e-9:
            termination, message = Termination.SOLVED, f"relative residual {best_error:.1e}"
            return best, replace(failed, termination=termination, message=message, seconds=time.perf_counter() - began)
    return best, replace(failed, seconds=time.perf_counter() - began)


def _search(mcp: MixedComplementarity, reach: float, time_limit: float) -> tuple[np.ndarray | None, Outcome]:
    assert mcp.matrix is not None and mcp.vector is not None
    n = mcp.size
    row, column = billups.ruiz(mcp.matrix)
    limits = np.concatenate([mcp.lower / column, mcp.upper / column])
    unit = max(np.abs(row * mcp.vector).max(initial=0.0), np.abs(limits[np.isfinite(limits)]).max(initial=0.0), 1e-300)
    matrix = sp.csr_array(sp.diags_array(row) @ mcp.matrix @ sp.diags_array(column))
    vector = row * mcp.vector / unit
    lower, upper = _box(mcp.lower / column / unit, mcp.upper / column / unit, reach)
    positive, negative = matrix.maximum(0), matrix.minimum(0)
    high = np.where(np.isfinite(mcp.lower), np.maximum(positive @ upper + negative @ lower + vector, 0), 0.0)
    low = np.where(np.isfinite(mcp.upper), np.minimum(positive @ lower + negative @ upper + vector, 0), 0.0)
    width, one, none = sp.diags_array(upper - lower), sp.eye_array(n), sp.csr_array((n, n))
    rows = [
        [matrix, -sp.diags_array(high), none],
        [matrix, none, -sp.diags_array(low)],
        [one, width, none],
        [one, none, -width],
        [none, one, one],
    ]
    infinite = np.full(n, np.inf)
    programme = highs.Programme(
        sp.csc_array((3 * n, 3 * n)),
        np.zeros(3 * n),
        sp.csr_array(sp.block_array(rows)),
        np.concatenate([-infinite, -vector, -infinite, lower, -infinite]),
        np.concatenate([-vector, infinite, upper, infinite, np.ones(n)]),
        np.concatenate([lower, np.zeros(2 * n)]),
        np.concatenate([upper, np.isfinite(mcp.lower), np.isfinite(mcp.upper)]).astype(float),
    )
    x, outcome = highs.mixed_integer(programme, np.arange(3 * n) >= n, time_limit)
    return None if x is None else np.clip(x[:n] * column * unit, mcp.lower, mcp.upper), outcome


def _box(lower: np.ndarray, upper: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The box with sides that are missing put ``reach`` away from the other one, or from zero."""
    low = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper - reach, -reach))
    return low, np.where(np.isfinite(upper), upper, np.where(np.isfinite(lower), lower + reach, reach))
