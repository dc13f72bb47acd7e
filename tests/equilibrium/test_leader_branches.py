"""A leader whose payoff is not concave, through the branches that its market names."""

from __future__ import annotations

from dataclasses import replace

import pyomo.environ as pyo
import pytest

from benchmarks.leaders import order, pair
from equilibrium import solve
from equilibrium.branches import Branch
from equilibrium.errors import Infeasible, Refused


def dispatcher(limit: float = 10.0) -> pyo.ConcreteModel:
    """Buys d = 2 units over two periods and says when three units of others are bought (r), at prices that rise with
    load less what a Cournot seller delivers after it. The bill sum p_t d_t has products of d and r: not convex."""
    m = pair()
    m.t = pyo.Set(initialize=[1, 2])
    m.leader.d = pyo.Var(m.t, bounds=(0, None))
    m.leader.r = pyo.Var(m.t, bounds=(0, limit))
    m.leader.own = pyo.Constraint(expr=sum(m.leader.d[t] for t in m.t) == 2)
    m.leader.others = pyo.Constraint(expr=sum(m.leader.r[t] for t in m.t) == 3)
    m.follower.y = pyo.Var(m.t, bounds=(0, None))
    price = {t: 3 + t + m.leader.d[t] + m.leader.r[t] - m.follower.y[t] for t in m.t}
    m.leader.bill = pyo.Objective(expr=sum(price[t] * m.leader.d[t] for t in m.t))
    m.follower.profit = pyo.Objective(expr=sum((price[t] - 1) * m.follower.y[t] for t in m.t), sense=pyo.maximize)
    return order(m, m.leader)


def one_period(m: pyo.ConcreteModel) -> list[Branch]:
    return [Branch(f"others in {t}", [(m.leader.r[u], 3.0 * (u == t)) for u in m.t]) for t in m.t]


def bill(d: float, r: float) -> float:
    """By hand: y = (2 + t + load)/2, so the price is 3 + t + load - y = (4 + t + load)/2."""
    first, second = d + r, 2 - d + 3 - r
    return d * (5 + first) / 2 + (2 - d) * (6 + second) / 2


def test_the_best_branch_is_the_best_decision() -> None:
    m = dispatcher()
    solution = solve(m, branches_of=one_period)
    assert solution.certificate.verdict == "certified"
    assert "best of 2 branches" in solution.certificate.checks[0].proof
    grid = [bill(i / 400, j / 400) for i in range(801) for j in range(1201)]
    assert pyo.value(m.leader.bill) == pytest.approx(min(grid), abs=1e-5)
    assert pyo.value(m.leader.bill) <= min(grid) + 1e-9
    assert m.leader.r[2].value == pytest.approx(3.0)


def test_candidates_that_do_not_cover_everything_are_local() -> None:
    m = dispatcher()
    some = [replace(branch, exhaustive=False) for branch in one_period(m)]
    solution = solve(m, branches_of=lambda _: some)
    assert solution.certificate.verdict == "certified, local"
    assert "others were not looked at" in solution.certificate.scope


def test_branches_without_a_decision_and_of_somebody_else() -> None:
    m = dispatcher(limit=2.0)
    with pytest.raises(Infeasible, match="others in 1, others in 2"):
        solve(m, branches_of=one_period)
    m = dispatcher()
    with pytest.raises(Refused, match="does not decide"):
        solve(m, branches_of=lambda _: [Branch("sale", [(m.follower.y[1], 0.0)])])
