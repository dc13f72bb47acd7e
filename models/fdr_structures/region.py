"""Where in the plane of demand swing and generator cost is integration better than a monopoly aggregator apart?

Two periods. The peak's demand and the owner's cost are varied, everything else is as in the case; at each
point both equilibria are solved and certified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium.data import change
from equilibrium.errors import EquilibriumError, Refused

from . import integration, strategic
from .theory import setting

SWINGS = np.linspace(0.05, 2.0, 14)
"""Demand swings looked at, over the flexible energy."""

COSTS = np.linspace(0.0, 0.95, 14)
"""Generator's costs looked at, between the producers' lowest price and that of the off-peak period."""


def run(data: Any, alternatives: Sequence[Any], progress: Callable[[str], None]) -> Mapping[str, pd.DataFrame]:
    """Table ``region``: swing [MWh], generator cost [EUR/MWh], costs [EUR], what integration saves, and which is
    better. Raises Refused unless there are two periods, DataError where it is not clear who owns the aggregator."""
    integration.with_generators(data)
    named = integration.owners(data, alternatives)
    owner = strategic.owner_of(data, named[0] if len(named) == 1 else "")
    demand = data.tables["demand"]
    if len(demand) != 2:
        raise Refused(f"this study is for two periods; the case has {len(demand)}")
    energy, off_peak = data.parameters["flexible_energy"], float(demand["load"].iloc[0])
    supply = setting(data, False).supply
    low, high = supply.price(0.0), supply.price(off_peak + energy / 2)
    rows = []
    for swing in SWINGS * energy:
        progress(f"swing of {swing:.3g} MWh")
        for cost in low + COSTS * (high - low):
            cells = {
                f"demand.load[{demand.index[1]}]": off_peak + float(swing),
                f"generators.cost[{owner}]": float(cost),
            }
            here = {"swing [MWh]": float(swing), "generator cost [EUR/MWh]": float(cost)}
            rows.append(here | _point(change(data, cells), owner))
    return {"region": pd.DataFrame(rows)}


def _point(data: Any, owner: str) -> dict[str, Any]:
    try:
        stated = strategic.strategic_dso(data), strategic.integrated(data, owner)
        found = [integration.answer(model) for model in stated]
    except EquilibriumError as error:
        return {"verdict": str(error)}
    separate, integrated = (float(pyo.value(model.system_cost)) for model, _ in found)
    return {
        "separate [EUR]": separate,
        "integrated [EUR]": integrated,
        "saved [%]": 100 * (separate - integrated) / abs(separate),
        "better": integration.better(separate - integrated, separate),
        "verdict": max((word for _, word in found), key=("certified", "certified, local").index),
    }
