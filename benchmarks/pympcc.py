"""Objective and time of leader problems beside pympcc (MIT): two-period storage, small bilevels, a day of storage.

    python -m benchmarks.pympcc --peers PYTHON     PYTHON: an environment with pympcc and cyipopt

pympcc is given the same arrays, the followers' answer to the starting decision, and its default strategy (Scholtes'
relaxation in Ipopt) from one start. Its time is what it reports for its solver; ours is from arrays to a bound and an
answer. Its objective is evaluated here, with the followers solved again at its decision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import pyomo.environ as pyo

from equilibrium import find_game
from equilibrium.formulations import leader
from equilibrium.hierarchy import LeaderProblem, current, leader_problem, reaction_of, split
from equilibrium.reactions import answer

from . import leaders, side_by_side


def arrays(problem: LeaderProblem, start: np.ndarray) -> dict[str, np.ndarray | float | int]:
    """The problem as plain arrays."""
    reaction = problem.reaction
    assert reaction.matrix is not None and reaction.slope is not None and reaction.vector is not None
    z = answer(reaction.at(start))
    return {
        "hessian": problem.cost.hessian,
        "gradient": problem.cost.gradient,
        "constant": problem.cost.constant,
        "table": problem.table,
        "low": problem.low,
        "up": problem.up,
        "lower": problem.lower,
        "upper": problem.upper,
        "matrix": reaction.matrix.toarray(),
        "slope": reaction.slope.toarray(),
        "vector": reaction.vector,
        "floor": reaction.lower,
        "ceiling": reaction.upper,
        "start": np.concatenate([start, reaction.interior() if z is None else z]),
        "starts": 1,
    }


def stated(model: pyo.ConcreteModel) -> tuple[LeaderProblem, np.ndarray]:
    """The only leader's problem of a model, and a decision to start from."""
    hierarchy = split(find_game(model))
    x = current(hierarchy.x)
    return leader_problem(hierarchy, 0, x, reaction_of(hierarchy.followers)), x


def main() -> None:
    """Print one line a problem."""
    asked = side_by_side.arguments(__doc__)
    peer = side_by_side.start(asked.peers, "pympcc_worker.py", "pympcc")
    if peer is None:
        return
    print(f"{'':24} {'ours ms':>9} {'pympcc ms':>10} {'ratio':>7} {'our cost':>16} {'its cost':>16} {'true there':>16}")
    for name, make in problems():
        problem, start = stated(make())
        given = arrays(problem, start)
        ours, theirs = [], []
        for _ in range(asked.repeat):
            began = time.perf_counter()
            led = leader.solve(problem)
            ours.append(time.perf_counter() - began)
            found = peer.solve(**given)
            theirs.append(found["seconds"])
        x = np.array(found["x"])
        z = answer(problem.reaction.at(x))
        there = np.nan if z is None else problem.cost(np.concatenate([x, z]))
        print(
            f"{name:24} {1e3 * median(ours):9.2f} {1e3 * median(theirs):10.2f} {median(theirs) / median(ours):7.1f}"
            f" {led.cost:16.8f} {found['cost']:16.8f} {there:16.8f}"
            + ("  proved" if led.proved else "  local")
            + ("" if found["solved"] else "  NOT SOLVED by the peer"),
            flush=True,
        )
    peer.close()


def problems() -> Iterator[tuple[str, Callable[[], pyo.ConcreteModel]]]:
    """Name and maker of every problem."""
    for name, (data, *_) in leaders.SETS.items():
        yield f"storage {name}", lambda data=data: leaders.storage(*data)
    for name, make in leaders.SMALL.items():
        yield name, make
    yield "day of storage", leaders.day


if __name__ == "__main__":
    main()
