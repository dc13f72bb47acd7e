"""8,760 independent hours of 30 countries, 60 lines and 300 plants: stated once, solved and certified together.

    python -m benchmarks.year [--hours 8760] [--readings netted separable joint]

Prints for every reading seconds of stating and of solving and certifying, processor seconds, peak memory so far, and
how many hours are certified, how, and whether their decisions are shown unique.
"""

from __future__ import annotations

import argparse
import resource
import time

from equilibrium.batches import solve_many

from .countries import READINGS, hour_by_hour, system


def main() -> None:
    """Print a few lines for every reading."""
    parser = argparse.ArgumentParser(description="A year of independent hours.")
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--readings", nargs="+", default=READINGS, choices=READINGS)
    asked = parser.parse_args()
    data = system(hours=asked.hours)
    for reading in asked.readings:
        began, used = time.perf_counter(), time.process_time()
        model, cells = hour_by_hour(data, reading)
        stated = time.perf_counter()
        batch = solve_many(model, cells)
        ended, used = time.perf_counter(), time.process_time() - used
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{reading}: {asked.hours} hours, state {stated - began:.2f} s, solve and certify {ended - stated:.1f} s, "
            f"processor {used:.1f} s, {memory:.0f} MB"
        )
        columns = ["verdict", "route", "reason", "unique"]
        print(batch.table.groupby(columns).size().to_string(), flush=True)


if __name__ == "__main__":
    main()
