"""The source's four scenarios: Table II, and everything else that is known of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from equilibrium.run import run_case

PAPER = Path(__file__).parents[2] / "data/local_flexibility/paper"


@pytest.fixture(scope="module")
def paper():
    return run_case(PAPER, write=False)


def one(results, name):
    return next(found for found in results.solved if found.alternative.name == name)


def test_every_reference_number(paper):
    checked = paper.tables["validation"]
    assert paper.code == 0 and len(checked) >= 100
    assert {found.solution.certificate.verdict for found in paper.solved} == {"certified"}
    assert (checked["within"] == "yes").all(), checked[checked["within"] != "yes"].to_string()


@pytest.mark.parametrize(("name", "printed"), [("S1", 0.47), ("S2", 11.47), ("S3", 32.34), ("S4", 10.64)])
def test_table_two_to_the_cent(paper, name, printed):
    """Half a cent rounds up: 32.335 is printed as 32.34."""
    cost = one(paper, name).value("expected operator cost")
    assert int(cost * 100 + 0.5 + 1e-9) / 100 == pytest.approx(printed, abs=1e-12)


def test_all_extra_cost_of_market_power_is_profit(paper):
    extra = one(paper, "S2").value("operator cost", "day=typical") - one(paper, "S1").value(
        "operator cost", "day=typical"
    )
    assert extra == pytest.approx(11, abs=1e-9)
    assert one(paper, "S2").value("mark-up profit", "aggregator=A;day=typical") == pytest.approx(extra, abs=1e-9)
