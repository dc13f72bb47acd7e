"""The reduction of the aggregator game to one number, beside the paper's Algorithm 1, and at a million users.

    python -m benchmarks.aggregators [--only small alone large] [--repeat 5]

small: two aggregators of 100 users and a large user, for five alphas, beside Algorithm 1 (needs cvxpy). alone: 400
single users beside best responses in turn by their closed form. large: a million users in ten aggregators, and 400
users in 100. Times are wall clock. For 0 < alpha < 1 every price at which a user drops out is examined: too slow for
``large``.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from models.aggregator_game.equilibria import solve
from models.aggregator_game.game import Game, Price
from models.aggregator_game.membership import without_aggregators

from . import algorithm1

ALPHAS = (0.0, 0.5, 1.0, 2.0, np.inf)
SLOPE = 0.001


def timed(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """(shortest time of ``repeat`` runs in seconds, the last answer)."""
    best, answer = np.inf, None
    for _ in range(repeat):
        began = time.perf_counter()
        answer = work()
        best = min(best, time.perf_counter() - began)
    return best, answer


def small(repeat: int) -> None:
    """Two aggregators of 100 users and a large user: the same games, the same run."""
    if importlib.util.find_spec("cvxpy") is None:
        print("skipped: cvxpy is not installed")
        return
    random = np.random.default_rng(0)
    a, b = np.append(random.uniform(0.1, 0.9, 200), 0.5), np.append(random.uniform(2, 10, 200), 200.0)
    start = np.array([0, 100, 200, 201])
    print(f"{'alpha':>6} {'Algorithm 1 s':>14} {'programmes':>11} {'ours ms':>8} {'ratio':>8} {'difference of y':>16}")
    for alpha in ALPHAS:
        players = [algorithm1.Aggregator(a[i:k], b[i:k], alpha) for i, k in pairwise(start)]
        for player in players[:2]:
            player.value(1.0, 0.1)  # compiling is not counted
            player.solves = 0
        theirs, y = timed(lambda p=players: algorithm1.play(p, SLOPE), 1)
        fairness = np.array([alpha, alpha, 0.0])
        ours, found = timed(lambda f=fairness: solve(Game(a, b, start, f, Price(SLOPE)), every=False), repeat)
        away = np.abs(found.equilibria[0].y - y).max()
        solves = sum(player.solves for player in players)
        print(f"{alpha:>6g} {theirs:>14.2f} {solves:>11} {1e3 * ours:>8.3f} {theirs / ours:>8.0f} {away:>16.1e}")


def alone(repeat: int) -> None:
    """400 single users."""
    random = np.random.default_rng(0)
    a, b = random.uniform(0.1, 0.9, 400), random.uniform(0, 10, 400)
    theirs, (x, sweeps) = timed(lambda: algorithm1.play_alone(a, b, SLOPE), repeat)
    ours, found = timed(lambda: solve(without_aggregators(a, b, Price(SLOPE)), every=False), 100 * repeat)
    away = np.abs(found.equilibria[0].x - x).max()
    print(
        f"400 single users: {sweeps} sweeps {1e3 * theirs:.2f} ms, ours {1e3 * ours:.3f} ms, ratio {theirs / ours:.0f}"
    )
    print(f"largest difference of x {away:.1e}")


def users(count: int, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curvatures, first values and first users of ``groups`` equal aggregators."""
    random = np.random.default_rng(0)
    a, b = random.uniform(0.1, 0.9, count), random.uniform(3, 10, count)
    return a, b, np.linspace(0, count, groups + 1).astype(int)


def large(repeat: int) -> None:
    """A million users, and many small aggregators; the price falls with the number of users."""
    for count, groups in ((1_000_000, 10), (400, 100)):
        a, b, start = users(count, groups)
        for alpha in (0.0, 1.0, 2.0, np.inf):
            game = Game(a, b, start, np.full(groups, alpha), Price(0.4 / count))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            seconds, found = timed(lambda g=game: solve(g, every=False), repeat)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(
                f"{count} users, {groups} aggregators, alpha {alpha:g}: {1e3 * seconds:.2f} ms, price "
                f"{found.equilibria[0].price:.6f}, memory grew by {grown:.0f} MB (data {a.nbytes * 2 / 2**20:.0f} MB)"
            )
    a, b, start = users(1_000_000, 10)
    seconds, _ = timed(lambda: float(a.sum()) + float(b.sum()), 20)
    print(f"reading both columns once takes {1e3 * seconds:.2f} ms")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"small": small, "alone": alone, "large": large}
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    for name in asked.only:
        parts[name](asked.repeat)


if __name__ == "__main__":
    main()
