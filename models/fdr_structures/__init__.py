"""Who should control flexible distribution resources?

**Question.** Households have energy that can be taken in either of two periods. Somebody buys it for them. Depending
on who that is (nobody, the distribution system operator, competing aggregators, a generator), how much of it is taken
off-peak, and what does the system cost?

**Players, prices, order of moves** are stated in ``structures``, one function per structure: each is a plain Pyomo
model. All move at once; the price is moved by every buyer in every structure except ``price_taking``. Passive
households are a rule.

**Symbols.** x1 < x2 demand off-peak and peak, S flexible energy, s the part taken off-peak, C(q) = a q + b
q^(2+sigma) the cost of the price-taking producers, P = C' the inverse supply, A aggregators with shares L_a, y the
fixed output of a generator.

**Assumptions.** Demand is inelastic; the network does not bind; flexible energy costs nothing to move; fees are
constants.

**Source.** T. P. Tangeras (2023), "Competition for flexible distribution resources in a 'smart' electricity
distribution network", sections 2 and 3. Where its formulas or claims had to be corrected:
``docs/markets/fdr_structures.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from equilibrium.errors import Fault
from equilibrium.market import Column, Market, Structure, Study, Table

from . import (
    accounts,
    batteries,
    figures,
    integration,
    own,
    pay_as_bid,
    power_figures,
    region,
    strategic,
    strategic_theory,
    structures,
    summary,
    theory,
)

SHARES_SUM = 1e-9  # how far shares may be from one (a table of thirds written with twelve digits)

SOURCE = Column("", "where the number comes from", kind=str, default="")
NETTED = Column(
    "",
    "take the generator's fixed output off demand, so that costs compare with the generator/aggregator",
    kind=str,
    default="no",
    choices=("no", "yes"),
)
AGGREGATORS = Column("", "number of aggregators", "A", kind=int, minimum=1, maximum=200, default=2)
SEVERAL = Column("", "number of aggregators, the DSO's own included", "A", kind=int, minimum=2, maximum=200, default=2)
TIMING = Column(
    "",
    "who moves when: N all at once, L loads first, H the peak's generation last",
    kind=str,
    default="N",
    choices=("N", "L", "H"),
)
LOADS_FIRST = Column("", "who moves when: N all at once, L loads first", kind=str, default="N", choices=("N", "L"))
OWNER = Column(
    "",
    "name of the generator that owns the aggregator; where there is one generator, that one if not given",
    kind=str,
    default="",
)
SHARING = Column(
    "",
    "who pays what: pro_rata C(q)/q for each MWh, increment what a load adds to the cost",
    kind=str,
    default=pay_as_bid.PRO_RATA,
    choices=(pay_as_bid.PRO_RATA, pay_as_bid.INCREMENT),
)
MIXED_TIMING = Column(
    "",
    "who moves when: N all at once, L the DSO first, E generators commit energy and the DSO says when",
    kind=str,
    default="N",
    choices=("N", "L", "E"),
)

PARAMETERS = {
    "flexible_energy": Column("MWh", "energy that may be taken in any period", "S", minimum=0, open_minimum=True),
    "cost_linear": Column("EUR/MWh", "linear cost of the producers", "a", default=0.0),
    "cost_power": Column(
        "EUR/MWh^(2+sigma)", "cost of the producers on q^(2+sigma)", "b", minimum=0, open_minimum=True
    ),
    "cost_exponent": Column(
        "1", "convexity of supply: 0 linear, 1 quadratic", "sigma", minimum=0, maximum=1, default=0.0
    ),
    "dso_share": Column(
        "1",
        "share of the flexible energy in the DSO's own aggregator",
        "L",
        minimum=0,
        maximum=1,
        open_minimum=True,
        open_maximum=True,
        default=0.5,
    ),
    "rivals_limit": Column(
        "MWh",
        "most that rivals may take in a period where the DSO dispatches them",
        minimum=0,
        open_minimum=True,
        default=inf,
    ),
    "battery_efficiency": Column(
        "1",
        "what is left of energy on the way in, and again on the way out",
        "eta",
        minimum=0,
        maximum=1,
        open_minimum=True,
        default=1.0,
    ),
    "generator_output": Column(
        "MWh", "output of the price-taking generator in each period", "y", minimum=0, default=0.0
    ),
}

DEMAND = Table(
    "demand",
    "inflexible demand, net of renewables and imports, in time; of two periods off-peak first, then peak",
    ("period",),
    {"load": Column("MWh", "inflexible demand in the period", "x", minimum=0, open_minimum=True), "source": SOURCE},
    minimum_rows=2,
)
SHARES = Table(
    "aggregators",
    "who aggregates what part of the flexible energy",
    ("aggregator",),
    {
        "share": Column("1", "share of the flexible energy", "L_a", minimum=0, maximum=1, open_minimum=True),
        "limit": Column("MWh", "largest load in a period", minimum=0, open_minimum=True, default=inf),
        "shifting_cost": Column(
            "EUR/MWh^2",
            "rise of the marginal cost of moving load away from the even spread",
            "k_a",
            minimum=0,
            default=0.0,
        ),
        "source": SOURCE,
    },
    optional=True,
)
WINDOWS = Table(
    "windows",
    "least and most that an aggregator of table aggregators can take in a period, where not all of its energy can wait",
    ("aggregator", "period"),
    {
        "lowest": Column("MWh", "lowest load of the aggregator in the period", minimum=0, default=0.0),
        "largest": Column("MWh", "largest load of the aggregator in the period", minimum=0, default=inf),
        "source": SOURCE,
    },
    optional=True,
)
GENERATORS = Table(
    "generators",
    "generators with market power (section 4 of the paper)",
    ("generator",),
    {
        "cost": Column("EUR/MWh", "marginal cost at zero output", "psi1", minimum=0),
        "cost_slope": Column("EUR/MWh/MWh", "rise of the marginal cost", "psi2", minimum=0, default=0.0),
        "capacity": Column("MWh", "largest output in a period", minimum=0, default=inf),
        "source": SOURCE,
    },
    optional=True,
)


def check(data: Any) -> list[Fault]:
    """What no single cell shows: the peak second of two, shares that sum to one, a generator smaller than demand."""
    faults = []
    load = data.tables["demand"]["load"]
    if len(load) == 2 and not load.iloc[0] < load.iloc[1]:
        faults.append(
            Fault(
                "demand.csv",
                "the first period is off-peak and must have the smaller load",
                3,
                "load",
                f"{load.iloc[0]:g} then {load.iloc[1]:g}",
                "a load above that of the first period",
            )
        )
    output = data.parameters["generator_output"]
    if output >= load.min():
        faults.append(
            Fault(
                "parameters.csv",
                "generator_output must leave demand for the other producers",
                None,
                "value",
                f"{output:g}",
                f"a number below the smallest load, {load.min():g} MWh",
            )
        )
    rivals, limit = (
        (1 - data.parameters["dso_share"]) * data.parameters["flexible_energy"],
        data.parameters.get("rivals_limit", inf),
    )
    if own.exceeds(rivals, limit * len(load)):
        faults.append(
            Fault(
                "parameters.csv",
                "rivals_limit leaves no room for the rivals' energy",
                None,
                "value",
                f"{limit:g}",
                f"at least {rivals / len(load):g} MWh",
            )
        )
    if "aggregators" in data.tables:
        total = float(data.tables["aggregators"]["share"].sum())
        if abs(total - 1) > SHARES_SUM:
            faults.append(
                Fault("aggregators.csv", "the shares do not sum to one", None, "share", f"{total:.12g}", "a sum of 1")
            )
    return faults + own.faults(data)


def _structure(meaning: str, build: Any, options: dict[str, Column] | None = None, **more: Any) -> Structure:
    return Structure(meaning, build, {"netted": NETTED} if options is None else options, **more)


def _with_generators(
    meaning: str, build: Any, needs: tuple[str, ...] = (), theorem: str = "", check: Any = None, **options: Column
) -> Structure:
    return Structure(meaning, build, options, needs=("generators", *needs), theorem=theorem, check=check)


TOTAL = "the best reply to the total falls in the total, so the total is unique"
BESIDE_GENERATORS = (
    "two periods, all at once, no generator cheaper than the first MWh of the price-taking producers: generation rises "
    "with the price, and the best reply to the total falls in the total"
)


STRUCTURES = {
    "efficient": _structure("a planner minimises system cost", structures.efficient),
    "price_taking": _structure("households and producers take clearing prices", structures.price_taking),
    "passive": _structure("households see one average price and spread their energy evenly", structures.passive),
    "dso_aggregator": _structure("the DSO is the only aggregator", structures.dso_aggregator),
    "cournot": _structure(
        "A aggregators with equal shares compete",
        structures.cournot,
        {"aggregators": AGGREGATORS, "netted": NETTED},
        theorem=f"{TOTAL} (Proposition 3)",
    ),
    "shares": _structure(
        "aggregators with given shares compete",
        structures.shares,
        needs=("aggregators",),
        theorem=TOTAL,
    ),
    "efficient_shares": _structure(
        "a planner runs the aggregators of the table within their own limits",
        structures.efficient_shares,
        needs=("aggregators",),
    ),
    "mixed_own_dispatch": _structure(
        "the DSO's aggregator and A - 1 rivals, each dispatching its own",
        structures.mixed_own_dispatch,
        {"aggregators": SEVERAL, "netted": NETTED},
        theorem=TOTAL,
    ),
    "mixed_dso_dispatch": _structure(
        "the DSO dispatches its own and its rivals' load",
        structures.mixed_dso_dispatch,
        branches=structures.one_block_branches,
    ),
    "generator_aggregator": _structure(
        "a price-taking generator is the only aggregator", structures.generator_aggregator, {}
    ),
    "regulated": _structure("a monopoly aggregator with the regulatory payment", structures.regulated),
    "regulated_generator": _structure(
        "the generator/aggregator with the regulatory payment", structures.regulated_generator, {}
    ),
    "battery_efficient": Structure("a planner runs batteries", batteries.battery_efficient, check=batteries.check_size),
    "battery_cournot": Structure(
        "A owners of equal batteries compete",
        batteries.battery_cournot,
        {"aggregators": AGGREGATORS},
        check=batteries.check_size,
    ),
    "battery_shares": Structure(
        "owners of batteries with given shares compete",
        batteries.battery_shares,
        needs=("aggregators",),
        check=batteries.check_size,
    ),
    "pay_as_bid": Structure(
        "A aggregators with equal shares compete under pay-as-bid",
        pay_as_bid.pay_as_bid,
        {"aggregators": AGGREGATORS, "sharing": SHARING},
    ),
    "battery_first_best": _with_generators(
        "a planner runs batteries and decides all output", batteries.battery_first_best, check=batteries.check_size
    ),
    "strategic_battery_cournot": _with_generators(
        "A owners of equal batteries and generators compete",
        batteries.strategic_battery_cournot,
        check=batteries.check_size,
        aggregators=AGGREGATORS,
        timing=LOADS_FIRST,
    ),
    "strategic_battery_shares": _with_generators(
        "owners of batteries with given shares and generators compete",
        batteries.strategic_battery_shares,
        ("aggregators",),
        check=batteries.check_size,
        timing=LOADS_FIRST,
    ),
    "first_best": _with_generators("a planner decides loads and all output", strategic.first_best),
    "first_best_shares": _with_generators(
        "a planner decides all output and runs the aggregators of the table within their own limits",
        strategic.first_best_shares,
        ("aggregators",),
    ),
    "second_best": _with_generators("a planner decides loads, generators react", strategic.second_best),
    "strategic_passive": _with_generators("passive households, generators compete", strategic.strategic_passive),
    "strategic_dso": _with_generators(
        "the DSO is the only aggregator, generators compete",
        strategic.strategic_dso,
        theorem=BESIDE_GENERATORS,
        check=strategic.check_timing,
        timing=TIMING,
    ),
    "strategic_cournot": _with_generators(
        "A aggregators with equal shares and generators compete",
        strategic.strategic_cournot,
        theorem=BESIDE_GENERATORS,
        aggregators=AGGREGATORS,
        check=strategic.check_timing,
        timing=TIMING,
    ),
    "strategic_shares": _with_generators(
        "aggregators with given shares and generators compete",
        strategic.strategic_shares,
        ("aggregators",),
        BESIDE_GENERATORS,
        check=strategic.check_timing,
        timing=TIMING,
    ),
    "strategic_mixed": Structure(
        "the DSO dispatches its own and its rivals' load, generators compete",
        strategic.strategic_mixed,
        {"timing": MIXED_TIMING},
        needs=("generators",),
        branches=strategic.one_block_branches,
        check=strategic.check_timing,
    ),
    "strategic_regulated": _with_generators(
        "a monopoly aggregator with the regulatory payment, generators compete", strategic.strategic_regulated
    ),
    "integrated": Structure(
        "one generator is also the only aggregator",
        strategic.integrated,
        {"owner": OWNER},
        needs=("generators",),
        check=strategic.check_owner,
    ),
}


def closed_form(data: Any, structure: str, options: Mapping[str, Any]) -> Any:
    """What theory says of a structure, with or without market power in generation."""
    if len(data.tables["demand"]) != 2 or _limited(data, structure):  # theory is for two periods and rivals in one
        return theory.NOTHING
    found = strategic_theory if "generators" in STRUCTURES[structure].needs else theory
    if "battery" in structure:
        if data.parameters["battery_efficiency"] != 1:
            return theory.NOTHING
        return found.closed_form(data, structure, options, own.batteries(data, structure, options))
    aggregators = own.buyers(data) if "aggregators" in STRUCTURES[structure].needs else {}
    return found.closed_form(data, structure, options, aggregators)


def _limited(data: Any, structure: str) -> bool:
    """Whether the DSO dispatches rivals whose energy does not fit into one period."""
    numbers = data.parameters
    rivals = (1 - numbers["dso_share"]) * numbers["flexible_energy"]
    return structure in ("mixed_dso_dispatch", "strategic_mixed") and own.exceeds(
        rivals, numbers.get("rivals_limit", inf)
    )


def draw(solved: Sequence[Any]) -> Mapping[str, Any]:
    """The figures that the alternatives of a case make sensible, by name."""
    return {**figures.draw(solved), **power_figures.draw(solved)}


market = Market(
    name="fdr_structures",
    title="Who controls flexible distribution resources",
    source="T. P. Tangeras (2023), Competition for flexible distribution resources in a 'smart' electricity "
    "distribution network",
    parameters=PARAMETERS,
    tables=(DEMAND, SHARES, WINDOWS, GENERATORS),
    structures=STRUCTURES,
    values=accounts.quantities,
    accounts=accounts.accounts,
    closed_form=closed_form,
    check=check,
    summary=summary.tables,
    figures=draw,
    studies={
        "integration": Study(
            "Is integrating generation and aggregation better than separation, by how much, and by which effect",
            integration.run,
        ),
        "region": Study(
            "Over demand swing and generator cost: where integration costs less than a monopoly aggregator apart",
            region.run,
            power_figures.region,
        ),
    },
)
