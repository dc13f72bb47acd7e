"""Every tolerance of the package, each with its reason.

Relative ones are multiplied by the scale of what they are compared with, so results do not depend on units.
"""

RESIDUAL = 1e-9
"""Natural residual of a condition, relative to the size of its terms (prices of 100 EUR/MWh: 1e-7 EUR/MWh). Polished
answers reach 1e-13; a price wrong by more than 1e-9 relative makes a trader's unlimited problem unbounded."""

REGRET = 1e-9
"""Largest gain from deviating, relative to the player's bill. Regret is second order: 1e-9 of the bill still allows
decisions to be off by some 1e-5, which is why DISTANCE is asked for as well."""

DISTANCE = 1e-7
"""Distance to the best response, relative to the player's own quantities. First order; rejects a decision changed by
1e-6."""

FEASIBLE = 1e-9
"""Violation of a constraint or a bound, relative to the size of its terms."""

CONVEX = 1e-9
"""How far below zero an eigenvalue may be, relative to the largest, and still count as zero (rounding of the
assembly)."""

AGREE = 1e-8
"""Two formulations of a problem with one answer agree to this, relative."""
