"""What can go wrong, and the exit code each kind of trouble ends with.

Every error carries a message written for the person at the keyboard. ``solve.py`` prints it and exits with ``code``;
nothing here is ever shown as a traceback.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a case folder.

    file, row (line number in the file as an editor shows it, header = 1), column, the value found, and what is allowed.
    Fields that do not apply are empty.
    """

    file: str
    message: str
    row: int | None = None
    column: str = ""
    value: str | None = None
    allowed: str = ""

    def __str__(self) -> str:
        where = self.file
        if self.row is not None:
            where += f", row {self.row}"
        if self.column:
            where += f", column '{self.column}'"
        found = f" (found: {self.value!r})" if self.value is not None else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{where}: {self.message}{found}{allowed}"


class EquilibriumError(Exception):
    """Base of all errors this package raises on purpose; ``code`` is the command's exit code."""

    code = 1


class DataError(EquilibriumError):
    """Bad input: all faults of a case folder together."""

    code = 2

    def __init__(self, faults: Iterable[Fault], where: str = "") -> None:
        self.faults = tuple(faults)
        head = f"{len(self.faults)} problem{'s' if len(self.faults) != 1 else ''}"
        if where:
            head += f" in {where}"
        super().__init__("\n".join([head + ":", *(f"  - {line}" for line in _lines(self.faults))]))


def _lines(faults: Iterable[Fault], shown: int = 5) -> list[str]:
    """One line per fault, but of many alike (same file, column and message) only the first few and their number."""
    alike: dict[tuple[str, str, str], list[Fault]] = {}
    for fault in faults:
        alike.setdefault((fault.file, fault.column, fault.message), []).append(fault)
    lines = []
    for group in alike.values():
        lines += [str(fault) for fault in group[:shown]]
        if len(group) > shown:
            lines.append(f"{group[0].file}: the same in {len(group) - shown} more rows")
    return lines


class SolverMissing(EquilibriumError):
    """A solver or library that this problem needs is not installed; the message says how to get it."""

    code = 3


class Refused(EquilibriumError):
    """The model cannot be treated as stated; the message says why and what would be right."""

    code = 4


class NotCertified(Refused):
    """Something that a report rests on (a benchmark, a split, a range) was not solved to a certified answer."""


class NoEquilibrium(EquilibriumError):
    """It was proved that there is no equilibrium: an answer, not a failure; the message gives the proof."""

    code = 0


class Infeasible(EquilibriumError):
    """No decisions satisfy the constraints; the message names the ones that contradict each other where it can."""

    code = 4


ERROR = "error"
"""Verdict where the code, not the data or the model, failed."""


def in_one_line(error: Exception) -> str:
    """An unexpected error in one line, with the place in this package's or a market's code where it came up."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    ours = [f for f in frames if ROOT in Path(f.filename).parents] or frames
    place = f" ({'/'.join(Path(ours[-1].filename).parts[-2:])}, line {ours[-1].lineno})" if ours else ""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{what}{place}: a fault of the program, not of the data as far as it can tell; please report it"
