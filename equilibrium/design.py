"""Which scenarios a parameter study solves: cells of the case that vary, and their values.

A cell is an address of a number, ``demand.load[peak]`` or ``parameters.cost_linear``, or an option of the alternatives,
``options.aggregators``; a name alone (``aggregators``) is enough where only one parameter or option is called so.
Values are written ``1:20`` (steps of 1), ``150:200:5`` or ``1,2,5``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from scipy.stats import qmc

from .case import Case
from .data import address
from .errors import DataError, Fault
from .market import Column
from .tables import allowed, did_you_mean, value_of

GRID, LATIN, ONE_AT_A_TIME, LIST, THRESHOLD = "grid", "latin hypercube", "one at a time", "list", "threshold"
KINDS = (GRID, LATIN, ONE_AT_A_TIME, THRESHOLD)
MOST = 10_000_000
"""More scenarios than this are taken for a slip of the pen."""


@dataclass(frozen=True)
class Cell:
    """A number that varies: ``name`` is its full address; ``option`` the name of an option, empty for a cell of the
    data; ``column`` what the schema says of it; ``elsewhere`` what other structures say of an option of that name."""

    name: str
    column: Column
    option: str = ""
    elsewhere: tuple[Column, ...] = ()


@dataclass(frozen=True, eq=False)
class Design:
    """Scenarios: ``values`` has a row for each and a column for each of ``cells``.

    labels: names of the scenarios, empty where they are numbered from 1. alternatives, report: names of the
    alternatives and of the quantities wanted, empty for all. axes: the quantity drawn and the cells it is drawn
    against. crossing: for kind 'threshold', what is to be zero (see ``Crossing``).
    """

    name: str
    kind: str
    cells: tuple[Cell, ...]
    values: np.ndarray
    meaning: str = ""
    labels: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    crossing: Crossing | None = None

    @property
    def size(self) -> int:
        """Number of scenarios."""
        return len(self.values)

    def label(self, k: int) -> str:
        """Name of scenario k (from 0)."""
        return self.labels[k] if self.labels else str(k + 1)


@dataclass(frozen=True)
class Crossing:
    """The quantity ``of`` of an alternative less that of ``minus`` (another alternative, or a number) crosses zero as
    the one cell rises from its lowest value in steps: the threshold that is asked for."""

    of: str
    alternative: str
    minus: str | float = 0.0


# ---- from words to scenarios ----------------------------------------------------------------------------------------


def from_words(case: Case, sweeps: Sequence[str]) -> Design:
    """Every combination of what ``--sweep`` was given: ``["aggregators=1:20", "demand.load[peak]=150:200:5"]``. Raises
    DataError with all that is wrong."""
    faults: list[Fault] = []
    vary: dict[str, str] = {}
    for sweep in sweeps:
        name, equals, values = sweep.rpartition("=")
        if not equals or not name.strip():
            faults.append(Fault("--sweep", "must read like demand.load[peak]=150:200:5", value=sweep))
        elif name.strip() in vary:
            faults.append(Fault("--sweep", "the same cell stands twice", value=name.strip()))
        else:
            vary[name.strip()] = values.strip()
    cells, columns = read_vary(case, vary, "--sweep", faults)
    if faults:
        raise DataError(faults, "the sweep")
    return checked(Design("sweep", GRID, cells, grid(columns, "--sweep")))


def find_cell(case: Case, text: str) -> Cell:
    """The cell that ``text`` means. Raises ValueError with the reason in words."""
    known = _cells(case)
    if text in known:
        return known[text]
    short = [cell for name, cell in known.items() if name in (f"parameters.{text}", f"options.{text}")]
    if len(short) == 1:
        return short[0]
    if len(short) > 1:
        raise ValueError(f"'{text}' may be {' or '.join(cell.name for cell in short)}; write one of them")
    members = [name for name in known if name.startswith(f"{text}[")]
    if members:
        some = ", ".join(members[:4]) + (" ..." if len(members) > 4 else "")
        raise ValueError(f"'{text}' is a column; name one of its cells: {some}")
    if text.removeprefix("options.") in _words_of(case):
        raise ValueError(f"'{text}' is an option whose values are words; only numbers vary (compare them by --only)")
    raise ValueError(f"there is no such number or option{did_you_mean(text, known)}")


def _cells(case: Case) -> dict[str, Cell]:
    """Everything that can vary, by address: numbers of the case and options of its alternatives."""
    data, found = case.data, {}
    for name, column in data.market.parameters.items():
        found[f"parameters.{name}"] = Cell(f"parameters.{name}", column)
    for table in data.market.tables:
        for name, column in table.columns.items():
            if table.name in data.tables and name in data.tables[table.name] and column.kind is not str:
                for key in data.tables[table.name].index.tolist():
                    cell = address(f"{table.name}.{name}", key)
                    found[cell] = Cell(cell, column)
    for alternative in case.alternatives:
        for name, column in data.market.structures[alternative.structure].options.items():
            if column.kind is not str:
                known = found.setdefault(f"options.{name}", Cell(f"options.{name}", column, option=name))
                if column not in (known.column, *known.elsewhere):
                    found[known.name] = replace(known, elsewhere=(*known.elsewhere, column))
    return found


def _words_of(case: Case) -> set[str]:
    """Options of the case's alternatives whose values are words."""
    options = [case.data.market.structures[one.structure].options for one in case.alternatives]
    return {name for columns in options for name, column in columns.items() if column.kind is str}


def values_of(text: str) -> list[float]:
    """``150:200:5``, ``1:20`` or ``1,2,5`` as numbers, both ends included. Raises ValueError with the reason."""
    try:
        if ":" not in text:
            return [finite(part) for part in text.split(",")]
        parts = [Decimal(part.strip()) for part in text.split(":")]
    except (InvalidOperation, ValueError) as error:
        raise ValueError("must read like 1:20, 150:200:5 or 1,2,5") from error
    if len(parts) > 3 or not all(part.is_finite() for part in parts):
        raise ValueError("must read like 1:20, 150:200:5 or 1,2,5")
    low, high, step = (*parts, Decimal(1))[:3]
    if step <= 0:
        raise ValueError("the step must be above zero")
    if high < low:
        raise ValueError("the range is empty: its end lies below its beginning")
    count = int((high - low) / step) + 1
    if count > MOST:
        raise ValueError(f"the range has {count:,} values; at most {MOST:,} are taken")
    return [float(low + k * step) for k in range(count)]


def finite(text: str) -> float:
    """Text as a finite number. Raises ValueError."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def read_vary(
    case: Case, vary: Mapping[str, Any], where: str, faults: list[Fault]
) -> tuple[tuple[Cell, ...], list[list[float]]]:
    """The cells, and the values of each."""
    cells, columns = [], []
    for text, values in vary.items():
        try:
            cell = find_cell(case, text)
        except ValueError as error:
            faults.append(Fault(where, str(error), value=text))
            continue
        try:
            columns.append(values_of(_words(values)))
            cells.append(cell)
        except ValueError as error:
            faults.append(Fault(where, f"{text}: {error}", value=str(values)))
    names = [cell.name for cell in cells]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.append(Fault(where, "the same cell stands twice under two names", value=name))
    return tuple(cells), columns


def _words(values: Any) -> str:
    """A range as text: TOML may give it as text, as a number or as a list of numbers."""
    if isinstance(values, list):
        return ",".join(str(value) for value in values)
    return str(values)


# ---- kinds of designs -----------------------------------------------------------------------------------------------


def grid(columns: Sequence[Sequence[float]], where: str) -> np.ndarray:
    """Every combination, the last cell varying fastest."""
    count = math.prod(len(column) for column in columns)
    if count > MOST:
        raise DataError([Fault(where, f"there are {count:,} combinations; at most {MOST:,} are taken")])
    return np.stack([one.ravel() for one in np.meshgrid(*columns, indexing="ij")], axis=1)


def latin_hypercube(ends: Sequence[Sequence[float]], samples: int, seed: int) -> np.ndarray:
    """A Latin hypercube between the lowest and the highest value of every cell (McKay, Beckman and Conover, 1979)."""
    low, high = np.array([min(one) for one in ends]), np.array([max(one) for one in ends])
    return low + (high - low) * qmc.LatinHypercube(len(ends), seed=seed).random(samples)


def one_at_a_time(cells: Sequence[Cell], columns: Sequence[Sequence[float]]) -> np.ndarray:
    """Each cell through its values while the others stay as the case has them (NaN: as it stands)."""
    rows = []
    for j, column in enumerate(columns):
        block = np.full((len(column), len(cells)), np.nan)
        block[:, j] = column
        rows.append(block)
    return np.concatenate(rows)


def misfit(value: float, column: Column) -> str:
    """Why a number cannot stand where ``column`` says what may; empty if it can."""
    try:
        value_of(format(value, ".17g"), column)
    except ValueError as error:
        return str(error)
    return ""


def checked(design: Design) -> Design:
    """The design, if every value is one that its cell may have (an option: in some structure). Raises DataError that
    names the scenarios."""
    faults = []
    for cell, column in zip(design.cells, design.values.T, strict=True):
        for value in np.unique(column[~np.isnan(column)]):
            wrong = [misfit(value, one) for one in (cell.column, *cell.elsewhere)]
            if all(wrong):
                first = int(np.flatnonzero(column == value)[0])
                message = f"scenario {design.label(first)}: {cell.name}: {wrong[0]}"
                faults.append(Fault(design.name, message, value=f"{value:g}", allowed=allowed(cell.column)))
    if not design.size:
        faults.append(Fault(design.name, "the study has no scenario"))
    if faults:
        raise DataError(faults, "the study")
    return design
