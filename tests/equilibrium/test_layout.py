"""Tables in narrow terminals: numbers and verdicts whole, what is left out in the order that is stated."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from rich.console import Console

from equilibrium.layout import fit
from equilibrium.report import readable
from solve import print_table

TABLE = pd.DataFrame(
    {
        "alternative": ["efficient", "regulated generator/aggregator"],
        "load off-peak [MWh]": [47.0, 36.75],
        "theory [MWh]": [47.0, 36.75],
        "difference [MWh]": [0.0, -3.6e-14],
        "price off-peak [EUR/MWh]": [83.875, 81.3125],
        "system cost [EUR]": [21740.0625, 21766.328125],
        "loss [EUR]": [0.0, 26.265625],
        "verdict": ["certified", "certified, local"],
    }
)
THEORY = ["theory [MWh]", "difference [MWh]"]


@pytest.mark.parametrize("room", [220, 120, 80, 60, 45])
def test_no_number_and_no_verdict_is_broken(room: int) -> None:
    text, widths, gap = fit(TABLE, room)
    assert sum(widths) + gap * (len(widths) - 1) <= room
    for name, width in list(zip(text.columns, widths, strict=True))[1:]:
        words = [word for cell in [name, *text[name]] for word in cell.split()]
        assert max(map(len, words)) <= width
        assert [cell.replace("\n", " ") for cell in text[name]] == readable(TABLE)[name].tolist(), "no digit is lost"


def test_what_is_left_out_and_in_which_order() -> None:
    left = [[name for name in TABLE if name not in fit(TABLE, room)[0]] for room in range(140, 30, -1)]
    steps = [one for k, one in enumerate(left) if k == 0 or one != left[k - 1]]
    assert steps[:3] == [[], THEORY[:1], THEORY]
    assert steps[3] == [*THEORY, "loss [EUR]"]
    assert steps[4] == [*THEORY, "system cost [EUR]", "loss [EUR]"]
    assert all("alternative" in fit(TABLE, room)[0] and "verdict" in fit(TABLE, room)[0] for room in (40, 10))


def test_words_of_text_are_broken_before_a_number_is_left_out() -> None:
    room = next(room for room in range(140, 30, -1) if fit(TABLE, room)[1][0] < len("generator/aggregator"))
    assert "loss [EUR]" in fit(TABLE, room)[0]


def test_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Console(width=80, file=sys.stdout), TABLE, whole="comparison.csv")
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    for words in ("47.00", "81.3125", "21766.33", "26.26562", "certified", "[EUR/MWh]", "generator/aggregator"):
        assert words in said
    assert said.endswith("No room for theory; in comparison.csv.\n\n")


def test_names_are_broken_where_their_parts_end() -> None:
    table = pd.DataFrame({"index": ["aggregator=north;period=off-peak", "verdict=certified"], "rows": [1, 2]})
    text, widths, _ = fit(table, 18)
    assert text["index"].tolist() == ["aggregator=\nnorth;\nperiod=\noff-peak", "verdict=\ncertified"]
    assert widths[0] <= 13


def test_a_table_without_rows_or_columns() -> None:
    assert fit(TABLE.head(0), 80)[0].columns[0] == "alternative"
    assert fit(pd.DataFrame(), 80)[1] == []


def test_where_there_is_room_everything_stands_on_one_line() -> None:
    text, widths, gap = fit(TABLE, 220)
    assert gap == 2 and widths == [max(len(name), *map(len, text[name])) for name in text.columns]
