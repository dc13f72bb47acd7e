"""Rows of a study solved together are those of single solves; what does not go together is found and goes alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from equilibrium.case import Case, read_case
from equilibrium.data import change
from equilibrium.design import LATIN, Design, checked, find_cell, latin_hypercube
from equilibrium.rows import chosen, solve_row, solve_rows
from equilibrium.scenarios import Scenarios, Tape
from equilibrium.threshold import root

STOCKHOLM = Path(__file__).parents[2] / "data" / "fdr_structures" / "stockholm"
CURVED = {"parameters.cost_exponent": "0.5", "parameters.cost_power": "0.02"}


def drawn(case: Case, alternative: str, count: int, seed: int = 0) -> Design:
    """Loads and flexible energy drawn at random, some of them so that the DSO or an aggregator is at a corner."""
    ends = {"demand.load[peak]": (141.0, 200.0), "parameters.flexible_energy": (5.0, 90.0)}
    values = latin_hypercube(list(ends.values()), count, seed)
    design = checked(Design("drawn", LATIN, tuple(find_cell(case, name) for name in ends), values))
    return replace(design, alternatives=(alternative,))


@pytest.mark.parametrize("changes", [{}, CURVED], ids=["linear supply", "curved supply"])
@pytest.mark.parametrize("name", ["efficient", "passive", "unequal aggregators", "mixed, DSO dispatch", "regulated"])
def test_rows_are_those_of_single_solves(name: str, changes: dict[str, str]) -> None:
    case = read_case(STOCKHOLM)
    case = replace(case, data=change(case.data, changes)) if changes else case
    design = drawn(case, name, 60)
    table = solve_rows(case, design, range(60)).table.to_pandas()
    assert table["verdict"].isin(["certified", "rule"]).all() and (table["route"] == "together").mean() > 0.9
    alternative = chosen(case, design)[0]
    for k in (3, 17, 41):
        row, units = solve_row(case, design, k, alternative)
        assert [column for column in row if column in units] == [column for column in table if column in units]
        for column in units:
            assert table.at[k, column] == pytest.approx(row[column], rel=1e-9, abs=1e-9), column


def test_numbers_that_are_wrong_for_many_at_once_are_not_used() -> None:
    case = read_case(STOCKHOLM)
    known: list[Any] = []

    def forgetful(solved: Any) -> pd.DataFrame:
        """As the market's values, but for one that is kept from the first call on, whoever asks."""
        found = case.market.values(solved)
        at = found.index[found["quantity"] == "system cost"][0]
        if isinstance(found.at[at, "value"], Scenarios):
            known.append(found.at[at, "value"] * 1.001)
            found.at[at, "value"] = known[0]
        return found

    lying = replace(case, market=replace(case.market, values=forgetful))
    design = drawn(case, "2 aggregators", 12)
    honest = solve_rows(case, design, range(12)).table.to_pandas()
    found = solve_rows(lying, design, range(12)).table.to_pandas()
    assert known, "the scenarios were tried together"
    assert (found["route"] != "together").all() and (honest["route"] == "together").any()
    assert np.allclose(found["system cost"], honest["system cost"], rtol=1e-9)


def test_roots_of_many_scenarios_are_those_of_one() -> None:
    tape = Tape.of(50)
    height = np.random.default_rng(0).uniform(0.2, 3.0, 50)
    found = root(lambda x: x**3 + x - Scenarios(height, tape), 0.0, 2.0)
    for k in range(50):
        assert found.values[k] == pytest.approx(root(lambda x, k=k: x**3 + x - height[k], 0.0, 2.0), abs=1e-9)
    nowhere = root(lambda x: x + Scenarios(height - 1.0, tape), 0.0, 2.0)
    assert (tape.astray == (height > 1.0)).all() and np.isfinite(nowhere.values[~tape.astray]).all()
