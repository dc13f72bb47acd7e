"""Every route gives the same answer, and HiGHS alone, without cyipopt and the ASL library, solves everything affine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equilibrium.run import run_case

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "coupled_countries"
CASES = sorted(path.parent.name for path in DATA.glob("*/case.toml"))
NO_PROGRAMME = {("strategic", "cournot"), ("textbook_r3", "own balance")}  # not the conditions of one programme

ALL_CASES = """
import sys
from equilibrium.run import run_case
for case in sys.argv[1:]:
    results = run_case(case, write=False)
    print(results.code, *{one.solution.answer.outcome.solver for one in results.solved}, sep=";")
"""


def numbers(case: str, formulation: str | None = None, solver: str | None = None) -> pd.Series:
    """Every reported number by alternative, quantity, index; all certified."""
    names = [name for name in alternatives(case) if formulation != "potential" or (case, name) not in NO_PROGRAMME]
    if solver:
        names = [name for name in names if (case, name) not in NO_PROGRAMME]
    results = run_case(DATA / case, only=names, formulation=formulation, solver=solver, write=False)
    assert results.code == 0
    assert {one.solution.certificate.verdict for one in results.solved} == {"certified"}
    frames = [one.values.assign(alternative=one.alternative.name) for one in results.solved]
    return pd.concat(frames).set_index(["alternative", "quantity", "index"])["value"]


def alternatives(case: str) -> list[str]:
    return pd.read_csv(DATA / case / "alternatives.csv")["name"].tolist()


@pytest.mark.parametrize("route", [("potential", None), ("complementarity", None), ("complementarity", "qp")])
@pytest.mark.parametrize("case", CASES)
def test_routes_agree(case: str, route: tuple[str, str | None]) -> None:
    chosen, forced = numbers(case), numbers(case, *route)
    chosen = chosen[chosen.index.isin(forced.index)]
    assert list(chosen.index) == list(forced.index)
    size = chosen.abs().groupby("quantity").transform("max")
    assert (np.abs(chosen - forced) <= 1e-8 * size + 1e-9).all()


@pytest.mark.parametrize(("case", "alternative"), sorted(NO_PROGRAMME))
def test_where_no_programme_stands_behind_the_conditions_the_route_is_refused(case: str, alternative: str) -> None:
    results = run_case(DATA / case, only=[alternative], formulation="potential", write=False)
    assert [failure.verdict for failure in results.failures] == ["refused"]


def test_where_no_programme_stands_behind_the_conditions_the_solver_of_programmes_says_so() -> None:
    route = {"formulation": "complementarity", "solver": "qp"}
    (solved,) = run_case(DATA / "textbook_r3", only=["own balance"], write=False, **route).solved
    assert solved.solution.certificate.verdict == "uncertified"
    assert "the conditions are not monotone" in solved.solution.certificate.scope


def test_newton_says_where_it_stops() -> None:
    """Prices run away while every plant is full: nothing that it could follow leads back."""
    route = {"formulation": "complementarity", "solver": "newton"}
    (solved,) = run_case(DATA / "illustrative_hour", only=["netted"], write=False, **route).solved
    assert solved.solution.certificate.verdict == "uncertified"
    assert "which its steps no longer reduce" in solved.solution.certificate.scope


def test_nothing_needs_the_nonlinear_extras() -> None:
    """All cases as on a machine without cyipopt and the ASL library: only HiGHS and the package's own Newton."""
    environment = os.environ | {"FLEXMARKETS_WITHOUT_NONLINEAR": "1"}
    command = [sys.executable, "-c", ALL_CASES, *(str(DATA / case) for case in CASES)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(";") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["0"] * len(CASES)
    assert all("HiGHS" in solver or "Newton" in solver for line in lines for solver in line[1:]), lines
