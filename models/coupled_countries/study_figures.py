"""Pictures of the studies: welfare against intensity, elasticity limits, shares of plants, regions of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from equilibrium.style import BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, styled

from .figures import COLOURS, figure_of, grid, legend_below
from .response import CONSUMERS, COUNTRY, MARKET, TOTAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = {COUNTRY: 11, MARKET: 8.5, TOTAL: 6, CONSUMERS: 7}  # dots in one place stay visible
LINES = {COUNTRY: (BLUE, "-"), MARKET: (PURPLE, (0, (1, 1))), TOTAL: (GREEN, (0, (4, 2))), CONSUMERS: (ORANGE, "-")}
MOST = 8  # panels of a picture


def _panels(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each country and reading with the title of its panel."""
    groups = [(f"{n}, {reading}", rows) for (n, reading), rows in table.groupby(["country", "reading"], sort=False)]
    return groups[:MOST]


def _intensity(ax: Axes) -> None:
    ax.set_xlabel("intensity [EUR/MWh/MW]")
    ax.set_xlim(left=0)


# ----------------------------------------------------------------------------------------------------- demand response


@styled
def of_response(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, Figure]:
    """Criteria against intensity with their thresholds; elasticity of demand against consumption with its limits."""
    sweep, changes = tables.get("sweep"), tables.get("changes")
    if sweep is None or changes is None or "Q [MW]" not in sweep:
        return {}
    return {
        "welfare": welfare(changes, tables["thresholds"]),
        "elasticity": elasticity_limits(sweep, tables["thresholds"]),
    }


def welfare(changes: pd.DataFrame, thresholds: pd.DataFrame) -> Figure:
    """Change of each criterion against before; a dot where it crosses zero."""
    panels = _panels(changes)
    figure = figure_of(0.8 + 2.7 * -(-len(panels) // 2))
    axes = grid(figure, len(panels))
    for ax, (title, rows) in zip(axes, panels, strict=True):
        ax.axhline(0, color=GREY, lw=0.8)
        for name, (colour, style) in LINES.items():
            column = f"{name} [EUR]"
            if column in rows and rows[column].notna().any():
                ax.plot(rows["intensity"], rows[column], color=colour, ls=style, lw=1.6, label=_label(name))
        for row in _own(thresholds, rows).itertuples():
            if row.answer == "found":
                ax.plot(row.intensity, 0, "o", ms=SIZES[row.criterion], color=LINES[row.criterion][0], zorder=5)
        ax.set_title(title, loc="left", fontweight="bold")
        ax.set_ylabel("change against before [EUR]")
        _intensity(ax)
    axes[0].plot([], [], "o", ms=5.5, color=GREY, label="threshold")
    legend_below(figure, axes)
    return figure


def _label(name: str) -> str:
    return {COUNTRY: "welfare of the country", MARKET: "welfare of its market", TOTAL: "welfare of all countries"}.get(
        name, "surplus of its consumers"
    )


def _own(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    first = rows.iloc[0]
    return table[(table["country"] == first["country"]) & (table["reading"] == first["reading"])]


def elasticity_limits(sweep: pd.DataFrame, thresholds: pd.DataFrame) -> Figure:
    """How elastic demand is at the equilibrium, against what is consumed there; at most at the dots each criterion
    holds."""
    panels = _panels(sweep)
    figure = figure_of(0.8 + 2.7 * -(-len(panels) // 2))
    axes = grid(figure, len(panels))
    for ax, (title, rows) in zip(axes, panels, strict=True):
        own = _own(thresholds, rows)
        found = own[own["answer"] == "found"].rename(columns={"Q_min [MW]": "Q [MW]", "elasticity limit": "elasticity"})
        line = pd.concat([rows, found])[["Q [MW]", "elasticity"]].dropna().sort_values("Q [MW]")
        ax.plot(line["Q [MW]"], -line["elasticity"], color=GREY, lw=1.4, label="at the equilibrium, intensity falling")
        for row in found.to_dict("records"):
            colour = LINES[row["criterion"]][0]
            ax.plot(
                row["Q [MW]"],
                -row["elasticity"],
                "o",
                ms=SIZES[row["criterion"]],
                color=colour,
                label=f"limit: {_label(row['criterion'])}",
            )
        if len(own):
            ax.axvline(own["Q before [MW]"].iloc[0], color=PALE, lw=1.6, zorder=0, label="consumption before")
        ax.set_title(title, loc="left", fontweight="bold")
        ax.set_xlabel("consumption [MW]")
        ax.set_ylabel("elasticity of demand, absolute")
        ax.set_ylim(bottom=0)
    legend_below(figure, axes, 2)
    return figure


# -------------------------------------------------------------------------------------------------------------- shares


@styled
def of_shares(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, Figure]:
    """Sales at home and abroad of every plant of a country against the difference of demands, a panel per setting."""
    table = tables["shares"]
    table = table[table["verdict"] == "certified"]
    if table.empty:
        return {}
    settings = list(dict.fromkeys(table["setting"]))
    figure = figure_of(0.8 + 2.7 * -(-len(settings) // 2))
    axes = grid(figure, len(settings), sharey=True)
    plants = list(dict.fromkeys(table["plant"]))[: len(COLOURS)]
    for ax, name in zip(axes, settings, strict=True):
        for colour, t in zip(COLOURS, plants, strict=False):
            rows = table[(table["setting"] == name) & (table["plant"] == t)]
            x = rows["difference of demands [MW]"]
            ax.plot(x, rows["home [MW]"], color=colour, lw=1.6, label=f"{t}, at home")
            ax.plot(x, rows["export [MW]"], color=colour, lw=1.4, ls=(0, (4, 2)), label=f"{t}, exported")
        ax.axvline(0, color=PALE, lw=1.0, zorder=0)
        ax.set_title(name, loc="left", fontsize=9)
        ax.set_xlabel("demand at home minus demand abroad [MW]")
        ax.set_ylabel("sales [MW]")
        ax.set_ylim(bottom=0)
    first = table.iloc[0]
    title = f"What the plants of {first['country']} sell at home and to {first['neighbour']}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    legend_below(figure, axes, max(2, len(plants)))
    return figure_dict("shares", figure)


def figure_dict(name: str, figure: Figure) -> Mapping[str, Figure]:
    """A single figure by name."""
    return {name: figure}


# ------------------------------------------------------------------------------------------------------------- regions


@styled
def of_regions(tables: Mapping[str, pd.DataFrame]) -> Mapping[str, Figure]:
    """Least consumption over consumption before, by criterion, over each plane of parameters."""
    table = tables["regions"]
    found = {}
    for plane, rows in table.groupby("plane", sort=False):
        found[f"regions_{plane.replace(' ', '_')}"] = region(plane, rows)
    return found


def region(plane: str, rows: pd.DataFrame) -> Figure:
    """Colours: Q_min/Q before. Black line: 1, left of which (below 1) less can be consumed without a loss."""
    criteria = list(dict.fromkeys(rows["criterion"]))
    figure = figure_of(0.9 + 2.9 * -(-len(criteria) // 2))
    axes = grid(figure, len(criteria), sharex=True, sharey=True)
    ratio = rows["Q_min [MW]"] / rows["Q before [MW]"]
    span = max(abs(np.nanmax(ratio) - 1), abs(np.nanmin(ratio) - 1), 0.05) if ratio.notna().any() else 0.5
    picture = None
    for ax, criterion in zip(axes, criteria, strict=True):
        own = rows[rows["criterion"] == criterion].assign(ratio=ratio)
        picture = _map(ax, own, span) or picture
        ax.set_title(_label(criterion), loc="left", fontsize=9)
        ax.set_xlabel(own["x name"].iloc[0])
    axes[0].set_ylabel(rows["y name"].iloc[0])
    if picture is not None:
        bar = figure.colorbar(picture, ax=axes, aspect=25, format="%.2f")
        bar.set_label("least consumption over that before")
    first = rows.iloc[0]
    title = f"{first['country']}, {first['reading']}: how far consumption can fall without a loss"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    legend_below(figure, axes, 2)
    return figure


def _map(ax: Axes, rows: pd.DataFrame, span: float) -> Any:
    """The map of one criterion; grey where no intensity keeps it, or every one does."""
    table = rows.pivot(index="y", columns="x", values="ratio")
    x, y, z = table.columns.to_numpy(), table.index.to_numpy(), table.to_numpy()
    ax.set_facecolor(PALE)
    picture = None
    if np.isfinite(z).sum() >= 4:
        levels = np.linspace(1 - span, 1 + span, 21)
        picture = ax.contourf(x, y, np.ma.masked_invalid(z), levels=levels, cmap="RdBu_r", extend="both")
        if np.nanmin(z) < 1 < np.nanmax(z):
            ax.contour(x, y, np.ma.masked_invalid(z), levels=[1.0], colors="black", linewidths=1.4)
    ax.plot([], [], color="black", lw=1.4, label="as much as before")
    ax.plot(
        rows["x of the case"].iloc[0],
        rows["y of the case"].iloc[0],
        "D",
        ms=6,
        mfc="white",
        mec="black",
        label="the case",
    )
    if not np.isfinite(z).all():
        ax.plot([], [], "s", ms=8, color=PALE, label="no threshold, or demand before cannot be served")
    return picture
