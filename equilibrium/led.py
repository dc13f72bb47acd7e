"""What a route found for a leader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from .reactions import Reactions
from .tolerances import REGRET


@dataclass(frozen=True)
class Optimum:
    """A local optimum of a leader: its decision and its minimised payoff."""

    x: np.ndarray
    cost: float


def distinct(optima: Iterable[Optimum]) -> tuple[Optimum, ...]:
    """The optima that differ in their decision, best first."""
    kept: list[Optimum] = []
    for optimum in sorted(optima, key=lambda o: o.cost):
        if not any(np.allclose(optimum.x, other.x, rtol=1e-6, atol=1e-9) for other in kept):
            kept.append(optimum)
    return tuple(kept)


@dataclass(frozen=True)
class Led:
    """What a leader's route found.

    x, z: its decision and the followers' answer; cost: its minimised payoff; bound: below which no decision can bring
    it (minus infinity where nothing is proved); reason: why, in words; optima: distinct local optima, best first;
    starts: how many points the search began from; reactions: the range of the payoff over the followers' answers to x;
    unique: whether no other decision does as well; attained: whether the decision reaches the cost or only comes near.
    """

    x: np.ndarray
    z: np.ndarray
    cost: float
    bound: float
    route: str
    reason: str
    optima: tuple[Optimum, ...]
    starts: int
    seconds: float = 0.0
    reactions: Reactions | None = None
    unique: bool = False
    attained: bool = True
    notes: tuple[str, ...] = field(default_factory=tuple)

    def beside(self, columns: np.ndarray, values: np.ndarray) -> Led:
        """The same for a leader that decides more: these columns are at values."""
        if not columns.size:
            return self
        keep = np.setdiff1d(np.arange(len(self.x) + len(columns)), columns)

        def whole(x: np.ndarray) -> np.ndarray:
            full = np.zeros(len(keep) + len(columns))
            full[columns], full[keep] = values, x
            return full

        return replace(self, x=whole(self.x), optima=tuple(Optimum(whole(o.x), o.cost) for o in self.optima))

    @property
    def proved(self) -> bool:
        """Whether the bound reaches the cost."""
        return self.cost - self.bound <= REGRET * max(abs(self.cost), 1e-300)
