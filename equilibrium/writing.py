"""The results folder: tables, pictures, report and provenance, written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .case import Case
from .errors import DataError, Fault
from .report import report_text
from .results import Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PROVENANCE = "provenance.json"


MADE_BY = "flexmarkets"


PACKAGES = ("pyomo", "highspy", "numpy", "scipy", "pandas", "cyipopt", "casadi", "matplotlib")


def check_target(target: Path) -> None:
    """Refuse to replace a folder that is not one of our results. Raises DataError."""
    if target.exists() and not (target.is_dir() and (_is_ours(target) or not any(target.iterdir()))):
        message = (
            f"exists and was not written by {MADE_BY} (no {PROVENANCE} of ours in it); give another folder with --out"
        )
        raise DataError([Fault(str(target), message)])


def _is_ours(folder: Path) -> bool:
    try:
        return json.loads((folder / PROVENANCE).read_text(encoding="utf-8")).get("made_by") == MADE_BY
    except (OSError, ValueError, AttributeError):
        return False


def write(
    results: Results, changes: Mapping[str, Any], formulation: str | None, solver: str | None, figures: bool
) -> None:
    """Write the results folder: into a temporary one beside it, then moved into place."""
    assert results.folder is not None
    draw = results.case.market.figures
    with room_for(results.folder) as room:
        put_tables(results.tables, room)
        pictures = draw_into(room, draw(results.solved)) if figures and draw and results.solved else []
        (room / "report.md").write_text(report_text(results, pictures), encoding="utf-8")
        put_provenance(
            room,
            results.case,
            changes,
            results.seconds,
            options={"formulation": formulation, "solver": solver},
            routes={one.alternative.name: one.solution.route for one in results.solved},
        )


@contextmanager
def room_for(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target`` that takes its place when all went well. Raises DataError where something
    else stands there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield room
        os.chmod(room, 0o755)
        _move(room, target)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def put_tables(tables: Mapping[str, pd.DataFrame], room: Path) -> None:
    """Every table as a CSV file."""
    for name, table in tables.items():
        table.to_csv(room / f"{name}.csv", index=False)


def _move(room: Path, target: Path) -> None:
    check_target(target)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.rename(target, old / target.name)
        os.rename(room, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(room, target)


def draw_into(room: Path, figures: Mapping[str, Figure]) -> list[str]:
    """Every figure as PNG and SVG in ``room/figures``; returns their names."""
    (room / "figures").mkdir()
    for name, figure in figures.items():
        for kind in ("png", "svg"):
            figure.savefig(
                room / "figures" / f"{name}.{kind}", dpi=150, metadata={"Date": None} if kind == "svg" else None
            )
    return list(figures)


def put_provenance(
    room: Path, case: Case, changes: Mapping[str, Any], seconds: Mapping[str, float], **further: Any
) -> None:
    """What was run on which inputs with which versions, as ``provenance.json``."""
    record = {
        "made_by": MADE_BY,
        "version": version_of(MADE_BY),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "case": str(case.folder),
        "market": case.market.name,
        "inputs_sha256": dict(case.hashes),
        "changes": {name: str(value) for name, value in changes.items()},
        **further,
        "seconds": {step: round(one, 4) for step, one in seconds.items()},
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: version_of(name) for name in PACKAGES},
    }
    (room / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def version_of(package: str) -> str:
    """Version of an installed package, or that it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
