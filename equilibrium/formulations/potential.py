"""One convex programme: where the joint conditions are those of a single planner, prices are its duals.

That is so when the matrix of the conditions is symmetric and positive semidefinite on the decisions and skew between
decisions and multipliers (integrable payoffs, cleared prices). Rows may first be multiplied by positive factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ..mcp import DECISION, MixedComplementarity
from ..solvers import highs, newton
from ..solvers.outcome import Outcome, Termination
from ..tolerances import CONVEX, RESIDUAL


@dataclass(frozen=True)
class Potential:
    """The programme behind a mixed complementarity problem: which columns are its variables, which its rows."""

    programme: highs.Programme
    variables: np.ndarray
    rows: np.ndarray
    factor: np.ndarray  # row i of the problem was multiplied by factor[i] > 0


def find(mcp: MixedComplementarity) -> Potential | None:
    """The convex programme whose conditions ``mcp`` is, or None if there is none."""
    if mcp.matrix is None or mcp.vector is None:
        return None
    variables = np.flatnonzero(mcp.kind == DECISION)
    rows = np.flatnonzero(mcp.kind != DECISION)
    plain = (mcp.lower[rows] == 0) & np.isposinf(mcp.upper[rows]) | np.isneginf(mcp.lower[rows]) & np.isposinf(
        mcp.upper[rows]
    )
    if not plain.all() or mcp.matrix[rows][:, rows].count_nonzero():
        return None
    factor = _row_factors(mcp, variables, rows)
    if factor is None:
        return None
    matrix = sp.csr_array(sp.diags_array(factor) @ mcp.matrix)
    vector = factor * mcp.vector
    hessian = matrix[variables][:, variables]
    if not _close(hessian, hessian.T):
        return None
    hessian = sp.csc_array((hessian + hessian.T) / 2)
    table = sp.csr_array(matrix[rows][:, variables])
    equal = np.isneginf(mcp.lower[rows])
    moving = mcp.lower[variables] < mcp.upper[variables]
    convex = convexified(hessian, vector[variables], table[equal], -vector[rows][equal], moving)
    if convex is None:
        return None
    programme = highs.Programme(
        convex[0],
        convex[1],
        table,
        -vector[rows],
        np.where(equal, -vector[rows], np.inf),
        mcp.lower[variables],
        mcp.upper[variables],
    )
    return Potential(programme, variables, rows, factor)


def solve(mcp: MixedComplementarity, potential: Potential) -> tuple[np.ndarray, Outcome]:
    """Solve the programme, climbing the regularisation ladder; each answer is judged by its own residual, after a
    polish."""
    best, best_error, outcome, failures = mcp.interior(), np.inf, None, []
    for value in highs.REGULARISATION:
        x, duals, attempt = highs.minimise(potential.programme, value)
        if attempt.termination in (Termination.INFEASIBLE, Termination.UNBOUNDED):
            failures.append(attempt)
            continue
        z = np.zeros(mcp.size)
        z[potential.variables] = x
        z[potential.rows] = duals
        z = newton.polish(mcp, z)
        error = mcp.error(z)
        if error < best_error:
            best, best_error, outcome = z, error, attempt
        if best_error <= 0.01 * RESIDUAL:
            break
    if best_error <= RESIDUAL and outcome is not None:
        return best, replace(outcome, termination=Termination.SOLVED, message=f"relative residual {best_error:.1e}")
    if failures:
        return best, failures[0]
    assert outcome is not None
    return best, replace(
        outcome, termination=Termination.FAILED, message=f"relative residual {best_error:.1e} after polish"
    )


def convexified(
    hessian: sp.csc_array, gradient: np.ndarray, table: sp.csr_array, right: np.ndarray, moving: np.ndarray
) -> tuple[sp.csc_array, np.ndarray] | None:
    """(H, c) of the same programme with H positive semidefinite, or None if it is not convex where its equalities hold.

    moving: the columns whose bounds leave them room; how the others curve the payoff does not matter. A Hessian that is
    positive only along the equalities ``table x = right`` is lifted by a multiple of table'table, which adds a constant
    on the feasible set.
    """

    def lowest(matrix: sp.csc_array) -> float:
        return lowest_eigenvalue(matrix if moving.all() else sp.csc_array(matrix[:, moving][moving]))

    if lowest(hessian) >= 0:
        return hessian, gradient
    if not table.shape[0] or hessian.shape[0] > 2000:
        return None
    product = sp.csc_array(table.T @ table)
    size = float(abs(hessian).max()) / max(float(abs(product).max()), 1e-300)
    for weight in (size, 10 * size, 100 * size, 1000 * size):
        lifted = sp.csc_array(hessian + weight * product)
        if lowest(lifted) >= 0:
            return lifted, gradient - weight * (table.T @ right)
    return None


def lowest_eigenvalue(hessian: sp.csc_array) -> float:
    """The lowest eigenvalue of a symmetric matrix, block by block; rounding below zero (relative 1e-9) counts as
    zero."""
    n = hessian.shape[0]
    if n == 0:
        return 0.0
    largest = float(abs(hessian).max()) if hessian.nnz else 0.0
    count, label = connected_components(hessian, directed=False)
    if count == n:
        lowest = float(hessian.diagonal().min())
    else:
        order = np.argsort(label, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(label))[:-1])
        dense = sp.csr_array(hessian)
        lowest = min(float(np.linalg.eigvalsh(dense[g][:, g].toarray())[0]) for g in groups)
    return 0.0 if abs(lowest) <= CONVEX * largest else lowest


def _row_factors(mcp: MixedComplementarity, variables: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Positive factors for the outside rows that make decisions and multipliers skew; None if there are none."""
    assert mcp.matrix is not None
    table = sp.csr_array(mcp.matrix[rows][:, variables])
    entered = sp.csr_array(-mcp.matrix[variables][:, rows].T)
    factor = np.ones(mcp.size)
    for k in range(len(rows)):
        own, seen = _row(table, k), _row(entered, k)
        if own.keys() != seen.keys():
            return None
        ratios = [seen[j] / own[j] for j in own]
        if ratios and (min(ratios) <= 0 or max(ratios) - min(ratios) > 1e-12 * max(ratios)):
            return None
        if ratios:
            factor[rows[k]] = ratios[0]
    return factor


def _row(matrix: sp.csr_array, k: int) -> dict[int, float]:
    start, stop = matrix.indptr[k], matrix.indptr[k + 1]
    return {
        int(j): float(v) for j, v in zip(matrix.indices[start:stop], matrix.data[start:stop], strict=True) if v != 0
    }


def _close(first: sp.csr_array, second: sp.csr_array) -> bool:
    difference = abs(first - second)
    largest = float(abs(first).max()) if first.nnz else 0.0
    return not difference.nnz or float(difference.max()) <= 1e-12 * largest
