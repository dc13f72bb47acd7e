"""What theory says of prices and quantities, to hold beside the equilibrium: it validates, it never finds one.

Two formulas, each for one hour and with the reason where it does not apply.

**A country by itself**: plants that run and are not full add up to one line of supply, a + b Q with 1/b = sum 1/b_t
and a/b = sum a_t/b_t over them (full plants shift it by their capacity). Inelastic demand D pays P = a + b D; elastic
demand takes Q* = (c - a)/(gamma + b + d).

**Two countries, separable cost, every plant selling in both**. With S_n = sum 1/b_tn over all plants of n, P_nm the
congestion price of n to m (toll included), and lam the prices,

    lam_n - lam_m = [Q_n - Q_m + S_m P_mn - S_n P_nm]/(S_n + S_m)
    a full plant:  x_tnn = K/2 + [lam_n - lam_m + P_nm]/(2 b_tn),  x_tnm = K - x_tnn
    lam_n = [Res_n + sum_I a/b + P_mn S^I_m]/S^I
    other plants:  x_tnn = (lam_n - a_tn)/b_tn,  x_tnm = (lam_m - P_nm - a_tn)/b_tn

I: the plants of both countries that are not full, S^I and S^I_m the sums over them, Res_n what is left of Q_n after the
full plants' sales in n. Everything is affine in (Q_n, Q_m, P_nm, P_mn), so each regime (which links bind, which plants
are full) gives these four by four linear equations. The regime whose answer keeps its own assumptions is the one.

Sources: sections 3 and 4, Appendices 1, 3 and 4, corrected as listed in ``docs/markets/coupled_countries.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from .conduct import conjectures
from .readings import countries, hours, keys, setting

ALONE = "a country by itself: one line of supply"
TWO = "two countries, separable cost, every plant in both markets"
ROUNDING = 1e-9  # relative size of a violated assumption that is rounding
Row = tuple[str, str, float, str]


@dataclass(frozen=True)
class Country:
    """Numbers of a country in one hour: plants with intercepts a, slopes b and capacities K; demand ``quantity``, or
    price = choke - fall Q, where ``fall`` holds the demand response that consumers pay."""

    name: str
    plants: tuple[str, ...]
    a: np.ndarray
    b: np.ndarray
    K: np.ndarray
    quantity: float
    choke: float = np.nan
    fall: float = np.nan

    @property
    def elastic(self) -> bool:
        """Whether demand responds."""
        return bool(np.isfinite(self.fall))


@dataclass(frozen=True)
class Trade:
    """Sales between two countries (n: 0, m: 1) at given consumption and congestion prices: price [2], home and export
    sales of each country's plants [MW]."""

    price: np.ndarray
    home: tuple[np.ndarray, np.ndarray]
    export: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Claim:
    """What one formula says of one hour; ``reason`` is why it does not apply, empty where it does."""

    formula: str
    hour: int
    where: str
    rows: tuple[Row, ...] = field(default=(), repr=False)
    reason: str = ""


def line(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of the supply of plants that run and are not full: 1/b = sum 1/b_t, a/b = sum a_t/b_t."""
    if len(a) == 1:
        return float(a[0]), float(b[0])
    slope = 1 / np.sum(1 / b)
    return float(slope * np.sum(a / b)), float(slope)


def price_gap(n: Country, m: Country, Q: Sequence[float], P: Sequence[float]) -> float:
    """lam_n - lam_m; Q: consumption of n and m, P: congestion prices of n to m and m to n."""
    S_n, S_m = np.sum(1 / n.b), np.sum(1 / m.b)
    return float((Q[0] - Q[1] + S_m * P[1] - S_n * P[0]) / (S_n + S_m))


def trade(pair: Sequence[Country], full: Sequence[np.ndarray], Q: Sequence[float], P: Sequence[float]) -> Trade:
    """Prices and sales in closed form, if every plant sells in both countries. full: which plants are, by country."""
    gap = price_gap(pair[0], pair[1], Q, P)
    half = [(sign * gap + P[i]) / (2 * pair[i].b) for i, sign in enumerate((1, -1))]
    home = [np.where(full[i], pair[i].K / 2 + half[i], 0.0) for i in (0, 1)]
    export = [np.where(full[i], pair[i].K / 2 - half[i], 0.0) for i in (0, 1)]
    S = [np.sum(1 / pair[i].b[~full[i]]) for i in (0, 1)]
    ratio = sum(np.sum(pair[i].a[~full[i]] / pair[i].b[~full[i]]) for i in (0, 1))
    left = [Q[i] - home[i].sum() - export[1 - i].sum() for i in (0, 1)]
    price = np.array([(left[i] + ratio + P[1 - i] * S[1 - i]) / sum(S) for i in (0, 1)])
    for i in (0, 1):
        home[i] = np.where(full[i], home[i], (price[i] - pair[i].a) / pair[i].b)
        export[i] = np.where(full[i], export[i], (price[1 - i] - P[i] - pair[i].a) / pair[i].b)
    return Trade(price, (home[0], home[1]), (export[0], export[1]))


def balanced(
    pair: Sequence[Country],
    full: Sequence[np.ndarray],
    binding: Sequence[bool],
    cap: Sequence[float],
    toll: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Consumption [2] and congestion prices [2] without toll in a regime: four linear equations."""

    def off(z: np.ndarray) -> np.ndarray:
        Q, P = z[:2], z[2:]
        found = trade(pair, full, Q, P + toll)
        demand = [
            one.choke - one.fall * Q[i] - found.price[i] if one.elastic else Q[i] - one.quantity
            for i, one in enumerate(pair)
        ]
        links = [found.export[i].sum() - cap[i] if binding[i] else P[i] for i in (0, 1)]
        return np.array([*demand, *links])

    zero = off(np.zeros(4))
    z = np.linalg.solve(np.column_stack([off(unit) - zero for unit in np.eye(4)]), -zero)
    return z[:2], z[2:]


def two_countries(
    pair: Sequence[Country], cap: Sequence[float], toll: Sequence[float]
) -> tuple[Trade, np.ndarray, np.ndarray] | str:
    """Sales and prices, consumption and congestion prices of the regime that keeps its assumptions, or why none does.

    cap, toll: of n to m and m to n.
    """
    if any((one.b <= 0).any() for one in pair):
        return "a plant has constant marginal cost"
    reason = "no regime of links and full plants keeps its assumptions"
    for binding in product((False, True), repeat=2):
        if any(binds and not np.isfinite(limit) for binds, limit in zip(binding, cap, strict=True)):
            continue
        full = [np.zeros(len(one.a), dtype=bool) for one in pair]
        for _ in range(2 * sum(len(one.a) for one in pair) + 1):
            if all(f.all() for f in full):
                break
            Q, P = balanced(pair, full, binding, cap, toll)
            found = trade(pair, full, Q, P + toll)
            rent = [found.price[i] - one.a - one.b * found.home[i] for i, one in enumerate(pair)]
            made = [found.home[i] + found.export[i] for i in (0, 1)]
            scale = max(abs(found.price).max(), abs(Q).max())
            new = [np.where(full[i], rent[i] > 0, made[i] > one.K) for i, one in enumerate(pair)]
            if all((new[i] == full[i]).all() for i in (0, 1)):
                if P.min() < -ROUNDING * scale:
                    break
                if any(found.export[i].sum() > cap[i] + ROUNDING * scale for i in (0, 1)):
                    break
                if min(part.min() for part in (*found.home, *found.export)) < 0:
                    reason = "a plant stays out of a market"
                    break
                return found, Q, P
            full = new
    return reason


def alone(n: Country) -> tuple[float, float, np.ndarray] | str:
    """Price, consumption and outputs of an isolated country, or why the formula does not apply."""
    if len(n.a) == 0:
        return "no plants"
    if len(n.a) == 1:
        price, Q = crossing(n, float(n.a[0]), float(n.b[0]))
        return (price, Q, np.array([Q])) if 0 < Q <= n.K[0] else "the only plant is idle or full"
    if (n.b <= 0).any():
        return "a plant has constant marginal cost"
    ends = np.unique([-np.inf, *n.a, *(n.a + n.b * n.K), np.inf])  # prices at which a plant starts or is full
    for low, high in pairwise(ends):
        runs, full = n.a <= low, n.a + n.b * n.K <= low
        if (runs & ~full).any():
            a, b = line(n.a[runs & ~full], n.b[runs & ~full])
            price, Q = crossing(n, a - b * n.K[full].sum(), b)
            if low <= price <= high:
                x = np.where(full, n.K, np.where(runs, (price - n.a) / n.b, 0.0))
                return price, Q, x
    return "demand meets supply where no plant can vary its output"


def crossing(n: Country, a: float, b: float) -> tuple[float, float]:
    """Price and consumption where demand meets the supply a + b Q."""
    Q = (n.choke - a) / (b + n.fall) if n.elastic else n.quantity
    return float(a + b * Q), float(Q)


# ----------------------------------------------------------------------------------------- beside a solved case


def claims(data: Any, structure: str, options: Mapping[str, Any]) -> list[Claim]:
    """What theory says of every hour and of every country, or pair of countries, that stands by itself."""
    if structure in ("separable", "joint") and conjectures(data, str(options.get("conduct", "conjectured"))):
        return [Claim(TWO, h, "everywhere", reason="firms move prices") for h in hours(data)]
    groups = _groups(data, structure)
    few = any(len(group) <= 2 for group in groups)
    model = setting(data, str(options.get("demand", "after"))) if few else None
    return [_claim(model, group, h, structure) for group in groups for h in hours(data)]


def closed_form(data: Any, structure: str, options: Mapping[str, Any]) -> pd.DataFrame:
    """Columns quantity, index, value, rule: what theory says where it applies."""
    rows = [row for claim in claims(data, structure, options) for row in claim.rows]
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "rule"])


def summary(solved: Sequence[Any]) -> dict[str, pd.DataFrame]:
    """Table ``closed_forms``: for every alternative and hour which formula was held beside it, or why it is not
    valid."""
    rows = [
        (one.alternative.name, claim.hour, claim.where, claim.formula, claim.reason or "valid")
        for one in solved
        for claim in claims(one.data, one.alternative.structure, one.alternative.options)
    ]
    return {"closed_forms": pd.DataFrame(rows, columns=["alternative", "hour", "where", "formula", "valid"])}


def country(model: Any, n: str, h: int) -> Country:
    """The numbers of country n in hour h; a demand response paid on every sale is part of the plants' slopes."""
    plants = tuple(model.plants[n])
    slope = [pyo.value(model.cost_slope[n, t]) + pyo.value(model.gamma["plant", n]) for t in plants]
    elastic = h in model.elastic[n]
    return Country(
        n,
        plants,
        np.array([float(pyo.value(model.cost_intercept[n, t])) for t in plants]),
        np.array(slope, dtype=float),
        np.array([float(pyo.value(model.capacity[n, t])) for t in plants]),
        np.nan if elastic else float(pyo.value(model.consumption[n, h])),
        float(pyo.value(model.choke[n, h])) if elastic else np.nan,
        float(pyo.value(model.fall[n, h] + model.gamma["demand", n])) if elastic else np.nan,
    )


def _groups(data: Any, structure: str) -> list[tuple[str, ...]]:
    """Countries that trade with each other, directly or through others."""
    links = [] if structure == "own_balance" else [k for k in keys(data, "links") if _limit(data, k) > 0]
    group = {n: {n} for n in countries(data)}
    for n, m in links:
        joined = group[n] | group[m]
        for k in joined:
            group[k] = joined
    return sorted({tuple(sorted(part)) for part in group.values()})


def _limit(data: Any, link: tuple[str, str]) -> float:
    return float(data.tables["links"]["capacity"][link])


def _claim(model: Any, group: tuple[str, ...], h: int, structure: str) -> Claim:
    where = " and ".join(group)
    formula = ALONE if len(group) == 1 else TWO
    if len(group) > 2:
        return Claim(formula, h, where, reason="more than two countries trade")
    if any(pyo.value(model.gamma["local", n]) for n in group):
        return Claim(formula, h, where, reason="demand response is paid on home sales")
    if len(group) == 1:
        return _claim_alone(model, group[0], h, structure)
    if structure != "separable":
        return Claim(formula, h, where, reason="a plant has one cost of its output, not one for each destination")
    ways = [(group[0], group[1]), (group[1], group[0])]
    if any(way not in model.link for way in ways):
        return Claim(formula, h, where, reason="the link has one direction")
    cap = np.array([float(pyo.value(model.limit[way])) for way in ways])
    toll = np.array([float(pyo.value(model.toll[way])) for way in ways])
    pair = [country(model, n, h) for n in group]
    answer = two_countries(pair, cap, toll)
    if isinstance(answer, str):
        return Claim(formula, h, where, reason=answer)
    found, Q, P = answer
    rows: list[Row] = []
    for i, one in enumerate(pair):
        other = pair[1 - i].name
        rows += _demand_rows(model, one, h, float(found.price[i]), float(Q[i]), TWO)
        rows.append(("congestion price", f"from={one.name};hour={h};to={other}", float(P[i]), TWO))
        for t, home, export in zip(one.plants, found.home[i], found.export[i], strict=True):
            plant = f"country={one.name};hour={h};plant={t}"
            rows.append(("sales", f"{plant};to={one.name}", float(home), TWO))
            rows.append(("sales", f"{plant};to={other}", float(export), TWO))
    return Claim(formula, h, where, tuple(rows))


def _claim_alone(model: Any, n: str, h: int, structure: str) -> Claim:
    one = country(model, n, h)
    answer = alone(one)
    if isinstance(answer, str):
        return Claim(ALONE, h, n, reason=answer)
    price, Q, x = answer
    rows = _demand_rows(model, one, h, price, Q, ALONE)
    rows += [
        ("generation", f"country={n};hour={h};plant={t}", float(made), ALONE)
        for t, made in zip(one.plants, x, strict=True)
    ]
    return Claim(ALONE, h, n, tuple(rows))


def _demand_rows(model: Any, one: Country, h: int, price: float, Q: float, rule: str) -> list[Row]:
    where = f"country={one.name};hour={h}"
    paid = pyo.value(model.gamma["demand", one.name]) * Q if one.elastic else 0.0
    return [
        ("price", where, price, rule),
        ("consumption", where, Q, rule),
        ("retail price", where, float(price + paid), rule),
    ]
