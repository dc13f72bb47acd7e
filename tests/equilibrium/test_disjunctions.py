"""Leaders by disjunctions against published answers, enumeration of all complementarity patterns, and regimes."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog

from equilibrium import find_game
from equilibrium.errors import Infeasible
from equilibrium.formulations import complementarity, disjunctions, regimes
from equilibrium.formulations.linear import NotLinear, pairs_to_w, restate
from equilibrium.hierarchy import LeaderProblem, current, leader_problem, reaction_of, split


def problem_of(model: pyo.ConcreteModel) -> LeaderProblem:
    hierarchy = split(find_game(model))
    return leader_problem(hierarchy, 0, current(hierarchy.x), reaction_of(hierarchy.followers))


def two_stages(model: pyo.ConcreteModel, leader: pyo.Block, followers) -> pyo.ConcreteModel:
    model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    model.stage[leader] = 1
    for block in followers:
        model.stage[block] = 2
    return model


def bilevel(x, y, upper, lower, rows=(), leader_rows=()) -> pyo.ConcreteModel:
    """One leader, one follower, both minimising: bounds of their Vars, payoffs and rows as functions of them."""
    m = pyo.ConcreteModel()
    m.leader, m.follower = pyo.Block(), pyo.Block()
    m.leader.x = pyo.Var(range(len(x)), bounds=lambda b, i: x[i])
    m.follower.y = pyo.Var(range(len(y)), bounds=lambda b, i: y[i])
    v, w = list(m.leader.x.values()), list(m.follower.y.values())
    m.leader.cost, m.follower.cost = pyo.Objective(expr=upper(v, w)), pyo.Objective(expr=lower(v, w))
    m.leader.row, m.follower.row = pyo.ConstraintList(), pyo.ConstraintList()
    for block, given in ((m.leader, leader_rows), (m.follower, rows)):
        for row in given:
            block.row.add(row(v, w))
    return two_stages(m, m.leader, [m.follower])


FREE, POSITIVE = (None, None), (0, None)


def bard() -> pyo.ConcreteModel:
    """K16a."""
    rows = [
        lambda x, y: x[0] + y[0] >= 3,
        lambda x, y: y[0] <= 2 * x[0],
        lambda x, y: 2 * x[0] + y[0] <= 12,
        lambda x, y: 3 * x[0] - 2 * y[0] <= 4,
    ]
    return bilevel([FREE], [FREE], lambda x, y: x[0] - 4 * y[0], lambda x, y: y[0], rows)


def candler_townsley() -> pyo.ConcreteModel:
    """K16b."""
    rows = [
        lambda x, y: -y[0] + y[1] + y[2] <= 1,
        lambda x, y: 2 * x[0] - y[0] + 2 * y[1] - y[2] / 2 <= 1,
        lambda x, y: 2 * x[1] + 2 * y[0] - y[1] - y[2] / 2 <= 1,
    ]
    return bilevel(
        [POSITIVE] * 2,
        [POSITIVE] * 3,
        lambda x, y: -8 * x[0] - 4 * x[1] + 4 * y[0] - 40 * y[1] - 4 * y[2],
        lambda x, y: y[0] + y[1] + 2 * y[2],
        rows,
    )


def readme() -> pyo.ConcreteModel:
    """K16c, with the follower's x <= 5 a limit of the leader."""
    rows = [
        lambda x, y: y[0] + x[0] <= 8,
        lambda x, y: 4 * y[0] + x[0] >= 8,
        lambda x, y: 2 * y[0] + x[0] <= 13,
        lambda x, y: 2 * y[0] <= 7 * x[0],
    ]
    return bilevel([(0, 8)], [FREE], lambda x, y: 3 * y[0] + x[0], lambda x, y: y[0], rows, [lambda x, y: y[0] <= 5])


def pool(hours: float = 8760.0, costs=(10, 12, 15), rivals=(150, 100), demand: float = 200.0) -> pyo.ConcreteModel:
    """K17: capacity of the leader's plant in a pool whose price is a multiplier."""
    m = pyo.ConcreteModel()
    m.leader = pyo.Block()
    m.leader.x = pyo.Var(bounds=(0, 250))
    m.price = pyo.Var()
    limits = [m.leader.x, *rivals]
    m.plant = pyo.Block(range(len(costs)))
    for i in m.plant:
        m.plant[i].q = pyo.Var(bounds=(0, None))
        m.plant[i].limit = pyo.Constraint(expr=m.plant[i].q <= limits[i])
        m.plant[i].profit = pyo.Objective(expr=(m.price - costs[i]) * m.plant[i].q, sense=pyo.maximize)
    m.balance = pyo.Constraint(expr=sum(m.plant[i].q for i in m.plant) == demand)
    profit = hours * (m.price - costs[0]) * m.plant[0].q - 40000 * m.leader.x
    m.leader.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    return two_stages(m, m.leader, m.plant.values())


def stackelberg(followers: int, capacity: float | None = None, curved: float = 0.0) -> pyo.ConcreteModel:
    """K10 with any number of Cournot followers: P = 13 - Q, unit costs 1."""
    m = pyo.ConcreteModel()
    m.leader = pyo.Block()
    m.leader.q = pyo.Var(bounds=(0, None))
    m.firm = pyo.Block(range(followers))
    for i in m.firm:
        m.firm[i].q = pyo.Var(bounds=(0, capacity))
    price = 13 - m.leader.q - sum(m.firm[i].q for i in m.firm)
    m.leader.profit = pyo.Objective(expr=(price - 1) * m.leader.q, sense=pyo.maximize)
    for i in m.firm:
        q = m.firm[i].q
        m.firm[i].profit = pyo.Objective(expr=(price - 1) * q - curved * q**2 / 2, sense=pyo.maximize)
    return two_stages(m, m.leader, m.firm.values())


@pytest.mark.parametrize(
    ("state", "x", "cost"),
    [
        (bard, [4], -12),
        (candler_townsley, [0, 0.9], -29.2),
        (readme, [8 / 15], 3 * 3.5 * 8 / 15 + 8 / 15),
        (pool, [50], 190000),
        (lambda: stackelberg(2), [6], -12),
    ],
    ids=["bard", "candler-townsley", "readme", "pool", "stackelberg"],
)
def test_published_answers(state, x, cost):
    problem = problem_of(state())
    sign = -1 if cost == 190000 else 1
    began = time.perf_counter()
    led = disjunctions.solve(problem)
    assert time.perf_counter() - began < 1.0
    assert led.x == pytest.approx(x, abs=1e-9)
    assert led.cost == pytest.approx(-190000 if sign < 0 else cost, rel=1e-9)
    assert led.proved
    assert problem.reaction.at(led.x).error(led.z) <= 1e-9


# ------------------------------------------------------------------------------- against enumeration of all patterns


def random_bilevel(seed: int) -> dict:
    """Arrays of a small linear bilevel: leader c'x + e'y, rows A x + B y >= r of one or two followers.

    A follower's payoff is linear in its own y, with slopes that others' decisions may move. Whole numbers make ties.
    """
    random = np.random.default_rng(seed)
    d, players = int(random.integers(1, 4)), int(random.integers(1, 3))
    sizes = [int(random.integers(1, 4 if players == 1 else 3)) for _ in range(players)]
    counts = [int(random.integers(2, 6 if players == 1 else 4)) for _ in range(players)]
    n, m = sum(sizes), sum(counts)
    owner = np.repeat(np.arange(players), sizes)
    row_owner = np.repeat(np.arange(players), counts)

    def draw(*shape):
        return random.integers(-3, 4, shape).astype(float) if seed % 2 else random.normal(size=shape).round(3)

    own_rows = row_owner[:, None] == owner[None, :]
    cross = np.where(owner[:, None] != owner[None, :], draw(n, n), 0.0) * (random.random() < 0.5)
    return {
        "c": draw(d),
        "e": draw(n),
        "x_low": np.zeros(d),
        "x_high": np.where(random.random(d) < 0.8, 4.0, np.inf),
        "y_low": np.where(random.random(n) < 0.8, 0.0, -np.inf),
        "slope": draw(n),
        "by_x": draw(n, d) * (random.random() < 0.3),
        "by_y": cross,
        "A": draw(m, d),
        "B": np.where(own_rows, draw(m, n) + (random.random((m, n)) < 0.2), 0.0),
        "r": -np.abs(draw(m)) * 2 + draw(m) * 0.3,
        "G": draw(1, d + n) if random.random() < 0.4 else np.zeros((0, d + n)),
        "g": np.array([-2.0]),
        "owner": owner,
        "row_owner": row_owner,
    }


def state(data: dict) -> pyo.ConcreteModel:
    m = pyo.ConcreteModel()
    m.leader = pyo.Block()
    d, n = len(data["c"]), len(data["e"])
    m.leader.x = pyo.Var(
        range(d), bounds=lambda b, j: (data["x_low"][j], None if np.isinf(data["x_high"][j]) else data["x_high"][j])
    )
    x = [m.leader.x[j] for j in range(d)]
    owner, row_owner = data["owner"], data["row_owner"]
    m.follower = pyo.Block(range(owner.max() + 1))
    y: list = [None] * n
    for f in m.follower:
        mine = np.flatnonzero(owner == f).tolist()
        m.follower[f].y = pyo.Var(mine, bounds=lambda b, j: (None if np.isinf(data["y_low"][j]) else 0.0, None))
        for j in mine:
            y[j] = m.follower[f].y[j]
    for f in m.follower:
        block = m.follower[f]
        block.row = pyo.ConstraintList()
        for i in np.flatnonzero(row_owner == f):
            if not data["B"][i].any():
                continue
            block.row.add(
                sum(data["A"][i, j] * x[j] for j in range(d)) + sum(data["B"][i, j] * y[j] for j in range(n))
                >= data["r"][i]
            )
        block.cost = pyo.Objective(
            expr=sum(
                y[j]
                * (
                    data["slope"][j]
                    + sum(data["by_x"][j, k] * x[k] for k in range(d))
                    + sum(data["by_y"][j, k] * y[k] for k in range(n))
                )
                for j in np.flatnonzero(owner == f)
            )
        )
    m.leader.row = pyo.ConstraintList()
    for row in data["G"][:, :]:
        if row.any():
            m.leader.row.add(sum(row[j] * x[j] for j in range(d)) + sum(row[d + j] * y[j] for j in range(n)) >= -2.0)
    m.leader.cost = pyo.Objective(
        expr=sum(data["c"][j] * x[j] for j in range(d)) + sum(data["e"][j] * y[j] for j in range(n))
    )
    return two_stages(m, m.leader, m.follower.values())


def enumerate_patterns(data: dict) -> float:
    """The least cost over all patterns of the followers' conditions, one linear programme each: inf if none is
    possible, -inf if one is unbounded."""
    n = len(data["e"])
    keep = np.flatnonzero(data["B"].any(axis=1))
    A, B, r = data["A"][keep], data["B"][keep], data["r"][keep]
    m = len(keep)
    bounded = np.flatnonzero(np.isfinite(data["y_low"]))
    # columns x, y, multipliers of the rows; stationarity = slope + by_x x + by_y y - B' multipliers
    rows = np.hstack([A, B, np.zeros((m, m))])
    gradient = np.hstack([data["by_x"], data["by_y"], -B.T])
    G = np.hstack([data["G"], np.zeros((len(data["G"]), m))])
    cost = np.concatenate([data["c"], data["e"], np.zeros(m)])
    best = np.inf
    for pattern in product((True, False), repeat=m + len(bounded)):
        tight, inside = np.array(pattern[:m], dtype=bool), np.zeros(n, dtype=bool)
        inside[bounded] = pattern[m:]
        equal_gradient = inside | ~np.isfinite(data["y_low"])
        found = linprog(
            cost,
            A_ub=np.vstack([-rows[~tight], -gradient[~equal_gradient], -G]),
            b_ub=np.concatenate([-r[~tight], data["slope"][~equal_gradient], -data["g"][: len(G)]]),
            A_eq=np.vstack([rows[tight], gradient[equal_gradient]]),
            b_eq=np.concatenate([r[tight], -data["slope"][equal_gradient]]),
            bounds=[
                *zip(data["x_low"], data["x_high"], strict=True),
                *((low, np.inf if free else 0.0) for low, free in zip(data["y_low"], equal_gradient, strict=True)),
                *((0.0, np.inf if t else 0.0) for t in tight),
            ],
        )
        if found.status == 3:
            return -np.inf
        if found.status == 0:
            best = min(best, found.fun)
    return float(best)


def check_against_enumeration(seed: int) -> str:
    data = random_bilevel(seed)
    expected = enumerate_patterns(data)
    problem = problem_of(state(data))
    try:
        led = disjunctions.solve(problem)
    except Infeasible as error:
        assert expected == (-np.inf if "without limit" in str(error) else np.inf), (seed, str(error), expected)
        return "endless" if expected < 0 else "impossible"
    assert led.cost == pytest.approx(expected, rel=1e-8, abs=1e-8), seed
    assert led.proved, seed
    assert problem.reaction.at(led.x).error(led.z) <= 1e-9
    assert problem.excess(np.concatenate([led.x, led.z])).max(initial=0.0) <= 1e-9
    return "solved"
