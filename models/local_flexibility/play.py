"""Figures of the studies of strategic play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from equilibrium.style import BLUE, GREEN, GREY, ORANGE, PURPLE, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Tables = Mapping[str, pd.DataFrame]
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", GREY, "#B8A000", "#8B5A2B", "#7A3E9D")


def _axes(rows: int, height: float, share: bool = True) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=share, squeeze=False)[:, 0]
    return figure, list(axes)


def _legend(figure: Figure, axis: Axes, columns: int = 4) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


@styled
def markups(tables: Tables) -> Mapping[str, Figure]:
    """Profit and the operator's cost against the mark-up; dots where the plan changes."""
    figure, axes = _axes(2, 6.0)
    for axis, word in zip(axes, ("profit", "operator cost"), strict=True):
        for colour, (name, part) in zip(_cycle(), tables["plans"].groupby("alternative", sort=False), strict=False):
            ends = part[["from mark-up [EUR/kWh]", "to mark-up [EUR/kWh]"]].to_numpy().ravel()
            values = part[[f"{word} at the start [EUR]", f"{word} at the end [EUR]"]].to_numpy().ravel()
            axis.plot(ends, values, color=colour, label=str(name), linewidth=1.6)
            axis.plot(ends[2::2], values[2::2], "o", color=colour, markersize=4)
        axis.set_ylabel(f"{'its profit' if word == 'profit' else 'cost of the operator'} [EUR]")
    axes[-1].set_xlabel("mark-up of the strategic aggregator [EUR/kWh]")
    _legend(figure, axes[0])
    return {"markups": figure}


def _cycle() -> list[str]:
    return list(COLOURS) * 10


@styled
def congestion(tables: Tables) -> Mapping[str, Figure]:
    """What is declared in the period that changes most, over mark-up and probability."""
    found = {}
    for name, part in tables["plans"].groupby("alternative", sort=False):
        declared = [c for c in part.columns if c.startswith("declared ") and part[c].notna().all()]
        column = max(declared, key=lambda c: float(np.ptp(part[c])) * (1 - 0.01 * declared.index(c)))
        levels = np.linspace(0, float(part["to mark-up [EUR/kWh]"].max()), 401)
        middle = (levels[1:] + levels[:-1]) / 2
        chances = np.unique(part["probability"])
        image = np.array([_at(part[part["probability"] == p], column, middle) for p in chances])
        figure, (axis,) = _axes(1, 4.2)
        half = (chances[1] - chances[0]) / 2
        extent = (0, levels[-1], chances[0] - half, chances[-1] + half)
        shown = axis.imshow(
            image, origin="lower", aspect="auto", extent=extent, cmap="viridis", interpolation="nearest"
        )
        _, fleet, period, _ = column.split(" ")
        figure.colorbar(shown, ax=axis, label=f"declared by {fleet} in period {period} [kWh]")
        axis.set_ylim(chances[0], chances[-1])
        axis.set_xlabel("mark-up [EUR/kWh]")
        axis.set_ylabel(f"probability of day '{part['day'].iloc[0]}'")
        axis.set_title(str(name), loc="left")
        found[f"congestion_{str(name).replace(' ', '_').replace(',', '')}"] = figure
    return found


def _at(part: pd.DataFrame, column: str, levels: np.ndarray) -> np.ndarray:
    starts = part["from mark-up [EUR/kWh]"].to_numpy()
    return part[column].to_numpy()[np.searchsorted(starts, levels, side="right") - 1]


@styled
def alternative_cost(tables: Tables) -> Mapping[str, Figure]:
    """Profit and the operator's cost against the cost of shortage."""
    figure, axes = _axes(2, 5.5)
    for axis, column in zip(axes, ("profit [EUR]", "operator cost [EUR]"), strict=True):
        for colour, (name, part) in zip(_cycle(), tables["costs"].groupby("alternative", sort=False), strict=False):
            axis.plot(
                part["cost of shortage [EUR/kWh]"], part[column], "o-", color=colour, label=str(name), markersize=4
            )
        axis.set_ylabel("its profit [EUR]" if column.startswith("profit") else "cost of the operator [EUR]")
    axes[-1].set_xlabel("cost of shortage [EUR/kWh], its mark-up at the largest that no bid exceeds")
    _legend(figure, axes[0])
    return {"alternative_cost": figure}


@styled
def several(tables: Tables) -> Mapping[str, Figure]:
    """Mark-ups and payments round by round, with the mixed equilibrium's expectation."""
    found = {}
    for name, part in tables["rounds"].groupby("scenario", sort=False):
        facts = tables["summary"][tables["summary"]["scenario"] == name].set_index("quantity")["value"]
        figure, axes = _axes(2, 5.5)
        asked = [
            c for c in part.columns if c.startswith("mark-up ") and c.endswith("[EUR/kWh]") and part[c].notna().all()
        ]
        for colour, column in zip(_cycle(), asked, strict=False):
            axes[0].plot(part["round"], part[column], color=colour, label=column.split(" ")[1], linewidth=1.4)
        axes[0].set_ylabel("mark-up [EUR/kWh]")
        axes[1].plot(part["round"], part["mark-up payments [EUR]"], color=COLOURS[6], label="best replies in turn")
        for axis, key in ((axes[0], "mixed: least mark-up"), (axes[1], "mixed: expected mark-up payments")):
            if key in facts:
                axis.axhline(facts[key], color="black", linestyle="--", linewidth=1, label=key)
            axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderpad=0)
        axes[1].set_ylabel("mark-ups paid [EUR]")
        axes[1].set_xlabel("round of best replies in turn")
        found[f"several_{name}"] = figure
    return found


@styled
def remedies(tables: Tables) -> Mapping[str, Figure]:
    """Gain and the operator's cost by remedy; thresholds of the penalty; gain by number of aggregators."""
    return {
        "remedies": _by_remedy(tables["remedies"]),
        "penalty": _by_availability(tables["penalties"]),
        **_by_penalty(tables["plans"]),
        "aggregators": _by_number(tables["aggregators"]),
    }


def _by_remedy(table: pd.DataFrame) -> Figure:
    table = table[table["gain [EUR]"].notna()].copy()
    several_levels = table["remedy"].isin(table.loc[table.duplicated(["scenario", "remedy"]), "remedy"])
    table.loc[several_levels, "remedy"] += " " + table.loc[several_levels, "level"].map("{:g}".format)
    groups = list(table.groupby("scenario", sort=False))
    names = list(dict.fromkeys(table["remedy"]))
    figure, axes = _axes(2, 7.0, share=False)
    for axis, column in zip(axes, ("gain [EUR]", "operator cost [EUR]"), strict=True):
        for k, (scenario, part) in enumerate(groups):
            values = part.set_index("remedy")[column].reindex(names).to_numpy(dtype=float)
            places = np.arange(len(names)) + (k - (len(groups) - 1) / 2) * 0.8 / len(groups)
            axis.barh(places, values, height=0.8 / len(groups), color=COLOURS[k], label=str(scenario))
            for y, value in zip(places, values, strict=True):
                if not np.isnan(value):
                    axis.annotate(
                        f"{round(value, 2) + 0.0:.2f}",
                        (max(value, 0), y),
                        (3, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize=7,
                    )
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.invert_yaxis()
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlabel("gain from gaming [EUR]" if column.startswith("gain") else "cost of the operator [EUR]")
        axis.margins(x=0.12)
    _legend(figure, axes[0])
    return figure


def _by_availability(table: pd.DataFrame) -> Figure:
    figure, (axis,) = _axes(1, 3.8)
    for colour, (scenario, part) in zip(_cycle(), table.groupby("scenario", sort=False), strict=False):
        honest = part[np.isfinite(part["honest from [EUR/kWh]"])]
        axis.plot(
            honest["there [kWh]"], honest["honest from [EUR/kWh]"], "o-", color=colour, label=f"{scenario}: honest plan"
        )
        real = part[np.isfinite(part["all delivered from [EUR/kWh]"])]
        axis.plot(
            real["there [kWh]"],
            real["all delivered from [EUR/kWh]"],
            "s:",
            color=colour,
            fillstyle="none",
            label=f"{scenario}: all delivered",
        )
    axis.set_ylabel("penalty from which on [EUR/kWh]")
    axis.set_xlabel("what its vehicles can truly charge in the period where it bunches [kWh]")
    axis.set_yscale("log")
    _legend(figure, axis, 2)
    return figure


def _by_penalty(table: pd.DataFrame) -> dict[str, Figure]:
    """Profit and the operator's cost against the penalty, a line for each energy that is truly there."""
    found = {}
    for scenario, here in table.groupby("scenario", sort=False):
        figure, axes = _axes(2, 6.0)
        last = here["from penalty [EUR/kWh]"].max()
        for colour, (there, part) in zip(_cycle(), here.groupby("there [kWh]", sort=False), strict=False):
            ends = part[["from penalty [EUR/kWh]", "to penalty [EUR/kWh]"]].to_numpy().ravel()
            profits = part[["profit at the start [EUR]", "profit at the end [EUR]"]].to_numpy().ravel()
            axes[0].plot(ends, profits, color=colour, label=f"{there:g} kWh there")
            axes[1].plot(ends, np.repeat(part["operator cost [EUR]"].to_numpy(), 2), color=colour)
        axes[1].set_xlim(0, 1.1 * last)
        lowest = here.loc[here["not delivered [kWh]"] < 1e-6, "profit at the end [EUR]"].min()
        axes[0].set_ylim(1.3 * min(0.0, lowest) - 1, 1.1 * here["profit at the start [EUR]"].max())
        axes[0].set_ylabel("its profit [EUR]")
        axes[1].set_ylabel("cost of the operator [EUR]")
        axes[1].set_xlabel("penalty on declared charging that is left out [EUR/kWh]")
        _legend(figure, axes[0])
        found[f"by_penalty_{scenario}"] = figure
    return found


def _by_number(table: pd.DataFrame) -> Figure:
    figure, axes = _axes(2, 5.5)
    for axis, column in zip(axes, ("gain [EUR]", "operator cost [EUR]"), strict=True):
        for colour, (scenario, part) in zip(_cycle(), table.groupby("scenario", sort=False), strict=False):
            axis.plot(part["aggregators"], part[column], "o-", color=colour, label=str(scenario))
        axis.set_ylabel("gain from gaming [EUR]" if column.startswith("gain") else "cost of the operator [EUR]")
    axes[-1].set_xlabel("number of equal aggregators, one of them strategic")
    _legend(figure, axes[0])
    return figure


@styled
def audit(tables: Tables) -> Mapping[str, Figure]:
    """What schedules cost more than they must, and what they gain; those that do neither are left out."""
    table = tables["audit"]
    suspect = table[(table["dearer [EUR]"] != 0) | (table["gain [EUR]"] != 0)]
    table = suspect if len(suspect) else table
    names = [f"{row.scenario}: {row.aggregator}" for row in table.itertuples()]
    figure, (axis,) = _axes(1, 1.4 + 0.42 * len(names))
    places: Any = np.arange(len(names))
    axis.barh(places - 0.2, table["dearer [EUR]"], height=0.4, color=COLOURS[1], label="costs more than it must")
    axis.barh(places + 0.2, table["gain [EUR]"], height=0.4, color=COLOURS[0], label="gains, market included")
    axis.set_yticks(places, names, fontsize=8)
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("against its cheapest plan [EUR]")
    _legend(figure, axis, 2)
    return {"audit": figure}
