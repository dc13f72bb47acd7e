"""One row a clearing: what it costs, what was bought, who could not be done without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

NUMBERS = {
    "operator cost": "operator cost [EUR]",
    "mark-ups": "mark-ups [EUR]",
    "redispatched energy": "redispatched [kWh]",
    "unserved energy": "unserved [kWh]",
    "social cost": "social cost [EUR]",
}


def tables(solved: Sequence[Any]) -> dict[str, pd.DataFrame]:
    """``comparison``: expectations over the days of every clearing, and who is pivotal in some period of some day.

    Empty where a case clears nothing.
    """
    rows = []
    for one in solved:
        if one.alternative.structure not in ("clearing", "vehicles"):
            continue
        row = {"alternative": one.alternative.name}
        row |= {title: one.value(f"expected {quantity}") for quantity, title in NUMBERS.items()}
        pivotal = one.values[(one.values["quantity"] == "pivotal") & (one.values["value"] > 0)]["index"]
        names = sorted({part.removeprefix("aggregator=") for index in pivotal for part in index.split(";")[:1]})
        row["pivotal"] = ", ".join(names) or "nobody"
        rows.append(row)
    return {"comparison": pd.DataFrame(rows)} if rows else {}
