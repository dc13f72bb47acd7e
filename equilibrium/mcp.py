"""The mathematical object in the middle: a mixed complementarity problem over a box.

    lower_i <= z_i <= upper_i   _|_   F_i(z)

that is, F_i = 0 strictly between the bounds, F_i >= 0 at the lower and F_i <= 0 at the upper one. A free z_i makes
F_i = 0 an equation. Columns are the players' decisions, the multipliers of their constraints, and what stands outside
the players.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeAlias, overload

import numpy as np
import scipy.sparse as sp

DECISION, MULTIPLIER, OUTSIDE, SHARED = 0, 1, 2, 3

DENSE = 1500
"""Up to this many rows linear systems are solved densely: faster, and sparse LU crashes on some exactly singular
matrices."""

ROUNDING = 1e-6
"""A row is compared with this part at least of what it would be if every column were as large as the largest of its
family: with tolerances of 1e-9 that is a few roundings of those, which no solver can be without. (A row in which only
loads of 1e-16 stand, zeros among loads of one, would else be compared with nothing but rounding.)"""

Matrix: TypeAlias = np.ndarray | sp.csr_array


class Names(Sequence[str]):
    """Names, or the components that have them: a component is asked only when somebody wants to read its name.

    (Naming 100,000 Vars takes as long as reading their coefficients.) An entry is a text, a component, or a pair
    (constraint, side).
    """

    def __init__(self, entries: Iterable[Any] = ()) -> None:
        self._entries: list[Any] = entries._entries if isinstance(entries, Names) else list(entries)

    def append(self, entry: Any) -> None:
        """Add a text, a component or a pair (constraint, side) at the end."""
        self._entries.append(entry)

    def of(self, positions: Iterable[int]) -> Names:
        """The names at some positions, in that order."""
        return Names(self._entries[k] for k in positions)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> Names: ...
    def __getitem__(self, k: int | slice) -> str | Names:
        if isinstance(k, slice):
            return Names(self._entries[k])
        entry = self._entries[k]
        if isinstance(entry, tuple):
            return entry[0].name + ("" if entry[1] == "equal" else f".{entry[1]}")
        return entry if isinstance(entry, str) else entry.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def members(label: np.ndarray, count: int) -> list[np.ndarray]:
    """For each label 0 .. count - 1 the positions that carry it, ascending; other labels are left out."""
    order = np.argsort(label, kind="stable")
    ends = np.searchsorted(label[order], np.arange(count + 1))
    return [order[start:stop] for start, stop in pairwise(ends)]


@dataclass
class MixedComplementarity:
    """``lower <= z <= upper _|_ F(z)`` as arrays with names.

    names: what each column is, in the model's words; kind: DECISION, MULTIPLIER (of a player's constraint), OUTSIDE
    (a Var of no player) or SHARED (multiplier that all players pay); player: index of the owner, -1 outside;
    components: the Var or (constraint, side) behind a column; absorbed: (constraint, column, coefficient, side,
    bound) of the limits that became bounds. ``matrix`` and ``vector`` are given for affine problems, F(z) = matrix z
    + vector; where earlier movers decide x, ``vector`` is what stands there at x = 0 and ``slope`` (rows by decisions
    of the earlier movers) what one more unit of each adds, F(z; x) = matrix z + slope x + vector (see ``at``, which
    keeps in ``terms`` how large the terms are that then make up the constants).
    """

    names: Names
    kind: np.ndarray
    player: np.ndarray
    components: list[Any]
    lower: np.ndarray
    upper: np.ndarray
    matrix: sp.csr_array | None = None
    vector: np.ndarray | None = None
    function: Callable[[np.ndarray], np.ndarray] | None = None
    derivative: Callable[[np.ndarray], Matrix] | None = None
    absorbed: list[tuple[Any, int, float, str, float]] = field(default_factory=list)  # constraints that became bounds
    start: np.ndarray | None = None
    slope: sp.csr_array | None = None
    terms: np.ndarray | None = None  # size of what ``vector`` was added up from; itself if nothing was
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.names, Names):
            self.names = Names(self.names)

    @property
    def size(self) -> int:
        """Number of columns, and of rows."""
        return len(self.names)

    @property
    def is_affine(self) -> bool:
        """Whether F(z) = matrix z + vector."""
        return self.matrix is not None

    def F(self, z: np.ndarray) -> np.ndarray:
        """The rows at z."""
        if self.matrix is not None:
            return self.matrix @ z + self.vector
        assert self.function is not None
        return self.function(z)

    def jacobian(self, z: np.ndarray) -> sp.csr_array:
        """dF/dz at z, sparse."""
        if self.matrix is not None:
            return self.matrix
        assert self.derivative is not None
        return sp.csr_array(self.derivative(z))

    def compact_jacobian(self, z: np.ndarray) -> Matrix:
        """dF/dz at z as a dense array where the problem is small."""
        if self.size > DENSE:
            return self.jacobian(z)
        if self.matrix is None:
            assert self.derivative is not None
            found = self.derivative(z)
            return found if isinstance(found, np.ndarray) else found.toarray()
        return self._memory("dense", lambda: self.jacobian(z).toarray())

    def _memory(self, name: str, make: Callable[[], Any]) -> Any:
        """Something made once from the matrix of an affine problem (and again if the matrix is another one)."""
        if self._made.get("of") is not self.matrix:
            self._made.clear()
            self._made["of"] = self.matrix
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def scales(
        self, z: np.ndarray, value: np.ndarray | None = None, jacobian: Matrix | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(size of each column's family, size of the terms of each row) at z: what a residual is compared with.

        value, jacobian: F and its (compact) derivative at z, where they are at hand already.
        """
        group = self._memory("group", self.families)
        largest = np.zeros(int(group.max(initial=-1)) + 1)
        np.maximum.at(largest, group, np.abs(z))
        column = largest[group]
        value = self.F(z) if value is None else value
        if self.is_affine:
            size = self._memory("size", lambda: abs(self.compact_jacobian(z)))
        else:
            size = abs(self.compact_jacobian(z) if jacobian is None else jacobian)
        row = size @ np.abs(z) + np.abs(value)
        if self.vector is not None:
            row = row + (np.abs(self.vector) if self.terms is None else self.terms)
        row = np.maximum(row, ROUNDING * (size @ column))
        return np.where(column > 0, column, 1.0), np.where(row > 0, row, 1.0)

    def families(self) -> np.ndarray:
        """For every column the number of its family: same owner, same kind."""
        family = self.kind.astype(np.int64) * (int(self.player.max(initial=0)) + 2) + self.player + 1
        return np.unique(family, return_inverse=True)[1]

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Natural residual of every row, relative: how far (z, F) is from complementarity in units of its own terms."""
        if not np.all(np.isfinite(z)):
            return np.full(self.size, np.inf)
        value = self.F(z)
        return self.distance(z, value, *self.scales(z, value))

    def distance(self, z: np.ndarray, value: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Natural residual of every row, |z - P(z - F)|, with z measured in ``column`` and F, ``value``, in ``row``."""
        moved = np.clip(z / column - value / row, self.lower / column, self.upper / column)
        return np.abs(z / column - moved)

    def error(self, z: np.ndarray) -> float:
        """The largest relative residual."""
        return float(self.residual(z).max(initial=0.0))

    def at(self, x: np.ndarray) -> MixedComplementarity:
        """The affine problem once the earlier movers have decided x."""
        assert self.slope is not None and self.vector is not None
        terms = np.abs(self.vector) + abs(self.slope) @ np.abs(x)
        return replace(self, vector=self.vector + self.slope @ x, slope=None, terms=terms, _made=self._made)

    def interior(self) -> np.ndarray:
        """A neutral starting point inside the box."""
        lower = np.where(np.isfinite(self.lower), self.lower, np.where(np.isfinite(self.upper), self.upper - 1.0, 0.0))
        upper = np.where(np.isfinite(self.upper), self.upper, lower + 1.0)
        if self.start is not None:
            return np.clip(self.start, self.lower, self.upper)
        free = ~np.isfinite(self.lower) & ~np.isfinite(self.upper)
        inside = np.isfinite(self.upper) | (not self.is_affine)  # a nonlinear term may have no value on a bound
        return np.where(free, 0.0, np.where(inside, 0.5 * (lower + upper), lower))

    def part(self, columns: np.ndarray, z: np.ndarray) -> MixedComplementarity:
        """The problem in some columns with the others held at z; held values are folded into the constants."""
        components = [self.components[i] for i in columns]
        matrix = vector = function = derivative = None
        if self.matrix is not None:
            assert self.vector is not None
            rows = self.matrix[columns]
            matrix = sp.csr_array(rows[:, columns])
            rows.data = np.where(np.isin(rows.indices, columns), 0.0, rows.data * z[rows.indices])
            vector = self.vector[columns] + rows.sum(axis=1)
        else:
            base = z.copy()

            def whole(part: np.ndarray) -> np.ndarray:
                full = base.copy()
                full[columns] = part
                return full

            def function(part: np.ndarray) -> np.ndarray:
                return self.F(whole(part))[columns]

            def derivative(part: np.ndarray) -> Matrix:
                found = self.compact_jacobian(whole(part))
                return found[np.ix_(columns, columns)] if isinstance(found, np.ndarray) else found[columns][:, columns]

        return MixedComplementarity(
            self.names.of(columns),
            self.kind[columns],
            self.player[columns],
            components,
            self.lower[columns],
            self.upper[columns],
            matrix,
            vector,
            function,
            derivative,
            [],
            None if self.start is None else self.start[columns],
        )

    def apart(self, z: np.ndarray) -> tuple[MixedComplementarity, np.ndarray]:
        """(every player's own problem with the others held at z, side by side in one; its columns in this one).

        Only for affine problems: what one player's rows hold of others is folded into their constants.
        """
        assert self.matrix is not None and self.vector is not None
        columns = np.flatnonzero(self.player >= 0)
        place = np.full(self.size, -1)
        place[columns] = np.arange(len(columns))
        rows = sp.csr_array(self.matrix[columns])
        i, j = np.repeat(np.arange(len(columns)), np.diff(rows.indptr)), rows.indices
        own = self.player[columns[i]] == self.player[j]
        given = rows.data[~own] * z[j[~own]]
        held, terms = (np.bincount(i[~own], amount, minlength=len(columns)) for amount in (given, np.abs(given)))
        matrix = sp.csr_array((rows.data[own], (i[own], place[j[own]])), shape=(len(columns), len(columns)))
        parts = MixedComplementarity(
            self.names.of(columns),
            self.kind[columns],
            self.player[columns],
            [self.components[k] for k in columns],
            self.lower[columns],
            self.upper[columns],
            matrix,
            self.vector[columns] + held,
            start=None if self.start is None else self.start[columns],
            terms=np.abs(self.vector[columns]) + terms,
        )
        return parts, columns
