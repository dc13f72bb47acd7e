"""What is reported: total, price, purchases, what each user gets, and how equal that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium.scenarios import unstacked

from . import hourly, setting

LISTED = 2000
"""Up to so many users each has rows of its own in ``values``; the table ``users`` has them all."""

COMPARED = ("average surplus", "average consumption", "smallest surplus", "Gini of surplus")


def consumption(solved: Any) -> tuple[setting.Setting, np.ndarray, Any]:
    """(setting, consumption of every user [MWh], total [MWh]) from the model, or from the market's own answer."""
    options = solved.alternative.options
    alone = solved.alternative.structure == "alone"
    if solved.model is None:
        case, x = solved.solution.own.detail
        return case, x, x.sum(axis=0)
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
        bought, gained = (np.add.reduceat(values, case.start[:-1]) for values in (x, surplus))
        for name, y, s, n in zip(case.names, bought, gained, np.diff(case.start), strict=True):
            rows.append(("purchase", f"aggregator={name}", y, "MWh"))
            rows.append(("average surplus", f"aggregator={name}", s / n, "EUR"))
    rows += [(name, "", value, unit) for name, (value, unit) in measures(x, surplus).items()]
    rows.append(("users left out", "", len(x) - np.count_nonzero(case.served, axis=0), "1"))
    if len(x) <= LISTED:
        for (group, user), amount, gain in zip(case.users, x, surplus, strict=True):
            index = f"aggregator={group};user={user}"
            rows += [("consumption", index, amount, "MWh"), ("surplus", index, gain, "EUR")]
    if case.generation is not None:
        e = case.generated(x)
        rows.append(("own generation", "", e.sum(axis=0), "MWh"))
        if len(x) <= LISTED:
            for (group, user), amount in zip(case.users, e, strict=True):
                rows.append(("own generation", f"aggregator={group};user={user}", amount, "MWh"))
    told = [(quantity, index, unstacked(value), unit) for quantity, index, value, unit in rows]
    return pd.DataFrame(told, columns=["quantity", "index", "value", "unit"])


def surpluses(case: setting.Setting, x: np.ndarray, price: Any) -> np.ndarray:
    """Surplus of every user, EUR."""
    return np.asarray(x * (case.b - price - case.a * x))


def measures(x: np.ndarray, surplus: np.ndarray) -> dict[str, tuple[Any, str]]:
    """Averages and spread over all users, those that buy nothing included; one each per scenario."""
    return {
        "average surplus": (surplus.mean(axis=0), "EUR"),
        "average consumption": (x.mean(axis=0), "MWh"),
        "total surplus": (surplus.sum(axis=0), "EUR"),
        "smallest surplus": (surplus.min(axis=0), "EUR"),
        "Gini of surplus": (gini(surplus), "1"),
        "Gini of consumption": (gini(x), "1"),
        "standard deviation of surplus": (surplus.std(axis=0), "EUR"),
        "standard deviation of consumption": (x.std(axis=0), "MWh"),
    }


def gini(values: np.ndarray) -> Any:
    """The Gini coefficient of numbers >= 0: 0 if all are the same, near 1 if one has everything; 0 if all are zero."""
    ordered, n = np.sort(values, axis=0), len(values)
    whole = ordered.sum(axis=0)
    spread = (2 * np.arange(1, n + 1) - n - 1) @ ordered
    return np.where(whole > 0, spread, 0.0) / (n * np.where(whole > 0, whole, 1.0))


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
