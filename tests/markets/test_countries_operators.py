"""Three readings of the operators' programme: their own balance (autarky), both balances (a continuum), one multiplier.

Example: a = 10, b = 1, one plant each, D = (30, 20), a cost for each destination.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
import pytest
from countries_solved import INF, data_of, solved

from equilibrium import certify, solve
from equilibrium.errors import Infeasible, Refused

D = {"a": 30.0, "b": 20.0}
OTHER = {"a": "b", "b": "a"}
LINKS = {("a", "b"): INF, ("b", "a"): INF}


def example(K: float = INF) -> Any:
    return data_of({n: [(10.0, 1.0, K)] for n in D}, LINKS, {(n, 1): (D[n], 100.0) for n in D})


def operators(balance: str) -> Any:
    """Operators that minimise their own cost; ``balance``: own (on each Block), both (on each), shared (outside)."""
    m = pyo.ConcreteModel()
    m.operator = pyo.Block(list(D))
    for n in D:
        m.operator[n].home, m.operator[n].export = (pyo.Var(within=pyo.NonNegativeReals) for _ in range(2))

    def served(n: str) -> Any:
        return m.operator[n].home + m.operator[OTHER[n]].export == D[n]

    for n in D:
        block = m.operator[n]
        block.cost = pyo.Objective(expr=sum(10 * x + x**2 / 2 for x in (block.home, block.export)))
        if balance == "own":
            block.balance = pyo.Constraint(expr=served(n))
        elif balance == "both":
            block.balance = pyo.Constraint(list(D), rule=lambda b, k: served(k))
    if balance == "shared":
        m.balance = pyo.Constraint(list(D), rule=lambda m, k: served(k))
    return m


@pytest.mark.parametrize("cost", ["joint", "separable"])
def test_own_balance_is_autarky(cost: str) -> None:
    """Nobody exports although a price of 40 meets one of 30; the programme as printed says the same."""
    one = solved(example(), "own_balance", cost=cost)
    literal = solve(operators("own"))
    assert literal.certificate.verdict == "certified"
    for n, price in (("a", 40.0), ("b", 30.0)):
        assert one.value("price", f"country={n};hour=1") == pytest.approx(price, rel=1e-10)
        assert one.value("net export", f"country={n};hour=1") == pytest.approx(0, abs=1e-9)
        assert literal.multipliers[f"operator[{n}].balance"] == pytest.approx(price, rel=1e-10)
        assert literal.model.operator[n].export.value == pytest.approx(0, abs=1e-9)
    assert solved(example(), "separable").value("price", "country=a;hour=1") == pytest.approx(25, rel=1e-10)


def test_own_balance_with_elastic_demand_and_limits() -> None:
    """Each country is where its own supply meets its own demand: Q = (c - a)/(b + d + gamma), or full plants."""
    plants = {"a": [(10.0, 1.0, INF)], "b": [(5.0, 0.5, 12.0)]}
    elastic = {(n, 1): (100.0, 2.0) for n in "ab"}
    one = solved(data_of(plants, LINKS, elastic=elastic, response={"a": (1.5, "demand")}), "own_balance")
    assert one.value("consumption", "country=a;hour=1") == pytest.approx(90 / 4.5, rel=1e-10)
    assert one.value("price", "country=b;hour=1") == pytest.approx(100 - 2 * 12, rel=1e-10)
    assert one.value("capacity rent", "country=b;hour=1;plant=t1") == pytest.approx(76 - 11, rel=1e-10)


def test_own_balance_has_no_equilibrium_where_a_country_cannot_serve_itself() -> None:
    """D_a = 30 > K = 28, although both together have enough: exporters paid the price serve it."""
    with pytest.raises(Infeasible, match=r"short of 2 MW in a, hour 1"):
        solved(example(28.0), "own_balance")
    one = solved(example(28.0), "joint")
    assert one.value("net export", "country=b;hour=1") == pytest.approx(5, rel=1e-9)


def test_own_balance_is_not_stated_for_plants_that_pay_to_run() -> None:
    data = data_of({n: [(-1.0, 1.0, INF)] for n in D}, LINKS, {(n, 1): (D[n], 100.0) for n in D})
    with pytest.raises(Refused, match="negative intercept"):
        solved(data, "own_balance")


CONTINUUM = [(0.0, 0.0), (5.0, 0.0), (10.0, 15.0), (3.0, 12.0)]


@pytest.mark.parametrize("exports", CONTINUUM)
def test_with_both_balances_every_feasible_split_is_an_equilibrium(exports: tuple[float, float]) -> None:
    """Each operator's own problem, the other's plan given, has this plan as its optimum. The multipliers that the two
    put on a balance agree at (10, 15) alone: 40 - e_b = 10 + e_b and 30 - e_a = 10 + e_a.
    """
    exported = dict(zip(D, exports, strict=True))
    prices: dict[str, dict[str, float]] = {}
    for n in D:
        model = operators("both")
        other = model.operator[OTHER[n]]
        other.cost.deactivate()
        other.balance.deactivate()
        other.home.fix(D[OTHER[n]] - exported[n])
        other.export.fix(exported[OTHER[n]])
        alone = solve(model)
        assert alone.certificate.verdict == "certified"
        assert model.operator[n].export.value == pytest.approx(exported[n], abs=1e-9)
        assert model.operator[n].home.value == pytest.approx(D[n] - exported[OTHER[n]], abs=1e-9)
        prices[n] = {k: alone.multipliers[f"operator[{n}].balance[{k}]"] for k in D}
    gaps = [prices["a"][k] - prices["b"][k] for k in D]
    assert gaps == pytest.approx([30 - 2 * exported["b"], 2 * exported["a"] - 20], abs=1e-8)
    assert (max(map(abs, gaps)) < 1e-8) == (exports == (10.0, 15.0))


def test_the_variational_equilibrium_is_the_separable_reading() -> None:
    """One multiplier for both operators: exports (10, 15), prices (25, 20)."""
    shared, one = solve(operators("shared")), solved(example(), "separable")
    assert shared.certificate.verdict == "certified"
    for n, export, price in (("a", 10.0, 25.0), ("b", 15.0, 20.0)):
        assert shared.model.operator[n].export.value == pytest.approx(export, rel=1e-9)
        assert shared.multipliers[f"balance[{n}]"] == pytest.approx(price, rel=1e-9)
        assert one.value("sales", f"country={n};hour=1;plant=t1;to={OTHER[n]}") == pytest.approx(export, rel=1e-9)
        assert one.value("price", f"country={n};hour=1") == pytest.approx(price, rel=1e-9)
    for n, export in (("a", 3.0), ("b", 12.0)):
        shared.model.operator[n].export.set_value(export)
        shared.model.operator[OTHER[n]].home.set_value(D[OTHER[n]] - export)
    assert certify(shared.answer).verdict == "uncertified"
