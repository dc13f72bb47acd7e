"""Sizes that multipliers need not exceed: against all square submatrices and all vertices of small programmes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import find_game, solve
from equilibrium.formulations import audited, branching, leader
from equilibrium.formulations.linear import restate
from equilibrium.formulations.vertices import multiplier_limits, unimodular
from equilibrium.hierarchy import current, leader_problem, reaction_of, split
from equilibrium.mcp import DECISION


def determinants(table: np.ndarray) -> set[int]:
    """Of all square submatrices."""
    found = set()
    for k in range(1, min(table.shape) + 1):
        for rows in combinations(range(table.shape[0]), k):
            for columns in combinations(range(table.shape[1]), k):
                found.add(round(np.linalg.det(table[np.ix_(rows, columns)])))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_what_is_called_unimodular_is(seed):
    random = np.random.default_rng(seed)
    table = random.choice([-1.0, 0.0, 1.0], p=[0.2, 0.6, 0.2], size=(4, 6))
    if unimodular(table):
        assert determinants(table) <= {-1, 0, 1}


def test_networks_are_recognised_and_others_are_not():
    odd = np.array([[1.0, 1, 0], [0, 1, 1], [1, 0, 1]])  # determinant 2
    network = np.array([[1.0, 0, 1], [-1, 1, 0], [0, -1, -1]])
    assert unimodular(network) and unimodular(np.diag([-1.0, 1, -1]) @ network)
    assert unimodular(np.vstack([network, np.eye(3)]))
    assert not unimodular(odd) and not unimodular(2 * network)


def shipping(seed: int, choices: int = 3) -> pyo.ConcreteModel:
    """A leader rents out whole blocks of space at two depots; a carrier ships what is asked at least cost, and pays
    the leader for what it sends through its first depot."""
    random = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.leader, m.carrier = pyo.Block(), pyo.Block()
    m.leader.space = pyo.Var([0, 1], within=pyo.Integers, bounds=(0, choices * 4))
    m.leader.limit = pyo.Constraint(expr=m.leader.space[0] + m.leader.space[1] <= choices * 4)
    m.carrier.sent = pyo.Var([0, 1], [0, 1, 2], within=pyo.NonNegativeReals)
    m.carrier.lost = pyo.Var([0, 1, 2], within=pyo.NonNegativeReals)
    need = random.integers(1, 6, size=3)
    price = random.integers(1, 9, size=(2, 3))
    m.carrier.met = pyo.Constraint(
        [0, 1, 2], rule=lambda b, k: sum(b.sent[i, k] for i in (0, 1)) + b.lost[k] == float(need[k])
    )
    m.carrier.room = pyo.Constraint([0, 1], rule=lambda b, i: sum(b.sent[i, k] for k in (0, 1, 2)) <= m.leader.space[i])
    sent = {(i, k): float(price[i, k]) * m.carrier.sent[i, k] for i in (0, 1) for k in (0, 1, 2)}
    m.carrier.cost = pyo.Objective(expr=sum(sent.values()) + 20 * sum(m.carrier.lost.values()))
    through = [sum(m.carrier.sent[i, k] for k in (0, 1, 2)) for i in (0, 1)]
    m.leader.profit = pyo.Objective(
        expr=5 * through[0] + 3 * through[1] - 2 * m.leader.space[0] - m.leader.space[1], sense=pyo.maximize
    )
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.stage[m.leader], m.stage[m.carrier] = 1, 2
    return m


def problem_of(model):
    hierarchy = split(find_game(model))
    return leader_problem(hierarchy, 0, current(hierarchy.x), reaction_of(hierarchy.followers))


def test_no_vertex_of_the_multipliers_lies_outside():
    problem = problem_of(shipping(0))
    reaction = problem.reaction
    limits = multiplier_limits(problem)
    rows = np.flatnonzero(reaction.kind != DECISION)
    decides = np.flatnonzero(reaction.kind == DECISION)
    assert np.isfinite(limits[rows]).all() and np.isinf(limits[decides]).all()
    table = reaction.matrix[rows][:, decides].toarray()
    columns, cost = np.vstack([table, np.eye(len(decides))]).T, reaction.vector[decides]  # lam, a: A'lam + a = c
    largest = 0.0
    for basis in combinations(range(columns.shape[1]), len(decides)):
        square = columns[:, basis]
        if abs(np.linalg.det(square)) < 0.5:
            continue
        value = np.zeros(columns.shape[1])
        value[list(basis)] = np.linalg.solve(square, cost)
        largest = max(largest, np.abs(value[: len(rows)]).max())
    assert 0 < largest <= limits[rows].min()


@pytest.mark.parametrize("seed", range(4))
def test_whole_decisions_branched_on_together_as_one_by_one(seed, monkeypatch):
    model = shipping(seed)
    problem = problem_of(model)
    relaxation = branching.Relaxation(problem, restate(problem))
    assert not audited.derive(relaxation)[1].any()
    found = audited.solve(relaxation, 60.0)
    together = leader.solve(problem)
    monkeypatch.setattr(leader, "SOME", 1e9)
    single = leader.solve(problem)
    assert "combinations of whole numbers" in single.reason and "combinations of whole numbers" not in together.reason
    assert together.proved and single.proved
    assert together.cost == pytest.approx(single.cost, rel=1e-9, abs=1e-9)
    assert found.bound == pytest.approx(found.best.cost, rel=1e-7, abs=1e-7)
    assert found.best.cost == pytest.approx(single.cost, rel=1e-9, abs=1e-9)
    assert solve(model).certificate.verdict == "certified"


def test_a_multiplier_that_the_leader_sees_has_no_limit():
    model = shipping(0)
    problem = problem_of(model)
    seen = np.flatnonzero(problem.reaction.kind != DECISION)[0]
    problem.cost.gradient[problem.count + seen] = 1.0
    assert np.isinf(multiplier_limits(problem)).all()
