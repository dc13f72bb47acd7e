"""The same buyer or firm moves its price when the price is an Expression, and takes it when the price is a Var."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from games import cournot, household
from pyomo.mpec import Complementarity, complements

from equilibrium import conduct, find_game, solve
from equilibrium.testing import assert_certified


def test_monopsonist():
    """max 60 d - d^2 - (10 + d) d: 50 = 4 d."""
    m = household("moves")
    solution = solve(m)
    assert_certified(solution)
    assert m.buyer.d.value == pytest.approx(12.5)
    (found,) = conduct(find_game(m))
    assert (found.moves, found.takes, found.warnings) == (("price",), (), ())


def test_price_taker():
    """60 - 2 d = p = 10 + d: 50 = 3 d."""
    m = household("takes")
    assert_certified(solve(m))
    assert m.buyer.d.value == pytest.approx(50 / 3)
    (found,) = conduct(find_game(m))
    assert (found.moves, found.takes) == ((), ("price",))


def test_a_price_tied_to_the_players_own_var_is_pointed_out():
    solution = solve(household("takes"))
    (warning,) = solution.certificate.warnings
    assert "takes price as given although the row supply ties it to its own buyer.d" in warning
    assert "Expression" in warning


def test_a_clearing_pair_ties_no_price():
    m = pyo.ConcreteModel()
    m.price = pyo.Var()
    m.firm = pyo.Block()
    m.firm.q = pyo.Var(bounds=(0, 9))
    m.firm.profit = pyo.Objective(expr=m.price * m.firm.q - m.firm.q**2, sense=pyo.maximize)
    m.clearing = Complementarity(expr=complements(m.firm.q - 3 >= 0, m.price >= 0))
    solution = solve(m)
    assert_certified(solution)
    assert m.price.value == pytest.approx(6)
    assert solution.certificate.warnings == ()


def test_a_price_inside_an_expression_of_the_root_is_still_taken():
    """An Expression may hold the player's Var and a price Var: the price in it is taken, and said to be."""
    m = household("takes")
    m.bill = pyo.Expression(expr=m.price * m.buyer.d)
    m.buyer.surplus.expr = 60 * m.buyer.d - m.buyer.d**2 - m.bill
    (found,) = conduct(find_game(m))
    assert "price" in found.takes


def test_firms_both_ways():
    """n equal firms, P = a - b Q, cost c: Cournot q = (a - c) / (b (n + 1)); price takers with cost c q + d q^2 / 2:
    P = c + d q."""
    random = np.random.default_rng(1)
    for _ in range(20):
        n, a, b = int(random.integers(1, 6)), float(random.uniform(50, 150)), float(random.uniform(0.5, 3))
        c, d = float(random.uniform(1, 40)), float(random.uniform(0.1, 2))
        m = cournot(a, b, [c] * n, [d] * n)
        assert_certified(solve(m))
        assert m.firm[0].q.value == pytest.approx((a - c) / (b * (n + 1) + d), rel=1e-9)
        assert conduct(find_game(m))[0].moves == ("price",)
        m = cournot(a, b, [c] * n, [d] * n, conjecture=0.0)
        assert_certified(solve(m))
        assert m.firm[0].q.value == pytest.approx((a - c) / (b * n + d), rel=1e-9)
        assert conduct(find_game(m))[0].takes == ("price",)


def test_rivals_quantities_are_taken():
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(), pyo.Var()
    m.a.o = pyo.Objective(expr=(m.a.x - m.b.y) ** 2)
    m.b.o = pyo.Objective(expr=(m.b.y - 1) ** 2)
    first, second = conduct(find_game(m))
    assert (first.takes, second.takes) == (("b.y",), ())
