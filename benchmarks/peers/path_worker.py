"""Solves problems with PATH through GAMSPy: one path of an .npz file a line in, one JSON object a line out."""

import io
import json
import re
import sys
import time

import gamspy as gp
import numpy as np


def indices(container: gp.Container, count: int) -> gp.Set:
    """One element for each firm."""
    return gp.Set(container, "i", records=[str(k) for k in range(count)])


def linear(container: gp.Container, data: dict) -> tuple[gp.Model, list]:
    """0 <= z <= upper _|_ matrix z + vector."""
    i = indices(container, len(data["vector"]))
    j = gp.Alias(container, "j", i)
    matrix = gp.Parameter(container, "matrix", domain=[i, j], records=data["matrix"])
    vector = gp.Parameter(container, "vector", domain=[i], records=data["vector"])
    limit = gp.Parameter(container, "limit", domain=[i], records=data["upper"])
    z = gp.Variable(container, "z", domain=[i], type="positive")
    z.up[i] = limit[i]
    row = gp.Equation(container, "row", domain=[i])
    row[i] = gp.Sum(j, matrix[i, j] * z[j]) + vector[i] == gp.Number(0)
    return gp.Model(container, "game", problem="MCP", matches={row: z}), [z]


def nonlinear(container: gp.Container, data: dict) -> tuple[gp.Model, list]:
    """Firms' quantities with bounds, and the free total."""
    i = indices(container, len(data["base"]))
    base = gp.Parameter(container, "base", domain=[i], records=data["base"])
    factor = gp.Parameter(container, "factor", domain=[i], records=data["factor"])
    limit = gp.Parameter(container, "limit", domain=[i], records=data["upper"])
    q = gp.Variable(container, "q", domain=[i], type="positive")
    q.up[i] = limit[i]
    total = gp.Variable(container, "total", type="free")
    row, balance = gp.Equation(container, "row", domain=[i]), gp.Equation(container, "balance")
    sigma, top, slope = (float(data[name]) for name in ("sigma", "top", "slope"))
    cost = base[i] + factor[i] * q[i] * (q[i] * q[i] + 1e-18) ** (sigma / 2)
    row[i] = cost + slope * q[i] + slope * total - top == gp.Number(0)
    balance[...] = total - gp.Sum(i, q[i]) == gp.Number(0)
    return gp.Model(container, "game", problem="MCP", matches={row: q, balance: total}), [q, total]


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        data = dict(np.load(line.strip()))
        container, log = gp.Container(), io.StringIO()
        model, variables = (linear if "matrix" in data else nonlinear)(container, data)
        began = time.perf_counter()
        model.solve(solver="PATH", output=log)
        call = time.perf_counter() - began
        own = re.search(r"Total Time[ .]*([0-9.]+)", log.getvalue())
        values = [np.atleast_1d(v.toDense()) for v in variables]
        answer = {
            "z": np.concatenate(values).tolist(),
            "seconds": float(own[1]) if own else float(model.total_solver_time),
            "call": call,
            "solved": model.solve_status == gp.SolveStatus.NormalCompletion,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
