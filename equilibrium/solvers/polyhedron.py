"""Linear programmes over one polyhedron whose limits change from call to call: HiGHS, started where it stopped last.

    row_lower <= A z <= row_upper,   lower <= z <= upper

"Empty" is said only where the multipliers that HiGHS gives for it (Farkas) were checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp

from .outcome import Termination

FEASIBLE = 1e-9
"""Feasibility tolerance of the scaled programme."""

_TERMINATIONS = {
    highspy.HighsModelStatus.kOptimal: Termination.SOLVED,
    highspy.HighsModelStatus.kUnbounded: Termination.UNBOUNDED,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: Termination.UNBOUNDED,
}


NOISE = 1e-11
"""What is smaller than this, relative to what it was computed from, is rounding."""


@dataclass(frozen=True)
class Limits:
    """Limits of the columns and of the rows; -inf and inf where there is none."""

    lower: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray

    def meet(self, other: Limits) -> Limits:
        """The limits of both."""
        return Limits(
            np.maximum(self.lower, other.lower),
            np.minimum(self.upper, other.upper),
            np.maximum(self.row_lower, other.row_lower),
            np.minimum(self.row_upper, other.row_upper),
        )


class Polyhedron:
    """The rows A, scaled once; every question brings its own Limits. ``calls`` counts the programmes solved."""

    def __init__(self, rows: sp.csr_array, data: Limits) -> None:
        """data: limits of the size of those that will be asked about; tolerances are relative to them."""
        self.calls = 0
        self.row, self.column = _scales(rows, data)
        self.matrix = self.row[:, None] * rows.toarray() * self.column
        m, n = rows.shape
        self.columns, self.rows = np.arange(n, dtype=np.int32), np.arange(m, dtype=np.int32)
        self.highs: Any = highspy.Highs()
        self.highs.silent()
        self.highs.setOptionValue("presolve", "off")
        self.highs.setOptionValue("primal_feasibility_tolerance", FEASIBLE)
        self.highs.setOptionValue("time_limit", 3600.0)
        self.highs.setOptionValue("simplex_iteration_limit", 1000 + 50 * (m + n))
        self.highs.passModel(self._model())

    def _model(self) -> highspy.HighsLp:
        m, n = self.matrix.shape
        sparse = sp.csr_array(self.matrix)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n, m
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.zeros(n), np.full(n, -np.inf), np.full(n, np.inf)
        lp.row_lower_, lp.row_upper_ = np.full(m, -np.inf), np.full(m, np.inf)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = sparse.indptr, sparse.indices, sparse.data
        return lp

    def minimise(self, limits: Limits, cost: np.ndarray | None = None) -> tuple[np.ndarray, Termination]:
        """(z, termination): SOLVED, UNBOUNDED, INFEASIBLE (proved), or FAILED. No cost: any point."""
        self.calls += 1
        scaled = self._scaled(limits)
        if scaled is None:
            return np.zeros(len(self.columns)), Termination.INFEASIBLE
        highs = self.highs
        highs.changeColsBounds(len(self.columns), self.columns, scaled.lower, scaled.upper)
        highs.changeRowsBounds(len(self.rows), self.rows, scaled.row_lower, scaled.row_upper)
        price = np.zeros(len(self.columns)) if cost is None else cost * self.column
        price = price / max(float(np.abs(price).max(initial=0.0)), 1e-300)
        highs.changeColsCost(len(self.columns), self.columns, price)
        for _ in range(2):
            highs.run()
            status = highs.getModelStatus()
            if status == highspy.HighsModelStatus.kInfeasible:
                if _separates(highs.getDualRay(), self.matrix, scaled):
                    return np.zeros(len(price)), Termination.INFEASIBLE
            elif status in _TERMINATIONS:
                z = np.array(highs.getSolution().col_value) * self.column
                return np.clip(z, limits.lower, limits.upper), _TERMINATIONS[status]
            highs.clearSolver()  # once more, from scratch
        return np.zeros(len(price)), Termination.FAILED

    def ranges(self, limits: Limits, costs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """(least, most) of every cost over the polyhedron, and the mean of the points found; None where one failed."""
        least, most, points = np.empty(len(costs)), np.empty(len(costs)), []
        for k, cost in enumerate(costs):
            for sign, ends in ((1.0, least), (-1.0, most)):
                z, termination = self.minimise(limits, sign * cost)
                if termination is Termination.SOLVED:
                    ends[k] = cost @ z
                    points.append(z)
                elif termination is Termination.UNBOUNDED:
                    ends[k] = -sign * np.inf
                else:
                    return None
        if not points:
            z, termination = self.minimise(limits)
            if termination is not Termination.SOLVED:
                return None
            points.append(z)
        return least, most, np.mean(points, axis=0)

    def _scaled(self, limits: Limits) -> Limits | None:
        """The limits in scaled units; None where two of them cross by more than rounding."""
        lower, upper = limits.lower / self.column, limits.upper / self.column
        row_lower, row_upper = limits.row_lower * self.row, limits.row_upper * self.row
        for low, up in ((lower, upper), (row_lower, row_upper)):
            crossed = low > up
            if (low[crossed] - up[crossed] > FEASIBLE * (1 + np.abs(low[crossed]))).any():
                return None
            low[crossed] = up[crossed]
        return Limits(lower, upper, row_lower, row_upper)


def _separates(ray: tuple, matrix: np.ndarray, limits: Limits) -> bool:
    """Whether a combination of the rows cannot take, on the box, a value that the rows' limits allow.

    The combination is the ray of HiGHS; where it gives none, every row alone.
    """
    _, there, y = ray
    if there:
        y = np.asarray(y, dtype=float)
        return _apart(y / max(float(np.abs(y).max(initial=0.0)), 1e-300), matrix, limits)
    return any(_apart(unit, matrix, limits) for unit in np.eye(len(matrix)))


def _apart(y: np.ndarray, matrix: np.ndarray, limits: Limits) -> bool:
    """Whether y'A z on the box and y'(rows) within the rows' limits are disjoint, by more than rounding."""
    for sign in (1.0, -1.0):
        used = sign * y
        # Asked for: the least on the box is above the most of the rows. Rounding must not bring in an absent limit.
        absent = ((used > 0) & np.isposinf(limits.row_upper)) | ((used < 0) & np.isneginf(limits.row_lower))
        used = np.where(absent & (np.abs(used) <= NOISE), 0.0, used)
        slope = used @ matrix
        slope = np.where(np.abs(slope) <= NOISE * (np.abs(used) @ np.abs(matrix)), 0.0, slope)
        least = _interval(slope, limits.lower, limits.upper)[0]
        most = _interval(used, limits.row_lower, limits.row_upper)[1]
        size = max(float(np.abs(used).sum()), abs(least), abs(most))
        if np.isfinite(size) and least - most > 2 * FEASIBLE * size:
            return True
    return False


def _interval(slope: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[float, float]:
    """The interval of slope'x for lower <= x <= upper."""
    used = slope != 0
    a, low, up = slope[used], lower[used], upper[used]
    return float(np.where(a > 0, a * low, a * up).sum()), float(np.where(a > 0, a * up, a * low).sum())


def _scales(matrix: sp.csr_array, data: Limits, rounds: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Powers of two that bring the largest entry of each row and column near one (Ruiz), limits counted as entries.

    With its constant in a row, its columns come out in units of what they will be: quantities in thousands beside
    prices in thousandths each have the size one. A bound is a row of its own, z_j / bound_j <= 1.
    """
    m, n = matrix.shape
    constant = np.concatenate([_largest(data.row_lower, data.row_upper), np.ones(n)])
    bound = _largest(data.lower, data.upper)
    entries = sp.coo_array(matrix)
    there = np.flatnonzero(bound)
    i, j = np.concatenate([entries.coords[0], m + there]), np.concatenate([entries.coords[1], there])
    value = np.concatenate([np.abs(entries.data), 1 / bound[there]])
    row, column = np.ones(m + n), np.ones(n)
    for _ in range(rounds):
        largest = constant * row
        np.maximum.at(largest, i, value * row[i] * column[j])
        row /= np.sqrt(np.where(largest > 0, largest, 1.0))
        largest = np.zeros(n)
        np.maximum.at(largest, j, value * row[i] * column[j])
        column /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return np.exp2(np.round(np.log2(row[:m]))), np.exp2(np.round(np.log2(column)))


def _largest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The larger of two limits by size, absent ones counted as zero."""
    return np.maximum(*(np.where(np.isfinite(limit), np.abs(limit), 0.0) for limit in (first, second)))
