"""A local flexibility market: the operator of a distribution network buys shifted charging from aggregators.

**Question.** Aggregators declare when their electric vehicles will charge. Where that overloads a feeder, the operator
buys, from bids, that charging is moved to other hours. What does relief cost, who is paid what, and who is
indispensable?

**Players, prices, order of moves.** ``structures``: the operator clears bids at least cost on every day (``clearing``,
``vehicles``); price-taking aggregators choose baselines (``competitive``). The clearing itself is stated in
``clearing``, a linear programme that takes its limits as numbers or as somebody else's decisions. Wholesale prices are
given.

**Symbols.** t period, f feeder, u unit (fleet or vehicle), a aggregator, d day; L load, K rating, pi wholesale price, s
baseline, m mark-up, O = max(0, net - K dt) requirement, R = max(0, K dt - net) room, c_alt cost of what no bid
relieves.

**Assumptions.** Bids are the signed wholesale difference plus a mark-up; energy is conserved; days are independent;
feeders do not influence each other.

**Source.** R. Hennig, S. Tindemans, L. De Vries (2022), "Market failures in local flexibility market proposals for
distribution network congestion management", EEM. What is printed there, what is inferred, and errata:
``docs/markets/local_flexibility.md``.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from equilibrium.market import Column, Market, Structure, Table

from . import accounts, checks, figures, strategic, structures, study, summary, values

SOURCE = Column("", "where the number comes from", kind=str, default="")

PARAMETERS = {
    "alternative_cost": Column(
        "EUR/kWh", "cost of each kWh that no bid relieves (load shed, reinforcement)", "c_alt", minimum=0, default=10.0
    ),
    "offer_step": Column(
        "kWh", "whole multiples of it are offered (offers=whole)", minimum=0, open_minimum=True, default=1.0
    ),
    "minimum_bid": Column("kWh", "a fleet's offer below it is not admitted", minimum=0, default=0.0),
}

PERIODS = Table(
    "periods",
    "time steps in their order",
    ("period",),
    {
        "duration": Column("h", "length", "dt", minimum=0, open_minimum=True, default=1.0),
        "price": Column("EUR/kWh", "day-ahead wholesale price", "pi"),
        "source": SOURCE,
    },
    minimum_rows=2,
)
FEEDERS = Table(
    "feeders",
    "feeders with their transformers, in every scenario",
    ("scenario", "feeder"),
    {
        "rating": Column("kW", "rated capacity", "K", minimum=0),
        "feed_in": Column("kW", "most that may be fed in; empty: no limit", "F", minimum=0, default=inf),
        "source": SOURCE,
    },
)
POINTS = Table(
    "points",
    "congestion points that several feeders load, in every scenario",
    ("scenario", "point"),
    {"rating": Column("kW", "rated capacity", minimum=0), "source": SOURCE},
    optional=True,
)
SENSITIVITIES = Table(
    "sensitivities",
    "how much of a feeder's net load a point carries; none without a row",
    ("point", "feeder"),
    {
        "sensitivity": Column("1", "load of the point per load of the feeder", "g", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
    optional=True,
)
DAYS = Table(
    "days",
    "days that may come, in every scenario",
    ("scenario", "day"),
    {"probability": Column("1", "probability", "P", minimum=0, maximum=1, default=1.0), "source": SOURCE},
)
LOADS = Table(
    "loads",
    "inflexible load; negative where more is fed in than used",
    ("day", "feeder", "period"),
    {"load": Column("kW", "inflexible load", "L"), "source": SOURCE},
)
AGGREGATORS = Table(
    "aggregators",
    "who bids, in every scenario",
    ("scenario", "aggregator"),
    {
        "markup": Column("EUR/kWh", "what is asked beyond the wholesale difference", "m"),
        "strategic": Column(
            "", "whether it chooses plan and mark-up in studies", kind=str, default="no", choices=("yes", "no")
        ),
        "source": SOURCE,
    },
)
FLEETS = Table(
    "fleets",
    "vehicles of one aggregator at one feeder, taken together",
    ("scenario", "fleet"),
    {
        "aggregator": Column("", "whose they are", kind=str),
        "feeder": Column("", "where they charge", kind=str),
        "vehicles": Column("1", "number of vehicles", "N", kind=int, minimum=0),
        "charger": Column("kW", "rating of one charger", "Pmax", minimum=0),
        "energy": Column("kWh", "what one vehicle needs", "E", minimum=0),
        "lot": Column("kWh", "indivisible lot (offers=lots); 0: what one charger delivers", minimum=0, default=0.0),
        "source": SOURCE,
    },
    optional=True,
)
BASELINES = Table(
    "baselines",
    "what a fleet declares that it will charge; nothing in periods without a row",
    ("scenario", "fleet", "period"),
    {
        "energy": Column("kWh", "declared charging", "s", minimum=0),
        "plugged_in": Column("1", "vehicles that can charge if asked; empty: all", "N_t", minimum=0, default=inf),
        "source": SOURCE,
    },
    optional=True,
)
ENVELOPES = Table(
    "envelopes",
    "most that a fleet charges of its own accord; without a row its chargers' output",
    ("scenario", "fleet", "period"),
    {"energy": Column("kWh", "most that is charged", "U", minimum=0), "source": SOURCE},
    optional=True,
)
AVAILABILITY = Table(
    "availability",
    "what a fleet's vehicles can truly charge; without a row all that it declares",
    ("scenario", "fleet", "period"),
    {"energy": Column("kWh", "most that can be charged", "r", minimum=0), "source": SOURCE},
    optional=True,
)
VEHICLES = Table(
    "vehicles",
    "single vehicles",
    ("vehicle",),
    {
        "feeder": Column("", "where it charges", kind=str),
        "portfolio": Column("", "contract it belongs to", kind=str),
        "charger": Column("kW", "rating of its charger", minimum=0),
        "energy": Column("kWh", "what it needs", minimum=0),
        "arrival": Column("", "first period in which it is plugged in", kind=str),
        "departure": Column("", "first period in which it is gone", kind=str),
        "source": SOURCE,
    },
    optional=True,
)
PORTFOLIOS = Table(
    "portfolios",
    "which aggregator holds a contract, in every scenario",
    ("scenario", "portfolio"),
    {"aggregator": Column("", "who holds it", kind=str), "source": SOURCE},
    optional=True,
)
CHARGING = Table(
    "charging",
    "what a vehicle declares that it will charge; nothing in periods without a row",
    ("vehicle", "period"),
    {"energy": Column("kWh", "declared charging", "s", minimum=0), "source": SOURCE},
    optional=True,
)

SCENARIO = Column("", "which rows of the tables; the first scenario if not given", kind=str, default="")
OFFERS = Column(
    "",
    "whole: multiples of offer_step of what was declared; continuous: any part of it; lots: indivisible parts",
    kind=str,
    default="whole",
    choices=("whole", "continuous", "lots"),
)
SETTLEMENT = Column(
    "",
    "what accepted bids are paid: their price (pay_as_bid), the marginal one (pay_as_cleared), the marginal one less "
    "the price of payback room (pay_as_cleared_net), or by what they save (vcg)",
    kind=str,
    default="pay_as_bid",
    choices=("pay_as_bid", "pay_as_cleared", "pay_as_cleared_net", "vcg"),
)

AGGREGATOR = Column("", "who is strategic", kind=str)
DELIVERY = Column(
    "",
    "enforced: what is declared and not moved is charged; penalised: it may be left out, at the penalty",
    kind=str,
    default="enforced",
    choices=("enforced", "penalised"),
)

PENALTY = Column("EUR/kWh", "on declared charging that is left out", "rho", minimum=0, default=0.0)
MARKUP_CAP = Column("EUR/kWh", "no mark-up of a strategic aggregator is above it", minimum=0, default=inf)

STRUCTURES = {
    "clearing": Structure(
        "the operator clears bids of fleets",
        structures.clearing,
        {"scenario": SCENARIO, "offers": OFFERS, "settlement": SETTLEMENT},
        needs=("fleets", "baselines"),
    ),
    "vehicles": Structure(
        "the operator clears bids of single vehicles",
        structures.vehicles,
        {"scenario": SCENARIO, "offers": replace(OFFERS, default="continuous"), "settlement": SETTLEMENT},
        needs=("vehicles", "portfolios", "charging"),
    ),
    "competitive": Structure(
        "fleets charge where the wholesale price is lowest",
        structures.competitive,
        {"scenario": SCENARIO},
        needs=("fleets", "baselines"),
    ),
    "strategic": Structure(
        "an aggregator declares its baselines with the clearing in mind",
        strategic.strategic,
        {
            "scenario": SCENARIO,
            "offers": replace(OFFERS, choices=("whole", "continuous")),
            "aggregator": AGGREGATOR,
            "delivery": DELIVERY,
            "penalty": PENALTY,
            "markup_cap": MARKUP_CAP,
            "settlement": replace(SETTLEMENT, choices=("pay_as_bid", "vcg")),
        },
        needs=("fleets", "baselines"),
    ),
}

market = Market(
    name="local_flexibility",
    title="Local flexibility market of a distribution network",
    source="R. Hennig, S. Tindemans, L. De Vries (2022), Market failures in local flexibility market proposals for "
    "distribution network congestion management",
    parameters=PARAMETERS,
    tables=(
        PERIODS,
        FEEDERS,
        POINTS,
        SENSITIVITIES,
        DAYS,
        LOADS,
        AGGREGATORS,
        FLEETS,
        BASELINES,
        ENVELOPES,
        AVAILABILITY,
        VEHICLES,
        PORTFOLIOS,
        CHARGING,
    ),
    structures=STRUCTURES,
    values=values.quantities,
    accounts=accounts.accounts,
    check=checks.check,
    summary=summary.tables,
    figures=figures.draw,
    studies=study.STUDIES,
)
