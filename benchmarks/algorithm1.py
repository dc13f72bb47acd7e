"""Algorithm 1 of "Strategic and Fair Aggregator Interactions in Energy Markets", as the paper describes it.

Best responses in turn. Each response is a golden section search on the aggregator's purchase y; each value of the
payoff is a convex programme (cvxpy, Clarabel) that allocates y at the price that y brings about:

    J(y) = max Phi_alpha(s)  subject to  sum x = y,  s_i <= x_i (b_i - p) - a_i x_i^2,  s >= 0,  x >= 0

Stopping rules are not given in the paper; here y is found to 1e-4 of the range searched, and the turns end when nobody
moves by more than twice that: a smaller limit cannot be met. For comparison only: the package does not use it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

GOLDEN = (np.sqrt(5) - 1) / 2


class Aggregator:
    """One aggregator's allocation problem, compiled once, with price and purchase as parameters."""

    def __init__(self, a: np.ndarray, b: np.ndarray, alpha: float) -> None:
        import cvxpy as cp

        self.a, self.b, self.solves = a, b, 0
        self.margin, self.total = cp.Parameter(len(a)), cp.Parameter(nonneg=True)
        x, s = cp.Variable(len(a), nonneg=True), cp.Variable(len(a), nonneg=True)
        worth = {0.0: cp.sum, 0.5: lambda v: 2 * cp.sum(cp.sqrt(v)), 1.0: lambda v: cp.sum(cp.log(v))}
        worth |= {2.0: lambda v: -cp.sum(cp.inv_pos(v)), np.inf: cp.min}
        rows = [cp.sum(x) == self.total, s <= cp.multiply(self.margin, x) - cp.multiply(a, cp.square(x))]
        self.problem = cp.Problem(cp.Maximize(worth[alpha](s)), rows)

    def value(self, y: float, price: float) -> float:
        """J(y) at a price; minus infinity where nobody can be served so."""
        import cvxpy as cp

        if (self.b <= price).any() or y > ((self.b - price) / (2 * self.a)).sum():
            return -np.inf
        self.margin.value, self.total.value = self.b - price, y
        self.solves += 1
        try:
            self.problem.solve(solver=cp.CLARABEL)
        except cp.SolverError:
            return -np.inf
        return float(self.problem.value) if self.problem.value is not None else -np.inf


def golden(value: Callable[[float], float], low: float, high: float) -> float:
    """The maximiser of a unimodal function, to 1e-4 of the range."""
    tolerance = 1e-4 * (high - low)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = value(left), value(right)
    while high - low > tolerance:
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = value(right)
    return 0.5 * (low + high)


def play(players: list[Aggregator], slope: float, rounds: int = 50) -> np.ndarray:
    """Purchases at which best responses in turn settle. A single user's response is its closed form."""
    y = np.zeros(len(players))
    ranges = [float((player.b / (2 * player.a)).sum()) for player in players]
    for _ in range(rounds):
        before = y.copy()
        for j, player in enumerate(players):
            given = float(y.sum() - y[j])
            if len(player.a) == 1:
                y[j] = max(0.0, player.b[0] - slope * given) / (2 * (player.a[0] + slope))
                continue
            y[j] = golden(lambda v, p=player, g=given: p.value(v, slope * (g + v)), 0.0, ranges[j])
        if (np.abs(y - before) <= 2e-4 * np.array(ranges)).all():
            break
    return y


def play_alone(a: np.ndarray, b: np.ndarray, slope: float, tolerance: float = 1e-6) -> tuple[np.ndarray, int]:
    """Single users answering one after the other, by their closed form: (purchases, sweeps)."""
    x = np.zeros(len(a))
    total, sweeps = 0.0, 0
    while True:
        sweeps += 1
        moved = 0.0
        for i in range(len(a)):
            given = total - x[i]
            new = max(0.0, b[i] - slope * given) / (2 * (a[i] + slope))
            moved = max(moved, abs(new - x[i]))
            total, x[i] = given + new, new
        if moved <= tolerance:
            return x, sweeps
