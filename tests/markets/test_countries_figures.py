"""The pictures of coupled countries: drawn for every kind of case, every text inside the picture, none over another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.run import solve_all
from equilibrium.study import run_study
from models.coupled_countries import figures, study_figures
from solve import main

DATA = Path(__file__).parents[2] / "data" / "coupled_countries"


def texts(figure: Any) -> list[Any]:
    """Every visible text of a figure with words in it."""
    from matplotlib.text import Text

    return [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]


def neat(figure: Any) -> None:
    """Texts lie within the picture, and titles, labels and legends do not touch each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    parts = [figure._suptitle] if figure._suptitle else []
    for ax in figure.axes:
        parts += [title for title in (ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label) if title.get_text()]
    for legend in figure.legends:
        parts += legend.get_texts()
    boxes = [(part.get_text(), part.get_window_extent(renderer)) for part in parts]
    for text, box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text
    for k, (text, box) in enumerate(boxes):
        for other, place in boxes[k + 1 :]:
            assert not box.overlaps(place), (text, other)


@pytest.mark.parametrize(
    "case", ["demand_response", "textbook_r2", "illustrative_hour", "ring", "textbook_r7", "base_points"]
)
def test_merit_orders_meet_the_equilibrium(case: str) -> None:
    one = read_case(DATA / case)
    solved, failures = solve_all(one.market, one.data, one.alternatives)
    assert not failures
    drawn = figures.draw(solved)
    assert len(drawn) == len(solved)
    for figure, found in zip(drawn.values(), solved, strict=True):
        neat(figure)
        hour = found.model.hour.first()
        for n in list(found.model.country)[: figures.MOST]:
            offers, price = figures._offers(found, n, hour), float(found.model.price[n, hour].value)
            expected = found.value("consumption", f"country={n};hour={hour}")
            if not found.model.split:
                expected += found.value("net export", f"country={n};hour={hour}")
            below, above = figures.output(offers, price - 1e-6), figures.output(offers, price + 1e-6)
            assert below - 1e-4 <= expected <= above + 1e-4, n


def test_study_of_demand_response_is_written_with_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(DATA / "demand_response"), "--study", "demand_response", "--out", "there"]) == 0
    written = {path.name for path in (tmp_path / "there").rglob("*") if path.is_file()}
    tables = {f"{name}.csv" for name in ("thresholds", "closed_form", "sweep", "changes", "answers")}
    assert tables | {"welfare.png", "elasticity.png", "welfare.svg", "elasticity.svg"} <= written
    said = " ".join(capsys.readouterr().out.split())
    assert "The welfare of one is at least that before up to intensity 2.65116" in said
    read = {path.stem: pd.read_csv(path) for path in (tmp_path / "there").glob("*.csv")}
    for figure in study_figures.of_response(read).values():
        neat(figure)


def test_pictures_of_shares_and_regions() -> None:
    found = run_study(DATA / "textbook_r2", "shares", write=False)
    (figure,) = study_figures.of_shares(found.tables).values()
    neat(figure)
    rows = [
        {"plane": "cost and demand", "country": "one", "reading": "joint", "criterion": criterion, "x": x, "y": y}
        | {"x name": "slopes of cost (1: the case)", "y name": "demand before (1: the case)", "x of the case": 1.0}
        | {"y of the case": 1.0, "Q_min [MW]": x + y if x < 2 else float("nan"), "Q before [MW]": 2.0}
        for criterion in ("country welfare", "consumer surplus")
        for x in (0.5, 1.0, 2.0)
        for y in (0.5, 1.0, 2.0)
    ]
    (figure,) = study_figures.of_regions({"regions": pd.DataFrame(rows)}).values()
    neat(figure)
    assert any("no threshold" in text.get_text() for text in texts(figure))


def test_a_study_without_an_equilibrium_draws_nothing() -> None:
    assert study_figures.of_response({"thresholds": pd.DataFrame()}) == {}
