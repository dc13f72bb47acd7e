"""Demand calibrated from observed loads and prices: it passes through them, with the elasticity that was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.run import run_case
from models.storage_investment import calibrate

CASES = Path(__file__).parents[2] / "data" / "storage_investment"
OBSERVED = CASES / "observed_day.csv"


def command(loads, out, elasticity=0.5, like="reference_day"):
    words = [loads, "--elasticity", elasticity, "--like", CASES / like, "--out", out]
    return calibrate.main([str(word) for word in words])


def test_demand_passes_through_the_data_with_the_elasticity():
    random = np.random.default_rng(0)
    load, price = pd.Series(random.uniform(1, 90, 50)), pd.Series(random.uniform(0.5, 300, 50))
    for elasticity in (0.05, 0.5, 1.0, 2.5):
        found = calibrate.demand(load, price, elasticity)
        at = found["intercept"] - found["slope"] * load
        np.testing.assert_allclose(at, price, rtol=1e-12)
        up, down = ((found["intercept"] - price * f) / found["slope"] for f in (1.0005, 0.9995))
        np.testing.assert_allclose((down - up) / load / 0.001, elasticity, rtol=1e-9)


@pytest.mark.parametrize(("load", "price", "elasticity"), [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)])
def test_what_an_elasticity_says_nothing_of_is_refused(load, price, elasticity):
    with pytest.raises(ValueError, match="above zero"):
        calibrate.demand(pd.Series([load]), pd.Series([price]), elasticity)


def test_the_command_gives_the_reference_day_back(tmp_path, capsys):
    out = tmp_path / "day"
    assert command(OBSERVED, out) == 0
    assert "24 periods" in capsys.readouterr().out
    case, reference = read_case(out), read_case(CASES / "reference_day")
    numbers = ["intercept", "slope", "must_run"]
    pd.testing.assert_frame_equal(
        case.data.tables["periods"][numbers], reference.data.tables["periods"][numbers], rtol=1e-15
    )
    for name in ("firms", "storage", "installed"):
        pd.testing.assert_frame_equal(case.data.tables[name], reference.data.tables[name])
    (one,) = run_case(out, only=["merchant"], write=False).solved
    assert one.value("storage profit", "owner=1") == pytest.approx(112.73018252, rel=1e-6)


def test_the_documented_command_works(tmp_path, monkeypatch, capsys):
    page = (CASES.parents[1] / "docs" / "markets" / "storage_investment.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^python -m models\.storage_investment\.calibrate (.*)$", page, re.MULTILINE)
    monkeypatch.chdir(CASES.parents[1])
    words = [str(tmp_path / "my_day") if word == "my_day" else word for word in line.split()]
    assert calibrate.main(words) == 0
    assert len(read_case(tmp_path / "my_day").data.tables["periods"]) == 24


def test_output_that_must_run_is_kept(tmp_path):
    file = tmp_path / "loads.csv"
    file.write_text("period,load,price,must_run\nnight,30,20,1\nnoon,40,30,16\nevening,45,90,0\n")
    assert command(file, tmp_path / "case") == 0
    periods = read_case(tmp_path / "case").data.tables["periods"]
    assert periods["must_run"].tolist() == [1, 16, 0]
    assert periods.index.tolist() == ["night", "noon", "evening"]


@pytest.mark.parametrize(
    ("text", "elasticity", "words"),
    [
        ("period,load,price\na,30,0\nb,-1,5\n", 0.5, ["'price': equal to 0", "'load': below the range"]),
        ("period,load,price [EUR/MWh]\na,30,1\nb,1,5\n", 0.5, ["must be [USD/MWh]"]),
        ("period,load\na,30\nb,1\n", 0.5, ["the column is missing"]),
        ("period,load,price\na,30,20\nb,40,90\n", -0.5, ["--elasticity: must be a number above zero"]),
    ],
)
def test_wrong_observations_are_refused(tmp_path, capsys, text, elasticity, words):
    file = tmp_path / "loads.csv"
    file.write_text(text)
    assert command(file, tmp_path / "case", elasticity) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words)
    assert not (tmp_path / "case").exists()


def test_nothing_is_overwritten_and_the_new_case_is_checked(tmp_path, capsys):
    assert command(OBSERVED, tmp_path) == 2
    assert "exists already" in capsys.readouterr().err
    file = tmp_path / "loads.csv"
    file.write_text("period,load,price\npeak,40,90\nnight,30,20\n")  # two periods in the wrong order
    assert command(file, tmp_path / "case", like="textbook_s1") == 2
    assert "swap the two rows" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["loads.csv"]
