"""One leader over affine followers, for many scenarios: everything as arrays, derived once.

The leader minimises v'Hv/2 + g'v + constant over v = (x, z) within its bounds and rows table x >= limit, where z
answers x: lower <= z <= upper _|_ M z + N x + q. Its decisions reach the followers through one number, t = weight'x:
N = reach weight'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .conditions import AHEAD, Entries, NotAffine, collect, sides
from .hierarchy import Hierarchy, split
from .parametric import Parametric, Stacked, Values, VectorReader, assembled, held, stacked, unusual
from .players import Player, find_game, finite_numbers
from .scenarios import NotVectorised, Tape, larger, smaller

PARALLEL = 1e-12
"""Relative size of what may be left of N once the part that goes through one number is taken off."""


@dataclass
class OneLeader:
    """The arrays of several scenarios: weight, lower, upper (scenarios, decisions), reach (scenarios, followers'
    columns), hessian (scenarios, v, v), gradient (scenarios, v), constant (scenarios,), table (scenarios, rows,
    decisions), limit (scenarios, rows); equal (rows,): rows that are equations. ``followers`` are their conditions at
    x = 0."""

    hierarchy: Hierarchy
    followers: Parametric
    weight: np.ndarray
    reach: np.ndarray
    hessian: np.ndarray
    gradient: np.ndarray
    constant: np.ndarray
    table: np.ndarray
    limit: np.ndarray
    equal: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def player(self) -> Player:
        """Who leads."""
        return self.hierarchy.leaders[0]

    @property
    def count(self) -> int:
        """How many scenarios there are."""
        return self.followers.count

    def of(self, chosen: np.ndarray) -> OneLeader:
        """The same for some scenarios."""
        names = ("weight", "reach", "hessian", "gradient", "constant", "table", "limit", "lower", "upper")
        parts = {name: getattr(self, name)[chosen] for name in names}
        return OneLeader(self.hierarchy, self.followers.of(chosen), equal=self.equal, **parts)

    def cost(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the minimised payoff at v (scenarios, columns), the size of its terms)."""
        bent = 0.5 * (self.hessian @ v[:, :, None])[:, :, 0]
        size = np.abs(v) * (0.5 * (np.abs(self.hessian) @ np.abs(v)[:, :, None])[:, :, 0] + np.abs(self.gradient))
        return (v * (bent + self.gradient)).sum(axis=1) + self.constant, size.sum(axis=1) + np.abs(self.constant)


def derive_leader(model: Any, params: Values, which: np.ndarray) -> tuple[OneLeader, np.ndarray]:
    """(the arrays of the scenarios that have the shape of most, which of them have not). Raises NotVectorised where
    there are several leaders, whole numbers, followers or a payoff that are not affine or quadratic, followers' Vars in
    the leader's rows, or decisions that reach the followers through more than one number; Refused, Infeasible as a
    single derivation. The Params keep the values they have."""
    tape = Tape.of(len(which))
    with held(params, which, tape), finite_numbers():
        hierarchy = split(find_game(model))
        if len(hierarchy.leaders) > 1:
            raise NotVectorised("several leaders decide in turn")
        if not all(v.is_continuous() for v in hierarchy.x):
            raise NotVectorised("the leader decides whole numbers")
        try:
            followers, through = _followers(hierarchy, which, tape)
            own = _Own(hierarchy, followers, tape)
        except NotAffine as error:
            raise NotVectorised(f"{error} is not affine or quadratic") from error
    weight, reach, off = _one_number(through, tape.astray)
    tape.astray |= off | unusual(own.numbers, own.limits, len(which))
    tape.astray |= unusual((followers.matrix, followers.vector), (followers.lower, followers.upper), len(which))
    d, count = len(hierarchy.x), len(which)
    size = d + followers.mcp.size
    found = OneLeader(
        hierarchy,
        followers,
        weight,
        reach,
        _spread(own.hessian, count, (size, size)),
        _spread(own.gradient, count, (size,)),
        _spread(own.constant, count, (1,))[:, 0],
        _spread(own.table, count, (own.rows, d)),
        _spread(own.limit, count, (own.rows,)),
        np.array(own.equal, dtype=bool),
        _spread(own.lower, count, (d,)),
        _spread(own.upper, count, (d,)),
    )
    return found.of(np.flatnonzero(~tape.astray)), tape.astray


def _followers(hierarchy: Hierarchy, which: np.ndarray, tape: Tape) -> tuple[Parametric, np.ndarray]:
    """(their conditions at x = 0, N (scenarios, columns, decisions))."""
    layout, entries = collect(hierarchy.followers, VectorReader(tape))
    rows, columns, values = entries.arrays()
    own, n, d = columns < AHEAD, len(layout.names), len(hierarchy.x)
    alone = Entries(entries.numbers)
    alone.blocks, alone.constant = [(rows[own], columns[own], values[own])], entries.constant
    places = rows[~own] * d + (columns[~own] - AHEAD)
    ahead = stacked(n * d, zip(places.tolist(), values[~own], strict=True), len(which))
    return assembled(hierarchy.followers, layout, alone, which), _spread(ahead, len(which), (n, d))


def _one_number(through: np.ndarray, astray: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weight, reach, scenarios in which N is not reach weight'). Raises NotVectorised where that is so in most."""
    size = np.abs(through).max(axis=(1, 2), initial=0.0)
    first = int(np.argmin(astray | (size == 0)))
    if not size[first] > 0:
        raise NotVectorised("the leader's decisions do not reach the followers")
    row, column = np.unravel_index(int(np.argmax(np.abs(through[first]))), through.shape[1:])
    top = through[:, row, column]
    with np.errstate(all="ignore"):
        weight, reach = through[:, row, :] / top[:, None], through[:, :, column]
        rest = np.abs(through - reach[:, :, None] * weight[:, None, :]).max(axis=(1, 2))
    off = ~(rest <= PARALLEL * size) | ~(np.abs(top) > 1e-9 * size)
    if 2 * np.count_nonzero(off & ~astray) >= np.count_nonzero(~astray):
        raise NotVectorised("the leader's decisions reach the followers through more than one number")
    return weight, reach, off


class _Own:
    """The leader's payoff and limits, read once; positions in v = (x, z). A row with one decision becomes a bound."""

    def __init__(self, hierarchy: Hierarchy, followers: Parametric, tape: Tape) -> None:
        player, count = hierarchy.leaders[0], len(tape.astray)
        d = len(hierarchy.x)
        place = {id(v): k for k, v in enumerate(hierarchy.x)}
        components = enumerate(followers.mcp.components)
        place |= {id(c): d + k for k, c in components if not isinstance(c, tuple)}
        size = d + followers.mcp.size
        reader = VectorReader(tape)
        found, sign = reader.read(player.objective.expr, player.objective.name), player.sign
        pairs = [
            (place[a] * size + place[b], sign * value)
            for (first, second), value in (found.quadratic or {}).items()
            for a, b in ((first, second), (second, first))
        ]
        self.hessian = stacked(size * size, pairs, count)
        self.gradient = stacked(size, [(place[k], sign * value) for k, value in found.linear.items()], count)
        self.constant = stacked(1, [(0, sign * found.constant)], count)
        bounds = [v.bounds for v in player.decisions]
        lower = [-math.inf if low is None else low for low, _ in bounds]
        upper = [math.inf if up is None else up for _, up in bounds]
        terms: list[tuple[int, int, Any]] = []
        limit: list[Any] = []
        self.equal: list[bool] = []
        for row in player.constraints:
            repn = reader.read(row.body, row.name)
            linear = {place[k]: value for k, value in repn.linear.items() if value}
            if repn.quadratic:
                raise NotAffine(row.name)
            if not linear or any(k >= d for k in linear):
                raise NotVectorised(f"followers' decisions, or nobody's, stand in {row.name}")
            for side, way, end in sides(row):
                if len(linear) == 1:
                    [(k, factor)] = linear.items()
                    _bound(lower, upper, k, factor, side, (end - repn.constant) / factor)
                    continue
                terms += [(len(limit), k, way * value) for k, value in linear.items()]
                limit.append(way * (end - repn.constant))
                self.equal.append(side == "equal")
        self.rows = len(limit)
        self.table = stacked(self.rows * d, [(i * d + k, value) for i, k, value in terms], count)
        self.limit = stacked(self.rows, enumerate(limit), count)
        self.lower, self.upper = stacked(d, enumerate(lower), count), stacked(d, enumerate(upper), count)
        self.numbers: Sequence[Stacked] = (self.hessian, self.gradient, self.constant, self.table, self.limit)
        self.limits = (self.lower, self.upper)


def _bound(lower: list[Any], upper: list[Any], k: int, factor: Any, side: str, bound: Any) -> None:
    above = side == "equal" or (side == "lower") == (factor > 0)
    below = side == "equal" or (side == "upper") == (factor > 0)
    if above:
        lower[k] = larger(lower[k], bound)
    if below:
        upper[k] = smaller(upper[k], bound)


def _spread(stack: Stacked, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """(scenarios, *shape)."""
    found = np.broadcast_to(stack.part(slice(None)), (len(stack.base), count))
    return np.ascontiguousarray(found.T).reshape(count, *shape)
