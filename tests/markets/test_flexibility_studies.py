"""Rows of a study of clearings solved together are those of single solves, ties and several optima included."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_flexibility_random import vehicles

from equilibrium.case import Alternative, Case, read_case
from equilibrium.data import change
from equilibrium.design import LATIN, Design, checked, find_cell
from equilibrium.rows import TOLD, chosen, solve_row, solve_rows
from equilibrium.run import solve_one

DATA = Path(__file__).parents[2] / "data" / "local_flexibility"
CASES = [("evening", "only", "day"), ("paper", "S1", "typical"), ("paper", "S2", "typical")]
RULES = ("pay_as_bid", "pay_as_cleared", "pay_as_cleared_net", "vcg")

PRICES = [-0.02, 0.0, 0.05, 0.1, 0.1, 0.25]  # few values, so that bids and periods tie
MARKUPS = [0.0, 0.0, 0.05, 0.1, 1.0]
LOADS = {"paper": [0.0, 20.0, 30.0, 45.0, 60.0, 78.0], "evening": [0.0, 20.0, 40.0, 55.0, 60.0, 82.5]}
RATINGS = {"paper": [90.0, 100.0, 120.0, 123.0], "evening": [60.0, 80.0, 100.0, 100.0]}
COSTS = [0.2, 1.05, 3.0, 10.0]


def drawn(name: str, scenario: str, day: str, count: int, seed: int, ties: bool) -> tuple[Case, Design]:
    """Prices, loads, ratings, mark-ups and the cost of shortage at random: of few values each (ties), or of any."""
    case, random = read_case(DATA / name), np.random.default_rng(seed)
    values: dict[str, Any] = {"parameters.alternative_cost": COSTS, f"feeders.rating[{scenario},street]": RATINGS[name]}
    for t in case.data.tables["periods"].index:
        values[f"periods.price[{t}]"] = PRICES
        values[f"loads.load[{day},street,{t}]"] = LOADS[name]
    for s, a in case.data.tables["aggregators"].index:
        if s == scenario:
            values[f"aggregators.markup[{s},{a}]"] = MARKUPS
    columns = [
        random.choice(some, count) if ties else random.uniform(min(some), max(some), count) for some in values.values()
    ]
    return case, checked(Design("drawn", LATIN, tuple(find_cell(case, c) for c in values), np.array(columns).T))


def compare(case: Case, design: Design, alternative: Alternative, some: range) -> Counter[bool]:
    """Every row of the batch against the same scenario alone; how many went together."""
    case = replace(case, alternatives=[alternative])
    table = solve_rows(case, design, range(design.size)).table.to_pandas()
    (one,) = chosen(case, design)
    for k in some:
        row, units = solve_row(case, design, k, one)
        for told in ("verdict", "decisions"):
            assert table.at[k, told] == row[told], (k, told, table.at[k, "route"], row["reason"])
        reported = [c for c in table if c not in TOLD and pd.notna(table.at[k, c]) and c in units]
        assert set(reported) == set(units), k
        for column in units:
            assert table.at[k, column] == pytest.approx(row[column], rel=1e-9, abs=1e-9), (k, column)
    return Counter(table["route"] == "together")


def alternatives(scenario: str) -> list[Alternative]:
    """Every settlement of whole offers, continuous offers, and the fleets' habit."""
    rules = [Alternative(rule, "clearing", {"scenario": scenario, "settlement": rule}) for rule in RULES]
    every = Alternative("continuous", "clearing", {"scenario": scenario, "offers": "continuous"})
    return [*rules, every, Alternative("habit", "competitive", {"scenario": scenario})]


def complete(case: Case, alternative: Alternative) -> Alternative:
    """With the defaults of options that are not given."""
    columns = case.market.structures[alternative.structure].options
    defaults = {name: column.default for name, column in columns.items()}
    return replace(alternative, options=defaults | dict(alternative.options))


@pytest.mark.parametrize("ties", [True, False], ids=["ties", "any numbers"])
@pytest.mark.parametrize(("name", "scenario", "day"), CASES)
def test_rows_are_those_of_single_solves(name: str, scenario: str, day: str, ties: bool) -> None:
    case, design = drawn(name, scenario, day, 60, seed=3, ties=ties)
    found = Counter[bool]()
    for alternative in alternatives(scenario)[:: 1 if name == "evening" else 2]:
        found += compare(case, design, complete(case, alternative), range(0, 60, 20))
    assert found[True] > 3 * found[False]


@pytest.mark.slow
@pytest.mark.parametrize("ties", [True, False], ids=["ties", "any numbers"])
@pytest.mark.parametrize(("name", "scenario", "day"), CASES)
def test_thousands_of_rows_are_those_of_single_solves(name: str, scenario: str, day: str, ties: bool) -> None:
    case, design = drawn(name, scenario, day, 200, seed=11, ties=ties)
    for alternative in alternatives(scenario):
        found = compare(case, design, complete(case, alternative), range(200))
        assert found[True] >= 150, alternative.name


def test_two_days_of_which_one_may_be_congested() -> None:
    case = read_case(DATA / "paper")
    cells = ("loads.load[high,street,0]", "loads.load[low,street,0]", "days.probability[S4,high]", "periods.price[0]")
    random = np.random.default_rng(0)
    high, low, price = (random.uniform(*ends, 60) for ends in ((60, 110), (30, 60), (0.05, 0.3)))
    values = np.column_stack([high, low, np.full(60, 0.5), price])
    design = checked(Design("drawn", LATIN, tuple(find_cell(case, cell) for cell in cells), values))
    for rule in RULES[::2]:
        alternative = Alternative(rule, "clearing", {"scenario": "S4", "settlement": rule})
        assert compare(case, design, complete(case, alternative), range(0, 60, 6))[True] >= 40


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("station", {"offers": "continuous"}, "no split of ties is defined"),
        ("paper", {"scenario": "S1", "offers": "lots"}, ""),
    ],
)
def test_what_does_not_go_together_says_why(name: str, options: dict[str, str], reason: str) -> None:
    case = read_case(DATA / name)
    design = checked(
        Design("prices", LATIN, (find_cell(case, "parameters.alternative_cost"),), np.linspace(5, 10, 6)[:, None])
    )
    alternative = complete(case, Alternative("alone", "clearing", options))
    table = solve_rows(replace(case, alternatives=[alternative]), design, range(6)).table.to_pandas()
    assert (table["route"] != "together").all() and (table["verdict"] == "certified").all()
    assert (table["alone"] != "").all() and table["alone"].str.contains(reason).all()


def test_periods_of_one_price_are_charged_in_proportion() -> None:
    case = read_case(DATA / "paper")
    data = change(case.data, {"periods.price[4]": 0.01})  # as period 3: 42 and 20 kWh of habit
    solved = solve_one(case.market, data, Alternative("habit", "competitive", {"scenario": "S1"}))
    charged = [solved.value("charging", f"fleet=A;period={t}") for t in (3, 4)]
    assert charged[0] / 42 == pytest.approx(charged[1] / 20) and sum(charged) == pytest.approx(62)


def test_single_vehicles_go_together() -> None:
    data, _ = vehicles(3, feeders=1)
    case = replace(read_case(DATA / "paper"), data=data)
    random = np.random.default_rng(0)
    cells = [f"periods.price[{t}]" for t in data.tables["periods"].index[2:5]] + ["feeders.rating[s,f0]"]
    values = np.column_stack([random.choice([0.05, 0.1, 0.2], (40, 3)), random.uniform(25, 40, 40)])
    design = checked(Design("drawn", LATIN, tuple(find_cell(case, cell) for cell in cells), values))
    for rule in RULES[::3]:
        alternative = complete(case, Alternative(rule, "vehicles", {"scenario": "s", "settlement": rule}))
        found = compare(case, design, alternative, range(0, 40, 8))
        assert found[True] >= 20, rule


def test_who_is_indispensable_does_not_hang_on_a_tie_of_bids_and_shortage() -> None:
    case = read_case(DATA / "paper")
    data = change(case.data, {"parameters.alternative_cost": 1 + 0.032 - 0.01})  # what A asks from hour 3 to 5
    alternative = complete(case, Alternative("vcg", "clearing", {"scenario": "S2", "settlement": "vcg"}))
    solved = solve_one(case.market, data, alternative)
    word = {a: solved.value("indispensable", f"aggregator={a};day=typical") for a in "ABC"}
    assert word == {"A": 1.0, "B": 0.0, "C": 0.0} and solved.value("unserved energy", "day=typical") == 0
