"""Ipopt, through cyipopt, as the fallback for complementarity problems: Scholtes' homotopy over a box.

    F(z) = w - v,   (z - l) w <= t,   (u - z) v <= t,   w, v >= 0,   t = 1, 1e-2, ..., 1e-10

Each step starts from the last one. Ipopt's own word is not used as proof: at pairs where both sides vanish it stops
about sqrt(t) away whatever it reports, so every answer is polished and judged by its residual.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..mcp import MixedComplementarity
from . import newton
from .outcome import Outcome, Termination

STEPS = (1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)


def available() -> bool:
    """Whether Ipopt (and ASL) can be used here."""
    from ..doctor import have_nonlinear

    return have_nonlinear()


def solve(
    mcp: MixedComplementarity, start: np.ndarray | None = None, restarts: int = 3, seed: int = 0
) -> tuple[np.ndarray, Outcome]:
    """A polished solution of ``mcp``, from ``start`` and then from ``restarts`` random points (seeded)."""
    began = time.perf_counter()
    if not available():
        return mcp.interior(), Outcome(Termination.MISSING, "cyipopt is not installed", 0.0, "Ipopt")
    random = np.random.default_rng(seed)
    best = mcp.interior() if start is None else np.clip(start, mcp.lower, mcp.upper)
    best_error, count = mcp.error(best), 0
    spread = mcp.scales(best)[0]
    for attempt in range(restarts + 1):
        z = best if attempt == 0 else np.clip(best + spread * random.normal(size=mcp.size), mcp.lower, mcp.upper)
        count += 1
        try:
            candidate = newton.polish(mcp, _homotopy(mcp, z))
        except ArithmeticError:
            continue  # the conditions have no value where this attempt began
        if mcp.error(candidate) < best_error:
            best, best_error = candidate, mcp.error(candidate)
        if best_error <= 1e-9:
            break
    solved = Termination.SOLVED if best_error <= 1e-9 else Termination.LIMIT
    return best, Outcome(
        solved, f"relative residual {best_error:.1e}", time.perf_counter() - began, "Ipopt", version(), count
    )


def version() -> str:
    """Version of Ipopt."""
    import cyipopt

    return ".".join(map(str, cyipopt.IPOPT_VERSION))


def _homotopy(mcp: MixedComplementarity, z: np.ndarray) -> np.ndarray:
    import cyipopt

    programme = _Relaxed(mcp)
    x = programme.start(z)
    for t in STEPS:
        n, m = len(x), programme.row_count
        upper = np.concatenate([np.zeros(mcp.size), np.full(m - mcp.size, t)])
        lower = np.concatenate([np.zeros(mcp.size), np.full(m - mcp.size, -2e19)])
        problem = cyipopt.Problem(n, m, programme, programme.lower, programme.upper, lower, upper)
        options = {
            "print_level": 0,
            "sb": "yes",
            "tol": 1e-9,
            "max_iter": 500,
            "bound_relax_factor": 0.0,
            "hessian_approximation": "limited-memory",
        }
        if t < 1:
            options |= {
                "warm_start_init_point": "yes",
                "mu_init": max(1e-2 * t, 1e-11),
                "warm_start_bound_push": 1e-9,
                "warm_start_slack_bound_push": 1e-9,
                "warm_start_mult_bound_push": 1e-9,
            }
        for name, value in options.items():
            problem.add_option(name, value)
        try:
            found, info = problem.solve(x)
        except (ArithmeticError, ValueError):
            break
        if not np.all(np.isfinite(found)):
            break
        x = found
        if info["status"] not in (0, 1):  # what a wide relaxation does not allow, a narrow one does not either
            break
    return np.clip(x[: mcp.size], mcp.lower, mcp.upper)


class _Relaxed:
    """Callbacks of one relaxed problem, in the names cyipopt asks for."""

    def __init__(self, mcp: MixedComplementarity) -> None:
        self.mcp = mcp
        self.low, self.up = np.flatnonzero(np.isfinite(mcp.lower)), np.flatnonzero(np.isfinite(mcp.upper))
        n, a, b = mcp.size, len(self.low), len(self.up)
        self.row_count = n + a + b
        self.lower = np.concatenate([np.maximum(mcp.lower, -2e19), np.zeros(a + b)])
        self.upper = np.concatenate([np.minimum(mcp.upper, 2e19), np.full(a + b, 2e19)])
        self.pattern = self._matrix(self.start(mcp.interior()), ones=True).tocoo()

    def start(self, z: np.ndarray) -> np.ndarray:
        value = self.mcp.F(z)
        return np.concatenate([z, np.maximum(value[self.low], 1e-2), np.maximum(-value[self.up], 1e-2)])

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, a = self.mcp.size, len(self.low)
        return x[:n], x[n : n + a], x[n + a :]

    def objective(self, x: np.ndarray) -> float:
        return 0.0

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(len(x))

    def constraints(self, x: np.ndarray) -> np.ndarray:
        z, w, v = self._split(x)
        value = self.mcp.F(z)
        value[self.low] -= w
        value[self.up] += v
        return np.concatenate(
            [value, (z[self.low] - self.mcp.lower[self.low]) * w, (self.mcp.upper[self.up] - z[self.up]) * v]
        )

    def _matrix(self, x: np.ndarray, ones: bool = False) -> sp.csr_array:
        z, w, v = self._split(x)
        n, a, b = self.mcp.size, len(self.low), len(self.up)
        pick_low = sp.csr_array((np.ones(a), (np.arange(a), self.low)), shape=(a, n))
        pick_up = sp.csr_array((np.ones(b), (np.arange(b), self.up)), shape=(b, n))
        if ones:
            jacobian = sp.csr_array(self.mcp.jacobian(z), copy=True)  # the problem's own matrix must not change
            jacobian.data[:] = 1.0
            one_a, one_b = sp.eye_array(a), sp.eye_array(b)
            return sp.csr_array(
                sp.block_array(
                    [[jacobian, pick_low.T, pick_up.T], [pick_low, one_a, None], [pick_up, None, one_b]], format="csr"
                )
            )
        return sp.csr_array(
            sp.block_array(
                [
                    [self.mcp.jacobian(z), -pick_low.T, pick_up.T],
                    [sp.diags_array(w) @ pick_low, sp.diags_array(z[self.low] - self.mcp.lower[self.low]), None],
                    [-sp.diags_array(v) @ pick_up, None, sp.diags_array(self.mcp.upper[self.up] - z[self.up])],
                ],
                format="csr",
            )
        )

    def jacobianstructure(self) -> tuple[Any, Any]:
        return self.pattern.row, self.pattern.col

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._matrix(x)[self.pattern.row, self.pattern.col]).ravel()
