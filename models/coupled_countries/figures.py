"""Pictures of a run: the merit order of every country with the equilibrium in it.

Nothing is drawn through pyplot. An answer without a certificate has hollow red markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from equilibrium.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, STYLE, WIDTH

from . import inputs, parts
from .segment import Plant, output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SKY, YELLOW = "#56B4E9", "#E69F00"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
ONE_LINE = 40  # letters above a panel
MOST = 6  # countries in a picture, and pictures of a run


def draw(solved: Sequence[Any]) -> Mapping[str, Figure]:
    """A merit order per alternative, of the first hour and the first countries by name."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        shown = [one for one in solved if hasattr(one.model, "lost_load")][:MOST]
        return {f"merit_order_{one.alternative.name.replace(' ', '_')}": merit_order(one) for one in shown}


def figure_of(height: float) -> Figure:
    """An empty figure of the common width; nothing overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained")


def grid(figure: Figure, panels: int, across: int = 2, **options: Any) -> list[Axes]:
    """Axes for a number of panels, row by row."""
    rows = -(-panels // across)
    axes = figure.subplots(rows, min(panels, across), squeeze=False, **options).ravel().tolist()
    for spare in axes[panels:]:
        spare.remove()
    return axes[:panels]


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int = 3) -> None:
    """One legend under the panels, each label once."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns)


# --------------------------------------------------------------------------------------------------------- merit order


def merit_order(one: Any) -> Figure:
    """Price against quantity in each country: what supply would offer, what is consumed, and the equilibrium.

    One cost of output: the supply of the country's own plants, with what is exported or imported as the distance
    between generation and consumption. A cost for each destination: what all plants together offer to the country at
    the equilibrium's congestion prices and capacity rents.
    """
    model, hour = one.model, one.model.hour.first()
    names = list(model.country)[:MOST]
    figure = figure_of(0.9 + 2.55 * -(-len(names) // 2))
    axes = grid(figure, len(names))
    fine = one.solution.certificate.ok
    for ax, n in zip(axes, names, strict=True):
        _country(ax, one, n, hour, fine)
    title = f"{one.alternative.name}: supply, demand and the equilibrium, hour {hour}"
    if len(names) < len(model.country):
        title += f" (the first {len(names)} of {len(model.country)} countries)"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    legend_below(figure, axes, 2)
    return figure


def _country(ax: Axes, one: Any, n: str, hour: int, fine: bool) -> None:
    model, price = one.model, float(one.model.price[n, hour].value)
    consumed = float(pyo.value(model.consumption[n, hour]))
    offers = _offers(one, n, hour)
    made = consumed if model.split else parts.output(model, n, hour)
    right = 1.15 * max(consumed, made, 1e-9)
    top = 1.35 * max(_price_at(offers, right, price), price, float(pyo.value(parts.retail_price(model, n, hour))))
    prices = _grid_of(offers, top)
    quantities = np.array([output(offers, p) for p in prices])
    ax.plot(quantities, prices, color=BLUE, lw=1.6, label="supply to the country" if model.split else "own plants")
    _demand(ax, model, n, hour, consumed, right, top)
    mark = {"mec": GREY if fine else RED, "zorder": 5, "clip_on": False}
    ax.plot(made, price, "o", ms=6, mfc=BLUE if fine else "white", label="equilibrium", **mark)
    if abs(made - consumed) > 1e-6 * right:
        ax.annotate(
            "", (consumed, price), (made, price), arrowprops={"arrowstyle": "->", "color": GREEN, "lw": 1.6}, zorder=4
        )
        ax.plot([], [], color=GREEN, lw=1.6, label="to demand: exports leave, imports come, load is lost")
    told = f"{price:.4g} EUR/MWh{_trade(model, n, hour, consumed)}"
    ax.set_title(f"{n}: {told}" if len(n) + len(told) <= ONE_LINE else f"{n}:\n{told}", loc="left", fontsize=9)
    ax.set_xlim(0, right)
    ax.set_ylim(0 if min(prices) >= 0 else min(prices), top)
    ax.set_xlabel("quantity [MW]")
    ax.set_ylabel("price [EUR/MWh]")


def _trade(model: Any, n: str, hour: int, consumed: float) -> str:
    """What is traded on balance, and what is lost."""
    lost = float(pyo.value(inputs.lost(model, n, hour)))
    net, small = parts.output(model, n, hour) + lost - consumed, 1e-6 * max(consumed, 1e-9)
    told = f", {'exports' if net > 0 else 'imports'} {abs(net):.4g} MW" if abs(net) > small else ""
    return told + (f", {lost:.4g} MW lost" if lost > small else "")


def _offers(one: Any, n: str, hour: int) -> list[Plant]:
    """Plants as supply sees them: own ones with their capacity, or all with rents and transmission added, unlimited."""
    from .values import capacity_rent

    model, found = one.model, []
    if not model.split:
        for t in model.plants[n]:
            a, b = (float(pyo.value(v)) for v in (model.cost_intercept[n, t], model.cost_slope[n, t]))
            b += float(pyo.value(model.gamma["plant", n]))
            found.append((a, b, float(pyo.value(inputs.available(model, n, t, hour)))))
        return found
    for k, t, b in _sellers(model, n):
        a = float(pyo.value(model.cost_intercept[k, t])) + capacity_rent(model, one.solution.multipliers, k, t, hour)
        if k != n:
            a += parts.congestion_price(model, (k, n), hour) + float(pyo.value(model.toll[k, n]))
        found.append((a, b, np.inf))
    return found


def _sellers(model: Any, n: str) -> list[tuple[str, str, float]]:
    """(country, plant, slope of its cost of selling in n), of all plants that may sell there; separable cost."""
    found = []
    for k in model.country:
        if k != n and (k, n) not in model.link:
            continue
        slope = float(pyo.value(model.gamma["plant", k])) + (float(pyo.value(model.gamma["local", k])) if k == n else 0)
        found += [(k, t, float(pyo.value(model.cost_slope[k, t])) + slope) for t in model.plants[k]]
    return found


def _price_at(offers: Sequence[Plant], quantity: float, price: float) -> float:
    """Price at which the offers give a quantity, at most twice the given one."""
    for p in np.linspace(price, 2 * abs(price) + 1, 201):
        if output(offers, float(p)) >= quantity:
            return float(p)
    return price


def _grid_of(offers: Sequence[Plant], top: float) -> np.ndarray:
    """Prices from the first offer to the top, every corner of the supply curve among them, twice where it jumps."""
    low = min([a for a, _, _ in offers], default=0.0)
    corners = [p for a, b, K in offers for p in (a, a + b * K) if np.isfinite(p) and p < top]
    tiny = 1e-9 * max(abs(top), 1.0)
    return np.unique([low - tiny, *np.linspace(low, top, 101), *corners, *(c - tiny for c in corners)])


def _demand(ax: Axes, model: Any, n: str, hour: int, consumed: float, right: float, top: float) -> None:
    if hour not in model.elastic[n]:
        ax.axvline(consumed, color=ORANGE, lw=1.6, label="inelastic demand")
        return
    gamma = float(pyo.value(model.gamma["demand", n]))
    c, d = float(pyo.value(model.choke[n, hour])), float(pyo.value(model.fall[n, hour]))
    Q = np.array([0.0, 2 * right])
    ax.plot(
        Q, c - (d + gamma) * Q, color=ORANGE, lw=1.6, label="demand after the cost of response" if gamma else "demand"
    )
    if gamma:
        ax.plot(Q, c - d * Q, color=ORANGE, lw=1.1, ls=(0, (4, 2)), label="demand at retail prices")
        retail = c - d * consumed
        if retail <= top:
            ax.plot(consumed, retail, "D", ms=5, mfc=ORANGE, mec="white", zorder=5, label="retail price")
