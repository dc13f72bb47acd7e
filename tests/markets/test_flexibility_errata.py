"""Where the source had to be read in one way, corrected or qualified: each row of the page's table, by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog

from equilibrium.case import Alternative, read_case
from equilibrium.data import Data, change
from equilibrium.errors import DataError
from equilibrium.run import solve_one
from equilibrium.threshold import threshold
from models.local_flexibility import market, theory

PAPER = Path(__file__).parents[2] / "data/local_flexibility/paper"
PRICE = (0.15, 0.10, 0.05, 0.01, 0.025, 0.032)
HABIT = (3, 6, 10, 42, 20, 15)


@pytest.fixture(scope="module")
def paper() -> Data:
    return read_case(PAPER).data


def clear(data: Data, scenario: str, **options: str) -> Any:
    known = {"scenario": scenario, "offers": "whole", "settlement": "pay_as_bid"}
    solved = solve_one(market, data, Alternative("test", "clearing", {**known, **options}))
    assert solved.solution.certificate.verdict == "certified"
    return solved


def baseline(scenario: str, fleet: str, energies: tuple[float, ...]) -> dict[str, float]:
    return {f"baselines.energy[{scenario},{fleet},{t}]": energy for t, energy in enumerate(energies)}


def by_pairs(solved: Any, day: str, unsigned: bool) -> float:
    """Least cost with bids by pair of hours, at m + (pi_p - pi_t) or m + |pi_p - pi_t|."""
    model = solved.model
    required, room = ({t: solved_value(part[day, "street", t]) for t in model.period} for part in _limits(model))
    pairs = [(u, t, p) for u, t in model.offer for p in model.period if required[t] > 0 and room[p] > 0]
    markup = {u: solved_value(model.markup[model.scenario, a]) for u, a in model.owner.items()}
    difference = {(t, p): PRICE[int(p)] - PRICE[int(t)] for t in model.period for p in model.period}
    cost = [markup[u] + (abs(difference[t, p]) if unsigned else difference[t, p]) for u, t, p in pairs]
    rows, right = [], []
    for place, most in {**{("o", *k): v for k, v in model.offer.items()}, **{("r", p): room[p] for p in room}}.items():
        mine = [(u, t) == place[1:] if place[0] == "o" else p == place[1] for u, t, p in pairs]
        if any(mine):
            rows.append(np.array(mine, dtype=float))
            right.append(solved_value(most))
    needed = [t for t in required if required[t] > 0]
    equal = [[float(pair[1] == t) for pair in pairs] for t in needed]
    found = linprog(cost, A_ub=rows, b_ub=right, A_eq=equal, b_eq=[required[t] for t in needed])
    assert found.status == 0
    return float(found.fun)


def _limits(model: Any) -> tuple[Any, Any]:
    return model.requirement, model.room


def solved_value(x: Any) -> float:
    return float(pyo.value(x))


def test_e1_prices_are_signed(paper):
    """Unsigned differences give 40.2 and 26.625; no 25 kWh of A can then cost less than 13.125 in expectation."""
    s3, s4 = clear(paper, "S3"), clear(paper, "S4")
    assert by_pairs(s3, "typical", unsigned=False) == pytest.approx(32.335)
    assert by_pairs(s3, "typical", unsigned=True) == pytest.approx(40.2)
    assert by_pairs(s4, "high", unsigned=True) == pytest.approx(26.625)
    assert 0.5 * 25 * (1 + PRICE[0] - PRICE[1]) == pytest.approx(13.125)


@pytest.mark.parametrize(("rating", "shifted"), [(119, 26), (120, 25), (121, 24)])
def test_e2_a_rating_of_120_follows_from_25_shifted(paper, rating, shifted):
    solved = clear(change(paper, {"feeders.rating[S4,street]": float(rating)}), "S4")
    assert solved.value("accepted", "aggregator=A;day=high") == pytest.approx(shifted)


def test_e2_a_rating_of_119_fits_scenarios_1_and_3_too(paper):
    """With baselines (7, 7, 7, 39, 28, 8), and A's last 8 kWh of scenario 3 in hour 3."""
    other = (7, 7, 7, 39, 28, 8)
    cells = {"feeders.rating[S1,street]": 119.0, "feeders.rating[S3,street]": 119.0}
    for a in "ABC":
        cells |= baseline("S1", a, other) | baseline("S3", a, other)
    cells |= baseline("S3", "A", (88, 0, 0, 8, 0, 0))
    data = change(paper, cells)
    assert clear(data, "S1").value("operator cost", "day=typical") == pytest.approx(0.471)
    assert clear(data, "S3").value("operator cost", "day=typical") == pytest.approx(32.339)


def test_e3_scenario_2_needs_whole_kwh(paper):
    assert clear(paper, "S2").value("operator cost", "day=typical") == pytest.approx(11.472)
    assert clear(paper, "S2", offers="continuous").value("operator cost", "day=typical") == pytest.approx(10.472)


def test_e4_the_other_days_of_scenario_4_are_not_table_i(paper):
    """With 70 kW in hour 0 they are congested: 3.70 instead of 0.075, 12.45 in expectation."""
    solved = clear(change(paper, {"loads.load[low,street,0]": 70.0}), "S4")
    assert solved.value("operator cost", "day=low") == pytest.approx(3.7)
    assert solved.value("expected operator cost") == pytest.approx(12.45)


def pays_from(data: Data, honest_bill: float) -> float:
    """The mark-up of A from which its expected profit in S4 exceeds its honest bill."""

    def loss(markup: float) -> float:
        solved = clear(change(data, {"aggregators.markup[S4,A]": markup}), "S4", offers="continuous")
        profit = [solved.value("profit", f"aggregator=A;day={day}") for day in ("high", "low")]
        return -honest_bill - 0.5 * sum(profit)

    return threshold(loss, 0.3, 0.6).value


def test_e5_the_threshold_is_a_net_payment(paper):
    """0.476 is what is paid per kWh; the mark-up is 0.14 more. In the appendix' world (55 kWh from hour 3, 88 in all)
    clearings say the same."""
    assert theory.threshold_price(25, 30, 0.14, 0.5) == pytest.approx(0.476, abs=1e-12)
    assert theory.threshold_markup(25, 30, 0.14, 0.5) == pytest.approx(0.616, abs=1e-12)
    world = {"fleets.energy[S4,A]": 11.0} | baseline("S4", "A", (55, 0, 0, 33, 0, 0))
    assert pays_from(change(paper, world), 88 * 0.01) == pytest.approx(0.616, abs=1e-6)


def test_e5_the_scenarios_own_schedules_have_another_threshold(paper):
    assert pays_from(paper, 2.95) == pytest.approx(6.752 / 12.5, abs=1e-6)


def test_e6_at_truthful_prices_the_fake_schedule_earns_the_operator_money(paper):
    solved = clear(change(paper, {"aggregators.markup[S3,A]": 0.0}), "S3")
    assert solved.value("operator cost", "day=typical") == pytest.approx(-5.665)


def test_e7_eight_vehicles_do_not_fit_into_one_hour(paper):
    """8 x 12 = 96 kWh are needed, 8 x 11 = 88 fit into hour 0: the rest has to be declared elsewhere."""
    with pytest.raises(DataError, match="not what its vehicles need"):
        change(paper, baseline("S3", "A", (88, 0, 0, 0, 0, 0)))
    with pytest.raises(DataError, match="cannot charge so much"):
        change(paper, baseline("S3", "A", (96, 0, 0, 0, 0, 0)))


def test_e8_who_is_not_pivotal_is_not_paid_for_added_congestion(paper):
    """Six equal aggregators: one puts its 44 kWh into hour 0, truthful rivals take all the relief."""
    tables = dict(paper.tables)
    names = list("ABCDEF")
    rows = {"fleets": [], "baselines": [], "aggregators": []}
    for a in names:
        fleet = {"scenario": "S1", "fleet": a, "aggregator": a, "feeder": "street", "vehicles": 4, "charger": 11.0}
        rows["fleets"].append({**fleet, "energy": 12.0, "lot": 0.0, "source": ""})
        plan = (44, 0, 0, 4, 0, 0) if a == "A" else tuple(s / 2 for s in HABIT)
        for t, s in enumerate(plan):
            place = {"scenario": "S1", "fleet": a, "period": str(t), "energy": float(s)}
            rows["baselines"].append({**place, "plugged_in": np.inf, "source": ""})
        markup = {"scenario": "S1", "aggregator": a, "markup": 1.0 if a == "A" else 0.0}
        rows["aggregators"].append({**markup, "strategic": "no", "source": ""})
    for name, found in rows.items():
        old = tables[name]
        new = pd.DataFrame(found).set_index(list(old.index.names))
        rest = old[old.index.get_level_values(0) != "S1"]
        tables[name] = pd.concat([new, rest])
    tables["envelopes"] = tables["envelopes"][:0]
    solved = clear(Data(paper.market, paper.parameters, tables), "S1", offers="continuous")
    assert solved.value("requirement", "day=typical;feeder=street;period=0") == pytest.approx(1.5)
    assert solved.value("accepted", "aggregator=A;day=typical") == pytest.approx(0, abs=1e-9)
    paid = clear(Data(paper.market, paper.parameters, tables), "S1", offers="continuous", settlement="pay_as_cleared")
    assert paid.value("payment", "aggregator=A;day=typical") == pytest.approx(0, abs=1e-9)


def test_e9_all_extra_cost_of_scenario_2_is_profit(paper):
    extra = clear(paper, "S2").value("operator cost", "day=typical") - 0.472
    assert clear(paper, "S2").value("mark-up profit", "aggregator=A;day=typical") == pytest.approx(extra)
