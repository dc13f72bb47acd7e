"""Who pays whom, in expectation over the days."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyomo.environ as pyo

from . import delivery, strategic, values


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit. Payments (positive: received) add up to zero; shortage is a real cost."""
    structure = solved.alternative.structure
    if structure == "competitive":
        rows = _habits(solved.model)
    elif structure == "strategic":
        again = strategic.cleared_again(solved)
        settled = strategic.payments(solved, again)
        rows = _cleared(again.model, [values.Day(d, again.dispatch[d], paid, paid) for d, paid in settled.items()])
        rows += delivery.accounts(solved.model)
    else:
        rows = _cleared(solved.model, values.days(solved))
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])


def _habits(model: Any) -> list[tuple[str, str, float, str]]:
    bills = {u: pyo.value(block.bill) for u, block in model.fleet.items()}
    rows = [(f"fleet {u}", "payment for energy", -bill, "EUR") for u, bill in bills.items()]
    return [*rows, ("wholesale market", "payment for energy", sum(bills.values()), "EUR")]


def _cleared(model: Any, days: list[values.Day]) -> list[tuple[str, str, float, str]]:
    paid, bill = (dict.fromkeys(model.aggregator, 0.0) for _ in range(2))
    shortage = 0.0
    for day in days:
        weight = pyo.value(model.probability[model.scenario, day.name])
        final = values.final_bills(model, day.dispatch)
        for a in model.aggregator:
            paid[a] += weight * day.paid[a]
            bill[a] += weight * final[a]
        shortage += weight * day.dispatch.missing * pyo.value(model.alternative_cost)
    rows = [("operator", "payment for relief", -sum(paid.values()), "EUR")]
    rows.append(("operator", "cost of shortage", -shortage, "EUR"))
    for a in model.aggregator:
        rows.append((f"aggregator {a}", "payment for relief", paid[a], "EUR"))
        rows.append((f"aggregator {a}", "payment for energy", -bill[a], "EUR"))
    rows.append(("wholesale market", "payment for energy", sum(bill.values()), "EUR"))
    return rows
