"""What is reported: total, price, purchases, what each user gets, and how equal that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from . import hourly, setting

LISTED = 2000
"""Up to so many users each has rows of its own in ``values``; the table ``users`` has them all."""

COMPARED = ("average surplus", "average consumption", "smallest surplus", "Gini of surplus")


def consumption(solved: Any) -> tuple[setting.Setting, np.ndarray, float]:
    """(setting, consumption of every user [MWh], total [MWh]) from the model, or from the market's own answer."""
    options = solved.alternative.options
    alone = solved.alternative.structure == "alone"
    if solved.model is None:
        case, found = solved.solution.own.detail
        x = case.everybody(found.equilibria[0].x) if found.equilibria else np.full(len(case.a), np.nan)
        return case, x, float(x.sum())
    case = setting.read(solved.data, **options, alone=alone)
    bought = {key: pyo.value(block.x[key]) for block in solved.model.aggregator.values() for key in block.x}
    x = np.array([bought.get(key, 0.0) for key in case.users])
    return case, x, float(pyo.value(solved.model.total))


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit: every reported number of one alternative."""
    if solved.alternative.structure == "hours":
        return hourly.quantities(solved)
    case, x, total = consumption(solved)
    price = case.level(total)
    surplus = surpluses(case, x, price)
    rows = [("total", "", total, "MWh"), ("price", "", price, "EUR/MWh")]
    if solved.alternative.structure != "alone":
        bought = np.bincount(case.owner, x, minlength=len(case.names))
        gained = np.bincount(case.owner, surplus, minlength=len(case.names))
        count = np.bincount(case.owner, minlength=len(case.names))
        for name, y, s, n in zip(case.names, bought, gained, count, strict=True):
            rows.append(("purchase", f"aggregator={name}", y, "MWh"))
            rows.append(("average surplus", f"aggregator={name}", s / n, "EUR"))
    rows += [(name, "", value, unit) for name, (value, unit) in measures(x, surplus).items()]
    rows.append(("users left out", "", float(len(x) - np.count_nonzero(case.served)), "1"))
    if len(x) <= LISTED:
        for (group, user), amount, gain in zip(case.users, x, surplus, strict=True):
            index = f"aggregator={group};user={user}"
            rows += [("consumption", index, amount, "MWh"), ("surplus", index, gain, "EUR")]
    if case.generation is not None:
        e = case.generated(x)
        rows.append(("own generation", "", float(e.sum()), "MWh"))
        if len(x) <= LISTED:
            for (group, user), amount in zip(case.users, e, strict=True):
                rows.append(("own generation", f"aggregator={group};user={user}", amount, "MWh"))
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def surpluses(case: setting.Setting, x: np.ndarray, price: float) -> np.ndarray:
    """Surplus of every user, EUR."""
    return x * (case.b - price - case.a * x)


def measures(x: np.ndarray, surplus: np.ndarray) -> dict[str, tuple[float, str]]:
    """Averages and spread over all users, those that buy nothing included."""
    return {
        "average surplus": (float(surplus.mean()), "EUR"),
        "average consumption": (float(x.mean()), "MWh"),
        "total surplus": (float(surplus.sum()), "EUR"),
        "smallest surplus": (float(surplus.min()), "EUR"),
        "Gini of surplus": (gini(surplus), "1"),
        "Gini of consumption": (gini(x), "1"),
        "standard deviation of surplus": (float(surplus.std()), "EUR"),
        "standard deviation of consumption": (float(x.std()), "MWh"),
    }


def gini(values: np.ndarray) -> float:
    """The Gini coefficient of numbers >= 0: 0 if all are the same, near 1 if one has everything; 0 if all are zero."""
    ordered, n = np.sort(values), len(values)
    whole = float(ordered.sum())
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * whole)) if whole > 0 else 0.0


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit: aggregators pay the wholesale market, whose supply is not modelled; ``utility``
    is what their users have from the energy, no payment."""
    if solved.alternative.structure == "hours":
        return hourly.accounts(solved)
    case, x, total = consumption(solved)
    price = case.level(total)
    utility = np.bincount(case.owner, case.b * x - case.a * x * x, minlength=len(case.names))
    bought = np.bincount(case.owner, x, minlength=len(case.names))
    rows = [("wholesale market", "payment", float(price * bought.sum()), "EUR")]
    for name, y, worth in zip(case.names, bought, utility, strict=True):
        rows += [(f"aggregator {name}", "payment", -price * y, "EUR"), (f"aggregator {name}", "utility", worth, "EUR")]
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])


def tables(solved: Sequence[Any]) -> Mapping[str, pd.DataFrame]:
    """``comparison`` of the alternatives; ``users`` where they are too many for ``values``; ``left_out``: users that a
    membership rule drops."""
    rows, long, out = [], [], []
    for one in solved:
        if one.alternative.structure == "hours":
            rows.append(hourly.row(one, gini))
            continue
        case, x, total = consumption(one)
        price = case.level(total)
        surplus, name = surpluses(case, x, price), one.alternative.name
        told = measures(x, surplus)
        found = {f"{what} [{told[what][1]}]": told[what][0] for what in COMPARED}
        rows.append({"alternative": name, "total [MWh]": total, "price [EUR/MWh]": price, **found})
        if len(x) > LISTED:
            frame = case.users.to_frame(index=False)
            long.append(frame.assign(alternative=name, consumption=x, surplus=surplus))
        if not case.served.all():
            out.append(case.users[~case.served].to_frame(index=False).assign(alternative=name))
    found = {"comparison": pd.DataFrame(rows)}
    found |= {"users": pd.concat(long, ignore_index=True)} if long else {}
    return found | ({"left_out": pd.concat(out, ignore_index=True)} if out else {})
