"""A leader's payoff restated with the followers' conditions, so that it is linear, or at least convex.

Write the followers' rows as F = a - b with a, b >= 0, (z - l)'a = 0, (u - z)'b = 0. Then wherever z is an answer to x

    z_i F_i = l_i a_i - u_i b_i   for every column with a bound      (terms of absent bounds vanish)
    v_j F_i = 0                   for every free column i, any v_j in v = (x, z)
    v_j g   = 0                   for every equality g = 0 of the leader

so multiples of these identities may be added to the payoff: products of prices and quantities become linear in the
quantities and in a and b. For linear programmes this is strong duality (Ruiz and Conejo, Pool strategy of a producer
with endogenous formation of locational marginal prices, IEEE Transactions on Power Systems 24, 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..hierarchy import LeaderProblem
from ..solvers import highs
from ..tolerances import CONVEX

EXACT = 1e-10
"""What is left of a product, relative to its terms, counts as zero below this."""

LARGEST = 1e3
"""Multiples of the identities that make a payoff convex are looked for up to this size (in scaled units)."""

MARGIN = 0.1
"""A least eigenvalue that is asked for (in scaled units): strictly convex programmes are easier."""

NEARLY = 1e-2
"""Eigenvalues below this may be meant to be zero (in scaled units)."""

MOST_TERMS = 5_000_000
"""Entries of the matrices among which a convex combination is looked for."""


class NotLinear(Exception):
    """The leader's payoff cannot be restated; the message says why."""


@dataclass(frozen=True)
class Restated:
    """w'Hw/2 + c'w + constant over w = (x, z, a, b), equal to the leader's minimised payoff wherever z answers x.

    hessian: over (x, z) only, positive semidefinite; all zero where the payoff is linear. gradient: over w.
    """

    hessian: np.ndarray
    gradient: np.ndarray
    constant: float

    @property
    def is_linear(self) -> bool:
        """Whether no product is left."""
        return not self.hessian.any()

    def __call__(self, w: np.ndarray) -> float:
        """The value at w."""
        v = w[: len(self.hessian)]
        return float(0.5 * v @ self.hessian @ v + self.gradient @ w + self.constant)


def restate(problem: LeaderProblem) -> Restated:
    """The payoff with as many identities as it takes. Raises NotLinear."""
    form = _Form(problem)
    if not form.target.any():
        return form.restated(np.zeros(form.table.shape[1]))
    weights = _exact(form.table, form.target)
    if weights is None:
        weights = _convex(form)
    return form.restated(weights)


def pairs_to_w(problem: LeaderProblem, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """w = (x, z, a, b) at an answer z to x."""
    value = problem.reaction.at(x).F(z)
    return np.concatenate([x, z, np.maximum(value, 0.0), np.maximum(-value, 0.0)])


# ---------------------------------------------------------------------------------------------------------------------


class _Form:
    """The payoff and the identities as polynomials: what stands before every product v_j v_k.

    ``table`` (products by identities) and ``target`` (products): target + table weights is what is left.
    """

    def __init__(self, problem: LeaderProblem) -> None:
        reaction, d = problem.reaction, problem.count
        assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
        self.d, self.n = d, reaction.size
        lower = np.concatenate([problem.lower, reaction.lower])
        upper = np.concatenate([problem.upper, reaction.upper])
        self.low, self.high = reaction.lower, reaction.upper
        self.moving = lower < upper
        held = np.where(self.moving, 0.0, lower)
        equal = np.flatnonzero(problem.low == problem.up)
        rows = sp.csr_array(
            sp.vstack([sp.hstack([reaction.slope, reaction.matrix]), sp.csr_array(problem.table[equal])])
        )
        self.level = np.concatenate([reaction.vector, -problem.low[equal]]) + rows @ held
        self.rows = sp.csr_array(rows @ sp.diags_array(self.moving.astype(float)))
        self.rows.eliminate_zeros()
        self.by_column = sp.csc_array(self.rows)
        unbounded = ~np.isfinite(self.low) & ~np.isfinite(self.high)
        self.anything = np.concatenate([unbounded, np.ones(len(equal), dtype=bool)])  # v_j row = 0 for every j
        cost = problem.cost
        self.hessian = cost.hessian * np.outer(self.moving, self.moving)
        self.gradient = np.where(self.moving, cost.gradient + cost.hessian @ held, 0.0)
        self.constant = cost(held)
        self.products: dict[tuple[int, int], int] = {}
        self.identities: dict[tuple[int, int], int] = {}
        self._gather()

    def _gather(self) -> None:
        """All identities that hold a product of the payoff, or of another identity that does."""
        first, second = np.nonzero(np.triu(self.hessian))
        for j, k in zip(first.tolist(), second.tolist(), strict=True):
            self.products[j, k] = len(self.products)
        waiting = list(self.products)
        target = [self.hessian[j, k] / (2 if j == k else 1) for j, k in waiting]
        entries: list[tuple[int, int, float]] = []
        while waiting:
            j, k = waiting.pop()
            for factor, other in ((j, k), (k, j)):
                for row in self._rows_with(other):
                    if (factor, row) in self.identities or not self._holds(factor, row):
                        continue
                    number = self.identities[factor, row] = len(self.identities)
                    for column, value in self._terms(row):
                        product = (min(factor, column), max(factor, column))
                        if product not in self.products:
                            self.products[product] = len(self.products)
                            waiting.append(product)
                        entries.append((self.products[product], number, value))
        shape = (len(self.products), len(self.identities))
        found = np.array(entries, dtype=float).reshape(-1, 3)
        self.table = sp.csr_array((found[:, 2], (found[:, 0].astype(int), found[:, 1].astype(int))), shape=shape)
        self.target = np.concatenate([target, np.zeros(len(self.products) - len(target))])

    def _rows_with(self, column: int) -> list[int]:
        matrix = self.by_column
        return matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]].tolist()

    def _terms(self, row: int) -> list[tuple[int, float]]:
        part = slice(self.rows.indptr[row], self.rows.indptr[row + 1])
        return list(zip(self.rows.indices[part].tolist(), self.rows.data[part].tolist(), strict=True))

    def _holds(self, factor: int, row: int) -> bool:
        """Whether v_factor times this row is an identity."""
        return bool(self.moving[factor] and (self.anything[row] or factor == self.d + row))

    def restated(self, weights: np.ndarray) -> Restated:
        """The payoff with the identities added by these weights."""
        d, n = self.d, self.n
        left = self.target + self.table @ weights
        size = np.abs(self.target) + abs(self.table) @ np.abs(weights)
        left[np.abs(left) <= EXACT * size] = 0.0
        hessian = np.zeros_like(self.hessian)
        for (j, k), number in self.products.items():
            hessian[j, k] += left[number]
            hessian[k, j] += left[number]
        gradient = np.concatenate([self.gradient, np.zeros(2 * n)])
        terms = np.abs(gradient)
        for (factor, row), number in self.identities.items():
            parts = [(factor, self.level[row])]
            if not self.anything[row]:
                if np.isfinite(self.low[row]):
                    parts.append((d + n + row, -self.low[row]))
                if np.isfinite(self.high[row]):
                    parts.append((d + 2 * n + row, self.high[row]))
            for column, value in parts:
                gradient[column] += weights[number] * value
                terms[column] += abs(weights[number] * value)
        gradient[np.abs(gradient) <= EXACT * 1e-2 * terms] = 0.0
        return Restated(hessian, gradient, self.constant)


def _exact(table: sp.csr_array, target: np.ndarray) -> np.ndarray | None:
    """Few and small weights that leave no product; None where there are none.

    The least sum of their sizes (a linear programme) chooses which; least squares on those give the digits.
    """
    m, n = table.shape
    size = np.abs(target).max()
    programme = highs.Programme(
        sp.csc_array((2 * n, 2 * n)),
        np.ones(2 * n),
        sp.csr_array(sp.hstack([table, -table])),
        -target / size,
        -target / size,
        np.zeros(2 * n),
        np.full(2 * n, np.inf),
    )
    found, _, outcome = highs.minimise(programme)
    if not outcome.ok:
        return None
    found = found[:n] - found[n:]
    used = np.flatnonzero(np.abs(found) > 1e-9 * np.abs(found).max())
    weights = np.zeros(n)
    weights[used] = np.linalg.lstsq(table[:, used].toarray(), -target, rcond=None)[0]
    return weights if _fits(table, target, weights, np.ones(m, dtype=bool)) else None


def _fits(table: sp.csr_array, target: np.ndarray, weights: np.ndarray, rows: np.ndarray) -> bool:
    left = np.abs(target + table @ weights)
    return bool((left <= EXACT * (np.abs(target) + abs(table) @ np.abs(weights)))[rows].all())


# ---------------------------------------------------------------------------------------------------------------------


def _convex(form: _Form) -> np.ndarray:
    """Weights that leave a positive semidefinite Hessian, by cutting planes on its smallest eigenvalue."""
    products = np.array(list(form.products))
    diagonal = products[:, 0] == products[:, 1]
    reachable = (form.target != 0) | (np.diff(form.table.indptr) > 0)
    curved = np.unique(products[diagonal & reachable, 0])
    place = {int(j): k for k, j in enumerate(curved)}
    inside = np.array(np.isin(products, curved).all(axis=1))
    if form.table.shape[1] * len(curved) ** 2 > MOST_TERMS:
        raise NotLinear("too many products to look for a convex combination of them")
    matrices, payoff = _matrices(form, products, inside, place)
    total = np.abs(matrices).sum(axis=0) + np.abs(payoff)
    scale = highs.scales(sp.csc_array(total), sp.csr_array((0, len(curved))))[0]
    worth = float(np.abs(payoff * np.outer(scale, scale)).max(initial=0.0)) or 1.0
    outside = form.table[np.flatnonzero(~inside)].toarray()
    search = _Search(
        payoff * np.outer(scale, scale) / worth,
        matrices * np.outer(scale, scale) / worth,
        outside / worth,
        form.target[~inside] / worth,
    )
    weights = search.run()
    if weights is None or not _fits(form.table, form.target, weights, ~inside):
        raise NotLinear("its payoff holds products that the followers' conditions do not make linear or convex")
    return weights


def _matrices(
    form: _Form, products: np.ndarray, inside: np.ndarray, place: dict[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Hessians of every identity and of the payoff in the columns that may be curved."""
    count = len(place)
    matrices, payoff = np.zeros((form.table.shape[1], count, count)), np.zeros((count, count))
    dense = form.table.toarray()
    for number in np.flatnonzero(inside):
        j, k = place[int(products[number, 0])], place[int(products[number, 1])]
        for a, b in ((j, k), (k, j)):
            matrices[:, a, b] += dense[number]
            payoff[a, b] += form.target[number]
    return matrices, payoff


class _Search:
    """Weights at which payoff + sum of weights times matrices is positive semidefinite and other products are zero.

    Cutting planes on the least eigenvalue (Kelley), up to a margin; where there is none, the weights are made exact
    on the face of the cone that they approach.
    """

    def __init__(self, payoff: np.ndarray, matrices: np.ndarray, outside: np.ndarray, right: np.ndarray) -> None:
        self.payoff, self.matrices, self.outside, self.right = payoff, matrices, outside, right
        self.cuts: list[np.ndarray] = []
        self.levels: list[float] = []

    def run(self, rounds: int = 200) -> np.ndarray | None:
        """Weights, or None where there are none (or none were found)."""
        if not len(self.matrices):
            least = float(np.linalg.eigvalsh(self.payoff)[0]) if self.payoff.size else 0.0
            return np.zeros(0) if least >= -CONVEX and not self.right.any() else None
        for _ in range(rounds):
            weights, most = self._master()
            if weights is None or most < -1e-3 * MARGIN:
                return None
            weights = _nearest(weights, self.outside, self.right)
            values, vectors = np.linalg.eigh(self._at(weights))
            if values[0] >= 0.01 * most > 1e-3 * CONVEX:
                return weights
            rounded = self._on_face(weights, values, vectors)
            if rounded is not None:
                return rounded
            self._cut(values, vectors, most)
        return None

    def _at(self, weights: np.ndarray) -> np.ndarray:
        return self.payoff + np.tensordot(weights, self.matrices, 1)

    def _cut(self, values: np.ndarray, vectors: np.ndarray, wanted: float) -> None:
        for value, vector in zip(values, vectors.T, strict=True):
            if value < wanted:
                self.cuts.append(np.einsum("tij,i,j->t", self.matrices, vector, vector))
                self.levels.append(float(vector @ self.payoff @ vector))

    def _master(self) -> tuple[np.ndarray | None, float]:
        """(weights, least eigenvalue as far as the cuts know) over (positive parts, negative parts, eigenvalue)."""
        n, cuts = len(self.matrices), np.array(self.cuts).reshape(-1, len(self.matrices))
        rows = np.vstack(
            [
                np.column_stack([self.outside, -self.outside, np.zeros(len(self.outside))]),
                np.column_stack([cuts, -cuts, -np.ones(len(cuts))]),
            ]
        )
        programme = highs.Programme(
            sp.csc_array((2 * n + 1, 2 * n + 1)),
            np.concatenate([np.full(2 * n, 1e-6), [-1.0]]),
            sp.csr_array(rows),
            np.concatenate([-self.right, -np.array(self.levels)]),
            np.concatenate([-self.right, np.full(len(self.levels), np.inf)]),
            np.concatenate([np.zeros(2 * n), [-np.inf]]),
            np.concatenate([np.full(2 * n, LARGEST), [MARGIN]]),
        )
        found, _, outcome = highs.minimise(programme)
        return (found[:n] - found[n : 2 * n], float(found[-1])) if outcome.ok else (None, -np.inf)

    def _on_face(self, weights: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> np.ndarray | None:
        """Weights that make the nearly flat directions flat, if the rest then is positive."""
        if values[0] < -NEARLY:
            return None
        for width in (NEARLY, 1e-3 * NEARLY, 1e-6 * NEARLY):
            flat = vectors[:, np.abs(values) <= width]
            table = np.vstack([self.outside, (self.matrices @ flat).reshape(len(self.matrices), -1).T])
            right = np.concatenate([self.right, (self.payoff @ flat).ravel()])
            found = _nearest(weights, table, right)
            matrix = self._at(found)
            if float(np.linalg.eigvalsh(matrix)[0]) >= -1e-3 * CONVEX * max(float(np.abs(matrix).max()), 1e-300):
                return found
        return None


def _nearest(weights: np.ndarray, table: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The nearest weights at which table weights + right vanishes."""
    if not len(table):
        return weights
    return weights - np.linalg.lstsq(table, table @ weights + right, rcond=1e-9)[0]
