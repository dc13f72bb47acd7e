"""Small games as plain Pyomo models, for the tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyomo.environ as pyo
from pyomo.mpec import Complementarity, complements

INF = float("inf")


def cournot(
    intercept: float,
    slope: float,
    linear: Sequence[float],
    curved: Sequence[float] | None = None,
    capacity: Sequence[float] | None = None,
    conjecture: float = 1.0,
) -> pyo.ConcreteModel:
    """Firms i choose q_i >= 0 on P = intercept - slope Q with cost linear_i q + curved_i q^2 / 2; the price is an
    Expression.

    conjecture: by how much a firm believes total output to move with its own (0 price taker, 1 Cournot, 2 two
    colluding firms). Other values than 1 are stated through a price Var that everybody takes plus the part of it that
    the firm moves.
    """
    n = len(linear)
    curved = [0.0] * n if curved is None else curved
    capacity = [None] * n if capacity is None else capacity
    m = pyo.ConcreteModel()
    m.firm = pyo.Block(range(n))
    for i in range(n):
        m.firm[i].q = pyo.Var(bounds=(0, capacity[i]))
    m.total = pyo.Expression(expr=sum(m.firm[i].q for i in range(n)))
    if conjecture == 1.0:
        m.price = pyo.Expression(expr=intercept - slope * m.total)
    else:
        m.price = pyo.Var()
        m.inverse_demand = pyo.Constraint(expr=m.price == intercept - slope * m.total)
    for i in range(n):
        b = m.firm[i]
        profit = m.price * b.q - linear[i] * b.q - 0.5 * curved[i] * b.q**2
        if conjecture != 1.0:
            profit -= (
                0.5 * slope * conjecture * b.q**2
            )  # moves the price by slope * conjecture * q beyond what it takes
        b.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    return m


def random_cournot(random: np.random.Generator, firms: int | None = None) -> pyo.ConcreteModel:
    """Strictly convex costs and random capacities: one equilibrium, some firms at zero or at capacity."""
    n = int(random.integers(2, 6)) if firms is None else firms
    capacity = [float(random.uniform(1, 30)) if random.random() < 0.5 else None for _ in range(n)]
    return cournot(
        100.0,
        float(random.uniform(0.5, 3)),
        random.uniform(5, 110, n).tolist(),
        random.uniform(0.1, 2, n).tolist(),
        capacity,
    )


def oligopsony(random: np.random.Generator) -> pyo.ConcreteModel:
    """Buyers with fixed energy over periods on rising supply: min sum_t (a_t + b_t (x_t + L_t)) l_it, sum_t l_it =
    E_i, l >= 0."""
    n, periods = int(random.integers(1, 4)), int(random.integers(2, 5))
    m = pyo.ConcreteModel()
    m.buyer = pyo.Block(range(n))
    for i in range(n):
        b = m.buyer[i]
        b.load = pyo.Var(range(periods), within=pyo.NonNegativeReals)
        b.energy = pyo.Constraint(expr=sum(b.load[t] for t in range(periods)) == float(random.uniform(1, 10)))
    a, slope, x = random.uniform(0, 20, periods), random.uniform(0.5, 2, periods), random.uniform(0, 20, periods)
    m.price = pyo.Expression(
        range(periods), rule=lambda m, t: a[t] + slope[t] * (x[t] + sum(m.buyer[i].load[t] for i in range(n)))
    )
    for i in range(n):
        b = m.buyer[i]
        b.bill = pyo.Objective(expr=sum(m.price[t] * b.load[t] for t in range(periods)))
    return m


def network(
    random: np.random.Generator, nodes: int = 3, flip: Sequence[int] = (), scale: float = 1.0, extra: float = 0.0
) -> pyo.ConcreteModel:
    """Price takers on a line of nodes: elastic demand, plants with rising cost, links that trade between neighbours.

    flip: nodes whose clearing row is written demand - supply == 0 instead of supply - demand == 0. scale: factor on
    all money. extra: inflexible demand added at node 0.
    """
    m = pyo.ConcreteModel()
    m.price = pyo.Var(range(nodes))
    m.plant, m.users, m.link = pyo.Block(range(nodes)), pyo.Block(range(nodes)), pyo.Block(range(nodes - 1))
    for n in range(nodes):
        p, u = m.plant[n], m.users[n]
        p.q = pyo.Var(bounds=(0, float(random.uniform(5, 30))))
        a, b = float(random.uniform(1, 20)), float(random.uniform(0.2, 2))
        p.profit = pyo.Objective(expr=m.price[n] * p.q - scale * (a * p.q + 0.5 * b * p.q**2), sense=pyo.maximize)
        u.d = pyo.Var(within=pyo.NonNegativeReals)
        a, b = float(random.uniform(20, 60)), float(random.uniform(0.5, 2))
        u.cost = pyo.Objective(expr=m.price[n] * u.d - scale * (a * u.d - 0.5 * b * u.d**2))
    for k in range(nodes - 1):
        link = m.link[k]
        link.flow = pyo.Var(bounds=(-4.0, 4.0))
        toll = float(random.uniform(0.01, 0.5))
        link.rent = pyo.Objective(
            expr=(m.price[k + 1] - m.price[k]) * link.flow - scale * 0.5 * toll * link.flow**2, sense=pyo.maximize
        )
    m.clearing = pyo.Constraint(range(nodes))
    for n in range(nodes):
        arriving = (m.link[n - 1].flow if n else 0.0) - (m.link[n].flow if n < nodes - 1 else 0.0)
        supply, demand = m.plant[n].q + arriving, m.users[n].d + (extra if n == 0 else 0.0)
        m.clearing[n] = (demand - supply == 0) if n in flip else (supply - demand == 0)
    return m


def pure(matrix: np.ndarray, vector: np.ndarray, lower: Sequence[float], upper: Sequence[float]) -> pyo.ConcreteModel:
    """lower <= z <= upper _|_ matrix z + vector as Pyomo pairs without players; free columns are equality rows."""
    n = len(vector)
    m = pyo.ConcreteModel()
    m.z = pyo.Var(range(n))
    m.pair = Complementarity(range(n), rule=lambda m, i: _pair(m, matrix, vector, lower[i], upper[i], i))
    return m


def _pair(m: pyo.ConcreteModel, matrix: np.ndarray, vector: np.ndarray, low: float, up: float, i: int):
    row = sum(float(matrix[i, j]) * m.z[j] for j in range(len(vector))) + float(vector[i])
    if low == -INF and up == INF:
        return complements(row == 0, m.z[i])
    if up == INF:
        return complements(row >= 0, m.z[i] >= low)
    if low == -INF:
        return complements(row <= 0, m.z[i] <= up)
    return complements(pyo.inequality(low, m.z[i], up), row)


def household(conduct: str, capacity: float = INF) -> pyo.ConcreteModel:
    """One buyer with value 60 d - d^2 on supply P = 10 + d. ``conduct``: 'moves' (Expression) or 'takes' (Var and
    clearing row)."""
    m = pyo.ConcreteModel()
    m.buyer = pyo.Block()
    m.buyer.d = pyo.Var(bounds=(0, None if capacity == INF else capacity))
    if conduct == "moves":
        m.price = pyo.Expression(expr=10 + m.buyer.d)
    else:
        m.price = pyo.Var()
        m.supply = pyo.Constraint(expr=m.price == 10 + m.buyer.d)
    m.buyer.surplus = pyo.Objective(expr=60 * m.buyer.d - m.buyer.d**2 - m.price * m.buyer.d, sense=pyo.maximize)
    return m
