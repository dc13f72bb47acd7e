"""Why the players' conditions are monotone: eigenvalues, players that move nobody else, or an interval Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyomo.common.collections import ComponentMap, ComponentSet
from pyomo.core.base.var import VarData
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.visitor import identify_variables

from .boxes import decision_box
from .convexity import bounds, slopes
from .mcp import DECISION, MixedComplementarity
from .players import Game
from .tolerances import CONVEX


def why_monotone(
    game: Game, mcp: MixedComplementarity, core: np.ndarray, equalities: np.ndarray, convex: list[str | None]
) -> str | None:
    """Why the conditions are monotone, or None."""
    symmetric = (core + core.T) / 2
    if mcp.is_affine:
        lowest = _lowest_on(symmetric, equalities)
        return "monotone conditions" if lowest >= -CONVEX * max(np.abs(symmetric).max(), 1e-300) else None
    owner = mcp.player[mcp.kind == DECISION]
    if len(owner) == len(core) and all(convex) and not np.any(core[owner[:, None] != owner[None, :]]) and _steady(game):
        return "every player's payoff is convex and nobody moves another's"
    return "strictly monotone by an interval Jacobian" if _interval_monotone(game, mcp) else None


def _steady(game: Game) -> bool:
    """Whether the slope of every payoff depends on others' Vars by constant coefficients only (a price times a
    quantity)."""
    for player in game.players:
        others = [v for v in game.given(player) if not v.fixed]
        gradient = differentiate(player.objective.expr, wrt_list=list(player.decisions), mode=Modes.reverse_symbolic)
        for derivative in gradient:
            seen = ComponentSet(_free(derivative))
            if any(True for entry in slopes(derivative, [v for v in others if v in seen]) for _ in _free(entry)):
                return False
    return True


def _free(expression: Any) -> list[VarData]:
    if isinstance(expression, VarData) or hasattr(expression, "args"):
        return list(identify_variables(expression, include_fixed=False))
    return []


def null_space(equalities: np.ndarray, n: int) -> np.ndarray:
    """An orthonormal basis of the moves that keep the equalities, as columns."""
    if not equalities.size:
        return np.eye(n)
    _, singular, right = np.linalg.svd(equalities)
    rank = int((singular > 1e-10 * max(singular.max(initial=0.0), 1e-300)).sum())
    return right[rank:].T


def _lowest_on(symmetric: np.ndarray, equalities: np.ndarray) -> float:
    basis = null_space(equalities, len(symmetric))
    projected = basis.T @ symmetric @ basis
    return float(np.linalg.eigvalsh(projected)[0]) if projected.size else 0.0


def _interval_monotone(game: Game, mcp: MixedComplementarity, largest: int = 8, cuts: int = 6) -> bool:
    """Whether the Jacobian of the players' gradients has a positive symmetric part everywhere in the box of all
    decisions."""
    variables = [v for player in game.players for v in player.decisions]
    box = decision_box(game)
    if len(variables) > largest or game.variables or not all(np.isfinite(pair).all() for pair in box):
        return False
    if not _positive_at_corners(mcp, np.array(box)):
        return False
    entries = {}
    column = 0
    for player in game.players:
        gradient = differentiate(
            player.sign * player.objective.expr, wrt_list=list(player.decisions), mode=Modes.reverse_symbolic
        )
        for offset, derivative in enumerate(gradient):
            for j, entry in enumerate(slopes(derivative, variables)):
                if hasattr(entry, "args") or isinstance(entry, VarData) or entry != 0:
                    entries[column + offset, j] = entry
        column += len(player.decisions)
    return _positive_everywhere(entries, variables, box, cuts)


def _positive_at_corners(mcp: MixedComplementarity, box: np.ndarray, samples: int = 24) -> bool:
    """A quick look before the proof is tried: the symmetric part at some corners of the box (seeded)."""
    random = np.random.default_rng(0)
    decisions = np.flatnonzero(mcp.kind == DECISION)
    for _ in range(samples):
        z = np.zeros(mcp.size)
        z[decisions] = np.where(random.random(len(box)) < 0.5, box[:, 0], box[:, 1])
        try:
            core = mcp.jacobian(z).toarray()[np.ix_(decisions, decisions)]
            if np.linalg.eigvalsh((core + core.T) / 2)[0] <= 0:
                return False
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            return False
    return True


def _positive_everywhere(entries: dict, variables: list, box: list[tuple[float, float]], cuts: int) -> bool:
    n = len(variables)
    lower, upper = np.zeros((n, n)), np.zeros((n, n))
    own = ComponentMap(zip(variables, box, strict=True))
    for (i, j), entry in entries.items():
        try:
            lower[i, j], upper[i, j] = (
                bounds(entry, own) if hasattr(entry, "args") or isinstance(entry, VarData) else (entry, entry)
            )
        except (ArithmeticError, ValueError):
            return False
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        return False
    centre, radius = (lower + upper) / 2, (upper - lower) / 2
    symmetric = (centre + centre.T) / 2
    spread = (radius + radius.T) / 2
    if float(np.linalg.eigvalsh(symmetric)[0]) - float(np.linalg.eigvalsh(spread)[-1]) > 0:
        return True
    if cuts == 0:
        return False
    k = int(np.argmax([up - low for low, up in box]))
    middle = sum(box[k]) / 2
    return all(
        _positive_everywhere(entries, variables, [*box[:k], part, *box[k + 1 :]], cuts - 1)
        for part in ((box[k][0], middle), (middle, box[k][1]))
    )
