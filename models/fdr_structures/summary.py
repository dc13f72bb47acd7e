"""Tables across the alternatives of a case: the comparison, the ranking of Proposition 6, the mixed structure's
threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from . import theory

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
        first, last = one.model.period.first(), one.model.period.last()
        load = one.value("flexible load", f"period={first}")
        theirs = theory.closed_form(one.data, one.alternative.structure, one.alternative.options)
        theirs = theirs[(theirs["quantity"] == "flexible load") & (theirs["index"] == f"period={first}")]["value"]
        expected = float(theirs.iloc[0]) if len(theirs) else float("nan")
        rows.append(
            {
                "alternative": one.alternative.name,
                f"load {first} [MWh]": load,
                "theory [MWh]": expected,
                "difference [MWh]": load - expected,
                f"price {first} [EUR/MWh]": one.value("price", f"period={first}"),
                f"price {last} [EUR/MWh]": one.value("price", f"period={last}"),
                "system cost [EUR]": one.value("system cost"),
                "loss [EUR]": one.value("loss against efficient"),
            }
        )
    return pd.DataFrame(rows)


def ranking(solved: Sequence[Any]) -> pd.DataFrame:
    """Alternatives by system cost, cheapest first, on each residual demand; equal costs share a rank."""
    rows = []
    for netted in (False, True):
        group = sorted((one for one in solved if one.model.netted == netted), key=lambda one: one.value("system cost"))
        rank, last = 0, None
        for place, one in enumerate(group, 1):
            cost = one.value("system cost")
            if last is None or cost - last > TIE * abs(cost):
                rank, last = place, cost
            rows.append(
                {
                    "demand": "net of generator" if netted else "gross",
                    "rank": rank,
                    "alternative": one.alternative.name,
                    "off-peak load [MWh]": one.value("flexible load", f"period={one.model.period.first()}"),
                    "system cost [EUR]": cost,
                }
            )
    return pd.DataFrame(rows, columns=["demand", "rank", "alternative", "off-peak load [MWh]", "system cost [EUR]"])


def threshold(solved: Sequence[Any]) -> pd.DataFrame:
    """L-hat, the DSO share below which the mixed structure takes less off-peak than passive households: solved and by
    formula.

    Columns: demand, root over certified equilibria, formula, the case's own DSO share.
    """
    rows = []
    for netted in (False, True):
        group = [
            one for one in solved if one.alternative.structure == "mixed_dso_dispatch" and one.model.netted == netted
        ]
        if not group:
            continue
        data = group[0].data
        rows.append(
            {
                "demand": "net of generator" if netted else "gross",
                "L-hat, equilibrium": group[0].value("threshold share"),
                "L-hat, formula": theory.threshold_share(theory.setting(data, netted)),
                "DSO share L": data.parameters["dso_share"],
            }
        )
    return pd.DataFrame(rows)
