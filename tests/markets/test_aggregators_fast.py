"""The game reduced to one number per aggregator: reference tables, counterexamples, properties of random games."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aggregators_games import INF, data, game, payoffs, random_game

from equilibrium.case import Alternative, read_case
from equilibrium.errors import NoEquilibrium
from equilibrium.run import solve_one
from models.aggregator_game.equilibria import payoff, profile, response, solve
from models.aggregator_game.game import Excess, candidates, ceiling

DATA = Path(__file__).parents[2] / "data" / "aggregator_game"
A2, B2 = ((0.5, 0.2, 0.9), (0.3, 0.7)), ((5, 6, 4), (7, 5))
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, INF)


@pytest.mark.parametrize("folder", sorted(DATA.glob("textbook_*")), ids=lambda path: path.name)
def test_reference_values_by_the_own_route(folder: Path) -> None:
    case = read_case(folder)
    for alternative in case.alternatives:
        expected = case.expected[case.expected["alternative"] == alternative.name]
        if expected.empty:
            with pytest.raises(NoEquilibrium):
                solve_one(case.market, case.data, alternative, "own")
            continue
        one = solve_one(case.market, case.data, alternative, "own")
        assert one.solution.certificate.verdict == "certified"
        for row in expected.itertuples():
            assert abs(one.value(row.quantity, row.index) - row.value) <= 1e-9


# ---- counterexamples ------------------------------------------------------------------------------------------------


def test_c1_two_local_maxima_with_a_linear_price() -> None:
    one = game([(1, 1)], [(1, 10)], 0.75, 1.0)
    assert np.allclose(candidates(one).found, [0.7410961278, 2.5], atol=1e-9)
    assert np.allclose(payoffs(one, 0, 0.0, np.array([0.7410961278, 1.0 - 1e-9])), [7.5601899518, 6.7271713], atol=1e-4)
    values = [payoff(profile(one, y).s[profile(one, y).s > 0], 0.75) for y in candidates(one).found]
    assert np.allclose(values, [7.5601899518, 7.5212061862], atol=1e-9)
    found = solve(one)
    assert found.verdict == "unique" and len(found.rejected) == 1


def test_c2_three_stationary_points_below_a_half() -> None:
    one = game([(1, 1)], [(3, 10)], 0.4, 1.0, given=0.7)
    found = candidates(one)
    assert np.allclose(found.found, [2.2026027110, 2.2983931421, 2.325], atol=1e-9) and not found.complete
    values = [payoff(profile(one, y).s[profile(one, y).s > 0], 0.4) for y in found.found]
    assert np.allclose(values, [6.9558097335, 6.9525316988, 6.9530330813], atol=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "alpha", "proved"),
    [
        (((1, 1), (1,)), ((1, 10), (1.7,)), 0.75, True),
        (((1, 1), (0.1,)), ((3, 10), (3.84466764,)), 0.4, False),
        (((0.69342848, 0.1622042), (0.1,)), ((1, 1.50270522), (1.8459756,)), 0.5, True),
    ],
    ids=["C3", "alpha 0.4", "alpha 0.5"],
)
def test_no_equilibrium_in_pure_strategies(a, b, alpha, proved) -> None:
    one = game(a, b, alpha, 1.0)
    found = solve(one)
    assert found.verdict == ("none" if proved else "unsettled")
    assert len(found.cycle) >= 2 and not found.equilibria and found.rejected
    for before, after in zip(found.cycle, (*found.cycle[1:], found.cycle[0]), strict=True):  # turns, one after another
        assert np.isclose(response(one, 0, before[1]).total, after[0], atol=1e-9)
        assert np.isclose(response(one, 1, after[0]).total, after[1], atol=1e-9)


def test_c3_the_response_jumps_up_where_a_user_drops_out() -> None:
    one = game([(1, 1), (1,)], [(1, 10), (1.7,)], 0.75, 1.0)
    below, above = (response(one, 0, 0.0215870040 + step).total for step in (-1e-6, 1e-6))
    assert abs(below - 0.7275) < 1e-3 and abs(above - 2.4892) < 1e-2
    assert abs(response(one, 1, 0.7275).total - 0.2431) < 1e-4 and response(one, 1, 2.4946).total == 0


def test_c4_three_equilibria_of_two_max_min_aggregators() -> None:
    one = game([(200, 0.1)] * 2, [(19.3, 2)] * 2, INF, 1.0)
    found = solve(one)
    assert found.verdict == "several" and found.complete
    assert np.allclose([e.total for e in found.equilibria], [0.8701288313, 1.2235715897, 1.2731786962], atol=1e-9)
    assert np.allclose([e.s.min() for e in found.equilibria], [0.42456856, 0.40832794, 0.39867253], atol=1e-8)
    for e in found.equilibria:
        assert (e.x > 0).all()
        for j in (0, 1):
            given = e.total - e.y[j]
            there = payoffs(one, j, given, np.linspace(1e-4, 1.99 - given, 60))
            assert there.max() <= e.s.min() + 1e-9


def test_c5_a_price_that_is_not_convex_breaks_quasiconcavity() -> None:
    """Outside this market's price: shown on the payoff itself, as a reason for the limit k >= 1."""

    def gain(y: float) -> float:
        return y * (10 - y - 0.01 * y - 6 * min(1, max(0, (y - 1) / 0.01)))

    assert np.allclose([gain(1), gain(1.01), gain(1.99)], [8.99, 3.01, 3.96], atol=0.01)


def test_c6_the_price_moves_with_the_purchase() -> None:
    """dJ/dy is the allocation's multiplier minus what the price takes: 0.1423, not 0.4036."""
    one = game([(0.5, 0.8)], [(4, 6)], 1.0, 0.3)
    step = 1e-4
    slope = np.diff(payoffs(one, 0, 2.0, np.array([3 - step, 3 + step])))[0] / (2 * step)
    assert abs(slope - 0.14233020) < 1e-6


@pytest.mark.parametrize(
    ("alpha", "a", "b", "purchases"),
    [
        (0.75, (8, 1), (1, 3.4), (0.3911493179, 0.68)),
        (0.5, (0.2, 7), (1, 8.85), (0.4760295057, 0.5205882353)),
        (0.9, (0.4, 0.1), (1, 4), (0.3780898884, 1.25)),
    ],
)
def test_c7_two_equilibria_of_two_identical_aggregators(alpha, a, b, purchases) -> None:
    found = solve(game([a, a], [b, b], alpha, 1.0))
    assert found.verdict == "several" and found.complete
    assert np.allclose([e.y for e in found.equilibria], [[y, y] for y in purchases], atol=1e-9)


def test_one_large_and_many_small_users_at_a_quarter() -> None:
    one = game([(0.013, *[9.3] * 200)], [(1.85, *[0.887] * 200)], 0.25, 1.0, given=0.077)
    found = [profile(one, total) for total in candidates(one).found]
    values = [payoff(e.s[e.s > 0], 0.25) for e in found]
    assert len(found) == 3 and np.argmax(values) == 0 and np.argmin(values) == 1
    assert np.allclose(values, [1.32021, 1.09373, 1.10217], atol=1e-4)


def test_no_equilibrium_with_finite_payoffs_names_the_user() -> None:
    for alpha in (1, 2, INF):
        found = solve(game([*A2, (0.5,)], [(5, 6, 1.2), (7, 5), (40,)], alpha, 0.05))
        assert found.verdict == "none" and found.blocked_by == 2


def test_too_many_users_who_may_drop_out_are_said_to_be() -> None:
    random = np.random.default_rng(6)
    n = 40_000
    one = game(random.uniform(0.1, 0.9, (2, n // 2)), random.uniform(0, 10, (2, n // 2)), 0.5, 0.4 / n)
    tables = data(one)
    found = solve_one(tables.market, tables, Alternative("many", "aggregators", {"alpha": "", "membership": ""}))
    certificate = found.solution.certificate
    assert certificate.verdict == "certified, local" and "too many" in certificate.scope
    assert certificate.uniqueness.decisions == "not proved"


# ---- random games ---------------------------------------------------------------------------------------------------


def invariant(one, e) -> float:
    """The largest relative error of sum (1/g - 1)/(2a) = 1/p' over aggregators that serve all their users."""
    q, worst = one.price.at(e.total)[1], 0.0
    for j in range(len(e.y)):
        own = slice(one.start[j], one.start[j + 1])
        x, a, beta = e.x[own], one.a[own], one.b[own] - e.price
        if (x > 0).all():
            g = 1 - 2 * a * x / beta
            worst = max(worst, abs(((1 / g - 1) / (2 * a)).sum() * q - 1))
    return worst


def settled(one, y: np.ndarray) -> np.ndarray | None:
    """Where best responses in turn lead from y; None where they do not settle, or somebody cannot be served."""
    for _ in range(300):
        before = y.copy()
        for j in range(len(y)):
            best = response(one, j, float(y.sum() - y[j]))
            if best is None:
                return None
            y[j] = best.total
        if np.abs(y - before).max() <= 1e-11 * y.sum():
            return y
    return None


def check_random_games(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(count):
        one = random_game(random, ALPHAS)
        found = solve(one)
        for e in found.equilibria:
            assert abs(e.x.sum() - e.total) <= 1e-11 * e.total
            assert invariant(one, e) <= 1e-10
            for j, y in enumerate(e.y):
                best = response(one, j, e.total - y)
                assert abs(best.total - y) <= 1e-8 * e.total
        if found.verdict not in ("unique", "one", "several"):
            continue
        for share in (0.0, 0.3, 1.0):
            y = settled(one, share * ceiling(one) * np.ones(len(one.alpha)) / (2 * len(one.alpha)))
            if y is not None:
                assert min(np.abs(e.y - y).max() for e in found.equilibria) <= 1e-7 * y.sum()


def test_random_games() -> None:
    check_random_games(1, 15)


@pytest.mark.slow
def test_a_thousand_random_games() -> None:
    check_random_games(2, 1000)


def test_payoffs_of_random_games_against_a_scan() -> None:
    """No purchase on a grid, allocated by an independent method, beats an equilibrium's."""
    random = np.random.default_rng(5)
    for _ in range(12):
        one = random_game(random, ALPHAS, most=2)
        for e in solve(one).equilibria:
            j = int(random.integers(len(e.y)))
            own = slice(one.start[j], one.start[j + 1])
            alpha = float(one.alpha[j])
            here = payoff(e.s[own][e.s[own] > 0], alpha)
            there = payoffs(one, j, e.total - e.y[j], e.y[j] * np.linspace(0.2, 1.8, 33))
            assert there.max() <= here + 1e-9 * abs(here)


# ---- the region of uniqueness ---------------------------------------------------------------------------------------


def check_region(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    inside = 0
    while inside < count:
        sizes = random.integers(2, 6, size=random.integers(1, 5))
        alpha = random.choice([0.0, 0.5, 0.8, 1.0, 1.5, 2.0, 5.0, 17.0, INF], size=len(sizes))
        one = game(
            [10.0 ** random.uniform(-2, 2, size=n) for n in sizes],
            [10.0 ** random.uniform(0, 1.5, size=n) for n in sizes],
            alpha,
            float(10.0 ** random.uniform(-2, 1)),
            float(random.choice([1.0, 1.7])),
        )
        if one.kappa > 0 or one.choosy:
            continue
        inside += 1
        excess, high = Excess(one), ceiling(one)
        values = [excess(high * share) for share in (0.02, 0.3, 0.6, 0.9, 0.99)]
        assert all(slope < one.kappa + 1e-9 for _, slope in values)
        signs = [value > 0 for value, _ in values]
        assert signs == sorted(signs, reverse=True)


def test_slopes_stay_below_the_bound() -> None:
    check_region(3, 300)


@pytest.mark.slow
def test_slopes_of_ten_thousand_games_stay_below_the_bound() -> None:
    check_region(4, 10_000)


def by_itself(tables, alternative):
    """The model's answer from its own start, told nothing of the market's: by the joint conditions, or else by best
    responses in turn. None if neither is certified."""
    for route in ("complementarity", "best_response"):
        solved = solve_one(tables.market, tables, alternative, route)
        if solved.solution.certificate.verdict in ("certified", "certified, local"):
            return solved
    return None


def check_the_model(seed: int, count: int) -> int:
    """Games where all users buy. Started at the market's own answer the model confirms it; left to itself it comes to
    the same wherever it is certified. How often it is."""
    random = np.random.default_rng(seed)
    alone = 0
    while count:
        one = random_game(random, ALPHAS, most=3)
        found = solve(one)
        if not found.equilibria or not all((e.x > 0).all() for e in found.equilibria):
            continue
        count -= 1
        tables = data(one)
        alternative = Alternative("random", "aggregators", {"alpha": "", "membership": ""})
        together, itself = solve_one(tables.market, tables, alternative), by_itself(tables, alternative)
        assert together.model is not None and together.solution.certificate.verdict in ("certified", "several")
        for solved in filter(None, (together, itself)):
            keys = tables.tables["users"].index
            x = np.array([solved.value("consumption", f"aggregator={j};user={i}") for j, i in keys])
            assert min(np.abs(x - e.x).max() for e in found.equilibria) <= 1e-8 * x.sum()
        alone += itself is not None
    return alone


def test_the_pyomo_model_agrees_on_random_games() -> None:
    assert check_the_model(11, 8) >= 7


@pytest.mark.slow
def test_the_pyomo_model_agrees_on_a_thousand_random_games() -> None:
    assert check_the_model(12, 1000) >= 950


@pytest.mark.parametrize("folder", sorted(DATA.glob("textbook_*")), ids=lambda path: path.name)
def test_reference_values_by_the_model_from_its_own_start(folder: Path) -> None:
    case = read_case(folder)
    for alternative in case.alternatives:
        expected = case.expected[case.expected["alternative"] == alternative.name]
        if len(expected):
            one = by_itself(case.data, alternative)
            for row in expected.itertuples():
                assert abs(one.value(row.quantity, row.index) - row.value) <= 1e-9 + 1e-11 * abs(row.value)


@pytest.mark.parametrize("folder", sorted(DATA.glob("textbook_*")), ids=lambda path: path.name)
def test_reference_values_as_the_command_gives_them(folder: Path) -> None:
    """Both routes together: the model confirms the market's own answer, and the certificate is global."""
    case = read_case(folder)
    for alternative in case.alternatives:
        expected = case.expected[case.expected["alternative"] == alternative.name]
        if len(expected):
            one = solve_one(case.market, case.data, alternative)
            assert one.model is not None and one.solution.certificate.verdict == "certified"
            for row in expected.itertuples():
                assert abs(one.value(row.quantity, row.index) - row.value) <= 1e-9
