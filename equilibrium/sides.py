"""On which side of its complementarity every column of an answer stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mcp import MixedComplementarity

LOW, INSIDE, HIGH = -1, 0, 1


@dataclass(frozen=True)
class Sides:
    """pattern: LOW (at the lower bound), INSIDE (F = 0) or HIGH; other: the nearest side that it is not on; margin: how
    far it is from that one, relative (0 where both hold)."""

    pattern: np.ndarray
    other: np.ndarray
    margin: np.ndarray


def sides_of(reaction: MixedComplementarity, z: np.ndarray) -> Sides:
    """The sides at z, an answer of ``reaction``."""
    column, row = reaction.scales(z)
    slack = reaction.F(z) / row
    below = np.where(np.isfinite(reaction.lower), (z - reaction.lower) / column, np.inf)
    above = np.where(np.isfinite(reaction.upper), (reaction.upper - z) / column, np.inf)
    pattern = np.full(reaction.size, INSIDE, dtype=np.int8)
    pattern[below <= slack] = LOW
    pattern[(above <= -slack) & (below > slack)] = HIGH
    other = np.where(pattern == INSIDE, np.where(below <= above, LOW, HIGH), INSIDE).astype(np.int8)
    return Sides(pattern, other, np.where(pattern == INSIDE, np.minimum(below, above), np.abs(slack)))
