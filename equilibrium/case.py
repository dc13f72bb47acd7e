"""A case folder: read, checked as a whole, and handed to a market as ``Data``.

``case.toml`` names the market; the market's schema says which parameters, tables and options there are; every fault of
every file is raised in one ``DataError``. A folder is only ever read: nothing in it is executed, and nothing outside it
is opened.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from . import columns
from .catalogue import find_market
from .data import Data, change, check_market, trace
from .errors import DataError, Fault
from .market import CURRENCY, Column, Market, Structure, Table, in_currency
from .tables import (
    Record,
    Sheet,
    allowed,
    check_records,
    columns_of,
    decode,
    did_you_mean,
    read_sheet,
    same_unit,
    to_frame,
    value_of,
)

__all__ = ["Alternative", "Case", "Data", "change", "read_case", "split_pairs", "trace"]

SETTINGS = ("market", "title", "source", "licence", "currency")  # the keys of case.toml, all of them required
SUFFIXES = (".csv", ".parquet")
STUDY = "study.csv"  # scenarios of a parameter study, read when one is asked for
SOURCE = Column(unit="", meaning="where the number comes from", kind=str)

PARAMETERS = Table(
    "parameters",
    "the scalars of the market",
    key=("name",),
    columns={
        "value": Column("", "number", kind=str),
        "unit": Column("", "unit, as the market states it; 1 for a pure number", kind=str, default=""),
        "source": SOURCE,
    },
    minimum_rows=0,
)
ALTERNATIVES = Table(
    "alternatives",
    "what the case compares",
    key=("name",),
    columns={
        "structure": Column("", "how the market is organised", kind=str),
        "options": Column("", "like aggregators=3;netted=yes", kind=str, default=""),
    },
)
EXPECTED = Table(
    "expected",
    "what a source reports",
    key=("alternative", "quantity", "index"),
    columns={
        "alternative": Column("", "name in alternatives.csv", kind=str),
        "quantity": Column("", "name of the reported number", kind=str),
        "index": Column("", "like period=2;aggregator=north", kind=str, default=""),
        "value": Column("", "reported number"),
        "tolerance": Column("", "largest difference", minimum=0, open_minimum=True),
        "source": SOURCE,
    },
    minimum_rows=0,
)


@dataclass(frozen=True)
class Alternative:
    """One way to organise the market that a case compares; ``options`` has the defaults filled in."""

    name: str
    structure: str
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """One case folder, read and right.

    ``expected`` has the columns alternative, quantity, index, value, tolerance, source (no rows without expected.csv).
    ``hashes`` is the SHA-256 of every file read, by file name.
    """

    folder: Path
    name: str
    market: Market
    title: str
    source: str
    licence: str
    currency: str
    data: Data
    alternatives: tuple[Alternative, ...]
    expected: pd.DataFrame
    hashes: Mapping[str, str]


# --------------------------------------------------------------------------------------------------------- the folder


def read_case(folder: str | Path, market_lookup: Callable[[str], Market] = find_market) -> Case:
    """Read and check a case folder. ``market_lookup`` gives the market that case.toml names.

    Raises DataError with every fault of the folder. What only the market can check (``Market.check``) runs once all
    cells are right.
    """
    folder = Path(folder)
    faults: list[Fault] = []
    files = _read_files(folder, faults)
    present = {*files, *(fault.file for fault in faults)}
    settings = _read_settings(files, faults)
    market = _look_up(settings.pop("market", ""), market_lookup, faults)
    if market is None:
        raise DataError(faults, str(folder))
    market = in_currency(market, _currency(settings, faults))
    frames = columns.frames(files, {table.name: table for table in market.tables}, faults)
    sheets = _read_sheets({n: c for n, c in files.items() if _table(n) not in frames}, present, market, faults)
    parameters = _check_parameters(sheets.get("parameters"), market, faults)
    tables = _check_tables(sheets, market, faults)
    alternatives, named = _check_alternatives(sheets.get("alternatives"), market, present, faults)
    expected = _check_expected(sheets.get("expected"), named, faults)
    if faults:
        raise DataError(sorted(faults, key=lambda fault: (fault.file, fault.row or 0)), str(folder))
    frames |= {table.name: to_frame(table, records) for table, records in tables}
    data = Data(market, parameters, {table.name: frames[table.name] for table in market.tables if table.name in frames})
    check_market(data, str(folder))
    faults = [fault for one in alternatives for fault in _misfits(market.structures[one.structure], data, one)]
    if faults:
        raise DataError(faults, str(folder))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return Case(
        folder,
        folder.resolve().name,
        market,
        **settings,
        data=data,
        alternatives=alternatives,
        expected=expected,
        hashes=hashes,
    )


def _read_files(folder: Path, faults: list[Fault]) -> dict[str, bytes]:
    """Contents of case.toml and of every CSV and Parquet file that lies in the folder itself."""
    if not folder.is_dir():
        exists = folder.exists()
        message = "this is a file; give the folder that holds case.toml" if exists else "there is no such folder"
        raise DataError([Fault(str(folder), message)])
    files: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or (path.name != "case.toml" and path.suffix.lower() not in SUFFIXES):
            continue
        if path.is_symlink():
            faults.append(Fault(path.name, "this is a link; put the file itself into the case folder"))
        elif not path.is_file():
            faults.append(Fault(path.name, "this must be a file, but it is a folder or something else"))
        else:
            files[path.name] = path.read_bytes()
    if not any(path.name == "case.toml" for path in folder.iterdir()):
        faults.append(Fault("case.toml", "the file is missing; it names the market: " + ", ".join(SETTINGS)))
    return files


def _table(file: str) -> str:
    """The table that a file may hold."""
    return file.rpartition(".")[0]


def _read_settings(files: Mapping[str, bytes], faults: list[Fault]) -> dict[str, str]:
    """The texts of case.toml that are right."""
    text = decode(files["case.toml"], "case.toml", faults) if "case.toml" in files else None
    if text is None:
        return {}
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        last = text.count("\n") + 1  # where a file that ends too early ends
        faults.append(Fault("case.toml", f"not valid TOML: {error}", row=int(line[1]) if line else last))
        return {}
    for key in given:
        if key not in SETTINGS:
            message = "unknown key" + did_you_mean(key, SETTINGS) + " (numbers of the model belong in parameters.csv)"
            faults.append(Fault("case.toml", message, _line_of(key, text), key, allowed=", ".join(SETTINGS)))
    for key in SETTINGS:
        if key not in given:
            faults.append(Fault("case.toml", "the key is missing", column=key))
        elif not isinstance(given[key], str) or not given[key].strip():
            message = "this must be text in quotation marks, and not empty"
            faults.append(Fault("case.toml", message, _line_of(key, text), key, str(given[key])))
    return {key: given[key] for key in SETTINGS if isinstance(given.get(key), str) and given[key].strip()}


def _look_up(name: str, market_lookup: Callable[[str], Market], faults: list[Fault]) -> Market | None:
    """The market that case.toml names; None, and a fault, if there is none."""
    if not name:
        return None  # named as a fault already
    try:
        return market_lookup(name)
    except DataError as error:
        faults += [replace(fault, file="case.toml", column="market") for fault in error.faults]
        return None


def _currency(settings: Mapping[str, str], faults: list[Fault]) -> str:
    """The currency of the case, a short word; that of the market's own units where it is missing or wrong."""
    currency = settings.get("currency", CURRENCY)
    if not re.fullmatch(r"[^\W\d_]{1,8}", currency):
        faults.append(Fault("case.toml", "the currency must be one short word, like EUR", None, "currency", currency))
        return CURRENCY
    return currency


def _line_of(key: str, text: str) -> int | None:
    """The line of case.toml on which a key, or the section of that name, stands."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}\b")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), None)


def _read_sheets(
    files: Mapping[str, bytes], present: set[str], market: Market, faults: list[Fault]
) -> dict[str, Sheet]:
    """Every CSV file that the market knows, by table name; faults for those it does not know and for missing ones.

    ``present`` are the names of all input files in the folder, those that could not be read included.
    """
    required = {f"{table.name}.csv": table for table in (*market.tables, ALTERNATIVES) if not table.optional}
    if any(column.default is None for column in market.parameters.values()):
        required["parameters.csv"] = PARAMETERS
    known = {f"{table.name}.csv": table for table in (*market.tables, PARAMETERS, ALTERNATIVES, EXPECTED)}
    for name in required:
        if name not in present and f"{_table(name)}.parquet" not in present:
            listed = ", ".join(columns_of(required[name]))
            message = f"the file is missing ({required[name].meaning}; columns {listed})"
            faults.append(Fault(name, message))
    sheets = {}
    for name, content in files.items():
        if name in known:
            sheet = read_sheet(content, name, faults)
            if sheet is not None:
                sheets[known[name].name] = sheet
        elif name not in ("case.toml", STUDY) and not name.lower().endswith(".parquet"):
            message = f"the market {market.name} has no table of this name" + did_you_mean(name, known)
            faults.append(Fault(name, message, allowed=", ".join(known)))
    return sheets


# ---------------------------------------------------------------------------------------------------------- the tables


def _check_parameters(sheet: Sheet | None, market: Market, faults: list[Fault]) -> dict[str, float]:
    """Every parameter of the market by name, defaults filled in."""
    values = {name: column.default for name, column in market.parameters.items() if column.default is not None}
    if sheet is None:
        return values
    records = check_records(sheet, PARAMETERS, faults)
    for record in records:
        name = record.values.get("name")
        if name is None:
            continue
        if name not in market.parameters:
            message = "unknown parameter" + did_you_mean(name, market.parameters)
            faults.append(Fault(sheet.file, message, record.row, "name", name, ", ".join(market.parameters)))
            continue
        _check_parameter(sheet.file, record, market.parameters[name], values, faults)
    given = {record.values.get("name") for record in records}
    for name, column in market.parameters.items():
        if name not in given and column.default is None:
            message = f"parameter '{name}' is missing ({column.meaning})"
            faults.append(Fault(sheet.file, message, allowed=allowed(column)))
    return values


def _check_parameter(file: str, record: Record, column: Column, values: dict[str, float], faults: list[Fault]) -> None:
    name, unit = record.values["name"], record.values["unit"]
    if not same_unit(unit, column.unit):
        found = f"is '{unit}' but" if unit else "is missing; it"
        message = f"the unit of '{name}' {found} must be '{column.unit}'; convert the number, then the unit"
        faults.append(Fault(file, message, record.row, "unit"))
    text = record.values.get("value")
    if text is None:
        return  # named as a fault already
    try:
        values[name] = value_of(text, column)
    except ValueError as error:
        faults.append(Fault(file, f"{name}: {error}", record.row, "value", text, allowed(column)))


def _check_tables(sheets: Mapping[str, Sheet], market: Market, faults: list[Fault]) -> list[tuple[Table, list[Record]]]:
    """Records of every table of the market that is present."""
    checked = []
    for table in market.tables:
        if table.name in sheets:
            records = check_records(sheets[table.name], table, faults)
            _check_labels(sheets[table.name].file, table, records, faults)
            checked.append((table, records))
    return checked


def _check_labels(file: str, table: Table, records: Iterable[Record], faults: list[Fault]) -> None:
    """Names of rows reappear in results as ``aggregator=north;period=2``, on one line."""
    for record in records:
        for name in table.key:
            value = record.values.get(name)
            if isinstance(value, str) and re.search(r"[;\r\n]", value):
                message = "a name must not hold a semicolon or a line break"
                faults.append(Fault(file, message, record.row, name, value))


# ----------------------------------------------------------------------------------- alternatives and expected numbers


def _check_alternatives(
    sheet: Sheet | None, market: Market, present: set[str], faults: list[Fault]
) -> tuple[tuple[Alternative, ...], set[str] | None]:
    """The alternatives that are right, and the names of all; names are None if the file cannot be read.

    ``present`` are the names of all input files in the folder.
    """
    if sheet is None:
        return (), None
    alternatives = []
    records = check_records(sheet, ALTERNATIVES, faults)
    for record in records:
        structure = record.values.get("structure")
        if structure is None:
            continue
        if structure not in market.structures:
            message = "unknown structure" + did_you_mean(structure, market.structures)
            right = ", ".join(market.structures)
            faults.append(Fault(sheet.file, message, record.row, "structure", structure, right))
            continue
        for table in market.structures[structure].needs:
            if not {f"{table}.csv", f"{table}.parquet"} & present:
                message = f"structure '{structure}' needs {table}.csv, which is not in the folder"
                faults.append(Fault(sheet.file, message, record.row, "structure"))
        options = _check_options(sheet.file, record, market.structures[structure], faults)
        alternatives.append(Alternative(record.values.get("name", ""), structure, options))
    return tuple(alternatives), {record.values["name"] for record in records if "name" in record.values}


def split_pairs(text: str) -> dict[str, str]:
    """``aggregators=3;netted=yes`` as a dictionary of texts. Raises ValueError with the reason in words."""
    pairs: dict[str, str] = {}
    for part in text.split(";") if text else []:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise ValueError(f"'{part}' does not read like name=value (several are separated by semicolons)")
        if name in pairs:
            raise ValueError(f"'{name}' stands twice")
        pairs[name] = value
    return pairs


def _check_options(file: str, record: Record, structure: Structure, faults: list[Fault]) -> dict[str, Any]:
    """Typed options of one alternative, defaults filled in."""
    text = record.values["options"]
    try:
        given = split_pairs(text)
    except ValueError as error:
        faults.append(Fault(file, str(error), record.row, "options", text))
        return {}
    for name in given:
        if name not in structure.options:
            message = f"unknown option '{name}'" + did_you_mean(name, structure.options)
            right = ", ".join(structure.options) or "no options for this structure"
            faults.append(Fault(file, message, record.row, "options", text, right))
    options = {}
    for name, column in structure.options.items():
        try:
            options[name] = value_of(given.get(name, ""), column)
        except ValueError as error:
            message = f"option '{name}': {error}"
            faults.append(Fault(file, message, record.row, "options", text or None, allowed(column)))
    return options


def _misfits(structure: Structure, data: Data, alternative: Alternative) -> list[Fault]:
    """What is wrong with the options of an alternative beside these data."""
    return structure.check(data, **alternative.options) if structure.check else []


def _check_expected(sheet: Sheet | None, alternatives: set[str] | None, faults: list[Fault]) -> pd.DataFrame:
    """expected.csv as a DataFrame; ``alternatives`` are the names that may stand in it (None: not known)."""
    records = check_records(sheet, EXPECTED, faults) if sheet else []
    for record in records:
        name = record.values.get("alternative")
        if alternatives is not None and name is not None and name not in alternatives:
            message = "no such alternative in alternatives.csv" + did_you_mean(name, alternatives)
            faults.append(Fault("expected.csv", message, record.row, "alternative", name))
        try:
            split_pairs(record.values["index"])
        except ValueError as error:
            faults.append(Fault("expected.csv", str(error), record.row, "index", record.values["index"]))
    return pd.DataFrame() if faults else to_frame(EXPECTED, records).reset_index()
