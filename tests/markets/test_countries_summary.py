"""What a run of coupled countries prints: countries side by side, what is not unique by its full name."""

from __future__ import annotations

from pathlib import Path

import pytest

import solve
from equilibrium.report import open_values
from equilibrium.run import run_case

DATA = Path(__file__).parents[2] / "data" / "coupled_countries"


@pytest.mark.parametrize("case", ["textbook_r3", "demand_response", "scarce_hour", "strategic", "ring"])
def test_countries_add_up(case: str) -> None:
    """Surpluses and half of the rents are the country's welfare, countries the total."""
    table = run_case(DATA / case, write=False).tables["comparison"]
    for _, rows in table.groupby("alternative"):
        each, whole = rows[rows["country"] != "all"], rows[rows["country"] == "all"].iloc[0]
        surplus = each["consumer surplus [EUR]"].sum() + each["producer surplus [EUR]"].sum()
        scale = each["welfare [EUR]"].abs().max()
        assert each["welfare [EUR]"].sum() == pytest.approx(whole["welfare [EUR]"], abs=1e-10 * scale)
        assert surplus + whole["congestion rent [EUR]"] == pytest.approx(whole["welfare [EUR]"], abs=1e-10 * scale)
        assert each["net export [MW]"].sum() == pytest.approx(0.0, abs=1e-9)


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prices of both countries in all readings; open sales by destination in full, nothing that is unique."""
    assert solve.main([str(DATA / "textbook_r3"), "--out", str(tmp_path / "out"), "--no-figures"]) == 0
    said = capsys.readouterr().out
    for number in ("21.888", "32.4395", "19.2358", "17.28", "4336.6"):
        assert number in said
    assert "firm[one].fleet[one].sales[t1,two,1]" in said
    assert "price[one,1]" not in said and "-0 " not in said


def test_only_what_is_open_is_shown() -> None:
    table = run_case(DATA / "textbook_r3", only=["joint"], write=False).tables["equilibria"]
    shown = open_values(table)
    assert set(shown["variable"]) == {
        f"firm[one].fleet[one].sales[t{t},{m},1]" for t in (1, 2, 3) for m in ("one", "two")
    }
    assert len(table) > len(shown)


def test_long_tables_of_a_study_are_for_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve, "LONG", 10)
    words = [str(DATA / "isolated"), "--study", "demand_response", "--out", str(tmp_path / "out"), "--no-figures"]
    assert solve.main(words) == 0
    said = capsys.readouterr().out
    rows = len((tmp_path / "out" / "sweep.csv").read_text().splitlines()) - 1
    assert rows > 10 and f"sweep: {rows} rows, in sweep.csv" in said and "retail price" not in said
    assert "4.390625" in said and "because c > 2 Pbar - P1" in said
