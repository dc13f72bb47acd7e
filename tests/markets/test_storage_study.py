"""Critical numbers of firms from certified equilibria at real N, beside the formulas."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from storage_tables import data_of

from equilibrium import solve
from equilibrium.case import read_case
from equilibrium.errors import Refused
from equilibrium.study import exit_code
from models.storage_investment import study, symmetric, theory, two_period

CASES = Path(__file__).parents[2] / "data" / "storage_investment"


def setting(case):
    return theory.setting(read_case(CASES / case).data)


@pytest.mark.parametrize("case", ["textbook_s1", "textbook_s6", "textbook_s8a", "textbook_s9"])
def test_one_firm_for_all_is_the_same_as_each_by_itself(case):
    data = read_case(CASES / case).data
    s = theory.setting(data)
    for name in ("merchant", "welfare_owner"):
        one, all_of_them = getattr(symmetric, name)(s, s.N), getattr(two_period, name)(data)
        solve(one)
        solve(all_of_them)
        assert one.storage.size.value == pytest.approx(all_of_them.storage[1].size.value, abs=1e-8)


@pytest.mark.parametrize(
    ("case", "bar", "tilde", "zero"),
    [
        ("s1", 1.03982755, 1.62085321, 9.5),
        pytest.param("s2", 3.05974374, 4.73073557, 65.0, marks=pytest.mark.slow),
        pytest.param("s3", 2.70156212, 5.56776436, np.inf, marks=pytest.mark.slow),
    ],
)
def test_critical_numbers_come_from_equilibria(case, bar, tilde, zero):
    tables = study.critical_numbers(read_case(CASES / f"textbook_{case}").data, [], lambda text: None)
    found = tables["critical"].set_index("number")["equilibrium"]
    assert tuple(found[["N-bar", "N-tilde", "N-zero"]]) == pytest.approx((bar, tilde, zero), abs=1e-8)
    assert found["N-bar"] < found["N-tilde"] < found["N-zero"]
    assert (tables["sizes"]["verdict"] == "certified").all()


def test_with_rising_costs_sizes_may_cross_twice():
    """Set S1 with K = 0.3: the merchant builds more than the welfare owner only between two numbers of firms."""
    points = study.Points(replace(setting("textbook_s1"), K=0.3))
    grid = [1.0, 2.0, 3.0, 6.0, 9.0, 11.0]
    rows = study._crossings("N-bar", points.excess, grid)
    assert [row["equilibrium"] for row in rows] == pytest.approx([2.165707, 9.992303], abs=1e-6)
    assert [row["crossing"] for row in rows] == ["falls", "rises"]
    assert min(points.gain(n) for n in grid) > 0  # and it never harms


def test_cost_slope_from_which_a_planner_builds():
    row = study._k_hat(setting("textbook_s6"))
    assert row["equilibrium"] == pytest.approx(0.1614295956, abs=1e-9)


def test_where_there_is_no_critical_number_it_is_said_which_side():
    """S8a: off-peak power is cheap without output, so a planner stores at any K. And with losses of 8 against a gain of
    0.5 even a tenth of a firm leaves no spread."""
    assert "any K, zero included" in study._k_hat(setting("textbook_s8a"))["crossing"]
    s = theory.setting(data_of(60, 72.5, 1, 1, 40, 0, 1.2, 0.5, 2))
    row = study._n_zero(study.Points(s))
    assert np.isnan(row["equilibrium"]) and "nothing is built at any number" in row["crossing"]
    assert s.n_zero() < study.LEAST


def test_a_run_looks_for_them_beside_the_formulas():
    table = study.nearby(*both("textbook_s2")).set_index("number")
    assert table.loc[["N-bar", "N-tilde", "N-zero"], "equilibrium"].tolist() == pytest.approx(
        [3.05974374, 4.73073557, 65.0], abs=1e-8
    )
    assert table["difference"].abs().max() < 1e-8
    assert (table["formula holds"] == "valid").all()
    eight = study.nearby(*both("textbook_s8a"))
    assert eight["equilibrium"].isna().all() and eight["formula"].isna().all()
    assert eight["formula holds"].str.contains("produce nothing off-peak").all()
    six = study.nearby(*both("textbook_s6")).set_index("number")
    assert "no formula where costs rise" in six.at["N-bar", "formula holds"]
    assert six.at["K-hat", "equilibrium"] == pytest.approx(0.1614295956, abs=1e-9)


def both(case):
    data = read_case(CASES / case).data
    return data, theory.setting(data)


def test_an_uncertified_point_is_a_row_with_the_reason(monkeypatch):
    """Two firms, and all between 1.5 and 1.75, have no certified equilibrium with a merchant."""
    original = study.symmetric.merchant

    def merchant(s, number):
        if number == 2.0 or 1.5 < number < 1.75:
            raise Refused("made to fail")
        return original(s, number)

    monkeypatch.setattr(study.symmetric, "merchant", merchant)
    data, s = both("textbook_s1")
    points = study.Points(s)
    table = study.sizes(points, [1.0, 2.0, 3.0], s, "kEUR").set_index("firms")
    assert table.at[2.0, "verdict"] == "uncertified" and table.at[2.0, "reason"] == "made to fail"
    assert np.isnan(table.at[2.0, "merchant [GW]"]) and table.at[3.0, "verdict"] == "certified"
    rows = study._crossings("N-tilde", points.gain, [1.0, 1.3, 1.8, 2.0, 3.0])
    assert [row["verdict"] for row in rows] == ["uncertified", "uncertified"]
    assert "1 of 5 points are not certified" in rows[1]["crossing"]
    found = study.critical_numbers(data, [], lambda text: None)
    assert exit_code(found) == 1
    bar = found["critical"][found["critical"]["number"] == "N-bar"]
    assert bar["verdict"].tolist() == ["certified", "uncertified"]
    assert bar["equilibrium"].iloc[0] == pytest.approx(1.03982755, abs=1e-8)


def test_a_study_counts_in_the_currency_of_the_case(tmp_path):
    folder = shutil.copytree(CASES / "textbook_s1", tmp_path / "case")
    for file in folder.iterdir():
        file.write_text(file.read_text().replace("EUR", "SEK"))
    data = read_case(folder).data
    s = theory.setting(data)
    tables = {
        "sizes": study.sizes(study.Points(s), [1.0, 3.0], s, study.money(data)),
        "critical": study.nearby(data, s),
    }
    assert "merchant's welfare change [kSEK]" in tables["sizes"]
    assert tables["critical"].set_index("number").at["K-hat", "unit"] == "SEK/MWh/GWh"
    assert study.draw(tables)["firms"].axes[1].get_ylabel() == "welfare change [kSEK]"


def test_a_day_has_no_critical_numbers():
    with pytest.raises(Refused, match="two periods"):
        study.critical_numbers(read_case(CASES / "reference_day").data, [], lambda text: None)
