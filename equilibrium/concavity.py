"""Players whose payoff is not concave in their own decisions are refused where conditions of optimality are used."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .errors import Refused
from .formulations import potential
from .mcp import DECISION, MixedComplementarity
from .monotone import null_space
from .players import Game
from .tolerances import CONVEX

SMALL = 300
"""Up to so many decisions the reason is looked for."""


def refuse_concave(game: Game, mcp: MixedComplementarity) -> None:
    """Conditions of optimality find saddles and wrong corners of a player that is not convex: refuse, with advice."""
    if not mcp.is_affine:
        return  # examined by the certificate, which says "local" where convexity is not shown
    if potential.payoffs_convex(mcp.apart(np.zeros(mcp.size))[0]):
        return
    for index, player in enumerate(game.players):
        part = mcp.part(np.flatnonzero(mcp.player == index), np.zeros(mcp.size))
        decisions = np.flatnonzero(part.kind == DECISION)
        assert part.matrix is not None and part.vector is not None
        hessian = part.matrix[decisions][:, decisions]
        equal = np.flatnonzero(np.isneginf(part.lower) & np.isposinf(part.upper) & (part.kind != DECISION))
        table = part.matrix[equal][:, decisions]
        moving = part.lower[decisions] < part.upper[decisions]
        curved = sp.csc_array((hessian + hessian.T) / 2)
        if potential.convexified(curved, part.vector[decisions], table, part.vector[equal], moving) is None:
            if table.shape[0] and len(decisions) <= SMALL and _flat(curved.toarray(), table.toarray()):
                raise Refused(
                    f"the payoff of {player.name} is a product of decisions of its own; its rows settle one and "
                    "leave the other open; if that is its price, nothing keeps it from asking any: write the price as "
                    "an Expression of quantities (inverse demand), or as a Var cleared outside"
                )
            raise Refused(
                f"the payoff of {player.name} is not concave in its own decisions, so its conditions of optimality "
                "also hold at "
                "saddles and wrong corners; give branches that contain every optimum, or a best response of its own"
            )


def _flat(curved: np.ndarray, table: np.ndarray) -> bool:
    """Whether the payoff is convex along the equality rows although no multiple of them makes it so everywhere."""
    basis = null_space(table, len(curved))
    projected = basis.T @ curved @ basis
    return not projected.size or float(np.linalg.eigvalsh(projected)[0]) >= -CONVEX * float(np.abs(curved).max())
