"""Is the answer the only one? A statement with its reason, or "not proved".

If the players' conditions are monotone, two solutions x and y satisfy (x - y)'(F(x) - F(y)) = 0. Then the move from
one to the other lies in the kernel of the symmetric part of the Jacobian at x, keeps every equality, and keeps every
limit whose multiplier is positive at x. If only the zero move does all that, the decisions are unique. Prices that
define themselves by an equality row are eliminated first; the signs of rows are those of ``conditions``, so how a row
was written does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import uniqueness_sparse
from .conditions import NotAffine, Reader
from .mcp import DECISION, OUTSIDE, MixedComplementarity
from .monotone import null_space, why_monotone
from .players import Game
from .tolerances import CONVEX

SMALL, LARGEST = 300, 1200
"""Affine problems of more than SMALL columns go to ``uniqueness_sparse`` first; dense tests end at LARGEST."""


@dataclass(frozen=True)
class Uniqueness:
    """``decisions`` and ``prices``: 'unique', 'not unique' or 'not proved', and why."""

    decisions: str
    prices: str
    reason: str

    def __str__(self) -> str:
        return f"decisions {self.decisions}, prices {self.prices} ({self.reason})"


NOT_PROVED = "not proved"


def examine(game: Game, mcp: MixedComplementarity, z: np.ndarray, convex: list[str | None]) -> Uniqueness:
    """What can be said at the solution z. convex: for every player the proof that its payoff is convex, or None."""
    if mcp.size > SMALL and game.players and mcp.is_affine:
        unique, prices, why = uniqueness_sparse.examine(mcp, z)
        if mcp.size > LARGEST or (unique and prices):
            return Uniqueness("unique" if unique else NOT_PROVED, "unique" if prices else NOT_PROVED, why)
    if mcp.size > LARGEST:
        return Uniqueness(NOT_PROVED, NOT_PROVED, "too large for the dense test")
    jacobian = mcp.jacobian(z).toarray()
    if not game.players:
        word, why = _without_players(mcp, jacobian)
        return Uniqueness(word, word, why)
    if not mcp.is_affine and not _linear_rows(game):
        return Uniqueness(NOT_PROVED, NOT_PROVED, "some limit, rule or clearing row is not linear")
    decisions, rows, reduced = _reduce(mcp, jacobian)
    if not _skew(mcp, reduced, decisions, rows):
        return Uniqueness(NOT_PROVED, NOT_PROVED, "limits that depend on others' decisions")
    core = reduced[np.ix_(decisions, decisions)]
    table = reduced[np.ix_(rows, decisions)]
    equal = np.isneginf(mcp.lower[rows]) & np.isposinf(mcp.upper[rows])
    reason = why_monotone(game, mcp, core, table[equal], convex)
    if reason is None:
        if mcp.is_affine and not rows.size and len(decisions) <= 14 and p_matrix(core):
            return Uniqueness("unique", "unique", "P-matrix")
        return Uniqueness(NOT_PROVED, NOT_PROVED, "the conditions are not monotone, or it was not shown that they are")
    unique = _only_zero_move(mcp, z, core, table, decisions, rows, equal)
    prices = _prices_settled(mcp, z, table, decisions, rows) if unique else False
    return Uniqueness(
        "unique" if unique else NOT_PROVED,
        "unique" if prices else NOT_PROVED,
        reason + ("" if unique else "; the set of equilibria is convex"),
    )


def _without_players(mcp: MixedComplementarity, jacobian: np.ndarray) -> tuple[str, str]:
    """Rules alone are a system of equations; pairs alone a complementarity problem."""
    if not mcp.is_affine:
        return NOT_PROVED, "the rules are not linear"
    if np.isneginf(mcp.lower).all() and np.isposinf(mcp.upper).all():
        if np.linalg.matrix_rank(jacobian) == mcp.size:
            return "unique", "the rules are a regular linear system"
        return NOT_PROVED, "the rules do not settle everything"
    symmetric = (jacobian + jacobian.T) / 2
    if float(np.linalg.eigvalsh(symmetric)[0]) > CONVEX * float(np.abs(symmetric).max()):
        return "unique", "strictly monotone conditions"
    if mcp.size <= 14 and p_matrix(jacobian):
        return "unique", "P-matrix"
    return NOT_PROVED, "neither strictly monotone nor a P-matrix"


def _linear_rows(game: Game) -> bool:
    """Whether everything but payoffs is linear: limits, clearing rows and rules."""
    reader = Reader()
    rows = (*(row for player in game.players for row in player.constraints), *game.equations, *game.shared)
    for name, body in (*((row.name, row.body) for row in rows), *((pair.name, pair.body) for pair in game.pairs)):
        try:
            if reader.read(body, name).quadratic:
                return False
        except NotAffine:
            return False
    return True


def _reduce(mcp: MixedComplementarity, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eliminate outside columns that their own rows determine (defined prices, rules): (decisions, other rows,
    matrix)."""
    free = np.isneginf(mcp.lower) & np.isposinf(mcp.upper)
    outside = np.flatnonzero((mcp.kind == OUTSIDE) & free)
    block = jacobian[np.ix_(outside, outside)]
    own = outside[np.abs(block).sum(axis=1) > 0] if outside.size else outside
    if own.size and np.linalg.matrix_rank(jacobian[np.ix_(own, own)]) == own.size:
        rest = np.setdiff1d(np.arange(mcp.size), own)
        solved = np.linalg.solve(jacobian[np.ix_(own, own)], jacobian[np.ix_(own, rest)])
        reduced = jacobian.copy()
        reduced[np.ix_(rest, rest)] -= jacobian[np.ix_(rest, own)] @ solved
        kept = rest
    else:
        reduced, kept = jacobian, np.arange(mcp.size)
    return kept[mcp.kind[kept] == DECISION], kept[mcp.kind[kept] != DECISION], reduced


def _skew(mcp: MixedComplementarity, matrix: np.ndarray, decisions: np.ndarray, rows: np.ndarray) -> bool:
    """Whether decisions and multipliers are skew up to a positive factor per row, with nothing between multipliers."""
    if not rows.size:
        return True
    own, seen = matrix[np.ix_(rows, decisions)], -matrix[np.ix_(decisions, rows)].T
    largest = max(np.abs(own).max(initial=0.0), np.abs(seen).max(initial=0.0))
    if np.abs(matrix[np.ix_(rows, rows)]).max() > 1e-12 * max(largest, 1e-300):
        return False
    size = (own * own).sum(axis=1)
    factor = (own * seen).sum(axis=1) / np.where(size > 0, size, 1.0)
    return bool((factor[size > 0] > 0).all() and np.abs(seen - factor[:, None] * own).max() <= 1e-9 * largest)


def _only_zero_move(
    mcp: MixedComplementarity,
    z: np.ndarray,
    core: np.ndarray,
    table: np.ndarray,
    decisions: np.ndarray,
    rows: np.ndarray,
    equal: np.ndarray,
) -> bool:
    column, row = mcp.scales(z)
    value = mcp.F(z)
    held = equal | (z[rows] > 1e-7 * column[rows])
    stuck = np.abs(value[decisions]) > 1e-7 * row[decisions]
    basis = null_space(table[equal], len(decisions))
    symmetric = basis.T @ ((core + core.T) / 2) @ basis
    scale = max(np.abs(symmetric).max(initial=0.0), 1e-300)
    parts = [symmetric / scale, _unit(table[held]) @ basis, np.eye(len(decisions))[stuck] @ basis]
    return bool(basis.shape[1] == 0 or np.linalg.matrix_rank(np.vstack(parts), tol=1e-8) == basis.shape[1])


def _prices_settled(
    mcp: MixedComplementarity, z: np.ndarray, table: np.ndarray, decisions: np.ndarray, rows: np.ndarray
) -> bool:
    """Whether the stationarity of decisions strictly between their bounds leaves the multipliers no freedom."""
    column, row = mcp.scales(z)
    value = mcp.F(z)
    tight = np.isneginf(mcp.lower[rows]) | (np.abs(value[rows]) <= 1e-7 * row[rows])
    inside = (z[decisions] - mcp.lower[decisions] > 1e-7 * column[decisions]) & (
        mcp.upper[decisions] - z[decisions] > 1e-7 * column[decisions]
    )
    active = _unit(table[tight])[:, inside]
    return bool(np.linalg.matrix_rank(active, tol=1e-8) == int(tight.sum()))


def _unit(table: np.ndarray) -> np.ndarray:
    size = np.abs(table).max(axis=1, initial=0.0)
    return table / np.where(size > 0, size, 1.0)[:, None]


def p_matrix(matrix: np.ndarray) -> bool:
    """Every principal minor positive (Schur recursion; doubles with each row). Rows are scaled to diagonal one
    first."""
    diagonal = np.diag(matrix)
    return bool((diagonal > 0).all()) and _minors_positive(matrix / diagonal[:, None])


def _minors_positive(matrix: np.ndarray) -> bool:
    if matrix.shape[0] == 0:
        return True
    pivot = matrix[0, 0]
    if pivot <= CONVEX * np.abs(matrix).max():  # what rounding leaves of a zero is not positive
        return False
    rest = matrix[1:, 1:]
    return _minors_positive(rest) and _minors_positive(rest - np.outer(matrix[1:, 0], matrix[0, 1:]) / pivot)
