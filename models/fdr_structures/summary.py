"""Tables across the alternatives of a case: the comparison, the ranking of Proposition 6, the mixed structure's
threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from . import theory

POWER, BATTERIES = "generators with market power", "batteries"
DEMANDS = ("gross", "net of generator", f"gross, {POWER}", f"gross, {BATTERIES}", f"gross, {BATTERIES}, {POWER}")

TIE = 1e-9  # relative difference of costs below which structures are called equal


def tables(solved: Sequence[Any]) -> dict[str, pd.DataFrame]:
    """``comparison`` (shown at the end of a run), ``ranking`` by residual demand, ``threshold`` where a mixed
    structure is there."""
    found = {"comparison": comparison(solved), "ranking": ranking(solved)}
    if any(one.alternative.structure == "mixed_dso_dispatch" for one in solved):
        found["threshold"] = threshold(solved)
    return found


def comparison(solved: Sequence[Any]) -> pd.DataFrame:
    """One row an alternative: load off-peak beside theory, prices, system cost, loss against efficient."""
    rows = []
    for one in solved:
        first = one.model.period.first()
        load = off_peak(one)
        theirs = one.data.market.closed_form(one.data, one.alternative.structure, one.alternative.options)
        theirs = theirs[(theirs["quantity"] == "flexible load") & (theirs["index"] == f"period={first}")]["value"]
        expected = float(theirs.iloc[0]) if len(theirs) and not np.isnan(load) else np.nan
        rows.append(
            {
                "alternative": one.alternative.name,
                f"load {first} [MWh]": load,
                "theory [MWh]": expected,
                "difference [MWh]": load - expected,
                **prices(one),
                "system cost [EUR]": one.value("system cost"),
                "loss [EUR]": one.value("loss against efficient"),
            }
        )
    return pd.DataFrame(rows)


def prices(one: Any) -> dict[str, float]:
    """The prices of two periods, or the lowest and the highest of more, EUR/MWh."""
    found = {t: one.value("price", f"period={t}") for t in one.model.period}
    if len(found) == 2:
        return {f"price {t} [EUR/MWh]": value for t, value in found.items()}
    return {"lowest price [EUR/MWh]": min(found.values()), "highest price [EUR/MWh]": max(found.values())}


def off_peak(one: Any) -> float:
    """Flexible load in the first period, MWh; NaN where the equilibrium does not determine it."""
    reported = one.values[one.values["quantity"] == "flexible load"].set_index("index")["value"]
    return float(reported.get(f"period={one.model.period.first()}", np.nan))


def seen(one: Any) -> str:
    """Which of DEMANDS the price-taking producers face in an alternative: costs compare within each only."""
    power = one.model.component("generators") is not None
    if one.model.component("given_back") is not None:
        return DEMANDS[4] if power else DEMANDS[3]
    if power:
        return DEMANDS[2]
    return DEMANDS[1] if one.model.netted else DEMANDS[0]


def ranking(solved: Sequence[Any]) -> pd.DataFrame:
    """Alternatives by system cost, cheapest first, among those that compare; equal costs share a rank."""
    rows = []
    for demand in DEMANDS:
        group = sorted((one for one in solved if seen(one) == demand), key=lambda one: one.value("system cost"))
        rank, last = 0, None
        for place, one in enumerate(group, 1):
            cost = one.value("system cost")
            if last is None or cost - last > TIE * abs(cost):
                rank, last = place, cost
            rows.append(
                {
                    "demand": demand,
                    "rank": rank,
                    "alternative": one.alternative.name,
                    "off-peak load [MWh]": off_peak(one),
                    "system cost [EUR]": cost,
                }
            )
    return pd.DataFrame(rows, columns=["demand", "rank", "alternative", "off-peak load [MWh]", "system cost [EUR]"])


def _threshold_share(one: Any) -> list[float]:
    """The threshold share that an alternative reports, if it does: none where rivals have a limit in each period."""
    values = one.values
    return values[values["quantity"] == "threshold share"]["value"].tolist()


def threshold(solved: Sequence[Any]) -> pd.DataFrame:
    """L-hat, the DSO share below which the mixed structure takes less off-peak than passive households: solved and by
    formula.

    Columns: demand, root over certified equilibria, formula, the case's own DSO share.
    """
    rows = []
    for netted in (False, True):
        group = [
            one
            for one in solved
            if one.alternative.structure == "mixed_dso_dispatch"
            and one.model.netted == netted
            and len(one.model.period) == 2
        ]
        shares = [value for one in group for value in _threshold_share(one)]
        if not shares:
            continue
        data = group[0].data
        rows.append(
            {
                "demand": "net of generator" if netted else "gross",
                "L-hat, equilibrium": shares[0],
                "L-hat, formula": theory.threshold_share(theory.setting(data, netted)),
                "DSO share L": data.parameters["dso_share"],
            }
        )
    return pd.DataFrame(rows)
