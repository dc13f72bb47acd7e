"""The players' conditions as one mixed complementarity problem, read off Pyomo's own representations.

Signs. Every player is turned into a minimiser. A row ``g(x) >= 0`` has a multiplier ``m >= 0``, the amount its payoff
would gain from one more unit of slack; L = f - m g. So stationarity is ``grad f - m grad g`` and the row itself is
``g``: the pair is skew, and convex players with cleared prices give a monotone problem whichever way the model was
written.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import scipy.sparse as sp
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.var import VarData
from pyomo.repn.quadratic import QuadraticRepn, QuadraticRepnVisitor
from pyomo.repn.util import OrderedVarRecorder

from .errors import Infeasible, Refused
from .matching import match, orientation
from .mcp import DECISION, MULTIPLIER, OUTSIDE, SHARED, MixedComplementarity, Names
from .players import Game, Player
from .scenarios import as_number, larger, smaller, typical
from .tolerances import FEASIBLE

AHEAD = 1 << 40
"""Column numbers from here on are decisions of earlier movers, which have no row of their own."""


class NotAffine(Exception):
    """Some condition is not affine; the message names the first part that is not."""


class Reader:
    """Reads expressions into linear and quadratic terms, with one numbering of the Vars.

    numbers: what the coefficients are, ``float``, or ``object`` where Params hold one number per scenario.
    """

    def __init__(
        self, visitor: type[QuadraticRepnVisitor] = QuadraticRepnVisitor, numbers: type[float] | type[object] = float
    ) -> None:
        self.variables: dict[int, VarData] = {}
        self.visitor = visitor({}, var_recorder=OrderedVarRecorder(self.variables, {}, None))
        self.numbers = numbers

    def read(self, expression: Any, what: str) -> QuadraticRepn:
        """Linear and quadratic terms by id of the Vars. Raises NotAffine, naming ``what``, if there are others, and
        Refused where it has no finite value (a division by zero)."""
        try:
            kind = self.visitor.walk_expression(expression)
        except (ZeroDivisionError, NameError) as error:  # Pyomo trips over its own report of a division by zero
            raise Refused(
                f"{what} divides by zero; a demand without slope has no inverse, and firms that set quantities against "
                "it could ask any price"
            ) from error
        if kind.nonlinear is not None:
            raise NotAffine(what)
        return kind


@dataclass
class Layout:
    """Which column is which, shared by the affine and the nonlinear derivation so that the two can be compared."""

    names: Names
    kind: list[int]
    player: list[int]
    components: list[Any]
    lower: list[float]
    upper: list[float]
    column: dict[int, int]  # id(Var) -> column
    multiplier: dict[tuple[int, str], int]  # (id(constraint), side) -> column
    absorbed: list[tuple[Any, int, float, str, float]]
    start: list[float]
    dropped: set[int] = field(default_factory=set)  # id(constraint) that no free Var enters, and that holds

    def add(self, name: Any, kind: int, player: int, component: Any, lower: float, upper: float, start: float) -> int:
        """Append a column; returns its number. name: a text, or what ``Names`` can ask for one."""
        self.names.append(name)
        self.kind.append(kind)
        self.player.append(player)
        self.components.append(component)
        self.lower.append(lower)
        self.upper.append(upper)
        self.start.append(start)
        return len(self.names) - 1


def sides(row: ConstraintData) -> list[tuple[str, float, float]]:
    """A constraint as rows ``sign * (body - limit) >= 0`` (or ``= 0``): (side, sign, limit), side in equal, lower,
    upper."""
    if row.equality:
        return [("equal", 1.0, as_number(row.ub))]
    low, up = row.lb, row.ub  # each is evaluated when asked for
    found = []
    if low is not None:
        found.append(("lower", 1.0, as_number(low)))
    if up is not None:
        found.append(("upper", -1.0, as_number(up)))
    return found


def affine(game: Game) -> MixedComplementarity:
    """The joint conditions of ``game`` as arrays. Raises NotAffine, or Refused where a system is not square or
    integer."""
    return _assemble(*collect(game, Reader()), len(game.ahead))


def collect(game: Game, reader: Reader) -> tuple[Layout, Entries]:
    """Columns and coefficients of the joint conditions, with the numbers of ``reader``. Raises as ``affine``."""
    rows = {id(c): reader.read(c.body, c.name) for p in game.players for c in p.constraints}
    layout = lay_out(game, {key: repn for key, repn in rows.items() if not repn.quadratic})
    entries = Entries(reader.numbers)
    for player in game.players:
        _stationarity(player, reader, layout, entries)
        own = {id(v) for v in player.decisions}
        for row in player.constraints:
            repn = rows[id(row)]
            if repn.quadratic:
                raise NotAffine(row.name)
            _own_row(player, own, row, repn, layout, entries)
    for shared in game.shared:
        _shared_row(game, shared, reader, layout, entries)
    for pair in game.pairs:
        repn = reader.read(pair.body, pair.name)
        if repn.quadratic:
            raise NotAffine(pair.name)
        _fill(entries, layout.column[id(pair.variable)], repn, layout)
    equations = []
    for row in game.equations:
        repn = reader.read(row.body, row.name)
        if repn.quadratic:
            raise NotAffine(row.name)
        equations.append((row, repn))
    _equations(game, equations, layout, entries)
    return layout, entries


def lay_out(game: Game, linear_rows: dict[int, QuadraticRepn]) -> Layout:
    """Number the columns: each player's decisions and multipliers, then what stands outside.

    A constraint that is a plain limit on one own Var becomes a bound (bounds stay bounds) and is remembered in
    ``absorbed``.
    """
    layout = Layout(Names(), [], [], [], [], [], {}, {}, [], [])
    for j, variable in enumerate(game.ahead):
        layout.column[id(variable)] = AHEAD + j
    for i, player in enumerate(game.players):
        for variable in player.decisions:
            if not variable.is_continuous():
                raise Refused(
                    f"{player.name} decides the {'binary' if variable.is_binary() else 'integer'} {variable.name}; "
                    "conditions "
                    "of optimality do not see whole numbers, and relaxing it silently would give a wrong answer"
                )
            low, up = variable.bounds
            layout.column[id(variable)] = layout.add(
                variable,
                DECISION,
                i,
                variable,
                -math.inf if low is None else low,
                math.inf if up is None else up,
                _initial(variable),
            )
        own = {id(v) for v in player.decisions}
        for row in player.constraints:
            repn = linear_rows.get(id(row))
            if repn is not None and (_holds(row, repn, layout) or _absorb(row, repn, own, layout)):
                continue
            for side, _, _ in sides(row):
                layout.multiplier[id(row), side] = layout.add(
                    (row, side),
                    MULTIPLIER,
                    i,
                    (row, side),
                    -math.inf if side == "equal" else 0.0,
                    math.inf,
                    0.0,
                )
    paired = {id(pair.variable): pair for pair in game.pairs}
    for variable in game.variables:
        pair = paired.get(id(variable))
        low, up = (-math.inf, math.inf) if pair is None else (pair.lower, pair.upper)
        layout.column[id(variable)] = layout.add(variable, OUTSIDE, -1, variable, low, up, _initial(variable))
    for row in game.shared:
        for side, _, _ in sides(row):
            layout.multiplier[id(row), side] = layout.add((row, side), SHARED, -1, (row, side), 0.0, math.inf, 0.0)
    _uncross(layout)
    return layout


def _uncross(layout: Layout) -> None:
    """Limits that cross by rounding alone (x >= 0.1 + 0.2 and x <= 0.3) meet in the middle; others stay and are
    reported."""
    for k, (low, up) in enumerate(zip(layout.lower, layout.upper, strict=True)):
        if up < low <= up + FEASIBLE * max(abs(low), abs(up)):
            layout.lower[k] = layout.upper[k] = 0.5 * (low + up)


def _initial(variable: VarData) -> float:
    return float(variable.value) if variable.value is not None else math.nan


def _holds(row: ConstraintData, repn: QuadraticRepn, layout: Layout) -> bool:
    """Whether no free Var enters the row; it then must hold by itself."""
    if any(repn.linear.values()):
        return False
    for _, sign, limit in sides(row):
        gap = sign * (repn.constant - limit)
        wrong = abs(gap) if row.equality else -gap
        if wrong > FEASIBLE * max(1.0, abs(limit), abs(repn.constant)):
            raise Infeasible(
                f"the constraint {row.name} cannot hold: nothing free enters it, and it is off by {typical(wrong):g}"
            )
    layout.dropped.add(id(row))
    return True


def _absorb(row: ConstraintData, repn: QuadraticRepn, own: set[int], layout: Layout) -> bool:
    terms = [(v, c) for v, c in repn.linear.items() if c != 0.0]
    if len(terms) != 1 or terms[0][0] not in own:
        return False
    column, coefficient = layout.column[terms[0][0]], terms[0][1]
    for side, _, limit in sides(row):
        bound = (limit - repn.constant) / coefficient
        if side == "equal" or (side == "lower") == (coefficient > 0):
            layout.lower[column] = larger(layout.lower[column], bound)
        if side == "equal" or (side == "upper") == (coefficient > 0):
            layout.upper[column] = smaller(layout.upper[column], bound)
        layout.absorbed.append((row, column, coefficient, side, bound))
    return True


class Entries:
    """Coordinates of the affine map being collected, one by one or as arrays (rows, columns, values)."""

    def __init__(self, numbers: type[float] | type[object] = float) -> None:
        self.numbers = numbers
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[Any] = []
        self.blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.constant: dict[int, Any] = defaultdict(float)

    def add(self, row: int, column: int, value: Any) -> None:
        """One more coefficient; several of one place add up."""
        self.rows.append(row)
        self.columns.append(column)
        self.values.append(value)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows, columns, values)."""
        values = np.fromiter(self.values, self.numbers, len(self.values))
        single = (np.array(self.rows, dtype=int), np.array(self.columns, dtype=int), values)
        all_rows, all_columns, all_values = zip(*self.blocks, single, strict=True)
        return np.concatenate(all_rows), np.concatenate(all_columns), np.concatenate(all_values)


def _stationarity(player: Player, reader: Reader, layout: Layout, entries: Entries) -> None:
    repn = reader.read(player.objective.expr, player.objective.name)
    own = {id(v): layout.column[id(v)] for v in player.decisions}
    sign = player.sign
    for vid, value in repn.linear.items():
        if vid in own:
            entries.constant[own[vid]] += sign * value
    if not repn.quadratic or not own:
        return
    count = len(repn.quadratic)
    columns = np.fromiter(map(layout.column.__getitem__, chain.from_iterable(repn.quadratic)), int, 2 * count)
    values = sign * np.fromiter(repn.quadratic.values(), entries.numbers, count)
    first, second = columns.reshape(count, 2).T
    low, up = min(own.values()), max(own.values())  # the decisions of a player have consecutive numbers
    for row, other in ((first, second), (second, first)):
        mine = (low <= row) & (row <= up)
        entries.blocks.append((row[mine], other[mine], values[mine]))


def _fill(
    entries: Entries, target: int, repn: QuadraticRepn, layout: Layout, sign: float = 1.0, limit: float = 0.0
) -> None:
    for vid, value in repn.linear.items():
        entries.add(target, layout.column[vid], sign * value)
    entries.constant[target] += sign * (repn.constant - limit)


def _own_row(
    player: Player, own: set[int], row: ConstraintData, repn: QuadraticRepn, layout: Layout, entries: Entries
) -> None:
    mine = [vid for vid in repn.linear if vid in own]
    for side, sign, limit in sides(row):
        column = layout.multiplier.get((id(row), side))
        if column is None:
            continue
        if not mine:
            raise Refused(
                f"the constraint {row.name} stands on the Block {player.name} but holds none of its decisions"
            )
        _fill(entries, column, repn, layout, sign, limit)
        for vid in mine:
            entries.add(layout.column[vid], column, -sign * repn.linear[vid])


def _shared_row(game: Game, row: ConstraintData, reader: Reader, layout: Layout, entries: Entries) -> None:
    repn = reader.read(row.body, row.name)
    if repn.quadratic:
        raise NotAffine(row.name)
    for side, sign, limit in sides(row):
        column = layout.multiplier[id(row), side]
        _fill(entries, column, repn, layout, sign, limit)
        for vid, value in repn.linear.items():
            entries.add(layout.column[vid], column, -sign * value)


def _equations(
    game: Game, equations: list[tuple[ConstraintData, QuadraticRepn]], layout: Layout, entries: Entries
) -> None:
    """Give every equality row outside the players the free Var it determines, and the sign that makes the pair skew."""
    paired = {id(pair.variable) for pair in game.pairs}
    free = [layout.column[id(v)] for v in game.variables if id(v) not in paired]
    by_column: dict[int, dict[int, float]] = defaultdict(dict)
    rows, columns, values = entries.arrays()
    enters = np.isin(columns, free)
    for i, j, value in zip(rows[enters].tolist(), columns[enters].tolist(), values[enters].tolist(), strict=True):
        by_column[j][i] = by_column[j].get(i, 0.0) + typical(value)
    terms = [
        {layout.column[vid]: typical(c) for vid, c in repn.linear.items() if c != 0.0 and layout.column[vid] < AHEAD}
        for _, repn in equations
    ]
    chosen = match(
        Names(row for row, _ in equations),
        terms,
        layout.names.of(free),
        [by_column[c] for c in free],
        free,
        # Where there are as many rows as Vars every row is needed, whether or not it could be shared.
        [len(equations) == len(free) or not game.shareable(row) for row, _ in equations],
    )
    for k, (row, repn) in enumerate(equations):
        limit = as_number(row.ub)
        if k in chosen:
            column = free[chosen[k]]
            _fill(entries, column, repn, layout, orientation(terms[k], by_column[column], column), limit)
        else:  # an equality over several players' Vars that no price clears: shared, one multiplier for all
            column = layout.add((row, "equal"), SHARED, -1, (row, "equal"), -math.inf, math.inf, 0.0)
            layout.multiplier[id(row), "equal"] = column
            _fill(entries, column, repn, layout, 1.0, limit)
            for vid, value in repn.linear.items():
                entries.add(layout.column[vid], column, -value)


def _assemble(layout: Layout, entries: Entries, ahead: int) -> MixedComplementarity:
    n = len(layout.names)
    rows, columns, values = entries.arrays()
    own, later = columns < AHEAD, columns >= AHEAD
    matrix = sp.csr_array((values[own], (rows[own], columns[own])), shape=(n, n))
    slope = sp.csr_array((values[later], (rows[later], columns[later] - AHEAD)), shape=(n, ahead))
    matrix.sum_duplicates()
    vector = np.zeros(n)
    for row, value in entries.constant.items():
        vector[row] = value
    bad = np.flatnonzero(~np.isfinite(vector) | ~np.isfinite(matrix.sum(axis=1)) | ~np.isfinite(slope.sum(axis=1)))
    if bad.size:
        raise Refused(f"the condition of {layout.names[bad[0]]} holds a number that is not finite (NaN or infinity)")
    lower, upper = np.array(layout.lower), np.array(layout.upper)
    return MixedComplementarity(
        layout.names,
        np.array(layout.kind),
        np.array(layout.player),
        layout.components,
        lower,
        upper,
        matrix,
        vector,
        absorbed=layout.absorbed,
        start=starting_point(layout, lower, upper),
        slope=slope if ahead else None,
    )


def starting_point(layout: Layout, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The Vars' own values where they have one, else a neutral point inside the bounds."""
    given = np.array(layout.start)
    low = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper - 1.0, 0.0))
    up = np.where(np.isfinite(upper), upper, low)
    return np.clip(np.where(np.isnan(given), 0.5 * (low + up), given), lower, upper)
