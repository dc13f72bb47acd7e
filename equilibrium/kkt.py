"""The same conditions as ``conditions.affine`` for nonlinear models: Pyomo's ``core.kkt`` and derivatives by ASL.

This module stands between the package and the traps of that route. It works on a clone; turns maximisers into
minimisers first (``core.kkt`` on a maximise objective writes a file that kills the process); keeps bounds out of the
transformation (it freezes their numbers, and bounds stay bounds here); computes what each player takes as given
before anything is transformed; refuses whole numbers (they would be relaxed without a word) and rows that none of the
player's Vars enter (their multipliers are undetermined); retires the originals; and gives every multiplier the name
of its row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.common.collections import ComponentSet
from pyomo.core.base.var import VarData
from pyomo.core.expr.calculus.diff_with_pyomo import DifferentiationException
from pyomo.core.expr.visitor import identify_variables

from . import derivatives
from .conditions import Layout, NotAffine, Reader, lay_out, sides, starting_point
from .doctor import have_nonlinear
from .errors import Refused, SolverMissing
from .hierarchy import split
from .matching import match, orientation
from .mcp import DENSE, OUTSIDE, SHARED, Matrix, MixedComplementarity
from .players import Game, Player, find_game
from .scenarios import as_number


@dataclass(frozen=True)
class Symbolic:
    """The joint conditions as expressions of a clone: for every column of ``layout`` its Var (None: it enters nothing)
    and its row. ``model`` is the clone, ``leaders`` and ``ahead`` its players that move earlier and their Vars."""

    model: pyo.ConcreteModel
    layout: Layout
    expressions: list[Any]
    variables: list[VarData | None]
    leaders: tuple[Player, ...]
    ahead: tuple[VarData, ...]


def nonlinear(game: Game, x: np.ndarray | None = None) -> MixedComplementarity:
    """The joint conditions of ``game`` with F and its Jacobian evaluated by ASL. Raises SolverMissing where that is
    absent.

    x: what earlier movers have decided, where there are any (``game.ahead``).
    """
    found = symbolic(game)
    if found.ahead:
        assert x is not None
        for variable, value in zip(found.ahead, x, strict=True):
            variable.fix(float(value), skip_validation=True)
    mcp = _problem(found.model, found.layout, found.expressions, found.variables)
    mcp.start = _inside(mcp)
    return _oriented(game, found.layout, mcp)


def symbolic(game: Game, reader: Callable[[], Reader] = Reader) -> Symbolic:
    """The joint conditions of ``game`` on a clone of its model, decisions of earlier movers as free symbols. Raises
    Refused and SolverMissing."""
    if not have_nonlinear():
        raise SolverMissing(
            "this model is nonlinear and needs Ipopt and the ASL library, which are not installed here; run "
            "'make setup' with a "
            "C++ compiler, or 'conda env create -f environment.yml' ('python solve.py --doctor' lists what is missing)"
        )
    layout = lay_out(game, _linear_rows(game, reader))
    copy = game.model.clone()
    twin = find_game(copy)
    leaders: tuple[Player, ...] = ()
    if game.ahead:
        hierarchy = split(twin)
        twin, leaders = hierarchy.followers, hierarchy.leaders
    _charge_shared(game, twin, layout)
    given = [
        twin.given(player) for player in twin.players
    ]  # with the shared multipliers and whatever their rows bring in
    expressions: list[Any] = [0.0] * len(layout.names)
    variables: list[VarData | None] = [None] * len(layout.names)
    absorbed = {id(row) for row, *_ in layout.absorbed} | layout.dropped
    for player, other in zip(game.players, twin.players, strict=True):
        for row, same in zip(player.constraints, other.constraints, strict=True):
            if id(row) in absorbed:
                same.deactivate()
            elif not any(v in ComponentSet(other.decisions) for v in identify_variables(same.body)):
                raise Refused(
                    f"the constraint {row.name} stands on the Block {player.name} but holds none of its decisions"
                )
    for k, (player, other) in enumerate(zip(game.players, twin.players, strict=True)):
        _transform(player, other, given[k], layout, expressions, variables, absorbed)
    _outside(game, twin, layout, expressions, variables)
    return Symbolic(copy, layout, expressions, variables, leaders, twin.ahead)


def _inside(mcp: MixedComplementarity) -> np.ndarray:
    """The start, moved off its bounds where some term has no value there (a logarithm of zero)."""
    assert mcp.start is not None
    room = np.where(np.isfinite(mcp.upper - mcp.lower), mcp.upper - mcp.lower, 2.0)
    for share in (0.0, 0.05, 0.5):
        z = np.clip(mcp.start, mcp.lower + share * room, mcp.upper - share * room)
        try:
            if np.isfinite(mcp.F(z)).all() and np.isfinite(mcp.jacobian(z).data).all():
                return z
        except ArithmeticError:
            continue
    raise Refused(
        "some term of this model has no value at the start (a logarithm or a power outside its domain?); give the Vars "
        "values at which everything is defined (initialize=), or bounds that keep them there"
    )


def _linear_rows(game: Game, make: Callable[[], Reader]) -> dict[int, Any]:
    reader, found = make(), {}
    for player in game.players:
        for row in player.constraints:
            try:
                repn = reader.read(row.body, row.name)
            except NotAffine:
                continue
            if not repn.quadratic:
                found[id(row)] = repn
    return found


def _charge_shared(game: Game, twin: Game, layout: Layout) -> None:
    """Charge every player the multiplier of each shared row (the variational equilibrium)."""
    equalities = _shared_equalities(game)
    for row, same in zip((*game.shared, *equalities), (*twin.shared, *_shared_equalities(twin)), strict=True):
        for side, sign, _ in sides(row):
            if (id(row), side) not in layout.multiplier:
                layout.multiplier[id(row), side] = layout.add(row.name, SHARED, -1, (row, side), -np.inf, np.inf, 0.0)
            price = pyo.Var(initialize=0.0)
            twin.model.add_component(f"shared_multiplier_{layout.multiplier[id(row), side]}", price)
            for player in twin.players:
                own = ComponentSet(player.decisions)
                if any(v in own for v in identify_variables(same.body)):
                    charge = player.sign * sign * price * same.body
                    player.objective.set_value(player.objective.expr - charge)


def _shared_equalities(game: Game) -> list[Any]:
    paired = {id(pair.variable) for pair in game.pairs}
    free = [v for v in game.variables if id(v) not in paired]
    if len(game.equations) == len(free):
        return []
    determined = set(_matching(game, free))
    return [row for k, row in enumerate(game.equations) if k not in determined]


def _transform(
    player: Player,
    other: Player,
    given: ComponentSet,
    layout: Layout,
    expressions: list[Any],
    variables: list[VarData | None],
    absorbed: set[int],
) -> None:
    objective = other.objective
    if objective.sense == pyo.maximize:
        objective.set_value(-objective.expr)
        objective.set_sense(pyo.minimize)
    # Where a derivative is a plain number core.kkt would state a row without anything in it; a Param of zero prevents
    # it.
    other.block.no_slope = pyo.Param(initialize=0.0, mutable=True)
    objective.set_value(objective.expr + other.block.no_slope * sum(other.decisions))
    for variable in other.decisions:
        variable.domain = pyo.Reals
        variable.setlb(None)
        variable.setub(None)
    nested = [
        b
        for b in other.block.block_data_objects(active=True, descend_into=True)
        if b is not other.block and _is_player(b)
    ]
    for block in nested:
        block.deactivate()
    order = _differentiated(other, given)
    used = ComponentSet(v for v in given if v in _appearing(other))
    logger = logging.getLogger("pyomo")
    level = logger.level
    logger.setLevel(logging.ERROR)
    kkt = pyo.TransformationFactory("core.kkt")
    try:
        kkt.apply_to(other.block, parameterize_wrt=used)
    except DifferentiationException as error:
        raise Refused(
            f"the payoff or a limit of {other.name} has a term without a known derivative: {error}"
        ) from error
    finally:
        logger.setLevel(level)
    for block in nested:
        block.activate()
    stationarity = list(other.block.kkt.stationarity_conditions.values())
    if len(stationarity) != len(order):
        raise Refused(f"core.kkt gave {len(stationarity)} conditions for {len(order)} decisions of {player.name}")
    column = {id(same): layout.column[id(mine)] for mine, same in zip(player.decisions, other.decisions, strict=True)}
    for mine, same in zip(player.decisions, other.decisions, strict=True):
        variables[layout.column[id(mine)]] = same
    for variable, row in zip(order, stationarity, strict=True):
        expressions[column[id(variable)]] = row.body
    for mine, same in zip(player.constraints, other.constraints, strict=True):
        if id(mine) in absorbed:
            continue
        found = kkt.get_multiplier_from_object(other.block, same)
        multipliers = (
            dict(zip(("lower", "upper"), found, strict=True)) if isinstance(found, tuple) else {"equal": found}
        )
        for side, sign, limit in sides(mine):
            index = layout.multiplier[id(mine), side]
            variables[index] = multipliers[side]
            expressions[index] = sign * (same.body - limit)
    other.block.kkt.deactivate()


def _is_player(block: Any) -> bool:
    return any(True for _ in block.component_data_objects(pyo.Objective, active=True, descend_into=False))


def _appearing(player: Player) -> ComponentSet:
    """Vars in the order in which ``core.kkt`` meets them: the objective first, then the active constraints."""
    seen = ComponentSet(identify_variables(player.objective.expr, include_fixed=True))
    for row in player.block.component_data_objects(pyo.Constraint, active=True, descend_into=True):
        seen.update(identify_variables(row.body, include_fixed=True))
    return seen


def _differentiated(player: Player, given: ComponentSet) -> list[VarData]:
    return [v for v in _appearing(player) if v not in given and not v.fixed]


def _matching(game: Game, free: list[VarData]) -> dict[int, int]:
    """Equality rows and the free Vars they determine, by which Vars meet where (coefficients are not constant here)."""
    terms = [{id(v): 1.0 for v in identify_variables(row.body, include_fixed=False)} for row in game.equations]
    entered: list[dict[int, float]] = [{} for _ in free]
    position = {id(v): k for k, v in enumerate(free)}
    for player in game.players:
        seen = [
            v
            for part in (player.objective, *player.constraints)
            for v in identify_variables(part.expr, include_fixed=False)
        ]
        for variable in seen:
            if id(variable) in position:
                entered[position[id(variable)]].update({id(v): 1.0 for v in player.decisions})
    return match(
        [r.name for r in game.equations],
        terms,
        [v.name for v in free],
        entered,
        [id(v) for v in free],
        [not game.shareable(row) for row in game.equations],
    )


def _oriented(game: Game, layout: Layout, mcp: MixedComplementarity) -> MixedComplementarity:
    """The problem with its equality rows in the order and with the signs of ``orient``."""
    assert mcp.start is not None and mcp.function is not None and mcp.derivative is not None
    source, sign = orient(game, layout, sp.coo_array(mcp.jacobian(mcp.start)))
    function, derivative = mcp.function, mcp.derivative
    if (source != np.arange(mcp.size)).any() or (sign != 1).any():
        mcp.function = lambda z: sign * function(z)[source]
        mcp.derivative = lambda z: rescaled(derivative(z)[source], sign)
    return mcp


def orient(game: Game, layout: Layout, jacobian: sp.coo_array) -> tuple[np.ndarray, np.ndarray]:
    """(which row stands where, its sign): equality rows and free Vars matched again by the derivatives at some point,
    each row with the sign that makes it skew."""
    size = len(layout.names)
    source, sign = np.arange(size), np.ones(size)
    paired = {id(pair.variable) for pair in game.pairs}
    free = [layout.column[id(v)] for v in game.variables if id(v) not in paired]
    if not free or not np.isfinite(jacobian.data).all():
        return source, sign
    position = {c: k for k, c in enumerate(free)}
    terms: list[dict[int, float]] = [{} for _ in free]
    entered: list[dict[int, float]] = [{} for _ in free]
    for i, j, value in zip(*jacobian.coords, jacobian.data, strict=True):
        if value and i in position:
            terms[position[i]][j] = value
        elif value and j in position:
            entered[position[j]][i] = value
    names = [layout.names[c] for c in free]
    try:
        chosen = match(names, terms, names, entered, free, [True] * len(free))
    except Refused:  # a derivative vanishes at the start: keep the match by what stands in the rows
        return source, sign
    for k, v in chosen.items():
        source[free[v]] = free[k]
        sign[free[v]] = orientation(terms[k], entered[v], free[v])
    return source, sign


def rescaled(matrix: Matrix, factor: np.ndarray) -> Matrix:
    """A matrix with its rows multiplied by factors, dense or sparse as it came."""
    return factor[:, None] * matrix if isinstance(matrix, np.ndarray) else sp.csr_array(sp.diags_array(factor) @ matrix)


def _outside(game: Game, twin: Game, layout: Layout, expressions: list[Any], variables: list[VarData | None]) -> None:
    for mine, same in zip(game.variables, twin.variables, strict=True):
        variables[layout.column[id(mine)]] = same
    for pair, same in zip(game.pairs, twin.pairs, strict=True):
        expressions[layout.column[id(pair.variable)]] = same.body
    for row, same in zip(
        (*game.shared, *_shared_equalities(game)), (*twin.shared, *_shared_equalities(twin)), strict=True
    ):
        for side, sign, limit in sides(row):
            index = layout.multiplier[id(row), side]
            variables[index] = twin.model.component(f"shared_multiplier_{index}")
            expressions[index] = sign * (same.body - limit)
    paired = {id(pair.variable) for pair in game.pairs}
    free = [v for v in game.variables if id(v) not in paired]
    for k, v in _matching(game, free).items():
        row = game.equations[k]
        limit = as_number(row.ub)
        expressions[layout.column[id(free[v])]] = twin.equations[k].body - limit


def _matrix(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n: int) -> Matrix:
    if n > DENSE:
        return sp.csr_array((values, (rows, columns)), shape=(n, n))
    matrix = np.zeros((n, n))
    np.add.at(matrix, (rows, columns), values)
    return matrix


def _problem(
    copy: pyo.ConcreteModel, layout: Layout, expressions: list[Any], variables: list[VarData | None]
) -> MixedComplementarity:
    lower, upper = np.array(layout.lower), np.array(layout.upper)
    start = starting_point(layout, lower, upper)
    for kind in (pyo.Objective, pyo.Constraint):
        for data in list(copy.component_data_objects(kind, active=True)):
            data.deactivate()
    for component in list(copy.component_objects(active=True)):
        if component.ctype.__name__ in ("Complementarity", "ComplementarityList"):
            component.deactivate()
    copy.conditions = pyo.Block()
    copy.conditions.nothing = pyo.Objective(expr=0.0)
    copy.conditions.row = pyo.ConstraintList()
    rows, constant = {}, np.zeros(len(expressions))
    for index, expression in enumerate(expressions):
        symbolic = hasattr(expression, "args") or isinstance(expression, VarData)
        if symbolic and any(True for _ in identify_variables(expression, include_fixed=False)):
            rows[index] = copy.conditions.row.add(expression == 0)
        else:
            constant[index] = float(pyo.value(expression))
    for variable, value in zip(variables, start, strict=True):
        if variable is not None:
            variable.set_value(float(value), skip_validation=True)
    nlp = derivatives.compiled(copy)
    known = {id(v): k for k, v in enumerate(nlp.get_pyomo_variables())}
    place = {id(c): k for k, c in enumerate(nlp.get_pyomo_constraints())}
    ours = np.array([i for i, v in enumerate(variables) if v is not None and id(v) in known], dtype=int)
    theirs = np.array([known[id(variables[i])] for i in ours], dtype=int)
    mine = np.array(list(rows), dtype=int)
    their_rows = np.array([place[id(rows[i])] for i in mine], dtype=int)
    shift = nlp.constraints_lb()[their_rows]
    n = len(expressions)
    our_row, our_column = np.zeros(nlp.n_constraints(), dtype=int), np.zeros(nlp.n_primals(), dtype=int)
    our_row[their_rows], our_column[theirs] = mine, ours

    # The last point is remembered: residual, scales and Newton step ask for it one after the other.
    last: dict[str, Any] = {}

    def load(z: np.ndarray) -> None:
        if "z" not in last or not np.array_equal(last["z"], z):
            x = np.zeros(nlp.n_primals())
            x[theirs] = z[ours]
            nlp.set_primals(x)
            last.clear()
            last["z"] = z.copy()

    def function(z: np.ndarray) -> np.ndarray:
        load(z)
        if "value" not in last:
            value = constant.copy()
            value[mine] = nlp.evaluate_constraints()[their_rows] - shift
            last["value"] = value
        return last["value"].copy()

    def derivative(z: np.ndarray) -> Matrix:
        load(z)
        if "matrix" not in last:
            found = derivatives.jacobian(nlp)
            last["matrix"] = _matrix(our_row[found.row], our_column[found.col], found.data, n)
        return last["matrix"]

    return MixedComplementarity(
        layout.names,
        np.array(layout.kind),
        np.array(layout.player),
        layout.components,
        lower,
        upper,
        function=function,
        derivative=derivative,
        absorbed=layout.absorbed,
        start=start,
    )


__all__ = ["OUTSIDE", "Symbolic", "nonlinear", "symbolic"]
