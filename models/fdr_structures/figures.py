"""Pictures of a case: the bathtub, system cost, competition, and the mixed structure against the DSO's share.

Solved equilibria are markers, theory is a line beside them. An answer without a certificate is a hollow red marker.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import change
from equilibrium.errors import EquilibriumError
from equilibrium.style import BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, RED, STYLE, WIDTH

from . import accounts, structures, theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 12.0  # points: one line of a label
SAME = 1e-6  # loads closer than this, relative to the flexible energy, share a label
NARROW = "\N{NO-BREAK SPACE}"
ZERO = 1e-10  # a loss below this part of the cost is rounding

# Points of the sweeps, by whether supply is linear (curved supply takes some ten times as long).
AGGREGATORS = {True: (1, 2, 3, 4, 5, 6, 8, 10, 14, 20), False: (1, 2, 3, 4, 5, 7, 10, 20)}
SHARES = {True: 25, False: 13}


@dataclass(frozen=True)
class Point:
    """One solved equilibrium of a sweep: where, its load off-peak (MWh), and whether it was certified."""

    at: float
    load: float
    certified: bool


def draw(solved: Sequence[Any]) -> Mapping[str, Figure]:
    """The figures that the alternatives of a case make sensible, by name. Nothing is drawn through pyplot."""
    import matplotlib

    solved = [one for one in solved if one.model.component("generators") is None]
    if not solved or any(len(one.model.period) != 2 for one in solved):
        return {}
    have = {one.alternative.structure for one in solved}
    with matplotlib.rc_context(STYLE):
        found = {"bathtub": bathtub(solved), "system_cost": system_cost(solved)}
        if "cournot" in have:
            found["competition"] = competition(solved)
        if "mixed_dso_dispatch" in have and all(
            one.data.parameters.get("rivals_limit", np.inf) == np.inf for one in solved
        ):
            found["mixed_share"] = mixed_share(solved)
    return found


# --------------------------------------------------------------------------------------------------------- the bathtub


def bathtub(solved: Sequence[Any]) -> Figure:
    """Marginal cost and a monopoly buyer's marginal expenditure in the two periods, with each structure at its load."""
    panels = _by_demand(solved)
    labels = [_labels(group) for _, group in panels]
    heights = [2.55 + ROW / 72 * sum(_lines(text) for _, text, _ in found) for found in labels]
    figure = _figure(sum(heights) + 0.7)
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for ax, (title, group), found in zip(axes, panels, labels, strict=True):
        _curves(ax, group)
        height = _stairs(ax, found)
        ax.set_ylabel(f"price [{_price_unit(group)}]")
        ax.set_title(title, loc="left", fontweight="bold", pad=height + 2)
    axes[-1].set_xlabel("flexible energy taken off-peak, s [MWh]")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _curves(ax: Axes, group: Sequence[Any]) -> None:
    m, energy = _setting(group), _energy(group)
    s = np.linspace(0.0, energy, 121)
    prices = np.array([m.prices(v) for v in s])
    slopes = np.array([m.slopes(v) for v in s])
    for k, (colour, load, name) in enumerate(((BLUE, s, "off-peak"), (ORANGE, m.S - s, "peak"))):
        ax.plot(s, prices[:, k], color=colour, lw=1.8, label=f"marginal cost, {name}")
        ax.plot(
            s,
            prices[:, k] + slopes[:, k] * load,
            color=colour,
            lw=1.2,
            ls=(0, (4, 2)),
            label=f"marginal expenditure, {name}",
        )
    if any(one.alternative.structure == "passive" for one in group):
        between = np.linspace(m.S / 2, theory.efficient(m), 41)
        low, high = np.array([m.prices(v) for v in between]).T
        ax.fill_between(between, low, high, color=PALE, lw=0, zorder=0, label="loss with passive households")
    ax.set_xlim(0.0, energy)
    ax.margins(y=0.04)


def _labels(group: Sequence[Any]) -> list[tuple[float, str, bool]]:
    """(load, label, certified) by rising load; structures with one load share a label."""
    energy = _energy(group)
    found: list[tuple[float, list[str], bool]] = []
    for one in sorted(group, key=lambda one: round(_load(one) / (SAME * energy))):
        name = _name(one)
        if found and abs(_load(one) - found[-1][0]) <= 2 * SAME * energy:
            load, names, certified = found.pop()
            found.append((load, [*names, name], certified and _certified(one)))
        else:
            found.append((_load(one), [name], _certified(one)))
    return [(load, _wrapped(load, names, certified, load / energy), certified) for load, names, certified in found]


def _wrapped(load: float, names: Sequence[str], certified: bool, place: float) -> str:
    whole = [name.replace(" ", NARROW) for name in names]  # a name is not broken over two lines
    last = f"{whole.pop()}{NARROW * 2}{load:.4g}" + ("" if certified else f"{NARROW}(not{NARROW}certified)")
    return "\n".join(textwrap.wrap("; ".join([*whole, last]), max(24, int(95 * place))))


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _stairs(ax: Axes, labels: Sequence[tuple[float, str, bool]]) -> float:
    """Labels above the axes, each ending at its stem, the leftmost lowest: no stem crosses a label.

    Returns their height in points.
    """
    height = 3.0
    for load, text, certified in labels:
        colour = GREY if certified else RED
        top = height + ROW * _lines(text)
        place = {
            "xy": (load, 1.0),
            "xycoords": ax.get_xaxis_transform(),
            "textcoords": "offset points",
            "annotation_clip": False,
        }
        line = {"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", xytext=(0, top - 2), arrowprops=line, **place)
        ax.axvline(load, color=colour, lw=0.7, zorder=1, clip_on=False)
        ax.annotate(
            text,
            xytext=(-3, (height + top) / 2),
            ha="right",
            va="center",
            fontsize=8.5,
            linespacing=1.05,
            color="black" if certified else RED,
            **place,
        )
        ax.plot(
            load,
            0,
            "^",
            transform=ax.get_xaxis_transform(),
            ms=5,
            mfc=GREY if certified else "white",
            mec=colour,
            clip_on=False,
            zorder=5,
        )
        height = top
    return height


# -------------------------------------------------------------------------------------------------------- system cost


def system_cost(solved: Sequence[Any]) -> Figure:
    """Loss against the efficient plan by structure, cheapest first, with the system cost beside each bar."""
    from matplotlib.patches import Patch

    panels = _by_demand(solved)
    sizes = [len(group) for _, group in panels]
    figure = _figure(0.235 * sum(sizes) + 0.45 * len(sizes) + 0.75)
    axes = figure.subplots(
        len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": [n + 0.8 for n in sizes]}
    )
    axes = axes[:, 0]
    largest = max(_loss(one) for one in solved)
    currency = _price_unit(solved).partition("/")[0]
    for ax, (title, group) in zip(axes, panels, strict=True):
        _bars(ax, sorted(group, key=_loss))
        ax.set_title(title, loc="left", fontweight="bold")
    axes[0].set_xlim(0.0, 1.45 * largest if largest > 0 else 1.0)
    axes[-1].set_xlabel(f"system cost above the efficient plan [{currency}]")
    if any(one.alternative.structure == "passive" for one in solved):
        names = {
            BLUE: "better than passive households",
            GREY: "passive households",
            ORANGE: "worse than passive households",
        }
        handles = [Patch(color=colour, label=name) for colour, name in names.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _bars(ax: Axes, group: Sequence[Any]) -> None:
    passive = next((_loss(one) for one in group if one.alternative.structure == "passive"), np.inf)
    for place, one in enumerate(group):
        loss, fine = _loss(one), _certified(one)
        colour = GREY if one.alternative.structure == "passive" else ORANGE if loss > (1 + SAME) * passive else BLUE
        ax.barh(place, loss, height=0.66, color=colour if fine else "white", edgecolor=colour if fine else RED)
        note = f"cost {one.value('system cost'):,.7g}" if fine else "not certified"
        ax.annotate(
            f"{_amount(loss)}  ({note})",
            (loss, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color="black" if fine else RED,
        )
    ax.set_yticks(range(len(group)), [_name(one) for one in group])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(group) - 0.4, -0.6)


def _name(one: Any) -> str:
    return one.alternative.name.removesuffix(", net")  # the panel's title says so


def _loss(one: Any) -> float:
    loss, cost = accounts.excess(one), one.value("system cost")
    return 0.0 if abs(loss) <= ZERO * abs(cost) else loss


def _amount(value: float) -> str:
    return "0" if value == 0 else f"{value:,.4g}"


# ------------------------------------------------------------------------------------------------------------- sweeps


def competition(solved: Sequence[Any]) -> Figure:
    """Load off-peak against the number of aggregators: solved equilibria, the formula, and the limit."""
    group = _group_with(solved, "cournot")
    m = _setting(group)
    figure = _figure(3.3)
    ax = figure.subplots()
    many = np.geomspace(1, 20, 121)
    ax.plot(many, [theory.cournot(m, A) for A in many], color=BLUE, lw=1.3, label="theory")
    _markers(ax, _cournot_points(group, m))
    limit = theory.efficient(m)
    ax.axhline(
        limit,
        color=GREEN,
        lw=1.3,
        ls=(0, (5, 2)),
        zorder=3,
        label=f"many aggregators: the efficient load, {limit:.4g} MWh",
    )
    ax.axhline(m.S / 2, color=GREY, lw=1.0, ls=":", label=f"passive households, {m.S / 2:.4g} MWh")
    ax.set_xscale("log")
    ticks = (1, 2, 3, 4, 5, 7, 10, 15, 20)
    ax.set_xticks(ticks, [str(A) for A in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(0.93, 21.5)
    ax.set_ylim(m.S / 2 - 0.06 * (limit - m.S / 2), limit + 0.1 * (limit - m.S / 2))
    ax.set_xlabel("number of aggregators, equal shares (logarithmic)")
    ax.set_ylabel("taken off-peak, s [MWh]")
    ax.set_title(f"Load off-peak and the number of aggregators ({_demand(group)})", loc="left", fontweight="bold")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _cournot_points(group: Sequence[Any], m: theory.Setting) -> list[Point]:
    known: dict[int, Any] = {}
    for one in group:
        if one.alternative.structure == "cournot":
            known[int(one.alternative.options.get("aggregators", 2))] = one
        elif one.alternative.structure == "dso_aggregator":
            known.setdefault(1, one)
    points = []
    for A in AGGREGATORS[m.supply.sigma == 0]:
        if A in known:
            points.append(Point(A, _load(known[A]), _certified(known[A])))
        else:
            points.append(_solved(A, structures.cournot(group[0].data, A, _netted(group))))
    return points


def mixed_share(solved: Sequence[Any]) -> Figure:
    """Load off-peak where the DSO dispatches everybody, against its own share of the flexible energy."""
    group = _group_with(solved, "mixed_dso_dispatch")
    m = _setting(group)
    figure = _figure(3.7)
    ax = figure.subplots()
    shares = np.linspace(0.0, 1.0, 201)[1:-1]
    ax.plot(shares, [theory.mixed(replace(m, L=share)) for share in shares], color=BLUE, lw=1.3, label="theory")
    _markers(ax, _mixed_points(group, m))
    own = next(one for one in group if one.alternative.structure == "mixed_dso_dispatch")
    if _certified(own):
        ax.plot(m.L, _load(own), "D", ms=7, mfc=ORANGE, mec="white", zorder=6, label=f"the case, L = {m.L:.4g}")
    alone = theory.cournot(m, 1)
    ax.axhline(alone, color=GREEN, lw=1.3, ls=(0, (5, 2)), label=f"DSO/aggregator, {alone:.4g} MWh")
    ax.axhline(m.S / 2, color=GREY, lw=1.0, ls=":", label=f"passive households, {m.S / 2:.4g} MWh")
    threshold = theory.threshold_share(m)
    ax.axvline(threshold, color=PURPLE, lw=1.3, ls=(0, (1, 1.5)), label=f"threshold share, {threshold:.4g}")
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.06 * max(alone, m.S / 2))
    ax.set_xlabel("share of the flexible energy in the DSO's own aggregator, L")
    ax.set_ylabel("taken off-peak, s [MWh]")
    ax.set_title(f"The DSO dispatches its rivals' load too ({_demand(group)})", loc="left", fontweight="bold")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _mixed_points(group: Sequence[Any], m: theory.Setting) -> list[Point]:
    points = []
    for share in np.linspace(0.02, 0.98, SHARES[m.supply.sigma == 0]):
        data = change(group[0].data, {"parameters.dso_share": float(share)})
        points.append(
            _solved(share, structures.mixed_dso_dispatch(data, _netted(group)), structures.one_block_branches)
        )
    return points


def _solved(at: float, model: Any, branches: Any = None) -> Point:
    """Solve one point of a sweep; one that has no answer has no load (NaN)."""
    try:
        certified = solve(model, branches_of=branches).certificate.ok
    except EquilibriumError:
        return Point(float(at), float("nan"), False)
    return Point(float(at), float(pyo.value(model.flexible_load[model.period.first()])), certified)


def _markers(ax: Axes, points: Iterable[Point]) -> None:
    """Certified equilibria as small dots; anything else cannot be taken for one."""
    points = list(points)
    good = [p for p in points if p.certified]
    poor = [p for p in points if not p.certified and np.isfinite(p.load)]
    lost = [p for p in points if not np.isfinite(p.load)]
    ax.plot(
        [p.at for p in good], [p.load for p in good], "o", ms=4.5, color=BLUE, label="certified equilibrium", zorder=4
    )
    if poor:
        ax.plot(
            [p.at for p in poor],
            [p.load for p in poor],
            "o",
            ms=7,
            mfc="none",
            mec=RED,
            mew=1.5,
            label="not certified",
            zorder=5,
        )
    if lost:
        ax.plot(
            [p.at for p in lost],
            [0.02] * len(lost),
            "x",
            ms=6,
            color=RED,
            transform=ax.get_xaxis_transform(),
            label="not solved",
        )


# ------------------------------------------------------------------------------------------------------------- helpers


def _figure(height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def _by_demand(solved: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """The alternatives on gross demand, on demand net of the generator, and those with batteries, whichever are there,
    with a title."""
    groups = [[one for one in solved if not _batteries(one) and one.model.netted == netted] for netted in (False, True)]
    groups.append([one for one in solved if _batteries(one)])
    return [(_demand(group)[0].upper() + _demand(group)[1:], group) for group in groups if group]


def _group_with(solved: Sequence[Any], structure: str) -> list[Any]:
    """The first residual demand on which a structure is there."""
    groups = (group for _, group in _by_demand(solved))
    return next(group for group in groups if any(one.alternative.structure == structure for one in group))


def _demand(group: Sequence[Any]) -> str:
    if _batteries(group[0]):
        return "gross demand, batteries"
    if not group[0].model.netted:
        return "gross demand"
    return f"demand net of the generator's {group[0].data.parameters['generator_output']:.4g} MWh"


def _price_unit(group: Sequence[Any]) -> str:
    return group[0].data.units["parameters.cost_linear"]  # in the currency of the case


def _netted(group: Sequence[Any]) -> str:
    return "yes" if group[0].model.netted else "no"


def _setting(group: Sequence[Any]) -> theory.Setting:
    m = theory.setting(group[0].data, group[0].model.netted)
    return replace(m, S=0.0) if _batteries(group[0]) else m  # with batteries nothing has to be bought


def _energy(group: Sequence[Any]) -> float:
    return float(group[0].data.parameters["flexible_energy"])


def _batteries(one: Any) -> bool:
    return one.model.component("given_back") is not None


def _load(one: Any) -> float:
    return one.value("flexible load", f"period={one.model.period.first()}")


def _certified(one: Any) -> bool:
    return bool(one.solution.certificate.ok)
