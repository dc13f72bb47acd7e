"""Pyomo expressions as one straight-line programme of array operations: each different part is computed once.

Many expressions of a model share parts (a price and its slope stand in every player's condition, and in every
derivative of it). Here equal parts are found by their structure, so that evaluating all expressions for many scenarios
costs one numpy operation for each part that differs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.expr import numeric_expr as ne

from .scenarios import NotVectorised, Scenarios

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "atan": np.arctan,
}


class Programme:
    """Values of ``expressions`` where some Vars are given as arrays and everything else (Params, other Vars) as it
    stands now: a number, or one per scenario.

    Raises NotVectorised for a function that numpy has not.
    """

    def __init__(self, expressions: Sequence[Any], variables: Sequence[Any]) -> None:
        self._steps: list[tuple[Callable[..., Any], tuple[int, ...]]] = []
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
        for place, (operation, arguments) in enumerate(self._steps):
            if arguments:
                values[place] = operation(*(values[a] for a in arguments))
        found = np.empty((len(self.places), z.shape[1]))
        for row, place in enumerate(self.places):
            found[row] = values[place]
        return found

    def _new(self, key: Any, operation: Callable[..., Any], arguments: tuple[int, ...]) -> int:
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append((operation, arguments))
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
            return self._folded("+", operator.add, arguments)
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

    def _folded(self, name: str, operation: Callable[..., Any], arguments: Sequence[int]) -> int:
        """A sum, its numbers first, then its terms in the order in which they were met: equal sums share all parts."""
        order = sorted(arguments, key=lambda a: (a not in self._constants, a))
        place = order[0]
        for argument in order[1:]:
            place = self._step(name, operation, (place, argument))
        return place
