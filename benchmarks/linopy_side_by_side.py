"""A day and a week of 30 countries, 60 lines and 300 plants: this project to a certificate, linopy to a solution.

    python -m benchmarks.linopy_side_by_side --peers PYTHON [--repeat 3]
        PYTHON: an environment with linopy, highspy and highspy-extras (all open)

Both sides begin with the same tables in memory. linopy states the planner's convex quadratic programme of all hours
as one model and solves it with HiGHS: by HiPO, the interior point of highspy-extras, the quickest open solver it offers
for such programmes, and by the active-set method that HiGHS takes otherwise (it gives up on a day, and so is asked for
no more). Not asked: SCIP (branch and bound); Gurobi, CPLEX, Mosek, COPT, Xpress, Knitro, MindOpt (licences); cuOpt (a
graphics card). This project states the players and solves for their equilibrium, twice: all hours in one Pyomo model,
and one hour with the others as scenarios (``batches.solve_many``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.batches import solve_many
from equilibrium.data import Data

from . import side_by_side
from .countries import READINGS, hour_by_hour, state, system


def main() -> None:
    """Print a line for every size, reading and way."""
    asked = side_by_side.arguments(__doc__, repeat=3)
    peer = side_by_side.start(asked.peers, "linopy_worker.py", "linopy, highspy")
    if peer is None:
        return
    print(f"{'':44} {'state s':>8} {'total s':>8} {'ratio':>6} {'CPU s':>8} {'ratio':>6}   {'cost EUR':>20}  verdict")
    for hours, reading in [(h, r) for h in (24, 168) for r in READINGS]:
        compare(system(hours=hours), hours, reading, peer, asked.repeat)
    peer.close()


def compare(data: Data, hours: int, reading: str, peer: side_by_side.Peer, repeat: int) -> None:
    """Measure every way in turn, ``repeat`` times. Ratios are those of linopy with HiPO over the way of
    the line, in wall-clock and in processor time (which other work on the machine changes less)."""
    folder = Path(peer.folder.name)
    for name, table in data.tables.items():
        table.to_csv(folder / f"{name}.csv")

    def theirs(solver: str) -> dict:
        options = {"solver": solver, "time_limit": 120}
        return peer.ask(json.dumps({"path": str(folder), "reading": reading, "options": options}))

    ways: dict[str, Callable[[], dict]] = {
        "linopy, HiPO": lambda: theirs("hipo"),
        "ours, one model": lambda: one_model(data, reading),
        "ours, hours as scenarios": lambda: scenarios(data, reading),
    }
    runs: dict[str, list[dict]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            runs[name].append(way())
    if hours == 24:
        runs["linopy, active set"] = [theirs("qpasm")]
    price = np.array(runs["linopy, HiPO"][0]["price"])
    peers = {unit: median(run[unit] for run in runs["linopy, HiPO"]) for unit in ("wall", "cpu")}
    for name, found in runs.items():
        state, wall, cpu = (median(run[unit] for run in found) for unit in ("state", "wall", "cpu"))
        said = found[0]["status"]
        if name.startswith("ours"):
            said += f", prices differ by {np.abs(np.array(found[0]['price']) - price).max():.0e}"
        print(
            f"{f'{hours:4} h, {reading}, {name}':44} {state:8.2f} {wall:8.2f} {peers['wall'] / wall:6.2f} {cpu:8.2f}"
            f" {peers['cpu'] / cpu:6.2f}   {found[0]['cost']:20.6f}  {said}",
            flush=True,
        )


def one_model(data: Data, reading: str) -> dict:
    """All hours in one model."""
    began = clocks()
    model = state(data, reading)
    stated = clocks()
    solution = solve(model)
    ended = clocks()
    price = [[model.price[n, h].value for h in model.hour] for n in model.country]
    return told(began, stated, ended, solution.certificate.verdict, pyo.value(cost(model)), price)


def scenarios(data: Data, reading: str) -> dict:
    """One hour stated, the others as scenarios of it."""
    began = clocks()
    model, cells = hour_by_hour(data, reading)
    stated = clocks()
    batch = solve_many(model, cells)
    ended = clocks()
    price = [batch.value(model.price[n, 1]) for n in model.country]
    verdict = ", ".join(sorted(set(batch.table["verdict"])))
    return told(began, stated, ended, verdict, batch.value(cost(model)).sum(), price)


def cost(model: pyo.ConcreteModel) -> Any:
    """What generation and the use of lines cost, EUR."""
    made = (made for n in model.fleet for made in model.fleet[n].production_cost.values())
    return sum(made) + sum(model.toll[i, j] * model.flow[i, j, h] for i, j in model.link for h in model.hour)


def clocks() -> tuple[float, float]:
    """(wall-clock, processor) seconds."""
    return time.perf_counter(), time.process_time()


def told(began: tuple, stated: tuple, ended: tuple, verdict: str, spent: float, price: list) -> dict:
    """What one run is reported by."""
    return {
        "state": stated[0] - began[0],
        "wall": ended[0] - began[0],
        "cpu": ended[1] - began[1],
        "status": verdict,
        "cost": float(spent),
        "price": price,
    }


if __name__ == "__main__":
    main()
