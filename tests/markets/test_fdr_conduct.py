"""Whether somebody moves a price is decided by how the price is written, and said so: an Expression or a Var.

One household buys S. With the price as an Expression of its load it is a monopolist and shifts too little; with the
price as a Var tied to the same supply by an equality row outside, it takes prices and shifts the efficient amount.
"""

from __future__ import annotations

import pyomo.environ as pyo
import pytest

from equilibrium import conduct, find_game, solve

X = {"off-peak": 2.0, "peak": 2.6}


def household(price_is: str) -> pyo.ConcreteModel:
    """S1: P(q) = q, S = 1. Monopoly 0.65, efficient 0.8."""
    model = pyo.ConcreteModel()
    model.household = pyo.Block()
    model.household.load = pyo.Var(X, within=pyo.NonNegativeReals)
    load = model.household.load
    model.household.service = pyo.Constraint(expr=sum(load[t] for t in X) == 1)
    if price_is == "Expression":
        model.price = pyo.Expression(X, rule=lambda m, t: X[t] + load[t])
    else:
        model.price = pyo.Var(X)
        model.supply = pyo.Constraint(X, rule=lambda m, t: m.price[t] == X[t] + load[t])
    model.household.bill = pyo.Objective(expr=sum(model.price[t] * load[t] for t in X))
    return model


@pytest.mark.parametrize(("price_is", "shifted"), [("Expression", 0.65), ("Var", 0.8)])
def test_how_the_price_is_written_decides_who_has_market_power(price_is: str, shifted: float) -> None:
    model = household(price_is)
    solution = solve(model)
    assert solution.certificate.verdict == "certified"
    assert model.household.load["off-peak"].value == pytest.approx(shifted, abs=1e-9)


def test_a_price_that_is_an_expression_is_reported_as_moved() -> None:
    (found,) = conduct(find_game(household("Expression")))
    assert set(found.moves) == {"price[off-peak]", "price[peak]"}
    assert not found.takes
    assert not found.warnings


def test_a_price_that_is_a_var_is_reported_as_taken_with_a_warning() -> None:
    """The warning: its own load enters the very row that sets the price."""
    model = household("Var")
    (found,) = conduct(find_game(model))
    assert set(found.takes) == {"price[off-peak]", "price[peak]"}
    assert not found.moves
    assert len(found.warnings) == 2
    assert "if it should move that price, write the price as an Expression" in found.warnings[0]
    solution = solve(model)
    assert solution.certificate.warnings == found.warnings
    (check, _) = solution.certificate.checks
    assert (check.moves, check.takes) == (found.moves, found.takes)


def test_structures_report_what_the_market_says_of_them() -> None:
    from fdr_reference import Setup
    from fdr_solved import Outcome

    m = Setup(0.0, 2.0, 2.6, 1.0, b=0.5, L=0.7, y=0.9)
    moved = {"price[off-peak]", "price[peak]"}
    buyers = ("dso_aggregator", "cournot", "shares", "mixed_own_dispatch", "mixed_dso_dispatch", "generator_aggregator")
    for structure in buyers:
        for check in Outcome(m, structure).certificate.checks:
            assert moved <= set(check.moves), (structure, check.name)
            assert not moved & set(check.takes)
    for check in Outcome(m, "price_taking").certificate.checks:
        if check.kind == "player":
            assert not check.moves
            assert moved <= set(check.takes)
