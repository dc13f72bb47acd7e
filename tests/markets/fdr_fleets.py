"""Aggregators with limits and costs of their own worked out a second time, by replies in turn, with numpy and scipy
only: linear supply, any number of periods, with or without strategic generators.

Somebody who takes s_t beside q_t - s_t of others has in each period the marginal expenditure a + beta q_t + m beta s_t
+ k (s_t - even), m = 1 for a buyer who moves the price and 0 for a planner; it is the same, mu, in all periods in which
the load is between its limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq


@dataclass(frozen=True)
class Fleet:
    """Energy [MWh], least and most load by period [MWh], cost of shifting [EUR/MWh^2]."""

    energy: float
    low: np.ndarray
    high: np.ndarray
    k: float = 0.0

    def reply(self, others: np.ndarray, a: float, beta: float, m: float) -> np.ndarray:
        """Its best loads beside the output ``others`` that the producers deliver without it."""
        even, slope = self.energy / len(others), (1 + m) * beta + self.k

        def loads(mu: float) -> np.ndarray:
            return np.clip((mu - a - beta * others + self.k * even) / slope, self.low, self.high)

        ends = (a + beta * others - self.k * even).min(), (a + beta * others).max() + slope * self.energy
        return loads(brentq(lambda mu: loads(mu).sum() - self.energy, *ends, xtol=1e-13, rtol=1e-15))

    def cost(self, load: np.ndarray) -> float:
        return self.k / 2 * float(((load - self.energy / len(load)) ** 2).sum())


@dataclass(frozen=True)
class Plant:
    """Marginal cost psi1 + psi2 y [EUR/MWh] up to a capacity [MWh]."""

    psi1: float
    psi2: float
    capacity: float

    def reply(self, rest: np.ndarray, a: float, beta: float, m: float) -> np.ndarray:
        """Its best outputs where ``rest`` is what would be delivered without it; m as for a fleet."""
        return np.clip((a + beta * rest - self.psi1) / ((1 + m) * beta + self.psi2), 0.0, self.capacity)

    def cost(self, output: np.ndarray) -> float:
        return float((self.psi1 * output + self.psi2 * output**2 / 2).sum())


def play(
    demand: np.ndarray, fleets: list[Fleet], plants: list[Plant], a: float, b: float, m: float = 1.0
) -> tuple[np.ndarray, np.ndarray, float]:
    """(loads by fleet and period, prices, system cost) where nobody replies differently; m = 0: the planner's."""
    beta = 2 * b
    loads = np.array([np.full(len(demand), one.energy / len(demand)) for one in fleets])
    outputs = np.zeros((len(plants), len(demand)))
    for _ in range(100_000):
        before = np.concatenate([loads, outputs])
        for n, one in enumerate(fleets):
            others = demand + np.delete(loads, n, 0).sum(0) - outputs.sum(0)
            loads[n] = one.reply(others, a, beta, m)
        for n, one in enumerate(plants):
            rest = demand + loads.sum(0) - np.delete(outputs, n, 0).sum(0)
            outputs[n] = one.reply(rest, a, beta, m)
        if np.abs(np.concatenate([loads, outputs]) - before).max() < 1e-12:
            break
    q = demand + loads.sum(0) - outputs.sum(0)
    real = sum(one.cost(load) for one, load in zip(fleets, loads, strict=True))
    real += sum(one.cost(output) for one, output in zip(plants, outputs, strict=True))
    return loads, a + beta * q, float((a * q + b * q**2).sum()) + real
