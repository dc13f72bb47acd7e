"""Closed forms of the two-period model, each with the reason where it does not hold; they validate and never solve.

Identical firms, F the charge ratio, A1 and A2 net of must-run output. For K = 0: D = F^2 Z1 + Z2, A = A2 - F A1,
C = B (F - 1). For K > 0: L = Z (N+1) + N K, M = Z + N K, J = M^2 + Z N^2 K (source, appendix 7.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite, isinf, nan
from typing import Any

import numpy as np
import pandas as pd

VALID = "valid"
CLOSED = "closed form"
COVERED = ("merchant", "welfare_owner", "planner")  # the structures that the source has formulas for


@dataclass(frozen=True)
class Formula:
    """One closed form: the reported number that it gives, its value (each owner's, not clipped at zero), the sum over
    owners, the ramping charge r behind it, the size k given from outside (infinite: chosen)."""

    quantity: str
    value: float
    owners: int = 1
    charge: float = 0.0
    given: float = inf


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

    def spread(self, charge: float = 0.0) -> tuple[float, float]:
        """(Y, b): spread p2 - F p1 without storage, and its fall with each unit discharged. ``charge``: r, paid by
        firms on the rise of output, so that a unit costs B - r off-peak and B + r on-peak."""
        (L1, M1, _), (L2, M2, _) = self._terms()
        first = (self.A1 * M1 + self.Z1 * (self.B - charge) * self.N) / L1
        second = (self.A2 * M2 + self.Z2 * (self.B + charge) * self.N) / L2
        return second - self.F * first, self.F**2 * self.Z1 * M1 / L1 + self.Z2 * M2 / L2

    def merchant(self, owners: int = 1, subsidy: float = 0.0, charge: float = 0.0) -> float:
        """k of each of M merchants, not clipped at zero: (Y + s) / (I + (M + 1) b), s paid on what is discharged."""
        Y, b = self.spread(charge)
        return (Y + subsidy) / (self.I + (owners + 1) * b)

    def operated(self, k: float) -> float:
        """d of a merchant with a given size: min(k, Y / (2 b)), not clipped at zero."""
        Y, b = self.spread()
        return min(k, Y / (2 * b))

    def simultaneous(self) -> float:
        """k where operation comes with output: min(k_Pi, Y / (b + D)), not clipped at zero."""
        Y, b = self.spread()
        return min(self.merchant(), Y / (b + self.D))

    def open_loop(self) -> float:
        """k where everything comes at once: Y / (b + D + I), not clipped at zero."""
        Y, b = self.spread()
        return Y / (b + self.D + self.I)

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

    def doubt(self, planned: bool, k: float, charge: float = 0.0) -> str:
        """VALID, or in words which assumption behind a formula fails where k (all owners') is used.

        planned: a planner runs the plants at marginal cost. charge: as in ``spread``.
        """
        k = max(0.0, k)
        off, on = self.B - charge, self.B + charge
        fed = self.Z1 * self.F * k
        if self.A1 - off + (fed if planned else 0.0) <= 0:
            return "not valid: firms produce nothing off-peak while little is stored, so there may be several optima"
        if self.A2 - on - self.Z2 * k <= 0:
            return "not valid: firms would produce nothing on-peak at this size"
        (L1, _, _), _ = self._terms()
        output = (self.A1 + fed - off) / (self.Z1 + self.K) if planned else self.N * (self.A1 + fed - off) / L1
        if output - self.F * k < 0:
            return f"{VALID}, but net demand off-peak is negative: meaningful only net of must-run output"
        return VALID


def critical(s: Setting) -> dict[str, tuple[float, str]]:
    """N-bar, N-tilde, N-zero and K-hat by formula, each with VALID or why it is not defined (then NaN)."""
    found: dict[str, tuple[float, str]] = {}
    for name, root, sizes in (
        ("N-bar", s.n_bar, (Setting.merchant, Setting.welfare)),
        ("N-tilde", s.n_tilde, (Setting.merchant,)),
        ("N-zero", s.n_zero, (Setting.merchant,)),
    ):
        if s.K > 0:
            found[name] = nan, "no formula where costs rise (K > 0): there may be no crossing, one, or two"
            continue
        number = root()
        there = replace(s, N=number) if isfinite(number) else s
        words = [there.doubt(False, size(there)) for size in sizes]
        failed = [text for text in words if not text.startswith(VALID)]
        found[name] = (nan, failed[0]) if failed else (number, max(words, key=len))
    if s.lost <= 0:
        found["K-hat"] = nan, "nothing is lost in storing: a planner builds at any K above zero"
    else:
        words = [replace(s, K=s.k_hat()).doubt(True, 0.0)]
        found["K-hat"] = (s.k_hat(), words[0]) if words[0].startswith(VALID) else (nan, words[0])
    return found


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


def formula(data: Any, s: Setting, structure: str, options: Mapping[str, Any]) -> Formula | None:
    """The closed form of one structure; None where there is none."""
    size = "storage power"
    policy = data.tables["policy"].iloc[0] if "policy" in data.tables else None
    match structure:
        case "merchant":
            owners = int(options.get("owners", 1))
            return Formula(size, s.merchant(owners), owners)
        case "welfare_owner":
            return Formula(size, s.welfare())
        case "planner":
            return Formula(size, s.planner())
        case "simultaneous_operation":
            return Formula(size, s.simultaneous())
        case "open_loop":
            return Formula(size, s.open_loop())
        case "subsidised_merchant" if policy is not None:
            return Formula(size, s.merchant(subsidy=float(policy["subsidy"])))
        case "ramping_merchant" if policy is not None:
            charge = float(policy["ramping_charge"])
            return Formula(size, s.merchant(charge=charge), charge=charge)
        case "installed_merchant" if "installed" in data.tables:
            k = float(data.tables["installed"][["power", "energy"]].iloc[0].min())
            return Formula("discharged energy", s.operated(k), given=k)
    return None


def holds(s: Setting, structure: str, found: Formula) -> str:
    """``Setting.doubt`` of a formula; beside VALID what is known of a size given from outside and of a negative one."""
    if found.value > s.limit:
        return "not valid: more than may be built"
    words = s.doubt(structure == "planner", found.owners * found.value, found.charge)
    if words.startswith(VALID) and found.value < found.given < inf:
        words += (
            f"; the size given, {found.given:g}, is above the operating optimum: the rest stands idle, and W(k) of the "
            "source, which uses all of k, does not hold"
        )
    if words.startswith(VALID) and found.value < 0:
        words += "; negative: zero is built"
    return words


def closed_form(data: Any, structure: str, options: Mapping[str, Any]) -> pd.DataFrame:
    """Columns quantity, index, value, rule: the formula's number where its assumptions hold, clipped at zero; empty
    where they do not (``summary`` then says why)."""
    rows: list[tuple[str, str, float, str]] = []
    s = setting(data)
    found = formula(data, s, structure, options) if isinstance(s, Setting) else None
    if found is not None and isinstance(s, Setting) and holds(s, structure, found).startswith(VALID):
        value = max(0.0, found.value)
        rows = [(found.quantity, f"owner={i}", value, CLOSED) for i in range(1, found.owners + 1)]
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "rule"])
