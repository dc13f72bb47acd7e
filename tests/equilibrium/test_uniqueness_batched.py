"""Uniqueness shown for many scenarios at once is what the test of one scenario shows."""

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import solve
from equilibrium.batches import solve_many


def traders(toll):
    """Three places with a plant each and lines both ways round, each with a toll: flows are linear in every payoff."""
    m = pyo.ConcreteModel()
    m.need = pyo.Param(range(3), initialize=10, mutable=True)
    m.limit = pyo.Param(initialize=4, mutable=True)
    m.toll = pyo.Param(initialize=toll, mutable=True)
    m.price = pyo.Var(range(3))
    m.plant, m.line = pyo.Block(range(3)), pyo.Block(range(3), ["up", "down"])
    for n in m.plant:
        m.plant[n].q = pyo.Var(bounds=(0, 40))
        q = m.plant[n].q
        m.plant[n].profit = pyo.Objective(expr=(m.price[n] - 5 * n) * q - q**2 / 2, sense=pyo.maximize)
    arriving = {n: 0 for n in range(3)}
    for n, way in m.line:
        a, b = (n, (n + 1) % 3) if way == "up" else ((n + 1) % 3, n)
        line = m.line[n, way]
        line.flow = pyo.Var(within=pyo.NonNegativeReals)
        line.limit = pyo.Constraint(expr=line.flow <= m.limit)
        line.rent = pyo.Objective(expr=(m.price[b] - m.price[a] - m.toll) * line.flow, sense=pyo.maximize)
        arriving[b] += line.flow
        arriving[a] -= line.flow
    m.balance = pyo.Constraint(range(3), rule=lambda m, n: m.plant[n].q + arriving[n] == m.need[n])
    return m


def words(m, given):
    """(words of the batch, words of single solves, whether solved together)."""
    batch, alone = solve_many(m, given), []
    for s in range(len(batch.table)):
        for cell, values in given.items():
            m.find_component(cell).set_value(values[s])
        alone.append(solve(m).certificate.uniqueness.decisions)
    return batch.table["unique"].to_numpy(), np.array(alone), (batch.table["route"] == "together").to_numpy()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_of_many_is_said_of_one(seed):
    random = np.random.default_rng(seed)
    given = {f"need[{n}]": random.uniform(5, 30, 30) for n in range(3)} | {"limit": random.uniform(1, 8, 30)}
    many, alone, together = words(traders(0.5), given)
    assert together.all()
    assert (many == "unique").all() and (alone == "unique").all()


def test_nothing_is_claimed_of_flows_that_may_go_round():
    """Without a toll a flow there and back costs nothing: decisions are not unique, and nobody says they are."""
    random = np.random.default_rng(0)
    given = {f"need[{n}]": random.uniform(14, 16, 12) for n in range(3)} | {"limit": np.full(12, 30.0)}
    many, alone, together = words(traders(0.0), given)
    assert together.any()
    assert not (many == "unique").any() and not (alone == "unique").any()


def test_the_claim_depends_on_the_scenario():
    """Where there is a toll it is made, where there is none it is not."""
    toll = np.tile([0.0, 0.5], 8)
    given = {"toll": toll, "need[0]": np.linspace(14, 16, 16), "limit": np.full(16, 30.0)}
    many, _, together = words(traders(0.5), given)
    assert ((many == "unique") == (toll > 0))[together].all() and together.sum() >= 8
