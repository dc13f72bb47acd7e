"""Where a statement of the market ends: rivals with a limit in each period, generators that serve a period alone,
generators too dear to run, numbers that are rounding."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_periods import periods
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.case import Alternative, read_case
from equilibrium.data import Data
from equilibrium.errors import DataError, Refused
from equilibrium.results import Solved
from equilibrium.run import solve_one
from models.fdr_structures import closed_form, market, strategic, structures, summary, supply

TWO = [2.0, 2.6]


def solved(data: Data, structure: str, **options: Any) -> Solved:
    return solve_one(market, data, Alternative(structure, structure, options))


def best_bill(load: list[float], S: float, L: float, limit: float, steps: int = 600) -> tuple[float, float]:
    """(lowest bill of the DSO, own load off-peak) by a grid over the rivals' load; P(q) = q, the own load is exact."""
    x, T, R = np.array(load), L * S, (1 - L) * S
    r = np.linspace(max(0.0, R - limit), min(R, limit), steps)
    d = np.clip(((x[1] + R - r + T) + T - (x[0] + r)) / 4, 0, T)  # x1 + r + 2 d = x2 + R - r + 2 (T - d)
    bill = (x[0] + r + d) * d + (x[1] + R - r + T - d) * (T - d)
    k = int(np.argmin(bill))
    return float(bill[k]), float(d[k])


@pytest.mark.parametrize(("L", "limit"), [(0.7, 0.25), (0.7, 0.2), (0.7, 0.15), (0.7, 0.3), (0.5, 0.4), (0.4, 0.5)])
def test_limited_rivals_of_two_periods_are_dispatched_for_the_lowest_bill(L: float, limit: float) -> None:
    """(1 - 0.7) * 1 is not 0.3 in a computer, and no threshold share is looked for where the limit leaves no room."""
    data = periods(TWO, dso_share=L, rivals_limit=limit)
    assert not (market.check or list)(data)
    one = solved(data, "mixed_dso_dispatch")
    assert one.solution.certificate.verdict == "certified"
    bill, own = best_bill(TWO, 1.0, L, limit)
    assert pyo.value(one.model.dso.minimise_bill.expr) == pytest.approx(bill, abs=1e-9)
    assert one.model.dso.load["off-peak"].value == pytest.approx(own, abs=1e-9)
    assert "threshold share" not in set(one.values["quantity"])
    assert summary.tables([one])["threshold"].empty


def test_a_limit_below_what_rivals_need_is_a_fault() -> None:
    assert market.check is not None
    (fault,) = market.check(periods(TWO, dso_share=0.7, rivals_limit=0.149))
    assert "at least 0.15 MWh" in str(fault)


@pytest.mark.parametrize(
    ("structure", "timing"),
    [("mixed_dso_dispatch", {}), *(("strategic_mixed", {"timing": timing}) for timing in "NLE")],
)
def test_theory_of_the_mixed_structure_is_for_rivals_without_a_binding_limit(
    structure: str, timing: dict[str, str]
) -> None:
    def rows(limit: float) -> int:
        return len(closed_form(periods(TWO, dso_share=0.7, rivals_limit=limit), structure, timing))

    assert rows(0.2) == 0
    assert rows(0.3) == rows(np.inf) > 0


def test_generators_that_serve_a_period_alone_leave_no_price_to_those_who_decide_loads() -> None:
    """One generator at 0.3 + 0.8 y beside others from 40 EUR/MWh delivers all of 3.6 MWh."""
    data = periods(TWO, cost_linear=40.0)
    for structure, options in (
        ("strategic_dso", {}),
        ("strategic_dso", {"timing": "L"}),
        ("strategic_cournot", {"aggregators": 3}),
        ("strategic_mixed", {"timing": "L"}),
    ):
        with pytest.raises(Refused, match="serve everything in off-peak, peak"):
            solved(data, structure, **options)
    for structure in ("first_best", "second_best", "strategic_passive", "integrated"):
        assert solved(data, structure).solution.certificate.ok


def test_branches_prove_nothing_where_generators_may_serve_a_period_alone() -> None:
    def branches(cost_linear: float, timing: str) -> list[Any]:
        model = strategic.strategic_mixed(periods(TWO, dso_share=0.7, cost_linear=cost_linear), timing)
        return strategic.one_block_branches(model)

    assert all(branch.exhaustive for branch in branches(0.0, "N"))  # no generator is cheaper
    assert all(branch.exhaustive for branch in branches(1.0, "N"))  # cheaper, but delivers at most 0.7/1.8
    assert not any(branch.exhaustive for branch in branches(40.0, "N"))
    assert all(branch.exhaustive for branch in branches(40.0, "L"))  # generators react to what is left
    assert all(branch.exhaustive for branch in branches(40.0, "E"))  # commit what any period can take
    model = strategic.strategic_mixed(periods(TWO, dso_share=0.7, cost_linear=40.0))
    assert solve(model, branches_of=strategic.one_block_branches).certificate.verdict != "none"


def test_dispatch_over_many_periods_that_is_no_equilibrium_is_not_given_a_range() -> None:
    """A generator so cheap that it serves the night alone."""
    load = [40.0, 45.0, 50.0, 128.0, 140.0, 169.0, 150.0]
    data = periods(load, [(20.0, 0.0)], cost_linear=40.0, cost_power=0.125, flexible_energy=200.0, dso_share=0.4)
    with pytest.raises(Refused, match="serve everything in"):
        solved(data, "strategic_mixed")


@pytest.mark.parametrize("structure", [name for name in market.structures if name.startswith("strategic")])
def test_theory_of_curved_supply_is_silent_where_a_generator_may_serve_all(structure: str) -> None:
    data = periods(TWO, cost_linear=2.0, cost_exponent=0.5)
    assert closed_form(data, structure, {"timing": "N"}).empty
    assert len(closed_form(periods(TWO, cost_exponent=0.5), structure, {"timing": "N"})) > 0


@pytest.mark.parametrize(("psi1", "psi2"), [(50.0, 0.8), (50.0, 0.0), (2.6, 0.8), (2.65, 0.0), (2.5, 0.0), (0.3, 0.8)])
def test_an_owner_that_runs_its_plant_little_or_not_at_all_is_as_theory_says(psi1: float, psi2: float) -> None:
    """At 50 EUR/MWh it buys like the monopoly aggregator of S1: 0.65 off-peak, system cost 7.8625."""
    data = periods(TWO, [(psi1, psi2)])
    one = solved(data, "integrated")
    theory = closed_form(data, "integrated", {})
    told = {(q, i): v for q, i, v in one.values[["quantity", "index", "value"]].itertuples(index=False)}
    compared = [(told[q, i], v) for q, i, v, _ in theory.itertuples(index=False) if (q, i) in told]
    assert len(compared) >= 5
    for found, expected in compared:
        assert found == pytest.approx(expected, abs=1e-8)
    if psi1 == 50:
        assert one.value("flexible load", "period=off-peak") == pytest.approx(0.65, abs=1e-9)
        assert one.value("system cost") == pytest.approx(7.8625, abs=1e-9)


def test_cost_of_tiny_amounts_is_exact_and_of_nothing_zero() -> None:
    model = structures.setting(periods([1e-6, 2e-6]))
    assert pyo.value(supply.cost(model, 0.0)) == 0.0
    assert pyo.value(supply.cost(model, 2e-6)) == pytest.approx(0.5 * 4e-12, rel=1e-14)


@pytest.mark.parametrize(("structure", "cost"), [("dso_aggregator", 2.755), ("efficient", 7.84)])
def test_linear_supply_goes_to_highs_by_hand_as_a_quadratic_programme(
    structure: str, cost: float, tmp_path: Path
) -> None:
    """Through a file: Pyomo's own interfaces to HiGHS take linear objectives only."""
    market.structures[structure].build(periods(TWO)).write(str(tmp_path / "model.lp"))
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(tmp_path / "model.lp"))
    highs.run()
    assert highs.getInfo().objective_function_value == pytest.approx(cost, abs=1e-6)


@pytest.mark.parametrize("timing", ["H", "E"])
def test_orders_of_moves_for_two_periods_are_found_out_before_anything_is_solved(timing: str) -> None:
    structure = market.structures["strategic_mixed" if timing == "E" else "strategic_cournot"]
    assert structure.check is not None
    assert not structure.check(periods(TWO), timing=timing)
    (fault,) = structure.check(periods([2.0, 2.2, 2.6]), timing=timing)
    assert f"timing={timing}" in str(fault)
    assert "the case has 3" in str(fault)


@pytest.mark.parametrize("structure", [name for name in market.structures if "battery" in name])
def test_batteries_that_are_too_large_are_found_out_before_anything_is_solved(structure: str) -> None:
    """Half full and with 2 S of range, they give back S at once if two periods are all there is, else up to 2 S."""
    stated = market.structures[structure]
    assert stated.check is not None
    for load, fits in ((TWO, 1.9), ([2.0, 2.2, 2.6], 0.9)):
        assert not stated.check(periods(load, flexible_energy=fits))
        stated.build(periods(load, flexible_energy=fits))
        large = periods(load, flexible_energy=1.1 * fits + 0.01)
        (fault,) = stated.check(large)
        with pytest.raises(Refused) as refused:
            stated.build(large)
        assert str(refused.value) in str(fault)


def test_a_folder_says_what_would_be_refused(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(Path(__file__).parents[2] / "data" / "fdr_structures" / "strategic_s1", folder)
    (folder / "demand.csv").write_text("period,load [MWh]\na,2\nb,2.6\nc,2.2\n")
    (folder / "expected.csv").unlink()
    with pytest.raises(DataError) as wrong:
        read_case(folder)
    assert "timing=H" in str(wrong.value)
    assert "timing=E" in str(wrong.value)


def kept_from_flooding(a: float, beta: float, base: np.ndarray, energy: float) -> float:
    """The lowest bill for own loads of this much in all at prices a + beta (base + load) with base + load >= 0."""
    least = np.maximum(0.0, -base)
    if least.sum() > energy:
        return np.inf

    def own(level: float) -> np.ndarray:
        return np.maximum(least, (level - a - beta * base) / (2 * beta))

    own_at = own(brentq(lambda level: own(level).sum() - energy * (1 + 1e-12), -1e5, 1e5))
    return float(((a + beta * (base + own_at)) * own_at).sum())


def test_winter_day_has_no_equilibrium_by_moves_that_leave_something_to_the_other_producers() -> None:
    """In each of the 24 games with rivals in one hour, generators deliver more there than the rest use: a DSO that
    sends them all away goes below nothing. Moves that do not go there gain as well (rivals on a grid of two hours)."""
    data = read_case(Path(__file__).parents[2] / "data" / "fdr_structures" / "stockholm_winter_day").data
    model = strategic.strategic_mixed(data)
    a, beta = data.parameters["cost_linear"], 2 * data.parameters["cost_power"]
    own, rivals = pyo.value(model.dso.energy), pyo.value(model.dso.rivals.energy)
    for hour, branch in enumerate(strategic.one_block_branches(model)):
        for variable, value in branch.held:
            variable.fix(value)
        assert solve(model).certificate.ok
        x = np.array([pyo.value(model.residual_demand[t]) for t in model.period])
        y = np.array([sum(pyo.value(model.generation[g, t]) for g in model.generators) for t in model.period])
        assert x[hour] < y[hour]
        found = np.inf
        for part in np.linspace(0.0, rivals, 11):
            for other in set(range(len(x))) - {hour}:
                base = x - y
                base[hour] += part
                base[other] += rivals - part
                found = min(found, kept_from_flooding(a, beta, base, own))
        assert pyo.value(model.dso.minimise_bill.expr) - found > 1000
        for variable, _ in branch.held:
            variable.unfix()
