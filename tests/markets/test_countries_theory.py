"""Closed forms against certified equilibria: 400 draws of two countries, and isolated countries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from countries_draws import SIZE, Drawn, block
from countries_solved import INF, data_of, solved

from equilibrium.run import run_case
from models.coupled_countries import theory
from models.coupled_countries.isolated import CONSUMERS, WELFARE, Isolated

BLOCKS = [
    pytest.param(number, common, id=f"{number}-{'common' if common else 'own'}", marks=marks)
    for number, marks in ((0, []), (1, []), (2, [pytest.mark.slow]), (3, [pytest.mark.slow]))
    for common in (True, False)
]


def countries_of(one: Drawn) -> list[theory.Country]:
    return [
        theory.Country(n, tuple(f"t{t + 1}" for t in range(len(rows))), *rows.T, float(one.Q[i]))
        for i, (n, rows) in enumerate(zip("ab", one.plants, strict=True))
    ]


@pytest.mark.parametrize(("number", "common"), BLOCKS)
def test_closed_forms_of_two_countries(number: int, common: bool) -> None:
    """50 draws: prices, congestion prices and all sales, from the data alone and from the congestion prices."""
    draws = block(number, common)
    assert len(draws) == SIZE
    assert sum(one.binds for one in draws) >= 16  # 128 in all
    assert sum(one.any_full for one in draws) >= 10
    for one in draws:
        told = theory.closed_form(one.data, "separable", {})
        assert {"price", "congestion price", "sales"} <= set(told["quantity"])
        scale = max(one.price.max(), one.Q.max())
        for quantity, index, value, _ in told.itertuples(index=False):
            assert one.solved.value(quantity, index) == pytest.approx(value, rel=1e-9, abs=1e-9 * scale)
        pair = countries_of(one)
        gap = theory.price_gap(pair[0], pair[1], one.Q, one.P)
        assert one.price[0] - one.price[1] == pytest.approx(gap, abs=1e-9 * scale)
        again = theory.trade(pair, one.full, one.Q, one.P)
        assert again.price == pytest.approx(one.price, rel=1e-9)
        for i in (0, 1):
            assert again.home[i] == pytest.approx(one.home[i], rel=1e-9, abs=1e-9 * scale)
            assert again.export[i] == pytest.approx(one.export[i], rel=1e-9, abs=1e-9 * scale)


@pytest.mark.parametrize("seed", range(20))
def test_closed_forms_with_elastic_demand_and_tolls(seed: int) -> None:
    """Demand c - (d + gamma) Q in one country, tolls, demand response paid on plants in the other.

    Laws: a in [5, 8], b in [0.5, 1.5], K in [20, 60], Cap in [10, 40], c in [100, 150], d in [1, 2], gamma in [0, 1],
    toll in [0, 1], D in [45, 70]. Held wherever theory says that it applies, and that is most of them.
    """
    rng = np.random.default_rng(seed)
    plants = {n: list(zip(*rng.uniform([[5], [0.5], [20]], [[8], [1.5], [60]], (3, 3)), strict=True)) for n in "ab"}
    data = data_of(
        plants,
        {("a", "b"): rng.uniform(10, 40), ("b", "a"): rng.uniform(10, 40)},
        {("a", 1): (rng.uniform(45, 70), 200.0)},
        {("b", 1): (rng.uniform(100, 150), rng.uniform(1, 2))},
        {"b": (float(rng.uniform(0, 1)), "demand" if seed % 2 else "plant")},
        toll=float(rng.uniform(0, 1)),
    )
    one = solved(data)
    (claim,) = theory.claims(data, "separable", {})
    sales = one.values[one.values["quantity"] == "sales"]["value"]
    assert (claim.reason == "") == bool((sales > 0).all()), claim.reason
    for quantity, index, value, _ in claim.rows:
        assert one.value(quantity, index) == pytest.approx(value, rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("structure", ["separable", "joint", "netted", "own_balance"])
@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_closed_form_of_a_country_by_itself(seed: int, elastic: bool, structure: str) -> None:
    """Three plants, some idle, some full; laws: a in [5, 30], b in [0.3, 1.5], K in [5, 20], D in [10, 40]."""
    rng = np.random.default_rng(seed)
    plants = {"a": [*zip(*rng.uniform([[5], [0.3], [5]], [[30], [1.5], [20]], (3, 2)), strict=True), (25.0, 1.0, INF)]}
    demand = {"elastic": {("a", 1): (120.0, rng.uniform(1, 4))}, "response": {"a": (rng.uniform(0, 2), "demand")}}
    data = data_of(plants, **(demand if elastic else {"inelastic": {("a", 1): (rng.uniform(10, 40), 100.0)}}))
    one, told = solved(data, structure), theory.closed_form(data, structure, {})
    assert set(told["quantity"]) == {"price", "retail price", "consumption", "generation"}
    for quantity, index, value, _ in told.itertuples(index=False):
        assert one.value(quantity, index) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_where_closed_forms_do_not_apply_the_report_says_why() -> None:
    """Three readings of one case, and autarky, for which each country is by itself."""
    tables = run_case("data/coupled_countries/textbook_r3", write=False).tables
    found = tables["closed_forms"].groupby("alternative")["valid"].agg(list).to_dict()
    assert found == {
        "joint": ["a plant has one cost of its output, not one for each destination"],
        "netted": ["a plant has one cost of its output, not one for each destination"],
        "own balance": ["valid", "valid"],
        "separable": ["a plant stays out of a market"],
    }
    assert set(tables["validation"]["alternative"]) == set(found)


@pytest.mark.parametrize(
    ("case", "reason"), [("ring", "more than two countries trade"), ("strategic", "firms move prices")]
)
def test_other_reasons(case: str, reason: str) -> None:
    tables = run_case(f"data/coupled_countries/{case}", write=False).tables
    assert reason in set(tables["closed_forms"]["valid"])
    assert not tables["validation"]["rule"].isin([theory.ALONE, theory.TWO]).any()


def isolated(seed: int) -> tuple[Isolated, pd.DataFrame]:
    """Laws: a in [0, 40], b in [0, 1], D in [10, 50], P1 < Pbar < P1 + 100, c in [Pbar, Pbar + 200], d in [0.5, 5]."""
    rng = np.random.default_rng(seed)
    a, b, D, d = rng.uniform(0, 40), rng.uniform(0, 1), rng.uniform(10, 50), rng.uniform(0.5, 5)
    value = a + b * D + rng.uniform(1, 100)
    return Isolated(a, b, D, value, value + rng.uniform(0, 200), d)


@pytest.mark.parametrize("seed", range(40))
def test_demand_response_of_an_isolated_country(seed: int) -> None:
    """Levels before and after, and that nothing is gained or lost at the threshold, on certified equilibria."""
    m = isolated(seed)
    table = {
        "plants": {"a": [(m.a, m.b, INF)]},
        "inelastic": {("a", 1): (m.D, m.value)},
        "elastic": {("a", 1): (m.c, m.d)},
    }

    def levels(gamma: float, demand: str = "after") -> tuple[float, ...]:
        one = solved(data_of(response={"a": (gamma, "demand")}, **table), "joint", demand)
        made = one.value("producer surplus", "country=a") + one.value("demand response margin", "country=a")
        quantity = one.value("consumption", "country=a;hour=1")
        return one.value("welfare"), one.value("consumer surplus", "country=a"), made, quantity

    before = levels(0.0, "before")
    assert before[:3] == pytest.approx((m.welfare_before, m.consumers_before, m.producers_before), rel=1e-9, abs=1e-8)
    after = levels(0.7)
    assert after == pytest.approx((m.welfare(0.7), m.consumers(0.7), m.producers(0.7), m.quantity(0.7)), rel=1e-9)
    for k, criterion in enumerate((WELFARE, CONSUMERS)):
        gamma = m.largest(criterion)
        if gamma < 0:
            assert levels(0.0)[k] < before[k]
            continue
        there = levels(gamma)
        assert there[k] == pytest.approx(before[k], rel=1e-9)
        assert there[3] == pytest.approx(m.least(criterion), rel=1e-9)
        assert levels(gamma * 1.001 + 1e-3)[k] < before[k]


def test_thresholds_of_the_reference_country() -> None:
    """R8."""
    m = Isolated(10.0, 0.5, 40.0, 100.0, 220.0, 2.0)
    found = [m.price, m.welfare_before, m.consumers_before, m.producers_before]
    assert found == pytest.approx([30, 3200, 2800, 400], rel=1e-12)
    for criterion, expected in (
        (WELFARE, (30.4761904762, 4.3906250000, -2.6093750000)),
        (CONSUMERS, (52.9150262213, 1.4686269666, -1.0788046016)),
    ):
        told = (m.least(criterion), m.largest(criterion), m.elasticity_limit(criterion))
        assert told == pytest.approx(expected, rel=1e-8)
    assert m.reduces(WELFARE)  # c = 220 > 2 Pbar - P1 = 170
    assert not m.reduces(CONSUMERS)  # d D = 80 < 2 (Pbar - P1) = 140


def test_thresholds_without_a_meaning_say_so() -> None:
    worthless = Isolated(10.0, 0.5, 40.0, 5.0, 220.0, 2.0)
    for criterion in (WELFARE, CONSUMERS):
        assert "not positive" in worthless.why_not(criterion)
        with pytest.raises(ValueError, match="not positive"):
            worthless.least(criterion)
    assert "c <= a" in Isolated(10.0, 0.5, 40.0, 100.0, 9.0, 2.0).why_not(WELFARE)
