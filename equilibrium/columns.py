"""Large tables: whole columns read and checked at once, by the rules of ``tables``.

A Parquet file is checked here, and its faults are named with the number of the row (the first is 1). A large CSV file
is tried here first: one without any fault is taken as it is, one with a fault (or with anything unusual) goes through
``tables``, which names line and cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from .errors import Fault
from .market import Column, Table
from .tables import LARGEST_WHOLE_NUMBER, NUMBER, Row, Sheet, allowed, check_header, columns_of, did_you_mean

LARGE = 1_000_000
"""A CSV file of more bytes is tried here first."""

NAMED = 1000
"""Faults of one kind in one column that are listed; the message of the last says how many more there are."""


def read_csv(content: bytes, file: str, table: Table) -> pd.DataFrame | None:
    """The table, or None if the file is not without doubt right."""
    if b"\x00" in content or content.startswith(b"\xef\xbb\xbf"):
        return None
    try:
        content.decode("utf-8")
        read = pyarrow.csv.ReadOptions(use_threads=True)
        header = pyarrow.csv.open_csv(pa.BufferReader(content), read_options=read).schema.names
        text = pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in header},
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=b'"' in content, ignore_empty_lines=False)
        found = pyarrow.csv.read_csv(pa.BufferReader(content), read, parse, text)
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    faults: list[Fault] = []
    trimmed = [pc.utf8_trim_whitespace(found.column(k)) for k in range(found.num_columns)]
    frame = _frame(
        pa.table(trimmed, names=[name.strip() for name in found.column_names]), file, table, faults, _written
    )
    return None if faults else frame


def read_parquet(content: bytes, file: str, table: Table, faults: list[Fault]) -> pd.DataFrame | None:
    """The table; faults, and None, if something is wrong. Numbers may be stored as numbers of any type, names as text
    or whole numbers."""
    try:
        found = pyarrow.parquet.read_table(pa.BufferReader(content))
    except pa.ArrowException as error:
        faults.append(Fault(file, f"not a Parquet file that can be read: {str(error).splitlines()[0]}"))
        return None
    before = len(faults)
    frame = _frame(found, file, table, faults, _stored)
    return frame if len(faults) == before else None


def _frame(
    found: pa.Table, file: str, table: Table, faults: list[Fault], numbers: Callable[..., np.ndarray | None]
) -> pd.DataFrame | None:
    columns = columns_of(table)
    sheet = Sheet(file, Row(1, tuple(found.column_names)), ())
    positions = check_header(sheet, columns, faults)
    values: dict[str, pd.Series | np.ndarray] = {}
    one: pd.Series | np.ndarray | None
    for name, column in columns.items():
        if name in positions:
            cells = found.column(positions[name])
            if column.kind is str:
                one = _text(cells, file, name, column, name in table.key, faults)
            else:
                one = numbers(cells, file, name, column, faults)
            if one is not None:
                values[name] = one
        elif column.default is not None:
            values[name] = np.full(found.num_rows, column.default, dtype=object if column.kind is str else None)
    if found.num_rows < table.minimum_rows:
        faults.append(Fault(file, f"too few rows: {found.num_rows}, at least {table.minimum_rows} needed"))
    if len(values) < len(columns):
        return None
    frame = pd.DataFrame(values)
    if not table.key:
        return frame
    frame = frame.set_index(list(table.key))
    twice = frame.index.duplicated()
    _name(np.flatnonzero(twice), "the same " + ", ".join(table.key) + " stands in an earlier row", file, "", faults)
    return frame


def _text(
    cells: pa.ChunkedArray, file: str, name: str, column: Column, key: bool, faults: list[Fault]
) -> pd.Series | None:
    """A column of text; keys may be whole numbers."""
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or (key and pa.types.is_integer(kind))):
        faults.append(Fault(file, f"the column holds {kind} where text is wanted", column=name))
        return None
    cells = cells.cast(pa.string())
    if column.default is not None:
        empty = pc.or_kleene(pc.is_null(cells), pc.equal(cells, ""))
        cells = pc.if_else(empty, pa.scalar(column.default, pa.string()), cells)
    else:
        missing = pc.fill_null(pc.equal(cells, ""), True)
        _name(_where(missing), "the value is missing", file, name, faults)
    if column.choices:
        wrong = pc.invert(pc.is_in(cells, pa.array(column.choices)))
        _name(_where(wrong), "not among the choices", file, name, faults, cells, allowed(column))
    if key:
        odd = pc.fill_null(pc.match_substring_regex(cells, r"[;\r\n]"), False)
        _name(_where(odd), "a name must not hold a semicolon or a line break", file, name, faults, cells)
    return cells.to_pandas()


def _stored(cells: pa.ChunkedArray, file: str, name: str, column: Column, faults: list[Fault]) -> np.ndarray | None:
    """Numbers of a Parquet file, all finite and within the range."""
    if not (pa.types.is_floating(cells.type) or pa.types.is_integer(cells.type) or pa.types.is_decimal(cells.type)):
        faults.append(Fault(file, f"the column holds {cells.type} where numbers are wanted", column=name))
        return None
    right = allowed(column)
    nothing = pc.is_null(cells)
    values = cells.cast(pa.float64(), safe=False).to_numpy()
    if cells.null_count:
        if column.default is None:
            _name(_where(nothing), "the value is missing", file, name, faults, None, right)
        values = np.where(nothing.to_numpy(), 0.0 if column.default is None else column.default, values)
    finite = np.isfinite(values)
    _name(np.flatnonzero(~finite), "not a finite number; write a number", file, name, faults, cells, right)
    return _checked(values, finite, cells, file, name, column, faults)


def _written(cells: pa.ChunkedArray, file: str, name: str, column: Column, faults: list[Fault]) -> np.ndarray | None:
    """Numbers of a CSV file, written as ``tables`` has them; anything else is a fault to be named there."""
    if column.default is not None:
        cells = pc.if_else(pc.equal(cells, ""), pa.scalar(str(column.default)), cells)
    if not pc.all(pc.match_substring_regex(cells, f"^(?:{NUMBER.pattern})$")).as_py():
        faults.append(Fault(file, "not a column of numbers", column=name))
        return None
    values = pc.utf8_ltrim(cells, characters="+").cast(pa.float64()).to_numpy()
    finite = np.isfinite(values)
    _name(np.flatnonzero(~finite), "too large for a number", file, name, faults, cells)
    return _checked(values, finite, cells, file, name, column, faults)


def _checked(
    values: np.ndarray,
    finite: np.ndarray,
    cells: pa.ChunkedArray,
    file: str,
    name: str,
    column: Column,
    faults: list[Fault],
) -> np.ndarray:
    """The numbers within the column's range, whole ones where it wants whole numbers."""
    outside = np.zeros(len(values), dtype=bool)
    if column.minimum is not None:
        outside |= values <= column.minimum if column.open_minimum else values < column.minimum
    if column.maximum is not None:
        outside |= values >= column.maximum if column.open_maximum else values > column.maximum
    _name(np.flatnonzero(outside & finite), "outside the range", file, name, faults, cells, allowed(column))
    if column.kind is int:
        odd = finite & ((values != np.round(values)) | (np.abs(values) >= LARGEST_WHOLE_NUMBER))
        _name(np.flatnonzero(odd), "not a whole number", file, name, faults, cells, allowed(column))
        return np.where(finite & ~odd, values, 0.0).astype("int64")
    return values


def _where(flags: pa.ChunkedArray) -> np.ndarray:
    return np.flatnonzero(flags.to_numpy())


def _name(
    rows: np.ndarray,
    message: str,
    file: str,
    name: str,
    faults: list[Fault],
    cells: pa.ChunkedArray | None = None,
    right: str = "",
) -> None:
    """One fault for each of these rows (counted from 0), as far as they are listed."""
    for row in rows[:NAMED]:
        value = None if cells is None else str(cells[int(row)].as_py())
        faults.append(Fault(file, message, int(row) + 1, name, value, right))
    if len(rows) > NAMED:
        faults.append(Fault(file, f"{message}: {len(rows) - NAMED} more rows", column=name))


def frames(files: Mapping[str, bytes], tables: Mapping[str, Table], faults: list[Fault]) -> dict[str, pd.DataFrame]:
    """Tables that can be read as whole columns, by name: Parquet files, and large CSV files without a fault.

    A fault for a Parquet file that is no table of the market, and for one that stands beside a CSV file.
    """
    found = {}
    for file, content in files.items():
        name, _, kind = file.rpartition(".")
        if kind.lower() not in ("parquet", "csv") or (kind.lower() == "csv" and len(content) <= LARGE):
            continue
        if kind.lower() == "csv":
            frame = read_csv(content, file, tables[name]) if name in tables else None
        elif name not in tables:
            right = ", ".join(f"{one}.parquet" for one in tables)
            message = "the market has no table of this name" + did_you_mean(name, tables)
            faults.append(Fault(file, message, allowed=right))
            continue
        elif f"{name}.csv" in files:
            faults.append(Fault(file, f"{name}.csv is there too; keep one of them"))
            continue
        else:
            frame = read_parquet(content, file, tables[name], faults)
        if frame is not None:
            found[name] = frame
    return found
