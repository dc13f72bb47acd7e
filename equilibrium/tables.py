"""From the bytes of a CSV file to checked values: every fault named, none guessed away.

Three steps, each small enough to test alone: ``read_sheet`` (bytes to cells), ``check_records`` (cells to typed values
against a ``Table``), ``to_frame`` (values to a DataFrame). Faults are appended to a list that the caller raises as one
error. Why this is our own code and not a library: ``docs/decisions/0002-table-checks.md``.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .errors import Fault
from .market import Column, Market, Table

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
HEADER = re.compile(r"(?P<name>[^\[\]]*?)\s*(\[\s*(?P<unit>[^\[\]]*?)\s*\])?")
LABEL = Column(unit="", meaning="name of the row", kind=str)  # a key column that the table does not describe further
LARGEST_WHOLE_NUMBER = 2**53  # beyond it a float no longer tells neighbouring whole numbers apart
KINDS = {float: "a number", int: "a whole number", str: "text"}
SEPARATORS = {";": "semicolons", "\t": "tabs"}
THOUSANDS = "[ ,'\u2019\u00a0\u2009\u202f]"  # blank, comma, apostrophes, non-breaking and thin blanks

# How people write numbers that a program must not guess at: the first pattern that fits a whole cell names the trouble.
MISWRITTEN = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), sentence)
    for pattern, sentence in (
        (r"[+-]?(nan|inf|infinity|∞)", "not a finite number; write a number"),
        (r"-+|\?|n\.?/?a\.?|null|none|missing|#n/a", "the value is missing; write a number"),
        (
            rf"[+-]?\d{{1,3}}({THOUSANDS}\d{{3}})+(\.\d+)?",
            "thousands separator (or a decimal comma); write the number as 1000 or 1000.5",
        ),
        (r"[+-]?\d{1,3}(\.\d{3})+,\d+", "thousands separator and decimal comma; write the number as 1000.5"),
        (r"[+-]?\d*,\d*(e[+-]?\d+)?", "decimal comma; write the number with a point, like 3.5"),
        (r"[+-]?[\d.,]+\s*%", "percent sign; write 0.35 for 35 %"),
        (r"[\u2212\u2013]\s*[\d.,]+", "typographic minus sign; write an ordinary hyphen, like -3.5"),
        (r"[+-]?[\d.,]+\s*[^\d\s.,].*", "text after the number; a unit belongs in the header, not in the cell"),
    )
)


@dataclass(frozen=True)
class Row:
    """Cells of one row, stripped of blanks around them; ``number`` is its first line in an editor, header = 1."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A CSV file as text: its header and its rows, blank lines left out."""

    file: str
    header: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Record:
    """The typed values of one row by column name; cells that are wrong are absent. ``row`` is the editor's line."""

    row: int
    values: Mapping[str, Any]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End of a sentence that points to the known word nearest to ``word``; empty if none is near."""
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return f" (did you mean '{by_lower_case[near[0]]}'?)" if near else ""


def allowed(column: Column) -> str:
    """What a value may be, in words: ``a number above 0 and at most 1, in MWh``."""
    if column.choices:
        return "one of " + ", ".join(column.choices)
    limits = []
    if column.minimum is not None:
        limits.append(f"{'above' if column.open_minimum else 'at least'} {column.minimum:g}")
    if column.maximum is not None:
        limits.append(f"{'below' if column.open_maximum else 'at most'} {column.maximum:g}")
    words = " ".join([KINDS[column.kind], *([" and ".join(limits)] if limits else [])])
    return words + (f", in {column.unit}" if column.unit not in ("", "1") else "")


# ---------------------------------------------------------------------------------------------------- bytes to cells


def decode(content: bytes, file: str, faults: list[Fault]) -> str | None:
    """Text of a file that ought to be UTF-8 without a byte-order mark; None if it is no text at all."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in content:
        faults.append(Fault(file, "not a UTF-8 text file (a spreadsheet, or UTF-16?); save it as CSV in UTF-8", row=1))
        return None
    if content.startswith(b"\xef\xbb\xbf"):
        remedy = "save it with a text editor as UTF-8 without byte-order mark (Excel's 'CSV UTF-8' writes one)"
        faults.append(Fault(file, f"the file starts with a byte-order mark; {remedy}", row=1))
        content = content[3:]
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02X} is not UTF-8; save the file with the encoding UTF-8"
        faults.append(Fault(file, message, row=row))
        return content.decode("latin-1")  # only so that the other faults can be named too


def find_separator(text: str, file: str, faults: list[Fault]) -> str:
    """The separator that the header uses; a fault if it is not the comma."""
    header = text.lstrip().splitlines()[0]
    separator = max([",", *SEPARATORS], key=header.count)
    if separator != ",":
        message = f"cells are separated by {SEPARATORS[separator]}; save the file with commas between the cells"
        faults.append(Fault(file, message, row=1))
    return separator


def split_rows(text: str, separator: str, file: str, faults: list[Fault]) -> list[Row]:
    """All rows with the line on which each begins, blank lines included as rows without content."""
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        number = reader.line_num + 1
        try:
            rows.append(Row(number, tuple(cell.strip() for cell in next(reader))))
        except StopIteration:
            return rows
        except csv.Error as error:
            message = f"quotation marks do not pair up, the file cannot be read from here on ({error})"
            faults.append(Fault(file, message, row=number))
            return rows


def read_sheet(content: bytes, file: str, faults: list[Fault]) -> Sheet | None:
    """Cells of a CSV file; None if nothing can be read. Faults: encoding, separators, quotation marks, blank lines."""
    text = decode(content, file, faults)
    if text is None:
        return None
    if not text.strip():
        faults.append(Fault(file, "the file is empty"))
        return None
    rows = split_rows(text, find_separator(text, file, faults), file, faults)
    while rows and not any(rows[-1].cells):  # lines without content at the end say nothing
        rows.pop()
    for row in rows:
        if not any(row.cells):
            faults.append(Fault(file, "blank line; delete it", row=row.number))
    filled = [row for row in rows if any(row.cells)]
    if not filled:
        faults.append(
            Fault(file, "there is no header to read; the file is empty but for separators or quotation marks")
        )
        return None
    return Sheet(file, filled[0], tuple(filled[1:]))


# --------------------------------------------------------------------------------------------------- cells to values


def value_of(text: str, column: Column) -> Any:
    """The typed value of one cell (float, int or str), the column's default for an empty one.

    Raises ValueError with the reason in words.
    """
    if not text:
        if column.default is None:
            raise ValueError("the value is missing")
        return column.default
    if column.kind is str:
        if column.choices and text not in column.choices:
            raise ValueError("not among the choices" + did_you_mean(text, column.choices))
        return text
    number = _number(text)
    if column.kind is int:
        number = _whole(number)
    _check_range(number, column)
    return number


def _number(text: str) -> float:
    if NUMBER.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError("too large for a number")
        return number
    for pattern, sentence in MISWRITTEN:
        if pattern.fullmatch(text):
            raise ValueError(sentence)
    raise ValueError("text where a number is wanted")


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError("not a whole number")
    if abs(number) >= LARGEST_WHOLE_NUMBER:
        raise ValueError("too large for a whole number")
    return int(number)


def _check_range(number: float, column: Column) -> None:
    low, high = column.minimum, column.maximum
    if low is not None and (number < low or (column.open_minimum and number == low)):
        raise ValueError("below the range" if number < low else f"equal to {low:g}; it must be above")
    if high is not None and (number > high or (column.open_maximum and number == high)):
        raise ValueError("above the range" if number > high else f"equal to {high:g}; it must be below")


def columns_of(table: Table) -> dict[str, Column]:
    """All columns of a table, key first; a key column that ``table.columns`` does not describe holds names (text)."""
    key = {name: table.columns.get(name, LABEL) for name in table.key}
    return key | {name: column for name, column in table.columns.items() if name not in key}


def check_records(sheet: Sheet, table: Table, faults: list[Fault]) -> list[Record]:
    """Typed values of every row that is as long as the header.

    Faults: columns, units, cells, rows longer or shorter than the header, duplicate keys, too few rows.
    """
    columns = columns_of(table)
    positions = check_header(sheet, columns, faults)
    records = []
    for row in sheet.rows:
        if len(row.cells) == len(sheet.header.cells):
            records.append(_check_row(sheet.file, row, columns, positions, faults))
        else:
            faults.append(_wrong_length(sheet.file, row, len(sheet.header.cells)))
    _check_keys(sheet.file, table.key, records, faults)
    if len(sheet.rows) < table.minimum_rows:
        message = f"too few rows below the header: {len(sheet.rows)}, at least {table.minimum_rows} needed"
        faults.append(Fault(sheet.file, message))
    return records


def check_header(sheet: Sheet, columns: Mapping[str, Column], faults: list[Fault]) -> dict[str, int]:
    """Position of every known column in the file."""
    positions: dict[str, int] = {}
    for position, text in enumerate(sheet.header.cells):
        match = HEADER.fullmatch(text)
        name, unit = (match["name"], match["unit"]) if match else (text, None)
        problem, right = "", ""
        if not name:
            problem = f"column number {position + 1} has no name in the header"
        elif name not in columns:
            problem, right = "unknown column" + did_you_mean(name, columns), ", ".join(columns)
        elif name in positions:
            problem = f"the column stands twice, at positions {positions[name] + 1} and {position + 1}"
        else:
            positions[name] = position
            if unit is not None and not same_unit(unit, columns[name].unit):
                problem = _wrong_unit(unit, columns[name].unit)
        if problem:
            faults.append(Fault(sheet.file, problem, row=sheet.header.number, column=name, allowed=right))
    for name, column in columns.items():
        if name not in positions and column.default is None:
            message = f"the column is missing ({column.meaning})"
            faults.append(Fault(sheet.file, message, row=sheet.header.number, column=name, allowed=allowed(column)))
    return positions


def same_unit(found: str, right: str) -> bool:
    """Whether two units are the same; no unit and 1 both stand for a pure number."""
    return (found or "1") == (right or "1")


def _wrong_unit(found: str, right: str) -> str:
    if right in ("", "1"):
        return f"the unit is [{found}] but this column has no unit"
    return f"the unit is [{found}] but must be [{right}]; convert the numbers, then the header"


def _check_row(
    file: str, row: Row, columns: Mapping[str, Column], positions: Mapping[str, int], faults: list[Fault]
) -> Record:
    values: dict[str, Any] = {}
    for name, column in columns.items():
        text = row.cells[positions[name]] if name in positions else ""
        try:
            values[name] = value_of(text, column)
        except ValueError as error:
            if name in positions:  # a missing column was named once already
                right = allowed(column) if column.kind is not str or column.choices else ""
                faults.append(Fault(file, str(error), row.number, name, text or None, right))
    return Record(row.number, values)


def _wrong_length(file: str, row: Row, expected: int) -> Fault:
    found = len(row.cells)
    message = f"the row has {found} cell{'s' if found != 1 else ''} where the header has {expected}"
    if found > expected:
        message += "; a decimal comma, a thousands separator, or a comma in a name without quotation marks?"
    return Fault(file, message, row=row.number, value=",".join(row.cells))


def _check_keys(file: str, key: Sequence[str], records: Iterable[Record], faults: list[Fault]) -> None:
    first_row: dict[tuple[Any, ...], int] = {}
    for record in records:
        if not key or not all(name in record.values for name in key):
            continue
        values = tuple(record.values[name] for name in key)
        if values in first_row:
            named = zip(key, values, strict=True)
            what = ", ".join(f"{name} {'(empty)' if value == '' else value}" for name, value in named)
            message = f"{what} stands in row {first_row[values]} and again in row {record.row}; each may stand once"
            faults.append(Fault(file, message, row=record.row, column=key[-1] if len(key) == 1 else ""))
        first_row.setdefault(values, record.row)


def to_frame(table: Table, records: Sequence[Record]) -> pd.DataFrame:
    """Records without faults as a DataFrame: the key as index (several columns: a MultiIndex), the rest typed."""
    types = {float: "float64", int: "int64"}
    frame = pd.DataFrame(
        {
            name: pd.Series([record.values[name] for record in records], dtype=types.get(column.kind))
            for name, column in columns_of(table).items()
        }
    )
    return frame.set_index(list(table.key)) if table.key else frame


# ----------------------------------------------------------------------------------------------- what a market expects


def describe(market: Market) -> pd.DataFrame:
    """What a case of this market holds, one row per parameter, table column and option.

    Columns: where (parameters, a table, or "options of <structure>"), name, key, unit, meaning, symbol, default, range.
    """
    groups: list[tuple[str, dict[str, Column], tuple[str, ...]]] = [("parameters", dict(market.parameters), ())]
    groups += [(table.name, columns_of(table), table.key) for table in market.tables]
    groups += [(f"options of {name}", dict(one.options), ()) for name, one in market.structures.items()]
    rows = [
        {"where": where, "name": name, "key": name in key, **_describe_column(column)}
        for where, columns, key in groups
        for name, column in columns.items()
    ]
    return pd.DataFrame(rows, columns=["where", "name", "key", "unit", "meaning", "symbol", "default", "range"])


def describe_as_dict(market: Market) -> dict[str, Any]:
    """The same as plain dictionaries, lists, text and numbers, ready for JSON."""
    return {
        "name": market.name,
        "title": market.title,
        "source": market.source,
        "parameters": {name: _describe_column(column) for name, column in market.parameters.items()},
        "tables": {
            table.name: {
                "meaning": table.meaning,
                "key": list(table.key),
                "optional": table.optional,
                "columns": {name: _describe_column(column) for name, column in columns_of(table).items()},
            }
            for table in market.tables
        },
        "structures": {
            name: {
                "meaning": structure.meaning,
                "needs": list(structure.needs),
                "options": {option: _describe_column(column) for option, column in structure.options.items()},
            }
            for name, structure in market.structures.items()
        },
    }


def _describe_column(column: Column) -> dict[str, Any]:
    return {
        "unit": column.unit,
        "meaning": column.meaning,
        "symbol": column.symbol,
        "default": column.default,
        "range": allowed(column),
    }
