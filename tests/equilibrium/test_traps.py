"""Each trap that was measured in Pyomo, HiGHS, Ipopt and SciPy, by name."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp
from games import cournot
from pyomo.core.expr.visitor import identify_variables

from equilibrium import find_game, solve
from equilibrium.errors import DataError, Infeasible, Refused
from equilibrium.formulations import potential
from equilibrium.kkt import nonlinear
from equilibrium.solution import derive
from equilibrium.solvers import highs, ipopt, newton, systems
from equilibrium.testing import assert_certified, tamper


def test_a_maximiser_through_core_kkt_does_not_kill_the_process():
    """max 2 ln(1 + x) - x: x = 1."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(0, 10))
    m.a.o = pyo.Objective(expr=2 * pyo.log(1 + m.a.x) - m.a.x, sense=pyo.maximize)
    assert_certified(solve(m))
    assert m.a.x.value == pytest.approx(1)


@pytest.mark.parametrize("power", [2, 3])
def test_a_capacity_changed_after_building_gives_the_new_answer(power):
    """min (q - 9)^power-ish with q <= K: q = K whichever K is set, in the bound and in a row, affine and not."""
    m = pyo.ConcreteModel()
    m.K, m.C = pyo.Param(initialize=3.0, mutable=True), pyo.Param(initialize=4.0, mutable=True)
    m.a = pyo.Block()
    m.a.q, m.a.r = pyo.Var(bounds=(0, m.K)), pyo.Var(bounds=(0, None))
    m.a.cap = pyo.Constraint(expr=m.a.r <= m.C)
    m.a.o = pyo.Objective(expr=(9 - m.a.q) ** 2 + m.a.q**power + (9 - m.a.r) ** 2 - 60 * m.a.q)
    for K, C in ((3.0, 4.0), (1.5, 5.0), (2.0, 0.5)):
        m.K, m.C = K, C
        assert_certified(solve(m))
        assert (m.a.q.value, m.a.r.value) == pytest.approx((K, C))


def test_a_player_with_a_linear_payoff_beside_nonlinear_ones():
    """core.kkt states a row without anything in it where a derivative is a plain number: min 3 x on [1, 5] beside min
    e^y - 2 y."""
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(bounds=(1, 5)), pyo.Var(bounds=(-3, 3))
    m.a.o, m.b.o = pyo.Objective(expr=3 * m.a.x), pyo.Objective(expr=pyo.exp(m.b.y) - 2 * m.b.y)
    assert_certified(solve(m))
    assert (m.a.x.value, m.b.y.value) == pytest.approx((1, np.log(2)))


def test_an_unused_decision_is_no_failure():
    for cost in (lambda x: x**2, pyo.exp):
        m = pyo.ConcreteModel()
        m.a = pyo.Block()
        m.a.x, m.a.unused = pyo.Var(bounds=(1, 5)), pyo.Var(bounds=(0, 1))
        m.a.o = pyo.Objective(expr=cost(m.a.x))
        solution = solve(m)
        assert_certified(solution)
        assert solution.certificate.uniqueness.decisions != "unique"


def test_programmes_with_fixed_columns_and_no_rows():
    """Separable: min sum d_i x_i^2 / 2 + c_i x_i + x_i F y with y fixed, no rows: x_i = clip(-(c_i + (F y)_i) / d_i,
    l_i, u_i)."""
    random = np.random.default_rng(7)
    for _ in range(300):
        n, k = int(random.integers(1, 6)), int(random.integers(1, 6))
        d, c = random.uniform(0.5, 3, n), random.normal(size=n) * 10
        cross, y = random.normal(size=(n, k)), random.normal(size=k) * 5
        low = np.where(random.random(n) < 0.5, 0.0, -np.inf)
        up = np.where(random.random(n) < 0.5, random.uniform(1, 4, n), np.inf)
        hessian = np.block([[np.diag(d), cross], [cross.T, np.eye(k) * 50]])
        programme = highs.Programme(
            sp.csc_array(hessian),
            np.concatenate([c, random.normal(size=k)]),
            sp.csr_array((0, n + k)),
            np.zeros(0),
            np.zeros(0),
            np.concatenate([low, y]),
            np.concatenate([up, y]),
        )
        x, _, outcome = highs.minimise(programme)
        assert outcome.ok
        assert x == pytest.approx(np.concatenate([np.clip(-(c + cross @ y) / d, low, up), y]), abs=1e-9)


def test_everything_fixed_is_a_programme_too():
    one = np.ones(2)
    programme = highs.Programme(
        sp.csc_array(np.eye(2)), one, sp.csr_array(np.ones((1, 2))), one[:1] * 2, one[:1] * 2, one, one
    )
    x, _, _ = highs.minimise(programme)
    assert x == pytest.approx(one)


def test_off_diagonal_non_convexity_is_refused():
    """min x y on [-1, 1]^2: HiGHS looks at the diagonal only and calls the saddle optimal."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(bounds=(-1, 1)), pyo.Var(bounds=(-1, 1))
    m.a.o = pyo.Objective(expr=m.a.x * m.a.y)
    with pytest.raises(Refused, match="not concave in its own decisions"):
        solve(m)


def test_off_diagonal_terms_with_a_var_that_cannot_move_are_no_obstacle():
    """min x y with y held at 2 (by its bounds, by a row): linear in x."""
    for held in ("bounds", "row"):
        m = pyo.ConcreteModel()
        m.a = pyo.Block()
        m.a.x, m.a.y = pyo.Var(bounds=(-1, 1)), pyo.Var(bounds=(2, 2) if held == "bounds" else None)
        if held == "row":
            m.a.c = pyo.Constraint(expr=3 * m.a.y == 6)
        m.a.o = pyo.Objective(expr=m.a.x * m.a.y)
        assert_certified(solve(m))
        assert m.a.x.value == -1


def test_a_payoff_curved_the_right_way_only_on_its_equalities():
    """min x y with x + y = 2 is concave: refused; min -x y with x + y = 2 is convex there: x = y = 1."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(), pyo.Var()
    m.a.c = pyo.Constraint(expr=m.a.x + m.a.y == 2)
    m.a.o = pyo.Objective(expr=-m.a.x * m.a.y)
    assert_certified(solve(m))
    assert m.a.x.value == pytest.approx(1)
    m.a.o.expr = m.a.x * m.a.y
    with pytest.raises(Refused):
        solve(m)


def test_duplicated_constraints_do_not_crash_the_linear_algebra():
    """30 x_i >= 1 written twice (60 multipliers, singular Jacobian): min sum x_i^2 / 2 gives ones, multipliers add up
    to one."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(range(30)), pyo.Var(range(30))
    m.a.first = pyo.Constraint(range(30), rule=lambda b, i: b.x[i] + b.y[i] >= 1)
    m.a.again = pyo.Constraint(range(30), rule=lambda b, i: b.x[i] + b.y[i] >= 1)
    m.a.o = pyo.Objective(expr=sum(m.a.x[i] ** 2 + m.a.y[i] ** 2 for i in range(30)))
    for solver in (None, "newton", "qp"):
        solution = solve(m, solver=solver)
        assert_certified(solution)
        assert m.a.x[7].value == pytest.approx(0.5)
        found = solution.multipliers
        assert found["a.first[7].lower"] + found["a.again[7].lower"] == pytest.approx(1)
        assert solution.certificate.uniqueness.decisions == "unique"
        assert solution.certificate.uniqueness.prices != "unique"


def test_a_singular_system_is_solved_by_least_squares():
    random = np.random.default_rng(3)
    half = random.normal(size=(60, 30))
    matrix = half @ half.T
    right = matrix @ random.normal(size=60)
    x = systems.solve(sp.csr_array(matrix), right)
    assert matrix @ x == pytest.approx(right, abs=1e-8)


def test_a_fractional_power_at_zero():
    """max 10 q - (q^2 + 1e-18)^(1.25): 10 = 2.5 q^1.5, started at q = 0; a second firm of cost 20 stays at zero."""
    m = pyo.ConcreteModel()
    m.f = pyo.Block([10.0, -20.0])
    for k in m.f:
        m.f[k].q = pyo.Var(bounds=(0, None), initialize=0)
        m.f[k].o = pyo.Objective(expr=k * m.f[k].q - (m.f[k].q ** 2 + 1e-18) ** 1.25, sense=pyo.maximize)
    assert_certified(solve(m))
    assert m.f[10.0].q.value == pytest.approx(4 ** (2 / 3), rel=1e-8)
    assert m.f[-20.0].q.value == pytest.approx(0, abs=1e-12)


def test_dual_sign_of_highs():
    """min x^2 / 2 with x >= 3: one more unit of right-hand side costs 3; with x <= -3 it saves 3."""
    for limit, low, up in ((3.0, 3.0, np.inf), (-3.0, -np.inf, -3.0)):
        free = np.array([-np.inf]), np.array([np.inf])
        programme = highs.Programme(
            sp.csc_array(np.eye(1)), np.zeros(1), sp.csr_array(np.eye(1)), np.array([low]), np.array([up]), *free
        )
        x, dual, _ = highs.minimise(programme)
        assert x[0] == pytest.approx(limit)
        assert dual[0] == pytest.approx(limit)


def test_ipopt_leaves_the_conditions_as_they_were():
    mcp = derive(find_game(cournot(100, 1, [20, 30], capacity=[50, 10])))
    before = mcp.matrix.toarray().copy()
    z, outcome = ipopt.solve(mcp)
    assert outcome.ok
    assert (mcp.matrix.toarray() == before).all()
    assert z[:2] == pytest.approx([35, 10])  # 100 - 2 q1 - 10 - 20 = 0; firm 2 wants (70 - 35) / 2 = 17.5 > 10


def test_ipopts_solved_is_not_trusted(monkeypatch):
    """At a pair where both sides vanish Ipopt stops about sqrt(t) away and says solved; without the polish nothing is
    certified."""
    m = cournot(100, 1, [20, 60.0])  # firm 1 alone sells 40 at 60: firm 2 is exactly indifferent at zero
    mcp = derive(find_game(m))
    monkeypatch.setattr(newton, "polish", lambda problem, z, steps=8: z)
    z, outcome = ipopt.solve(mcp, restarts=1)
    assert mcp.error(z) > 1e-9
    assert not outcome.ok


def test_a_trader_without_limits_needs_exact_prices():
    """Equal prices in two places; the trader's gain is zero. A price off by 2e-7 makes its problem unbounded: never
    certified."""
    m = pyo.ConcreteModel()
    m.price = pyo.Var([1, 2])
    m.plant, m.users, m.trader = pyo.Block(), pyo.Block(), pyo.Block()
    m.plant.q, m.users.d, m.trader.flow = pyo.Var(), pyo.Var(), pyo.Var()
    m.plant.o = pyo.Objective(expr=m.price[1] * m.plant.q - 10 * m.plant.q - m.plant.q**2, sense=pyo.maximize)
    m.users.o = pyo.Objective(expr=m.price[2] * m.users.d - 43.7 * m.users.d + 0.7 * m.users.d**2)
    m.trader.o = pyo.Objective(expr=(m.price[2] - m.price[1] - 0.3) * m.trader.flow, sense=pyo.maximize)
    m.here = pyo.Constraint(expr=m.plant.q - m.trader.flow == 0)
    m.there = pyo.Constraint(expr=m.trader.flow - m.users.d == 0)
    solution = solve(m)
    assert_certified(solution)  # 10 + 2 q + 0.3 = 43.7 - 1.4 q
    assert m.plant.q.value == pytest.approx(33.4 / 3.4)
    for error in (2e-7, -2e-7, 1e-6):
        assert tamper(solution, m.price[2], error * m.price[2].value).verdict == "uncertified"


def test_regret_is_second_order_and_distance_is_not():
    """A monopolist's q = 40 moved by 1e-6 relative: regret b delta^2 = 1.6e-9 of a bill of thousands, yet it is not
    certified."""
    m = cournot(100, 1, [20])
    solution = solve(m)
    found = tamper(solution, m.firm[0].q, 40e-6)
    assert found.checks[0].regret < 1e-9 * found.checks[0].bill
    assert found.verdict == "uncertified"


def test_unbounded_is_said_in_words():
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(0, None))
    m.a.o = pyo.Objective(expr=-m.a.x)
    for formulation in (None, "potential"):
        with pytest.raises(Infeasible, match="unbounded.*limit"):
            solve(m, formulation)


def test_infeasible_is_said_in_words():
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    m.a.c = pyo.Constraint(expr=m.a.x + m.a.y >= 3)
    m.a.o = pyo.Objective(expr=m.a.x**2 + m.a.y**2)
    for formulation in (None, "potential", "complementarity"):
        with pytest.raises(Infeasible, match="no decisions satisfy"):
            solve(m, formulation)


def test_a_wrong_name_is_refused_with_the_right_ones():
    with pytest.raises(DataError, match="potential"):
        solve(cournot(100, 1, [20]), "potental")
    with pytest.raises(DataError, match="newton"):
        solve(cournot(100, 1, [20]), solver="path")


def test_potential_is_not_found_for_a_duopoly_of_different_slopes():
    """Firms that see different demand slopes have no potential: dF1/dq2 = 1, dF2/dq1 = 2."""
    m = pyo.ConcreteModel()
    m.f = pyo.Block([1, 2])
    for k in m.f:
        m.f[k].q = pyo.Var(bounds=(0, 100))
    total = m.f[1].q + m.f[2].q
    for k in m.f:
        m.f[k].o = pyo.Objective(expr=(90 - k * total) * m.f[k].q, sense=pyo.maximize)
    assert potential.find(derive(find_game(m))) is None
    with pytest.raises(Refused, match="no potential"):
        solve(m, "potential")
    assert_certified(solve(m))  # 90 - 2 q1 - q2 = 0, 90 - 4 q2 - 2 q1 = 0: q2 = 0, q1 = 45


def test_nonlinear_conditions_see_no_var_of_the_original():
    m = cournot(100, 1, [20, 30])
    nonlinear(find_game(m))
    assert not [c for c in m.component_objects() if "kkt" in c.name or "shared_multiplier" in c.name]
    assert len(list(identify_variables(m.firm[0].profit.expr))) == 2


@pytest.mark.parametrize(
    "rows", [lambda y: [y[0] ** 2 <= 0], lambda y: [(y[0] - 1) ** 2 + y[1] ** 2 <= 1, (y[0] + 1) ** 2 + y[1] ** 2 <= 1]]
)
def test_limits_without_an_interior_are_refused(rows):
    m = pyo.ConcreteModel()
    m.player = pyo.Block()
    m.player.y = pyo.Var([0, 1], initialize=0.5)
    m.player.cost = pyo.Objective(expr=m.player.y[0] + m.player.y[1] ** 2)
    m.player.row = pyo.ConstraintList()
    for row in rows(m.player.y):
        m.player.row.add(row)
    with pytest.raises(Refused, match="constraint qualification"):
        solve(m)


def test_a_demand_without_slope_is_refused():
    m = pyo.ConcreteModel()
    m.firm, m.slope = pyo.Block([1, 2]), pyo.Param(initialize=0.0, mutable=True)
    for i in m.firm:
        m.firm[i].q = pyo.Var(bounds=(0, 80))
    m.price = pyo.Expression(expr=(100 - m.firm[1].q - m.firm[2].q) / m.slope)
    for i in m.firm:
        m.firm[i].profit = pyo.Objective(expr=m.price * m.firm[i].q, sense=pyo.maximize)
    with pytest.raises(Refused, match="by zero"):
        solve(m)


def test_firms_that_name_a_price_to_an_inelastic_demand_are_refused():
    m = pyo.ConcreteModel()
    m.firm = pyo.Block([1, 2])
    for i in m.firm:
        m.firm[i].q, m.firm[i].p = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    for i in m.firm:
        m.firm[i].rest = pyo.Constraint(expr=m.firm[i].q == 100 - m.firm[3 - i].q)
        m.firm[i].profit = pyo.Objective(expr=(m.firm[i].p - 10) * m.firm[i].q, sense=pyo.maximize)
    with pytest.raises(Refused, match="nothing keeps it from asking any"):
        solve(m)
