"""All players' own problems solved in one go: the same measures as player by player, the same answers rejected."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from games import cournot, network, oligopsony, random_cournot

from equilibrium import certify, deviation, find_game, solve, together
from equilibrium.mcp import DECISION, members
from equilibrium.solution import derive
from equilibrium.testing import assert_certified


def shared(random: np.random.Generator) -> pyo.ConcreteModel:
    """Cournot firms with a yard they share, full in most draws."""
    m = random_cournot(random)
    m.yard = pyo.Constraint(expr=m.total <= float(random.uniform(2, 40)))
    return m


GAMES = [random_cournot, oligopsony, network, shared]


def both(solution):
    """(deviations in one go, deviations player by player, sizes) at the model's present values."""
    game, mcp = solution.answer.game, solution.answer.mcp
    z = solution.answer.z.copy()
    for k, component in enumerate(mcp.components):
        if not isinstance(component, tuple):
            z[k] = component.value
    columns = members(mcp.player, len(game.players))
    sizes = np.array([np.abs(z[mine[mcp.kind[mine] == DECISION]]).max() + 1e-9 for mine in columns])
    charges = deviation.charges(mcp, game.players, z)
    one = together.examine(mcp, game.players, z, sizes, charges)
    other = [deviation.examine(mcp, p, columns[i], z, float(sizes[i]), charges[i]) for i, p in enumerate(game.players)]
    return one, other, sizes


def assert_same(one, other, sizes) -> None:
    assert one is not None
    for first, second, size in zip(one, other, sizes, strict=True):
        assert (first.proof, first.note) == (second.proof, second.note)
        assert first.bill == pytest.approx(second.bill, rel=1e-9)
        assert first.regret == pytest.approx(second.regret, rel=1e-6, abs=1e-13 * second.bill)
        assert first.distance == pytest.approx(second.distance, rel=1e-6, abs=1e-11 * size, nan_ok=True)


@pytest.mark.parametrize("seed", range(60))
def test_equals_one_by_one_at_the_answer_and_away_from_it(seed):
    """Away from it every decision is moved by some percent (which may break a limit: then the regret is negative)."""
    random = np.random.default_rng(seed)
    solution = solve(GAMES[seed % len(GAMES)](random))
    assert_same(*both(solution))
    for player in solution.answer.game.players:
        for variable in player.decisions:
            low = -np.inf if variable.lb is None else variable.lb
            high = np.inf if variable.ub is None else variable.ub
            moved = variable.value + (abs(variable.value) + 0.1) * random.normal() * 0.05
            variable.set_value(float(np.clip(moved, low, high)))
    one, other, sizes = both(solution)
    assert_same(one, other, sizes)
    assert max(abs(d.regret) / d.bill for d in one) > 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_both_reject_a_decision_moved_by_a_millionth(seed):
    random = np.random.default_rng(seed)
    m = random_cournot(random)
    solution = solve(m)
    inner = [b for b in m.firm.values() if b.q.value > 1e-3 and (b.q.ub is None or b.q.value < b.q.ub - 1e-3)]
    if not inner:
        pytest.skip("every firm is at a limit")
    variable = inner[int(random.integers(len(inner)))].q
    variable.set_value(variable.value * (1 - 1e-6))
    for found in both(solution)[:2]:
        assert max(d.distance / (1e-7 * max(abs(variable.value), 1e-300)) for d in found) > 1
    assert certify(solution.answer).verdict == "uncertified"


def test_a_player_that_is_not_convex_is_asked_alone():
    """min x y on [-1, 1]^2 beside a convex player: nothing is said about them together."""
    m = cournot(100, 1, [20, 30], capacity=[40, 50])
    m.firm[1].profit.expr += 3 * m.firm[1].q ** 2
    game = find_game(m)
    mcp = derive(game)
    z = np.full(mcp.size, 10.0)
    assert together.examine(mcp, game.players, z, np.ones(2), [[], []]) is None


def test_a_small_concave_player_is_not_hidden_by_a_large_convex_one():
    """Its curvature is a ten-billionth of the other's: each is judged by its own size."""
    m = cournot(100, 1, [20, 30], capacity=[40, 50])
    m.firm[0].profit.expr -= 1e6 * m.firm[0].q ** 2
    m.firm[1].profit.expr = 1e-5 * (m.firm[1].q ** 2 - m.firm[1].q)
    game = find_game(m)
    mcp = derive(game)
    assert together.examine(mcp, game.players, np.full(2, 1.0), np.ones(2), [[], []]) is None


def test_many_firms():
    """400 equal firms, P = 100 - Q, cost 20: q = 80 / 401 each."""
    m = cournot(100, 1, [20] * 400)
    solution = solve(m)
    assert_certified(solution)
    assert m.firm[7].q.value == pytest.approx(80 / 401, rel=1e-10)
    assert len(solution.certificate.checks) == 400
