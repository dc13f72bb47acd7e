"""The game as plain Pyomo: one aggregator a Block with its own Objective, price and total Expressions.

    aggregator j:  max over x_i >= 0, s_i >= 0 (i in N_j) of Phi_alpha(s),  s_i = x_i (b_i - p(Y) - a_i x_i),
    Phi_alpha = sum s^(1-alpha)/(1-alpha);  sum ln s for alpha = 1;  min s for max-min;   Y = all users' x

The price is an Expression of everybody's purchases, so each aggregator knows that it moves it: with a Var for the price
and a clearing row outside, all would be price takers (case textbook_r1 at alpha = 0: 3 MWh, not 2.25).

How it is written, by alpha:

* alpha = 0 and single users: Vars x, payoff sum s. A user with b below the price plus the multiplier buys nothing;
  s >= 0 then holds by itself and is left out. With a linear price the game has a potential. (A single user plays alike
  whatever its alpha.)
* alpha >= 1: Vars u = ln x. Each ln s_i = u_i + ln(b_i - p - a_i x_i) is concave in u, so the problem is convex.
  Under limits s_i >= 0 is stated for alpha = 1: a logarithm's slope alone is defined where the logarithm is not.
* max-min: the same, with a Var for ln t and ln t <= ln s_i.
* 0 < alpha < 1: Vars x, of the users that are served at the equilibrium which ``equilibria`` found: whether a user
  takes part (x_i > 0) or p >= b_i is a choice between sets of users, and each has its own conditions. In x, unlike in
  ln x, the payoff's slope grows without limit as a user's share vanishes, so solvers are not led to leave users out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from equilibrium.errors import Refused

from . import equilibria, setting

HALF = 0.5  # of the lowest b: the price at the start is at most this


def aggregators(data: Any, alpha: str = "", membership: str = "", price_cap: float = np.inf) -> pyo.ConcreteModel:
    """Aggregators with alpha-fair allocation compete for energy."""
    return _state(data, setting.read(data, alpha, membership, price_cap))


def alone(data: Any, price_cap: float = np.inf) -> pyo.ConcreteModel:
    """No aggregators: every user buys for itself, and knows that it moves the price."""
    return _state(data, setting.read(data, price_cap=price_cap, alone=True))


def _state(data: Any, case: setting.Setting) -> pyo.ConcreteModel:
    model = pyo.ConcreteModel()
    if np.isfinite(case.cap):
        raise Refused("a price cap is treated by the market's own answer only: leave --formulation and --solver out")
    _worth(model, data, case)
    for name in ("intercept", "slope", "exponent"):
        setattr(model, f"price_{name}", data.param("parameters", f"price_{name}"))
    first = _start(case)
    members, limits = _members(case), _limits(model, data, case)
    model.aggregator = pyo.Block(list(members))
    for name, users in members.items():
        _purchases(model.aggregator[name], users, first, _fair(case, name) >= 1, limits)
    model.total = pyo.Expression(expr=sum(sum(block.x[:, :]) for block in model.aggregator.values()))
    model.price = pyo.Expression(expr=model.price_intercept + model.price_slope * model.total**model.price_exponent)
    for name in members:
        _payoff(model, model.aggregator[name], case, name)
    return model


def _worth(model: Any, data: Any, case: setting.Setting) -> None:
    """Expressions ``first`` and ``fall``: of what a user buys the first MWh is worth ``first``, further ones fall by
    twice ``fall``. With own generation both are scaled, see ``setting``."""
    if "draws" in data.tables:
        model.first = _numbers(case, case.b)
        model.fall = _numbers(case, case.a)
        return
    model.curvature = data.param("users", "curvature")
    model.first_value = data.param("users", "first_value")
    if case.generation is None:
        model.first, model.fall = pyo.Reference(model.first_value), pyo.Reference(model.curvature)
        return
    model.generation_cost = data.param("generation", "cost")
    own = set(data.tables["generation"].index)
    model.share = pyo.Expression(
        list(case.users),
        rule=lambda m, *k: m.generation_cost[k] / (m.curvature[k] + m.generation_cost[k]) if k in own else 1.0,
    )
    model.first = pyo.Expression(list(case.users), rule=lambda m, *k: m.first_value[k] * m.share[k])
    model.fall = pyo.Expression(list(case.users), rule=lambda m, *k: m.curvature[k] * m.share[k])


def _numbers(case: setting.Setting, values: np.ndarray) -> pyo.Param:
    """Numbers that were drawn: they stand in no table."""
    return pyo.Param(list(case.users), initialize=dict(zip(case.users, values.tolist(), strict=True)), mutable=True)


def _start(case: setting.Setting) -> dict[Any, float]:
    """Where solvers begin: a share of what each user would buy alone at a rough price, so little that the price stays
    below half of the lowest first value and everybody has a surplus. Nothing of the market's own answer."""
    low, high = 0.0, float(case.b.max())
    for _ in range(20):
        price = 0.5 * (low + high)
        total = case.price.total(price)
        wish = np.maximum(case.b - price, 0.01 * case.b) / (2 * case.a + case.price.at(total)[1])
        low, high = (price, high) if wish.sum() > total else (low, price)
    least = case.b[case.served].min() if case.served.any() else 0.0
    share = min(HALF, case.price.total(HALF * least) / float(wish.sum())) or HALF
    return dict(zip(case.users, share * wish, strict=True))


def _members(case: setting.Setting) -> dict[str, list[Any]]:
    """The users of each aggregator that enter the model: those served, and for 0 < alpha < 1 those that buy at the
    first equilibrium known (who takes part is a choice between sets; each set has its own conditions)."""
    there = case.served.copy()
    choosy = ((case.alpha > 0) & (case.alpha < 1))[case.owner]
    if choosy.any():
        found = equilibria.solve(case.game).equilibria
        there &= ~choosy | (case.everybody(found[0].x) > 0 if found else case.b > case.price.at(0.0)[0])
    members: dict[str, list[Any]] = {}
    for k in np.flatnonzero(there):
        members.setdefault(case.names[case.owner[k]], []).append(case.users[k])
    return members


def _fair(case: setting.Setting, name: str) -> float:
    """alpha of an aggregator; 0 for a single user."""
    j = case.names.index(name)
    return float(case.alpha[j]) if np.count_nonzero(case.served & (case.owner == j)) > 1 else 0.0


def _limits(model: Any, data: Any, case: setting.Setting) -> dict[Any, Any]:
    """The most each user may buy, None without a limit."""
    if case.most is None:
        return dict.fromkeys(case.users)
    if ((case.alpha > 0) & (case.alpha < 1)).any():
        raise Refused("limits on purchases are treated for alpha = 0 and alpha >= 1: between, who takes part is open")
    model.maximum = data.param("limits", "maximum")
    limited = set(data.tables["limits"].index)
    return {key: model.maximum[key] if key in limited else None for key in case.users}


def _purchases(
    block: Any, users: list[Any], first: dict[Any, float], logarithmic: bool, limits: dict[Any, Any]
) -> None:
    """x, as Vars or as exp of Vars."""
    begin = {key: first[key] if limits[key] is None else min(first[key], 0.5 * pyo.value(limits[key])) for key in users}
    if logarithmic:
        top = {key: None if limits[key] is None else pyo.log(limits[key]) for key in users}
        block.u = pyo.Var(users, bounds=lambda b, *key: (None, top[key]), initialize=lambda b, *key: np.log(begin[key]))
        block.x = pyo.Expression(users, rule=lambda b, *key: pyo.exp(b.u[key]))
    else:
        block.x = pyo.Var(users, bounds=lambda b, *key: (0, limits[key]), initialize=lambda b, *key: begin[key])


def _payoff(model: Any, block: Any, case: setting.Setting, name: str) -> None:
    users, alpha = list(block.x), _fair(case, name)
    if alpha == 0:
        surplus = sum(_margin(model, block, k) * block.x[k] for k in users)
        block.payoff = pyo.Objective(expr=surplus, sense=pyo.maximize)
        return
    if alpha < 1:
        shares = sum(pyo.exp((1 - alpha) * (pyo.log(block.x[k]) + pyo.log(_margin(model, block, k)))) for k in users)
        block.payoff = pyo.Objective(expr=shares / (1 - alpha), sense=pyo.maximize)
        return
    block.log_surplus = pyo.Expression(users, rule=lambda b, *key: b.u[key] + pyo.log(_margin(model, b, key)))
    if alpha == np.inf:
        block.log_smallest = pyo.Var(initialize=min(pyo.value(block.log_surplus[k]) for k in users))
        block.equal = pyo.Constraint(users, rule=lambda b, *key: b.log_smallest <= b.log_surplus[key])
        fairness = block.log_smallest
    elif alpha == 1:
        if case.most is not None:
            block.some_surplus = pyo.Constraint(users, rule=lambda b, *key: _margin(model, b, key) >= 0)
        fairness = sum(block.log_surplus[k] for k in users)
    else:
        fairness = sum(pyo.exp((1 - alpha) * block.log_surplus[k]) for k in users) / (1 - alpha)
    block.payoff = pyo.Objective(expr=fairness, sense=pyo.maximize)


def _margin(model: Any, block: Any, key: Any) -> Any:
    """Surplus of each MWh of a user, EUR/MWh."""
    return model.first[key] - model.price - model.fall[key] * block.x[key]
