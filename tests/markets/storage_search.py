"""Two-period sets solved by search: best replies of the N firms in turn inside, a fine search over the size outside.

All sets at once, as arrays of shape (sets, sizes); nothing of the package is used. Symbols as in the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRID, ZOOM, LEVELS, PEAKS = 401, 41, 11, 4


@dataclass(frozen=True)
class Sets:
    """Numbers of many sets, each a column vector (sets, 1); N holds whole numbers."""

    A1: np.ndarray
    A2: np.ndarray
    Z1: np.ndarray
    Z2: np.ndarray
    B: np.ndarray
    K: np.ndarray
    F: np.ndarray
    I: np.ndarray  # noqa: E741
    N: np.ndarray


def draw(seed: int) -> dict[str, float]:
    """One random set with A2 > F A1: half with K = 0, some with firms that stand still without storage."""
    random = np.random.default_rng(seed)
    A1, B, F = random.uniform(-20, 60), random.uniform(0, 40), random.choice([1.0, random.uniform(1, 1.4)])
    Z1, Z2 = random.uniform(0.3, 2, 2)
    A2 = F * A1 + random.uniform(5, 110)
    K = random.choice([0.0, random.uniform(0.05, 1)])
    return dict(
        A1=A1,
        A2=A2,
        Z1=Z1,
        Z2=Z2,
        B=B,
        K=K,
        F=F,
        I=float(np.exp(random.uniform(-4, 0.5))),
        N=int(random.integers(1, 8)),
    )


def stacked(rows: list[dict[str, float]]) -> Sets:
    """Sets as arrays."""
    return Sets(**{name: np.array([[row[name]] for row in rows], dtype=float) for name in rows[0]})


def outputs(intercept: np.ndarray, slope: np.ndarray, cost: np.ndarray, rise: np.ndarray, N: np.ndarray) -> np.ndarray:
    """Output of every firm (firms, sets, sizes) where the price is ``intercept`` less ``slope`` times all output: each
    in turn replies best to the others until nobody moves."""
    firms = np.zeros((int(N.max()), *intercept.shape))
    total = np.zeros(intercept.shape)
    for _ in range(1000):
        largest = 0.0
        for n, own in enumerate(firms):
            reply = np.maximum(0.0, (intercept - cost - slope * (total - own)) / (2 * slope + rise)) * (n < N)
            largest = max(largest, float(np.abs(reply - own).max()))
            total += reply - own
            own[:] = reply
        if largest <= 1e-13 * max(1.0, float(np.abs(total).max())):
            return firms
    raise RuntimeError("best replies did not settle")


def market(s: Sets, k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(profit of a merchant, welfare, p1, p2) where k is built and discharged, shape (sets, sizes)."""
    price, welfare = [], -s.I * k**2 / 2
    for A, Z, feed in ((s.A1, s.Z1, -s.F * k), (s.A2, s.Z2, k)):
        g = outputs(A - Z * feed, Z, s.B, s.N * s.K, s.N)
        q = g.sum(axis=0) + feed
        price.append(A - Z * q)
        welfare = welfare + A * q - Z * q**2 / 2 - (s.B * g + s.N * s.K * g**2 / 2).sum(axis=0)
    return k * (price[1] - s.F * price[0]) - s.I * k**2 / 2, welfare, price[0], price[1]


def best(s: Sets, which: int) -> np.ndarray:
    """The size with the largest profit (which = 0) or welfare (1), shape (sets, 1), by search alone.

    Beyond (A2 - F min(A1, B)) / Z2 a further unit is worth less than nothing: p2 <= A2 - Z2 k, and p1 is below
    min(A1, B) nowhere.
    """
    end = np.maximum((s.A2 - s.F * np.minimum(s.A1, s.B)) / s.Z2, 1e-6)
    grid = end * np.linspace(0.0, 1.0, GRID)
    value = market(s, grid)[which]
    inner = np.pad(value, ((0, 0), (1, 1)), constant_values=-np.inf)
    peak = np.where((value >= inner[:, :-2]) & (value >= inner[:, 2:]), value, -np.inf)
    first = np.take_along_axis(grid, np.argsort(-peak, axis=1)[:, :PEAKS], axis=1)
    found = _climb(s, which, first, end / (GRID - 1))
    top = np.argmax(market(s, found)[which], axis=1)[:, None]
    return _settle(s, which, np.take_along_axis(found, top, axis=1), end)


def _climb(s: Sets, which: int, k: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """The best sizes within ``reach`` of each of k, by ever finer grids."""
    for _ in range(LEVELS):
        near = np.maximum(0.0, k[:, :, None] + reach[:, :, None] * np.linspace(-1.0, 1.0, ZOOM))
        value = market(s, near.reshape(len(k), -1))[which].reshape(near.shape)
        k = np.take_along_axis(near, np.argmax(value, axis=2)[:, :, None], axis=2)[:, :, 0]
        reach = reach * 4 / (ZOOM - 1)
    return k


def _settle(s: Sets, which: int, k: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where the payoff is one parabola around k its vertex: values alone place a maximum to half the digits only."""
    settled = k <= 1e-9 * end
    k = np.where(settled, 0.0, k)
    for width in (1e-2, 1e-3, 1e-4, 1e-5):
        step = width * end
        v = market(s, k + step * np.arange(-2, 3))[which]
        second, third = v[:, 1:2] - 2 * v[:, 2:3] + v[:, 3:4], v[:, 4:] - 2 * v[:, 3:4] + 2 * v[:, 1:2] - v[:, :1]
        smooth = ~settled & (second < 0) & (np.abs(third) <= 1e-6 * np.abs(second))
        k = np.where(smooth, np.maximum(0.0, k - step * (v[:, 3:4] - v[:, 1:2]) / (2 * np.minimum(second, -1e-300))), k)
        settled |= smooth
    return k
