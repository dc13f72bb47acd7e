"""A study of a market: run by name, written whole, its verdicts in the exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import models.fdr_structures
from equilibrium.market import Study
from solve import main

STOCKHOLM = str(Path(__file__).parents[2] / "data" / "fdr_structures" / "stockholm")


def asked(data: Any, alternatives: Any, progress: Any) -> dict[str, pd.DataFrame]:
    """The peak load, and one row with the verdict that ``flexible_energy`` stands for."""
    progress("looking")
    verdict = "certified" if data.parameters["flexible_energy"] > 1 else "uncertified"
    return {"peak": pd.DataFrame({"alternatives": [len(alternatives)], "verdict": [verdict]})}


def drawn(tables: Any) -> dict[str, Any]:
    figure = Figure()
    figure.gca().plot(tables["peak"]["alternatives"])
    return {"peak": figure}


@pytest.fixture(autouse=True)
def studied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study("How high is the peak?", asked, drawn)
    monkeypatch.setattr(models.fdr_structures, "market", replace(models.fdr_structures.market, studies={"peak": study}))


def test_tables_figures_and_provenance_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([STOCKHOLM, "--study", "peak"]) == 0
    folder = tmp_path / "results" / "fdr_structures" / "stockholm-peak"
    assert {path.name for path in folder.iterdir()} == {"peak.csv", "figures", "provenance.json"}
    assert {path.name for path in (folder / "figures").iterdir()} == {"peak.png", "peak.svg"}
    said = capsys.readouterr().out
    assert "How high is the peak?" in said and "certified" in said
    assert main([STOCKHOLM, "--study", "peak"]) == 0, "a folder of ours is replaced"


def test_an_uncertified_row_is_exit_code_one() -> None:
    assert main([STOCKHOLM, "--study", "peak", "--set", "parameters.flexible_energy=0.5"]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--study", "peek"], "did you mean 'peak'"),
        (["--study", "peak", "--only", "passive"], "says nothing to this study"),
        (["--study", "peak", "--set", "parameters.flexible_energy=much"], "flexible_energy"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main([STOCKHOLM, *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep", encoding="utf-8")
    assert main([STOCKHOLM, "--study", "peak", "--out", "mine"]) == 2
    assert (tmp_path / "mine" / "letter.txt").exists()
