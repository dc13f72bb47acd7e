"""Solve any Pyomo model whose Blocks are players: state, derive, choose a route, solve, certify."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap
from pyomo.common.gc_manager import PauseGC

from . import branch_games, branches, leading, multiplicity, scenarios, whole
from .branches import Branch, Candidate
from .certificate import NONE, Answer, Certificate, certify, nothing_here
from .concavity import refuse_concave
from .conditions import NotAffine, affine
from .enumeration import Connected
from .errors import DataError, Fault, Infeasible, Refused
from .formulations import best_response, complementarity, potential
from .formulations.ties import OPTIMISTIC
from .hierarchy import split
from .kkt import nonlinear
from .mcp import DECISION, MixedComplementarity
from .players import Game, find_game, finite_numbers
from .qualification import without_room
from .solvers import newton
from .solvers.outcome import Outcome, Termination
from .tolerances import FEASIBLE

LEADING = ("leader", "regimes", "tracing", "disjunctions", "homotopy")
FORMULATIONS = ("rule", "potential", "complementarity", "best_response", "branches", "own", *LEADING)
SOLVERS = tuple(complementarity.SOLVERS)


@dataclass
class Solution:
    """The solved model with its certificate.

    model: the model given, its Vars at the answer. multipliers: those of the players' constraints and shared rows
    (row, value), what one more unit of slack is worth to whoever pays it. formulation, route: which way was taken and
    why. seconds: time by step.
    """

    model: pyo.ConcreteModel
    answer: Answer
    certificate: Certificate
    seconds: dict[str, float] = field(default_factory=dict)
    known: Sequence[Connected] = ()
    told: pd.DataFrame | None = None  # several equilibria that the market's own method found, in the form of a table

    @property
    def count(self) -> int:
        """How many equilibria (connected sets of them) are known."""
        return len(self.known) if self.told is None else int(self.told["equilibrium"].nunique())

    @property
    def several(self) -> bool:
        """Whether several equilibria are known, or one that is a set."""
        return self.count > 1 or any(not found.isolated for found in self.known)

    @property
    def equilibria(self) -> pd.DataFrame:
        """The equilibria that are known, as rows (equilibrium, variable, lower, upper); number 1 holds the values of
        the model's Vars. Whether there are others, the certificate's verdict and uniqueness say."""
        return multiplicity.table(self.answer.mcp, self.known) if self.told is None else self.told

    @property
    def outcome(self) -> Outcome:
        """Why the solver stopped."""
        return self.answer.outcome

    @property
    def route(self) -> str:
        """Formulation, solver and the reason for them, in words."""
        return f"{self.answer.formulation} with {self.outcome.solver}: {self.answer.reason}"

    @property
    def candidates(self) -> Sequence[Candidate]:
        """What every branch gave, best first; empty where no player needed branches."""
        return self.answer.candidates

    @property
    def leaders(self) -> pd.DataFrame:
        """One row a leader, payoffs in its own sense: payoff; bound no decision can pass (infinite where nothing is
        proved); against: the payoff if ties of the followers go against it (NaN where not known); stationarity; starts
        (points or regimes the search began from); optima: distinct local optima found. Empty without leaders."""
        found = self.answer.leading
        rows = [] if found is None else [leading.told(found, which) for which in range(len(found.led))]
        columns = ["leader", "payoff", "bound", "against", "stationarity", "route", "starts", "optima"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def margins(self) -> ComponentMap:
        """For every decision what one more unit of it would cost whoever decides it, everything it is charged for
        included (a reduced cost: zero strictly between bounds); for every row that is no bound its multiplier."""
        mcp, z = self.answer.mcp, self.answer.z
        value, found = mcp.F(z), ComponentMap()
        for k, component in enumerate(mcp.components):
            if not isinstance(component, tuple):
                found[component] = float(value[k])
            elif component[0] not in found or z[k]:
                found[component[0]] = float(z[k])
        return found

    @property
    def multipliers(self) -> pd.Series:
        """Multiplier of every constraint by name: what one more unit of slack is worth to whoever pays it (>= 0 for
        limits)."""
        mcp, z = self.answer.mcp, self.answer.z
        rows = {mcp.names[k]: z[k] for k in range(mcp.size) if isinstance(mcp.components[k], tuple)}
        value = mcp.F(z)
        told: set[tuple[int, bool]] = (
            set()
        )  # bounds whose multiplier went to a row: of equal limits, the first takes it all
        for row, column, coefficient, side, bound in mcp.absorbed:
            found = 0.0
            lower = value[column] > 0
            if side == "equal" or lower == ((side == "lower") == (coefficient > 0)):
                binds = _same(bound, mcp.lower[column] if lower else mcp.upper[column]) and _same(bound, z[column])
                if binds and (column, lower) not in told:
                    told.add((column, lower))
                    # Row: sign (body - limit) >= 0; what is left of the condition is multiplier * sign * coefficient.
                    found = float(value[column] / coefficient) * (-1.0 if side == "upper" else 1.0)
            rows[f"{row.name}{'' if side == 'equal' else '.' + side}"] = found
        return pd.Series(rows, dtype=float, name="multiplier")


def _same(first: float, second: float) -> bool:
    return abs(first - second) <= FEASIBLE * max(abs(first), abs(second))


def solve(
    model: pyo.ConcreteModel,
    formulation: str | None = None,
    solver: str | None = None,
    branches_of: Callable[[pyo.ConcreteModel], Sequence[Branch]] | None = None,
    ties: str = OPTIMISTIC,
    every: bool = False,
    near: bool = False,
) -> Solution:
    """Find an equilibrium of ``model`` and certify it.

    model: any ConcreteModel whose Blocks with an Objective are players. Only the values of its Vars change.
    formulation: one of FORMULATIONS; chosen by what the conditions allow if not given. solver: one of SOLVERS, for
    the formulation 'complementarity'. branches_of: for a player that is not concave, the branches that contain every
    optimum. ties: 'optimistic' or 'pessimistic', how followers with several answers break ties, seen from the leader.
    every: look long for further equilibria (small affine problems are searched anyway), also where players are not
    concave. near: the Vars hold what should be an answer; begin with the multipliers that fit it. Where it is proved
    that there is no equilibrium, the verdict is 'none' and no Var changes. Raises Refused
    (the model cannot be treated as stated), Infeasible, SolverMissing, DataError (no such route).
    """
    check_route(formulation, solver)
    tape = scenarios.current()
    if tape is not None:  # a market's code runs on numbers of many scenarios
        from .held import params_of, solve_held

        if params_of(model):
            return solve_held(model, tape, branches_of(model) if branches_of else ())  # type: ignore[return-value]
    with PauseGC():  # large expressions are millions of small objects, none of them garbage
        return _solve(model, formulation, solver, branches_of, ties, every, near)


def _solve(
    model: pyo.ConcreteModel,
    formulation: str | None,
    solver: str | None,
    branches_of: Callable[[pyo.ConcreteModel], Sequence[Branch]] | None,
    ties: str,
    every: bool,
    near: bool,
) -> Solution:
    began = time.perf_counter()
    game = find_game(model)
    sorting = time.perf_counter() - began
    if whole.needed(game):
        return _in_whole_numbers(game, formulation, solver)
    if len(game.stages) > 1:
        answer, seconds = _by_leaders(game, formulation, ties, branches_of(model) if branches_of else ())
    elif formulation in LEADING:
        raise Refused(f"the formulation '{formulation}' is for leaders; this model declares no order of moves")
    elif branches_of is not None and formulation in (None, "branches"):
        answer, seconds = _by_branches(game, branches_of)
    elif formulation == "own":
        raise Refused("the formulation 'own' needs a market with a method of its own")
    elif formulation == "branches":
        raise Refused("the formulation 'branches' needs a market that names the branches of its non-concave player")
    else:
        answer, seconds = _answer(game, formulation, solver, every, near)
    before = [(c, c.value) for c in answer.mcp.components if not isinstance(c, tuple)]
    if answer.among is not None and answer.outcome.termination is Termination.INFEASIBLE:
        return Solution(model, answer, nothing_here(answer), seconds)
    _write(answer)
    began = time.perf_counter()
    with np.errstate(all=None if answer.outcome.ok else "ignore"):  # what was not solved may be of any size
        certificate = certify(answer)
    seconds = {"sort": sorting, **seconds, "certify": time.perf_counter() - began}
    if answer.leading is not None or (
        not certificate.ok and (formulation or solver)
    ):  # asked for this way, so its failure is the answer
        return Solution(model, answer, certificate, seconds)
    began = time.perf_counter()
    found = multiplicity.settle(answer, certificate, every)
    if found.certificate.verdict == NONE:
        for variable, value in before:
            variable.set_value(value, skip_validation=True)
    seconds["search"] = time.perf_counter() - began
    return Solution(model, found.answer, found.certificate, seconds, found.equilibria)


def _in_whole_numbers(game: Game, formulation: str | None, solver: str | None) -> Solution:
    """Whole numbers first, then the rest with these held."""
    if formulation or solver:
        raise Refused("somebody decides whole numbers here; no formulation or solver can be asked for")
    began = time.perf_counter()
    choices = whole.choose(game)
    seconds = time.perf_counter() - began
    with whole.held(choices):
        rest = _solve(game.model, None, None, None, OPTIMISTIC, False, False)
        certificate = whole.certify(rest.certificate, choices)
    reason = f"whole numbers by HiGHS, the rest because {rest.answer.reason}"
    rest.answer.formulation, rest.answer.reason = f"whole numbers, {rest.answer.formulation}", reason
    rest.seconds["solve"] = rest.seconds.get("solve", 0.0) + seconds
    return Solution(game.model, rest.answer, certificate, rest.seconds)


def _refuse_cramped(game: Game, mcp: MixedComplementarity) -> None:
    """Limits without an interior may leave no multipliers: refuse, with advice, before a solver looks for them."""
    for player in () if mcp.is_affine else game.players:
        names = without_room(player)
        if names:
            raise Refused(
                f"no point was found that satisfies {', '.join(names)} of {player.name} strictly: without such a point "
                "(a constraint qualification) conditions of optimality may have no multipliers; state what these "
                "limits imply as linear rows (x == 0 instead of x**2 <= 0)"
            )


def check_route(formulation: str | None, solver: str | None) -> None:
    """Raise DataError if there is no formulation or no solver of that name."""
    given = (("formulation", formulation, FORMULATIONS), ("solver", solver, SOLVERS))
    faults = [
        Fault(f"--{what}", f"there is no such {what}", value=name, allowed=", ".join(known))
        for what, name, known in given
        if name is not None and name not in known
    ]
    if faults:
        raise DataError(faults)


@finite_numbers()
def derive(game: Game) -> MixedComplementarity:
    """The joint conditions: affine ones read off the expressions, nonlinear ones by core.kkt."""
    try:
        return affine(game)
    except NotAffine:
        return nonlinear(game)


def _answer(
    game: Game, formulation: str | None, solver: str | None, every: bool = False, near: bool = False
) -> tuple[Answer, dict[str, float]]:
    began = time.perf_counter()
    mcp = derive(game)
    if near and not mcp.is_affine:
        mcp = replace(mcp, start=np.clip(_multipliers_at(mcp), mcp.lower, mcp.upper))
    derived = time.perf_counter() - began
    if (mcp.lower > mcp.upper).any():
        k = int(np.flatnonzero(mcp.lower > mcp.upper)[0])
        raise Infeasible(f"{mcp.names[k]} must be at least {mcp.lower[k]:g} and at most {mcp.upper[k]:g}")
    began = time.perf_counter()
    answer = _route(game, mcp, formulation, solver, every)
    return answer, {"derive": derived, "solve": time.perf_counter() - began}


def _route(game: Game, mcp: MixedComplementarity, formulation: str | None, solver: str | None, every: bool) -> Answer:
    searched = formulation is None and solver is None and multiplicity.small(mcp, every)
    if not game.players:
        z, outcome = _complementarity(mcp, solver, searched)
        return Answer(game, mcp, z, outcome, "complementarity" if game.pairs else "rule", "nobody decides")
    if not (every and searched):  # a search drops what is no best response
        refuse_concave(game, mcp)
    _refuse_cramped(game, mcp)
    if formulation == "best_response":
        z, outcome = best_response.solve(mcp)
        return Answer(game, mcp, z, _feasible(outcome), formulation, "asked for")
    found = potential.find(mcp) if formulation in (None, "potential") and solver is None else None
    if formulation == "potential" and found is None:
        raise Refused(
            "there is no potential: the conditions of these players are not those of one convex quadratic programme"
        )
    unbounded = None
    if found is not None:
        with np.errstate(all="ignore"):  # a programme without an optimum may send it to infinity
            z, outcome = potential.solve(mcp, found)
        unbounded = outcome if outcome.termination is Termination.UNBOUNDED else None
        if outcome.ok or (unbounded and not searched) or formulation == "potential":
            return Answer(
                game, mcp, z, _feasible(outcome), "potential", "the conditions are those of one convex programme"
            )
    z, outcome = _complementarity(mcp, solver, searched)
    if unbounded and not outcome.ok:
        outcome = unbounded  # HiGHS says so of programmes that have an optimum, too: a search will tell
    kind = "affine conditions without a potential" if mcp.is_affine else "nonlinear conditions"
    if found is not None:
        kind = "the convex programme behind the conditions was not solved accurately enough"
    return Answer(game, mcp, z, outcome, "complementarity", "asked for" if formulation else kind)


def _complementarity(mcp: MixedComplementarity, solver: str | None, searched: bool) -> tuple[np.ndarray, Outcome]:
    """The joint conditions solved; Newton alone where a search finds out what it leaves, and why."""
    if searched:
        with np.errstate(all="ignore"):  # conditions without a solution send it to infinity
            return newton.solve(mcp)
    z, outcome = complementarity.solve(mcp, solver)
    return z, _feasible(outcome)


def _feasible(outcome: Outcome) -> Outcome:
    if outcome.termination is Termination.INFEASIBLE:
        raise Infeasible(
            f"no decisions satisfy all constraints and clear the market: {outcome.message}; {outcome.advice}"
        )
    if outcome.termination is Termination.UNBOUNDED:
        raise Infeasible(f"the problem is unbounded: {outcome.advice}")
    return outcome


def _by_leaders(
    game: Game, formulation: str | None, ties: str, named: Sequence[Branch]
) -> tuple[Answer, dict[str, float]]:
    if formulation not in (None, *LEADING):
        raise Refused(f"the formulation '{formulation}' is for players who move together; here some move first")
    began = time.perf_counter()
    hierarchy = split(game)
    x, z, found, outcome = leading.decide(game, hierarchy, formulation, ties, named)
    for variable, value in zip(hierarchy.x, x, strict=True):
        variable.set_value(float(value), skip_validation=True)
    led = found.led[0]
    answer = Answer(hierarchy.followers, found.at(x), z, outcome, led.route, led.reason, leading=found)
    return answer, {"solve": time.perf_counter() - began}


def _by_branches(game: Game, branches_of: Callable[[Any], Sequence[Branch]]) -> tuple[Answer, dict[str, float]]:
    if len(game.players) != 1 or game.variables:
        return _by_branch_games(game, branches_of(game.model))
    began = time.perf_counter()

    def solve_branch(model: pyo.ConcreteModel) -> tuple[str, bool, float]:
        start = time.perf_counter()
        answer, _ = _answer(find_game(model), None, None)
        _write(answer)
        certificate = certify(answer)
        if certificate.verdict != "certified":
            raise Refused(
                f"a branch of {game.players[0].name} was not solved to a certified optimum: {certificate.scope}"
            )
        unique = certificate.uniqueness.decisions == "unique"
        return certificate.checks[0].proof, unique, time.perf_counter() - start

    found, impossible = branches.explore(game.model, branches_of(game.model), solve_branch)
    began_derive = time.perf_counter()
    mcp = derive(game)
    derived = time.perf_counter() - began_derive
    z = _multipliers_at(mcp)
    seconds = time.perf_counter() - began
    outcome = Outcome(Termination.SOLVED, f"best of {len(found)} branches", seconds, "each branch's own solver")
    reason = f"{game.players[0].name} is not concave; its optimum lies in one of {len(found)} concave branches"
    reason += f" (impossible: {', '.join(impossible)})" if impossible else ""
    return Answer(game, mcp, z, outcome, "branches", reason, tuple(found)), {
        "derive": derived,
        "solve": seconds - derived,
    }


def _by_branch_games(game: Game, named: Sequence[Branch]) -> tuple[Answer, dict[str, float]]:
    """One player is not concave and others move with it: the game of every branch, each held against the others."""
    began = time.perf_counter()
    count = 0

    def solve_game(inner: Game) -> branch_games.Solved:
        nonlocal count
        count += 1  # the games differ in held values only: a few are compared with the model as it was stated
        start = time.perf_counter()
        answer, _ = _answer(inner, None, None)
        _write(answer)
        found = multiplicity.settle(answer, certify(answer, restate=count <= branch_games.FEW))
        return branch_games.Solved(found.certificate, found.answer.mcp, found.answer.z, time.perf_counter() - start)

    player = branch_games.decider(game, named)
    before = [(v, v.value) for v in game.model.component_data_objects(pyo.Var)]
    played = branch_games.play(game, named, solve_game, derive)
    best = min(played, key=lambda one: (not one.stays, one.gain))
    for variable in game.model.component_data_objects(pyo.Var):
        if variable.name in best.values:
            variable.set_value(best.values[variable.name], skip_validation=True)
    mcp = derive(game)
    z = _multipliers_at(mcp, best.multipliers)
    seconds = time.perf_counter() - began
    nothing = branch_games.nothing(player, played)
    for variable, value in before if nothing else ():
        variable.set_value(value, skip_validation=True)
    ended = Termination.INFEASIBLE if nothing else Termination.SOLVED
    outcome = Outcome(ended, nothing or f"games of {len(played)} branches", seconds, "each branch's own solver")
    reason = f"{player.name} is not concave; its optimum lies in one of {len(named)} concave branches"
    among = branch_games.told(player, played, len(named))
    return Answer(game, mcp, z, outcome, "branches", reason, best.candidates, among=among), {"solve": seconds}


def _multipliers_at(mcp: MixedComplementarity, known: Mapping[str, float] | None = None) -> np.ndarray:
    """Columns at the Vars' present values, with the multipliers that fit them best (least squares on stationarity).

    known: multipliers by row that are given.
    """
    z = np.zeros(mcp.size)
    multipliers = []
    for k, component in enumerate(mcp.components):
        if isinstance(component, tuple) and known and mcp.names[k] in known:
            z[k] = known[mcp.names[k]]
        elif isinstance(component, tuple):
            multipliers.append(k)
        else:
            z[k] = float(component.value)
    if multipliers:
        column, _ = mcp.scales(z)
        inside = np.flatnonzero(
            (mcp.kind == DECISION) & (z - mcp.lower > 1e-9 * column) & (mcp.upper - z > 1e-9 * column)
        )
        table = mcp.jacobian(z)[inside][:, multipliers].toarray()
        z[multipliers] = np.linalg.lstsq(table, -mcp.F(z)[inside], rcond=None)[0]
    return z


def _write(answer: Answer) -> None:
    """Write the answer into the model's Vars."""
    for value, component in zip(answer.z, answer.mcp.components, strict=True):
        if not isinstance(component, tuple):
            component.set_value(float(value), skip_validation=True)
