"""Solves linear-quadratic games with NashOpt: one path of an .npz file a line in, one JSON object a line out."""

import json
import os
import sys
import time

import numpy as np
from nashopt import GNEP_LQ


def main() -> None:
    """Answer until the input ends. Other routes than "highs" want a shared row: one that never binds is given."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the solvers print is no answer
    for line in sys.stdin:
        data = dict(np.load(line.strip()))
        n, route = len(data["vector"]), str(data["route"])
        costs = []
        for k in range(n):  # player k's costs: row k of the pseudogradient, as a symmetric matrix
            cost = np.zeros((n, n))
            cost[k], cost[:, k] = data["matrix"][k], data["matrix"][k]
            costs.append(cost)
        shared = {"A": np.ones((1, n)), "b": np.array([2 * data["upper"].sum()]), "variational": True}
        game = GNEP_LQ(
            [1] * n,
            costs,
            [data["vector"]] * n,
            lb=np.zeros(n),
            ub=data["upper"],
            M=float(data["bound"]),
            solver=route,
            **({} if route == "highs" else shared),
        )
        began = time.perf_counter()
        found = game.solve()
        call = time.perf_counter() - began
        solved = found is not None and found.x is not None
        answer = {
            "z": (found.x if solved else np.zeros(n)).tolist(),
            "seconds": float(found.elapsed_time) if solved else call,
            "call": call,
            "solved": bool(solved),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
