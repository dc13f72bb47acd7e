"""Quick looks at a parameter study: a reported quantity against the one or two cells that vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from .design import GRID, ONE_AT_A_TIME, Design

MOST_FIGURES, MOST_POINTS, MOST_MAPS = 6, 20_000, 4

GAP = 10.0
"""Alternatives this many times as far apart as they vary are drawn on axes of their own."""


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
    figure, panels = _grid(1, count, wide)
    return figure, panels[0]


def _grid(rows: int, count: int, wide: float = 4.6) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(wide * count, 6.0), 4.2 if rows == 1 else 3.2 * rows), layout="constrained")
    return figure, figure.subplots(rows, count, squeeze=False)


def bands(frame: pd.DataFrame, name: str) -> list[list[str]]:
    """Alternatives that go on one axis: those so far apart that how they vary could not be seen have one each."""
    ends = frame.groupby("alternative", sort=False)[name].agg(["min", "max"])
    return [[one for one in ends.index if one in band] for band in _apart(ends.sort_values("max", ascending=False))]


def _apart(ends: pd.DataFrame) -> list[set[str]]:
    """Split at the widest gap if it is ``GAP`` times as wide as what lies above and below it."""
    least, most = ends["min"].cummin(), ends["max"]
    gaps = (least - most.shift(-1)).to_numpy()[:-1]
    at = int(np.argmax(gaps)) + 1 if len(gaps) else 0
    parts = [part for part in (ends.iloc[:at], ends.iloc[at:]) if len(part)]
    spans = [part["max"].max() - part["min"].min() for part in parts]
    if len(parts) == 2 and max(spans) > 0 and gaps[at - 1] > GAP * max(spans):
        return [band for part in parts for band in _apart(part)]
    return [set(ends.index)]


def _lines(frame: pd.DataFrame, name: str, unit: str, against: Sequence[str], cells: Mapping[str, str]) -> Any:
    groups = bands(frame, name)
    figure, panels = _grid(len(groups), len(against))
    colours = {alternative: f"C{k}" for k, alternative in enumerate(frame["alternative"].unique())}
    for group, row in zip(groups, panels, strict=True):
        inside = frame[frame["alternative"].isin(group)]
        for axes, cell in zip(row, against, strict=True):
            others = [one for one in against if one != cell]
            part = inside
            for one in others:  # one at a time: the others stay where the case has them
                part = part[part[one] == part[one].mode().iloc[0]]
            for alternative, rows in part.groupby("alternative", sort=False):
                rows = rows.sort_values(cell)
                marker = "." if len(rows) < 40 else ""
                axes.plot(rows[cell], rows[name], marker=marker, label=alternative, color=colours[str(alternative)])
            axes.set_xlabel(label(cell, cells[cell]))
            axes.grid(alpha=0.3)
            if (frame[cell] % 1 == 0).all():
                axes.xaxis.get_major_locator().set_params(integer=True)
        row[0].set_ylabel(label(name, unit))
    if frame["alternative"].nunique() > 1:
        lines = [line for row in panels for line in row[0].lines]
        figure.legend(lines, [line.get_label() for line in lines], loc="outside right upper", fontsize="small")
    return figure


def _maps(frame: pd.DataFrame, name: str, unit: str, against: Sequence[str], cells: Mapping[str, str]) -> Any:
    every = list(frame["alternative"].unique())
    shown = every[:MOST_MAPS]
    frame = frame[frame["alternative"].isin(shown)]
    figure, panels = _panels(len(shown))
    if len(every) > len(shown):
        figure.suptitle(f"{len(shown)} of {len(every)} alternatives; --only names others", fontsize="medium")
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
