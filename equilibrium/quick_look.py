"""Quick looks at a parameter study: a reported quantity against the one or two cells that vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from .design import GRID, ONE_AT_A_TIME, Design

MOST_FIGURES, MOST_POINTS = 6, 20_000


def draw(path: Path, design: Design, cells: Mapping[str, str], units: Mapping[str, str]) -> dict[str, Any]:
    """Figures by name: of the first few quantities without an index (or of those asked for), drawn against what
    varies. cells, units: unit of every cell and of every quantity."""
    file = pq.ParquetFile(path)
    names = [name for name in units if design.report or "[" not in name][:MOST_FIGURES] or list(units)[:MOST_FIGURES]
    wanted = [*names, *cells, "alternative"]
    frame = file.read(columns=[name for name in wanted if name in file.schema_arrow.names]).to_pandas()
    if len(frame) > MOST_POINTS:
        frame = frame.iloc[:: -(-len(frame) // MOST_POINTS)]
    figures = {}
    for name in names:
        if frame[name].notna().any():
            figures[file_name(name)] = picture(frame.dropna(subset=[name]), name, units[name], design, cells)
    return figures


def file_name(quantity: str) -> str:
    """``price[period=2]`` as a name for a file."""
    return "".join(c if c.isalnum() else "-" for c in quantity).strip("-")


def picture(frame: pd.DataFrame, name: str, unit: str, design: Design, cells: Mapping[str, str]) -> Any:
    """One quantity: a line for each alternative against one cell, a map for each against two, points otherwise."""
    against = list(cells)
    if len(against) == 1:
        return _lines(frame, name, unit, against, cells)
    if len(against) == 2 and design.kind == GRID:
        return _maps(frame, name, unit, against, cells)
    if design.kind == ONE_AT_A_TIME:
        return _lines(frame, name, unit, against, cells)
    return _points(frame, name, unit, against[:4], cells)


def label(name: str, unit: str) -> str:
    """``load [MWh]``; a pure number has no unit."""
    return f"{name} [{unit}]" if unit not in ("", "1") else name


def _panels(count: int, wide: float = 4.6) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(wide * count, 6.0), 4.2), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _lines(frame: pd.DataFrame, name: str, unit: str, against: Sequence[str], cells: Mapping[str, str]) -> Any:
    figure, panels = _panels(len(against))
    for axes, cell in zip(panels, against, strict=True):
        others = [one for one in against if one != cell]
        part = frame
        for one in others:  # one at a time: the others stay where the case has them
            part = part[part[one] == part[one].mode().iloc[0]]
        for alternative, rows in part.groupby("alternative", sort=False):
            rows = rows.sort_values(cell)
            axes.plot(rows[cell], rows[name], marker="." if len(rows) < 40 else "", label=alternative)
        axes.set_xlabel(label(cell, cells[cell]))
        axes.grid(alpha=0.3)
        if (frame[cell] % 1 == 0).all():
            axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel(label(name, unit))
    if frame["alternative"].nunique() > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    return figure


def _maps(frame: pd.DataFrame, name: str, unit: str, against: Sequence[str], cells: Mapping[str, str]) -> Any:
    shown = list(frame["alternative"].unique())[:4]
    figure, panels = _panels(len(shown))
    low, high = frame[name].min(), frame[name].max()
    image = None
    for axes, alternative in zip(panels, shown, strict=True):
        table = frame[frame["alternative"] == alternative].pivot_table(
            index=against[1], columns=against[0], values=name
        )
        image = axes.pcolormesh(table.columns, table.index, table.to_numpy(), vmin=low, vmax=high, shading="nearest")
        axes.set_title(alternative, fontsize="medium")
        axes.set_xlabel(label(against[0], cells[against[0]]))
    panels[0].set_ylabel(label(against[1], cells[against[1]]))
    figure.colorbar(image, ax=list(panels), label=label(name, unit))
    return figure


def _points(frame: pd.DataFrame, name: str, unit: str, against: Sequence[str], cells: Mapping[str, str]) -> Any:
    figure, panels = _panels(len(against), 3.6)
    size = float(np.clip(2000 / max(len(frame), 1), 2, 20))
    for axes, cell in zip(panels, against, strict=True):
        for alternative, rows in frame.groupby("alternative", sort=False):
            axes.scatter(rows[cell], rows[name], s=size, alpha=0.5, label=alternative, linewidths=0)
        axes.set_xlabel(label(cell, cells[cell]))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(label(name, unit))
    if frame["alternative"].nunique() > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    return figure
