"""Parameter studies: many certified equilibria of one case, never lost.

Parts of a few scenarios are solved, here or by workers, and written whole as they come in; what was interrupted goes on
where it stood. At the end there is one Parquet file of rows (``rows``), a summary, and quick looks.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from . import parts, quick_look, workers, writing
from .case import Case, read_case
from .data import change
from .design import Design, from_words
from .errors import DataError, Fault
from .rows import FAILED, chosen, column_name, solve_row
from .run import RESULTS
from .tables import did_you_mean

CSV_ROWS = 100_000
"""Up to so many rows are also written as rows.csv, for those who open it in a spreadsheet."""


CODES = dict.fromkeys(FAILED, 1) | {"bad input": 2, "solver missing": 3, "refused": 4, "infeasible": 4}
"""Verdicts that are no answer, with the command's exit code."""


PART_SIZES = ((10, 100), (50, 1_000), (250, 5_000), (2_000, float("inf")))
"""Scenarios in a part, for studies of up to so many scenarios. What is solved together is solved within a part."""


@dataclass(frozen=True)
class Swept:
    """What a parameter study gave: where it lies, the summary, how many rows, the command's exit code; ``notes`` on
    rows without an answer and on quantities asked for that no row has."""

    case: Case
    design: Design
    folder: Path
    summary: pd.DataFrame
    rows: int
    code: int
    notes: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """Every row: scenario, alternative, what the answer is worth, inputs, reported quantities."""
        return pd.read_parquet(self.folder / parts.ROWS)


def run_sweep(
    folder: str | Path,
    sweeps: Sequence[str] = (),
    design: Design | None = None,
    only: Sequence[str] = (),
    report: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    processes: int = 1,
    scheduler: str = "",
    figures: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Swept:
    """Solve the scenarios of a design, or every combination of ``sweeps`` (as the command takes them), and write
    ``results/<market>/<case>-<design>``; a study that was interrupted is taken up.

    only, report: alternatives and quantities, instead of the design's. changes: cells to replace in every scenario.
    processes: of this machine. scheduler: address of a Dask cluster, or 'local'. progress: called with scenarios done
    and their number. Raises DataError for bad input before anything is solved or written.
    """
    case = read_case(folder)
    inputs = workers.Inputs.of(case, changes or {})
    if changes:
        case = replace(case, data=change(case.data, changes))
    design = design or from_words(case, sweeps)
    design = _limited(case, design, only, report)
    target = Path(out) if out is not None else RESULTS / case.market.name / f"{case.name}-{design.name}"
    note = _note(case, design, changes or {})
    if not _finished(target, note):
        began = time.perf_counter()
        if not (target / parts.NOTE).exists():
            writing.check_target(target)
            shutil.rmtree(target, ignore_errors=True)
        try:
            _solve(inputs, design, target, note, processes, scheduler, progress)
            _finish(case, design, target, changes or {}, time.perf_counter() - began, figures)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; what is solved is in {target}, and the same command goes on") from None
    summary = pd.read_csv(target / "summary.csv", keep_default_na=False, na_values=[""])
    lost = _not_reported(case, design, summary)
    notes = (*unanswered(target / parts.ROWS), *lost)
    code = max(exit_code(summary), 2 if lost else 0)
    return Swept(case, design, target, summary, pq.read_metadata(target / parts.ROWS).num_rows, code, notes)


def part_size(scenarios: int) -> int:
    """How many scenarios make a part: few where each may take long, more where only a batch can be meant."""
    return next(size for size, most in PART_SIZES if scenarios <= most)


def exit_code(summary: pd.DataFrame) -> int:
    """As of a single run, the most serious of all rows': 1 where some row is uncertified, cycling or an error, 2 bad
    input, 3 a solver missing, 4 refused or infeasible, else 0."""
    told = set(summary[summary["quantity"] == "rows"]["index"])
    return max((code for word, code in CODES.items() if f"verdict={word}" in told), default=0)


def unanswered(path: Path) -> list[str]:
    """One line for each alternative and verdict that is no answer: in how many scenarios, the first, and why there."""
    frame = pd.read_parquet(path, columns=["scenario", "alternative", "verdict", "reason"])
    lines = []
    for (alternative, word), rows in frame[frame["verdict"].isin(CODES)].groupby(["alternative", "verdict"]):
        first = rows.iloc[0]
        where = (
            f"scenario {first['scenario']}"
            if len(rows) == 1
            else f"{len(rows)} scenarios, {first['scenario']} the first"
        )
        lines.append(f"{alternative}: {word} in {where}: {first['reason']}")
    return lines


def _limited(case: Case, design: Design, only: Sequence[str], report: Sequence[str]) -> Design:
    names = [alternative.name for alternative in case.alternatives]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise DataError(
            [
                Fault("--only", "no such alternative" + did_you_mean(n, names), None, "", n, ", ".join(names))
                for n in unknown
            ]
        )
    return replace(design, alternatives=tuple(only) or design.alternatives, report=tuple(report) or design.report)


def _not_reported(case: Case, design: Design, summary: pd.DataFrame) -> list[str]:
    """Quantities asked for that no row has, with the nearest that the first scenario has."""
    told = summary[summary["quantity"] != "rows"].fillna({"index": ""})
    found = {*told["quantity"], *map(column_name, told["quantity"], told["index"])}
    lost = [name for name in design.report if name not in found]
    if not lost:
        return []
    every = replace(design, report=())
    units = [solve_row(case, every, 0, one)[1] for one in chosen(case, design)]
    known = sorted({name.partition("[")[0] for of in units for name in of})
    return [
        f"--report: no row has '{name}'{did_you_mean(name, known)}; there are {', '.join(known)}"
        for name in lost
        if known
    ]


def _note(case: Case, design: Design, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that decides what the rows say."""
    return {
        "made_by": writing.MADE_BY,
        "version": writing.version_of(writing.MADE_BY),
        "files": dict(case.hashes),
        "changes": {name: str(value) for name, value in changes.items()},
        "cells": [cell.name for cell in design.cells],
        "values": hashlib.sha256(design.values.tobytes()).hexdigest(),
        "labels": hashlib.sha256("\n".join(design.labels).encode()).hexdigest(),
        "alternatives": list(design.alternatives),
        "report": list(design.report),
    }


def _finished(target: Path, note: Mapping[str, Any]) -> bool:
    """Whether this very study lies there complete."""
    return (target / writing.PROVENANCE).exists() and parts.note_of(target) == note


def _solve(
    inputs: workers.Inputs,
    design: Design,
    target: Path,
    note: Mapping[str, Any],
    processes: int,
    scheduler: str,
    progress: Callable[[int, int], None],
) -> None:
    """Solve and write the parts that are not there yet."""
    done = parts.begin(target, note)
    size = part_size(design.size)
    pieces = [range(k, min(k + size, design.size)) for k in range(0, design.size, size)]
    finished = sum(len(pieces[part]) for part in done)
    progress(finished, design.size)

    def tasks() -> Iterator[tuple[int, Design]]:
        return ((p, workers.part_of(design, piece)) for p, piece in enumerate(pieces) if p not in done)

    if scheduler:
        found = workers.cluster(inputs, tasks(), scheduler, processes)
    elif processes > 1:
        found = workers.processes(inputs, tasks(), processes)
    else:
        found = workers.here(inputs, tasks())
    for part, content in found:
        parts.put(target, part, content)
        finished += len(pieces[part])
        progress(finished, design.size)


def _finish(
    case: Case, design: Design, target: Path, changes: Mapping[str, Any], seconds: float, figures: bool
) -> None:
    """One file of all parts, the summary, quick looks; the provenance last, which says that the study is complete."""
    units, times = parts.join(target)
    times.to_csv(target / "times.csv", index=False)
    cells = {cell.name: cell.column.unit for cell in design.cells}
    summarise(target / parts.ROWS, [one.name for one in chosen(case, design)], units).to_csv(
        target / "summary.csv", index=False
    )
    if pq.read_metadata(target / parts.ROWS).num_rows <= CSV_ROWS:
        pd.read_parquet(target / parts.ROWS).to_csv(target / "rows.csv", index=False)
    if figures:
        shutil.rmtree(target / "figures", ignore_errors=True)
        writing.draw_into(target, quick_look.draw(target / parts.ROWS, design, cells, units))
    writing.put_provenance(target, case, changes, {"study": seconds}, study=design.name, scenarios=design.size)
    shutil.rmtree(target / parts.PARTS)


def summarise(path: Path, alternatives: Sequence[str], units: Mapping[str, str]) -> pd.DataFrame:
    """For every alternative: how many rows have which verdict, how many were solved alone and why, and the range and
    mean of every quantity; one row group is in memory at a time. Columns alternative, quantity, index, rows, least,
    mean, most, unit."""
    file = pq.ParquetFile(path)
    counts: dict[tuple[str, str], int] = {}
    sums: dict[tuple[str, str], list[float]] = {}
    for group in range(file.num_row_groups):
        frame = file.read_row_group(group).to_pandas()
        for what in ("verdict", "alone"):
            for (alternative, word), rows in frame[frame[what] != ""].groupby(["alternative", what]).size().items():
                key = (alternative, f"{what}={word}")
                counts[key] = counts.get(key, 0) + int(rows)
        for name in units:
            if name not in frame:
                continue
            for alternative, values in frame.groupby("alternative")[name]:
                values = values.dropna()
                if len(values):
                    old = sums.setdefault((alternative, name), [0, float("inf"), 0.0, float("-inf")])
                    old[:] = (
                        old[0] + len(values),
                        min(old[1], values.min()),
                        old[2] + values.sum(),
                        max(old[3], values.max()),
                    )
    rows = []
    for alternative in alternatives:
        rows += [
            {"alternative": alternative, "quantity": "rows", "index": told, "rows": number}
            for (name, told), number in sorted(counts.items(), key=lambda one: (one[0][1].startswith("alone"), *one[0]))
            if name == alternative
        ]
        for (name, column), (number, least, total, most) in sums.items():
            if name == alternative:
                quantity, _, index = column.partition("[")
                told = {"rows": number, "least": least, "mean": total / number, "most": most, "unit": units[column]}
                rows.append(
                    {"alternative": alternative, "quantity": quantity, "index": index.removesuffix("]"), **told}
                )
    columns = ["alternative", "quantity", "index", "rows", "least", "mean", "most", "unit"]
    return pd.DataFrame(rows, columns=columns)
