"""L-hat from equilibria: the DSO share below which the mixed structure takes less energy off-peak than passive
households do."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.data import change

from . import structures


def mixed_load(data: Any, share: float, netted: bool) -> float:
    """Load off-peak of the certified mixed equilibrium at a DSO share, MWh. Raises RuntimeError where it is not
    certified."""
    model = structures.mixed_dso_dispatch(change(data, {"parameters.dso_share": share}), "yes" if netted else "no")
    solution = solve(model, branches_of=structures.one_block_branches)
    if not solution.certificate.ok:
        raise RuntimeError(f"the mixed structure at share {share:g} is not certified: {solution.certificate.scope}")
    return float(pyo.value(model.flexible_load[model.period.first()]))


def solve_threshold(data: Any, netted: bool) -> float:
    """The share at which the mixed structure's load is half of the flexible energy, by root finding on certified
    equilibria."""
    half = data.parameters["flexible_energy"] / 2
    return float(brentq(lambda share: mixed_load(data, share, netted) - half, 0.3, 1 - 1e-9, xtol=1e-10, rtol=1e-12))
