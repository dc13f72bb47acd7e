"""A good case folder is read as written; every way to break one is named with file, row and column."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pandas as pd
import pyomo.environ as pyo
import pytest

from equilibrium import catalogue
from equilibrium.case import Case, Data, change, read_case, split_pairs, trace
from equilibrium.data import address
from equilibrium.errors import DataError, Fault, Refused
from equilibrium.market import Column, Market, Structure, Table

# ------------------------------------------------------------------------------------------------- a market and a case


def shares_sum_to_one(data: Data) -> list[Fault]:
    """Faults of the toy market that no single cell shows."""
    if "aggregators" not in data.tables:
        return []
    total = data.tables["aggregators"]["share"].sum()
    return [] if abs(total - 1) < 1e-9 else [Fault("aggregators.csv", f"the shares sum to {total:g}, not to 1")]


def build(data: Data, **options: Any) -> pyo.ConcreteModel:
    """A model without players, enough to trace its numbers."""
    model = pyo.ConcreteModel()
    model.demand = data.param("demand", "load")
    model.block = pyo.Block()
    model.block.slope = data.param("parameters", "slope")
    if "offers" in data.tables:
        model.price = data.param("offers", "price")
    return model


MARKET = Market(
    name="toy",
    title="Toy market",
    source="nobody",
    parameters={
        "slope": Column("EUR/MWh2", "slope of the supply", minimum=0, open_minimum=True),
        "intercept": Column("EUR/MWh", "intercept of the supply", default=10.0),
    },
    tables=(
        Table(
            "demand",
            "inflexible load",
            key=("period",),
            columns={
                "period": Column("", "number of the period", kind=int, minimum=1),
                "load": Column("MWh", "load", minimum=0, open_minimum=True, maximum=1000),
            },
        ),
        Table(
            "aggregators",
            "who buys",
            key=("aggregator",),
            columns={"share": Column("1", "share of the load", minimum=0, maximum=1)},
            optional=True,
        ),
        Table(
            "offers",
            "offers by owner and period",
            key=("owner", "period"),
            columns={
                "period": Column("", "number of the period", kind=int),
                "price": Column("EUR/MWh", "price"),
                "lots": Column("1", "lots", kind=int, default=1),
                "note": Column("", "note", kind=str, default="none"),
            },
            optional=True,
        ),
    ),
    structures={
        "planner": Structure("one planner", build),
        "independent": Structure(
            "independent aggregators",
            build,
            options={
                "aggregators": Column("1", "how many", kind=int, minimum=1, maximum=10),
                "netted": Column("", "netted or not", kind=str, choices=("yes", "no"), default="no"),
                "fee": Column("EUR", "fee", default=0.5),
            },
            needs=("aggregators",),
        ),
    },
    values=lambda solved: pd.DataFrame(),
    check=shares_sum_to_one,
)

TOML = """market = "toy"
title = "A toy"
source = "made up"
licence = "CC0"
currency = "EUR"
"""

GOOD = {
    "case.toml": TOML,
    "parameters.csv": "name,value,unit,source\nslope,2.5,EUR/MWh2,made up\nintercept,7,EUR/MWh,made up\n",
    "demand.csv": "period,load\n1,30\n2,50.5\n",
    "aggregators.csv": "aggregator,share\nnorth,0.25\nsouth,0.75\n",
    "alternatives.csv": "name,structure,options\nplanned,planner,\nthree,independent,aggregators=3;netted=yes\n",
    "expected.csv": (
        "alternative,quantity,index,value,tolerance,source\n"
        'planned,price,period=1,40,0.01,"table 1, row 2"\nthree,price,,41,0.01,table 1\n'
    ),
    "README.md": "not read",
    "study.toml": "not = 'read'",
    ".hidden.csv": "not;read",
}

Changes = Mapping[str, str | bytes | None]


def known_market(name: str) -> Market:
    """The lookup that the tests give to read_case."""
    if name != "toy":
        raise DataError([Fault("market", "there is no such market", value=name, allowed="toy")])
    return MARKET


def folder_with(folder: Path, changes: Changes) -> Path:
    """The good folder with some files replaced, added, or (None) left out."""
    folder.mkdir(exist_ok=True)
    for name, content in {**GOOD, **changes}.items():
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path, changes: Changes | None = None) -> Case:
    """The case of the good folder with some changes."""
    return read_case(folder_with(folder / "stockholm", changes or {}), known_market)


def faults_of(folder: Path) -> tuple[Fault, ...]:
    """The faults that reading a folder raises."""
    with pytest.raises(DataError) as raised:
        read_case(folder, known_market)
    assert raised.value.code == 2
    assert f"{len(raised.value.faults)} problem" in str(raised.value)
    return raised.value.faults


# ---------------------------------------------------------------------------------------------------------- good cases


def test_the_good_folder(tmp_path: Path) -> None:
    case = read(tmp_path)
    assert (case.name, case.title, case.source, case.licence, case.currency) == (
        "stockholm",
        "A toy",
        "made up",
        "CC0",
        "EUR",
    )
    assert case.market is MARKET
    assert case.data.parameters == {"slope": 2.5, "intercept": 7.0}
    assert case.data.tables["demand"]["load"].to_dict() == {1: 30.0, 2: 50.5}
    assert case.data.tables["aggregators"]["share"].to_dict() == {"north": 0.25, "south": 0.75}
    assert set(case.data.tables) == {"demand", "aggregators"}
    assert case.data.units["demand.load"] == "MWh"
    assert case.data.units["parameters.slope"] == "EUR/MWh2"
    planned, three = case.alternatives
    assert (planned.name, planned.structure, planned.options) == ("planned", "planner", {})
    assert three.options == {"aggregators": 3, "netted": "yes", "fee": 0.5}
    assert case.expected.columns.tolist() == ["alternative", "quantity", "index", "value", "tolerance", "source"]
    assert case.expected["value"].tolist() == [40.0, 41.0]
    assert case.expected["index"].tolist() == ["period=1", ""]
    assert case.hashes["case.toml"] == hashlib.sha256(TOML.encode()).hexdigest()
    assert set(case.hashes) == {name for name in GOOD if name.endswith(".csv") or name == "case.toml"} - {".hidden.csv"}


def test_a_country_called_na(tmp_path: Path) -> None:
    case = read(tmp_path, {"aggregators.csv": "aggregator,share\nNA,0.25\nnull,0.75\n"})
    assert case.data.tables["aggregators"].index.tolist() == ["NA", "null"]


def test_names_with_commas_and_blanks(tmp_path: Path) -> None:
    case = read(tmp_path, {"aggregators.csv": 'aggregator,share\n"North, old town",0.25\n south side ,0.75\n'})
    assert case.data.tables["aggregators"].index.tolist() == ["North, old town", "south side"]
    changed = change(case.data, {"aggregators.share['North, old town']": 0.5, "aggregators.share[south side]": "0.5"})
    assert changed.tables["aggregators"]["share"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        "period,load\r\n1,30\r\n2,50.5\r\n",
        "period,load [MWh]\n1,30\n2,50.5\n",
        "period, load [ MWh ]\n1, 30\n2, 50.5\n",
        "load,period\n30,1\n50.5,2\n",
        "period,load\n1.0,30\n2,5.05e1\n\n\n",
        "period,load\n1,30\n2,50.5",
        '"period","load"\n"1","30"\n"2","50.5"\n,\n',
    ],
)
def test_other_ways_to_write_the_same_table(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, {"demand.csv": text}).data.tables["demand"]["load"].to_dict() == {1: 30.0, 2: 50.5}


def test_what_may_be_absent(tmp_path: Path) -> None:
    changes = {
        "aggregators.csv": None,
        "expected.csv": None,
        "alternatives.csv": "name,structure\nplanned,planner\n",
        "parameters.csv": "name,value,unit,source\nslope,2.5,EUR/MWh2,made up\n",
    }
    case = read(tmp_path, changes)
    assert case.data.parameters == {"slope": 2.5, "intercept": 10.0}
    assert set(case.data.tables) == {"demand"}
    assert case.expected.empty
    assert "tolerance" in case.expected.columns


def test_a_source_may_run_over_lines(tmp_path: Path) -> None:
    text = 'name,value,unit,source\nslope,2.5,EUR/MWh2,"a paper,\npage 3"\nintercept,7,EUR/MWh,made up\n'
    assert read(tmp_path, {"parameters.csv": text}).data.parameters["slope"] == 2.5


# -------------------------------------------------------------------------------------------------------- broken cases

SETTINGS = "case.toml"
DEMAND = "demand.csv"
AGGREGATORS = "aggregators.csv"
PARAMETERS = "parameters.csv"
ALTERNATIVES = "alternatives.csv"
EXPECTED = "expected.csv"
HEAD = "name,value,unit,source\n"
SLOPE = "slope,2.5,EUR/MWh2,made up\n"
TWO_LINES = HEAD + 'slope,2.5,EUR/MWh2,"a\nb"\n'
NAMES = "name,structure,options\nplanned,planner,\n"
THREE = "three,independent,aggregators=3\n"
NUMBERS = "alternative,quantity,index,value,tolerance,source\n"

# what it is; the file, what stands in it instead (None: no such file); file, row, column named; part of the message
BROKEN: list[tuple[str, str, str | bytes | None, str, int | None, str, str]] = [
    ("missing file", DEMAND, None, DEMAND, None, "", "missing (inflexible load; columns period, load)"),
    ("missing column", DEMAND, "period\n1\n", DEMAND, 1, "load", "missing"),
    ("extra column", DEMAND, "period,load,laod\n1,3,3\n", DEMAND, 1, "laod", "did you mean 'load'"),
    ("duplicate column", DEMAND, "period,load,load [MWh]\n1,3,3\n", DEMAND, 1, "load", "positions 2 and 3"),
    ("same column in capitals", DEMAND, "period,load,Load\n1,3,3\n", DEMAND, 1, "Load", "did you mean 'load'"),
    ("wrong unit in header", DEMAND, "period,load [kWh]\n1,3\n", DEMAND, 1, "load", "[kWh] but must be [MWh]"),
    ("nan", DEMAND, "period,load\n1,3\n2,NaN\n", DEMAND, 3, "load", "not a finite number"),
    ("infinite", DEMAND, "period,load\n1,inf\n", DEMAND, 2, "load", "not a finite number"),
    ("empty cell", DEMAND, "period,load\n1,\n", DEMAND, 2, "load", "missing"),
    ("blanks for a value", DEMAND, "period,load\n1,   \n", DEMAND, 2, "load", "missing"),
    ("empty key", DEMAND, "period,load\n,3\n", DEMAND, 2, "period", "missing"),
    ("text in number", DEMAND, "period,load\n1,high\n", DEMAND, 2, "load", "text where a number is wanted"),
    ("not available", DEMAND, "period,load\n1,n/a\n", DEMAND, 2, "load", "missing"),
    ("negative load", DEMAND, "period,load\n1,-3\n", DEMAND, 2, "load", "below the range"),
    ("zero where positive", DEMAND, "period,load\n1,0\n", DEMAND, 2, "load", "equal to 0; it must be above"),
    ("above range", DEMAND, "period,load\n1,1000.1\n", DEMAND, 2, "load", "above the range"),
    ("key not an integer", DEMAND, "period,load\n1.5,3\n", DEMAND, 2, "period", "not a whole number"),
    ("duplicate key", DEMAND, "period,load\n1,3\n2,3\n1,4\n", DEMAND, 4, "period", "row 2 and again in row 4"),
    ("no rows", DEMAND, "period,load\n", DEMAND, None, "", "too few rows"),
    ("empty file", DEMAND, "", DEMAND, None, "", "empty"),
    ("semicolons", DEMAND, "period;load\n1;3\n", DEMAND, 1, "", "semicolons"),
    ("tabs", DEMAND, "period\tload\n1\t3\n", DEMAND, 1, "", "tabs"),
    ("decimal comma", DEMAND, 'period,load\n1,"3,5"\n', DEMAND, 2, "load", "decimal comma"),
    ("bare decimal comma", DEMAND, "period,load\n1,3,5\n", DEMAND, 2, "", "decimal comma"),
    ("byte-order mark", DEMAND, b"\xef\xbb\xbfperiod,load\n1,3\n", DEMAND, 1, "", "byte-order mark"),
    ("UTF-16", DEMAND, "period,load\n1,3\n".encode("utf-16"), DEMAND, 1, "", "UTF-16"),
    ("latin-1", AGGREGATORS, b"aggregator,share\na,0.5\nM\xe4lar,0.5\n", AGGREGATORS, 3, "", "0xE4"),
    ("thousands separator", DEMAND, 'period,load\n1,"1,000"\n', DEMAND, 2, "load", "thousands separator"),
    ("thousands by blanks", DEMAND, "period,load\n1,1 000\n", DEMAND, 2, "load", "thousands separator"),
    ("unit in the cell", DEMAND, "period,load\n1,3 MWh\n", DEMAND, 2, "load", "belongs in the header"),
    ("line break in a name", AGGREGATORS, 'aggregator,share\n"a\nb",1\n', AGGREGATORS, 2, "aggregator", "line"),
    ("semicolon in a name", AGGREGATORS, "aggregator,share\na;b,1\n", AGGREGATORS, 2, "aggregator", "semicolon"),
    ("after a line break", PARAMETERS, TWO_LINES + "intercept,x,EUR/MWh,a\n", PARAMETERS, 4, "value", "text"),
    ("row too long", DEMAND, "period,load\n1,3\n2,3,4\n", DEMAND, 3, "", "3 cells where the header has 2"),
    ("row too short", DEMAND, "period,load\n1,3\n2\n", DEMAND, 3, "", "1 cell where the header has 2"),
    ("blank line", DEMAND, "period,load\n1,3\n\n2,4\n", DEMAND, 3, "", "blank line"),
    ("row of commas", DEMAND, "period,load\n1,3\n,\n2,4\n", DEMAND, 3, "", "blank line"),
    ("open quotation mark", DEMAND, 'period,load\n1,3\n2,"4\n', DEMAND, 3, "", "quotation marks"),
    ("no parameters", PARAMETERS, None, PARAMETERS, None, "", "the file is missing"),
    ("missing parameter", PARAMETERS, HEAD, PARAMETERS, None, "", "'slope' is missing"),
    ("unknown parameter", PARAMETERS, HEAD + SLOPE + "slop,1,EUR,a\n", PARAMETERS, 3, "name", "did you mean 'slope'"),
    ("parameter twice", PARAMETERS, HEAD + SLOPE + SLOPE, PARAMETERS, 3, "name", "row 2 and again in row 3"),
    ("other unit", PARAMETERS, HEAD + "slope,1,EUR/kWh2,a\n", PARAMETERS, 2, "unit", "must be 'EUR/MWh2'"),
    ("no unit", PARAMETERS, HEAD + "slope,1,,a\n", PARAMETERS, 2, "unit", "is missing; it must be 'EUR/MWh2'"),
    (
        "no column of values",
        PARAMETERS,
        "name,unit,source\nslope,EUR/MWh2,a\n",
        PARAMETERS,
        1,
        "value",
        "column is missing",
    ),
    ("default left empty", PARAMETERS, HEAD + SLOPE + "intercept,,EUR/MWh,a\n", PARAMETERS, 3, "value", "missing"),
    ("missing source", PARAMETERS, HEAD + "slope,1,EUR/MWh2,\n", PARAMETERS, 2, "source", "missing"),
    ("parameter without value", PARAMETERS, HEAD + "slope,,EUR/MWh2,a\n", PARAMETERS, 2, "value", "missing"),
    ("parameter out of range", PARAMETERS, HEAD + "slope,0,EUR/MWh2,a\n", PARAMETERS, 2, "value", "slope: equal to 0"),
    ("unknown table file", "demands.csv", "period\n1\n", "demands.csv", None, "", "did you mean 'demand.csv'"),
    ("name in capitals", "Demand.CSV", "period\n1\n", "Demand.CSV", None, "", "did you mean 'demand.csv'"),
    ("unknown structure", ALTERNATIVES, NAMES + THREE + "b,planer,\n", ALTERNATIVES, 4, "structure", "mean 'planner'"),
    ("no structure", ALTERNATIVES, NAMES + THREE + "b,,\n", ALTERNATIVES, 4, "structure", "missing"),
    ("unknown option", ALTERNATIVES, NAMES + THREE[:-1] + ";net=yes\n", ALTERNATIVES, 3, "options", "mean 'netted'"),
    ("option of none", ALTERNATIVES, NAMES[:-1] + "a=1\n" + THREE, ALTERNATIVES, 2, "options", "unknown option"),
    ("missing option", ALTERNATIVES, NAMES + "three,independent,\n", ALTERNATIVES, 3, "options", "value is missing"),
    ("option too large", ALTERNATIVES, NAMES + THREE.replace("3", "11"), ALTERNATIVES, 3, "options", "above the range"),
    ("option not integer", ALTERNATIVES, NAMES + THREE.replace("3", "2.5"), ALTERNATIVES, 3, "options", "whole number"),
    ("option not a choice", ALTERNATIVES, NAMES + THREE[:-1] + ";netted=on\n", ALTERNATIVES, 3, "options", "choices"),
    ("malformed options", ALTERNATIVES, NAMES + THREE.replace("=", ":"), ALTERNATIVES, 3, "options", "name=value"),
    ("option twice", ALTERNATIVES, NAMES + THREE[:-1] + ";aggregators=3\n", ALTERNATIVES, 3, "options", "stands twice"),
    ("alternative twice", ALTERNATIVES, NAMES + THREE + THREE, ALTERNATIVES, 4, "name", "row 3 and again in row 4"),
    ("no alternatives file", ALTERNATIVES, None, ALTERNATIVES, None, "", "the file is missing"),
    ("needed table absent", AGGREGATORS, None, ALTERNATIVES, 3, "structure", "needs aggregators.csv"),
    ("expected of nobody", EXPECTED, NUMBERS + "threee,p,,1,1,a\n", EXPECTED, 2, "alternative", "did you mean 'three'"),
    ("expected no number", EXPECTED, NUMBERS + "three,p,,many,1,a\n", EXPECTED, 2, "value", "text"),
    ("no tolerance", EXPECTED, NUMBERS + "three,p,,1,0,a\n", EXPECTED, 2, "tolerance", "equal to 0"),
    ("expected twice", EXPECTED, NUMBERS + "three,p,,1,1,a\n" * 2, EXPECTED, 3, "", "row 2 and again in row 3"),
    ("bad index", EXPECTED, NUMBERS + "three,p,period 2,1,1,a\n", EXPECTED, 2, "index", "name=value"),
    ("expected without source", EXPECTED, NUMBERS + "three,p,,1,1,\n", EXPECTED, 2, "source", "missing"),
    ("no case.toml", SETTINGS, None, SETTINGS, None, "", "the file is missing"),
    ("bad TOML", SETTINGS, 'market = "toy"\ntitle\n', SETTINGS, 2, "", "not valid TOML"),
    ("TOML ends too early", SETTINGS, 'market = "toy"\ntitle = "a', SETTINGS, 2, "", "not valid TOML"),
    ("missing key", SETTINGS, TOML.replace('licence = "CC0"\n', ""), SETTINGS, None, "licence", "missing"),
    ("unknown key", SETTINGS, TOML + "licens = 1\n", SETTINGS, 6, "licens", "did you mean 'licence'"),
    ("number of the model", SETTINGS, TOML + "[parameters]\nslope = 2\n", SETTINGS, 6, "parameters", "parameters.csv"),
    ("empty text", SETTINGS, TOML.replace("EUR", " "), SETTINGS, 5, "currency", "not empty"),
    ("not a text", SETTINGS, TOML.replace('"EUR"', "3"), SETTINGS, 5, "currency", "text in quotation marks"),
    ("TOML with mark", SETTINGS, b"\xef\xbb\xbf" + TOML.encode(), SETTINGS, 1, "", "byte-order mark"),
    ("market unknown", SETTINGS, TOML.replace("toy", "toys"), SETTINGS, None, "market", "no such market"),
    ("market a number", SETTINGS, TOML.replace('"toy"', "1"), SETTINGS, 1, "market", "text in quotation marks"),
    ("shares", AGGREGATORS, "aggregator,share\na,0.5\nb,0.4\n", AGGREGATORS, None, "", "sum to 0.9"),
]


@pytest.mark.parametrize(
    ("changed", "content", "file", "row", "column", "message"),
    [one[1:] for one in BROKEN],
    ids=[one[0] for one in BROKEN],
)
def test_broken_folders(
    tmp_path: Path, changed: str, content: str | bytes | None, file: str, row: int | None, column: str, message: str
) -> None:
    changes: dict[str, str | bytes | None] = {changed: content}
    if changed == PARAMETERS and content is not None:
        changes[EXPECTED] = None
    found = faults_of(folder_with(tmp_path, changes))
    assert len(found) == 1, [str(fault) for fault in found]
    assert (found[0].file, found[0].row, found[0].column) == (file, row, column), str(found[0])
    assert message in str(found[0])


def a_link_to_outside(folder: Path) -> None:
    (folder.parent / "outside.csv").write_text(GOOD[DEMAND])
    (folder / DEMAND).unlink()
    (folder / DEMAND).symlink_to(folder.parent / "outside.csv")


def a_needed_table_is_a_link(folder: Path) -> None:
    (folder / "aggregators.csv").rename(folder / "other.txt")
    (folder / "aggregators.csv").symlink_to("other.txt")


def settings_are_a_link(folder: Path) -> None:
    (folder / "case.toml").rename(folder / "other.txt")
    (folder / "case.toml").symlink_to("nowhere")


def settings_are_a_folder(folder: Path) -> None:
    (folder / "case.toml").unlink()
    (folder / "case.toml").mkdir()


def a_table_is_a_folder(folder: Path) -> None:
    (folder / DEMAND).unlink()
    (folder / DEMAND).mkdir()


@pytest.mark.parametrize(
    ("breaks", "file", "message"),
    [
        (a_link_to_outside, DEMAND, "this is a link"),
        (a_needed_table_is_a_link, "aggregators.csv", "this is a link"),
        (settings_are_a_link, "case.toml", "this is a link"),
        (settings_are_a_folder, "case.toml", "must be a file"),
        (a_table_is_a_folder, DEMAND, "must be a file"),
    ],
)
def test_what_is_no_file(tmp_path: Path, breaks: Callable[[Path], None], file: str, message: str) -> None:
    folder = folder_with(tmp_path / "case", {})
    breaks(folder)
    assert [(fault.file, message in fault.message) for fault in faults_of(folder)] == [(file, True)]


def test_what_is_no_folder(tmp_path: Path) -> None:
    assert "no such folder" in str(faults_of(tmp_path / "nowhere")[0])
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "case.toml").write_text("")
    assert len(faults_of(tmp_path / "bare")) == 5
    assert "this is a file" in str(faults_of(folder_with(tmp_path, {}) / "case.toml")[0])
    (tmp_path / "empty").mkdir()
    assert [str(fault).partition(";")[0] for fault in faults_of(tmp_path / "empty")] == [
        "case.toml: the file is missing"
    ]


def test_all_faults_of_a_folder_at_once(tmp_path: Path) -> None:
    changes = {
        "case.toml": TOML.replace('currency = "EUR"\n', "size = 3\n"),
        PARAMETERS: HEAD + "slope,-1,EUR/kWh2,\nheight,1,m,a\n",
        DEMAND: "period;load\n1;3,5\n2;x\n2;4\n",
        "aggregators.csv": "aggregator,share\nnorth,2\n",
        ALTERNATIVES: "name,structure,options\na,planer,\nb,independent,aggregators=0;x=1\n",
        EXPECTED: NUMBERS + "c,p,,1,-1,a\n",
        "extra.csv": "",
    }
    found = faults_of(folder_with(tmp_path, changes))
    count = {file: sum(fault.file == file for fault in found) for file in [*changes]}
    assert list(count.values()) == [2, 4, 4, 1, 3, 2, 1]
    assert len(found) == 17


def test_a_message_as_the_analyst_sees_it(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"aggregators.csv": "aggregator,share [1]\nnorth,0.25\nsouth,1.75\n"})
    with pytest.raises(DataError) as raised:
        read_case(folder, known_market)
    assert str(raised.value) == (
        f"1 problem in {folder}:\n"
        "  - aggregators.csv, row 3, column 'share': above the range (found: '1.75'); "
        "allowed: a number at least 0 and at most 1"
    )


# ------------------------------------------------------------------------------------------- the market that is named


@pytest.fixture
def toy_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of markets with one market, one module without, one helper, and a trap beside it."""
    package = tmp_path / "toy_markets"
    package.mkdir()
    (package / "__init__.py").write_text("")
    head = "import pandas as pd\nfrom equilibrium.market import Market\n"
    (package / "first.py").write_text(
        head + "market = Market('first', '', '', {}, (), {}, values=lambda solved: pd.DataFrame())\n"
    )
    (package / "hollow.py").write_text("")
    (package / "_helper.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "trap.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalogue, "PACKAGE", "toy_markets")
    return "toy_markets"


def test_a_market_is_found_by_its_name(toy_package: str) -> None:
    assert catalogue.find_market("first").name == "first"
    assert catalogue.known_markets() == ("first", "hollow")


@pytest.mark.parametrize(
    "name",
    [
        "os",
        "os.path",
        "toy_markets.first",
        "models.first",
        "../trap",
        "trap",
        "_helper",
        ".first",
        "first.py",
        "/tmp/x",
        "fisrt",
        "",
    ],
)
def test_no_other_name_is_imported(toy_package: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no such market") as raised:
        catalogue.find_market(name)
    assert raised.value.faults[0].allowed == "first, hollow"
    folder = folder_with(tmp_path / "case", {"case.toml": TOML.replace("toy", name)})
    with pytest.raises(DataError, match=r"case\.toml.*column 'market'"):
        read_case(folder)


def test_a_module_without_market(toy_package: str) -> None:
    with pytest.raises(DataError, match="holds no Market"):
        catalogue.find_market("hollow")


def test_installed_markets_come_by_entry_point_and_replace_nothing(
    toy_package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [
        EntryPoint("elsewhere", "toy_markets.first:market", catalogue.ENTRY_POINTS),
        EntryPoint("first", "trap:market", catalogue.ENTRY_POINTS),
    ]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points)
    assert catalogue.find_market("elsewhere").name == "first"
    assert catalogue.find_market("first").name == "first"
    assert catalogue.known_markets() == ("first", "hollow", "elsewhere")


# ----------------------------------------------------------------------------------------- cells, in models and changed

OFFERS = "owner,period,price,lots\nsouth,2,5.5,\nnorth,1,4,2\n"


def test_param_is_a_mutable_copy_of_the_cells(tmp_path: Path) -> None:
    data = read(tmp_path, {"offers.csv": OFFERS}).data
    model = build(data)
    assert model.demand.doc == "demand.load [MWh]"
    assert {key: pyo.value(model.demand[key]) for key in model.demand} == {1: 30.0, 2: 50.5}
    assert pyo.value(model.price["south", 2]) == 5.5
    assert pyo.value(model.block.slope) == 2.5
    model.demand[1] = 31
    assert data.tables["demand"]["load"][1] == 30
    assert pyo.value(build(data).demand[1]) == 30
    with pytest.raises(KeyError):
        data.param("demand", "weight")
    with pytest.raises(KeyError):
        data.param("aggregators", "weight")
    with pytest.raises(ValueError, match="none"):
        model.note = data.param("offers", "note")


def test_trace_finds_every_cell(tmp_path: Path) -> None:
    model = build(read(tmp_path, {"offers.csv": OFFERS}).data)
    model.other = pyo.Param(initialize=1, mutable=True, doc="something else [MWh]")
    cells = trace(model)
    assert set(cells) == {
        "demand.load[1]",
        "demand.load[2]",
        "parameters.slope",
        "offers.price[south,2]",
        "offers.price[north,1]",
    }
    cells["demand.load[2]"].set_value(60)
    cells["parameters.slope"].set_value(3)
    assert pyo.value(model.demand[2]) == 60
    assert pyo.value(model.block.slope) == 3


def test_a_cell_must_not_enter_a_model_twice(tmp_path: Path) -> None:
    data = read(tmp_path).data
    model = build(data)
    model.again = data.param("demand", "load")
    with pytest.raises(Refused, match=r"demand\.load\[1\] enters the model twice"):
        trace(model)


def test_change_gives_a_checked_copy(tmp_path: Path) -> None:
    data = read(tmp_path, {"offers.csv": OFFERS}).data
    changed = change(data, {"demand.load[2]": 3.5, "parameters.slope": "4", "offers.lots[north,1]": 3})
    assert changed.tables["demand"]["load"].to_dict() == {1: 30.0, 2: 3.5}
    assert changed.parameters == {"slope": 4.0, "intercept": 7.0}
    assert changed.tables["offers"]["lots"].tolist() == [1, 3]
    assert changed.tables["offers"]["lots"].dtype == "int64"
    assert data.tables["demand"]["load"].to_dict() == {1: 30.0, 2: 50.5}
    assert data.parameters["slope"] == 2.5


def test_wrong_changes_are_listed_together(tmp_path: Path) -> None:
    data = read(tmp_path).data
    changes = {
        "demand.load[3]": 1,
        "demand.laod[2]": 1,
        "demand.load": 1,
        "demand.period[2]": 1,
        "offers.price[north,1]": 1,
        "parameters.slop": 1,
        "parameters.slope[1]": 1,
        "slope": 1,
        "": 1,
        "demand.load[2]": -1,
        "demand.load[1]": "3,5",
        "parameters.slope": float("nan"),
    }
    with pytest.raises(DataError) as raised:
        change(data, changes)
    found = {fault.file: fault.message for fault in raised.value.faults}
    assert set(found) == set(changes)
    assert "did you mean 'demand.load[2]'" in found["demand.laod[2]"]
    assert "did you mean 'parameters.slope'" in found["parameters.slop"]
    assert "below the range" in found["demand.load[2]"]
    assert "decimal comma" in found["demand.load[1]"]
    assert "not a finite number" in found["parameters.slope"]


def test_change_asks_the_market_too(tmp_path: Path) -> None:
    data = read(tmp_path).data
    with pytest.raises(DataError, match=r"shares sum to 1\.25"):
        change(data, {"aggregators.share[north]": 0.5})
    moved = change(data, {"aggregators.share[north]": 0.5, "aggregators.share[south]": 0.5})
    assert moved.tables["aggregators"]["share"].sum() == 1


def test_addresses() -> None:
    assert address("demand.load", 2) == "demand.load[2]"
    assert address("parameters.slope", None) == "parameters.slope"
    assert address("offers.price", ("a, b", 7)) == "offers.price['a, b',7]"


def test_pairs() -> None:
    assert split_pairs("") == {}
    assert split_pairs("period=2; aggregator = north=west") == {"period": "2", "aggregator": "north=west"}
    for text in ("period", "=2", "period=", "period=2;", "period=2;period=3"):
        with pytest.raises(ValueError, match=r"name=value|twice"):
            split_pairs(text)
