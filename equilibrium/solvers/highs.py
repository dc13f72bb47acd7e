"""Convex quadratic programmes with HiGHS. The only place that calls it, and the only one that reads its duals.

    minimise  x'Hx/2 + c'x   subject to   row_lower <= A x <= row_upper,   lower <= x <= upper

The dual of a row is the change of the optimal cost for one more unit of its right-hand side.
HiGHS looks only at the diagonal of H for convexity, so callers check it; and its word "optimal" is not trusted, so
callers check the conditions of optimality of what comes back (with regularisation 0 some programmes are reported optimal
and wrong). Its tolerances are absolute, and with right-hand sides of 1e-5 it ends in "Solve error": a programme it fails
on is scaled to sizes of one and tried again.
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
    stated = Programme(
        sp.csc_array(hessian[:, free][free]), gradient[free], sp.csr_array(programme.rows[:, free]),
        programme.row_lower - shift, programme.row_upper - shift, lower[free], upper[free],
    )  # fmt: skip
    x[free], duals, outcome = _run(stated, regularisation, time_limit, began)
    if outcome.termination in (Termination.FAILED, Termination.LIMIT):
        scaled, column, row, cost = _scaled(stated)
        found, prices, second = _run(scaled, regularisation, time_limit, began)
        if second.termination not in (Termination.FAILED, Termination.LIMIT):
            x[free], duals, outcome = column * found, prices * cost / (row * column), second
    return x, duals, outcome


def _run(
    programme: Programme, regularisation: float, time_limit: float, began: float
) -> tuple[np.ndarray, np.ndarray, Outcome]:
    n, m = len(programme.gradient), len(programme.row_lower)
    x, duals = np.zeros(n), np.zeros(m)
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("qp_regularization_value", regularisation)
    highs.setOptionValue("time_limit", time_limit)
    highs.setOptionValue("qp_iteration_limit", 1000 + 100 * (n + m))  # the QP solver can cycle until the time is over
    highs.setOptionValue("primal_feasibility_tolerance", 1e-9)
    highs.setOptionValue("dual_feasibility_tolerance", 1e-9)
    if highs.passModel(_model(programme)) == highspy.HighsStatus.kError:
        return x, duals, _outcome(Termination.FAILED, "HiGHS refused the programme", began)
    highs.run()
    verdict = highs.getModelStatus()
    termination = _TERMINATIONS.get(verdict, Termination.FAILED)
    solution = highs.getSolution()
    if solution.value_valid and len(solution.col_value) == n:
        x = np.array(solution.col_value, dtype=float)
    elif termination is Termination.SOLVED and n:
        termination = Termination.FAILED
    if solution.dual_valid and len(solution.row_dual) == m:
        duals = np.array(solution.row_dual, dtype=float)
    return x, duals, _outcome(termination, highs.modelStatusToString(verdict), began, highs)


def _outcome(termination: Termination, message: str, began: float, highs: highspy.Highs | None = None) -> Outcome:
    return Outcome(
        termination, message, time.perf_counter() - began, "HiGHS", highs.version() if highs else version()
    )


def _scaled(programme: Programme) -> tuple[Programme, float, np.ndarray, float]:
    """(programme in x/column, its rows divided by row and its cost by cost; column, row, cost).

    All three are powers of two, so nothing is rounded.
    """
    rows, hessian, gradient = programme.rows, programme.hessian, programme.gradient
    row = _power(np.abs(rows).max(axis=1).toarray().ravel()) if rows.nnz else np.ones(rows.shape[0])
    limits = np.concatenate([programme.row_lower / row, programme.row_upper / row])
    if not np.any(np.isfinite(limits) & (limits != 0)):
        limits = np.concatenate([programme.lower, programme.upper])
    column = float(_power(np.abs(limits[np.isfinite(limits)]).max(initial=0.0)))
    quadratic = float(np.abs(hessian).max()) if hessian.nnz else 0.0
    cost = float(_power(max(np.abs(gradient).max(initial=0.0) * column, quadratic * column**2)))
    return Programme(
        hessian * (column**2 / cost), gradient * (column / cost), sp.csr_array(sp.diags_array(1 / row) @ rows),
        programme.row_lower / (row * column), programme.row_upper / (row * column),
        programme.lower / column, programme.upper / column,
    ), column, row, cost  # fmt: skip


def _power(size: np.ndarray | float) -> np.ndarray:
    """The power of two nearest to each size; 1 for a size of zero."""
    size = np.asarray(size, dtype=float)
    return 2.0 ** np.round(np.log2(np.where(size > 0, size, 1.0)))


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
