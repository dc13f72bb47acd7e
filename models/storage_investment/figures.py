"""Pictures of a case: a merchant's profit over its size, price spreads over use, sizes over the number of firms, and
the hours with and without storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import Data

from . import accounts, theory, two_period
from .setting import no_storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, PINK = "#0072B2", "#D55E00", "#009E73", "#555555", "#CC79A7"
SHADE = ("#FFFFFF", "#EEEEEE")
POINTS = 61  # sizes at which the market is solved again for the picture


def draw(solved: Sequence[Any]) -> Mapping[str, Figure]:
    """``size`` and ``spread`` where a two-period merchant is among the alternatives, ``hours`` where a schedule of more
    than two periods is."""
    found = {}
    merchants = [one for one in solved if one.alternative.structure == "merchant" and len(one.model.owners) == 1]
    if merchants:
        points = _points(merchants[0])
        found["size"] = size(merchants[0], points)
        found["spread"] = spread(merchants[0], points, solved)
    schedules = [one for one in solved if one.alternative.structure.endswith("schedule")]
    if schedules and len(schedules[0].model.period) > 2:
        found["hours"] = hours(schedules)
    return found


def _axes(rows: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _legend_below(figure: Figure, axis: Axes, columns: int) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


# ------------------------------------------------------------------------------------------------- two periods


def _points(one: Any) -> pd.DataFrame:
    """Columns use, profit, welfare, spread where a size is fully used and the firms answer; from nothing to 1.6 times
    the largest of the sizes solved and printed."""
    best = one.value("storage power", "owner=1")
    s = theory.setting(one.data)
    formula = s.merchant() if isinstance(s, theory.Setting) else 0.0
    end = 1.6 * max(best, formula, 0.0) or 1.0
    kinks = [k for k in _kinks(one.data) if 0 < k < end]
    return pd.DataFrame([_fully_used(one.data, float(k)) for k in sorted([*np.linspace(0.0, end, POINTS), *kinks])])


def _kinks(data: Data) -> tuple[float, float]:
    """Sizes at which the firms start off-peak and stop on-peak: what the cheapest sells at is the price without any
    output."""
    periods, cost = data.tables["periods"], float(data.tables["firms"]["cost"].min())
    ratio = float(data.tables["storage"]["charge_ratio"].iloc[0])
    net = (periods["intercept"] - periods["slope"] * periods["must_run"] - cost) / periods["slope"]
    return float(-net.iloc[0] / ratio), float(net.iloc[1])


def _fully_used(data: Data, k: float) -> dict[str, Any]:
    model = two_period.merchant(data)
    block = model.storage[1]
    block.size.fix(k)
    block.discharged.fix(k)
    block.profit.deactivate()
    del model.stage
    solve(model)
    first, second = model.period
    spread = model.price[second] - model.charge_ratio * model.price[first]
    return {
        "use": k,
        "profit": float(pyo.value(block.profit)),
        "welfare": float(pyo.value(model.welfare)),
        "spread": float(pyo.value(spread)),
    }


def _regime(off_peak: bool, on_peak: bool) -> str:
    """In which periods the firms produce, in words."""
    match (off_peak, on_peak):
        case (True, True):
            return "firms produce in both periods"
        case (False, True):
            return "firms stand still off-peak"
        case (True, False):
            return "firms stand still on-peak"
    return "firms stand still"


def _shade(axis: Axes, data: Data, end: float, named: bool) -> None:
    """A background for each regime up to ``end``, with its name at the top of the axis; none where there is only
    one."""
    starts, stops = _kinks(data)
    ends = [0.0, *sorted(k for k in (starts, stops) if 0 < k < end), end]
    for k, (low, up) in enumerate(pairwise(ends) if len(ends) > 2 else ()):
        axis.axvspan(low, up, color=SHADE[k % 2], zorder=0, linewidth=0)
        middle = (low + up) / 2
        if named:
            text = _regime(bool(middle > starts), bool(middle < stops))
            place = {"transform": axis.get_xaxis_transform(), "ha": "center", "fontsize": 8, "color": GREY}
            axis.text(middle, 1.02, text, **place)


def size(one: Any, points: pd.DataFrame) -> Figure:
    """A merchant's profit and welfare if all of a given size is used; optimum, other peaks and formula marked."""
    figure, (profit, welfare) = _axes(2, 5.4)
    best = one.value("storage power", "owner=1")
    for axis in (profit, welfare):
        _shade(axis, one.data, points["use"].iloc[-1], named=axis is profit)
    profit.plot(points["use"], points["profit"], color=BLUE)
    profit.plot([best], [one.value("storage profit", "owner=1")], "o", color=ORANGE, label="merchant, solved")
    s = theory.setting(one.data)
    if isinstance(s, theory.Setting) and s.merchant() > 0 and abs(s.merchant() - best) > 1e-6 * best:
        at = _fully_used(one.data, s.merchant())["profit"]
        profit.plot([s.merchant()], [at], "x", color=PINK, label="printed formula")
    profit.axhline(0.0, color=GREY, linewidth=0.6)
    money = one.data.units["storage.power_cost"].partition("/")[0]
    profit.set_ylabel(f"merchant's profit [{money}]")
    profit.legend(frameon=False, loc="lower right")
    welfare.plot(points["use"], points["welfare"], color=GREEN)
    welfare.plot([best], [one.value("welfare")], "o", color=ORANGE)
    welfare.set_ylabel(f"welfare [{money}]")
    welfare.set_xlabel("size, fully used [GWh discharged]")
    return figure


def spread(one: Any, points: pd.DataFrame, solved: Sequence[Any]) -> Figure:
    """The price spread p2 - F p1 over use: what the firms' reaction leaves, and where each alternative lies."""
    figure, (axis,) = _axes(1, 4.4)
    axis.plot(points["use"], points["spread"], color=BLUE, label="spread after the firms' reaction")
    ratio = float(one.data.tables["storage"]["charge_ratio"].iloc[0])
    marks = {"merchant": ("o", ORANGE), "welfare_owner": ("s", GREEN), "planner": ("D", PINK)}
    for other in solved:
        structure = other.alternative.structure
        if structure not in marks or len(other.model.owners) > 1:
            continue
        first, second = other.model.period
        at = pyo.value(other.model.price[second] - ratio * other.model.price[first])
        shape, colour = marks[structure]
        used = other.value("discharged energy", "owner=1")
        axis.plot(
            [used],
            [at],
            shape,
            color=colour,
            label=other.alternative.name + (" (no market power)" if structure == "planner" else ""),
            clip_on=False,
            zorder=3,
        )
    cost = float(one.data.tables["storage"]["quadratic_cost"].iloc[0])
    axis.plot(points["use"], cost * points["use"], color=GREY, linestyle=":", label="marginal cost of size")
    axis.axhline(0.0, color=GREY, linewidth=0.6)
    axis.set_xlabel("use [GWh discharged]")
    axis.set_ylabel(f"p2 - F p1 [{one.data.units['periods.intercept']}]")
    axis.legend(frameon=False)
    return figure


def firms(sizes: pd.DataFrame, critical: pd.DataFrame) -> Figure:
    """What is built and what it does to welfare over the number of firms; critical numbers as vertical lines."""
    figure, (built, change) = _axes(2, 5.8)
    number = sizes["firms"]
    built.plot(number, sizes["merchant [GW]"], color=ORANGE, label="merchant")
    built.plot(number, sizes["welfare owner [GW]"], color=GREEN, label="welfare owner")
    changes = [name for name in sizes.columns if "welfare change" in name]
    for name, colour in zip(changes, (ORANGE, GREEN), strict=True):
        change.plot(number, sizes[name], color=colour)
    change.axhline(0.0, color=GREY, linewidth=0.6)
    low, up = float(number.min()), float(number.max())
    for row in critical.itertuples(index=False):
        if str(row.number).startswith("N-") and low <= row.equilibrium <= 1.05 * up:
            for axis in (built, change):
                axis.axvline(row.equilibrium, color=GREY, linestyle="--", linewidth=0.8)
            label = f"{row.number}\n{row.equilibrium:.3g}"
            built.text(row.equilibrium, 1.01, label, transform=built.get_xaxis_transform(), ha="center", fontsize=8)
    built.set_ylabel("size [GW]")
    built.set_ylim(bottom=0)
    built.legend(frameon=False)
    change.set_xscale("log")
    change.set_ylabel(f"welfare change [{changes[0].partition('[')[2]}")
    change.set_xlabel("number of firms")
    change.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    change.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if value in (2, 3, 5, 20, 30, 50) else "")
    return figure


# ---------------------------------------------------------------------------------------------------- schedules


def hours(schedules: Sequence[Any]) -> Figure:
    """Prices, output of the firms and stored energy over the horizon, with each schedule and without storage."""
    figure, (price, output, level) = _axes(3, 7.4)
    alone = no_storage(schedules[0].data)
    solve(alone)
    names = [str(t) for t in alone.period]
    steps = np.arange(len(names))
    grey = {"color": GREY, "linewidth": 1.6, "linestyle": "--"}
    price.plot(steps, [pyo.value(alone.price[t]) for t in alone.period], label="no storage", **grey)
    output.plot(steps, [pyo.value(alone.generation[t]) for t in alone.period], **grey)
    colours = (ORANGE, GREEN, BLUE, PINK, "#E69F00", "#56B4E9")
    for k, one in enumerate(schedules):
        model, colour = one.model, colours[k % len(colours)]
        price.plot(steps, [pyo.value(model.price[t]) for t in model.period], color=colour, label=one.alternative.name)
        output.plot(steps, [pyo.value(model.generation[t]) for t in model.period], color=colour)
        stored = pd.DataFrame(
            {
                i: [pyo.value(accounts.operation(model, block).level[t]) for t in model.period]
                for i, block in accounts.owned(model)
            }
        ).sum(axis=1)
        level.plot(steps, stored, color=colour)
    price.set_ylabel(f"price [{schedules[0].data.units['periods.intercept']}]")
    output.set_ylabel("output of firms [GWh]")
    level.set_ylabel("stored after it [GWh]")
    level.set_ylim(bottom=0)
    every = max(1, len(names) // 12)
    level.set_xticks(steps[::every], names[::every])
    level.set_xlabel("period")
    _legend_below(figure, price, 3)
    return figure
