"""SCIP, an optional global solver: a second opinion on a player whose payoff is not concave.

``pip install pyscipopt`` brings it. Its default tolerances (1e-6) are kept: tighter ones end in errors. So it confirms
an optimum to about 1e-6 of the bill, or finds something better; it never replaces an answer.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pyomo.environ as pyo
from pyomo.core.expr.visitor import (
    ExpressionReplacementVisitor,
    identify_mutable_parameters,
    identify_variables,
)

from ..players import Player

AGREES = 1e-6
"""SCIP's own tolerance: how far it may go beyond a limit, and beyond an answer relative to the bill."""


def available() -> bool:
    """Whether SCIP can be called here."""
    return find_spec("pyscipopt") is not None


def minimum(player: Player, box: list[tuple[float, float]], time_limit: float = 5.0) -> tuple[float, float] | None:
    """(best found, bound below which it cannot fall) of the player's minimised payoff on ``box``.

    By spatial branch and bound, with others' Vars at their values. None where SCIP does not finish.
    """
    from pyomo.contrib.solver.common.factory import SolverFactory

    model = pyo.ConcreteModel()
    model.own = pyo.VarList()
    swap = {}
    for variable, (low, up) in zip(player.decisions, box, strict=True):
        copy = model.own.add()
        copy.setlb(low)
        copy.setub(up)
        copy.set_value(variable.value, skip_validation=True)
        swap[id(variable)] = copy
    expression = player.sign * player.objective.expr
    model.payoff = pyo.Objective(expr=_stated(expression, swap))
    model.limits = pyo.ConstraintList()
    for row in player.constraints:
        body = _stated(row.body, swap)
        if row.equality:
            model.limits.add(body == row.ub)
            continue
        if row.has_lb():
            model.limits.add(body >= row.lb)
        if row.has_ub():
            model.limits.add(body <= row.ub)
    try:
        solver = SolverFactory("scip_direct")
        # Silent, because the capture of output reads only between SCIP's calls: a long log fills the pipe, and both
        # wait for each other for ever.
        options = {"display/verblevel": 0}
        result = solver.solve(
            model, time_limit=time_limit, solver_options=options, raise_exception_on_nonoptimal_result=False
        )
        if result.objective_bound is None or not _feasible(model):
            return None
        return float(pyo.value(model.payoff)), float(result.objective_bound)
    except Exception:  # whatever an optional second opinion trips over, the answer stands on its own proof
        return None


def _feasible(model: pyo.ConcreteModel, tolerance: float = 1e-5) -> bool:
    """Whether what SCIP returned satisfies the rows: its word is not taken for it."""
    rows = [(row.lb, float(pyo.value(row.body)), row.ub) for row in model.limits.values()]
    low = all(lb is None or body >= lb - tolerance * max(1.0, abs(lb)) for lb, body, _ in rows)
    return low and all(ub is None or body <= ub + tolerance * max(1.0, abs(ub)) for _, body, ub in rows)


def _stated(expression: Any, swap: dict[int, Any]) -> Any:
    """The expression in copies of the player's Vars, with everybody else's Vars and all Params at their values.

    Nothing but numbers and the player's own Vars is left for the interface between Pyomo and SCIP to get wrong.
    """
    others = {id(v): v.value for v in identify_variables(expression, include_fixed=True) if id(v) not in swap}
    params = {id(p): p.value for p in identify_mutable_parameters(expression)}
    visitor = ExpressionReplacementVisitor(substitute={**others, **params, **swap}, remove_named_expressions=True)
    return visitor.walk_expression(expression)
