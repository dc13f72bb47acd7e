"""Measure this project and a peer in turn, on the same arrays; the peer runs in a Python of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from equilibrium.formulations import complementarity
from equilibrium.mcp import MixedComplementarity


def arguments(description: str | None) -> argparse.Namespace:
    """--peers PYTHON (or the environment variable PEERS) and --repeat N."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--peers", default=os.environ.get("PEERS"), help="Python in which the peer is installed")
    parser.add_argument("--repeat", type=int, default=7, help="measurements of each side, taken in turn")
    return parser.parse_args()


class Peer:
    """A worker in another Python: takes the path of a file of arrays a line, answers with JSON a line."""

    def __init__(self, python: str, worker: str) -> None:
        script = Path(__file__).parent / "peers" / worker
        self.process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.folder = tempfile.TemporaryDirectory()

    def solve(self, **arrays: Any) -> dict[str, Any]:
        """What the worker answers: at least ``z`` and ``seconds``, its solver's own time."""
        path = Path(self.folder.name) / "problem.npz"
        np.savez(path, **arrays)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise RuntimeError(self.process.stderr.read())
        return json.loads(line)

    def close(self) -> None:
        """End the worker."""
        self.process.communicate()
        self.folder.cleanup()


def start(python: str | None, worker: str, needs: str) -> Peer | None:
    """The worker, or None with a word on what is missing."""
    if not python:
        print(f"skipped: give --peers PYTHON (or PEERS=...) of an environment with {needs}")
        return None
    try:
        found = subprocess.run([python, "-c", f"import {needs}"], capture_output=True, text=True)
    except OSError as error:
        print(f"skipped: {error}")
        return None
    if found.returncode:
        print(f"skipped: {python} has no {needs}; install it with {python} -m pip install {needs}")
        return None
    return Peer(python, worker)


def compare(
    label: str, make: Callable[[], MixedComplementarity], peer: Peer, arrays: dict[str, Any], repeat: int, columns: int
) -> float:
    """Print one line: medians of both sides, their ratio, and each side's natural residual (absolute, and relative to
    the size of its terms). ``columns``: how many of the answer's columns are judged. Returns the ratio."""
    ours, theirs = [], []
    for _ in range(repeat):
        began = time.perf_counter()
        mcp = make()
        z, outcome = complementarity.solve(mcp)
        ours.append(time.perf_counter() - began)
        answer = peer.solve(**arrays)
        theirs.append(answer["seconds"])
    there = np.array(answer["z"])
    ratio = median(theirs) / median(ours)
    print(
        f"{label:34} {1e3 * median(ours):9.2f} {1e3 * median(theirs):9.2f} {ratio:8.1f}"
        f"   {_judged(mcp, z)}   {_judged(mcp, there)}   {np.abs(z - there)[:columns].max():.1e}"
        + ("" if outcome.ok and answer["solved"] else "   NOT SOLVED by " + ("us" if answer["solved"] else "the peer")),
        flush=True,
    )
    return ratio


def header(peer: str) -> None:
    """Print what the columns of ``compare`` are."""
    print(
        f"{'':34} {'ours ms':>9} {peer + ' ms':>9} {'ratio':>8}   {'our residual':16}   {'its residual':16}"
        "   difference"
    )


def _judged(mcp: MixedComplementarity, z: np.ndarray) -> str:
    plain = np.abs(z - np.clip(z - mcp.F(z), mcp.lower, mcp.upper)).max()
    return f"{plain:.1e} {mcp.error(z):.1e}"
