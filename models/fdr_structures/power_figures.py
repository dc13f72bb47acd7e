"""Pictures of structures with market power in generation: what each costs, prices over the day, where integration
helps. An answer without a certificate is a hollow red marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from equilibrium.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, STYLE, WIDTH

from . import accounts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TIMINGS = {"N": ("at once", BLUE, "o"), "L": ("loads first", ORANGE, "s"), "H": ("closed loop", GREEN, "^")}
TIMINGS |= {"E": ("generators commit energy", PURPLE, "D")}
OFFSETS = {"N": -0.2, "L": 0.05, "H": 0.3, "E": 0.3}
STYLES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))
COLOURS = (GREY, BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", "#000000")


def draw(solved: Sequence[Any]) -> Mapping[str, Figure]:
    """``power_cost``: system cost by structure and timing; ``power_prices``: prices over the day, for more than two
    periods."""
    import matplotlib

    solved = [one for one in solved if one.model.component("generators") is not None]
    if not solved:
        return {}
    with matplotlib.rc_context(STYLE):
        found = {"power_cost": cost(solved)}
        if len(solved[0].model.period) > 2:
            found["power_prices"] = prices(solved)
    return found


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure as Picture

    return Picture(figsize=(WIDTH, height), layout="constrained", dpi=150)


def cost(solved: Sequence[Any]) -> Figure:
    """System cost above the second best (else the first best): a row for each structure, a marker for each order of
    moves. The scale is linear in the middle and logarithmic outside."""
    rows = list(dict.fromkeys(_structure(one) for one in solved))
    losses = {one.alternative.name: accounts.excess(one) for one in solved}
    planner = next((one.alternative.name for one in solved if one.alternative.structure == "second_best"), None)
    base = losses[planner] if planner else 0.0
    figure = _figure(0.9 + 0.32 * len(rows))
    ax = figure.subplots()
    for one in solved:
        timing = one.alternative.options.get("timing", "N")
        words, colour, marker = TIMINGS[timing]
        bad = not one.solution.certificate.ok
        ax.plot(
            losses[one.alternative.name] - base,
            rows.index(_structure(one)) + OFFSETS[timing],
            marker,
            color=RED if bad else colour,
            markerfacecolor="none" if bad else colour,
            ms=5.5,
            label="not certified" if bad else words,
        )
    for row in range(len(rows)):
        ax.axhline(row, color="#E8E8E8", lw=0.8, zorder=0)
    apart = sorted(abs(loss - base) for loss in losses.values() if abs(loss - base) > 1e-9 * abs(base or 1.0))
    if apart:
        ax.set_xscale("symlog", linthresh=10 ** np.floor(np.log10(apart[len(apart) // 3])))
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(f"system cost above the {'second' if planner else 'first'} best [EUR]")
    ax.margins(x=0.06)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)
    return figure


def _structure(one: Any) -> str:
    """The alternative's name without its order of moves."""
    return one.alternative.name.split(", leading")[0].split(", closed loop")[0].split(", energy")[0]


def prices(solved: Sequence[Any]) -> Figure:
    """The price in every period, a line for each alternative; equal lines share a label."""
    figure = _figure(3.9)
    ax = figure.subplots()
    lines: list[tuple[np.ndarray, list[str]]] = []
    for one in solved:
        line = np.array([pyo.value(one.model.price[t]) for t in one.model.period])
        same = next((names for other, names in lines if np.allclose(other, line, rtol=1e-7)), None)
        if same is None:
            lines.append((line, [one.alternative.name]))
        else:
            same.append(one.alternative.name)
    periods = list(solved[0].model.period)
    for k, (line, names) in enumerate(lines):
        style = STYLES[k // len(COLOURS) if k >= len(COLOURS) else k % len(STYLES)]
        ax.step(
            range(len(periods)),
            line,
            where="mid",
            color=COLOURS[k % len(COLOURS)],
            ls=style,
            lw=1.5,
            label="; ".join(names),
        )
    step = max(1, len(periods) // 12)
    ax.set_xticks(range(0, len(periods), step), [str(t) for t in periods[::step]])
    ax.set_xlim(-0.5, len(periods) - 0.5)
    ax.set_ylabel("price [EUR/MWh]")
    ax.set_xlabel("period")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def region(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, Figure]:
    """What integration saves over demand swing and generator cost, part of the separate cost: filled markers where
    certified, crosses where there is no answer."""
    import matplotlib

    table = tables["region"]
    with matplotlib.rc_context(STYLE):
        figure = _figure(4.2)
        ax = figure.subplots()
        good = table[table["saved [%]"].notna()]
        most = max(float(good["saved [%]"].abs().max()), 1e-12) if len(good) else 1.0
        shown = ax.scatter(
            good["swing [MWh]"],
            good["generator cost [EUR/MWh]"],
            c=good["saved [%]"],
            cmap="RdBu",
            norm=matplotlib.colors.SymLogNorm(most / 30, vmin=-most, vmax=most),
            s=46,
            marker="s",
        )
        worse = good[good["saved [%]"] < 0]
        ax.plot(
            worse["swing [MWh]"],
            worse["generator cost [EUR/MWh]"],
            "x",
            color="black",
            ms=4,
            label="separate is better",
        )
        bad = table[table["saved [%]"].isna()]
        if len(bad):
            ax.plot(
                bad["swing [MWh]"], bad["generator cost [EUR/MWh]"], "o", color=RED, mfc="none", label="not certified"
            )
        ax.set_xlabel("demand swing [MWh]")
        ax.set_ylabel("generator's marginal cost at zero output [EUR/MWh]")
        ticks = [
            v for v in (-100, -10, -1, -0.1, 0, 0.1, 1, 10, 100) if abs(v) <= most and (v == 0 or abs(v) > most / 60)
        ]
        figure.colorbar(shown, label="saved by integration [% of separate cost]", ticks=ticks, format="%g")
        if len(worse) or len(bad):
            figure.legend(loc="outside lower center", ncols=2)
    return {"region": figure}
