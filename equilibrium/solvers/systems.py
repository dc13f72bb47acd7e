"""Linear systems that may be singular: small ones densely, large ones by sparse LU (which crashes on singular ones)."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from ..mcp import Matrix


def solve(matrix: Matrix, right: np.ndarray) -> np.ndarray:
    """Solution of a square system, by least squares where it is singular. Raises LinAlgError where it is not finite."""
    try:
        return solve_regular(matrix, right)
    except np.linalg.LinAlgError:
        if not isinstance(matrix, np.ndarray) or not np.isfinite(matrix).all():
            raise
        return np.linalg.lstsq(matrix, right, rcond=1e-12)[0]


def solve_regular(matrix: Matrix, right: np.ndarray) -> np.ndarray:
    """Solution of a square system. Raises LinAlgError where a dense one is singular, nearly so, or not finite."""
    if isinstance(matrix, np.ndarray):
        if not np.isfinite(matrix).all():
            raise np.linalg.LinAlgError("not finite")
        with warnings.catch_warnings():
            warnings.simplefilter("error", scipy.linalg.LinAlgWarning)
            try:
                return scipy.linalg.solve(matrix, right, check_finite=False)
            except scipy.linalg.LinAlgWarning as nearly:
                raise np.linalg.LinAlgError("nearly singular") from nearly
    shifted = sp.csc_array(matrix + 1e-13 * sp.eye_array(matrix.shape[0]))
    factor = spla.splu(shifted)
    step = factor.solve(right)
    return step + factor.solve(right - matrix @ step)
