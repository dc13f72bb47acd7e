"""Nonlinear conditions of many scenarios at once: the same as one by one."""

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import solve
from equilibrium.batches import solve_many
from equilibrium.compiled import Programme
from equilibrium.curved import derive_curved
from equilibrium.curved import solve as solve_curved
from equilibrium.curved_curvature import curvatures, strictly_monotone


def market(takers: bool, straight: bool = False) -> pyo.ConcreteModel:
    """Three firms with curved costs, capacities and a contract, inverse demand with a constant elasticity; price takers
    clear with consumers' demand, the others set quantities."""
    m = pyo.ConcreteModel()
    m.size = pyo.Param(initialize=60, mutable=True)
    m.steep = pyo.Param(initialize=0.7, mutable=True)
    m.bend = pyo.Param([1, 2, 3], initialize={1: 0.5, 2: 0.8, 3: 0.2}, mutable=True)
    m.room = pyo.Param([1, 2, 3], initialize={1: 3, 2: 9, 3: 9}, mutable=True)
    m.firm = pyo.Block([1, 2, 3])
    for k in m.firm:
        m.firm[k].q = pyo.Var(bounds=(0.1, None), initialize=1)
        m.firm[k].capacity = pyo.Constraint(expr=m.firm[k].q <= m.room[k])
    total = sum(m.firm[k].q for k in m.firm)
    if takers:
        m.price = pyo.Var(initialize=10)
        m.consumer = pyo.Block()
        m.consumer.d = pyo.Var(bounds=(0.1, 40), initialize=3)
        utility = m.size * m.consumer.d ** (1 - m.steep) / (1 - m.steep)
        m.consumer.surplus = pyo.Objective(expr=utility - m.price * m.consumer.d, sense=pyo.maximize)
        m.clearing = pyo.Constraint(expr=total == m.consumer.d)
    else:
        m.price = pyo.Expression(expr=m.size - 2 * total if straight else m.size * total ** (-m.steep))
    for k in m.firm:
        q = m.firm[k].q
        cost = m.bend[k] * pyo.exp(0.5 * q) + q
        m.firm[k].profit = pyo.Objective(expr=m.price * q - cost, sense=pyo.maximize)
    return m


def cells(random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Numbers of many scenarios."""
    return {
        "size": random.uniform(20, 90, count),
        "steep": random.uniform(0.3, 0.9, count),
        "bend[1]": random.uniform(0.05, 2.0, count),
        "room[2]": random.uniform(0.5, 9.0, count),
    }


@pytest.mark.parametrize("takers", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_what_a_loop_gives(seed: int, takers: bool) -> None:
    random = np.random.default_rng(seed)
    m, given = market(takers), cells(np.random.default_rng(seed), 300)
    batch = solve_many(m, given)
    assert (batch.table["verdict"] == "certified").all()
    assert (batch.table["route"] == "together").mean() > 0.95
    assert batch.table["residual"].max() < 1e-9 and batch.table["regret"].max() < 1e-9
    for k in random.choice(300, 8, replace=False):
        one = market(takers)
        for name, values in given.items():
            one.find_component(name).set_value(float(values[k]))
        solution = solve(one)
        assert solution.certificate.verdict == "certified"
        for firm in one.firm:
            assert batch.value(m.firm[firm].q)[k] == pytest.approx(one.firm[firm].q.value, rel=1e-9)
        if solution.certificate.uniqueness.decisions != "unique":
            assert batch.table["unique"][k] != "unique" or not takers


@pytest.mark.parametrize("straight", [True, False])
def test_the_curvature_bound_is_below_every_eigenvalue_met(straight: bool) -> None:
    m, count = market(False, straight), 40
    given = cells(np.random.default_rng(5), count)
    group, astray = derive_curved(m, [(m.find_component(n), v) for n, v in given.items()], np.arange(count))
    assert not astray.any()
    z, error, problems = solve_curved(group)
    assert error.max() < 1e-9
    own = curvatures(group, problems, z)
    together = strictly_monotone(group, problems, z)
    random = np.random.default_rng(6)
    q = [next(k for k, c in enumerate(group.mcp.components) if c is m.firm[f].q) for f in m.firm]
    for _ in range(200):
        trial = z.copy()
        room = np.array([np.full(count, 3.0), given["room[2]"], np.full(count, 9.0)])
        for f, column in enumerate(q):
            one = z.copy()
            one[column] = random.uniform(0.1, room[f])
            hessian = group.linearised(one).data[entry(group, column, column)]
            assert (hessian >= own[f].lowest * (1 - 1e-9))[own[f].convex].all()
            trial[column] = random.uniform(0.1, room[f])
        tangent = group.linearised(trial)
        jacobian = np.array([[tangent.data[entry(group, i, j)] for j in q] for i in q]).transpose(2, 0, 1)
        least = np.linalg.eigvalsh(jacobian + jacobian.transpose(0, 2, 1))[:, 0]
        assert (least[together] > 0).all()
    assert together.all() == straight and np.mean([one.convex for one in own]) > 0.9


def entry(group: object, row: int, column: int) -> int:
    """Where a derivative is stored."""
    shape = group.shape  # type: ignore[attr-defined]
    return int(np.flatnonzero((shape.rows == row) & (shape.columns == column))[0])


def test_a_player_that_is_not_convex_goes_alone() -> None:
    m = pyo.ConcreteModel()
    m.bend = pyo.Param(initialize=1, mutable=True)
    m.x = pyo.Var(bounds=(0.5, 5), initialize=1)
    m.cost = pyo.Objective(expr=pyo.exp(m.x) - m.bend * m.x**3)
    bend = np.linspace(-1.0, 2.0, 31)
    batch = solve_many(m, {"bend": bend})
    curved = np.min([np.exp(x) - 6 * b * x for x in np.linspace(0.5, 5, 200) for b in [bend]], axis=0) < 0
    assert (batch.table["route"][curved] == "alone").all()
    assert (batch.table["route"][~curved] == "together").mean() > 0.8
    best = [min(np.exp(x) - b * x**3 for x in np.linspace(0.5, 5, 4001)) for b in bend]
    cost = np.exp(batch.value(m.x)) - bend * batch.value(m.x) ** 3
    sure = batch.ok & (batch.table["verdict"] == "certified").to_numpy()
    assert np.allclose(cost[sure], np.array(best)[sure], atol=1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_an_enclosure_contains_what_it_encloses(seed: int) -> None:
    random = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(), pyo.Var()
    m.a = pyo.Param(initialize=1.5, mutable=True)

    def term(depth: int) -> object:
        if depth == 0:
            return random.choice([m.x, m.y, m.a + 0.0 * m.x, float(random.normal())])
        first, second = term(depth - 1), term(depth - 1)
        kind = random.integers(9)
        return [
            lambda: first + second,
            lambda: first - second,
            lambda: first * second,
            lambda: first / (second**2 + 0.5),
            lambda: (first**2 + 0.1) ** 0.75 * second,
            lambda: pyo.exp(0.1 * first) - second,
            lambda: first**3,
            lambda: pyo.sqrt(first**2 + 1) + abs(second),
            lambda: pyo.log(first**2 + 1) * second,
        ][kind]()

    expression = term(3) + 0.0 * m.x
    programme = Programme([expression], [m.x, m.y])
    low = random.uniform(-2, 2, (2, 50))
    up = low + random.uniform(0, 1, (2, 50))
    inside = low[:, :, None] + random.random((2, 50, 30)) * (up - low)[:, :, None]
    below, above = programme.enclose(low, up, np.zeros(50, dtype=int))
    values = programme(inside.reshape(2, -1)).reshape(50, 30)
    room = 1e-12 * (1 + np.abs(values))
    assert (values >= below[0][:, None] - room).all() and (values <= above[0][:, None] + room).all()
    m.x.set_value(float(inside[0, 0, 0]), skip_validation=True)
    m.y.set_value(float(inside[1, 0, 0]), skip_validation=True)
    assert values[0, 0] == pytest.approx(pyo.value(expression), rel=1e-12)


def test_what_has_no_derivative_is_refused() -> None:
    m = pyo.ConcreteModel()
    m.a = pyo.Param(initialize=1, mutable=True)
    m.x = pyo.Var(bounds=(1.5, 5), initialize=2)
    m.cost = pyo.Objective(expr=pyo.acosh(m.x) * -m.a + m.x**2)
    batch = solve_many(m, {"a": np.linspace(1, 2, 6)})
    assert (batch.table["verdict"] == "refused").all() and batch.table["reason"].str.contains("derivative").all()
