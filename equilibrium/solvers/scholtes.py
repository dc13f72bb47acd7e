"""Programmes with complementarity conditions by Ipopt: Scholtes' relaxation, tightened step by step, warm started.

    minimise cost(y)   subject to   F(y) = w - v,  (z - l) w <= t,  (u - z) v <= t,  w, v >= 0,
                                    low <= own(y) <= up,  lower <= y <= upper,  z = y[paired]

t falls from 1 to 1e-9 in scaled variables (Scholtes, SIAM J. Optim. 11, 2001). What comes back is near a stationary
point, about sqrt(t) away where both sides of a pair vanish: callers polish it and compute its payoff anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .ipopt import available

STEPS = (1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-9)

INFINITE = 2e19


class Programme(Protocol):
    """What a programme over y must tell. Rows are F, one for every paired column in order, then the own rows.

    paired: columns of y that F stands against; lower, upper: bounds on y; low, up: limits of the own rows;
    jacobian_pattern, curvature_pattern: (rows, columns) of the entries that ``jacobian`` and ``curvature`` return, the
    latter those of the lower triangle of factor * (second derivatives of cost) + sum of multipliers * (of the rows).
    An ArithmeticError from any of them makes Ipopt take a shorter step.
    """

    paired: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    low: np.ndarray
    up: np.ndarray
    jacobian_pattern: tuple[np.ndarray, np.ndarray]
    curvature_pattern: tuple[np.ndarray, np.ndarray]

    def cost(self, y: np.ndarray) -> float: ...  # noqa: D102

    def slope(self, y: np.ndarray) -> np.ndarray: ...  # noqa: D102

    def rows(self, y: np.ndarray) -> np.ndarray: ...  # noqa: D102

    def jacobian(self, y: np.ndarray) -> np.ndarray: ...  # noqa: D102

    def curvature(self, y: np.ndarray, factor: float, multipliers: np.ndarray) -> np.ndarray: ...  # noqa: D102


@dataclass(frozen=True)
class Scale:
    """Sizes of the columns of y, of the rows (F, own) and of the cost, by which Ipopt's are divided."""

    column: np.ndarray
    row: np.ndarray
    cost: float


def descend(programme: Programme, y: np.ndarray, scale: Scale, iterations: int = 200) -> np.ndarray | None:
    """A point near a local optimum, from y; None where Ipopt is missing or leaves no finite point.

    iterations: at most so many in each step.
    """
    if not available():
        return None
    relaxed = _Relaxed(programme, scale)
    point = relaxed.start(y)
    memory: dict[str, np.ndarray] = {}
    for t in STEPS:
        found, memory = _step(relaxed, point, t, memory, iterations)
        if found is None:
            return relaxed.back(point) if t < STEPS[0] else None
        point = found
    return relaxed.back(point)


def minimise(programme: Programme, y: np.ndarray, scale: Scale, iterations: int = 200) -> list[np.ndarray]:
    """Points near a local optimum of a programme without paired columns: Ipopt's, and what becomes of it when the
    limits that it calls active hold exactly (better by what an interior point leaves between). None without Ipopt."""
    if not available():
        return []
    relaxed = _Relaxed(programme, scale)
    found, memory = _step(relaxed, relaxed.start(y), 0.0, {}, iterations, tolerance=1e-12)
    if found is None:
        return []
    first = relaxed.back(found)
    relaxed.hold(found, memory)
    again, _ = _step(relaxed, found, 0.0, {}, iterations, tolerance=1e-12)
    return [first] if again is None else [relaxed.back(again), first]


def _step(
    relaxed: _Relaxed,
    point: np.ndarray,
    t: float,
    memory: dict[str, np.ndarray],
    iterations: int,
    tolerance: float = 1e-10,
) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    import cyipopt

    low, up = relaxed.limits(t)
    problem = cyipopt.Problem(len(point), len(low), relaxed, relaxed.lower, relaxed.upper, low, up)
    options: dict[str, Any] = {
        "print_level": 0,
        "sb": "yes",
        "tol": tolerance,
        "max_iter": iterations,
        "bound_relax_factor": 0.0,
        "nlp_scaling_method": "none",
    }
    if memory:
        options |= {
            "warm_start_init_point": "yes",
            "mu_init": max(1e-2 * t, 1e-11),
            "warm_start_bound_push": 1e-9,
            "warm_start_bound_frac": 1e-9,
            "warm_start_slack_bound_push": 1e-9,
            "warm_start_slack_bound_frac": 1e-9,
            "warm_start_mult_bound_push": 1e-9,
        }
    for name, value in options.items():
        problem.add_option(name, value)
    try:
        found, told = problem.solve(point, **memory)
    except (ArithmeticError, ValueError):
        return None, memory
    if not np.isfinite(found).all() or np.abs(found).max(initial=0.0) > 1e10:
        return None, memory
    return found, {"lagrange": told["mult_g"], "zl": told["mult_x_L"], "zu": told["mult_x_U"]}


class _Relaxed:
    """Callbacks over (y, w, v), all scaled, in the names cyipopt asks for."""

    def __init__(self, programme: Programme, scale: Scale) -> None:
        self.programme, self.scale = programme, scale
        lower, upper = programme.lower / scale.column, programme.upper / scale.column
        self.z_low, self.z_up = lower[programme.paired], upper[programme.paired]
        moving = self.z_low < self.z_up
        self.held = ~moving  # such a column is fixed, and its row may be anything
        self.with_low = np.flatnonzero(np.isfinite(self.z_low) & moving)
        self.with_up = np.flatnonzero(np.isfinite(self.z_up) & moving)
        a, b = len(self.with_low), len(self.with_up)
        self.n, self.m, self.a, self.b = len(programme.paired), len(programme.low), a, b
        self.lower = np.concatenate([np.maximum(lower, -INFINITE), np.zeros(a + b)])
        self.upper = np.concatenate([np.minimum(upper, INFINITE), np.full(a + b, INFINITE)])
        self.size = len(lower)
        self.active: tuple[np.ndarray, np.ndarray] | None = None
        self._patterns()

    def hold(self, point: np.ndarray, memory: dict[str, np.ndarray]) -> None:
        """Turn the limits that are active at a solution into equalities: nearer than their multiplier is large."""
        low, up = self.limits(0.0)
        value = self.constraints(point)
        below, above = value - low < -memory["lagrange"], up - value < memory["lagrange"]
        self.active = (np.where(above & ~below, up, low), np.where(below, low, up))
        at_low, at_up = point - self.lower < memory["zl"], self.upper - point < memory["zu"]
        self.lower, self.upper = (
            np.where(at_up & ~at_low, self.upper, self.lower),
            np.where(at_low, self.lower, self.upper),
        )

    def _patterns(self) -> None:
        total, first = self.size, self.n + self.m
        w, v = total + np.arange(self.a), total + self.a + np.arange(self.b)
        rows, columns = self.programme.jacobian_pattern
        pair_low, pair_up = first + np.arange(self.a), first + self.a + np.arange(self.b)
        z_low, z_up = self.programme.paired[self.with_low], self.programme.paired[self.with_up]
        self.jacobian_rows = np.concatenate([rows, self.with_low, self.with_up, pair_low, pair_low, pair_up, pair_up])
        self.jacobian_columns = np.concatenate([columns, w, v, z_low, w, z_up, v])
        i, j = self.programme.curvature_pattern
        self.curved_rows, self.curved_columns = np.concatenate([i, w, v]), np.concatenate([j, z_low, z_up])
        column, row = self.scale.column, self.scale.row
        self.jacobian_factor = column[columns] / row[rows]
        self.curved_factor = column[i] * column[j]

    def start(self, y: np.ndarray) -> np.ndarray:
        """Scaled (y, w, v) with w and v a little above what F asks for."""
        y = np.clip(y, self.programme.lower, self.programme.upper)
        value = self.programme.rows(y)[: self.n] / self.scale.row[: self.n]
        w, v = np.maximum(value[self.with_low], 1e-2), np.maximum(-value[self.with_up], 1e-2)
        return np.concatenate([y / self.scale.column, w, v])

    def back(self, point: np.ndarray) -> np.ndarray:
        """y of a scaled point."""
        return np.clip(point[: self.size] * self.scale.column, self.programme.lower, self.programme.upper)

    def limits(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits of all rows in the step t."""
        if self.active is not None:
            return self.active
        own = self.scale.row[self.n :]
        free = np.where(self.held, INFINITE, 0.0)
        low = np.maximum(self.programme.low / own, -INFINITE)
        up = np.minimum(self.programme.up / own, INFINITE)
        pairs = self.a + self.b
        return np.concatenate([-free, low, np.full(pairs, -INFINITE)]), np.concatenate([free, up, np.full(pairs, t)])

    def _split(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(y, scaled z, w, v)."""
        scaled = point[: self.size]
        w, v = point[self.size : self.size + self.a], point[self.size + self.a :]
        return scaled * self.scale.column, scaled[self.programme.paired], w, v

    def objective(self, point: np.ndarray) -> float:
        return _checked(self.programme.cost, self._split(point)[0]) / self.scale.cost

    def gradient(self, point: np.ndarray) -> np.ndarray:
        slope = _checked(self.programme.slope, self._split(point)[0]) * self.scale.column / self.scale.cost
        return np.concatenate([slope, np.zeros(self.a + self.b)])

    def constraints(self, point: np.ndarray) -> np.ndarray:
        y, z, w, v = self._split(point)
        value = _checked(self.programme.rows, y) / self.scale.row
        value[self.with_low] -= w
        value[self.with_up] += v
        return np.concatenate([value, (z - self.z_low)[self.with_low] * w, (self.z_up - z)[self.with_up] * v])

    def jacobianstructure(self) -> tuple[np.ndarray, np.ndarray]:
        return self.jacobian_rows, self.jacobian_columns

    def jacobian(self, point: np.ndarray) -> np.ndarray:
        y, z, w, v = self._split(point)
        own = _checked(self.programme.jacobian, y) * self.jacobian_factor
        below, above = (z - self.z_low)[self.with_low], (self.z_up - z)[self.with_up]
        return np.concatenate([own, np.full(self.a, -1.0), np.ones(self.b), w, below, -v, above])

    def hessianstructure(self) -> tuple[np.ndarray, np.ndarray]:
        return self.curved_rows, self.curved_columns

    def hessian(self, point: np.ndarray, multipliers: np.ndarray, factor: float) -> np.ndarray:
        first = self.n + self.m
        weights = multipliers[:first] / self.scale.row
        y = self._split(point)[0]
        own = _checked(self.programme.curvature, y, factor / self.scale.cost, weights) * self.curved_factor
        return np.concatenate([own, multipliers[first : first + self.a], -multipliers[first + self.a :]])


def _checked(function: Any, *arguments: Any) -> Any:
    """What the function gives; Ipopt's own error, which shortens the step, where it has no value."""
    import cyipopt

    try:
        return function(*arguments)
    except ArithmeticError as error:
        raise cyipopt.CyIpoptEvaluationError from error
