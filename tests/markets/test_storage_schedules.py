"""Schedules of storage: modes, levels at the ends, owners of both kinds, bounds, two periods in both forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equilibrium import solve
from equilibrium.case import Alternative, read_case
from equilibrium.data import Data
from equilibrium.report import several
from equilibrium.run import run_case, solve_one
from models.storage_investment import market, schedule, theory

CASES = Path(__file__).parents[2] / "data" / "storage_investment"


def answer(data, structure, **options):
    found = solve_one(market, data, Alternative(structure, structure, options))
    assert found.solution.certificate.verdict == "certified", found.solution.certificate.scope
    return found


def with_table(case, name, row):
    """The tables of a case and one more, with one row."""
    data = read_case(CASES / case).data
    key = next(table.key[0] for table in market.tables if table.name == name)
    return Data(market, {}, {**data.tables, name: pd.DataFrame(row, index=pd.Index(["storage"], name=key))})


SHARED = ["price", "output", "storage power", "storage profit", "welfare", "welfare change", "firm profit"]


@pytest.mark.parametrize("case", ["s1", "s2", "s4", "s6", "s8a", "s8b", "s9"])
@pytest.mark.parametrize("owner", ["merchant", "welfare"])
def test_two_periods_are_the_same_in_both_forms(case, owner):
    data = read_case(CASES / f"textbook_{case}").data
    short = answer(data, "merchant" if owner == "merchant" else "welfare_owner").values
    long = answer(data, f"{owner}_schedule").values
    both = short.merge(long, on=["quantity", "index"])
    both = both[both["quantity"].isin(SHARED)]
    assert set(both["quantity"]) >= set(SHARED) - {"storage profit"}
    size = both.groupby("quantity")[["value_x"]].transform(lambda v: max(v.abs().max(), 1.0))["value_x"]
    assert ((both["value_x"] - both["value_y"]).abs() / size).max() <= 1e-9


def test_exclusive_modes_exclude_being_paid_for_losses():
    """Firms stand still, so the prices are the demand's own: d (82 - 1.242 d) - I (F d)^2 / 2 is maximised by hand."""
    data = read_case(CASES / "charge_limit_trap").data
    one = answer(data, "merchant_schedule")
    d = 82 / (2 * (1.242 + 0.1 * 1.21 / 2))
    assert one.value("storage power", "owner=1") == pytest.approx(1.1 * d, abs=1e-8)
    assert one.value("storage profit", "owner=1") == pytest.approx(41 * d, abs=1e-7)
    free = answer(data, "merchant_schedule", modes="free")
    assert free.value("simultaneous charge and discharge", "owner=1") == pytest.approx(3.4906, abs=5e-5)
    welfare, planned = answer(data, "welfare_schedule"), answer(data, "planner_schedule")
    for other in (one, welfare, planned):
        assert other.value("simultaneous charge and discharge", "owner=1") <= 1e-9
    # The planner also runs the plants, which stand still: it can do no worse, and here no better.
    assert planned.value("welfare") >= welfare.value("welfare") - 1e-7


def test_given_levels_at_both_ends():
    data = with_table("textbook_s2", "levels", {"start": 1.0, "end": 3.0})
    one = answer(data, "merchant_schedule")
    ratio = float(data.tables["storage"]["charge_ratio"].iloc[0])
    values = one.values.set_index(["quantity", "index"])["value"]
    charged = sum(values["charge", f"owner=1;period={t}"] for t in data.tables["periods"].index)
    discharged = sum(values["discharge", f"owner=1;period={t}"] for t in data.tables["periods"].index)
    assert charged / ratio - discharged == pytest.approx(2.0, abs=1e-9)
    empty = with_table("textbook_s2", "levels", {"start": 0.0, "end": 0.0})
    cycle = read_case(CASES / "textbook_s2").data  # charging comes first, so a cycle begins empty as well
    profits = [answer(d, "merchant_schedule").value("storage profit", "owner=1") for d in (empty, cycle)]
    assert profits[0] == pytest.approx(profits[1], rel=1e-10)


def test_a_merchant_beside_a_welfare_owner_plays_its_best_reply():
    """With k_w built beside it a merchant's best size is (Y - b k_w) / (I + 2 b) while all firms produce."""
    data = read_case(CASES / "textbook_s2").data
    kinds = pd.DataFrame({"kind": ["merchant", "welfare"]}, index=pd.Index(["north", "south"], name="owner"))
    one = answer(Data(market, {}, {**data.tables, "owners": kinds}), "mixed_schedule")
    built = [one.value("storage power", f"owner={name}") for name in kinds.index]
    s = theory.setting(data)
    Y, b = s.spread()
    assert built[0] == pytest.approx((Y - b * built[1]) / (s.I + 2 * b), rel=1e-8)
    assert built[1] > built[0] > 0


def test_open_loop_play_is_one_convex_programme():
    """Cournot storage beside Cournot firms has a potential; the conditions solved as they are give the same."""
    data = read_case(CASES / "reference_day").data
    one = answer(data, "open_loop_schedule")
    assert one.solution.route.startswith("potential")
    model = schedule.open_loop_schedule(data)
    assert solve(model, "complementarity").certificate.ok
    built = [one.value(name, "owner=1") for name in ("storage power", "storage energy")]
    assert built == pytest.approx([model.storage[1].power.value, model.storage[1].energy.value], rel=1e-8)
    leader = answer(data, "merchant_schedule")
    assert one.value("storage profit", "owner=1") < leader.value("storage profit", "owner=1")


def test_multipliers_with_several_values_are_no_several_equilibria():
    """Idle hours leave the value of stored energy open; what is decided is unique, and the reader is not troubled."""
    results = run_case(CASES / "reference_day", only=["open loop"], write=False)
    assert "equilibria" in results.tables
    assert not len(several(results))
    planned = run_case(CASES / "textbook_s1", only=["planner"], write=False)
    assert several(planned)["variable"].str.contains("output").any()


def test_every_merchant_has_a_bound():
    one = run_case(CASES / "reference_day", only=["merchant"], write=False).solved[0]
    payoff, bound = (one.value(name, "owner=1") for name in ("payoff", "proved bound on payoff"))
    assert payoff == pytest.approx(one.value("storage profit", "owner=1"), rel=1e-12)
    assert 0 <= bound - payoff <= 1e-7 * abs(payoff)
    assert np.isfinite(bound)


MONEY = {
    "periods": ["intercept", "slope"],
    "firms": ["cost", "cost_slope"],
    "storage": ["power_cost", "energy_cost", "quadratic_cost"],
}
ENERGY = {"firms": ["capacity"], "storage": ["power_limit", "energy_limit"]}
PER_ENERGY = {"periods": ["slope"], "firms": ["cost_slope"], "storage": ["quadratic_cost"]}


def times(data, factor, *columns):
    """The same tables with some columns times a factor."""
    tables = {name: table.copy() for name, table in data.tables.items()}
    for group in columns:
        for name, listed in group.items():
            tables[name][listed] *= factor
    return Data(market, {}, tables)


def compared(one, other, **factors):
    for quantity, factor in factors.items():
        index = "owner=1" if quantity.startswith("storage") else ""
        name = quantity.replace("_", " ")
        assert other.value(name, index) == pytest.approx(factor * one.value(name, index), rel=1e-8), quantity


SCALED = [("textbook_s6", "merchant"), ("textbook_s8a", "merchant"), ("reference_day", "merchant_schedule")]


@pytest.mark.parametrize(("case", "structure"), SCALED)
def test_money_and_quantities_scale(case, structure):
    data = read_case(CASES / case).data
    plain = answer(data, structure)
    dear = answer(times(data, 1000.0, MONEY), structure)
    compared(plain, dear, storage_power=1, storage_profit=1000, welfare=1000)
    large = answer(times(times(data, 1000.0, ENERGY), 1e-3, PER_ENERGY), structure)
    compared(plain, large, storage_power=1000, storage_profit=1000, welfare=1000)


@pytest.mark.parametrize("structure", ["merchant_schedule", "welfare_schedule", "planner_schedule"])
def test_a_day_twice_is_built_for_like_one(structure):
    """The same hours again, at twice the cost of capacity: nothing changes but the money."""
    data = read_case(CASES / "reference_day").data
    twice = times(data, 2.0, {"storage": ["power_cost", "energy_cost", "quadratic_cost"]})
    again = twice.tables["periods"].rename(index=lambda t: f"{t} again")
    twice.tables["periods"] = pd.concat([twice.tables["periods"], again]).rename_axis("period")
    compared(answer(data, structure), answer(twice, structure), storage_power=1, storage_profit=2, welfare=2)
