"""A lone planner's convex programme by an interior point alone: quick, accurate to some 1e-8, and not certified.

For choices that are no equilibrium matter, such as which of many equally good answers is reported; whoever uses it
checks what has to hold exactly.
"""

from __future__ import annotations

import pyomo.environ as pyo

from .errors import Refused, SolverMissing
from .formulations import potential
from .players import find_game
from .solution import derive
from .solvers import clarabel
from .solvers.outcome import Outcome


def minimise(model: pyo.ConcreteModel) -> Outcome:
    """Solve ``model`` and write its Vars. Raises SolverMissing without Clarabel, Refused where it finds no point or the
    programme is not convex."""
    if not clarabel.available():
        raise SolverMissing("this needs Clarabel: pip install clarabel")
    mcp = derive(find_game(model))
    found = potential.find(mcp)
    if found is None:
        raise Refused("this programme is not convex quadratic")
    x, _, outcome = clarabel.minimise(found.programme)
    if not outcome.ok:
        raise Refused(f"no point was found: {outcome.message}")
    for value, column in zip(x, found.variables, strict=True):
        mcp.components[column].set_value(float(value), skip_validation=True)
    return outcome
