"""From a case folder to results: every alternative stated, solved, certified and told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pyomo.common.gc_manager import PauseGC

from . import own, report, writing
from .case import Alternative, Case, read_case
from .certificate import CYCLING, NONE, UNCERTIFIED, second_opinion
from .data import Data, change
from .errors import ERROR, DataError, Fault, Infeasible, NoEquilibrium, Refused, SolverMissing, in_one_line
from .market import Market
from .results import Failure, Results, Solved
from .solution import Solution, check_route, solve
from .tables import did_you_mean

RESULTS = Path("results")


def run_case(
    folder: str | Path,
    only: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    formulation: str | None = None,
    solver: str | None = None,
    out: str | Path | None = None,
    figures: bool = True,
    strict: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    write: bool = True,
    every: bool = False,
) -> Results:
    """Solve the alternatives of a case folder and write the results folder.

    only: names of alternatives. changes: cells to replace, by address. formulation, solver: force a route. out: where
    to write (default ``results/<market>/<case>``). strict: an answer certified only locally counts as a failure.
    progress: called with one line before each step. every: look long for further equilibria of each alternative.
    Raises DataError for bad input, before anything is solved or
    written.
    """
    began = time.perf_counter()
    check_route(formulation, solver)
    case = read_case(folder)
    target = Path(out) if out is not None else RESULTS / case.market.name / case.name
    if write:
        writing.check_target(target)
    data = change(case.data, changes) if changes else case.data
    alternatives = _chosen(case, only)
    read = time.perf_counter() - began
    solved, failures = solve_all(case.market, data, alternatives, formulation, solver, progress, every)
    progress("tables")
    began = time.perf_counter()
    tables = report.collect(case, data, solved, failures)
    seconds = {"read": read, **_totals(solved), "tables": time.perf_counter() - began}
    code = exit_code(solved, failures, tables["validation"], strict)
    results = Results(case, solved, failures, tables, target if write else None, seconds, code)
    if write:
        progress("figures and files")
        began = time.perf_counter()
        writing.write(results, dict(changes or {}), formulation, solver, figures)
        results.seconds = {**results.seconds, "write": time.perf_counter() - began}
    return results


def solve_all(
    market: Market,
    data: Data,
    alternatives: Iterable[Alternative],
    formulation: str | None = None,
    solver: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
    every: bool = False,
) -> tuple[list[Solved], list[Failure]]:
    """State, solve and certify each alternative; one that cannot be solved is a Failure and stops nobody else."""
    solved, failures = [], []
    for alternative in alternatives:
        progress(alternative.name)
        try:
            solved.append(solve_one(market, data, alternative, formulation, solver, every))
        except NoEquilibrium as proof:
            failures.append(Failure(alternative, NONE, str(proof), proof.code))
        except SolverMissing as error:
            failures.append(Failure(alternative, "solver missing", str(error), error.code))
        except Infeasible as error:
            failures.append(Failure(alternative, "infeasible", str(error), error.code))
        except Refused as error:
            failures.append(Failure(alternative, "refused", str(error), error.code))
        except DataError:
            raise
        except Exception as error:  # a fault in a market's code must not take the other alternatives along
            if sys.flags.dev_mode:
                raise
            failures.append(Failure(alternative, ERROR, in_one_line(error), 1))
    return solved, failures


def solve_one(
    market: Market,
    data: Data,
    alternative: Alternative,
    formulation: str | None = None,
    solver: str | None = None,
    every: bool = False,
) -> Solved:
    """One alternative of a market. Raises NoEquilibrium where it is proved that there is none."""
    with PauseGC():  # large models are millions of small objects, none of them garbage
        return _solve_one(market, data, alternative, formulation, solver, every)


def _solve_one(
    market: Market, data: Data, alternative: Alternative, formulation: str | None, solver: str | None, every: bool
) -> Solved:
    structure = market.structures[alternative.structure]
    if structure.respond is not None and solver is None and formulation in (None, own.OWN):
        found = structure.respond(data, **alternative.options)
        if found is not None:
            return _by_itself(market, data, alternative, found, formulation == own.OWN)
        if formulation == own.OWN:
            raise Refused("the market has no answer of its own to this case")
    began = time.perf_counter()
    model = structure.build(data, **alternative.options)
    stated = time.perf_counter() - began
    solution = solve(model, formulation, solver, structure.branches, every=every)
    if solution.certificate.verdict == NONE:
        raise NoEquilibrium(solution.certificate.scope)
    solution.certificate = second_opinion(solution.answer, solution.certificate)
    solution.seconds = {"state": stated, **solution.seconds}
    answer = Solved(alternative, data, model, solution)
    began = time.perf_counter()
    answer.values = market.values(answer)
    solution.seconds["report"] = time.perf_counter() - began
    return answer


def _by_itself(market: Market, data: Data, alternative: Alternative, found: own.Own, asked: bool) -> Solved:
    """The market's own answer; confirmed by the model, unless it is too large to state or nobody wants it."""
    if found.verdict == NONE:
        raise NoEquilibrium(found.scope)
    model, structure = None, market.structures[alternative.structure]
    solution: Solution | own.OwnSolution = own.alone(found)
    if found.verdict != UNCERTIFIED and not (found.too_large or asked):
        began = time.perf_counter()
        model = structure.build(data, **alternative.options)
        expected = own.start(model, found)
        stated = time.perf_counter() - began
        solution = own.confirmed(found, solve(model, near=True), expected)
        solution.seconds = {"own": found.outcome.seconds, "state": stated, **solution.seconds}
    answer = Solved(alternative, data, model, solution)
    answer.values = market.values(answer)
    return answer


def exit_code(solved: Sequence[Solved], failures: Sequence[Failure], validation: pd.DataFrame, strict: bool) -> int:
    """0 all answered (certified, a rule, several or proved none), 1 uncertified, cycling or off its expected numbers, 3
    solver missing, 4 refused or infeasible."""
    codes = [failure.code for failure in failures]
    verdicts = {one.solution.certificate.verdict for one in solved}
    bad = {UNCERTIFIED, CYCLING} | ({"certified, local"} if strict else set())
    if verdicts & bad or (validation["within"] == "no").any():
        codes.append(1)
    for code in (1, 3, 4):
        if code in codes:
            return code
    return 0


def _chosen(case: Case, only: Sequence[str]) -> list[Alternative]:
    names = [alternative.name for alternative in case.alternatives]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise DataError(
            [
                Fault("--only", "no such alternative" + did_you_mean(n, names), value=n, allowed=", ".join(names))
                for n in unknown
            ],
            str(case.folder),
        )
    return [alternative for alternative in case.alternatives if not only or alternative.name in only]


def _totals(solved: Sequence[Solved]) -> dict[str, float]:
    steps: dict[str, float] = {}
    for one in solved:
        for step, seconds in one.solution.seconds.items():
            steps[step] = steps.get(step, 0.0) + seconds
    return steps
