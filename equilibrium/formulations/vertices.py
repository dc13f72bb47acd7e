"""How large multipliers of followers that solve linear programmes need to be.

Let followers solve min c(x)'y subject to A y >= r(x) (some rows equal), l <= y <= u. Their multipliers lam lie in
{A'lam + a - b = c, lam >= 0 where a row is an inequality, a, b >= 0}. If the rows that are equal are independent this
polyhedron has vertices, and some optimal multipliers are one (Schrijver, Theory of Linear and Integer Programming,
section 8.5). At a vertex the non-zero ones solve B'lam = c_B for a basis B. Where A is totally unimodular the inverse
of B holds only 0, 1 and -1 (Schrijver, theorem 19.3), so

    |lam_i| <= sum of the m largest |c_j|,   m rows.

Every optimal y is complementary to all optimal multipliers. So a leader who does not see multipliers loses nothing if
they are sought within these bounds, whatever it decides.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ..hierarchy import LeaderProblem
from ..mcp import DECISION


def multiplier_limits(problem: LeaderProblem) -> np.ndarray:
    """For every column of the followers' conditions the size that it need not exceed; infinite where nothing is known,
    and for decisions."""
    reaction = problem.reaction
    assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
    limits = np.full(reaction.size, np.inf)
    cost = _largest(reaction.slope.toarray(), reaction.vector, problem.lower, problem.upper)
    matrix = sp.csr_array(reaction.matrix)
    for part in _parts(matrix):
        decides = part[reaction.kind[part] == DECISION]
        rows = part[reaction.kind[part] != DECISION]
        if not len(rows) or not len(decides) or problem.seen[rows].any():
            continue
        if _linear(matrix, decides, rows) and _one_sided(reaction.lower[rows], reaction.upper[rows]):
            table = matrix[rows][:, decides].toarray()
            equal = np.isneginf(reaction.lower[rows])
            if unimodular(table) and np.linalg.matrix_rank(table[equal]) == equal.sum():
                limits[rows] = np.sort(cost[decides])[::-1][: len(rows)].sum()
    return limits


def _largest(slope: np.ndarray, level: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The largest size of level + slope x over lower <= x <= upper."""
    with np.errstate(invalid="ignore"):
        ends = [np.where(slope != 0, slope * limit, 0.0) for limit in (lower, upper)]
    least, most = np.minimum(*ends).sum(axis=1), np.maximum(*ends).sum(axis=1)
    return np.maximum(np.abs(level + least), np.abs(level + most))


def _parts(matrix: sp.csr_array) -> list[np.ndarray]:
    """Columns that do not hang together, apart."""
    count, label = connected_components(matrix, directed=False)
    return [np.flatnonzero(label == k) for k in range(count)]


def _linear(matrix: sp.csr_array, decides: np.ndarray, rows: np.ndarray) -> bool:
    """Whether these conditions are those of a linear programme: nothing curved, and rows priced as they are felt."""
    curved = matrix[decides][:, decides], matrix[rows][:, rows]
    skew = matrix[decides][:, rows] + matrix[rows][:, decides].T
    return not any(np.any(part.toarray()) for part in (*curved, skew))


def _one_sided(lower: np.ndarray, upper: np.ndarray) -> bool:
    return bool((np.isneginf(lower) | (lower == 0)).all() and np.isposinf(upper).all())


def unimodular(table: np.ndarray) -> bool:
    """Whether a matrix is seen to be totally unimodular: apart from rows and columns with one entry it is the incidence
    matrix of a network, up to signs of rows. (Other totally unimodular matrices are not recognised.)"""
    if not np.isin(table, (-1.0, 0.0, 1.0)).all():
        return False
    rest = table[(table != 0).sum(axis=1) > 1]
    held = (rest != 0).sum(axis=0)
    if (held > 2).any():
        return False
    # Two entries of a column must differ in sign once some rows are turned: rows get a side, as in a bipartite graph.
    pairs = [(*np.flatnonzero(column), float(np.prod(column[column != 0]))) for column in rest.T[held == 2]]
    neighbours: dict[int, list[tuple[int, float]]] = {}
    for i, j, product in pairs:
        neighbours.setdefault(int(i), []).append((int(j), -product))
        neighbours.setdefault(int(j), []).append((int(i), -product))
    side: dict[int, float] = {}
    for start in neighbours:
        waiting = [] if start in side else [start]
        side.setdefault(start, 1.0)
        while waiting:
            i = waiting.pop()
            for j, turn in neighbours[i]:
                if j not in side:
                    side[j] = side[i] * turn
                    waiting.append(j)
                elif side[j] != side[i] * turn:
                    return False
    return True
