"""Every player's own problem solved again in one go, where all are convex quadratic: one programme in which nothing
connects the players, each facing the others as they stand.

What comes out is what ``deviation.examine`` finds player by player, measured and accepted in the same way; only the
set-up of a solver for each of a thousand players is saved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from .deviation import FLAT, Charges, Deviation, boxed, confirmed, payoff, payoff_at, strict
from .formulations import potential
from .mcp import DECISION, MULTIPLIER, MixedComplementarity, members
from .players import Player


def examine(
    mcp: MixedComplementarity, players: Sequence[Player], z: np.ndarray, size: np.ndarray, charges: Sequence[Charges]
) -> list[Deviation] | None:
    """What each player could gain at z, or None where that has to be asked one by one. size: of each one's
    decisions."""
    if not mcp.is_affine:
        return None
    parts, columns = mcp.apart(z)
    parts = boxed(parts, size[parts.player])
    found = potential.find(parts) if potential.payoffs_convex(parts) else None
    if found is None:
        return None
    best, outcome = potential.solve(parts, found)
    if not outcome.ok:
        return None
    decides = np.flatnonzero(parts.kind == DECISION)
    owner, here, there = parts.player[decides], z[columns[decides]], best[decides]
    count = len(players)
    exact = np.bincount(owner, _gains(parts, decides, here, there), minlength=count)
    paid = mcp.scales(z)[1][columns[decides]] * np.maximum(np.abs(here), np.abs(there))
    turnover = np.bincount(owner, paid, minlength=count)
    away = np.zeros(count)
    np.maximum.at(away, owner, np.abs(here - there))
    curved = _strictly_curved(parts, count)
    result = []
    for i, mine in enumerate(members(owner, count)):
        now, then = payoff(players[i], charges[i]), payoff_at(players[i], there[mine], charges[i])
        bill = max(abs(now), abs(then), turnover[i], 1e-300)
        gain = confirmed(float(exact[i]), now - then, bill)
        distance, note = (float(away[i]), "") if curved[i] else (np.nan, FLAT)
        result.append(Deviation(gain, bill, distance, "convex quadratic", note))
    return result


def _gains(parts: MixedComplementarity, decides: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """For each decision its part in the payoff at ``here`` less that at ``there``: exact where subtraction would not
    be."""
    assert parts.matrix is not None and parts.vector is not None
    hessian = parts.matrix[decides][:, decides]
    step = here - there
    return (hessian @ there + parts.vector[decides] + 0.5 * (hessian @ step)) * step


def _strictly_curved(parts: MixedComplementarity, count: int) -> np.ndarray:
    """For each player whether its payoff is strictly curved on the moves that its equalities allow."""
    assert parts.matrix is not None
    decides = np.flatnonzero(parts.kind == DECISION)
    equal = np.flatnonzero((parts.kind == MULTIPLIER) & np.isneginf(parts.lower))
    hessian = sp.csr_array(parts.matrix[decides][:, decides])
    hessian.eliminate_zeros()
    separable = (np.diff(hessian.indptr) == 1) & (hessian.diagonal() > 0)
    found = np.bincount(parts.player[decides], ~separable, minlength=count) == 0
    mine, rows = members(parts.player[decides], count), members(parts.player[equal], count)
    for i in np.flatnonzero(~found):
        table = parts.matrix[equal[rows[i]]][:, decides[mine[i]]]
        found[i] = strict(hessian[mine[i]][:, mine[i]], table)
    return found
