"""The equations of a mixed complementarity problem over a box, for a semismooth Newton method that descends.

Those of Billups, built from the Fischer-Burmeister function phi(a, b) = a + b - sqrt(a^2 + b^2): phi(z - l, F) with a
lower bound only, -phi(u - z, -F) with an upper one only, phi(z - l, -phi(u - z, -F)) with both, F for free columns.
Rows and columns are scaled first (Ruiz); positive factors keep complementarity.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ..mcp import DECISION, Matrix, MixedComplementarity
from . import systems


class Equations:
    """The equations in scaled variables y = z / column, with F scaled by row."""

    def __init__(self, mcp: MixedComplementarity, z: np.ndarray) -> None:
        self.mcp = mcp
        self.row, self.column = _balanced(mcp, z, *ruiz(mcp.compact_jacobian(z)))
        self.lower, self.upper = mcp.lower / self.column, mcp.upper / self.column
        has_low, has_up = np.isfinite(mcp.lower), np.isfinite(mcp.upper)
        self.only_low, self.only_up, self.both = has_low & ~has_up, has_up & ~has_low, has_low & has_up

    def back(self, y: np.ndarray) -> np.ndarray:
        """z of a scaled point, inside the box."""
        return np.clip(y * self.column, self.mcp.lower, self.mcp.upper)

    def value(self, y: np.ndarray) -> np.ndarray:
        """F, scaled; infinite where it has no value."""
        try:
            return self.row * self.mcp.F(y * self.column)
        except (ArithmeticError, ValueError, RuntimeError):
            return np.full(len(y), np.inf)

    def equations(self, y: np.ndarray) -> np.ndarray:
        """What vanishes exactly at a solution."""
        F = self.value(y)
        result = F.copy()
        low, up, both = self.only_low, self.only_up, self.both
        result[low] = _phi(y[low] - self.lower[low], F[low])
        result[up] = -_phi(self.upper[up] - y[up], -F[up])
        result[both] = _phi(y[both] - self.lower[both], -_phi(self.upper[both] - y[both], -F[both]))
        return result

    def direction(self, y: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, float]:
        """(Newton direction, slope of the merit along it); a damped one where Newton's does not descend."""
        F = self.value(y)
        own, through = np.zeros(len(y)), np.ones(len(y))
        low, up, both = self.only_low, self.only_up, self.both
        own[low], through[low] = _slopes(y[low] - self.lower[low], F[low])
        own[up], through[up] = _slopes(self.upper[up] - y[up], -F[up])
        inner = -_phi(self.upper[both] - y[both], -F[both])
        inner_own, inner_through = _slopes(self.upper[both] - y[both], -F[both])
        first, second = _slopes(y[both] - self.lower[both], inner)
        own[both], through[both] = first + second * inner_own, second * inner_through
        matrix = self._matrix(y, own, through)
        gradient = matrix.T @ value
        try:
            step = systems.solve(matrix, -value)
        except (np.linalg.LinAlgError, RuntimeError):
            step = np.full(len(y), np.nan)
        slope = float(gradient @ step)
        if not np.all(np.isfinite(step)) or slope > -1e-12 * np.linalg.norm(step) ** 2:
            damping = 1e-3 * float(np.linalg.norm(value))
            identity = np.eye(len(y)) if isinstance(matrix, np.ndarray) else sp.eye_array(len(y))
            normal = matrix.T @ matrix + damping * identity
            step = systems.solve(normal, -gradient)
            slope = float(gradient @ step)
        return step, slope

    def _matrix(self, y: np.ndarray, own: np.ndarray, through: np.ndarray) -> Matrix:
        """diag(own) + diag(through) times the scaled Jacobian."""
        jacobian = self.mcp.compact_jacobian(y * self.column)
        if isinstance(jacobian, np.ndarray):
            return np.diag(own) + (through * self.row)[:, None] * jacobian * self.column
        scaled = sp.diags_array(through * self.row) @ jacobian @ sp.diags_array(self.column)
        return sp.csr_array(sp.diags_array(own) + scaled)


def _phi(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b - sqrt(a^2 + b^2), without cancellation where a + b > 0."""
    root = np.hypot(a, b)
    total = a + b
    with np.errstate(divide="ignore", invalid="ignore"):
        stable = np.where(total > 0, 2 * a * b / (total + root), total - root)
        return np.where(np.isfinite(stable), stable, total - root)  # infinite terms: the step is rejected


def _slopes(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    root = np.hypot(a, b)
    safe = np.where(root > 1e-13, root, 1.0)
    kink = 1 - np.sqrt(0.5)
    return np.where(root > 1e-13, 1 - a / safe, kink), np.where(root > 1e-13, 1 - b / safe, kink)


def merit(value: np.ndarray) -> float:
    """Half the sum of squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        return 0.5 * float(value @ value)


def line_search(
    scaled: Equations, y: np.ndarray, direction: np.ndarray, slope: float, reference: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """(point, its equations) with a merit sufficiently below ``reference``; None where no length of step gives one."""
    length = 1.0
    while length > 1e-12:
        candidate = y + length * direction
        if scaled.mcp.matrix is None:  # nonlinear terms may have no value outside the box
            candidate = np.clip(candidate, scaled.lower, scaled.upper)
        value = scaled.equations(candidate)
        if np.all(np.isfinite(value)) and merit(value) <= reference + 1e-4 * length * slope:
            return candidate, value
        length *= 0.5
    return None


def _balanced(
    mcp: MixedComplementarity, z: np.ndarray, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ruiz factors with quantities and prices each brought to a size of one.

    The equations are flat where energy of 0.1 MWh stands beside prices of 50 EUR/MWh: Newton then creeps. Dividing
    one kind of columns and multiplying its rows' partners by the same number leaves the coupling between them as it is.
    """
    decides = mcp.kind == DECISION
    constant = row * (mcp.vector if mcp.vector is not None else mcp.F(z))
    limits = np.concatenate([mcp.lower / column, mcp.upper / column])[np.tile(decides, 2)]
    quantity = max(_largest(constant[~decides]), _largest(limits))
    price = _largest(constant[decides])
    if not (quantity > 0 and price > 0):
        return row, column
    return row / np.where(decides, price, quantity), column * np.where(decides, quantity, price)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def ruiz(matrix: Matrix, rounds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Factors of rows and columns that bring the largest entry of each near one."""
    entries = sp.coo_array(matrix)
    (i, j), size = entries.coords, np.abs(entries.data)
    row, column = np.ones(matrix.shape[0]), np.ones(matrix.shape[1])
    for _ in range(rounds):
        for factor, index in ((row, i), (column, j)):
            largest = np.zeros(len(factor))
            np.maximum.at(largest, index, size * row[i] * column[j])
            factor /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return row, column
