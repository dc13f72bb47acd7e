"""Tables across the alternatives of a case: countries side by side, and which closed forms apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from . import inputs, parts, theory

COMPARED = 5  # countries that are shown one by one; of more, only the total
ALL = "all"


def tables(solved: Sequence[Any]) -> dict[str, pd.DataFrame]:
    """``comparison`` (shown at the end of a run): countries and total of every alternative; ``closed_forms``."""
    return {"comparison": comparison(solved)} | theory.summary(solved)


def comparison(solved: Sequence[Any]) -> pd.DataFrame:
    """A row per alternative and country, and one for all: prices and quantities are means over hours, weighted by their
    length; money is added up over hours. Producer surplus includes what lost load and demand response earn."""
    rows = []
    for one in solved:
        model = one.model
        names = list(model.country) if len(model.country) <= COMPARED else []
        rows += [{"alternative": one.alternative.name, "country": n} | _of(model, n) for n in names]
        whole = {"alternative": one.alternative.name, "country": ALL, "welfare [EUR]": one.value("welfare")}
        rows.append(whole | {"congestion rent [EUR]": one.value("congestion rent")})
    return pd.DataFrame(rows)


def _of(model: Any, n: str) -> dict[str, float]:
    """What a reader asks first of one country."""
    length = sum(float(pyo.value(model.weight[h])) for h in model.hour)

    def mean(amount: Any) -> float:
        return parts.over_hours(model, amount) / length

    def export(h: int) -> Any:
        return parts.output(model, n, h) + inputs.lost(model, n, h) - model.consumption[n, h]

    earned = parts.producer_surplus(model, n) + parts.lost_load_surplus(model, n) + parts.response_margin(model, n)
    return {
        "price [EUR/MWh]": mean(lambda h: model.price[n, h]),
        "consumption [MW]": mean(lambda h: model.consumption[n, h]),
        "net export [MW]": mean(export),
        "consumer surplus [EUR]": parts.consumer_surplus(model, n),
        "producer surplus [EUR]": earned,
        "welfare [EUR]": parts.country_welfare(model, n),
    }
