"""When does a merchant's investment in storage help, and when does it harm?

**Question.** Storage buys in cheap hours and sells in dear ones, before generators with market power. How much of it
does a merchant build, how much would a welfare-maximising owner, how much a planner who also runs the plants?

**Players, prices, order of moves** are stated in ``two_period`` (the source's model) and ``schedule`` (any number of
periods), one function per structure. The owner moves first and sees the Cournot firms react, unless the structure's
name says otherwise; everybody moves the price.

**Symbols.** p = A - Z q inverse demand, b g + c g^2 / 2 a firm's cost, F energy charged per unit discharged, k (or P)
size, E energy, d operation, cost of size c_P P + c_E E + I P^2 / 2.

**Assumptions.** Periods of one hour; linear inverse demand; the price settles every hour; no network. Where demand is
net of output that must run, consumption may be negative: see ``accounts.warnings``.

**Source.** A. S. Siddiqui, R. Sioshansi and A. J. Conejo (2019), "Merchant storage investment in a restructured
electricity industry", The Energy Journal 40(4), from its appendix; corrections in
``docs/markets/storage_investment.md``.
"""

from __future__ import annotations

from math import inf
from typing import Any

from equilibrium.errors import Fault
from equilibrium.market import Column, Market, Structure, Study, Table

from . import accounts, figures, schedule, setting, study, summary, theory, two_period

SOURCE = Column("", "where the number comes from", kind=str, default="")
OWNERS = Column("", "number of identical owners", "M", kind=int, minimum=1, maximum=50, default=1)
MODES = Column(
    "",
    "whether a period may see only one of charge and discharge (exclusive), or both (free)",
    kind=str,
    choices=(schedule.EXCLUSIVE, schedule.FREE),
    default=schedule.EXCLUSIVE,
)

PERIODS = Table(
    "periods",
    "the hours of the horizon in their order; two of them: off-peak, then on-peak",
    ("period",),
    {
        "intercept": Column("EUR/MWh", "price at which nothing is bought", "A"),
        "slope": Column("EUR/MWh/GWh", "fall of the price with each GWh", "Z", minimum=0, open_minimum=True),
        "must_run": Column("GWh", "output that runs whatever the price, at no cost", "R", minimum=0, default=0.0),
        "source": SOURCE,
    },
    minimum_rows=2,
)
FIRMS = Table(
    "firms",
    "generators, one a row",
    ("firm",),
    {
        "cost": Column("EUR/MWh", "marginal cost at zero output", "b", minimum=0),
        "cost_slope": Column(
            "EUR/MWh/GWh", "rise of the firm's own marginal cost (N K in the source)", "c", minimum=0, default=0.0
        ),
        "capacity": Column("GW", "largest output", minimum=0, default=inf),
        "source": SOURCE,
    },
)
STORAGE = Table(
    "storage",
    "the one technology that every owner can build",
    ("technology",),
    {
        "charge_ratio": Column("1", "energy charged per energy discharged, 1/efficiency", "F", minimum=1, default=1.0),
        "power_cost": Column("kEUR/GW", "cost of power over the horizon", "c_P", minimum=0, default=0.0),
        "energy_cost": Column("kEUR/GWh", "cost of energy over the horizon", "c_E", minimum=0, default=0.0),
        "quadratic_cost": Column("kEUR/GW^2", "I in I P^2 / 2, over the horizon", "I", minimum=0, default=0.0),
        "charge_limit": Column(
            "1", "largest charge, as a multiple of the power", minimum=0, open_minimum=True, default=1.0
        ),
        "power_limit": Column("GW", "largest power of an owner", minimum=0, default=inf),
        "energy_limit": Column("GWh", "largest energy of an owner", minimum=0, default=inf),
        "source": SOURCE,
    },
)
INSTALLED = Table(
    "installed",
    "a storage that stands already",
    ("storage",),
    {
        "power": Column("GW", "power", minimum=0),
        "energy": Column("GWh", "energy", minimum=0),
        "source": SOURCE,
    },
    optional=True,
)
LEVELS = Table(
    "levels",
    "stored energy at both ends of the horizon; without this table the horizon is a cycle",
    ("storage",),
    {
        "start": Column("GWh", "level before the first period, of each owner", minimum=0),
        "end": Column("GWh", "level after the last period, of each owner", minimum=0),
        "source": SOURCE,
    },
    optional=True,
)
OWNERS_TABLE = Table(
    "owners",
    "who invests, where owners differ",
    ("owner",),
    {
        "kind": Column(
            "", "what an owner maximises: its profit, or welfare", kind=str, choices=("merchant", "welfare")
        ),
        "source": SOURCE,
    },
    optional=True,
)
POLICY = Table(
    "policy",
    "what a regulator pays and charges",
    ("policy",),
    {
        "subsidy": Column("kEUR/GWh", "paid on each GWh discharged; negative: a tax", "s", default=0.0),
        "ramping_charge": Column(
            "EUR/MWh", "paid by firms on the rise of output; negative: a subsidy", "r", default=0.0
        ),
        "source": SOURCE,
    },
    optional=True,
)


def check(data: Any) -> list[Fault]:
    """What no single cell shows: one row where there is one technology, levels that fit, an on-peak period that is
    one."""
    names = ("storage", "installed", "levels", "policy")
    faults = [
        Fault(f"{name}.csv", f"has one row; found {len(data.tables[name])}")
        for name in names
        if name in data.tables and len(data.tables[name]) != 1
    ]
    return faults or [*_levels_fit(data), *_second_is_peak(data)]


def _levels_fit(data: Any) -> list[Fault]:
    """Given levels must be within the largest energy."""
    if "levels" not in data.tables:
        return []
    limit = data.tables["storage"]["energy_limit"].iloc[0]
    given = data.tables["levels"].iloc[0]
    message = "more than an owner can store (energy_limit in storage.csv)"
    return [
        Fault("levels.csv", message, 2, name, f"{given[name]:g}", f"at most {limit:g}")
        for name in ("start", "end")
        if given[name] > limit
    ]


def _second_is_peak(data: Any) -> list[Fault]:
    """Two periods: A_2 > F A_1, which the source assumes."""
    periods = data.tables["periods"]
    if len(periods) != 2:
        return []
    ratio = data.tables["storage"]["charge_ratio"].iloc[0]
    first, second = (periods["intercept"] - periods["slope"] * periods["must_run"]).tolist()
    if second > ratio * first:
        return []
    message = (
        "the second period must be the peak, A_2 > F A_1 (intercepts net of must-run output, F = charge_ratio): "
        f"a unit discharged into it is worth at most {second:g}, the {ratio:g} units charged for it cost up to "
        f"{ratio * first:g}, so storing does not pay for its losses"
    )
    if first > ratio * second:
        message += "; the other way round it would: swap the two rows"
    least = ratio * first + float(periods["slope"].iloc[1] * periods["must_run"].iloc[1])
    found = float(periods["intercept"].iloc[1])
    return [Fault("periods.csv", message, 3, "intercept", f"{found:g}", f"above {least:g}")]


STRUCTURES = {
    "no_storage": Structure("the firms alone", setting.no_storage),
    "merchant": Structure(
        "two periods: profit-maximising owners before the firms", two_period.merchant, {"owners": OWNERS}
    ),
    "welfare_owner": Structure("two periods: a welfare-maximising owner before the firms", two_period.welfare_owner),
    "planner": Structure("two periods: a planner decides storage and all output", two_period.planner),
    "simultaneous_operation": Structure(
        "two periods: a merchant's size first, then operation and output at once", two_period.simultaneous_operation
    ),
    "open_loop": Structure("two periods: size, operation and output at once", two_period.open_loop),
    "installed_merchant": Structure(
        "two periods: a merchant operates a given storage", two_period.installed_merchant, needs=("installed",)
    ),
    "subsidised_merchant": Structure(
        "two periods: a merchant with a subsidy", two_period.subsidised_merchant, needs=("policy",)
    ),
    "ramping_merchant": Structure(
        "two periods: a merchant, firms pay for ramping", two_period.ramping_merchant, needs=("policy",)
    ),
    "merchant_schedule": Structure(
        "profit-maximising owners with a schedule before the firms",
        schedule.merchant_schedule,
        {"owners": OWNERS, "modes": MODES},
    ),
    "welfare_schedule": Structure(
        "a welfare-maximising owner with a schedule before the firms", schedule.welfare_schedule, {"modes": MODES}
    ),
    "mixed_schedule": Structure(
        "merchants and welfare-maximising owners with schedules before the firms",
        schedule.mixed_schedule,
        {"modes": MODES},
        needs=("owners",),
    ),
    "planner_schedule": Structure(
        "a planner decides schedule and all output", schedule.planner_schedule, {"modes": MODES}
    ),
    "installed_schedule": Structure(
        "a merchant schedules a given storage", schedule.installed_schedule, {"modes": MODES}, needs=("installed",)
    ),
    "open_loop_schedule": Structure(
        "owners with a schedule and firms at once", schedule.open_loop_schedule, {"owners": OWNERS}
    ),
}

market = Market(
    name="storage_investment",
    title="Storage investment over Cournot generators",
    source="A. S. Siddiqui, R. Sioshansi, A. J. Conejo (2019), Merchant storage investment in a restructured "
    "electricity industry",
    money="kEUR",
    parameters={},
    tables=(PERIODS, FIRMS, STORAGE, OWNERS_TABLE, INSTALLED, LEVELS, POLICY),
    structures=STRUCTURES,
    values=accounts.quantities,
    accounts=accounts.accounts,
    closed_form=theory.closed_form,
    check=check,
    summary=summary.tables,
    figures=figures.draw,
    studies={
        "critical_numbers": Study(
            "From how many firms on is a merchant's storage too large, harmful, not worth building? (two periods)",
            study.critical_numbers,
            study.draw,
        )
    },
)
