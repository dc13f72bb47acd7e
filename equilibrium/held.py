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
from .mcp import MixedComplementarity
from .parametric import Parametric, Values, derive_all
from .scenarios import NotVectorised, Scenarios, Tape
from .tolerances import FEASIBLE


@dataclass
class Held:
    """What code may ask of a ``Solution``, for many scenarios: ``answer.game``, ``certificate.ok``, ``multipliers``.

    ok: which scenarios were solved and certified together; verdict: theirs; unique: what is known of their decisions.
    """

    model: pyo.ConcreteModel
    tape: Tape
    ok: np.ndarray
    verdict: str
    unique: np.ndarray
    group: Parametric
    z: np.ndarray

    @property
    def answer(self) -> Held:
        """Itself, for ``answer.game``."""
        return self

    @property
    def game(self) -> Any:
        """The players."""
        return self.group.game

    @property
    def certificate(self) -> Any:
        """``ok`` is true: scenarios whose answer is not certified have gone astray."""
        return _Passed()

    @property
    def multipliers(self) -> pd.Series:
        """As ``Solution.multipliers``, with one number per scenario."""
        mcp, value = self.group.mcp, self._rows()
        found: dict[str, Any] = {
            mcp.names[k]: Scenarios(self.z[k], self.tape)
            for k in range(mcp.size)
            if isinstance(mcp.components[k], tuple)
        }
        told: dict[tuple[int, bool], np.ndarray] = {}
        lower, upper = (limits.part(slice(None)) for limits in (self.group.lower, self.group.upper))
        for row, column, coefficient, side, bound in self.group.absorbed:
            coefficient, bound = _array(coefficient), _array(bound)
            amount = np.zeros(self.z.shape[1])
            for low, limit in ((True, lower[column]), (False, upper[column])):
                here = (value[column] > 0) == low
                fits = (side == "equal") | (low == ((side == "lower") == (coefficient > 0)))
                binds = _same(bound, limit) & _same(bound, self.z[column])
                earlier = told.setdefault((column, low), np.zeros(self.z.shape[1], dtype=bool))
                now = here & fits & binds & ~earlier
                earlier |= now
                amount = np.where(now, value[column] / coefficient * (-1.0 if side == "upper" else 1.0), amount)
            found[f"{row.name}{'' if side == 'equal' else '.' + side}"] = Scenarios(amount, self.tape)
        return pd.Series(found, dtype=object, name="multiplier")

    def _rows(self) -> np.ndarray:
        """F at the answers (columns, scenarios)."""
        pattern = self.group.mcp.matrix
        assert pattern is not None
        found = self.group.vector.part(slice(None)).repeat(
            self.z.shape[1] if not len(self.group.vector.at) else 1, axis=1
        )
        data = self.group.matrix.part(slice(None))
        rows = np.repeat(np.arange(self.group.mcp.size), np.diff(pattern.indptr))
        np.add.at(found, rows, data * self.z[pattern.indices])
        return found


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
    """Solve and certify ``model`` in every scenario that its Params hold. Raises NotVectorised where that cannot be done
    together."""
    params = params_of(model)
    if not params:
        raise NotVectorised("no number of this model differs between scenarios")
    groups, alone = derive_all(model, params)
    if not groups:
        raise NotVectorised(next(iter(alone.values())))
    group = groups[0]
    answers = Answers(model, params, len(tape.astray))
    left = together(group, params, answers)
    ok = answers.told["route"] == TOGETHER
    if not ok.any():
        raise NotVectorised(next(iter(left.values())))
    tape.astray |= ~ok
    for variable, values in zip(answers.variables, answers.values, strict=True):
        variable.set_value(Scenarios(values, tape), skip_validation=True)
    z = np.full((group.mcp.size, len(ok)), np.nan)
    z[:, answers.which] = answers.z
    return Held(model, tape, ok, str(answers.told["verdict"][ok][0]), answers.told["unique"], _whole(group, len(ok)), z)


def _whole(group: Parametric, count: int) -> Parametric:
    """The group with its numbers at the places that its scenarios have among all; the others are not numbers."""
    from dataclasses import replace

    from .parametric import Stacked

    def spread(values: np.ndarray) -> np.ndarray:
        found = np.full((*values.shape[:-1], count), np.nan)
        found[..., group.which] = values
        return found

    stacks = {
        name: Stacked(one.base, one.at, spread(one.values))
        for name in ("matrix", "vector", "lower", "upper")
        for one in [getattr(group, name)]
    }
    absorbed = [
        (row, column, *(_spread(v, spread) if k != 1 else v for k, v in enumerate((coefficient, side, bound))))
        for row, column, coefficient, side, bound in group.absorbed
    ]
    return replace(group, **stacks, which=np.arange(count), absorbed=absorbed)


def _spread(value: Any, spread: Any) -> Any:
    return Scenarios(spread(value.values), value.tape) if isinstance(value, Scenarios) else value


__all__ = ["Held", "MixedComplementarity", "params_of", "solve_held"]
