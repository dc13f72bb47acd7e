"""Demand response in a country by itself, in closed form: welfare before and after, thresholds, elasticity limit.

One line of supply a + b Q on which both the old demand D and the new consumption lie; demand response is paid on
consumption, gamma Q^2/2. Before: inelastic demand D worth Pbar each. After: retail price c - d Q. The criterion is
that welfare, or consumer surplus, is at least what it was; it holds for consumption above ``least`` and, as
consumption falls with the intensity, for an intensity up to ``largest``.

(Pbar, D) and (c, d) describe two preferences that have nothing to do with each other, so much of a gain at a small
intensity is the change of preferences.

Source: section 4 of the paper, equations (16), (22), (23) and (25), footnotes 18, 19 and 31, which hold as printed
under these assumptions; the upper end of consumption is (c - a)/(b + d), not c/d.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WELFARE, CONSUMERS = "welfare", "consumers"


@dataclass(frozen=True)
class Isolated:
    """Numbers of the country: a, c, value in EUR/MWh; b, d in EUR/MWh per MW; D in MW. Money is EUR for an hour."""

    a: float
    b: float
    D: float
    value: float  # Pbar
    c: float
    d: float

    @property
    def price(self) -> float:
        """P1 = a + b D, the price before."""
        return self.a + self.b * self.D

    @property
    def welfare_before(self) -> float:
        """SW1 = D (Pbar - a) - b D^2/2."""
        return self.D * (self.value - self.a) - self.b * self.D**2 / 2

    @property
    def consumers_before(self) -> float:
        """CS1 = D (Pbar - P1)."""
        return self.D * (self.value - self.price)

    @property
    def producers_before(self) -> float:
        """PS1 = b D^2/2."""
        return self.b * self.D**2 / 2

    def quantity(self, gamma: float) -> float:
        """Q* = (c - a)/(gamma + b + d)."""
        return (self.c - self.a) / (gamma + self.b + self.d)

    def welfare(self, gamma: float) -> float:
        """SW2 = Q* (c - a)/2."""
        return self.quantity(gamma) * (self.c - self.a) / 2

    def consumers(self, gamma: float) -> float:
        """CS2 = d Q*^2/2."""
        return self.d * self.quantity(gamma) ** 2 / 2

    def producers(self, gamma: float) -> float:
        """PS2 = (gamma + b) Q*^2/2, the margin on demand response included."""
        return (gamma + self.b) * self.quantity(gamma) ** 2 / 2

    def why_not(self, criterion: str) -> str:
        """Why the threshold has no closed form; empty where it has one."""
        if self.c <= self.a:
            return "nobody buys after demand response: c <= a"
        if criterion == WELFARE and self.welfare_before <= 0:
            return "welfare before is not positive: any consumption keeps it"
        if criterion == CONSUMERS and self.consumers_before <= 0:
            return "consumer surplus before is not positive: any consumption keeps it"
        return ""

    def least(self, criterion: str) -> float:
        """Q_min: 2 SW1/(c - a) for welfare, sqrt(2 CS1/d) for consumers. Raises ValueError where it has no meaning."""
        if reason := self.why_not(criterion):
            raise ValueError(reason)
        if criterion == WELFARE:
            return 2 * self.welfare_before / (self.c - self.a)
        return math.sqrt(2 * self.consumers_before / self.d)

    def largest(self, criterion: str) -> float:
        """gamma_max at which consumption is ``least``; negative where no intensity keeps the criterion."""
        return (self.c - self.a) / self.least(criterion) - self.b - self.d

    def elasticity(self, quantity: float) -> float:
        """Price elasticity of demand at a consumption, 1 - c/(d Q): negative."""
        return 1 - self.c / (self.d * quantity)

    def elasticity_limit(self, criterion: str) -> float:
        """1 - c/(d Q_min): the criterion holds where the elasticity is above it, that is less elastic than this."""
        return self.elasticity(self.least(criterion))

    def reduces(self, criterion: str) -> bool:
        """Whether consumption can fall below D without loss: Q_min < D; for welfare that is c > 2 Pbar - P1."""
        return self.least(criterion) < self.D
