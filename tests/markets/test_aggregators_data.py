"""Case folders of the aggregator game: users in CSV or Parquet or drawn at random, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.data import change
from equilibrium.errors import DataError
from equilibrium.run import run_case, solve_one
from models.aggregator_game import setting

SETTINGS = 'market = "aggregator_game"\ntitle = "t"\nsource = "s"\nlicence = "CC0"\ncurrency = "EUR"\n'
DRAWS = "draw,users,seed,first_value_low,first_value_high\nsmall,{},{},{},{}\n"
FILES = {
    "case.toml": SETTINGS,
    "aggregators.csv": "aggregator,alpha\nnorth,1\nsouth,inf\n",
    "parameters.csv": "name,value,unit,source\nprice_slope,0.05,EUR/MWh/MWh^k,s\n",
    "alternatives.csv": "name,structure\nas they are,aggregators\n",
    "users.csv": "aggregator,user,curvature,first_value\nnorth,1,0.5,5\nnorth,2,0.2,6\nsouth,3,0.3,7\nsouth,4,0.7,5\n",
}


def folder(room: Path, **changed: str | None) -> Path:
    for name, text in {**FILES, **{name.replace("__", "."): text for name, text in changed.items()}}.items():
        if text is not None:
            (room / name).write_text(text)
    return room


def users(**columns: Any) -> pd.DataFrame:
    lines = [line.split(",") for line in FILES["users.csv"].splitlines()]
    frame = pd.DataFrame(lines[1:], columns=lines[0]).astype({"curvature": float, "first_value": float})
    return frame.assign(**columns)


def refused(room: Path) -> str:
    with pytest.raises(DataError) as error:
        run_case(room, write=False)
    return str(error.value)


def test_users_from_parquet_are_those_from_csv(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir(), (tmp_path / "parquet").mkdir()
    text = read_case(folder(tmp_path / "csv"))
    users().to_parquet(folder(tmp_path / "parquet", users__csv=None) / "users.parquet", index=False)
    stored = read_case(tmp_path / "parquet")
    assert "users.parquet" in stored.hashes
    first, second = (solve_one(one.market, one.data, one.alternatives[0]).values for one in (text, stored))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"aggregators__csv": "aggregator,alpha\nnorth,-1\nsouth,inf\n"}, "alpha[north]': alpha is no number of at"),
        ({"aggregators__csv": "aggregator,alpha\nnorth,fair\nsouth,inf\n"}, "found: 'fair'"),
        (
            {"aggregators__csv": "aggregator,alpha\nnorth,1\nsouth,1\nwest,1\n"},
            "the aggregator has no users (found: 'w",
        ),
        ({"aggregators__csv": "aggregator,alpha\nnorth,1\n"}, "there is no such aggregator (found: 'south')"),
        (
            {"users__csv": FILES["users.csv"] + "south,1,0.5,5\n"},
            "the user belongs to several aggregators: north, south",
        ),
        (
            {"users__csv": FILES["users.csv"] + "south,5,0,5\n"},
            "row 6, column 'curvature': equal to 0; it must be above",
        ),
        ({"users__csv": FILES["users.csv"] + "south,5,-1,5\n"}, "row 6, column 'curvature': below the range"),
        ({"users__csv": FILES["users.csv"] + "south,5,1,nan\n"}, "row 6, column 'first_value': not a finite number"),
        ({"users__csv": None}, "the aggregator has no users"),
        ({"draws__csv": DRAWS.format(9, 0, 0, 10)}, "every aggregator has its own"),
        (
            {"users__csv": None, "draws__csv": DRAWS.format(1, 0, 0, 10)},
            "the aggregator has no users (found: 'south')",
        ),
        ({"users__csv": None, "draws__csv": DRAWS.format(2, 0, 11, 10)}, "first_value_low is above"),
        (
            {"limits__csv": "aggregator,user,maximum\nnorth,9,1\n"},
            "there is no such user in table users (found: 'north, 9')",
        ),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_solved(tmp_path: Path, changed: dict, message: str) -> None:
    assert message in refused(folder(tmp_path, **changed))


def test_several_faults_in_one_message(tmp_path: Path) -> None:
    text = "aggregator,alpha\nnorth,-1\nsouth,x\nwest,1\n"
    found = refused(folder(tmp_path, aggregators__csv=text, users__csv=FILES["users.csv"] + "south,1,1,1\n"))
    assert "4 problems" in found


def test_a_missing_number_among_a_million_users_is_named(tmp_path: Path) -> None:
    n = 1_000_000
    curvature = np.full(n, 0.5)
    curvature[734_511] = np.nan
    names = np.repeat(["north", "south"], n // 2)
    frame = pd.DataFrame({"aggregator": names, "user": np.arange(n), "curvature": curvature, "first_value": 5.0})
    frame.to_parquet(folder(tmp_path, users__csv=None) / "users.parquet", index=False)
    assert "users.parquet, row 734512, column 'curvature': the value is missing" in refused(tmp_path)


@pytest.mark.slow
def test_a_missing_number_among_a_million_lines_is_named(tmp_path: Path) -> None:
    half = [f"north,{k},0.5,5" for k in range(500_000)] + [f"south,{k},0.5,5" for k in range(500_000, 1_000_000)]
    half[734_512 - 2] = "south,x,NaN,5"  # line 1 is the header
    folder(tmp_path, users__csv="aggregator,user,curvature,first_value\n" + "\n".join(half) + "\n")
    assert "users.csv, row 734512, column 'curvature': not a finite number" in refused(tmp_path)


def test_both_a_csv_and_a_parquet_file_are_refused(tmp_path: Path) -> None:
    users().to_parquet(folder(tmp_path) / "users.parquet", index=False)
    assert "users.csv is there too" in refused(tmp_path)


def test_drawn_users_are_those_of_the_seed(tmp_path: Path) -> None:
    text = DRAWS.format(5, 3, 4, 10)
    large = "aggregator,user,curvature,first_value\nlarge,large,0.5,40\n"
    names = "aggregator,alpha\nnorth,1\nsouth,1\nlarge,0\n"
    case = read_case(folder(tmp_path, draws__csv=text, users__csv=large, aggregators__csv=names))
    found = setting.read(case.data)
    random = np.random.default_rng(3)
    assert np.array_equal(found.a[:5], random.uniform(0.1, 0.9, 5)) and found.a[5] == 0.5
    assert np.array_equal(found.b[:5], random.uniform(4, 10, 5)) and found.owner.tolist() == [0, 0, 0, 1, 1, 2]
    one = solve_one(case.market, case.data, case.alternatives[0])
    assert one.solution.certificate.verdict == "certified"
    other = setting.read(change(case.data, {"draws.seed[small]": 4}))
    assert not np.array_equal(other.a, found.a)


def test_results_of_many_users_are_written_as_parquet(tmp_path: Path) -> None:
    text, draws = FILES["parameters.csv"].replace("0.05", "1e-6"), DRAWS.format(100001, 0, 4, 10)
    (tmp_path / "case").mkdir()
    run_case(
        folder(tmp_path / "case", parameters__csv=text, draws__csv=draws, users__csv=None),
        out=tmp_path / "out",
        figures=False,
    )
    table = pd.read_parquet(tmp_path / "out" / "users.parquet")
    assert len(table) == 100_001 and (table["consumption"] > 0).all()
