"""Which equality row outside the players determines which free Var, and with what sign the pair is skew."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching

from .errors import Refused


def orientation(term: dict[int, float], entered: dict[int, float], column: int) -> float:
    """The sign of an equality row that makes it and the Var of ``column`` skew in the players' conditions."""
    overlap = sum(term.get(i, 0.0) * value for i, value in entered.items())
    return -math.copysign(1.0, overlap) if overlap else math.copysign(1.0, term.get(column, 1.0))


def match(
    row_names: Sequence[str],
    terms: list[dict[int, float]],
    variable_names: Sequence[str],
    columns: list[dict[int, float]],
    ids: list[int],
    rule: list[bool],
) -> dict[int, int]:
    """Which equality row determines which free Var: {row: position of the Var}. Raises Refused, naming what is left
    over.

    Best is a row whose coefficients are, up to one factor, those with which the Var enters the players' conditions (a
    clearing row and its price); then one that shares some of them; then one that contains the Var; among equals the one
    that contains it. rule: which rows must determine something; the others may also be shared constraints.
    """
    weights: dict[tuple[int, int], float] = {}
    rows_of = defaultdict(list)
    for k, term in enumerate(terms):
        for column in term:
            rows_of[column].append(k)
    for v, (entered, column) in enumerate(zip(columns, ids, strict=True)):
        for k in {k for i in entered for k in rows_of[i]}:
            ratios = [terms[k][i] / value for i, value in entered.items() if i in terms[k] and value]
            covers = len(ratios) == len(entered) and max(ratios) - min(ratios) <= 1e-9 * max(map(abs, ratios))
            alone = len(terms[k].keys() - {column}) == len(entered)
            weights[k, v] = (1.0 if alone else 1.5) if covers else 2.0
        for k in rows_of[column]:
            weights[k, v] = weights.get((k, v), 3.0) - 0.25
    partner = np.full(len(ids), -1)
    if weights:
        later = 10.0 * len(ids)  # a row that may be shared is taken only where no rule can be
        cost = [weight + (0.0 if rule[k] else later) for (k, _), weight in weights.items()]
        graph = sp.csr_array((cost, ([k for k, _ in weights], [v for _, v in weights])), shape=(len(terms), len(ids)))
        partner = maximum_bipartite_matching(graph, perm_type="row")
    if (partner < 0).any():
        lonely = [variable_names[int(v)] for v in np.flatnonzero(partner < 0)]
        raise Refused(
            f"no row determines {', '.join(lonely[:5])}{' ...' if len(lonely) > 5 else ''}: the system is not square. "
            "A price needs a clearing row outside the players; a rule needs one equality for each of its Vars; a "
            "Var that "
            "somebody decides belongs on that player's Block"
        )
    chosen = {}
    if ids:
        rows, positions = min_weight_full_bipartite_matching(graph)
        chosen = {int(k): int(v) for k, v in zip(rows, positions, strict=True)}
    left = [row_names[k] for k in range(len(terms)) if rule[k] and k not in chosen]
    if left:
        raise Refused(
            f"nothing is determined by {', '.join(left[:5])}{' ...' if len(left) > 5 else ''}: the system is not "
            "square. An equality outside the players needs a free Var of its own (a clearing row its price, a rule the "
            "Var it sets); is a price missing or fixed? If only one player's Vars enter it, it belongs on that Block"
        )
    return chosen
