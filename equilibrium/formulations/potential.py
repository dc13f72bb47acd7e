"""One convex programme: where the joint conditions are those of a single planner, prices are its duals.

That is so when the matrix of the conditions is symmetric and positive semidefinite on the decisions and skew between
decisions and multipliers (integrable payoffs, cleared prices). Rows may first be multiplied by positive factors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from ..definite import semidefinite
from ..mcp import DECISION, DENSE, MixedComplementarity
from ..solvers import apart, batched, clarabel, highs, rays
from ..solvers.outcome import Outcome, Termination
from ..solvers.settle import exact, settle
from ..tolerances import RESIDUAL

INTERIOR = 300
"""Programmes of more rows go to an interior point first: as quick, and it does not mind columns without curvature."""

SIMPLEX_SECONDS = 20.0
"""Large linear programmes are given to the simplex method for so long first: a vertex is exact, and where blocks are
many and loosely tied it is found several times faster than an interior point."""

EXACT, VERTEX = 1e-14, 1e-12
"""An answer with a smaller residual is not polished; nor is a vertex, which knows its active limits already."""

LIFTED = 1e7
"""Largest number of products of coefficients for which a Hessian is lifted by its equality rows."""


@dataclass(frozen=True)
class Potential:
    """The programme behind a mixed complementarity problem: which columns are its variables, which its rows."""

    programme: highs.Programme
    variables: np.ndarray
    rows: np.ndarray
    factor: np.ndarray  # row i of the problem was multiplied by factor[i] > 0


def find(mcp: MixedComplementarity) -> Potential | None:
    """The convex programme whose conditions ``mcp`` is, or None if there is none."""
    if mcp.matrix is None or mcp.vector is None:
        return None
    variables = np.flatnonzero(mcp.kind == DECISION)
    rows = np.flatnonzero(mcp.kind != DECISION)
    plain = (mcp.lower[rows] == 0) & np.isposinf(mcp.upper[rows]) | np.isneginf(mcp.lower[rows]) & np.isposinf(
        mcp.upper[rows]
    )
    if not plain.all() or mcp.matrix[rows][:, rows].count_nonzero():
        return None
    factor = _row_factors(mcp, variables, rows)
    if factor is None:
        return None
    matrix = sp.csr_array(sp.diags_array(factor) @ mcp.matrix)
    vector = factor * mcp.vector
    hessian = matrix[variables][:, variables]
    if not _close(hessian, hessian.T):
        return None
    hessian = sp.csc_array((hessian + hessian.T) / 2)
    table = sp.csr_array(matrix[rows][:, variables])
    equal = np.isneginf(mcp.lower[rows])
    moving = mcp.lower[variables] < mcp.upper[variables]
    convex = convexified(hessian, vector[variables], table[equal], -vector[rows][equal], moving)
    if convex is None:
        return None
    programme = highs.Programme(
        convex[0],
        convex[1],
        table,
        -vector[rows],
        np.where(equal, -vector[rows], np.inf),
        mcp.lower[variables],
        mcp.upper[variables],
    )
    return Potential(programme, variables, rows, factor)


def solve(mcp: MixedComplementarity, potential: Potential) -> tuple[np.ndarray, Outcome]:
    """Solve the programme; every answer is polished and judged by its own residual.

    Large ones are solved part by part where they fall apart, and what is left of them goes to an interior point, linear
    ones to the simplex method first. HiGHS climbs its regularisation ladder.
    """

    def whole(part: MixedComplementarity) -> tuple[np.ndarray, Outcome]:
        found = potential if part is mcp else find(part)
        if found is None:  # by rounding: its numbers are smaller than those of the whole
            return part.interior(), Outcome(Termination.FAILED, "not shown convex by itself", 0.0, "HiGHS")
        return _whole(part, found)

    return apart.by_parts(mcp, whole)


def _whole(mcp: MixedComplementarity, potential: Potential) -> tuple[np.ndarray, Outcome]:
    best, best_error, outcome, failures = mcp.interior(), np.inf, None, []
    for attempt in _attempts(mcp, potential):
        x, duals, told, refine = attempt()
        if told.termination in (Termination.INFEASIBLE, Termination.UNBOUNDED):
            failures.append(told)
            continue
        z = np.zeros(mcp.size)
        z[potential.variables] = x
        z[potential.rows] = duals
        error = mcp.error(z)
        if error > EXACT:
            z = refine(mcp, z)
            error = mcp.error(z)
        if error < best_error:
            best, best_error, outcome = z, error, told
        if best_error <= 0.01 * RESIDUAL:
            break
    if best_error <= RESIDUAL and outcome is not None:
        return best, replace(outcome, termination=Termination.SOLVED, message=f"relative residual {best_error:.1e}")
    for told in failures:
        if rays.confirmed(potential.programme, told.termination):
            return best, told
    message = f"relative residual {best_error:.1e} after polish"
    return best, replace(outcome or failures[0], termination=Termination.FAILED, message=message)


Attempt: TypeAlias = Callable[[], tuple[np.ndarray, np.ndarray, Outcome, Callable]]


def _attempts(mcp: MixedComplementarity, potential: Potential) -> Iterator[Attempt]:
    """What to try in turn, each giving (x, duals, outcome, how to make it exact)."""
    large, interior = mcp.size > INTERIOR, clarabel.available()
    if large and not potential.programme.hessian.nnz:
        yield lambda: (*highs.minimise(potential.programme, time_limit=SIMPLEX_SECONDS), _settle_vertex)
    if large and interior:
        yield lambda: (*clarabel.minimise(potential.programme), settle)
    if large and interior and potential.programme.hessian.nnz and mcp.size > 4 * DENSE:
        return  # hopeless for the active-set method
    for value in highs.REGULARISATION:
        yield lambda value=value: (*highs.minimise(potential.programme, value), exact)  # type: ignore[misc]
    if interior and not large:
        yield lambda: (*clarabel.minimise(potential.programme), settle)
    if mcp.matrix is not None and apart.orderly(mcp.size, mcp.matrix.nnz):
        yield lambda: _alone(mcp, potential)  # HiGHS calls some programmes unbounded that have an optimum


def _alone(mcp: MixedComplementarity, potential: Potential) -> tuple[np.ndarray, np.ndarray, Outcome, Callable]:
    """The answer of the interior point that treats many problems at once, for one."""
    began = time.perf_counter()
    problems = apart.stacked(mcp, np.arange(mcp.size)[None, :])
    z = batched.solve(problems, mcp.interior())[0][:, 0]
    outcome = Outcome(Termination.LIMIT, "", time.perf_counter() - began, "interior point and active set")
    return z[potential.variables], z[potential.rows], outcome, lambda mcp, z: z


def _settle_vertex(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    return z if mcp.error(z) <= VERTEX else settle(mcp, z)


def convexified(
    hessian: sp.csc_array, gradient: np.ndarray, table: sp.csr_array, right: np.ndarray, moving: np.ndarray
) -> tuple[sp.csc_array, np.ndarray] | None:
    """(H, c) of the same programme with H positive semidefinite, or None if it is not convex where its equalities hold.

    moving: the columns whose bounds leave them room; how the others curve the payoff does not matter. A Hessian that is
    positive only along the equalities ``table x = right`` is lifted by a multiple of table'table, which adds a constant
    on the feasible set.
    """

    def convex(matrix: sp.csc_array) -> bool:
        return semidefinite(matrix if moving.all() else sp.csc_array(matrix[:, moving][moving]))

    if convex(hessian):
        return hessian, gradient
    if not table.shape[0] or (np.diff(table.indptr).astype(float) ** 2).sum() > LIFTED:
        return None
    product = sp.csc_array(table.T @ table)
    size = float(abs(hessian).max()) / max(float(abs(product).max()), 1e-300)
    for weight in (size, 10 * size, 100 * size, 1000 * size):
        lifted = sp.csc_array(hessian + weight * product)
        if convex(lifted):
            return lifted, gradient - weight * (table.T @ right)
    return None


def payoffs_convex(parts: MixedComplementarity) -> bool:
    """Whether every player's own (minimised) payoff is convex in its decisions, each judged by its own size.

    parts: the players' own problems side by side. False also where a payoff is convex on the equalities only.
    """
    assert parts.matrix is not None
    moving = np.flatnonzero((parts.kind == DECISION) & (parts.lower < parts.upper))
    hessian = sp.coo_array(parts.matrix[moving][:, moving])
    owner = parts.player[moving]
    largest = np.zeros(int(owner.max(initial=0)) + 1)
    np.maximum.at(largest, owner[hessian.coords[0]], np.abs(hessian.data))
    factor = sp.diags_array(1 / np.sqrt(np.where(largest > 0, largest, 1.0))[owner])
    return semidefinite(sp.csr_array(factor @ (hessian + hessian.T) @ factor))


def _row_factors(mcp: MixedComplementarity, variables: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Positive factors for the outside rows that make decisions and multipliers skew; None if there are none."""
    assert mcp.matrix is not None
    table = _canonical(mcp.matrix[rows][:, variables])
    entered = _canonical(-mcp.matrix[variables][:, rows].T)
    if not (np.array_equal(table.indptr, entered.indptr) and np.array_equal(table.indices, entered.indices)):
        return None
    ratio = entered.data / table.data
    held = np.flatnonzero(np.diff(table.indptr))  # rows that hold something
    first = table.indptr[held]
    if not held.size:
        return np.ones(mcp.size)
    least, most = np.minimum.reduceat(ratio, first), np.maximum.reduceat(ratio, first)
    if (least <= 0).any() or (most - least > 1e-12 * most).any():
        return None
    factor = np.ones(mcp.size)
    factor[rows[held]] = ratio[first]
    return factor


def _canonical(matrix: sp.csr_array) -> sp.csr_array:
    """Sorted by column within each row, without stored zeros."""
    matrix = sp.csr_array(matrix)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _close(first: sp.csr_array, second: sp.csr_array) -> bool:
    difference = abs(first - second)
    largest = float(abs(first).max()) if first.nnz else 0.0
    return not difference.nnz or float(difference.max()) <= 1e-12 * largest
