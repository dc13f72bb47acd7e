"""Closed forms of the two-period model, each with the reason where it does not hold; they validate and never solve.

Identical firms, F the charge ratio, A1 and A2 net of must-run output. For K = 0: D = F^2 Z1 + Z2, A = A2 - F A1,
C = B (F - 1). For K > 0: L = Z (N+1) + N K, M = Z + N K, J = M^2 + Z N^2 K (source, appendix 7.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import numpy as np
import pandas as pd

VALID = "valid"
CLOSED = "closed form"
RULES = {"merchant": "k_Pi", "welfare_owner": "k_W", "planner": "k_P"}


@dataclass(frozen=True)
class Setting:
    """Numbers of the two-period model in the source's symbols."""

    A1: float
    A2: float
    Z1: float
    Z2: float
    B: float
    K: float
    F: float
    I: float  # noqa: E741
    N: float
    limit: float = inf  # largest size, GW; the formulas know none

    @property
    def lost(self) -> float:
        """C = B (F - 1)."""
        return self.B * (self.F - 1)

    @property
    def net(self) -> float:
        """A = A2 - F A1."""
        return self.A2 - self.F * self.A1

    @property
    def D(self) -> float:
        """F^2 Z1 + Z2."""
        return self.F**2 * self.Z1 + self.Z2

    def _terms(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """(L, M, J) of both periods."""
        N, K = self.N, self.K
        made = [(Z * (N + 1) + N * K, Z + N * K, (Z + N * K) ** 2 + Z * N**2 * K) for Z in (self.Z1, self.Z2)]
        return made[0], made[1]

    def spread(self) -> tuple[float, float]:
        """(Y, b): spread p2 - F p1 without storage, and its fall with each unit discharged."""
        (L1, M1, _), (L2, M2, _) = self._terms()
        first = (self.A1 * M1 + self.Z1 * self.B * self.N) / L1
        second = (self.A2 * M2 + self.Z2 * self.B * self.N) / L2
        return second - self.F * first, self.F**2 * self.Z1 * M1 / L1 + self.Z2 * M2 / L2

    def merchant(self, owners: int = 1) -> float:
        """k of each of M merchants, not clipped at zero: Y / (I + (M + 1) b)."""
        Y, b = self.spread()
        return Y / (self.I + (owners + 1) * b)

    def welfare(self) -> float:
        """k of a welfare-maximising owner, not clipped at zero."""
        (L1, _, J1), (L2, _, J2) = self._terms()
        F, N = self.F, self.N
        cost = self.B * N * (self.Z2 * (L2 + self.Z2) / L2**2 - F * self.Z1 * (L1 + self.Z1) / L1**2)
        gain = self.A2 * J2 / L2**2 - F * self.A1 * J1 / L1**2 + cost
        return gain / (self.I + F**2 * self.Z1 * J1 / L1**2 + self.Z2 * J2 / L2**2)

    def planner(self) -> float:
        """k of the planner, not clipped at zero: p2 - F p1 = I k with p = B + K g."""
        h1, h2 = self.K / (self.Z1 + self.K), self.K / (self.Z2 + self.K)
        gain = h2 * (self.A2 - self.B) - self.F * h1 * (self.A1 - self.B) - self.lost
        return gain / (self.I + self.F**2 * self.Z1 * h1 + self.Z2 * h2)

    def n_bar(self) -> float:
        """N above which a merchant builds more than a welfare-maximising owner (K = 0)."""
        A, C, I, D = self.net, self.lost, self.I, self.D  # noqa: E741
        return _positive([-A * I - C * (I + 2 * D), -A * I - C * (I + 3 * D), A * D])

    def n_tilde(self) -> float:
        """N above which a merchant lowers welfare (K = 0): the positive root of S."""
        A, C, I, D = self.net, self.lost, self.I, self.D  # noqa: E741
        return _positive([-C * I, -A * I - 4 * C * (I + D), -C * (3 * I + 7 * D), A * (I + 3 * D)])

    def n_zero(self) -> float:
        """N from which a merchant builds nothing (K = 0): A / C, infinite without losses or costs."""
        return self.net / self.lost if self.lost > 0 else inf

    def k_hat(self) -> float:
        """Cost slope K above which the planner builds (needs A > 0, F > 1, B > 0), else NaN."""
        if self.lost <= 0:
            return float("nan")
        middle = self.A2 * self.Z1 - self.F * self.A1 * self.Z2 - self.B * (self.F * self.Z1 - self.Z2)
        return _positive([self.net, middle, -self.lost * self.Z1 * self.Z2])

    def doubt(self, rule: str, k: float) -> str:
        """VALID, or in words why the formula's k need not be the optimum."""
        k = max(0.0, k)
        if rule == "k_P":
            first, second = self.A1 - self.B + self.Z1 * self.F * k, self.A2 - self.B - self.Z2 * k
        else:
            first, second = self.A1 - self.B, self.A2 - self.B - self.Z2 * k
        if first <= 0:
            return "not valid: firms produce nothing off-peak while little is stored, so there may be several optima"
        if second <= 0:
            return "not valid: firms would produce nothing on-peak at this size"
        (L1, _, _), _ = self._terms()
        if rule == "k_P":
            q1 = (self.A1 - self.B + self.Z1 * self.F * k) / (self.Z1 + self.K) - self.F * k
        else:
            q1 = self.N * (self.A1 + self.Z1 * self.F * k - self.B) / L1 - self.F * k
        if q1 < 0:
            return f"{VALID}, but net demand off-peak is negative: meaningful only net of must-run output"
        return VALID


def _positive(coefficients: list[float]) -> float:
    """The one positive root of a polynomial (highest power first), NaN if there is none."""
    roots = np.roots(np.trim_zeros(coefficients, "f"))
    real = [float(r.real) for r in roots if abs(r.imag) < 1e-9 * max(1.0, abs(r)) and r.real > 0]
    return max(real) if real else float("nan")


def setting(data: Any) -> Setting | str:
    """The two-period numbers of some data, or in words why the source's formulas do not apply to it."""
    periods, firms, storage = (data.tables[name] for name in ("periods", "firms", "storage"))
    if len(periods) != 2:
        return "not valid: the formulas are for two periods"
    if firms["cost"].nunique() > 1 or firms["cost_slope"].nunique() > 1:
        return "not valid: the formulas are for identical firms"
    if not all(isinf(v) for v in firms["capacity"]):
        return "not valid: the formulas are for firms without capacity limits"
    row = storage.iloc[0]
    if row["power_cost"] or row["energy_cost"] or not row["quadratic_cost"] > 0:
        return "not valid: the formulas are for a quadratic cost of size alone"
    A1, A2 = (periods["intercept"] - periods["slope"] * periods["must_run"]).astype(float).tolist()
    Z1, Z2 = periods["slope"].astype(float).tolist()
    N = len(firms)
    B, K = float(firms["cost"].iloc[0]), float(firms["cost_slope"].iloc[0]) / N
    limit = float(min(row["power_limit"], row["energy_limit"]))
    return Setting(A1, A2, Z1, Z2, B, K, float(row["charge_ratio"]), float(row["quadratic_cost"]), N, limit)


def formula(s: Setting, structure: str, owners: int = 1) -> float | None:
    """The formula's size for one structure, not clipped; None where there is none."""
    match structure:
        case "merchant":
            return s.merchant(owners)
        case "welfare_owner":
            return s.welfare()
        case "planner":
            return s.planner()
    return None


def closed_form(data: Any, structure: str, options: Mapping[str, Any]) -> pd.DataFrame:
    """Columns quantity, index, value, rule: the formula's size where its conditions hold, clipped at zero; empty where
    they do not (``summary`` then says why)."""
    rows: list[tuple[str, str, float, str]] = []
    s = setting(data)
    row = data.tables["storage"].iloc[0]
    if isinstance(s, Setting):
        owners = int(options.get("owners", 1))
        k = formula(s, structure, owners)
        limit = min(row["power_limit"], row["energy_limit"])
        if k is not None and s.doubt(RULES[structure], owners * k).startswith(VALID) and k <= limit:
            rows = [("storage power", f"owner={i}", max(0.0, k), CLOSED) for i in range(1, owners + 1)]
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "rule"])
