"""Aggregators that share energy fairly among their users, and compete.

**Question.** Aggregators buy energy for their users at a price that rises with everybody's purchases, and share it so
as to maximise an alpha-fair sum of their users' surpluses: their total (alpha = 0), their product (1), the smallest
(infinity). What does each user get, what does fairness cost, and is there an equilibrium at all?

**Players and decisions.** One player per aggregator decides its users' consumption x_i >= 0. All move at once, and each
knows that it moves the price. A user may be an aggregator of its own (a "large user").

**Symbols.** a_i curvature and b_i first value of user i's utility b x - a x^2, s_i = x_i (b_i - p - a_i x_i) surplus,
y_j purchase of aggregator j, Y total, p(Y) = p0 + c Y^k price (c > 0, k >= 1).

**Assumptions.** Users do what their aggregator says, and have no other supplier. No generation, no limits on
consumption, one period.

**Source.** J. Li, M. Motoki, B. Zhang, "Strategic and Fair Aggregator Interactions in Energy Markets: Multi-agent
Dynamics and Quasiconcave Games". Its claims that an equilibrium exists and is unique fail in stated instances, which
``tests/markets/test_aggregators_fast.py`` holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from equilibrium.errors import Fault
from equilibrium.market import Column, Market, Structure, Table

from . import model, own, values
from .membership import RULES

SOURCE = Column("", "where the number comes from", kind=str, default="")
FAIRNESS = "0 (total surplus), 1 (proportional), inf (max-min) or any number between"

PARAMETERS = {
    "price_intercept": Column("EUR/MWh", "price if nobody buys", "p0", default=0.0),
    "price_slope": Column("EUR/MWh/MWh^k", "rise of the price with total purchases", "c", minimum=0, open_minimum=True),
    "price_exponent": Column("1", "convexity of the price: 1 linear", "k", minimum=1, default=1.0),
}
AGGREGATORS = Table(
    "aggregators",
    "who buys, and how fairly",
    ("aggregator",),
    {
        "alpha": Column("1", f"fairness: {FAIRNESS}", "alpha", kind=str),
        "membership": Column(
            "",
            "whom an aggregator with alpha >= 1 plays for: all its users (literal), those that would buy without "
            "aggregators (filtered), as many as allow an equilibrium (maximal)",
            kind=str,
            default="literal",
            choices=RULES,
        ),
        "source": SOURCE,
    },
)
USERS = Table(
    "users",
    "whose energy is bought; utility is first_value x - curvature x^2",
    ("aggregator", "user"),
    {
        "curvature": Column("EUR/MWh^2", "fall of the value, half of it", "a", minimum=0, open_minimum=True),
        "first_value": Column("EUR/MWh", "value of the first unit", "b", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
)


def number(text: str) -> float | None:
    """alpha as a number (``inf`` for max-min); None if it is none, or negative."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value >= 0 else None


def check(data: Any) -> list[Fault]:
    """What no single cell shows: alpha is a number, users belong to one aggregator each, nobody stands alone."""
    aggregators, users = data.tables["aggregators"], data.tables["users"]
    faults = [
        Fault("aggregators.csv", "alpha is no number of at least 0", None, f"alpha[{name}]", value, FAIRNESS)
        for name, value in aggregators["alpha"].items()
        if number(value) is None
    ]
    groups = users.index.get_level_values("aggregator")
    known = groups.unique()
    faults += [
        Fault("users", "there is no such aggregator", None, "aggregator", str(name), ", ".join(aggregators.index[:20]))
        for name in known[~known.isin(aggregators.index)]
    ]
    faults += [
        Fault("aggregators.csv", "the aggregator has no users", None, "aggregator", str(name))
        for name in aggregators.index[~aggregators.index.isin(known)]
    ]
    names = users.index.get_level_values("user")
    for name in names[names.duplicated()].unique()[:20]:
        where = ", ".join(map(str, groups[np.asarray(names == name)]))
        faults.append(Fault("users", f"the user belongs to several aggregators: {where}", None, "user", str(name)))
    return faults


OPTIONS = {
    "alpha": Column("1", f"fairness of all aggregators in the place of their own: {FAIRNESS}", kind=str, default=""),
    "membership": Column("", "membership rule of all, in the place of their own", kind=str, default=""),
}

market = Market(
    name="aggregator_game",
    title="Aggregators with alpha-fair allocation",
    source="J. Li, M. Motoki, B. Zhang, Strategic and Fair Aggregator Interactions in Energy Markets",
    parameters=PARAMETERS,
    tables=(AGGREGATORS, USERS),
    structures={
        "aggregators": Structure(
            "aggregators share alpha-fairly and compete", model.aggregators, OPTIONS, respond=own.aggregators
        ),
        "alone": Structure("every user buys for itself", model.alone, respond=own.alone),
    },
    values=values.quantities,
    accounts=values.accounts,
    check=check,
    summary=values.tables,
)
