"""Several strategic aggregators: best replies in turn, whether they settle, and the game in mixed strategies.

In turn each takes its best plan and mark-up on a grid, the others given. Either nobody moves any more, or an earlier
profile returns: then the cycle is reported with the range of what the operator pays. Every profile of the cycle is
cleared again by the operator's programme.

**Mixed strategies.** Let n equal aggregators bunch k kWh each in one hour, D kWh be needed there beyond what cheaper
bids relieve, r = D - (n - 1) k with 0 < r < k, M the largest mark-up. Whoever is dearest sells r, the others k. No
mark-ups are an equilibrium: undercut while m k > r M, else ask M. In the symmetric mixed equilibrium (Kreps and
Scheinkman, 1983; Levitan and Shubik, 1972) mark-ups lie in [M r/k, M] with distribution

    F(m) = ((k m - r M) / ((k - r) m))^(1/(n-1)),    expected income r M each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.integrate import quad

from equilibrium.certificate import CYCLING

from . import outcome, setting
from .merit import Game, game

SWEEPS = 2000
"""At most so many rounds of replies."""

PROFILES = 2_000_000
"""Up to so many profiles of mark-ups all are looked at for an equilibrium."""

STEPS = 100
"""Parts into which mark-ups up to the largest are cut."""

STILL = 1e-9  # EUR; a reply that gains no more leaves the player where it is


@dataclass(frozen=True)
class Profile:
    """plans [players, hours] kWh, markups [players] EUR/kWh."""

    plans: np.ndarray
    markups: np.ndarray

    def key(self) -> bytes:
        """Equal for equal profiles."""
        return self.plans.round(9).tobytes() + self.markups.round(12).tobytes()


@dataclass(frozen=True)
class Turns:
    """Profiles after each round; ``period`` rounds return to the same profile (0: nobody moved in the last round)."""

    rounds: tuple[Profile, ...]
    period: int

    @property
    def cycle(self) -> tuple[Profile, ...]:
        """The profiles that return; the last one where it settled."""
        return self.rounds[-max(1, self.period) :]


def in_turn(one: Game, start: Profile | None = None) -> Turns | None:
    """Best replies in turn from the honest plans at the largest mark-up; None if nothing returns within ``SWEEPS``."""
    now = start or Profile(np.array([plans[0] for plans in one.plans]), np.full(len(one.players), one.markups[-1]))
    rounds, seen = [now], {now.key(): 0}
    for k in range(1, SWEEPS + 1):
        now = _round(one, now)
        rounds.append(now)
        if now.key() in seen:
            period = k - seen[now.key()]
            return Turns(tuple(rounds), 0 if period == 1 else period)
        seen[now.key()] = k
    return None


def _round(one: Game, now: Profile) -> Profile:
    plans, markups = now.plans.copy(), now.markups.copy()
    for i in range(len(one.players)):
        own, asked, profit = one.replies(i, plans, markups)
        current = one.profits(plans[None], markups[None])[0, i]
        best = int(profit.argmax())
        if profit[best] > current + STILL:
            plans[i], markups[i] = own[best], asked[best]
    return Profile(plans, markups)


def gap(one: Game, profile: Profile) -> float:
    """What the aggregator with most to gain would gain by its best reply on the grid, EUR."""
    now = one.profits(profile.plans[None], profile.markups[None])[0]
    best = [one.replies(i, profile.plans, profile.markups)[2].max() for i in range(len(one.players))]
    return float((np.array(best) - now).max())


def least_gap(one: Game, plans: np.ndarray) -> float | None:
    """The least gap over all profiles of mark-ups, everybody's plan fixed, EUR; positive: no equilibrium on the grid.
    None where there are too many profiles."""
    count = len(one.players)
    if len(one.markups) ** count > PROFILES:
        return None
    levels = np.stack(np.meshgrid(*[one.markups] * count, indexing="ij"), axis=-1).reshape(-1, count)
    profits = np.concatenate(
        [one.profits(np.broadcast_to(plans, (len(part), *plans.shape)), part) for part in np.array_split(levels, 200)]
    ).reshape(*[len(one.markups)] * count, count)
    gaps = [profits[..., i].max(axis=i, keepdims=True) - profits[..., i] for i in range(count)]
    return float(np.maximum.reduce(gaps).min())


@dataclass(frozen=True)
class Mixed:
    """The symmetric mixed equilibrium: number, capacity k and residual r (kWh), largest mark-up M (EUR/kWh)."""

    number: int
    capacity: float
    residual: float
    largest: float

    @property
    def lowest(self) -> float:
        """Least mark-up that is asked, EUR/kWh."""
        return self.largest * self.residual / self.capacity

    def distribution(self, markup: float) -> float:
        """F: probability that one aggregator asks no more."""
        if markup <= self.lowest:
            return 0.0
        part = (self.capacity * markup - self.residual * self.largest) / ((self.capacity - self.residual) * markup)
        return float(min(1.0, part) ** (1 / (self.number - 1)))

    def quantile(self, probability: float) -> float:
        """The mark-up m with F(m) = probability, EUR/kWh."""
        part = probability ** (self.number - 1)
        return self.residual * self.largest / (self.capacity - (self.capacity - self.residual) * part)

    @property
    def mean(self) -> float:
        """Mean mark-up, EUR/kWh."""
        return self.largest - quad(self.distribution, self.lowest, self.largest, epsabs=1e-12, limit=200)[0]

    @property
    def payments(self) -> float:
        """Expected mark-up payments of the operator, EUR."""
        return self.number * self.residual * self.largest


def mixed(one: Game, plans: np.ndarray) -> Mixed | None:
    """The mixed equilibrium in mark-ups, everybody's plan fixed; None where the formula does not apply: unequal plans,
    several days or congested hours, rivals who are not truthful, nobody or everybody indispensable."""
    count = len(one.players)
    needed = plans.sum(axis=0) - one.spare[0]
    hours = np.flatnonzero(needed > 0)
    if len(one.chance) > 1 or len(hours) != 1 or np.ptp(plans, axis=0).max() > 0 or (one.asked > 0).any():
        return None
    hour, capacity = hours[0], plans[0, hours[0]]
    residual = float(needed[hour] - one.others[:, hour].sum() - (count - 1) * capacity)
    if not 0 < residual < capacity or count < 2:
        return None
    return Mixed(count, float(capacity), residual, float(one.markups[-1]))


def gain_against(one: Game, benchmark: Mixed, plans: np.ndarray, points: int = 40) -> float:
    """What one aggregator can gain at most over r M by any of its plans and any of ``points`` quantiles of mark-ups, if
    the others mix, EUR (rounding only, or less than zero).

    The others' mark-ups are the midpoints between quantiles, so who is cheaper has its exact probability.
    """
    count = len(one.players)
    middle = np.array([benchmark.quantile((j + 0.5) / points) for j in range(points)])
    levels = np.array(list(product(middle, repeat=count - 1)))
    best = -np.inf
    for own in one.plans[0]:
        every = np.broadcast_to(plans, (len(levels), *plans.shape)).copy()
        every[:, 0] = own
        for j in range(points + 1):
            asked = np.column_stack([np.full(len(levels), benchmark.quantile(j / points)), levels])
            best = max(best, float(one.profits(every, asked)[:, 0].mean()))
    return best - (benchmark.residual * benchmark.largest - float(plans[0] @ one.price))


def stated(data: Any, scenario: str, offers: str, players: Sequence[str]) -> Game:
    """The game of the strategic aggregators of a scenario."""
    model = setting.setting(data, scenario)
    setting.fleets(data, model, offers)
    setting.network(model)
    return game(model, list(players), STEPS)


def cleared(data: Any, scenario: str, offers: str, one: Game, profile: Profile) -> outcome.Outcome:
    """The operator's clearing of a profile."""
    plans = {
        a: {(u, t): float(x) for t, x in zip(one.periods, row, strict=True)}
        for a, u, row in zip(one.players, one.fleets, profile.plans, strict=True)
    }
    return outcome.clear_at(
        data, scenario, offers, plans, dict(zip(one.players, map(float, profile.markups), strict=True))
    )


def report(
    data: Any, scenario: str, offers: str, players: Sequence[str], progress: Callable[[str], None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(columns scenario, quantity, value, unit, verdict; the rounds of the cycle: mark-ups, payments, gap)."""
    one = stated(data, scenario, offers, players)
    turns = in_turn(one)
    if turns is None:
        row = dict(scenario=scenario, quantity="rounds", value=float(SWEEPS), unit="1", verdict="uncertified")
        return pd.DataFrame([row]), pd.DataFrame()
    rounds, apart = [], 0.0
    for k, profile in enumerate(turns.cycle):
        progress(f"{scenario}: round {k + 1} of {len(turns.cycle)}")
        sold = one.accepted(profile.plans[None], profile.markups[None])[0]
        again = cleared(data, scenario, offers, one, profile)
        expected = one.profits(profile.plans[None], profile.markups[None])[0]
        apart = max(apart, *(abs(again.profit(a) - p) for a, p in zip(one.players, expected, strict=True)))
        row = {"scenario": scenario, "round": k, "mark-up payments [EUR]": float(profile.markups @ sold)}
        row |= {"operator cost [EUR]": again.operator_cost(), "gap [EUR]": gap(one, profile)}
        row |= {f"mark-up {a} [EUR/kWh]": m for a, m in zip(one.players, profile.markups, strict=True)}
        rounds.append(row)
    table = pd.DataFrame(rounds)
    verdict = CYCLING if turns.period else "equilibrium on the grid"
    return pd.DataFrame(_rows(data, scenario, offers, one, turns, table, apart, verdict)), table


def _rows(
    data: Any, scenario: str, offers: str, one: Game, turns: Turns, table: pd.DataFrame, apart: float, verdict: str
) -> list[dict[str, Any]]:
    paid = table["mark-up payments [EUR]"]
    asked = np.array([p.markups for p in turns.cycle])
    plans = turns.cycle[-1].plans
    found: list[tuple[str, float | None, str, str]] = [
        ("strategic aggregators", len(one.players), "1", verdict),
        ("rounds until it returns", turns.period, "1", verdict),
        ("least mark-up", asked.min(), "EUR/kWh", verdict),
        ("largest mark-up", asked.max(), "EUR/kWh", verdict),
        ("least mark-up payments", paid.min(), "EUR", verdict),
        ("mean mark-up payments", paid.mean(), "EUR", verdict),
        ("largest mark-up payments", paid.max(), "EUR", verdict),
        ("least best-response gap", table["gap [EUR]"].min(), "EUR", verdict),
        ("difference from the clearing", apart, "EUR", "certified"),
        ("least gap over all mark-ups of the grid", least_gap(one, plans), "EUR", "enumerated"),
    ]
    benchmark = mixed(one, plans)
    if benchmark is not None:
        truthful = cleared(data, scenario, offers, one, Profile(plans, np.zeros(len(one.players)))).operator_cost()
        found += [
            ("residual demand of the dearest", benchmark.residual, "kWh", "formula"),
            ("mixed: least mark-up", benchmark.lowest, "EUR/kWh", "formula"),
            ("mixed: mean mark-up", benchmark.mean, "EUR/kWh", "formula"),
            ("mixed: expected mark-up payments", benchmark.payments, "EUR", "formula"),
            ("mixed: largest gain of a deviation", gain_against(one, benchmark, plans), "EUR", "enumerated"),
            ("operator cost, truthful mark-ups", truthful, "EUR", "certified"),
            ("operator cost, mixed, expected", truthful + benchmark.payments, "EUR", "formula"),
            (
                "operator cost, all at the largest mark-up",
                _collusion(data, scenario, offers, one, plans),
                "EUR",
                "certified",
            ),
        ]
    keys = ("quantity", "value", "unit", "verdict")
    return [{"scenario": scenario, **dict(zip(keys, row, strict=True))} for row in found if row[1] is not None]


def _collusion(data: Any, scenario: str, offers: str, one: Game, plans: np.ndarray) -> float:
    top = Profile(plans, np.full(len(one.players), one.markups[-1]))
    return cleared(data, scenario, offers, one, top).operator_cost()
