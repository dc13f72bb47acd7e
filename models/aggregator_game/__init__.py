"""Aggregators that share energy fairly among their users, and compete.

**Question.** Aggregators buy energy for their users at a price that rises with everybody's purchases, and share it so
as to maximise an alpha-fair sum of their users' surpluses: their total (alpha = 0), their product (1), the smallest
(infinity). What does each user get, what does fairness cost, and is there an equilibrium at all?

**Players and decisions.** One player per aggregator decides its users' consumption x_i >= 0. All move at once, and each
knows that it moves the price. A user may be an aggregator of its own (a "large user").

**Symbols.** a_i curvature and b_i first value of user i's utility b x - a x^2, s_i = x_i (b_i - p - a_i x_i) surplus,
y_j purchase of aggregator j, Y total, p(Y) = p0 + c Y^k price (c > 0, k >= 1).

**Assumptions.** Users do what their aggregator says, and have no other supplier. Beyond the source, as options: own
generation, limits on what a user buys, a cap on the price, several hours.

**Source.** J. Li, M. Motoki, B. Zhang, "Strategic and Fair Aggregator Interactions in Energy Markets: Multi-agent
Dynamics and Quasiconcave Games". Its claims that an equilibrium exists and is unique fail in stated instances, which
``tests/markets/test_aggregators_fast.py`` holds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.errors import Fault
from equilibrium.market import Column, Market, Structure, Study, Table

from . import convergence, feasible, figures, hourly, model, own, studies, values
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
    "whose energy is bought; utility is first_value x - curvature x^2 (CSV or Parquet)",
    ("aggregator", "user"),
    {
        "curvature": Column("EUR/MWh^2", "fall of the value, half of it", "a", minimum=0, open_minimum=True),
        "first_value": Column("EUR/MWh", "value of the first unit", "b", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
    optional=True,
)


DRAWS = Table(
    "draws",
    "users drawn at random, in equal consecutive parts for the aggregators that have none in table users; one row",
    ("draw",),
    {
        "users": Column("1", "how many", minimum=1, kind=int),
        "seed": Column("1", "of numpy's default generator; first all curvatures, then all first values", kind=int),
        "curvature_low": Column("EUR/MWh^2", "least curvature", minimum=0, open_minimum=True, default=0.1),
        "curvature_high": Column("EUR/MWh^2", "largest curvature", minimum=0, open_minimum=True, default=0.9),
        "first_value_low": Column("EUR/MWh", "least first value", minimum=0, default=0.0),
        "first_value_high": Column("EUR/MWh", "largest first value", minimum=0, open_minimum=True, default=10.0),
        "source": SOURCE,
    },
    optional=True,
)
GENERATION = Table(
    "generation",
    "users with own generation: e MWh cost cost x e^2; their surplus then counts what buying adds",
    ("aggregator", "user"),
    {"cost": Column("EUR/MWh^2", "of generation", "g", minimum=0, open_minimum=True), "source": SOURCE},
    optional=True,
)
LIMITS = Table(
    "limits",
    "the most users may buy",
    ("aggregator", "user"),
    {"maximum": Column("MWh", "limit on purchases", minimum=0, open_minimum=True), "source": SOURCE},
    optional=True,
)
HOURS = Table(
    "hours",
    "when users differ by hour: the price of each, intercept + slope x total",
    ("hour",),
    {
        "price_intercept": Column("EUR/MWh", "price if nobody buys", default=0.0),
        "price_slope": Column("EUR/MWh^2", "rise of the price with purchases", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
    optional=True,
)
HOURLY_USERS = Table(
    "hourly_users",
    "users whose values differ by hour",
    ("aggregator", "user", "hour"),
    {
        "curvature": Column("EUR/MWh^2", "fall of the value, half of it", "a", minimum=0, open_minimum=True),
        "first_value": Column("EUR/MWh", "value of the first unit", "b", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
    optional=True,
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
    aggregators = data.tables["aggregators"]
    faults = [
        Fault("aggregators.csv", "alpha is no number of at least 0", None, f"alpha[{name}]", value, FAIRNESS)
        for name, value in aggregators["alpha"].items()
        if number(value) is None
    ]
    draws = data.tables.get("draws")
    if draws is not None:
        faults += _draws(draws)
    users = data.tables.get("users")
    if users is None and "hourly_users" in data.tables:
        return faults + _hours(data)
    groups = pd.Index([]) if users is None else users.index.levels[0][np.bincount(users.index.codes[0]) > 0]
    faults += [
        Fault("users", "there is no such aggregator", None, "aggregator", str(name), ", ".join(aggregators.index[:20]))
        for name in groups[~groups.isin(aggregators.index)]
    ]
    bare, drawn = (
        aggregators.index[~aggregators.index.isin(groups)],
        int(draws["users"].iloc[0]) if draws is not None else 0,
    )
    if drawn and len(bare) == 0:
        message = "users are drawn, but every aggregator has its own in table users"
        faults.append(Fault("draws.csv", message, None, "users", str(drawn)))
    faults += [
        Fault("aggregators.csv", "the aggregator has no users", None, "aggregator", str(name)) for name in bare[drawn:]
    ]
    for name in ("generation", "limits"):
        if name in data.tables:
            keys = data.tables[name].index
            for key in keys if users is None else keys[~keys.isin(users.index)]:
                faults.append(
                    Fault(f"{name}.csv", "there is no such user in table users", None, "user", ", ".join(key))
                )
    return faults + (_in_several(users) if users is not None else [])


def _draws(draws: pd.DataFrame) -> list[Fault]:
    """One row, and limits in their order."""
    faults = [] if len(draws) == 1 else [Fault("draws.csv", f"one row is needed, there are {len(draws)}")]
    for name in ("curvature", "first_value"):
        if (draws[f"{name}_low"] > draws[f"{name}_high"]).any():
            faults.append(Fault("draws.csv", f"{name}_low is above {name}_high"))
    return faults


def _hours(data: Any) -> list[Fault]:
    """Users by hour: aggregators and hours that are known, and nobody without users."""
    keys, faults = data.tables["hourly_users"].index, []
    known = {"aggregator": data.tables["aggregators"].index, "hour": data.tables.get("hours", pd.DataFrame()).index}
    for column, right in known.items():
        named = keys.get_level_values(column).unique()
        for name in named[~named.isin(right)]:
            faults.append(Fault("hourly_users.csv", f"there is no such {column}", None, column, str(name)))
    bare = known["aggregator"][~known["aggregator"].isin(keys.get_level_values("aggregator"))]
    faults += [Fault("aggregators.csv", "the aggregator has no users", None, "aggregator", str(n)) for n in bare]
    pairs = keys.droplevel("hour").unique()
    for name in pairs.get_level_values("user")[pairs.get_level_values("user").duplicated()].unique():
        faults.append(Fault("hourly_users.csv", "the user belongs to several aggregators", None, "user", str(name)))
    return faults


def _in_several(users: pd.DataFrame) -> list[Fault]:
    """Users that belong to more than one aggregator."""
    if np.bincount(users.index.codes[1]).max(initial=0) <= 1:
        return []
    groups, names = (users.index.get_level_values(level) for level in (0, 1))
    found = []
    for name in names[names.duplicated()].unique()[:20]:
        where = ", ".join(map(str, groups[np.asarray(names == name)]))
        found.append(Fault("users", f"the user belongs to several aggregators: {where}", None, "user", str(name)))
    return found


OPTIONS = {
    "alpha": Column("1", f"fairness of all aggregators in the place of their own: {FAIRNESS}", kind=str, default=""),
    "membership": Column("", "membership rule of all, in the place of their own", kind=str, default=""),
    "price_cap": Column("EUR/MWh", "the price goes no higher", minimum=0, open_minimum=True, default=math.inf),
}

STUDIES = {
    "feasible_set": Study(
        "What can one aggregator give two users, and where does each fairness lie?",
        feasible.feasible_set,
        figures.feasible_set,
    ),
    "convergence": Study(
        "Do best responses settle, in turn and all at once?", convergence.convergence, figures.convergence
    ),
    "large_user": Study(
        "What do small users lose to a large one beside them (50 draws)?", studies.large_user, figures.large_user
    ),
    "allocation_rules": Study(
        "What do small users get by each allocation rule and membership rule, and how is it spread (50 draws)?",
        studies.allocation_rules,
        figures.allocation_rules,
    ),
    "alpha": Study("What does fairness cost, of both aggregators or of one (10 draws)?", studies.alpha, figures.alpha),
    "number_of_aggregators": Study(
        "Are users better off in few or in many aggregators (10 draws)?",
        studies.number_of_aggregators,
        figures.number_of_aggregators,
    ),
}

market = Market(
    name="aggregator_game",
    title="Aggregators with alpha-fair allocation",
    source="J. Li, M. Motoki, B. Zhang, Strategic and Fair Aggregator Interactions in Energy Markets",
    parameters=PARAMETERS,
    tables=(AGGREGATORS, USERS, DRAWS, GENERATION, LIMITS, HOURS, HOURLY_USERS),
    structures={
        "aggregators": Structure(
            "aggregators share alpha-fairly and compete",
            model.aggregators,
            OPTIONS,
            respond=own.aggregators,
            respond_together=own.aggregators_together,
        ),
        "hours": Structure(
            "aggregators share alpha-fairly what users gain over several hours",
            hourly.hours,
            {"alpha": OPTIONS["alpha"]},
            needs=("hours", "hourly_users"),
        ),
        "alone": Structure(
            "every user buys for itself",
            model.alone,
            {"price_cap": OPTIONS["price_cap"]},
            respond=own.alone,
            respond_together=own.alone_together,
        ),
    },
    values=values.quantities,
    accounts=values.accounts,
    check=check,
    summary=values.tables,
    studies=STUDIES,
)
