"""Interconnected countries with demand response.

**Question.** Countries sell each other electricity over limited links. One of them makes its consumers respond. Who
gains: its consumers, its producers, its neighbours, all together?

**Players, prices, order of moves** are stated in ``readings``, one function per reading of the paper's cost: each is a
plain Pyomo model. All move at once and take prices; a firm may be given a conjecture of how it moves them
(``conduct``).

**Symbols.** a + b x marginal cost of a plant, K its capacity, Cap limit of a link, D inelastic demand of value Pbar, c
- d Q inverse elastic demand, gamma intensity of demand response, lam price, P congestion price, r capacity rent.

**Assumptions.** Plants are paid the price at the destination; perfect competition unless conjectures are given. Hours
are independent. Half of the rent of every link belongs to each of its ends.

**Source.** C. Clastres and H. Khalfallah (2014), "An analytical approach for elasticity of demand activation with
demand response mechanisms", halshs-01019679. What had to be corrected: ``docs/markets/coupled_countries.md``.
"""

from __future__ import annotations

import math
from typing import Any

from equilibrium.errors import Fault
from equilibrium.market import Column, Market, Structure, Study, Table

from . import (
    accounts,
    checks,
    conduct,
    figures,
    operators,
    readings,
    regions,
    shares,
    statics,
    study,
    study_figures,
    summary,
    theory,
    values,
)

SOURCE = Column("", "where the number comes from", kind=str, default="")
HOUR = Column("", "number of the hour", kind=int, minimum=0)
PLACEMENTS = ("demand", "plant", "local")

PLANTS = Table(
    "plants",
    "plants of every country; cost of x MW for an hour: intercept x + slope x^2/2",
    ("country", "plant"),
    {
        "intercept": Column("EUR/MWh", "marginal cost of the first MW", "a"),
        "slope": Column("EUR/MWh/MW", "rise of marginal cost with each MW", "b", minimum=0),
        "capacity": Column("MW", "capacity; empty: no limit", "K", minimum=0, default=math.inf),
        "firm": Column("", "who owns it; empty: the firm called like the country", kind=str, default=""),
        "source": SOURCE,
    },
    optional=True,
)
FLEETS = Table(
    "fleets",
    "plants of a country by a geometric law instead of rows: plant t = 1, 2, ... has intercept a alpha^(t-1) and slope "
    "b alpha^(t-1), and is named t1, t2, ...",
    ("country",),
    {
        "intercept": Column("EUR/MWh", "marginal cost of the first MW of the cheapest plant", "a"),
        "slope": Column("EUR/MWh/MW", "rise of its marginal cost with each MW", "b", minimum=0),
        "ratio": Column("1", "each plant's numbers over those of the one before", "alpha", minimum=1),
        "plants": Column("", "number of plants", "T", kind=int, minimum=1),
        "capacity": Column("MW", "capacity of each plant; empty: no limit", "K", minimum=0, default=math.inf),
        "source": SOURCE,
    },
    optional=True,
)
AVAILABILITY = Table(
    "availability",
    "share of a plant's capacity that is there in an hour; plants and hours without a row are there in full",
    ("country", "plant", "hour"),
    {"hour": HOUR, "share": Column("1", "share of the capacity", minimum=0, maximum=1), "source": SOURCE},
    optional=True,
)
LOST_LOAD = Table(
    "lost_load",
    "a last plant of the country: inelastic demand may go without, which costs its value",
    ("country",),
    {"value": Column("EUR/MWh", "value of lost load", "VoLL", minimum=0), "source": SOURCE},
    optional=True,
)
LINKS = Table(
    "links",
    "one row per direction; countries without a row do not trade directly",
    ("from", "to"),
    {
        "capacity": Column(
            "MW", "limit on what is sold in this direction; empty: none", "Cap", minimum=0, default=math.inf
        ),
        "toll": Column("EUR/MWh", "resources used by each MWh sent", "tau", minimum=0, default=0.0),
        "source": SOURCE,
    },
    optional=True,
)
INELASTIC = Table(
    "inelastic_demand",
    "demand that does not respond",
    ("country", "hour"),
    {
        "hour": HOUR,
        "quantity": Column("MW", "demand", "D", minimum=0),
        "value": Column("EUR/MWh", "what a MWh of it is worth", "Pbar"),
        "source": SOURCE,
    },
    optional=True,
)
ELASTIC = Table(
    "elastic_demand",
    "demand that responds: retail price = intercept - slope consumption",
    ("country", "hour"),
    {
        "hour": HOUR,
        "intercept": Column("EUR/MWh", "price at which nothing is bought", "c"),
        "slope": Column("EUR/MWh/MW", "fall of the price with each MW", "d", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
    optional=True,
)
REFERENCE = Table(
    "reference_demand",
    "elastic demand by its elasticity at a point, instead of intercept and slope: the line through the point",
    ("country", "hour"),
    {
        "hour": HOUR,
        "price": Column("EUR/MWh", "retail price at the point", "p0", minimum=0, open_minimum=True),
        "quantity": Column("MW", "consumption at the point", "Q0", minimum=0, open_minimum=True),
        "elasticity": Column(
            "1", "relative change of consumption over that of the price", "eps", maximum=0, open_maximum=True
        ),
        "source": SOURCE,
    },
    optional=True,
)
RESPONSE = Table(
    "demand_response",
    "what making demand respond costs: intensity/2 times a quantity squared for an hour",
    ("country",),
    {
        "intensity": Column("EUR/MWh/MW", "slope that it adds", "gamma", minimum=0),
        "placement": Column(
            "",
            "quantity it is paid on: consumption of the country (demand), every sale of its plants (plant), their "
            "sales at home (local; separable reading only)",
            kind=str,
            default="demand",
            choices=PLACEMENTS,
        ),
        "source": SOURCE,
    },
    optional=True,
)
CONJECTURES = Table(
    "conjectures",
    "firms that believe they move prices, by market; without a row a firm takes the price",
    ("firm", "country"),
    {
        "conjecture": Column(
            "1",
            "share of the fall of the price along demand that the firm expects from selling more: 0 price taking, 1 "
            "Cournot",
            "theta",
            minimum=0,
            maximum=1,
        ),
        "source": SOURCE,
    },
    optional=True,
)
HOURS = Table(
    "hours",
    "how long each hour counts; without this table every hour counts once",
    ("hour",),
    {"hour": HOUR, "weight": Column("h", "duration", "w", minimum=0, open_minimum=True), "source": SOURCE},
    optional=True,
)
WHEN = Column(
    "",
    "before: a country with inelastic demand has it, and no demand response; after: a country with elastic demand has "
    "it, with demand response; baseline: elastic demand, no demand response",
    kind=str,
    default="after",
    choices=("before", "after", "baseline"),
)
CONDUCT = Column(
    "",
    "conjectured: firms have the conjectures of their table; price_taking: nobody moves a price",
    kind=str,
    default="conjectured",
    choices=("conjectured", conduct.TAKING),
)
COST = Column(
    "",
    "joint: a plant has one cost of its output; separable: one for each destination",
    kind=str,
    default="joint",
    choices=("joint", "separable"),
)
CHOICES = {"demand": WHEN, "conduct": CONDUCT}


def check(data: Any) -> list[Fault]:
    """What no single cell shows: every country has demand in every hour, links join known countries, hours are known.

    Also: demand response without elastic demand, which would respond to nothing; plants or demand given twice.
    """
    faults = []
    countries, hours, known = readings.countries(data), readings.hours(data), readings.demands(data)
    for country in countries:
        missing = [str(h) for h in hours if (country, h) not in known]
        if missing:
            where = "inelastic_demand.csv, elastic_demand.csv or reference_demand.csv"
            faults.append(Fault(where, f"no demand of {country} in hour {', '.join(missing)}"))
    faults += [
        Fault("links.csv", "a country that has neither plants nor demand", None, "to", f"{n} to {m}")
        for n, m in readings.links(data)
        if not {n, m} <= set(countries)
    ]
    faults += [
        Fault("links.csv", "a link must join two countries", None, "to", f"{n} to {m}")
        for n, m in readings.links(data)
        if n == m
    ]
    if "hours" in data.tables:
        absent = [str(h) for h in hours if h not in data.tables["hours"].index]
        if absent:
            faults.append(Fault("hours.csv", f"no weight of hour {', '.join(absent)}"))
    elastic = {country for country, _ in readings.elastic_keys(data)}
    faults += [
        Fault("demand_response.csv", "demand response without elastic demand", None, "country", country)
        for country in readings.keys(data, "demand_response")
        if country not in elastic
    ]
    return [*faults, *checks.faults_of_inputs(data, countries, hours), *conduct.check(data)]


market = Market(
    name="coupled_countries",
    title="Interconnected countries with demand response",
    source="C. Clastres and H. Khalfallah (2014), An analytical approach for elasticity of demand activation "
    "with demand response mechanisms, halshs-01019679",
    parameters={},
    tables=(
        PLANTS,
        FLEETS,
        AVAILABILITY,
        LOST_LOAD,
        LINKS,
        INELASTIC,
        ELASTIC,
        REFERENCE,
        RESPONSE,
        CONJECTURES,
        HOURS,
    ),
    structures={
        "separable": Structure(
            "a plant has a cost for each destination it sells to, as the paper's Appendix 3 differentiates it",
            readings.separable,
            CHOICES,
        ),
        "joint": Structure(
            "a plant has one cost of its output, sold by destination over direct links",
            readings.joint,
            CHOICES,
        ),
        "netted": Structure(
            "a plant has one cost of its output, sold at home; link operators trade, transit is possible",
            readings.netted,
            CHOICES,
        ),
        "own_balance": Structure(
            "operators that mind only the balance of their own country, as Appendix 2 prints it: nobody exports",
            operators.own_balance,
            {"demand": WHEN, "cost": COST},
        ),
    },
    values=values.quantities,
    accounts=accounts.accounts,
    closed_form=theory.closed_form,
    summary=summary.tables,
    check=check,
    figures=figures.draw,
    studies={
        "demand_response": Study(
            "Up to which intensity does demand response raise welfare, or consumer surplus?",
            study.demand_response,
            study_figures.of_response,
        ),
        "comparative_statics": Study(
            "Does the least consumption at which demand response costs no welfare rise or fall with each number?",
            statics.comparative_statics,
        ),
        "regions": Study(
            "How far can consumption fall without a loss, over planes of costs, demand and neighbours' capacity?",
            regions.regions,
            study_figures.of_regions,
        ),
        "shares": Study(
            "How does each plant divide its output between home and abroad as demand moves between two countries?",
            shares.shares,
            study_figures.of_shares,
        ),
    },
)
