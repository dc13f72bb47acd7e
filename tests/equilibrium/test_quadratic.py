"""Small quadratic programmes that are solved face by face."""

from __future__ import annotations

import numpy as np
import pytest

from equilibrium.solvers import quadratic


@pytest.mark.parametrize("size", [0.01, 0.3, 1.0, 3.0, 7.0, 11.0, 50.0, 700.0])
def test_an_optimum_at_a_bound_is_never_beyond_it_whatever_the_size(size: float) -> None:
    """A buyer who places two blocks in two periods of a market of any size, prices the same: min p'x over x >= 0 with
    each block's energy given, p = a + B x, not convex. Rounding of the vertex (-2e-16 for zero) breaks the bound: one
    of zero has no size of its own beside which it would be small."""
    hessian = np.array([[2, 0, 1, 0], [0, 2, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]) / (2 * size)
    blocks = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    seen = np.array([[-0.202, 0, -0.202, 0], [0, -0.191, 0, -0.191]]) / size  # the followers' regime
    table = np.vstack([seen, blocks])
    low, up = np.array([-np.inf, -np.inf, size, size]), np.array([0.7, 0.7, size, size])
    nothing, far = np.zeros(4), np.full(4, np.inf)
    found = quadratic.minimise(hessian, np.array([2.25, 2.35, 0, 0]), table, low, up, nothing, far)
    assert found.x is not None
    assert (found.x >= 0).all()
    assert found.x == pytest.approx(size * np.array([0.8, 0.2, 0, 1]), abs=1e-12 * size)
