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
* max-min: the same, with a Var for ln t and ln t <= ln s_i.
* 0 < alpha < 1: the same in u, for the users that are served at the equilibrium which ``equilibria`` found: whether a
  user takes part (x_i > 0) or p >= b_i is a choice between sets of users, and each has its own conditions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from . import equilibria, setting

HALF = 0.5  # of the lowest b: the price at the start is at most this


def aggregators(data: Any, alpha: str = "", membership: str = "") -> pyo.ConcreteModel:
    """Aggregators with alpha-fair allocation compete for energy."""
    return _state(data, setting.read(data, alpha, membership))


def alone(data: Any) -> pyo.ConcreteModel:
    """No aggregators: every user buys for itself, and knows that it moves the price."""
    return _state(data, setting.read(data, alone=True))


def _state(data: Any, case: setting.Setting) -> pyo.ConcreteModel:
    model = pyo.ConcreteModel()
    model.curvature = data.param("users", "curvature")
    model.first_value = data.param("users", "first_value")
    for name in ("intercept", "slope", "exponent"):
        setattr(model, f"price_{name}", data.param("parameters", f"price_{name}"))
    first = _start(case)
    members = _members(case, first)
    model.aggregator = pyo.Block(list(members))
    for name, users in members.items():
        _purchases(model.aggregator[name], users, first, _logarithmic(case, name))
    model.total = pyo.Expression(expr=sum(sum(block.x[:, :]) for block in model.aggregator.values()))
    model.price = pyo.Expression(expr=model.price_intercept + model.price_slope * model.total**model.price_exponent)
    for name in members:
        _payoff(model, model.aggregator[name], case, name)
    return model


def _start(case: setting.Setting) -> dict[Any, float]:
    """Where solvers begin: consumption at the first equilibrium known, else so little that everybody has a surplus."""
    found = equilibria.solve(case.game).equilibria
    if found:
        return dict(zip(case.users, case.everybody(found[0].x), strict=True))
    wish = case.b / (2 * case.a)
    low = case.b[case.served].min() if case.served.any() else 0.0
    share = min(0.25, case.price.total(HALF * low) / float(wish.sum())) or 0.25
    return dict(zip(case.users, share * wish, strict=True))


def _members(case: setting.Setting, first: dict[Any, float]) -> dict[str, list[Any]]:
    """The users of each aggregator that enter the model: those served, and for 0 < alpha < 1 those that buy at the
    first equilibrium known."""
    choosy = (case.alpha > 0) & (case.alpha < 1)
    members: dict[str, list[Any]] = {}
    for k in np.flatnonzero(case.served):
        if first[case.users[k]] > 0 or not choosy[case.owner[k]]:
            members.setdefault(case.names[case.owner[k]], []).append(case.users[k])
    return members


def _logarithmic(case: setting.Setting, name: str) -> bool:
    j = case.names.index(name)
    return bool(case.alpha[j] > 0 and np.count_nonzero(case.served & (case.owner == j)) > 1)


def _purchases(block: Any, users: list[Any], first: dict[Any, float], logarithmic: bool) -> None:
    """x, as Vars or as exp of Vars."""
    if logarithmic:
        block.u = pyo.Var(users, initialize=lambda b, *key: np.log(first[key]))
        block.x = pyo.Expression(users, rule=lambda b, *key: pyo.exp(b.u[key]))
    else:
        block.x = pyo.Var(users, within=pyo.NonNegativeReals, initialize=lambda b, *key: first[key])


def _payoff(model: Any, block: Any, case: setting.Setting, name: str) -> None:
    users, alpha = list(block.x), float(case.alpha[case.names.index(name)])
    if block.component("u") is None:
        surplus = sum(_margin(model, block, k) * block.x[k] for k in users)
        block.payoff = pyo.Objective(expr=surplus, sense=pyo.maximize)
        return
    block.log_surplus = pyo.Expression(users, rule=lambda b, *key: b.u[key] + pyo.log(_margin(model, b, key)))
    if alpha == np.inf:
        block.log_smallest = pyo.Var(initialize=min(pyo.value(block.log_surplus[k]) for k in users))
        block.equal = pyo.Constraint(users, rule=lambda b, *key: b.log_smallest <= b.log_surplus[key])
        fairness = block.log_smallest
    elif alpha == 1:
        fairness = sum(block.log_surplus[k] for k in users)
    else:
        fairness = sum(pyo.exp((1 - alpha) * block.log_surplus[k]) for k in users) / (1 - alpha)
    block.payoff = pyo.Objective(expr=fairness, sense=pyo.maximize)


def _margin(model: Any, block: Any, key: Any) -> Any:
    """Surplus of each MWh of a user, EUR/MWh."""
    return model.first_value[key] - model.price - model.curvature[key] * block.x[key]
