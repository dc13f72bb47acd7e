"""What a run produces: one record for each alternative with an answer, for each without, and for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from .case import Alternative, Case
from .data import Data
from .own import OwnSolution
from .solution import Solution


@dataclass
class Solved:
    """One alternative with its answer: the case's data, the plain model at the answer (None where the market's own
    answer stands alone), the solution and reported values."""

    alternative: Alternative
    data: Data
    model: Any
    solution: Solution | OwnSolution
    values: pd.DataFrame = field(default_factory=pd.DataFrame)

    def value(self, quantity: str, index: str = "") -> float:
        """One reported number. Raises KeyError if the market does not report it for this alternative."""
        found = self.values[(self.values["quantity"] == quantity) & (self.values["index"] == index)]["value"]
        if found.empty:
            raise KeyError(f"{self.alternative.name} reports no {quantity} [{index}]")
        return float(found.iloc[0])


@dataclass
class Failure:
    """One alternative without an answer: verdict 'refused', 'infeasible', 'solver missing', 'none' (proved: there is no
    equilibrium, code 0) or 'error' (a fault of the program), and the reason."""

    alternative: Alternative
    verdict: str
    message: str
    code: int


@dataclass
class Results:
    """What a run produced. ``tables`` are the files written (name without .csv); ``code`` is the command's exit
    code."""

    case: Case
    solved: list[Solved]
    failures: list[Failure]
    tables: Mapping[str, pd.DataFrame]
    folder: Path | None
    seconds: Mapping[str, float]
    code: int
