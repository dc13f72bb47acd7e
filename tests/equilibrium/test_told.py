"""A run in which there are several equilibria, one, a set, or none: what the folder and the command say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyomo.environ as pyo
import pytest

from equilibrium import case as cases
from equilibrium import run as runs
from equilibrium.data import Data
from equilibrium.market import Column, Market, Structure
from equilibrium.report import readable, shortened
from equilibrium.results import Solved
from solve import main, paper, print_table


def build(data: Data, first: float, second: float, at: float) -> pyo.ConcreteModel:
    """Two adopters x, y in [0, 1] with gains x (first y - at) and y (second x - at)."""
    m = pyo.ConcreteModel()
    m.one, m.two = pyo.Block(), pyo.Block()
    m.one.x, m.two.x = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    m.one.o = pyo.Objective(expr=m.one.x * (first * m.two.x - at), sense=pyo.maximize)
    m.two.o = pyo.Objective(expr=m.two.x * (second * m.one.x - at), sense=pyo.maximize)
    return m


def without(data: Data, **options: Any) -> pyo.ConcreteModel:
    """x = 1/2 + y and y = 1/2 + x."""
    m = pyo.ConcreteModel()
    m.one, m.two = pyo.Block(), pyo.Block()
    m.one.x, m.two.x = pyo.Var(within=pyo.NonNegativeReals), pyo.Var(within=pyo.NonNegativeReals)
    m.one.o = pyo.Objective(expr=m.one.x * (1 + 2 * m.two.x) - m.one.x**2, sense=pyo.maximize)
    m.two.o = pyo.Objective(expr=m.two.x * (1 + 2 * m.one.x) - m.two.x**2, sense=pyo.maximize)
    return m


def values(solved: Solved) -> pd.DataFrame:
    """The share of the first."""
    share = float(solved.model.one.x.value)
    return pd.DataFrame([("share", "", share, "1")], columns=["quantity", "index", "value", "unit"])


NUMBER = Column("1", "a number")
MARKET = Market(
    name="adoption",
    title="Adoption",
    source="nobody",
    parameters={"size": NUMBER},
    tables=(),
    structures={
        "game": Structure("two adopters", build, options={"first": NUMBER, "second": NUMBER, "at": NUMBER}),
        "race": Structure("each outruns the other", without),
    },
    values=values,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A case of that market, which run_case finds."""
    monkeypatch.setattr(runs, "read_case", lambda path: cases.read_case(path, lambda name: MARKET))
    monkeypatch.chdir(tmp_path)
    toml = 'market = "adoption"\ntitle = "T"\nsource = "made up"\nlicence = "CC0"\ncurrency = "EUR"\n'
    rows = ["name,structure,options", "both or neither,game,first=2;second=2;at=1"]
    rows += ["one way,game,first=2;second=-2;at=-1", "careless,game,first=0;second=0;at=0", "race,race,"]
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "case.toml").write_text(toml)
    (tmp_path / "case" / "parameters.csv").write_text("name,value,unit,source\nsize,1,1,made up\n")
    (tmp_path / "case" / "alternatives.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "case"


def test_several_and_none_are_answers(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(folder), "--no-figures", "--out", "out"]) == 0
    said, complained = capsys.readouterr()
    certificate = pd.read_csv("out/certificate.csv").drop_duplicates("alternative").set_index("alternative")
    assert certificate["verdict"].to_dict() == {
        "both or neither": "several",
        "one way": "certified",
        "careless": "certified",
        "race": "none",
    }
    assert certificate.loc["both or neither", "equilibria"] == 3
    assert certificate.loc["careless", "decisions"] == "not unique"
    assert "one.x in [0, 1]" in certificate.loc["careless", "uniqueness_reason"]
    assert "proved: no equilibrium" in certificate.loc["race", "scope"]
    table = pd.read_csv("out/equilibria.csv")
    assert set(table["alternative"]) == {"both or neither", "careless"}  # where there is not just one
    listed = table[(table["alternative"] == "both or neither") & (table["variable"] == "one.x")]
    assert sorted(listed["lower"]) == [0, 0.5, 1]
    assert (listed["lower"] == listed["upper"]).all()
    text = Path("out/report.md").read_text()
    assert "## Several equilibria" in text
    assert "several" in said and "none" in said
    assert "race: none: proved" in complained
    assert "race" not in set(pd.read_csv("out/values.csv")["alternative"])  # no number where there is no answer


def test_every_is_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def solve(model, formulation=None, solver=None, branches_of=None, every=False):
        asked.append(every)
        return original(model, formulation, solver, branches_of, every)

    original = runs.solve
    monkeypatch.setattr(runs, "solve", solve)
    assert main([str(folder), "--no-figures", "--out", "out", "--every", "--only", "one way"]) == 0
    assert main([str(folder), "--no-figures", "--out", "out", "--only", "one way"]) == 0
    assert asked == [True, False]


def test_long_lists_of_equilibria_are_counted():
    rows = [
        {"alternative": "a", "equilibrium": n, "variable": f"v{k}", "lower": 0.0, "upper": float(n if k == 8 else 0)}
        for n in range(1, 11)
        for k in range(9)
    ]
    shown = shortened(pd.DataFrame(rows))
    first = shown[shown["equilibrium"] == 1]
    assert first["variable"].tolist() == ["v8", "v0", "v1", "v2", "v3", "v4", "and 3 more in equilibria.csv"]
    assert shown["variable"].iloc[-1] == "and 4 more equilibria in equilibria.csv"
    assert len(shown) == 6 * 7 + 1
    assert readable(shown)["lower"].iloc[-1] == "-"


def test_what_rounds_to_zero_is_not_negative():
    assert readable(pd.DataFrame({"x": [-4e-13, 10.25]}))["x"].tolist() == ["0.00", "10.25"]


def test_brackets_are_text_not_markup(capsys: pytest.CaptureFixture[str]):
    print_table(paper(), pd.DataFrame({"profit [kEUR]": ["firm[north]"]}), "Money [kEUR]")
    said = capsys.readouterr().out
    assert "Money [kEUR]" in said and "profit [kEUR]" in said and "firm[north]" in said
