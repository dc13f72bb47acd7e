"""Root finding over a parameter: from which value on something measured at certified equilibria is negative."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import writing
from .case import Case, read_case
from .data import change
from .design import Design
from .errors import EquilibriumError
from .rows import ANSWERED, solve_row
from .run import RESULTS
from .threshold import FOUND, Threshold, threshold


class NotAnswered(EquilibriumError):
    """A point of the search has no certified equilibrium, or does not report what is asked for."""


def run_crossing(
    folder: str | Path, design: Design, changes: Mapping[str, Any] | None = None, out: str | Path | None = None
) -> tuple[Case, pd.DataFrame, Path]:
    """Find the threshold of a design, write ``results/<market>/<case>-<design>/threshold.csv`` with its provenance;
    returns the case, the table and the folder. Raises DataError, NotAnswered."""
    case = read_case(folder)
    if changes:
        case = replace(case, data=change(case.data, changes))
    target = Path(out) if out is not None else RESULTS / case.market.name / f"{case.name}-{design.name}"
    writing.check_target(target)
    began = time.perf_counter()
    table = find_crossing(case, design)
    with writing.room_for(target) as room:
        writing.put_tables({"threshold": table}, room)
        seconds = {"study": time.perf_counter() - began}
        writing.put_provenance(room, case, changes or {}, seconds, study=design.name)
    return case, table, target


def find_crossing(case: Case, design: Design) -> pd.DataFrame:
    """The threshold that a design of kind 'threshold' asks for, as a table with one row: cell, answer (a number, none
    or unbounded), value, the excess at both ends, equilibria solved, verdict.

    The search begins at the lowest value and goes up in the steps of the range, then closes in on the first change of
    sign. Raises NotAnswered where a point is not certified: a threshold that rests on it would be worth nothing.
    """
    assert design.crossing is not None
    cell, points = design.cells[0], np.sort(design.values[:, 0])
    asked: dict[float, float] = {}

    def excess(value: float) -> float:
        asked[value] = _excess(case, design, value)
        return asked[value]

    step = float(points[1] - points[0]) if len(points) > 1 else 0.0
    found = threshold(excess, float(points[0]), step, float(points[-1]), growth=1.0)
    near = sorted(asked, key=lambda value: abs(value - found.value)) if found.answer == FOUND else sorted(asked)
    return pd.DataFrame([_told(design, found, asked, near, cell.name, cell.column.unit)])


def _told(
    design: Design, found: Threshold, asked: dict[float, float], near: list[float], cell: str, unit: str
) -> dict[str, object]:
    assert design.crossing is not None
    inside = [value for value in near if asked[value] >= 0]
    outside = [value for value in near if asked[value] < 0]
    return {
        "of": design.crossing.of,
        "cell": cell,
        "answer": found.answer,
        "value": found.value,
        "unit": unit,
        "not negative at": inside[0 if found.answer == FOUND else -1] if inside else np.nan,
        "negative at": outside[0] if outside else np.nan,
        "equilibria": len(asked),
        "verdict": "certified",
    }


def _excess(case: Case, design: Design, value: float) -> float:
    crossing = design.crossing
    assert crossing is not None
    amount = _quantity(case, design, value, crossing.alternative)
    if isinstance(crossing.minus, str):
        return amount - _quantity(case, design, value, crossing.minus)
    return amount - crossing.minus


def _quantity(case: Case, design: Design, value: float, name: str) -> float:
    """The quantity at the certified equilibrium of an alternative. Raises NotAnswered."""
    assert design.crossing is not None
    alternative = next(one for one in case.alternatives if one.name == name)
    point = replace(design, values=np.array([[value]]), labels=(f"{value:.10g}",), report=())
    row, _ = solve_row(case, point, 0, alternative)
    where = f"{name} at {design.cells[0].name} = {value:.10g}"
    if row["verdict"] not in ANSWERED or row["verdict"] == "none":
        raise NotAnswered(f"{where} is {row['verdict']}: {row['reason']}")
    if design.crossing.of not in row:
        raise NotAnswered(f"{where} reports no {design.crossing.of}")
    return float(row[design.crossing.of])
