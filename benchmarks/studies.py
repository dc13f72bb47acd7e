"""Many scenarios together against a loop over single solves, in one run.

    python -m benchmarks.studies [--scenarios 10000] [--singles 20] [--only fdr_structures]

For each study and alternative: rows per second together and one by one (seeded sample of scenarios), their ratio, the
share of rows solved together, how far the numbers of the two are apart at most, and where the time goes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equilibrium import held
from equilibrium.case import Case, read_case
from equilibrium.data import change
from equilibrium.design import LATIN, Design, checked, find_cell, latin_hypercube
from equilibrium.rows import chosen, solve_row, solve_rows

DATA = Path(__file__).parents[1] / "data"

PROBE = 20
"""If none of so many scenarios goes together, there is nothing to compare, and 10,000 single solves may take hours."""

CURVED = {"parameters.cost_exponent": "0.5", "parameters.cost_power": "0.02"}

STUDIES: list[tuple[str, str, dict[str, str], dict[str, tuple[float, float]]]] = [
    (
        "FDR structures, sigma = 0",
        "fdr_structures/stockholm",
        {},
        {"demand.load[peak]": (150, 190), "parameters.flexible_energy": (40, 60)},
    ),
    (
        "FDR structures, sigma = 0.5",
        "fdr_structures/stockholm",
        CURVED,
        {"demand.load[peak]": (150, 190), "parameters.flexible_energy": (40, 60)},
    ),
    (
        "two countries",
        "coupled_countries/textbook_r1",
        {},
        {"inelastic_demand.quantity[one,1]": (40, 80), "plants.slope[one,t2]": (0.8, 1.6)},
    ),
    (
        "demand response",
        "coupled_countries/demand_response",
        {},
        {"inelastic_demand.quantity[two,1]": (20, 60), "demand_response.intensity[one]": (0.5, 4.0)},
    ),
    (
        "storage merchant",
        "storage_investment/textbook_s1",
        {},
        {"periods.intercept[on-peak]": (80, 130), "firms.cost[firm 1]": (5, 45)},
    ),
    (
        "local clearing",
        "local_flexibility/paper",
        {},
        {
            "periods.price[0]": (0.05, 0.3),
            "loads.load[typical,street,3]": (10, 60),
            "loads.load[high,street,0]": (70, 110),
            "aggregators.markup[S2,A]": (0, 2),
            "aggregators.markup[S3,A]": (0, 2),
            "aggregators.markup[S4,A]": (0, 2),
        },
    ),
    (
        "local clearing, one street",
        "local_flexibility/evening",
        {},
        {
            "periods.price[evening]": (0.2, 0.5),
            "loads.load[day,street,evening]": (40, 70),
            "loads.load[day,street,night]": (20, 75),
            "aggregators.markup[only,large]": (0, 0.4),
        },
    ),
    (
        "two users of one aggregator",
        "aggregator_game/textbook_r1",
        {},
        {"users.first_value[1,1a]": (2.5, 4.0), "parameters.price_slope": (0.3, 0.8)},
    ),
    (
        "two aggregators",
        "aggregator_game/textbook_r2",
        {},
        {"users.first_value[1,1a]": (4, 6), "parameters.price_slope": (0.03, 0.08)},
    ),
    (
        "201 users",
        "aggregator_game/users_drawn",
        {},
        {"users.first_value[large,large]": (50, 300), "parameters.price_slope": (0.0005, 0.002)},
    ),
    (
        "users over two hours",
        "aggregator_game/two_hours",
        {},
        {"hours.price_slope[day]": (0.03, 0.08), "hourly_users.first_value[north,house,day]": (4, 6)},
    ),
]


@contextmanager
def timed(seconds: dict[str, float]) -> Iterator[None]:
    """While derivation and solving of scenarios together are timed."""
    before = held.derive_all, held.together, held.solve_led
    held.derive_all = clocked(seconds, "derive", before[0])
    held.together = clocked(seconds, "solve and certify", before[1])
    held.solve_led = clocked(seconds, "solve and certify", before[2])
    try:
        yield
    finally:
        held.derive_all, held.together, held.solve_led = before


def clocked(seconds: dict[str, float], name: str, function: Any) -> Any:
    """The function, with the time it takes added up under ``name``."""

    def run(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began

    return run


def with_clock(case: Case, seconds: dict[str, float]) -> Case:
    """The case, its market's own methods for many scenarios timed as solving."""
    structures = {
        name: replace(one, respond_together=clocked(seconds, "solve and certify", one.respond_together))
        if one.respond_together
        else one
        for name, one in case.market.structures.items()
    }
    return replace(case, market=replace(case.market, structures=structures))


def compare(case: Case, design: Design, name: str, singles: int) -> dict[str, Any]:
    """One alternative, together and one by one."""
    design = replace(design, alternatives=(name,))
    alternative = chosen(case, design)[0]
    parts: dict[str, float] = {}
    size = 2_000  # as a study of so many scenarios is cut
    first = solve_rows(case, design, range(min(PROBE, design.size))).table.to_pandas()
    if not (first["route"] == "together").any():
        return {"alternative": name, "together": 0.0, "alone because": first["alone"].iloc[0]}
    timed_case = with_clock(case, parts)
    began = time.perf_counter()
    with timed(parts):
        rows = [
            solve_rows(timed_case, design, range(k, min(k + size, design.size))) for k in range(0, design.size, size)
        ]
    together = time.perf_counter() - began
    table = pd.concat([part.table.to_pandas() for part in rows], ignore_index=True)
    sample = np.random.default_rng(0).choice(design.size, min(singles, design.size), replace=False).tolist()
    began = time.perf_counter()
    alone = [solve_row(case, design, k, alternative)[0] for k in sample]
    single = (time.perf_counter() - began) / len(sample)
    off = [
        abs(table.at[k, column] - row[column]) / max(1.0, abs(row[column]))
        for k, row in zip(sample, alone, strict=True)
        for column in rows[0].units
        if column in row and np.isfinite(row[column])
    ]
    agree = np.mean([table.at[k, "verdict"] == row["verdict"] for k, row in zip(sample, alone, strict=True)])
    return {
        "alternative": name,
        "together": (table["route"] == "together").mean(),
        "rows/s": len(table) / together,
        "loop rows/s": 1 / single,
        "ratio": single * len(table) / together,
        "largest difference": max(off, default=np.nan),
        "same verdict": agree,
        **{f"{part} [%]": 100 * parts.get(part, 0.0) / together for part in ("derive", "solve and certify")},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=10_000)
    parser.add_argument("--singles", type=int, default=20)
    parser.add_argument("--only", default="", help="part of a case's address")
    parser.add_argument("--alternative", action="append", default=[])
    given = parser.parse_args()
    pd.set_option("display.width", 200, "display.max_columns", 20)
    for title, folder, changes, ranges in STUDIES:
        if given.only not in folder or not ranges:
            continue
        case = read_case(DATA / folder)
        case = replace(case, data=change(case.data, changes)) if changes else case
        cells = tuple(find_cell(case, name) for name in ranges)
        design = checked(Design("benchmark", LATIN, cells, latin_hypercube(list(ranges.values()), given.scenarios, 1)))
        found = []
        for alternative in given.alternative or [one.name for one in case.alternatives]:
            found.append(compare(case, design, alternative, given.singles))
            print(f"{title}: {alternative}", flush=True)
        print(f"\n{title} ({folder}, {design.size} scenarios)\n", pd.DataFrame(found).to_string(index=False), "\n")


if __name__ == "__main__":
    main()
