"""Integration against separation, and claims of section 4 that are not general: each fails on certified equilibria, and
what holds instead is shown beside it. Numbers E6 to E24 are those of the market's list of corrections."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_periods import periods
from fdr_power import Power
from fdr_reference import Setup

from equilibrium import solve
from equilibrium.case import Alternative, read_case
from equilibrium.data import Data, change
from equilibrium.errors import DataError, Refused
from equilibrium.study import run_study
from models.fdr_structures import integration, market, strategic

DATA = Path(__file__).parents[2] / "data" / "fdr_structures"


def case(name: str, **changes: float) -> Data:
    return change(read_case(DATA / f"strategic_{name}").data, {k.replace("__", "."): v for k, v in changes.items()})


def answer(data: Data, structure: str, **options: Any) -> Any:
    """The model at a certified equilibrium."""
    stated = market.structures[structure]
    model = stated.build(data, **options)
    solution = solve(model, branches_of=stated.branches)
    assert solution.certificate.ok, solution.certificate.scope
    return model


def load(model: Any) -> float:
    return float(pyo.value(model.flexible_load[model.period.first()]))


def cost(model: Any) -> float:
    return float(pyo.value(model.system_cost))


# ------------------------------------------------------------------------------------------------------ counterexamples


@pytest.mark.parametrize("held", [0.0, 0.25, 0.5, 0.65, 1.0])
def test_e6_with_linear_cost_every_load_is_as_good_for_the_integrated_firm(held: float) -> None:
    """Printed: it loads the off-peak period. Every load from 0 to 1 gives it 1.745, at one system cost."""
    model = strategic.integrated(case("x1"))
    owner = model.generator["large"]
    owner.held = pyo.Constraint(expr=owner.load["off-peak"] == held)
    assert solve(model).certificate.verdict == "certified"
    assert pyo.value(owner.maximise_profit.expr) == pytest.approx(1.745, rel=1e-9)
    assert cost(model) == pytest.approx(2.6125, rel=1e-9)


def test_e6_a_strictly_convex_cost_determines_it() -> None:
    """With psi2 > 0 the load is above a half and at most the efficient one."""
    for slope in (1e-3, 0.1, 1.0):
        s = load(answer(change(case("x1"), {"generators.cost_slope[large]": slope}), "integrated"))
        assert 0.5 < s <= 0.8
        assert s == pytest.approx(0.65, abs=1e-9)


def test_e7_integration_may_cost_more() -> None:
    """X2: a net buyer over-produces. Printed: a double efficiency benefit; but the loads are the same, and
    production is worse."""
    data = case("x2")
    whole, leading, nash = (
        answer(data, name, **options)
        for name, options in (("integrated", {}), ("strategic_dso", {"timing": "L"}), ("strategic_dso", {}))
    )
    assert [cost(m) for m in (whole, leading, nash)] == pytest.approx([7.79132653, 7.77404337, 7.77963234], rel=1e-8)
    assert load(whole) == pytest.approx(load(leading), abs=1e-12) == pytest.approx(0.65)
    for t in whole.period:  # marginal cost above the price: over-production
        assert 2.4 + 0.8 * pyo.value(whole.generation["large", t]) > pyo.value(whole.price[t])


def test_e7_integration_may_cost_more_than_passive_households() -> None:
    """Printed: no market for flexible resources is beaten by the other structures."""
    data = case("x2", **{"demand__load[peak]": 2.1})
    assert cost(answer(data, "integrated")) == pytest.approx(6.53048469, rel=1e-8)
    assert cost(answer(data, "strategic_passive")) == pytest.approx(6.49288265, rel=1e-8)


def test_e15_the_order_of_moves_matters() -> None:
    """S1, one aggregator: N 0.617391304, L 0.65, H 0.570731707; without market power in generation 0.65."""
    data = case("s1")
    loads = [load(answer(data, "strategic_dso", timing=timing)) for timing in ("N", "L", "H")]
    assert loads == pytest.approx([0.617391304348, 0.65, 0.570731707317], abs=1e-9)
    assert load(answer(data, "dso_aggregator")) == pytest.approx(0.65, abs=1e-9)


def test_e16_integration_may_shift_less_and_still_cost_less() -> None:
    """X4, curved supply. Printed: s_I >= s for one aggregator. Here s_I < s_N < s_L, and integration costs less."""
    data = case("x4")
    whole, nash = answer(data, "integrated"), answer(data, "strategic_dso")
    assert (load(whole), load(nash)) == pytest.approx((1.05836096183, 1.17626648509), rel=1e-8)
    assert (cost(whole), cost(nash)) == pytest.approx((9.99135984233, 14.3436852152), rel=1e-8)
    found, _ = integration.compare(data, 1, "N")
    assert found["better"] == "integrated"
    assert found["by allocation [EUR]"] < 0 < found["by production [EUR]"]


def test_e17_in_the_closed_loop_less_than_half_may_be_taken_off_peak() -> None:
    """Printed: the results of section 3.1 still hold. x = (2, 2.1), S = 1, b = 0.5, psi = (0.3, 0): 0.42 < 0.5."""
    data = periods([2.0, 2.1], [(0.3, 0.0)])
    assert load(answer(data, "strategic_dso", timing="H")) == pytest.approx(0.42, abs=1e-9)
    for timing in ("N", "L"):
        assert load(answer(data, "strategic_dso", timing=timing)) > 0.5


def test_e18_a_leader_may_idle_the_generator() -> None:
    """x = (2, 2.1), psi = (2.51, 0): the first-order condition has a root at 0.525, the leader's best is 0.435, where
    the generator is about to start off-peak."""
    data = periods([2.0, 2.1], [(2.51, 0.0)])
    model = answer(data, "strategic_dso", timing="L")
    assert load(model) == pytest.approx(0.435, abs=1e-9)
    assert pyo.value(model.dso.minimise_bill.expr) == pytest.approx(2.52116, abs=1e-5)
    assert load(answer(data, "strategic_dso")) == pytest.approx(0.516666667, abs=1e-9)


def test_e24_second_bracket_of_the_interior_condition() -> None:
    """d profit/ds = P2 - P1 + P1'(y1 - s) - P2'(y2 - S + s); printed with y1 in the second bracket."""
    m, s, y, h = Setup(1.0, 2.0, 2.6, 1.0, b=1 / 3), 0.6, (0.5, 1.1), 1e-5

    def profit(load: float) -> float:
        return m.P(m.x1 + load - y[0]) * (y[0] - load) + m.P(m.x2 + m.S - load - y[1]) * (y[1] - m.S + load)

    slope = (profit(s + h) - profit(s - h)) / (2 * h)
    q1, q2 = m.x1 + s - y[0], m.x2 + m.S - s - y[1]
    left = m.P(q2) - m.P(q1) + m.dP(q1) * (y[0] - s)
    assert left - m.dP(q2) * (y[1] - m.S + s) == pytest.approx(slope, rel=1e-8)
    assert abs(left - m.dP(q2) * (y[0] - m.S + s) - slope) > 0.1


@pytest.mark.parametrize("seed", range(20))
def test_e20_more_off_peak_lowers_the_cost_up_to_the_efficient_load(seed: int) -> None:
    """With the generator's replies, in the power family: so the efficient load stays the second best."""
    rng = np.random.default_rng(seed)
    x1, S = rng.uniform(0.5, 5), rng.uniform(0.1, 3)
    m = Setup(float(rng.uniform(0, 1)), x1, x1 + rng.uniform(0.1, 3), S, b=float(rng.uniform(0.2, 2)))
    p = Power(m, float(m.P(x1) * rng.uniform(0, 1)), float(rng.uniform(0, 2)))
    loads = np.linspace(0, min(S, (S + m.D) / 2), 15)
    assert (np.diff([p.cost(s, p.outputs(s)) for s in loads]) < 0).all()


# -------------------------------------------------------------------------------------------------------------- ranking


def test_ranking_with_market_power_is_the_paper_s_where_the_firm_is_a_net_seller() -> None:
    """S1, at once, costs: first best < integrated < second best = regulated < 3 aggregators < DSO < mixed < passive."""
    data = case("s1")
    order = ["first_best", "integrated", "second_best", "strategic_cournot", "strategic_dso", "strategic_mixed"]
    costs = [cost(answer(data, name, **({"aggregators": 3} if "cournot" in name else {}))) for name in order]
    costs.append(cost(answer(data, "strategic_passive")))
    assert costs == sorted(costs)
    assert cost(answer(data, "strategic_regulated")) == pytest.approx(costs[2], rel=1e-9)


# ---------------------------------------------------------------------------------------------------------------- study


@pytest.mark.parametrize("name", ["s1", "s2", "x2", "x5"])
def test_effects_add_up_and_are_worked_out_again(name: str) -> None:
    """Production and allocation against replies computed without the package: Z(X, own) solves P(X - y) - P'(X - y)
    (y - own) = Psi'(y)."""
    data = case(name)
    numbers, plant = data.parameters, data.tables["generators"].iloc[0]
    x1, x2 = data.tables["demand"]["load"]
    m = Setup(0.0, x1, x2, numbers["flexible_energy"], numbers["cost_linear"], numbers["cost_power"])
    p, beta = Power(m, plant["cost"], plant["cost_slope"]), 2 * m.b

    def outputs(s: float, owner: bool) -> tuple[float, float]:
        pairs = ((m.x1 + s, s), (m.x2 + m.S - s, m.S - s))
        first, second = ((m.a + beta * (X + owner * own) - p.psi1) / (2 * beta + p.psi2) for X, own in pairs)
        return first, second

    found, loads = integration.compare(data, 1, "N")
    s, i = loads[["separate [MWh]", "integrated [MWh]"]].iloc[0]
    C = {(owner, v): p.cost(v, outputs(v, owner)) for owner in (False, True) for v in (s, i)}
    production = sum(C[False, v] - C[True, v] for v in (s, i)) / 2
    allocation = sum(C[owner, s] - C[owner, i] for owner in (False, True)) / 2
    close = pytest.approx
    assert found["by production [EUR]"] == close(production, abs=1e-9 * C[False, s])
    assert found["by allocation [EUR]"] == close(allocation, abs=1e-9 * C[False, s])
    assert found["saved [EUR]"] == close(production + allocation, abs=1e-9 * C[False, s])
    assert found["better"] == ("separate" if name == "x2" else "integrated")


TWO_PLANTS = ((0.3, 0.8), (0.6, 0.4))


def test_it_matters_who_owns_the_aggregator_and_not_in_which_row_it_stands() -> None:
    """Two unlike plants: the system costs something else with the other owner, and the same with the rows backwards."""
    data = periods([2.0, 2.6], TWO_PLANTS)
    backwards = Data(data.market, data.parameters, data.tables | {"generators": data.tables["generators"].iloc[::-1]})
    costs = {}
    for owner in data.tables["generators"].index:
        costs[owner], other = (cost(answer(one, "integrated", owner=owner)) for one in (data, backwards))
        assert costs[owner] == pytest.approx(other, rel=1e-10)
    assert abs(costs["generator 1"] - costs["generator 2"]) > 1e-3


def test_on_the_winter_day_integration_helps_with_the_large_owner_and_not_with_the_small_one() -> None:
    """The small plant is the dearer one: it serves its own loads, at night above the price (its marginal cost is 45 +
    0.08 y), and its cheaper rival delivers less than beside a DSO."""
    data = read_case(DATA / "stockholm_winter_day").data
    apart, passive = answer(data, "strategic_dso"), answer(data, "strategic_passive")
    large, small = (answer(data, "integrated", owner=name) for name in ("large", "small"))
    assert cost(large) < cost(apart) < cost(passive) < cost(small)
    night = small.period.first()
    assert pyo.value(small.price[night]) < 45 + 0.08 * pyo.value(small.generation["small", night])
    delivered = [sum(pyo.value(m.generation["large", t]) for t in m.period) for m in (small, apart)]
    assert delivered[0] < delivered[1]


@pytest.mark.parametrize(("owner", "said"), [("", "one must be named"), ("nobody", "there is no such generator")])
def test_of_several_generators_the_owner_must_be_named(owner: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as told:
        strategic.integrated(periods([2.0, 2.6], TWO_PLANTS), owner)
    assert "owner=generator 1, owner=generator 2" in str(told.value)


def test_a_case_that_names_no_owner_or_a_stranger_is_refused_when_it_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "day"
    shutil.copytree(DATA / "stockholm_winter_day", folder)
    table = folder / "alternatives.csv"
    table.write_text(table.read_text().replace("owner=large", "").replace("owner=small", "owner=smal"))
    with pytest.raises(DataError, match="one must be named as owner") as told:
        read_case(folder)
    assert len(told.value.faults) == 2
    assert "there is no such generator (found: 'owner=smal')" in str(told.value)


def test_the_study_takes_every_owner_or_the_ones_that_alternatives_name() -> None:
    data = periods([2.0, 2.6], TWO_PLANTS)
    found = integration.run(data, [], lambda text: None)["integration"]
    assert list(found["owner"]) == ["generator 1"] * 4 + ["generator 2"] * 4
    assert found["saved [EUR]"].notna().all()
    for owner, rows in found.groupby("owner"):
        whole = cost(answer(data, "integrated", owner=owner))
        assert rows["integrated [EUR]"].to_numpy() == pytest.approx(whole, rel=1e-10)
    effects = found["by production [EUR]"] + found["by allocation [EUR]"]
    assert effects.to_numpy() == pytest.approx(found["saved [EUR]"].to_numpy(), abs=1e-9)
    named = [Alternative("one", "integrated", {"owner": "generator 2"})]
    assert integration.owners(data, named) == ["generator 2"]
    with pytest.raises(DataError, match="no such generator"):
        integration.owners(data, [Alternative("one", "integrated", {"owner": "nobody"})])


def test_the_study_tells_every_way_to_be_separate(tmp_path: Path) -> None:
    """X1: costs compare although the firm's load is not determined, but no effect has a size of its own."""
    table = run_study(DATA / "strategic_x1", "integration", out=tmp_path / "out").tables["integration"]
    assert list(table["aggregators"]) == [1, 1, 2, 10]
    assert (table["better"] == "integrated").all()
    assert (table["verdict"] == "certified").all()
    assert table[["by production [EUR]", "by allocation [EUR]"]].isna().all().all()


@pytest.mark.parametrize("study", ["integration", "region"])
def test_a_case_without_generators_is_told_what_is_missing(study: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"needs the table generators\.csv"):
        run_study(DATA / "stockholm", study, out=tmp_path / "out")
