"""Solves leader problems with pympcc (Scholtes' relaxation in Ipopt): a path of an .npz file in, a JSON object out."""

import json
import os
import sys
import time

import numpy as np
import pympcc


def problem(data: dict) -> pympcc.MPCCProblem:
    """Variables (x, z, b): F(x, z) + b >= 0 _|_ z - lower, and b >= 0 _|_ upper - z where z has an upper bound."""
    d, n = len(data["lower"]), len(data["floor"])
    low, up = np.isfinite(data["floor"]), np.isfinite(data["ceiling"])
    both, free = np.flatnonzero(low & up), np.flatnonzero(~low & ~up)
    only = np.flatnonzero(low)
    size = d + n + len(both)
    rows = np.zeros((n, size))
    rows[:, :d], rows[:, d : d + n] = data["slope"], data["matrix"]
    rows[both, d + n + np.arange(len(both))] = 1.0
    table = np.zeros((len(data["low"]), size))
    table[:, : d + n] = data["table"]
    equal = data["low"] == data["up"]
    eye = np.eye(size)
    first = np.vstack([eye[d + only], eye[d + n + np.arange(len(both))]])
    shift = np.concatenate([-data["floor"][only], np.zeros(len(both))])
    second = np.vstack([rows[only], -eye[d + both]])
    level = np.concatenate([data["vector"][only], data["ceiling"][both]])
    h_rows = np.vstack([rows[free], table[equal]])
    h_level = np.concatenate([data["vector"][free], -data["low"][equal]])
    g_rows, g_level = -table[~equal], data["low"][~equal]
    hessian = np.zeros((size, size))
    hessian[: d + n, : d + n] = data["hessian"]
    gradient = np.concatenate([data["gradient"], np.zeros(len(both))])
    given = (
        {"ineq_constraints": lambda v: g_rows @ v + g_level, "ineq_jacobian": lambda v: g_rows} if len(g_rows) else {}
    )
    if len(h_rows):
        given |= {"eq_constraints": lambda v: h_rows @ v + h_level, "eq_jacobian": lambda v: h_rows}
    return pympcc.MPCCProblem(
        n=size,
        n_comp=len(first),
        x0=np.concatenate([data["start"], np.zeros(len(both))]),
        objective=lambda v: float(0.5 * v @ hessian @ v + gradient @ v + data["constant"]),
        gradient=lambda v: hessian @ v + gradient,
        comp_G=lambda v: first @ v + shift,
        comp_G_jacobian=lambda v: first,
        comp_H=lambda v: second @ v + level,
        comp_H_jacobian=lambda v: second,
        xl=np.concatenate([data["lower"], data["floor"], np.zeros(len(both))]),
        xu=np.concatenate([data["upper"], data["ceiling"], np.full(len(both), np.inf)]),
        n_ineq=len(g_rows),
        n_eq=len(h_rows),
        **given,
    )


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the solvers print is no answer
    for line in sys.stdin:
        data = dict(np.load(line.strip()))
        began = time.perf_counter()
        found = pympcc.solve(problem(data), n_starts=int(data["starts"]))
        call = time.perf_counter() - began
        d, n = len(data["lower"]), len(data["floor"])
        answer = {
            "x": found.x[:d].tolist(),
            "z": found.x[d : d + n].tolist(),
            "cost": float(found.obj),
            "seconds": float(found.solve_time or call),
            "call": call,
            "solved": bool(found.success),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
