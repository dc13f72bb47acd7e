"""Firms that move prices: textbook oligopolies, one programme behind all conjectures, Nash against true demand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from countries_solved import INF, data_of, solved

from equilibrium import certify, solve
from equilibrium.errors import Refused
from equilibrium.results import Solved
from models.coupled_countries import accounts, check

HERE = "country=a;hour=1"


def oligopoly(firms: int, theta: float, gamma: float = 0.0) -> Any:
    """Firms with constant cost 10 in one country with demand 100 - Q."""
    names = [f"firm {k}" for k in range(1, firms + 1)]
    return data_of(
        {"a": [(10.0, 0.0, INF)] * firms},
        elastic={("a", 1): (100.0, 1.0)},
        response={"a": (gamma, "demand")},
        firms={("a", f"t{k}"): name for k, name in enumerate(names, 1)},
        conjectures={(name, "a"): theta for name in names},
    )


@pytest.mark.parametrize("structure", ["joint", "separable"])
def test_cournot_duopoly(structure: str) -> None:
    """c = 100, d = 1, cost 10: each sells 30, the price is 40."""
    one = solved(oligopoly(2, 1.0), structure)
    assert one.value("price", HERE) == pytest.approx(40, rel=1e-10)
    for k in (1, 2):
        assert one.value("sales", f"firm=firm {k};hour=1;to=a") == pytest.approx(30, rel=1e-10)
        assert one.value("profit", f"firm=firm {k}") == pytest.approx(900, rel=1e-10)


@pytest.mark.parametrize("gamma", [0.0, 0.5])
@pytest.mark.parametrize("theta", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("firms", [1, 2, 3])
def test_conjectures_between_competition_and_cournot(firms: int, theta: float, gamma: float) -> None:
    """S = (c - a)/((d + gamma)(N + theta)) for N equal firms with constant cost a."""
    one = solved(oligopoly(firms, theta, gamma), "joint")
    assert one.value("generation", f"{HERE};plant=t1") == pytest.approx(90 / ((1 + gamma) * (firms + theta)), rel=1e-9)


def test_the_slope_of_a_market_with_demand_response_is_the_wholesale_one() -> None:
    """gamma = 0.5: S = 20 at 40. The printed term theta d S gives 22.5, where deviating earns 527.34, not 506.25."""
    one = solved(oligopoly(2, 1.0, 0.5), "joint")
    sales = [one.model.firm[f].fleet["a"].sales[t, "a", 1] for f, t in (("firm 1", "t1"), ("firm 2", "t2"))]
    assert [x.value for x in sales] == pytest.approx([20, 20], rel=1e-10)
    assert one.value("price", HERE) == pytest.approx(40, rel=1e-10)
    for x in sales:
        x.set_value(22.5)
    one.model.consumers["a"].consumption[1].set_value(45.0)
    one.model.price["a", 1].set_value(100 - 1.5 * 45)
    found = certify(one.solution.answer)
    assert found.verdict == "uncertified"
    regrets = {check.name: check.regret for check in found.checks}
    assert regrets["firm[firm 1]"] == pytest.approx(1.5 * 18.75**2 - 22.5**2, rel=1e-9)


def drawn(seed: int, gamma_at: str = "demand", full: bool = False) -> Any:
    """Two countries; firm x owns plants in both, y and z one or two in one; limited links.

    Laws: a in [5, 20], b in [0.3, 1.5], K in [15, 40], Cap in [2, 15], c in [90, 200], d in [1, 4], gamma in [0, 2],
    toll in [0, 2], theta in [0.1, 1] for each firm and market (1 if ``full``).
    """
    rng = np.random.default_rng(seed)
    plants = {n: list(zip(*rng.uniform([[5], [0.3], [15]], [[20], [1.5], [40]], (3, 3)), strict=True)) for n in "ab"}
    owners = {("a", "t1"): "x", ("b", "t1"): "x", ("a", "t2"): "y", ("a", "t3"): "y", ("b", "t2"): "z"}
    firms = ("x", "y", "z", "b")  # the last plant of b has no named owner
    theta = {(f, m): 1.0 if full else float(rng.uniform(0.1, 1)) for f in firms for m in "ab"}
    return data_of(
        plants,
        {("a", "b"): rng.uniform(2, 15), ("b", "a"): rng.uniform(2, 15)},
        elastic={(n, 1): (rng.uniform(90, 200), rng.uniform(1, 4)) for n in "ab"},
        response={n: (float(rng.uniform(0, 2)), gamma_at) for n in "ab"},
        toll=float(rng.uniform(0, 2)),
        firms=owners,
        conjectures=theta,
    )


def potential(one: Solved, data: Any, split: bool) -> Any:
    """The programme of one planner: value minus all costs minus sum theta (d + gamma) S^2/2; its answer, in Pyomo."""
    rows, limits = data.tables["plants"], data.tables["links"]
    demand, response, theta = (data.tables[t] for t in ("elastic_demand", "demand_response", "conjectures"))
    slope = {n: demand.loc[(n, 1), "slope"] + response.loc[n, "intensity"] for n in "ab"}
    m = pyo.ConcreteModel()
    m.x = pyo.Var(rows.index.tolist(), ["a", "b"], within=pyo.NonNegativeReals)
    m.Q = pyo.Var(["a", "b"], within=pyo.NonNegativeReals)
    m.balance = pyo.Constraint(["a", "b"], rule=lambda m, n: sum(m.x[k, n] for k in rows.index) == m.Q[n])
    m.limit = pyo.Constraint(
        rows.index.tolist(), rule=lambda m, n, t: sum(m.x[n, t, k] for k in "ab") <= rows.capacity[n, t]
    )
    m.link = pyo.Constraint(
        limits.index.tolist(),
        rule=lambda m, n, k: sum(m.x[p, k] for p in rows.index if p[0] == n) <= limits.capacity[n, k],
    )
    cost = 0.0
    for n, t in rows.index:
        a, b = rows.intercept[n, t], rows.slope[n, t]
        for amounts in [[m.x[n, t, k]] for k in "ab"] if split else [[m.x[n, t, k] for k in "ab"]]:
            cost += a * sum(amounts) + b * sum(amounts) ** 2 / 2
        cost += sum(limits.toll[n, k] * m.x[n, t, k] for k in "ab" if k != n)
    for f, k in theta.index:
        own = [p for p in rows.index if (rows.firm[p] or p[0]) == f]
        cost += theta.conjecture[f, k] * slope[k] * sum(m.x[p, k] for p in own) ** 2 / 2
    value = sum(demand.loc[(n, 1), "intercept"] * m.Q[n] - slope[n] * m.Q[n] ** 2 / 2 for n in "ab")
    m.welfare = pyo.Objective(expr=value - cost, sense=pyo.maximize)
    assert solve(m).certificate.verdict == "certified"
    return m


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("structure", ["joint", "separable"])
def test_conjectures_are_one_convex_programme(seed: int, structure: str) -> None:
    """Adding theta (d + gamma) S^2/2 to the cost of a planner gives the same outputs, sales of firms and prices."""
    data = drawn(seed)
    one = solved(data, structure)
    again = potential(one, data, structure == "separable")
    rows, demand, response = (data.tables[t] for t in ("plants", "elastic_demand", "demand_response"))
    for n, t in rows.index:
        made = sum(again.x[n, t, k].value for k in "ab")
        assert one.value("generation", f"country={n};hour=1;plant={t}") == pytest.approx(made, rel=1e-8, abs=1e-7)
    for f, k in data.tables["conjectures"].index:
        sold = sum(again.x[p, k].value for p in rows.index if (rows.firm[p] or p[0]) == f)
        assert one.value("sales", f"firm={f};hour=1;to={k}") == pytest.approx(sold, rel=1e-8, abs=1e-7)
    for n in "ab":
        slope = demand.loc[(n, 1), "slope"] + response.loc[n, "intensity"]
        price = demand.loc[(n, 1), "intercept"] - slope * again.Q[n].value
        assert one.value("price", f"country={n};hour=1") == pytest.approx(price, rel=1e-8)


@pytest.mark.parametrize("seed", range(20, 28))
def test_at_theta_one_nobody_gains_against_true_demand(seed: int) -> None:
    """Each firm solves its Cournot problem again, rivals' sales given and the price on the demand curve."""
    data = drawn(seed, full=True)
    one = solved(data, "joint")
    rows, demand, response = (data.tables[t] for t in ("plants", "elastic_demand", "demand_response"))
    for f in one.model.firms:
        own = [p for p in rows.index if (rows.firm[p] or p[0]) == f]
        m = pyo.ConcreteModel()
        m.x = pyo.Var(own, ["a", "b"], within=pyo.NonNegativeReals)
        m.limit = pyo.Constraint(own, rule=lambda m, n, t: sum(m.x[n, t, k] for k in "ab") <= rows.capacity[n, t])
        profit = 0.0
        for k in "ab":
            rivals = one.value("consumption", f"country={k};hour=1") - one.value("sales", f"firm={f};hour=1;to={k}")
            slope = demand.loc[(k, 1), "slope"] + response.loc[k, "intensity"]
            sold = sum(m.x[p, k] for p in own)
            profit += (demand.loc[(k, 1), "intercept"] - slope * (rivals + sold)) * sold
        for n, t in own:
            made, other = sum(m.x[n, t, k] for k in "ab"), "b" if n == "a" else "a"
            charge = one.value("congestion price", f"from={n};hour=1;to={other}") + data.tables["links"].toll[n, other]
            profit -= rows.intercept[n, t] * made + rows.slope[n, t] * made**2 / 2 + charge * m.x[n, t, other]
        m.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
        assert solve(m).certificate.verdict == "certified"
        assert one.value("profit", f"firm={f}") == pytest.approx(pyo.value(m.profit), rel=1e-9)


@pytest.mark.parametrize("placement", ["demand", "plant"])
@pytest.mark.parametrize("structure", ["joint", "separable"])
def test_profits_are_producer_surplus_and_payments_cancel(structure: str, placement: str) -> None:
    one = solved(drawn(5, placement), structure)
    profits = sum(one.value("profit", f"firm={f}") for f in "xyz") + one.value("profit", "firm=b")
    assert profits == pytest.approx(sum(one.value("producer surplus", f"country={n}") for n in "ab"), rel=1e-10)
    books = accounts.accounts(one)
    payments = books[books["item"].str.contains("payment")]["value"]
    assert abs(payments.sum()) <= 1e-10 * payments.abs().max()


def test_the_certificate_says_who_moves_which_price() -> None:
    data = drawn(0)
    for conduct, moves in (("conjectured", 2), ("price_taking", 0)):
        one = solved(data, "joint", conduct=conduct)
        found = {check.name: check for check in one.solution.certificate.checks}["firm[x]"]
        assert len(found.moves) == moves
        assert {"price[a,1]", "price[b,1]"} <= set(found.takes)
        assert not one.solution.certificate.warnings


def test_a_conjecture_of_zero_is_price_taking() -> None:
    data = drawn(1)
    data.tables["conjectures"]["conjecture"] = 0.0
    zero, taking = solved(data, "joint"), solved(data, "joint", conduct="price_taking")
    known = taking.values[taking.values["quantity"].isin(["price", "generation", "net export", "welfare"])]
    for quantity, index, value, _ in known.itertuples(index=False):
        assert zero.value(quantity, index) == pytest.approx(value, rel=1e-8, abs=1e-8)


def test_conjectures_without_a_meaning_are_refused() -> None:
    plants, links = {"a": [(10.0, 1.0, INF)], "b": [(10.0, 1.0, INF)]}, {("a", "b"): 5.0}
    data = data_of(plants, links, {("b", 1): (10.0, 100.0)}, {("a", 1): (100.0, 1.0)}, conjectures={("a", "b"): 1.0})
    for structure in ("joint", "separable"):
        with pytest.raises(Refused, match="firm a has a conjecture towards b, where demand is inelastic in hour 1"):
            solved(data, structure)
        assert solved(data, structure, conduct="price_taking")
    with pytest.raises(Refused, match="netted trade"):
        solved(data, "netted")
    assert solved(data, "netted", conduct="price_taking")


def test_conjectures_of_nobody_and_towards_nowhere_are_faults() -> None:
    data = data_of(
        {"a": [(10.0, 1.0, INF)], "b": [(10.0, 1.0, INF)]},
        {("a", "b"): 5.0},
        elastic={(n, 1): (100.0, 1.0) for n in "ab"},
        conjectures={("b", "a"): 1.0, ("nobody", "a"): 0.5, ("a", "b"): 0.5},
    )
    text = " ".join(str(fault) for fault in check(data))
    assert "nobody" in text
    assert "b does not sell there" in text
    assert len(check(data)) == 2
