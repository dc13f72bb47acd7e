"""A leader over affine followers by local search from several starts: Ipopt's homotopy and descent over branches.

From every start the followers' problem is solved, the search goes down over the branches there (``descent``), and
once more from where Scholtes' homotopy ends. What counts is the leader's payoff at a decision and an answer to it that
was checked; nothing is proved about decisions that no search came to.
"""

from __future__ import annotations

import time

import numpy as np
import scipy.sparse as sp

from ..errors import Refused
from ..hierarchy import LeaderProblem, current
from ..led import Led, Optimum, distinct
from ..reactions import answer
from ..solvers import highs, newton, scholtes
from .descent import Descent
from .regimes import own_rows, scales


def solve(problem: LeaderProblem, starts: int = 12, seed: int = 0) -> Led:
    """The best of the local optima found from ``starts`` points: the present values of the leader's Vars, the middle of
    its bounds, and others at random (``seed``). Raises Infeasible (it can gain without limit), Refused (nothing found;
    whole numbers).
    """
    began = time.perf_counter()
    if (problem.whole & (problem.lower < problem.upper)).any():
        raise Refused(f"{problem.player.name} decides whole numbers, which a homotopy does not see")
    scale = scales(problem)
    descent = Descent(problem, scale)
    begins = [_begin(problem, scale, x) for x in _starts(problem, scale, starts, np.random.default_rng(seed))]
    programme = _Affine(problem)
    sizes = programme.scale(scale, begins)
    found = []
    for x, z in begins:
        direct = descent.settle(x, z)
        y = scholtes.descend(programme, np.concatenate([x, z]), sizes)
        relaxed = None if y is None else descent.settle(y[: problem.count], _refined(problem, y))
        found.append([p for p in (direct, relaxed) if p is not None])
    points = sorted((p for pair in found for p in pair), key=lambda p: p.cost)
    if not points:
        raise Refused(
            f"no decision of {problem.player.name} was found that its own constraints allow on the followers' answer, "
            f"from {starts} starts"
        )
    optima = distinct(Optimum(point.x, point.cost) for point in points)
    best = points[0]
    return Led(
        x=best.x,
        z=best.z,
        cost=best.cost,
        bound=-np.inf,
        route="homotopy",
        reason=_reason(starts, len(optima)),
        optima=optima,
        starts=starts,
        seconds=time.perf_counter() - began,
    )


def _reason(starts: int, optima: int) -> str:
    found = f"best of {starts} start{'s' * (starts != 1)}, {optima} distinct local optim{'a' if optima > 1 else 'um'}"
    return found if scholtes.available() else f"{found}; without Ipopt, by descent over branches alone"


def _starts(problem: LeaderProblem, scale: np.ndarray, count: int, random: np.random.Generator) -> list[np.ndarray]:
    """Decisions to begin from, the leader's own limits respected from the second one on."""
    low, up = np.isfinite(problem.lower), np.isfinite(problem.upper)
    first = np.clip(current(problem.player.decisions), problem.lower, problem.upper)
    lower = np.where(low, problem.lower, np.where(up, problem.upper - 2 * scale, first - scale))
    upper = np.where(up, problem.upper, lower + 2 * scale)
    found = [first, _allowed(problem, scale, 0.5 * (lower + upper))]
    while len(found) < count:
        found.append(_allowed(problem, scale, random.uniform(lower, upper)))
    return found[:count]


def _begin(problem: LeaderProblem, scale: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, an answer to it); where no answer was found, the nearest decision at which the rows can hold."""
    z = answer(problem.reaction.at(x))
    if z is not None:
        return x, z
    x = _allowed(problem, scale, x, whole=True)
    z = answer(problem.reaction.at(x))
    return x, problem.reaction.at(x).interior() if z is None else z


def _allowed(problem: LeaderProblem, scale: np.ndarray, x: np.ndarray, whole: bool = False) -> np.ndarray:
    """The nearest decision that the limits over the leader's decisions alone allow (x itself where there is none).

    ``whole``: also those over the followers' answer, and the signs of the followers' rows, complementarity left out.
    """
    table, low, up = own_rows(problem)
    lower, upper, count = problem.lower, problem.upper, len(x)
    rows = sp.csr_array(table)
    if whole:
        reaction = problem.reaction
        assert reaction.matrix is not None and reaction.vector is not None
        at_least, at_most = np.isfinite(reaction.lower), np.isfinite(reaction.upper)
        keep = np.flatnonzero(~(at_least & at_most))
        rows = sp.csr_array(sp.vstack([problem.table, sp.hstack([reaction.slope, reaction.matrix]).tocsr()[keep]]))
        least = -reaction.vector[keep]
        low = np.concatenate([problem.low, np.where(at_most[keep], -np.inf, least)])
        up = np.concatenate([problem.up, np.where(at_least[keep], np.inf, least)])
        lower, upper = np.concatenate([lower, reaction.lower]), np.concatenate([upper, reaction.upper])
    if not rows.shape[0]:
        return x
    weight = np.zeros(rows.shape[1])
    weight[:count] = 1 / scale**2
    aim = np.zeros(rows.shape[1])
    aim[:count] = -x / scale**2
    found, _, outcome = highs.minimise(
        highs.Programme(sp.diags_array(weight, format="csc"), aim, rows, low, up, lower, upper), 1e-10
    )
    return found[:count] if outcome.ok else x


def _refined(problem: LeaderProblem, y: np.ndarray) -> np.ndarray:
    """The followers' answer to a decision of the homotopy, near what it says it is."""
    reaction, z = problem.reaction.at(y[: problem.count]), y[problem.count :]
    polished = newton.polish(reaction, z)
    if reaction.error(polished) <= 1e-9:
        return polished
    found, outcome = newton.solve(reaction, z, iterations=30)
    return found if outcome.ok else z


class _Affine:
    """The programme over y = (x, z) in the form that ``scholtes`` asks for."""

    def __init__(self, problem: LeaderProblem) -> None:
        reaction, d = problem.reaction, problem.count
        assert reaction.matrix is not None and reaction.vector is not None and reaction.slope is not None
        self.problem = problem
        self.paired = d + np.arange(reaction.size)
        self.lower = np.concatenate([problem.lower, reaction.lower])
        self.upper = np.concatenate([problem.upper, reaction.upper])
        self.low, self.up = problem.low, problem.up
        followers = sp.hstack([reaction.slope, reaction.matrix])
        table = sp.coo_array(sp.vstack([followers, sp.csr_array(problem.table)]))
        self.table = sp.csr_array(table)
        self.constant = np.concatenate([reaction.vector, np.zeros(len(problem.low))])
        self.jacobian_pattern, self.entries = table.coords, table.data
        lower = sp.coo_array(np.tril(problem.cost.hessian))
        self.curvature_pattern, self.curved = lower.coords, lower.data

    def scale(self, decisions: np.ndarray, begins: list[tuple[np.ndarray, np.ndarray]]) -> scholtes.Scale:
        """Sizes of columns, rows and cost over the points that the searches begin from."""
        reaction, d = self.problem.reaction, self.problem.count
        column = np.concatenate([decisions, np.max([reaction.at(x).scales(z)[0] for x, z in begins], axis=0)])
        row = abs(self.table) @ column + np.abs(self.constant)
        row[reaction.size :] = abs(self.table[reaction.size :]) @ column
        cost = self.problem.cost
        worth = float((0.5 * column @ np.abs(cost.hessian) @ column) + np.abs(cost.gradient) @ column)
        assert len(column) == d + reaction.size
        return scholtes.Scale(column, np.where(row > 0, row, 1.0), worth if worth > 0 else 1.0)

    def cost(self, y: np.ndarray) -> float:
        return self.problem.cost(y)

    def slope(self, y: np.ndarray) -> np.ndarray:
        return self.problem.cost.slope(y)

    def rows(self, y: np.ndarray) -> np.ndarray:
        return self.table @ y + self.constant

    def jacobian(self, y: np.ndarray) -> np.ndarray:
        return self.entries

    def curvature(self, y: np.ndarray, factor: float, multipliers: np.ndarray) -> np.ndarray:
        return factor * self.curved
