"""The joint conditions as they stand: every player's optimality together with what clears.

Newton's method comes first: it is quickest, and its answer is judged by its residual. What it leaves goes, if affine
and monotone, to one convex quadratic programme whose optimum is zero; otherwise to Newton from several starts, then to
the search over active sets (small affine problems) and to Ipopt's homotopy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import scipy.sparse as sp

from ..definite import semidefinite
from ..mcp import MixedComplementarity
from ..solvers import apart, highs, ipopt, mixed_integer, newton
from ..solvers.outcome import Outcome, Termination
from ..solvers.settle import exact
from ..tolerances import RESIDUAL

Solver = Callable[[MixedComplementarity], tuple[np.ndarray, Outcome]]


def solve(mcp: MixedComplementarity, solver: str | None = None) -> tuple[np.ndarray, Outcome]:
    """A solution of ``mcp`` by ``solver`` ('qp', 'newton', 'milp', 'ipopt'), or by each in turn until one succeeds.

    Affine problems that fall apart are first solved part by part.
    """
    if solver is not None:
        return SOLVERS[solver](mcp)
    return apart.by_parts(mcp, _in_turn) if mcp.is_affine else _in_turn(mcp)


def _in_turn(mcp: MixedComplementarity) -> tuple[np.ndarray, Outcome]:
    z, outcome = newton.solve(mcp)
    slower: list[Solver] = [
        monotone_programme,
        newton.solve_from_several,
        mixed_integer.solve,
        partial(ipopt.solve, start=z),
    ]
    for attempt in slower:
        if outcome.termination in (Termination.SOLVED, Termination.INFEASIBLE):
            break
        other, second = attempt(mcp)
        if second.ok or second.termination is Termination.INFEASIBLE:
            z, outcome = other, second
    return z, outcome


def monotone_programme(mcp: MixedComplementarity) -> tuple[np.ndarray, Outcome]:
    """Solve a monotone affine problem as the convex programme

        minimise  sum_i (z_i - l_i) F_i + sum_i (u_i - l_i) v_i   subject to  F_i + v_i >= 0,  v >= 0,  l <= z <= u

    whose optimum is zero at a solution (v_i is minus F_i where z_i is at its upper bound; free columns have F_i = 0).
    """
    if mcp.matrix is None or mcp.vector is None:
        return mcp.interior(), Outcome(Termination.FAILED, "the conditions are not affine", 0.0, "HiGHS")
    symmetric = sp.csc_array((mcp.matrix + mcp.matrix.T) / 2)
    if not semidefinite(symmetric):
        return mcp.interior(), Outcome(
            Termination.FAILED, "the conditions are not monotone, which the programme needs", 0.0, "HiGHS"
        )
    best, best_error, outcome = mcp.interior(), np.inf, None
    for value in highs.REGULARISATION:
        x, _, attempt = highs.minimise(_programme(mcp, symmetric), value)
        if attempt.termination is Termination.INFEASIBLE:
            return best, replace(
                attempt, message="no point satisfies everybody's conditions; somebody may gain without limit"
            )
        z = exact(mcp, x[: mcp.size])
        if mcp.error(z) < best_error:
            best, best_error, outcome = z, mcp.error(z), attempt
        if best_error <= 0.01 * RESIDUAL:
            break
    assert outcome is not None
    termination = Termination.SOLVED if best_error <= RESIDUAL else Termination.FAILED
    return best, replace(outcome, termination=termination, message=f"relative residual {best_error:.1e}")


def _programme(mcp: MixedComplementarity, symmetric: sp.csc_array) -> highs.Programme:
    assert mcp.matrix is not None and mcp.vector is not None
    n = mcp.size
    low, up = np.isfinite(mcp.lower), np.isfinite(mcp.upper)
    both, only_up = np.flatnonzero(low & up), up & ~low
    base = np.where(low, mcp.lower, np.where(only_up, mcp.upper, 0.0))
    gradient = np.concatenate([mcp.vector - mcp.matrix.T @ base, (mcp.upper - mcp.lower)[both]])
    lift = sp.csr_array((np.ones(len(both)), (both, np.arange(len(both)))), shape=(n, len(both)))
    rows = sp.csr_array(sp.hstack([mcp.matrix, lift]))
    row_lower = np.where(only_up, -np.inf, -mcp.vector)
    row_upper = np.where(low, np.inf, -mcp.vector)
    hessian = sp.block_diag([2 * symmetric, sp.csc_array((len(both), len(both)))], format="csc")
    return highs.Programme(
        sp.csc_array(hessian),
        gradient,
        rows,
        row_lower,
        row_upper,
        np.concatenate([mcp.lower, np.zeros(len(both))]),
        np.concatenate([mcp.upper, np.full(len(both), np.inf)]),
    )


SOLVERS: dict[str, Solver] = {
    "qp": monotone_programme,
    "newton": newton.solve,
    "milp": mixed_integer.solve,
    "ipopt": ipopt.solve,
}
