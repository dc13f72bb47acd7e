"""Large tables, read as whole columns: the same table as cell by cell, and the same faults named."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from equilibrium import columns
from equilibrium.market import Column, Table
from equilibrium.tables import check_records, read_sheet, to_frame

TABLE = Table(
    "plants",
    "what is there",
    ("owner", "plant"),
    {
        "cost": Column("EUR/MWh", "cost", minimum=0, open_minimum=True),
        "units": Column("1", "how many", kind=int, minimum=1, default=1),
        "fuel": Column("", "what it burns", kind=str, choices=("gas", "wind"), default="gas"),
        "source": Column("", "where from", kind=str, default=""),
    },
)
TEXT = """owner,plant,cost [EUR/MWh],units,fuel,source
north,a,1.5,2,gas,here
north, b ,+2e3,,wind,"a, b"
south,a,0.25,3,,"two
lines"
"""


def slow(text: str) -> pd.DataFrame:
    faults: list = []
    found = to_frame(TABLE, check_records(read_sheet(text.encode(), "plants.csv", faults), TABLE, faults))
    assert not faults
    return found


def parquet(frame: pd.DataFrame) -> bytes:
    room = io.BytesIO()
    frame.to_parquet(room, index=False)
    return room.getvalue()


def named(frame: pd.DataFrame) -> list[str]:
    faults: list = []
    assert columns.read_parquet(parquet(frame), "plants.parquet", TABLE, faults) is None
    return [str(fault) for fault in faults]


def test_a_csv_file_is_read_as_cell_by_cell() -> None:
    pd.testing.assert_frame_equal(columns.read_csv(TEXT.encode(), "plants.csv", TABLE), slow(TEXT))


def test_a_parquet_file_is_read_alike() -> None:
    frame = slow(TEXT).reset_index()
    faults: list = []
    found = columns.read_parquet(parquet(frame), "plants.parquet", TABLE, faults)
    assert not faults
    pd.testing.assert_frame_equal(found, slow(TEXT))


@pytest.mark.parametrize(
    "change",
    [
        ("1.5", "nan"),
        ("1.5", "1,5"),
        ("1.5", "0"),
        ("1.5", "inf"),
        ("1.5", "1.5 EUR"),
        ("1.5", "1e999"),
        ("1.5", ""),
        (",2,", ",2.5,"),
        ("wind", "coal"),
        ("south,a", "north,a"),
        ("north,a", "nor;th,a"),
        ("north,a", ",a"),
        ("[EUR/MWh]", "[USD]"),
        ("cost", "price"),
        ("north,a,", "north,a,1,"),
        ("south", "\nsouth"),
    ],
    ids=lambda change: " to ".join(change).strip(),
)
def test_anything_doubtful_goes_to_the_reader_that_names_cells(change: tuple[str, str]) -> None:
    assert columns.read_csv(TEXT.replace(*change, 1).encode(), "plants.csv", TABLE) is None


def test_faults_of_a_parquet_file_are_named_with_their_rows() -> None:
    frame = slow(TEXT).reset_index().assign(cost=[1.0, np.nan, -1.0], fuel=["gas", "coal", "gas"], units=[1, 0, 2])
    found = "\n".join(named(frame))
    assert "plants.parquet, row 2, column 'cost': the value is missing" in found  # pandas writes NaN as a missing value
    assert "row 3, column 'cost': outside the range (found: '-1.0'); allowed: a number above 0, in EUR/MWh" in found
    assert "row 2, column 'fuel': not among the choices (found: 'coal')" in found
    assert "row 2, column 'units': outside the range" in found


def test_further_faults_of_a_parquet_file() -> None:
    frame = slow(TEXT).reset_index()
    assert "stands in an earlier row" in named(frame.assign(owner="north", plant="a"))[0]
    assert "string where numbers are wanted" in named(frame.assign(cost="1"))[0]
    assert "unknown column" in named(frame.assign(colour=1))[0]
    assert "is missing" in named(frame.drop(columns="cost"))[0]
    assert "must not hold a semicolon" in named(frame.assign(owner="a;b", plant=["1", "2", "3"]))[0]
    faults: list = []
    assert columns.read_parquet(b"no parquet", "plants.parquet", TABLE, faults) is None and "not a Parquet" in str(
        faults
    )


def test_whole_numbers_may_be_names_and_many_faults_are_counted() -> None:
    frame = pd.DataFrame({"owner": 1, "plant": np.arange(3000), "cost": -1.0})
    found = named(frame)
    assert len(found) == columns.NAMED + 1 and "2000 more rows" in found[-1]
    faults: list = []
    read = columns.read_parquet(parquet(frame.assign(cost=1.0)), "plants.parquet", TABLE, faults)
    assert read.index[-1] == ("1", "2999") and read["units"].dtype == "int64"
