"""Cases beside the published ones: every expected number is met by certified answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from equilibrium.run import run_case

DATA = Path(__file__).parents[2] / "data" / "fdr_structures"


@pytest.mark.parametrize(("case", "numbers"), [("stockholm_batteries", 55), ("stockholm_fleets", 54)])
def test_expected_numbers_are_met(case: str, numbers: int) -> None:
    results = run_case(DATA / case, write=False)
    assert results.code == 0
    assert not results.failures
    assert {one.solution.certificate.verdict for one in results.solved} <= {"certified", "rule"}
    assert len(results.case.expected) == numbers
    assert (results.tables["validation"]["within"] == "yes").all()
