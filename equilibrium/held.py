"""Equilibria for a market's code that runs on numbers of many scenarios at once.

While ``scenarios.active`` holds, ``solve`` comes here: the model's Params hold one number per scenario, all scenarios
are solved and certified together, and the Vars then hold the answers likewise. Scenarios without an answer go astray.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from .batches import TOGETHER, Answers, together
from .grouping import derive_all
from .parametric import Values
from .scenarios import NotVectorised, Scenarios, Tape
from .tolerances import FEASIBLE


@dataclass
class Held:
    """What code may ask of a ``Solution``, for many scenarios: ``answer.game``, ``certificate.ok``, ``multipliers``.

    ok: which scenarios were solved and certified together; verdict: theirs; unique: what is known of their decisions;
    game: the players. columns: of the conditions, (name, component) each; absorbed: the limits that became bounds; z,
    value, lower, upper (columns, scenarios): answers, rows there and bounds, NaN where not ok.
    """

    model: pyo.ConcreteModel
    tape: Tape
    ok: np.ndarray
    verdict: str
    unique: np.ndarray
    game: Any
    columns: list[tuple[str, Any]]
    absorbed: list[tuple[Any, int, Any, str, Any]]
    z: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def answer(self) -> Held:
        """Itself, for ``answer.game``."""
        return self

    @property
    def certificate(self) -> Any:
        """``ok`` is true: scenarios whose answer is not certified have gone astray."""
        return _Passed()

    @property
    def multipliers(self) -> pd.Series:
        """As ``Solution.multipliers``, with one number per scenario."""
        found: dict[str, Any] = {
            name: Scenarios(self.z[k], self.tape)
            for k, (name, component) in enumerate(self.columns)
            if isinstance(component, tuple)
        }
        told: dict[tuple[int, bool], np.ndarray] = {}
        for row, column, coefficient, side, bound in self.absorbed:
            coefficient, bound = _array(coefficient), _array(bound)
            amount = np.zeros(self.z.shape[1])
            for low, limit in ((True, self.lower[column]), (False, self.upper[column])):
                here = (self.value[column] > 0) == low
                fits = (side == "equal") | (low == ((side == "lower") == (coefficient > 0)))
                binds = _same(bound, limit) & _same(bound, self.z[column])
                earlier = told.setdefault((column, low), np.zeros(self.z.shape[1], dtype=bool))
                now = here & fits & binds & ~earlier
                earlier |= now
                amount = np.where(now, self.value[column] / coefficient * (-1.0 if side == "upper" else 1.0), amount)
            found[f"{row.name}{'' if side == 'equal' else '.' + side}"] = Scenarios(amount, self.tape)
        return pd.Series(found, dtype=object, name="multiplier")


class _Passed:
    ok = True


def _array(value: Any) -> Any:
    return value.values if isinstance(value, Scenarios) else value


def _same(first: Any, second: Any) -> np.ndarray:
    return np.abs(first - second) <= FEASIBLE * np.maximum(np.abs(first), np.abs(second))


def params_of(model: Any) -> Values:
    """Every mutable Param of the model that holds one number per scenario, with these numbers."""
    return [
        (member, member._value.values)
        for param in model.component_objects(pyo.Param, descend_into=True)
        if param.mutable
        for member in param.values()
        if isinstance(member._value, Scenarios)
    ]


def solve_held(model: Any, tape: Tape) -> Held:
    """Solve and certify ``model`` in every scenario that its Params hold. Raises NotVectorised where that cannot be
    done together."""
    params = params_of(model)
    if not params:
        raise NotVectorised("no number of this model differs between scenarios")
    groups, alone = derive_all(model, params)
    if not groups:
        raise NotVectorised(next(iter(alone.values())))
    answers = Answers(model, params, len(tape.astray))
    left = together(groups[0], params, answers)
    ok = answers.told["route"] == TOGETHER
    if not ok.any():
        raise NotVectorised(next(iter(left.values())))
    tape.astray |= ~ok
    for variable, values in zip(answers.variables, answers.values, strict=True):
        variable.set_value(Scenarios(values, tape), skip_validation=True)
    return _held(model, tape, ok, answers)


def _held(model: Any, tape: Tape, ok: np.ndarray, answers: Answers) -> Held:
    assert answers.last is not None
    group, found, good = answers.last
    which = group.which[good]

    def spread(values: np.ndarray) -> np.ndarray:
        """Numbers of the good ones of the group, at the places of their scenarios among all."""
        everywhere = np.full((*values.shape[:-1], len(ok)), np.nan)
        everywhere[..., which] = values[..., good]
        return everywhere

    def number(value: Any) -> Any:
        return Scenarios(spread(value.values), tape) if isinstance(value, Scenarios) else value

    problems = found.problems
    return Held(
        model,
        tape,
        ok,
        str(answers.told["verdict"][ok][0]),
        answers.told["unique"],
        group.game,
        list(zip(group.mcp.names, group.mcp.components, strict=True)),
        [(row, k, number(factor), side, number(bound)) for row, k, factor, side, bound in group.absorbed],
        spread(found.z),
        spread(problems.F(found.z)),
        spread(problems.lower),
        spread(problems.upper),
    )
