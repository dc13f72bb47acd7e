"""Small quadratic programmes to the end: convex ones by HiGHS and a polish, others by going through the faces.

    minimise  x'Hx/2 + c'x   subject to   low <= A x <= up,   lower <= x <= upper

H may have any sign. The minimum of a quadratic function over a polytope lies inside some face on which it is convex;
with few variables all faces can be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.optimize import linprog

from ..mcp import DECISION, MULTIPLIER, MixedComplementarity, Names
from ..tolerances import CONVEX, RESIDUAL
from . import clarabel, highs, newton
from .outcome import Outcome, Termination
from .settle import settle

FACES = 20_000
"""Most faces that are looked at one by one."""

FEW = 300
"""So few that looking at them costs less than a solver does."""

INTERIOR = 60
"""With more variables an interior point is asked first: its cost does not grow with the number of active limits."""


@dataclass(frozen=True)
class Minimum:
    """x (None where there is none), whether it is proved to be the global one, and why the search ended."""

    x: np.ndarray | None
    proved: bool
    termination: Termination


def minimise(
    hessian: np.ndarray,
    gradient: np.ndarray,
    table: np.ndarray,
    low: np.ndarray,
    up: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Minimum:
    """The global minimum, where it can be proved."""
    hessian = (hessian + hessian.T) / 2
    free = lower < upper
    convex = _lowest(hessian[np.ix_(free, free)]) >= -CONVEX * max(np.abs(hessian).max(initial=0.0), 1e-300)
    rows, limits = _rows(table, low, up, lower, upper)
    if _empty_row_broken(table, low, up) or not _possible(rows, limits, lower, upper):
        return Minimum(None, True, Termination.INFEASIBLE)
    if comb(len(rows) + len(gradient), len(gradient)) <= (FEW if convex else FACES):
        strict = _lowest(hessian[np.ix_(free, free)]) > CONVEX * max(np.abs(hessian).max(initial=0.0), 1e-300)
        if not (convex and strict) and _open(hessian, gradient, rows, limits, convex):
            return Minimum(None, convex, Termination.UNBOUNDED)
        found = _by_faces(hessian, gradient, rows, limits)
        return found if found.x is None else replace(found, x=np.clip(found.x, lower, upper))
    if convex:
        return _convex(hessian, gradient, table, low, up, lower, upper)
    return Minimum(None, False, Termination.LIMIT)


def descends(
    slope: np.ndarray,
    table: np.ndarray,
    limit: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    x: np.ndarray,
    size: float,
) -> bool:
    """Whether some move that respects the limits active at x goes down along ``slope`` (by more than rounding)."""
    active = table[np.abs(table @ x - limit) <= 1e-9 * (1 + np.abs(limit))]
    span = np.maximum(np.abs(x), 1.0)
    low = np.where(x - lower <= 1e-9 * span, 0.0, -span)
    high = np.where(upper - x <= 1e-9 * span, 0.0, span)
    found = linprog(
        slope,
        A_ub=active if len(active) else None,
        b_ub=np.zeros(len(active)) if len(active) else None,
        bounds=list(zip(low, high, strict=True)),
    )
    return bool(found.status == 0 and found.fun < -1e-7 * max(size, float(np.abs(slope) @ span) * 1e-2))


# ---------------------------------------------------------------------------------------------------------------------


def _lowest(matrix: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(matrix)[0]) if matrix.size else 0.0


def _rows(
    table: np.ndarray, low: np.ndarray, up: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All limits as rows A x <= b of unit length; equalities stand twice, empty rows are left out."""
    eye = np.eye(len(lower))
    rows = np.vstack([table, -table, eye, -eye])
    limits = np.concatenate([up, -low, upper, -lower])
    size = np.linalg.norm(rows, axis=1)
    used = np.isfinite(limits) & (size > 0)
    return rows[used] / size[used, None], limits[used] / size[used]


def _empty_row_broken(table: np.ndarray, low: np.ndarray, up: np.ndarray) -> bool:
    """Whether a row in which no variable stands cannot hold."""
    empty = ~np.any(table != 0, axis=1)
    slack = 1e-9 * np.maximum(1.0, np.maximum(*(np.abs(np.where(np.isfinite(b), b, 0.0)) for b in (low, up))))
    return bool(((low > slack) | (up < -slack))[empty].any())


def _possible(rows: np.ndarray, limits: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> bool:
    if not len(rows):
        return True
    slack = 1e-9 * np.maximum(1.0, np.abs(limits))
    if len(lower) == 1:
        ends = (limits + slack) / rows[:, 0]
        return bool(ends[rows[:, 0] > 0].min(initial=np.inf) >= ends[rows[:, 0] < 0].max(initial=-np.inf))
    found = linprog(
        np.zeros(len(lower)), A_ub=rows, b_ub=limits + slack, bounds=[(None, None)] * len(lower), method="highs"
    )
    return bool(found.status != 2)


def _open(hessian: np.ndarray, gradient: np.ndarray, rows: np.ndarray, limits: np.ndarray, convex: bool) -> bool:
    """Whether the limits leave a direction without end along which the function falls (or, not convex, may fall)."""
    if convex:
        return _falls(hessian, gradient, rows)
    n = len(gradient)
    for k in range(n):
        for sign in (1.0, -1.0):
            aim = np.zeros(n)
            aim[k] = -sign
            found = linprog(
                aim,
                A_ub=rows if len(rows) else None,
                b_ub=np.zeros(len(rows)) if len(rows) else None,
                bounds=[(-1, 1)] * n,
            )
            if found.status == 0 and found.fun < -1e-9:
                return True
    return False


def _falls(hessian: np.ndarray, gradient: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a convex function falls along a direction without end that the rows leave: one in which it is linear."""
    curved = np.any(hessian != 0, axis=1)
    found = linprog(
        gradient,
        A_ub=rows if len(rows) else None,
        b_ub=np.zeros(len(rows)) if len(rows) else None,
        A_eq=hessian[curved] / np.abs(hessian[curved]).max(axis=1, keepdims=True) if curved.any() else None,
        b_eq=np.zeros(int(curved.sum())) if curved.any() else None,
        bounds=[(-1, 1)] * len(gradient),
    )
    return bool(found.status == 0 and found.fun < -1e-9 * max(np.abs(gradient).max(initial=0.0), 1e-300))


def _by_faces(hessian: np.ndarray, gradient: np.ndarray, rows: np.ndarray, limits: np.ndarray) -> Minimum:
    n = len(gradient)
    best, least = None, np.inf
    slack = 1e-10 * np.maximum(1.0, np.abs(limits))
    for count in range(n + 1):
        for chosen in combinations(range(len(rows)), count):
            x = _stationary(hessian, gradient, rows[list(chosen)], limits[list(chosen)])
            if x is None or (rows @ x > limits + slack).any():
                continue
            value = 0.5 * x @ hessian @ x + gradient @ x
            if value < least - 1e-15 * abs(least) if np.isfinite(least) else True:
                best, least = x, value
    return Minimum(best, best is not None, Termination.SOLVED if best is not None else Termination.FAILED)


def _stationary(hessian: np.ndarray, gradient: np.ndarray, rows: np.ndarray, limits: np.ndarray) -> np.ndarray | None:
    """The stationary point on a face, if the function is strictly convex there."""
    n = len(gradient)
    if len(rows) == n:
        if abs(np.linalg.det(rows)) <= 1e-12:
            return None
        return np.linalg.solve(rows, limits)
    if len(rows):
        base, _, rank, _ = np.linalg.lstsq(rows, limits, rcond=None)
        if rank < len(rows):
            return None
        basis = np.linalg.svd(rows)[2][len(rows) :].T
    else:
        base, basis = np.zeros(n), np.eye(n)
    curved = basis.T @ hessian @ basis
    if _lowest(curved) <= 1e-13 * max(np.abs(hessian).max(initial=0.0), 1e-300):
        return None
    return base - basis @ np.linalg.solve(curved, basis.T @ (hessian @ base + gradient))


def _convex(
    hessian: np.ndarray,
    gradient: np.ndarray,
    table: np.ndarray,
    low: np.ndarray,
    up: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Minimum:
    """By HiGHS, polished on the active set of the conditions."""
    rows = np.vstack([table[np.isfinite(low)], -table[np.isfinite(up) & (up > low)]])
    right = np.concatenate([low[np.isfinite(low)], -up[np.isfinite(up) & (up > low)]])
    equal = np.concatenate([(low == up)[np.isfinite(low)], np.zeros(int((np.isfinite(up) & (up > low)).sum()), bool)])
    n, m = len(gradient), len(rows)
    matrix = np.block([[hessian, -rows.T], [rows, np.zeros((m, m))]])
    mcp = MixedComplementarity(
        Names(str(k) for k in range(n + m)),
        np.array([DECISION] * n + [MULTIPLIER] * m),
        np.zeros(n + m, dtype=int),
        [None] * (n + m),
        np.concatenate([lower, np.where(equal, -np.inf, 0.0)]),
        np.concatenate([upper, np.full(m, np.inf)]),
        sp.csr_array(matrix),
        np.concatenate([gradient, -right]),
    )
    best, least = np.zeros(n + m), np.inf
    for attempt, exact in _attempts(hessian, gradient, table, low, up, lower, upper):
        x, duals, outcome = attempt()
        if outcome.termination is Termination.INFEASIBLE:
            return Minimum(None, True, outcome.termination)
        if outcome.termination is Termination.UNBOUNDED:
            if _falls(hessian, gradient, _rows(table, low, up, lower, upper)[0]):
                return Minimum(None, True, outcome.termination)
            continue
        price = np.concatenate([duals[np.isfinite(low)], -duals[np.isfinite(up) & (up > low)]])
        z = np.concatenate([x, np.where(equal, price, np.maximum(price, 0.0))])
        z = exact(mcp, z)
        error = mcp.error(z)
        if error < least:
            best, least = z, error
        if least <= RESIDUAL:
            break
    if least > RESIDUAL:
        best, outcome = newton.solve(mcp)
        if not outcome.ok:
            return Minimum(best[:n], False, outcome.termination)
    x = best[:n] if least <= 1e-13 else _refined(hessian, gradient, *_rows(table, low, up, lower, upper), best[:n])
    return Minimum(_snapped(x, lower, upper), True, Termination.SOLVED)


def _attempts(
    hessian: np.ndarray,
    gradient: np.ndarray,
    table: np.ndarray,
    low: np.ndarray,
    up: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Iterator[tuple[Callable[[], tuple[np.ndarray, np.ndarray, Outcome]], Callable[..., np.ndarray]]]:
    """What to try in turn: a solver that gives (x, duals of the rows, outcome), and how to make its answer exact."""

    def programme(order: np.ndarray) -> highs.Programme:
        rows = sp.csr_array(table[order])
        return highs.Programme(sp.csc_array(hessian), gradient, rows, low[order], up[order], lower, upper)

    def by_highs(order: np.ndarray, value: float) -> tuple[np.ndarray, np.ndarray, Outcome]:
        x, duals, outcome = highs.minimise(programme(order), value)
        return x, duals[np.argsort(order)], outcome

    usual = np.arange(len(table))
    if len(gradient) > INTERIOR and clarabel.available():
        yield lambda: clarabel.minimise(programme(usual)), settle
    # HiGHS calls some bounded programmes unbounded, or fails on them; with their rows the other way round it does not.
    for order, value in product((usual, usual[::-1]), (highs.REGULARISATION[1], *highs.REGULARISATION)):
        yield lambda order=order, value=value: by_highs(order, value), _polished  # type: ignore[misc]


def _polished(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    """z on its active set, free of rounding that would make a row of zeros look broken."""
    return newton.polish(mcp, np.where(np.abs(z) <= 1e-10 * mcp.scales(z)[0], 0.0, z))


def _snapped(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """x with what rounding leaves of a bound (1e-14 for zero) put there."""
    near = 1e-12 * np.abs(x).max(initial=0.0)
    x = np.where(np.abs(x - lower) <= near, lower, np.where(np.abs(x - upper) <= near, upper, x))
    return np.clip(x, lower, upper)


def _refined(
    hessian: np.ndarray, gradient: np.ndarray, rows: np.ndarray, limits: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """x moved onto the limits it nearly touches and to the optimum there; x itself where that does not help."""
    reach = 1e-7 * np.maximum(1.0, np.abs(limits))
    active = limits - rows @ x <= reach
    table, n, m = rows[active], len(x), int(active.sum())
    system = np.block([[hessian, table.T], [table, np.zeros((m, m))]])
    right = np.concatenate([-(hessian @ x + gradient), limits[active] - table @ x])
    moved = x + scipy.linalg.lstsq(system, right, lapack_driver="gelsy")[0][:n]
    if (rows @ moved - limits > 1e-11 * np.maximum(1.0, np.abs(limits))).any():
        return x
    step = moved - x
    change = float((hessian @ (0.5 * (x + moved)) + gradient) @ step)
    size = float(np.abs(x) @ np.abs(hessian) @ np.abs(x) + np.abs(gradient) @ np.abs(x))
    return moved if change <= 1e-9 * size else x
