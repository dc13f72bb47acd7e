"""How far constraints and bounds are from holding on the model as stated, relative to the size of their terms."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.constraint import ConstraintData

from . import stated
from .players import Player
from .stated import ERRORS


def infeasibility(player: Player) -> float:
    """The largest violation of the player's own constraints and bounds, relative to the size of their terms."""
    worst = 0.0
    for variable in player.decisions:
        if variable.value is None:
            return np.inf
        value = float(variable.value)
        lower, upper = variable.bounds
        for low, high in ((lower, value), (value, upper)):
            if low is not None and high is not None and low > high:
                worst = max(worst, (low - high) / max(abs(low), abs(high)))
    return max(worst, max((violation(row) for row in player.constraints), default=0.0))


def violation(row: ConstraintData) -> float:
    """How far a constraint is from holding, relative to the size of its terms; infinite where it has no value."""
    try:
        body = float(pyo.value(row.body))
        upper = row.ub  # evaluated when asked for
        lower = upper if row.equality else row.lb
        low = lower - body if lower is not None else 0.0
        high = body - upper if upper is not None else 0.0
        if not np.isfinite(body):
            return np.inf
        return max(low, high) / stated.size(row) if max(low, high) > 0 else 0.0
    except ERRORS:
        return np.inf
