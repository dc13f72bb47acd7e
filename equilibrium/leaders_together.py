"""One leader over affine followers, solved and certified for many scenarios at once.

``leader_optima`` finds the global optimum of every scenario, with its proof. Here it is certified: the followers'
answer by its measures, as where nobody moves first; the leader's payoff by evaluating the model's own Objective; some
scenarios by a single solve, which has to say the same. What does not pass goes alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from . import curvature
from .batches import FEW, MANY, TOGETHER, Answers, Found, Plain, measured, problems_of
from .certificate import CERTIFIED
from .leader_optima import Optima, optima
from .measures import Measures
from .one_leader import OneLeader, derive_leader
from .parametric import Parametric, Stacked, Values, held
from .scenarios import NotVectorised, Scenarios, Tape
from .solution import solve
from .tolerances import FEASIBLE, REGRET, RESIDUAL
from .uniqueness import NOT_PROVED

AGREE = 1e-9
"""How far decisions and payoff may be from those of a single solve, relative."""


def solve_led(model: Any, params: Values, answers: Answers, tape: Tape) -> pd.DataFrame:
    """Solve and certify the scenarios of a model with one leader; ``Solution.leaders`` with a number per scenario.

    What is found is told to ``answers``. Raises NotVectorised where that cannot be done together.
    """
    count = answers.count
    group, _ = derive_leader(model, params, np.arange(count))
    if group.count < FEW:
        raise NotVectorised("hardly any other scenario has conditions of this shape")
    best, reasons = optima(group)
    if not best.which.size:
        raise NotVectorised(str(reasons[0]))
    followers, found, measures, good = _certified(group, best, params, answers)
    reasons[best.which[~good]] = "not certified together"
    answers.tell(group.followers.which, reason=reasons)
    _examined(group, params, best, good, answers)
    which = group.followers.which[best.which[good]]
    answers.take(followers, found, good)
    rows = [answers.row[id(v)] for v in group.hierarchy.x]
    answers.values[np.ix_(np.array(rows), which)] = best.x[good].T
    answers.tell(
        which,
        verdict=CERTIFIED,
        route=TOGETHER,
        reason="pieces of the followers' answer",
        unique=np.where(best.alone[good], "unique", NOT_PROVED),
        **{name: getattr(measures, name)[good] for name in ("residual", "regret", "distance")},
    )
    payoff = np.full(count, np.nan)
    payoff[which] = group.player.sign * best.cost[good]
    return _table(group, payoff, tape)


def _table(group: OneLeader, payoff: np.ndarray, tape: Tape) -> pd.DataFrame:
    value = Scenarios(payoff, tape)
    told = {"leader": group.player.name, "payoff": value, "bound": value, "against": value, "route": TOGETHER}
    return pd.DataFrame([told], dtype=object)


# ---- the certificate -------------------------------------------------------------------------------------------------


def _certified(
    group: OneLeader, best: Optima, params: Values, answers: Answers
) -> tuple[Parametric, Found, Measures, np.ndarray]:
    """(the followers' conditions once the leader has decided, their answers, what was measured, what passed)."""
    some = group.of(best.which)
    t = (some.weight * best.x).sum(axis=1)
    moved = some.reach * t[:, None]
    vector = some.followers.vector.part(slice(None)).T
    n = some.followers.mcp.size
    values = np.ascontiguousarray((vector + moved).T)
    followers = replace(some.followers, vector=Stacked(np.zeros(n), np.arange(n), values))
    problems = replace(problems_of(followers), terms=(np.abs(vector) + np.abs(moved)).T)
    curved = curvature.curvatures(followers)
    z = np.ascontiguousarray(best.z.T)
    measures = measured(problems, z, curved, np.abs(best.x).max(axis=1))
    only = np.ones(some.count, dtype=bool)
    found = Found(problems, z, np.full(some.count, "", dtype=object), curved, only, ~only)
    good = measures.passed & _allowed(some, best.x) & _confirmed(some, best, params, answers)
    return followers, found, measures, good


def _allowed(group: OneLeader, x: np.ndarray) -> np.ndarray:
    """Whether the leader's rows and bounds hold at x."""
    value = (group.table @ x[:, :, None])[:, :, 0]
    size = (np.abs(group.table) @ np.abs(x)[:, :, None])[:, :, 0] + np.abs(group.limit)
    off = np.where(group.equal, np.abs(value - group.limit), group.limit - value)
    return (off <= FEASIBLE * size).all(axis=1) & (x >= group.lower).all(axis=1) & (x <= group.upper).all(axis=1)


def _confirmed(group: OneLeader, best: Optima, params: Values, answers: Answers) -> np.ndarray:
    """Whether the model's own Objective says the same payoff."""
    count = answers.count
    which, tape = group.followers.which, Tape.of(count)
    everybody = [*zip(group.hierarchy.x, best.x.T, strict=True)]
    components = zip(group.followers.mcp.components, best.z.T, strict=True)
    everybody += [(c, values) for c, values in components if not isinstance(c, tuple)]
    before = [(variable, variable.value) for variable, _ in everybody]
    try:
        for variable, values in everybody:
            spread = np.full(count, np.nan)
            spread[which] = values
            variable.set_value(Scenarios(spread, tape), skip_validation=True)
        with held(params, np.arange(count), tape):
            here = group.player.sign * pyo.value(group.player.objective.expr)
    finally:
        for variable, value in before:
            variable.set_value(value, skip_validation=True)
    here = here.values[which]
    terms = group.cost(np.concatenate([best.x, best.z], axis=1))[1]
    bill = np.maximum(np.abs(here), np.abs(best.cost))
    return (np.abs(here - best.cost) <= RESIDUAL * np.maximum(bill, terms)) & (here - best.cost <= REGRET * bill)


def _examined(group: OneLeader, params: Values, best: Optima, good: np.ndarray, answers: Answers) -> None:
    """Solve some scenarios singly: the one with most pieces, of many also the first and one at random. Raises
    NotVectorised where that gives something else."""
    there = np.flatnonzero(good)
    if not there.size:
        raise NotVectorised("no scenario was solved and certified together")
    some = {int(there[np.argmax(best.count[there])])}
    if len(there) >= MANY:
        some |= {int(there[0]), int(np.random.default_rng(0).choice(there))}
    for k in sorted(some):
        with Plain(answers, params, int(group.followers.which[best.which[k]])):
            alone = solve(answers.model)
            payoff = float(alone.leaders["payoff"].iloc[0])
            x = np.array([v.value for v in group.hierarchy.x])
            components = enumerate(group.followers.mcp.components)
            here = np.array([(best.z[k, j], c.value) for j, c in components if not isinstance(c, tuple)]).T
        pairs = ((best.x[k], x), (here[0], here[1]), (group.player.sign * best.cost[k], payoff))
        if alone.certificate.verdict != CERTIFIED or not all(_same(*pair) for pair in pairs):
            raise NotVectorised("a scenario solved together and singly differs")
        answers.examined += 1


def _same(first: Any, second: Any) -> bool:
    size = max(float(np.max(np.abs(second), initial=0.0)), 1.0)
    return bool(np.max(np.abs(np.asarray(first) - np.asarray(second)), initial=0.0) <= AGREE * size)
