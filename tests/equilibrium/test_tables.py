"""One table at a time: cells, headers, files, and what a market says it expects."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from equilibrium.errors import DataError, Fault
from equilibrium.market import Column, Market, Structure, Table
from equilibrium.tables import (
    Record,
    allowed,
    check_records,
    describe,
    describe_as_dict,
    did_you_mean,
    read_sheet,
    to_frame,
    value_of,
)

PRICE = Column("EUR/MWh", "price")
SHARE = Column("1", "share", minimum=0, maximum=1)
COUNT = Column("1", "how many", kind=int, minimum=1, maximum=10)
SIZE = Column("MW", "size", minimum=0, open_minimum=True, maximum=9, open_maximum=True)
ANSWER = Column("", "yes or no", kind=str, choices=("yes", "no"), default="no")
NOTE = Column("", "note", kind=str)
OFFERS = Table("offers", "offers", key=("owner", "period"), columns={"period": COUNT, "price": PRICE, "note": NOTE})


def check(text: str | bytes, table: Table = OFFERS) -> tuple[list[Record], list[Fault]]:
    """Records and faults of a table given as text."""
    faults: list[Fault] = []
    content = text.encode() if isinstance(text, str) else text
    sheet = read_sheet(content, f"{table.name}.csv", faults)
    return (check_records(sheet, table, faults) if sheet else []), faults


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("3", PRICE, 3.0),
        ("-3.5e2", PRICE, -350.0),
        (".5", PRICE, 0.5),
        ("+4.", PRICE, 4.0),
        ("0", SHARE, 0.0),
        ("1", SHARE, 1.0),
        ("3.0", COUNT, 3),
        ("1e1", COUNT, 10),
        ("", ANSWER, "no"),
        ("yes", ANSWER, "yes"),
        ("NA", NOTE, "NA"),
        ("nan", NOTE, "nan"),
    ],
)
def test_right_cells(text: str, column: Column, value: Any) -> None:
    found = value_of(text, column)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", PRICE, "missing"),
        ("NA", PRICE, "missing"),
        ("#N/A", PRICE, "missing"),
        ("-", PRICE, "missing"),
        ("nan", PRICE, "not a finite number"),
        ("-Inf", PRICE, "not a finite number"),
        ("1e999", PRICE, "too large"),
        ("3,5", PRICE, "decimal comma"),
        ("1,000", PRICE, "thousands separator (or a decimal comma)"),
        ("1 000", PRICE, "thousands separator"),
        ("1\u00a0000.5", PRICE, "thousands separator"),
        ("1'000", PRICE, "thousands separator"),
        ("1.000,5", PRICE, "thousands separator and decimal comma"),
        ("35 %", SHARE, "percent"),
        ("\u22123.5", PRICE, "typographic minus"),
        ("3 MW", PRICE, "unit belongs in the header"),
        ("12:30", PRICE, "text after the number"),
        ("abc", PRICE, "text where a number is wanted"),
        ("1_000", PRICE, "text after the number"),
        ("0x10", PRICE, "text after the number"),
        ("\u0663", PRICE, "text where a number is wanted"),
        ("-0.001", SHARE, "below"),
        ("1.001", SHARE, "above"),
        ("0", SIZE, "equal to 0"),
        ("9", SIZE, "equal to 9"),
        ("9.1", SIZE, "above"),
        ("2.5", COUNT, "not a whole number"),
        ("1e30", COUNT, "too large for a whole number"),
        ("Yes", ANSWER, "did you mean 'yes'"),
    ],
)
def test_wrong_cells_are_named(text: str, column: Column, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        value_of(text, column)
    assert reason in str(raised.value)


def test_what_is_allowed_in_words() -> None:
    assert allowed(PRICE) == "a number, in EUR/MWh"
    assert allowed(SHARE) == "a number at least 0 and at most 1"
    assert allowed(COUNT) == "a whole number at least 1 and at most 10"
    assert allowed(SIZE) == "a number above 0 and below 9, in MW"
    assert allowed(ANSWER) == "one of yes, no"
    assert allowed(NOTE) == "text"


def test_hint_ignores_case_and_stays_silent_when_nothing_is_near() -> None:
    assert did_you_mean("LOAD", ["load", "share"]) == " (did you mean 'load'?)"
    assert did_you_mean("xyz", ["load", "share"]) == ""


def test_typed_frame_with_several_keys() -> None:
    records, faults = check('owner,period,price [EUR/MWh],note\n"north, old",2,3.5,NA\nNA,1.0,4,null\n')
    assert not faults
    frame = to_frame(OFFERS, records)
    assert frame.index.tolist() == [("north, old", 2), ("NA", 1)]
    assert frame.index.names == ["owner", "period"]
    assert frame["price"].tolist() == [3.5, 4.0]
    assert frame["note"].tolist() == ["NA", "null"]
    assert str(frame["price"].dtype) == "float64"
    assert not frame.isna().any().any()


def test_an_empty_optional_table_keeps_its_types() -> None:
    table = Table("limits", "limits", key=("owner",), columns={"price": PRICE}, minimum_rows=0)
    records, faults = check("owner,price\n", table)
    assert not faults
    assert to_frame(table, records)["price"].dtype == float


def test_a_column_with_a_default_may_be_left_out_or_left_empty() -> None:
    table = Table("answers", "answers", key=("owner",), columns={"answer": ANSWER})
    assert check("owner\nnorth\n", table)[0][0].values["answer"] == "no"
    assert check("owner,answer\nnorth,\n", table)[0][0].values["answer"] == "no"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_rows_are_those_of_an_editor(line_end: str) -> None:
    lines = [
        "owner,period,price,note",
        '"north",1,3,"two',
        'lines"',
        "",
        "south,1,x,a",
        "west,1,4,a",
        "east,1,y,a",
        "",
        "",
    ]
    _, faults = check(line_end.join(lines))
    assert [(fault.row, fault.value) for fault in faults] == [(4, None), (5, "x"), (7, "y")]


def test_both_rows_of_a_duplicate_key_are_named() -> None:
    _, faults = check("owner,period,price,note\nnorth,1,3,a\nsouth,1,3,a\nnorth,1.0,4,a\n")
    assert [str(fault) for fault in faults] == [
        "offers.csv, row 4: owner north, period 1 stands in row 2 and again in row 4; each may stand once"
    ]


def test_semicolons_are_named_once_and_the_cells_are_checked_all_the_same() -> None:
    _, faults = check("owner;period;price;note\nnorth;1;3,5;a\nsouth;1;4,5;a\n")
    assert [(fault.row, fault.message.partition(";")[0]) for fault in faults] == [
        (1, "cells are separated by semicolons"),
        (2, "decimal comma"),
        (3, "decimal comma"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b",,\n", "empty"),
        (b"PK\x03\x04\x00\x00", "spreadsheet"),
        ("owner,period".encode("utf-16"), "UTF-16"),
        (b'owner,period,price,note\nnorth,1,3,"a\nsouth,1,3,a\n', "quotation marks"),
        (b'owner,period,price,note\n"no"rth,1,3,a\n', "quotation marks"),
    ],
)
def test_files_that_cannot_be_read(content: bytes, message: str) -> None:
    _, faults = check(content)
    assert message in faults[0].message


def test_a_header_without_a_name() -> None:
    _, faults = check("owner,period,price,note,\nnorth,1,3,a,\n")
    assert [str(fault) for fault in faults] == ["offers.csv, row 1: column number 5 has no name in the header"]


def test_a_unit_where_there_is_none() -> None:
    _, faults = check("owner,period,price,note [m]\nnorth,1,3,a\n")
    assert [fault.message for fault in faults] == ["the unit is [m] but this column has no unit"]


def test_a_pure_number_has_the_unit_one_or_none() -> None:
    table = Table("shares", "shares", key=("owner",), columns={"share": SHARE, "note": NOTE})
    assert not check("owner,share [],note [1]\nnorth,1,a\n", table)[1]


def test_many_faults_alike_are_listed_briefly_but_kept() -> None:
    rows = "".join(f'owner {number},1,"3,5",a\n' for number in range(100))
    _, faults = check("owner,period,price,note\n" + rows)
    error = DataError(faults, "here")
    assert len(error.faults) == 100
    assert str(error).count("decimal comma") == 5
    assert "100 problems in here" in str(error)
    assert "the same in 95 more rows" in str(error)


MARKET = Market(
    "toy",
    "Toy",
    "nobody",
    parameters={"slope": Column("EUR/MWh2", "slope", symbol="b", minimum=0, default=2.0)},
    tables=(OFFERS,),
    structures={"one": Structure("one way", build=lambda data: None, options={"count": COUNT}, needs=("offers",))},
    values=lambda solved: pd.DataFrame(),
)


def test_description_as_a_table() -> None:
    table = describe(MARKET).set_index(["where", "name"])
    assert list(table.index) == [
        ("parameters", "slope"),
        ("offers", "owner"),
        ("offers", "period"),
        ("offers", "price"),
        ("offers", "note"),
        ("options of one", "count"),
    ]
    assert table.loc[("parameters", "slope"), "range"] == "a number at least 0, in EUR/MWh2"
    assert table.loc[("parameters", "slope"), "default"] == 2.0
    assert table.loc[("offers", "owner"), "key"]


def test_description_as_json() -> None:
    told = json.loads(json.dumps(describe_as_dict(MARKET)))
    assert told["tables"]["offers"]["key"] == ["owner", "period"]
    assert told["tables"]["offers"]["columns"]["price"]["unit"] == "EUR/MWh"
    assert told["structures"]["one"]["options"]["count"]["range"] == "a whole number at least 1 and at most 10"
    assert told["parameters"]["slope"]["symbol"] == "b"
