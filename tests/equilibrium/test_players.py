"""Who owns what, and what is refused with advice instead of being treated silently in some way."""

from __future__ import annotations

import pyomo.environ as pyo
import pytest
from pyomo.gdp import Disjunct, Disjunction
from pyomo.mpec import Complementarity, ComplementarityList, complements

from equilibrium import find_game, solve
from equilibrium.errors import Infeasible, Refused


def one(bounds=(0, 10)) -> pyo.ConcreteModel:
    """A player 'a' that minimises (x - 3)^2."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=bounds)
    m.a.o = pyo.Objective(expr=(m.a.x - 3) ** 2)
    return m


def two() -> pyo.ConcreteModel:
    m = one()
    m.b = pyo.Block()
    m.b.y = pyo.Var(bounds=(0, 10))
    m.b.o = pyo.Objective(expr=(m.b.y - m.a.x) ** 2)
    return m


def owned(model: pyo.ConcreteModel) -> dict[str, set[str]]:
    return {p.name: {v.name for v in p.decisions} for p in find_game(model).players}


def test_a_block_without_an_objective_belongs_to_the_player_around_it():
    m = one()
    m.a.inner = pyo.Block()
    m.a.inner.y = pyo.Var()
    m.a.inner.deeper = pyo.Block([1, 2])
    m.a.inner.deeper[1].z = pyo.Var([1, 2])
    assert owned(m) == {"a": {"a.x", "a.inner.y", "a.inner.deeper[1].z[1]", "a.inner.deeper[1].z[2]"}}


def test_a_player_inside_a_player_owns_its_own():
    m = one()
    m.a.inner = pyo.Block()
    m.a.inner.y = pyo.Var()
    m.a.inner.o = pyo.Objective(expr=m.a.inner.y**2)
    m.a.inner.rest = pyo.Block()
    m.a.inner.rest.z = pyo.Var()
    assert owned(m) == {"a": {"a.x"}, "a.inner": {"a.inner.y", "a.inner.rest.z"}}


def test_a_nonlinear_player_inside_a_player_is_solved_as_its_own():
    """a: min e^x - 2x + y^2 (x = ln 2); a.inner: min (y - x)^2 + y^4 with its own limit; both conditions hold
    separately."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x = pyo.Var(bounds=(-5, 5))
    m.a.inner = pyo.Block()
    m.a.inner.y = pyo.Var(bounds=(-5, 5))
    m.a.inner.unused = pyo.Constraint(expr=m.a.inner.y <= -3)
    m.a.inner.unused.deactivate()
    m.a.o = pyo.Objective(expr=pyo.exp(m.a.x) - 2 * m.a.x + m.a.inner.y**2)
    m.a.inner.o = pyo.Objective(expr=(m.a.inner.y - m.a.x) ** 2 + m.a.inner.y**4)
    assert solve(m).certificate.verdict == "certified"
    x, y = m.a.x.value, m.a.inner.y.value
    assert pyo.exp(x) == pytest.approx(2, rel=1e-9)
    assert 2 * (y - x) + 4 * y**3 == pytest.approx(0, abs=1e-9)
    assert not m.a.inner.unused.active


def test_members_of_an_indexed_block_are_players_of_their_own():
    m = pyo.ConcreteModel()
    m.f = pyo.Block(["n", "s"])
    for k in m.f:
        m.f[k].q = pyo.Var()
        m.f[k].o = pyo.Objective(expr=m.f[k].q ** 2)
    assert owned(m) == {"f[n]": {"f[n].q"}, "f[s]": {"f[s].q"}}


def test_vars_on_the_root_belong_to_nobody():
    m = one()
    m.price = pyo.Var()
    m.rule = pyo.Constraint(expr=m.price == 2 * m.a.x)
    game = find_game(m)
    assert [v.name for v in game.variables] == ["price"]
    assert [r.name for r in game.equations] == ["rule"]


def test_a_reference_on_a_players_block_does_not_change_the_owner():
    m = two()
    m.price = pyo.Var()
    m.rule = pyo.Constraint(expr=m.price == 2 * m.a.x)
    m.b.seen = pyo.Reference(m.price)
    m.b.rival = pyo.Reference(m.a.x)
    assert owned(m) == {"a": {"a.x"}, "b": {"b.y"}}


def test_a_root_objective_alone_is_a_planner():
    """min (x - 3)^2 + (y - 4)^2 with x + y = 5: each moves by the same, x = 2, y = 3."""
    m = pyo.ConcreteModel()
    m.x, m.inner = pyo.Var(), pyo.Block()
    m.inner.y = pyo.Var()
    m.c = pyo.Constraint(expr=m.x + m.inner.y == 5)
    m.o = pyo.Objective(expr=(m.x - 3) ** 2 + (m.inner.y - 4) ** 2)
    assert owned(m) == {"planner": {"x", "inner.y"}}
    assert solve(m).certificate.verdict == "certified"
    assert (m.x.value, m.inner.y.value) == pytest.approx((2, 3))


def test_a_root_objective_beside_players_is_refused():
    m = one()
    m.o = pyo.Objective(expr=m.a.x)
    with pytest.raises(Refused, match="root has an Objective beside players"):
        find_game(m)


def test_several_objectives_on_a_block_are_refused_by_name():
    m = one()
    m.a.second = pyo.Objective(expr=m.a.x)
    with pytest.raises(Refused, match=r"a\.o, a\.second"):
        find_game(m)
    m.a.o.deactivate()
    assert find_game(m).players[0].objective.name == "a.second"


def test_a_constraint_that_belongs_on_a_block_is_refused_with_the_block():
    m = two()
    m.cap = pyo.Constraint(expr=m.a.x <= 2)
    with pytest.raises(Refused, match="cap.*only a enters.*move it onto the Block a"):
        find_game(m)


def test_an_inequality_with_a_price_outside_is_refused():
    m = one()
    m.price = pyo.Var()
    m.rule = pyo.Constraint(expr=m.price == m.a.x)
    m.cap = pyo.Constraint(expr=m.price <= 5)
    with pytest.raises(Refused, match="cap.*Complementarity"):
        find_game(m)


@pytest.mark.parametrize("kind", ["one", "list"])
def test_a_complementarity_on_a_players_block_is_refused(kind):
    m = one()
    m.a.p = pyo.Var()
    pair = complements(m.a.x - 1 >= 0, m.a.p >= 0)
    if kind == "one":
        m.a.pair = Complementarity(expr=pair)
    else:
        m.a.pair = ComplementarityList()
        m.a.pair.add(pair)
    with pytest.raises(Refused, match="outside every player"):
        find_game(m)


def _disjunct(m):
    m.d = Disjunct()
    m.d.c = pyo.Constraint(expr=m.a.x >= 5)


def _disjunction(m):
    m.a.low, m.a.high = Disjunct(), Disjunct()
    m.a.low.c, m.a.high.c = pyo.Constraint(expr=m.a.x <= 2), pyo.Constraint(expr=m.a.x >= 5)
    m.a.either = Disjunction(expr=[m.a.low, m.a.high])


def _sos(m):
    m.a.y = pyo.Var([1, 2], bounds=(0, 1))
    m.a.sos = pyo.SOSConstraint(var=m.a.y, sos=1)


def _logical(m):
    m.a.flag = pyo.BooleanVar()
    m.a.logical = pyo.LogicalConstraint(expr=m.a.flag)


@pytest.mark.parametrize("add", [_disjunct, _disjunction, _sos, _logical])
def test_components_that_solvers_would_ignore_are_refused(add):
    m = one()
    add(m)
    with pytest.raises(Refused, match="silently ignore"):
        find_game(m)


def test_a_deactivated_component_is_not_refused():
    m = one()
    _sos(m)
    m.a.sos.deactivate()
    assert owned(m)["a"] == {"a.x", "a.y[1]", "a.y[2]"}


def test_sets_of_every_kind_are_accepted():
    m = one()
    m.s, m.r = pyo.Set(initialize=[1, 2]), pyo.RangeSet(3)
    m.product, m.union = m.s * m.r, m.s | m.r
    m.of = pyo.SetOf([1, 2])
    m.x = pyo.Param(m.s, m.r, initialize=1.0)
    m.check = pyo.BuildCheck(rule=lambda m: True)
    assert owned(m) == {"a": {"a.x"}}


@pytest.mark.parametrize("domain", [pyo.Binary, pyo.NonNegativeIntegers])
def test_whole_numbers_are_refused_not_relaxed(domain):
    m = one()
    m.a.n = pyo.Var(domain=domain)
    m.a.o.expr += m.a.n * (m.a.n - 1.2)
    with pytest.raises(Refused, match=r"decides the (binary|integer) a\.n"):
        solve(m)


def lots(block, prices, sizes, need):
    """Buy whole lots of some sizes to cover a need; what is missing costs 10."""
    block.y = pyo.Var(range(len(sizes)), within=pyo.Binary)
    block.u = pyo.Var(within=pyo.NonNegativeReals)
    block.need = pyo.Constraint(expr=sum(s * block.y[k] for k, s in enumerate(sizes)) + block.u >= need)
    paid = sum(price * size * block.y[k] for k, (price, size) in enumerate(zip(prices, sizes, strict=True)))
    block.o = pyo.Objective(expr=paid + 10 * block.u)


def test_players_who_do_not_influence_one_another_may_decide_whole_numbers():
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    lots(m.a, (1.0, 1.05, 1.1), (3, 2, 2), 4)  # relaxed: 3 + 1/2 of 2; whole: the two lots of 2
    lots(m.b, (1.0, 20.0), (3, 5), 4)  # the second lot costs more than going without
    solution = solve(m)
    assert solution.certificate.verdict == "certified"
    assert [m.a.y[k].value for k in range(3)] == [0, 1, 1] and not m.a.y[0].fixed
    assert [m.b.y[k].value for k in range(2)] == [1, 0] and m.b.u.value == pytest.approx(1)
    assert pyo.value(m.a.o) == pytest.approx(4.3) and pyo.value(m.b.o) == pytest.approx(13)
    assert all(check.proof.startswith("mixed-integer") for check in solution.certificate.checks)


def test_whole_numbers_that_somebody_else_feels_are_refused():
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    lots(m.a, (1.0,), (3,), 4)
    m.b.x = pyo.Var(bounds=(0, 1))
    m.b.o = pyo.Objective(expr=m.b.x - m.b.x * 2 + m.a.y[0])
    with pytest.raises(Refused, match=r"a\.y\[0\] is somebody else's decision"):
        solve(m)


def test_impossible_whole_numbers_are_infeasible():
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.n = pyo.Var(bounds=(0, 9), within=pyo.Integers)
    m.a.between = pyo.Constraint(expr=(0.4, 2 * m.a.n, 0.6))
    m.a.o = pyo.Objective(expr=m.a.n)
    with pytest.raises(Infeasible):
        solve(m)


def test_a_whole_number_outside_the_players_is_refused():
    m = one()
    m.level = pyo.Var(domain=pyo.Integers)
    m.rule = pyo.Constraint(expr=2 * m.level == m.a.x)
    with pytest.raises(Refused, match="level"):
        solve(m)


@pytest.mark.parametrize("where", ["objective", "square", "row", "limit", "bound", "pair", "equation", "shared"])
def test_a_number_that_is_not_finite_is_refused_where_it_stands(where):
    m = two()
    m.bad = pyo.Param(initialize=float("nan"), mutable=True)
    m.price = pyo.Var()
    a, b = m.a, m.b
    if where == "objective":
        a.o.expr += m.bad * a.x
    elif where == "square":
        a.o.expr += m.bad * a.x**2
    elif where == "row":
        a.c = pyo.Constraint(expr=m.bad * a.x + b.y <= 4)
    elif where == "limit":
        a.c = pyo.Constraint(expr=a.x + b.y <= m.bad)
    elif where == "bound":
        a.x.setub(m.bad)
    elif where == "shared":
        m.c = pyo.Constraint(expr=a.x + b.y * m.bad <= 3)
    if where == "pair":
        m.p = Complementarity(expr=complements(a.x - m.bad >= 0, m.price >= 0))
    elif where == "equation":
        m.r = pyo.Constraint(expr=m.price == m.bad * a.x)
    else:
        m.r = pyo.Constraint(expr=m.price == a.x)
    with pytest.raises(Refused, match="not finite|NaN|nan"):
        solve(m)


def market(clearing: bool = True, price: bool = True) -> pyo.ConcreteModel:
    """Demand min p d - (10 d - d^2/2), supply max p q - q^2/2, q = d: p = 5."""
    m = pyo.ConcreteModel()
    m.price = pyo.Var() if price else pyo.Param(initialize=5.0)
    m.users, m.plant = pyo.Block(), pyo.Block()
    m.users.d, m.plant.q = pyo.Var(), pyo.Var()
    m.users.cost = pyo.Objective(expr=m.price * m.users.d - 10 * m.users.d + 0.5 * m.users.d**2)
    m.plant.profit = pyo.Objective(expr=m.price * m.plant.q - 0.5 * m.plant.q**2, sense=pyo.maximize)
    if clearing:
        m.clearing = pyo.Constraint(expr=m.plant.q - m.users.d == 0)
    return m


def test_the_market_itself():
    m = market()
    assert solve(m).certificate.verdict == "certified"
    assert m.price.value == pytest.approx(5)


def test_a_forgotten_clearing_row_is_named_by_its_price():
    with pytest.raises(Refused, match="no row determines price.*clearing row"):
        solve(market(clearing=False))


def test_a_forgotten_price_is_named_by_its_row():
    """Imports y = 3 are a rule; the clearing row holds y, so it cannot be a constraint that the players share."""
    m = market(price=False)
    m.imports = pyo.Var()
    m.rule = pyo.Constraint(expr=m.imports == 3)
    m.del_component("clearing")
    m.clearing = pyo.Constraint(expr=m.plant.q + m.imports - m.users.d == 0)
    with pytest.raises(Refused, match="nothing is determined by (clearing|rule).*price missing"):
        solve(m)


def test_an_unused_var_outside_is_named():
    m = market()
    m.left_over = pyo.Var()
    with pytest.raises(Refused, match="no row determines left_over"):
        solve(m)


def test_a_defining_row_and_a_shared_equality_are_told_apart():
    """P = 20 - q1 - q2 is a Var defined by a row, q1 + q2 = 6 is shared: P = 14 whichever row is declared first."""
    for order in (0, 1):
        m = pyo.ConcreteModel()
        m.price = pyo.Var()
        m.f = pyo.Block([1, 2])
        for k in m.f:
            m.f[k].q = pyo.Var(bounds=(0, 10), initialize=1)
            m.f[k].o = pyo.Objective(expr=m.price * m.f[k].q - k * m.f[k].q - m.f[k].q ** 2, sense=pyo.maximize)
        total = m.f[1].q + m.f[2].q
        rows = [m.price == 20 - total, total == 6]
        for k in (order, 1 - order):
            m.add_component(f"row{k}", pyo.Constraint(expr=rows[k]))
        assert solve(m).certificate.verdict == "certified"
        assert m.price.value == pytest.approx(14)
        # 14 - k - 2 q_k + s = 0 with one s: q1 - q2 = 1/2, q1 + q2 = 6
        assert m.f[1].q.value == pytest.approx(3.25)


def test_fixed_vars_are_data():
    """x fixed at 7 (its own wish is 3): b follows with y = 7; a fixed price beside its fixed clearing row is data as
    well."""
    m = two()
    m.a.x.fix(7)
    assert solve(m).certificate.verdict == "certified"
    assert m.b.y.value == pytest.approx(7)
    assert m.a.x.value == 7
    assert m.a.x.fixed


def test_a_fixed_price_in_a_pair_is_refused():
    m = one()
    m.price = pyo.Var()
    m.a.o.expr += m.price * m.a.x
    m.pair = Complementarity(expr=complements(5 - m.a.x >= 0, m.price >= 0))
    m.price.fix(1)
    with pytest.raises(Refused, match="price is fixed but the pair"):
        solve(m)


def test_a_price_of_two_pairs_is_refused():
    m = one()
    m.price = pyo.Var()
    m.pair = Complementarity(expr=complements(5 - m.a.x >= 0, m.price >= 0))
    m.again = Complementarity(expr=complements(6 - m.a.x >= 0, m.price >= 0))
    with pytest.raises(Refused, match="price of two pairs"):
        solve(m)


def test_a_players_decision_is_no_price():
    m = two()
    m.pair = Complementarity(expr=complements(5 - m.a.x >= 0, m.b.y >= 0))
    with pytest.raises(Refused, match="prices belong to no player"):
        solve(m)


def test_a_var_of_a_deactivated_block_is_refused_by_name():
    m = one()
    m.off = pyo.Block()
    m.off.y = pyo.Var()
    m.a.o.expr += m.off.y * m.a.x
    m.off.deactivate()
    with pytest.raises(Refused, match=r"off\.y enters a\.o.*deactivated"):
        solve(m)


def test_an_outside_row_that_nothing_free_enters_must_hold():
    m = one()
    m.given = pyo.Var(initialize=4)
    m.given.fix()
    m.row = pyo.Constraint(expr=m.given <= 5)
    m.equal = pyo.Constraint(expr=2 * m.given == 8)
    assert solve(m).certificate.verdict == "certified"
    m.given.fix(6)
    with pytest.raises(Infeasible, match="cannot hold"):
        solve(m)


def test_stages_are_read():
    m = two()
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.stage[m.a], m.stage[m.b] = 1, 2
    assert find_game(m).stages == (1, 2)
    assert solve(m).answer.leading.hierarchy.leaders[0].name == "a"
    m.stage[m.b] = 1
    assert solve(m).certificate.verdict == "certified"


def test_stage_of_somebody_who_is_no_player_is_refused():
    m = two()
    m.helper = pyo.Block()
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.stage[m.helper] = 1
    with pytest.raises(Refused, match="helper, which is not a player"):
        find_game(m)


@pytest.mark.parametrize("value", [1.5, "first", None])
def test_stages_are_whole_numbers(value):
    m = two()
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.stage[m.a] = value
    with pytest.raises(Refused, match="whole numbers"):
        find_game(m)


def test_an_indexed_block_can_be_given_one_stage():
    m = pyo.ConcreteModel()
    m.f = pyo.Block([1, 2])
    for k in m.f:
        m.f[k].q = pyo.Var()
        m.f[k].o = pyo.Objective(expr=m.f[k].q ** 2)
    m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.stage[m.f] = 1
    assert {p.stage for p in find_game(m).players} == {1}
