"""Rows of storage studies solved together are those of single solves, for every structure of one leader or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from equilibrium.case import read_case
from equilibrium.design import LATIN, Design, checked, find_cell, latin_hypercube
from equilibrium.rows import chosen, solve_row, solve_rows

CASES = Path(__file__).parents[2] / "data" / "storage_investment"
ENDS = {"periods.intercept[on-peak]": (80.0, 130.0), "firms.cost[firm 1]": (5.0, 45.0)}

LEADING = ["merchant", "welfare owner", "simultaneous operation", "subsidised merchant", "ramping charge"]
AT_ONCE = ["no storage", "planner", "open loop"]


@pytest.mark.parametrize("case, name", [*(("textbook_s1", n) for n in LEADING + AT_ONCE), ("textbook_s8a", "merchant")])
def test_rows_are_those_of_single_solves(case: str, name: str) -> None:
    """Two parts, as a study is cut: what the first part knows of the market without storage is not the second's."""
    read = read_case(CASES / case)
    cells = tuple(find_cell(read, cell) for cell in ENDS)
    design = checked(Design("drawn", LATIN, cells, latin_hypercube(list(ENDS.values()), 100, 3)))
    design = replace(design, alternatives=(name,))
    alternative = chosen(read, design)[0]
    for part in (range(60), range(60, 100)):
        table = solve_rows(read, design, part).table.to_pandas()
        assert (table["route"] == "together").mean() > 0.8
        for k in (part.start + 7, part.start + 31):
            row, units = solve_row(read, design, k, alternative)
            found = table.loc[k - part.start]
            assert (found["verdict"], found["decisions"]) == (row["verdict"], row["decisions"])
            assert [column for column in row if column in units] == [c for c in table if c in units]
            for column in units:
                assert found[column] == pytest.approx(row[column], rel=1e-9, abs=1e-9), column


def test_scenarios_that_report_something_else_are_together_among_themselves() -> None:
    """Where consumption is negative there is no consumer surplus: fewer columns, so another group."""
    read = read_case(CASES / "textbook_s2")
    cells = tuple(find_cell(read, cell) for cell in ENDS)
    design = checked(Design("drawn", LATIN, cells, latin_hypercube(list(ENDS.values()), 200, 1)))
    table = solve_rows(read, replace(design, alternatives=("merchant",)), range(200)).table.to_pandas()
    told = table["consumer surplus"].notna()
    least = table[["consumption[period=off-peak]", "consumption[period=on-peak]"]].min(axis=1)
    assert (table["route"] == "together").all()
    assert 16 <= (~told).sum() < 100 and (told == (least >= 0)).all()


@pytest.mark.parametrize("name", ["merchant with schedule", "2 owners"])
def test_whole_numbers_and_several_leaders_go_alone(name: str) -> None:
    read = read_case(CASES / "textbook_s1")
    cells = tuple(find_cell(read, cell) for cell in ENDS)
    design = checked(Design("drawn", LATIN, cells, latin_hypercube(list(ENDS.values()), 4, 1)))
    table = solve_rows(read, replace(design, alternatives=(name,)), range(4)).table.to_pandas()
    assert (table["verdict"] == "certified").all() and (table["route"] != "together").all()
