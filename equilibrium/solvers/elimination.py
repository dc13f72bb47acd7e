"""Linear systems of one pattern, many at a time: Gaussian elimination in an order that is found once.

Columns that nothing couples are eliminated together, least fill first, for all systems at once; what is left, small and
dense, is inverted. Arrays hold one column per system, so that every step is a long vector operation. Pivots
are not chosen by size: the diagonal of what is eliminated must be safely positive (monotone problems with bounds).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

DENSER = 2.5
"""A column is eliminated while this many times its neighbours are no more than the columns left: products of scattered
entries are slower than those of dense matrices."""

WIDER = 2
"""Columns with up to so many times the least fill (and a few entries) are eliminated at the same step: fewer and longer
steps."""


@dataclass(frozen=True)
class _Level:
    """Columns eliminated together, fewest neighbours first. An arm is a pair (pivot, neighbour); a product, two arms of
    one pivot. ``runs`` of pivots with equally many neighbours: (first arm, first product, pivots, neighbours)."""

    pivots: np.ndarray
    diagonal: np.ndarray  # entry of each pivot
    arm_pivot: np.ndarray  # position in pivots
    arm_row: np.ndarray
    below: np.ndarray  # entry (neighbour, pivot) of each arm
    beside: np.ndarray  # entry (pivot, neighbour)
    runs: list[tuple[int, int, int, int]]
    targets: np.ndarray  # entries that products change
    into_targets: sp.csr_array
    rows: np.ndarray  # neighbours, each once
    into_rows: sp.csr_array
    into_pivots: sp.csr_array


class Elimination:
    """The order of elimination for a pattern, with the places of all entries that arise.

    i, j: places of the entries, diagonal ones included (all of them). ready: columns whose diagonal is positive from
    the start; opposite: whether entry (i, j) has the other sign than (j, i), so that eliminating one makes the other's
    diagonal positive.
    """

    def __init__(self, n: int, i: np.ndarray, j: np.ndarray, ready: np.ndarray, opposite: np.ndarray) -> None:
        self.n = n
        neighbours: list[set[int]] = [set() for _ in range(n)]
        lifts = set()
        for a, b, other in zip(i.tolist(), j.tolist(), opposite.tolist(), strict=True):
            if a != b:
                neighbours[a].add(b)
                neighbours[b].add(a)
                if other:
                    lifts.add((a, b))
        self._place: dict[tuple[int, int], int] = {}
        self.given = np.array([self._at(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True)], dtype=int)
        self.diagonal = np.array([self._at(k, k) for k in range(n)], dtype=int)
        self.levels: list[_Level] = []
        left, able = set(range(n)), ready.copy()
        while pivots := _independent(left, neighbours, able):
            self.levels.append(self._level(pivots, neighbours))
            left -= set(pivots)
            for k in pivots:
                for a in neighbours[k]:
                    neighbours[a] |= neighbours[k]
                    neighbours[a] -= {a, k}
                    able[a] |= (a, k) in lifts
        self.core = np.array(sorted(left), dtype=int)
        core = self.core.tolist()
        self.core_entries = np.array([self._at(a, b) for a in core for b in core], dtype=int)
        self.entries = len(self._place)

    def _at(self, i: int, j: int) -> int:
        return self._place.setdefault((i, j), len(self._place))

    def _level(self, pivots: list[int], neighbours: list[set[int]]) -> _Level:
        pivots = sorted(pivots, key=lambda k: (len(neighbours[k]), k))
        near = [sorted(neighbours[k]) for k in pivots]
        arms = [(p, k, a) for p, k in enumerate(pivots) for a in near[p]]
        places = [self._at(a, b) for some in near for a in some for b in some]
        targets, into_targets = _gather(np.array(places, dtype=int))
        arm_pivot = np.array([p for p, _, _ in arms], dtype=int)
        arm_row = np.array([a for _, _, a in arms], dtype=int)
        rows, into_rows = _gather(arm_row)
        into_pivots = sp.csr_array(
            (np.ones(len(arms)), (arm_pivot, np.arange(len(arms)))), shape=(len(pivots), len(arms))
        )
        return _Level(
            np.array(pivots),
            np.array([self._at(k, k) for k in pivots]),
            arm_pivot,
            arm_row,
            np.array([self._at(a, k) for _, k, a in arms], dtype=int),
            np.array([self._at(k, a) for _, k, a in arms], dtype=int),
            _runs([len(some) for some in near]),
            targets,
            into_targets,
            rows,
            into_rows,
            into_pivots,
        )

    def factor(self, entries: np.ndarray) -> Factor:
        """entries (self.entries, systems), with zeros where elimination fills in; overwritten."""
        steps = []
        for level in self.levels:
            pivot = entries[level.diagonal]
            below = entries[level.below] / pivot[level.arm_pivot]
            beside = entries[level.beside]
            if len(level.targets):
                entries[level.targets] -= level.into_targets @ _products(level, below, beside)
            steps.append((pivot, below, beside))
        r = len(self.core)
        core = np.ascontiguousarray(entries[self.core_entries].T).reshape(entries.shape[1], r, r)
        return Factor(self, steps, inverses(core))


def _runs(sizes: list[int]) -> list[tuple[int, int, int, int]]:
    """Runs of equal numbers in an ascending list, zeros left out: (sum before, sum of squares before, how many, the
    number)."""
    found, arm, product = [], 0, 0
    for size in sorted(set(sizes) - {0}):
        count = sizes.count(size)
        found.append((arm, product, count, size))
        arm, product = arm + count * size, product + count * size * size
    return found


def _products(level: _Level, below: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Every pair of arms of one pivot multiplied."""
    found = np.empty((level.into_targets.shape[1], below.shape[1]))
    for arm, product, count, size in level.runs:
        some = slice(arm, arm + count * size)
        np.multiply(
            below[some].reshape(count, size, 1, -1),
            beside[some].reshape(count, 1, size, -1),
            out=found[product : product + count * size * size].reshape(count, size, size, -1),
        )
    return found


@dataclass
class Factor:
    """The factors of many systems of one pattern."""

    order: Elimination
    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    core: np.ndarray

    def solve(self, right: np.ndarray) -> np.ndarray:
        """x (n, systems) of all systems."""
        x = right.copy()
        for level, (_, below, _) in zip(self.order.levels, self.steps, strict=True):
            if len(level.rows):
                x[level.rows] -= level.into_rows @ (below * x[level.pivots][level.arm_pivot])
        if len(self.order.core):
            x[self.order.core] = np.matmul(self.core, x[self.order.core].T[:, :, None])[:, :, 0].T
        for level, (pivot, _, beside) in zip(self.order.levels[::-1], self.steps[::-1], strict=True):
            x[level.pivots] = (x[level.pivots] - level.into_pivots @ (beside * x[level.arm_row])) / pivot
        return x


def _independent(left: set[int], neighbours: list[set[int]], able: np.ndarray) -> list[int]:
    """Columns whose elimination couples few others anew, none of them neighbours; empty where dense elimination is
    better."""
    scored = []
    for k in left:
        near = neighbours[k]
        if able[k] and DENSER * len(near) <= len(left) - 1:
            scored.append((sum(len(near - neighbours[a]) - 1 for a in near), len(near), k))
    most = WIDER * (min(scored)[0] + 10) if scored else 0
    chosen: list[int] = []
    taken: set[int] = set()
    for fill, _, k in sorted(scored):
        if fill > most:
            break
        if k not in taken:
            chosen.append(k)
            taken |= neighbours[k]
    return chosen


def _gather(places: np.ndarray) -> tuple[np.ndarray, sp.csr_array]:
    """(places, each once; the table that adds up what belongs to each)."""
    found, position = np.unique(places, return_inverse=True)
    table = sp.csr_array((np.ones(len(places)), (position, np.arange(len(places)))), shape=(len(found), len(places)))
    return found, table


def inverses(stack: np.ndarray) -> np.ndarray:
    """The inverse of every matrix (systems, r, r); NaN for singular ones."""
    try:
        return np.linalg.inv(stack)
    except np.linalg.LinAlgError:
        return np.array([_inverse(one) for one in stack])


def _inverse(matrix: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan)
