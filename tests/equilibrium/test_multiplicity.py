"""solve() tells one equilibrium, several, a set, and none apart."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from games import INF, cournot, pure
from pyomo.mpec import Complementarity, complements

from equilibrium import multiplicity, solve
from equilibrium.errors import Infeasible, Refused
from equilibrium.solution import Solution
from equilibrium.testing import assert_certified


def bimatrix(first: tuple[float, float], second: tuple[float, float], bow: float = 0.0) -> pyo.ConcreteModel:
    """Two players with x, y in [0, 1]: x (a y + b) + bow (x - 1/2)^2 and y (c x + d); first = (a, b), second = (c, d).

    Without a bow these are the mixed strategies of a two by two game.
    """
    m = pyo.ConcreteModel()
    m.p = pyo.Block([1, 2])
    for k in m.p:
        m.p[k].x = pyo.Var(bounds=(0, 1))
    x, y = m.p[1].x, m.p[2].x
    m.p[1].gain = pyo.Objective(expr=x * (first[0] * y + first[1]) + bow * (x - 0.5) ** 2, sense=pyo.maximize)
    m.p[2].gain = pyo.Objective(expr=y * (second[0] * x + second[1]), sense=pyo.maximize)
    return m


def points(solution: Solution) -> set[tuple[float, ...]]:
    """The isolated equilibria, rounded, in the order of the Vars."""
    table = solution.equilibria
    assert (table["lower"] == table["upper"]).all()
    return {tuple(np.round(part["lower"], 6)) for _, part in table.groupby("equilibrium")}


def test_coordination_has_three_equilibria():
    m = bimatrix((2, -1), (2, -1))
    solution = solve(m)
    assert solution.certificate.verdict == "several"
    assert solution.certificate.ok
    assert solution.certificate.scope.startswith("3 equilibria")
    assert solution.certificate.uniqueness.decisions == "not unique"
    assert points(solution) == {(0, 0), (0.5, 0.5), (1, 1)}
    first = solution.equilibria[solution.equilibria["equilibrium"] == 1]
    assert first["lower"].tolist() == [m.p[1].x.value, m.p[2].x.value]  # number 1 is what the model holds


def test_matching_pennies_has_one_and_it_is_said_why():
    solution = solve(bimatrix((2, -1), (-2, 1)))
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "unique"
    assert points(solution) == {(0.5, 0.5)}


def test_one_by_enumeration():
    """Indifferent nowhere, not monotone: dominated strategies leave one equilibrium."""
    solution = solve(bimatrix((3, 1), (1, 1)))
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "unique"
    assert "the only solution" in solution.certificate.uniqueness.reason
    assert points(solution) == {(1, 1)}


def test_a_continuum():
    """The first player does not care; the second answers 0, anything, or 1."""
    solution = solve(bimatrix((0, 0), (2, -1)))
    assert solution.certificate.verdict == "several"
    assert "continuum" in solution.certificate.scope
    assert solution.equilibria[["lower", "upper"]].to_numpy().tolist() == [[0, 1], [0, 1]]
    assert "p[1].x in [0, 1]" in solution.certificate.uniqueness.reason


@pytest.mark.parametrize("seed", range(40))
def test_random_two_by_two_games(seed):
    """Integers, so that degenerate games occur: every pure equilibrium, and the mixed one, by hand."""
    random = np.random.default_rng(seed)
    (a, b), (c, d) = random.integers(-2, 3, size=(2, 2)).tolist()
    solution = solve(bimatrix((a, b), (c, d)))
    table = solution.equilibria
    assert solution.certificate.ok
    for x, y in product((0.0, 1.0), repeat=2):
        right = (a * y + b) * (2 * x - 1) >= 0 and (c * x + d) * (2 * y - 1) >= 0
        inside = [
            (part["lower"].to_numpy() <= (x, y)).all() and (part["upper"].to_numpy() >= (x, y)).all()
            for _, part in table.groupby("equilibrium")
        ]
        assert any(inside) or not right
        if (table["lower"] == table["upper"]).all():
            assert any(inside) == right
    if a and c and 0 < -d / c < 1 and 0 < -b / a < 1:
        assert tuple(np.round((-d / c, -b / a), 6)) in points(solution)
        assert len(points(solution)) == (3 if a * c > 0 else 1)
        assert solution.certificate.verdict == ("several" if a * c > 0 else "certified")


def test_two_firms_without_an_equilibrium():
    """Each gains from the other's output more than from its own: x = 1/2 + y and y = 1/2 + x."""
    m = pyo.ConcreteModel()
    m.firm = pyo.Block([1, 2])
    for k in m.firm:
        m.firm[k].x = pyo.Var(within=pyo.NonNegativeReals, initialize=3.0)
    x, y = m.firm[1].x, m.firm[2].x
    m.firm[1].gain = pyo.Objective(expr=x * (1 + 2 * y) - x**2, sense=pyo.maximize)
    m.firm[2].gain = pyo.Objective(expr=y * (1 + 2 * x) - y**2, sense=pyo.maximize)
    solution = solve(m)
    assert solution.certificate.verdict == "none"
    assert "proved: no equilibrium" in solution.certificate.scope
    assert not solution.certificate.ok
    assert solution.equilibria.empty
    assert (x.value, y.value) == (3.0, 3.0)  # nothing was written
    assert solution.multipliers.isna().all()


def test_contradicting_constraints_are_infeasible_and_not_none():
    m = pyo.ConcreteModel()
    m.price = pyo.Var()
    m.plant = pyo.Block([1, 2])
    for k, capacity in ((1, 10.0), (2, 2.0)):
        m.plant[k].q = pyo.Var(bounds=(0, capacity))
        m.plant[k].o = pyo.Objective(expr=(m.price - k) * m.plant[k].q, sense=pyo.maximize)
    m.clearing = Complementarity(expr=complements(m.plant[1].q + m.plant[2].q - 13 >= 0, m.price >= 0))
    with pytest.raises(Infeasible):
        solve(m)


@pytest.mark.parametrize(("demand", "low", "high"), [(10.0, 1.0, 3.0), (12.0, 3.0, INF)])
def test_the_range_of_a_price(demand, low, high):
    """Plants 10 + 2 MW at costs 1 and 3: decisions are settled, the price is not."""
    m = pyo.ConcreteModel()
    m.price = pyo.Var()
    m.plant = pyo.Block([1, 2])
    for k, capacity, cost in ((1, 10.0, 1.0), (2, 2.0, 3.0)):
        m.plant[k].q = pyo.Var(bounds=(0, capacity))
        m.plant[k].o = pyo.Objective(expr=(m.price - cost) * m.plant[k].q, sense=pyo.maximize)
    m.clearing = Complementarity(expr=complements(m.plant[1].q + m.plant[2].q - demand >= 0, m.price >= 0))
    solution = solve(m)
    assert_certified(solution)
    found = solution.certificate.uniqueness
    assert (found.decisions, found.prices) == ("unique", "not unique")
    assert f"price in [{low:g}, {high:g}]" in found.reason
    table = solution.equilibria.set_index("variable")
    assert (table.loc["price", "lower"], table.loc["price", "upper"]) == (pytest.approx(low), pytest.approx(high))
    assert table.loc["plant[1].q", "lower"] == table.loc["plant[1].q", "upper"] == pytest.approx(10)


def test_a_tie_between_plants_is_a_range():
    m = pyo.ConcreteModel()
    m.p = pyo.Block()
    m.p.q = pyo.Var([1, 2], bounds=(0, 10))
    m.p.c = pyo.Constraint(expr=m.p.q[1] + m.p.q[2] == 8)
    m.p.o = pyo.Objective(expr=3 * m.p.q[1] + 3 * m.p.q[2])
    solution = solve(m)
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "not unique"
    table = solution.equilibria.set_index("variable")
    assert table.loc[["p.q[1]", "p.q[2]"]].to_numpy()[:, 1:].tolist() == [[0, 8], [0, 8]]
    assert table.loc["p.c", "lower"] == table.loc["p.c", "upper"] == pytest.approx(3)


def test_a_limit_stated_twice_leaves_only_its_multipliers_open():
    m = cournot(100, 1, [10, 20])
    b = m.firm[0]
    b.d = pyo.Var(bounds=(0, 3))
    b.limit, b.again = pyo.Constraint(expr=b.q + b.d <= 10), pyo.Constraint(expr=2 * b.q + 2 * b.d <= 20)
    solution = solve(m)
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions == "unique"
    table = solution.equilibria.set_index("variable")
    assert table.loc["firm[0].limit.upper", ["lower", "upper"]].tolist() == [0, pytest.approx(35)]
    assert table.loc["firm[0].again.upper", ["lower", "upper"]].tolist() == [0, pytest.approx(17.5)]


def test_a_shared_limit_in_a_coordination_game():
    """x + y <= 1.2, the same multiplier for both: (1, 1) is lost, and what the limit makes of it is found."""
    m = bimatrix((2, -1), (2, -1))
    m.shared = pyo.Constraint(expr=m.p[1].x + m.p[2].x <= 1.2)
    solution = solve(m)
    assert solution.certificate.verdict == "several"
    found = {(x, y) for x, y, *_ in points(solution)}
    assert found == {(0.0, 0.0), (0.5, 0.5), (0.6, 0.6)}


# ---- pairs without players ------------------------------------------------------------------------------------------


def test_pairs_with_several_solutions_and_with_none():
    two = solve(pure(np.array([[-1.0]]), np.array([1.0]), [0.0], [INF]))
    assert two.certificate.verdict == "several"
    assert points(two) == {(0,), (1,)}
    none = solve(pure(-np.eye(2), -np.ones(2), [0, 0], [INF, INF]))
    assert none.certificate.verdict == "none"
    assert "no solution" in none.certificate.scope


@pytest.mark.parametrize("seed", range(30))
def test_random_pairs_against_all_patterns(seed):
    """The verdict of solve() beside the count of solutions over all 2^n patterns."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 5))
    matrix, vector = random.normal(size=(n, n)), random.normal(size=n)
    by_hand = []
    for pattern in product((False, True), repeat=n):
        basic, z = np.array(pattern), np.zeros(n)
        z[basic] = np.linalg.solve(matrix[np.ix_(basic, basic)], -vector[basic])
        if (z >= -1e-9).all() and (matrix @ z + vector >= -1e-9).all():
            by_hand.append(tuple(np.round(np.abs(z), 6)))
    m = pure(matrix, vector, [0.0] * n, [INF] * n)
    solution = solve(m)
    verdict = {0: "none", 1: "certified"}.get(len(by_hand), "several")
    assert solution.certificate.verdict == verdict
    if by_hand:
        assert {tuple(np.abs(found)) for found in points(solution)} == set(by_hand)
    if verdict == "certified":
        assert solution.certificate.uniqueness.decisions == "unique"


def test_rules_that_contradict_each_other():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(), pyo.Var()
    m.first, m.second = pyo.Constraint(expr=m.x + m.y == 1), pyo.Constraint(expr=2 * m.x + 2 * m.y == 3)
    assert solve(m).certificate.verdict == "none"


# ---- players that are not concave, nonlinear games, large ones ------------------------------------------------------


def test_players_that_are_not_concave_only_on_request():
    """The first player wants 0 or 1 and not what is between: (1/2, 1/2) solves the conditions and is no equilibrium."""
    m = bimatrix((2, -1), (2, -1), bow=1.0)
    with pytest.raises(Refused, match="not concave"):
        solve(m)
    solution = solve(m, every=True)
    assert solution.certificate.verdict == "several"
    assert points(solution) == {(0, 0), (1, 1)}
    assert "all its stationary points" in solution.certificate.scope


def test_no_pure_equilibrium_of_a_player_that_is_not_concave():
    """It wants to be where the other is not, at 0 or at 1; the other wants to be where it is."""
    solution = solve(bimatrix((0.5, -0.25), (-2, 1), bow=1.0), every=True)
    assert solution.certificate.verdict == "none"
    assert "somebody would deviate" in solution.certificate.scope


@pytest.mark.parametrize("seed", range(30))
def test_random_games_of_players_that_are_not_concave(seed):
    """Answers on a grid: an equilibrium of the list is a best response for all, and every one of the grid is listed."""
    random = np.random.default_rng(seed)
    a, b, c, d = random.normal(size=4)
    bow = float(random.uniform(0.1, 2))
    solution = solve(bimatrix((a, b), (c, d), bow), every=True)

    def gains(x: float, y: float) -> tuple[float, float]:
        own = [s * (a * y + b) + bow * (s - 0.5) ** 2 for s in (0.0, 1.0)]  # convex: best at an end
        return max(own) - x * (a * y + b) - bow * (x - 0.5) ** 2, max(0.0, c * x + d) - y * (c * x + d)

    pure_ones = {(x, y) for x, y in product((0.0, 1.0), repeat=2) if max(gains(x, y)) <= 1e-9}
    mixed = {(x, -b / a) for x in (0.0, 1.0) if abs(c * x + d) <= 1e-9 and 0 < -b / a < 1}
    if not pure_ones | mixed:
        assert solution.certificate.verdict == "none"
        return
    assert points(solution) == pure_ones | mixed
    assert solution.certificate.verdict == ("several" if len(pure_ones) > 1 else "certified")


def test_a_set_checked_at_one_point_proves_nothing():
    """The second does not care: with y < 1/2 the first prefers 0, with y > 1/2 it prefers 1, and so on along a set of
    stationary points of which some are no equilibria."""
    solution = solve(bimatrix((2, -1), (0, 0), bow=1.0), every=True)
    assert solution.certificate.verdict not in ("none", "several")
    assert solution.certificate.uniqueness.decisions == "not proved"


def quadratic_answers() -> pyo.ConcreteModel:
    """min (x - y^2)^2 and min (y - x^2)^2 on [-2, 2]: (0, 0), (1, 1) and (2, 2)."""
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(bounds=(-2, 2), initialize=0.0), pyo.Var(bounds=(-2, 2), initialize=0.0)
    m.a.o = pyo.Objective(expr=(m.a.x - m.b.y**2) ** 2)
    m.b.o = pyo.Objective(expr=(m.b.y - m.a.x**2) ** 2)
    return m


def test_a_nonlinear_game_is_searched_only_on_request():
    first = solve(quadratic_answers())
    assert first.certificate.verdict == "certified"
    assert first.certificate.uniqueness.decisions == "not proved"
    m = quadratic_answers()
    solution = solve(m, every=True)
    assert solution.certificate.verdict == "several"
    assert solution.certificate.scope.startswith("at least 3 equilibria")
    assert points(solution) == {(0, 0), (1, 1), (2, 2)}
    again = solve(quadratic_answers(), every=True)
    pd.testing.assert_frame_equal(solution.equilibria, again.equilibria)  # seeded


def test_no_other_answer_found_proves_nothing():
    m = pyo.ConcreteModel()
    m.a, m.b = pyo.Block(), pyo.Block()
    m.a.x, m.b.y = pyo.Var(bounds=(0, 5)), pyo.Var(bounds=(0, 5))
    m.a.o = pyo.Objective(expr=m.a.x**4 - m.a.x * m.b.y**2)
    m.b.o = pyo.Objective(expr=(m.b.y - 1 - 0.1 * m.a.x) ** 2)
    solution = solve(m, every=True)
    assert_certified(solution)
    assert solution.certificate.uniqueness.decisions in ("not proved", "unique")
    if solution.certificate.uniqueness.decisions == "not proved":
        assert "found no other" in solution.certificate.uniqueness.reason


def test_a_forced_route_is_not_replaced():
    """Best responses that cycle stay the answer where they were asked for."""
    m = bimatrix((2, -1), (-2, 1))
    verdict = solve(m, "best_response").certificate.verdict
    assert verdict in ("cycling", "uncertified")


def test_a_search_that_is_given_up_claims_nothing(monkeypatch):
    """Twelve two-sided pairs have 4096 solutions: after 200 nodes some are known, and it is said that there may be
    more."""
    monkeypatch.setattr(multiplicity, "NODES", 200)
    solution = solve(pure(-np.eye(12), np.ones(12), [0.0] * 12, [INF] * 12))
    assert solution.certificate.verdict == "several"
    assert solution.certificate.scope.startswith("at least ")
    assert "not finished after 200" in solution.certificate.uniqueness.reason
    monkeypatch.setattr(multiplicity, "NODES", 1)
    solution = solve(pure(-np.eye(12), np.ones(12), [0.0] * 12, [INF] * 12))
    assert solution.certificate.verdict == "certified"
    assert solution.certificate.uniqueness.decisions == "not proved"


def test_large_problems_are_searched_only_on_request():
    n = multiplicity.PAIRS + 1
    blocks = np.eye(n)
    blocks[0, 0] = -1.0
    first = solve(pure(blocks, np.ones(n), [0.0] * n, [INF] * n))
    assert first.certificate.uniqueness.decisions == "not proved"
    both = solve(pure(blocks, np.ones(n), [0.0] * n, [INF] * n), every=True)
    assert both.certificate.verdict == "several"
    assert len(both.known) == 2
