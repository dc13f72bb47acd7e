"""The certificate passes what is an equilibrium and nothing else."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from games import cournot, network, oligopsony, random_cournot

from equilibrium import certify, find_game, solve
from equilibrium.certificate import Answer
from equilibrium.errors import Refused
from equilibrium.formulations import complementarity
from equilibrium.kkt import nonlinear
from equilibrium.solution import derive
from equilibrium.solvers import newton
from equilibrium.solvers.outcome import Outcome, Termination
from equilibrium.testing import assert_certified, tamper


def claim(model: pyo.ConcreteModel, nonlinear_route: bool = False):
    """The certificate of the model's present values, whatever route they came from; multipliers are fitted."""
    from equilibrium.solution import _multipliers_at

    game = find_game(model)
    mcp = nonlinear(game) if nonlinear_route else derive(game)
    outcome = Outcome(Termination.SOLVED, "claimed", 0.0, "nobody")
    return certify(Answer(game, mcp, _multipliers_at(mcp), outcome, "claimed", "for a test"))


@pytest.mark.parametrize("seed", range(50))
def test_a_tampered_decision_costs_half_the_curvature_times_its_square(seed):
    """Firm i at an inner best response, moved by delta: loss (2 b + c_i) delta^2 / 2. From 1e-6 relative up it is not
    certified."""
    random = np.random.default_rng(seed)
    m = random_cournot(random)
    solution = solve(m)
    assert_certified(solution)
    inner = [b for b in m.firm.values() if b.q.value > 1e-3 and (b.q.ub is None or b.q.value < b.q.ub - 1e-3)]
    if not inner:
        pytest.skip("every firm is at a limit")
    firm = inner[int(random.integers(len(inner)))]
    mcp = solution.answer.mcp
    k = mcp.names.index(firm.q.name)
    curvature = mcp.matrix[k, k]
    for relative in (1e-6, 1e-4, 1e-2):
        delta = relative * firm.q.value * (1 if random.random() < 0.5 else -1)
        if firm.q.ub is not None and firm.q.value + delta > firm.q.ub:
            delta = -delta
        found = tamper(solution, firm.q, delta)
        assert found.verdict == "uncertified"
        check = next(c for c in found.checks if firm.q.name.startswith(c.name))
        assert check.regret == pytest.approx(0.5 * curvature * delta**2, rel=1e-6)
        assert check.distance == pytest.approx(abs(delta), rel=1e-6)
    assert_certified(solve(m))


@pytest.mark.parametrize("seed", range(50))
def test_two_loads_moved_against_each_other_are_caught(seed):
    """A feasible move: buyer's loads t, u by +delta, -delta. Where both are inside, the loss is (b_t + b_u) delta^2."""
    random = np.random.default_rng(seed)
    m = oligopsony(random)
    solution = solve(m)
    assert_certified(solution)
    size = max(v.value for b in m.buyer.values() for v in b.load.values())
    inner = [(b, [v for v in b.load.values() if v.value > 1e-2 * size]) for b in m.buyer.values()]
    inner = [(b, loads) for b, loads in inner if len(loads) > 1]
    if not inner:
        pytest.skip("every buyer takes all in one period")
    block, (first, second, *_) = inner[0]
    mcp = solution.answer.mcp
    j, k = mcp.names.index(first.name), mcp.names.index(second.name)
    own = max(v.value for v in block.load.values())
    for relative in (1e-6, -1e-5, 1e-3):
        delta = relative * own
        found = tamper(solution, first, delta, (second, -delta))
        assert found.verdict == "uncertified"
        check = next(c for c in found.checks if c.name == block.name)
        assert check.infeasibility <= 1e-12
        assert check.regret == pytest.approx(0.5 * (mcp.matrix[j, j] + mcp.matrix[k, k]) * delta**2, rel=1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_a_clearing_price_off_by_a_millionth_fails(seed):
    random = np.random.default_rng(seed)
    m = network(random, nodes=int(random.integers(2, 5)))
    solution = solve(m)
    assert_certified(solution)
    n = int(random.integers(len(m.price)))
    for relative in (1e-6, -1e-6, 1e-3):
        assert tamper(solution, m.price[n], relative * m.price[n].value).verdict == "uncertified"


def test_infeasible_values_fail():
    m = cournot(100, 1, [20], capacity=[30])
    solution = solve(m)
    assert_certified(solution)
    found = tamper(solution, m.firm[0].q, 1e-6)
    assert found.verdict == "uncertified"
    assert found.checks[0].infeasibility > 1e-9


def test_values_that_are_missing_or_not_numbers_fail():
    m = network(np.random.default_rng(0))
    solution = solve(m)
    for variable in (m.plant[0].q, m.price[1]):
        for value in (None, float("nan"), float("inf")):
            before = variable.value
            variable.set_value(value, skip_validation=True)
            assert certify(solution.answer).verdict == "uncertified"
            variable.set_value(before)
    assert certify(solution.answer).verdict == "certified"


@pytest.mark.parametrize("route", ["expressions", "kkt"])
def test_the_saddle_of_a_quadratic_player_is_never_certified(route):
    """min x y on [-1, 1]^2 at (0, 0): stationary, a saddle."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(bounds=(-1, 1), initialize=0), pyo.Var(bounds=(-1, 1), initialize=0)
    m.a.o = pyo.Objective(expr=m.a.x * m.a.y)
    with pytest.raises(Refused):
        solve(m)
    assert claim(m, route == "kkt").verdict == "uncertified"


@pytest.mark.parametrize(
    "payoff",
    [
        lambda x, y: x**2 - y**2 + y**4 / 10,  # second order
        lambda x, y: x**2 - y**4,  # flat to second order
        lambda x, y: x**2 + y**3,  # flat to second order, one-sided
        lambda x, y: pyo.exp(x) - x - pyo.cos(y) * -1 - 0.0 * y,  # a maximum in y
        lambda x, y: x * y + x**2 * y**2,
    ],
)
def test_the_saddle_of_a_nonlinear_player_is_never_certified(payoff):
    """Stationary at (0, 0), where a move of y (or of both) lowers the payoff."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(bounds=(-1, 1), initialize=0), pyo.Var(bounds=(-1, 1), initialize=0)
    m.a.o = pyo.Objective(expr=payoff(m.a.x, m.a.y))
    assert claim(m, nonlinear_route=True).verdict == "uncertified"


def test_a_local_optimum_that_another_beats_is_not_certified():
    """min x^4 / 4 - x^2 / 2 + x / 10 on [-2, 2]: local near 0.95, global near -1.05."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(-2, 2))
    m.a.o = pyo.Objective(expr=m.a.x**4 / 4 - m.a.x**2 / 2 + m.a.x / 10)
    for start in (2.0, 1.0, -2.0, 0.0):
        m.a.x.set_value(start)
        certificate = solve(m).certificate
        assert certificate.verdict != "certified"
        assert (certificate.verdict == "certified, local") == (m.a.x.value < 0)


def test_a_feasible_set_that_is_not_convex_is_not_certified_globally():
    """min x with x^2 >= 1 on [-2, 2]: x = 1 is a local optimum and the payoff is linear, yet -2 is better. That nothing
    is better than -2 is shown by the limit's multiplier, zero."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(-2, 2), initialize=1.0)
    m.a.hole = pyo.Constraint(expr=m.a.x**2 >= 1)
    m.a.o = pyo.Objective(expr=m.a.x)
    assert claim(m, nonlinear_route=True).verdict == "uncertified"
    m.a.x.set_value(-1.5)
    assert solve(m).certificate.verdict == "certified" and m.a.x.value == pytest.approx(-2)


def smallest(first: float, second: float) -> pyo.ConcreteModel:
    """One who maximises the smaller surplus of two users at a price that it moves: the limits are not convex."""
    m, b = pyo.ConcreteModel(), (first, second)
    m.a = pyo.Block()
    m.a.x, m.a.t = pyo.Var([0, 1], bounds=(0, None), initialize=0.3), pyo.Var(initialize=0.1)
    m.a.s = pyo.Constraint([0, 1], rule=lambda a, i: a.t <= a.x[i] * (b[i] - 0.5 * (a.x[0] + a.x[1]) - a.x[i]))
    m.a.o = pyo.Objective(expr=m.a.t, sense=pyo.maximize)
    return m


@pytest.mark.parametrize(("value", "verdict"), [(6, "certified"), (30, "certified, local")])
def test_limits_that_are_not_convex_may_be_so_as_they_are_charged(value, verdict):
    """The Lagrangian's Hessian has -3 mu_i on its diagonal and -(mu_0 + mu_1) / 2 beside it: definite where
    36 mu_0 mu_1 > (mu_0 + mu_1)^2. No point of a grid is better."""
    m = smallest(3, value)
    solution = solve(m)
    low, high = solution.multipliers["a.s[0].upper"], solution.multipliers["a.s[1].upper"]
    assert (36 * low * high > (low + high) ** 2) == (verdict == "certified")
    assert solution.certificate.verdict == verdict
    x, y = np.meshgrid(np.linspace(0, 3, 400), np.linspace(0, 20, 2000))
    other = (x + y) / 2
    assert np.minimum(x * (3 - other - x), y * (value - other - y)).max() <= m.a.t.value + 1e-9


def test_a_convex_nonlinear_limit_is_certified():
    """min x + y on the disc x^2 + y^2 <= 2: both -1, multiplier 1/2."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(initialize=0.5), pyo.Var(initialize=-0.2)
    m.a.disc = pyo.Constraint(expr=m.a.x**2 + m.a.y**2 <= 2)
    m.a.o = pyo.Objective(expr=m.a.x + m.a.y)
    solution = solve(m)
    assert_certified(solution)
    assert (m.a.x.value, m.a.y.value) == pytest.approx((-1, -1), rel=1e-7)
    assert solution.multipliers["a.disc.upper"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(30))
def test_a_wrong_derivation_is_caught(seed):
    """One coefficient of the conditions changed by a thousandth, the wrong conditions solved exactly."""
    random = np.random.default_rng(seed)
    m = [random_cournot, oligopsony, network][seed % 3](random)
    game = find_game(m)
    mcp = derive(game)
    entry = int(random.integers(mcp.matrix.nnz))
    if abs(mcp.matrix.data[entry]) < 1e-12:
        pytest.skip("an entry that cancelled")
    row = int(np.searchsorted(mcp.matrix.indptr, entry, side="right")) - 1
    mcp.matrix.data[entry] *= 1.001
    z, outcome = newton.solve(mcp)
    answer = Answer(game, mcp, z, outcome, "complementarity", "for a test")
    from equilibrium.solution import _write

    _write(answer)
    moved = (
        abs(mcp.matrix.data[entry] * z[mcp.matrix.indices[entry]]) > 1e-6 and mcp.lower[row] < z[row] < mcp.upper[row]
    )
    if mcp.kind[row] == 0 or moved:  # an outside equality multiplied through by nothing that is there holds as well
        assert certify(answer).verdict == "uncertified"


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_constant_is_caught(seed):
    random = np.random.default_rng(seed)
    m = random_cournot(random)
    game = find_game(m)
    mcp = derive(game)
    mcp.vector[int(random.integers(len(game.players)))] *= 1 + 1e-6
    z, outcome = newton.solve(mcp)
    from equilibrium.solution import _write

    answer = Answer(game, mcp, z, outcome, "complementarity", "for a test")
    _write(answer)
    assert certify(answer).verdict == "uncertified"


def test_shared_limits_are_charged_when_players_are_solved_again():
    """Two firms share q1 + q2 <= 30: common multiplier s = 100 - 2 q1 - q2 - c1 = 100 - 2 q2 - q1 - c2."""
    m = cournot(100, 1, [10, 20])
    m.yard = pyo.Constraint(expr=m.firm[0].q + m.firm[1].q <= 30)
    solution = solve(m)
    assert_certified(solution)
    assert (m.firm[0].q.value, m.firm[1].q.value) == pytest.approx((20, 10))
    assert solution.multipliers["yard.upper"] == pytest.approx(40)
    assert tamper(solution, m.firm[0].q, -1e-4, (m.firm[1].q, 1e-4)).verdict == "uncertified"


def test_a_state_of_charge_at_zero_is_not_infeasible_by_rounding():
    """Stored energy as a named Expression, kept >= 0: what rounding leaves below zero is compared with what went in
    and out."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    a = m.a
    a.flow = pyo.Var(range(5), bounds=(-1.1, 1.1))
    a.stored = pyo.Expression(range(5), rule=lambda b, t: sum(b.flow[u] for u in range(t + 1)))
    a.empty = pyo.Constraint(range(5), rule=lambda b, t: b.stored[t] >= 0)
    price = [3.1, 4.3, 2.7, 9.9, 1.3]
    a.o = pyo.Objective(expr=sum(price[t] * a.flow[t] + 0.3 * a.flow[t] ** 2 for t in range(5)))
    assert_certified(solve(m))


def test_every_true_answer_passes():
    random = np.random.default_rng(11)
    for k in range(30):
        m = [random_cournot, oligopsony, network][k % 3](random)
        assert_certified(solve(m))
        mcp = derive(find_game(m))
        _, outcome = complementarity.solve(mcp, "newton")
        assert outcome.ok
