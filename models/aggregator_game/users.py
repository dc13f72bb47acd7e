"""One user inside an aggregator: how much it gets at a price, in the normal form of its condition of optimality.

A user has utility b x - a x^2 and surplus s = x (b - p - a x). With beta = b - p > 0 every allocation between nothing
and what the user would buy as a price taker is described by one number g in (0, 1),

    x = beta (1 - g) / (2a),    s = beta^2 (1 - g^2) / (4a),    b - p - 2 a x = beta g,

and the condition of optimality of an alpha-fair aggregator with multiplier exp(theta) becomes

    ln g = theta + (2 alpha - 1) ln beta - alpha ln(4a) + alpha ln(1 - g^2).

Each function below returns g, 1 - g^2 (exact also where g is close to 1) and e = d ln g / d theta at a fixed price, as
arrays like its arguments. Prices in EUR/MWh, a in EUR/MWh^2, x in MWh, s in EUR; g and e are pure numbers.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
Normal = tuple[Array, Array, Array]

HUGE = 1e150
"""Its square is still a number."""

STEPS = 60
"""Newton's steps on one user's condition at most; three to five are needed."""

CLOSE = 1e-8
"""The last step of Newton's method, in ln(g^2 / (1 - g^2)), is at most this; what is left is about its square."""


def proportional(theta: Array, beta: Array, a: Array) -> Normal:
    """alpha = 1: g = 2k / (1 + sqrt(1 + 4k^2)) with k = exp(theta) beta / (4a)."""
    k = np.minimum(np.exp(theta) * beta / (4 * a), HUGE)
    root = 1 + np.sqrt(1 + 4 * k * k)
    g, rest = 2 * k / root, 2 / root
    return g, rest, rest / (1 + g * g)


def half(theta: Array, beta: Array, a: Array) -> Normal:
    """alpha = 1/2: g = k / sqrt(1 + k^2) with k = exp(theta) / sqrt(4a), whatever the price."""
    square = np.exp(2 * theta) / (4 * a) + 0 * beta
    rest = 1 / (1 + square)
    return np.sqrt(square * rest), rest, rest


def fair(theta: Array, beta: Array, a: Array, alpha: Array, memory: Array | None = None) -> Normal:
    """Any alpha > 0: Newton on z = ln(g^2 / (1 - g^2)) in z/2 + (alpha - 1/2) softplus(z) = ln k.

    The left side is convex for alpha > 1/2 and concave below, with slopes between 1/2 and alpha, so Newton's first step
    leads from anywhere to the side from which the others are monotone. memory: z to begin with, changed in place to
    that found; zeros where nothing is known.
    """
    target = theta + (2 * alpha - 1) * np.log(beta) - alpha * np.log(4 * a)
    if memory is None or not memory.flat[0]:
        low, high = 2 * target, target / alpha
        z = np.where(alpha > 0.5, np.minimum(low, high), np.maximum(low, high))
    else:
        z = memory
    for _ in range(STEPS):
        small = np.exp(-np.abs(z))
        share = np.where(z > 0, 1.0, small) / (1 + small)  # g^2
        value = z / 2 + (alpha - 0.5) * (np.maximum(z, 0) + np.log(1 + small)) - target
        step = value / (0.5 + (alpha - 0.5) * share)
        z = z - step
        if np.abs(step).max(initial=0.0) <= CLOSE:
            break
    if memory is not None:
        memory[:] = z
    small = np.exp(-np.abs(z))
    share, rest = np.where(z > 0, 1.0, small) / (1 + small), np.where(z > 0, small, 1.0) / (1 + small)
    return np.sqrt(share), rest, rest / (1 + (2 * alpha - 1) * share)


def equal(theta: Array, beta: Array, a: Array, smallest: Array) -> Normal:
    """Max-min: every surplus is the same, 1 - exp(2 theta) of the ``smallest`` beta^2 / (4a) of the aggregator's users.

    exp(theta) is the g of the user with that smallest value. Here e belongs to theta as well, but the derivative with
    respect to the common surplus is (1 - g^2) / g^2.
    """
    ratio = np.minimum(smallest * 4 * a / (beta * beta), 1.0)
    binding = np.exp(2 * theta)
    square = (1 - ratio) + ratio * binding
    return np.sqrt(square), ratio * -np.expm1(2 * theta), ratio * binding / square
