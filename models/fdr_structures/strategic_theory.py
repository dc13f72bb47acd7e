"""What theory says of the structures with one strategic generator: it validates, it is never used to find anything.

Two periods with demands x1 < x2, flexible energy S, s = load off-peak, D = x2 - x1. The generator's reply to total
demand X is Y(X), the price-taking producers deliver Q(X) = X - Y(X). Each structure is one condition in one unknown
whose root is bracketed; A.9 and A.10 of the derivation in ``docs/markets/fdr_structures.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .theory import CONDITION, Buyer, Setting, planned, root, setting, shifting_cost, total


@dataclass(frozen=True)
class Strategic:
    """A two-period setting and the generator's marginal cost psi1 + psi2 y."""

    m: Setting
    psi1: float
    psi2: float

    def marginal(self, y: float) -> float:
        """Psi'(y), EUR/MWh."""
        return self.psi1 + self.psi2 * y

    def reply(self, X: float, own_load: float = 0.0) -> float:
        """Y(X): what the generator delivers at total demand X, MWh; ``own_load``: what it buys itself of that."""
        P, dP = self.m.supply.price, self.m.supply.slope
        return root(lambda y: P(X - y) - dP(X - y) * (y - own_load) - self.marginal(y), 0.0, X)

    def pass_through(self, X: float) -> float:
        """Q'(X): what of one more unit of demand the price-taking producers deliver."""
        Y = self.reply(X)
        if Y <= 0 or Y >= X:
            return float(Y <= 0)
        bend = self.m.supply.bend(X - Y) * Y
        slope = self.m.supply.slope(X - Y)
        return 1 - (slope - bend) / (2 * slope - bend + self.psi2)

    def demands(self, s: float) -> tuple[float, float]:
        """Total demands at load s off-peak."""
        return self.m.x1 + s, self.m.x2 + self.m.S - s

    def at(self, s: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """The generator's replies and the others' outputs at load s off-peak."""
        X = self.demands(s)
        Y = (self.reply(X[0]), self.reply(X[1]))
        return Y, (X[0] - Y[0], X[1] - Y[1])

    def cost(self, q: tuple[float, float], y: tuple[float, float]) -> float:
        """System cost, EUR."""
        return sum(self.m.supply.cost(v) for v in q) + sum(self.psi1 * v + self.psi2 * v**2 / 2 for v in y)


def slopes(g: Strategic, s: float, timing: str) -> tuple[float, float]:
    """How much one more unit moves each price in the eyes of an aggregator: P', or P'Q' where the generator reacts."""
    X, (_, q) = g.demands(s), g.at(s)
    seen = {"N": (False, False), "L": (True, True), "H": (False, True)}[timing]
    first, second = (g.m.supply.slope(q[k]) * (g.pass_through(X[k]) if seen[k] else 1.0) for k in range(2))
    return first, second


def gap(g: Strategic, s: float) -> float:
    """p2 - p1 where the generator replies."""
    _, q = g.at(s)
    return g.m.supply.price(q[1]) - g.m.supply.price(q[0])


def cournot(g: Strategic, A: float, timing: str) -> float:
    """A equal aggregators: p2 - p1 - (P1' s - P2'(S - s))/A = 0 with slopes as the timing says."""

    def condition(s: float) -> float:
        d1, d2 = slopes(g, s, timing)
        return gap(g, s) - (d1 * s - d2 * (g.m.S - s)) / A

    return root(condition, 0.0, g.m.S)


def with_shares(g: Strategic, buyers: Mapping[str, Buyer], timing: str) -> dict[str, float]:
    """Unequal aggregators: each load is the reply to the total that they add up to, with slopes as the timing says."""

    def replies(s: float) -> dict[str, float]:
        d1, d2 = slopes(g, s, timing)
        return {a: one.reply(gap(g, s), d1, d2) for a, one in buyers.items()}

    return total(buyers, replies)


def mixed(g: Strategic, timing: str) -> float:
    """The DSO's own load, rivals all in the peak: p2 - p1 - P1' d + P2'(T - d) = 0, capped at T = L S."""
    T = g.m.L * g.m.S

    def condition(d: float) -> float:
        d1, d2 = slopes(g, d, timing)
        return gap(g, d) - d1 * d + d2 * (T - d)

    return root(condition, 0.0, T)


def committed(g: Strategic) -> tuple[float, float]:
    """(d, ybar) of reading E: the generator's energy all off-peak, rivals all in the peak."""
    m, P, dP = g.m, g.m.supply.price, g.m.supply.slope
    T = m.L * m.S

    def load(ybar: float) -> float:
        def condition(d: float) -> float:
            q1, q2 = m.x1 - ybar + d, m.x2 + m.S - d
            return P(q2) - P(q1) - dP(q1) * d + dP(q2) * (T - d)

        return root(condition, max(0.0, ybar - m.x1), T)

    def reply(ybar: float) -> float:
        q1 = m.x1 - ybar + load(ybar)
        return P(q1) - dP(q1) * ybar - g.marginal(ybar)

    ybar = root(reply, 0.0, m.x1)
    return load(ybar), ybar


def integrated(g: Strategic) -> tuple[float, float]:
    """(lowest, highest) load off-peak of the generator that is also the only aggregator: one value if psi2 > 0.

    With z_i = y_i - s_i prices depend on z alone, and s minimises Psi(z1 + s) + Psi(z2 + S - s). Where it does not
    generate it buys like a monopoly aggregator.
    """
    S = g.m.S
    low, high = max(0.0, -_net_sale(g, g.m.x1)), min(S, S + _net_sale(g, g.m.x2))
    if g.psi2 > 0 or low > high:  # the latter: it generates in one period at most
        low = high = root(lambda v: _worth(g, g.m.x2 + S - v, S - v) - _worth(g, g.m.x1 + v, v), 0.0, S)
    return low, high


def _worth(g: Strategic, X: float, load: float) -> float:
    """What one more unit of its own load costs the owner: generating it, or buying it where it generates nothing."""
    y = g.reply(X, load)
    return g.marginal(y) if y > 0 else g.m.supply.price(X) + g.m.supply.slope(X) * load


def _net_sale(g: Strategic, x: float) -> float:
    """z with P(x - z) - P'(x - z) z = psi1, the cost being linear; it may be negative."""
    P, dP = g.m.supply.price, g.m.supply.slope
    return root(lambda z: P(x - z) - dP(x - z) * z - g.psi1, -g.m.S, x)


def not_determined(g: Strategic, structure: str) -> tuple[float, float]:
    """(least, most) load off-peak that is as good as any other, where whoever decides loads decides the outputs too
    and the marginal cost is constant: load and output move together as far as outputs stay above zero."""
    if g.psi2 > 0 or structure not in ("integrated", "first_best"):
        return 0.0, 0.0
    if structure == "integrated":
        return integrated(g)
    q = root(lambda q: g.psi1 - g.m.supply.price(q), 0.0, g.m.x2 + g.m.S)  # what is left to the other producers
    return max(0.0, q - g.m.x1), min(g.m.S, g.m.S + g.m.x2 - q)


def first_best(g: Strategic, s: float) -> tuple[float, float]:
    """Outputs at which P(q_i) = Psi'(y_i), given loads."""
    P = g.m.supply.price
    first, second = (root(lambda y, X=X: P(X - y) - g.marginal(y), 0.0, X) for X in g.demands(s))
    return first, second


def closed_form(
    data: Any, structure: str, options: Mapping[str, Any], aggregators: Mapping[str, Buyer]
) -> pd.DataFrame:
    """Columns quantity, index, value, rule. Empty for other than two periods, one generator without a capacity, and for
    curved supply where it can serve a period at less than the price-taking producers' first MWh.

    aggregators: those of the case's table.
    """
    empty = pd.DataFrame(columns=["quantity", "index", "value", "rule"])
    table = data.tables["generators"]
    periods = list(data.tables["demand"].index)
    if len(periods) != 2 or len(table) != 1 or np.isfinite(table["capacity"].iloc[0]):
        return empty
    m = setting(data, False)
    if "battery" in structure:
        m = replace(m, S=0.0)  # nothing has to be bought
    g = Strategic(m, float(table["cost"].iloc[0]), float(table["cost_slope"].iloc[0]))
    if m.supply.sigma > 0 and g.marginal(m.x1) < m.supply.a:
        return empty  # where a generator can serve all at less than the others' first MWh its reply may jump
    found = _outcome(g, structure, options, aggregators)
    if found is None:
        return empty
    s, y, individual, shifted = found
    q = tuple(X - v for X, v in zip(g.demands(s), y, strict=True))
    rows = [("system cost", "", g.cost((q[0], q[1]), y) + shifted)]
    rows += [("price", f"period={t}", g.m.supply.price(v)) for t, v in zip(periods, q, strict=True)]
    loads, name = (s, g.m.S - s), table.index[0]
    least, most = not_determined(g, structure)
    if least < most:  # output moves with the load
        for t, load, output, ends in zip(
            periods, loads, y, ((least, most), (g.m.S - most, g.m.S - least)), strict=True
        ):
            for word, end in zip(("least", "most"), ends, strict=True):
                rows.append((f"{word} flexible load", f"period={t}", end))
                rows.append((f"{word} generation", f"generator={name};period={t}", output + end - load))
    rows += [("flexible load", f"period={t}", v) for t, v in zip(periods, loads, strict=True)]
    rows += [("generation", f"generator={name};period={t}", v) for t, v in zip(periods, y, strict=True)]
    rows += [("flexible load", f"aggregator={a};period={periods[0]}", value) for a, value in individual.items()]
    frame = pd.DataFrame(rows, columns=["quantity", "index", "value"])
    return frame.assign(rule=CONDITION)


def _outcome(
    g: Strategic, structure: str, options: Mapping[str, Any], aggregators: Mapping[str, Buyer]
) -> tuple[float, tuple[float, float], dict[str, float], float] | None:
    """(load off-peak, the generator's outputs, loads by aggregator, cost of shifting), or None where there is no
    condition."""
    timing = str(options.get("timing", "N"))
    best = min(g.m.S, (g.m.S + g.m.D) / 2)
    individual: dict[str, float] = {}
    shifted = 0.0
    match structure:
        case "first_best":
            return best, first_best(g, best), {}, 0.0
        case "first_best_shares":
            s, shifted = planned(aggregators, lambda v: _efficient_gap(g, v))
            return s, first_best(g, s), {}, shifted
        case "battery_first_best":
            s = min(sum(one.high for one in aggregators.values()), g.m.D / 2)
            return s, first_best(g, s), {}, 0.0
        case "second_best" | "strategic_regulated":
            s = best
        case "strategic_passive":
            s = g.m.S / 2
        case "strategic_dso":
            s = cournot(g, 1, timing)
        case "strategic_cournot":
            A = int(options.get("aggregators", 2))
            s = cournot(g, A, timing)
            individual = {str(k + 1): s / A for k in range(A)}
        case "strategic_shares" | "strategic_battery_shares" | "strategic_battery_cournot":
            individual = with_shares(g, aggregators, timing)
            s, shifted = sum(individual.values()), shifting_cost(aggregators, individual)
        case "strategic_mixed" if timing == "E":
            s, ybar = committed(g)
            return s, (ybar, 0.0), {"dso": s, "rivals": 0.0}, 0.0
        case "strategic_mixed":
            s = mixed(g, timing)
            individual = {"dso": s, "rivals": 0.0}
        case "integrated":
            s = sum(integrated(g)) / 2
            X1, X2 = g.demands(s)
            return s, (g.reply(X1, s), g.reply(X2, g.m.S - s)), {}, 0.0
        case _:
            return None
    if timing == "L" and min(g.at(s)[0]) <= 0:
        return None  # the generator idles: the leaders' condition has a kink (E18)
    return s, g.at(s)[0], individual, shifted


def _efficient_gap(g: Strategic, s: float) -> float:
    """p2 - p1 where all output is efficient."""
    (X1, X2), (y1, y2) = g.demands(s), first_best(g, s)
    return g.m.supply.price(X2 - y2) - g.m.supply.price(X1 - y1)
