"""Equilibria for a market's code that runs on numbers of many scenarios at once.

While ``scenarios.active`` holds, ``solve`` comes here: the model's Params hold one number per scenario, all scenarios
are solved and certified together, and the Vars then hold the answers likewise. Scenarios without an answer go astray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap

from . import freedom_batched
from .batches import TOGETHER, Answers, together
from .branches import Branch
from .grouping import derive_all
from .leaders_together import solve_led
from .parametric import Values
from .players import find_game
from .scenarios import NotVectorised, Scenarios, Tape
from .tolerances import FEASIBLE, REGRET
from .uniqueness import NOT_PROVED


@dataclass
class Held:
    """What code may ask of a ``Solution``, for many scenarios: ``answer.game``, ``certificate.ok``, ``multipliers``.

    ok: which scenarios were solved and certified together; verdict: theirs; unique: what is known of their decisions;
    game: the players. columns: of the conditions, (name, component) each, None where they differ between scenarios;
    absorbed: the limits that became bounds; z, value, lower, upper (columns, scenarios): answers, rows there and
    bounds, NaN where not ok. Where somebody moves first these are the followers', and ``leaders`` is as that of a
    ``Solution``, with one number per scenario.
    """

    model: pyo.ConcreteModel
    tape: Tape
    ok: np.ndarray
    verdict: str
    unique: np.ndarray
    game: Any
    columns: list[tuple[str, Any]] | None
    absorbed: list[tuple[Any, int, Any, str, Any]]
    z: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    loose: Callable[[], tuple[np.ndarray, np.ndarray] | None] = lambda: None
    """(columns, rows) that may have other values in another solution, (columns, scenarios); None: not known."""

    leaders: pd.DataFrame = field(default_factory=pd.DataFrame)

    leading = None

    @property
    def answer(self) -> Held:
        """Itself, for ``answer.game``."""
        return self

    @property
    def certificate(self) -> Any:
        """``ok`` is true: scenarios whose answer is not certified have gone astray."""
        return _Passed()

    @property
    def reason(self) -> np.ndarray:
        """Why there is no equilibrium: nothing of the kind is found here."""
        return np.full(len(self.ok), "", dtype=object)

    @property
    def margins(self) -> ComponentMap:
        """As ``Solution.margins``, with one number per scenario."""
        if self.columns is None:
            raise NotVectorised("margins of different branches")
        found = ComponentMap()
        for k, (_, component) in enumerate(self.columns):
            if not isinstance(component, tuple):
                found[component] = Scenarios(self.value[k], self.tape)
            else:  # a row with two limits has two columns, of which one is zero
                found[component[0]] = found.get(component[0], 0.0) + Scenarios(self.z[k], self.tape)
        return found

    @property
    def multipliers(self) -> pd.Series:
        """As ``Solution.multipliers``, with one number per scenario: NaN where it is not the only one."""
        loose = None if self.columns is None else self.loose()
        if self.columns is None or loose is None:
            raise NotVectorised("multipliers of different branches, or such as are not shown to be the only ones")
        found: dict[str, Any] = {
            name: Scenarios(np.where(loose[0][k], np.nan, self.z[k]), self.tape)
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
                amount = np.where(now & loose[1][column], np.nan, amount)
            found[f"{row.name}{'' if side == 'equal' else '.' + side}"] = Scenarios(amount, self.tape)
        return pd.Series(found, dtype=object, name="multiplier")


class _Passed:
    ok = True


def _array(value: Any) -> Any:
    return value.values if isinstance(value, Scenarios) else value


def _same(first: Any, second: Any) -> np.ndarray:
    return np.abs(first - second) <= FEASIBLE * np.maximum(np.abs(first), np.abs(second))


def params_of(model: Any) -> Values:
    """Every mutable Param and fixed Var of the model that holds one number per scenario, with these numbers."""
    params = [
        member
        for param in model.component_objects(pyo.Param, descend_into=True)
        if param.mutable
        for member in param.values()
    ]
    fixed = [variable for variable in model.component_data_objects(pyo.Var, descend_into=True) if variable.fixed]
    return [(one, one._value.values) for one in (*params, *fixed) if isinstance(one._value, Scenarios)]


def solve_held(model: Any, tape: Tape, branches: Sequence[Branch] = (), counted: bool = False) -> Held:
    """Solve and certify ``model`` in every scenario that its Params hold, on the best of its ``branches`` where there
    are any. counted: ``unique`` is asked for. Raises NotVectorised where that cannot be done together."""
    return _best(model, tape, branches) if branches else _together(model, tape, counted)


def _together(model: Any, tape: Tape, counted: bool = True) -> Held:
    params = params_of(model)
    if not params:
        raise NotVectorised("no number of this model differs between scenarios")
    if len(find_game(model).stages) > 1:
        return _led(model, tape, params)
    groups, alone = derive_all(model, params)
    if not groups:
        raise NotVectorised(next(iter(alone.values())))
    answers = Answers(model, params, len(tape.astray), counted)
    left = together(groups[0], params, answers)
    ok = answers.told["route"] == TOGETHER
    if not ok.any():
        raise NotVectorised(next(iter(left.values())))
    return _told(model, tape, answers)


def _led(model: Any, tape: Tape, params: Values) -> Held:
    """One player moves first."""
    answers = Answers(model, params, len(tape.astray))
    leaders = solve_led(model, params, answers, tape)
    return replace(_told(model, tape, answers), leaders=leaders)


def _told(model: Any, tape: Tape, answers: Answers) -> Held:
    """The answers in the model's Vars, and all that code may ask; scenarios without one go astray."""
    ok = answers.told["route"] == TOGETHER
    tape.astray |= ~ok
    for variable, values in zip(answers.variables, answers.values, strict=True):
        variable.set_value(Scenarios(values, tape), skip_validation=True)
    return _held(model, tape, ok, answers)


def _best(model: Any, tape: Tape, branches: Sequence[Branch]) -> Held:
    """As ``branches.explore``: the best branch of every scenario. Where some branch has no answer the scenario goes
    astray."""
    objective = next(model.component_data_objects(pyo.Objective, active=True))
    variables = [v for v in model.component_data_objects(pyo.Var) if not v.fixed]
    found, payoffs, values = [], [], []
    for branch in branches:
        try:
            for variable, value in branch.held:
                variable.fix(value, skip_validation=True)
            found.append(_together(model, tape))
            payoffs.append(_everywhere(pyo.value(objective), tape))
            values.append([_everywhere(v.value, tape) for v in variables])
        finally:
            for variable, _ in branch.held:
                variable.unfix()
    worth = np.array(payoffs) * (1 if objective.sense == pyo.maximize else -1)
    worth = np.where(np.isnan(worth), -np.inf, worth)
    best = worth.argmax(axis=0)
    every = np.arange(len(best))
    for k, variable in enumerate(variables):
        variable.set_value(Scenarios(np.array([one[k] for one in values])[best, every], tape), skip_validation=True)
    top = worth[best, every]
    with np.errstate(invalid="ignore"):
        ties = (worth >= top - REGRET * np.abs(top)).sum(axis=0) > 1
    unique = np.array([one.unique for one in found])[best, every]
    unique = np.where(ties, "not unique", np.where(unique == "unique", unique, NOT_PROVED))
    ok = np.all([one.ok for one in found], axis=0)
    return replace(found[0], ok=ok, unique=unique, columns=None)


def _everywhere(value: Any, tape: Tape) -> np.ndarray:
    return value.values if isinstance(value, Scenarios) else np.full(len(tape.astray), float(value))


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

    def loose() -> tuple[np.ndarray, np.ndarray] | None:
        some, z = problems.of(good), found.z[:, good]
        moves = freedom_batched.moves(some, z)
        if moves is None:
            return None
        places = np.zeros((2, len(z), len(ok)), dtype=bool)
        with np.errstate(invalid="ignore"):
            changes = [(move, some.times(move)) for move in moves]
        for place, parts in zip(places, zip(*changes, strict=True), strict=True):
            place[:, which] = np.any([~(np.abs(part) <= _rounding(part)) for part in parts], axis=0)
        return places[0], places[1]

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
        loose,
    )


def _rounding(move: np.ndarray) -> np.ndarray:
    """How large a change is still none, in every scenario."""
    return 1e-9 * np.abs(move).max(axis=0, initial=0.0)
