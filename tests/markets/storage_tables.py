"""Two-period tables of the storage market from the source's symbols."""

from __future__ import annotations

import numpy as np
import pandas as pd

from equilibrium.data import Data
from models.storage_investment import market


def data_of(A1, A2, Z1, Z2, B, K, F, I, N):  # noqa: E741
    """Two-period tables of a set in the source's symbols."""
    periods = pd.DataFrame(
        {"intercept": [A1, A2], "slope": [Z1, Z2], "must_run": [0.0, 0.0]}, index=pd.Index(["off", "on"], name="period")
    ).astype(float)
    names = pd.Index([f"firm {n}" for n in range(N)], name="firm")
    firms = pd.DataFrame({"cost": float(B), "cost_slope": float(N * K), "capacity": np.inf}, index=names)
    row = {"charge_ratio": F, "power_cost": 0.0, "energy_cost": 0.0, "quadratic_cost": I, "charge_limit": F}
    row |= {"power_limit": np.inf, "energy_limit": np.inf}
    storage = pd.DataFrame(row, index=pd.Index(["storage"], name="technology"))
    return Data(market, {}, {"periods": periods, "firms": firms, "storage": storage})
