"""Every way to solve a structure gives the same answer, and without the nonlinear extras the rest still works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import certify, solve
from equilibrium.case import read_case
from equilibrium.errors import Refused
from equilibrium.tolerances import AGREE
from models.fdr_structures import accounts, market

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "fdr_structures"
LINEAR = ["stockholm", "stockholm_tight", "textbook_s1", "textbook_s2", "textbook_s3"]
CURVED = ["textbook_s4", "textbook_s5", "textbook_s6"]
OPTIONS = {"cournot": {"aggregators": 3}, "mixed_own_dispatch": {"aggregators": 3}}
OTHER = ("passive", "price_taking", "mixed_dso_dispatch", "pay_as_bid")
PRICE_TAKING = [name for name, one in market.structures.items() if "generators" not in one.needs]
PLAYERS = [name for name in PRICE_TAKING if name not in OTHER and not name.startswith("battery")]

ROUTES = {
    ("potential", None): {*PLAYERS, "price_taking"},
    ("complementarity", "qp"): {*PLAYERS, "price_taking"},
    ("complementarity", "newton"): {*PLAYERS, "price_taking"},
    ("complementarity", "ipopt"): {*PLAYERS, "price_taking"},
    ("best_response", None): {*PLAYERS},
}
LINEAR_ONLY = (("potential", None), ("complementarity", "qp"))


def loads(case: str, structure: str, formulation: str | None = None, solver: str | None = None) -> np.ndarray:
    """Every flexible load of the certified equilibrium."""
    model = market.structures[structure].build(read_case(DATA / case).data, **OPTIONS.get(structure, {}))
    solution = solve(model, formulation, solver, market.structures[structure].branches)
    assert solution.certificate.ok, f"{case}, {structure}, {solution.route}: {solution.certificate.scope}"
    found = [model.flexible_load, *accounts.loads(model).values()]
    return np.array([pyo.value(load[t]) for load in found for t in model.period])


def comparisons() -> list[Any]:
    """(case, route) with Ipopt and best responses on curved supply among the slow tests but for one case."""
    rows = []
    for route in ROUTES:
        for case in LINEAR + ([] if route in LINEAR_ONLY else CURVED):
            slow = case in ("textbook_s4", "textbook_s5") and route[-1] != "newton"
            name = "-".join(word for word in (*route, case) if word)
            rows.append(pytest.param(case, route, id=name, marks=[pytest.mark.slow] if slow else []))
    return rows


@pytest.mark.parametrize(("case", "route"), comparisons())
def test_routes_agree(case: str, route: tuple[str, str | None]) -> None:
    if route[1] == "ipopt":
        pytest.importorskip("cyipopt")
    for structure in sorted(ROUTES[route]):
        chosen, forced = loads(case, structure), loads(case, structure, *route)
        assert np.abs(chosen - forced).max() <= AGREE * np.abs(chosen).max(), structure


@pytest.mark.parametrize("structure", PLAYERS)
def test_curved_supply_has_no_quadratic_potential(structure: str) -> None:
    with pytest.raises(Refused, match="no potential"):
        loads("textbook_s6", structure, "potential")


def test_best_responses_do_not_set_clearing_prices() -> None:
    with pytest.raises(Refused, match="best responses need a game of players alone"):
        loads("textbook_s1", "price_taking", "best_response")


def test_conditions_of_another_payoff_are_not_certified() -> None:
    """Arrays that do not belong to the model: their solution (all off-peak) is no equilibrium, although it solves
    them.
    """
    model = market.structures["dso_aggregator"].build(read_case(DATA / "textbook_s2").data)
    answer = solve(model).answer
    answer.mcp.matrix.data[:] = 1.0
    answer.z = np.array([1.0, 0.0, -3.0])
    for variable, load in zip(model.dso.load.values(), (1.0, 0.0), strict=True):
        variable.set_value(load)
    assert not certify(answer).ok


def without_nonlinear(case: str, out: Path) -> subprocess.CompletedProcess:
    """The command as on a machine without cyipopt and the ASL library."""
    environment = os.environ | {"FLEXMARKETS_WITHOUT_NONLINEAR": "1"}
    command = [sys.executable, "solve.py", str(DATA / case), "--out", str(out), "--no-figures"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("case", ["stockholm", "textbook_s2"])
def test_linear_supply_needs_no_nonlinear_extras(case: str, tmp_path: Path) -> None:
    done = without_nonlinear(case, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", ["textbook_s4"])
def test_curved_supply_without_the_extras_names_the_remedy(case: str, tmp_path: Path) -> None:
    done = without_nonlinear(case, tmp_path / "out")
    assert done.returncode == 3
    assert "make setup" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
