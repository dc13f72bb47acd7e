"""The games of the benchmarks against answers found otherwise, and what a benchmark says without its peer."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import games, side_by_side
from equilibrium.formulations import complementarity


def bisected(low: np.ndarray, high: np.ndarray, positive) -> np.ndarray:
    """Where ``positive`` turns from False to True, entry by entry."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = np.where(positive(middle), low, middle), np.where(positive(middle), middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("sigma", [0.5, 1.3])
@pytest.mark.parametrize("firms", [3, 50, 300])
def test_nonlinear_firms(firms, sigma):
    """Each firm's output falls in the total Q, so the Q at which outputs add up to it is found by bisection."""
    for seed in range(3):
        game = games.nonlinear(firms, sigma, seed)

        def output(total, game=game):
            def rising(q):  # marginal cost minus marginal revenue
                return game.base + game.factor * q ** (1 + game.sigma) + game.slope * q > game.top - game.slope * total

            return bisected(np.zeros(len(game.base)), game.upper, rising)

        total = bisected(np.zeros(1), np.array([game.upper.sum()]), lambda q: q > output(q).sum())
        z, outcome = complementarity.solve(game.problem())
        assert outcome.ok
        assert z[:-1] == pytest.approx(output(total), abs=1e-10)
        assert z[-1] == pytest.approx(total[0], abs=1e-10)


@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_linear_firms(spread):
    """q = clip((a - slope Q) / slope, 0, upper), where the outputs add up to Q."""
    for seed in range(5):
        game = games.linear(60, seed, spread)
        slope = game.matrix[0, 1]

        def output(total, game=game, slope=slope):
            return np.clip(-game.vector / slope - total, 0, game.upper)

        total = bisected(np.zeros(1), np.array([game.upper.sum()]), lambda q: q > output(q).sum())
        z, outcome = complementarity.solve(game.problem())
        assert outcome.ok and z == pytest.approx(output(total), abs=1e-10 * game.upper.max())


@pytest.mark.parametrize("python", [None, "", "no/such/python", sys.executable])
def test_a_missing_peer_is_skipped(python, capsys):
    assert side_by_side.start(python, "path_worker.py", "no_such_package_anywhere") is None
    assert capsys.readouterr().out.startswith("skipped: ")
