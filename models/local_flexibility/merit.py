"""Several strategic aggregators at once: who sells how much at which mark-ups, for many profiles together.

Bids of everybody have the same wholesale part, so where no vehicle's limit and no payback room binds the operator takes
the lowest mark-ups first, and equal ones in proportion to what they offer. ``Game.profits`` is that merit order over
arrays of profiles; what it says of a profile is held against the clearing (``several``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from equilibrium.errors import Refused

from . import setting


@dataclass(frozen=True)
class Game:
    """Aggregators who choose a plan and a mark-up, and the others, on one feeder.

    players: names; fleets: the fleet of each. price [hours] EUR/kWh; chance [days]; spare [days, hours]: capacity less
    load and the others' baselines, kWh; others [rivals, hours]: their offers, kWh; asked [rivals]: their mark-ups,
    EUR/kWh. plans: for each player [plans, hours], kWh, the honest one first; markups: those they may ask, rising.
    """

    players: tuple[str, ...]
    fleets: tuple[str, ...]
    periods: tuple[str, ...]
    price: np.ndarray
    chance: np.ndarray
    spare: np.ndarray
    others: np.ndarray
    asked: np.ndarray
    plans: tuple[np.ndarray, ...]
    markups: np.ndarray

    def accepted(self, plans: np.ndarray, markups: np.ndarray) -> np.ndarray:
        """Expected sales by (profile, player), kWh. plans [profiles, players, hours], markups [profiles, players]."""
        sold = np.zeros(markups.shape)
        below = (self.asked[None, None, :] < markups[:, :, None]) @ self.others
        level = (self.asked[None, None, :] == markups[:, :, None]) @ self.others
        below = below + np.einsum("pij,pjh->pih", markups[:, :, None] > markups[:, None, :], plans)
        level = level + np.einsum("pij,pjh->pih", markups[:, :, None] == markups[:, None, :], plans)
        for chance, spare in zip(self.chance, self.spare, strict=True):
            needed = np.maximum(0.0, plans.sum(axis=1) - spare)[:, None, :]
            share = np.clip((needed - below) / np.where(level > 0, level, 1.0), 0.0, 1.0)
            sold += chance * (share * plans).sum(axis=2)
        return sold

    def profits(self, plans: np.ndarray, markups: np.ndarray) -> np.ndarray:
        """Expected profits by (profile, player), EUR, paid as bid."""
        return markups * self.accepted(plans, markups) - plans @ self.price

    def replies(self, player: int, plans: np.ndarray, markups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(plans [n, hours], mark-ups [n], profits [n]) of everything a player may do, the others as in one profile."""
        own = np.repeat(self.plans[player], len(self.markups), axis=0)
        asked = np.tile(self.markups, len(self.plans[player]))
        every = np.repeat(plans[None], len(own), axis=0)
        levels = np.repeat(markups[None], len(own), axis=0)
        every[:, player], levels[:, player] = own, asked
        return own, asked, self.profits(every, levels)[:, player]


def game(model: Any, players: list[str], steps: int) -> Game:
    """The game of some aggregators of a scenario (``setting.fleets`` and ``setting.network`` stated).

    A player declares what the table says or has more than half of its vehicles, up to all, charge at full power in one
    period, the rest in the cheapest one. Its mark-ups go up to its own in ``aggregators.csv`` in equal steps.
    Raises Refused for several feeders, for a player with several fleets, and where the largest mark-ups differ.
    """
    here, periods = model.scenario, tuple(model.period)
    if len(model.feeder) > 1:
        raise Refused("several strategic aggregators are examined on one feeder at a time")
    fleets = []
    for a in players:
        own = [u for u, owner in model.owner.items() if owner == a]
        if len(own) != 1:
            raise Refused(f"aggregator {a} has {len(own)} fleets; several strategic aggregators have one each")
        fleets += own
    caps = {float(pyo.value(model.markup[here, a])) for a in players}
    if len(caps) > 1:
        raise Refused(f"strategic aggregators of scenario '{here}' have different mark-ups in aggregators.csv")
    feeder, price = next(iter(model.feeder)), np.array([float(pyo.value(model.price[t])) for t in periods])
    declared = {u: _row(model.baseline, u, periods) for u in model.home}
    rest = [u for u in model.home if u not in fleets]
    given = sum((declared[u] for u in rest), np.zeros(len(periods)))
    spare = [
        [
            float(pyo.value(setting.capacity(model, feeder, t) - model.inflexible[d, feeder, t] * model.duration[t]))
            for t in periods
        ]
        for d in model.day
    ]
    cap = caps.pop()
    return Game(
        tuple(players),
        tuple(fleets),
        periods,
        price,
        np.array([float(pyo.value(model.probability[here, d])) for d in model.day]),
        np.array(spare) - given,
        np.array([_row(model.offer, u, periods) for u in rest]).reshape(len(rest), len(periods)),
        np.array([float(pyo.value(model.markup[here, model.owner[u]])) for u in rest]),
        tuple(_plans(model, u, declared[u], price) for u in fleets),
        np.round(np.linspace(0.0, cap, steps + 1), 12),
    )


def _row(part: Any, u: str, periods: tuple[str, ...]) -> np.ndarray:
    return np.array([float(pyo.value(part.get((u, t), 0.0))) for t in periods])


def _plans(model: Any, u: str, honest: np.ndarray, price: np.ndarray) -> np.ndarray:
    """The honest plan, then 'most of them in one period'."""
    here, count = model.scenario, int(pyo.value(model.vehicles[model.scenario, u]))
    found, cheapest = [honest], int(price.argmin())
    for k, t in enumerate(model.period):
        for charging in range(count // 2 + 1, count + 1):
            at_once = charging * float(pyo.value(model.charger[here, u] * model.duration[t]))
            if k != cheapest and at_once <= honest.sum():
                plan = np.zeros(len(price))
                plan[k], plan[cheapest] = at_once, honest.sum() - at_once
                found.append(plan)
    return np.array(found)
