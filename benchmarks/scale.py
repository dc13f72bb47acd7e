"""How time grows with size: markets on a network of 1,000 to 100,000 rows, from Pyomo model to certificate.

    python benchmarks/scale.py [--rows 1000 10000 100000] [--markets NAME ...] [--cpu]

Every run has a process of its own, so that its peak memory is its own. Printed per run: rows, players, seconds of each
step (state: building the Pyomo model, before ``solve`` is called), peak memory and verdict; then the exponent k of
seconds ~ rows^k between the two largest sizes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyomo.environ as pyo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from equilibrium import solve

HOURS = 24
STEPS = ("state", "sort", "derive", "solve", "certify")


def lines(nodes: int) -> list[tuple[int, int]]:
    """A ring with a chord from every fourth node to the one a quarter of the way round."""
    ring = [(n, (n + 1) % nodes) for n in range(nodes)] if nodes > 2 else [(0, 1)]
    return ring + [(n, (n + nodes // 4) % nodes) for n in range(0, nodes, 4) if nodes >= 12]


def network(m: pyo.ConcreteModel, nodes: int, random: np.random.Generator, price: pyo.Var) -> dict[tuple, list]:
    """One Block per line that trades on price differences, at most its capacity; returns what arrives at each node and
    hour."""
    arriving: dict[tuple, list] = {(n, t): [] for n in range(nodes) for t in range(HOURS)}
    links = lines(nodes)
    m.line = pyo.Block(range(len(links)))
    for k, (a, b) in enumerate(links):
        line = m.line[k]
        limit, toll = float(random.uniform(2, 12)), float(random.uniform(0.01, 0.05))
        line.flow = pyo.Var(range(HOURS), bounds=(-limit, limit))
        line.rent = pyo.Objective(
            expr=sum((price[b, t] - price[a, t]) * line.flow[t] - toll * line.flow[t] ** 2 for t in range(HOURS)),
            sense=pyo.maximize,
        )
        for t in range(HOURS):
            arriving[b, t].append(line.flow[t])
            arriving[a, t].append(-line.flow[t])
    return arriving


def users(m: pyo.ConcreteModel, nodes: int, random: np.random.Generator, price: pyo.Var) -> None:
    """One Block of elastic demand per node."""
    m.users = pyo.Block(range(nodes))
    for n in range(nodes):
        block = m.users[n]
        block.demand = pyo.Var(range(HOURS), within=pyo.NonNegativeReals)
        top, slope = random.uniform(60, 120, HOURS), float(random.uniform(1, 3))
        block.surplus = pyo.Objective(
            expr=sum(
                float(top[t]) * block.demand[t] - 0.5 * slope * block.demand[t] ** 2 - price[n, t] * block.demand[t]
                for t in range(HOURS)
            ),
            sense=pyo.maximize,
        )


def takers_many(rows: int, random: np.random.Generator) -> pyo.ConcreteModel:
    """Price takers, two plants a node with a ramp limit each, thousands of Blocks."""
    nodes = max(2, round(rows / (HOURS * 7.25)))
    m = pyo.ConcreteModel()
    m.price = pyo.Var(range(nodes), range(HOURS))
    arriving = network(m, nodes, random, m.price)
    users(m, nodes, random, m.price)
    m.plant = pyo.Block(range(nodes), range(2))
    for n, k in m.plant:
        plant = m.plant[n, k]
        size, cost, curved = float(random.uniform(10, 40)), float(random.uniform(5, 60)), float(random.uniform(0.1, 1))
        plant.q = pyo.Var(range(HOURS), bounds=(0, size))
        plant.ramp = (
            pyo.Constraint(
                range(1, HOURS), rule=lambda b, t, s=size: pyo.inequality(-0.3 * s, b.q[t] - b.q[t - 1], 0.3 * s)
            )
            if k
            else pyo.Constraint(expr=sum(plant.q[t] for t in range(HOURS)) <= 0.7 * HOURS * size)
        )
        plant.profit = pyo.Objective(
            expr=sum((m.price[n, t] - cost) * plant.q[t] - 0.5 * curved * plant.q[t] ** 2 for t in range(HOURS)),
            sense=pyo.maximize,
        )
    m.clearing = pyo.Constraint(
        range(nodes),
        range(HOURS),
        rule=lambda m, n, t: m.plant[n, 0].q[t] + m.plant[n, 1].q[t] + sum(arriving[n, t]) == m.users[n].demand[t],
    )
    return m


def takers_few(rows: int, random: np.random.Generator, firms: int = 20) -> pyo.ConcreteModel:
    """Price takers, 20 firms with a plant at every node."""
    nodes = max(2, round(rows / (HOURS * (firms + 3.25))))
    m = pyo.ConcreteModel()
    m.price = pyo.Var(range(nodes), range(HOURS))
    arriving = network(m, nodes, random, m.price)
    users(m, nodes, random, m.price)
    m.firm = pyo.Block(range(firms))
    for f in range(firms):
        firm = m.firm[f]
        size, cost, curved = random.uniform(1, 6, nodes), random.uniform(5, 60, nodes), random.uniform(0.1, 1, nodes)
        firm.q = pyo.Var(range(nodes), range(HOURS), bounds=lambda b, n, t, s=size: (0, float(s[n])))
        firm.energy = pyo.Constraint(
            range(HOURS), rule=lambda b, t, s=size: sum(b.q[n, t] for n in range(nodes)) <= 0.8 * s.sum()
        )
        firm.profit = pyo.Objective(
            expr=sum(
                (m.price[n, t] - float(cost[n])) * firm.q[n, t] - 0.5 * float(curved[n]) * firm.q[n, t] ** 2
                for n in range(nodes)
                for t in range(HOURS)
            ),
            sense=pyo.maximize,
        )
    m.clearing = pyo.Constraint(
        range(nodes),
        range(HOURS),
        rule=lambda m, n, t: sum(m.firm[f].q[n, t] for f in range(firms)) + sum(arriving[n, t]) == m.users[n].demand[t],
    )
    return m


def cournot_few(rows: int, random: np.random.Generator, firms: int = 20) -> pyo.ConcreteModel:
    """20 Cournot firms that make and sell at every node and pay for transport (Hobbs 2001)."""
    nodes = max(2, round(rows / (HOURS * (2 * firms + 2.25))))
    m = pyo.ConcreteModel()
    m.fee = pyo.Var(range(nodes), range(HOURS))
    arriving = network(m, nodes, random, m.fee)
    m.firm = pyo.Block(range(firms))
    for f in range(firms):
        size = random.uniform(1, 6, nodes)
        m.firm[f].made = pyo.Var(range(nodes), range(HOURS), bounds=lambda b, n, t, s=size: (0, float(s[n])))
        m.firm[f].sold = pyo.Var(range(nodes), range(HOURS), within=pyo.NonNegativeReals)
    top, slope = random.uniform(60, 120, (nodes, HOURS)), random.uniform(0.5, 2, nodes)
    m.price = pyo.Expression(
        range(nodes),
        range(HOURS),
        rule=lambda m, n, t: float(top[n, t]) - float(slope[n]) * sum(m.firm[f].sold[n, t] for f in range(firms)),
    )
    for f in range(firms):
        firm = m.firm[f]
        cost, curved = random.uniform(5, 60, nodes), random.uniform(0.1, 1, nodes)
        firm.balance = pyo.Constraint(
            range(HOURS),
            rule=lambda b, t: sum(b.made[n, t] for n in range(nodes)) == sum(b.sold[n, t] for n in range(nodes)),
        )
        firm.profit = pyo.Objective(
            expr=sum(
                m.price[n, t] * firm.sold[n, t]
                - float(cost[n]) * firm.made[n, t]
                - 0.5 * float(curved[n]) * firm.made[n, t] ** 2
                - m.fee[n, t] * (firm.sold[n, t] - firm.made[n, t])
                for n in range(nodes)
                for t in range(HOURS)
            ),
            sense=pyo.maximize,
        )
    m.clearing = pyo.Constraint(
        range(nodes),
        range(HOURS),
        rule=lambda m, n, t: (
            sum(m.firm[f].made[n, t] - m.firm[f].sold[n, t] for f in range(firms)) + sum(arriving[n, t]) == 0
        ),
    )
    return m


def cournot_many(rows: int, random: np.random.Generator, firms: int = 3, spill: float = 0.2) -> pyo.ConcreteModel:
    """Three Cournot firms at every node, lines that take prices; demand reacts to the price an hour ago (no
    potential)."""
    nodes = max(2, round(rows / (HOURS * (firms + 2.25))))
    m = pyo.ConcreteModel()
    m.price = pyo.Var(range(nodes), range(HOURS))
    arriving = network(m, nodes, random, m.price)
    m.firm = pyo.Block(range(nodes), range(firms))
    for n, f in m.firm:
        m.firm[n, f].q = pyo.Var(range(HOURS), bounds=(0, float(random.uniform(5, 25))))
    m.sold = pyo.Expression(
        range(nodes),
        range(HOURS),
        rule=lambda m, n, t: sum(m.firm[n, f].q[t] for f in range(firms)) + sum(arriving[n, t]),
    )
    top, slope = random.uniform(60, 120, (nodes, HOURS)), random.uniform(0.5, 2, nodes)
    m.inverse_demand = pyo.Expression(
        range(nodes),
        range(HOURS),
        rule=lambda m, n, t: (
            float(top[n, t]) - float(slope[n]) * (m.sold[n, t] + (spill * m.sold[n, t - 1] if t else 0.0))
        ),
    )
    for n, f in m.firm:
        firm, cost, curved = m.firm[n, f], float(random.uniform(5, 50)), float(random.uniform(0.1, 1))
        firm.profit = pyo.Objective(
            expr=sum((m.inverse_demand[n, t] - cost) * firm.q[t] - 0.5 * curved * firm.q[t] ** 2 for t in range(HOURS)),
            sense=pyo.maximize,
        )
    m.prices = pyo.Constraint(range(nodes), range(HOURS), rule=lambda m, n, t: m.price[n, t] == m.inverse_demand[n, t])
    return m


MARKETS: dict[str, Callable[[int, np.random.Generator], pyo.ConcreteModel]] = {
    "takers, many small": takers_many,
    "takers, few large": takers_few,
    "Cournot, many small": cournot_many,
    "Cournot, few large": cournot_few,
}


def run(market: str, rows: int) -> dict:
    """State, solve and certify one market in this process."""
    began = time.perf_counter()
    model = MARKETS[market](rows, np.random.default_rng(0))
    stated = time.perf_counter() - began
    solution = solve(model)
    return {
        "market": market,
        "rows": solution.answer.mcp.size,
        "players": len(solution.answer.game.players),
        "state": stated,
        **solution.seconds,
        "total": time.perf_counter() - began,
        "GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "verdict": solution.certificate.verdict,
        "unique": solution.certificate.uniqueness.decisions,
        "route": f"{solution.answer.formulation}, {solution.outcome.solver}",
        "residual": max(check.residual for check in solution.certificate.checks),
    }


def main() -> None:
    """Print the table and the exponents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--markets", nargs="+", choices=list(MARKETS), default=list(MARKETS))
    parser.add_argument("--one", action="store_true", help="one run in this process, told as JSON")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the clock: for busy machines")
    given = parser.parse_args()
    if given.cpu:
        time.perf_counter = time.process_time
    if given.one:
        print(json.dumps(run(given.markets[0], given.rows[0])))
        return
    columns = ("rows", "players", *STEPS, "total", "GiB")
    print(f"{'market':20}" + "".join(f"{c:>9}" for c in columns) + "  residual  verdict, decisions; route")
    for market in given.markets:
        found = []
        for rows in given.rows:
            command = [sys.executable, __file__, "--one", "--rows", str(rows), "--markets", market]
            command += ["--cpu"] * given.cpu
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            found.append(json.loads(out.splitlines()[-1]))
            one = found[-1]
            numbers = "".join(f"{one[c]:9.2f}" if isinstance(one[c], float) else f"{one[c]:9}" for c in columns)
            print(
                f"{market:20}{numbers}  {one['residual']:8.1e}  {one['verdict']}, {one['unique']}; {one['route']}",
                flush=True,
            )
        if len(found) > 1:
            small, large = found[-2], found[-1]
            grown = np.log(large["rows"] / small["rows"])
            told = "".join(f"{np.log(large[c] / small[c]) / grown:9.2f}" for c in (*STEPS, "total", "GiB"))
            print(f"{'  exponent':20}{'':18}{told}")


if __name__ == "__main__":
    main()
