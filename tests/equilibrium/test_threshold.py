"""Where something measured at equilibria crosses zero: a number, none, or unbounded."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equilibrium.threshold import FOUND, NONE, UNBOUNDED, threshold


def test_a_crossing_is_found_wherever_it_lies() -> None:
    for root in np.random.default_rng(1).uniform(1e-3, 1e4, 200):
        found = threshold(lambda x, root=root: root**2 - x**2, 0.0, 0.1, xtol=1e-12)
        assert found.answer == FOUND
        assert found.value == pytest.approx(root, rel=1e-10)


def test_negative_at_the_low_end_is_none() -> None:
    found = threshold(lambda x: -1.0 - x, 0.0, 1.0)
    assert (found.answer, str(found), found.evaluations) == (NONE, "none", 1)
    assert math.isnan(found.value)


def test_never_negative_is_unbounded() -> None:
    found = threshold(lambda x: 1 / (1 + x), 0.0, 1.0, high=100.0)
    assert (found.answer, found.value, found.high) == (UNBOUNDED, math.inf, 100.0)


def test_zero_at_an_end_counts_as_not_negative() -> None:
    assert threshold(lambda x: -x, 0.0, 1.0).value == pytest.approx(0.0, abs=1e-12)
    assert threshold(lambda x: 1.0 - x, 0.0, 1.0, high=1.0).answer == UNBOUNDED


def test_an_equilibrium_that_is_not_there_is_not_swallowed() -> None:
    def measure(value: float) -> float:
        raise RuntimeError(f"no equilibrium at {value:g}")

    with pytest.raises(RuntimeError, match="no equilibrium at 0"):
        threshold(measure, 0.0, 1.0)
