"""Convex quadratic programmes, and linear mixed-integer ones, with HiGHS. The only place that calls it, and the only
one that reads its duals.

    minimise  x'Hx/2 + c'x   subject to   row_lower <= A x <= row_upper,   lower <= x <= upper

The dual of a row is the change of the optimal cost for one more unit of its right-hand side. HiGHS looks only at the
diagonal of H for convexity, so callers check it; and its word "optimal" is not trusted, so callers check the
conditions of optimality of what comes back (with regularisation 0 some programmes are reported optimal and wrong).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from .outcome import Outcome, Termination

REGULARISATION = (0.0, 1e-10, 1e-7)
"""Tried in this order; 0 is the most accurate, 1e-7 (the default of HiGHS) the most robust."""

_TERMINATIONS = {
    highspy.HighsModelStatus.kOptimal: Termination.SOLVED,
    highspy.HighsModelStatus.kInfeasible: Termination.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: Termination.UNBOUNDED,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: Termination.UNBOUNDED,
    highspy.HighsModelStatus.kTimeLimit: Termination.LIMIT,
    highspy.HighsModelStatus.kIterationLimit: Termination.LIMIT,
}


@dataclass(frozen=True)
class Programme:
    """A quadratic programme as arrays; H is symmetric and positive semidefinite (the caller's promise)."""

    hessian: sp.csc_array
    gradient: np.ndarray
    rows: sp.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def version() -> str:
    """Version of HiGHS."""
    return highspy.Highs().version()


def minimise(
    programme: Programme, regularisation: float = 0.0, time_limit: float = 60.0
) -> tuple[np.ndarray, np.ndarray, Outcome]:
    """(x, duals of the rows, outcome). Fixed columns are folded into the constants before HiGHS sees them."""
    began = time.perf_counter()
    lower, upper = programme.lower, programme.upper
    if (lower > upper).any() or (programme.row_lower > programme.row_upper).any():
        return lower, np.zeros(len(programme.row_lower)), _outcome(Termination.INFEASIBLE, "crossed bounds", began)
    fixed = lower == upper
    free = np.flatnonzero(~fixed)
    x = np.where(fixed, lower, 0.0)
    shift = programme.rows @ x
    hessian = sp.csc_array(programme.hessian)
    gradient = programme.gradient + hessian @ x
    reduced = Programme(
        sp.csc_array(hessian[:, free][free]),
        gradient[free],
        sp.csr_array(programme.rows[:, free]),
        programme.row_lower - shift,
        programme.row_upper - shift,
        lower[free],
        upper[free],
    )
    scaled, column, row, cost = _scaled(reduced)
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("qp_regularization_value", regularisation)
    highs.setOptionValue("time_limit", time_limit)
    # Its active-set method may cycle on degenerate programmes; a sound run takes a few steps a column.
    highs.setOptionValue("qp_iteration_limit", 1000 + 20 * sum(scaled.rows.shape))
    model = _model(scaled)
    status = highs.passModel(model)
    if status == highspy.HighsStatus.kError:
        return x, np.zeros(len(shift)), _outcome(Termination.FAILED, "HiGHS refused the programme", began)
    highs.run()
    verdict = highs.getModelStatus()
    termination = _TERMINATIONS.get(verdict, Termination.FAILED)
    solution = highs.getSolution()
    if solution.value_valid and len(solution.col_value) == len(free):
        x[free] = np.clip(column * np.array(solution.col_value), lower[free], upper[free])
    elif termination is Termination.SOLVED and len(free):
        termination = Termination.FAILED
    duals = (
        row * np.array(solution.row_dual) / cost
        if solution.dual_valid and len(solution.row_dual) == len(shift)
        else np.zeros(len(shift))
    )
    return x, duals, _outcome(termination, highs.modelStatusToString(verdict), began, highs)


def mixed_integer(
    programme: Programme, integer: np.ndarray, time_limit: float = 60.0
) -> tuple[np.ndarray | None, Outcome]:
    """(x or None, outcome) of a linear programme (its Hessian is not read) whose columns marked ``integer`` are whole.

    HiGHS accepts columns within 1e-9 of a whole number here, so entries of the rows should be moderate.
    """
    began = time.perf_counter()
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("time_limit", time_limit)
    highs.setOptionValue("mip_feasibility_tolerance", 1e-9)
    model = _model(programme)
    kinds = highspy.HighsVarType
    model.lp_.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in integer]
    highs.passModel(model)
    highs.run()
    verdict, solution = highs.getModelStatus(), highs.getSolution()
    x = np.array(solution.col_value) if solution.value_valid and len(solution.col_value) == len(integer) else None
    termination = _TERMINATIONS.get(verdict, Termination.FAILED)
    if x is None and termination is Termination.SOLVED:
        termination = Termination.FAILED
    return x, _outcome(termination, highs.modelStatusToString(verdict), began, highs)


def bounded_mixed_integer(
    programme: Programme, integer: np.ndarray, time_limit: float = 60.0
) -> tuple[np.ndarray | None, float, Outcome]:
    """(x or None, bound that no point can pass, outcome) of a linear programme solved until the two meet."""
    began = time.perf_counter()
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("time_limit", time_limit)
    for name in ("mip_rel_gap", "mip_abs_gap"):
        solver.setOptionValue(name, 0.0)
    for name in ("mip_feasibility_tolerance", "primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        solver.setOptionValue(name, 1e-9)
    model = _model(programme)
    kinds = highspy.HighsVarType
    model.lp_.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in integer]
    solver.passModel(model)
    solver.run()
    verdict, solution = solver.getModelStatus(), solver.getSolution()
    x = np.array(solution.col_value) if solution.value_valid and len(solution.col_value) == len(integer) else None
    info = solver.getInfo()
    bound = float(info.mip_dual_bound) if np.any(integer) else float(info.objective_function_value)
    return (
        x,
        bound,
        _outcome(_TERMINATIONS.get(verdict, Termination.FAILED), solver.modelStatusToString(verdict), began, solver),
    )


def _power_of_two(size: np.ndarray | float) -> np.ndarray:
    """The power of two nearest to each size (one for zero): scaling by it rounds nothing."""
    size = np.asarray(size, dtype=float)
    return np.exp2(np.round(np.log2(np.where((size > 0) & np.isfinite(size), size, 1.0))))


def _scaled(programme: Programme) -> tuple[Programme, np.ndarray, np.ndarray, float]:
    """(the programme in x / column with its rows times row and its cost times cost; column, row, cost).

    HiGHS compares with absolute tolerances and does not scale quadratic programmes: money in thousands made the
    difference between a millisecond and never, and right-hand sides of 1e-5 ended in "Solve error".
    """
    column, row = scales(programme.hessian, programme.rows)
    hessian = sp.csc_array(sp.diags_array(column) @ programme.hessian @ sp.diags_array(column))
    gradient = column * programme.gradient
    largest = max(np.abs(gradient).max(initial=0.0), abs(hessian).max() if hessian.nnz else 0.0)
    cost = float(1 / _power_of_two(largest))
    scaled = Programme(
        sp.csc_array(hessian * cost),
        gradient * cost,
        sp.csr_array(sp.diags_array(row) @ programme.rows @ sp.diags_array(column)),
        row * programme.row_lower,
        row * programme.row_upper,
        programme.lower / column,
        programme.upper / column,
    )
    return scaled, column, row, cost


def scales(hessian: sp.csc_array, table: sp.csr_array, rounds: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Factors of columns and rows that bring the entries of [[H, A'], [A, 0]] near one (Ruiz), so that units do not
    matter."""
    square, rectangle = sp.coo_array(hessian), sp.coo_array(table)
    (i, j), (k, m) = square.coords, rectangle.coords
    curved, linear = np.abs(square.data), np.abs(rectangle.data)
    column, row = np.ones(table.shape[1]), np.ones(table.shape[0])
    for _ in range(rounds):
        by_column, by_row = np.zeros(len(column)), np.zeros(len(row))
        np.maximum.at(by_column, j, curved * column[i] * column[j])
        scaled = linear * row[k] * column[m]
        np.maximum.at(by_column, m, scaled)
        np.maximum.at(by_row, k, scaled)
        column, row = column / np.sqrt(_nonzero(by_column)), row / np.sqrt(_nonzero(by_row))
    return _power_of_two(column), _power_of_two(row)


def _nonzero(size: np.ndarray) -> np.ndarray:
    return np.where(size > 0, size, 1.0)


def _outcome(termination: Termination, message: str, began: float, highs: highspy.Highs | None = None) -> Outcome:
    return Outcome(termination, message, time.perf_counter() - began, "HiGHS", highs.version() if highs else version())


def _model(programme: Programme) -> highspy.HighsModel:
    hessian, gradient, rows = programme.hessian, programme.gradient, programme.rows
    model = highspy.HighsModel()
    lp = model.lp_
    lp.num_col_, lp.num_row_ = len(gradient), rows.shape[0]
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = gradient, programme.lower, programme.upper
    lp.row_lower_, lp.row_upper_ = programme.row_lower, programme.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    triangle = sp.csc_array(sp.tril(hessian))
    triangle.eliminate_zeros()
    if triangle.nnz:
        model.hessian_.dim_ = len(gradient)
        model.hessian_.format_ = highspy.HessianFormat.kTriangular
        model.hessian_.start_, model.hessian_.index_ = triangle.indptr, triangle.indices
        model.hessian_.value_ = triangle.data
    return model
