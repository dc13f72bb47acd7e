"""Many equilibria of one statement in which only numbers differ: hours of a year, scenarios of a study.

The conditions are derived once (``parametric``), solved together (``solvers.batched``) and certified together
(``measures``). Some scenarios are besides derived and certified one by one, which checks the arrays. What cannot be
treated together, or does not pass, is solved alone by ``solve``; one that fails is a row with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from . import curvature, curved_curvature, freedom_batched, multiplicity
from . import curved as nonlinear
from .certificate import CERTIFIED, RULE, UNCERTIFIED, Answer, certify
from .curvature import Curvature
from .curved import Curved
from .data import trace
from .errors import Infeasible, Refused, SolverMissing
from .grouping import derive_all
from .mcp import MixedComplementarity
from .measures import Measures, measure
from .parametric import Parametric, Values, held
from .players import find_game
from .scenarios import NotVectorised, Scenarios, Tape
from .solution import derive, solve
from .solvers import batched
from .solvers.outcome import Outcome, Termination
from .tolerances import RESIDUAL
from .uniqueness import NOT_PROVED
from .uniqueness_batched import decisions_unique

FEW = 4
"""Fewer scenarios than this of one shape are solved one by one."""

LARGE, WORTHWHILE = 5_000, 100
"""Conditions of more columns than this take so long to prepare (an order of elimination: 24 s for 35,000) that fewer
scenarios are solved one by one."""

MANY = 1000
"""Of so many scenarios of one shape three are derived and certified singly as well: the one with the largest residual,
the first, and one at random (seeded). Of fewer, the one with the largest residual."""

TOGETHER, ALONE = "together", "alone"
COLUMNS = ("verdict", "route", "reason", "residual", "regret", "distance", "unique")


@dataclass
class Batch:
    """Equilibria of ``model`` by scenario.

    table: a row per scenario, in the order given: verdict (as in a certificate; 'infeasible' or 'refused' where there
    is no answer), route ('together' or 'alone'), reason (why alone, or why there is no answer), residual, regret and
    distance (relative: the largest of all players; together they are bounds), unique (of decisions). examined: how many
    of those solved together were certified singly as well. The model's Vars and Params are as they were.
    """

    model: pyo.ConcreteModel
    table: pd.DataFrame
    cells: Values
    variables: list[Any]
    values: np.ndarray
    examined: int = 0
    _rows: dict[int, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._rows = {id(variable): k for k, variable in enumerate(self.variables)}

    @property
    def ok(self) -> np.ndarray:
        """Which scenarios have an answer that may be used."""
        return np.isin(self.table["verdict"], ["certified", "certified, local", RULE, "several"])

    def value(self, expression: Any) -> np.ndarray:
        """A Var, Param or Expression (of the model's Vars and Params) in every scenario; NaN where there is no
        answer."""
        if id(expression) in self._rows:
            return self.values[self._rows[id(expression)]].copy()
        count = len(self.table)
        tape = Tape.of(count)
        before = [variable.value for variable in self.variables]
        try:
            with held(self.cells, np.arange(count), tape):
                for variable, values in zip(self.variables, self.values, strict=True):
                    variable.set_value(Scenarios(values, tape), skip_validation=True)
                found = pyo.value(expression)
        except NotVectorised:
            return self._one_by_one(expression, np.arange(count))
        finally:
            for variable, value in zip(self.variables, before, strict=True):
                variable.set_value(value, skip_validation=True)
        result = np.array(found.values) if isinstance(found, Scenarios) else np.full(count, float(found))
        astray = np.flatnonzero(tape.astray & self.ok)
        if astray.size:
            result[astray] = self._one_by_one(expression, astray)
        return np.where(self.ok, result, np.nan)

    def _one_by_one(self, expression: Any, scenarios: np.ndarray) -> np.ndarray:
        found = np.full(len(scenarios), np.nan)
        before = [variable.value for variable in self.variables]
        try:
            for k, s in enumerate(scenarios.tolist()):
                if self.ok[s]:
                    for variable, values in zip(self.variables, self.values, strict=True):
                        variable.set_value(float(values[s]), skip_validation=True)
                    with held(self.cells, np.array([s]), Tape.of(1)):
                        found[k] = float(pyo.value(expression))
        finally:
            for variable, value in zip(self.variables, before, strict=True):
                variable.set_value(value, skip_validation=True)
        return found


def solve_many(model: pyo.ConcreteModel, cells: Mapping[Any, Any]) -> Batch:
    """Find and certify an equilibrium of ``model`` for every scenario.

    cells: what differs: the address of a number of the case ("demand.load[2]"), the name of a member of a mutable Param
    or that member's name in the model, to its values (scenarios,). What the model holds otherwise stays. Values enter
    as they would by setting the Params: a model that looked at a number while it was built does not look again.

    Affine conditions are solved together, also those below one leader (``leaders_together``); other models, small ones
    whose conditions are not shown monotone, and what does not pass are solved one by one, and the table says so. Raises
    Refused for a cell that is not in the model, or values that are not numbers, one per scenario.
    """
    params, count = _params(model, cells)
    answers = Answers(model, params, count)
    alone = _led(model, params, answers) if model.component("stage") is not None else _unled(model, params, answers)
    for scenario in sorted(alone):
        _alone(model, params, scenario, alone[scenario], answers)
    return answers.batch()


def _unled(model: pyo.ConcreteModel, params: Values, answers: Answers) -> dict[int, str]:
    groups, alone = derive_all(model, params)
    for group in groups:
        alone.update(together(group, params, answers))
    return alone


def _led(model: pyo.ConcreteModel, params: Values, answers: Answers) -> dict[int, str]:
    from .leaders_together import solve_led

    try:
        if len(find_game(model).stages) == 1:
            return _unled(model, params, answers)
        solve_led(model, params, answers, Tape.of(answers.count))
    except (NotVectorised, Refused, Infeasible, ZeroDivisionError) as error:
        return dict.fromkeys(range(answers.count), str(error))
    left = np.flatnonzero(answers.told["route"] != TOGETHER)
    return {int(k): str(answers.told["reason"][k]) or "the shape of its conditions is another" for k in left}


def _params(model: pyo.ConcreteModel, cells: Mapping[Any, Any]) -> tuple[list[tuple[Any, np.ndarray]], int]:
    known = trace(model)
    found: list[tuple[Any, np.ndarray]] = []
    for cell, values in cells.items():
        param = known[cell] if cell in known else model.find_component(cell)
        if param is None or param.ctype is not pyo.Param or param.is_indexed():
            raise Refused(f"there is no number {cell} in this model")
        if not param.parent_component().mutable:
            raise Refused(f"the Param {param.name} is not mutable: its number was built into the model (mutable=True)")
        try:
            numbers = np.asarray(values, dtype=float)
        except (TypeError, ValueError) as error:
            raise Refused(f"the values of {cell} are not numbers") from error
        if numbers.ndim != 1 or not numbers.size:
            raise Refused(f"the values of {cell} are {numbers.shape}, not one per scenario")
        found.append((param, numbers))
    counts = {len(values) for _, values in found}
    if len(counts) != 1:
        raise Refused(f"cells have {sorted(counts)} values; every cell needs one per scenario")
    if len({id(param) for param, _ in found}) < len(found):
        raise Refused("a number is given twice, under two names")
    return found, counts.pop()


class Answers:
    """What is known so far, scenario by scenario. counted: whether it is asked if decisions are the only ones."""

    def __init__(self, model: pyo.ConcreteModel, params: Values, count: int, counted: bool = True) -> None:
        self.model, self.params, self.count, self.counted = model, params, count, counted
        self.told: dict[str, Any] = {
            name: np.full(count, np.nan)
            if name in ("residual", "regret", "distance")
            else np.full(count, "", dtype=object)
            for name in COLUMNS
        }
        self.variables = [
            v for v in model.component_data_objects(pyo.Var, active=True, descend_into=True) if not v.fixed
        ]
        self.row = {id(v): k for k, v in enumerate(self.variables)}
        self.values = np.full((len(self.variables), count), np.nan)
        self.examined = 0
        self.last: tuple[Parametric | Curved, Found, np.ndarray] | None = (
            None  # solved together, and which of it passed
        )

    def tell(self, scenarios: Any, **what: Any) -> None:
        """Fill in columns of the table."""
        for name, value in what.items():
            self.told[name][scenarios] = value

    def take(self, group: Parametric | Curved, found: Found, good: np.ndarray) -> None:
        """The answers of a group's scenarios ``good``."""
        self.last = (group, found, good)
        columns = [k for k, component in enumerate(group.mcp.components) if not isinstance(component, tuple)]
        rows = [self.row[id(group.mcp.components[k])] for k in columns]
        self.values[np.ix_(np.array(rows, dtype=int), group.which[good])] = found.z[
            np.ix_(np.array(columns, dtype=int), good)
        ]

    def batch(self) -> Batch:
        """What was found."""
        table = pd.DataFrame(self.told)
        table.index.name = "scenario"
        return Batch(self.model, table, self.params, self.variables, self.values, self.examined)


# ---- together -------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """Answers of a group: z (columns, scenarios) of ``problems`` (the tangents there, of what is curved), how each was
    reached, the curvature of every player's payoff, for which decisions are shown unique, for which not to be."""

    problems: batched.Problems
    z: np.ndarray
    how: np.ndarray
    curved: list[Curvature]
    unique: np.ndarray
    several: np.ndarray


def together(group: Parametric | Curved, params: Values, answers: Answers) -> dict[int, str]:
    """Solve and certify the scenarios of a group; which are left, and why."""
    if group.count < FEW:
        return dict.fromkeys(group.which.tolist(), "hardly any other scenario has conditions of this shape")
    if group.mcp.size > LARGE and group.count < WORTHWHILE:
        return dict.fromkeys(group.which.tolist(), f"so large conditions go together from {WORTHWHILE} scenarios on")
    found = _curved(group) if isinstance(group, Curved) else _affine(group, answers.counted)
    if isinstance(found, str):
        return dict.fromkeys(group.which.tolist(), found)
    measures = measured(found.problems, found.z, found.curved)
    good = np.flatnonzero(measures.passed)
    problem = _examined(group, params, found.z, measures, good, answers)
    if problem:
        return dict.fromkeys(group.which.tolist(), problem)
    which = group.which[good]
    answers.take(group, found, good)
    answers.tell(
        which,
        verdict=CERTIFIED if group.game.players or group.game.pairs else RULE,
        route=TOGETHER,
        reason=found.how[good],
        residual=measures.residual[good],
        regret=measures.regret[good],
        distance=measures.distance[good],
        unique=np.where(found.unique[good], "unique", np.where(found.several[good], "not unique", NOT_PROVED)),
    )
    bad = np.flatnonzero(~measures.passed)
    return {int(group.which[k]): _fails(measures, int(k)) for k in bad}


def _affine(group: Parametric, counted: bool) -> Found | str:
    smooth, unique = curvature.monotone(group)
    if not smooth.all() and multiplicity.small(group.mcp):
        return "not shown monotone, so other equilibria are looked for"
    problems = problems_of(group)
    start = batched.solve(problems.of(np.array([0])), group.mcp.interior())[0][:, 0]
    if not np.isfinite(start).all():
        start = group.mcp.interior()
    z, error, how = batched.solve(problems, start)
    words = np.where(how == batched.START, "Newton on the active set", "interior point and active set")
    only, several = np.broadcast_to(unique, group.count).copy(), np.zeros(group.count, dtype=bool)
    if counted and group.game.players and smooth.all() and not only.all():
        solved = np.flatnonzero(error <= RESIDUAL)
        only[solved] |= decisions_unique(problems.of(solved), z[:, solved])
        some = solved[~only[solved]]
        only[some], several[some] = _counted(group, problems.of(some), z[:, some], some)
    return Found(problems, z, words, curvature.curvatures(group), only, several)


def _counted(
    group: Parametric, problems: batched.Problems, z: np.ndarray, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(where the decisions of z are the only ones, where others solve the conditions as well) of some scenarios of a
    group: by a move from z, by one from another solution that is at fewer bounds, and one by one."""
    only, several = np.zeros(len(which), dtype=bool), np.zeros(len(which), dtype=bool)
    for inside in (False, True):
        left = np.flatnonzero(~several)
        if left.size:
            some = problems.of(left)
            at = batched.solve_inside(some) if inside else z[:, left]
            several[left] = freedom_batched.several(some, at)
    for k in np.flatnonzero(~several).tolist() if group.mcp.size <= multiplicity.CONVEX else ():
        word = multiplicity.decisions(group.at(int(which[k])), z[:, k])
        only[k], several[k] = word == "unique", word == "not unique"
    return only, several


def _curved(group: Curved) -> Found:
    z, _, problems = nonlinear.solve(group)
    words = np.full(group.count, "Newton", dtype=object)
    with np.errstate(all="ignore"):
        curved = curved_curvature.curvatures(group, problems, z)
        unique = curved_curvature.strictly_monotone(group, problems, z)
    return Found(problems, z, words, curved, unique, np.zeros(group.count, dtype=bool))


def problems_of(group: Parametric) -> batched.Problems:
    """The scenarios of a group as arrays for the solver."""
    every = slice(None)
    q = np.ascontiguousarray(np.broadcast_to(group.vector.part(every), (group.mcp.size, group.count)))
    lower, upper = (np.broadcast_to(limits.part(every), q.shape) for limits in (group.lower, group.upper))
    return batched.Problems(batched.Shape.of(group.mcp), group.matrix.part(every), q, lower, upper)


def measured(problems: batched.Problems, z: np.ndarray, curved: list[Any], ahead: np.ndarray | None = None) -> Measures:
    """The measures of the scenarios of ``problems`` at z (columns, scenarios), part by part; ahead (scenarios,): the
    largest decision of those who moved before."""
    ahead = np.zeros(problems.count) if ahead is None else ahead
    width = max(8, batched.NUMBERS // max(problems.shape.mcp.size, 1))
    parts = []
    with np.errstate(all="ignore"):
        for first in range(0, problems.count, width):
            chosen = np.arange(first, min(first + width, problems.count))
            parts.append(measure(problems.of(chosen), z[:, chosen], curved, chosen, ahead[chosen]))
    names = ("residual", "regret", "distance", "convex")
    return Measures(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _fails(found: Measures, k: int) -> str:
    if not found.convex[k]:
        return "some player's own problem was not shown to be convex"
    if not np.isfinite(found.residual[k]) or found.residual[k] > 1e-9:
        return f"not solved together: relative residual {found.residual[k]:.1e}"
    return f"not certified together: regret {found.regret[k]:.1e}, distance {found.distance[k]:.1e}"


def _examined(
    group: Parametric | Curved, params: Values, z: np.ndarray, found: Measures, good: np.ndarray, answers: Answers
) -> str | None:
    """Derive and certify some scenarios singly. Why the group is not to be trusted, or None."""
    if not good.size:
        return None
    some = {int(good[np.argmax(found.residual[good])])}
    if len(good) >= MANY:
        some |= {int(good[0]), int(np.random.default_rng(0).choice(good))}
    for k in sorted(some):
        with Plain(answers, params, int(group.which[k])):
            game = find_game(answers.model)
            mcp = derive(game)
            if isinstance(group, Parametric) and not _same(mcp, group.at(k)):
                return "conditions derived together and singly differ"
            for component, value in zip(mcp.components, z[:, k], strict=True):
                if not isinstance(component, tuple):
                    component.set_value(float(value), skip_validation=True)
            outcome = Outcome(Termination.SOLVED, "together with others", 0.0, "batched")
            certificate = certify(Answer(game, mcp, z[:, k], outcome, "batch", "many scenarios of one statement"))
        if not certificate.ok:
            return f"a scenario solved together did not pass singly: {certificate.scope}"
        answers.examined += 1
    return None


def _same(first: MixedComplementarity, second: MixedComplementarity) -> bool:
    """Whether two derivations gave the same arrays, up to rounding."""
    if first.size != second.size or first.matrix is None or second.matrix is None:
        return False
    pairs: Sequence[tuple[Any, Any]] = [(getattr(first, n), getattr(second, n)) for n in ("vector", "lower", "upper")]
    alike = all(np.allclose(a, b, rtol=1e-12, atol=0.0) for a, b in pairs)
    off = abs(first.matrix - second.matrix)
    return alike and first.names == second.names and (not off.nnz or off.max() <= 1e-13 * abs(first.matrix).max())


class Plain:
    """The Params at one scenario's values; Vars and Params are put back afterwards."""

    def __init__(self, answers: Answers, params: Values, scenario: int) -> None:
        self.variables = answers.variables
        self.held = held(params, np.array([scenario]), Tape.of(1))

    def __enter__(self) -> None:
        self.before = [variable.value for variable in self.variables]
        self.held.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.held.__exit__(*error)
        for variable, value in zip(self.variables, self.before, strict=True):
            variable.set_value(value, skip_validation=True)


# ---- alone ----------------------------------------------------------------------------------------------------------


def _alone(model: pyo.ConcreteModel, params: Values, scenario: int, reason: str, answers: Answers) -> None:
    with Plain(answers, params, scenario):
        try:
            solution = solve(model)
        except (Refused, Infeasible, SolverMissing) as error:
            verdict = "infeasible" if isinstance(error, Infeasible) else "refused"
            answers.tell(scenario, verdict=verdict, route=ALONE, reason=f"{error} (alone because: {reason})")
            return
        certificate = solution.certificate
        checks = certificate.checks
        answers.tell(
            scenario,
            verdict=certificate.verdict,
            route=ALONE,
            reason=reason if certificate.ok else f"{certificate.scope} (alone because: {reason})",
            residual=max((check.residual for check in checks), default=np.nan),
            regret=_most([check.regret / max(check.bill, 1e-300) for check in checks]),
            distance=_most([check.distance / max(check.size, 1e-300) for check in checks]),
            unique=certificate.uniqueness.decisions,
        )
        if certificate.verdict != UNCERTIFIED and certificate.ok:
            answers.values[:, scenario] = [np.nan if v.value is None else v.value for v in answers.variables]


def _most(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return max(known, default=np.nan)
