"""The deviations of a leader that its certificate tries keep its limits, equalities and whole numbers included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest

from benchmarks.leaders import order, pair
from equilibrium import solve
from equilibrium.doctor import have_nonlinear
from equilibrium.hierarchy import current
from equilibrium.testing import assert_certified
from equilibrium.trials import limits_of, towards_corners


def seller(fixed=False):
    """A leader that spreads one unit over three periods, the first of which must be opened; a follower sells beside
    it."""
    m = pair()
    m.t = pyo.RangeSet(3)
    m.leader.x = pyo.Var(m.t, bounds=(0, None))
    m.leader.opened = pyo.Var(within=pyo.Binary)
    m.leader.all = pyo.Constraint(expr=sum(m.leader.x[t] for t in m.t) == 1)
    m.leader.gate = pyo.Constraint(expr=m.leader.x[1] <= m.leader.opened)
    m.follower.q = pyo.Var(m.t, bounds=(0, None))
    if fixed:
        for t, value in {1: 0.0, 2: 0.25, 3: 0.75}.items():
            m.leader.x[t].setlb(value)
            m.leader.x[t].setub(value)
        m.leader.opened.setub(0)
    price = {t: 3 + t - m.leader.x[t] - m.follower.q[t] for t in m.t}
    m.leader.profit = pyo.Objective(
        expr=sum(price[t] * m.leader.x[t] for t in m.t) - m.leader.opened / 10, sense=pyo.maximize
    )
    m.follower.profit = pyo.Objective(expr=sum(price[t] * m.follower.q[t] for t in m.t), sense=pyo.maximize)
    return order(m, m.leader)


def test_deviations_keep_equalities_limits_and_whole_numbers():
    model = seller()
    solution = solve(model)
    assert_certified(solution)
    leading = solution.answer.leading
    x = current(leading.hierarchy.x)
    problem = leading.problem(0, x)
    trials = np.array(list(towards_corners(limits_of(problem), x, 24)))
    assert trials.shape == (24, 4)
    names = [v.name for v in leading.hierarchy.x]
    moved = pd.DataFrame(trials, columns=names)
    spread, opened = moved[[name for name in names if ".x[" in name]], moved["leader.opened"]
    np.testing.assert_allclose(spread.sum(axis=1), 1.0, atol=1e-9)
    assert spread.min().min() >= -1e-12
    assert (spread["leader.x[1]"] <= opened + 1e-9).all()
    assert set(opened) == {0.0, 1.0}
    assert len(spread.round(9).drop_duplicates()) >= 8
    largest = np.abs(trials - x).max(axis=1)
    assert (largest <= 10.0 ** -(np.arange(24) % 4) * 1.0000001).all()
    check = next(c for c in solution.certificate.checks if c.name == "leader")
    assert "24 deviations within its limits, with the followers solved again, gain nothing" in check.proof


def test_where_nothing_can_move_no_deviation_is_claimed():
    solution = solve(seller(fixed=True))
    check = next(c for c in solution.certificate.checks if c.name == "leader")
    assert "no deviation could be tried" in check.proof


@pytest.mark.skipif(not have_nonlinear(), reason="needs Ipopt and ASL")
def test_deviations_of_a_leader_with_a_curved_payoff_keep_its_equality():
    """Two periods of the leader sum to one; its price falls with the power 1.5 of sales."""
    m = pair()
    m.t = pyo.RangeSet(2)
    m.leader.x = pyo.Var(m.t, bounds=(0, None), initialize=0.5)
    m.leader.all = pyo.Constraint(expr=sum(m.leader.x[t] for t in m.t) == 1)
    m.follower.q = pyo.Var(m.t, bounds=(0, None), initialize=0.5)
    price = {t: 3 + t - (m.leader.x[t] + m.follower.q[t]) ** 1.5 for t in m.t}
    for block, sold in ((m.leader, m.leader.x), (m.follower, m.follower.q)):
        block.profit = pyo.Objective(expr=sum(price[t] * sold[t] for t in m.t), sense=pyo.maximize)
    solution = solve(order(m, m.leader))
    assert solution.certificate.verdict == "certified, local"
    check = next(c for c in solution.certificate.checks if c.name == "leader")
    assert "6 deviations within its limits" in check.proof
