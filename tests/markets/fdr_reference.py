"""The two-period market worked out a second time, from the payoffs, with numpy and scipy only.

C(q) = a q + b q^(2+sigma), P = C'. Demands x1 < x2, flexible energy S, s of it off-peak, so q1 = x1 + s and q2 = x2 +
S - s. Somebody with net purchases n1, n2 pays P(q1) n1 + P(q2) n2. One more unit in period i costs it P(q_i) +
P'(q_i) n_i, so moving a unit off-peak gains

    g = [P(q2) + P'(q2) n2] - [P(q1) + P'(q1) n1],

and each decision is where g = 0, or a bound. g falls in the own load for every buyer here (P' > 0, P'' >= 0, q_i >
n_i >= 0 for a buyer; for the generator n_i = load_i - y with y < x1/2). ``a`` cancels in g and is left out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from scipy.integrate import quad
from scipy.optimize import brentq

from equilibrium.data import Data
from models.fdr_structures import market

PERIODS = ("off-peak", "peak")


@dataclass(frozen=True)
class Setup:
    """The numbers of one market. x1 and x2 are gross of y; ``net()`` takes the generator's fixed output off them."""

    sigma: float
    x1: float
    x2: float
    S: float
    a: float = 0.0
    b: float = 0.5
    L: float = 0.5
    y: float = 0.0
    shares: tuple[float, ...] = (0.6, 0.4)

    @property
    def D(self) -> float:
        return self.x2 - self.x1

    def net(self) -> Setup:
        return replace(self, x1=self.x1 - self.y, x2=self.x2 - self.y)

    def C(self, q: float) -> float:
        return self.a * q + self.b * q ** (2 + self.sigma)

    def P(self, q: float) -> float:
        return self.a + self.b * (2 + self.sigma) * q ** (1 + self.sigma)

    def dP(self, q: float) -> float:
        return self.b * (2 + self.sigma) * (1 + self.sigma) * q**self.sigma

    def K(self, s: float) -> float:
        return self.C(self.x1 + s) + self.C(self.x2 + self.S - s)

    def E(self, s: float) -> float:
        return self.P(self.x1 + s) * s + self.P(self.x2 + self.S - s) * (self.S - s)

    def spread(self, s: float) -> float:
        """P(q2) - P(q1) at total off-peak load s, without ``a``."""
        k = self.b * (2 + self.sigma)
        return k * ((self.x2 + self.S - s) ** (1 + self.sigma) - (self.x1 + s) ** (1 + self.sigma))

    def gain(self, s: float, n1: float, n2: float) -> float:
        """g: what the holder of net purchases n1, n2 gains by moving a unit off-peak."""
        return self.spread(s) + self.dP(self.x2 + self.S - s) * n2 - self.dP(self.x1 + s) * n1


def data_of(m: Setup) -> Data:
    """The same numbers as the package reads them (not checked: some examples leave the allowed range on purpose)."""
    parameters = {
        "flexible_energy": m.S,
        "cost_linear": m.a,
        "cost_power": m.b,
        "cost_exponent": m.sigma,
        "dso_share": m.L,
        "generator_output": m.y,
    }
    names = pd.Index([f"aggregator {k + 1}" for k in range(len(m.shares))], name="aggregator")
    return Data(
        market,
        parameters,
        {
            "demand": pd.DataFrame({"load": [m.x1, m.x2]}, index=pd.Index(PERIODS, name="period")),
            "aggregators": pd.DataFrame({"share": list(m.shares)}, index=names),
        },
    )


def zero(g: Callable[[float], float], low: float, high: float) -> float:
    """Where the falling g is zero between low and high, or the end that it points to."""
    if g(low) <= 0:
        return low
    if g(high) >= 0:
        return high
    return float(brentq(g, low, high, xtol=1e-16 * high, rtol=1e-15, maxiter=300))


def efficient(m: Setup) -> float:
    """The planner: g without market power."""
    return zero(m.spread, 0.0, m.S)


def monopoly(m: Setup) -> float:
    """Somebody who buys all of S."""
    return zero(lambda s: m.gain(s, s, m.S - s), 0.0, m.S)


def symmetric(m: Setup, A: float) -> float:
    """A equal aggregators: the minimum of (1 - 1/A) K(s) + (1/A) E(s), whose derivative is minus g with purchases
    s/A, (S-s)/A.
    """
    return zero(lambda s: m.gain(s, s / A, (m.S - s) / A), 0.0, m.S)


def unequal(m: Setup, shares: Sequence[float]) -> list[float]:
    """Aggregators with shares: each has g = 0 given the total s, where g is linear in its own load; the loads add up
    to s.
    """

    def own(s: float, T: float) -> float:
        return zero(lambda load: m.gain(s, load, T - load), 0.0, T)

    total = zero(lambda s: sum(own(s, L * m.S) for L in shares) - s, 0.0, m.S)
    return [own(total, L * m.S) for L in shares]


def omega(m: Setup, d: float, r: float) -> float:
    """The DSO's payoff when it dispatches its own load d and its rivals' load r."""
    T = m.L * m.S
    return -m.P(m.x1 + d + r) * d - m.P(m.x2 + m.S - d - r) * (T - d)


def dispatched(m: Setup) -> tuple[float, float]:
    """(d, r): the better of rivals all in the peak and rivals all off-peak, each with its own g = 0."""
    T = m.L * m.S
    ends = []
    for r in (0.0, m.S - T):
        d = zero(lambda load, r=r: m.gain(load + r, load, T - load), 0.0, T)
        ends.append((omega(m, d, r), d, r))
    _, d, r = max(ends)
    return d, r


def threshold(m: Setup) -> float:
    """L-hat: own load d = S/2 = s is where g is zero or, at its bound d = S_own, just not negative.

    With d = S/2, q_i = u_i = x_i + S/2 and purchases S/2, L S - S/2, g = 0 is linear in L. Own load above half of S
    needs L > 1/2.
    """
    u1, u2 = m.x1 + m.S / 2, m.x2 + m.S / 2
    inside = 0.5 + (m.dP(u1) * m.S / 2 - (m.P(u2) - m.P(u1))) / (m.dP(u2) * m.S)
    return max(0.5, inside)


def generator(m: Setup) -> float:
    """The generator/aggregator on net demands (``m`` is already net): purchases are loads less y."""
    return zero(lambda s: m.gain(s, s - m.y, m.S - s - m.y), 0.0, m.S)


def payment(m: Setup, s: float) -> float:
    """R(s) of Proposition 7 as it is defined: the integral of P'(q2)(S-u) - P'(q1)u from s to the efficient load."""
    value, _ = quad(
        lambda u: m.dP(m.x2 + m.S - u) * (m.S - u) - m.dP(m.x1 + u) * u, s, efficient(m), epsabs=1e-13, epsrel=1e-12
    )
    return value
