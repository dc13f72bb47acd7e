"""Pictures of a case: the merchant's profit and welfare over its size, and the hours with and without storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import Data

from . import accounts, two_period
from .setting import no_storage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
POINTS = 41  # sizes at which the market is solved again for the picture


def draw(solved: Sequence[Any]) -> Mapping[str, Figure]:
    """``size`` where a two-period merchant is among the alternatives, ``hours`` where a schedule is."""
    found = {}
    merchants = [one for one in solved if one.alternative.structure == "merchant" and len(one.model.owners) == 1]
    if merchants:
        found["size"] = size(merchants[0])
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


def size(one: Any) -> Figure:
    """A merchant's profit and welfare if all of a given size is discharged; the solved optimum is marked."""
    figure, (profit, welfare) = _axes(2, 5.0)
    best = one.value("storage power", "owner=1")
    sizes = np.linspace(0.0, 2.0 * best if best > 0 else 1.0, POINTS)
    points = [_fully_used(one.data, float(k)) for k in sizes]
    profit.plot(sizes, [p for p, _ in points], color=BLUE)
    profit.plot([best], [one.value("storage profit", "owner=1")], "o", color=ORANGE, label="merchant, solved")
    profit.set_ylabel("merchant's profit [kEUR]")
    profit.legend(frameon=False)
    welfare.plot(sizes, [w for _, w in points], color=GREEN)
    welfare.plot([best], [one.value("welfare")], "o", color=ORANGE)
    welfare.set_ylabel("welfare [kEUR]")
    welfare.set_xlabel("size, fully used [GWh discharged]")
    return figure


def _fully_used(data: Data, k: float) -> tuple[float, float]:
    """(profit, welfare) where size k is fully used and the firms answer."""
    model = two_period.merchant(data)
    block = model.storage[1]
    block.size.fix(k)
    block.discharged.fix(k)
    block.profit.deactivate()
    del model.stage
    solve(model)
    return float(pyo.value(block.profit)), float(pyo.value(model.welfare))


def hours(schedules: Sequence[Any]) -> Figure:
    """Prices, output and stored energy over the horizon, with each schedule and without storage."""
    figure, (price, output, level) = _axes(3, 7.0)
    alone = no_storage(schedules[0].data)
    solve(alone)
    steps = range(len(alone.period))
    price.plot(steps, [pyo.value(alone.price[t]) for t in alone.period], color=GREY, label="no storage")
    output.plot(steps, [pyo.value(alone.generation[t]) for t in alone.period], color=GREY)
    for one in schedules:
        model = one.model
        (line,) = price.plot(steps, [pyo.value(model.price[t]) for t in model.period], label=one.alternative.name)
        output.plot(steps, [pyo.value(model.generation[t]) for t in model.period], color=line.get_color())
        stored = pd.DataFrame(
            {i: [pyo.value(b.level[t]) for t in model.period] for i, b in enumerate(accounts.blocks(model))}
        ).sum(axis=1)
        level.plot(steps, stored, color=line.get_color())
    price.legend(frameon=False)
    price.set_ylabel("price [EUR/MWh]")
    output.set_ylabel("output of firms [GWh]")
    level.set_ylabel("stored [GWh]")
    level.set_xlabel("period")
    return figure
