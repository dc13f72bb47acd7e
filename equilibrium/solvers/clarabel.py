"""Large convex quadratic programmes with Clarabel, an interior-point solver. The only place that calls it.

The active-set method of HiGHS takes a step per active limit and a dense factor of what is free: fine for hundreds of
columns, hopeless for thousands. An interior point is accurate to 1e-8 or so; the caller polishes and judges it.
"""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import scipy.sparse as sp

from .highs import Programme
from .outcome import Outcome, Termination

_TERMINATIONS = {
    "PrimalInfeasible": Termination.INFEASIBLE,
    "DualInfeasible": Termination.UNBOUNDED,
    "MaxTime": Termination.LIMIT,
    "MaxIterations": Termination.LIMIT,
    "NumericalError": Termination.FAILED,
    "Unsolved": Termination.FAILED,
}


def available() -> bool:
    """Whether Clarabel is installed."""
    return importlib.util.find_spec("clarabel") is not None


def minimise(
    programme: Programme, tolerance: float = 1e-11, time_limit: float = 600.0
) -> tuple[np.ndarray, np.ndarray, Outcome]:
    """(x, duals of the rows, outcome), with the signs of ``highs.minimise``; SOLVED says only that there is a point."""
    import clarabel

    began = time.perf_counter()
    n, count = len(programme.gradient), len(programme.row_lower)
    table = sp.vstack([programme.rows, sp.eye_array(n)], format="csr")
    low = np.concatenate([programme.row_lower, programme.lower])
    up = np.concatenate([programme.row_upper, programme.upper])
    equal = np.flatnonzero(low == up)
    at_least, at_most = np.flatnonzero(np.isfinite(low) & (low < up)), np.flatnonzero(np.isfinite(up) & (low < up))
    stacked = sp.vstack([table[equal], -table[at_least], table[at_most]], format="csc")
    right = np.concatenate([up[equal], -low[at_least], up[at_most]])
    limits = len(at_least) + len(at_most)
    cones = [clarabel.ZeroConeT(len(equal))] * bool(len(equal)) + [clarabel.NonnegativeConeT(limits)] * bool(limits)
    triangle = sp.csc_matrix(sp.triu(programme.hessian))
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.time_limit = False, time_limit
    settings.direct_solve_method = "qdldl"  # three times faster than the default on networks
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    solver = clarabel.DefaultSolver(triangle, programme.gradient, sp.csc_matrix(stacked), right, cones, settings)
    found = solver.solve()
    termination = _TERMINATIONS.get(str(found.status), Termination.SOLVED)
    x = np.clip(np.array(found.x), programme.lower, programme.upper)
    price = np.array(found.z)
    duals = np.zeros(count + n)
    duals[equal] = -price[: len(equal)]
    duals[at_least] += price[len(equal) : len(equal) + len(at_least)]
    duals[at_most] -= price[len(equal) + len(at_least) :]
    outcome = Outcome(
        termination, str(found.status), time.perf_counter() - began, "Clarabel", clarabel.__version__, found.iterations
    )
    return x, duals[:count], outcome
