"""The market's own answer for the machinery: equilibria by ``equilibria``, checked player by player."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from equilibrium.certificate import LOCAL, Check
from equilibrium.errors import Refused
from equilibrium.own import Own, Together
from equilibrium.scenarios import NotVectorised, current
from equilibrium.solvers.outcome import Outcome, Termination
from equilibrium.uniqueness import Uniqueness

from . import capped, many, setting
from .equilibria import BLOCKED, Found, Profile, payoff, response, solve
from .game import crowded

LARGE = 60
"""More users than this are not stated as a Pyomo model: every payoff holds every user's purchase, so derivatives grow
with the square of their number."""

SEARCHED = 5000
"""Up to so many users other equilibria are looked for where theory does not exclude them."""

NAME = "one number per aggregator"
WORDS = {"unique": "certified", "one": "certified", "several": "several", "none": "none", "unsettled": "uncertified"}
CROWDED = (
    "stationary, by the market's own responses: other sets of users who take part were not examined, they are too many"
)
GLOBAL = "global, by the market's own responses: every aggregator's best response over all deviations"


def aggregators(data: Any, alpha: str = "", membership: str = "", price_cap: float = np.inf) -> Own | None:
    """The answer for aggregators with alpha-fair allocation; None where users' purchases are limited."""
    return _answer(setting.read(data, alpha, membership, price_cap))


def alone(data: Any, price_cap: float = np.inf) -> Own | None:
    """The answer where every user buys for itself; None where purchases are limited."""
    return _answer(setting.read(data, price_cap=price_cap, alone=True))


def aggregators_together(data: Any, alpha: str = "", membership: str = "", price_cap: float = np.inf) -> Together:
    """As ``aggregators``, for data with one number per scenario."""
    return _together(setting.read(data, alpha, membership, price_cap))


def alone_together(data: Any, price_cap: float = np.inf) -> Together:
    """As ``alone``, for data with one number per scenario."""
    return _together(setting.read(data, price_cap=price_cap, alone=True))


def _together(case: setting.Setting) -> Together:
    tape = current()
    assert tape is not None
    if np.isfinite(case.cap) or case.most is not None or len(case.a) > SEARCHED:
        raise NotVectorised("a price cap, limits on purchases and very many users are treated one by one")
    found = many.play(case.game, len(tape.astray))
    words = {"": "", **WORDS}
    return Together(
        np.array([words[one] for one in found.verdict], dtype=object),
        np.array([_word(one) for one in found.verdict], dtype=object),
        np.array(
            [
                blocked(case, user, float(case.b[user, min(k, case.b.shape[1] - 1)])) if user >= 0 else ""
                for k, user in enumerate(found.blocked_by.tolist())
            ],
            dtype=object,
        ),
        (case, found.x),
    )


def _answer(case: setting.Setting) -> Own | None:
    capped_price = bool(np.isfinite(case.cap))
    if capped_price and case.most is not None:
        raise Refused("a price cap and limits on purchases are not treated together")
    if capped_price and "maximal" in case.rules:
        raise Refused("the membership rule 'maximal' is not defined under a price cap")
    if case.most is not None:
        return None
    began = time.perf_counter()
    every = len(case.a) <= SEARCHED
    found = capped.equilibria(case.game, case.cap, every) if capped_price else solve(case.game, every)
    checks = examine(case, found.equilibria[0]) if found.equilibria else []
    passed = all(check.passed for check in checks)
    verdict = WORDS[found.verdict] if passed else "uncertified"
    if verdict == "certified" and not capped_price and crowded(case.game):
        verdict, found = LOCAL, replace(found, reason=CROWDED)
    outcome = Outcome(Termination.SOLVED, found.reason, time.perf_counter() - began, NAME)
    return Own(
        verdict,
        (CROWDED if verdict == LOCAL else scope(case, found)) if passed else "a response was not confirmed",
        Uniqueness(*[_word(found.verdict)] * 2, found.reason),
        checks,
        _listed(case, found),
        (case, case.everybody(found.equilibria[0].x) if found.equilibria else np.full(len(case.a), np.nan)),
        lambda model: _variables(model, case, found),
        outcome,
        _unstated(case, found),
    )


def _unstated(case: setting.Setting, found: Found) -> str:
    """Why no model is stated beside the answer; empty where one is."""
    if np.isfinite(case.cap):
        return "the price is capped"
    if found.equilibria and found.equilibria[0].total == 0:
        return "nobody buys anything"
    return f"{len(case.a)} users" if len(case.a) > LARGE else ""


def _word(verdict: str) -> str:
    return {"unique": "unique", "several": "not unique"}.get(verdict, "not proved")


def scope(case: setting.Setting, found: Found) -> str:
    """What was shown, in words; where there is no equilibrium, why."""
    if found.equilibria:
        more = "" if found.complete else "; there may be others"
        return GLOBAL + (more if found.verdict in ("several", "one") else "")
    if found.blocked_by >= 0:
        return blocked(case, int(np.flatnonzero(case.served)[found.blocked_by]), float(case.game.b[found.blocked_by]))
    text = f"no equilibrium in pure strategies: {found.reason}"
    if found.cycle:
        steps = " -> ".join("(" + ", ".join(f"{v:.6g}" for v in y) + ")" for y in (*found.cycle, found.cycle[0]))
        text += f"; best responses in turn go round: {steps}"
    return text


def blocked(case: setting.Setting, number: int, b: float) -> str:
    """Why there is no equilibrium: a user, by its number, whose first value b is too low."""
    group, user = case.users[number]
    kind = "a positive smallest surplus" if np.isinf(case.alpha[case.owner[number]]) else "finite payoffs"
    return f"no equilibrium with {kind}: user {user} of aggregator {group} has first value {b:g}; {BLOCKED}"


def examine(case: setting.Setting, one: Profile) -> list[Check]:
    """One row per aggregator: what its best response to the others would gain it, and how far away it is."""
    game, checks = case.game, []
    for j, number in enumerate(case.reduction[1]):
        own = slice(game.start[j], game.start[j + 1])
        alpha = float(game.alpha[j]) if game.start[j + 1] - game.start[j] > 1 else 0.0
        given = float(one.y.sum() - one.y[j])
        best = capped.response(game, case.cap, j, given) if np.isfinite(case.cap) else response(game, j, given)
        if best is None:
            continue
        here, there = payoff(one.s[own], alpha), payoff(best.s, alpha)
        away = float(np.abs(best.x - one.x[own]).max())
        size = float(one.x[own].max()) or float(one.x.max())
        invariant = _residual(game, one, own) if one.price < case.cap else 0.0
        checks.append(
            Check(
                f"aggregator[{case.names[number]}]",
                "player",
                there - here,
                float(np.abs(one.s[own]).sum()) if alpha == 0 else max(abs(here), abs(there)),
                away,
                size,
                invariant,
                0.0,
                proof=GLOBAL,
                moves=("price", "total"),
            )
        )
    return checks


def _residual(game: Any, one: Profile, own: slice) -> float:
    """How far sum (1/g - 1)/(2a) is from 1/p'(Y), relative, where all the aggregator's users buy; else zero."""
    x, a, beta = one.x[own], game.a[own], game.b[own] - one.price
    if not (x > 0).all():
        return 0.0
    g = 1 - 2 * a * x / beta
    q = game.price.at(one.total)[1]
    if g.min() < 1e-3:  # cancellation: the sum cannot be formed to full accuracy from x
        return 0.0
    return abs(float(((1 / g - 1) / (2 * a)).sum()) * q - 1)


def _listed(case: setting.Setting, found: Found) -> pd.DataFrame:
    """Rows (equilibrium, variable, lower, upper): total, price and purchases of the aggregators in each equilibrium."""
    rows = []
    for number, one in enumerate(found.equilibria, 1):
        named = [("total", one.total), ("price", one.price)]
        named += [(f"purchase[{name}]", y) for name, y in zip(case.names, case.totals(one), strict=True)]
        rows += [(number, name, float(value), float(value)) for name, value in named]
    return pd.DataFrame(rows, columns=["equilibrium", "variable", "lower", "upper"])


def _variables(model: Any, case: setting.Setting, found: Found) -> list[tuple[Any, float]]:
    one = found.equilibria[0]
    x = dict(zip(case.users, case.everybody(one.x), strict=True))
    pairs = []
    for block in model.aggregator.values():
        if block.component("u") is None:
            pairs += [(block.x[key], float(x[key])) for key in block.x]
            continue
        pairs += [(block.u[key], float(np.log(x[key]))) for key in block.u]
        s = dict(zip(case.users, case.everybody(one.s), strict=True))
        if block.component("log_smallest") is not None:
            pairs.append((block.log_smallest, float(np.log(min(s[key] for key in block.u)))))
    return pairs
