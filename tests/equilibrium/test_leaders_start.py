"""Where several leaders' turns begin: reservoirs that commit their water to hours before thermal plants react."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import leaders_start, solve

PLANTS, COST = range(2), (6.0, 12.0)


def reservoirs(seed: int, owners: int, hours: int, capacity: float, sell: int = 1) -> pyo.ConcreteModel:
    """Owners of water choose its release by the hour; plants of limited capacity compete in quantities after them.

    sell = -1: they buy that much instead.
    """
    random = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.hour, m.plants = pyo.RangeSet(0, hours - 1), pyo.Set(initialize=PLANTS)
    level = random.uniform(60, 110, hours)
    m.owner, m.plant = pyo.Block(pyo.RangeSet(0, owners - 1)), pyo.Block(m.plants)
    for block in m.owner.values():
        block.release = pyo.Var(m.hour, bounds=(0, None))
    for block in m.plant.values():
        block.output = pyo.Var(m.hour, bounds=(0, capacity))
    m.price = pyo.Expression(
        m.hour,
        rule=lambda m, t: (
            level[t]
            - sell * sum(block.release[t] for block in m.owner.values())
            - sum(block.output[t] for block in m.plant.values())
        ),
    )
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for block in m.owner.values():
        water = float(random.uniform(3, 12) * hours)
        block.water = pyo.Constraint(expr=sum(block.release[t] for t in m.hour) == water)
        revenue = sell * sum(m.price[t] * block.release[t] for t in m.hour)
        block.revenue = pyo.Objective(expr=revenue, sense=pyo.maximize)
        m.stage[block] = 1
    for k, block in m.plant.items():
        block.profit = pyo.Objective(
            expr=sum((m.price[t] - COST[k]) * block.output[t] for t in m.hour), sense=pyo.maximize
        )
        m.stage[block] = 2
    return m


def released(m: pyo.ConcreteModel) -> np.ndarray:
    return np.array([[v.value for v in block.release.values()] for block in m.owner.values()])


@pytest.mark.parametrize("seed", range(12))
def test_turns_from_there_end_at_once_and_where_they_end_without(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without capacities that bind nobody meets an edge: one equilibrium, found from both starts."""
    random = np.random.default_rng(seed)
    owners, hours = int(random.integers(2, 5)), int(random.integers(3, 7))
    first = reservoirs(seed, owners, hours, 1e3)
    solution = solve(first)
    assert solution.certificate.ok
    assert "round 1," in solution.answer.outcome.message
    monkeypatch.setattr(leaders_start, "begin", lambda forms, x: x)
    second = reservoirs(seed, owners, hours, 1e3)
    assert solve(second).certificate.ok
    assert released(first) == pytest.approx(released(second), abs=1e-7)


@pytest.mark.parametrize("sell", [1, -1])
@pytest.mark.parametrize("seed", range(8))
def test_edges_where_plants_reach_their_capacity(seed: int, sell: int) -> None:
    """Sellers keep off such edges, buyers like them (beyond, prices rise faster): certified by global replies."""
    random = np.random.default_rng(100 + seed)
    m = reservoirs(seed, int(random.integers(2, 4)), int(random.integers(3, 6)), 15.0 if sell > 0 else 32.0, sell)
    solution = solve(m)
    assert solution.certificate.ok, solution.certificate.scope


def test_buyers_stop_where_a_plant_reaches_its_capacity() -> None:
    """Two hours end on an edge: the plant is at its capacity of 30, and price less cost less output is still zero."""
    random = np.random.default_rng(101)
    m = reservoirs(1, int(random.integers(2, 4)), int(random.integers(3, 6)), 30.0, -1)
    solution = solve(m)
    assert solution.certificate.ok
    assert "round 1," in solution.answer.outcome.message
    edges = [
        (k, t)
        for k, block in m.plant.items()
        for t in m.hour
        if abs(block.output[t].value - 30) < 1e-9 and abs(pyo.value(m.price[t]) - COST[k] - 30) < 1e-7
    ]
    assert len(edges) == 2
