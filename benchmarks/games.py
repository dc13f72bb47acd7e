"""Seeded games of firms that the benchmarks solve, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from equilibrium.mcp import DECISION, OUTSIDE, MixedComplementarity


@dataclass(frozen=True)
class Linear:
    """0 <= q <= upper _|_ matrix q + vector: linear Cournot firms, matrix = slope (I + 11')."""

    matrix: np.ndarray
    vector: np.ndarray
    upper: np.ndarray

    def problem(self) -> MixedComplementarity:
        """The game as the engine takes it."""
        n = len(self.vector)
        kind, player, names = np.full(n, DECISION), np.arange(n), [f"q[{k}]" for k in range(n)]
        matrix = sp.csr_array(self.matrix)
        return MixedComplementarity(
            names, kind, player, [None] * n, np.zeros(n), self.upper, matrix, self.vector.copy()
        )


@dataclass(frozen=True)
class Nonlinear:
    """Firms with marginal cost ``base + factor q^(1 + sigma)`` that face the price ``top - slope Q``.

    0 <= q <= upper _|_ base + factor q^(1 + sigma) + slope q - (top - slope Q),   Q free _|_ Q - sum of q

    The power is written as q (q^2 + 1e-18)^(sigma / 2): the same to rounding, with derivatives at zero.
    """

    base: np.ndarray
    factor: np.ndarray
    upper: np.ndarray
    sigma: float
    top: float
    slope: float

    def problem(self) -> MixedComplementarity:
        """The game as the engine takes it."""
        n = len(self.base)
        each = np.arange(n)

        def function(z: np.ndarray) -> np.ndarray:
            q, total = z[:n], z[n]
            cost = self.base + self.factor * q * (q * q + 1e-18) ** (self.sigma / 2)
            return np.r_[cost + self.slope * (q + total) - self.top, total - q.sum()]

        def derivative(z: np.ndarray) -> np.ndarray:
            square = z[:n] ** 2 + 1e-18
            found = np.zeros((n + 1, n + 1))
            found[each, each] = (
                self.factor * square ** (self.sigma / 2 - 1) * (square + self.sigma * z[:n] ** 2) + self.slope
            )
            found[:n, n], found[n, :n], found[n, n] = self.slope, -1.0, 1.0
            return found

        return MixedComplementarity(
            [*(f"q[{k}]" for k in range(n)), "Q"],
            np.r_[np.full(n, DECISION), OUTSIDE],
            np.r_[each, -1],
            [None] * (n + 1),
            np.r_[np.zeros(n), -np.inf],
            np.r_[self.upper, np.inf],
            function=function,
            derivative=derivative,
        )


def linear(firms: int, seed: int, spread: float = 1.0) -> Linear:
    """spread: how far the firms' intercepts lie apart, in units of what a firm's own output does to the price; at 1
    half the firms end between their bounds, at 20 one in ten."""
    random = np.random.default_rng([firms, seed])
    slope = random.uniform(0.5, 2)
    mean = 100 / (slope * firms)
    intercept = 100 + spread * slope * mean * random.normal(size=firms)
    return Linear(slope * (np.eye(firms) + 1), -intercept, mean * random.uniform(0.5, 3, firms))


def nonlinear(firms: int, sigma: float, seed: int) -> Nonlinear:
    """About a third of the firms end at their capacity, some at zero."""
    random = np.random.default_rng([firms, seed])
    base, factor = random.uniform(1, 80, firms), random.uniform(0.5, 2, firms)
    return Nonlinear(base, factor, random.uniform(1, 10, firms), sigma, 80.0, 15.0 / firms)
