"""More than two periods, several generators: reference numbers, closed forms for linear supply, two periods as a
special case, and what the DSO's dispatch does not determine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_periods import periods

from equilibrium import solve
from equilibrium.case import Alternative
from equilibrium.data import Data
from equilibrium.results import Solved
from models.fdr_structures import market, open_dispatch

FOUR = (2.0, 2.3, 3.1, 2.6)
CURVED = {"cost_power": 1 / 3, "cost_exponent": 1.0}


def answer(data: Data, structure: str, **options: Any) -> Any:
    stated = market.structures[structure]
    model = stated.build(data, **options)
    solution = solve(model, branches_of=stated.branches)
    assert solution.certificate.ok, (structure, options, solution.certificate.scope)
    return model


def loads(model: Any) -> list[float]:
    return [float(pyo.value(model.flexible_load[t])) for t in model.period]


def cost(model: Any) -> float:
    return float(pyo.value(model.system_cost))


REFERENCE = [
    ("efficient", {}, (0.633333333333, 0.333333333333, 0, 0.033333333333)),
    ("cournot", {"aggregators": 1}, (0.483333333333, 0.333333333333, 0, 0.183333333333)),
    ("cournot", {"aggregators": 2}, (0.533333333333, 0.333333333333, 0, 0.133333333333)),
    ("cournot", {"aggregators": 4}, (0.573333333333, 0.333333333333, 0, 0.093333333333)),
]


@pytest.mark.parametrize(("structure", "options", "want"), REFERENCE)
def test_four_periods_with_linear_supply(structure: str, options: dict[str, int], want: tuple[float, ...]) -> None:
    assert loads(answer(periods(FOUR), structure, **options)) == pytest.approx(want, abs=1e-9)


CURVES = [
    ("cournot", {"aggregators": 1}, (0.4930207473, 0.3318483096, 0, 0.1751309431), 28.29586374),
    ("cournot", {"aggregators": 2}, (0.5378061698, 0.3324933744, 0, 0.1297004558), 28.23953172),
    ("shares", {}, (0.5301831181, 0.3249435341, 0, 0.1448733478), 28.25209926),
]


@pytest.mark.parametrize(("structure", "options", "want", "total"), CURVES)
def test_four_periods_with_curved_supply(structure: str, options: Any, want: tuple[float, ...], total: float) -> None:
    model = answer(periods(FOUR, shares=(0.8, 0.2), **CURVED), structure, **options)
    assert loads(model) == pytest.approx(want, abs=1e-9)
    assert cost(model) == pytest.approx(total, rel=1e-9)


def test_linear_supply_fills_valleys_by_a_fixed_part() -> None:
    """Closed form for any number of periods: load_t = r max(0, k - x_t), r = A/(A + 1), k from the energy."""
    rng = np.random.default_rng(5)
    x, A, S = rng.uniform(1, 4, 24), 3, 6.0
    levels = np.sort(x)
    r = A / (A + 1)
    k = next(k for n in range(1, 25) if (k := (S / r + levels[:n].sum()) / n) <= (levels[n] if n < 24 else np.inf))
    model = answer(periods(x, flexible_energy=S), "cournot", aggregators=A)
    assert loads(model) == pytest.approx(r * np.maximum(0.0, k - x), abs=1e-9)


TWO = (("strategic_dso", {}), ("strategic_cournot", {"aggregators": 3}), ("strategic_dso", {"timing": "L"}))


@pytest.mark.parametrize(("structure", "options"), [*TWO, ("integrated", {}), ("second_best", {}), ("first_best", {})])
@pytest.mark.parametrize("split", [2, 3])
def test_two_periods_are_a_special_case(structure: str, options: Any, split: int) -> None:
    """Each of two periods cut into equal hours, demand, energy and slopes of cost so that nothing changes: every hour
    of a period takes the same part of what the two-period model takes, at its prices."""
    two = answer(periods([2.0, 2.6], [(0.3, 0.8)]), structure, **options)
    cut = periods([2.0 / split] * split + [2.6 / split] * split, [(0.3, 0.8 * split)], cost_power=0.5 * split)
    many = answer(cut, structure, **options)
    per = [v / split for v in loads(two) for _ in range(split)]
    assert loads(many) == pytest.approx(per, abs=1e-9)
    prices = [[pyo.value(m.price[t]) for t in m.period] for m in (two, many)]
    assert prices[1] == pytest.approx(np.repeat(prices[0], split), rel=1e-9)
    assert cost(many) == pytest.approx(cost(two), rel=1e-9)


@pytest.mark.parametrize(("count", "want"), [(1, 0.617391304), (2, 0.596428571), (4, 0.571052632)])
def test_more_generators_flatten_prices_and_shift_less(count: int, want: float) -> None:
    """N: e = phi A D/(2(1 + phi A)), phi = (beta + psi2)/(beta(1 + G) + psi2). L: does not change."""
    data = periods([2.0, 2.6], [(0.3, 0.8)] * count)
    phi = 1.8 / (1 + count + 0.8)
    found = loads(answer(data, "strategic_dso"))[0]
    assert found == pytest.approx(0.5 + phi * 0.6 / (2 * (1 + phi)), abs=1e-9) == pytest.approx(want, abs=1e-8)
    assert loads(answer(data, "strategic_dso", timing="L"))[0] == pytest.approx(0.65, abs=1e-9)


def test_a_capacity_binds() -> None:
    """S1 with a capacity of 0.5 < Y: outputs are fixed, so demand is lower by it and the load that of 3.1, 0.65."""
    model = answer(periods([2.0, 2.6], [(0.3, 0.8)], capacity=0.5), "strategic_dso")
    assert loads(model)[0] == pytest.approx(0.65, abs=1e-9)
    assert [pyo.value(model.generation["generator 1", t]) for t in model.period] == pytest.approx([0.5, 0.5], abs=1e-9)


def test_dispatch_that_the_dso_does_not_care_about_has_a_range_of_cost() -> None:
    """x = (2, 2.3, 3.1, 2.6), S = 1, L = 0.4: rivals' 0.6 costs 15.753 or 15.453 in one of the idle periods, and least
    levelled over them."""
    data = periods(FOUR, dso_share=0.4)
    model = answer(data, "mixed_dso_dispatch")
    own = [model.dso.load[t].value for t in model.period]
    idle = [t for t, v in zip(model.period, own, strict=True) if v < 1e-9]
    base = np.array([x + d for x, d in zip(FOUR, own, strict=True)])
    at = {t: 0.5 * float(((base + 0.6 * (np.arange(4) == k)) ** 2).sum()) for k, t in enumerate(model.period)}
    ends = open_dispatch.spread(model)
    assert ends is not None
    assert sorted(at[t] for t in idle) == pytest.approx([15.453, 15.753], abs=5e-4)
    assert ends[1] == pytest.approx(max(at.values()), rel=1e-12)
    level = (base[2:].sum() + 0.6) / 2  # above both: levelled
    assert ends[0] == pytest.approx(0.5 * float((base[:2] ** 2).sum() + 2 * level**2), rel=1e-12)
    bills = set()
    for t in idle:
        for u in model.period:
            model.dso.rivals.load[u].set_value(0.6 * (u == t))
        bills.add(round(pyo.value(model.dso.minimise_bill.expr), 12))
    assert len(bills) == 1  # the DSO pays the same
    one = Solved(
        Alternative("mixed", "mixed_dso_dispatch", {}),
        data,
        model,
        solve(model, branches_of=market.structures["mixed_dso_dispatch"].branches),
    )
    told = market.values(one).set_index("quantity")["value"]
    assert (told["least system cost"], told["most system cost"]) == pytest.approx(ends)


def test_dispatch_over_many_periods_is_no_worse_than_any_split() -> None:
    """A global search over the rivals' split, own load at its best by valley filling, finds nothing cheaper."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        x = rng.uniform(1, 3, 5)
        data = periods(x, dso_share=float(rng.uniform(0.2, 0.8)), **(CURVED if rng.random() < 0.5 else {}))
        model = answer(data, "mixed_dso_dispatch")
        best = pyo.value(model.dso.minimise_bill.expr)
        energy = pyo.value(model.dso.rivals.energy)
        free = market.structures["mixed_dso_dispatch"].build(data)
        free.dso.rivals.service.deactivate()  # held below, to rounding
        for _ in range(20):
            split = rng.dirichlet(np.full(5, 0.5)) * energy
            for t, v in zip(free.period, split, strict=True):
                free.dso.rivals.load[t].fix(float(v))
            assert solve(free).certificate.ok
            assert pyo.value(free.dso.minimise_bill.expr) >= best - 1e-9 * abs(best)


@pytest.mark.slow
def test_a_day_of_quarter_hours_with_ten_aggregators_and_three_generators_is_certified() -> None:
    """Everybody at once, and one leader; the mixed structures with a strategic generator take longer."""
    t = np.arange(96) / 4
    x = 120 + 50 * np.exp(-(((t - 18) / 3) ** 2)) + 35 * np.exp(-(((t - 8) / 2.5) ** 2)) + np.sin(7.1 * t)
    data = periods(
        x,
        [(35, 0.05), (45, 0.08), (60, 0.02)],
        shares=(0.3, 0.2, 0.1, 0.1, 0.08, 0.07, 0.05, 0.04, 0.03, 0.03),
        capacity=60.0,
        flexible_energy=600.0,
        cost_linear=40.0,
        cost_power=0.125,
    )
    for structure, options in (
        ("cournot", {"aggregators": 10}),
        ("shares", {}),
        ("first_best", {}),
        ("second_best", {}),
        ("strategic_passive", {}),
        ("strategic_cournot", {"aggregators": 10}),
        ("strategic_shares", {}),
        ("strategic_regulated", {}),
        ("integrated", {"owner": "generator 2"}),
        ("strategic_dso", {"timing": "L"}),
        ("mixed_dso_dispatch", {}),
    ):
        answer(data, structure, **options)


def test_dispatch_under_a_limit_in_each_period_says_that_it_is_local() -> None:
    """Rivals may take 0.25 in a period, so their 0.6 has many vertices: the best of the candidates, no global claim.
    Here a search over all vertices (two periods full, the rest in a third) finds nothing better."""
    from itertools import permutations

    data = periods(FOUR, dso_share=0.4, rivals_limit=0.25)
    structure = market.structures["mixed_dso_dispatch"]
    model = structure.build(data)
    certificate = solve(model, branches_of=structure.branches).certificate
    assert certificate.verdict == "certified, local"
    assert certificate.scope == "the best of 4 candidates; others were not looked at"
    assert certificate.uniqueness.decisions == "not proved"
    best = pyo.value(model.dso.minimise_bill.expr)
    free = structure.build(data)
    found = []
    for order in permutations(free.period, 3):
        for t in free.period:
            free.dso.rivals.load[t].fix(dict(zip(order, (0.25, 0.25, 0.1), strict=True)).get(t, 0.0))
        assert solve(free).certificate.ok
        found.append(pyo.value(free.dso.minimise_bill.expr))
    assert best == pytest.approx(min(found), rel=1e-9)


def test_a_limit_that_does_not_bind_changes_nothing() -> None:
    found = [answer(periods(FOUR, dso_share=0.4, rivals_limit=limit), "mixed_dso_dispatch") for limit in (np.inf, 0.7)]
    bills = [pyo.value(model.dso.minimise_bill.expr) for model in found]
    assert bills[0] == pytest.approx(bills[1], rel=1e-12)


def test_a_limit_on_one_aggregator_is_met_by_the_others_in_part() -> None:
    """S1, shares 0.6, 0.3, 0.1 with 0.2 at most for the second. At a total of 0.7 the price gap is 0.2, and s_a =
    (0.2 + L_a)/2 gives 0.4, 0.25, 0.15: the second stops at 0.2, the third at its 0.1, and the sum is 0.7."""
    data = periods([2.0, 2.6])
    data.tables["aggregators"]["limit"] = [np.inf, 0.2, np.inf]
    model = answer(data, "shares")
    found = [model.aggregator[a].load["off-peak"].value for a in model.aggregators]
    assert found == pytest.approx([0.4, 0.2, 0.1], abs=1e-9)
    power = answer(data, "strategic_shares")
    assert power.aggregator["aggregator 2"].load["off-peak"].value == pytest.approx(0.2, abs=1e-9)


def test_a_limit_without_room_is_a_fault() -> None:
    data = periods([2.0, 2.6])
    data.tables["aggregators"]["limit"] = [np.inf, 0.1, np.inf]
    assert market.check is not None
    (fault,) = market.check(data)
    assert "leaves no room" in str(fault)
