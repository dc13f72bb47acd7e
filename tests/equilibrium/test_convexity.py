"""Proofs of convexity: right on known functions, and never given for a function that sampling shows not to be
convex."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.common.collections import ComponentMap

from equilibrium import find_game
from equilibrium.convexity import curvature, prove


def setup(expression, boxes, sense=pyo.minimize, constraint=None):
    m = pyo.ConcreteModel()
    m.p = pyo.Block()
    m.p.x = pyo.Var(range(len(boxes)), initialize=1.0)
    m.given = pyo.Var(initialize=2.0)
    m.given.fix()
    m.p.o = pyo.Objective(expr=expression(*(m.p.x[k] for k in range(len(boxes)))), sense=sense)
    if constraint is not None:
        m.p.c = pyo.Constraint(expr=constraint(*(m.p.x[k] for k in range(len(boxes)))))
    return find_game(m).players[0]


ANY = (-np.inf, np.inf)
CONVEX = [
    (lambda x: 3 * x - 2, [ANY]),
    (lambda x: x**2, [ANY]),
    (lambda x: (2 * x - 5) ** 4, [ANY]),
    (lambda x: x**1.5, [(0, np.inf)]),
    (lambda x: 1 / (x + 1) ** 0.5, [(0, 9)]),
    (lambda x: pyo.exp(3 * x - 1), [ANY]),
    (lambda x: -pyo.log(x), [(0.1, 9)]),
    (lambda x: -pyo.sqrt(x), [(0, 9)]),
    (lambda x: -((x + 1) ** 0.3), [(0, 9)]),
    (lambda x: x**3, [(0, 5)]),
    (lambda x: x**3 + 4 * x**2, [(-1, 5)]),
    (lambda x: pyo.exp(x**2), [(-2, 2)]),
    (lambda x, y: x**2 + x * y + y**2, [ANY, ANY]),
    (lambda x, y: (x + y) ** 2 + (x - y) ** 2, [ANY, ANY]),
    (lambda x, y: x**4 + y**4 + x * y + 2 * x**2 + 2 * y**2, [(-3, 3), (-3, 3)]),
    (lambda x: x * x, [(-3, 3)]),
    (lambda x: (x**2 + 1e-18) ** 1.25, [(0.1, 3)]),
]
NOT_CONVEX = [
    (lambda x: -(x**2), [(-1, 1)]),
    (lambda x: x**3, [(-1, 1)]),
    (lambda x, y: x * y, [(-1, 1), (-1, 1)]),
    (lambda x, y: 2 * (x * y), [ANY, ANY]),
    (lambda x: pyo.sqrt(x), [(0.1, 9)]),
    (lambda x: pyo.log(x), [(0.1, 9)]),
    (lambda x: x**0.5, [(0, 9)]),
    (lambda x: x**-1, [(-2, -1)]),
    (lambda x: pyo.sin(x), [(0, 3)]),
    (lambda x: -abs(x), [(-1, 1)]),
    (lambda x: pyo.exp(-(x**2)), [(-2, 2)]),
    (lambda x, y: x**2 + y**2 + 2.1 * x * y, [(-1, 1), (-1, 1)]),
    (lambda x, y: x**2 / y, [(-1, 1), (-2, -1)]),
    (lambda x: (x**2) ** 0.5 * -1, [(-1, 1)]),
]


@pytest.mark.parametrize("k", range(len(CONVEX)))
def test_convex_functions_are_proved(k):
    assert prove(setup(*CONVEX[k]), CONVEX[k][1])


@pytest.mark.parametrize("k", range(len(CONVEX)))
def test_their_negatives_are_concave_for_a_maximiser(k):
    expression, boxes = CONVEX[k]
    assert prove(setup(lambda *x: -expression(*x), boxes, pyo.maximize), boxes)


@pytest.mark.parametrize("k", range(len(NOT_CONVEX)))
def test_others_are_not(k):
    assert prove(setup(*NOT_CONVEX[k]), NOT_CONVEX[k][1]) is None


@pytest.mark.parametrize(
    ("constraint", "convex"),
    [
        (lambda x: x**2 <= 4, True),
        (lambda x: x**2 >= 1, False),
        (lambda x: -(x**2) >= -4, True),
        (lambda x: pyo.inequality(1, x**2, 4), False),
        (lambda x: x**2 == 4, False),
        (lambda x: pyo.log(x + 3) >= 0, True),
        (lambda x: 2 * x == 4, True),
    ],
)
def test_constraints_must_be_convex_too(constraint, convex):
    assert bool(prove(setup(lambda x: x**2, [(-2, 2)], constraint=constraint), [(-2, 2)])) == convex


def random_function(random: np.random.Generator):
    """A random polynomial with powers, products, a root and an exponential in one or two variables, and its box."""
    n = int(random.integers(1, 3))
    positive = bool(random.random() < 0.5)
    boxes = []
    for _ in range(n):
        low = float(random.uniform(0.05, 1) if positive else random.uniform(-2, 0))
        boxes.append((low, low + float(random.uniform(0.5, 3))))
    coefficient = random.normal(size=8) * (random.random(8) < 0.6)
    power = float(random.uniform(-1.5, 3.5)) if positive else float(random.integers(1, 5))

    def expression(x, y=None):
        y = 1.0 if y is None else y
        found = coefficient[0] * x**2 + coefficient[1] * x * y + coefficient[2] * x**3
        found += abs(coefficient[3]) * x**4 + 3 * abs(coefficient[4]) * y**2 + coefficient[5] * x**power
        return found + abs(coefficient[6]) * pyo.exp(coefficient[7] * x + 0.3 * y)

    return expression, boxes


@pytest.mark.parametrize("batch", range(6))
def test_never_convex_where_sampling_shows_otherwise(batch):
    """f((u + v) / 2) <= (f(u) + f(v)) / 2 for many u, v of the box, wherever a proof is given; and some proofs are
    given."""
    random = np.random.default_rng(batch)
    proofs = 0
    for _ in range(60):
        expression, boxes = random_function(random)
        player = setup(expression, boxes)
        if not prove(player, boxes):
            continue
        proofs += 1
        low, up = np.array(boxes).T

        def value(point, player=player):
            for variable, number in zip(player.decisions, point, strict=True):
                variable.set_value(float(number))
            return pyo.value(player.objective.expr)

        for _ in range(40):
            u, v = random.uniform(low, up), random.uniform(low, up)
            if random.random() < 0.5:
                v = np.clip(u + 1e-2 * random.normal(size=len(u)), low, up)
            ends = 0.5 * (value(u) + value(v))
            assert value((u + v) / 2) <= ends + 1e-11 * max(1.0, abs(ends))
    assert proofs > 5


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        (lambda x, c: c * 3, "constant"),
        (lambda x, c: c * x + 1, "affine"),
        (lambda x, c: c * x**2, "convex"),
        (lambda x, c: -c * x**2, "concave"),
        (lambda x, c: x**2 - pyo.sqrt(x + 9), "convex"),
        (lambda x, c: x**2 + pyo.sqrt(x + 9), "unknown"),
        (lambda x, c: 0 * x**2, "constant"),
        (lambda x, c: x / c, "affine"),
        (lambda x, c: c / (x + 9), "unknown"),
        (lambda x, c: (x + 5) ** -2, "convex"),
        (lambda x, c: (x - 5) ** 3, "unknown"),
    ],
)
def test_rules_of_composition(expression, kind):
    """x in [-1, 1]; c is another's Var at 2."""
    m = pyo.ConcreteModel()
    m.x, m.c = pyo.Var(initialize=0.5), pyo.Var(initialize=2.0)
    found = curvature(expression(m.x, m.c), ComponentMap([(m.x, (-1.0, 1.0))]))
    assert found == kind or {found, kind} <= {"constant", "affine"}  # affine includes constant
