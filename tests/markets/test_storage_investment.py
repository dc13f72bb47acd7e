"""Market of storage investment: reference sets, the jump between two peaks, formulas, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from storage_tables import data_of

from equilibrium import solve
from equilibrium.case import Alternative, read_case
from equilibrium.run import run_case, solve_one
from models.storage_investment import figures, market, summary, theory, two_period

CASES = Path(__file__).parents[2] / "data" / "storage_investment"
TEXTBOOKS = sorted(folder.name for folder in CASES.glob("textbook_*"))


def answer(data, structure, **options):
    found = solve_one(market, data, Alternative(structure, structure, options))
    assert found.solution.certificate.verdict == "certified", found.solution.certificate.scope
    return found


@pytest.mark.parametrize("case", TEXTBOOKS)
def test_reference_sets(case):
    names = ["no storage", "merchant", "welfare owner", "planner", "merchant with schedule"]
    results = run_case(CASES / case, only=names, write=False)
    assert results.code == 0
    assert (results.tables["validation"]["within"] == "yes").all()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["textbook_s1", "textbook_s2", "textbook_s3", "textbook_s6", "textbook_s8b"])
def test_variants(case):
    results = run_case(CASES / case, write=False)
    assert results.code == 0
    assert (results.tables["validation"]["within"] == "yes").all()


def test_a_given_size_is_operated_by_the_best_of_two_regimes():
    (one,) = run_case(CASES / "textbook_s8b", only=["installed"], write=False).solved
    assert one.value("discharged energy", "owner=1") == pytest.approx(18.26241135, abs=1e-8)


def test_two_simultaneous_games_differ():
    data = data_of(50, 120, 1, 1, 10, 0, 1.1, 0.1, 3)
    late = answer(data, "simultaneous_operation").value("storage power", "owner=1")
    assert late == pytest.approx(5.610859729, abs=1e-8)
    assert answer(data, "open_loop").value("storage power", "owner=1") == pytest.approx(5.414847162, abs=1e-8)


def test_the_optimum_jumps_where_the_two_peaks_are_equal():
    low, high = 155.0, 165.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        k = answer(data_of(5, middle, 1, 1, 30, 0, 1.1, 0.02, 4), "merchant").value("storage power", "owner=1")
        low, high = (middle, high) if k < 25 else (low, middle)
    assert low == pytest.approx(159.9033153, abs=1e-6)


@pytest.mark.parametrize("cost", [1.4, 1.8, 2.2])
def test_an_optimum_on_a_kink(cost):
    """Where the firms stop on-peak the spread begins to fall faster: left of 10 GW profit rises by 24 - 1.476 - 10 I,
    right of it by 13 - 10 I."""
    one = answer(data_of(5, 40, 0.1, 1, 30, 0, 1, cost, 20), "merchant")
    assert one.value("storage power", "owner=1") == pytest.approx(10, abs=1e-8)
    assert one.value("price", "period=on") == pytest.approx(30, abs=1e-8)
    assert one.value("output", "period=on") == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(
    ("case", "bar", "tilde", "zero"),
    [("s1", 1.03982755, 1.62085321, 9.5), ("s2", 3.05974374, 4.73073557, 65.0), ("s3", 2.70156212, 5.56776436, np.inf)],
)
def test_critical_numbers_of_firms(case, bar, tilde, zero):
    s = theory.setting(read_case(CASES / f"textbook_{case}").data)
    assert (s.n_bar(), s.n_tilde(), s.n_zero()) == pytest.approx((bar, tilde, zero), abs=1e-8)


def test_cost_slope_above_which_a_planner_builds():
    s = theory.setting(read_case(CASES / "textbook_s6").data)
    assert s.k_hat() == pytest.approx(0.1614295956, abs=1e-9)
    for factor, built in ((0.999, False), (1.001, True)):
        model = two_period.planner(data_of(60, 110, 1, 1.2, 20, factor * s.k_hat(), 1.2, 0.5, 1))
        solve(model)
        assert (model.planner.storage[1].size.value > 1e-6) is built


def test_formulas_say_why_they_fail():
    solved = run_case(CASES / "textbook_s8a", only=["merchant", "welfare owner"], write=False).solved
    table = summary.formulas(solved).set_index("alternative")
    assert table.at["merchant", "formula"] == pytest.approx(30.42035398, abs=1e-8)
    assert "produce nothing off-peak" in table.at["merchant", "formula holds"]
    assert theory.closed_form(solved[0].data, "merchant", {}).empty
    told = " ".join(summary.warnings(solved)["warning"])
    assert "net of output that must run" in told
    assert "closed form does not hold: firms produce nothing off-peak" in told
    ten = run_case(CASES / "textbook_s10", only=["merchant"], write=False).solved
    assert "negative" in summary.formulas(ten)["formula holds"].iloc[0]
    (two,) = run_case(CASES / "textbook_s2", only=["installed"], write=False).solved
    (row,) = summary.formulas([two]).to_dict("records")
    assert row["solved"] == pytest.approx(row["formula"], abs=1e-8)
    assert "the size given, 20, is above the operating optimum" in row["formula holds"]


def test_charging_and_discharging_at_once_is_told():
    solved = run_case(CASES / "charge_limit_trap", write=False).solved
    texts = summary.warnings(solved).groupby("alternative")["warning"].agg(list)
    assert any("charges and discharges at once" in text for text in texts["merchant with free modes"])
    nine = run_case(CASES / "textbook_s9", only=["merchant with schedule"], write=False).solved[0]
    assert nine.value("simultaneous charge and discharge", "owner=1") < 1e-9


def test_output_that_must_run_is_a_lower_intercept():
    plain = data_of(60, 110, 1, 1.2, 20, 0, 1.2, 0.5, 2)
    shifted = data_of(70, 110, 1, 1.2, 20, 0, 1.2, 0.5, 2)
    shifted.tables["periods"].loc["off", "must_run"] = 10.0
    one, other = answer(plain, "merchant"), answer(shifted, "merchant")
    for name in ("storage power", "storage profit"):
        assert one.value(name, "owner=1") == pytest.approx(other.value(name, "owner=1"), rel=1e-10)
    assert one.value("welfare change") == pytest.approx(other.value("welfare change"), rel=1e-8)


def test_figures_show_the_solved_optimum():
    solved = run_case(CASES / "textbook_s8a", only=["merchant"], write=False).solved
    figure = figures.draw(solved)["size"]
    line, mark, formula = figure.axes[0].get_lines()[:3]
    assert formula.get_ydata()[0] < mark.get_ydata()[0] - 10  # the printed formula's peak is the lower one
    assert mark.get_ydata()[0] >= np.max(line.get_ydata()) - 1e-9
    assert pyo.value(solved[0].model.storage[1].discharged) == pytest.approx(mark.get_xdata()[0])
    named = [text.get_text() for text in figure.axes[0].texts]
    assert named == ["firms stand still off-peak", "firms produce in both periods"]
    kink = 25 / 1.1  # where charging has raised the price off-peak to the firms' cost
    assert figure.axes[0].patches[1].get_x() == pytest.approx(kink, rel=1e-12)
    assert np.isclose(line.get_xdata(), kink).any()


def test_the_reference_day():
    results = run_case(CASES / "reference_day", write=False)
    verdicts = {one.alternative.name: one.solution.certificate for one in results.solved}
    off = results.tables["validation"].query("within != 'yes'")
    assert results.code == 0, f"{verdicts} {off.to_string()}"
    assert {one.solution.certificate.verdict for one in results.solved} == {"certified"}
    assert (results.tables["validation"]["within"] == "yes").all()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["solar_day", "two_owners", "week"])
def test_longer_cases(case):
    assert run_case(CASES / case, write=False).code == 0
