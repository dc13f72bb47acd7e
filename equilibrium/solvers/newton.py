"""Newton's method for mixed complementarity problems over a box, from quick to patient.

First steps on the minimum map from active set to active set, which take only free columns into account and need no
scaling; where they cycle or meet a singular system, a semismooth method that descends, polished on the active set.
"""

from __future__ import annotations

import time

import numpy as np

from ..mcp import MixedComplementarity
from . import billups
from .active_set import polish, search
from .outcome import Outcome, Termination

SOLVED = 1e-9
"""Relative residual up to which an answer counts as solved; the methods go on to a hundredth of it where they can."""

STUCK = 40
"""Steps within which the merit must halve: far from a solution it creeps for ever otherwise."""


def solve(
    mcp: MixedComplementarity, start: np.ndarray | None = None, iterations: int = 300, tolerance: float = 1e-13
) -> tuple[np.ndarray, Outcome]:
    """A solution of ``mcp`` from ``start``, polished. The outcome is SOLVED when the relative residual is at most
    1e-9."""
    began = time.perf_counter()
    z = np.clip(mcp.interior() if start is None else start, mcp.lower, mcp.upper)
    if (mcp.lower > mcp.upper).any():
        return z, _outcome(Termination.INFEASIBLE, "a bound pair is crossed", began, 0)
    best, error, count = search(mcp, z)
    if error > tolerance:
        other, other_error, more = _descend(mcp, z, iterations, tolerance)
        count += more
        if other_error < error:
            best, error = other, other_error
    return best, _judged(error, began, count)


def solve_from_several(mcp: MixedComplementarity, starts: int = 20, seed: int = 0) -> tuple[np.ndarray, Outcome]:
    """A solution by quick steps from seeded random points, each of its own size: for problems that are not monotone,
    where one start in ten or twenty leads somewhere."""
    began = time.perf_counter()
    random = np.random.default_rng(seed)
    centre = mcp.interior()
    spread = mcp.scales(centre)[0]
    best, best_error, count = centre, mcp.error(centre), 0
    for _ in range(starts):
        away = spread * 10.0 ** random.uniform(-1, 1) * random.normal(size=mcp.size)
        z, error, steps = search(mcp, np.clip(centre + away, mcp.lower, mcp.upper))
        count += steps
        if error < best_error:
            best, best_error = z, error
        if best_error <= 0.01 * SOLVED:
            break
    return best, _judged(best_error, began, count)


def _descend(
    mcp: MixedComplementarity, z: np.ndarray, iterations: int, tolerance: float
) -> tuple[np.ndarray, float, int]:
    """(best polished point, its relative residual, steps taken) by the semismooth method."""
    try:
        scaled = billups.Equations(mcp, z)
    except ArithmeticError:  # a term has no value at the start
        return z, np.inf, 0
    y = z / scaled.column
    value = scaled.equations(y)
    merits = [billups.merit(value)]
    best, best_error, count = z, np.inf, 0
    while count < iterations and np.isfinite(merits[-1]) and best_error > tolerance and merits[-1] >= 1e-26:
        if count >= STUCK and merits[-1] > 0.5 * merits[-STUCK]:
            break
        direction, slope = scaled.direction(y, value)
        step = billups.line_search(scaled, y, direction, slope, max(merits[-5:]))
        if step is None:
            break
        y, value = step
        merits.append(billups.merit(value))
        count += 1
        if merits[-1] < 1e-6 * max(merits[0], 1.0) or count % 10 == 0:
            best, best_error = _better(mcp, best, best_error, scaled.back(y))
    if best_error > tolerance:
        best, best_error = _better(mcp, best, best_error, scaled.back(y))
    return best, best_error, count


def _better(mcp: MixedComplementarity, best: np.ndarray, error: float, z: np.ndarray) -> tuple[np.ndarray, float]:
    try:
        candidate = polish(mcp, z)
        found = mcp.error(candidate)
    except ArithmeticError:  # some term has no value there
        return best, error
    return (candidate, found) if found < error else (best, error)


def _judged(error: float, began: float, count: int) -> Outcome:
    if error <= SOLVED:
        return _outcome(Termination.SOLVED, f"relative residual {error:.1e}", began, count)
    message = f"relative residual {error:.1e}, which its steps no longer reduce (they may lead nowhere from this start)"
    return _outcome(Termination.LIMIT, message, began, count)


def _outcome(termination: Termination, message: str, began: float, count: int) -> Outcome:
    return Outcome(termination, message, time.perf_counter() - began, "semismooth Newton", iterations=count)
