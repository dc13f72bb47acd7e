"""A number with one value per scenario, for which ordinary code computes all scenarios at once.

Mutable Params of a model hold such numbers while its conditions are derived (``parametric``): arithmetic is numpy's,
element by element. Where code asks a question that decides what happens next (``a > b``, ``if a``), there is one
answer for all: that of most scenarios. The others are marked as astray, because the derivation that follows is not
theirs. So what comes out is right for every scenario that is not astray, whatever the code asked.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyomo.common.numeric_types import RegisterNumericType

Element = Callable[[Any, Any], Any]


_tape: ContextVar[Tape | None] = ContextVar("tape", default=None)


@contextmanager
def active(tape: Tape) -> Iterator[None]:
    """While a market's code runs on numbers of this tape; ``solve`` then solves all scenarios of a model."""
    token = _tape.set(tape)
    try:
        yield
    finally:
        _tape.reset(token)


def current() -> Tape | None:
    """The tape on which code runs now, or None: plain numbers."""
    return _tape.get()


class NotVectorised(TypeError):
    """Some step needs a plain number, so that scenarios have to be treated one by one."""


@dataclass
class Tape:
    """What the scenarios have in common: ``astray`` marks those for which some question had another answer.

    ``reading``: while expressions are read, whether a coefficient is zero decides nothing but whether it is kept, so a
    number counts as zero only if it is zero in every scenario, and nobody goes astray.
    """

    astray: np.ndarray
    reading: bool = False

    @classmethod
    def of(cls, count: int) -> Tape:
        """For ``count`` scenarios."""
        return cls(np.zeros(count, dtype=bool))

    def decide(self, answers: np.ndarray) -> bool:
        """The answer of most scenarios that are still together."""
        if answers.all():
            return True
        if not answers.any():
            return False
        together = ~self.astray
        answer = bool(2 * int(np.count_nonzero(answers[together])) >= int(np.count_nonzero(together)))
        self.astray |= answers != answer
        return answer

    @contextmanager
    def expressions(self) -> Any:
        """While expressions are read."""
        before, self.reading = self.reading, True
        try:
            yield
        finally:
            self.reading = before


class Scenarios:
    """One number per scenario, ``values`` (scenarios,)."""

    __slots__ = ("tape", "values")
    __array_ufunc__ = None  # numpy's numbers leave arithmetic to this class

    def __init__(self, values: np.ndarray, tape: Tape) -> None:
        self.values, self.tape = values, tape

    def _with(self, operation: Element, other: Any, swapped: bool = False) -> Any:
        if isinstance(other, np.ndarray):
            return _each(lambda one: self._with(operation, one, swapped), other)
        if isinstance(other, Scenarios):
            other = other.values
        elif not isinstance(other, (int, float, np.number)):
            return NotImplemented
        with np.errstate(all="ignore"):  # what is not finite in the end is found by who asked
            found = operation(other, self.values) if swapped else operation(self.values, other)
        return Scenarios(found, self.tape)

    def __add__(self, other: Any) -> Any:
        return self._with(operator.add, other)

    def __radd__(self, other: Any) -> Any:
        return self._with(operator.add, other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._with(operator.sub, other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with(operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        return self._with(operator.mul, other, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._with(_divide, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(_divide, other, swapped=True)

    def __pow__(self, other: Any) -> Any:
        return self._with(operator.pow, other)

    def __rpow__(self, other: Any) -> Any:
        return self._with(operator.pow, other, swapped=True)

    def __neg__(self) -> Scenarios:
        return Scenarios(-self.values, self.tape)

    def __pos__(self) -> Scenarios:
        return self

    def __abs__(self) -> Scenarios:
        return Scenarios(np.abs(self.values), self.tape)

    def __floor__(self) -> Scenarios:
        return Scenarios(np.floor(self.values), self.tape)

    def _asked(self, question: Element, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return _each(lambda one: self._asked(question, one), other)
        if isinstance(other, Scenarios):
            other = other.values
        elif not isinstance(other, (int, float, np.number)):
            return NotImplemented
        return self.tape.decide(question(self.values, other))

    def __lt__(self, other: Any) -> Any:
        return self._asked(operator.lt, other)

    def __le__(self, other: Any) -> Any:
        return self._asked(operator.le, other)

    def __gt__(self, other: Any) -> Any:
        return self._asked(operator.gt, other)

    def __ge__(self, other: Any) -> Any:
        return self._asked(operator.ge, other)

    def __eq__(self, other: Any) -> Any:
        return self._asked(operator.eq, other)

    def __ne__(self, other: Any) -> Any:
        return self._asked(operator.ne, other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        if self.tape.reading:
            return bool(self.values.any())
        return self.tape.decide(self.values != 0)

    def __float__(self) -> float:
        raise NotVectorised("one number is asked for where there is one per scenario")

    __int__ = __float__

    def __deepcopy__(self, memo: dict[int, Any]) -> Scenarios:
        return self  # a clone of a model is in the same scenarios

    def __repr__(self) -> str:
        return f"Scenarios({self.values!r})"


RegisterNumericType(Scenarios)


def _each(operation: Callable[[Any], Any], numbers: np.ndarray) -> np.ndarray:
    """Of every member of an array or of a table's column."""
    found = np.empty(numbers.shape, dtype=object)
    for place in np.ndindex(numbers.shape):
        found[place] = operation(numbers[place])
    return found


def _divide(first: Any, second: Any) -> Any:
    if np.all(second == 0):
        raise ZeroDivisionError("division by zero")
    return first / second


def as_number(value: Any) -> Any:
    """A plain number as a float; one per scenario as it is."""
    return value if isinstance(value, Scenarios) else float(value)


def is_finite(value: Any) -> bool:
    """Whether the number is finite: ``math.isfinite`` for either kind."""
    return value.tape.decide(np.isfinite(value.values)) if isinstance(value, Scenarios) else math.isfinite(value)


def larger(first: Any, second: Any) -> Any:
    """The larger of two numbers, scenario by scenario."""
    return _chosen(np.maximum, max, first, second)


def smaller(first: Any, second: Any) -> Any:
    """The smaller of two numbers, scenario by scenario."""
    return _chosen(np.minimum, min, first, second)


def _chosen(of_arrays: Any, of_numbers: Any, first: Any, second: Any) -> Any:
    one = first if isinstance(first, Scenarios) else second
    if not isinstance(one, Scenarios):
        return of_numbers(first, second)
    return Scenarios(of_arrays(*(v.values if isinstance(v, Scenarios) else v for v in (first, second))), one.tape)


def stacked(values: Any) -> np.ndarray:
    """Numbers (n,) as an array; while code runs on many scenarios (n, scenarios), or (n, 1) where none differs."""
    if current() is None:
        return np.asarray(values, dtype=float)
    rows = [one.values if isinstance(one, Scenarios) else np.array([float(one)]) for one in values]
    count = max((len(row) for row in rows), default=1)
    return np.array([np.broadcast_to(row, count) for row in rows]).reshape(len(rows), count)


def unstacked(value: Any) -> Any:
    """A number as a float; an array of one per scenario (scenarios,) as ``Scenarios``."""
    tape = current()
    if tape is None or not isinstance(value, np.ndarray):
        return float(value)
    return Scenarios(np.broadcast_to(value, len(tape.astray)), tape)


def where_larger(first: Any, second: Any, then: Any, otherwise: Any) -> Any:
    """``then`` where first > second, else ``otherwise``, scenario by scenario; nobody goes astray."""
    numbers = (first, second, then, otherwise)
    one = next((number for number in numbers if isinstance(number, Scenarios)), None)
    if one is None:
        return then if first > second else otherwise
    first, second, then, otherwise = (v.values if isinstance(v, Scenarios) else v for v in numbers)
    return Scenarios(np.where(first > second, then, otherwise), one.tape)


def ever_larger(first: Any, second: Any) -> bool:
    """Whether first > second in some scenario that is not astray: nobody goes astray by the question."""
    one = first if isinstance(first, Scenarios) else second
    if not isinstance(one, Scenarios):
        return bool(first > second)
    first, second = (v.values if isinstance(v, Scenarios) else v for v in (first, second))
    return bool(((first > second) & ~one.tape.astray).any())


def one_by_one(reason: str) -> None:
    """Said where code makes sense for plain numbers alone. Raises NotVectorised while it runs on many scenarios."""
    if current() is not None:
        raise NotVectorised(reason)


def typical(value: Any) -> float:
    """A plain number as it is; of one per scenario, the first that is not astray."""
    return float(value.values[int(np.argmin(value.tape.astray))]) if isinstance(value, Scenarios) else float(value)
