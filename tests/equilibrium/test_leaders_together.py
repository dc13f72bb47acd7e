"""One leader over affine followers in many scenarios at once: against formulas, grids and single solves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp

from equilibrium import leader_optima, solve
from equilibrium.batches import solve_many
from equilibrium.held import Held, solve_held
from equilibrium.mcp import DECISION, MixedComplementarity, Names
from equilibrium.parametric import held
from equilibrium.scenarios import NotVectorised, Tape
from equilibrium.solvers import newton, pieces
from equilibrium.solvers.pieces import Lines

RANGES = {
    "first": (5.0, 70.0),
    "second": (80.0, 160.0),
    "slope": (0.5, 1.5),
    "cost_a": (5.0, 45.0),
    "cost_b": (5.0, 45.0),
    "ratio": (1.0, 1.3),
    "bend": (0.02, 0.5),
    "most": (10.0, 300.0),
}
"""Two periods' intercepts, the slope, costs of two firms, losses, the owner's quadratic cost, its largest size."""


def storage(copies: int = 1) -> pyo.ConcreteModel:
    """An owner of a storage (size, discharge) before Cournot firms of two kinds in two periods; numbers are Params."""
    m = pyo.ConcreteModel()
    for name, (low, up) in RANGES.items():
        m.add_component(name, pyo.Param(initialize=(low + up) / 2, mutable=True))
    m.owner, m.firm = pyo.Block(), pyo.Block(range(2 * copies))
    m.owner.size, m.owner.used = pyo.Var(within=pyo.NonNegativeReals), pyo.Var(within=pyo.NonNegativeReals)
    m.owner.most = pyo.Constraint(expr=m.owner.size <= m.most)
    m.owner.limit = pyo.Constraint(expr=m.owner.used <= m.owner.size)
    for block in m.firm.values():
        block.q = pyo.Var([1, 2], bounds=(0, None))
    feed = {1: -m.ratio * m.owner.used, 2: m.owner.used}
    price = {
        t: a - m.slope * (sum(b.q[t] for b in m.firm.values()) + feed[t]) for t, a in ((1, m.first), (2, m.second))
    }
    for k, block in m.firm.items():
        cost = m.cost_a if k < copies else m.cost_b
        profit = sum((price[t] - cost) * block.q[t] for t in (1, 2))
        block.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    income = sum(price[t] * feed[t] for t in (1, 2)) - m.bend * m.owner.size**2 / 2
    m.owner.profit = pyo.Objective(expr=income, sense=pyo.maximize)
    return order(m, m.owner)


def order(m: pyo.ConcreteModel, *leaders: Any) -> pyo.ConcreteModel:
    m.stage = pyo.Suffix()
    for leader in leaders:
        m.stage[leader] = 1
    for block in m.component_data_objects(pyo.Block, descend_into=False):
        if all(block is not leader for leader in leaders):
            m.stage[block] = 2
    return m


def drawn(count: int, seed: int) -> dict[str, np.ndarray]:
    """Numbers at random; in a third of the scenarios the firms are equal, so that they turn together."""
    random = np.random.default_rng(seed)
    found = {name: random.uniform(low, up, count) for name, (low, up) in RANGES.items()}
    found["cost_b"][: count // 3] = found["cost_a"][: count // 3]
    return found


def many(model: pyo.ConcreteModel, values: dict[str, np.ndarray]) -> tuple[Held, Callable[[Any], np.ndarray]]:
    """(what is held, a function that gives an expression in every scenario)."""
    count = len(next(iter(values.values())))
    tape = Tape.of(count)
    params = [(model.find_component(name), numbers) for name, numbers in values.items()]
    with held(params, np.arange(count), tape):
        found = solve_held(model, tape)
        kept = {v.name: np.array(v.value.values) for v in model.component_data_objects(pyo.Var)}
    for variable in model.component_data_objects(pyo.Var):
        variable.set_value(None)
    return found, lambda name: kept[name]


def income(values: dict[str, np.ndarray], used: np.ndarray) -> np.ndarray:
    """What the owner earns by a discharge (scenarios, ...) it builds for, by formulas of Cournot's duopoly."""
    v = {name: numbers.reshape(-1, *[1] * (used.ndim - 1)) for name, numbers in values.items()}
    earned = -v["bend"] * used**2 / 2
    for intercept, feed in ((v["first"], -v["ratio"] * used), (v["second"], used)):
        level = intercept - v["slope"] * feed
        a, b = level - v["cost_a"], level - v["cost_b"]
        both = np.maximum(2 * a - b, 0), np.maximum(2 * b - a, 0)
        q = np.where((2 * a - b > 0) & (2 * b - a > 0), (both[0] + both[1]) / 3, np.maximum(np.maximum(a, b), 0) / 2)
        earned = earned + (level - q) * feed
    return earned


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_owners_do_as_well_as_any_discharge_on_a_grid(seed: int) -> None:
    values = drawn(2000, seed)
    found, of = many(storage(), values)
    assert found.ok.mean() > 0.99 and found.verdict == "certified"
    payoff = found.leaders["payoff"].iloc[0].values
    assert np.array_equal(found.leaders["bound"].iloc[0].values, payoff, equal_nan=True)
    ok = found.ok
    used, size = of("owner.used")[ok], of("owner.size")[ok]
    some = {name: numbers[ok] for name, numbers in values.items()}
    worth = np.abs(payoff[ok]) + 1.0
    assert np.abs(income(some, used) - payoff[ok]).max() <= 1e-9 * worth.max()
    assert (used <= size * (1 + 1e-12)).all() and (size <= some["most"] * (1 + 1e-12)).all()
    grid = np.linspace(0, 1, 1501) * some["most"][:, None]
    tried = income(some, grid)
    assert (tried.max(axis=1) <= payoff[ok] + 1e-9 * worth).all()
    peaks = (tried[:, 1:-1] > tried[:, :-2]) & (tried[:, 1:-1] > tried[:, 2:])
    assert (peaks.sum(axis=1) > 1).sum() > 20, "some have two peaks"
    assert (used == 0).sum() + (used == some["most"]).sum() > 20, "some are at an end"


@pytest.mark.parametrize("copies", [1, 6])
def test_single_solves_say_the_same(copies: int) -> None:
    """With several firms of a kind many columns turn at once."""
    values, model = drawn(400, 7), storage(copies)
    found, of = many(model, values)
    assert found.ok.mean() > 0.99
    names = [v.name for v in model.component_data_objects(pyo.Var)]
    payoff = found.leaders["payoff"].iloc[0].values
    for k in np.random.default_rng(1).choice(np.flatnonzero(found.ok), 12, replace=False):
        for name, numbers in values.items():
            model.find_component(name).set_value(numbers[k])
        alone = solve(model)
        assert alone.certificate.verdict == "certified"
        assert alone.leaders["payoff"].iloc[0] == pytest.approx(payoff[k], rel=1e-9, abs=1e-9)
        assert alone.certificate.uniqueness.decisions == found.unique[k]
        for name in names:
            assert of(name)[k] == pytest.approx(model.find_component(name).value, rel=1e-9, abs=1e-9), name


def test_the_higher_of_two_peaks_is_found_on_either_side_of_the_jump() -> None:
    """Around the intercept at which both peaks are equal the owner's discharge jumps."""
    count = 200
    values = {name: np.full(count, sum(RANGES[name]) / 2) for name in RANGES}
    values |= {"first": np.full(count, 5.0), "cost_a": np.full(count, 30.0), "cost_b": np.full(count, 30.0)}
    values |= {"slope": np.ones(count), "ratio": np.full(count, 1.1), "bend": np.full(count, 0.02)}
    values |= {"most": np.full(count, 300.0), "second": np.linspace(80.0, 260.0, count)}
    found, of = many(storage(), values)
    used = of("owner.used")
    fine = np.linspace(0, 300, 60_001)
    best = fine[income(values, np.broadcast_to(fine, (count, len(fine)))).argmax(axis=1)]
    assert found.ok.all() and np.abs(used - best).max() <= 0.006
    assert np.diff(used).max() > 5 * np.median(np.diff(used)) > 0


def one_way(weight: float = 1.0) -> pyo.ConcreteModel:
    """A follower that answers x by max(x, 0), and a leader with weight max(x, 0) - x."""
    m = pyo.ConcreteModel()
    m.weight, m.reach = pyo.Param(initialize=weight, mutable=True), pyo.Param(initialize=1.0, mutable=True)
    m.leader, m.follower = pyo.Block(), pyo.Block()
    m.leader.x, m.follower.q = pyo.Var(bounds=(-m.reach, 1)), pyo.Var(bounds=(0, None))
    m.follower.cost = pyo.Objective(expr=(m.follower.q - m.leader.x) ** 2 / 2)
    m.leader.payoff = pyo.Objective(expr=m.weight * m.follower.q - m.leader.x, sense=pyo.maximize)
    return order(m, m.leader)


def test_equally_good_decisions_are_left_to_single_solves() -> None:
    weight = np.array([1.5, 1.9, 1.999999, 2.0, 2.000001, 2.1, 2.5, 2.0])
    found, of = many(one_way(), {"weight": weight, "reach": np.ones(8)})
    assert (found.ok == (weight != 2.0)).all()
    assert np.array_equal(of("leader.x")[found.ok], np.where(weight > 2, 1.0, -1.0)[found.ok])


def test_a_payoff_without_end_is_left_to_single_solves() -> None:
    m = one_way()
    m.leader.x.setlb(None)
    with pytest.raises(NotVectorised, match="without limit"):  # ever smaller x pays ever more, in every scenario
        many(m, {"weight": np.linspace(1, 3, 12)})


def two_markets(linked: bool) -> pyo.ConcreteModel:
    m = pyo.ConcreteModel()
    m.level = pyo.Param(initialize=3.0, mutable=True)
    m.leader, m.follower = pyo.Block(), pyo.Block([1, 2])
    m.leader.x = pyo.Var([1, 2], bounds=(0, 5))
    for k in (1, 2):
        m.follower[k].q = pyo.Var(bounds=(0, None))
        reach = m.leader.x[1] + 2 * m.leader.x[2] if linked else m.leader.x[k]
        m.follower[k].cost = pyo.Objective(expr=(m.follower[k].q - m.level + k * reach) ** 2)
    bill = m.leader.x[1] ** 2 + m.leader.x[2] ** 2 + m.follower[1].q + m.follower[2].q
    m.leader.payoff = pyo.Objective(expr=bill)
    return order(m, m.leader)


def test_sizes_that_cost_nothing_are_left_to_single_solves() -> None:
    values = drawn(60, 5)
    values["bend"][::10] = 0.0  # any size that holds the discharge is then as good
    found, _ = many(storage(), values)
    assert not found.ok[::10].any() and found.ok.sum() == 54


def test_batches_of_a_leader_are_those_of_single_solves() -> None:
    model, values = storage(), {name: numbers[:40] for name, numbers in drawn(120, 9).items()}
    batch = solve_many(model, values)
    assert batch.ok.all() and (batch.table["route"] == "together").all() and batch.examined >= 1
    assert (batch.table["regret"] <= 1e-9).all() and (batch.table["distance"] <= 1e-7).all()
    profit = batch.value(model.owner.profit.expr)
    for k in (0, 11, 33):
        for name, numbers in values.items():
            model.find_component(name).set_value(numbers[k])
        alone = solve(model)
        assert alone.leaders["payoff"].iloc[0] == pytest.approx(profit[k], rel=1e-9, abs=1e-9)
    two = solve_many(two_markets(linked=False), {"level": np.linspace(1, 3, 5)})
    assert two.ok.all() and (two.table["route"] == "alone").all()
    assert two.table["reason"].str.contains("more than one number").all()


def test_only_leaders_that_reach_through_one_number() -> None:
    levels = {"level": np.linspace(1, 9, 40)}
    with pytest.raises(NotVectorised, match="more than one number"):
        many(two_markets(linked=False), levels)
    model = two_markets(linked=True)
    found, of = many(model, levels)
    assert found.ok.all()
    for k in np.flatnonzero(found.ok)[::9]:
        model.level.set_value(levels["level"][k])
        solve(model)
        for name in ("leader.x[1]", "leader.x[2]", "follower[1].q", "follower[2].q"):
            assert of(name)[k] == pytest.approx(model.find_component(name).value, abs=1e-8)


def test_what_is_not_one_leader_with_limits_of_its_own_is_refused() -> None:
    weights = {"weight": np.linspace(1, 3, 12)}
    watching = one_way()
    watching.leader.seen = pyo.Constraint(expr=watching.follower.q + watching.leader.x <= 1)
    with pytest.raises(NotVectorised, match="seen"):
        many(watching, weights)
    whole = one_way()
    whole.leader.x.domain = pyo.Integers
    with pytest.raises(NotVectorised, match="whole numbers"):
        many(whole, weights)
    two = one_way()
    two.other = pyo.Block()
    two.other.y = pyo.Var(bounds=(0, 1))
    two.other.cost = pyo.Objective(expr=(two.other.y - two.follower.q) ** 2)
    two.stage[two.other] = 1
    with pytest.raises(NotVectorised, match="several leaders"):
        many(two, weights)


def test_an_answer_that_is_not_the_best_is_found_by_single_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = leader_optima._points

    def blind(*given: Any) -> Any:
        points, endless = honest(*given)
        return points[1:], endless

    monkeypatch.setattr(leader_optima, "_points", blind)  # looks at the ends of pieces only
    with pytest.raises(NotVectorised, match="differs"):
        many(storage(), drawn(200, 3))


@pytest.mark.parametrize("seed", range(4))
def test_pieces_cover_a_line(seed: int) -> None:
    """At random points of every piece the answer is that of a single solve; pieces follow each other without a gap."""
    random = np.random.default_rng(seed)
    count, n = 60, 7
    root = random.normal(size=(count, n, n))
    skew = random.normal(size=(count, n, n))
    matrix = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(n) + skew - skew.transpose(0, 2, 1)
    vector, along = random.normal(size=(2, count, n))
    upper = np.where(random.random((count, n)) < 0.4, 1.0, np.inf)
    if seed >= 2:  # the same columns twice: they turn together
        twice = np.repeat(np.arange(n), 2)
        matrix = matrix[:, twice][:, :, twice] + np.eye(2 * n)
        vector, along, upper = vector[:, twice], along[:, twice], upper[:, twice]
        n = 2 * n
    ones = np.ones((count, n))
    plain = Lines(matrix, vector, along, 0.0 * ones, upper, ones, ones[:, 0])
    t = np.full(count, 0.123)
    y = np.array([_single(plain, s, 0.123) for s in range(count)])
    lines = Lines.at(plain, y, t, np.zeros(n, dtype=int))
    pattern, margin = pieces.sides(lines, y / lines.column, t / lines.span)
    assert (margin.min(axis=1) > 1e-9).all()
    found = pieces.march(lines, pattern, t / lines.span)
    assert np.isposinf(found.stop).all() and found.error.max() <= 1e-9
    reached = t / lines.span
    for piece in found.pieces:
        assert (piece.low == reached[piece.which]).all() and (piece.up >= piece.low).all()
        reached[piece.which] = piece.up
        width = np.where(np.isfinite(piece.up), piece.up - piece.low, 10.0)
        here = piece.low + random.random(len(width)) * width
        for s, value, point in list(zip(piece.which, piece.at(here), here, strict=True))[::7]:
            single = _single(plain, s, point * lines.span[s])
            assert value * lines.column[s] == pytest.approx(single, rel=1e-8, abs=1e-8)
    assert np.isposinf(reached).all() and len(found.pieces) > 4


def _single(plain: Lines, s: int, t: float) -> np.ndarray:
    n = plain.vector.shape[1]
    mcp = MixedComplementarity(
        Names(str(k) for k in range(n)),
        np.full(n, DECISION),
        np.zeros(n, dtype=int),
        [None] * n,
        plain.lower[s],
        plain.upper[s],
        sp.csr_array(plain.matrix[s]),
        plain.vector[s] + t * plain.along[s],
    )
    z, outcome = newton.solve(mcp)
    assert outcome.ok
    return z
