"""Are the players of many nonlinear scenarios convex? Their own Hessians enclosed over their boxes, all at once.

For a player, what is shown positive semidefinite is the Hessian of its payoff with its limits charged at their
multipliers, over all it can decide with the rest given. Then no decision that keeps the limits is better than one at
which the conditions hold. Boxes on which an enclosure is too wide are cut in two along their longest side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from .curvature import Curvature
from .curved import Curved
from .intervals import Interval
from .mcp import DECISION, MULTIPLIER
from .solvers.batched import Problems

PIECES = 64
"""Into how many parts a box is cut before the proof is given up."""

LARGEST, CORNERS = 8, 6
"""Up to so many decisions the conditions of all players together are tested; at how many corners of the box first."""

ROUNDS = 3
"""How often limits tighten a box."""

ZERO = 1e-12
"""How far below zero an eigenvalue may be, relative to the largest entry, and still count as zero."""


def curvatures(curved: Curved, problems: Problems, z: np.ndarray) -> list[Curvature]:
    """For every player the curvature of its own payoff over its box; ``lowest`` is a bound over the whole box.

    problems: the conditions' tangents at z (columns, scenarios).
    """
    low, up = box(curved, problems, z)
    return [_own(curved, i, z, low, up) for i in range(len(curved.game.players))]


def strictly_monotone(curved: Curved, problems: Problems, z: np.ndarray) -> np.ndarray:
    """Per scenario whether all players' conditions together are shown strictly monotone over all their boxes, so that
    decisions are unique; only where every limit is a player's own and linear, and nothing clears outside."""
    mcp, entries = curved.mcp, curved.slopes
    decides = np.flatnonzero(mcp.kind == DECISION)
    no = np.zeros(curved.count, dtype=bool)
    limits = mcp.kind == MULTIPLIER
    if not (limits | (mcp.kind == DECISION)).all() or not 0 < len(decides) <= LARGEST:
        return no
    for (i, j), slope in entries.items():
        if limits[i] and (mcp.player[i] != mcp.player[j] or not curved.constant(slope)):
            return no
    low, up = box(curved, problems, z)
    random = np.random.default_rng(0)
    likely = np.isfinite(low[decides]).all(axis=0) & np.isfinite(up[decides]).all(axis=0)
    for _ in range(CORNERS):
        if not likely.any():
            return no
        corner = z.copy()
        corner[decides] = np.where(random.random(len(decides))[:, None] < 0.5, low[decides], up[decides])
        likely &= _lowest(curved, decides.tolist(), corner, corner, z, pieces=1) > 0
    if not likely.any():
        return no
    some = np.flatnonzero(likely)
    no[some] = _lowest(curved.of(some), decides.tolist(), low[:, some], up[:, some], z[:, some], PIECES) > 0
    return no


def box(curved: Curved, problems: Problems, z: np.ndarray) -> Interval:
    """Bounds of all columns, those of decisions tightened by their player's own linear limits with the rest at z."""
    low, up = np.array(problems.lower), np.array(problems.upper)
    mcp, terms = curved.mcp, _linear_limits(curved)
    value = problems.F(z)
    data = np.broadcast_to(problems.data, (problems.data.shape[0], curved.count))
    with np.errstate(all="ignore"):
        for _ in range(ROUNDS):
            for row, inside in terms.items():
                rest = value[row] - sum(data[e] * z[c] for e, c in inside)
                for side, holds in ((1, mcp.upper[row] > 0), (-1, mcp.lower[row] < 0)):
                    if holds:
                        _tighten([(side * data[e], c) for e, c in inside], side * rest, low, up)
    return low, up


def _linear_limits(curved: Curved) -> dict[int, list[tuple[int, int]]]:
    """For every limit that is linear in its player's decisions: (stored entry, column) of these."""
    mcp, shape = curved.mcp, curved.shape
    slopes = list(curved.slopes.values())
    found: dict[int, list[tuple[int, int]]] = {}
    bent = set()
    for e, (i, j) in enumerate(zip(shape.rows.tolist(), shape.columns.tolist(), strict=True)):
        if mcp.kind[i] != MULTIPLIER or mcp.kind[j] != DECISION or mcp.player[i] != mcp.player[j]:
            continue
        found.setdefault(i, []).append((e, j))
        if not curved.constant(slopes[e]):
            bent.add(i)
    return {i: inside for i, inside in found.items() if i not in bent}


def _tighten(terms: Sequence[tuple[np.ndarray, int]], rest: np.ndarray, low: np.ndarray, up: np.ndarray) -> None:
    """sum of terms + rest >= 0 for all scenarios."""
    for k, (a, j) in enumerate(terms):
        most = rest.copy()
        for other, (b, c) in enumerate(terms):
            if other != k:
                most += np.maximum(b * low[c], b * up[c])
        end = -most / a
        known = np.isfinite(end)
        low[j] = np.where(known & (a > 0), np.maximum(low[j], end), low[j])
        up[j] = np.where(known & (a < 0), np.minimum(up[j], end), up[j])


def _own(curved: Curved, i: int, z: np.ndarray, low: np.ndarray, up: np.ndarray) -> Curvature:
    mcp = curved.mcp
    mine = np.flatnonzero((mcp.player == i) & (mcp.kind == DECISION))
    inside = set(mine.tolist())
    pairs = [(a, b) for a, b in curved.slopes if a in inside and b in inside]
    where = {k: at for at, k in enumerate(mine.tolist())}
    lowest = np.full((len(mine), curved.count), 0.0)
    for members in _groups([(where[a], where[b]) for a, b in pairs], len(mine)):
        found = _lowest(curved, mine[members].tolist(), low, up, z, PIECES)
        lowest[members] = found
    worst = lowest.min(axis=0, initial=np.inf) if len(mine) else np.zeros(curved.count)
    return Curvature(worst >= 0, np.where(worst > 0, worst, 0.0), np.ones((len(mine), 1)))


def _groups(pairs: Sequence[tuple[int, int]], n: int) -> list[list[int]]:
    """Which decisions bend the payoff together."""
    if not pairs:
        return []
    i, j = np.array(pairs).T
    count, label = connected_components(sp.csr_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    return [np.flatnonzero(label == k).tolist() for k in range(count) if np.isin(label[i], k).any()]


def _lowest(
    curved: Curved, members: list[int], low: np.ndarray, up: np.ndarray, z: np.ndarray, pieces: int
) -> np.ndarray:
    """A bound from below of the eigenvalues over the box (zero within rounding), per scenario; -inf where the block
    over ``members`` was not shown positive semidefinite."""
    kept = set(members)
    entries = {(a, b): slope for (a, b), slope in curved.slopes.items() if a in kept and b in kept}
    programme = curved.compile(list(entries.values()))
    below, above = z.copy(), z.copy()
    below[members], above[members] = low[members], up[members]
    scenario = np.arange(curved.count)
    found, used = np.full(curved.count, np.inf), np.ones(curved.count, dtype=int)
    while scenario.size:
        least = _smallest(entries, members, programme.enclose(below, above, scenario))
        done = least >= 0
        np.minimum.at(found, scenario[done], least[done])
        below, above, scenario = below[:, ~done], above[:, ~done], scenario[~done]
        np.add.at(used, scenario, 1)
        widths = above[members] - below[members]
        longest = np.argmax(widths, axis=0)
        wide = widths[longest, np.arange(len(scenario))]
        hopeless = (used[scenario] > pieces) | ~np.isfinite(wide) | (wide <= 1e-9)
        found[scenario[hopeless]] = -np.inf
        go = np.isfinite(found[scenario]) | (found[scenario] > 0)
        below, above, scenario, longest = below[:, go], above[:, go], scenario[go], longest[go]
        at = np.array(members)[longest], np.arange(len(scenario))
        middle = 0.5 * (below[at] + above[at])
        first, second = above.copy(), below.copy()
        first[at], second[at] = middle, middle
        below, above = np.hstack([below, second]), np.hstack([first, above])
        scenario = np.concatenate([scenario, scenario])
    return found


def _smallest(entries: Mapping[tuple[int, int], Any], members: list[int], enclosed: Interval) -> np.ndarray:
    """A bound from below of the eigenvalues of the symmetric part in every box, zero within rounding; -inf where it is
    negative or unknown."""
    place = {k: at for at, k in enumerate(members)}
    size, count = len(members), enclosed[0].shape[1]
    centre, spread = np.zeros((count, size, size)), np.zeros((count, size, size))
    for (a, b), low, up in zip(entries, *enclosed, strict=True):
        i, j = place[a], place[b]
        if a == b:  # the lower end alone matters
            centre[:, i, i] = low
            continue
        with np.errstate(invalid="ignore"):
            centre[:, i, j] += (low + up) / 4
            spread[:, i, j] += (up - low) / 4
    centre, spread = centre + centre.transpose(0, 2, 1), spread + spread.transpose(0, 2, 1)
    every = np.arange(size)
    centre[:, every, every] /= 2
    known = np.isfinite(centre).all(axis=(1, 2)) & np.isfinite(spread).all(axis=(1, 2))
    centre[~known], spread[~known] = 0.0, 0.0
    scale = np.maximum(np.abs(centre).max(axis=(1, 2)), 1e-300)
    least = np.linalg.eigvalsh(centre)[:, 0] if size > 1 else centre[:, 0, 0]
    if spread.any():
        least = least - np.linalg.eigvalsh(spread)[:, -1]
    least = np.where((least < 0) & (least >= -ZERO * scale), 0.0, least)
    return np.where(known & (least >= 0), least, -np.inf)
