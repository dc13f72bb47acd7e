"""Seven seeded families of complementarity problems, a sample of each; all 1,400 are marked slow.

Success is judged twice: by the problem's own relative residual, and by the plain natural residual computed here.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.families import FAMILIES, instance
from equilibrium.definite import semidefinite
from equilibrium.formulations import complementarity
from equilibrium.mcp import MixedComplementarity
from equilibrium.solvers import ipopt, newton

SURE = [family for family in FAMILIES if family != "indef"]


def natural_residual(mcp: MixedComplementarity, z: np.ndarray) -> float:
    """Absolute, from dense arrays: nothing of the problem's own scaling."""
    value = mcp.matrix.toarray() @ z + mcp.vector
    return float(np.abs(z - np.clip(z - value, mcp.lower, mcp.upper)).max())


def share_solved(family: str, count: int) -> float:
    """Of ``count`` instances; success and failure must both be reported as what they are."""
    solved = 0
    for seed in range(count):
        mcp = instance(family, seed)
        z, outcome = complementarity.solve(mcp)
        assert outcome.ok == (mcp.error(z) <= 1e-9), (family, seed, outcome)
        if outcome.ok:
            assert natural_residual(mcp, z) <= 1e-10, (family, seed, outcome)
        solved += outcome.ok
    return solved / count


@pytest.mark.parametrize("family", SURE)
def test_sample(family):
    assert share_solved(family, 15) == 1


def test_sample_of_any_matrix(monkeypatch):
    """Also without Ipopt, which is optional."""
    monkeypatch.setattr(ipopt, "available", lambda: False)
    assert share_solved("indef", 10) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("family", SURE)
def test_all(family):
    assert share_solved(family, 200) == 1


@pytest.mark.slow
def test_all_of_any_matrix():
    assert share_solved("indef", 200) > 0.92


def test_bi_active_pairs_are_polished():
    """From a point 1e-5 beside the only solution, where both sides of a third of the pairs vanish."""
    random = np.random.default_rng(0)
    for seed in range(20):
        mcp = instance("biact", seed)
        z, _ = complementarity.solve(mcp)
        value = mcp.F(z)
        assert ((z < 1e-10) & (value < 1e-10)).any(), "the instance has no such pair"
        assert natural_residual(mcp, newton.polish(mcp, z + 1e-5 * random.normal(size=len(z)))) <= 1e-10


@pytest.mark.parametrize(
    ("family", "monotone"),
    [
        *((family, True) for family in ("cournot", "biact", "psd_lowrank", "degen")),
        *((family, False) for family in ("badscale", "pmat", "indef")),
    ],
)
def test_families_are_what_they_say(family, monotone):
    for seed in range(5):
        matrix = instance(family, seed).matrix
        assert semidefinite(sp.csr_array((matrix + matrix.T) / 2)) == monotone


def test_principal_minors_of_pmat_are_positive():
    random = np.random.default_rng(0)
    for seed in range(6):
        matrix = instance("pmat", seed).matrix.toarray()
        for _ in range(50):
            chosen = np.flatnonzero(random.random(len(matrix)) < random.random())
            assert np.linalg.slogdet(matrix[np.ix_(chosen, chosen)])[0] == 1
