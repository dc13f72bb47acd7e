"""Order of moves: leaders decide first and see the followers react.

The Suffix ``stage`` sorts the players. What leaders decide is data to the followers, kept as symbols: the followers'
joint conditions are lower <= z <= upper _|_ F(z; x) with x the leaders' decisions. A leader's own problem is then one
over (x, z): its Objective and its own constraints, which may hold followers' Vars (they are tested on what the
followers answer, never moved into a follower's problem), subject to z being an answer to x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from pyomo.common.collections import ComponentMap
from pyomo.core.base.var import VarData
from pyomo.core.expr.visitor import identify_variables

from .conditions import NotAffine, Reader, affine, sides
from .errors import Refused
from .mcp import MixedComplementarity
from .players import Game, Player
from .tolerances import FEASIBLE


@dataclass(frozen=True)
class Hierarchy:
    """Players of the first stage, the game of the later ones given ``x`` (the leaders' Vars, leader by leader)."""

    leaders: tuple[Player, ...]
    followers: Game
    x: tuple[VarData, ...]

    @property
    def parts(self) -> list[np.ndarray]:
        """For every leader the positions of its decisions in x."""
        ends = np.cumsum([0, *(len(leader.decisions) for leader in self.leaders)])
        return [np.arange(a, b) for a, b in pairwise(ends)]


@dataclass(frozen=True)
class Quadratic:
    """v'Hv/2 + c'v + constant, H symmetric."""

    hessian: np.ndarray
    gradient: np.ndarray
    constant: float

    def __call__(self, v: np.ndarray) -> float:
        """The value at v."""
        return float(0.5 * v @ self.hessian @ v + self.gradient @ v + self.constant)

    def slope(self, v: np.ndarray) -> np.ndarray:
        """The gradient at v."""
        return self.hessian @ v + self.gradient


@dataclass(frozen=True)
class LeaderProblem:
    """One leader's problem over v = (x, z): minimise ``cost`` subject to low <= table v <= up, bounds on x, and z an
    answer to x.

    ``reaction`` holds the followers' conditions with this leader's decisions as symbols, everything else at its value.
    """

    player: Player
    reaction: MixedComplementarity
    cost: Quadratic
    table: np.ndarray
    low: np.ndarray
    up: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    whole: np.ndarray  # which decisions take whole numbers only
    row_names: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many decisions the leader has."""
        return len(self.lower)

    @property
    def seen(self) -> np.ndarray:
        """Which followers' columns enter the leader's Objective or constraints."""
        z = slice(self.count, None)
        return (
            np.any(self.cost.hessian[z] != 0, axis=1)
            | (self.cost.gradient[z] != 0)
            | np.any(self.table[:, z] != 0, axis=0)
        )

    def excess(self, v: np.ndarray) -> np.ndarray:
        """By how much each of the leader's own rows is broken at v, relative to its terms (0: it holds)."""
        value = self.table @ v
        size = np.abs(self.table) @ np.abs(v)
        for limit in (self.low, self.up):
            size = np.maximum(size, np.where(np.isfinite(limit), np.abs(limit), 0.0))
        return np.maximum(0.0, np.maximum(self.low - value, value - self.up)) / np.where(size > 0, size, 1.0)

    def hold(self, values: np.ndarray, columns: np.ndarray) -> LeaderProblem:
        """The same problem with some of the leader's decisions held at values."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[columns] = upper[columns] = values
        return replace(self, lower=lower, upper=upper, whole=np.zeros_like(self.whole))

    def without(self, columns: np.ndarray, values: np.ndarray) -> LeaderProblem:
        """The problem over the other decisions, these put in at values; rows without a Var are left out (see
        ``holds``)."""
        d, reaction, cost = self.count, self.reaction, self.cost
        assert reaction.slope is not None and reaction.vector is not None
        keep = np.setdiff1d(np.arange(d), columns)
        v = np.concatenate([keep, np.arange(d, d + reaction.size)])
        given = np.zeros(d + reaction.size)
        given[columns] = values
        shift = self.table @ given
        table = self.table[:, v]
        used = np.any(table != 0, axis=1)
        lone = replace(
            reaction,
            vector=reaction.vector + reaction.slope[:, columns] @ values,
            slope=sp.csr_array(reaction.slope[:, keep]),
            _made=reaction._made,
        )
        return LeaderProblem(
            self.player,
            lone,
            Quadratic(cost.hessian[np.ix_(v, v)], cost.slope(given)[v], cost(given)),
            table[used],
            (self.low - shift)[used],
            (self.up - shift)[used],
            self.lower[keep],
            self.upper[keep],
            self.whole[keep],
            tuple(name for name, there in zip(self.row_names, used, strict=True) if there),
        )

    def holds(self, columns: np.ndarray, values: np.ndarray) -> bool:
        """Whether bounds, whole numbers and rows over some decisions alone hold at values."""
        low, up, whole = self.lower[columns], self.upper[columns], self.whole[columns]
        room = FEASIBLE * np.maximum(np.abs(values), 1e-300)
        if ((values < low - room) | (values > up + room) | (whole & (values != np.round(values)))).any():
            return False
        others = np.setdiff1d(np.arange(self.table.shape[1]), columns)
        alone = ~np.any(self.table[:, others] != 0, axis=1)
        v = np.zeros(self.table.shape[1])
        v[columns] = values
        return bool((self.excess(v)[alone] <= FEASIBLE).all())


def split(game: Game) -> Hierarchy:
    """Sort a game with two stages into leaders and followers. Raises Refused for more stages, or where a limit over
    both belongs to nobody."""
    if len(game.stages) > 2:
        raise Refused(
            f"this model declares {len(game.stages)} stages; an order of moves may have two: those who move first, and "
            "everybody else. Put later deciders that do not react to each other on one stage"
        )
    first = game.stages[0]
    leaders = tuple(p for p in game.players if p.stage == first)
    later = tuple(p for p in game.players if p.stage > first)
    index = {id(p.block): k for k, p in enumerate(later)}
    number = {k: index.get(id(p.block), -1) for k, p in enumerate(game.players)}
    owner = ComponentMap((v, number.get(k, -1)) for v, k in game.owner.items())
    ahead = tuple(v for leader in leaders for v in leader.decisions)
    mine = {id(v) for v in ahead}
    for row in game.shared:
        if any(id(v) in mine for v in identify_variables(row.body, include_fixed=False)):
            raise Refused(
                f"the limit {row.name} stands outside the players and holds Vars of leaders and of followers; say "
                "whose it is by moving it onto a Block: on the leader's it is tested on what the followers answer, "
                "on a follower's it limits that follower"
            )
    followers = Game(game.model, later, game.variables, game.pairs, game.equations, game.shared, owner, ahead)
    return Hierarchy(leaders, followers, ahead)


@dataclass(frozen=True)
class LeaderForm:
    """One leader's problem as it was stated, over v = (x, z) with the decisions x of all leaders: minimise v'Hv/2 + c'v
    + constant subject to table v >= low, or == low where ``equal``, and bounds on its own decisions ``own``."""

    player: Player
    own: np.ndarray
    reaction: MixedComplementarity
    hessian: sp.csr_array
    gradient: np.ndarray
    constant: float
    table: sp.csr_array
    low: np.ndarray
    equal: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    whole: np.ndarray
    row_names: tuple[str, ...]

    def at(self, x: np.ndarray) -> LeaderProblem:
        """The problem of this leader with the other leaders' decisions at x."""
        reaction = self.reaction
        assert reaction.slope is not None and reaction.vector is not None
        others = np.setdiff1d(np.arange(len(x)), self.own)
        lone = replace(
            reaction,
            vector=reaction.vector + reaction.slope[:, others] @ x[others],
            slope=sp.csr_array(reaction.slope[:, self.own]),
            _made=reaction._made,
        )
        given = np.zeros(len(self.gradient))
        given[others] = x[others]
        free = np.concatenate([self.own, np.arange(len(x), len(given))])
        pull = self.hessian @ given
        hessian = self.hessian[free][:, free].toarray()
        constant = float(0.5 * given @ pull + self.gradient @ given + self.constant)
        low = self.low - self.table @ given
        return LeaderProblem(
            self.player,
            lone,
            Quadratic(hessian, (self.gradient + pull)[free], constant),
            self.table[:, free].toarray(),
            low,
            np.where(self.equal, low, np.inf),
            self.lower,
            self.upper,
            self.whole,
            self.row_names,
        )


def leader_form(hierarchy: Hierarchy, which: int, reaction: MixedComplementarity) -> LeaderForm:
    """The problem of leader ``which``, read once. Raises NotAffine where it is not quadratic with linear rows."""
    player = hierarchy.leaders[which]
    d = len(hierarchy.x)
    place = {id(v): k for k, v in enumerate(hierarchy.x)}
    place |= {id(c): d + k for k, c in enumerate(reaction.components) if not isinstance(c, tuple)}
    reader, size = Reader(), d + reaction.size
    hessian, gradient, constant = _quadratic(reader.read(player.objective.expr, player.objective.name), place, size)
    rows, low, equal, names = [], [], [], []
    for row in player.constraints:
        curved, slope, level = _quadratic(reader.read(row.body, row.name), place, size)
        if curved.nnz:
            raise NotAffine(row.name)
        for side, sign, limit in sides(row):
            rows.append(sign * slope)
            low.append(sign * (limit - level))
            equal.append(side == "equal")
            names.append(row.name)
    bounds = [v.bounds for v in player.decisions]
    return LeaderForm(
        player,
        hierarchy.parts[which],
        reaction,
        player.sign * hessian,
        player.sign * gradient,
        player.sign * constant,
        sp.csr_array(np.array(rows).reshape(len(rows), size)),
        np.array(low, dtype=float),
        np.array(equal, dtype=bool),
        np.array([-np.inf if b[0] is None else b[0] for b in bounds], dtype=float),
        np.array([np.inf if b[1] is None else b[1] for b in bounds], dtype=float),
        np.array([not v.is_continuous() for v in player.decisions], dtype=bool),
        tuple(names),
    )


def leader_problem(hierarchy: Hierarchy, which: int, x: np.ndarray, reaction: MixedComplementarity) -> LeaderProblem:
    """The problem of leader ``which`` with the other leaders' decisions at x. Raises NotAffine, see ``leader_form``."""
    return leader_form(hierarchy, which, reaction).at(x)


def reaction_of(followers: Game) -> MixedComplementarity:
    """The followers' affine conditions with the leaders' decisions as symbols. Raises NotAffine."""
    return affine(followers)


def current(variables: Sequence[VarData]) -> np.ndarray:
    """Values of the leaders' Vars, a neutral value inside their bounds where they have none."""
    found = []
    for v in variables:
        low, up = v.bounds
        middle = 0.5 * ((low if low is not None else (up or 0.0)) + (up if up is not None else (low or 0.0)))
        found.append(float(v.value) if v.value is not None else middle)
    return np.array(found)


def _quadratic(repn: Any, place: dict[int, int], size: int) -> tuple[sp.csr_array, np.ndarray, float]:
    """(H, c, constant) of v'Hv/2 + c'v + constant."""
    gradient = np.zeros(size)
    for key, value in repn.linear.items():
        gradient[place[key]] += value
    pairs = [(place[a], place[b], value) for (a, b), value in (repn.quadratic or {}).items()]
    row, column, value = np.array(pairs).T.reshape(3, -1) if pairs else np.zeros((3, 0))
    upper = sp.coo_array((value, (row.astype(int), column.astype(int))), shape=(size, size))
    return sp.csr_array(upper + upper.T), gradient, float(repn.constant)
