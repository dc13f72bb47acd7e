"""Best responses in turn, and at once: how many rounds they take, and when they do not settle.

In turn (Algorithm 1 of the source) each player answers what the others do now; at once, all answer what the others did
before. Single users at a linear price answer x = max(0, b - p0 - c R) / (2 (a + c)) to the others' total R. At once,
everybody's answer to a rise of the total falls by about c sum 1 / (2 (a + c)) of it, over those who buy: from one on,
rounds swing ever wider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.errors import Refused

from . import setting
from .draws import Crowd, crowd
from .equilibria import response, solve
from .game import Game
from .membership import kept, reduced, without_aggregators

Array = np.ndarray

SETTLED = 1e-6
"""A round in which nobody moves by more MWh ends them."""

ROUNDS = 200
SINGLE = (400, 700, 1000, 2000)
"""Numbers of single users."""

FIRST = 400
"""The number whose rounds are kept."""

IN_TURN, AT_ONCE = "in turn", "at once"


def convergence(data: Any, alternatives: Sequence[Any], progress: Callable[[str], None]) -> Mapping[str, pd.DataFrame]:
    """Tables ``convergence`` (rounds, contraction, distance from the equilibrium), ``rounds_of_users`` and
    ``rounds_of_aggregators`` (who does what in which round). Raises Refused for a price that is not linear."""
    users, rows = crowd(data, 1), []
    if users.price.exponent != 1:
        raise Refused("this study has single users answer in closed form, which needs a linear price")
    paths = {}
    for count in SINGLE:
        a, b = setting.draw({**data.tables["draws"].iloc[0], "users": count}, 0)
        for order in (IN_TURN, AT_ONCE):
            progress(f"{count} single users {order}")
            path = _path(_alone(a, b, users, order))
            exact = solve(without_aggregators(a, b, users.price), every=False).equilibria[0].y
            rows.append(_row(f"{count} single users", order, path, exact, _factor(a, exact, users)))
            paths[count, order] = path
    a, b = setting.draw({**data.tables["draws"].iloc[0], "users": FIRST}, 0)
    tables = {"rounds_of_users": _told(paths[FIRST, IN_TURN], a, b, users)}
    shown = []
    for name, alpha in (("welfare", 0.0), ("proportional, filtered", 1.0), ("max-min, filtered", np.inf)):
        game = _pair(users, alpha)
        exact = solve(game, every=False).equilibria[0].y
        for order in (IN_TURN, AT_ONCE):
            progress(f"two aggregators, {name}, {order}")
            path = _path(_together(game, order))
            rows.append(_row(f"two aggregators, {name}", order, path, exact, float("nan")))
            if order == IN_TURN:
                shown += [
                    {"rule": name, "round": k, **{f"player {j + 1} [MWh]": v for j, v in enumerate(y)}}
                    for k, y in enumerate(path)
                ]
    return {"convergence": pd.DataFrame(rows), **tables, "rounds_of_aggregators": pd.DataFrame(shown)}


def _path(rounds: Iterator[Array]) -> list[Array]:
    """What is done in each round, from nothing to where nobody moves, or to the last round."""
    path = [next(rounds)]
    for _ in range(ROUNDS):
        path.append(next(rounds))
        if np.abs(path[-1] - path[-2]).max() <= SETTLED:
            break
    return path


def _row(who: str, order: str, path: list[Array], exact: Array, factor: float) -> dict[str, Any]:
    moved = [float(np.abs(new - old).max()) for old, new in pairwise(path)]
    settled = moved[-1] <= SETTLED
    middle = [later / earlier for earlier, later in pairwise(moved[2:]) if earlier > 0]
    return {
        "players": who,
        "order": order,
        "rounds": str(len(moved)) if settled else f"not within {ROUNDS}",
        "moves shrink by": float(np.median(middle)) if middle else float("nan"),
        "c sum 1/(2(a+c))": factor,
        "away from equilibrium [MWh]": float(np.abs(path[-1] - exact).max()),
    }


def _factor(a: Array, exact: Array, users: Crowd) -> float:
    c = users.price.slope
    return float((c / (2 * (a[exact > 0] + c))).sum())


def _alone(a: Array, b: Array, users: Crowd, order: str) -> Iterator[Array]:
    """Single users' purchases, round after round."""
    c, b = users.price.slope, b - users.price.intercept
    x = np.zeros(len(a))
    while True:
        yield x.copy()
        if order == AT_ONCE:
            x = np.maximum(0.0, b - c * (x.sum() - x)) / (2 * (a + c))
            continue
        total = float(x.sum())
        for i in range(len(a)):
            given = total - x[i]
            x[i] = max(0.0, b[i] - c * given) / (2 * (a[i] + c))
            total = given + x[i]


def _pair(users: Crowd, alpha: float) -> Game:
    """Two aggregators with half of the small users each, filtered, beside the case's large users."""
    count = users.a.shape[1]
    a, b = (np.append(own, [one[k] for one in users.large]) for k, own in ((0, users.a[0]), (1, users.b[0])))
    owner = np.append(np.arange(count) >= count // 2, 2 + np.arange(len(users.large))).astype(int)
    fairness = np.append([alpha, alpha], np.zeros(len(users.large)))
    served = kept(a, b, owner, fairness, ["filtered"] * len(fairness), users.price)
    return reduced(a, b, owner, fairness, users.price, served)[0]


def _together(game: Game, order: str) -> Iterator[Array]:
    """Aggregators' purchases, round after round."""
    y = np.zeros(len(game.alpha))
    while True:
        yield y.copy()
        before = y.copy()
        for j in range(len(y)):
            others = before if order == AT_ONCE else y
            best = response(game, j, float(others.sum() - others[j]))
            y[j] = best.total if best is not None else 0.0


def _told(path: list[Array], a: Array, b: Array, users: Crowd) -> pd.DataFrame:
    """Quantiles of purchases and surpluses in each round."""
    rows = []
    for k, x in enumerate(path):
        price = users.price.at(float(x.sum()))[0]
        for what, values in (("consumption [MWh]", x), ("surplus [EUR]", x * (b - price - a * x))):
            levels = {f"{share:g} %": float(np.percentile(values, share)) for share in (5, 25, 50, 75, 95)}
            rows.append({"round": k, "what": what, **levels})
    return pd.DataFrame(rows)
