"""The command as a user types it: exit codes, messages, and a results folder that is whole, ours, or not there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from solve import main

ROOT = Path(__file__).parents[1]
STOCKHOLM = ROOT / "data" / "fdr_structures" / "stockholm"
FEW = ["--only", "efficient", "passive", "--no-figures"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command in an empty folder: exit code, what it printed, what it complained of. Never a traceback."""
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said, complained = capsys.readouterr()
        assert "Traceback" not in said + complained
        return code, said, complained

    return command


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the Stockholm case, to be broken."""
    shutil.copytree(STOCKHOLM, tmp_path / "case")
    return tmp_path / "case"


# ------------------------------------------------------------------------------------------------------ looking around


def test_list_names_markets_structures_and_cases(run: Run) -> None:
    code, said, _ = run("--list")
    assert code == 0
    cases = "data/fdr_structures/stockholm", "data/fdr_structures/textbook_s6"
    for word in ("fdr_structures:", "mixed_dso_dispatch", *cases):
        assert word in said


def test_describe_as_a_table(run: Run) -> None:
    code, said, _ = run("--describe", "fdr_structures")
    assert code == 0
    for name in ("flexible_energy", "generator_output", "EUR/MWh^(2+sigma)", "name, value, unit and source"):
        assert name in said


def test_describe_as_json(run: Run) -> None:
    code, said, _ = run("--describe", "fdr_structures", "--json")
    assert code == 0
    assert "flexible_energy" in json.dumps(json.loads(said))


def test_describe_an_unknown_market(run: Run) -> None:
    code, _, complained = run("--describe", "fdr_structure")
    assert code == 2
    assert "did you mean 'fdr_structures'" in complained


def test_without_a_case_the_help_is_shown(run: Run) -> None:
    code, said, _ = run()
    assert code == 2
    assert "usage: solve.py" in said


def test_an_unknown_word_is_refused(run: Run) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(STOCKHOLM, "--quick")
    assert stopped.value.code == 2


def test_as_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "solve.py", "--check", str(STOCKHOLM)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "fine (fdr_structures, 18 alternatives)\n" in done.stdout
    assert done.stdout.endswith("--study competition, swing_and_energy, mixed_beats_passive, integration, region\n")


# ------------------------------------------------------------------------------------------------------------- solving


def test_check_reads_and_solves_nothing(run: Run, tmp_path: Path) -> None:
    code, said, _ = run(STOCKHOLM, "--check")
    assert code == 0
    assert "fine" in said
    assert not list(tmp_path.iterdir())


def test_results_go_to_the_default_folder(run: Run, tmp_path: Path) -> None:
    code, said, complained = run(STOCKHOLM, *FEW)
    assert (code, complained) == (0, "")
    assert "efficient" in said and "Certificate: 1 certified, 1 rule" in said
    folder = tmp_path / "results" / "fdr_structures" / "stockholm"
    files = {"values.csv", "certificate.csv", "validation.csv", "accounts.csv", "report.md", "provenance.json"}
    assert files <= {path.name for path in folder.iterdir()}
    assert [path.name for path in folder.parent.iterdir()] == ["stockholm"]  # nothing temporary is left
    assert json.loads((folder / "provenance.json").read_text())["made_by"] == "flexmarkets"


def test_no_number_of_the_comparison_is_cut_short(run: Run) -> None:
    _, said, _ = run(STOCKHOLM, *FEW, "--out", "out")
    for number in ("21740.06", "21845.12", "83.875", "105.0625"):
        assert number in said


def test_only_solves_the_alternatives_named(run: Run) -> None:
    assert run(STOCKHOLM, *FEW, "--out", "out")[0] == 0
    assert set(pd.read_csv("out/values.csv")["alternative"]) == {"efficient", "passive"}


def test_figures_only_if_wanted(run: Run) -> None:
    assert run(STOCKHOLM, *FEW, "--out", "out")[0] == 0
    assert not Path("out/figures").exists()


def test_quiet_prints_nothing_when_all_is_well(run: Run) -> None:
    assert run(STOCKHOLM, *FEW, "--quiet", "--out", "out") == (0, "", "")


def test_set_changes_cells_for_the_run_and_says_so(run: Run) -> None:
    cells = ["--set", "demand.load[peak]=180", "--set", "flexible_energy=60"]
    code, _, _ = run(STOCKHOLM, *FEW, "--out", "out", *cells)
    assert code == 0
    values = pd.read_csv("out/values.csv").set_index(["alternative", "quantity", "index"])["value"]
    assert values["efficient", "flexible load", "period=off-peak"] == pytest.approx((60 + 180 - 128.5) / 2)
    changes = json.loads(Path("out/provenance.json").read_text())["changes"]
    assert changes == {"demand.load[peak]": "180", "parameters.flexible_energy": "60"}
    assert "reference value" not in Path("out/validation.csv").read_text()  # expected numbers are for the case on disk


def test_timing_and_a_forced_route(run: Run) -> None:
    route = ["--formulation", "complementarity", "--solver", "newton"]
    code, said, _ = run(STOCKHOLM, *FEW, "--timing", *route, "--out", "out")
    assert code == 0
    assert "outside them" in said
    options = json.loads(Path("out/provenance.json").read_text())["options"]
    assert options == {"formulation": "complementarity", "solver": "newton"}


def test_strict_counts_local_certificates_as_failures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from equilibrium import certificate

    assert run(STOCKHOLM, *FEW, "--strict", "--out", "out")[0] == 0
    monkeypatch.setattr(certificate, "CERTIFIED", "certified, local")
    assert run(STOCKHOLM, *FEW, "--out", "out")[0] == 0
    assert run(STOCKHOLM, *FEW, "--strict", "--out", "out")[0] == 1


def test_a_number_off_its_expected_value_is_exit_code_1(run: Run, copy: Path) -> None:
    table = copy / "expected.csv"
    table.write_text(table.read_text().replace("period=off-peak,47,", "period=off-peak,47.0001,", 1))
    code, _, complained = run(copy, *FEW, "--out", "out")
    assert code == 1
    assert complained.startswith("off: efficient: flexible load [period=off-peak] is 47, expected 47.0001 (")
    assert complained.endswith("off by 0.0001, tolerance 5.3e-07\n")
    wrong = pd.read_csv("out/validation.csv").query("within == 'no'")
    assert wrong["alternative"].tolist() == ["efficient"]


def test_an_expected_number_that_is_not_reported_is_exit_code_1(run: Run, copy: Path) -> None:
    with (copy / "expected.csv").open("a") as table:
        table.write("efficient,flexible lode,,47,1,made up\n")
    code, _, complained = run(copy, *FEW, "--out", "out")
    assert code == 1
    expected = "efficient: flexible lode is not reported (did you mean 'flexible load'?); expected 47 (made up)"
    assert complained == f"off: {expected}\n"


def test_of_many_numbers_that_are_off_the_worst_are_named(run: Run, copy: Path) -> None:
    with (copy / "expected.csv").open("a") as table:
        for tens in range(1, 9):
            table.write(f"efficient,payoff,player={tens},47,1,made up\n")
    _, _, complained = run(copy, *FEW, "--out", "out")
    lines = complained.splitlines()
    assert len(lines) == 6 and lines[-1] == "off: and 3 more in validation.csv"
    assert lines[0] == "off: efficient: payoff [player=1] is not reported; expected 47 (made up)"


def test_numbers_that_are_off_stand_worst_first(run: Run, copy: Path) -> None:
    damage(copy, EXPECTED, "period=off-peak,47,", "period=off-peak,47.0001,")
    damage(copy, EXPECTED, "period=off-peak,83.875,", "period=off-peak,84.875,")
    _, _, complained = run(copy, *FEW, "--out", "out")
    assert [line.split()[2] for line in complained.splitlines()] == ["price", "flexible"]


def test_zero_is_zero_to_the_rounding_of_numbers_of_its_unit(run: Run) -> None:
    """The regulatory payment, a difference of bills of thousands, ought to be 0 and is 3.6e-12."""
    words = ["--set", "demand.load[peak]=172.3", "--only", "regulated", "--no-figures", "--quiet", "--out", "out"]
    assert run(STOCKHOLM, *words) == (0, "", "")
    table = pd.read_csv("out/validation.csv").set_index("quantity")
    payment, cost = table.loc["regulatory payment"], table.loc["system cost"]
    assert payment["difference"] != 0 and 1e-9 < payment["tolerance"] < 1e-7
    assert cost["tolerance"] == pytest.approx(1e-7 * cost["reference"]), "no other tolerance is larger for it"


def test_processes_and_reports_belong_to_a_sweep(run: Run) -> None:
    code, _, complained = run(STOCKHOLM, *FEW, "--workers", "2")
    assert code == 2
    assert "--workers: belongs to a sweep" in complained


def test_the_certificate_line_has_units(run: Run) -> None:
    _, said, _ = run(STOCKHOLM, *FEW, "--out", "out")
    assert "distance [units of the decisions]" in said and "residual [relative]" in said


def test_a_route_that_cannot_be_taken_is_exit_code_4_with_the_reason(run: Run) -> None:
    words = ["--only", "price taking", "--formulation", "best_response", "--no-figures"]
    code, _, complained = run(STOCKHOLM, *words, "--out", "out")
    assert code == 4
    assert "price taking: refused: best responses need a game of players alone" in complained


def test_one_refused_alternative_does_not_stop_the_others(run: Run) -> None:
    words = ["--only", "price taking", "efficient", "--formulation", "best_response", "--no-figures"]
    code, _, complained = run(STOCKHOLM, *words, "--out", "out")
    assert code == 4
    assert len(complained.strip().splitlines()) == 1
    assert set(pd.read_csv("out/values.csv")["alternative"]) == {"efficient"}


BAD_WORDS: list[tuple[str, list[str], str]] = [
    ("unknown alternative", ["--only", "eficient"], "did you mean 'efficient'"),
    ("no equals sign", ["--set", "demand.load[peak]"], "must read like demand.load[peak]=180"),
    ("unknown cell", ["--set", "demand.load[noon]=3"], "there is no such number"),
    ("unknown parameter", ["--set", "parameters.cost=3"], "there is no such number"),
    ("unknown name", ["--set", "cost_linaer=3"], "did you mean 'parameters.cost_linear'"),
    ("text for a number", ["--set", "demand.load[peak]=high"], "text where a number is wanted"),
    ("out of range", ["--set", "parameters.flexible_energy=-1"], "below the range"),
    ("rejected by the market", ["--set", "demand.load[peak]=100"], "must have the smaller load"),
]


@pytest.mark.parametrize(("words", "message"), [row[1:] for row in BAD_WORDS], ids=[row[0] for row in BAD_WORDS])
def test_bad_words_are_exit_code_2(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    code, _, complained = run(STOCKHOLM, *words)
    assert code == 2
    assert message in complained
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------- the results folder


def test_a_foreign_folder_is_never_replaced(run: Run) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("all I have")
    code, _, complained = run(STOCKHOLM, *FEW, "--out", "mine")
    assert code == 2
    assert "was not written by flexmarkets" in complained
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("text", ["{}", "[]", "not JSON", '{"made_by": "somebody"}'])
def test_a_folder_with_somebody_elses_provenance_is_foreign(run: Run, text: str) -> None:
    Path("mine").mkdir()
    Path("mine/provenance.json").write_text(text)
    assert run(STOCKHOLM, *FEW, "--out", "mine")[0] == 2
    assert Path("mine/provenance.json").read_text() == text


def test_a_file_is_never_replaced(run: Run) -> None:
    Path("mine").write_text("all I have")
    assert run(STOCKHOLM, *FEW, "--out", "mine")[0] == 2
    assert Path("mine").read_text() == "all I have"


def test_an_empty_folder_is_filled(run: Run) -> None:
    Path("empty").mkdir()
    assert run(STOCKHOLM, *FEW, "--out", "empty")[0] == 0
    assert Path("empty/values.csv").exists()


def test_an_own_folder_is_replaced_whole(run: Run, tmp_path: Path) -> None:
    assert run(STOCKHOLM, *FEW, "--out", "out")[0] == 0
    Path("out/old.csv").write_text("of the last run")
    assert run(STOCKHOLM, "--only", "passive", "--no-figures", "--out", "out")[0] == 0
    assert not Path("out/old.csv").exists()
    assert set(pd.read_csv("out/values.csv")["alternative"]) == {"passive"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_old_result_survives_a_failed_run(run: Run, copy: Path) -> None:
    assert run(copy, *FEW, "--out", "out")[0] == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir() if path.is_file()}
    (copy / "demand.csv").unlink()
    assert run(copy, *FEW, "--out", "out")[0] == 2
    assert {path.name: path.read_bytes() for path in Path("out").iterdir() if path.is_file()} == before


def test_nothing_half_written_is_left(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from equilibrium import writing

    def fail(*_: Any) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(writing, "report_text", fail)
    code, _, complained = run(STOCKHOLM, *FEW, "--out", "out")
    assert (code, complained) == (2, "the results could not be written: no space left on device\n")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------- broken cases

TOML, DEMAND, PARAMETERS, AGGREGATORS = "case.toml", "demand.csv", "parameters.csv", "aggregators.csv"
ALTERNATIVES, EXPECTED = "alternatives.csv", "expected.csv"
ALL = ""  # in place of the old text: the whole file
NONE = None  # in place of the new text: no such file

# what it is; file, old text, new text; parts of the message: file, row, column, value, what is allowed
BROKEN: list[tuple[str, str, str, str | bytes | None, list[str]]] = [
    ("no case.toml", TOML, ALL, NONE, ["case.toml: the file is missing"]),
    (
        "market unknown",
        TOML,
        "fdr_structures",
        "fdr_structure",
        ["case.toml, column 'market'", "'fdr_structure'", "fdr_structures"],
    ),
    (
        "market is a module path",
        TOML,
        "fdr_structures",
        "os.path",
        ["case.toml, column 'market'", "no such market", "'os.path'"],
    ),
    (
        "market is a module inside",
        TOML,
        "fdr_structures",
        "fdr_structures.theory",
        ["no such market", "'fdr_structures.theory'"],
    ),
    ("market is a path", TOML, "fdr_structures", "../models/fdr_structures", ["no such market"]),
    ("market is a helper package", TOML, "fdr_structures", "equilibrium", ["no such market"]),
    ("no title", TOML, "title =", "# title =", ["case.toml, column 'title': the key is missing"]),
    ("not TOML", TOML, 'licence = "', "licence = ", ["case.toml, row 4: not valid TOML"]),
    ("unknown key", TOML, "licence", "license", ["case.toml, row 4, column 'license'", "did you mean 'licence'"]),
    (
        "currency is a number",
        TOML,
        '"EUR"',
        "978",
        ["case.toml, row 5, column 'currency'", "text in quotation marks", "'978'"],
    ),
    ("no demand", DEMAND, ALL, NONE, ["demand.csv: the file is missing", "columns period, load"]),
    ("empty demand", DEMAND, ALL, "", ["demand.csv: the file is empty"]),
    ("unit in the header", DEMAND, "[MWh]", "[MW]", ["demand.csv, row 1, column 'load'", "[MW] but must be [MWh]"]),
    (
        "misspelt column",
        DEMAND,
        "load [MWh]",
        "laod [MWh]",
        ["demand.csv, row 1, column 'laod'", "did you mean 'load'"],
    ),
    (
        "load of zero",
        DEMAND,
        "128.5",
        "0",
        ["demand.csv, row 2, column 'load'", "equal to 0", "(found: '0')", "allowed:"],
    ),
    (
        "negative load",
        DEMAND,
        "128.5",
        "-128.5",
        ["demand.csv, row 2, column 'load'", "below the range", "'-128.5'", "MWh"],
    ),
    ("decimal comma", DEMAND, "128.5", '"128,5"', ["demand.csv, row 2, column 'load'", "decimal comma", "'128,5'"]),
    ("bare decimal comma", DEMAND, "128.5", "128,5", ["demand.csv, row 2", "4 cells where the header has 3"]),
    (
        "text for load",
        DEMAND,
        "169.5",
        "high",
        ["demand.csv, row 3, column 'load'", "text where a number is wanted", "'high'"],
    ),
    ("load left empty", DEMAND, "169.5", "", ["demand.csv, row 3, column 'load'", "missing"]),
    ("load not a number", DEMAND, "169.5", "nan", ["demand.csv, row 3, column 'load'", "not a finite number", "'nan'"]),
    ("load infinite", DEMAND, "169.5", "inf", ["demand.csv, row 3, column 'load'", "not a finite number"]),
    (
        "period twice",
        DEMAND,
        "\npeak,",
        "\noff-peak,",
        ["demand.csv, row 3, column 'period'", "row 2 and again in row 3"],
    ),
    ("period without a name", DEMAND, "\npeak,", "\n,", ["demand.csv, row 3, column 'period'", "missing"]),
    (
        "peak below off-peak",
        DEMAND,
        "169.5",
        "120",
        ["demand.csv, row 3, column 'load'", "120", "above that of the first period"],
    ),
    ("equal loads", DEMAND, "169.5", "128.5", ["demand.csv, row 3, column 'load'", "must have the smaller load"]),
    ("one period", DEMAND, ALL, "period,load\npeak,169.5\n", ["demand.csv", "at least 2 needed"]),
    ("semicolons", DEMAND, ALL, "period;load\na;1\nb;2\n", ["demand.csv, row 1", "semicolons", "commas"]),
    ("byte-order mark", DEMAND, ALL, b"\xef\xbb\xbfperiod,load\na,1\nb,2\n", ["demand.csv, row 1", "byte-order mark"]),
    ("UTF-16", DEMAND, ALL, "period,load\na,1\nb,2\n".encode("utf-16"), ["demand.csv, row 1", "UTF-8"]),
    ("Latin-1", DEMAND, ALL, "period,load\nNatt på ön,1\n".encode("latin-1"), ["demand.csv, row 2", "is not UTF-8"]),
    ("open quotation mark", DEMAND, "\npeak,", '\n"peak,', ["demand.csv, row 3", "quotation marks"]),
    ("blank line", DEMAND, "\npeak,", "\n\npeak,", ["demand.csv, row 3", "blank line"]),
    ("no parameters", PARAMETERS, ALL, NONE, ["parameters.csv: the file is missing"]),
    (
        "parameter missing",
        PARAMETERS,
        "flexible_energy",
        "dso_share",
        ["parameters.csv", "'flexible_energy' is missing", "above 0"],
    ),
    (
        "unknown parameter",
        PARAMETERS,
        "dso_share",
        "dso_shares",
        ["parameters.csv, row 6, column 'name'", "did you mean 'dso_share'"],
    ),
    (
        "unit of a parameter",
        PARAMETERS,
        "53,MWh",
        "53,kWh",
        ["parameters.csv, row 2, column 'unit'", "is 'kWh' but must be 'MWh'"],
    ),
    ("no unit", PARAMETERS, "53,MWh", "53,", ["parameters.csv, row 2, column 'unit'", "must be 'MWh'"]),
    (
        "no energy",
        PARAMETERS,
        "energy,53",
        "energy,0",
        ["parameters.csv, row 2, column 'value'", "equal to 0", "'0'", "allowed:"],
    ),
    (
        "supply falls",
        PARAMETERS,
        "power,0.125",
        "power,-0.125",
        ["parameters.csv, row 4, column 'value'", "below the range", "'-0.125'"],
    ),
    (
        "exponent above one",
        PARAMETERS,
        "exponent,0",
        "exponent,1.1",
        ["parameters.csv, row 5, column 'value'", "above the range", "'1.1'"],
    ),
    (
        "share of one",
        PARAMETERS,
        "share,0.4",
        "share,1",
        ["parameters.csv, row 6, column 'value'", "equal to 1", "'1'"],
    ),
    (
        "generator too large",
        PARAMETERS,
        "output,60",
        "output,128.5",
        ["parameters.csv", "generator_output", "128.5", "below the smallest load"],
    ),
    (
        "no source",
        PARAMETERS,
        "0,1,assumed: linear supply",
        "0,1,",
        ["parameters.csv, row 5, column 'source'", "missing"],
    ),
    (
        "shares above one",
        AGGREGATORS,
        "0.6",
        "0.7",
        ["aggregators.csv, column 'share'", "do not sum to one", "'1.1'", "a sum of 1"],
    ),
    ("share of zero", AGGREGATORS, "0.1", "0", ["aggregators.csv, row 4, column 'share'", "equal to 0"]),
    (
        "aggregator twice",
        AGGREGATORS,
        "south",
        "north",
        ["aggregators.csv, row 4, column 'aggregator'", "row 2 and again in row 4"],
    ),
    (
        "semicolon in a name",
        AGGREGATORS,
        "south",
        "south;east",
        ["aggregators.csv, row 4, column 'aggregator'", "semicolon"],
    ),
    (
        "needed table absent",
        AGGREGATORS,
        ALL,
        NONE,
        ["alternatives.csv, row 9, column 'structure'", "needs aggregators.csv"],
    ),
    ("no alternatives", ALTERNATIVES, ALL, NONE, ["alternatives.csv: the file is missing"]),
    (
        "unknown structure",
        ALTERNATIVES,
        ",price_taking,",
        ",price_takers,",
        ["alternatives.csv, row 3, column 'structure'", "'price_taking'"],
    ),
    (
        "unknown option",
        ALTERNATIVES,
        "aggregators=2\n",
        "agregators=2\n",
        ["alternatives.csv, row 6, column 'options'", "'aggregators'"],
    ),
    (
        "one and a half aggregators",
        ALTERNATIVES,
        "=2\n",
        "=1.5\n",
        ["alternatives.csv, row 6, column 'options'", "not a whole number"],
    ),
    (
        "no aggregators",
        ALTERNATIVES,
        "=2\n",
        "=0\n",
        ["alternatives.csv, row 6, column 'options'", "below the range", "allowed:"],
    ),
    (
        "not a choice",
        ALTERNATIVES,
        "netted=yes",
        "netted=true",
        ["alternatives.csv, row 13, column 'options'", "choices", "no, yes"],
    ),
    (
        "option of another",
        ALTERNATIVES,
        ",generator_aggregator,",
        ",generator_aggregator,netted=yes",
        ["alternatives.csv, row 18, column 'options'", "unknown option 'netted'", "no options for this structure"],
    ),
    (
        "alternative twice",
        ALTERNATIVES,
        "3 aggregators",
        "2 aggregators",
        ["alternatives.csv, row 7, column 'name'", "again in row 7"],
    ),
    (
        "expected of nobody",
        EXPECTED,
        "\npassive,flexible",
        "\npasive,flexible",
        ["expected.csv, row 10, column 'alternative'", "mean 'passive'"],
    ),
    (
        "expected without tolerance",
        EXPECTED,
        "47,5.3e-07",
        "47,0",
        ["expected.csv, row 2, column 'tolerance'", "equal to 0"],
    ),
    (
        "expected index",
        EXPECTED,
        "period=off-peak,47",
        "off-peak,47",
        ["expected.csv, row 2, column 'index'", "name=value", "'off-peak'"],
    ),
    (
        "expected twice",
        EXPECTED,
        ",bill,,4392.84375",
        ",system cost,,4392.84375",
        ["expected.csv, row 16", "row 13 and again in row 16"],
    ),
    ("unknown table", "tariff.csv", ALL, "a,b\n1,2\n", ["tariff.csv", "no table of this name", "demand.csv"]),
]


def test_there_are_enough_ways_to_break_a_case() -> None:
    assert len(BROKEN) >= 45
    assert len({row[0] for row in BROKEN}) == len(BROKEN)


def damage(case: Path, file: str, old: str, new: str | bytes | None) -> None:
    path = case / file
    if new is None:
        path.unlink()
    elif isinstance(new, bytes):
        path.write_bytes(new)
    elif old == ALL:
        path.write_text(new)
    else:
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(("file", "old", "new", "parts"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_case_is_named_and_nothing_is_written(
    run: Run, copy: Path, file: str, old: str, new: str | bytes | None, parts: list[str]
) -> None:
    damage(copy, file, old, new)
    code, said, complained = run(copy, "--out", "out")
    assert code == 2
    assert said == ""
    assert "problem" in complained.splitlines()[0]
    missing = [part for part in parts if part not in complained]
    assert not missing, complained
    assert not Path("out").exists()
    assert run(copy, "--check")[0] == 2


def test_several_faults_are_all_listed(run: Run, copy: Path) -> None:
    damage(copy, DEMAND, "169.5", "high")
    damage(copy, PARAMETERS, "energy,53", "energy,-5")
    damage(copy, AGGREGATORS, "0.1", "ten")
    damage(copy, ALTERNATIVES, "=2\n", "=two\n")
    damage(copy, EXPECTED, "47,5.3e-07", "47,-1")
    code, _, complained = run(copy, "--out", "out")
    assert code == 2
    assert complained.startswith("5 problems in ")
    for file in (DEMAND, PARAMETERS, AGGREGATORS, ALTERNATIVES, EXPECTED):
        assert sum(line.startswith(f"  - {file}, row") for line in complained.splitlines()) == 1
    assert not Path("out").exists()


def test_a_link_that_leaves_the_folder_is_refused(run: Run, copy: Path, tmp_path: Path) -> None:
    (copy / DEMAND).rename(tmp_path / "elsewhere.csv")
    (copy / DEMAND).symlink_to(tmp_path / "elsewhere.csv")
    code, _, complained = run(copy, "--out", "out")
    assert code == 2
    assert "demand.csv: this is a link" in complained
    assert not Path("out").exists()


BAD_FOLDERS = {"missing": "there is no such folder", "file": "this is a file", "empty": "case.toml"}


@pytest.mark.parametrize(("what", "message"), BAD_FOLDERS.items())
def test_a_bad_folder(run: Run, tmp_path: Path, what: str, message: str) -> None:
    if what == "file":
        Path("file").write_text("")
    elif what == "empty":
        Path("empty").mkdir()
    code, _, complained = run(tmp_path / what, "--out", "out")
    assert code == 2
    assert message in complained
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "1", "Östermalm", "north, old town", "a=b"])
def test_odd_names_are_names(run: Run, copy: Path, name: str) -> None:
    """An aggregator may be called NA (Namibia, too, is a country)."""
    damage(copy, EXPECTED, ALL, NONE)
    damage(copy, AGGREGATORS, "south", f'"{name}"')
    code, _, complained = run(copy, "--only", "unequal aggregators", "--no-figures", "--quiet", "--out", "out")
    assert (code, complained) == (0, "")
    indices = pd.read_csv("out/values.csv", keep_default_na=False)["index"]
    assert indices.str.contains(f"aggregator={name};period=peak", regex=False).any()


def test_other_ways_to_write_the_case_are_read(run: Run, copy: Path) -> None:
    damage(copy, DEMAND, ALL, "period, load [ MWh ]\r\noff-peak, 1.285e2\r\npeak, 169.50\r\n\r\n")
    assert run(copy, *FEW, "--quiet", "--out", "out") == (0, "", "")


def test_another_currency_is_written_as_such(run: Run, copy: Path) -> None:
    damage(copy, TOML, '"EUR"', '"SEK"')
    (copy / PARAMETERS).write_text((copy / PARAMETERS).read_text().replace("EUR", "SEK"))
    assert run(copy, *FEW, "--quiet", "--out", "out")[0] == 0
    assert set(pd.read_csv("out/values.csv")["unit"]) == {"MWh", "SEK", "SEK/MWh"}


@pytest.mark.parametrize(("option", "name"), [("--formulation", "potentiel"), ("--solver", "path")])
def test_a_route_that_does_not_exist_is_bad_input(run: Run, tmp_path: Path, option: str, name: str) -> None:
    code, said, complained = run(STOCKHOLM, *FEW, option, name, "--out", "out")
    assert code == 2 and said == ""
    assert option in complained and name in complained
    assert "newton" in complained or "potential" in complained
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_program_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(options: object) -> int:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("solve.act", fails)
    assert main(["data/fdr_structures/stockholm"]) == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in told
    assert "Traceback" not in told
