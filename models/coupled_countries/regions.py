"""The study ``regions``: how far consumption can fall without a loss, over planes of two parameters.

The planes of the paper's figures 7 to 9: slopes of the country's costs against its demand before, and against the
neighbours' capacities. Both run from half to twice the case's numbers (as factors of all rows they stand for). For the
first country with demand response and the first way to state the market in the case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.data import Data
from equilibrium.errors import EquilibriumError

from .response import CONSUMERS, COUNTRY, Response, explicit, neighbourhood, responding, variants
from .statics import root, scaled
from .study import ANSWERED, mean, thresholds

Progress = Callable[[str], None]
FACTORS = np.geomspace(0.5, 2.0, 7)
PLANES = {"cost and demand": ("b_n", "D_n"), "cost and neighbours": ("b_n", "K_m")}
NAMES = {
    "b_n": "slopes of cost (1: the case)",
    "D_n": "demand before (1: the case)",
    "K_m": "capacity of the neighbours (1: the case)",
}


def regions(data: Data, alternatives: Sequence[Any], progress: Progress) -> Mapping[str, pd.DataFrame]:
    """Table regions: a row per plane, point and criterion (welfare of the country, surplus of its consumers)."""
    n, variant = responding(data)[0], variants(data.market, alternatives)[0]
    near = explicit(neighbourhood(data, n))
    rows: list[dict[str, Any]] = []
    for plane, (across, up) in PLANES.items():
        if scaled(near, up, n, 1.0) is None:
            continue
        for x in FACTORS:
            progress(f"{plane}: {NAMES[across]} {x:.2f}")
            guess: dict[str, float] = {}
            for y in FACTORS:
                changed = scaled(_sure(scaled(near, across, n, x), near), up, n, y)
                asked = Response(_sure(changed, near), variant, n)
                where = {"plane": plane, "country": n, "reading": variant.name, "x name": NAMES[across]}
                where |= {"y name": NAMES[up], "x": x, "y": y, "x of the case": 1.0, "y of the case": 1.0}
                rows += [where | row for row in point(asked, guess)]
    return {"regions": pd.DataFrame(rows)}


def _sure(changed: Data | None, data: Data) -> Data:
    """The changed data; where there was nothing to change, the data."""
    return data if changed is None else changed


def point(asked: Response, guess: dict[str, float]) -> list[dict[str, Any]]:
    """Q_min and threshold intensity of both criteria; ``guess`` keeps thresholds of the point before, if found."""
    known = dict(guess)
    guess.clear()
    if set(known) != {COUNTRY, CONSUMERS}:
        rows = [row for row in thresholds(asked) if row["criterion"] in (COUNTRY, CONSUMERS, "all")]
        names = ("criterion", "answer", "intensity", "Q_min [MW]", "Q before [MW]", "verdict")
        guess |= {row["criterion"]: row["intensity"] for row in rows if row["answer"] == "found"}
        rows = [row | {"criterion": c} for row in rows for c in (COUNTRY, CONSUMERS) if row["criterion"] in (c, "all")]
        return [{name: row.get(name, math.nan) for name in names} for row in rows]
    rows = []
    for criterion, near in known.items():
        try:
            intensity = root(asked, criterion, near)
            least = mean(asked.data, asked.after(intensity).consumption) if intensity == intensity else math.nan
            row = {"answer": "found" if intensity == intensity else "no threshold", "intensity": intensity}
            row |= {"Q_min [MW]": least, "Q before [MW]": mean(asked.data, asked.before().consumption)}
            rows.append({"criterion": criterion, **row, "verdict": ANSWERED})
            if intensity == intensity:
                guess[criterion] = intensity
        except EquilibriumError as error:
            rows.append({"criterion": criterion, "answer": "not answered", "verdict": str(error)})
    return rows
