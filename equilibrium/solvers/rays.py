"""Has a convex quadratic programme really no optimum? A linear programme each tells.

The active-set method for quadratic programmes at times calls a bounded one unbounded. The simplex method is asked
before that is said to anybody.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from . import highs
from .outcome import Termination

DOWN = 1e-7
"""Relative fall along a direction that is more than what the tolerances of the simplex method leave."""


def confirmed(programme: highs.Programme, termination: Termination) -> bool:
    """Whether the programme is as INFEASIBLE or UNBOUNDED says."""
    return empty(programme) if termination is Termination.INFEASIBLE else not empty(programme) and falls(programme)


def empty(programme: highs.Programme) -> bool:
    """Whether no point keeps all rows and bounds."""
    n = len(programme.gradient)
    plain = replace(programme, hessian=sp.csc_array((n, n)), gradient=np.zeros(n))
    return highs.minimise(plain)[2].termination is Termination.INFEASIBLE


def falls(programme: highs.Programme) -> bool:
    """Whether the payoff falls for ever along some direction that rows and bounds leave open: one without curvature."""
    n = len(programme.gradient)

    def least(limit: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(limit), 0.0, -np.inf)

    def most(limit: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(limit), 0.0, np.inf)

    directions = highs.Programme(
        sp.csc_array((n, n)),
        programme.gradient,
        sp.csr_array(sp.vstack([programme.rows, programme.hessian])),
        np.concatenate([least(programme.row_lower), np.zeros(n)]),
        np.concatenate([most(programme.row_upper), np.zeros(n)]),
        np.maximum(least(programme.lower), -1.0),
        np.minimum(most(programme.upper), 1.0),
    )
    d, _, outcome = highs.minimise(directions)
    size = float(np.abs(programme.gradient) @ np.abs(d))
    return outcome.termination is Termination.SOLVED and float(programme.gradient @ d) < -DOWN * size
