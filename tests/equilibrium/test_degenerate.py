"""Degenerate programmes: plants of equal cost, sales that may go either way, demand that goes without.

Multipliers and decisions are then not unique, and an active-set method stops where its guess of what binds makes a
singular system.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp
from pyomo.mpec import Complementarity, complements

from equilibrium import find_game, solve
from equilibrium.formulations import potential
from equilibrium.solution import derive
from equilibrium.solvers import apart, clarabel, highs, rays
from equilibrium.solvers.outcome import Termination
from equilibrium.testing import assert_certified

LOST = 1000.0


def zones(seed: int, hours: int) -> pyo.ConcreteModel:
    """Two to five zones; one or two plants of equal cost in each, selling at home and abroad; demand may be lost.

    Uniform laws: cost a in [5, 30], slope b in [0.5, 2], capacity in [3, 40], demand in [2, 45], links in [0, 20].
    """
    rng = np.random.default_rng(seed)
    n, H = int(rng.integers(2, 6)), range(hours)
    links = [(i, j) for i in range(n) for j in range(n) if i != j and rng.random() < 0.5]
    room = {link: float(rng.uniform(0, 20) * (rng.random() > 0.2)) for link in links}
    plants = [range(int(rng.integers(1, 3))) for _ in range(n)]
    a, b = rng.uniform(5, 30, n), rng.uniform(0.5, 2, n)
    m = pyo.ConcreteModel()
    m.price, m.toll = pyo.Var(range(n), H), pyo.Var(links, H)
    m.plant, m.without = pyo.Block(range(n)), pyo.Block(range(n))
    demand = {(i, h): float(rng.uniform(2, 45)) for i in range(n) for h in H}
    for i in range(n):
        goals, block = [i, *(j for k, j in links if k == i)], m.plant[i]
        block.x = pyo.Var(plants[i], goals, H, within=pyo.NonNegativeReals)
        made = {(t, h): sum(block.x[t, j, h] for j in goals) for t in plants[i] for h in H}
        most = {key: float(rng.uniform(10, 40) * rng.uniform(0.3, 1)) for key in made}
        block.capacity = pyo.Constraint(made, rule=lambda b, t, h, made=made, most=most: made[t, h] <= most[t, h])
        earned = sum((m.price[j, h] - (m.toll[i, j, h] if j != i else 0)) * x for (_, j, h), x in block.x.items())
        block.profit = pyo.Objective(
            expr=earned - sum(a[i] * X + b[i] * X**2 / 2 for X in made.values()), sense=pyo.maximize
        )
        m.without[i].u = pyo.Var(H, bounds=lambda b, h, i=i: (0, demand[i, h]))
        m.without[i].gain = pyo.Objective(
            expr=sum((m.price[i, h] - LOST) * m.without[i].u[h] for h in H), sense=pyo.maximize
        )

    def sold(m: pyo.ConcreteModel, i: int, j: int, h: int) -> object:
        return sum(m.plant[i].x[t, j, h] for t in plants[i])

    m.room = Complementarity(
        links, H, rule=lambda m, i, j, h: complements(room[i, j] - sold(m, i, j, h) >= 0, m.toll[i, j, h] >= 0)
    )
    m.cleared = Complementarity(
        range(n),
        H,
        rule=lambda m, j, h: complements(
            sold(m, j, j, h) + sum(sold(m, i, k, h) for i, k in links if k == j) + m.without[j].u[h] - demand[j, h]
            == 0,
            m.price[j, h],
        ),
    )
    return m


@pytest.mark.parametrize("interior", [True, False])
@pytest.mark.parametrize("seed", [17, 72, 83])
def test_programme_is_solved_to_the_end(seed: int, interior: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What binds leaves sales and multipliers open; certified with HiGHS alone, too."""
    monkeypatch.setattr(clarabel, "available", lambda: interior and clarabel.importlib.util.find_spec("clarabel"))
    solution = solve(zones(seed, 4))
    assert_certified(solution)
    assert solution.route.startswith("potential") or not interior
    assert solution.certificate.uniqueness.decisions == "not unique"


def of(hessian: float, gradient: float, lower: float, rows: sp.csr_array | None = None) -> highs.Programme:
    """One variable x >= lower; no rows, or x <= -1 by two rows."""
    table = sp.csr_array((0, 1)) if rows is None else rows
    none = np.full(table.shape[0], -np.inf)
    return highs.Programme(
        sp.csc_array([[hessian]]),
        np.array([gradient]),
        table,
        none,
        np.full(table.shape[0], -1.0),
        np.array([lower]),
        np.array([np.inf]),
    )


def test_no_optimum_is_told_from_a_false_alarm() -> None:
    row = sp.csr_array([[1.0]])
    for unit in (1e-6, 1.0, 1e6):
        assert rays.confirmed(of(0.0, -unit, 0.0), Termination.UNBOUNDED)
        assert not rays.confirmed(of(0.0, unit, 0.0), Termination.UNBOUNDED)  # the least is at the bound
        assert not rays.confirmed(of(unit, -unit, 0.0), Termination.UNBOUNDED)  # curvature stops it
    assert not rays.confirmed(of(0.0, -1.0, 0.0), Termination.INFEASIBLE)
    assert rays.confirmed(of(0.0, -1.0, 0.0, row), Termination.INFEASIBLE)  # x >= 0 and x <= -1
    assert not rays.confirmed(of(0.0, -1.0, 0.0, row), Termination.UNBOUNDED)


@pytest.mark.parametrize("alarm", [Termination.UNBOUNDED, Termination.INFEASIBLE])
def test_false_alarm_of_a_solver_is_not_passed_on(alarm: Termination, monkeypatch: pytest.MonkeyPatch) -> None:
    """The active-set method cries; the programme has an optimum, so Newton finds it."""
    sound = highs.minimise

    def crying(programme: highs.Programme, *rest: float) -> tuple:
        x, duals, outcome = sound(programme, *rest)
        return x, duals, replace(outcome, termination=alarm) if programme.hessian.nnz else outcome

    monkeypatch.setattr(highs, "minimise", crying)
    monkeypatch.setattr(clarabel, "available", lambda: False)
    monkeypatch.setattr(apart, "orderly", lambda *_: False)  # nor by the interior point of many problems
    model = pyo.ConcreteModel()
    model.price = pyo.Var()
    model.firm = pyo.Block([1, 2])
    for i in (1, 2):
        q = model.firm[i].q = pyo.Var(bounds=(0, 60))
        model.firm[i].profit = pyo.Objective(expr=model.price * q - 10 * q - i * q**2 / 2, sense=pyo.maximize)
    model.clearing = Complementarity(expr=complements(model.firm[1].q + model.firm[2].q - 90 >= 0, model.price >= 0))
    mcp = derive(find_game(model))
    found = potential.find(mcp)
    assert found is not None
    assert potential.solve(mcp, found)[1].termination is Termination.FAILED
    solution = solve(model)
    assert_certified(solution)
    assert model.price.value == pytest.approx(70.0)


@pytest.mark.parametrize("seed", [30, 44])
def test_programme_of_the_conditions_is_solved_to_the_end(seed: int) -> None:
    """Plants with a cost for each of two markets, one with elastic demand: at the optimum, zero, a solver's tolerance
    still leaves quantities far from where they belong.

    Uniform laws: cost in [8, 30], its slope in [0.3, 2], capacity in [12, 40].
    """
    rng = np.random.default_rng(seed)
    a, b, K = rng.uniform(8, 30, (2, 3)), rng.uniform(0.3, 2, (2, 3)), rng.uniform(12, 40, (2, 3))
    model = pyo.ConcreteModel()
    model.price = pyo.Var([1, 2])
    model.plant, model.buyer = pyo.Block([0, 1], [0, 1, 2]), pyo.Block()
    for key, block in model.plant.items():
        block.x = pyo.Var([1, 2], within=pyo.NonNegativeReals)
        block.capacity = pyo.Constraint(expr=block.x[1] + block.x[2] <= K[key])
        profit = sum((model.price[j] - a[key]) * x - b[key] * x**2 / 2 for j, x in block.x.items())
        block.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    Q = model.buyer.Q = pyo.Var(within=pyo.NonNegativeReals)
    model.buyer.surplus = pyo.Objective(expr=170 * Q - 3 * Q**2 / 2 - model.price[1] * Q, sense=pyo.maximize)
    bought = {1: Q, 2: 30.0}
    model.cleared = Complementarity(
        [1, 2],
        rule=lambda m, j: complements(sum(m.plant[key].x[j] for key in m.plant) - bought[j] == 0, m.price[j]),
    )
    assert_certified(solve(model, formulation="complementarity", solver="qp"))


def test_what_was_asked_for_and_failed_says_why() -> None:
    """Best responses 3 - 2 y: what the other does weighs more than what the firm does itself, nothing monotone."""
    model = pyo.ConcreteModel()
    model.firm = pyo.Block([1, 2])
    for i in (1, 2):
        model.firm[i].q = pyo.Var(bounds=(0, 3))
    for i in (1, 2):
        q, other = model.firm[i].q, model.firm[3 - i].q
        model.firm[i].profit = pyo.Objective(expr=3 * q - 2 * other * q - q**2 / 2, sense=pyo.maximize)
    certificate = solve(model, formulation="complementarity", solver="qp").certificate
    assert certificate.verdict == "uncertified"
    assert certificate.scope.endswith("HiGHS: the conditions are not monotone, which the programme needs")
