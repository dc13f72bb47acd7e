"""Time and memory of the EV-level clearing against the number of feeders, fifty vehicles each.

    python -m benchmarks.feeders [--feeders 10 30 100]

Every size runs in a process of its own: tables written by ``tools/ten_feeders.py``, scenario ``base``; read, state,
solve, certify, split ties, report. Prints wall and processor seconds, memory, and the verdict.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMME = """
import json, resource, sys, time
from equilibrium.run import run_case
began, cpu = time.perf_counter(), time.process_time()
results = run_case(sys.argv[1], write=False)
certificate = results.solved[0].solution.certificate
print(json.dumps({"wall": time.perf_counter() - began, "processor": time.process_time() - cpu,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "verdict": certificate.verdict,
    "cost": results.solved[0].value("operator cost", "day=day")}))
"""


def measure(feeders: int) -> dict[str, float | str]:
    """Seconds, gigabytes, verdict and operator cost (EUR) with so many feeders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "feeders"
        folder.mkdir()
        shutil.copy(ROOT / "data/local_flexibility/ten_feeders/case.toml", folder)
        (folder / "alternatives.csv").write_text("name,structure,options\nbase,vehicles,scenario=base\n")
        tool = [sys.executable, "tools/ten_feeders.py", str(folder), str(feeders), str(50 * feeders)]
        subprocess.run(tool, cwd=ROOT, check=True)
        found = subprocess.run(
            [sys.executable, "-c", PROGRAMME, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
        )
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feeders", type=int, nargs="+", default=[10, 30, 100])
    print("feeders  wall [s]  processor [s]  per feeder [s]  memory [GB]  cost [EUR]  verdict")
    for feeders in parser.parse_args().feeders:
        m = measure(feeders)
        each = m["processor"] / feeders
        print(
            f"{feeders:7d}  {m['wall']:8.1f}  {m['processor']:13.1f}  {each:14.3f}  {m['memory']:11.2f}  "
            f"{m['cost']:10.4f}  {m['verdict']}"
        )


if __name__ == "__main__":
    main()
