"""Scenarios of aggregators answered together: numbers and verdicts are those of single answers; what is wrong or not
certain is found and answered alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from aggregators_games import INF, data, game, random_game

from equilibrium.case import Alternative, Case, read_case
from equilibrium.design import LATIN, Design, checked, find_cell, latin_hypercube
from equilibrium.own import Together
from equilibrium.rows import chosen, solve_row, solve_rows
from models.aggregator_game import many, own
from models.aggregator_game.equilibria import profile, solve
from models.aggregator_game.examination import examine
from models.aggregator_game.game import Game, Price

DATA = Path(__file__).parents[2] / "data" / "aggregator_game"
ALPHAS = ((0.0,), (0.25, 0.4), (0.5, 0.75, 1.0), (0.1, 0.75, INF), (1.0, 2.0), (0.0, 1.0, 5.0), (INF, 1.0), (INF, 20.0))


def drawn(case: Case, ends: dict[str, tuple[float, float]], count: int, alternative: str = "") -> Design:
    cells = tuple(find_cell(case, name) for name in ends)
    design = checked(Design("drawn", LATIN, cells, latin_hypercube(list(ends.values()), count, 0)))
    return replace(design, alternatives=(alternative,) if alternative else ())


def compared(case: Case, design: Design) -> pd.DataFrame:
    """Rows of a design, each of which is what it is alone."""
    table = solve_rows(case, design, range(design.size)).table.to_pandas()
    for alternative in chosen(case, design):
        mine = table[table["alternative"] == alternative.name].reset_index(drop=True)
        for k in range(design.size):
            row, units = solve_row(case, design, k, alternative)
            assert (mine.at[k, "verdict"], mine.at[k, "decisions"]) == (row["verdict"], row["decisions"])
            assert mine.at[k, "reason"] == row["reason"]
            for column in units:
                assert mine.at[k, column] == pytest.approx(row[column], rel=1e-9, abs=1e-9), column
            for column in set(mine.columns) - set(row):
                assert np.isnan(mine.at[k, column]), column
    return table


# ---- as a user asks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alphas", ALPHAS, ids=str)
def test_rows_of_random_games_are_those_of_single_answers(alphas: tuple[float, ...]) -> None:
    random, together = np.random.default_rng(ALPHAS.index(alphas)), []
    case = read_case(DATA / "textbook_r1")
    for membership in ("literal", "filtered"):
        one = random_game(random, alphas, 3)
        alternative = Alternative("drawn", "aggregators", {"alpha": "", "membership": "", "price_cap": INF})
        case = replace(case, data=data(one, membership), alternatives=(alternative,))
        ends = {"parameters.price_slope": (0.01, 0.3), "parameters.price_intercept": (0.0, 1.0)}
        for k, key in enumerate(case.data.tables["users"].index):
            ends[f"users.first_value[{key[0]},{key[1]}]"] = (0.6 * one.b[k], 1.2 * one.b[k])
        together.append((compared(case, drawn(case, ends, 6))["route"] == "together").mean())
    assert max(together) > 0.5


def test_what_each_scenario_is_told_of_several_equilibria_and_of_none() -> None:
    """Around three equilibria of two max-min aggregators, and around a first value so low that there is none."""
    case = read_case(DATA / "textbook_r1")
    case = replace(case, data=data(game([(200, 0.1)] * 2, [(19.3, 2)] * 2, INF, 1.0)))
    alternative = Alternative("max-min", "aggregators", {"alpha": "", "membership": "", "price_cap": INF})
    case = replace(case, alternatives=(alternative,))
    design = drawn(case, {"users.first_value[1,1.0]": (18.5, 20.0), "users.first_value[2,2.1]": (1.9, 2.1)}, 16)
    table = compared(case, design)
    together = table["route"] == "together"
    assert together.mean() > 0.8 and (table["decisions"][together] == "not unique").sum() > 2
    assert (table["verdict"] == "certified").sum() > 3
    table = compared(case, drawn(case, {"users.first_value[1,1.0]": (0.001, 2)}, 10))
    assert (table["route"] == "together").all() and set(table["verdict"]) == {"none", "certified"}


@pytest.mark.parametrize("name", ["no aggregator", "welfare", "proportional", "max-min", "proportional, literal"])
def test_draws_of_users_are_scenarios(name: str) -> None:
    case = read_case(DATA / "users_drawn")
    cells = tuple(find_cell(case, cell) for cell in ("draws.seed[small users]", "parameters.price_slope"))
    values = np.stack([np.arange(8), np.linspace(0.0005, 0.002, 8)], axis=1)
    table = compared(case, checked(Design("drawn", LATIN, cells, values, alternatives=(name,))))
    assert (table["route"] == "together").all()
    if name == "proportional, literal":
        assert set(table["verdict"]) == {"none"}
    elif name in ("proportional", "max-min"):
        assert table["users left out"].nunique() > 1


def test_own_generation_goes_together() -> None:
    case = read_case(DATA / "textbook_r1")
    tables = data(
        game([(0.5, 0.2, 0.9), (0.3, 0.7)], [(5, 6, 4), (7, 5)], 1.0, 0.05), generation_cost=[0.4, 1, 0.2, 2, 3]
    )
    alternative = Alternative("one", "aggregators", {"alpha": "", "membership": "", "price_cap": INF})
    case = replace(case, data=tables, alternatives=(alternative,))
    table = compared(case, drawn(case, {"generation.cost[1,1.0]": (1, 2), "users.curvature[2,2.1]": (0.5, 0.9)}, 8))
    assert (table["route"] == "together").all() and table["own generation"].nunique() == 8


@pytest.mark.parametrize("alpha", ["1", "inf"])
def test_users_left_out_for_an_equilibrium_to_exist_differ_between_scenarios(alpha: str) -> None:
    case = read_case(DATA / "textbook_r1")
    options = {"alpha": alpha, "membership": "maximal", "price_cap": INF}
    tables = data(game([(1, 1, 2), (1, 0.5)], [(3, 6, 1), (2, 4)], 1.0, 0.5))
    case = replace(case, data=tables, alternatives=(Alternative("maximal", "aggregators", options),))
    cells = {"users.first_value[1,1.2]": (0.1, 5.0), "parameters.price_slope": (0.1, 1.5)}
    table = compared(case, drawn(case, cells, 12))
    assert (table["route"] == "together").all() and table["users left out"].nunique() > 1


@pytest.mark.parametrize("name", ["welfare", "max-min"])
def test_several_hours_go_together_by_the_model(name: str) -> None:
    case = read_case(DATA / "two_hours")
    cells = {"hours.price_slope[day]": (0.03, 0.08), "hourly_users.first_value[north,house,day]": (4.0, 6.0)}
    table = compared(case, drawn(case, cells, 10, name))
    assert (table["route"] == "together").mean() > 0.7 and (table["verdict"] == "certified").all()


# ---- what is not right is not used ----------------------------------------------------------------------------------


def test_a_verdict_that_no_single_answer_confirms_is_not_used() -> None:
    case = read_case(DATA / "textbook_r1")
    structure = case.market.structures["aggregators"]

    def unsure(*arguments: Any, **options: Any) -> Together:
        return replace(own.aggregators_together(*arguments, **options), unique=np.full(12, "not unique", dtype=object))

    lying = replace(structure, respond_together=unsure)
    market = replace(case.market, structures={**case.market.structures, "aggregators": lying})
    design = drawn(case, {"users.first_value[1,1a]": (2.5, 4)}, 12, "alpha 1")
    assert (solve_rows(case, design, range(12)).table.to_pandas()["route"] == "together").all()
    found = solve_rows(replace(case, market=market), design, range(12)).table.to_pandas()
    assert (found["route"] != "together").all() and (found["decisions"] == "unique").all()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8, 1.0, 3.0, INF])
def test_the_examination_finds_what_is_no_equilibrium(alpha: float) -> None:
    random = np.random.default_rng(1)
    base = game([(0.5, 0.2, 0.9), (0.3, 0.7), (0.4,)], [(5, 6, 4), (7, 5), (6,)], alpha, 0.05)
    one = scenarios(base, random, 40, 0.9)
    found = many.play(one, 40)
    assert (found.verdict != "").all()
    right = profile(one, found.x.sum(axis=0))
    assert examine(one, right)[0].all()
    assert not examine(one, profile(one, right.total * (1 + 1e-6)))[0].any()
    for user in range(len(base.a)):
        moved = right.x.copy()
        moved[user] *= 1 + 1e-6
        s = moved * (one.b - right.price - one.a * moved)
        assert not examine(one, replace(right, x=moved, s=s))[0][right.x[user] > 0.1 * right.x.max(axis=0)].any(), user


# ---- the method itself ----------------------------------------------------------------------------------------------


def scenarios(base: Game, random: np.random.Generator, count: int, least: float = 0.3) -> Game:
    """The game with other numbers in each scenario."""
    a = base.a[:, None] * random.uniform(0.7, 1.4, (len(base.a), count))
    b = base.b[:, None] * random.uniform(least, 1.2, (len(base.a), count))
    slope = base.price.slope * random.uniform(0.5, 3.0, count)
    exponent = base.price.exponent if base.price.exponent == 1 else random.uniform(1.0, 2.0, count)
    return Game(a, b, base.start, base.alpha, Price(slope, exponent, random.uniform(0, 0.5, count)))


def agree(base: Game, one: Game, count: int) -> int:
    """How many scenarios are answered; each as it is alone."""
    found = many.play(one, count)
    for k in np.flatnonzero(found.verdict != "").tolist():
        numbers = (
            float(value[k]) if np.ndim(value) else value
            for value in (one.price.slope, one.price.exponent, one.price.intercept)
        )
        alone = solve(Game(one.a[:, k], one.b[:, k], base.start, base.alpha, Price(*numbers)))
        assert (found.verdict[k], found.blocked_by[k]) == (alone.verdict, alone.blocked_by)
        if alone.equilibria:
            expected = alone.equilibria[0].x
            assert np.abs(found.x[:, k] - expected).max() <= 1e-9 * max(1.0, float(expected.max()))
        else:
            assert np.isnan(found.x[:, k]).all()
    return int((found.verdict != "").sum())


@pytest.mark.parametrize("alphas", ALPHAS, ids=str)
def test_random_scenarios_agree_with_single_ones(alphas: tuple[float, ...]) -> None:
    random = np.random.default_rng(3)
    answered = 0
    for _ in range(4):
        base = random_game(random, alphas, 3)
        answered += agree(base, scenarios(base, random, 8), 8)
    assert answered > 20


@pytest.mark.slow
def test_ten_thousand_scenarios_agree_with_single_ones() -> None:
    random = np.random.default_rng(4)
    answered = 0
    quick = [alphas for alphas in ALPHAS if not {0.1, 0.25} & set(alphas)]  # below 1/2 a single answer takes long
    for k in range(100):
        base = random_game(random, quick[k % len(quick)])
        answered += agree(base, scenarios(base, random, 100), 100)
    assert answered > 9_000
