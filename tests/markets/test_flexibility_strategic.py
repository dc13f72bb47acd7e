"""A strategic aggregator against truthful rivals: reference numbers, and exhaustive search on a coarse grid."""

from __future__ import annotations

from pathlib import Path

import pyomo.environ as pyo
import pytest

from equilibrium import solve
from equilibrium.case import read_case
from equilibrium.run import run_case
from models.local_flexibility import outcome, strategic

CASE = Path(__file__).parents[2] / "data/local_flexibility/strategic"


@pytest.mark.parametrize(
    "name", ["C1", "C3a", "C4", *(pytest.param(n, marks=pytest.mark.slow) for n in ("C2", "C3", "C3b", "C4free"))]
)
def test_reference_numbers(name):
    found = run_case(CASE, write=False, only=[name])
    checked = found.tables["validation"]
    assert found.code == 0 and len(checked) >= 10
    assert {one.solution.certificate.verdict for one in found.solved} == {"certified"}
    assert (checked["within"] == "yes").all(), checked[checked["within"] != "yes"].to_string()


def test_nothing_on_a_grid_is_better():
    """C3a has two hours to choose from: hour 0 and hour 3 (all of the grid in steps of 5.5 kWh)."""
    data = read_case(CASE).data
    model = strategic.strategic(data, "A", "C3a")
    assert solve(model).certificate.verdict == "certified"
    best = pyo.value(model.leader.profit)
    tried = [
        outcome.clear_at(data, "C3a", "whole", {"A": {("A", "0"): 5.5 * k, ("A", "3"): 88 - 5.5 * k}})
        for k in range(11)
    ]
    profits = [one.profit("A") for one in tried]
    assert max(profits) == pytest.approx(best, abs=1e-6)
    assert profits[-1] == max(profits) and profits[0] == pytest.approx(-0.88, abs=1e-9)
