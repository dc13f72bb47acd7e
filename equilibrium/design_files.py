"""Designs of parameter studies that lie in a case folder: sections of ``study.toml``, and ``study.csv`` with one named
scenario a row."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .case import STUDY, Case
from .design import (
    GRID,
    KINDS,
    LATIN,
    LIST,
    MOST,
    ONE_AT_A_TIME,
    THRESHOLD,
    Crossing,
    Design,
    checked,
    find_cell,
    finite,
    grid,
    latin_hypercube,
    one_at_a_time,
    read_vary,
)
from .errors import DataError, Fault
from .tables import decode, did_you_mean, read_sheet

FILE, SHEET = "study.toml", STUDY


def designs(case: Case) -> dict[str, Design]:
    """The designs that lie in the case folder, by name. Raises DataError with every fault of study.toml and
    study.csv."""
    faults: list[Fault] = []
    found: dict[str, Design] = {}
    for name, section in _sections(case.folder / FILE, faults).items():
        design = _section(case, name, section, faults)
        if design is not None:
            found[name] = design
    listed = _listed(case, case.folder / SHEET, faults)
    if listed is not None:
        if listed.name in found:
            faults.append(Fault(FILE, f"a section cannot be called '{listed.name}': {SHEET} is", column=listed.name))
        found[listed.name] = listed
    if faults:
        raise DataError(faults, str(case.folder))
    return {name: checked(design) for name, design in found.items()}


SETTINGS: Mapping[str, str] = {
    "meaning": "what the study shows, one sentence",
    "kind": "one of " + ", ".join(KINDS),
    "vary": 'a table like { "demand.load[peak]" = "150:200:5" }',
    "samples": "a whole number, for a Latin hypercube",
    "seed": "a whole number, for a Latin hypercube",
    "alternatives": "names in alternatives.csv",
    "report": "names of reported quantities",
    "of": "the quantity whose sign changes, like welfare or price[period=2]",
    "alternative": "the alternative it is taken from",
    "minus": "a number, or the alternative it is compared with",
}


@dataclass
class _Reading:
    """One section of study.toml being read; faults are collected."""

    name: str
    given: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, key: str, message: str) -> None:
        value = str(self.given[key]) if key in self.given else None
        self.faults.append(
            Fault(FILE, message, column=f"{self.name}.{key}", value=value, allowed=SETTINGS.get(key, ""))
        )

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """A setting of that type; the default, and a fault, if it has another."""
        value = self.given.get(key, default)
        if key in self.given and (not isinstance(value, kind) or isinstance(value, bool)):
            self.wrong(key, "has the wrong type")
            return default
        return value

    def names(self, key: str, known: Iterable[str]) -> tuple[str, ...]:
        """A list of names, each of them known."""
        found = self.get(key, list, [])
        for name in found:
            if name not in known:
                self.wrong(key, f"there is no '{name}'" + did_you_mean(str(name), known))
        return tuple(found)


def _sections(path: Path, faults: list[Fault]) -> dict[str, Mapping[str, Any]]:
    text = decode(path.read_bytes(), FILE, faults) if path.is_file() else None
    if text is None:
        return {}
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(FILE, f"not valid TOML: {error}"))
        return {}
    for name, section in given.items():
        if not isinstance(section, dict):
            faults.append(Fault(FILE, "a study is a section, like [intensity]", column=name, value=str(section)))
    return {name: section for name, section in given.items() if isinstance(section, dict)}


def _section(case: Case, name: str, given: Mapping[str, Any], faults: list[Fault]) -> Design | None:
    """One section of study.toml as a design; None, and faults, where something is wrong."""
    reading = _Reading(name, given)
    for key in given:
        if key not in SETTINGS:
            message = "unknown key" + did_you_mean(key, SETTINGS)
            reading.faults.append(Fault(FILE, message, column=f"{name}.{key}", allowed=", ".join(SETTINGS)))
    kind = reading.get("kind", str, GRID)
    if kind not in KINDS:
        reading.wrong("kind", "there is no such kind of study")
    known = [alternative.name for alternative in case.alternatives]
    alternatives = reading.names("alternatives", known)
    report = tuple(str(one) for one in reading.get("report", list, []))
    vary = reading.get("vary", dict, {})
    if not vary:
        reading.wrong("vary", "nothing varies")
    cells, columns = read_vary(case, vary, f"{FILE}, {name}.vary", reading.faults)
    samples, seed = reading.get("samples", int, 0), reading.get("seed", int, 0)
    if kind == LATIN and not 1 <= samples <= MOST:
        reading.wrong("samples", f"a Latin hypercube needs from 1 to {MOST:,} samples")
    crossing = _crossing(reading, known) if kind == THRESHOLD else None
    if kind == THRESHOLD and len(cells) != 1 and not reading.faults:
        reading.wrong("vary", "a threshold has one cell that varies")
    faults += reading.faults
    if reading.faults:
        return None
    if kind == LATIN:
        values = latin_hypercube(columns, samples, seed)
    elif kind == ONE_AT_A_TIME:
        values = one_at_a_time(cells, columns)
    else:
        values = grid(columns, FILE)
    meaning = reading.get("meaning", str, "")
    return Design(name, kind, cells, values, meaning, (), alternatives, report, crossing)


def _crossing(reading: _Reading, known: Sequence[str]) -> Crossing | None:
    of, alternative = reading.get("of", str, ""), reading.get("alternative", str, "")
    minus = reading.given.get("minus", 0.0)
    if not of:
        reading.wrong("of", "a threshold needs the quantity whose sign changes")
    if alternative not in known:
        reading.wrong("alternative", "there is no such alternative" + did_you_mean(alternative, known))
    if isinstance(minus, str) and minus not in known:
        reading.wrong("minus", "there is no such alternative" + did_you_mean(minus, known))
    elif isinstance(minus, bool) or not isinstance(minus, (str, int, float)):
        reading.wrong("minus", "must be a number or the name of an alternative")
    return None if reading.faults else Crossing(of, alternative, minus)


def _listed(case: Case, path: Path, faults: list[Fault]) -> Design | None:
    """study.csv: the column ``scenario`` with names, the others cells; an empty cell leaves the number as it is."""
    sheet = read_sheet(path.read_bytes(), SHEET, faults) if path.is_file() else None
    if sheet is None:
        return None
    head, *cells_named = sheet.header.cells
    found: list[Fault] = []
    if head != "scenario":
        found.append(Fault(SHEET, "the first column must be called 'scenario'", row=1, column=head))
    cells = []
    for text in cells_named:
        try:
            cells.append(find_cell(case, text))
        except ValueError as error:
            found.append(Fault(SHEET, str(error), row=1, column=text))
    labels, values = [], []
    for row in sheet.rows:
        labels.append(row.cells[0])
        values.append([_number(text, name, row.number, found) for text, name in _paired(row.cells[1:], cells_named)])
        if labels.count(labels[-1]) > 1:
            found.append(Fault(SHEET, "the scenario stands twice", row.number, "scenario", labels[-1]))
    faults += found
    if found:
        return None
    return Design("list", LIST, tuple(cells), np.array(values).reshape(len(labels), len(cells)), labels=tuple(labels))


def _paired(cells: Sequence[str], names: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip([*cells, *[""] * (len(names) - len(cells))], names, strict=False)


def _number(text: str, name: str, row: int, faults: list[Fault]) -> float:
    if not text:
        return math.nan
    try:
        return finite(text)
    except ValueError:
        faults.append(Fault(SHEET, "not a number", row, name, text, "a number, or nothing to leave it as it is"))
        return math.nan
