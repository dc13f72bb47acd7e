"""A market's own answer: equilibria found and verified by a method of the market, without stating a Pyomo model.

Where the model can be stated, it is, started at the market's first equilibrium, solved and certified as any other; both
must agree. What only the market's method knows (that there are several equilibria, that there is none, that a response
is the best of all) is added, and the certificate says whose word it is. Where the market says that a model would be too
large, its answer stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from .certificate import CERTIFIED, LOCAL, SEVERAL, UNCERTIFIED, Certificate, Check
from .solution import Solution
from .solvers.outcome import Outcome
from .tolerances import AGREE
from .uniqueness import Uniqueness

OWN = "own"
"""The formulation under which a market's own answer can be asked for by name."""


@dataclass(frozen=True)
class Own:
    """What a market's method found.

    verdict: certified, several, none or uncertified; scope and uniqueness in words. checks: one row per player, for the
    first equilibrium. equilibria: rows (equilibrium, variable, lower, upper), numbered from 1. detail: what the
    market's ``values`` reads where no model was stated. variables: given a model of the market, its Vars with their
    values at the first equilibrium. too_large: why no model is stated; empty if one is.
    """

    verdict: str
    scope: str
    uniqueness: Uniqueness
    checks: Sequence[Check]
    equilibria: pd.DataFrame
    detail: Any
    variables: Callable[[pyo.ConcreteModel], Sequence[tuple[Any, float]]]
    outcome: Outcome
    too_large: str = ""


@dataclass(frozen=True)
class Together:
    """What a market's method found in many scenarios at once; one entry each.

    verdict: as of ``Own``, empty where the method has to be asked for that scenario alone. unique: of the decisions, in
    words. reason: where the verdict is 'none', the proof. detail: what the market's ``values`` reads, as of ``Own``,
    with one number per scenario. Every answer was verified as a single one is.
    """

    verdict: np.ndarray
    unique: np.ndarray
    reason: np.ndarray
    detail: Any

    @property
    def own(self) -> Together:
        """Itself, in the place of an ``OwnSolution``."""
        return self

    @property
    def ok(self) -> np.ndarray:
        """Which scenarios are answered."""
        return np.asarray(self.verdict != "")


@dataclass
class OwnSolution:
    """A market's own answer in the place of a ``Solution``: no model, no multipliers."""

    own: Own
    certificate: Certificate
    seconds: dict[str, float] = field(default_factory=dict)
    candidates: Sequence[Any] = ()

    @property
    def equilibria(self) -> pd.DataFrame:
        """As ``Solution.equilibria``."""
        return self.own.equilibria

    @property
    def count(self) -> int:
        """As ``Solution.count``."""
        return int(self.own.equilibria["equilibrium"].nunique())

    @property
    def several(self) -> bool:
        """As ``Solution.several``."""
        return self.count > 1

    @property
    def outcome(self) -> Outcome:
        """How the method ended."""
        return self.own.outcome

    @property
    def route(self) -> str:
        """Whose method it was, and why no model was stated."""
        return f"{OWN} with {self.own.outcome.solver}: {self.own.too_large or 'asked for'}"

    @property
    def multipliers(self) -> pd.Series:
        """None are reported."""
        return pd.Series(dtype=float, name="multiplier")

    @property
    def answer(self) -> None:
        """No conditions were derived."""
        return None


def alone(own: Own) -> OwnSolution:
    """The market's answer as it stands."""
    certificate = Certificate(own.verdict, own.scope, tuple(own.checks), own.uniqueness)
    return OwnSolution(own, certificate, {"solve": own.outcome.seconds})


def start(model: pyo.ConcreteModel, own: Own) -> dict[str, float]:
    """Give the model's Vars the values of the market's first equilibrium, and say which, by name."""
    pairs = own.variables(model)
    for variable, value in pairs:
        variable.set_value(value, skip_validation=True)
    return {variable.name: value for variable, value in pairs}


def confirmed(own: Own, solution: Solution, expected: Mapping[str, float]) -> Solution:
    """The model's own solution with what the market's method adds; uncertified if the two disagree."""
    certificate = solution.certificate
    found = {name: float(pyo.value(solution.model.find_component(name))) for name in expected}
    size = max((abs(value) for value in expected.values()), default=1.0) or 1.0
    away = max((abs(found[name] - value) for name, value in expected.items()), default=0.0)
    if not away <= AGREE * size:
        scope = f"the model's answer is {away:.2g} away from that of the market's own method"
        solution.certificate = replace(certificate, verdict=UNCERTIFIED, scope=scope)
        return solution
    if certificate.verdict in (CERTIFIED, LOCAL):
        verdict, scope = own.verdict, certificate.scope
        if certificate.verdict == LOCAL or own.verdict == SEVERAL:
            scope = own.scope
        solution.certificate = replace(certificate, verdict=verdict, scope=scope, uniqueness=own.uniqueness)
    if own.equilibria["equilibrium"].nunique() > 1:
        solution.told = own.equilibria
    return solution
