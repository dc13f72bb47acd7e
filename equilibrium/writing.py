"""The results folder: tables, pictures, report and provenance, written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .errors import DataError, Fault
from .report import report_text
from .results import Results

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
    target = results.folder
    assert target is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, table in results.tables.items():
            table.to_csv(room / f"{name}.csv", index=False)
        pictures = _draw(results, room) if figures else []
        (room / "report.md").write_text(report_text(results, pictures), encoding="utf-8")
        provenance = json.dumps(_provenance(results, changes, formulation, solver), indent=2)
        (room / PROVENANCE).write_text(provenance + "\n", encoding="utf-8")
        os.chmod(room, 0o755)
        _move(room, target)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _move(room: Path, target: Path) -> None:
    check_target(target)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.rename(target, old / target.name)
        os.rename(room, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(room, target)


def _draw(results: Results, room: Path) -> list[str]:
    draw = results.case.market.figures
    if draw is None or not results.solved:
        return []
    (room / "figures").mkdir()
    names = []
    for name, figure in draw(results.solved).items():
        for kind in ("png", "svg"):
            figure.savefig(
                room / "figures" / f"{name}.{kind}", dpi=150, metadata={"Date": None} if kind == "svg" else None
            )
        names.append(name)
    return names


def _provenance(
    results: Results, changes: Mapping[str, Any], formulation: str | None, solver: str | None
) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "version": _version(MADE_BY),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "case": str(results.case.folder),
        "market": results.case.market.name,
        "inputs_sha256": dict(results.case.hashes),
        "changes": {name: str(value) for name, value in changes.items()},
        "options": {"formulation": formulation, "solver": solver},
        "routes": {one.alternative.name: one.solution.route for one in results.solved},
        "seconds": {step: round(seconds, 4) for step, seconds in results.seconds.items()},
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
