"""Several strategic aggregators, remedies and the audit: the reference numbers, and what each claim rests on."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.data import change
from equilibrium.run import run_case
from models.local_flexibility import audit, outcome, play, remedies, several, study

DATA = Path(__file__).parents[2] / "data/local_flexibility"
PLAYERS = {"two": ["A", "B"], "three": ["A", "B", "C"]}


def quiet(text):
    pass


def gaming(scenario):
    return several.stated(read_case(DATA / "strategic").data, scenario, "whole", PLAYERS[scenario])


# ------------------------------------------------------------------------------------------------- several


@pytest.mark.parametrize(
    ("scenario", "period", "least", "most", "mean"),
    [("two", 57, 55.82, 125.12, 90.23), ("three", 113, 94.54, 212.24, 153.05)],
)
def test_best_replies_in_turn_cycle(scenario, period, least, most, mean):
    one = gaming(scenario)
    turns = several.in_turn(one)
    paid = [float(p.markups @ one.accepted(p.plans[None], p.markups[None])[0]) for p in turns.cycle]
    asked = np.array([p.markups for p in turns.cycle])
    assert turns.period == period
    assert (min(paid), max(paid)) == pytest.approx((least, most), abs=1e-6)
    assert np.mean(paid) == pytest.approx(mean, abs=0.005)
    assert (asked.min(), asked.max()) == pytest.approx((0.44, 1.0), abs=1e-9)
    assert all(np.allclose(p.plans, [88, 0, 0, 8, 0, 0]) for p in turns.cycle)
    assert min(several.gap(one, p) for p in turns.cycle) > 1
    assert several.least_gap(one, turns.cycle[-1].plans) > 1


@pytest.mark.parametrize("scenario", ["two", "three"])
def test_merit_order_is_the_clearing(scenario):
    """Random plans and mark-ups, ties among them."""
    data, one, rng = read_case(DATA / "strategic").data, gaming(scenario), np.random.default_rng(5)
    for _ in range(6):
        plans = np.array([rows[rng.integers(len(rows))] for rows in one.plans])
        profile = several.Profile(plans, rng.choice([0.0, 0.3, 0.3, 0.7, 1.0], size=len(plans)))
        again = several.cleared(data, scenario, "whole", one, profile)
        expected = one.profits(profile.plans[None], profile.markups[None])[0]
        assert [again.profit(a) for a in one.players] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("scenario", "payments", "mean"), [("two", 76.0, 0.638210), ("three", 114.0, 0.562358)])
def test_mixed_strategies(scenario, payments, mean):
    one = gaming(scenario)
    plans = several.in_turn(one).cycle[-1].plans
    found = several.mixed(one, plans)
    assert found.lowest == pytest.approx(38 / 88, abs=1e-12)
    assert found.payments == pytest.approx(payments, abs=1e-9)
    assert found.mean == pytest.approx(mean, abs=1e-6)
    assert [found.distribution(found.quantile(p)) for p in (0.1, 0.5, 1)] == pytest.approx([0.1, 0.5, 1], abs=1e-12)
    assert several.gain_against(one, found, plans, 20) == pytest.approx(0, abs=1e-9)
    expected = ((88 * 0.7 - 38) / (50 * 0.7)) ** (1 / (found.number - 1))
    assert found.distribution(0.7) == pytest.approx(expected, abs=1e-12)


def test_what_the_operator_expects_to_pay():
    """Three: truthful -27.444, mixed 86.556, all at the largest mark-up 186.556."""
    data, one = read_case(DATA / "strategic").data, gaming("three")
    rows = several._rows(data, "three", "whole", one, several.in_turn(one), _no_rounds(), 0.0, "cycling")
    found = {row["quantity"]: row["value"] for row in rows}
    assert found["operator cost, truthful mark-ups"] == pytest.approx(-27.444, abs=1e-6)
    assert found["operator cost, mixed, expected"] == pytest.approx(86.556, abs=1e-6)
    assert found["operator cost, all at the largest mark-up"] == pytest.approx(186.556, abs=1e-6)


def _no_rounds():
    return pd.DataFrame({"mark-up payments [EUR]": [0.0], "gap [EUR]": [0.0]})


def test_pay_as_cleared_lets_three_settle():
    """One asks 1 and sells 38, two ask little and sell 88 each: nobody gains by another mark-up."""
    data, one = read_case(DATA / "strategic").data, gaming("three")
    plans = np.array([one.plans[0][4]] * 3)
    assert plans[0][0] == 88

    def settled(markups, rule):
        profile = several.Profile(plans, np.array(markups))
        return remedies._at_marginal_prices(several.cleared(data, "three", "whole", one, profile), rule)

    here = (1.0, 0.1, 0.1)
    for rule, cost in (("pay_as_cleared", 188.748), ("pay_as_cleared_net", 186.556)):
        now = settled(here, rule)
        assert now[""] == pytest.approx(cost, abs=1e-6)
        for i, m in product((0, 1), (0.0, 0.05, 0.1, 0.4, 0.99, 1.0)):
            other = tuple(m if k == i else x for k, x in enumerate(here))
            a = one.players[i]
            assert settled(other, rule)[a] <= now[a] + 1e-6, (rule, a, m)


# ------------------------------------------------------------------------------------------------- remedies


@pytest.fixture(scope="module")
def street():
    return remedies.Street.of(
        read_case(DATA / "remedies").data, dict(scenario="certain", aggregator="A", offers="whole"), (1.0,)
    )


@pytest.fixture(scope="module")
def compared(street):
    return remedies.compare(street, quiet).set_index("remedy")


def test_every_reference_number_of_the_case():
    found = run_case(
        DATA / "remedies", write=False, only=["certain, no remedy", "certain, penalty of 0.5", "certain, VCG"]
    )
    checked = found.tables["validation"]
    assert found.code == 0 and len(checked) >= 12
    assert (checked["within"] == "yes").all(), checked[checked["within"] != "yes"].to_string()
    for one in found.solved:  # what A gets and pays in the accounts is its profit
        books = found.tables["accounts"]
        mine = books[(books["alternative"] == one.alternative.name) & (books["party"] == "aggregator A")]
        assert mine["value"].sum() == pytest.approx(one.value("profit", "aggregator=A"), abs=1e-6)


@pytest.mark.parametrize(
    ("remedy", "gain", "cost"),
    [
        ("none, honest plan", 0, 0.472),
        ("none, best plan", 27.67, 32.455),
        ("pay as cleared net", 27.67, 38.455),
        ("vcg", 374.42, 379.205),
        ("penalty", 0, 0.472),
        ("mark-up cap", 0, 0.472),
        ("capacity limitation, forecast", 0, 0.472),
        ("diversification", 0, 0.472),
    ],
)
def test_what_each_remedy_does(compared, remedy, gain, cost):
    row = compared.loc[remedy]
    assert row["gain [EUR]"] == pytest.approx(gain, abs=1e-6)
    assert row["operator cost [EUR]"] == pytest.approx(cost, abs=1e-6)
    assert row["gaming pays"] == ("yes" if gain else "no")
    assert row["social cost [EUR]"] == pytest.approx(9.322 if not gain else 13.635, abs=1e-6)


def test_levels_of_remedies(compared):
    assert compared.at["mark-up cap", "level"] == pytest.approx(10.33 / 38, abs=1e-6)
    assert compared.at["diversification", "level"] == 6
    note = compared.at["capacity limitation, forecast", "note"]
    assert "10.33 EUR" in note and "0.271842 EUR/kWh" in note


def test_rights_leave_the_same_firm_pivotal(street):
    table = remedies.rights_table(street).set_index(["period", "aggregator"])
    first, fourth = table.loc[("0", "A")], table.loc[("3", "A")]
    assert (first["rights [kWh]"], first["to buy back [kWh]"]) == pytest.approx((264, 214), abs=1e-9)
    assert first["residual supply index"] == pytest.approx(176 / 214, abs=1e-6)
    assert first["pivotal for [kWh]"] == pytest.approx(38, abs=1e-9)
    assert fourth["residual supply index"] == pytest.approx(1.041420, abs=1e-6)
    assert remedies.efficient_cost(street) == pytest.approx(3.67, abs=1e-6)


def test_diversification(street):
    table = remedies.division(street, quiet)
    assert list(table["aggregators"]) == [2, 3, 4, 6]
    assert list(table["gain [EUR]"]) == pytest.approx([66.505, 27.67, 8.2525, 0], abs=1e-6)


@pytest.mark.slow
def test_diversification_with_uncertain_load():
    data = read_case(DATA / "remedies").data
    here = remedies.Street.of(data, dict(scenario="uncertain", aggregator="A", offers="whole"))
    table = remedies.division(here, quiet).set_index("aggregators")
    assert list(table.index) == [2, 3, 4, 6, 8]
    assert list(table["gain [EUR]"]) == pytest.approx([66.505, 27.67, 10.2525, 1.835, 0], abs=1e-6)


def test_rents_of_the_source_s_fake_schedule(street):
    """Truthful price, 88 kWh in hour 0 and 8 in hour 1: rent 384.825, cost of the operator 379.160."""
    plan = {("A", "0"): 88.0, ("A", "1"): 8.0}
    found = remedies._clarke(street, plan)
    bill = 0.15 * 88 + 0.1 * 8
    assert found["A"] + bill == pytest.approx(384.825, abs=1e-6)
    assert found[""] == pytest.approx(379.160, abs=1e-6)


def test_overload_by_non_delivery():
    """Three of 88 kWh are there: 47 arrive in hour 3, where the load is then 167 kW."""
    found = run_case(DATA / "remedies", write=False, only=["certain, penalty of 0.5"]).solved[0]
    assert found.value("not delivered", "day=typical") == pytest.approx(47, abs=1e-6)
    assert found.value("overload by non-delivery", "day=typical") == pytest.approx(47, abs=1e-6)
    assert found.value("cost of overload", "day=typical") == pytest.approx(470, abs=1e-5)
    assert found.value("expected social cost") == pytest.approx(13.635 - 0.14 * 47, abs=1e-6)


# ------------------------------------------------------------------------------------------------- audit


@pytest.fixture(scope="module")
def paper():
    return read_case(DATA / "paper")


def test_audit_of_the_source_s_modified_schedule(paper):
    conspicuous, money = audit.audit(paper.data, "S4", "whole", quiet)
    row, behind = conspicuous.set_index("aggregator").loc["A"], money.set_index("aggregator").loc["A"]
    assert row["dearer [EUR]"] == pytest.approx(6.752, abs=1e-6)
    assert row["gain [EUR]"] == pytest.approx(5.748, abs=1e-6)
    assert row["pays from mark-up [EUR/kWh]"] == pytest.approx(0.540160, abs=1e-6)
    assert behind["mark-ups [EUR]"] == pytest.approx(12.5, abs=1e-6)
    assert row["pivotal"] == "high 0 (street)"
    others = conspicuous[conspicuous["aggregator"] != "A"]
    assert (others["elsewhere [kWh]"] == 0).all() and (others["pivotal"] == "never").all()


def test_break_even_is_where_the_gain_is_zero(paper):
    """Also where the schedule does not pay at the mark-up asked, and where a rival's mark-up comes first."""
    for asked, rival in ((1.0, 0.0), (0.2, 0.0), (1.0, 0.6)):
        cells = {"aggregators.markup[S3,A]": asked, "aggregators.markup[S3,B]": rival}
        case = audit.Case(change(paper.data, cells), "S3", "whole", "A")
        extra = case.clear().bill("A") - case.clear(True).bill("A")
        level = audit.break_even(case, extra)
        gains = [
            case.clear(markup=m).profit("A") - case.clear(True, m).profit("A") for m in (level - 1e-6, level + 1e-6)
        ]
        assert gains[0] < 0 < gains[1]
        assert extra == pytest.approx(11.05, abs=1e-9)


def test_audit_up_to_which_penalty_a_schedule_pays(paper):
    """What is missing is priced as the strategic aggregator's own problem prices it: C1 with 3 kWh there, 0.728723."""
    data = read_case(DATA / "remedies").data
    table = data.tables["baselines"].copy()
    for t, s in zip("012345", (88, 0, 0, 8, 0, 0), strict=True):
        table.at[("certain", "A", t), "energy"] = s
    bunched = type(data)(data.market, data.parameters, {**data.tables, "baselines": table})
    row = audit.audit(bunched, "certain", "whole", quiet)[0].set_index("aggregator").loc["A"]
    assert row["pays up to penalty [EUR/kWh]"] == pytest.approx(0.728723404255, abs=1e-6)
    assert row["pays from mark-up [EUR/kWh]"] == pytest.approx(0.271842105263, abs=1e-6)


# ------------------------------------------------------------------------------------------------- studies


@pytest.mark.slow
def test_profit_grows_with_the_cost_of_shortage():
    """Nothing but shortage limits the mark-up: 38 kWh at the cost of shortage less the largest price difference."""
    here = read_case(DATA / "remedies")
    table = study.alternative_cost(here.data, here.alternatives[:1], quiet)["costs"]
    costs = table["cost of shortage [EUR/kWh]"]
    assert list(costs) == [0.5, 1, 2, 5, 10]
    assert list(table["profit [EUR]"]) == pytest.approx(list(38 * (costs - 0.14) - 13.28), abs=1e-6)
    assert list(table["operator cost [EUR]"]) == pytest.approx(list(32.455 - 38 + 38 * (costs - 0.14)), abs=1e-6)


def test_studies_write_what_they_say(paper, tmp_path):
    tables = study.submitted(paper.data, paper.alternatives, quiet)
    assert set(tables) == {"audit", "money"} and len(tables["audit"]) == 12
    figures = study.STUDIES["audit"].figures(tables)
    figures["audit"].savefig(tmp_path / "audit.png")
    assert (tmp_path / "audit.png").stat().st_size > 1000


def test_two_penalties_are_two_bars(compared):
    other = compared.reset_index().assign(level=lambda t: t["level"] / 2)
    table = pd.concat([compared.reset_index(), other[other["remedy"] == "penalty"]])
    axis = play._by_remedy(table).axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert {"penalty 1", "penalty 0.5", "vcg"} <= set(names) and len(names) == len(set(names))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "name"),
    [("strategic", "several"), ("remedies", "remedies"), ("remedies", "alternative-cost"), ("remedies", "congestion")],
)
def test_every_study_runs_and_draws(case, name, tmp_path):
    here = read_case(DATA / case)
    one = study.STUDIES[name]
    tables = one.run(here.data, here.alternatives, quiet)
    assert all(len(table) for table in tables.values())
    for key, figure in one.figures(tables).items():
        figure.savefig(tmp_path / f"{key}.png")
    assert list(tmp_path.iterdir())


def test_offers_of_others_are_all_that_counts_when_one_is_left_out(street):
    """Without its bids the strategic aggregator's baseline stays: shortage of 38 kWh."""
    left = street.clear(street.best.plan, without="A")
    assert isinstance(left, outcome.Outcome)
    assert sum(left.dispatch["typical"].unserved.values()) == pytest.approx(38, abs=1e-6)
