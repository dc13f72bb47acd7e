"""Players who decide whole numbers, where nobody influences anybody: each one's linear mixed-integer programme.

HiGHS finds the whole numbers and a bound that no decision can pass. They are then held, and what is left is solved and
certified like any other model; the certificate adds how far each player is from its bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from .certificate import CERTIFIED, UNCERTIFIED, Certificate
from .conditions import NotAffine, Reader, sides
from .errors import Infeasible, Refused
from .players import Game, Player
from .solvers import highs
from .solvers.outcome import Termination
from .uniqueness import NOT_PROVED, Uniqueness

PROOF = "mixed-integer linear, solved to its bound"


@dataclass(frozen=True)
class Choice:
    """Whole numbers of one player, and the least (minimised) payoff that any decision of it can have."""

    player: Player
    variables: tuple[Any, ...]
    values: tuple[int, ...]
    bound: float


def needed(game: Game) -> bool:
    """Whether somebody decides whole numbers while all move together."""
    return len(game.stages) == 1 and any(not v.is_continuous() for p in game.players for v in p.decisions)


def choose(game: Game) -> list[Choice]:
    """Every player's best whole numbers. Raises Refused where players or prices influence them or a payoff or limit is
    not linear, Infeasible where a player has no possible decision."""
    if game.variables or game.pairs or game.shared or game.equations:
        first = next(p for p in game.players if not all(v.is_continuous() for v in p.decisions))
        raise _refused(first, "prices, rules or shared limits stand beside it")
    return [_choose(player) for player in game.players]


def _refused(player: Player, why: str) -> Refused:
    first = next((v for v in player.decisions if not v.is_continuous()), None)
    what = "decides" if first is None else f"decides the {'binary' if first.is_binary() else 'integer'} {first.name};"
    what = "stands beside whole numbers;" if first is None else what
    return Refused(
        f"{player.name} {what} conditions of optimality do not see whole numbers, and relaxing them silently would "
        "give a wrong answer. They are for leaders, and for linear problems of players who do not influence one "
        f"another: {why}"
    )


def _choose(player: Player) -> Choice:
    whole = np.array([not v.is_continuous() for v in player.decisions])
    programme, constant = _programme(player)
    x, bound = np.zeros(len(whole)), constant
    for columns, part in _parts(programme):
        found, least, outcome = highs.bounded_mixed_integer(part, whole[columns])
        if outcome.termination is Termination.INFEASIBLE:
            raise Infeasible(f"no decision of {player.name} satisfies its limits in whole numbers")
        if outcome.termination is Termination.UNBOUNDED:
            raise Infeasible(f"the problem of {player.name} is unbounded: look for a missing bound on its decisions")
        if found is None:
            raise Refused(f"no possible whole numbers of {player.name} were found: {outcome.message}")
        x[columns] = found
        bound += least
    chosen = np.flatnonzero(whole)
    variables = tuple(player.decisions[k] for k in chosen)
    return Choice(player, variables, tuple(round(float(x[k])) for k in chosen), bound)


def _parts(programme: highs.Programme) -> Iterator[tuple[np.ndarray, highs.Programme]]:
    """The programme in parts that no row ties together: (columns, programme). Rows without columns are left out; the
    certificate looks at them."""
    table = sp.csr_array(programme.rows)
    table.eliminate_zeros()
    tied = sp.csr_array(abs(table).T @ abs(table))
    count, label = connected_components(tied, directed=False)
    held = np.flatnonzero(np.diff(table.indptr))
    row_label = label[table.indices[table.indptr[held]]]
    order, row_order = np.argsort(label, kind="stable"), np.argsort(row_label, kind="stable")
    ends = np.searchsorted(label[order], np.arange(count + 1))
    row_ends = np.searchsorted(row_label[row_order], np.arange(count + 1))
    for k in range(count):
        columns, rows = order[ends[k] : ends[k + 1]], held[row_order[row_ends[k] : row_ends[k + 1]]]
        yield (
            columns,
            highs.Programme(
                sp.csc_array((len(columns), len(columns))),
                programme.gradient[columns],
                sp.csr_array(table[rows][:, columns]),
                programme.row_lower[rows],
                programme.row_upper[rows],
                programme.lower[columns],
                programme.upper[columns],
            ),
        )


def _programme(player: Player) -> tuple[highs.Programme, float]:
    """The player's own linear programme (minimised) and the constant of its payoff."""
    reader, column = Reader(), {id(v): k for k, v in enumerate(player.decisions)}

    def terms(expression: Any, name: str) -> tuple[dict[int, float], float]:
        try:
            read = reader.read(expression, name)
        except NotAffine as error:
            raise _refused(player, f"{name} is not linear") from error
        if read.quadratic:
            raise _refused(player, f"{name} is not linear")
        strange = [reader.variables[v].name for v, slope in read.linear.items() if v not in column and slope]
        if strange:
            raise _refused(player, f"{strange[0]} is somebody else's decision")
        return {column[v]: slope for v, slope in read.linear.items()}, float(read.constant)

    slopes, constant = terms(player.objective.expr, player.objective.name)
    n = len(column)
    gradient = np.zeros(n)
    gradient[list(slopes)] = [player.sign * slope for slope in slopes.values()]
    table, low, up = sp.lil_array((len(player.constraints), n)), [], []
    for i, row in enumerate(player.constraints):
        found, shift = terms(row.body, row.name)
        for k, slope in found.items():
            table[i, k] = slope
        limits = {side: limit - shift for side, _, limit in sides(row)}
        low.append(limits.get("equal", limits.get("lower", -np.inf)))
        up.append(limits.get("equal", limits.get("upper", np.inf)))
    bounds = [v.bounds for v in player.decisions]
    lower = np.array([-np.inf if b[0] is None else b[0] for b in bounds], dtype=float)
    upper = np.array([np.inf if b[1] is None else b[1] for b in bounds], dtype=float)
    rows = sp.csr_array(table)
    programme = highs.Programme(sp.csc_array((n, n)), gradient, rows, np.array(low), np.array(up), lower, upper)
    return programme, player.sign * constant


@contextmanager
def held(choices: Sequence[Choice]) -> Iterator[None]:
    """The whole numbers held at what was chosen."""
    variables = [v for choice in choices for v in choice.variables]
    try:
        for choice in choices:
            for variable, value in zip(choice.variables, choice.values, strict=True):
                variable.fix(value)
        yield
    finally:
        for variable in variables:
            variable.unfix()


def certify(rest: Certificate, choices: Sequence[Choice]) -> Certificate:
    """The certificate of what was left, with every player's distance from the bound of its whole problem."""
    bounds = {choice.player.name: choice for choice in choices if choice.variables}
    mine = {variable.name for choice in choices for variable in choice.variables}  # held, not taken as given
    checks = tuple(
        replace(
            check,
            regret=_gap(bounds[check.name]),
            distance=np.nan,
            proof=PROOF,
            note="whole numbers: other decisions may be as good",
            takes=tuple(name for name in check.takes if name not in mine),
        )
        if check.name in bounds
        else check
        for check in rest.checks
    )
    reason = "whole numbers; whether others are as good was not looked for"
    uniqueness = Uniqueness(NOT_PROVED, NOT_PROVED, reason)
    wrong = ", ".join(check.name for check in checks if not check.passed)
    if wrong or not rest.ok:
        return replace(
            rest, verdict=UNCERTIFIED, scope=f"fails for {wrong}" if wrong else rest.scope, checks=checks,
            uniqueness=uniqueness,
        )  # fmt: skip
    scope = "global: every player's own mixed-integer programme was solved to its bound"
    verdict = rest.verdict if rest.verdict != "several" else CERTIFIED
    return replace(rest, verdict=verdict, scope=scope, checks=checks, uniqueness=uniqueness)


def _gap(choice: Choice) -> float:
    player = choice.player
    return float(player.sign * pyo.value(player.objective.expr) - choice.bound)
