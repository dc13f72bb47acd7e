"""Limits and costs that aggregators have of their own: closed forms for linear supply, a planner that has them too,
faults, and nothing changed where the data say nothing."""

from __future__ import annotations

from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from fdr_answer import answer
from fdr_fleets import Fleet, Plant, play
from fdr_periods import periods

from equilibrium import solve
from equilibrium.case import Alternative, Case, read_case
from equilibrium.data import Data
from equilibrium.results import Solved
from equilibrium.run import run_case, solve_one
from models.fdr_structures import market

CURVED = {"cost_power": 1 / 3, "cost_exponent": 1.0}
PSI = (0.3, 0.8)
BETA, PHI = 1.0, 1.8 / 2.8  # slope of supply with b = 0.5; (beta + psi2)/(2 beta + psi2)
FLEETS = Path(__file__).parents[2] / "data" / "fdr_structures" / "stockholm_fleets"
Window = tuple[float, float]


def fleet(
    data: Data, costs: tuple[float, ...] | None = None, windows: dict[tuple[int, str], Window] | None = None
) -> Data:
    """The data with costs of shifting by aggregator, and windows by (number of the aggregator, period)."""
    tables = dict(data.tables)
    if costs is not None:
        tables["aggregators"] = tables["aggregators"].assign(shifting_cost=list(costs))
    if windows is not None:
        keys = [(f"aggregator {n}", t) for n, t in windows]
        index = pd.MultiIndex.from_tuples(keys, names=["aggregator", "period"])
        tables["windows"] = pd.DataFrame(list(windows.values()), index=index, columns=["lowest", "largest"])
    return Data(data.market, data.parameters, tables)


def loads(one: Solved) -> np.ndarray:
    """Loads by (aggregator, period)."""
    blocks = one.model.aggregator.values()
    return np.array([[pyo.value(block.load[t]) for t in one.model.period] for block in blocks])


TIMINGS = {
    "shares": ({}, lambda k: BETA / (BETA + k), 1.0),
    "strategic_shares": ({}, lambda k: BETA / (BETA + k), PHI),
    "strategic_shares, L": ({"timing": "L"}, lambda k: PHI * BETA / (PHI * BETA + k), 1.0),
}


@pytest.mark.parametrize("which", TIMINGS)
def test_shifting_costs_linear_supply_two_periods(which: str) -> None:
    """Everybody inside: with d_a the part of a's energy moved off-peak from the even spread, D = 0.6 and M = sum d_a,

        phi beta (D - 2 M) - 2 slope d_a - 2 k_a d_a = 0,

    slope = beta at once (phi = 1 without a strategic generator) and phi beta for leaders. With c_a = slope/(slope +
    k_a) and C = sum c_a: d_a = (ratio c_a)(D - 2 M)/2, ratio = phi beta/slope, so M = ratio C D/(2 (1 + ratio C)).
    """
    options, weight, ratio = TIMINGS[which]
    costs = (0.5, 0.2, 1.0)
    c = np.array([weight(k) for k in costs])
    M = ratio * c.sum() * 0.6 / (2 * (1 + ratio * c.sum()))
    moved = ratio * c * (0.6 - 2 * M) / 2
    shares = np.array([0.4, 0.35, 0.25])
    data = fleet(periods([2.0, 2.6], [PSI], shares=tuple(shares)), costs)
    one = answer(data, which.partition(",")[0], **options)
    assert loads(one)[:, 0] == pytest.approx(shares / 2 + moved, abs=1e-9)
    assert loads(one)[:, 1] == pytest.approx(shares / 2 - moved, abs=1e-9)
    found = [one.value("shifting cost", f"aggregator=aggregator {n}") for n in (1, 2, 3)]
    assert found == pytest.approx(np.array(costs) * moved**2, abs=1e-12)


def test_shifting_costs_over_many_periods() -> None:
    """Everybody inside, any number of periods: the part moved into t is m_at = -c_a (x_t - mean + M_t), so in total
    M_t = -C/(1 + C) (x_t - mean)."""
    x = 4 + np.array([-0.2, -0.1, 0.0, 0.15, 0.2, -0.05])
    shares, costs = np.array([0.6, 0.4]), (0.5, 2.0)
    c = np.array([1 / (1 + k) for k in costs])
    M = -c.sum() / (1 + c.sum()) * (x - x.mean())
    moved = -np.outer(c, x - x.mean() + M)
    one = answer(fleet(periods(x, shares=tuple(shares), flexible_energy=3.0), costs), "shares")
    assert loads(one) == pytest.approx(shares[:, None] * 3.0 / 6 + moved, abs=1e-9)


@pytest.mark.parametrize(("structure", "timing", "phi"), [("shares", "", 1.0), ("strategic_shares", "N", PHI)])
def test_a_window_binds_and_the_others_answer_it(structure: str, timing: str, phi: float) -> None:
    """Aggregator 1 must take at least 0.25 of its 0.4 in the peak, so 0.15 off-peak, 0.05 below even: one of it. The
    others, inside: d = phi (D - 2 (d_1 + 2 d))/2, so d = phi (D - 2 d_1)/(2 (1 + 2 phi)), d_1 = -0.05."""
    data = fleet(periods([2.0, 2.6], [PSI], shares=(0.4, 0.3, 0.3)), None, {(1, "peak"): (0.25, inf)})
    d = phi * (0.6 + 0.1) / (2 * (1 + 2 * phi))
    one = answer(data, structure, **({"timing": timing} if timing else {}))
    assert loads(one)[:, 0] == pytest.approx([0.15, 0.15 + min(d, 0.15), 0.15 + min(d, 0.15)], abs=1e-9)
    assert one.solution.multipliers["aggregator[aggregator 1].lowest[peak].lower"] > 0


def test_a_largest_load_binds_and_limits_act_together() -> None:
    """Aggregator 1 at most 0.25 of its 0.4 off-peak; its limit of 0.3 holds in the other period: 0.25 and 0.15. The
    others share out what is left of the gap: d = (0.6 - 2 * 0.05 - 4 d)/2, so d = 0.5/6."""
    data = fleet(periods([2.0, 2.6], shares=(0.4, 0.3, 0.3)), None, {(1, "off-peak"): (0.0, 0.25)})
    data.tables["aggregators"]["limit"] = [0.3, inf, inf]
    found = loads(answer(data, "shares"))
    assert found[:, 0] == pytest.approx([0.25, 0.15 + 0.5 / 6, 0.15 + 0.5 / 6], abs=1e-9)


def test_a_window_of_one_load_is_a_given_profile() -> None:
    data = fleet(periods([2.0, 2.6]), None, {(1, "off-peak"): (0.1, 0.1), (1, "peak"): (0.5, 0.5)})
    assert loads(answer(data, "shares"))[0] == pytest.approx([0.1, 0.5], abs=1e-12)


def test_curved_supply_with_everything_agrees_with_theory() -> None:
    """Costs and windows at once against the conditions of one unknown, in every order of moves."""
    data = fleet(
        periods([2.0, 2.6], [PSI], **CURVED), (0.5, 0.2, 0.0), {(1, "peak"): (0.2, inf), (2, "off-peak"): (0.0, 0.17)}
    )
    for structure in ("shares", "efficient_shares", "first_best_shares", "strategic_shares"):
        answer(data, structure)
    for timing in ("L", "H"):
        answer(data, "strategic_shares", timing=timing)


@pytest.mark.parametrize("structure", ["shares", "strategic_shares"])
def test_the_planner_that_shares_compare_with_has_the_same_limits_and_costs(structure: str) -> None:
    """Loss is counted against a plan that bears them too; that plan costs no more than any of 200 others within them,
    and the unlimited plan costs less."""
    costs, windows = (0.5, 0.2, 0.0), {(1, "peak"): (0.2, inf), (2, "off-peak"): (0.0, 0.17)}
    data = fleet(periods([2.0, 2.6], [PSI]), costs, windows)
    best = "efficient_shares" if structure == "shares" else "first_best_shares"
    one, plan = answer(data, structure), answer(data, best)
    assert plan.value("loss against efficient") == pytest.approx(0, abs=1e-12)
    assert one.value("loss against efficient") == pytest.approx(
        one.value("system cost") - plan.value("system cost"), abs=1e-12
    )
    assert one.value("loss against efficient") > 0
    free = answer(data, "efficient" if structure == "shares" else "first_best")
    assert free.value("system cost") < plan.value("system cost")
    if structure == "shares":
        rng = np.random.default_rng(3)
        low, high = np.array([0.0, 0.13, 0.0]), np.array([0.4, 0.17, 0.1])
        energy = np.array([0.6, 0.3, 0.1])
        low = np.maximum(low, 0.0)
        for s in rng.uniform(low, high, (200, 3)):
            q = np.array([2.0 + s.sum(), 2.6 + 1 - s.sum()])
            other = 0.5 * (q**2).sum() + (np.array(costs) * (s - energy / 2) ** 2).sum()
            assert other >= plan.value("system cost") - 1e-12


def test_a_planner_without_own_costs_reports_totals_only() -> None:
    """Who of several aggregators takes what makes no difference to it, and no split is given as its answer."""
    one = answer(periods([2.0, 2.6]), "efficient_shares")
    assert one.value("flexible load", "period=off-peak") == pytest.approx(0.8, abs=1e-9)
    assert not one.values["index"].str.contains("aggregator").any()
    assert one.solution.certificate.uniqueness.decisions == "not unique"


def test_with_linear_cost_of_generation_windows_cut_what_the_planner_leaves_open() -> None:
    """psi2 = 0: the planner may move load and output together. Aggregator 1 takes 0.1 to 0.4 of its 0.6 off-peak,
    aggregators 2 and 3 anything: from 0.1 to 0.8 in all; with costs of shifting, aggregator 1 stays where it is."""
    plain, stated = periods([2.0, 2.6], [(0.3, 0.0)]), Alternative("plan", "first_best_shares", {})
    for costs, wanted in ((None, [0.1, 0.8]), ((1.0, 0.0, 0.0), [0.3, 0.7])):
        one = solve_one(market, fleet(plain, costs, {(1, "off-peak"): (0.1, 0.4)}), stated)
        found = [one.value(f"{end} flexible load", "period=off-peak") for end in ("least", "most")]
        assert found == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("structure", ["shares", "strategic_shares", "efficient_shares", "first_best_shares"])
def test_what_does_not_bind_changes_nothing(structure: str) -> None:
    plain = periods([2.0, 2.3, 3.1, 2.6])
    wide = fleet(plain, (0.0, 0.0, 0.0), {(1, "h01"): (0.0, 5.0), (3, "h04"): (0.0, inf)})
    models = [market.structures[structure].build(data) for data in (plain, wide)]
    for model in models:
        assert solve(model).certificate.ok
    first, second = ([pyo.value(model.flexible_load[t]) for t in model.period] for model in models)
    assert first == pytest.approx(second, abs=1e-9)
    assert models[1].component("shifting_cost") is None


FAULTS = [
    ({(4, "peak"): (0.0, 1.0)}, "there is no such aggregator"),
    ({(1, "noon"): (0.0, 1.0)}, "there is no such period"),
    ({(1, "peak"): (0.3, 0.2)}, "the lowest load is above the largest"),
    ({(1, "off-peak"): (0.0, 0.2), (1, "peak"): (0.0, 0.3)}, "leave no room for its energy"),
    ({(3, "off-peak"): (0.06, inf), (3, "peak"): (0.06, inf)}, "ask for more than its energy"),
]


@pytest.mark.parametrize(("windows", "said"), FAULTS)
def test_windows_that_do_not_fit_are_faults(windows: dict[tuple[int, str], Window], said: str) -> None:
    faults = market.check(fleet(periods([2.0, 2.6]), None, windows))
    assert len(faults) == 1
    assert said in str(faults[0])
    assert faults[0].file == "windows.csv"


def test_a_lowest_load_above_the_limit_and_windows_of_nobody_are_faults() -> None:
    data = fleet(periods([2.0, 2.6]), None, {(1, "peak"): (0.5, inf)})
    data.tables["aggregators"]["limit"] = [0.4, inf, inf]
    assert ["at most 0.4 MWh" in str(fault) for fault in market.check(data)] == [True]
    del data.tables["aggregators"]
    assert "need the table of their aggregators" in str(market.check(data)[0])


# ------------------------------------------------------------------------------------------------------- published case


def again(case: Case, strategic: bool, m: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Loads, prices and system cost of the case by replies in turn."""
    tables, numbers = case.data.tables, case.data.parameters
    periods_, fleets = list(tables["demand"].index), []
    for name, row in tables["aggregators"].iterrows():
        low, high = np.zeros(len(periods_)), np.full(len(periods_), row["limit"])
        for (who, t), window in tables["windows"].iterrows():
            if who == name:
                k = periods_.index(t)
                low[k], high[k] = window["lowest"], min(high[k], window["largest"])
        energy = row["share"] * numbers["flexible_energy"]
        fleets.append(Fleet(energy, low, high, row["shifting_cost"]))
    plants = [Plant(r["cost"], r["cost_slope"], r["capacity"]) for _, r in tables["generators"].iterrows()]
    demand = tables["demand"]["load"].to_numpy(float)
    return play(demand, fleets, plants if strategic else [], numbers["cost_linear"], numbers["cost_power"], m)


@pytest.mark.parametrize(
    ("alternative", "strategic", "m"),
    [("efficient, own limits", False, 0.0), ("fleets", False, 1.0), ("fleets, generators", True, 1.0)],
)
def test_expected_numbers_of_the_case_are_found_again(alternative: str, strategic: bool, m: float) -> None:
    """Written with twelve digits."""
    case = read_case(FLEETS)
    loads_, prices, cost = again(case, strategic, m)
    table = case.expected[case.expected["alternative"] == alternative].set_index(["quantity", "index"])["value"]
    for k, t in enumerate(case.data.tables["demand"].index):
        assert table["flexible load", f"period={t}"] == pytest.approx(loads_[:, k].sum(), rel=1e-10)
        assert table["price", f"period={t}"] == pytest.approx(prices[k], rel=1e-10)
        for n, name in enumerate(case.data.tables["aggregators"].index if m else ()):
            expected = table["flexible load", f"aggregator={name};period={t}"]
            assert expected == pytest.approx(loads_[n, k], rel=1e-10, abs=1e-9)
    assert table["system cost", ""] == pytest.approx(cost, rel=1e-11)


def test_limits_of_their_own_cost_more_than_market_power() -> None:
    """In the case of fleets, against the plan without limits: 1624 of 1632 EUR."""
    found = run_case(FLEETS, only=["efficient", "efficient, own limits", "fleets"], write=False, figures=False).solved
    cost = {one.alternative.name: one.value("system cost") for one in found}
    assert cost["efficient, own limits"] - cost["efficient"] == pytest.approx(1623.5, abs=0.5)
    assert cost["fleets"] - cost["efficient, own limits"] == pytest.approx(8.04, abs=5e-3)


# -------------------------------------------------------------------------------------------------------- random fleets


def random_fleet(number: int) -> tuple[Data, list[Fleet], list[Plant]]:
    """Two to six periods, two to four aggregators, windows and costs here and there, one or two generators."""
    rng = np.random.default_rng((8, number))
    T, A = int(rng.integers(2, 7)), int(rng.integers(2, 5))
    x = np.sort(rng.uniform(2, 4, T))
    shares, S = rng.dirichlet(np.ones(A)), float(rng.uniform(0.5, 3))
    plants = [(float(rng.uniform(0, 1)), float(rng.uniform(0, 1))) for _ in range(rng.integers(1, 3))]
    data = periods(x, plants, shares=tuple(shares), flexible_energy=S, capacity=1.5)
    windows: dict[tuple[int, str], Window] = {}
    fleets = []
    costs = rng.uniform(0, 2, A) * rng.integers(0, 2, A)
    for n, share in enumerate(shares):
        low, high = np.zeros(T), np.full(T, inf)
        for k in range(T):
            if rng.random() < 0.5:
                low[k] = share * S / T * rng.choice([0.0, rng.uniform(0, 1)])
                high[k] = share * S / T * rng.choice([inf, rng.uniform(1, 2)])
                windows[n + 1, data.tables["demand"].index[k]] = (low[k], high[k])
        fleets.append(Fleet(share * S, low, high, costs[n]))
    return fleet(data, tuple(costs), windows or None), fleets, [Plant(a, b, 1.5) for a, b in plants]


@pytest.mark.parametrize("number", range(30))
def test_random_fleets_are_where_replies_in_turn_end(number: int) -> None:
    """Loads, prices and cost with and without generators; the planner's cost and that nobody beats it."""
    data, fleets, plants = random_fleet(number)
    assert not market.check(data)
    x = data.tables["demand"]["load"].to_numpy()
    for structure, best, there in (
        ("shares", "efficient_shares", []),
        ("strategic_shares", "first_best_shares", plants),
    ):
        one, plan = (solve_one(market, data, Alternative(name, name, {})) for name in (structure, best))
        assert one.solution.certificate.verdict == plan.solution.certificate.verdict == "certified"
        expected, prices, cost = play(x, fleets, there, 0.0, 0.5)
        assert loads(one) == pytest.approx(expected, abs=1e-8)
        assert [pyo.value(one.model.price[t]) for t in one.model.period] == pytest.approx(prices, abs=1e-8)
        assert one.value("system cost") == pytest.approx(cost, rel=1e-9)
        assert one.value("loss against efficient") >= -1e-9 * cost
        if structure == "shares":
            assert plan.value("system cost") == pytest.approx(play(x, fleets, there, 0.0, 0.5, 0.0)[2], rel=1e-9)
