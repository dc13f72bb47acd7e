"""A leader whose payoff or whose followers' conditions are nonlinear: homotopy from several starts, then branches.

The followers' conditions come from ``kkt.symbolic`` with the leader's Vars as symbols; together with the leader's
Objective and constraints they make one programme, differentiated by ASL. Scholtes' homotopy leads to a branch (which
side of every pair holds with equality); on it Ipopt solves a smooth programme to full accuracy, and branches that meet
at its optimum are looked at. In the end the followers' problem is solved again at the leader's decision, and the
payoff computed there by Pyomo. All of it is local: nothing is proved about what no search came to. The followers'
conditions are taken to be enough for their optimality, that is: followers who are convex (the caller's promise).
"""

from __future__ import annotations

import time

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.core.base.var import VarData
from pyomo.core.expr.visitor import identify_variables

from .. import derivatives
from ..errors import Refused
from ..hierarchy import Hierarchy
from ..kkt import Symbolic, nonlinear, symbolic
from ..led import Led, Optimum
from ..mcp import DECISION, DENSE, Matrix, MixedComplementarity
from ..sides import HIGH, LOW
from ..solvers import newton, scholtes
from ..tolerances import FEASIBLE, RESIDUAL
from .descent import BETTER, Point, meeting


def solve_nonlinear(
    hierarchy: Hierarchy, which: int, x: np.ndarray, starts: int = 8, seed: int = 0, relaxed: bool = True
) -> tuple[Led, MixedComplementarity]:
    """What leader ``which`` does best with the other leaders' decisions as in ``x``, and the followers' problem there.

    x: decisions of all leaders, where the first search begins. relaxed: whether each start is searched by way of the
    relaxation too, which is the slower part; else over the branches around it alone. Led.x holds the leader's own
    decisions, Led.z belongs to the problem returned. Raises Refused (whole numbers; nothing found), SolverMissing.
    """
    began = time.perf_counter()
    player, own = hierarchy.leaders[which], hierarchy.parts[which]
    for variable in player.decisions:
        if not variable.is_continuous():
            raise Refused(f"{player.name} decides {variable.name}, a whole number, which a nonlinear leader cannot")
    programme = _Programme(symbolic(hierarchy.followers), which, own, x)
    begins = _begins(programme, x[own], starts, np.random.default_rng(seed))
    if not begins:
        raise Refused(f"the followers have no answer to any of {starts} decisions of {player.name} that were tried")
    scale = programme.scale(begins)
    points = [p for begin in begins for p in _searched(programme, begin, scale, relaxed) if p is not None]
    if not points:
        raise Refused(
            f"no decision of {player.name} was found that its own constraints allow on the followers' answer, from "
            f"{starts} starts"
        )
    optima: list[Point] = []
    for point in sorted(points, key=lambda p: p.cost):
        if not any((np.abs(point.x - other.x) <= SAME * scale.column[: programme.d]).all() for other in optima):
            optima.append(point)
    everyone = x.copy()
    everyone[own] = optima[0].x
    reaction = nonlinear(hierarchy.followers, everyone)
    z = newton.polish(reaction, optima[0].z)
    count = len(optima)
    led = Led(
        x=optima[0].x,
        z=z,
        cost=programme.payoff(optima[0].x, z),
        bound=-np.inf,
        route="nonlinear homotopy",
        reason=f"best of {starts} start{'s' * (starts != 1)}, {count} distinct local optim{'a' if count > 1 else 'um'}",
        optima=tuple(Optimum(p.x, p.cost) for p in optima),
        starts=starts,
        seconds=time.perf_counter() - began,
    )
    return led, reaction


SAME = 1e-6
"""Local optima nearer than this, relative to the size of each decision, are one."""

NO_SLOPE = (
    "the slopes of these expressions have no value where they were asked for (such as a power below one, or the slope "
    "of one below two, at zero); keep the Vars off such points with a small lower bound"
)


def _begins(
    programme: _Programme, first: np.ndarray, count: int, random: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Decisions to begin from, those to which an answer was found: the first, the middle, others at random."""
    lower, upper = programme.lower[: programme.d], programme.upper[: programme.d]
    first = np.clip(first, lower, upper)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    z = _answer_to(programme, first, None)
    if z is not None:
        found.append((first, z))
    try:
        reach = programme.reach(first, z)
    except ArithmeticError:
        reach = np.maximum(np.abs(first), 1.0)
    low = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper - reach, first - reach))
    up = np.where(np.isfinite(upper), upper, low + 2 * reach)
    wanted = [0.5 * (low + up), *(random.uniform(low, up) for _ in range(max(0, count - 2)))]
    wanted = [np.clip(programme.onto_own_equalities(x), lower, upper) for x in wanted]
    for x in wanted[: count - 1]:
        z = _answer_to(programme, x, found[0][1] if found else None)
        if z is not None:
            found.append((x, z))
    return found


def _answer_to(programme: _Programme, x: np.ndarray, start: np.ndarray | None) -> np.ndarray | None:
    """An answer of the followers to x; None where none was found, or something has no slope there."""
    try:
        z = _answer(programme.reaction(x), start)
        if z is not None:
            programme.slope(np.concatenate([x, z]))
    except ArithmeticError:
        return None
    return z


def _answer(reaction: MixedComplementarity, start: np.ndarray | None) -> np.ndarray | None:
    """An answer of the followers, searched from ``start`` and from the Vars' own values."""
    for begin in (start, None) if start is not None else (None,):
        z, outcome = newton.solve(reaction, begin, iterations=60)
        if outcome.ok:
            return z
    return None


def _searched(
    programme: _Programme, begin: tuple[np.ndarray, np.ndarray], scale: scholtes.Scale, relaxed: bool
) -> list[Point | None]:
    """The local optima that a start leads to: by branches alone, and by way of the homotopy."""
    found = [_settle(programme, *begin, scale)]
    if not relaxed:
        return found
    y = scholtes.descend(programme, np.concatenate(begin), scale)
    if y is not None:
        x, z = y[: programme.d], y[programme.d :]
        answer = _answer(programme.reaction(x), z)
        found.append(None if answer is None else _settle(programme, x, answer, scale))
    return found


def _settle(programme: _Programme, x: np.ndarray, z: np.ndarray, scale: scholtes.Scale, most: int = 60) -> Point | None:
    """From (x, z) over the branches that meet on the way to a point that is best on all of them; at most ``most``."""
    best: Point | None = None
    place, moved = (x, z), True
    visited: set[bytes] = set()
    limits = programme.lower[: programme.d], programme.upper[: programme.d]
    random = np.random.default_rng(0)
    while moved and len(visited) < most:
        moved = False
        for pattern in meeting(programme.reaction, *place, *limits, scale.column[: programme.d], random):
            if pattern.tobytes() in visited:
                continue
            visited.add(pattern.tobytes())
            found = scholtes.minimise(_OnBranch(programme, pattern), np.concatenate(place), scale)
            points = [p for p in (_checked(programme, y) for y in found) if p is not None]
            point = min(points, key=lambda p: p.cost, default=None)
            if point is not None and (best is None or point.cost < best.cost - BETTER * scale.cost):
                best, place, moved = point, (point.x, point.z), True
                break
    return best


def _checked(programme: _Programme, y: np.ndarray) -> Point | None:
    """The followers' problem solved again at the decision, near the answer given; None if that is no answer, or not
    allowed by the leader's own rows."""
    x = y[: programme.d]
    reaction = programme.reaction(x)
    z = newton.polish(reaction, y[programme.d :])
    if not reaction.error(z) <= RESIDUAL:
        return None
    point = np.concatenate([x, z])
    value, size = programme.rows(point)[programme.n :], programme.sizes(point)[programme.n :]
    broken = np.maximum(0.0, np.maximum(programme.low - value, value - programme.up))
    if (broken > FEASIBLE * np.maximum(size, 1e-300)).any():
        return None
    return Point(x, z, programme.payoff(x, z))


class _Programme:
    """The leader's problem over y = (x, z) in the form that ``scholtes`` asks for, other leaders' decisions fixed."""

    def __init__(self, conditions: Symbolic, which: int, own: np.ndarray, x: np.ndarray) -> None:
        self.conditions, self.leader = conditions, conditions.leaders[which]
        layout = conditions.layout
        mine = [conditions.ahead[j] for j in own]
        others = np.setdiff1d(np.arange(len(x)), own)
        for j in others:
            conditions.ahead[j].fix(float(x[j]), skip_validation=True)
        bounds = [v.bounds for v in mine]
        low = [-np.inf if b[0] is None else b[0] for b in bounds]
        up = [np.inf if b[1] is None else b[1] for b in bounds]
        self.d, self.n = len(mine), len(layout.names)
        self.columns: list[VarData | None] = [*mine, *conditions.variables]
        self.lower, self.upper = np.array([*low, *layout.lower]), np.array([*up, *layout.upper])
        self.paired = self.d + np.arange(self.n)
        rows, own_rows = self._state()
        for variable in self.columns:
            if variable is not None and variable.value is None:
                variable.set_value(0.0, skip_validation=True)
        self.nlp = derivatives.compiled(conditions.model)
        self._place(rows, own_rows)

    def _state(self) -> tuple[dict[int, object], list[object]]:
        """Put the conditions and the leader's problem on the clone: (row of each condition, the leader's rows)."""
        model, constant = self.conditions.model, np.zeros(self.n)
        kept = list(self.leader.constraints)
        for kind in (pyo.Objective, pyo.Constraint):
            for data in list(model.component_data_objects(kind, active=True)):
                data.deactivate()
        for component in list(model.component_objects(active=True)):
            if component.ctype.__name__ in ("Complementarity", "ComplementarityList"):
                component.deactivate()
        model.programme = pyo.Block()
        model.programme.cost = pyo.Objective(expr=self.leader.sign * self.leader.objective.expr)
        model.programme.row = pyo.ConstraintList()
        rows: dict[int, object] = {}
        for index, expression in enumerate(self.conditions.expressions):
            symbol = hasattr(expression, "args") or isinstance(expression, VarData)
            if symbol and any(True for _ in identify_variables(expression, include_fixed=False)):
                rows[index] = model.programme.row.add(expression == 0)
            else:
                constant[index] = float(pyo.value(expression))
        self.constant = constant
        for row in kept:
            row.activate()
        return rows, kept

    def _place(self, rows: dict[int, object], own: list[object]) -> None:
        """Where the columns and rows of the file for ASL are in ours."""
        known = {id(v): k for k, v in enumerate(self.nlp.get_pyomo_variables())}
        number = {id(c): k for k, c in enumerate(self.nlp.get_pyomo_constraints())}
        self.ours = np.array([k for k, v in enumerate(self.columns) if v is not None and id(v) in known], dtype=int)
        self.theirs = np.array([known[id(self.columns[k])] for k in self.ours], dtype=int)
        seen = [k for k, row in enumerate(own) if id(row) in number]  # others hold no free Var
        self.row = np.array([*rows, *(self.n + k for k in range(len(seen)))], dtype=int)
        self.their_row = np.array([number[id(r)] for r in (*rows.values(), *(own[k] for k in seen))], dtype=int)
        lb, ub = self.nlp.constraints_lb(), self.nlp.constraints_ub()
        self.shift = np.where(self.row < self.n, lb[self.their_row], 0.0)
        last = self.their_row[len(rows) :]
        self.low, self.up = lb[last], ub[last]
        our_row, our_column = np.zeros(len(lb), dtype=int), np.zeros(self.nlp.n_primals(), dtype=int)
        our_row[self.their_row], our_column[self.theirs] = self.row, self.ours
        jacobian, curved = self._pattern()
        self.jacobian_pattern = (our_row[jacobian.row], our_column[jacobian.col])
        i, j = our_column[curved.row], our_column[curved.col]
        self.below = np.flatnonzero(i >= j)
        self.curvature_pattern = (i[self.below], j[self.below])

    def _pattern(self) -> tuple[sp.coo_array, sp.coo_array]:
        """First and second derivatives at the Vars' values or, where they have none there, at points inside the
        bounds. Raises Refused where none was found."""
        given, random = self.nlp.get_primals(), np.random.default_rng(0)
        low, up = self.nlp.primals_lb(), self.nlp.primals_ub()
        low = np.where(np.isfinite(low), low, np.where(np.isfinite(up), up - 1, given - 1))
        up = np.where(np.isfinite(up), up, low + 2)
        for attempt in range(20):
            self.nlp.set_primals(given if attempt == 0 else random.uniform(low, up))
            try:
                return derivatives.jacobian(self.nlp), derivatives.curvature(self.nlp)
            except ArithmeticError:
                continue
        raise Refused(NO_SLOPE)

    def _load(self, y: np.ndarray) -> None:
        primals = np.zeros(self.nlp.n_primals())
        primals[self.theirs] = y[self.ours]
        self.nlp.set_primals(primals)

    def cost(self, y: np.ndarray) -> float:
        """The leader's minimised payoff."""
        self._load(y)
        return float(self.nlp.evaluate_objective())

    def slope(self, y: np.ndarray) -> np.ndarray:
        """Its gradient."""
        self._load(y)
        found = np.zeros(len(y))
        found[self.ours] = derivatives.gradient(self.nlp)[self.theirs]
        return found

    def rows(self, y: np.ndarray) -> np.ndarray:
        """The followers' conditions and the leader's rows."""
        self._load(y)
        found = np.concatenate([self.constant, np.zeros(len(self.low))])
        found[self.row] = self.nlp.evaluate_constraints()[self.their_row] - self.shift
        return found

    def jacobian(self, y: np.ndarray) -> np.ndarray:
        """Entries of the derivatives of the rows."""
        self._load(y)
        return np.array(derivatives.jacobian(self.nlp).data)

    def curvature(self, y: np.ndarray, factor: float, multipliers: np.ndarray) -> np.ndarray:
        """Entries of the second derivatives of the Lagrange function."""
        self._load(y)
        duals = np.zeros(self.nlp.n_constraints())
        duals[self.their_row] = multipliers[self.row]
        self.nlp.set_duals(duals)
        self.nlp.set_obj_factor(factor)
        return np.array(derivatives.curvature(self.nlp).data)[self.below]

    def table(self, y: np.ndarray) -> sp.csr_array:
        """Derivatives of the rows as a matrix."""
        return sp.csr_array((self.jacobian(y), self.jacobian_pattern), shape=(self.n + len(self.low), len(y)))

    def onto_own_equalities(self, x: np.ndarray) -> np.ndarray:
        """The nearest decisions at which the leader's equalities among its own decisions hold (exact if linear)."""
        row, column = self.jacobian_pattern
        mixed = np.isin(np.arange(len(self.low)), row[column >= self.d] - self.n)
        equal = (self.low == self.up) & ~mixed
        if not equal.any():
            return x
        y = np.concatenate([x, self._neutral()])
        table = self.table(y)[self.n :].toarray()
        off = self.rows(y)[self.n :][equal] - self.low[equal]
        moved: np.ndarray = x - np.linalg.lstsq(table[equal][:, : self.d], off, rcond=None)[0]
        return moved

    def sizes(self, y: np.ndarray) -> np.ndarray:
        """How large the terms of every row are at y."""
        return abs(self.table(y)) @ np.abs(y) + np.abs(self.rows(y))

    def reaction(self, x: np.ndarray) -> MixedComplementarity:
        """The followers' problem once x is decided."""
        layout, d, n = self.conditions.layout, self.d, self.n

        def function(z: np.ndarray) -> np.ndarray:
            return self.rows(np.concatenate([x, z]))[:n]

        def derivative(z: np.ndarray) -> Matrix:
            part = self.table(np.concatenate([x, z]))[:n, d:]
            return part if n > DENSE else part.toarray()

        found = MixedComplementarity(
            layout.names,
            np.array(layout.kind),
            np.array(layout.player),
            layout.components,
            self.lower[d:],
            self.upper[d:],
            function=function,
            derivative=derivative,
        )
        found.start = self._neutral()
        found.terms = abs(self.table(np.concatenate([x, found.interior()]))[:n, :d]) @ np.abs(x)
        return found

    def _neutral(self) -> np.ndarray:
        """Followers' columns to begin with: the Vars' values, inside the bounds where they have none."""
        given = np.array(self.conditions.layout.start)
        lower, upper = self.lower[self.d :], self.upper[self.d :]
        given = np.where((given == lower) | (given == upper), np.nan, given)  # slopes may have no value on a bound
        low = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper - 1.0, 0.0))
        up = np.where(np.isfinite(upper), upper, low + 1.0)
        middle = np.where(np.isfinite(lower) | np.isfinite(upper), 0.5 * (low + up), 0.0)
        return np.clip(np.where(np.isnan(given), middle, given), lower, upper)

    def scale(self, begins: list[tuple[np.ndarray, np.ndarray]]) -> scholtes.Scale:
        """Sizes of columns, rows and cost over the points that the searches begin from."""
        width = (self.upper - self.lower)[: self.d]
        moved = np.max([np.abs(x) for x, _ in begins], axis=0)
        moved = np.maximum(moved, 1e-6 * moved.max(initial=0.0) or 1.0)
        decisions = np.where(np.isfinite(width) & (width > 0), width, moved)
        column = np.concatenate([decisions, np.max([self.reaction(x).scales(z)[0] for x, z in begins], axis=0)])
        points = [np.concatenate(begin) for begin in begins]
        row = np.max([abs(self.table(y)) @ column + np.abs(self.rows(y)) for y in points], axis=0)
        worth = max(float(np.abs(self.slope(y)) @ column) for y in points)
        return scholtes.Scale(column, np.where(row > 0, row, 1.0), worth if worth > 0 else 1.0)

    def reach(self, x: np.ndarray, z: np.ndarray | None) -> np.ndarray:
        """For every decision what moves the followers' rows by their own size at (x, z), for one that they do not see
        the largest decision of anybody; at least the decision's own size."""
        z = self._neutral() if z is None else z
        y = np.concatenate([x, z])
        table, size = abs(self.table(y)[: self.n, : self.d]).toarray(), self.sizes(y)[: self.n]
        decided = z[np.array(self.conditions.layout.kind) == DECISION]
        unseen = float(np.abs(np.concatenate([x, decided])).max(initial=0.0)) or 1.0
        found = np.maximum(np.abs(x), 1e-6 * unseen)
        for k in range(self.d):
            rows = table[:, k] > 0
            found[k] = max(found[k], float(np.median(size[rows] / table[rows, k])) if rows.any() else unseen)
        return found

    def payoff(self, x: np.ndarray, z: np.ndarray) -> float:
        """The leader's minimised payoff computed by Pyomo on its own expression."""
        for variable, value in zip(self.columns, np.concatenate([x, z]), strict=True):
            if variable is not None:
                variable.set_value(float(value), skip_validation=True)
        return float(self.leader.sign * pyo.value(self.leader.objective.expr))


class _OnBranch:
    """A programme with one side of every pair held: smooth, nothing paired."""

    def __init__(self, programme: _Programme, pattern: np.ndarray) -> None:
        d = programme.d
        self.lower, self.upper = programme.lower.copy(), programme.upper.copy()
        self.upper[d:][pattern == LOW] = self.lower[d:][pattern == LOW]
        self.lower[d:][pattern == HIGH] = self.upper[d:][pattern == HIGH]
        held = programme.lower[d:] >= programme.upper[d:]
        self.low = np.concatenate([np.where((pattern == HIGH) | held, -np.inf, 0.0), programme.low])
        self.up = np.concatenate([np.where((pattern == LOW) | held, np.inf, 0.0), programme.up])
        self.paired = np.zeros(0, dtype=int)
        self.jacobian_pattern, self.curvature_pattern = programme.jacobian_pattern, programme.curvature_pattern
        self.cost, self.slope, self.rows = programme.cost, programme.slope, programme.rows
        self.jacobian, self.curvature = programme.jacobian, programme.curvature
