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


def arguments(description: str | None, repeat: int = 7) -> argparse.Namespace:
    """--peers PYTHON (or the environment variable PEERS) and --repeat N."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--peers", default=os.environ.get("PEERS"), help="Python in which the peer is installed")
    parser.add_argument("--repeat", type=int, default=repeat, help="measurements of each side, taken in turn")
    return parser.parse_args()


class Peer:
    """A worker in another Python: takes the path of a file of arrays a line, answers with JSON a line."""

    def __init__(self, python: str, worker: str) -> None:
        script = Path(__file__).parent / "peers" / worker
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / "log"
        self.process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )

    def solve(self, **arrays: Any) -> dict[str, Any]:
        """What the worker answers: at least ``z`` and ``seconds``, its solver's own time."""
        path = Path(self.folder.name) / "problem.npz"
        np.savez(path, **arrays)
        return self.ask(str(path))

    def ask(self, question: str) -> dict[str, Any]:
        """What the worker answers to a line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.log.read_text())
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
        print(f"skipped: {python} cannot import {needs}: {found.stderr.strip().splitlines()[-1]}")
        return None
    return Peer(python, worker)


def compare(
    label: str, make: Callable[[], MixedComplementarity], peer: Peer, arrays: dict[str, Any], repeat: int
) -> float:
    """Print one line: medians of both sides, their ratio, each side's natural residual (absolute), and the largest
    difference of their answers. Returns the ratio, above one where the peer takes longer."""
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
        f"   {_residual(mcp, z):12.1e}   {_residual(mcp, there):12.1e}   {np.abs(z - there).max():10.1e}"
        + ("" if outcome.ok and answer["solved"] else "   NOT SOLVED by " + ("us" if answer["solved"] else "the peer")),
        flush=True,
    )
    return ratio


def header(peer: str) -> None:
    """Print what the columns of ``compare`` are."""
    print(
        f"{'':34} {'ours ms':>9} {peer + ' ms':>9} {'ratio':>8}   {'our residual':>12}   {'its residual':>12}"
        "   difference"
    )


def _residual(mcp: MixedComplementarity, z: np.ndarray) -> float:
    return float(np.abs(z - np.clip(z - mcp.F(z), mcp.lower, mcp.upper)).max())
