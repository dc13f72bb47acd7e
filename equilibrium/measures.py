"""The measures of the certificate for many scenarios at once, without solving any player's problem again.

A convex player that faces F (its stationarity rows, multipliers put in) at x can gain at most

    sum_j [ F_j^+ (x_j - l_j) + F_j^- (u_j - x_j) ] + sum_k m_k g_k        (over its decisions j, its limits k)

because its payoff lies above its tangent (weak duality). Where its payoff is strictly curved, the same sum bounds how
far its best response is away; a limit that is met to within the rounding of its own evaluation counts as met there
(otherwise the root of that rounding would be the bound). Both are compared with the tolerances of a single certificate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .curvature import Curvature, sums
from .mcp import DECISION, MULTIPLIER, MixedComplementarity
from .solvers.batched import Problems
from .tolerances import DISTANCE, REGRET, RESIDUAL

ROUNDING = 32 * float(np.finfo(float).eps)
"""What evaluating a row may be off by, relative to the size of its terms."""


@dataclass(frozen=True)
class Measures:
    """Per scenario: residual [relative]; regret, the largest bound over the players [relative to the player's bill];
    distance, likewise [relative to its decisions], NaN where no payoff is strictly curved; convex: whether every
    player's own problem is."""

    residual: np.ndarray
    regret: np.ndarray
    distance: np.ndarray
    convex: np.ndarray

    @property
    def passed(self) -> np.ndarray:
        """Whether every measure that applies is within its tolerance."""
        near = np.isnan(self.distance) | (self.distance <= DISTANCE)
        return (self.residual <= RESIDUAL) & (self.regret <= REGRET) & near & self.convex


def measure(
    problems: Problems, z: np.ndarray, curved: list[Curvature], chosen: np.ndarray, ahead: np.ndarray | float = 0.0
) -> Measures:
    """problems: the scenarios ``chosen`` (positions within what ``curved`` was made of), z (n, scenarios); ahead: the
    largest decision of those who moved before."""
    mcp = problems.shape.mcp
    value = problems.F(z)
    _, row = problems.scales(z, value)
    residual = problems.error(z)
    count, players = z.shape[1], len(curved)
    convex = np.ones(count, dtype=bool)
    if not players:
        return Measures(residual, np.zeros(count), np.full(count, np.nan), convex)
    size = _sizes(mcp, z, players, ahead)
    slack = _slack(mcp, problems, z, value, size)
    add = sums(mcp.player, players)
    floor = np.where(mcp.kind[:, None] == DECISION, np.maximum(np.abs(z), size[mcp.player]), 0.0)
    bill = add @ (row * floor)
    regret = np.max((add @ slack) / np.maximum(bill, 1e-300), axis=0)
    distance = np.full(count, np.nan)
    wrong = _wrong(mcp, problems, z, value)
    apart = (mcp.kind[:, None] == MULTIPLIER) & (np.abs(value) > ROUNDING * row)
    limits = add @ np.where(apart, slack, 0.0)
    for i, one in enumerate(curved):
        convex &= _at(one.convex, chosen)
        mine = np.flatnonzero((mcp.player == i) & (mcp.kind == DECISION))
        if mine.size:
            away = _away(wrong[mine], limits[i], _at(one.lowest, chosen), _at(one.diagonal, chosen))
            distance = np.fmax(distance, away / size[i])
    return Measures(residual, regret, distance, convex)


def _at(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return values if values.shape[-1] == 1 else values[..., chosen]


def _sizes(mcp: MixedComplementarity, z: np.ndarray, players: int, ahead: np.ndarray | float) -> np.ndarray:
    """Size of every player's decisions (players, scenarios); who does nothing is off by rounding of what others do."""
    decides = mcp.kind == DECISION
    everybody = np.maximum(np.abs(z[decides]).max(axis=0, initial=0.0), ahead)
    largest = np.zeros((players, z.shape[1]))
    np.maximum.at(largest, mcp.player[decides], np.abs(z[decides]))
    return np.maximum(np.maximum(largest, 1e-5 * everybody), 1e-300)


def _slack(
    mcp: MixedComplementarity, problems: Problems, z: np.ndarray, value: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Every own column's part in the bound on regret; without a limit, inside the box of ``deviation.boxed``."""
    reach = 10 * np.maximum(size, 1.0)[mcp.player]
    low = np.where(np.isneginf(problems.lower), np.minimum(-reach, z), problems.lower)
    up = np.where(np.isposinf(problems.upper), np.maximum(reach, z), problems.upper)
    decision = np.maximum(value, 0.0) * (z - low) + np.maximum(-value, 0.0) * (up - z)
    return np.where(mcp.kind[:, None] == DECISION, decision, np.abs(z * value))


def _wrong(mcp: MixedComplementarity, problems: Problems, z: np.ndarray, value: np.ndarray) -> np.ndarray:
    """F of the decisions, zero where it holds them at the bound at which they are."""
    held = (z == problems.lower) & (value >= 0) | (z == problems.upper) & (value <= 0)
    return np.where(held, 0.0, value)


def _away(wrong: np.ndarray, limits: np.ndarray, lowest: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """How far the best response may be: e with lowest |e|^2 / 2 <= |F / root h| |e| + limits, scaled back.

    NaN where the payoff is not strictly curved.
    """
    with np.errstate(all="ignore"):
        root = np.sqrt(diagonal)
        force = np.sqrt(((wrong / root) ** 2).sum(axis=0))
        far = (force + np.sqrt(force**2 + 2 * lowest * limits)) / lowest
        return np.where(lowest > 0, far / root.min(axis=0), np.nan)
