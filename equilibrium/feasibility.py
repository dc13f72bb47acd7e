"""How far constraints and bounds are from holding on the model as stated, relative to the size of their terms."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.constraint import ConstraintData

from . import stated
from .players import Player
from .stated import ERRORS

ROUNDING = 1e-14
"""Terms below this part of a player's largest decision are rounding of zero: a limit all of whose terms, its violation
included, are such numbers holds."""


def infeasibility(player: Player) -> float:
    """The largest violation of the player's own constraints and bounds, relative to the size of their terms."""
    worst = 0.0
    if any(variable.value is None for variable in player.decisions):
        return np.inf
    least = max(ROUNDING * max((abs(float(v.value)) for v in player.decisions), default=0.0), 1e-300)
    for variable in player.decisions:
        value = float(variable.value)
        lower, upper = variable.bounds
        for low, high in ((lower, value), (value, upper)):
            if low is not None and high is not None and low > high:
                size = max(abs(low), abs(high))
                worst = max(worst, (low - high) / size if size > least else 0.0)
    return max(worst, max((violation(row, least) for row in player.constraints), default=0.0))


def violation(row: ConstraintData, least: float = 0.0) -> float:
    """How far a constraint is from holding, relative to the size of its terms (zero where these are not above
    ``least``); infinite where it has no value."""
    try:
        body = float(pyo.value(row.body))
        upper = row.ub  # evaluated when asked for
        lower = upper if row.equality else row.lb
        low = lower - body if lower is not None else 0.0
        high = body - upper if upper is not None else 0.0
        if not np.isfinite(body):
            return np.inf
        if not max(low, high) > 0:
            return 0.0
        size = stated.size(row)
        return max(low, high) / size if size > least else 0.0
    except ERRORS:
        return np.inf
