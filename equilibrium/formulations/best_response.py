"""Each player in turn answers the others (Gauss-Seidel), until nobody moves or the profile comes back.

Turns, not all at once: simultaneous answers cycle where turns converge. Only for games in which nothing but the
players stands in the model: a price that clears a market is nobody's answer.
"""

from __future__ import annotations

import time

import numpy as np

from ..errors import Refused
from ..mcp import DECISION, MULTIPLIER, MixedComplementarity
from ..solvers import newton
from ..solvers.outcome import Outcome, Termination
from . import potential


def solve(mcp: MixedComplementarity, rounds: int = 500, tolerance: float = 1e-13) -> tuple[np.ndarray, Outcome]:
    """The profile at which turns settle. CYCLING when an earlier profile returns, LIMIT after ``rounds`` rounds."""
    began = time.perf_counter()
    if ((mcp.kind != DECISION) & (mcp.kind != MULTIPLIER)).any():
        raise Refused("best responses need a game of players alone; this model has prices or rules outside the players")
    players = [np.flatnonzero(mcp.player == i) for i in range(int(mcp.player.max(initial=-1)) + 1)]
    z = mcp.interior()
    seen: list[np.ndarray] = []
    for count in range(1, rounds + 1):
        before = z.copy()
        for columns in players:
            z[columns], answer = respond(mcp.part(columns, z), z[columns])
            if answer.termination in (Termination.UNBOUNDED, Termination.INFEASIBLE):
                message = f"in round {count} the player of {mcp.names[columns[0]]} has no answer: {answer.message}"
                return z, _outcome(answer.termination, message, began, count)
        decisions = z[mcp.kind == DECISION]
        moved = float(np.abs(z - before)[mcp.kind == DECISION].max(initial=0.0))
        if moved <= tolerance * max(float(np.abs(decisions).max(initial=0.0)), 1e-300):
            z = newton.polish(mcp, z)
            return z, _outcome(Termination.SOLVED, f"settled after {count} rounds", began, count)
        near = [k for k, old in enumerate(seen) if np.abs(old - decisions).max() <= 1e-9 * np.abs(decisions).max()]
        if near and moved > 1e-6 * np.abs(decisions).max():
            return z, _outcome(Termination.CYCLING, f"returns to the profile of round {near[-1] + 1}", began, count)
        seen = [*seen[-20:], decisions]
    return z, _outcome(Termination.LIMIT, f"not settled after {rounds} rounds", began, rounds)


def respond(part: MixedComplementarity, z: np.ndarray) -> tuple[np.ndarray, Outcome]:
    """One player's answer with the rest given: its own convex programme where it is one, else Newton on its
    conditions."""
    found = potential.find(part)
    if found is not None:
        answer, outcome = potential.solve(part, found)
        if outcome.ok or outcome.termination in (Termination.UNBOUNDED, Termination.INFEASIBLE):
            return answer, outcome
    return newton.solve(part, z)


def _outcome(termination: Termination, message: str, began: float, count: int) -> Outcome:
    return Outcome(termination, message, time.perf_counter() - began, "best responses in turn", iterations=count)
