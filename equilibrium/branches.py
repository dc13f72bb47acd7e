"""A player whose payoff is not concave, solved through the branches its market names.

A branch holds some of the player's Vars at stated values so that the rest is a concave problem. The market proves
that every optimum lies on one of its branches; here each is solved, the best is kept and all are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyomo.environ as pyo
from pyomo.core.base.var import VarData

from .errors import Infeasible


@dataclass(frozen=True)
class Branch:
    """A name and the values at which Vars are held: a sequence of (Var, value).

    exhaustive: whether every optimum of the player is known to lie on one of the branches named with this one; where it
    is not, the answer is the best of candidates. single: why the game in which these values are held has one
    equilibrium, where theory says so (empty: the conditions have to show it). admissible: whether the model makes sense
    where its Vars are now; a deviation to where it does not proves nothing (None: it always does).
    """

    name: str
    held: Sequence[tuple[VarData, float]]
    exhaustive: bool = True
    single: str = ""
    admissible: Callable[[], bool] | None = None


@dataclass(frozen=True)
class Candidate:
    """What a branch gave: the player's payoff (its Objective, own sense), the values of its Vars, and the reason it
    is optimal there."""

    branch: str
    payoff: float
    values: Mapping[str, float]
    proof: str
    unique: bool  # whether the branch's own optimum was shown to be the only one
    seconds: float
    exhaustive: bool = True  # see Branch
    admissible: bool = True  # see Branch


def explore(
    model: pyo.ConcreteModel, branches: Sequence[Branch], solve: Callable[[pyo.ConcreteModel], tuple[str, bool, float]]
) -> tuple[list[Candidate], list[str]]:
    """(what the branches gave, best first; names of the branches on which nothing is feasible).

    ``solve`` writes values into the model and returns proof, uniqueness and seconds. The model is left with the Vars
    free again and the best candidate's values. Raises Infeasible if no branch has an answer.
    """
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    variables = [v for v in model.component_data_objects(pyo.Var) if not v.fixed]
    candidates, impossible = [], []
    for branch in branches:
        try:
            for variable, value in branch.held:
                variable.fix(value)
            proof, unique, seconds = solve(model)
            values = {v.name: float(v.value) for v in variables}
            payoff = float(pyo.value(objective))
            candidates.append(Candidate(branch.name, payoff, values, proof, unique, seconds, branch.exhaustive))
        except Infeasible:
            impossible.append(branch.name)
        finally:
            for variable, _ in branch.held:
                variable.unfix()
    if not candidates:
        raise Infeasible(
            f"no branch has an answer: on each of {', '.join(impossible)} no decisions satisfy all constraints"
        )
    candidates.sort(key=lambda c: c.payoff, reverse=objective.sense == pyo.maximize)
    for variable in variables:
        variable.set_value(candidates[0].values[variable.name], skip_validation=True)
    return candidates, impossible
