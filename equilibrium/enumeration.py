"""Every solution of a small affine mixed complementarity problem, or the proof that there is none.

Each bounded column is at its lower bound (F >= 0), at its upper bound (F <= 0) or between (F = 0). A depth-first search
decides column after column; a linear programme says whether the decisions taken so far leave anything, and its word
"nothing" is checked (``solvers.polyhedron``). What is left once every column is decided is a polyhedron of solutions,
most often one point. Polyhedra that touch are put together: each group of them is one connected set of solutions.

The idea is that of enumerating complementary bases (Cottle, Pang and Stone, The Linear Complementarity Problem, 1992,
section 1.3), with bounds kept as bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mcp import MixedComplementarity
from .solvers import newton
from .solvers.outcome import Termination
from .solvers.polyhedron import Limits, Polyhedron
from .tolerances import RESIDUAL

UNDECIDED, LOWER, UPPER, BETWEEN, FIXED = range(5)

SMALL = 4
"""With fewer undecided columns, deciding them is quicker than asking whether that is needed."""

SAME = 1e-7
"""Two solutions closer than this, relative to the size of their columns, are one."""


@dataclass(frozen=True)
class Connected:
    """One connected set of solutions: a point, or polyhedra that touch.

    point: a solution in it, shape (n,). lower, upper: the least and the largest value each column takes on it (infinite
    where it has no end); both are ``point`` for an isolated solution. convex: whether the set is one polyhedron.
    """

    point: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    convex: bool = True

    @property
    def isolated(self) -> bool:
        """Whether the set is a single solution."""
        return bool((self.lower == self.upper).all())


@dataclass(frozen=True)
class Enumeration:
    """What a search found. complete: whether nothing was left out, so that no further solution exists. nodes: how many
    partial patterns were looked at."""

    solutions: tuple[Connected, ...]
    complete: bool
    nodes: int

    @property
    def none(self) -> bool:
        """Whether it is proved that there is no solution."""
        return self.complete and not self.solutions


@dataclass(frozen=True)
class _Piece:
    """The solutions with one pattern: a point in it and the range of every column and of every row."""

    point: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    state: np.ndarray


def sizes(mcp: MixedComplementarity, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(what a column, what a row is compared with to count as zero): ``scales``, where who does nothing is off by
    rounding of what others do."""
    column, row = mcp.scales(z)
    largest = np.zeros(int(mcp.kind.max(initial=0)) + 1)
    np.maximum.at(largest, mcp.kind, np.abs(z))
    return np.maximum(column, 1e-5 * largest[mcp.kind]), row


def branching(mcp: MixedComplementarity) -> int:
    """How many columns the search has to decide: those with a bound and room to move."""
    bounded = np.isfinite(mcp.lower) | np.isfinite(mcp.upper)
    return int((bounded & (mcp.lower < mcp.upper)).sum())


def enumerate_all(mcp: MixedComplementarity, nodes: int = 2000) -> Enumeration:
    """Every solution of an affine problem. ``nodes``: after how many partial patterns the search is given up.

    Raises ValueError for a problem that is not affine.
    """
    if mcp.matrix is None or mcp.vector is None:
        raise ValueError("only affine problems can be enumerated")
    if (mcp.lower > mcp.upper).any():
        return Enumeration((), True, 0)
    return _Search(mcp, nodes).run()


class _Search:
    def __init__(self, mcp: MixedComplementarity, nodes: int) -> None:
        self.mcp, self.most = mcp, nodes
        assert mcp.matrix is not None and mcp.vector is not None
        self.matrix, self.vector = mcp.matrix, mcp.vector
        self.polyhedron = Polyhedron(mcp.matrix, Limits(mcp.lower, mcp.upper, -mcp.vector, -mcp.vector))
        self.dense = mcp.compact_jacobian(np.zeros(mcp.size))
        self.pieces: list[_Piece] = []
        self.complete = True

    def run(self) -> Enumeration:
        low, up = np.isfinite(self.mcp.lower), np.isfinite(self.mcp.upper)
        start = np.where(self.mcp.lower == self.mcp.upper, FIXED, np.where(low | up, UNDECIDED, BETWEEN))
        stack, nodes = [start], 0
        while stack:
            if nodes >= self.most:
                self.complete = False
                break
            nodes += 1
            state = stack.pop()
            z, termination = self.polyhedron.minimise(self.limits(state))
            if termination is Termination.INFEASIBLE:
                continue
            if not (state == UNDECIDED).any():
                self.leaf(state)
            elif not self.settled(state):
                stack.extend(self.children(state, z if termination is Termination.SOLVED else None))
        return Enumeration(tuple(self.connected()), self.complete, nodes)

    def limits(self, state: np.ndarray) -> Limits:
        """What is known of z and of its rows where the columns are as ``state`` says."""
        lower, upper = self.mcp.lower.astype(float), self.mcp.upper.astype(float)  # copies, also of whole numbers
        upper[state == LOWER], lower[state == UPPER] = lower[state == LOWER], upper[state == UPPER]
        has_low, has_up = np.isfinite(self.mcp.lower), np.isfinite(self.mcp.upper)
        open_ = state == UNDECIDED
        positive = (state == LOWER) | (state == BETWEEN) | (open_ & ~has_up)
        negative = (state == UPPER) | (state == BETWEEN) | (open_ & ~has_low)
        row_lower = np.where(positive, -self.vector, -np.inf)
        row_upper = np.where(negative, -self.vector, np.inf)
        return Limits(lower, upper, row_lower, row_upper)

    def children(self, state: np.ndarray, z: np.ndarray | None) -> list[np.ndarray]:
        """The states of the undecided column at which z is furthest from complementarity; the nearest child last."""
        open_ = np.flatnonzero(state == UNDECIDED)
        z = self.mcp.interior() if z is None else z
        k = int(open_[np.argmax(self.gap(z)[open_])])
        found = []
        for value, there in ((LOWER, self.mcp.lower[k]), (UPPER, self.mcp.upper[k]), (BETWEEN, 0.0)):
            if np.isfinite(there):
                child = state.copy()
                child[k] = value
                found.append(child)
        return found

    def gap(self, z: np.ndarray) -> np.ndarray:
        """How far every pair is from complementarity at z, in scaled units; ties go to the pair with most to lose."""
        polyhedron = self.polyhedron
        value = (self.matrix @ z + self.vector) * polyhedron.row
        column = polyhedron.column
        scaled, low, up = z / column, self.mcp.lower / column, self.mcp.upper / column
        off = np.abs(scaled - np.clip(scaled - value, low, up))
        room = np.minimum(scaled - low, up - scaled)
        return off + 1e-6 * (np.abs(value) + np.where(np.isfinite(room), room, 0.0))

    def leaf(self, state: np.ndarray) -> None:
        """Add the solutions with the pattern ``state``."""
        limits = self.limits(state)
        between = np.flatnonzero(state == BETWEEN)
        z = np.where((state == UPPER), self.mcp.upper, np.where(state == BETWEEN, 0.0, self.mcp.lower))
        right = -(self.matrix @ z + self.vector)[between]
        block = self.block(between)
        if _regular(block):
            scaled = np.linalg.solve(block, self.polyhedron.row[between] * right)
            z[between] = self.polyhedron.column[between] * scaled
            if self.mcp.error(z) <= RESIDUAL:
                self.add(_point(z, self.mcp.F(z), state))
            return
        units = np.eye(self.mcp.size)
        found = self.polyhedron.ranges(limits, [*units, *self.dense])
        if found is None:
            self.complete = False
            return
        least, most, mean = found
        point = newton.polish(self.mcp, mean)
        if not self.mcp.error(point) <= RESIDUAL:
            self.complete = False
            return
        n, shift = self.mcp.size, np.concatenate([np.zeros(self.mcp.size), self.vector])
        least, most = _snapped(least + shift, most + shift, np.concatenate([point, self.mcp.F(point)]), self.sizes())
        self.add(_Piece(point, least[:n], most[:n], least[n:], most[n:], state))

    def block(self, columns: np.ndarray) -> np.ndarray:
        """The matrix on some columns and their rows, scaled to entries near one."""
        row, column = self.polyhedron.row[columns], self.polyhedron.column[columns]
        return row[:, None] * self.dense[np.ix_(columns, columns)] * column

    def settled(self, state: np.ndarray) -> bool:
        """Whether what is undecided is strictly monotone once the columns between their bounds are eliminated: then
        it has one solution, which Newton finds, and no further decision is needed."""
        open_, between = np.flatnonzero(state == UNDECIDED), np.flatnonzero(state == BETWEEN)
        if len(open_) < SMALL:
            return False
        rest = self.dense[np.ix_(open_, open_)]
        if between.size:
            block = self.block(between)
            if not _regular(block):
                return False
            row, column = self.polyhedron.row[between], self.polyhedron.column[between]
            followed = np.linalg.solve(block, row[:, None] * self.dense[np.ix_(between, open_)])
            rest = rest - self.dense[np.ix_(open_, between)] @ (column[:, None] * followed)
        if not _strictly_monotone(rest):
            return False
        z = np.where(state == UPPER, self.mcp.upper, np.where(state == BETWEEN, 0.0, self.mcp.lower))
        z[open_] = 0.0
        moving = np.flatnonzero((state == UNDECIDED) | (state == BETWEEN))
        part = self.mcp.part(moving, z)
        part.lower = np.where(state[moving] == BETWEEN, -np.inf, part.lower)
        part.upper = np.where(state[moving] == BETWEEN, np.inf, part.upper)
        part.start = None
        z[moving], outcome = newton.solve(part)
        if outcome.ok and self.mcp.error(z) <= RESIDUAL:
            self.add(_point(z, self.mcp.F(z), state))
        return outcome.ok

    def sizes(self) -> np.ndarray:
        """What a range is compared with to count as a point: the size of columns and rows."""
        return np.concatenate([self.polyhedron.column, 1 / self.polyhedron.row])

    def add(self, piece: _Piece) -> None:
        """Keep a piece unless another holds it; drop those that it holds."""
        if any(self.holds(other, piece) for other in self.pieces):
            return
        self.pieces = [other for other in self.pieces if not self.holds(piece, other)]
        self.pieces.append(piece)

    def holds(self, outer: _Piece, inner: _Piece) -> bool:
        """Whether every solution of ``inner`` is one of ``outer``: a pattern limits columns and rows one by one."""
        n, slack = self.mcp.size, SAME * self.sizes()
        if (outer.lower == outer.upper).all():
            near = np.abs(inner.point - outer.point) <= SAME * sizes(self.mcp, outer.point)[0]
            return bool((inner.lower == inner.upper).all() and near.all())
        limits = self.limits(outer.state)
        low = np.concatenate([limits.lower, limits.row_lower + self.vector])
        up = np.concatenate([limits.upper, limits.row_upper + self.vector])
        least, most = np.concatenate([inner.lower, inner.row_lower]), np.concatenate([inner.upper, inner.row_upper])
        assert len(low) == 2 * n
        return bool((least >= low - slack).all() and (most <= up + slack).all())

    def connected(self) -> list[Connected]:
        """The pieces put together where they touch, in the order of their points."""
        group = list(range(len(self.pieces)))
        for a, first in enumerate(self.pieces):
            for b in range(a):
                if group[a] != group[b] and self.touch(first, self.pieces[b]):
                    group = [group[b] if g == group[a] else g for g in group]
        sets = []
        for g in dict.fromkeys(group):
            members = [piece for piece, mine in zip(self.pieces, group, strict=True) if mine == g]
            lower = np.min([piece.lower for piece in members], axis=0)
            upper = np.max([piece.upper for piece in members], axis=0)
            sets.append(Connected(members[0].point, lower, upper, len(members) == 1))
        return sorted(sets, key=lambda found: tuple(np.round(found.point, 9)))

    def touch(self, first: _Piece, second: _Piece) -> bool:
        """Whether two pieces share a solution."""
        if (first.lower == first.upper).all() or (second.lower == second.upper).all():
            return False  # a point of another piece was not kept
        slack = SAME * self.sizes()[: self.mcp.size]
        if (first.lower > second.upper + slack).any() or (second.lower > first.upper + slack).any():
            return False
        both = self.limits(first.state).meet(self.limits(second.state))
        return self.polyhedron.minimise(both)[1] is Termination.SOLVED


def _regular(block: np.ndarray) -> bool:
    """Whether a square block with entries near one is far from singular."""
    if not block.size:
        return True
    singular = np.linalg.svd(block, compute_uv=False)
    return bool(singular[-1] > 1e-9 * singular[0])


def _strictly_monotone(matrix: np.ndarray) -> bool:
    """Whether the symmetric part is positive definite, well away from singular."""
    diagonal = np.diag(matrix)
    if (diagonal <= 0).any():
        return False
    root = np.sqrt(diagonal)
    scaled = (matrix + matrix.T) / (2 * root[:, None] * root)
    return bool(np.linalg.eigvalsh(scaled)[0] > 1e-6)


def _point(z: np.ndarray, value: np.ndarray, state: np.ndarray) -> _Piece:
    return _Piece(z, z, z, value, value, state)


def _snapped(least: np.ndarray, most: np.ndarray, point: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges no wider than rounding become the point's own value, and every range holds it."""
    narrow = most - least <= SAME * size
    least, most = np.where(narrow, point, least), np.where(narrow, point, most)
    return np.minimum(least, point), np.maximum(most, point)
