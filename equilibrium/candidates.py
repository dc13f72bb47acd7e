"""Is a solution of the joint conditions an equilibrium? The certificate at a candidate, and the global answer of a
player that is not convex: all stationary points of its own problem compared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .certificate import CERTIFIED, UNCERTIFIED, Answer, Certificate, Check, certify
from .enumeration import branching, enumerate_all
from .mcp import DECISION, OUTSIDE, MixedComplementarity
from .solvers.outcome import Termination
from .solvers.polyhedron import Limits, Polyhedron
from .tolerances import REGRET

COMPARED = "all stationary points of its own problem compared"
"""The proof for a player that is not convex: it holds at the point examined, not on a set around it."""

LARGEST, NODES = 24, 2000
"""Up to so many columns to decide, and so many partial patterns, a player's own problem is searched."""


def write(mcp: MixedComplementarity, z: np.ndarray) -> None:
    """Give the model's Vars the values z."""
    for value, component in zip(z, mcp.components, strict=True):
        if not isinstance(component, tuple):
            component.set_value(float(value), skip_validation=True)


def certified_at(answer: Answer, z: np.ndarray) -> tuple[Certificate, bool]:
    """(certificate at z, whether it was shown that somebody would deviate). The model's Vars are left at z."""
    write(answer.mcp, z)
    found = certify(replace(answer, z=z))
    if found.verdict == CERTIFIED or not answer.game.players or not answer.mcp.is_affine:
        return found, False
    checks = [_globally(answer, index, check, z) for index, check in enumerate(found.checks)]
    found = replace(found, checks=tuple(checks))
    gains = [check.name for check in checks if check.regret > REGRET * max(check.bill, 1e-300)]
    if gains:
        return replace(found, verdict=UNCERTIFIED, scope=f"{', '.join(gains)} would deviate"), True
    if all(check.passed and (check.proof or check.kind == "outside") for check in checks):
        scope = "global: every player's own problem was solved again, where not convex over all its stationary points"
        return replace(found, verdict=CERTIFIED, scope=scope), False
    return found, False


def _globally(answer: Answer, index: int, check: Check, z: np.ndarray) -> Check:
    """A player's row with the global answer where its problem has no proof of convexity."""
    if check.kind != "player" or check.proof:
        return check
    gain = global_gain(answer.mcp, index, z)
    if gain is None:
        return check
    if gain > REGRET * max(check.bill, 1e-300):
        return replace(check, regret=max(gain, check.regret), note="one of its other stationary points is better")
    return replace(check, regret=max(gain, 0.0), proof=COMPARED, note="")


def global_gain(mcp: MixedComplementarity, index: int, z: np.ndarray) -> float | None:
    """What player ``index`` could gain at most at z [money]; None where its problem is unbounded, large or unsettled.

    Its own problem with the rest given is a quadratic programme over a bounded set, so its optimum is one of its
    stationary points; on a connected set of those the payoff is constant.
    """
    columns = np.flatnonzero(mcp.player == index)
    part = mcp.part(columns, z)
    decisions = np.flatnonzero(part.kind == DECISION)
    limits = np.array([part.lower[decisions], part.upper[decisions]])
    if part.matrix is None or part.vector is None or branching(part) > LARGEST or not np.isfinite(limits).all():
        return None
    search = enumerate_all(part, NODES)
    if not search.complete or not search.solutions:
        return None
    hessian, gradient = part.matrix[decisions][:, decisions], part.vector[decisions]

    def cost(x: np.ndarray) -> float:
        return float(0.5 * x @ (hessian @ x) + gradient @ x)

    return cost(z[columns][decisions]) - min(cost(found.point[decisions]) for found in search.solutions)


def contradiction(mcp: MixedComplementarity) -> bool:
    """Whether limits and clearing rows alone leave no decisions (an affine problem; stationarity left out)."""
    assert mcp.matrix is not None and mcp.vector is not None
    rows = np.flatnonzero(mcp.kind != DECISION)
    columns = np.flatnonzero((mcp.kind == DECISION) | (mcp.kind == OUTSIDE))
    has_low, has_up = np.isfinite(mcp.lower[rows]), np.isfinite(mcp.upper[rows])
    shift = -mcp.vector[rows]
    limits = Limits(
        mcp.lower[columns],
        mcp.upper[columns],
        np.where(has_up, -np.inf, shift),
        np.where(has_low, np.inf, shift),
    )
    polyhedron = Polyhedron(mcp.matrix[rows][:, columns], limits)
    return polyhedron.minimise(limits)[1] is Termination.INFEASIBLE
