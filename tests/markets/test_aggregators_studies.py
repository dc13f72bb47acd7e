"""The source's experiments, to the printed digits of the reference tables, and the pictures drawn from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equilibrium.errors import Refused
from equilibrium.study import run_study
from models.aggregator_game.draws import CONSUMPTION, GINI, PRICE, SURPLUS
from models.aggregator_game.studies import ALL, FIRST, SECOND

DATA = Path(__file__).parents[2] / "data" / "aggregator_game"


@cache
def studied(name: str, case: str = "users_drawn") -> dict[str, pd.DataFrame]:
    found = run_study(DATA / case, name, write=False)
    assert found.code == 0
    return dict(found.tables)


def drawn(name: str, case: str = "users_drawn") -> set[str]:
    from models.aggregator_game import market

    return set(market.studies[name].figures(studied(name, case)))


def same(column: pd.Series, expected: list[float], digits: int) -> None:
    assert np.allclose(column, expected, rtol=0, atol=0.5001 * 10.0**-digits), column.tolist()


def test_t1_a_large_user() -> None:
    table = studied("large_user")["large_user"]
    same(table[SURPLUS], [16.030157, 15.926630, 15.818851, 15.604640, 15.392147, 15.181386], 6)
    assert set(table["verdict"]) == {"certified"} and drawn("large_user") == {"large_user"}


@pytest.mark.slow
def test_t2_allocation_rules() -> None:
    table = studied("allocation_rules")["allocation_rules"].set_index(["large user", "alternative"])
    measured = [PRICE, SURPLUS, CONSUMPTION, GINI, "Gini use", "deviation [MWh]"]
    for key, draws, expected in (
        (("none", "no aggregator"), 50, (1.0782, 16.0302, 5.3912, 0.629, 0.5235, 5.81)),
        (("given", "no aggregator"), 50, (1.2383, 15.1814, 5.1986, 0.636, 0.532, 5.70)),
        (("given", "welfare"), 50, (1.1498, 15.5160, 4.7556, 0.635, 0.552, 5.43)),
        (("given", "proportional, literal"), 0, ()),
        (("given", "proportional, filtered"), 50, (0.9683, 14.3005, 3.8476, 0.588, 0.428, 2.95)),
        (("given", "proportional, maximal"), 50, (0.5067, 6.7682, 1.5368, 0.5835, 0.440, 1.32)),
        (("given", "max-min, literal"), 1, (0.2003, 0.0045, 0.0035)),
        (("given", "max-min, filtered"), 50, (0.2253, 0.4527, 0.1285, 0.191, 0.483, 0.14)),
        (("given", "max-min, maximal"), 50, (0.2006, 0.0091, 0.0048)),
        (("none", "proportional, literal"), 0, ()),
        (("none", "max-min, literal"), 49, (None, 0.00767)),
        (("as all", "no aggregator"), 50, (None, 10.7580)),
        (("as all", "welfare"), 50, (None, 10.9522)),
        (("as all", "proportional, filtered"), 50, (None, 10.1536)),
        (("as all", "max-min, filtered"), 50, (None, 0.2764)),
        (("as all", "proportional, literal"), 0, ()),
        (("as all", "max-min, literal"), 0, ()),
    ):
        row = table.loc[key]
        assert row["draws"] == f"{draws}/50" and row["verdict"] == ("certified" if draws else "none")
        for name, value in zip(measured, expected, strict=False):
            if value is not None:
                digits = len(str(value).partition(".")[2])
                assert abs(row[name] - value) <= 0.5001 * 10.0**-digits, (key, name, row[name])
    assert drawn("allocation_rules") == {
        "surplus_by_rule",
        "use_by_rule",
        "spread_welfare",
        "spread_proportional",
    }


def test_t3_alpha() -> None:
    table = studied("alpha")["alpha"]
    columns = {
        SURPLUS: "16.031741 16.000323 15.982879 15.787402 14.755934 10.778077 7.350856 2.596348 1.218114 0.485611",
        ALL: "16.031741 16.015770 16.006988 15.902401 15.307004 13.001455 11.355396 9.781480 9.476478 9.343585",
        FIRST: "16.103827 16.087090 16.133934 16.296208 16.643993 17.445242 17.907282 18.344685 18.443073 18.495270",
        SECOND: "15.959656 15.944451 15.880042 15.508594 13.970016 8.557668 4.803510 1.218276 0.509884 0.191899",
    }
    for name, text in columns.items():
        same(table[name], [float(value) for value in text.split()], 6)
    same(table[PRICE][:3], [0.96311, 0.96934, 0.95232], 5)
    assert set(table["verdict"]) == {"certified"}
    assert drawn("alpha") == {"alpha_of_both", "alpha_of_one", "frontier"}


def test_t4_number_of_aggregators() -> None:
    table = studied("number_of_aggregators")["number_of_aggregators"]
    for (rule, large), text in {
        ("welfare", "none"): "16.122 16.032 15.899 15.804 15.748 15.717 15.701 15.695 15.690",
        ("welfare", "given"): "15.254 15.171 15.049 14.961 14.910 14.883 14.868 14.862 14.858",
        ("proportional, filtered", "none"): "13.386 14.756 15.528 15.809 15.822 15.776 15.728 15.710 15.690",
        ("proportional, filtered", "given"): "12.741 14.011 14.695 14.949 14.971 14.928 14.895 14.876 14.858",
    }.items():
        part = table[(table["alternative"] == rule) & (table["large user"] == large)]
        same(part[SURPLUS], [float(value) for value in text.split()], 3)
    welfare = table[(table["alternative"] == "welfare") & (table["large user"] == "given")]
    assert welfare[SURPLUS].is_monotonic_decreasing and welfare[CONSUMPTION].is_monotonic_increasing
    same(welfare[CONSUMPTION].iloc[[0, -1]], [4.29, 5.07], 2)
    assert set(table["verdict"]) == {"certified"}
    assert drawn("number_of_aggregators") == {"number_welfare", "number_proportional"}


def test_responses_in_turn_settle_and_at_once_they_may_not() -> None:
    table = studied("convergence")["convergence"].set_index(["players", "order"])
    assert int(table.loc[("400 single users", "in turn"), "rounds"]) <= 10
    for count in (400, 700, 1000):  # the contraction is what theory says, to a percent
        row = table.loc[(f"{count} single users", "at once")]
        assert abs(row["moves shrink by"] / row["c sum 1/(2(a+c))"] - 1) < 0.01
    row = table.loc[("2000 single users", "at once")]
    assert row["c sum 1/(2(a+c))"] > 1 and row["rounds"] == "not within 200"
    settled = table[table["rounds"] != "not within 200"]
    assert len(settled) == len(table) - 1 and (settled["away from equilibrium [MWh]"] < 1e-5).all()
    assert drawn("convergence") == {"rounds_of_users", "rounds_of_aggregators"}


def test_the_feasible_set_is_convex_in_one_case_and_not_in_the_other() -> None:
    for case, convex in (("textbook_r1", True), ("two_users", False)):
        edge = studied("feasible_set", case)["feasible_set"]
        heights = edge["largest s2 [EUR]"][edge["front"]].to_numpy()[:-1:20]
        curved = np.diff(heights, 2)
        assert curved.max() < 0 if convex else curved.min() > 0
        fair = studied("feasible_set", case)["fair"]
        for row in fair.itertuples(index=False):  # every allocation lies on the edge
            assert abs(np.interp(row[1], edge["s1 [EUR]"], edge["largest s2 [EUR]"]) - row[2]) < 2e-3 * row[2] + 1e-3
        assert drawn("feasible_set", case) == {"feasible_set"}


def test_studies_refuse_cases_they_are_not_about() -> None:
    for name, case in (("alpha", "textbook_r2"), ("feasible_set", "textbook_r2"), ("convergence", "textbook_r7")):
        with pytest.raises(Refused):
            run_study(DATA / case, name, write=False)
