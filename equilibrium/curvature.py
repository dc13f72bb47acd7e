"""Are the players of many scenarios convex, and their conditions monotone? Eigenvalues, many matrices at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from . import uniqueness_sparse
from .definite import BLOCK
from .mcp import DECISION, OUTSIDE, MixedComplementarity, members
from .parametric import Parametric
from .tolerances import CONVEX

DENSE = 120
"""Up to so many columns the monotonicity of conditions whose coefficients vary is tested, by dense matrices."""

AT_ONCE = 4_000_000
"""How many numbers of dense matrices are held at a time."""

STRICT = 1e-9
"""How far above zero, relative to the largest entry, an eigenvalue must be to count as positive."""


@dataclass(frozen=True)
class Curvature:
    """Of one player's payoff in its own decisions, per scenario (or one value for all): ``convex``; ``lowest``
    eigenvalue once every diagonal entry is one, 0 where the payoff is not strictly curved; ``diagonal`` (decisions,
    scenarios or 1)."""

    convex: np.ndarray
    lowest: np.ndarray
    diagonal: np.ndarray


def curvatures(group: Parametric) -> list[Curvature]:
    """For every player the curvature of its own payoff."""
    pattern = group.mcp.matrix
    assert pattern is not None
    n = group.mcp.size
    rows = np.repeat(np.arange(n), np.diff(pattern.indptr))
    owner = np.where(group.mcp.kind == DECISION, group.mcp.player, -1)
    own = np.where((owner[rows] == owner[pattern.indices]) & (owner[rows] >= 0), owner[rows], -1)
    count = len(group.game.players)
    entries, decisions = members(own, count), members(owner, count)
    place = np.zeros(n, dtype=int)
    for mine in decisions:
        place[mine] = np.arange(len(mine))
    varies = np.zeros(pattern.nnz, dtype=bool)
    varies[group.matrix.at] = True
    return [
        _curvature(group, place[rows[e]], place[pattern.indices[e]], e, len(mine), bool(varies[e].any()))
        for e, mine in zip(entries, decisions, strict=True)
    ]


def _curvature(
    group: Parametric, i: np.ndarray, j: np.ndarray, entries: np.ndarray, size: int, varies: bool
) -> Curvature:
    data = group.matrix.base[entries][:, None]
    if varies:
        inside = np.isin(group.matrix.at, entries)
        data = np.repeat(data, group.count, axis=1)
        data[np.searchsorted(entries, group.matrix.at[inside])] = group.matrix.values[inside]
    diagonal = np.zeros((size, data.shape[1]))
    diagonal[i[i == j]] = data[i == j]
    if (i == j).all():
        convex, positive = (diagonal >= 0).all(axis=0), (diagonal > 0).all(axis=0)
        return Curvature(np.asarray(convex), np.where(positive, 1.0, 0.0), diagonal)
    if size > BLOCK:
        return Curvature(np.zeros(data.shape[1], dtype=bool), np.zeros(data.shape[1]), diagonal)
    convex, lowest = np.zeros(data.shape[1], dtype=bool), np.zeros(data.shape[1])
    for part in chunks(data.shape[1], size * size):
        dense = np.zeros((len(part), size, size))
        dense[:, i, j] = data[:, part].T
        dense = 0.5 * (dense + dense.transpose(0, 2, 1))
        convex[part] = np.linalg.eigvalsh(dense)[:, 0] >= -CONVEX * np.abs(dense).max(axis=(1, 2), initial=0.0)
        positive = (diagonal[:, part] > 0).all(axis=0)
        root = np.sqrt(np.where(diagonal[:, part] > 0, diagonal[:, part], 1.0)).T
        least = np.linalg.eigvalsh(dense / (root[:, :, None] * root[:, None, :]))[:, 0]
        lowest[part] = np.where(positive & (least > STRICT), least, 0.0)
    return Curvature(convex, lowest, diagonal)


def chunks(count: int, size: int) -> list[np.ndarray]:
    """The numbers 0 .. count - 1 in parts, so that ``size`` numbers each are not too many at once."""
    width = max(1, AT_ONCE // max(size, 1))
    return [np.arange(first, min(first + width, count)) for first in range(0, count, width)]


def monotone(group: Parametric) -> tuple[np.ndarray, np.ndarray]:
    """(whether the conditions are shown monotone, whether so strictly that decisions are unique), per scenario.

    Whatever the constants and limits are; one value each where the coefficients do not vary.
    """
    mcp = group.mcp
    shared = not len(group.matrix.at)
    if mcp.size > DENSE:
        found = uniqueness_sparse.everywhere(mcp) if shared else (False, False)
        return np.array([found[0]]), np.array([found[1]])
    count = 1 if shared else group.count
    weak, strict = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    pattern = mcp.matrix
    assert pattern is not None
    rows = np.repeat(np.arange(mcp.size), np.diff(pattern.indptr))
    for part in chunks(count, mcp.size**2):
        dense = np.zeros((len(part), mcp.size, mcp.size))
        dense[:, rows, pattern.indices] = group.matrix.part(part).T
        weak[part], strict[part] = _monotone(mcp, dense)
    return weak, strict


def _monotone(mcp: MixedComplementarity, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept, dense = _without_defined(mcp, dense)
    inside = mcp.kind[kept] == DECISION
    decisions, rows = np.flatnonzero(inside), np.flatnonzero(~inside)
    table, seen = dense[:, rows][:, :, decisions], -dense[:, decisions][:, :, rows].transpose(0, 2, 1)
    skew = _skew(table, seen, dense[:, rows][:, :, rows])
    core = dense[:, decisions][:, :, decisions]
    core = 0.5 * (core + core.transpose(0, 2, 1))
    size = np.maximum(np.abs(core).max(axis=(1, 2), initial=0.0), 1e-300)
    if not len(decisions):
        return skew, skew
    lowest = np.linalg.eigvalsh(core)[:, 0]
    equal = np.isneginf(mcp.lower[kept[rows]]) & np.isposinf(mcp.upper[kept[rows]])
    largest = np.maximum(np.abs(table).max(axis=(1, 2), initial=0.0), 1e-300)
    kept_rows = table[:, equal] / largest[:, None, None]
    lifted = core + 100 * size[:, None, None] * np.matmul(kept_rows.transpose(0, 2, 1), kept_rows)
    along = np.linalg.eigvalsh(lifted)[:, 0] if equal.any() else lowest
    return skew & (np.maximum(lowest, along) >= -CONVEX * size), skew & (np.maximum(lowest, along) > STRICT * size)


def _without_defined(mcp: MixedComplementarity, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(remaining columns, matrices) after free outside columns that their own rows determine have been put in."""
    free = np.isneginf(mcp.lower) & np.isposinf(mcp.upper)
    outside = np.flatnonzero((mcp.kind == OUTSIDE) & free)
    own = outside[np.abs(dense[:, outside][:, :, outside]).sum(axis=(0, 2)) > 0]
    everything = np.arange(mcp.size)
    if not own.size or (np.linalg.cond(dense[:, own][:, :, own]) > 1e12).any():
        return everything, dense
    rest = np.setdiff1d(everything, own)
    through = np.linalg.solve(dense[:, own][:, :, own], dense[:, own][:, :, rest])
    return rest, dense[:, rest][:, :, rest] - np.matmul(dense[:, rest][:, :, own], through)


def _skew(table: np.ndarray, seen: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Whether decisions and multipliers are skew up to a positive factor per row, with nothing between multipliers."""
    axes = (1, 2)
    largest = np.maximum(np.abs(table).max(axis=axes, initial=0.0), np.abs(seen).max(axis=axes, initial=0.0))
    size = (table * table).sum(axis=2)
    held = size > 0
    factor = (table * seen).sum(axis=2) / np.where(held, size, 1.0)
    off = np.abs(seen - factor[:, :, None] * table).max(axis=axes, initial=0.0)
    apart = np.abs(between).max(axis=axes, initial=0.0) <= 1e-12 * largest
    return apart & (~held | (factor > 0)).all(axis=1) & (off <= 1e-9 * largest)


def sums(labels: np.ndarray, count: int) -> sp.csr_array:
    """The table that adds up columns by label; columns with a negative label are left out."""
    inside = np.flatnonzero(labels >= 0)
    return sp.csr_array((np.ones(len(inside)), (labels[inside], inside)), shape=(count, len(labels)))
