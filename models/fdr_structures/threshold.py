"""L-hat from equilibria: the DSO share below which the mixed structure takes less energy off-peak than passive
households do."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import Data
from equilibrium.errors import NotCertified
from equilibrium.threshold import root

from . import structures


def mixed_load(data: Data, share: Any, netted: bool) -> Any:
    """Load off-peak of the certified mixed equilibrium at a DSO share, MWh. Raises NotCertified where it is not
    certified."""
    there = Data(data.market, data.parameters | {"dso_share": share}, data.tables)
    model = structures.mixed_dso_dispatch(there, "yes" if netted else "no")
    solution = solve(model, branches_of=structures.one_block_branches)
    if not solution.certificate.ok:
        raise NotCertified(f"the mixed structure at share {share:g} is not certified: {solution.certificate.scope}")
    return pyo.value(model.flexible_load[model.period.first()])


def solve_threshold(data: Data, netted: bool) -> Any:
    """The share at which the mixed structure's load is half of the flexible energy, by root finding on certified
    equilibria."""
    half = data.parameters["flexible_energy"] / 2
    return root(lambda share: mixed_load(data, share, netted) - half, 0.3, 1 - 1e-9)
