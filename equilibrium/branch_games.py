"""A player that is not concave beside others who move at the same time.

Each branch of that player (see ``branches``) makes a game in which everybody is concave. Every equilibrium of the whole
game is an equilibrium of one of these, and one of these is an equilibrium of the whole if no other branch pays the
player more, the others staying where they are. So all are played and held against every other branch. Where each has
one equilibrium only and the player leaves all of them, there is none: a proof.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import VarData

from .boxes import player_box
from .branches import Branch, Candidate
from .certificate import Certificate
from .convexity import prove
from .deviation import payoff_at, respond
from .errors import Infeasible, Refused
from .mcp import DECISION, MixedComplementarity
from .players import Game, Player, find_game
from .tolerances import REGRET
from .uniqueness import NOT_PROVED, Uniqueness

FEW = 8
"""The games of so many branches are all played; of more, until the player stays in one."""

PARTS = (0.9, 0.7, 0.5, 0.3, 0.1)
"""How far on the way to a branch a player is tried whose reply there leads to where the model makes no sense."""

TOLD = 4
"""Of so many branches a proof says what the player gains by leaving them."""


@dataclass(frozen=True)
class Played:
    """The game of one branch: the values of all Vars and of multipliers by row, whether it has no other equilibrium
    (and the theorem that says so, where its conditions do not), what each branch would give the player there (best
    first), what it gains by leaving, and the sign with which its payoff is minimised."""

    branch: str
    values: Mapping[str, float]
    multipliers: Mapping[str, float]
    unique: bool
    candidates: tuple[Candidate, ...]
    gain: float
    theorem: str = ""
    sign: float = 1.0

    @property
    def stays(self) -> bool:
        """Whether no other branch pays more."""
        return self.gain <= REGRET * max(abs(self.candidates[0].payoff), 1e-300)

    @property
    def left_for(self) -> Candidate | None:
        """The best branch that pays more and to which the player can go."""
        best = self.sign * self.candidates[0].payoff
        here = self.gain + best
        least = REGRET * max(abs(best), 1e-300)
        better = [c for c in self.candidates if c.admissible and here - self.sign * c.payoff > least]
        return better[0] if better else None


@dataclass(frozen=True)
class Solved:
    """What ``solve`` gives for the game of a branch, its values written into the model."""

    certificate: Certificate
    mcp: MixedComplementarity
    z: np.ndarray
    seconds: float


def decider(game: Game, branches: Sequence[Branch]) -> Player:
    """Whose branches these are. Raises Refused unless all their Vars belong to one player."""
    owners = {game.owner.get(variable, -1) for branch in branches for variable, _ in branch.held}
    if len(owners) != 1 or owners == {-1}:
        raise Refused("the branches hold Vars of several players, or of none; they are for one player")
    return game.players[owners.pop()]


def play(
    game: Game,
    branches: Sequence[Branch],
    solve: Callable[[Game], Solved],
    derive: Callable[[Game], MixedComplementarity],
) -> list[Played]:
    """The game of every branch on which something is feasible; of more than ``FEW`` branches, the games in the order
    given until the player stays in one. The model is left with the Vars free. Raises Refused where one is not solved to
    a certified equilibrium or a reply is not found, Infeasible where none is feasible."""
    player, all_of_them = decider(game, branches), len(branches) <= FEW
    variables = [v for v in game.model.component_data_objects(pyo.Var) if not v.fixed]
    conditions: dict[str, MixedComplementarity] = {}
    games: dict[str, tuple[Solved, dict[str, float]] | None] = {}

    def of(branch: Branch) -> tuple[Solved, dict[str, float]] | None:
        if branch.name not in games:
            games[branch.name] = _game(game, branch, variables, solve)
        return games[branch.name]

    possible = [branch for branch in branches if of(branch) is not None] if all_of_them else list(branches)
    played: list[Played] = []
    better = ""  # the branch that was better than the last one is looked at first
    for branch in possible:
        found = of(branch)
        if found is None:
            continue
        solved, values = found
        _put(variables, values)
        replies = [_own(player, branch, solved)]
        for other in sorted(possible, key=lambda b: b.name != better):
            if other is not branch:
                replies += _on(player, other, conditions, derive)
                _put(variables, values)
                if not all_of_them and _played(player, branch, solved, values, replies).left_for:
                    better = other.name
                    break
        played.append(_played(player, branch, solved, values, replies))
        if not all_of_them and played[-1].stays:
            break
    if not played:
        raise Infeasible(f"no branch has an answer: {', '.join(branch.name for branch in branches)}")
    return played


def _game(
    game: Game, branch: Branch, variables: Sequence[VarData], solve: Callable[[Game], Solved]
) -> tuple[Solved, dict[str, float]] | None:
    """The game of a branch and the values of all Vars in its equilibrium; None where nothing is feasible. Raises
    Refused where the equilibrium is not certified."""
    try:
        with _held(branch):
            solved = solve(find_game(game.model))
    except Infeasible:
        return None
    if not solved.certificate.ok:
        raise Refused(f"the game of the branch '{branch.name}' was not solved: {solved.certificate.scope}")
    return solved, {v.name: float(v.value) for v in variables}


def _put(variables: Sequence[VarData], values: Mapping[str, float]) -> None:
    for variable in variables:
        variable.set_value(values[variable.name], skip_validation=True)


def _on(
    player: Player,
    branch: Branch,
    conditions: dict[str, MixedComplementarity],
    derive: Callable[[Game], MixedComplementarity],
) -> list[Candidate]:
    """The player's best reply on a branch to where the others are and, if it leads to where the model makes no sense, a
    reply part of the way there that does and pays more, if one was met. Raises Refused where no reply is found."""
    model = player.block.model()
    now, here = {id(v): float(v.value) for v in player.decisions}, float(pyo.value(player.objective.expr))
    with _held(branch):
        if branch.name not in conditions:
            conditions[branch.name] = derive(find_game(model))
        found = _reply(player, branch, conditions[branch.name])
    if found is None:
        raise Refused(f"the best reply of {player.name} on the branch '{branch.name}' was not found")
    return [found] if found.admissible else [found, *_part_way(player, branch, now, here, derive)]


def _part_way(
    player: Player,
    branch: Branch,
    now: Mapping[int, float],
    here: float,
    derive: Callable[[Game], MixedComplementarity],
) -> list[Candidate]:
    """A reply that makes sense and pays more than ``here``, with the branch's Vars part of the way from where they are
    to its values."""
    for part in PARTS:
        held = [(v, now[id(v)] + part * (value - now[id(v)])) for v, value in branch.held]
        some = replace(branch, name=f"{part:.0%} of the way to {branch.name}", held=held)
        with _held(some):
            found = _reply(player, some, derive(find_game(player.block.model())))
        if found is not None and found.admissible and player.sign * found.payoff < player.sign * here:
            return [found]
    return []


def _played(
    player: Player, branch: Branch, solved: Solved, values: dict[str, float], replies: list[Candidate]
) -> Played:
    here = replies[0].payoff
    replies = sorted(replies, key=lambda c: player.sign * c.payoff)
    multipliers = {
        name: float(value)
        for name, value, part in zip(solved.mcp.names, solved.z, solved.mcp.components, strict=True)
        if isinstance(part, tuple)
    }
    shown = solved.certificate.uniqueness.decisions == "unique"
    gain = player.sign * (here - replies[0].payoff)
    theorem = "" if shown else branch.single
    sure = shown or bool(theorem)
    return Played(branch.name, values, multipliers, sure, tuple(replies), gain, theorem, player.sign)


def _theory(played: Sequence[Played]) -> str:
    """Theorems on which the count of equilibria of a branch's game rests, in words."""
    told = dict.fromkeys(one.theorem for one in played if one.theorem)
    return f" (theory: {'; '.join(told)})" if told else ""


def told(player: Player, played: Sequence[Played], branches: int) -> Uniqueness:
    """What the games of the branches say on other equilibria, ``branches`` being how many there are."""
    staying = [one for one in played if one.stays]
    if len(staying) > 1:
        names = ", ".join(one.branch for one in staying)
        return Uniqueness("not unique", NOT_PROVED, f"equilibria on {len(staying)} branches of {player.name}: {names}")
    if not all(c.exhaustive for one in played for c in one.candidates):
        return Uniqueness(NOT_PROVED, NOT_PROVED, "candidates other than these were not looked at")
    if not staying:
        reason = f"{player.name} would leave the equilibrium found on each branch; others there are not ruled out"
        return Uniqueness(NOT_PROVED, NOT_PROVED, reason)
    if len(played) == branches and all(one.unique for one in played):
        left = [f"'{one.branch}' (gain {one.gain:.3g})" for one in played if not one.stays]
        reason = f"each branch's game has one equilibrium{_theory(played)}; {player.name} would leave "
        reason += " and ".join(left) or "none"
        return Uniqueness("unique", "unique", reason)
    return Uniqueness(NOT_PROVED, NOT_PROVED, "a branch's game may have other equilibria, or was not played")


def nothing(player: Player, played: Sequence[Played]) -> str:
    """The proof that there is no equilibrium, in words; empty where there is one or it is no proof."""
    exhaustive = all(c.exhaustive for one in played for c in one.candidates)
    if any(one.stays for one in played) or not all(one.unique for one in played) or not exhaustive:
        return ""
    left = []
    for one in played:
        there = one.left_for
        if there is None:
            return ""
        gain = one.gain + player.sign * (one.candidates[0].payoff - there.payoff)
        left.append(f"from '{one.branch}' to '{there.branch}', gain {gain:.9g}")
    more = f"; and from {len(left) - TOLD} others" if len(left) > TOLD else ""
    return (
        f"proved: no equilibrium; on each of {len(played)} branches of {player.name} the game has one equilibrium"
        f"{_theory(played)}, and {player.name} would deviate: {'; '.join(left[:TOLD])}{more}"
    )


@contextmanager
def _held(branch: Branch) -> Iterator[None]:
    """The Vars of a branch at its values, free again afterwards."""
    try:
        for variable, value in branch.held:
            variable.fix(value)
        yield
    finally:
        for variable, _ in branch.held:
            variable.unfix()


def _own(player: Player, branch: Branch, solved: Solved) -> Candidate:
    """The player's part of the branch's own equilibrium."""
    proof = next((c.proof for c in solved.certificate.checks if c.name == player.name), "")
    return Candidate(
        branch.name,
        float(pyo.value(player.objective.expr)),
        {v.name: float(v.value) for v in player.decisions},
        proof or "certified locally",
        solved.certificate.uniqueness.decisions == "unique",
        solved.seconds,
        branch.exhaustive,
    )


def _reply(player: Player, branch: Branch, mcp: MixedComplementarity) -> Candidate | None:
    """The player's best reply on another branch to where the others are now; None where there is none."""
    began = time.perf_counter()
    z = np.array([0.0 if isinstance(part, tuple) else float(part.value) for part in mcp.components])
    index = next(k for k, one in enumerate(find_game(player.block.model()).players) if one.name == player.name)
    columns = np.flatnonzero(mcp.player == index)
    held = {id(variable) for variable, _ in branch.held}
    moving = [v for v in player.decisions if id(v) not in held]
    lone = replace(player, decisions=tuple(moving))
    decisions = mcp.kind[columns] == DECISION
    found = respond(mcp.part(columns, z), z[columns], lambda x: payoff_at(lone, x[decisions], (), feasible=True))
    if found is None:
        return None
    best, proof = found
    for variable, value in zip(moving, best[decisions], strict=True):
        variable.set_value(float(value), skip_validation=True)
    proof = proof or prove(lone, player_box(lone))
    values = {v.name: float(v.value) for v in player.decisions}
    payoff, seconds = float(pyo.value(player.objective.expr)), time.perf_counter() - began
    word = proof or "stationary"
    possible = branch.admissible is None or branch.admissible()
    return Candidate(branch.name, payoff, values, word, proof is not None, seconds, branch.exhaustive, possible)
