"""Seeded families of complementarity problems, each with its own difficulty, as arrays.

    lower <= z <= upper   _|_   M z + q

All have 20 primal columns. Where a solution is planted, q is chosen so that a random point is one.

    python -m benchmarks.families --count 200
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from equilibrium.formulations import complementarity
from equilibrium.mcp import DECISION, MULTIPLIER, MixedComplementarity

N = 20


def problem(
    matrix: np.ndarray, vector: np.ndarray, upper: np.ndarray | None = None, decisions: int | None = None
) -> MixedComplementarity:
    """0 <= z <= upper _|_ matrix z + vector; the first ``decisions`` columns decide, the others are multipliers."""
    size = len(vector)
    kind = np.where(np.arange(size) < (size if decisions is None else decisions), DECISION, MULTIPLIER)
    return MixedComplementarity(
        [f"z[{k}]" for k in range(size)],
        kind,
        np.zeros(size, dtype=int),
        [None] * size,
        np.zeros(size),
        np.full(size, np.inf) if upper is None else upper,
        sp.csr_array(matrix),
        vector,
    )


def _capped(own: np.ndarray, vector: np.ndarray, *capacities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of q >= 0 _|_ own q + vector + sum of a_k and, for each k, a_k >= 0 _|_ capacity_k - q."""
    n, copies = len(vector), len(capacities)
    ones = np.tile(np.eye(n), (1, copies))
    matrix = np.block([[own, ones], [-ones.T, np.zeros((copies * n, copies * n))]])
    return matrix, np.concatenate([vector, *capacities])


def cournot(random: np.random.Generator) -> MixedComplementarity:
    """Firms with capacities that face one line of demand; every capacity is a row with a multiplier (40 rows)."""
    return problem(*_cournot_arrays(random), decisions=N)


def _cournot_arrays(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    slope = random.uniform(0.5, 2)
    own = slope * (np.eye(N) + 1) + np.diag(random.uniform(0, 1, N))
    return _capped(own, random.uniform(5, 60, N) - 100, random.uniform(0.5, 10, N))


def biact(random: np.random.Generator) -> MixedComplementarity:
    """Strictly monotone with a skew part; about a third of the pairs vanish on both sides at the only solution."""
    root, skew = random.normal(size=(N, N)), np.triu(random.normal(size=(N, N)), 1)
    matrix = root @ root.T / N + 0.1 * np.eye(N) + skew - skew.T
    case = random.integers(0, 3, N)
    z = np.where(case == 0, random.uniform(0.5, 2, N), 0.0)
    slack = np.where(case == 1, random.uniform(0.5, 2, N), 0.0)
    return problem(matrix, slack - matrix @ z)


def psd_lowrank(random: np.random.Generator) -> MixedComplementarity:
    """Monotone of rank n/4 with a sparse skew part; solutions are not unique."""
    root = random.normal(size=(N, N // 4))
    skew = np.triu(random.normal(size=(N, N)) * (random.random((N, N)) < 0.1), 1)
    matrix = root @ root.T + skew - skew.T
    return problem(matrix, _planted(random, matrix))


def badscale(random: np.random.Generator) -> MixedComplementarity:
    """The cournot family with rows and columns multiplied by factors from 1e-3 to 1e3, each on its own."""
    matrix, vector = _cournot_arrays(random)
    row, column = 10.0 ** random.uniform(-3, 3, (2, len(vector)))
    return problem(row[:, None] * matrix * column, row * vector, decisions=N)


def pmat(random: np.random.Generator) -> MixedComplementarity:
    """P-matrices far from positive semidefinite: half of them triangular in a hidden order, half diagonally dominant
    rows with their rows and columns rescaled."""
    if random.random() < 0.5:
        matrix = np.diag(random.uniform(0.5, 2, N)) + np.triu(random.uniform(-2, 2, (N, N)), 1)
        order = random.permutation(N)
        matrix = matrix[np.ix_(order, order)]
    else:
        matrix = random.uniform(-1, 1, (N, N))
        matrix[np.diag_indices(N)] = np.abs(matrix).sum(axis=1)
        matrix = matrix * 10.0 ** random.uniform(-2, 2, N)
        matrix = 10.0 ** random.uniform(-2, 2, (N, 1)) * matrix
    return problem(matrix, 5 * random.normal(size=N))


def indef(random: np.random.Generator) -> MixedComplementarity:
    """Any matrix, with a planted solution: no method is sure of these, and some have other solutions as well."""
    matrix = random.normal(size=(N, N))
    return problem(matrix, _planted(random, matrix))


def degen(random: np.random.Generator) -> MixedComplementarity:
    """Price takers with integer costs that tie, every capacity stated twice, some of them zero (60 rows)."""
    slope, top = float(random.integers(1, 4)), float(random.integers(20, 60))
    cost, capacity = random.integers(1, 8, N) * 5.0, random.integers(0, 6, N).astype(float)
    matrix, vector = _capped(np.full((N, N), slope), cost - top, capacity, capacity)
    return problem(matrix, vector, decisions=N)


def _planted(random: np.random.Generator, matrix: np.ndarray) -> np.ndarray:
    """q for which a random strictly complementary point solves 0 <= z _|_ matrix z + q >= 0."""
    active = random.random(N) < 0.5
    z, slack = random.uniform(0.1, 2, (2, N))
    return np.where(active, slack, 0.0) - matrix @ np.where(active, 0.0, z)


FAMILIES: dict[str, Callable[[np.random.Generator], MixedComplementarity]] = {
    "cournot": cournot,
    "biact": biact,
    "psd_lowrank": psd_lowrank,
    "badscale": badscale,
    "pmat": pmat,
    "indef": indef,
    "degen": degen,
}


def instance(family: str, seed: int) -> MixedComplementarity:
    """Instance number ``seed`` of a family."""
    return FAMILIES[family](np.random.default_rng([seed, *FAMILIES[family].__name__.encode()]))


def main() -> None:
    """Solve every family from arrays and print what share succeeded, how accurately, how fast, and by which solver."""
    parser = argparse.ArgumentParser(description="Robustness on seeded families of complementarity problems.")
    parser.add_argument("--count", type=int, default=200, help="instances of each family")
    count = parser.parse_args().count
    print(f"{'':12} {'solved':>8} {'relative':>9} {'absolute':>9} {'mean ms':>8} {'most ms':>8}   by")
    for family in FAMILIES:
        solved, worst, plain, seconds, solvers = 0, 0.0, 0.0, [], Counter[str]()
        for seed in range(count):
            mcp = instance(family, seed)
            began = time.perf_counter()
            z, outcome = complementarity.solve(mcp)
            seconds.append(time.perf_counter() - began)
            if outcome.ok:
                solved += 1
                solvers[outcome.solver] += 1
                worst = max(worst, mcp.error(z))
                plain = max(plain, float(np.abs(z - np.clip(z - mcp.F(z), mcp.lower, mcp.upper)).max()))
        print(
            f"{family:12} {100 * solved / count:7.1f}% {worst:9.1e} {plain:9.1e} {1e3 * np.mean(seconds):8.1f} "
            f"{1e3 * max(seconds):8.0f}   {', '.join(f'{name} {n}' for name, n in solvers.items())}",
            flush=True,
        )


if __name__ == "__main__":
    main()
