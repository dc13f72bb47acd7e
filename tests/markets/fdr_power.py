"""Market power in generation worked out a second time, from payoffs and first-order conditions, with scipy only.

One generator with marginal cost psi1 + psi2 y beside the setup of ``fdr_reference``; y1, y2 its outputs, q_i = x_i +
s_i - y_i. Somebody with net purchases n_i gains g = [P(q2) + P'(q2) n2] - [P(q1) + P'(q1) n1] by moving a unit
off-peak, outputs held. The reply Y(X) solves P(X - y) - P'(X - y) y = psi1 + psi2 y, or is 0 or X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from fdr_reference import Setup, zero


@dataclass(frozen=True)
class Power:
    """A setup and the generator's marginal cost."""

    m: Setup
    psi1: float
    psi2: float

    def reply(self, X: float) -> float:
        m = self.m
        return zero(lambda y: m.P(X - y) - m.dP(X - y) * y - self.psi1 - self.psi2 * y, 0.0, X)

    def outputs(self, s: float) -> tuple[float, float]:
        return self.reply(self.m.x1 + s), self.reply(self.m.x2 + self.m.S - s)

    def cost(self, s: float, y: tuple[float, float]) -> float:
        m = self.m
        plants = sum(self.psi1 * v + self.psi2 * v**2 / 2 for v in y)
        return m.C(m.x1 + s - y[0]) + m.C(m.x2 + m.S - s - y[1]) + plants

    def gain(self, s: float, y: tuple[float, float], n1: float, n2: float) -> float:
        """g at load s off-peak and outputs y."""
        m = self.m
        q1, q2 = m.x1 + s - y[0], m.x2 + m.S - s - y[1]
        return m.P(q2) + m.dP(q2) * n2 - m.P(q1) - m.dP(q1) * n1

    def nash(self, A: float) -> float:
        """A equal aggregators and the generator at once."""
        S = self.m.S
        return zero(lambda s: self.gain(s, self.outputs(s), s / A, (S - s) / A), 0.0, S)

    def corner(self, r: float) -> tuple[float, tuple[float, float]]:
        """(own load, outputs) where the DSO's rivals take r off-peak, the DSO and the generator each at their best."""
        T = self.m.L * self.m.S
        d = zero(lambda v: self.gain(v + r, self.outputs(v + r), v, T - v), 0.0, T)
        return d, self.outputs(d + r)

    def best_own(self, r: float, y: tuple[float, float]) -> float:
        """The DSO's bill at its best own load, rivals' load and outputs held; q_i >= 0 is no limit of the DSO."""
        m, T = self.m, self.m.L * self.m.S
        low = max(0.0, y[0] - m.x1 - r)
        d = zero(lambda v: self.gain(v + r, y, v, T - v), low, T)
        return m.P(m.x1 + d + r - y[0]) * d + m.P(m.x2 + m.S - d - r - y[1]) * (T - d)

    def leaving(self) -> list[float]:
        """For r = 0 and r = all: what the DSO saves by turning its rivals round, relative to its bill (<= 0: stays)."""
        R = (1 - self.m.L) * self.m.S
        saved = []
        for r in (0.0, R):
            _, y = self.corner(r)
            here, there = self.best_own(r, y), self.best_own(R - r, y)
            saved.append((here - there) / abs(here))
        return saved


def draw(number: int) -> Power:
    """A random market; every fourth with curved supply, every fifth with a linear cost of generation."""
    rng = np.random.default_rng((20240816, number))
    sigma = float(rng.uniform(0.05, 1)) if number % 4 == 3 else 0.0
    x1 = rng.uniform(0.3, 10)
    S = rng.uniform(0.05, 5)
    D = S * 10 ** rng.uniform(-1.5, 0.7)
    b = 10 ** rng.uniform(-1, 1)
    L = float(rng.uniform(0.05, 0.95))
    m = Setup(sigma, x1, x1 + D, S, 0.0, b, L)
    peak = m.P(x1 + D + S)
    psi1 = peak * rng.uniform(0.0, 0.6)
    if number % 10 == 6:  # a dear generator beside much flexible energy: integrated, it buys more than it sells
        S = x1 * rng.uniform(0.5, 3)
        m = Setup(sigma, x1, x1 + 0.3 * S * rng.uniform(0.1, 1), S, 0.0, b, L)
        psi1 = m.P(x1) * rng.uniform(0.8, 1.0)
    psi2 = 0.0 if number % 5 == 0 else peak / (x1 + S) * 10 ** rng.uniform(-2, 0.5)
    return Power(m, float(psi1), float(psi2))
