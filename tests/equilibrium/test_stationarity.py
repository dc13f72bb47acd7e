"""Classes of stationarity at a bi-active pair, against multipliers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.leaders import bilevel
from equilibrium import find_game
from equilibrium.hierarchy import leader_problem, reaction_of, split
from equilibrium.stationarity import examine


@pytest.mark.parametrize(
    ("a", "b", "word", "stationary"),
    [(-1, 2, "S", True), (0, -1, "M", False), (1, -2, "C", False), (-1, 0, "W", False), (0, 0, "S", True)],
)
def test_class_at_a_kink(a, b, word, stationary):
    """The follower answers y = max(0, x), so 0 <= y _|_ y - x >= 0. At x = 0 both sides vanish, and a x + b y has the
    multipliers xi = -a (of y - x) and nu = a + b (of y)."""
    m = bilevel([(-1, 1)], [(0, None)], lambda x, y: a * x[0] + b * y[0], lambda x, y: (y[0] - x[0]) ** 2 / 2)
    hierarchy = split(find_game(m))
    problem = leader_problem(hierarchy, 0, np.zeros(1), reaction_of(hierarchy.followers))
    found = examine(problem, np.zeros(1), np.zeros(1))
    assert (found.word, found.pairs) == (word, 1)
    assert (found.descent == 0) == stationary


@pytest.mark.parametrize(("x", "word"), [(1.0, "S"), (0.5, "none")])
def test_away_from_kinks(x, word):
    """minimise -x on [-1, 1]: stationary at the end, nowhere between."""
    m = bilevel([(-1, 1)], [(0, None)], lambda x, y: -x[0] + 0 * y[0], lambda x, y: (y[0] - x[0]) ** 2 / 2)
    hierarchy = split(find_game(m))
    problem = leader_problem(hierarchy, 0, np.array([x]), reaction_of(hierarchy.followers))
    found = examine(problem, np.array([x]), np.array([x]))
    assert found.word == word
    assert (found.descent > 0) == (word == "none")
