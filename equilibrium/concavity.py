"""Players whose payoff is not concave in their own decisions are refused where conditions of optimality are used."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .errors import Refused
from .formulations import potential
from .mcp import DECISION, MixedComplementarity
from .players import Game


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
            raise Refused(
                f"the payoff of {player.name} is not concave in its own decisions, so its conditions of optimality "
                "also hold at "
                "saddles and wrong corners; give branches that contain every optimum, or a best response of its own"
            )
