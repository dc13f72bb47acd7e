"""Parameter studies: rows for every scenario, taken up after any interruption, the same whoever solves them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.crossing import NotAnswered, find_crossing
from equilibrium.design import Design, from_words
from equilibrium.design_files import designs
from equilibrium.errors import DataError
from equilibrium.quick_look import picture
from equilibrium.rows import solve_rows
from equilibrium.sweep import part_size, run_sweep, summarise
from solve import main

ROOT = Path(__file__).parents[2]
STOCKHOLM = ROOT / "data" / "fdr_structures" / "stockholm"
GRID = ["demand.load[peak]=150:187", "aggregators=1,2"]
FEW = {"only": ["efficient", "2 aggregators"], "report": ["system cost", "price"], "figures": False}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The study without interruption: 76 scenarios, 152 rows, 8 parts."""
    return run_sweep(STOCKHOLM, GRID, out=tmp_path_factory.mktemp("whole") / "study", **FEW)


def test_every_scenario_is_a_row_with_its_inputs_and_certificate(whole: Any) -> None:
    table = whole.table()
    assert len(table) == whole.rows == 152 and whole.code == 0
    assert (table["verdict"] == "certified").all()
    assert set(table["alternative"]) == {"efficient", "cournot"}, "alternatives that differ in what varies are one"
    one = table[
        (table["demand.load[peak]"] == 169.0) & (table["options.aggregators"] == 2) & (table.alternative == "cournot")
    ]
    assert len(one) == 1


def test_rows_equal_single_solves(whole: Any) -> None:
    case = read_case(STOCKHOLM)
    design = from_words(case, ["demand.load[peak]=169.5", "aggregators=2"])
    rows = solve_rows(case, design, range(1)).table.to_pandas()
    cost = rows.set_index("alternative")["system cost"]
    assert cost["cournot"] == pytest.approx(21751.7361111, rel=1e-11)
    assert cost["efficient"] == pytest.approx(21740.0625, rel=1e-12)


def test_a_scenario_without_an_answer_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Demand below what the generator puts in is refused by the market; the others are solved."""
    found = run_sweep(
        STOCKHOLM, ["generator_output=60,500"], out=tmp_path / "s", only=["efficient, net"], figures=False
    )
    table = found.table()
    assert list(table["verdict"]) == ["certified", "bad input"]
    assert "generator_output" in table["reason"].iloc[1]
    assert found.code == 2, "as of a single run"
    assert len(found.notes) == 1 and found.notes[0].startswith("efficient, net: bad input in scenario 2: parameters")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("equilibrium.rows.solve_one", broken)
    found = run_sweep(STOCKHOLM, ["generator_output=60"], out=tmp_path / "t", only=["efficient"], figures=False)
    (reason,) = found.table()["reason"]
    assert reason.startswith("ZeroDivisionError: of all things (equilibrium/test_sweep.py, line ")
    assert found.code == 1


def test_two_processes_give_the_same_file(whole: Any, tmp_path: Path) -> None:
    found = run_sweep(STOCKHOLM, GRID, out=tmp_path / "two", processes=2, **FEW)
    assert (found.folder / "rows.parquet").read_bytes() == (whole.folder / "rows.parquet").read_bytes()


def test_an_interruption_loses_nothing_and_repeats_nothing(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 30:
            raise Stop

    with pytest.raises(Stop):
        run_sweep(STOCKHOLM, GRID, out=tmp_path / "s", progress=stop, **FEW)
    seen: list[int] = []
    found = run_sweep(STOCKHOLM, GRID, out=tmp_path / "s", progress=lambda done, total: seen.append(done), **FEW)
    assert seen[0] == 30, "what was finished is not solved again"
    assert (found.folder / "rows.parquet").read_bytes() == (whole.folder / "rows.parquet").read_bytes()
    monkeypatch.setattr("equilibrium.rows.solve_one", None)
    assert run_sweep(STOCKHOLM, GRID, out=tmp_path / "s", **FEW).rows == 152, "a finished study is not solved again"


def test_changed_inputs_are_noticed(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(STOCKHOLM, GRID, out=tmp_path / "s", progress=stop, **FEW)
    with pytest.raises(DataError, match=r"unfinished study of other inputs \(changes changed since\)"):
        run_sweep(STOCKHOLM, GRID, out=tmp_path / "s", changes={"parameters.cost_linear": 41}, **FEW)
    with pytest.raises(DataError, match=r"\(values changed since\)"):
        run_sweep(STOCKHOLM, [GRID[0], "aggregators=1,3"], out=tmp_path / "s", **FEW)


def kill_at_random(tmp_path: Path, moments: list[float]) -> Path:
    """Start the study and kill it, once for each moment (seconds), then let it finish; returns its folder."""
    words = [str(STOCKHOLM), "--sweep", *GRID, "--only", *FEW["only"], "--report", *FEW["report"], "--no-figures"]
    command = [sys.executable, str(ROOT / "solve.py"), *words, "--out", str(tmp_path / "s"), "--quiet"]
    for moment in moments:
        process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    return tmp_path / "s"


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_killed_twice(whole: Any, tmp_path: Path) -> None:
    folder = kill_at_random(tmp_path, [2.5, 4.0])
    assert (folder / "rows.parquet").read_bytes() == (whole.folder / "rows.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_killed_at_twenty_moments(whole: Any, tmp_path: Path) -> None:
    """Every study is killed at one of 20 moments spread over its course."""
    for k in range(20):
        room = tmp_path / str(k)
        room.mkdir()
        folder = kill_at_random(room, [0.5 + 0.35 * k])
        assert (folder / "rows.parquet").read_bytes() == (whole.folder / "rows.parquet").read_bytes(), k


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_finishes(whole: Any, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
        killed: list[int] = []

        def kill(done: int, total: int) -> None:
            if done >= 20 and not killed:
                worker = next(iter(cluster.workers.values()))
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

        address = cluster.scheduler_address
        found = run_sweep(STOCKHOLM, GRID, out=tmp_path / "s", scheduler=address, progress=kill, **FEW)
    assert killed
    assert (found.folder / "rows.parquet").read_bytes() == (whole.folder / "rows.parquet").read_bytes()


def test_parts_depend_on_nothing_but_the_number_of_scenarios() -> None:
    assert [part_size(n) for n in (1, 1_000, 10_000, 1_000_000)] == [10, 50, 2_000, 2_000]


# ------------------------------------------------------------------------------------------------------- the command


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(STOCKHOLM), "--sweep", "aggregators=1:3", "--only", "2 aggregators", "--report", "system cost"]
    assert main(words) == 0
    folder = tmp_path / "results" / "fdr_structures" / "stockholm-sweep"
    assert {path.name for path in folder.iterdir()} >= {"rows.parquet", "rows.csv", "summary.csv", "provenance.json"}
    assert (folder / "figures" / "system-cost.png").exists()
    said = capsys.readouterr().out
    assert "3 scenarios, 3 rows" in said
    summary = pd.read_csv(folder / "summary.csv")
    assert set(summary["unit"].dropna()) == {"EUR"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sweep", "aggregator=1:3"], "did you mean"),
        (["--sweep", "aggregators=3:1"], "empty"),
        (["--sweep", "aggregators=0:2"], "scenario 1: options.aggregators: below the range"),
        (["--sweep", "aggregators=1:2", "--only", "pasive"], "did you mean 'passive'"),
        (["--sweep", "aggregators=1:2", "--strict"], "says nothing to a study"),
        (["--sweep", "aggregators=1:2", "--workers", "0"], "at least one process"),
        (["--report", "price"], "belongs to a sweep"),
    ],
)
def test_bad_sweeps_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(STOCKHOLM), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_option_has_the_range_of_each_structure(tmp_path: Path) -> None:
    """One aggregator is enough for competition, not for one that dispatches alone beside others."""
    only = ["2 aggregators", "mixed, own dispatch"]
    found = run_sweep(STOCKHOLM, ["aggregators=1:3"], only=only, out=tmp_path / "s", figures=False)
    rows = found.table().set_index(["alternative", "options.aggregators"])
    assert rows["verdict"]["cournot"].tolist() == ["certified"] * 3
    assert rows["verdict"]["mixed_own_dispatch"].tolist() == ["bad input", "certified", "certified"]
    assert "options.aggregators: below the range" in rows["reason"]["mixed_own_dispatch", 1]
    assert found.code == 2 and "mixed_own_dispatch: bad input in scenario 1: " in found.notes[0]


def test_a_quantity_that_nobody_reports_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--sweep", "aggregators=2", "--only", "2 aggregators", "--report", "price", "sistem cost"]
    for _ in range(2):  # solved, and found finished
        assert main([str(STOCKHOLM), *words]) == 2
        assert "--report: no row has 'sistem cost' (did you mean 'system cost'?)" in capsys.readouterr().err


def test_stopping_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("equilibrium.sweep.parts.put", stop)
    assert main([str(STOCKHOLM), "--sweep", "aggregators=2", "--out", str(tmp_path / "s")]) == 130
    assert f"what is solved is in {tmp_path / 's'}, and the same command goes on" in capsys.readouterr().err


def drawn(values: dict[str, list[float]], cells: dict[str, str]) -> Any:
    """A quick look at ``cost`` of some alternatives over a grid of these cells."""
    count = {1: (len(next(iter(values.values()))), 1), 2: (2, len(next(iter(values.values()))) // 2)}[len(cells)]
    rows = [
        {"alternative": name, "cost": cost} | dict(zip(cells, divmod(k, count[1]), strict=False))
        for name, costs in values.items()
        for k, cost in enumerate(costs)
    ]
    return picture(pd.DataFrame(rows), "cost", "EUR", Design("s", "grid", (), np.zeros((1, 0))), cells)


def test_alternatives_far_apart_are_drawn_on_axes_of_their_own() -> None:
    costs = {"efficient": [21740.0] * 3, "cournot": [21766.0, 21751.0, 21746.0], "net": [12601.0, 12586.0, 12581.0]}
    figure = drawn(costs, {"aggregators": "1"})
    assert [[line.get_label() for line in axes.lines] for axes in figure.axes] == [["efficient", "cournot"], ["net"]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["efficient", "cournot", "net"]
    near = {"efficient": [21740.0] * 3, "cournot": [21766.0, 21751.0, 21746.0], "passive": [21845.0] * 3}
    assert len(drawn(near, {"aggregators": "1"}).axes) == 1
    assert len(drawn({"one": [1.0, 1.0], "two": [5.0, 5.0]}, {"aggregators": "1"}).axes) == 1, "nothing varies"


def test_maps_say_how_many_are_left_out_and_colour_what_is_shown() -> None:
    costs = {f"{k}": [20000.0 + k, 20001.0, 20002.0, 20003.0] for k in range(5)} | {"net": [100.0] * 4}
    figure = drawn(costs, {"load": "MWh", "energy": "MWh"})
    assert figure.get_suptitle().startswith("4 of 6 alternatives")
    assert figure.axes[0].collections[0].get_clim() == (20000.0, 20003.0)


def test_an_index_keeps_its_own_brackets(tmp_path: Path) -> None:
    column = "payoff[player=aggregator[north]]"
    frame = pd.DataFrame({"alternative": ["a"], "verdict": ["certified"], "alone": [""], column: [1.0]})
    frame.to_parquet(tmp_path / "rows.parquet")
    table = summarise(tmp_path / "rows.parquet", ["a"], {column: "EUR"})
    assert table["index"].tolist() == ["verdict=certified", "player=aggregator[north]"]


def test_a_threshold_rests_on_certified_equilibria(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stockholm's L-hat is 1/2: from there on the mixed structure costs less than passive households."""
    monkeypatch.chdir(tmp_path)
    assert main([str(STOCKHOLM), "--study", "mixed_beats_passive", "--set", "parameters.generator_output=70"]) == 0
    found = pd.read_csv(tmp_path / "results" / "fdr_structures" / "stockholm-mixed_beats_passive" / "threshold.csv")
    assert found["answer"].tolist() == ["found"]
    assert found["value"].iloc[0] == pytest.approx(0.5, abs=1e-10)


def test_a_point_without_an_answer_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    case = read_case(STOCKHOLM)
    design = designs(case)["mixed_beats_passive"]
    monkeypatch.setattr(
        "equilibrium.crossing.solve_row", lambda *_: ({"verdict": "uncertified", "reason": "far off"}, {})
    )
    with pytest.raises(NotAnswered, match=r"mixed, DSO dispatch at parameters.dso_share = 0.3 is uncertified: far off"):
        find_crossing(case, design)
