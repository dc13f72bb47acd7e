"""Pictures of the studies: those of the source (2 to 13) from our runs, and the frontier of efficiency and fairness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .draws import CONSUMPTION, GINI, SURPLUS
from .studies import ALL, FIRST, SECOND, SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, PINK, SKY = "#0072B2", "#D55E00", "#009E73", "#555555", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY)
Tables = Mapping[str, pd.DataFrame]


def _axes(rows: int = 1, columns: int = 1, height: float = 3.6, width: float = 7.2) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def feasible_set(tables: Tables) -> Mapping[str, Figure]:
    """The set of surpluses, its Pareto front, and the allocation of each alpha (the source's figure 2)."""
    edge, fair = tables["feasible_set"], tables["fair"]
    figure, (axis,) = _axes(height=4.6, width=5.6)
    s1, s2 = edge["s1 [EUR]"], edge["largest s2 [EUR]"]
    axis.fill_between(s1, s2, color="#DDEAF3", label="feasible")
    axis.plot(s1, s2.where(edge["front"]), color=BLUE, linewidth=2, label="Pareto front")
    points = fair["s1 [EUR]"], fair["s2 [EUR]"]
    axis.plot(*points, "o", color=ORANGE, zorder=3, label="α-fair", clip_on=False)
    _label(axis, _names(fair["alpha"]), *points, (5, 6))
    axis.set(xlabel="surplus of the first user [EUR]", ylabel="surplus of the second user [EUR]")
    axis.set(xlim=(0, None), ylim=(0, None))
    axis.legend(frameon=False)
    return {"feasible_set": figure}


def convergence(tables: Tables) -> Mapping[str, Figure]:
    """Rounds of single users (figure 3) and of two aggregators with a large user (figure 4)."""
    users = tables["rounds_of_users"]
    figure, axes = _axes(2, 1, 5.0)
    for axis, (what, part) in zip(axes, users.groupby("what", sort=False), strict=True):
        _band(axis, part)
        axis.set(ylabel=what)
    axes[0].legend(frameon=False, fontsize=8)
    axes[-1].set_xlabel("round of best responses in turn")
    rounds = tables["rounds_of_aggregators"]
    players = [name for name in rounds if name.startswith("player")]
    second, panels = _axes(1, rounds["rule"].nunique(), 3.4, 9.0)
    for axis, (rule, part) in zip(panels, rounds.groupby("rule", sort=False), strict=True):
        for k, name in enumerate(players):
            label = f"aggregator {k + 1}" if k < 2 else "large user"
            axis.plot(part["round"], part[name], "o-", color=COLOURS[k], markersize=3, label=label)
        axis.set(title=rule, xlabel="round")
    panels[0].set_ylabel("purchase [MWh]")
    panels[0].legend(frameon=False, fontsize=8)
    return {"rounds_of_users": figure, "rounds_of_aggregators": second}


def _band(axis: Axes, part: pd.DataFrame) -> None:
    rounds = part["round"]
    axis.fill_between(rounds, part["5 %"], part["95 %"], color="#CFE0EC", label="5 to 95 % of the users")
    axis.fill_between(rounds, part["25 %"], part["75 %"], color="#A9CBE2", label="25 to 75 %")
    axis.plot(rounds, part["50 %"], color=BLUE, label="median")


def large_user(tables: Tables) -> Mapping[str, Figure]:
    """Small users' average surplus beside a growing large user (figure 5)."""
    table = tables["large_user"]
    figure, (axis,) = _axes()
    _bars(axis, [f"{size:g}" for size in table[SIZE]], table[SURPLUS])
    axis.set(xlabel="size b/a of the large user [MWh]", ylabel=f"average {SURPLUS}")
    return {"large_user": figure}


def _bars(axis: Axes, names: Sequence[str], values: pd.Series, colours: Sequence[str] | str = BLUE) -> None:
    bars = axis.bar(names, values, color=colours, width=0.6)
    axis.bar_label(bars, [f"{value:.2f}" if value >= 0.1 else f"{value:.2g}" for value in values], fontsize=8)
    axis.margins(y=0.12)


def allocation_rules(tables: Tables) -> Mapping[str, Figure]:
    """Average surplus and consumption by rule (figures 6 and 7), and how they are spread (figures 8 and 9)."""
    table = tables["allocation_rules"]
    shown = table[table["large user"].isin(["none", "given"]) & table[SURPLUS].notna()]
    shown = shown[~shown["alternative"].str.contains("literal")]
    names = [
        f"{rule}\n({'without' if large == 'none' else 'with'} large user)".replace(", ", ",\n")
        for rule, large in zip(shown["alternative"], shown["large user"], strict=True)
    ]
    colours = [GREY if rule == "no aggregator" else BLUE for rule in shown["alternative"]]
    found = {}
    for name, column in (("surplus", SURPLUS), ("use", CONSUMPTION)):
        found[f"{name}_by_rule"], (axis,) = _axes(width=9.5)
        _bars(axis, names, shown[column], colours)
        axis.set_ylabel(f"average {column}")
        axis.tick_params("x", labelsize=8)
    for rule, name in (("welfare", "spread_welfare"), ("proportional, filtered", "spread_proportional")):
        found[name] = _spread(tables["densities"], rule)
    return found


def _spread(densities: pd.DataFrame, rule: str) -> Figure:
    figure, axes = _axes(2, 1, 5.0)
    for axis, (what, part) in zip(axes, densities.groupby("what", sort=False), strict=True):
        for name, colour in (("no aggregator", BLUE), (rule, ORANGE)):
            one = part[part["rule"] == name]
            axis.plot(one["value"], one["density"], color=colour, label=name)
            axis.fill_between(one["value"], one["density"], color=colour, alpha=0.15)
        axis.set(xlabel=what, ylabel="density", xlim=(0, None), ylim=(0, None))
    axes[0].legend(frameon=False)
    return figure


def alpha(tables: Tables) -> Mapping[str, Figure]:
    """Average surplus as alpha rises for both (figure 10) or for one aggregator (figure 11), and the frontier."""
    table = tables["alpha"]
    names = _names(table["alpha"])
    both, (axis,) = _axes()
    axis.plot(names, table[SURPLUS], "o-", color=BLUE)
    axis.set(xlabel="α of both aggregators", ylabel=f"average {SURPLUS}", ylim=(0, None))
    one, (second,) = _axes(height=4.0)
    for column, label, colour in (
        (FIRST, "aggregator that keeps α = 0", GREEN),
        (ALL, "all users", BLUE),
        (SECOND, "aggregator that raises α", ORANGE),
    ):
        second.plot(names, table[column], "o-", color=colour, label=label)
    second.set(xlabel="α of the one aggregator", ylabel=f"average {SURPLUS}", ylim=(0, None))
    second.legend(frameon=False, fontsize=8)
    return {"alpha_of_both": both, "alpha_of_one": one, "frontier": _frontier(table, names)}


def _names(alphas: pd.Series) -> list[str]:
    return ["∞" if np.isinf(value) else f"{value:g}" for value in alphas]


def _label(axis: Axes, names: Sequence[str], xs: pd.Series, ys: pd.Series, away: tuple[float, float]) -> None:
    """Each point's alpha beside it; points too near for two labels share one."""
    groups: list[list[int]] = []
    for k in range(len(names)):
        last = groups[-1][0] if groups else k
        near = abs(xs[k] - xs[last]) <= 0.05 * np.ptp(xs) and abs(ys[k] - ys[last]) <= 0.05 * np.ptp(ys)
        if groups and near:
            groups[-1].append(k)
        else:
            groups.append([k])
    for group in groups:
        text = "α = " + ", ".join(names[k] for k in group)
        at = float(xs[group[0]]), float(ys[group[0]])
        axis.annotate(text, at, away, textcoords="offset points", fontsize=8, annotation_clip=False)


def _frontier(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    figure, (axis,) = _axes(height=4.2)
    axis.plot(table[GINI], table[SURPLUS], "o-", color=BLUE)
    _label(axis, names, table[GINI], table[SURPLUS], (8, -3))
    axis.set(xlabel="Gini coefficient of surplus (0: all alike)", ylabel=f"average {SURPLUS}", ylim=(0, None))
    axis.margins(x=0.12)
    return figure


def number_of_aggregators(tables: Tables) -> Mapping[str, Figure]:
    """Average surplus and consumption over the number of aggregators: welfare (figure 12), proportional (13)."""
    table, found = tables["number_of_aggregators"], {}
    for name, rule in (("number_welfare", "welfare"), ("number_proportional", "proportional, filtered")):
        figure, axes = _axes(1, 2, 3.6, 9.0)
        for axis, column in zip(axes, (SURPLUS, CONSUMPTION), strict=True):
            for large, colour in (("none", BLUE), ("given", ORANGE)):
                part = table[(table["alternative"] == rule) & (table["large user"] == large)]
                label = "no large user" if large == "none" else "beside the large user"
                axis.plot(part["number"], part[column], "o-", color=colour, label=label)
            axis.set(xlabel="aggregators", ylabel=f"average {column}", xscale="log")
            axis.set_xticks([1, 2, 4, 8, 16, 32, 64, 200], ["1", "2", "4", "8", "16", "32", "64", "200"])
            axis.minorticks_off()
        axes[0].legend(frameon=False)
        found[name] = figure
    return found
