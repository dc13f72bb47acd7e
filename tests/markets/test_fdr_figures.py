"""Figures of the FDR market: which are drawn, and that an answer without a certificate cannot be taken for one."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from equilibrium.run import run_case
from models.fdr_structures import figures

ONLY = ["efficient", "passive", "2 aggregators", "mixed, DSO dispatch", "generator/aggregator"]


def solved(only=ONLY, case="stockholm"):
    return run_case(f"data/fdr_structures/{case}", only=only, write=False).solved


def lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (ONLY, {"bathtub", "system_cost", "competition", "mixed_share"}),
        (["efficient"], {"bathtub", "system_cost"}),
        (["generator/aggregator"], {"bathtub", "system_cost"}),
        (["2 aggregators, net", "passive"], {"bathtub", "system_cost", "competition"}),
    ],
)
def test_only_what_the_alternatives_make_sensible_is_drawn(only, names):
    found = figures.draw(solved(only))
    assert set(found) == names
    for figure in found.values():
        figure.draw_without_rendering()
    assert not plt.get_fignums()


def test_markers_are_equilibria_and_lie_on_theory():
    found = figures.draw(solved())
    for name in ("competition", "mixed_share"):
        axes = found[name].axes[0]
        (theory,), (markers,) = lines(axes, "theory"), lines(axes, "certified equilibrium")
        expected = np.interp(markers.get_xdata(), theory.get_xdata(), theory.get_ydata())
        assert markers.get_ydata() == pytest.approx(expected, rel=1e-3)  # the line itself is drawn through points


def test_an_uncertified_point_is_hollow_and_red(monkeypatch):
    found = solved()
    solve = figures.solve

    def distrust(model, **more):
        answer = solve(model, **more)
        return SimpleNamespace(certificate=SimpleNamespace(ok=False)) if hasattr(model, "aggregators") else answer

    monkeypatch.setattr(figures, "solve", distrust)
    axes = figures.competition(found).axes[0]
    (poor,) = lines(axes, "not certified")
    assert poor.get_markerfacecolor() == "none" and poor.get_markeredgecolor() == figures.RED
    (good,) = lines(axes, "certified equilibrium")
    assert list(good.get_xdata()) == [2]  # the case's own alternative, solved before


def test_equal_loads_share_a_label():
    group = solved(["efficient", "price taking", "regulated", "passive"])
    labels = [text for _, text, _ in figures._labels(group)]
    assert len(labels) == 2 and labels[1].startswith("efficient; price")
