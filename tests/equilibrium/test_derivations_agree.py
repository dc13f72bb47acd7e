"""The conditions read off the expressions and those by core.kkt with derivatives by ASL: the same F and Jacobian."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.mpec import Complementarity, complements

from equilibrium import find_game
from equilibrium.conditions import affine
from equilibrium.doctor import have_nonlinear
from equilibrium.kkt import nonlinear

pytestmark = pytest.mark.skipif(not have_nonlinear(), reason="needs ASL")


def quadratic_game(random: np.random.Generator) -> pyo.ConcreteModel:
    """Random players, maximisers among them, with rows that hold others' Vars, a pair, a rule, a price and shared
    rows."""
    n, size = int(random.integers(1, 4)), int(random.integers(1, 4))
    m = pyo.ConcreteModel()
    m.pair_price, m.clear_price, m.rule = pyo.Var(), pyo.Var(), pyo.Var()
    m.player = pyo.Block(range(n))
    for i in range(n):
        m.player[i].x = pyo.Var(
            range(size), bounds=lambda b, k, i=i: [(None, None), (0, None), (-1, 2), (None, 3)][(i + k) % 4]
        )
    every = [m.player[i].x[k] for i in range(n) for k in range(size)]
    m.total = pyo.Expression(expr=sum(every))
    for i in range(n):
        b = m.player[i]
        own = [b.x[k] for k in range(size)]
        root = random.normal(size=(size, size))
        square = root @ root.T + np.eye(size)
        cost = 0.5 * sum(float(square[j, k]) * own[j] * own[k] for j in range(size) for k in range(size))
        cost += sum(float(random.normal()) * own[0] * v for v in every) + m.total * float(random.normal())
        cost += m.clear_price * own[0] - m.pair_price * own[-1] + float(random.normal()) * m.rule * own[0]
        maximise = random.random() < 0.5
        b.o = pyo.Objective(expr=-cost if maximise else cost, sense=pyo.maximize if maximise else pyo.minimize)
        coefficient = random.normal(size=size)
        row = sum(float(c) * v for c, v in zip(coefficient, own, strict=True))
        b.ranged = pyo.Constraint(expr=pyo.inequality(-3, row + own[0], 4))
        b.given = pyo.Constraint(expr=row - 0.5 * m.total <= float(random.normal()))
        b.equal = pyo.Constraint(expr=row == own[0] + 1.5 * every[0] + float(random.normal()))
        b.single = pyo.Constraint(expr=-2 * own[0] + 1 <= 9)
    m.pair = Complementarity(
        expr=complements(sum(m.player[i].x[size - 1] for i in range(n)) - 1 >= 0, m.pair_price >= 0)
    )
    m.clearing = pyo.Constraint(expr=sum(m.player[i].x[0] for i in range(n)) == 2)
    m.setting = pyo.Constraint(expr=3 * m.rule == m.total - 1)
    if n > 1:
        m.shared = pyo.Constraint(expr=pyo.inequality(-9, m.total + every[0], 9))
    return m


@pytest.mark.parametrize("seed", range(40))
def test_on_random_games(seed):
    random = np.random.default_rng(seed)
    game = find_game(quadratic_game(random))
    first, second = affine(game), nonlinear(game)
    assert first.names == second.names
    assert (first.kind == second.kind).all()
    assert (first.lower == second.lower).all()
    assert (first.upper == second.upper).all()
    size = abs(first.matrix).max()
    assert abs(first.matrix - second.jacobian(np.zeros(first.size))).max() <= 1e-12 * size
    for _ in range(3):
        z = random.normal(size=first.size)
        assert first.F(z) == pytest.approx(second.F(z), rel=1e-12, abs=1e-11 * size)


def test_a_shared_row_over_rivals_that_no_payoff_holds():
    """Firms do not see each other but share x_1^1.5 + x_2 <= 3 in a nonlinear model: rivals' Vars come in by that row
    alone."""
    m = pyo.ConcreteModel()
    m.f = pyo.Block([1, 2])
    for k in m.f:
        m.f[k].x = pyo.Var(bounds=(0.1, 9), initialize=1)
        m.f[k].o = pyo.Objective(expr=(m.f[k].x - 3) ** 2 + m.f[k].x ** 4 / 100)
    m.shared = pyo.Constraint(expr=m.f[1].x + 2 * m.f[2].x <= 3)
    mcp = nonlinear(find_game(m))
    z = np.array([1.5, 1.25, 0.7])
    # stationarity of x_k with the multiplier s of 3 - x_1 - 2 x_2 >= 0: 2 (x - 3) + x^3 / 25 + s * (1, 2)
    assert mcp.F(z) == pytest.approx([-3 + 1.5**3 / 25 + 0.7, -3.5 + 1.25**3 / 25 + 1.4, 3 - 1.5 - 2.5])
