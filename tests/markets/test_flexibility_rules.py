"""Lots, minimum bids, congestion points, feed-in, what is not delivered, and cases at the edge."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyomo.environ as pyo
import pytest

from equilibrium import solve
from equilibrium.case import Alternative, read_case
from equilibrium.data import Data, change
from equilibrium.errors import DataError, Refused
from equilibrium.run import run_case, solve_one
from equilibrium.testing import assert_certified
from models.local_flexibility import figures, market, setting, structures, values

CASES = Path(__file__).parents[2] / "data/local_flexibility"


@pytest.fixture(scope="module")
def paper() -> Data:
    return read_case(CASES / "paper").data


@pytest.fixture(scope="module")
def station() -> Data:
    return read_case(CASES / "station").data


def clear(data: Data, structure: str = "clearing", **options: str) -> Any:
    known = {name: column.default for name, column in market.structures[structure].options.items()}
    solved = solve_one(market, data, Alternative("test", structure, {**known, **options}))
    assert_certified(solved.solution)
    return solved


def cost(data: Data, day: str = "typical", structure: str = "clearing", **options: str) -> float:
    return clear(data, structure, **options).value("operator cost", f"day={day}")


# ---- lots ------------------------------------------------------------------------------------------------------------


def test_lots_buy_the_next_whole_lot_and_no_more(paper):
    """31 kWh are needed, chargers deliver 11: three lots, 2 kWh too many."""
    solved = clear(paper, scenario="S1", offers="lots")
    assert solved.value("redispatched energy", "day=typical") == pytest.approx(33)
    assert solved.value("operator cost", "day=typical") == pytest.approx(30 * 0.015 + 3 * 0.022)


def test_lots_are_no_way_to_trade_energy(paper):
    """Bids with negative prices: four lots are what 44 kWh need; without the cap all 94 kWh would be bought."""
    truthful = change(paper, {"aggregators.markup[S3,A]": 0.0})
    solved = clear(truthful, scenario="S3", offers="lots")
    assert solved.value("redispatched energy", "day=typical") == pytest.approx(44)
    assert solved.value("operator cost", "day=typical") == pytest.approx(-5.665)


def test_buying_at_least_the_requirement_would_trade_energy(paper):
    """Erratum: with sum cut >= O the operator moves all 94 kWh of hour 0 for its price: -11.684."""
    truthful = change(paper, {"aggregators.markup[S3,A]": 0.0})
    model = structures.clearing(truthful, "S3")
    block = model.operator["typical"]
    for place, row in block.relief.items():
        if pyo.value(model.requirement[("typical", *place)]) > 0:
            row.set_value(row.body >= row.upper)
    assert solve(model).certificate.ok
    assert pyo.value(block.cost) == pytest.approx(-11.684, abs=1e-9)
    assert sum(v.value for v in block.cut.values()) == pytest.approx(94)


def test_lots_of_single_vehicles():
    data = read_case(CASES / "ten_feeders").data
    few = _few_feeders(data, ["f0"])
    solved = clear(few, "vehicles", scenario="base", offers="lots")
    for place, q in solved.model.operator["day"].cut.items():
        assert q.value == pytest.approx(0, abs=1e-9) or q.value == pytest.approx(pyo.value(solved.model.lots[place]))
    whole = clear(few, "vehicles", scenario="base", offers="continuous")
    assert solved.value("redispatched energy", "day=day") >= whole.value("redispatched energy", "day=day") - 1e-9


def _few_feeders(data: Data, names: list[str]) -> Data:
    tables = dict(data.tables)
    for name, level in (("feeders", 1), ("loads", 1)):
        tables[name] = tables[name][tables[name].index.get_level_values(level).isin(names)]
    tables["vehicles"] = tables["vehicles"][tables["vehicles"]["feeder"].isin(names)]
    tables["charging"] = tables["charging"][tables["charging"].index.get_level_values(0).isin(tables["vehicles"].index)]
    return Data(data.market, data.parameters, tables)


def test_no_marginal_prices_of_lots(paper):
    with pytest.raises(Refused, match="indivisible lots"):
        clear(paper, scenario="S1", offers="lots", settlement="pay_as_cleared")


def test_whole_and_continuous_offers(paper):
    """10.5 kWh of B and C are offered as 10: A sells 11 kWh, else 10."""
    assert cost(paper, scenario="S2") == pytest.approx(11.472)
    assert cost(paper, scenario="S2", offers="continuous") == pytest.approx(10.472)


# ---- minimum bids, duals ---------------------------------------------------------------------------------------------


def test_offers_below_the_minimum_bid_are_not_admitted(paper):
    assert cost(change(paper, {"parameters.minimum_bid": 42}), scenario="S1") == pytest.approx(0.472)
    nobody = clear(change(paper, {"parameters.minimum_bid": 43}), scenario="S1")
    assert nobody.value("unserved energy", "day=typical") == pytest.approx(31)
    assert nobody.value("operator cost", "day=typical") == pytest.approx(310)
    small = change(paper, {"parameters.minimum_bid": 11})  # of B and C, 10 kWh each: A is needed for all 31 kWh
    assert clear(small, scenario="S2").value("accepted", "aggregator=A;day=typical") == pytest.approx(31)


@pytest.mark.parametrize("settlement", ["pay_as_cleared", "pay_as_cleared_net"])
def test_a_price_that_is_not_unique_is_an_interval(paper, settlement):
    """With load 29 in hour 4 the room there is exactly what is needed: any price from 0.015 to 0.022 clears."""
    exact = change(paper, {"loads.load[typical,street,4]": 29.0})
    solved = clear(exact, scenario="S1", settlement=settlement)
    low, high = (solved.value(f"relief settled at {word} prices", "day=typical") for word in ("lowest", "highest"))
    assert low == pytest.approx(31 * 0.015)
    assert high == pytest.approx(31 * 0.022 if settlement == "pay_as_cleared" else 31 * 0.015)
    assert solved.value("operator cost", "day=typical") == pytest.approx(low)


# ---- points and feed-in --------------------------------------------------------------------------------------------


def test_a_point_counts_feeders_by_their_sensitivity(station):
    """South loads the station with 0.8: 6 kWh too many, 5 from N and 1.25 of S."""
    lighter = change(station, {"sensitivities.sensitivity[station,south]": 0.8})
    assert cost(lighter, "sunny", offers="continuous") == pytest.approx(7.9 + 1.25 * 0.62)


def test_what_feeders_need_themselves_also_relieves_the_point(station):
    """North needs 5 anyhow; with a rating of 95 that is enough for the station, exactly."""
    wide = change(station, {"points.rating[base,station]": 95.0})
    solved = clear(wide, offers="continuous", settlement="vcg")
    assert solved.value("point load after", "day=sunny;period=evening;point=station") <= 95 + 1e-9
    assert solved.value("accepted", "aggregator=B;day=sunny") == pytest.approx(0, abs=1e-9)


def test_cheap_energy_is_no_reason_to_move(station):
    """Truthful bids pay to be moved to noon: still no more is moved than feeder (5) and station (15) require."""
    truthful = {"aggregators.markup[base,A]": 0.0, "aggregators.markup[base,B]": 0.0}
    solved = clear(change(station, truthful | {"feeders.feed_in[base,north]": 60.0}), offers="continuous")
    assert solved.value("redispatched energy", "day=sunny") == pytest.approx(20)
    assert solved.value("redispatched energy", "day=bright") == pytest.approx(20)
    limited = clear(change(station, truthful), offers="continuous")
    assert 30 - 1e-9 <= limited.value("redispatched energy", "day=sunny") <= 20 + 20  # and what is lifted on top


def test_without_limits_on_feed_in_nothing_is_lifted(station):
    free = change(station, {"feeders.feed_in[base,north]": 60.0, "points.rating[base,station]": 200.0})
    solved = clear(free, offers="continuous")
    assert solved.value("redispatched energy", "day=sunny") == pytest.approx(5)


def test_every_limit_holds_after_clearing(station):
    solved = clear(station, offers="continuous")
    values = solved.values.set_index(["quantity", "index"])["value"]
    rating = {"north": (-20, 50), "south": (-1e9, 50)}
    for index, load in values["net load after"].items():
        low, high = rating[index.split("feeder=")[1].split(";")[0]]
        assert low - 1e-9 <= load <= high + 1e-9
    assert max(values["point load after"]) <= 80 + 1e-9


@pytest.mark.parametrize(("options", "match"), [
    ({"offers": "lots"}, "feed-in limits and points"),
    ({"settlement": "pay_as_cleared"}, "feed-in limits and points"),
])  # fmt: skip
def test_what_is_not_defined_with_points_is_refused(station, options, match):
    with pytest.raises(Refused, match=match):
        clear(station, **options)


# ---- what is not delivered -------------------------------------------------------------------------------------------


def test_overload_by_non_delivery_and_its_cost(paper):
    """Scenario 3: of 88 declared kWh 38 are moved, 3 can be charged; 47 arrive in hour 3, which was full."""
    index = pd.MultiIndex.from_tuples([("S3", "A", "0")], names=["scenario", "fleet", "period"])
    rows = pd.DataFrame({"energy": [3.0], "source": [""]}, index=index)
    data = Data(paper.market, paper.parameters, {**paper.tables, "availability": rows})
    solved = clear(data, scenario="S3")
    assert solved.value("not delivered", "day=typical") == pytest.approx(47)
    assert solved.value("overload by non-delivery", "day=typical") == pytest.approx(47)
    assert solved.value("cost of overload", "day=typical") == pytest.approx(470)
    assert solved.value("operator cost", "day=typical") == pytest.approx(32.335)


# ---- the edge ------------------------------------------------------------------------------------------------------


def test_a_fleet_that_offers_nothing_changes_nothing(paper):
    zero = {f"baselines.energy[S1,C,{t}]": 0.0 for t in range(6)} | {"fleets.energy[S1,C]": 0.0}
    lighter = {"feeders.rating[S1,street]": 78.0}  # 42 kWh less in hour 3, and so is the rating
    solved = clear(change(paper, zero | lighter), scenario="S1")
    assert solved.value("accepted", "aggregator=C;day=typical") == 0
    assert solved.value("requirement", "day=typical;feeder=street;period=3") == pytest.approx(31)


def test_no_congestion_costs_nothing(paper):
    for settlement in ("pay_as_bid", "pay_as_cleared", "pay_as_cleared_net", "vcg"):
        wide = change(paper, {"feeders.rating[S1,street]": 1000.0})
        solved = clear(wide, scenario="S1", settlement=settlement)
        assert solved.value("operator cost", "day=typical") == pytest.approx(0, abs=1e-9)
        assert "residual supply index" not in set(solved.values["quantity"])


def test_congestion_in_every_period_leaves_all_unserved(paper):
    """No room anywhere: shifting is impossible, the requirement is met at the alternative cost."""
    solved = clear(change(paper, {"feeders.rating[S1,street]": 20.0}), scenario="S1")
    needed = solved.values.loc[solved.values["quantity"] == "requirement", "value"]
    assert len(needed) == 6 and solved.value("redispatched energy", "day=typical") == pytest.approx(0, abs=1e-9)
    assert solved.value("operator cost", "day=typical") == pytest.approx(10 * needed.sum())


def test_too_little_payback_leaves_the_rest_unserved(paper):
    """Only 16 kWh of room in hour 4, none elsewhere."""
    loads = {f"loads.load[typical,street,{t}]": load for t, load in enumerate((111, 102, 90, 25, 44, 75))}
    solved = clear(change(paper, loads), scenario="S1")
    assert solved.value("redispatched energy", "day=typical") == pytest.approx(16)
    assert solved.value("unserved energy", "day=typical") == pytest.approx(15)


def test_a_load_at_the_rating_is_no_congestion(paper):
    """net = K exactly belongs to the payback hours, with zero room; rounding does not decide."""
    exact = change(paper, {"loads.load[typical,street,0]": 120 - 9.0})
    solved = clear(exact, scenario="S1")
    model = solved.model
    assert pyo.value(model.requirement["typical", "street", "0"]) == 0
    assert pyo.value(model.room["typical", "street", "0"]) == 0
    assert solved.value("operator cost", "day=typical") == pytest.approx(0.472)


def test_negative_prices(paper):
    """Payback in an hour with a negative price earns money: 31 kWh from 0.01 to -0.05."""
    solved = clear(change(paper, {"periods.price[0]": -0.05}), scenario="S1")
    assert solved.value("operator cost", "day=typical") == pytest.approx(31 * (-0.05 - 0.01))


def test_ties_are_split_pro_rata_whatever_the_names(paper):
    """Everybody offers 42 kWh in hour 3 at the same price."""
    solved = clear(paper, scenario="S1")
    for a in "ABC":
        assert solved.value("accepted", f"aggregator={a};day=typical") == pytest.approx(31 / 3, abs=1e-7)


def test_bids_given_twice_are_named(tmp_path):
    folder = tmp_path / "paper"
    shutil.copytree(CASES / "paper", folder)
    baselines = folder / "baselines.csv"
    lines = baselines.read_text().splitlines()
    baselines.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(DataError, match="baselines.csv"):
        read_case(folder)


def test_a_baseline_that_is_not_the_energy_needed_is_refused(paper):
    with pytest.raises(DataError, match="not what its vehicles need"):
        change(paper, {"baselines.energy[S1,A,3]": 41.0})


def test_unknown_points_and_feeders_are_named(station):
    with pytest.raises(DataError, match="no feeder loads this point"):
        tables = {**station.tables, "sensitivities": station.tables["sensitivities"].iloc[:0]}
        change(Data(station.market, station.parameters, tables), {"parameters.alternative_cost": 9})


def test_the_cases_checked_by_hand():
    for case in ("evening", "station"):
        results = run_case(CASES / case, write=False)
        checked = results.tables["validation"]
        assert results.code == 0 and (checked["within"] == "yes").all(), checked.to_string()


def test_headroom_of_the_vehicles_plugged_in(paper):
    """Amendment 1: all printed numbers take the whole fleet. With the habits' envelope as headroom S1 costs 4.34."""
    rows = {}
    envelope = dict(enumerate((88, 6, 10, 42, 20, 15)))
    for a in "ABC":
        rows |= {f"baselines.plugged_in[S1,{a},{t}]": most / 11 for t, most in envelope.items()}
    assert cost(change(paper, rows), scenario="S1") == pytest.approx(4.34)
    assert setting.ROUNDING < 1e-12


# ---- pictures and the comparison ----------------------------------------------------------------------------------


def test_every_scenario_is_drawn_and_compared(tmp_path):
    results = run_case(CASES / "paper", only=["habit", "S1", "S2", "S2, VCG"], out=tmp_path / "results")
    drawn = sorted(path.stem for path in (tmp_path / "results/figures").glob("*.png"))
    assert drawn == ["loads_S1", "loads_S2", "supply_S1", "supply_S2"]
    compared = results.tables["comparison"].set_index("alternative")
    assert compared.loc["S1", "pivotal"] == "nobody" and compared.loc["S2", "pivotal"] == "A"
    assert compared.loc["S2", "operator cost [EUR]"] == pytest.approx(11.472)


def test_stacks_add_up_to_net_loads(station):
    solved = clear(station, offers="continuous")
    for day in values.days(solved):
        found = figures.view(solved, day, "north")
        after = found.inflexible + sum(found.after.values()) - found.shed + found.curtailed
        expected = [
            solved.value("net load after", f"day={day.name};feeder=north;period={t}") for t in solved.model.period
        ]
        assert after == pytest.approx(expected)
