"""The joint conditions of one statement for many values of its Params, as arrays, derived once.

While the conditions are derived, the Params hold one number per scenario (``scenarios.Scenarios``). What comes out is
what the derivation gives for each scenario alone. Scenarios for which it would take another turn (a coefficient
vanishes, a limit changes sides, a bound appears) are derived in a group of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from pyomo.repn.quadratic import QuadraticRepn, QuadraticRepnVisitor

from .conditions import Entries, Layout, Reader, collect, starting_point
from .mcp import MixedComplementarity
from .players import Game, find_game, finite_numbers
from .scenarios import NotVectorised, Scenarios, Tape

Values: TypeAlias = Sequence[tuple[Any, np.ndarray]]
"""Mutable Params (members, not indexed ones), each with its values (scenarios,)."""


@dataclass
class Stacked:
    """``size`` numbers in each of several scenarios: ``base``, but for the positions ``at``, which have ``values``
    (positions, scenarios)."""

    base: np.ndarray
    at: np.ndarray
    values: np.ndarray

    def part(self, chosen: Any) -> np.ndarray:
        """(size, scenarios chosen), or (size, 1) where nothing varies."""
        if not len(self.at):
            return self.base[:, None]
        values = self.values[:, chosen]
        found = np.repeat(self.base[:, None], values.shape[1], axis=1)
        found[self.at] = values
        return found

    def one(self, scenario: int) -> np.ndarray:
        """The numbers of one scenario."""
        found = self.base.copy()
        found[self.at] = self.values[:, scenario]
        return found

    def of(self, chosen: np.ndarray) -> Stacked:
        """The same for some scenarios."""
        return Stacked(self.base, self.at, self.values[:, chosen])


@dataclass
class Parametric:
    """lower_s <= z <= upper_s _|_ M_s z + q_s for several scenarios s of one model.

    mcp: the problem of one of them, with the names and the pattern of M that all share. matrix: the stored numbers of
    ``mcp.matrix``; vector, lower, upper: one per column. which: the number of each scenario among all asked for.
    """

    game: Game
    mcp: MixedComplementarity
    matrix: Stacked
    vector: Stacked
    lower: Stacked
    upper: Stacked
    which: np.ndarray
    absorbed: Sequence[tuple[Any, int, Any, str, Any]]

    @property
    def count(self) -> int:
        """How many scenarios there are."""
        return len(self.which)

    def at(self, scenario: int) -> MixedComplementarity:
        """The problem of one scenario (by its position here)."""
        pattern = self.mcp.matrix
        assert pattern is not None
        matrix = sp.csr_array((self.matrix.one(scenario), pattern.indices, pattern.indptr), shape=pattern.shape)
        absorbed = [
            (row, column, _of(coefficient, scenario), side, _of(bound, scenario))
            for row, column, coefficient, side, bound in self.absorbed
        ]
        return replace(
            self.mcp,
            matrix=matrix,
            vector=self.vector.one(scenario),
            lower=self.lower.one(scenario),
            upper=self.upper.one(scenario),
            absorbed=absorbed,
            _made={},
        )

    def of(self, chosen: np.ndarray) -> Parametric:
        """The same for some scenarios (by their positions here)."""
        absorbed = [
            (row, column, some(coefficient, chosen), side, some(bound, chosen))
            for row, column, coefficient, side, bound in self.absorbed
        ]
        stacks = {name: getattr(self, name).of(chosen) for name in ("matrix", "vector", "lower", "upper")}
        return replace(self, **stacks, which=self.which[chosen], absorbed=absorbed)


def _of(value: Any, scenario: int) -> float:
    return float(value.values[scenario]) if isinstance(value, Scenarios) else float(value)


def some(value: Any, chosen: np.ndarray) -> Any:
    """A number, or of one per scenario those chosen."""
    return Scenarios(value.values[chosen], value.tape) if isinstance(value, Scenarios) else value


# ---- the derivation -------------------------------------------------------------------------------------------------


def derive_affine(model: Any, params: Values, which: np.ndarray) -> tuple[Parametric, np.ndarray]:
    """(the conditions of the scenarios that have the shape of most, which of them have not). Raises NotAffine where
    they are nonlinear, NotVectorised where a step needs a plain number, Refused and Infeasible as a single derivation.

    The Params keep the values they have.
    """
    tape = Tape.of(len(which))
    with held(params, which, tape), finite_numbers():
        game = find_game(model)
        layout, entries = collect(game, VectorReader(tape))
        if len(game.stages) > 1:
            raise NotVectorised("some players move first")
        group = assembled(game, layout, entries, which)
    tape.astray |= unusual((group.matrix, group.vector), (group.lower, group.upper), group.count)
    return group.of(np.flatnonzero(~tape.astray)), tape.astray


@contextmanager
def held(params: Values, which: np.ndarray, tape: Tape) -> Iterator[None]:
    """While the Params hold their values in all the scenarios ``which``."""
    before = [param._value for param, _ in params]
    try:
        for param, values in params:
            value = np.asarray(values, dtype=float)[which]
            same = (value == value[0]).all()
            param._value = float(value[0]) if same else Scenarios(value, tape)
        yield
    finally:
        for (param, _), value in zip(params, before, strict=True):
            param._value = value


class _Flagged(QuadraticRepn):
    """Linear and quadratic terms whose numbers may be one per scenario: neither 0 nor 1 for Pyomo's shortcuts."""

    __slots__ = ()

    @staticmethod
    def constant_flag(val: Any) -> Any:
        return int(bool(val)) * 2 if isinstance(val, Scenarios) else val

    multiplier_flag = constant_flag


class _VectorVisitor(QuadraticRepnVisitor):
    Result = _Flagged


class VectorReader(Reader):
    """A Reader that tells the scenarios when an expression is read."""

    def __init__(self, tape: Tape) -> None:
        super().__init__(_VectorVisitor, object)
        self.tape = tape

    def read(self, expression: Any, what: str) -> QuadraticRepn:
        """Coefficients of an expression, some of them one number per scenario."""
        with self.tape.expressions():
            return super().read(expression, what)


def assembled(game: Game, layout: Layout, entries: Entries, which: np.ndarray) -> Parametric:
    """Columns and coefficients as arrays, with a number per scenario where one varies."""
    n, count = len(layout.names), len(which)
    rows, columns, values = entries.arrays()
    places, position = np.unique(rows * n + columns, return_inverse=True)
    matrix = stacked(len(places), zip(position.tolist(), values, strict=True), count)
    vector = stacked(n, entries.constant.items(), count)
    lower, upper = (stacked(n, enumerate(limits), count) for limits in (layout.lower, layout.upper))
    indptr = np.searchsorted(places // n, np.arange(n + 1)) if n else np.zeros(1, dtype=int)
    pattern = sp.csr_array((matrix.one(0), places % n, indptr), shape=(n, n))
    first = MixedComplementarity(
        layout.names,
        np.array(layout.kind),
        np.array(layout.player),
        layout.components,
        lower.one(0),
        upper.one(0),
        pattern,
        vector.one(0),
        start=starting_point(layout, lower.one(0), upper.one(0)),
    )
    return Parametric(game, first, matrix, vector, lower, upper, which, layout.absorbed)


def stacked(size: int, terms: Any, count: int) -> Stacked:
    """The sums of (position, number) by position."""
    base = np.zeros(size)
    varying: dict[int, np.ndarray] = {}
    for k, value in terms:
        if isinstance(value, Scenarios):
            varying[k] = varying[k] + value.values if k in varying else value.values
        else:
            base[k] += value
    at = np.array(sorted(varying), dtype=int)
    values = np.array([varying[k] + base[k] for k in at]) if len(at) else np.zeros((0, count))
    return Stacked(base, at, values)


def unusual(numbers: Sequence[Stacked], limits: Sequence[Stacked], count: int) -> np.ndarray:
    """Scenarios with a number that is not finite, or with limits where most have none."""
    found = np.zeros(count, dtype=bool)
    for stack in numbers:
        found |= ~np.isfinite(stack.values).all(axis=0) | ~np.isfinite(stack.base).all()
    for stack in limits:
        usual = np.isfinite(stack.values)
        most = usual.sum(axis=1, keepdims=True) * 2 >= max(count, 1)
        found |= (usual != most).any(axis=0) | np.isnan(stack.values).any(axis=0)
    return found
