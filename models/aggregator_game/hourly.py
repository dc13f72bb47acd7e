"""Several hours: users' values differ by hour, each hour has its own price, fairness is on the surplus of all hours.

    aggregator j:  max over x_it >= 0 of Phi_alpha(s),   s_i = sum_t x_it (b_it - p_t(Y_t) - a_it x_it)

Only alpha = 0 falls apart into hours, and is one convex programme for a linear price. For alpha > 0 the surplus of a
user couples its hours; the sum over hours of what is concave in ln x need not be, so answers are certified by what the
machinery proves, which is a local optimum in general. Stated for alpha = 0, alpha >= 1 and max-min: between, who takes
part is a choice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium.errors import Refused
from equilibrium.scenarios import typical

SHARE = 0.3  # of what a user would buy alone at a rough price: where solvers begin


def hours(data: Any, alpha: str = "") -> pyo.ConcreteModel:
    """Aggregators share alpha-fairly what users gain in all hours."""
    table = data.tables["hourly_users"]
    fairness = {name: float(alpha or text) for name, text in data.tables["aggregators"]["alpha"].items()}
    model = pyo.ConcreteModel()
    model.curvature, model.first_value = (data.param("hourly_users", name) for name in ("curvature", "first_value"))
    model.price_intercept, model.price_slope = (
        data.param("hours", name) for name in ("price_intercept", "price_slope")
    )
    first = _start(data)
    owners = table.index.get_level_values("aggregator").unique()
    model.aggregator = pyo.Block(list(owners))
    for name in owners:
        keys = [key for key in table.index if key[0] == name]
        model.aggregator[name].x = pyo.Var(keys, within=pyo.NonNegativeReals, initialize={k: first[k] for k in keys})
    model.hour = pyo.Set(initialize=list(data.tables["hours"].index), ordered=True)
    model.total = pyo.Expression(
        model.hour, rule=lambda m, t: sum(b.x[k] for b in m.aggregator.values() for k in b.x if k[2] == t)
    )
    model.price = pyo.Expression(model.hour, rule=lambda m, t: m.price_intercept[t] + m.price_slope[t] * m.total[t])
    for name in owners:
        _payoff(model, model.aggregator[name], fairness[name])
    return model


def _start(data: Any) -> dict[Any, float]:
    """A share of what users would buy alone at a price found by bisection, hour by hour."""
    found: dict[Any, float] = {}
    for hour, rows in data.tables["hourly_users"].groupby(level="hour", sort=False):
        intercept, slope = (typical(data.tables["hours"].at[hour, name]) for name in ("price_intercept", "price_slope"))
        a, b = (np.array([typical(value) for value in rows[name]]) for name in ("curvature", "first_value"))
        low, high, wish = intercept, max(float(b.max()), intercept), 0.0 * b
        for _ in range(40):
            price = 0.5 * (low + high)
            wish = np.maximum(b - price, 0.01) / (2 * a + slope)
            low, high = (price, high) if intercept + slope * wish.sum() > price else (low, price)
        found |= dict(zip(rows.index, SHARE * wish, strict=True))
    return found


def _payoff(model: Any, block: Any, alpha: float) -> None:
    users = list(dict.fromkeys(key[:2] for key in block.x))
    gained: dict[Any, Any] = dict.fromkeys(users, 0)
    for k in block.x:
        gained[k[:2]] += (model.first_value[k] - model.price[k[2]] - model.curvature[k] * block.x[k]) * block.x[k]
    block.surplus = pyo.Expression(users, rule=lambda b, *key: gained[key])
    if alpha == 0 or len(users) == 1:
        fairness = sum(block.surplus[k] for k in users)
    elif alpha < 1:
        raise Refused("several hours are stated for alpha = 0 and alpha >= 1: between, who takes part is a choice")
    elif alpha == np.inf:
        block.smallest = pyo.Var(initialize=min(typical(pyo.value(block.surplus[k])) for k in users))
        block.equal = pyo.Constraint(users, rule=lambda b, *key: b.smallest <= b.surplus[key])
        fairness = block.smallest
    elif alpha == 1:
        fairness = sum(pyo.log(block.surplus[k]) for k in users)
    else:
        unfair = sum(pyo.exp((1 - alpha) * pyo.log(block.surplus[k])) for k in users)
        fairness = pyo.log(unfair) / (1 - alpha)  # rises with the sum of s^(1 - alpha) / (1 - alpha)
    block.payoff = pyo.Objective(expr=fairness, sense=pyo.maximize)


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit."""
    model = solved.model
    rows = []
    for t in model.hour:
        rows.append(("total", f"hour={t}", pyo.value(model.total[t]), "MWh"))
        rows.append(("price", f"hour={t}", pyo.value(model.price[t]), "EUR/MWh"))
    for name, block in model.aggregator.items():
        rows.append(("purchase", f"aggregator={name}", sum(pyo.value(x) for x in block.x.values()), "MWh"))
        for group, user in block.surplus:
            index = f"aggregator={group};user={user}"
            rows.append(("surplus", index, pyo.value(block.surplus[group, user]), "EUR"))
        for (group, user, t), x in block.x.items():
            rows.append(("consumption", f"aggregator={group};hour={t};user={user}", pyo.value(x), "MWh"))
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def row(solved: Any, gini: Callable[[np.ndarray], float]) -> dict[str, Any]:
    """What the comparison says of one alternative: over all hours."""
    model = solved.model
    s = np.array([pyo.value(value) for block in model.aggregator.values() for value in block.surplus.values()])
    return {
        "alternative": solved.alternative.name,
        "total [MWh]": float(sum(pyo.value(model.total[t]) for t in model.hour)),
        "average surplus [EUR]": float(s.mean()),
        "smallest surplus [EUR]": float(s.min()),
        "Gini of surplus [1]": gini(s),
    }


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit, as in ``values``."""
    model = solved.model
    rows, received = [], 0.0
    for name, block in model.aggregator.items():
        paid = sum(pyo.value(model.price[k[2]] * x) for k, x in block.x.items())
        gained = sum(pyo.value(s) for s in block.surplus.values())
        received += paid
        rows += [
            (f"aggregator {name}", "payment", -paid, "EUR"),
            (f"aggregator {name}", "utility", gained + paid, "EUR"),
        ]
    rows.append(("wholesale market", "payment", received, "EUR"))
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])
