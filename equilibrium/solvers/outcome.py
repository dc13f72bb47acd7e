"""Why a solver stopped, in one vocabulary for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Termination(Enum):
    """Why a solver stopped. Says nothing about the quality of what is in hand: that is the certificate's work."""

    SOLVED = "solved"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    LIMIT = "limit reached"
    FAILED = "failed"
    CYCLING = "cycling"
    MISSING = "solver missing"


ADVICE = {
    Termination.INFEASIBLE: "look for limits that contradict each other",
    Termination.UNBOUNDED: "somebody can gain without limit; look for a missing capacity, budget or demand slope",
    Termination.LIMIT: "try another formulation (--formulation), or look for numbers of very different size",
    Termination.FAILED: "try another formulation (--formulation), or look for numbers of very different size",
    Termination.CYCLING: "best responses in turn did not settle; try --formulation complementarity",
    Termination.MISSING: "run 'python solve.py --doctor' to see what is missing and how to get it",
}


@dataclass(frozen=True)
class Outcome:
    """What a solver reports: why it stopped, in words, how long it took, and which solver and version it was."""

    termination: Termination
    message: str
    seconds: float
    solver: str
    version: str = ""
    iterations: int = 0

    @property
    def ok(self) -> bool:
        """Whether the solver reports success."""
        return self.termination is Termination.SOLVED

    @property
    def advice(self) -> str:
        """What to try next, in one sentence; empty after success."""
        return ADVICE.get(self.termination, "")
