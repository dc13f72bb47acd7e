"""From tables to the game: who belongs to whom, who is served, and the numbers as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .equilibria import Profile
from .game import Game, Price
from .membership import kept, reduced

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """The users of a case, one aggregator after the other.

    users: key of each (aggregator, user). names: of the aggregators. owner: number of each user's aggregator. a, b:
    curvature [EUR/MWh^2] and first value [EUR/MWh]. alpha, rules: one per aggregator. served: whether the membership
    rule keeps the user.
    """

    users: pd.MultiIndex
    names: tuple[str, ...]
    owner: Array
    a: Array
    b: Array
    alpha: Array
    rules: tuple[str, ...]
    price: Price

    @cached_property
    def served(self) -> Array:
        """Users that the membership rules keep, fixed before the game."""
        return kept(self.a, self.b, self.owner, self.alpha, list(self.rules), self.price)

    @cached_property
    def reduction(self) -> tuple[Game, Array]:
        """The game of the users served, and the numbers of the aggregators that have some."""
        return reduced(self.a, self.b, self.owner, self.alpha, self.price, self.served)

    @property
    def game(self) -> Game:
        """The game of the users served."""
        return self.reduction[0]

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


def read(data: Any, alpha: str = "", membership: str = "", alone: bool = False) -> Setting:
    """The setting of a case. alpha, membership: for all aggregators in the place of their table's. alone: every user
    buys for itself."""
    aggregators, users = data.tables["aggregators"], data.tables["users"]
    names = tuple(aggregators.index)
    owner = pd.Index(names).get_indexer(users.index.get_level_values("aggregator"))
    a, b = users["curvature"].to_numpy(), users["first_value"].to_numpy()
    keys = users.index
    if (np.diff(owner) < 0).any():
        order = np.argsort(owner, kind="stable")
        keys, owner, a, b = keys[order], owner[order], a[order], b[order]
    price = Price(*(float(data.parameters[f"price_{name}"]) for name in ("slope", "exponent", "intercept")))
    if alone:
        owner, names = np.arange(len(a)), tuple(f"{group}, {user}" for group, user in keys)
        return Setting(keys, names, owner, a, b, np.zeros(len(a)), ("literal",) * len(a), price)
    values = [alpha] * len(names) if alpha else aggregators["alpha"].tolist()
    rules = (membership,) * len(names) if membership else tuple(aggregators["membership"])
    return Setting(keys, names, owner, a, b, np.array([float(value) for value in values]), rules, price)
