"""The certificate itself: 500 answers that were changed, from one part in a million upwards, and 500 that were not."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from games import cournot, random_cournot
from pyomo.mpec import Complementarity, complements

from benchmarks.leaders import bilevel, storage
from equilibrium import solve
from equilibrium.testing import describe, tamper

EACH = 50


def potential(random):
    return random_cournot(random)


def price_takers(random):
    n = int(random.integers(2, 5))
    return cournot(
        100.0,
        float(random.uniform(0.5, 3)),
        random.uniform(5, 60, n).tolist(),
        random.uniform(0.5, 2, n).tolist(),
        conjecture=0.0,
    )


def conjectures(random):
    n = int(random.integers(2, 5))
    return cournot(
        90.0,
        float(random.uniform(0.5, 3)),
        random.uniform(5, 60, n).tolist(),
        random.uniform(0.5, 2, n).tolist(),
        conjecture=float(random.uniform(0.2, 1.8)),
    )


def shared_limit(random):
    m = random_cournot(random, firms=3)
    m.yard = pyo.Constraint(expr=sum(m.firm[i].q for i in m.firm) <= float(random.uniform(2, 20)))
    return m


def cleared(random):
    """Producers and consumers that take a price paired with the clearing row."""
    m = pyo.ConcreteModel()
    m.price = pyo.Var(bounds=(0, None))
    m.seller, m.buyer = pyo.Block(range(3)), pyo.Block(range(2))
    for i in m.seller:
        b, c = random.uniform(5, 40), random.uniform(0.5, 2)
        m.seller[i].q = pyo.Var(bounds=(0, float(random.uniform(5, 40))))
        m.seller[i].profit = pyo.Objective(
            expr=m.price * m.seller[i].q - b * m.seller[i].q - c * m.seller[i].q ** 2 / 2, sense=pyo.maximize
        )
    for i in m.buyer:
        a, b = random.uniform(60, 120), random.uniform(0.5, 2)
        m.buyer[i].d = pyo.Var(bounds=(0, None))
        m.buyer[i].surplus = pyo.Objective(
            expr=a * m.buyer[i].d - b * m.buyer[i].d ** 2 / 2 - m.price * m.buyer[i].d, sense=pyo.maximize
        )
    gap = sum(m.seller[i].q for i in m.seller) - sum(m.buyer[i].d for i in m.buyer)
    m.balance = Complementarity(expr=complements(gap >= 0, m.price >= 0))
    return m


def planner(random):
    """One player with linear rows: dispatch of plants against a fixed demand."""
    m = pyo.ConcreteModel()
    n = int(random.integers(2, 6))
    m.q = pyo.Var(range(n), bounds=(0, 30))
    m.demand = pyo.Constraint(expr=sum(m.q.values()) == float(random.uniform(5, 25 * n)))
    b, c = random.uniform(5, 60, n), random.uniform(0.3, 2, n)
    m.cost = pyo.Objective(expr=sum(b[i] * m.q[i] + c[i] * m.q[i] ** 2 / 2 for i in range(n)))
    return m


def curved(random):
    """Cournot firms with cost (q + 1)^3 / 3: nonlinear conditions."""
    m = random_cournot(random, firms=2)
    for i in m.firm:
        m.firm[i].profit.expr -= (m.firm[i].q + 1) ** 3 / 3 * float(random.uniform(0.01, 0.2))
    return m


def best_response_pair(random):
    """Two players with quadratic payoffs and a skew part: no potential."""
    m = pyo.ConcreteModel()
    m.player = pyo.Block([0, 1])
    for i in m.player:
        m.player[i].x = pyo.Var(range(2), bounds=(-5, 5))
    for i in (0, 1):
        own, other = m.player[i].x, m.player[1 - i].x
        a, s = random.uniform(-4, 4, 2), random.uniform(-1, 1, (2, 2))
        cost = sum(own[k] ** 2 - a[k] * own[k] + sum(s[k, j] * own[k] * other[j] for j in (0, 1)) for k in (0, 1))
        m.player[i].cost = pyo.Objective(expr=cost)
    return m


def merchant(random):
    data = (
        float(random.uniform(30, 60)),
        float(random.uniform(90, 150)),
        1,
        float(random.uniform(0.8, 1.5)),
        20,
        0.2,
        1.2,
        0.5,
        2,
    )
    return storage(*data)


def regulator(random):
    t = float(random.uniform(1, 5))
    return bilevel(
        [(0, 10), (0, 10)],
        [(0, None), (0, None)],
        lambda x, y: (y[0] - t) ** 2 + (y[1] - 2) ** 2 + 0.1 * x[0] ** 2 + 0.1 * x[1] ** 2,
        lambda x, y: y[0] ** 2 + y[1] ** 2 - 2 * x[0] * y[0] - 2 * x[1] * y[1] + 0.5 * y[0] * y[1],
    )


KINDS = (
    potential,
    price_takers,
    conjectures,
    shared_limit,
    cleared,
    planner,
    curved,
    best_response_pair,
    merchant,
    regulator,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_true_answers_are_accepted_and_changed_ones_rejected(kind):
    random = np.random.default_rng(KINDS.index(kind))
    for _ in range(EACH):
        model = kind(random)
        solution = solve(model)
        assert solution.certificate.ok, describe(solution.certificate)
        free = [v for v in model.component_data_objects(pyo.Var) if not v.fixed]
        size = max(1.0, *(abs(v.value) for v in free if v.parent_component().name != "price"))
        variable = free[int(random.integers(len(free)))]
        scale = max(abs(variable.value), size) if variable.parent_component().name != "price" else abs(variable.value)
        delta = float(random.choice([-1.0, 1.0])) * scale * 10.0 ** -float(random.uniform(0, 6))
        certificate = tamper(solution, variable, delta)
        assert not certificate.ok, f"{variable.name} moved by {delta:g}: {describe(certificate)}"
