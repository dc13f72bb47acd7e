"""Is a leader's decision stationary, and of which class? Computed from the problem's own arrays, never echoed from a
solver.

A pair of a follower's condition is *bi-active* where both its sides vanish. With multipliers nu (of z) and xi (of F)
for those pairs a point is S-stationary if both have the right sign, M if both have or one is zero, C if their product
is not negative, W otherwise (Scheel and Scholtes 2000). B-stationary: no branch of the bi-active pairs has a direction
of descent; this is what a local optimum must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import scipy.sparse as sp

from .hierarchy import LeaderProblem
from .solvers import highs

MOST_BRANCHES = 8
"""Up to this many bi-active pairs every branch is looked at (2^8)."""

MOST_CLASSES = 5
"""Up to this many bi-active pairs the classes M and C are told apart (3^5)."""

CLOSE = 1e-8
"""Relative distance at which a bound or a row counts as active."""

FLAT = 1e-8
"""Descent below this, relative to the terms of the payoff, is rounding of the linear programmes."""


@dataclass(frozen=True)
class Stationarity:
    """``word``: S, M, C, W or none; ``descent``: the steepest relative descent found over all branches (0:
    B-stationary; NaN: too many branches and not S); ``pairs``: how many pairs are bi-active."""

    word: str
    descent: float
    pairs: int


def examine(problem: LeaderProblem, x: np.ndarray, z: np.ndarray) -> Stationarity:
    """Class and steepest descent at (x, z), an answer of affine followers to x."""
    point = _Point(problem, x, z)
    k = len(point.pairs)
    strong = point.multipliers(["S"] * k)
    if strong:
        return Stationarity("S", 0.0, k)
    word = point.weaker() if k <= MOST_CLASSES else ("W" if point.multipliers(["W"] * k) else "none")
    descent = point.descent() if k <= MOST_BRANCHES else np.nan
    return Stationarity(word, descent, k)


class _Point:
    """Active sets of a leader's problem at a point, in scaled variables."""

    def __init__(self, problem: LeaderProblem, x: np.ndarray, z: np.ndarray) -> None:
        mcp, d = problem.reaction.at(x), problem.count
        assert mcp.matrix is not None and problem.reaction.slope is not None
        column, row = mcp.scales(z)
        value = mcp.F(z)
        self.d, self.n = d, mcp.size
        self.size = np.concatenate([np.maximum(np.abs(x), 1.0), column])
        v = np.concatenate([x, z])
        slope = problem.cost.slope(v) * self.size
        terms = (np.abs(problem.cost.hessian) @ np.abs(v) + np.abs(problem.cost.gradient)) * self.size
        self.worth = max(float(terms.max(initial=0.0)), 1e-300)
        self.slope = slope / self.worth
        followers = np.hstack([problem.reaction.slope.toarray(), mcp.matrix.toarray()]) * self.size
        norm = np.maximum(np.abs(followers).max(axis=1), 1e-300)
        self.followers = followers / norm[:, None]
        at_low = np.isfinite(mcp.lower) & ((z - mcp.lower) <= CLOSE * column)
        at_high = np.isfinite(mcp.upper) & ((mcp.upper - z) <= CLOSE * column)
        zero = np.abs(value) <= CLOSE * row
        held = at_low & at_high
        self.still = np.flatnonzero(held | ((at_low | at_high) & ~zero))
        self.tight = np.flatnonzero(~at_low & ~at_high)
        self.pairs = np.flatnonzero((at_low ^ at_high) & zero)
        self.side = np.where(at_low, 1.0, -1.0)[self.pairs]
        self._leader(problem, v)

    def _leader(self, problem: LeaderProblem, v: np.ndarray) -> None:
        """The leader's own active rows as (row >= 0) or (row = 0)."""
        value = problem.table @ v
        size = np.maximum(np.abs(problem.table) @ np.maximum(np.abs(v), self.size), 1e-300)
        equal = problem.low == problem.up
        active = [
            (row, bool(same))
            for row, near, same in zip(problem.table, value - problem.low <= CLOSE * size, equal, strict=True)
            if near
        ]
        rows = [row * self.size for row, _ in active]
        fixed = [same for _, same in active]
        x = v[: self.d]
        for k in range(self.d):
            unit = np.zeros(self.d + self.n)
            unit[k] = self.size[k]
            if problem.lower[k] == problem.upper[k]:
                rows.append(unit)
                fixed.append(True)
                continue
            if x[k] - problem.lower[k] <= CLOSE * self.size[k]:
                rows.append(unit)
                fixed.append(False)
            if problem.upper[k] - x[k] <= CLOSE * self.size[k]:
                rows.append(-unit)
                fixed.append(False)
        table = np.array(rows).reshape(len(rows), self.d + self.n)
        self.rows = table / np.maximum(np.abs(table).max(axis=1, initial=0.0), 1e-300)[:, None]
        self.fixed = np.array(fixed, dtype=bool)

    def multipliers(self, signs: list[str]) -> bool:
        """Whether multipliers exist with the wanted signs at the bi-active pairs (S: both; W: any; z, f: that one is
        zero; n: both negative)."""
        n, unit = self.n, np.eye(self.d + self.n)
        parts = [self.rows, unit[self.d + self.still], self.followers[self.tight]]
        lower = [np.where(self.fixed, -np.inf, 0.0), np.full(len(self.still) + len(self.tight), -np.inf)]
        upper = [np.full(len(self.fixed) + len(self.still) + len(self.tight), np.inf)]
        for k, side, want in zip(self.pairs, self.side, signs, strict=True):
            parts += [side * unit[self.d + k][None], side * self.followers[k][None]]
            ranges = {
                "S": ((0, np.inf), (0, np.inf)),
                "W": ((-np.inf, np.inf), (-np.inf, np.inf)),
                "z": ((0, 0), (-np.inf, np.inf)),
                "f": ((-np.inf, np.inf), (0, 0)),
                "n": ((-np.inf, 0), (-np.inf, 0)),
            }[want]
            lower.append(np.array([r[0] for r in ranges], dtype=float))
            upper.append(np.array([r[1] for r in ranges], dtype=float))
        table = np.vstack(parts).T
        m = table.shape[1]
        rows = np.vstack([np.hstack([table, np.ones((n + self.d, 1))]), np.hstack([table, -np.ones((n + self.d, 1))])])
        programme = highs.Programme(
            sp.csc_array((m + 1, m + 1)),
            np.concatenate([np.zeros(m), [1.0]]),
            sp.csr_array(rows),
            np.concatenate([self.slope, np.full(n + self.d, -np.inf)]),
            np.concatenate([np.full(n + self.d, np.inf), self.slope]),
            np.concatenate([*lower, [0.0]]),
            np.concatenate([*upper, [np.inf]]),
        )
        found, _, outcome = highs.minimise(programme)
        return outcome.ok and float(found[-1]) <= FLAT

    def weaker(self) -> str:
        """M, C, W or none, by trying the signs of every pair."""
        k = len(self.pairs)
        if any(self.multipliers(list(signs)) for signs in product("Szf", repeat=k)):
            return "M"
        if any(self.multipliers(list(signs)) for signs in product("Sn", repeat=k)):
            return "C"
        return "W" if self.multipliers(["W"] * k) else "none"

    def descent(self) -> float:
        """The steepest descent over the branches of the bi-active pairs, relative to the terms of the payoff."""
        steepest = max(self._along(branch) for branch in product((True, False), repeat=len(self.pairs)))
        return 0.0 if steepest <= FLAT else steepest

    def _along(self, branch: tuple[bool, ...]) -> float:
        total = self.d + self.n
        unit = np.eye(total)
        free = np.array(branch, dtype=bool)  # the Var may move and its row stays tight
        moving = self.side[:, None]
        rows = np.vstack(
            [
                self.rows,
                unit[self.d + self.still],
                self.followers[self.tight],
                (moving * np.where(free[:, None], unit[self.d + self.pairs], self.followers[self.pairs])),
                np.where(free[:, None], self.followers[self.pairs], unit[self.d + self.pairs]),
            ]
        )
        open_ended = np.concatenate(
            [
                ~self.fixed,
                np.zeros(len(self.still) + len(self.tight), bool),
                np.ones(len(free), bool),
                np.zeros(len(free), bool),
            ]
        )
        programme = highs.Programme(
            sp.csc_array((total, total)),
            self.slope,
            sp.csr_array(rows),
            np.zeros(len(rows)),
            np.where(open_ended, np.inf, 0.0),
            np.full(total, -1.0),
            np.full(total, 1.0),
        )
        found, _, outcome = highs.minimise(programme)
        return max(0.0, -float(self.slope @ found)) if outcome.ok else np.nan
