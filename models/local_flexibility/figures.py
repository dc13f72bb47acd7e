"""Pictures of a clearing: the load of a feeder before and after with its rating, and what was offered for relief.

One picture of each kind for every scenario, of its most congested feeder (by energy over the rating, all days); an
answer without a certificate says so in its title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from equilibrium.style import BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, RED, WIDTH, styled

from . import values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

YELLOW, SKY = "#E69F00", "#56B4E9"  # Okabe and Ito, as the common colours
COLOURS = (BLUE, YELLOW, GREEN, PURPLE, SKY, ORANGE)
DAYS, TICKS, BARS = 3, 12, 24
OTHERS = "others"
SMALL = 1e-9  # part of the largest load that is not worth drawing


@dataclass(frozen=True)
class View:
    """One day at one feeder: loads in kW by period, before and after, inflexible and by aggregator; what no bid
    relieved is shed or curtailed."""

    day: str
    rating: float
    floor: float  # least net load; minus infinity where feed-in is not limited
    inflexible: np.ndarray
    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    shed: np.ndarray
    curtailed: np.ndarray


@styled
def draw(solved: Sequence[Any]) -> Mapping[str, Figure]:
    """``loads_<scenario>`` and ``supply_<scenario>`` for the first clearing of each scenario that is congested."""
    found: dict[str, Figure] = {}
    for one in solved:
        if one.alternative.structure not in ("clearing", "vehicles"):
            continue
        name = one.model.scenario
        if f"loads_{name}" not in found:
            feeder = most_congested(one.model)
            found[f"loads_{name}"] = loads(one, feeder)
            if _worst(one.model, feeder)[1] > 0:
                found[f"supply_{name}"] = supply(one, feeder)
    return found


def most_congested(model: Any) -> str:
    """The feeder with the largest requirement over all days and periods; the first of equals."""
    needed = {f: 0.0 for f in model.feeder}
    for (_, f, _), most in model.requirement.items():
        needed[f] += pyo.value(most)
    return max(needed, key=lambda f: needed[f])


# ------------------------------------------------------------------------------------------------- loads before, after


def loads(one: Any, feeder: str) -> Figure:
    """Stacked load of a feeder before and after clearing, with its rating; one column a day."""
    views = [view(one, day, feeder) for day in values.days(one)[:DAYS]]
    shown = _largest(views)
    figure = _figure(5.0)
    axes = figure.subplots(2, len(views), squeeze=False, sharex=True, sharey=True)
    for column, here in enumerate(views):
        for row, (word, parts) in enumerate((("before", here.before), ("after", here.after))):
            ax = axes[row, column]
            _stack(ax, here, _grouped(parts, shown), word == "after")
            day = f", day {here.day}" if len(one.model.day) > 1 else ""
            ax.set_title(f"{word} clearing{day}", loc="left")
    periods = list(one.model.period)
    step = -(-len(periods) // TICKS)
    for ax in axes[-1]:
        ax.set_xticks(range(0, len(periods), step), periods[::step], rotation=0 if len(periods) <= TICKS else 60)
        ax.set_xlabel("period")
    for ax in axes[:, 0]:
        ax.set_ylabel("load [kW]")
    known: dict[str, Any] = {}
    for ax in axes.ravel():
        handles, names = ax.get_legend_handles_labels()
        known |= dict(zip(names, handles, strict=True))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=len(known) if len(known) <= 6 else 4)
    figure.suptitle(_title(one, feeder), x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure


def view(one: Any, day: values.Day, feeder: str) -> View:
    """The loads of a day at a feeder. A kWh counts as power over the length of its period."""
    model, periods = one.model, list(one.model.period)
    hours = np.array([pyo.value(model.duration[t]) for t in periods])
    at = {t: k for k, t in enumerate(periods)}
    before = {a: np.zeros(len(periods)) for a in model.aggregator}
    for (u, t), s in model.baseline.items():
        if model.home[u] == feeder:
            before[model.owner[u]][at[t]] += pyo.value(s) / hours[at[t]]
    after = {a: load.copy() for a, load in before.items()}
    for sign, part in ((-1, day.dispatch.cut), (1, day.dispatch.add)):
        for (u, t), q in part.items():
            if model.home[u] == feeder:
                after[model.owner[u]][at[t]] += sign * q / hours[at[t]]
    inflexible = np.array([pyo.value(model.inflexible[day.name, feeder, t]) for t in periods])
    rating = pyo.value(model.rating[model.scenario, feeder])
    floor = -pyo.value(model.feed_in[model.scenario, feeder]) if feeder in model.limited else -np.inf
    shed, curtailed = (
        np.array([part.get((feeder, t), 0.0) for t in periods]) / hours
        for part in (day.dispatch.unserved, day.dispatch.curtailed)
    )
    return View(day.name, rating, floor, inflexible, before, after, shed, curtailed)


def _largest(views: Sequence[View]) -> list[str]:
    """Aggregators with a colour of their own, largest first; the rest are drawn together."""
    total = {a: sum(v.before[a].sum() + v.after[a].sum() for v in views) for a in views[0].before}
    active = sorted((a for a in total if total[a] > 0), key=lambda a: (-total[a], a))
    return sorted(active if len(active) <= len(COLOURS) else active[: len(COLOURS) - 1])


def _grouped(parts: Mapping[str, np.ndarray], shown: Sequence[str]) -> dict[str, np.ndarray]:
    found = {a: parts[a] for a in shown}
    rest = [load for a, load in parts.items() if a not in shown and load.any()]
    if rest:
        found[OTHERS] = np.sum(rest, axis=0)
    return found


def _stack(ax: Axes, here: View, parts: Mapping[str, np.ndarray], cleared: bool) -> None:
    x = np.arange(len(here.inflexible))
    bottom = np.maximum(here.inflexible, 0.0)
    _layer(ax, np.minimum(here.inflexible, 0.0), bottom, color=PALE, label="inflexible load")
    for colour, (name, load) in zip(COLOURS, parts.items(), strict=False):
        _layer(ax, bottom, bottom + load, color=colour, label=name if name == OTHERS else f"aggregator {name}")
        bottom = bottom + load
    if cleared:
        hatch = {"facecolor": "none", "edgecolor": RED, "hatch": "////"}
        for name, size, foot in (
            ("shed", here.shed, bottom - here.shed),
            ("curtailed", here.curtailed, here.inflexible),
        ):
            if size.max() > SMALL * np.abs(bottom).max():
                _layer(ax, foot, foot + size, label=name, **hatch)
    ax.axhline(here.rating, color=RED, lw=1.3, label="rating")
    if np.isfinite(here.floor):
        ax.axhline(here.floor, color=RED, lw=1.0, ls=(0, (4, 2)), label="limit on feed-in")
        ax.axhline(0.0, color=GREY, lw=0.6)
    if (here.inflexible < 0).any():
        ax.use_sticky_edges = False
        net = here.inflexible + sum(parts.values(), np.zeros(len(x)))
        net = net + here.curtailed - here.shed if cleared else net
        ax.plot(x, net, "D", ms=4, mfc="white", mec=GREY, label="net load")


def _layer(ax: Axes, low: np.ndarray, high: np.ndarray, **look: Any) -> None:
    """One layer of a stack: bars, or an area in steps where periods are many."""
    x = np.arange(len(low))
    if len(x) > BARS:
        ax.fill_between(x, low, high, step="mid", lw=0, **look)
        return
    there = high > low if "hatch" in look else np.full(len(x), True)
    ax.bar(x[there], (high - low)[there], 0.82, bottom=low[there], **look)


# ---------------------------------------------------------------------------------------------------------- supply


def supply(one: Any, feeder: str) -> Figure:
    """Offers for the tightest period by what relief asks beyond the wholesale price, with and without the largest
    aggregator, against the requirement."""
    model = one.model
    (day, t), needed = _worst(model, feeder)
    offers = [
        (pyo.value(model.markup[model.scenario, model.owner[u]]), model.owner[u], pyo.value(most))
        for (u, p), most in model.offer.items()
        if p == t and model.home[u] == feeder and pyo.value(most) > 0
    ]
    by: dict[str, float] = {}
    for _, a, q in offers:
        by[a] = by.get(a, 0.0) + q
    figure = _figure(3.2)
    ax = figure.subplots()
    top = max([m for m, _, _ in offers], default=0.0)
    _steps(ax, offers, GREY, "-", "all offers")
    text = "nobody offers"
    if by:
        largest = max(sorted(by), key=lambda a: by[a])
        rest = sum(q for a, q in by.items() if a != largest)
        if rest > 0:
            others = [offer for offer in offers if offer[1] != largest]
            _steps(ax, others, COLOURS[0], (0, (4, 2)), f"without {largest}")
        index = rest / needed
        text = f"without {largest}: {rest:.4g} kWh, residual supply index {index:.3g}"
        if index < 1:
            ax.axvspan(
                rest, min(needed, rest + by[largest]), color=RED, alpha=0.12, lw=0, label=f"only {largest} can serve"
            )
            text += f"; {largest} is pivotal"
    ax.axvline(needed, color=RED, lw=1.3, label="requirement")
    ax.set_xlim(0.0, 1.08 * max(needed, sum(by.values())))
    ax.set_ylim(min(0.0, *(m for m, _, _ in offers), 0.0) - 0.02 * max(top, 0.05), 1.15 * max(top, 0.05))
    ax.set_xlabel(f"offered in period {t} [kWh]")
    ax.set_ylabel("mark-up [EUR/kWh]")
    ax.set_title(text, loc="left")
    day_text = f", day {day}" if len(model.day) > 1 else ""
    figure.suptitle(_title(one, feeder) + day_text, x=0.01, ha="left", fontsize=10, fontweight="bold")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _worst(model: Any, feeder: str) -> tuple[tuple[str, str], float]:
    """(day, period) with the largest requirement of a feeder, and how large it is, kWh."""
    needed = {(d, t): pyo.value(most) for (d, f, t), most in model.requirement.items() if f == feeder}
    place = max(needed, key=lambda k: needed[k])
    return place, needed[place]


def _steps(ax: Axes, offers: Sequence[tuple[float, str, float]], colour: str, line: Any, label: str) -> None:
    at, x, y = 0.0, [], []
    for markup, _, quantity in sorted(offers):
        x += [at, at + quantity]
        y += [markup, markup]
        at += quantity
    ax.plot(x, y, color=colour, ls=line, lw=1.6, label=label)


def _title(one: Any, feeder: str) -> str:
    several = f", feeder {feeder}" if len(one.model.feeder) > 1 else ""
    doubt = "" if one.solution.certificate.ok else " (not certified)"
    return f"Scenario {one.model.scenario}{several}{doubt}"


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")
