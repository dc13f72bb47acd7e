"""What one aggregator can give two users: the set of their surpluses, and where each fairness lies on its edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.errors import Refused

from . import setting
from .equilibria import solve
from .game import Game

ALPHAS = (0.0, 0.5, 1.0, 2.0, 5.0, np.inf)
LEVELS, TOTALS = 201, 4001
"""Surpluses of the first user, and totals examined for each."""


def feasible_set(data: Any, alternatives: Sequence[Any], progress: Callable[[str], None]) -> Mapping[str, pd.DataFrame]:
    """Tables ``fair`` (surpluses for each alpha) and ``feasible_set`` (the most the second user can have for each
    surplus of the first, and whether that is on the Pareto front). Raises Refused unless the case has one aggregator of
    two users."""
    case = setting.read(data)
    if len(case.a) != 2 or len(case.names) != 1:
        raise Refused("this study draws the surpluses of two users of one aggregator; the case has others")
    progress("fair allocations")
    rows = []
    for alpha in ALPHAS:
        found = solve(Game(case.a, case.b, np.array([0, 2]), np.array([alpha]), case.price))
        one = found.equilibria[0]
        first = dict(zip(("s1 [EUR]", "s2 [EUR]"), one.s.tolist(), strict=True))
        proved = found.verdict in ("unique", "several")
        rows.append(
            {
                "alpha": alpha,
                **first,
                "sum [EUR]": float(one.s.sum()),
                "total [MWh]": one.total,
                "verdict": "certified" if proved else found.verdict,
            }
        )
    progress("the edge of the set")
    return {"fair": pd.DataFrame(rows), "feasible_set": _edge(case)}


def _edge(case: setting.Setting) -> pd.DataFrame:
    """The largest s2 for each s1: over all totals, with the smaller x1 that gives s1 at its price."""
    totals = np.linspace(1e-9, case.price.total(float(case.b.max())), TOTALS)
    beta = case.b[:, None] - np.array([case.price.at(float(y))[0] for y in totals])
    alone = np.maximum(beta[0], 0.0) ** 2 / (4 * case.a[0])
    rows = []
    for s1 in np.linspace(0.0, float(np.max(_most(case, 0))), LEVELS):
        root = 1 - s1 / np.where(alone > 0, alone, 1.0)
        able = (root >= 0) & (beta[0] > 0)
        x1 = np.where(able, beta[0] * (1 - np.sqrt(np.maximum(root, 0.0))) / (2 * case.a[0]), 0.0)
        x2 = totals - x1
        s2 = np.where((able | (s1 == 0)) & (x2 >= 0), x2 * (beta[1] - case.a[1] * x2), -np.inf)
        rows.append((float(s1), max(float(s2.max()), 0.0)))
    table = pd.DataFrame(rows, columns=["s1 [EUR]", "largest s2 [EUR]"])
    later = table["largest s2 [EUR]"][::-1].cummax()[::-1].shift(-1, fill_value=-np.inf)
    return table.assign(front=table["largest s2 [EUR]"] > later)


def _most(case: setting.Setting, user: int) -> np.ndarray:
    """What one user could have with all the energy, at every total."""
    totals = np.linspace(0.0, case.price.total(float(case.b[user])), TOTALS)
    prices = np.array([case.price.at(float(y))[0] for y in totals])
    return totals * (case.b[user] - prices - case.a[user] * totals)
