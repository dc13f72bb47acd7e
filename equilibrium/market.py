"""The contract between a market and the machinery.

A market is a module or a package in ``models`` with one ``Market`` named ``market``. Everything here is plain data; the
checks live in ``tables``, the reading in ``case``, the numbers in ``data``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyomo.environ import ConcreteModel

    from .case import Alternative
    from .data import Data
    from .errors import Fault
    from .own import Own, Together
    from .results import Solved


CURRENCY = "EUR"  # what markets write in their units; a case may count in another


@dataclass(frozen=True)
class Column:
    """One column of a table, one named parameter, or one option of a structure.

    ``kind`` is float, int or str. ``minimum``/``maximum`` are inclusive unless ``open_minimum``/``open_maximum``.
    ``choices`` lists the words allowed. Without ``default`` the value must be given.
    """

    unit: str
    meaning: str
    symbol: str = ""
    kind: type = float
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One CSV file of a case: ``<name>.csv``, one row per ``key``.

    A key column that ``columns`` does not describe holds names; one that it describes has that kind (a period is int).
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    optional: bool = False
    minimum_rows: int = 1


@dataclass(frozen=True)
class Structure:
    """One way to organise the market.

    ``build(data, **options)`` states it as a ConcreteModel whose Blocks are players. ``branches(model)`` is given only
    where a player is not concave: it names sub-problems, each concave, that together contain every optimum of that
    player (the docstring proves it). ``check(data, **options)`` gives the faults of options that no word shows alone: a
    name that no row has.
    """

    meaning: str
    build: Callable[..., ConcreteModel]
    options: Mapping[str, Column] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # optional tables that this structure cannot do without
    branches: Callable[[ConcreteModel], Sequence[Any]] | None = None
    respond: Callable[..., Own | None] | None = (
        None  # respond(data, **options): the market's own answer, see ``own``; None: it has none
    )
    respond_together: Callable[..., Together] | None = None  # the same for data with one number per scenario
    check: Callable[..., list[Fault]] | None = None
    theorem: str = ""  # why the equilibrium is unique, where theory proves it and arrays do not; quoted as theory


@dataclass(frozen=True)
class Study:
    """A question that takes many equilibria of one case: a threshold, a sweep, a comparison of remedies.

    ``run(data, alternatives, progress)`` gives tables by name; ``progress`` is called with one line before each step. A
    column ``verdict`` says what the certificates behind a row say; a point without an answer is a row with the reason.
    ``figures(tables)`` draws them.
    """

    meaning: str
    run: Callable[[Data, Sequence[Alternative], Callable[[str], None]], Mapping[str, pd.DataFrame]]
    figures: Callable[[Mapping[str, pd.DataFrame]], Mapping[str, Figure]] | None = None


@dataclass(frozen=True)
class Market:
    """Everything the machinery knows of a market.

    ``parameters`` are the scalars of ``parameters.csv``. ``check(data)`` returns the faults that no single cell shows
    (shares that do not sum to one, an order of sizes); it is called only when every cell is right by itself.
    ``values(solved)`` gives the reported numbers of one alternative: columns quantity, index, value, unit.
    ``accounts(solved)`` gives party, item, value, unit (payments between parties add up to zero).
    ``closed_form(data, structure, options)`` gives quantity, index, value, rule; empty where theory has no formula.
    ``summary(solved)`` gives tables across alternatives by name: ``comparison`` is printed, so are the ``warnings``
    (alternative, warning); the report has these and ``formulas``, ``critical``, ``ranking``, ``threshold`` in full.
    ``money`` is the unit of the players' Objectives, hence of regrets: kEUR where quantities are in GWh.
    """

    name: str
    title: str
    source: str
    parameters: Mapping[str, Column]
    tables: tuple[Table, ...]
    structures: Mapping[str, Structure]
    values: Callable[[Solved], pd.DataFrame]
    accounts: Callable[[Solved], pd.DataFrame] | None = None
    closed_form: Callable[..., pd.DataFrame] | None = None
    check: Callable[[Data], list[Fault]] | None = None
    summary: Callable[[Sequence[Solved]], Mapping[str, pd.DataFrame]] | None = None
    figures: Callable[[Sequence[Solved]], Mapping[str, Figure]] | None = None
    studies: Mapping[str, Study] = field(default_factory=dict)
    money: str = CURRENCY


def in_currency(market: Market, currency: str) -> Market:
    """The market with its units in the currency of a case: ``EUR/MWh`` becomes ``SEK/MWh``. No number is converted."""
    if currency == CURRENCY:
        return market

    def units(columns: Mapping[str, Column]) -> dict[str, Column]:
        return {name: replace(one, unit=one.unit.replace(CURRENCY, currency)) for name, one in columns.items()}

    return replace(
        market,
        money=market.money.replace(CURRENCY, currency),
        parameters=units(market.parameters),
        tables=tuple(replace(table, columns=units(table.columns)) for table in market.tables),
        structures={name: replace(one, options=units(one.options)) for name, one in market.structures.items()},
    )
