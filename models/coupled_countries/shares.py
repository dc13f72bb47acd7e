"""The study ``shares``: what each plant sells at home and abroad, against the difference of demands.

The paper's figures 1 to 5, at certified equilibria with a cost for each destination (with one cost of output sales by
destination are not unique). Demand moves from the neighbour to the country, their sum stays; both are inelastic.
Settings: links as in the case, without limits, and without limits with a neighbour whose plants cost a fifth less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import Data
from equilibrium.errors import DataError, EquilibriumError, Fault

from . import inputs

Progress = Callable[[str], None]
SPAN = np.linspace(-0.9, 0.9, 25)  # difference of demands over their sum
CHEAPER = 0.8


def shares(data: Data, alternatives: Sequence[Any], progress: Progress) -> Mapping[str, pd.DataFrame]:
    """Table shares: a row per setting, difference of demands and plant. Raises DataError without two linked countries
    with inelastic demand and plants."""
    del alternatives  # the study chooses the reading
    pair = _pair(data)
    rows: list[dict[str, Any]] = []
    for setting, changed in _settings(data, pair).items():
        progress(setting)
        for share in SPAN:
            rows += _point(changed, pair, setting, float(share))
    return {"shares": pd.DataFrame(rows)}


def _pair(data: Data) -> tuple[str, str]:
    own = {n for n, _ in inputs.all_plants(data)} & {n for n, _ in inputs.keys(data, "inelastic_demand")}
    for n, m in inputs.keys(data, "links"):
        if n in own and m in own and data.tables["links"]["capacity"][n, m] > 0:
            return n, m
    message = "no link joins two countries that both have plants and inelastic demand"
    raise DataError([Fault("links.csv", message)], "this study")


def _settings(data: Data, pair: tuple[str, str]) -> dict[str, Data]:
    links = data.tables["links"]
    opened = links.assign(capacity=np.inf)
    cheaper = {}
    for name in ("plants", "fleets"):
        if name in data.tables:
            frame = data.tables[name].copy()
            rows = frame.index.get_level_values("country") == pair[1]
            frame.loc[rows, ["intercept", "slope"]] *= CHEAPER
            cheaper[name] = frame

    def changed(**tables: pd.DataFrame) -> Data:
        return Data(data.market, data.parameters, {**data.tables, **tables})

    limited = np.isfinite(links["capacity"]).any()
    found = {"links as in the case": data} if limited else {}
    found["links without limits"] = changed(links=opened)
    found["links without limits, neighbour a fifth cheaper"] = changed(links=opened, **cheaper)
    return found


def _point(data: Data, pair: tuple[str, str], setting: str, share: float) -> list[dict[str, Any]]:
    """The certified equilibrium in which the two countries' demands differ by a share of their sum."""
    n, m = pair
    hour = min(h for k, h in inputs.keys(data, "inelastic_demand") if k == n)
    frame = data.tables["inelastic_demand"].copy()
    frame = frame[frame.index.get_level_values("hour") == hour]
    total = float(frame["quantity"].loc[[(n, hour), (m, hour)]].sum())
    frame["quantity"] = frame["quantity"].astype(float)
    for country, sign in ((n, 1), (m, -1)):
        frame.loc[(country, hour), "quantity"] = total * (1 + sign * share) / 2
    tables = {
        k: v for k, v in data.tables.items() if k not in ("elastic_demand", "reference_demand", "demand_response")
    }
    where = {"country": n, "neighbour": m, "setting": setting, "difference of demands [MW]": total * share}
    try:
        structure = data.market.structures["separable"]
        model = structure.build(Data(data.market, data.parameters, tables | {"inelastic_demand": frame}))
        verdict = solve(model).certificate.verdict
    except EquilibriumError as error:
        return [where | {"plant": "all", "verdict": str(error)}]
    return [
        where
        | {
            "plant": t,
            "home [MW]": float(pyo.value(model.fleet[n].sales[t, n, hour])),
            "export [MW]": float(pyo.value(model.fleet[n].sales[t, m, hour])),
            "price difference [EUR/MWh]": float(model.price[n, hour].value - model.price[m, hour].value),
            "verdict": verdict,
        }
        for t in model.plants[n]
    ]
