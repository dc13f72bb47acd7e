"""Nonlinear conditions of one statement for many values of its Params, solved together.

The conditions are derived once, as expressions, with their derivatives as expressions. Where Vars and Params hold one
number per scenario (``scenarios``), evaluating an expression once evaluates it in all of them. Newton's method goes
from active set to active set, every scenario at its own point, with the linear algebra of ``solvers.batched``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from pyomo.core.base.var import VarData
from pyomo.core.expr.calculus.derivatives import Modes, differentiate
from pyomo.core.expr.visitor import identify_variables

from .compiled import Programme
from .formulations import complementarity
from .kkt import Symbolic, nonlinear, orient, symbolic
from .mcp import MixedComplementarity
from .parametric import Stacked, Values, VectorReader, held, some, stacked, unusual
from .players import Game, find_game, finite_numbers
from .scenarios import NotVectorised, Tape
from .solvers import batched, newton

STEPS, PATIENCE = 30, 8
"""Newton steps at most, and how many may pass that do not halve a scenario's residual."""

SOLVED = 100 * batched.SETTLED
"""A residual up to this counts as solved."""

OTHERS = 6
"""Answers of so many active sets are tried as a start where the common start led nowhere."""


@dataclass
class Curved:
    """lower_s <= z <= upper_s _|_ F_s(z) for several scenarios s of one model.

    mcp: names, kinds and owners, a pattern of derivatives. programme: the rows as they were derived, then the stored
    derivatives; row k of the problem is ``sign[k]`` times number ``source[k]`` of them. slopes: the derivatives as
    expressions of ``variables`` by (row, column), as they are stored. start: an answer of the first scenario. which:
    the number of each scenario among all asked for.
    """

    game: Game
    mcp: MixedComplementarity
    shape: batched.Shape
    programme: Programme
    variables: list[VarData | None]
    slopes: dict[tuple[int, int], Any]
    source: np.ndarray
    sign: np.ndarray
    lower: Stacked
    upper: Stacked
    which: np.ndarray
    start: np.ndarray
    absorbed: Sequence[tuple[Any, int, Any, str, Any]]

    @property
    def count(self) -> int:
        """How many scenarios there are."""
        return len(self.which)

    def linearised(self, z: np.ndarray) -> batched.Problems:
        """The conditions with F replaced by its tangent at z (columns, scenarios)."""
        found = self.programme(z)
        value, data = found[: len(z)], found[len(z) :]
        value, data = self.sign[:, None] * value[self.source], self.sign[self.shape.rows, None] * data
        lower, upper = (np.broadcast_to(limits.part(slice(None)), z.shape) for limits in (self.lower, self.upper))
        tangent = batched.Problems(self.shape, data, np.zeros_like(value), lower, upper, tangent=True)
        return replace(tangent, q=value - tangent.times(z))

    def compile(self, expressions: Sequence[Any]) -> Programme:
        """Some derivatives as a programme of their own, with this one's numbers."""
        return self.programme.part(expressions)

    def constant(self, expression: Any) -> bool:
        """Whether an expression does not depend on the Vars."""
        return self.programme.constant(expression)

    def of(self, chosen: np.ndarray) -> Curved:
        """The same for some scenarios (by their positions here)."""
        absorbed = [
            (row, column, some(coefficient, chosen), side, some(bound, chosen))
            for row, column, coefficient, side, bound in self.absorbed
        ]
        return replace(
            self,
            programme=self.programme.of(chosen),
            lower=self.lower.of(chosen),
            upper=self.upper.of(chosen),
            which=self.which[chosen],
            absorbed=absorbed,
        )


def derive_curved(model: Any, params: Values, which: np.ndarray) -> tuple[Curved, np.ndarray]:
    """(the nonlinear conditions of the scenarios that have the shape of most, which of them have not). Raises
    NotVectorised where a step needs a plain number, Refused where the model cannot be treated, SolverMissing without
    ASL.

    The Params of ``model`` keep the values they have.
    """
    with held(params, which[:1], Tape.of(1)), finite_numbers():
        one, start = _first(find_game(model))
    tape = Tape.of(len(which))
    with held(params, which, tape), finite_numbers():
        game = find_game(model)
        if len(game.stages) > 1:
            raise NotVectorised("some players move first")
        found = symbolic(game, lambda: VectorReader(tape))
        n = len(found.layout.names)
        if n != one.size or list(found.layout.names) != list(one.names):
            raise NotVectorised("the shape of the conditions differs between scenarios")
        entries = _differentiated(found.expressions, found.variables)
        source, sign = _orientation(game, found, entries, start)
    lower, upper = (stacked(n, enumerate(limits), len(which)) for limits in (found.layout.lower, found.layout.upper))
    place = np.argsort(source)
    slopes = dict(sorted(((int(place[i]), j), slope) for (i, j), slope in entries.items()))
    row, column = (np.array(list(slopes), dtype=int).reshape(-1, 2)).T
    jacobian = sp.csr_array(one.jacobian(start))
    pattern = sp.csr_array((np.asarray(jacobian[row, column]).ravel(), (row, column)), shape=(n, n))
    mcp = replace(one, matrix=pattern, vector=one.F(start) - pattern @ start, function=None, derivative=None, _made={})
    programme = Programme([*found.expressions, *slopes.values()], found.variables)
    curved = Curved(
        game,
        mcp,
        batched.Shape.of(mcp),
        programme,
        found.variables,
        slopes,
        source,
        sign,
        lower,
        upper,
        which,
        start,
        found.layout.absorbed,
    )
    tape.astray |= unusual((), (lower, upper), len(which))
    return curved.of(np.flatnonzero(~tape.astray)), tape.astray


def _first(game: Game) -> tuple[MixedComplementarity, np.ndarray]:
    """(the conditions of one scenario, their solution). Raises NotVectorised where they were not solved."""
    one = nonlinear(game)
    start, outcome = newton.solve(one)
    if not outcome.ok:
        start, outcome = complementarity.solve(one)
    if not outcome.ok:
        raise NotVectorised(f"the first scenario was not solved: {outcome.message}")
    return one, start


def _orientation(
    game: Game, found: Symbolic, entries: dict[tuple[int, int], Any], start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which row stands where, with which sign, as ``kkt.orient`` finds for the first scenario at its answer."""
    n, one = len(start), np.array([0])
    values = Programme(list(entries.values()), found.variables).of(one)(start[:, None])[:, 0]
    i, j = np.array(list(entries), dtype=int).reshape(-1, 2).T
    return orient(game, found.layout, sp.coo_array((values, (i, j)), shape=(n, n)))


def _differentiated(expressions: Sequence[Any], variables: Sequence[VarData | None]) -> dict[tuple[int, int], Any]:
    """The derivatives of every row by (row, column)."""
    column = {id(v): k for k, v in enumerate(variables) if v is not None}
    entries: dict[tuple[int, int], Any] = {}
    for i, expression in enumerate(expressions):
        if not hasattr(expression, "is_expression_type"):
            continue
        inside = [v for v in identify_variables(expression, include_fixed=False) if id(v) in column]
        if inside:
            slopes = differentiate(expression, wrt_list=inside, mode=Modes.reverse_symbolic)
            entries |= {(i, column[id(v)]): slope for v, slope in zip(inside, slopes, strict=True)}
    return entries


def solve(curved: Curved) -> tuple[np.ndarray, np.ndarray, batched.Problems]:
    """(the best z met in every scenario, its relative residual, the tangents there)."""
    with np.errstate(all="ignore"):  # what has no solution may go anywhere; it is found by its residual
        best, error = _newton(curved, _one_step, STEPS, curved.start)
        _again(curved, _to_the_end, curved.start, best, error)
        for start in _others(best, error, curved.linearised(best)):
            _again(curved, _one_step, start, best, error)
        return best, error, curved.linearised(best)


def _again(curved: Curved, move: Move, start: np.ndarray, best: np.ndarray, error: np.ndarray) -> None:
    """Those that are not solved once more, from another start; ``best`` and ``error`` change in place."""
    left = np.flatnonzero(error > SOLVED)
    if left.size:
        some, better = _newton(curved.of(left), move, STEPS, start)
        closer = better < error[left]
        best[:, left[closer]], error[left[closer]] = some[:, closer], better[closer]


def _others(best: np.ndarray, error: np.ndarray, problems: batched.Problems) -> list[np.ndarray]:
    """One answer of each of the active sets most often met, as a start for those that are not solved."""
    solved = np.flatnonzero(error <= SOLVED)
    if solved.size in (0, len(error)):
        return []
    held = (best == problems.lower)[:, solved] | (best == problems.upper)[:, solved]
    _, first, count = np.unique(held, axis=1, return_index=True, return_counts=True)
    return [best[:, solved[first[k]]].copy() for k in np.argsort(-count, kind="stable")[:OTHERS]]


Move: TypeAlias = Callable[[batched.Problems, np.ndarray], np.ndarray]


def _newton(curved: Curved, move: Move, steps: int, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the best z met from this start, common to all scenarios; its relative residual)."""
    z = np.repeat(start[:, None], curved.count, axis=1)
    problems = curved.linearised(z)
    z = np.clip(z, problems.lower, problems.upper)
    best, error = z, np.full(curved.count, np.inf)
    stalled = np.zeros(curved.count, dtype=int)
    for _ in range(steps):
        problems = curved.linearised(z)
        found = problems.error(z)
        stalled = np.where(found < 0.5 * error, 0, stalled + 1)
        better = found < error
        best, error = np.where(better, z, best), np.where(better, found, error)
        on = (error > batched.SETTLED) & (stalled <= PATIENCE)
        if not on.any():
            break
        some = problems.of(np.flatnonzero(on))
        moved = move(some, z[:, on])
        z = z.copy()
        z[:, on] = np.clip(np.where(np.isfinite(moved), moved, best[:, on]), some.lower, some.upper)
    return best, error


def _one_step(tangents: batched.Problems, z: np.ndarray) -> np.ndarray:
    """One step of Newton's method on the active set."""
    scaled = tangents.scaled()
    return batched.back(tangents, scaled, batched.step(scaled, z / tangents.shape.column[:, None], None))


def _to_the_end(tangents: batched.Problems, z: np.ndarray) -> np.ndarray:
    """The solutions of the linearised problems (Josephy 1979)."""
    return batched.solve_from(tangents, z)[0]
