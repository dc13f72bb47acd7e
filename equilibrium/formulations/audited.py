"""A leader's problem as a mixed-integer programme with big numbers, each derived or else guessed and audited.

Where branching does not end, every side of every pair gets a binary (Fortuny-Amat and McCarl, A representation and
economic interpretation of a two-level programming problem, Journal of the Operational Research Society 32, 1981). A
bound that is too small silently cuts off the optimum (Pineda and Morales, Solving linear bilevel problems using
big-Ms: not all that glitters is gold, IEEE Transactions on Power Systems 34, 2019). So bounds are derived where they
can be, a guess is enlarged while it is (nearly) reached, and guesses never prove anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..mcp import DECISION
from ..solvers.linear import Whole, mixed_integer
from ..solvers.outcome import Termination
from .branching import HIGH, INSIDE, LOW, Point, Relaxation
from .vertices import multiplier_limits

GUESS = 1e4
"""A guessed bound, relative to the largest price or quantity that the model states."""

CLOSE = 0.01
"""A guess within this of what it bounds, relative, may have cut something off."""

MOST_ROUNDS = 4
"""Guesses are enlarged, ten times each, at most so often."""


@dataclass(frozen=True)
class Audit:
    """What the bounds rest on. derived: how many follow from the model; guessed: names of what the others bound;
    guess: the largest guess used; slack: how far the nearest guess is from what it bounds, relative; enlarged: how
    often guesses were enlarged."""

    derived: int
    guessed: tuple[str, ...]
    guess: float
    slack: float
    enlarged: int

    def __str__(self) -> str:
        if not self.guessed:
            return f"all {self.derived} bounds of the mixed-integer programme follow from the model"
        shown = ", ".join(self.guessed[:5]) + (", ..." if len(self.guessed) > 5 else "")
        return (
            f"{len(self.guessed)} of {self.derived + len(self.guessed)} bounds of the mixed-integer programme are "
            f"guesses up to {self.guess:.3g} ({shown}); the nearest is {self.slack:.1%} away from what it bounds"
            + (f" after {self.enlarged} enlargements" if self.enlarged else "")
            + ("; larger ones may give a better answer" if self.slack < CLOSE else "")
        )


@dataclass(frozen=True)
class Audited:
    """best: None where nothing was found; bound: minus infinity where guesses were needed; endless: the leader gains
    without limit; impossible: proved that there is no answer."""

    best: Point | None
    bound: float
    audit: Audit
    endless: bool = False
    impossible: bool = False


def solve(relaxation: Relaxation, seconds: float, guess: float | None = None) -> Audited:
    """The best decision by a mixed-integer programme. guess: the first guess, instead of one from the model's scale."""
    reach, guessed = derive(relaxation)
    start = np.where(guessed, scale(relaxation) * GUESS if guess is None else guess, reach)
    best: Point | None = None
    endless, slack, rounds = False, np.inf, 0
    while True:
        limits = np.where(guessed, start * 10.0**rounds, reach)
        whole = _programme(relaxation, limits, seconds / (MOST_ROUNDS + 1) if guessed.any() else seconds)
        slack = 0.0 if whole.termination is Termination.INFEASIBLE else np.inf
        if np.isfinite(whole.w).all():
            slack = _slack(relaxation, whole.w, limits, guessed)
            point, endless = _at_pattern(relaxation, whole.w)
            if point is not None and (best is None or point.cost < best.cost):
                best = point
        if endless or not guessed.any() or slack >= CLOSE or rounds == MOST_ROUNDS:
            break
        rounds += 1
    audit = Audit(
        int((np.isfinite(reach) & ~guessed).sum()),
        tuple(_names(relaxation)[k] for k in np.flatnonzero(guessed)),
        float(limits[guessed].max(initial=0.0)),
        float(slack) if guessed.any() else np.inf,
        rounds,
    )
    impossible = whole.termination is Termination.INFEASIBLE and not guessed.any()
    bound = -np.inf
    if best is not None and not guessed.any() and np.isfinite(whole.bound):
        bound = min(best.cost, whole.bound + relaxation.restated.constant)
    return Audited(best, bound, audit, endless, impossible)


def derive(relaxation: Relaxation) -> tuple[np.ndarray, np.ndarray]:
    """(how far z can be from its lower bound, from its upper one, a, b: 4 n numbers; which of them are needed but did
    not follow from the model)."""
    lower, upper = relaxation.lower.copy(), relaxation.upper.copy()
    d, n = relaxation.d, relaxation.n
    most = multiplier_limits(relaxation.problem)
    lower[d : d + n], upper[d : d + n] = np.maximum(lower[d : d + n], -most), np.minimum(upper[d : d + n], most)
    _tighten(relaxation, lower, upper)
    _by_stationarity(relaxation, lower, upper)
    _by_conditions(relaxation, lower, upper)
    z, a, b = (slice(d + k * n, d + (k + 1) * n) for k in range(3))
    reach = np.concatenate([upper[z] - relaxation.low, relaxation.high - lower[z], upper[a], upper[b]])
    needed = np.zeros((4, n), dtype=bool)
    pairs = relaxation.undecided(relaxation.lower, relaxation.upper)
    for side, finite in ((0, np.isfinite(relaxation.low)), (1, np.isfinite(relaxation.high))):
        needed[side, pairs] = needed[side + 2, pairs] = finite[pairs]
    guessed = needed.ravel() & ~np.isfinite(reach)
    return np.where(needed.ravel(), reach, np.inf), guessed


def scale(relaxation: Relaxation) -> np.ndarray:
    """The largest price or quantity that the model states, for each of the 4 n bounds."""
    problem, reaction = relaxation.problem, relaxation.problem.reaction
    assert reaction.vector is not None
    decides = reaction.kind == DECISION
    limits = np.concatenate([problem.lower, problem.upper, relaxation.low[decides], relaxation.high[decides]])
    price = float(np.abs(reaction.vector[decides]).max(initial=0.0)) or 1.0
    rest = np.concatenate([reaction.vector[~decides], limits[np.isfinite(limits)]])
    quantity = float(np.abs(rest).max(initial=0.0)) or 1.0
    column = np.where(decides, quantity, price)
    return np.concatenate([column, column, np.where(decides, price, quantity), np.where(decides, price, quantity)])


# ---------------------------------------------------------------------------------------------------------------------


def _tighten(relaxation: Relaxation, lower: np.ndarray, upper: np.ndarray) -> None:
    """Finite bounds from linear programmes over the relaxation for x and z that have none; in place."""
    for k in range(relaxation.d + relaxation.n):
        for sign, bound in ((1.0, lower), (-1.0, upper)):
            if not np.isfinite(bound[k]):
                bound[k] = sign * _least(relaxation, lower, upper, {k: sign})


def _by_conditions(relaxation: Relaxation, lower: np.ndarray, upper: np.ndarray) -> None:
    """Bounds of a and b from the range of F = a - b, of which one is zero at an answer; in place."""
    d, n = relaxation.d, relaxation.n
    for k in range(n):
        a, b = d + n + k, d + 2 * n + k
        for first, second in ((a, b), (b, a)):
            if np.isinf(upper[first]):
                upper[first] = max(0.0, -_least(relaxation, lower, upper, {first: -1.0, second: 1.0}))


def _least(relaxation: Relaxation, lower: np.ndarray, upper: np.ndarray, aim: dict[int, float]) -> float:
    """A safe lower bound of aim'w over the relaxation; minus infinity where there is none."""
    cost = np.zeros(len(lower))
    cost[list(aim)] = list(aim.values())
    w, termination = relaxation.linear.minimise(cost, lower, upper)
    if termination is not Termination.SOLVED:
        return -np.inf
    value = float(cost @ w)
    return value - 1e-7 * max(1.0, abs(value))


def _by_stationarity(relaxation: Relaxation, lower: np.ndarray, upper: np.ndarray) -> None:
    """Bound multipliers that the leader does not see and that raise every row they stand in; in place.

    Such a multiplier can be lowered until one of those rows vanishes, without breaking any condition. So it need not
    exceed what the least value of the rest of a row asks for: a capacity's price, at most what the market pays.
    """
    problem, d, n = relaxation.problem, relaxation.d, relaxation.n
    table = relaxation.rows[:n, : d + n].toarray()
    reaction = problem.reaction
    assert reaction.vector is not None
    held = relaxation.low >= relaxation.high
    for _ in range(3):
        ends = np.where(table > 0, lower[: d + n], upper[: d + n])
        with np.errstate(invalid="ignore"):
            terms = np.where(table != 0, table * ends, 0.0)
        for k in np.flatnonzero(~problem.seen & np.isfinite(relaxation.low) & ~np.isfinite(upper[d : d + n])):
            rows = np.flatnonzero((table[:, d + k] != 0) & ~held)
            if not rows.size or (table[rows, d + k] < 0).any() or table[k, d + k] != 0:
                continue
            rest = np.delete(terms[rows], d + k, axis=1).sum(axis=1) + reaction.vector[rows]
            most = float((-rest / table[rows, d + k]).max())
            if np.isfinite(most):
                upper[d + k] = max(relaxation.low[k], most) + 1e-7 * max(1.0, abs(most))


def _programme(relaxation: Relaxation, limits: np.ndarray, seconds: float) -> Whole:
    """The mixed-integer programme over w and one binary for each side of a pair (2 n, unused ones held at zero)."""
    d, n = relaxation.d, relaxation.n
    size = d + 3 * n
    below, above, first, second = np.split(limits, 4)
    pairs = np.isin(np.arange(n), relaxation.undecided(relaxation.lower, relaxation.upper))
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    most: list[float] = []
    sides = (
        (pairs & np.isfinite(relaxation.low), 1.0, below, relaxation.low, first),
        (pairs & np.isfinite(relaxation.high), -1.0, above, -relaxation.high, second),
    )
    for side, (used, sign, reach, bound, slack) in enumerate(sides):
        for k in np.flatnonzero(used).tolist():
            binary, row = size + side * n + k, len(most)
            # sign z + reach binary <= reach + bound, and a - slack binary <= 0
            rows += [row, row, row + 1, row + 1]
            columns += [d + k, binary, d + (side + 1) * n + k, binary]
            values += [sign, reach[k], 1.0, -slack[k]]
            most += [reach[k] + bound[k], 0.0]
    switches = sp.csr_array((values, (rows, columns)), shape=(len(most), size + 2 * n))
    table = sp.vstack([sp.hstack([relaxation.rows, sp.csr_array((relaxation.rows.shape[0], 2 * n))]), switches])
    used = np.concatenate([side[0] for side in sides])
    found = mixed_integer(
        np.concatenate([relaxation.restated.gradient, np.zeros(2 * n)]),
        sp.csr_array(table),
        np.concatenate([relaxation.row_lower, np.full(len(most), -np.inf)]),
        np.concatenate([relaxation.row_upper, most]),
        np.concatenate([relaxation.lower, np.zeros(2 * n)]),
        np.concatenate([relaxation.upper, np.where(used, 1.0, 0.0)]),
        np.concatenate([relaxation.problem.whole, np.zeros(3 * n, dtype=bool), np.ones(2 * n, dtype=bool)]),
        seconds,
    )
    return found


def _at_pattern(relaxation: Relaxation, w: np.ndarray) -> tuple[Point | None, bool]:
    """(the exact optimum with the pairs on the sides that the binaries say, whether the gain is endless there)."""
    size, n = relaxation.d + 3 * relaxation.n, relaxation.n
    low, high = w[size : size + n] > 0.5, w[size + n :] > 0.5
    lower, upper = relaxation.lower, relaxation.upper
    for pair in relaxation.undecided(lower, upper):
        side = LOW if low[pair] else HIGH if high[pair] else INSIDE
        lower, upper = relaxation.fix(int(pair), side, lower, upper)
    whole = np.flatnonzero(relaxation.problem.whole)
    lower, upper = lower.copy(), upper.copy()
    lower[whole] = upper[whole] = np.round(w[whole])
    exact, _, termination = relaxation.minimise(lower, upper)
    point = relaxation.settle(exact) if termination is Termination.SOLVED else None
    return point, termination is Termination.UNBOUNDED


def _slack(relaxation: Relaxation, w: np.ndarray, limits: np.ndarray, guessed: np.ndarray) -> float:
    """How far the nearest guess is from what it bounds, relative to the guess."""
    d, n = relaxation.d, relaxation.n
    z, a, b = (w[d + k * n : d + (k + 1) * n] for k in range(3))
    value = np.concatenate([z - relaxation.low, relaxation.high - z, a, b])[guessed]
    return float(((limits[guessed] - value) / limits[guessed]).min(initial=np.inf))


def _names(relaxation: Relaxation) -> list[str]:
    names = relaxation.problem.reaction.names
    return [*names, *names, *(f"condition of {name}" for name in names), *(f"condition of {name}" for name in names)]
