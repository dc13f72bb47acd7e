"""Which scenarios of one statement have conditions of the same shape, so that they can be solved together."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conditions import NotAffine
from .curved import Curved, derive_curved
from .errors import Infeasible, Refused, SolverMissing
from .parametric import Parametric, Values, derive_affine
from .scenarios import NotVectorised

GROUPS = 6
"""How many shapes are derived for many scenarios at once; scenarios of further shapes are treated one by one."""


def derive_all(model: Any, params: Values) -> tuple[list[Parametric | Curved], dict[int, str]]:
    """(groups of scenarios with one shape each, {scenario: why it has to be treated alone}).

    The Params keep the values they have.
    """
    found: list[Parametric | Curved] = []
    alone: dict[int, str] = {}
    left = np.arange(len(params[0][1]))
    sound = np.all([np.isfinite(values) for _, values in params], axis=0)
    alone.update(dict.fromkeys(left[~sound].tolist(), "a number is not finite"))
    left = left[sound]
    reason = f"the shape of its conditions is none of the {GROUPS} that were met first"
    for _ in range(GROUPS):
        if not left.size:
            break
        try:
            group, astray = _derive(model, params, left)
        except (NotAffine, NotVectorised, Refused, Infeasible, SolverMissing, ZeroDivisionError) as error:
            reason = str(error)
            break
        found.append(group)
        left = left[astray]
    alone.update(dict.fromkeys(left.tolist(), reason))
    return found, alone


def _derive(model: Any, params: Values, which: np.ndarray) -> tuple[Parametric | Curved, np.ndarray]:
    try:
        return derive_affine(model, params, which)
    except NotAffine:
        return derive_curved(model, params, which)
