"""A question that takes many equilibria of one case: found by its name in the market, run, and written like a case."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import writing
from .case import Case, read_case
from .certificate import CYCLING, UNCERTIFIED
from .data import change
from .errors import DataError, Fault
from .market import Study
from .run import RESULTS
from .tables import did_you_mean


@dataclass(frozen=True)
class Studied:
    """What a study gave: its tables by name, the folder written (None: nothing was), the command's exit code."""

    case: Case
    study: Study
    tables: Mapping[str, pd.DataFrame]
    folder: Path | None
    code: int


def run_study(
    folder: str | Path,
    name: str,
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    figures: bool = True,
    progress: Callable[[str], None] = lambda text: None,
    write: bool = True,
) -> Studied:
    """Run a study of a case's market and write ``results/<market>/<case>/study-<name>``.

    changes: cells to replace, by address. out: another folder. progress: called with one line before each step. The
    code is 1 where some table has a ``verdict`` that is uncertified or cycling. Raises DataError for bad input and for
    a study that the market does not have, before anything is solved or written.
    """
    case = read_case(folder)
    study = find_study(case, name)
    target = Path(out) if out is not None else RESULTS / case.market.name / f"{case.name}-{name}"
    if write:
        writing.check_target(target)
    data = change(case.data, changes) if changes else case.data
    began = time.perf_counter()
    tables = study.run(data, case.alternatives, progress)
    seconds = {"study": time.perf_counter() - began}
    if write:
        progress("figures and files")
        with writing.room_for(target) as room:
            writing.put_tables(tables, room)
            if figures and study.figures:
                writing.draw_into(room, study.figures(tables))
            writing.put_provenance(room, case, changes or {}, seconds, study=name)
    return Studied(case, study, tables, target if write else None, exit_code(tables))


def find_study(case: Case, name: str) -> Study:
    """The study of that name. Raises DataError, listing what there is."""
    known = case.market.studies
    if name not in known:
        message = f"the market {case.market.name} has no such study" + did_you_mean(name, list(known))
        raise DataError([Fault("--study", message, value=name, allowed=", ".join(known) or "it has none")])
    return known[name]


def exit_code(tables: Mapping[str, pd.DataFrame]) -> int:
    """1 where some row says that its answer is not certified, else 0."""
    bad = [table["verdict"].isin((UNCERTIFIED, CYCLING)).any() for table in tables.values() if "verdict" in table]
    return int(any(bad))
