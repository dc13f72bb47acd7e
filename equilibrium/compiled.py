"""Pyomo expressions as one straight-line programme of array operations: each different part is computed once.

Many expressions of a model share parts (a price and its slope stand in every player's condition, and in every
derivative of it). Here equal parts are found by their structure, so that evaluating all expressions for many scenarios
costs one numpy operation for each part that differs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.expr import numeric_expr as ne

from . import intervals
from .scenarios import NotVectorised, Scenarios

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
}


class Programme:
    """Values of ``expressions`` where some Vars are given as arrays and everything else (Params, other Vars) as it
    stands now: a number, or one per scenario.

    Raises NotVectorised for a function that numpy has not.
    """

    def __init__(self, expressions: Sequence[Any], variables: Sequence[Any]) -> None:
        self._steps: list[tuple[str, Callable[..., Any], tuple[int, ...]]] = []
        self._constants: dict[int, Any] = {}
        self._known: dict[Any, int] = {}
        self._seen: dict[int, tuple[Any, int]] = {}  # id -> (the expression, kept alive; its place)
        self.variables = {id(v): k for k, v in enumerate(variables) if v is not None}
        self._inputs: dict[int, int] = {}
        self.places = [self._place(expression) for expression in expressions]

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Every expression (rows) in every scenario, at the Vars' values z (Vars, scenarios)."""
        values: list[Any] = [None] * len(self._steps)
        for place, constant in self._constants.items():
            values[place] = constant
        for place, k in self._inputs.items():
            values[place] = z[k]
        for place, (_, operation, arguments) in enumerate(self._steps):
            if arguments:
                values[place] = operation(*(values[a] for a in arguments))
        found = np.empty((len(self.places), z.shape[1]))
        for row, place in enumerate(self.places):
            found[row] = values[place]
        return found

    def constant(self, expression: Any) -> bool:
        """Whether an expression of this programme does not depend on the Vars."""
        return self._place(expression) in self._constants

    def part(self, expressions: Sequence[Any]) -> Programme:
        """Some of the expressions, with only the steps that they need."""
        places = [self._place(expression) for expression in expressions]
        needed: set[int] = set()
        todo = list(places)
        while todo:
            place = todo.pop()
            if place not in needed:
                needed.add(place)
                todo += () if place in self._constants else self._steps[place][2]
        found = copy(self)
        found.places = places
        found._steps = [
            step if place in needed and place not in self._constants else ("", float, ())
            for place, step in enumerate(self._steps)
        ]
        found._constants = {place: value for place, value in self._constants.items() if place in needed}
        found._inputs = {place: k for place, k in self._inputs.items() if place in needed}
        return found

    def of(self, chosen: np.ndarray) -> Programme:
        """The same where Params hold the numbers of some of the scenarios."""
        found = copy(self)
        found._constants = {
            place: value[chosen] if np.ndim(value) else value for place, value in self._constants.items()
        }
        return found

    def enclose(self, low: np.ndarray, up: np.ndarray, scenario: np.ndarray) -> intervals.Interval:
        """Intervals (rows, boxes) that contain every expression where the Vars lie between ``low`` and ``up`` (Vars,
        boxes), each box with the Params' numbers of its ``scenario``."""
        count = low.shape[1]
        values: list[Any] = [None] * len(self._steps)
        for place, constant in self._constants.items():
            number = np.broadcast_to(constant[scenario] if np.ndim(constant) else constant, (count,))
            values[place] = (number, number)
        for place, k in self._inputs.items():
            values[place] = (low[k], up[k])
        with np.errstate(all="ignore"):  # what has no value is not enclosed
            for place, (name, _, arguments) in enumerate(self._steps):
                if arguments:
                    values[place] = intervals.OPERATIONS.get(name, intervals.unknown)(*(values[a] for a in arguments))
        found = np.empty((2, len(self.places), count))
        for row, place in enumerate(self.places):
            found[0, row], found[1, row] = values[place]
        return np.where(np.isnan(found[0]), -np.inf, found[0]), np.where(np.isnan(found[1]), np.inf, found[1])

    def _new(self, key: Any, operation: Callable[..., Any], arguments: tuple[int, ...]) -> int:
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append((key[0] if arguments else "", operation, arguments))
        return self._known[key]

    def _constant(self, value: Any) -> int:
        key = ("number", id(value) if isinstance(value, Scenarios) else float(value))
        place = self._new(key, float, ())
        self._constants[place] = value.values if isinstance(value, Scenarios) else float(value)
        return place

    def _place(self, expression: Any) -> int:
        """Where the value of an expression stands."""
        if not hasattr(expression, "is_expression_type"):
            return self._constant(expression)
        if id(expression) in self._seen:
            return self._seen[id(expression)][1]
        place = self._fresh(expression)
        self._seen[id(expression)] = (expression, place)
        return place

    def _fresh(self, expression: Any) -> int:
        if not expression.is_expression_type():
            if id(expression) in self.variables:
                place = self._new(("variable", self.variables[id(expression)]), float, ())
                self._inputs[place] = self.variables[id(expression)]
                return place
            return self._constant(expression.value)
        if isinstance(expression, NamedExpressionData):
            return self._place(expression.expr)
        arguments = [self._place(argument) for argument in expression.args]
        if isinstance(expression, ne.SumExpression):
            return self._folded(arguments)
        if isinstance(expression, ne.NegationExpression):
            return self._step("-", operator.neg, arguments)
        if isinstance(expression, ne.ProductExpression):
            return self._step("*", operator.mul, sorted(arguments))
        if isinstance(expression, ne.DivisionExpression):
            return self._step("/", np.divide, arguments)
        if isinstance(expression, ne.PowExpression):
            return self._step("**", np.power, arguments)
        if isinstance(expression, ne.AbsExpression):
            return self._step("abs", np.abs, arguments)
        if isinstance(expression, ne.UnaryFunctionExpression) and expression.name in FUNCTIONS:
            return self._step(expression.name, FUNCTIONS[expression.name], arguments)
        raise NotVectorised(f"{type(expression).__name__} is not computed for many scenarios at once")

    def _step(self, name: str, operation: Callable[..., Any], arguments: Sequence[int]) -> int:
        """One operation; computed now where nothing in it depends on the Vars."""
        if all(a in self._constants for a in arguments):
            with np.errstate(all="ignore"):
                value = operation(*(self._constants[a] for a in arguments))
            key = (name, *arguments)
            place = self._new(key, float, ())
            self._constants[place] = value
            return place
        return self._new((name, *arguments), operation, tuple(arguments))

    def _folded(self, arguments: Sequence[int]) -> int:
        """A sum, its numbers first, then its terms in the order in which they were met: equal sums share all parts."""
        order = sorted(arguments, key=lambda a: (a not in self._constants, a))
        place = order[0]
        for argument in order[1:]:
            place = self._step("+", operator.add, (place, argument))
        return place
