"""From tables to the game: who belongs to whom, who is served, and the numbers as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.scenarios import Scenarios, current, stacked

from . import many
from .equilibria import Profile
from .game import Game, Price
from .membership import kept, reduced

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """The users of a case, one aggregator after the other.

    users: key of each (aggregator, user). names: of the aggregators. owner: number of each user's aggregator. a, b:
    curvature [EUR/MWh^2] and first value [EUR/MWh] of what is bought, own generation taken into account. alpha, rules:
    one per aggregator. served: whether the membership rule keeps the user. cap: of the price [EUR/MWh]. generation:
    cost g of each user's own generation, g e^2 [EUR/MWh^2], zero without any; None if nobody has any. most: the most
    each user may buy [MWh]; None without limits.

    While code runs on many scenarios at once (``equilibrium.scenarios``), users' numbers are as in ``many``.
    """

    users: pd.MultiIndex
    names: tuple[str, ...]
    owner: Array
    a: Array
    b: Array
    alpha: Array
    rules: tuple[str, ...]
    price: Price
    cap: float = np.inf
    generation: Array | None = None
    most: Array | None = None

    def level(self, total: Any) -> Any:
        """The price at a total [EUR/MWh]."""
        return np.minimum(self.price.at(total)[0], self.cap)

    def generated(self, x: Array) -> Array:
        """What users generate themselves when they buy x [MWh]: marginal cost 2 g e = what another MWh is worth."""
        if self.generation is None:
            return np.zeros(x.shape)
        own = self.generation > 0
        return np.where(own, (self.b - 2 * self.a * x) / (2 * np.where(own, self.generation, 1.0)), 0.0)

    @cached_property
    def served(self) -> Array:
        """Users that the membership rules keep, fixed before the game."""
        if current() is not None:
            return many.kept(self.a, self.b, self.owner, self.alpha, self.rules, self.price)
        return kept(self.a, self.b, self.owner, self.alpha, list(self.rules), self.price, self.cap)

    @cached_property
    def reduction(self) -> tuple[Game, Array]:
        """The game of the users served, and the numbers of the aggregators that have some."""
        return reduced(self.a, self.b, self.owner, self.alpha, self.price, self.served)

    @property
    def game(self) -> Game:
        """The game of the users served."""
        if current() is not None:
            b = self.b if self.served.all() else np.where(self.served, self.b, -np.inf)
            return Game(self.a, b, self.start, self.alpha, self.price)
        return self.reduction[0]

    @property
    def start(self) -> Array:
        """First user of each aggregator, and the end."""
        return np.searchsorted(self.owner, np.arange(len(self.names) + 1))

    def everybody(self, values: Array) -> Array:
        """A number of each user served, for all users: zero for the others."""
        if self.served.all():
            return values
        found = np.zeros(len(self.a))
        found[self.served] = values
        return found

    def totals(self, profile: Profile) -> Array:
        """Purchases of all aggregators, those without users served included."""
        found = np.zeros(len(self.names))
        found[self.reduction[1]] = profile.y
        return found


def read(data: Any, alpha: str = "", membership: str = "", price_cap: float = np.inf, alone: bool = False) -> Setting:
    """The setting of a case. alpha, membership: for all aggregators in the place of their table's. price_cap: of the
    price [EUR/MWh]. alone: every user buys for itself."""
    aggregators = data.tables["aggregators"]
    names = tuple(aggregators.index)
    keys, a, b = population(data)
    owner = pd.Index(names).get_indexer(keys.levels[0])[keys.codes[0]]
    if (np.diff(owner) < 0).any():
        order = np.argsort(owner, kind="stable")
        keys, owner, a, b = keys[order], owner[order], a[order], b[order]
    generation = _given(data, "generation", "cost", keys, 0.0)
    a, b = (a, b) if generation is None else _net(a, b, generation)
    beyond = (price(data), price_cap, generation, _given(data, "limits", "maximum", keys, np.inf))
    if alone:
        owner, names = np.arange(len(a)), tuple(f"{group}, {user}" for group, user in keys)
        return Setting(keys, names, owner, a, b, np.zeros(len(a)), ("literal",) * len(a), *beyond)
    values = [alpha] * len(names) if alpha else aggregators["alpha"].tolist()
    rules = (membership,) * len(names) if membership else tuple(aggregators["membership"])
    return Setting(keys, names, owner, a, b, np.array([float(value) for value in values]), rules, *beyond)


def price(data: Any) -> Price:
    """The price of a case."""
    found = (data.parameters[f"price_{name}"] for name in ("slope", "exponent", "intercept"))
    return Price(*(one.values if isinstance(one, Scenarios) else float(one) for one in found))


def draw(p: Any, seed: int) -> tuple[Array, Array]:
    """Curvatures, then first values, of as many users as the row ``p`` of table draws asks for."""
    random, count = np.random.default_rng(seed), int(p["users"])
    a = random.uniform(p["curvature_low"], p["curvature_high"], count)
    return a, random.uniform(p["first_value_low"], p["first_value_high"], count)


def _given(data: Any, table: str, column: str, keys: pd.MultiIndex, otherwise: float) -> Array | None:
    """A number of each user from an optional table; None if there is no such table."""
    if table not in data.tables:
        return None
    found = data.tables[table][column].reindex(keys)
    return stacked(np.where(found.isna(), otherwise, found))


def _net(a: Array, b: Array, g: Array) -> tuple[Array, Array]:
    """Curvature and first value of what is bought, where own generation at cost g e^2 does the rest.

    Of the use x + e a user with g > 0 generates e so that b - 2 a (x + e) = 2 g e. What buying x adds to what it has
    without buying anything, b^2 / (4 (a + g)), is then b' x - a' x^2 with a' = a g / (a + g), b' = b g / (a + g).
    """
    own = g > 0
    share = np.where(own, g, 1.0) / np.where(own, a + g, 1.0)
    return a * share, b * share


def population(data: Any) -> tuple[pd.MultiIndex, Array, Array]:
    """Keys (aggregator, user), curvatures and first values of the users of the table, then of those drawn."""
    users, draws = data.tables.get("users"), data.tables.get("draws")
    if draws is None:
        return users.index, stacked(users["curvature"].to_numpy()), stacked(users["first_value"].to_numpy())
    bare = [name for name in data.tables["aggregators"].index if users is None or name not in users.index.levels[0]]
    a, b = _drawn(draws.iloc[0])
    owners = np.repeat(bare, [len(part) for part in np.array_split(np.arange(len(a)), len(bare))])
    keys = pd.MultiIndex.from_arrays([owners, np.arange(1, len(a) + 1).astype(str)], names=["aggregator", "user"])
    if users is None:
        return keys, a, b
    both = users.index.append(keys).remove_unused_levels()
    own_a, own_b = stacked(users["curvature"].to_numpy()), stacked(users["first_value"].to_numpy())
    return both, _after(own_a, a), _after(own_b, b)


def _drawn(row: pd.Series) -> tuple[Array, Array]:
    """The users of table draws, in every scenario."""
    varied = {name: value.values for name, value in row.items() if isinstance(value, Scenarios)}
    count = len(next(iter(varied.values()), (0,)))
    drawn = [draw(p, int(p["seed"])) for k in range(count) for p in [row.to_dict() | _at(varied, k)]]
    a, b = (np.stack(side, axis=-1) for side in zip(*drawn, strict=True))
    return (a, b) if current() is not None else (a[:, 0], b[:, 0])


def _at(varied: dict[Any, Array], k: int) -> dict[Any, float]:
    return {name: values[k] for name, values in varied.items()}


def _after(first: Array, then: Array) -> Array:
    """Numbers of some users, then of others."""
    scenarios = np.broadcast_shapes(first.shape[1:], then.shape[1:])
    return np.concatenate([np.broadcast_to(one, (len(one), *scenarios)) for one in (first, then)])
