"""Data of the market with any number of periods, aggregators and generators, as the tests state them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import pandas as pd

from equilibrium.data import Data
from models.fdr_structures import market


def periods(
    load: Sequence[float],
    generators: Sequence[tuple[float, float]] = ((0.3, 0.8),),
    shares: Sequence[float] = (0.6, 0.3, 0.1),
    capacity: float = inf,
    **parameters: Any,
) -> Data:
    """generators: (psi1, psi2) of each. Names of two periods are those of the paper."""
    given = {"flexible_energy": 1.0, "cost_power": 0.5} | parameters
    numbers = {name: column.default for name, column in market.parameters.items()} | given
    names = ("off-peak", "peak") if len(load) == 2 else [f"h{k:02d}" for k in range(1, len(load) + 1)]

    def rows(key: str, count: int, **columns: Any) -> pd.DataFrame:
        return pd.DataFrame(columns, index=pd.Index([f"{key} {k + 1}" for k in range(count)], name=key))

    tables = {
        "demand": pd.DataFrame({"load": [float(v) for v in load]}, index=pd.Index(names, name="period")),
        "aggregators": rows("aggregator", len(shares), share=list(shares)),
        "generators": rows(
            "generator",
            len(generators),
            cost=[float(a) for a, _ in generators],
            cost_slope=[float(b) for _, b in generators],
            capacity=[capacity] * len(generators),
        ),
    }
    return Data(market, numbers, tables)
