"""Games of the aggregator market, stated as arrays, for its tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.data import Data
from models.aggregator_game import market
from models.aggregator_game.game import Game, Price

INF = np.inf


def game(
    a: Sequence[Any], b: Sequence[Any], alpha: Any, slope: float, exponent: float = 1.0, given: float = 0.0
) -> Game:
    """a, b: one sequence per aggregator; alpha: for all or one each; given: what outsiders buy."""
    start = np.concatenate([[0], np.cumsum([len(own) for own in a])])
    fairness = np.broadcast_to(np.asarray(alpha, dtype=float), (len(a),)).copy()
    flat = [np.concatenate([np.asarray(own, dtype=float) for own in side]) for side in (a, b)]
    return Game(*flat, start, fairness, Price(slope, exponent, 0.0, given))


def data(one: Game, membership: str = "literal", generation_cost: Any = 0.0, maximum: Any = INF) -> Data:
    """The same game as the tables of a case. generation_cost, maximum: of all users, or one each."""
    sizes = np.diff(one.start)
    names = [str(j + 1) for j in range(len(sizes))]
    keys = [(name, f"{name}.{i}") for name, size in zip(names, sizes, strict=True) for i in range(size)]
    users = pd.DataFrame(
        {
            "curvature": one.a,
            "first_value": one.b,
            "source": "",
        },
        index=pd.MultiIndex.from_tuples(keys, names=["aggregator", "user"]),
    )
    aggregators = pd.DataFrame(
        {"alpha": [f"{value:.17g}" for value in one.alpha], "membership": membership, "source": ""},
        index=pd.Index(names, name="aggregator"),
    )
    parameters = {name: column.default for name, column in market.parameters.items()} | {
        "price_slope": one.price.slope,
        "price_exponent": one.price.exponent,
        "price_intercept": one.price.intercept,
    }
    tables = {"aggregators": aggregators, "users": users}
    for name, column, values, nothing in (
        ("generation", "cost", generation_cost, 0.0),
        ("limits", "maximum", maximum, INF),
    ):
        given = pd.Series(np.broadcast_to(np.asarray(values, dtype=float), one.a.shape), index=users.index, name=column)
        if (given != nothing).any():
            tables[name] = given[given != nothing].to_frame()
    return Data(market, parameters, tables)


def payoffs(one: Game, j: int, given: float, purchases: np.ndarray) -> np.ndarray:
    """J_j(y) for every purchase y of aggregator j: the best allocation of y among its users, by bisection on what one
    more unit is worth. Independent of the normal form; minus infinity where nobody can be given anything."""
    a, b = (side[one.start[j] : one.start[j + 1]] for side in (one.a, one.b))
    alpha = float(one.alpha[j])
    found = []
    for y in purchases:
        beta = b - one.price.at(given + y)[0]
        live = beta > 0
        found.append(_best(a[live], beta[live], y, alpha) if live.any() and (live.all() or alpha < 1) else -np.inf)
    return np.array(found)


def _best(a: np.ndarray, beta: np.ndarray, y: float, alpha: float) -> float:
    """max Phi(x (beta - a x)) with sum x = y and 0 <= x <= beta/(2a); minus infinity where y is more than that."""

    def given(level: float) -> np.ndarray:
        """x at which s^(-alpha) (beta - 2 a x) = exp(level), or s = exp(-level) for max-min."""
        low, high = np.zeros_like(a), beta / (2 * a)
        for _ in range(80):
            x = 0.5 * (low + high)
            s = x * (beta - a * x)
            if np.isinf(alpha):
                more = s < np.exp(-level)
            else:
                with np.errstate(divide="ignore", invalid="ignore"):  # at the ends, where rounding may pass them
                    more = np.log(beta - 2 * a * x) - alpha * np.log(s) > level
            low, high = np.where(more, x, low), np.where(more, high, x)
        return 0.5 * (low + high)

    if y > (beta / (2 * a)).sum():
        return -np.inf
    low, high = -80.0, 80.0
    for _ in range(80):
        level = 0.5 * (low + high)
        low, high = (level, high) if given(level).sum() > y else (low, level)
    x = given(0.5 * (low + high))
    s = x * (beta - a * x)
    if np.isinf(alpha):
        return float(s.min())
    return float(np.log(s).sum()) if alpha == 1 else float((s ** (1 - alpha)).sum() / (1 - alpha))


def random_game(random: np.random.Generator, alphas: Sequence[float], most: int = 4) -> Game:
    """Up to ``most`` aggregators of up to six users; values far above the price, so that all buy at moderate alpha."""
    sizes = random.integers(1, 7, size=random.integers(1, most + 1))
    a = [random.uniform(0.1, 0.9, size=n) for n in sizes]
    b = [random.uniform(3.0, 10.0, size=n) for n in sizes]
    alpha = random.choice(np.asarray(alphas), size=len(sizes))
    return game(a, b, alpha, float(random.uniform(0.001, 0.1)), float(random.choice([1.0, 1.0, 1.5])))
