"""Intervals that contain what players can decide, from bounds and the players' own linear rows."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap
from pyomo.repn import generate_standard_repn

from .players import Game, Player


def decision_box(game: Game) -> list[tuple[float, float]]:
    """For every decision an interval that contains its feasible values, from bounds and the player's own linear
    rows."""
    found = []
    for player in game.players:
        found.extend(player_box(player))
    return found


def player_box(player: Player, rounds: int = 3) -> list[tuple[float, float]]:
    """Bounds of one player's decisions, tightened by its own rows with the others' Vars at their values."""
    own = ComponentMap((v, k) for k, v in enumerate(player.decisions))
    low = [-np.inf if v.lb is None else float(v.lb) for v in player.decisions]
    up = [np.inf if v.ub is None else float(v.ub) for v in player.decisions]
    for row in (c for _ in range(rounds) for c in player.constraints):
        repn = generate_standard_repn(row.body)
        if not repn.is_linear():
            continue
        terms = [(own[v], c) for v, c in zip(repn.linear_vars, repn.linear_coefs, strict=True) if v in own]
        rest = repn.constant + sum(
            c * pyo.value(v) for v, c in zip(repn.linear_vars, repn.linear_coefs, strict=True) if v not in own
        )
        least = [c * (low[k] if c > 0 else up[k]) for k, c in terms]
        most = [c * (up[k] if c > 0 else low[k]) for k, c in terms]
        for index, (k, c) in enumerate(terms):
            others_least = sum(least[:index] + least[index + 1 :]) + rest
            others_most = sum(most[:index] + most[index + 1 :]) + rest
            ends = [
                (row.ub - others_least) / c if row.ub is not None else None,
                (row.lb - others_most) / c if row.lb is not None else None,
            ]
            if c < 0:
                ends.reverse()
            if ends[0] is not None:
                up[k] = min(up[k], ends[0])
            if ends[1] is not None:
                low[k] = max(low[k], ends[1])
    return list(zip(low, up, strict=True))
