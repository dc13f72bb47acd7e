"""Linear programmes whose bounds and cost change from call to call, and mixed-integer ones, with HiGHS.

    minimise  c'w   subject to   row_lower <= A w <= row_upper,   lower <= w <= upper

A ``Linear`` keeps its rows in HiGHS and starts every programme from the basis of the last one, which is what branching
needs. Units are taken out first (powers of two, nothing is rounded), so tolerances are relative.
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from . import highs
from .outcome import Termination

TOLERANCE = 1e-9
"""Primal and dual feasibility asked of HiGHS in scaled units."""

_TERMINATIONS = {
    highspy.HighsModelStatus.kOptimal: Termination.SOLVED,
    highspy.HighsModelStatus.kInfeasible: Termination.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: Termination.UNBOUNDED,
    highspy.HighsModelStatus.kTimeLimit: Termination.LIMIT,
}


class Linear:
    """Rows once; bounds and cost with every call. ``calls`` counts the programmes solved."""

    def __init__(
        self,
        rows: sp.csr_array,
        row_lower: np.ndarray,
        row_upper: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
    ) -> None:
        """lower, upper: the widest bounds, which tell how large values are."""
        m, n = rows.shape
        self.calls = 0
        self.column, self.row = scales(rows)
        self.index = np.arange(n, dtype=np.int32)
        limits = np.concatenate([self.row * row_lower, self.row * row_upper, lower / self.column, upper / self.column])
        limits = np.abs(limits[np.isfinite(limits) & (limits != 0)])
        self.size = float(np.median(limits)) if limits.size else 1.0
        self.highs = _silent()
        self.highs.setOptionValue("presolve", "off")
        self.highs.setOptionValue("simplex_iteration_limit", 1000 + 50 * (m + n))
        scaled = sp.csr_array(sp.diags_array(self.row) @ rows @ sp.diags_array(self.column))
        factor = self.row / self.size
        self.highs.passModel(_model(scaled, factor * row_lower, factor * row_upper, np.zeros(n)))

    def limit(self, rows: np.ndarray, up: np.ndarray) -> None:
        """Ask for rows w <= up besides, in place of what was asked for the last time."""
        kept, now = len(self.row), self.highs.getNumRow()
        if now > kept:
            self.highs.deleteRows(now - kept, np.arange(kept, now, dtype=np.int32))
        for row, most in zip(rows * self.column, up, strict=True):
            index = np.flatnonzero(row).astype(np.int32)
            factor = 1 / float(np.abs(row).max(initial=0.0) or 1.0)
            self.highs.addRow(-np.inf, float(most) * factor / self.size, len(index), index, row[index] * factor)

    def minimise(self, cost: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, Termination]:
        """(w, SOLVED, UNBOUNDED, INFEASIBLE or FAILED); w means something only where SOLVED."""
        self.calls += 1
        if (lower > upper).any():
            return lower, Termination.INFEASIBLE
        price = cost * self.column
        price = price / (np.abs(price).max(initial=0.0) or 1.0)
        unit = self.column * self.size
        self.highs.changeColsCost(len(price), self.index, price)
        self.highs.changeColsBounds(len(price), self.index, lower / unit, upper / unit)
        for _ in range(2):
            self.highs.run()
            found = _TERMINATIONS.get(self.highs.getModelStatus(), Termination.FAILED)
            if found is Termination.SOLVED:
                return np.clip(np.array(self.highs.getSolution().col_value) * unit, lower, upper), found
            if found in (Termination.INFEASIBLE, Termination.UNBOUNDED):
                return lower, found
            self.highs.clearSolver()  # once more, from scratch
        return lower, Termination.FAILED


@dataclass(frozen=True)
class Whole:
    """Answer of a mixed-integer programme: w, the value below which nothing lies, why it stopped."""

    w: np.ndarray
    bound: float
    termination: Termination


def mixed_integer(
    cost: np.ndarray,
    rows: sp.csr_array,
    row_lower: np.ndarray,
    row_upper: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    whole: np.ndarray,
    seconds: float = 60.0,
) -> Whole:
    """minimise c'w over the rows and bounds with w_k whole where ``whole``. Whole columns keep their units."""
    column, row = scales(rows)
    column = np.where(whole, 1.0, column)
    price = cost * column
    worth = np.abs(price).max(initial=0.0) or 1.0
    scaled = sp.csr_array(sp.diags_array(row) @ rows @ sp.diags_array(column))
    lp = _model(scaled, row * row_lower, row * row_upper, price / worth)
    lp.col_lower_, lp.col_upper_ = lower / column, upper / column
    lp.integrality_ = [highspy.HighsVarType.kInteger if k else highspy.HighsVarType.kContinuous for k in whole]
    solver = _silent()
    solver.setOptionValue("mip_feasibility_tolerance", TOLERANCE)
    solver.setOptionValue("mip_rel_gap", 1e-9)
    solver.setOptionValue("mip_abs_gap", 1e-9)
    solver.setOptionValue("time_limit", seconds)
    solver.passModel(lp)
    solver.run()
    termination = _TERMINATIONS.get(solver.getModelStatus(), Termination.FAILED)
    info, solution = solver.getInfo(), solver.getSolution()
    there = solution.value_valid and info.primal_solution_status == 2
    if not there and termination is Termination.SOLVED:
        termination = Termination.FAILED
    values = np.array(solution.col_value) * column if there else np.full(len(cost), np.nan)
    return Whole(values, float(info.mip_dual_bound) * worth, termination)


def scales(rows: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Factors of columns and rows, powers of two, that bring the entries near one."""
    return highs.scales(sp.csc_array((rows.shape[1], rows.shape[1])), rows)


def _silent() -> highspy.Highs:
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("primal_feasibility_tolerance", TOLERANCE)
    solver.setOptionValue("dual_feasibility_tolerance", TOLERANCE)
    return solver


def _model(rows: sp.csr_array, row_lower: np.ndarray, row_upper: np.ndarray, cost: np.ndarray) -> highspy.HighsLp:
    m, n = rows.shape
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n, m
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, np.full(n, -np.inf), np.full(n, np.inf)
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    return lp
