"""The source's experiments: averages over draws of the small users, with the same seeds in every variant.

Every number is the mean, over the draws that have an equilibrium, of what is computed within each draw. Users whom a
membership rule drops count as zeros. The draws have the seeds 0, 1, 2, ...; all else is the case's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gaussian_kde

from .draws import CONSUMPTION, GINI, MEASURES, PRICE, SMALLEST, SURPLUS, TOTAL, Crowd, Outcome, averages, crowd, play

Tables = Mapping[str, pd.DataFrame]
Progress = Callable[[str], None]

MANY, FEW = 50, 10
"""Draws of the comparisons of rules, and of those of many alphas or numbers of aggregators."""

SIZE, SIZES = "large user [MWh]", (0, 50, 100, 200, 300, 400)
"""Sizes b/a of the large user."""

LONG = tuple(name for name in MEASURES if name != SMALLEST)
SHORT = (PRICE, SURPLUS, CONSUMPTION, GINI, SMALLEST, TOTAL)

ALPHAS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8, np.inf)
NUMBERS = (1, 2, 4, 8, 16, 32, 64, 100, 200)
ALL, FIRST, SECOND = "one raises it: all [EUR]", "the one at 0 [EUR]", "the other [EUR]"
PAIR = 2
"""Aggregators where their number does not vary."""

RULES: Mapping[str, tuple[float | None, str]] = {
    "no aggregator": (None, "literal"),
    "welfare": (0, "literal"),
    "proportional, literal": (1, "literal"),
    "proportional, filtered": (1, "filtered"),
    "proportional, maximal": (1, "maximal"),
    "max-min, literal": (np.inf, "literal"),
    "max-min, filtered": (np.inf, "filtered"),
    "max-min, maximal": (np.inf, "maximal"),
}
GRID = 121
"""Points of a density."""


def large_user(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """Table ``large_user``: small users without aggregators, beside a large user of growing size."""
    users, rows = crowd(data, MANY), []
    for size in SIZES:
        progress(f"a large user of {size} MWh")
        rows.append({SIZE: size, **averages(_each(users, (), "literal", _sized(users, size)), SHORT)})
    return {"large_user": pd.DataFrame(rows)}


def allocation_rules(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """Tables ``allocation_rules``: two aggregators with each rule, beside the case's large users, and beside one as
    large as all small users together; ``densities``: how purchases and surpluses are spread."""
    users, rows, kept = crowd(data, MANY), [], {}
    for name in ("no aggregator", "proportional, literal", "max-min, literal"):
        progress(f"{name}, without a large user")
        value, rule = RULES[name]
        found = averages(_each(users, _pair(value), rule, ()), LONG)
        rows.append({"alternative": name, "large user": "none", **found})
    for name, (alpha, rule) in RULES.items():
        progress(name)
        kept[name] = _each(users, _pair(alpha), rule, users.large)
        rows.append({"alternative": name, "large user": "given", **averages(kept[name], LONG)})
    for name, (alpha, rule) in RULES.items():
        progress(f"{name}, a large user as large as all others")
        found = [
            play(a, b, _pair(alpha), rule, _sized(users, float((b / a).sum())), users.price)
            for a, b in zip(users.a, users.b, strict=True)
        ]
        rows.append({"alternative": name, "large user": "as all", **averages(found, LONG)})
    chosen = {name: kept[name] for name in ("no aggregator", "welfare", "proportional, filtered")}
    return {"allocation_rules": pd.DataFrame(rows), "densities": densities(chosen)}


def alpha(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """Table ``alpha``: two aggregators without a large user, both with the same alpha, or one with alpha = 0. The
    members are the same for every alpha: those that would buy without aggregators."""
    users, rows = crowd(data, FEW), []
    for value in ALPHAS:
        progress(f"alpha {value:g}")
        both = averages(_each(users, (value, value), "filtered", (), True), SHORT)
        one = _each(users, (0, value), "filtered", (), True)
        first = [outcome.s[: _half(outcome)].mean() for outcome in one]
        second = [outcome.s[_half(outcome) :].mean() for outcome in one]
        row = {"alpha": value, **{name: both[name] for name in both if name != "verdict"}}
        row |= {
            ALL: averages(one)[SURPLUS],
            FIRST: float(np.mean(first)),
            SECOND: float(np.mean(second)),
            "verdict": max(both["verdict"], averages(one)["verdict"]),
        }
        rows.append(row)
    return {"alpha": pd.DataFrame(rows)}


def number_of_aggregators(data: Any, alternatives: Sequence[Any], progress: Progress) -> Tables:
    """Table ``number_of_aggregators``: the same users in more and more aggregators."""
    users, rows = crowd(data, FEW), []
    for name, value in (("welfare", 0.0), ("proportional, filtered", 1.0)):
        for beside, large in (("none", ()), ("given", users.large)):
            for count in NUMBERS:
                if count <= users.a.shape[1]:
                    progress(f"{name}, {count} aggregators")
                    found = averages(_each(users, (value,) * count, "filtered", large), SHORT[:4])
                    rows.append({"alternative": name, "large user": beside, "number": count, **found})
    return {"number_of_aggregators": pd.DataFrame(rows)}


def _each(
    users: Crowd,
    alphas: Sequence[float],
    rule: str,
    large: Sequence[tuple[float, float]],
    throughout: bool = False,
) -> list[Outcome]:
    """The equilibrium of every draw."""
    draws = zip(users.a, users.b, strict=True)
    return [play(a, b, alphas, rule, large, users.price, throughout) for a, b in draws]


def _pair(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,) * PAIR


def _sized(users: Crowd, size: float) -> tuple[tuple[float, float], ...]:
    """A large user with b/a = size and the curvature of the case's first; none for size 0."""
    a = users.large[0][0] if users.large else 0.5
    return ((a, size * a),) if size else ()


def _half(outcome: Outcome) -> int:
    """Users of the first of two aggregators."""
    return len(np.array_split(np.arange(len(outcome.s)), PAIR)[0])


def densities(kept: Mapping[str, Sequence[Outcome]]) -> pd.DataFrame:
    """Kernel density estimates of purchases and surpluses, all draws together."""
    rows = []
    for what, pick in (("consumption [MWh]", "x"), ("surplus [EUR]", "s")):
        pooled = {name: np.concatenate([getattr(one, pick) for one in found]) for name, found in kept.items()}
        grid = np.linspace(0, max(float(np.quantile(values, 0.99)) for values in pooled.values()), GRID)
        for name, values in pooled.items():
            density = gaussian_kde(values)(grid)
            rows.append(pd.DataFrame({"what": what, "rule": name, "value": grid, "density": density}))
    return pd.concat(rows, ignore_index=True)
