"""What theory says of each structure, to hold beside the equilibrium: it validates, it is never used to find one.

Two periods, off-peak and peak, with demands x1 < x2 (net of the generator where a structure is netted), D = x2 - x1,
flexible energy S, s = load off-peak. For sigma = 0 and 1 there are closed forms; otherwise each structure has one
condition in one unknown, whose root is bracketed. Equation and proposition numbers are those of the paper;
corrections are listed in the market's docs page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

CLOSED = "closed form"
CONDITION = "one-dimensional condition"
NOTHING = pd.DataFrame(columns=["quantity", "index", "value", "rule"])


@dataclass(frozen=True)
class Supply:
    """C(q) = a q + b q^(2+sigma) with its first two derivatives P and P'."""

    a: float
    b: float
    sigma: float

    def cost(self, q: float) -> float:
        """C(q), EUR."""
        return self.a * q + self.b * q ** (2 + self.sigma)

    def price(self, q: float) -> float:
        """P(q), EUR/MWh."""
        return self.a + self.b * (2 + self.sigma) * q ** (1 + self.sigma)

    def slope(self, q: float) -> float:
        """P'(q), EUR/MWh per MWh."""
        return self.b * (2 + self.sigma) * (1 + self.sigma) * q**self.sigma

    def bend(self, q: float) -> float:
        """P''(q), EUR/MWh per MWh^2; zero for linear supply."""
        return self.b * (2 + self.sigma) * (1 + self.sigma) * self.sigma * q ** (self.sigma - 1) if self.sigma else 0.0


@dataclass(frozen=True)
class Setting:
    """Numbers of one structure: supply, demands x1 < x2, flexible energy S, DSO share L, generator output y (0: not
    netted)."""

    supply: Supply
    x1: float
    x2: float
    S: float
    L: float
    y: float

    @property
    def D(self) -> float:
        """Demand swing, MWh."""
        return self.x2 - self.x1

    def system_cost(self, s: float) -> float:
        """K(s), EUR."""
        return self.supply.cost(self.x1 + s) + self.supply.cost(self.x2 + self.S - s)

    def prices(self, s: float) -> tuple[float, float]:
        """P(q1), P(q2) at load s off-peak."""
        return self.supply.price(self.x1 + s), self.supply.price(self.x2 + self.S - s)

    def slopes(self, s: float) -> tuple[float, float]:
        """P'(q1), P'(q2) at load s off-peak."""
        return self.supply.slope(self.x1 + s), self.supply.slope(self.x2 + self.S - s)

    def cap(self, e: float) -> float:
        """S/2 + min(e, S/2): a shift e away from even loads, capped."""
        return self.S / 2 + min(e, self.S / 2)


def setting(data: Any, netted: bool) -> Setting:
    """The numbers of a case, demands net of the generator's output where ``netted``."""
    x1, x2 = (float(v) for v in data.tables["demand"]["load"])
    p = data.parameters
    output = p["generator_output"]
    return Setting(
        Supply(p["cost_linear"], p["cost_power"], p["cost_exponent"]),
        x1 - (output if netted else 0.0),
        x2 - (output if netted else 0.0),
        p["flexible_energy"],
        p["dso_share"],
        output,
    )


def root(condition: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling condition crosses zero in [low, high]; the end of the interval where it does not."""
    if condition(low) <= 0:
        return low
    if condition(high) >= 0:
        return high
    return float(
        brentq(condition, low, high, xtol=1e-15 * max(high, 1e-300), rtol=4 * np.finfo(float).eps, maxiter=500)
    )


def efficient(m: Setting) -> float:
    """Lemma 1, for any increasing supply: s = min(S, (S + D)/2)."""
    return min(m.S, (m.S + m.D) / 2)


def cournot(m: Setting, A: float) -> float:
    """Proposition 3: P2 - P1 - (P1' s - P2'(S - s))/A = 0, capped at S."""
    if m.supply.sigma == 0:
        return m.cap(A * m.D / (2 * (A + 1)))
    if m.supply.sigma == 1 and m.supply.a == 0:
        Q = m.x1 + m.x2 + m.S
        return m.cap(m.D * (A * Q + m.S) / (2 * ((A + 1) * Q + m.S)))

    def condition(s: float) -> float:
        (p1, p2), (d1, d2) = m.prices(s), m.slopes(s)
        return p2 - p1 - (d1 * s - d2 * (m.S - s)) / A

    return root(condition, m.S / 2, m.S)


@dataclass(frozen=True)
class Buyer:
    """An aggregator of two periods: its energy e, what it can take off-peak, and what shifting d costs it, k d^2.

    The owner of a battery is one with e = 0 that may take as much off-peak as it may give back.
    """

    energy: float
    low: float
    high: float
    k: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it has to buy its energy and has no limit and no cost of its own."""
        return self.k == 0 and self.low == 0 and self.high == self.energy

    def reply(self, gap: float, d1: float, d2: float) -> float:
        """Its load off-peak at a price gap p2 - p1, where one more unit moves prices by d1 and d2.

        Inside its limits (p1 + d1 s) - (p2 + d2 (e - s)) + 2 k (s - e/2) = 0.
        """
        return float(np.clip((gap + (d2 + self.k) * self.energy) / (d1 + d2 + 2 * self.k), self.low, self.high))

    def planned(self, gap: float) -> float:
        """Its load off-peak where a planner runs it: gap = 2 k (s - e/2), all or nothing without such a cost."""
        if self.k == 0:
            return self.high if gap > 0 else self.low
        return float(np.clip(self.energy / 2 + gap / (2 * self.k), self.low, self.high))


def shifting_cost(buyers: Mapping[str, Buyer], loads: Mapping[str, float]) -> float:
    """What it costs that every buyer takes so much off-peak, EUR."""
    return sum(one.k * (loads[a] - one.energy / 2) ** 2 for a, one in buyers.items())


def total(buyers: Mapping[str, Buyer], replies: Callable[[float], Mapping[str, float]]) -> dict[str, float]:
    """Loads off-peak by buyer where the replies to a total add up to it."""
    low, high = (sum(getattr(one, end) for one in buyers.values()) for end in ("low", "high"))
    return dict(replies(root(lambda s: sum(replies(s).values()) - s, low, high)))


def with_shares(m: Setting, buyers: Mapping[str, Buyer]) -> dict[str, float]:
    """A.5 for unequal aggregators: each load is the reply to the total, which is their sum. The reply falls in the
    total, by at most one for each unit, for any limits and k >= 0."""
    if m.supply.sigma == 0 and all(one.plain for one in buyers.values()):
        return _equal_shifts(m, buyers)

    def replies(s: float) -> dict[str, float]:
        (p1, p2), (d1, d2) = m.prices(s), m.slopes(s)
        return {a: one.reply(p2 - p1, d1, d2) for a, one in buyers.items()}

    return total(buyers, replies)


def planned(buyers: Mapping[str, Buyer], gap: Callable[[float], float]) -> tuple[float, float]:
    """(load off-peak, cost of shifting) where a planner runs all buyers and ``gap(s)`` is what the system saves by one
    more unit off-peak; where the gap closes, buyers without such a cost take the rest as they can."""
    low, high = (sum(getattr(one, end) for one in buyers.values()) for end in ("low", "high"))
    s = root(lambda s: sum(one.planned(gap(s)) for one in buyers.values()) - s, low, high)
    return s, shifting_cost(buyers, {a: one.planned(gap(s)) for a, one in buyers.items()})


def _equal_shifts(m: Setting, buyers: Mapping[str, Buyer]) -> dict[str, float]:
    """Linear supply: everybody shifts the same m unless capped; m + sum_a min(m, L_a S/2) = D/2 by capping the
    smallest first."""
    halves = sorted(one.energy / 2 for one in buyers.values())
    shift = 0.0
    for k in range(len(halves) + 1):  # the k smallest are capped
        shift = (m.D / 2 - sum(halves[:k])) / (1 + len(halves) - k)
        if (k == 0 or halves[k - 1] <= shift) and (k == len(halves) or shift <= halves[k]):
            break
    return {a: one.energy / 2 + min(shift, one.energy / 2) for a, one in buyers.items()}


def mixed(m: Setting) -> float:
    """Proposition 4: rivals all in the peak; own load d solves P2 - P1 - P1' d + P2'(T - d) = 0, capped at T = L S."""
    T = m.L * m.S
    if m.supply.sigma == 0:
        return min(T, (m.D + (1 + m.L) * m.S) / 4)
    if m.supply.sigma == 1 and m.supply.a == 0:
        Q = m.x1 + m.x2 + m.S
        return min(T, ((m.D + m.S) * Q + 2 * T * (m.x2 + m.S)) / (4 * Q + 2 * T))

    def condition(d: float) -> float:
        (p1, p2), (d1, d2) = m.prices(d), m.slopes(d)
        return p2 - p1 - d1 * d + d2 * (T - d)

    return root(condition, 0.0, T)


def threshold_share(m: Setting) -> float:
    """The share L-hat below which the mixed structure buys less off-peak than passive households do, for any supply.

    L-hat = max{1/2, 1/2 + [P'(u1) S/2 - (P(u2) - P(u1))]/(P'(u2) S)} with u_i = x_i + S/2.
    """
    u1, u2 = m.x1 + m.S / 2, m.x2 + m.S / 2
    gap = m.supply.slope(u1) * m.S / 2 - (m.supply.price(u2) - m.supply.price(u1))
    return max(0.5, 0.5 + gap / (m.supply.slope(u2) * m.S))


def generator(m: Setting) -> float:
    """Proposition 5, on residual demand: P2 - P1 + P1'(y - s) - P2'(y - S + s) = 0, capped at S."""
    if m.supply.sigma == 0:
        return m.cap(m.D / 4)
    if m.supply.sigma == 1 and m.supply.a == 0:
        k = m.x1 + m.x2 + m.S  # the demands are already net of y here: k = Qt - 2y
        return m.cap(m.D * (k + m.S - 2 * m.y) / (2 * (2 * k + m.S - 2 * m.y)))

    def condition(s: float) -> float:
        (p1, p2), (d1, d2) = m.prices(s), m.slopes(s)
        return p2 - p1 + d1 * (m.y - s) - d2 * (m.y - m.S + s)

    return root(condition, 0.0, m.S)


def payment(m: Setting, s: float) -> float:
    """Proposition 7: R(s) = [E(s) - K(s)] - [E(s*) - K(s*)]; zero at the efficient s*, of either sign elsewhere."""

    def excess(load: float) -> float:
        p1, p2 = m.prices(load)
        return p1 * load + p2 * (m.S - load) - m.system_cost(load)

    return excess(s) - excess(efficient(m))


def closed_form(
    data: Any, structure: str, options: Mapping[str, Any], aggregators: Mapping[str, Buyer]
) -> pd.DataFrame:
    """Columns quantity, index, value, rule: what theory says of ``structure``. Empty for other than two periods.

    aggregators: those of the case's table, for the structures that are about them.
    """
    periods = list(data.tables["demand"].index)
    if len(periods) != 2:
        return NOTHING
    netted = options.get("netted") == "yes" or structure in ("generator_aggregator", "regulated_generator")
    m = setting(data, netted)
    if structure.startswith("battery"):
        m = replace(m, S=0.0)  # nothing has to be bought
    rule = CLOSED if m.supply.sigma == 0 or (m.supply.sigma == 1 and m.supply.a == 0) else CONDITION
    rows: list[tuple[str, str, float, str]] = []
    off_peak, peak = periods
    individual: dict[str, float] = {}
    shifted = 0.0
    match structure:
        case "efficient" | "price_taking":
            s, rule = efficient(m), CLOSED
        case "passive":
            s, rule = m.S / 2, CLOSED
        case "dso_aggregator":
            s = cournot(m, 1)
        case "cournot":
            A = int(options.get("aggregators", 2))
            s = cournot(m, A)
            individual = {str(k + 1): s / A for k in range(A)}
        case "shares":
            individual, rule = with_shares(m, aggregators), _rule(rule, aggregators)
            s, shifted = sum(individual.values()), shifting_cost(aggregators, individual)
        case "pay_as_bid":
            return _pay_as_bid(m, periods, options)
        case "battery_cournot" | "battery_shares":
            individual, rule = with_shares(m, aggregators), CONDITION
            s = sum(individual.values())
        case "battery_efficient":
            s, rule = min(data.parameters["flexible_energy"], m.D / 2), CLOSED
        case "efficient_shares":
            s, shifted = planned(aggregators, lambda v: m.prices(v)[1] - m.prices(v)[0])
            rule = _rule(CLOSED, aggregators)
        case "mixed_own_dispatch":
            individual = with_shares(m, _rivals(m, int(options.get("aggregators", 2))))
            s = sum(individual.values())
        case "mixed_dso_dispatch":
            s = mixed(m)
            individual = {"dso": s, "rivals": 0.0}
            rows.append(("threshold share", "", threshold_share(m), CLOSED))
        case "generator_aggregator":
            s = generator(m)
            if m.y >= float(data.tables["demand"]["load"].min()) / 2:  # Proposition 5 asks for y below half of x1
                rule += ", beyond its stated bound on y"
        case _:  # regulated structures
            s, rule = efficient(m), CLOSED
            rows.append(("regulatory payment", "", 0.0, CLOSED))
    p1, p2 = m.prices(s)
    rows += [
        ("flexible load", f"period={off_peak}", s, rule),
        ("flexible load", f"period={peak}", m.S - s, rule),
        ("price", f"period={off_peak}", p1, rule),
        ("price", f"period={peak}", p2, rule),
        ("system cost", "", m.system_cost(s) + shifted, rule),
    ]
    if structure == "regulated":
        q1, q2 = m.prices(efficient(m))
        rows.append(("payoff", "player=aggregator", (q2 - q1) * (efficient(m) - m.S / 2), CLOSED))
    rows += [("flexible load", f"aggregator={a};period={off_peak}", value, rule) for a, value in individual.items()]
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "rule"])


def _pay_as_bid(m: Setting, periods: list[Any], options: Mapping[str, Any]) -> pd.DataFrame:
    """Pro rata the price is a + b q^(1+sigma); its differences are those of P over 2 + sigma: loads as with one price.
    Where each pays what it adds to the cost, its marginal payment is P(q_t): the total is efficient."""
    s = efficient(m) if options.get("sharing") == "increment" else cournot(m, int(options.get("aggregators", 2)))
    rows = [("flexible load", f"period={t}", v) for t, v in zip(periods, (s, m.S - s), strict=True)]
    rows.append(("system cost", "", m.system_cost(s)))
    return pd.DataFrame(rows, columns=["quantity", "index", "value"]).assign(rule=CONDITION)


def _rule(rule: str, aggregators: Mapping[str, Buyer]) -> str:
    return rule if all(one.plain for one in aggregators.values()) else CONDITION


def _rivals(m: Setting, A: int) -> dict[str, Buyer]:
    """The DSO's aggregator with its share and A - 1 equal rivals."""
    energy = {"dso": m.L * m.S} | {f"rival {k + 1}": (1 - m.L) * m.S / (A - 1) for k in range(A - 1)}
    return {name: Buyer(e, 0.0, e) for name, e in energy.items()}
