"""Seeded draws of two countries with separable cost in which every plant sells in both, with certified equilibria.

Laws (uniform): a in [5, 15], b in [0.5, 1.5], ratio alpha in [1.05, 1.35], T in {2, 3, 4} plants with intercepts a
alpha^(t-1) and slopes b alpha^(t-1); equal for both countries where ``common``, drawn for each (a within 3 of each
other) where not. Demand: what makes the dearest plant worth running, plus [5, 40]. Each link is limited with
probability 1/2, at [0.6, 1.1] of what would flow without limits. Each plant but the last of a country is limited with
probability 0.3, at [0.75, 1.05] of what it would make without limits. Draws in which some plant stays out of a market
are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from countries_solved import INF, data_of, solved

from equilibrium.results import Solved

SIZE = 50
IN = 1e-6  # a plant that sells less counts as out of the market


@dataclass(frozen=True)
class Drawn:
    """Numbers and equilibrium of one draw; country 0 is a, 1 is b. P: congestion prices of a to b and b to a."""

    data: Any
    solved: Solved
    base: tuple[tuple[float, float], ...]  # (a, b) of the cheapest plant, by country
    alpha: tuple[float, float]
    plants: tuple[np.ndarray, np.ndarray]  # columns a, b, K
    Q: np.ndarray
    price: np.ndarray
    P: np.ndarray
    home: tuple[np.ndarray, np.ndarray]
    export: tuple[np.ndarray, np.ndarray]
    full: tuple[np.ndarray, np.ndarray]

    @property
    def binds(self) -> bool:
        """Whether a link is at its limit, at a price."""
        return bool(self.P.max() > 1e-6)

    @property
    def any_full(self) -> bool:
        """Whether some plant is at its capacity."""
        return bool(any(f.any() for f in self.full))


@cache
def block(number: int, common: bool = True) -> tuple[Drawn, ...]:
    """Draws ``number`` SIZE to (``number`` + 1) SIZE."""
    rng = np.random.default_rng([number, common])
    found: list[Drawn] = []
    while len(found) < SIZE:
        one = _draw(rng, common)
        if one is not None:
            found.append(one)
    return tuple(found)


def _draw(rng: np.random.Generator, common: bool) -> Drawn | None:
    a, b, alpha, T = rng.uniform(5, 15), rng.uniform(0.5, 1.5), rng.uniform(1.05, 1.35), int(rng.integers(2, 5))
    base, ratios, counts = ((a, b), (a, b)), (alpha, alpha), (T, T)
    if not common:
        base = ((a, b), (a + rng.uniform(-3, 3), rng.uniform(0.5, 1.5)))
        ratios, counts = (alpha, rng.uniform(1.05, 1.35)), (T, int(rng.integers(2, 5)))
    powers = [ratios[i] ** np.arange(counts[i]) for i in (0, 1)]
    cost = [np.column_stack([base[i][0] * powers[i], base[i][1] * powers[i]]) for i in (0, 1)]
    every = np.vstack(cost)
    out = float(np.sum((every[:, 0].max() - every[:, 0]) / every[:, 1]))
    Q = out + rng.uniform(5, 40, 2)
    price = (Q + np.sum(every[:, 0] / every[:, 1])) / np.sum(1 / every[:, 1])  # without limits
    free = [[(price[m] - cost[i][:, 0]) / cost[i][:, 1] for m in (0, 1)] for i in (0, 1)]
    cap = [rng.uniform(0.6, 1.1) * free[i][1 - i].sum() if rng.random() < 0.5 else INF for i in (0, 1)]
    K = []
    for i in (0, 1):
        limit = rng.uniform(0.75, 1.05, counts[i]) * sum(free[i])
        limit[(rng.random(counts[i]) >= 0.3) | (np.arange(counts[i]) == counts[i] - 1)] = INF
        K.append(limit)
    plants = tuple(np.column_stack([cost[i], K[i]]) for i in (0, 1))
    data = data_of(
        {n: [tuple(map(float, row)) for row in plants[i]] for i, n in enumerate("ab")},
        {("a", "b"): cap[0], ("b", "a"): cap[1]},
        {(n, 1): (float(Q[i]), 200.0) for i, n in enumerate("ab")},
    )
    one = solved(data)
    home, export = (
        [
            np.array([one.value("sales", f"country={n};hour=1;plant=t{t + 1};to={m}") for t in range(counts[i])])
            for i, (n, m) in enumerate(ways)
        ]
        for ways in (("aa", "bb"), ("ab", "ba"))
    )
    if min(part.min() for part in (*home, *export)) <= IN:
        return None
    made = [home[i] + export[i] for i in (0, 1)]
    return Drawn(
        data,
        one,
        base,
        ratios,
        plants,
        Q,
        np.array([one.value("price", f"country={n};hour=1") for n in "ab"]),
        np.array([one.value("congestion price", f"from={n};hour=1;to={m}") for n, m in ("ab", "ba")]),
        (home[0], home[1]),
        (export[0], export[1]),
        (K[0] - made[0] < 1e-7, K[1] - made[1] < 1e-7),
    )
