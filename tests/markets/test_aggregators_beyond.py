"""Beyond the source: own generation, limits on purchases, a cap on the price, several hours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from aggregators_games import INF, data, game, payoffs, random_game
from scipy.optimize import minimize

from equilibrium import solve as solve_model
from equilibrium.case import Alternative
from equilibrium.data import Data
from equilibrium.errors import NoEquilibrium, Refused
from equilibrium.run import solve_one
from models.aggregator_game import capped, setting
from models.aggregator_game.equilibria import payoff, solve
from models.aggregator_game.game import Price


def answer(tables: Any, route: str | None = None, cap: float = INF) -> Any:
    alternative = Alternative("here", "aggregators", {"alpha": "", "membership": "", "price_cap": cap})
    return solve_one(tables.market, tables, alternative, route)


# ---- own generation -------------------------------------------------------------------------------------------------


def with_generators(tables: Any) -> pyo.ConcreteModel:
    """alpha = 0 with use and generation as decisions of their own: bought = use - generation >= 0."""
    users = tables.tables["users"]
    model = pyo.ConcreteModel()
    model.aggregator = pyo.Block(list(tables.tables["aggregators"].index))
    for name, block in model.aggregator.items():
        own = [key for key in users.index if key[0] == name]
        block.use, block.own = (pyo.Var(own, within=pyo.NonNegativeReals, initialize=1.0) for _ in range(2))
        block.bought = pyo.Constraint(own, rule=lambda b, *k: b.use[k] >= b.own[k])
    total = sum(b.use[k] - b.own[k] for b in model.aggregator.values() for k in b.use)
    model.price = pyo.Expression(expr=tables.parameters["price_slope"] * total)
    for block in model.aggregator.values():
        worth = 0
        for k in block.use:
            a, b = users.loc[k, ["curvature", "first_value"]]
            g = tables.tables["generation"].loc[k, "cost"]
            use, own = block.use[k], block.own[k]
            worth += b * use - a * use**2 - g * own**2 - model.price * (use - own)
        block.payoff = pyo.Objective(expr=worth, sense=pyo.maximize)
    return model


def test_generation_is_what_users_would_choose_themselves() -> None:
    one = game([(0.5, 0.2, 0.9), (0.3, 0.7)], [(5, 6, 4), (7, 5)], 0.0, 0.05)
    tables = data(one, generation_cost=[0.4, 1.0, 0.2, 2.0, 0.6])
    model = with_generators(tables)
    assert solve_model(model).certificate.verdict == "certified"
    found = answer(tables)
    assert found.solution.certificate.verdict == "certified"
    for block in model.aggregator.values():
        for group, user in block.use:
            index = f"aggregator={group};user={user}"
            use, own = pyo.value(block.use[group, user]), pyo.value(block.own[group, user])
            assert abs(found.value("own generation", index) - own) < 1e-7
            assert abs(found.value("consumption", index) - (use - own)) < 1e-7


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0, INF])
def test_generation_leaves_a_game_of_the_same_kind(alpha: float) -> None:
    """What is bought is that of users with a g/(a+g) and b g/(a+g); a user without generation is unchanged."""
    a, b, g = np.array([0.5, 0.2, 0.3, 0.7]), np.array([5.0, 6.0, 7.0, 5.0]), np.array([0.4, 1.0, 0.0, 0.6])
    share = np.where(g > 0, g / (a + g), 1.0)
    one = game([a[:2], a[2:]], [b[:2], b[2:]], alpha, 0.05)
    net = game([(a * share)[:2], (a * share)[2:]], [(b * share)[:2], (b * share)[2:]], alpha, 0.05)
    found = answer(data(one, generation_cost=g))
    assert found.model is not None and found.solution.certificate.verdict == "certified"
    assert abs(found.value("total") - solve(net).equilibria[0].total) < 1e-8
    read = setting.read(data(one, generation_cost=g))
    assert read.generated(np.zeros(4))[2] == 0


# ---- limits on purchases --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, INF])
def test_limits_against_the_aggregators_own_problem(alpha: float) -> None:
    """One aggregator: its optimum under the limits by another solver."""
    one = game([(1, 1, 0.5)], [(3, 6, 5)], alpha, 0.5)
    most = np.array([np.inf, 0.5, 0.4])
    found = answer(data(one, maximum=most))
    assert found.solution.certificate.verdict == "certified"
    x = np.array([found.value("consumption", f"aggregator=1;user=1.{i}") for i in range(3)])

    def worth(x: np.ndarray) -> np.ndarray:
        return x * (one.b - 0.5 * x.sum() - one.a * x)

    limits = [(1e-6, m if np.isfinite(m) else 1.5) for m in most]  # all have a surplus up to there
    if np.isinf(alpha):
        start = np.append(0.3 * np.ones(3), 0.1)
        rows = [{"type": "ineq", "fun": lambda z: worth(z[:3]) - z[3]}]
        best = minimize(lambda z: -z[3], start, bounds=[*limits, (None, None)], constraints=rows, tol=1e-14)
        assert abs(worth(x).min() + best.fun) < 1e-6
        return
    best = minimize(lambda z: -payoff(worth(z), alpha), 0.3 * np.ones(3), bounds=limits, tol=1e-14)
    assert abs(payoff(worth(x), alpha) + best.fun) < 1e-7 and np.abs(best.x - x).max() < 1e-4
    assert x[1] == pytest.approx(0.5, abs=1e-8) or x[2] == pytest.approx(0.4, abs=1e-8)


def test_limits_that_do_not_bind_change_nothing() -> None:
    one = game([(0.5, 0.2, 0.9), (0.3, 0.7)], [(5, 6, 4), (7, 5)], 1.0, 0.05)
    assert abs(answer(data(one, maximum=50.0)).value("total") - answer(data(one)).value("total")) < 1e-8


def test_what_limits_are_not_treated_with() -> None:
    one = game([(0.5, 0.2)], [(5, 6)], 0.5, 0.05)
    for tables, route in ((data(one, maximum=1.0), None), (data(one, maximum=1.0), "own")):
        with pytest.raises(Refused):
            answer(tables, route)
    with pytest.raises(Refused):
        answer(data(one, maximum=1.0), cap=2.0)


# ---- a cap on the price ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Capped(Price):
    """The price as it is under a cap, for the independent scan of payoffs."""

    cap: float = INF

    def at(self, total: float) -> tuple[float, float, float]:
        price, slope, curvature = super().at(total)
        return (price, slope, curvature) if price < self.cap else (self.cap, 0.0, 0.0)


def under(one: Any, cap: float) -> Any:
    p = one.price
    return replace(one, price=Capped(p.slope, p.exponent, p.intercept, p.given, cap))


def best_on_a_grid(one: Any, cap: float, j: int, given: float) -> float:
    own = slice(one.start[j], one.start[j + 1])
    high = float((one.b[own] / (2 * one.a[own])).sum())
    return float(payoffs(under(one, cap), j, given, np.linspace(0.02, 1, 20) * high).max())


@pytest.mark.slow
def test_no_purchase_on_a_grid_beats_an_equilibrium_under_a_cap() -> None:
    random = np.random.default_rng(8)
    kinds = set()
    for _ in range(4):
        one = random_game(random, (0.0, 0.5, 1.0, 2.0, INF), most=2)
        free = solve(one).equilibria[0]
        for share in (0.7, 0.97, 1.5):
            cap = share * free.price
            for e in capped.equilibria(one, cap).equilibria:
                kinds.add(e.price < cap)
                for j in range(len(e.y)):
                    own = slice(one.start[j], one.start[j + 1])
                    alpha = float(one.alpha[j]) if own.stop - own.start > 1 else 0.0
                    here = payoff(e.s[own][e.s[own] > 0], alpha)
                    assert best_on_a_grid(one, cap, j, e.total - e.y[j]) <= here + 1e-8 * abs(here)
    assert kinds == {True, False}


def test_a_cap_that_never_binds_changes_nothing_and_a_low_one_makes_price_takers() -> None:
    one = game([(0.5, 0.2, 0.9), (0.3, 0.7)], [(5, 6, 4), (7, 5)], 1.0, 0.05)
    free = solve(one).equilibria[0]
    high, low = answer(data(one), cap=4.5), answer(data(one), cap=0.5)
    assert abs(high.value("total") - free.total) < 1e-9
    assert low.value("price") == 0.5 and low.solution.certificate.verdict == "certified"
    assert abs(low.value("total") - ((one.b - 0.5) / (2 * one.a)).sum()) < 1e-9
    with pytest.raises(Refused):
        answer(data(one), "complementarity", 0.5)


def test_under_a_cap_there_may_be_two_equilibria_or_none() -> None:
    seen = {}
    random = np.random.default_rng(3)
    for _ in range(400):
        one = random_game(random, (0.0, 0.5, 0.75, 1.0, 2.0, INF), most=3)
        free = solve(one).equilibria
        if free:
            found = capped.equilibria(one, 1.01 * free[0].price)
            seen.setdefault(found.verdict, (one, 1.01 * free[0].price, found))
        if {"several", "none"} <= set(seen):
            break
    one, cap, found = seen["several"]
    below, above = found.equilibria
    assert below.price < cap == above.price
    one, cap, found = seen["none"]
    assert found.rejected and "gains on the other side" in found.reason
    with pytest.raises(NoEquilibrium):
        answer(data(one), cap=cap)


# ---- several hours --------------------------------------------------------------------------------------------------


def by_hour(one: Any, factors: dict[str, float]) -> Any:
    """The game once for each hour, values times a factor, as tables of users by hour."""
    tables = data(one)
    frames = [
        tables.tables["users"][["curvature", "first_value"]].assign(
            hour=hour, first_value=lambda f, k=k: f.first_value * k
        )
        for hour, k in factors.items()
    ]
    users = pd.concat(frames).set_index("hour", append=True)
    hours = pd.DataFrame({"price_intercept": 0.0, "price_slope": one.price.slope}, index=pd.Index(factors, name="hour"))
    return Data(
        tables.market,
        tables.parameters,
        {"aggregators": tables.tables["aggregators"], "hours": hours, "hourly_users": users},
    )


def over_hours(tables: Any) -> Any:
    return solve_one(tables.market, tables, Alternative("here", "hours", {"alpha": ""}))


TWO = [(0.5, 0.2, 0.9), (0.3, 0.7)], [(5, 6, 4), (7, 5)]


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, INF])
def test_one_hour_and_equal_hours_are_the_game_itself(alpha: float) -> None:
    one = game(*TWO, alpha, 0.05)
    total = solve(one).equilibria[0].total
    for hours in (("day",), ("day", "evening")):
        found = over_hours(by_hour(one, dict.fromkeys(hours, 1.0)))
        assert found.solution.certificate.verdict in ("certified", "certified, local")
        for hour in hours:
            assert abs(found.value("total", f"hour={hour}") - total) < 1e-7


def test_without_fairness_hours_fall_apart() -> None:
    one = game(*TWO, 0.0, 0.05)
    found = over_hours(by_hour(one, {"day": 1.0, "evening": 1.6}))
    assert found.solution.certificate.verdict == "certified"
    for hour, factor in (("day", 1.0), ("evening", 1.6)):
        alone = solve(game(TWO[0], [np.array(b) * factor for b in TWO[1]], 0.0, 0.05)).equilibria[0]
        assert abs(found.value("total", f"hour={hour}") - alone.total) < 1e-8


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_fairness_couples_hours(alpha: float) -> None:
    """The condition of optimality, w_i (beta_it - 2 a_it x_it) = p_t' sum_k w_k x_kt with w_i = s_i^(-alpha)."""
    one = game(*TWO, alpha, 0.05)
    found = over_hours(by_hour(one, {"day": 1.0, "evening": 1.6}))
    assert found.solution.certificate.verdict in ("certified", "certified, local")
    for j in (1, 2):
        users = [(str(j), f"{j}.{i}") for i in range(len(TWO[0][j - 1]))]
        weight = {u: found.value("surplus", f"aggregator={u[0]};user={u[1]}") ** -alpha for u in users}
        for hour, factor in (("day", 1.0), ("evening", 1.6)):
            x = {u: found.value("consumption", f"aggregator={u[0]};hour={hour};user={u[1]}") for u in users}
            right = 0.05 * sum(weight[u] * x[u] for u in users)
            for i, u in enumerate(users):
                beta = factor * TWO[1][j - 1][i] - found.value("price", f"hour={hour}")
                assert abs(weight[u] * (beta - 2 * TWO[0][j - 1][i] * x[u]) - right) < 1e-7 * right


def test_hours_between_welfare_and_proportional_are_refused() -> None:
    with pytest.raises(Refused):
        over_hours(by_hour(game(*TWO, 0.5, 0.05), {"day": 1.0}))


# ---- nobody buys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.75])
@pytest.mark.parametrize("cap", [INF, 8.0])
def test_where_nothing_is_worth_its_price_nobody_buys(alpha: float, cap: float) -> None:
    """With nothing bought the price is 10, above all first values: that is the equilibrium, and the only one."""
    tables = data(game([(1, 1), (1,)], [(3, 6), (2,)], alpha, 0.5))
    tables = replace(tables, parameters={**tables.parameters, "price_intercept": 10.0})
    found = answer(tables, cap=cap)
    assert found.solution.certificate.verdict == "certified" and found.value("total") == 0
    assert found.solution.certificate.uniqueness.decisions == "unique" and found.value("average surplus") == 0


def test_fairness_to_all_has_no_equilibrium_where_nothing_is_worth_its_price() -> None:
    tables = data(game([(1, 1), (1,)], [(3, 6), (2,)], 1.0, 0.5))
    tables = replace(tables, parameters={**tables.parameters, "price_intercept": 10.0})
    with pytest.raises(NoEquilibrium, match="user 1.0"):
        answer(tables)
    aggregators = tables.tables["aggregators"].assign(membership="filtered")
    found = answer(replace(tables, tables={**tables.tables, "aggregators": aggregators}))
    assert found.solution.certificate.verdict == "certified" and found.value("users left out") == 2
