"""Market power in generation (section 4): the published cases, two answers that are no single number, and the order of
moves."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from fdr_periods import periods

from equilibrium.case import read_case
from equilibrium.data import change
from equilibrium.errors import NoEquilibrium, Refused
from equilibrium.results import Results
from equilibrium.run import run_case, solve_one
from models.fdr_structures import market

DATA = Path(__file__).parents[2] / "data" / "fdr_structures"
CASES = [f"strategic_{name}" for name in ("s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "x1", "x2", "x3", "x4", "x5")]
LINEAR_COST = ("strategic_x1", "strategic_x3")  # psi2 = 0: some loads are not determined
QUICK = ("strategic_s1", "strategic_s4", *LINEAR_COST)  # the others are slow tests
ROWS = {"strategic_x1": 30, "strategic_x3": 26}
"""Numbers of the reference tables for a case, 34 but for these: X1 has an interval instead of six loads and outputs, X3
lacks these six and an equilibrium of the mixed market."""


@cache
def run(case: str) -> Results:
    return run_case(DATA / case, write=False, figures=False)


def cases() -> list[object]:
    return [pytest.param(case, marks=[] if case in QUICK else [pytest.mark.slow]) for case in CASES]


@pytest.mark.parametrize("case", CASES)
def test_expected_numbers_are_complete_and_tight(case: str) -> None:
    """1e-7 of the value, of S for loads, written with two digits."""
    read = read_case(DATA / case)
    table, energy = read.expected, read.data.parameters["flexible_energy"]
    assert len(table) == ROWS.get(case, 34)
    scale = table["value"].abs().where(~table["quantity"].str.endswith("flexible load"), energy)
    assert (table["tolerance"] <= 1.075e-7 * scale.where(scale > 0, energy)).all()


@pytest.mark.parametrize("case", cases())
def test_reference_numbers_are_met_by_certified_equilibria(case: str) -> None:
    results = run(case)
    assert results.code == 0
    assert (results.tables["validation"]["within"] == "yes").all()
    assert len(results.solved) + len(results.failures) == 14
    for one in results.solved:
        assert one.solution.certificate.verdict in ("certified", "certified, local")
        if read_case(DATA / case).data.parameters["cost_exponent"] == 0:
            assert one.solution.certificate.verdict == "certified", one.alternative.name
    assert [failure.verdict for failure in results.failures] == (["none"] if case == "strategic_x3" else [])


def test_x3_has_no_equilibrium_and_the_proof_names_both_deviations() -> None:
    """With r = 0 the DSO gains 0.1 by moving its rivals' load off-peak, with r = 1 it gains 0.2333 by the reverse."""
    case = read_case(DATA / "strategic_x3")
    alternative = next(one for one in case.alternatives if one.name == "mixed, DSO dispatch")
    with pytest.raises(NoEquilibrium, match="proved: no equilibrium") as told:
        solve_one(case.market, case.data, alternative)
    assert "from 'rivals in off-peak' to 'rivals in peak', gain 0.233333333" in str(told.value)
    assert "from 'rivals in peak' to 'rivals in off-peak', gain 0.1" in str(told.value)


def test_x1_load_is_an_interval_and_is_not_given_as_a_number() -> None:
    """Every load from 0 to 1 gives the integrated firm 1.745 (E6): no load and no output is reported as if it were the
    answer; cost, prices and profit are."""
    one = next(one for one in run("strategic_x1").solved if one.alternative.name == "integrated")
    ends = [one.value(f"{end} flexible load", "period=off-peak") for end in ("least", "most")]
    assert ends == pytest.approx([0.0, 1.0], abs=1e-9)
    assert not {"flexible load", "generation", "bill"} & set(one.values["quantity"])
    assert one.solution.certificate.uniqueness.decisions == "not unique"
    assert one.value("system cost") == pytest.approx(2.6125, rel=1e-9)
    assert one.value("payoff", "player=generator[large]") == pytest.approx(1.745, rel=1e-9)


def test_interval_is_cut_where_the_plant_cannot_follow() -> None:
    """y_i >= 0 cuts the interval (amendment 9): x = (0.4, 2.6), S = 1 and psi1 = 0.3 leave y1 = z1 + s with
    z1 = (x1 - psi1)/2 = 0.05 and z2 = 1.15, so s may be anything from 0 to 1; a capacity of 1.5 asks for 1 - s <= 0.35.
    """
    case = read_case(DATA / "strategic_x1")
    data = change(case.data, {"demand.load[off-peak]": 0.4, "generators.capacity[large]": 1.5})
    alternative = next(one for one in case.alternatives if one.name == "integrated")
    one = solve_one(case.market, data, alternative)
    ends = [one.value(f"{end} flexible load", "period=off-peak") for end in ("least", "most")]
    assert ends == pytest.approx([0.65, 1.0], abs=1e-9)


def test_readings_for_two_periods_are_refused_for_more() -> None:
    data = periods([2.0, 2.3, 3.1])
    for structure, timing in (("strategic_dso", "H"), ("strategic_mixed", "E")):
        with pytest.raises(Refused, match="two periods"):
            market.structures[structure].build(data, timing=timing)
