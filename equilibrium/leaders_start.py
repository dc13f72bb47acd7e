"""Where several leaders' turns begin: an equilibrium of their game while the followers stay on one piece.

On a piece the followers' answer is affine in the leaders' decisions x, and with it every leader's slope: stationarity
of all leaders is one complementarity problem. Its solution leads to another piece, and so on until a piece leads to
itself. Leaders like the edges of pieces (the load at which a generator reaches its capacity), and there two pieces
lead to each other. The followers' column z_j that is inside on one and at its bound b_j on the other then gets a
number lambda_j between 0 and 1,

    z(x) + lambda_j g_j (b_j - z_j(x)),   g_j how all columns follow z_j,

which is zero where z_j(x) stays off its bound, one where it would go beyond, and anything between on the edge. What is
found is a place to begin: whether anybody does better elsewhere is for the leaders' turns to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from .hierarchy import LeaderForm
from .mcp import DECISION, DENSE, MULTIPLIER, OUTSIDE, MixedComplementarity, Names
from .reactions import answer
from .sides import HIGH, INSIDE, LOW, sides_of
from .solvers import newton, systems

PIECES = 60
"""Most pieces that are visited."""


def begin(forms: Sequence[LeaderForm], x: np.ndarray) -> np.ndarray:
    """Decisions of all leaders to begin with; x itself where nothing better is found."""
    reaction, d = forms[0].reaction, len(x)
    if any(form.whole.any() or form.table[:, d:].nnz for form in forms):
        return x
    edges = np.full(reaction.size, INSIDE)  # the sides of columns that go between two pieces
    seen: set[bytes] = set()
    before, here, start = None, x, None
    for _ in range(PIECES):
        z = answer(reaction.at(here))
        if z is None:
            return x
        pattern = sides_of(reaction.at(here), z).pattern
        if before is not None:
            moved = pattern != before
            if not (moved & (edges == INSIDE)).any():
                return here
            if pattern.tobytes() in seen:
                edges[moved] = np.where(pattern == INSIDE, before, pattern)[moved]
        seen.add(pattern.tobytes())
        before = pattern
        piece = _piece(reaction, pattern, edges, here, z)
        if piece is None:
            return x
        found, outcome = newton.solve(_game(forms, piece), _with_edges(start, piece))
        if not outcome.ok:
            return x
        here, start = found[:d], found[: len(found) - len(piece.edge)]
    return here


@dataclass(frozen=True)
class _Piece:
    """The followers' answer response x + offset with the columns ``edge`` inside; follow: how all columns follow each
    of them; bound: where they stop; up: whether that is their upper bound."""

    response: sp.csr_array
    offset: np.ndarray
    edge: np.ndarray
    follow: sp.csr_array
    bound: np.ndarray
    up: np.ndarray


def _piece(
    reaction: MixedComplementarity, pattern: np.ndarray, edges: np.ndarray, x: np.ndarray, z: np.ndarray
) -> _Piece | None:
    """The piece of a pattern that holds at x, where the followers answer z; None where the pattern does not say."""
    now = reaction.at(x).vector
    assert reaction.matrix is not None and reaction.slope is not None and now is not None
    n, edge = len(z), np.flatnonzero(edges != INSIDE)
    inside = np.flatnonzero((pattern == INSIDE) | (edges != INSIDE))
    free = reaction.matrix[inside]
    at = np.where(pattern == HIGH, reaction.upper, np.where(pattern == LOW, reaction.lower, 0.0))
    at[inside] = 0.0
    unit = np.zeros((len(inside), len(edge)))
    unit[np.searchsorted(inside, edge), np.arange(len(edge))] = 1.0
    constant = -(free @ at + now[inside])
    right = np.hstack([-reaction.slope[inside].toarray(), unit, constant[:, None]])
    square = free[:, inside]
    try:
        solved = systems.solve_regular(square.toarray() if len(inside) <= DENSE else square, right)
    except np.linalg.LinAlgError:
        return None
    lift = sp.csr_array((np.ones(len(inside)), (inside, np.arange(len(inside)))), shape=(n, len(inside)))
    d = len(x)
    response = sp.csr_array(lift @ sp.csr_array(solved[:, :d]))
    follow = lift @ solved[:, d:-1]
    level = at + lift @ solved[:, -1]
    high = edges[edge] == HIGH
    bound = np.where(high, reaction.upper[edge], reaction.lower[edge])
    follow = follow / follow[edge, np.arange(len(edge))]
    return _Piece(response, level - response @ x, edge, sp.csr_array(follow), bound, high)


def _with_edges(start: np.ndarray | None, piece: _Piece) -> np.ndarray | None:
    return None if start is None else np.concatenate([start, np.full(len(piece.edge), 0.5)])


def _game(forms: Sequence[LeaderForm], piece: _Piece) -> MixedComplementarity:
    """Stationarity of every leader over x; behind it the multipliers of the leaders' rows, then lambda."""
    conditions = _Conditions(forms, piece)
    d, rows, edges = conditions.table.shape[1], len(conditions.low), len(piece.edge)
    equal = np.concatenate([form.equal for form in forms])
    kind = np.repeat([DECISION, MULTIPLIER, OUTSIDE], [d, rows, edges])
    count = d + rows + edges
    game = MixedComplementarity(
        Names([""] * count),
        kind,
        np.zeros(count, dtype=int),
        [("", "")] * count,
        np.concatenate([*(form.lower for form in forms), np.where(equal, -np.inf, 0.0), np.zeros(edges)]),
        np.concatenate([*(form.upper for form in forms), np.full(rows, np.inf), np.ones(edges)]),
    )
    if edges:
        return replace(game, function=conditions, derivative=conditions.slopes)
    nothing = np.zeros(count)
    return replace(game, matrix=conditions.slopes(nothing), vector=conditions(nothing))


class _Conditions:
    """F(x, multipliers, lambda) of the leaders' game on a piece and its edges, and its slopes."""

    def __init__(self, forms: Sequence[LeaderForm], piece: _Piece) -> None:
        self.forms, self.piece = forms, piece
        self.d = piece.response.shape[1]
        self.table = sp.csr_array(sp.vstack([form.table[:, : self.d] for form in forms]))
        self.low = np.concatenate([form.low for form in forms])
        self.sign = np.where(piece.up, -1.0, 1.0)
        self.edge = piece.response[piece.edge]  # the columns at the edges, as they follow x

    def _split(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(x, multipliers, lambda, how far the edges' columns are below their bounds)."""
        x, paid, part = np.split(v, [self.d, self.d + len(self.low)])
        return x, paid, part, self.piece.bound - self.edge @ x - self.piece.offset[self.piece.edge]

    def _whole(self, part: np.ndarray) -> sp.csr_array:
        """How (x, z) follows x."""
        response = self.piece.response - (self.piece.follow * part) @ self.edge
        return sp.csr_array(sp.vstack([sp.eye_array(self.d), response]))

    def __call__(self, v: np.ndarray) -> np.ndarray:
        x, paid, part, room = self._split(v)
        z = self.piece.response @ x + self.piece.offset + self.piece.follow @ (part * room)
        whole, both = self._whole(part), np.concatenate([x, z])
        slope = [whole[:, form.own].T @ (form.hessian @ both + form.gradient) for form in self.forms]
        return np.concatenate(
            [np.concatenate(slope) - self.table.T @ paid, self.table @ x - self.low, -self.sign * room]
        )

    def slopes(self, v: np.ndarray) -> sp.csr_array:
        """The derivative of F."""
        x, _, part, room = self._split(v)
        z = self.piece.response @ x + self.piece.offset + self.piece.follow @ (part * room)
        whole, both = self._whole(part), np.concatenate([x, z])
        moved = sp.csr_array(sp.vstack([sp.csr_array((self.d, len(part))), self.piece.follow * room]))
        by_x, by_part = [], []
        for form in self.forms:
            mine, worth = whole[:, form.own].T, form.hessian @ both + form.gradient
            by_x.append(mine @ form.hessian @ whole)
            turned = -(worth[self.d :] @ self.piece.follow)  # what a turn of z_j along lambda is worth
            by_part.append(mine @ form.hessian @ moved + self.edge[:, form.own].T * turned)
        blocks = [
            [sp.vstack(by_x), -self.table.T, sp.vstack(by_part)],
            [self.table, None, None],
            [self.edge * self.sign[:, None], None, None],
        ]
        return sp.csr_array(sp.block_array(blocks if len(part) else [row[:2] for row in blocks[:2]]))
