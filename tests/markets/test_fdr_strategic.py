"""Market power in generation (section 4): the published cases, two answers that are no single number, and the order of
moves."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from fdr_periods import periods

from equilibrium.case import Alternative, read_case
from equilibrium.data import change
from equilibrium.errors import NoEquilibrium, Refused
from equilibrium.results import Results
from equilibrium.run import run_case, solve_one
from models.fdr_structures import market

DATA = Path(__file__).parents[2] / "data" / "fdr_structures"
CASES = [f"strategic_{name}" for name in ("s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "x1", "x2", "x3", "x4", "x5")]
LINEAR_COST = ("strategic_x1", "strategic_x3")  # psi2 = 0: some loads are not determined
QUICK = ("strategic_s1", "strategic_s4", *LINEAR_COST)  # the others are slow tests
ROWS = {"strategic_x1": 44, "strategic_x3": 42}
"""Numbers of the reference tables for a case, 34 but for these: X1 and X3 have 16 ends of intervals for six loads
and outputs, and X3 has no equilibrium of the mixed market."""


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


REFERENCE = {  # s, y1, y2 of the reference tables: one of many, told apart by a tie-break (equal outputs)
    ("strategic_x1", "first best"): (0.8, 2.5, 2.5),
    ("strategic_x1", "integrated"): (0.65, 1.5, 1.5),
    ("strategic_x3", "first best"): (1.1, 4.6, 4.6),
    ("strategic_x3", "integrated"): (1.05, 2.8, 2.8),
}


@pytest.mark.parametrize(("case", "name"), REFERENCE)
def test_where_the_load_is_open_the_reference_lies_in_the_interval(case: str, name: str) -> None:
    """psi2 = 0: all of the energy may be off-peak or none of it, and each output moves with its load. The certificate
    says that decisions are not unique; neither load nor output is given as a number."""
    one = next(one for one in run(case).solved if one.alternative.name == name)
    assert one.solution.certificate.uniqueness.decisions == "not unique"
    assert not {"flexible load", "generation", "bill"} & set(one.values["quantity"])
    energy = read_case(DATA / case).data.parameters["flexible_energy"]
    s, *outputs = REFERENCE[case, name]
    for t, load, output in zip(("off-peak", "peak"), (s, energy - s), outputs, strict=True):
        ends = [one.value(f"{end} flexible load", f"period={t}") for end in ("least", "most")]
        assert ends == pytest.approx([0, energy], abs=1e-9)
        made = [one.value(f"{end} generation", f"generator=large;period={t}") for end in ("least", "most")]
        assert made == pytest.approx([output - load, output - load + energy], abs=1e-9)


@pytest.mark.parametrize(("x1", "psi1", "least"), [(0.4, 0.9, 0.5), (0.4, 0.3, 0.0)])
def test_interval_of_the_first_best_is_cut_where_the_plant_would_stand_still(
    x1: float, psi1: float, least: float
) -> None:
    """The other producers deliver psi1 in every period (P(q) = q), so y1 = x1 + s - psi1 >= 0."""
    data = periods([x1, 2.6], [(psi1, 0.0)])
    one = solve_one(market, data, Alternative("plan", "first_best", {}))
    theory = market.closed_form(data, "first_best", {}).set_index(["quantity", "index"])["value"]
    for word, end in (("least", least), ("most", 1.0)):
        found = one.value(f"{word} flexible load", "period=off-peak")
        assert found == pytest.approx(end, abs=1e-9)
        assert theory[f"{word} flexible load", "period=off-peak"] == pytest.approx(end, abs=1e-12)


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
