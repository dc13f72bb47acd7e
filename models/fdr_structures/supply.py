"""Supply of the price-taking dispatchable producers: cost C(q), inverse supply P(q) = C'(q), and its slope.

    C(q) = a q + b q^(2+sigma),    P(q) = a + b (2+sigma) q^(1+sigma)        q in MWh, C in EUR, P in EUR/MWh

with a = cost_linear, b = cost_power > 0, sigma = cost_exponent in [0, 1] (the paper has a = 0). Supply is linear for
sigma = 0 and convex for sigma > 0. Powers are written as (q^2 + 1e-18)^(.), which has a value and derivatives for
every q (a plain fractional power has none at or below zero) and differs from q^(.) by less than 1e-16; the cost of
nothing is zero, and for sigma = 0 the cost is exactly quadratic.
"""

from __future__ import annotations

from typing import Any

TINY = 1e-18


def cost(model: Any, q: Any) -> Any:
    """System cost C(q) of output q."""
    power = (2 + model.cost_exponent) / 2
    return model.cost_linear * q + model.cost_power * ((q**2 + TINY) ** power - TINY**power)


def inverse_supply(model: Any, q: Any) -> Any:
    """Price P(q) at which the producers deliver q: their marginal cost."""
    sigma = model.cost_exponent
    return model.cost_linear + model.cost_power * (2 + sigma) * q * (q**2 + TINY) ** (sigma / 2)
