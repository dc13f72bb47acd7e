"""SCIP on a leader's problem as arrays: a second opinion where ``pyscipopt`` is installed, never the answer itself.

    minimise cost(v)  subject to  F(v) = a - b,  a, b >= 0,  at most one of (z - l, a) and of (u - z, b) not zero,
                                  low <= table v <= up,  lower <= v <= upper

The pairs are special ordered sets, so that no multiplier is bounded by a guess. Default tolerances are kept (tighter
ones end in errors): what SCIP says holds to about 1e-6.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..hierarchy import LeaderProblem
from .scip import available

ENDLESS = 1e15
"""What SCIP reports beyond this, in units of the scaled cost, is no bound."""


def scip_bound(problem: LeaderProblem, cost: float, seconds: float = 5.0) -> tuple[float, float] | None:
    """(best found, bound below which no decision can bring it) of the leader's minimised payoff, by SCIP.

    cost: what another route found, the size that the objective is divided by; seconds: after that long SCIP stops and
    tells its bound so far. None where it is not installed, has found nothing or no bound (decisions without bounds).
    """
    if not available():
        return None
    from pyscipopt import Model, quicksum

    model = Model()
    model.hideOutput()
    model.setParam("limits/time", seconds)
    reaction, d = problem.reaction, problem.count
    lower = np.concatenate([problem.lower, reaction.lower])
    upper = np.concatenate([problem.upper, reaction.upper])
    whole = np.concatenate([problem.whole, np.zeros(reaction.size, dtype=bool)])
    v = [
        model.addVar(lb=_limit(low), ub=_limit(up), vtype="I" if integer else "C")
        for low, up, integer in zip(lower, upper, whole, strict=True)
    ]
    followers = sp.csr_array(sp.hstack([reaction.slope, reaction.matrix]))
    assert reaction.vector is not None
    for k in range(reaction.size):
        row = quicksum(float(c) * v[j] for j, c in _entries(followers, k)) + float(reaction.vector[k])
        _pair(model, v[d + k], lower[d + k], upper[d + k], row)
    own = sp.csr_array(problem.table)
    for k, (low, up) in enumerate(zip(problem.low, problem.up, strict=True)):
        body = quicksum(float(c) * v[j] for j, c in _entries(own, k))
        if np.isfinite(low):
            model.addCons(body >= float(low))
        if np.isfinite(up):
            model.addCons(body <= float(up))
    size = max(abs(cost), 1e-9)
    worth = model.addVar(lb=None, ub=None)
    curved = sp.coo_array(problem.cost.hessian)
    payoff = quicksum(0.5 * float(c) * v[i] * v[j] for i, j, c in zip(*curved.coords, curved.data, strict=True))
    payoff += quicksum(float(c) * v[j] for j, c in enumerate(problem.cost.gradient) if c)
    model.addCons(size * worth >= payoff + problem.cost.constant)
    model.setObjective(worth, "minimize")
    return _asked(model, size)


@contextmanager
def _silent() -> Iterator[None]:
    """Without the remarks that SCIP's linear solver writes straight to the process's standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _asked(model: Any, size: float) -> tuple[float, float] | None:
    try:
        with _silent():
            model.optimize()
        bound = float(model.getDualbound())
        if not model.getNSols() or abs(bound) > ENDLESS:
            return None
        return size * float(model.getObjVal()), size * bound
    except Exception:  # whatever an optional second opinion trips over, the answer stands on its own proof
        return None


def _pair(model: Any, z: Any, low: float, up: float, row: Any) -> None:
    """low <= z <= up against the row, as special ordered sets."""
    if low == up:
        return
    if np.isinf(low) and np.isinf(up):
        model.addCons(row == 0)
        return
    a = model.addVar(lb=0, ub=0 if np.isinf(low) else None)
    b = model.addVar(lb=0, ub=0 if np.isinf(up) else None)
    model.addCons(row == a - b)
    for bound, sign, slack in ((low, 1.0, a), (up, -1.0, b)):
        if np.isfinite(bound):
            gap = model.addVar(lb=0, ub=None if not np.isfinite(up - low) else up - low)
            model.addCons(gap == sign * (z - float(bound)))
            model.addConsSOS1([gap, slack])


def _entries(matrix: sp.csr_array, k: int) -> list[tuple[int, float]]:
    part = slice(matrix.indptr[k], matrix.indptr[k + 1])
    return list(zip(matrix.indices[part], matrix.data[part], strict=True))


def _limit(bound: float) -> float | None:
    return float(bound) if np.isfinite(bound) else None
