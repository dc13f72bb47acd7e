"""Who pays whom, and what is used up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from . import parts


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit. Payments (positive: received) between parties add up to zero; costs are real.

    Consumers pay wholesale prices to the fleets; fleets pay for links, or operators buy and sell.
    """
    model = solved.model
    rows = []
    for n in model.country:
        bill = parts.over_hours(model, lambda h, n=n: model.price[n, h] * model.consumption[n, h])
        rows.append((f"consumers of {n}", "payment", -bill, "EUR"))
        if model.plants[n]:
            rows.append((f"fleet of {n}", "payment", parts.revenue(model, n), "EUR"))
            rows.append((f"fleet of {n}", "cost of generation", -parts.generation_cost(model, n), "EUR"))
        if n in model.lost_load:
            cost = parts.lost_load_cost(model, n)
            rows.append((f"lost load of {n}", "payment", parts.lost_load_surplus(model, n) + cost, "EUR"))
            rows.append((f"lost load of {n}", "cost of lost load", -cost, "EUR"))
        response = parts.demand_response_on_demand(model, n) + parts.demand_response_on_plants(model, n)
        rows.append((f"demand response of {n}", "cost", -response, "EUR"))
    for n, m in model.link:
        rent, toll = parts.rent(model, (n, m)), parts.toll_cost(model, (n, m))
        if model.by_destination:
            rows.append((f"fleet of {n}", f"payment for sending to {m}", -rent, "EUR"))
            rows.append((f"link {n} to {m}", "payment", rent, "EUR"))
        else:
            rows.append((f"link {n} to {m}", "payment", rent + toll, "EUR"))
        rows.append((f"link {n} to {m}", "cost of sending", -toll, "EUR"))
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])
