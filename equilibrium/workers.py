"""The parts of a study solved here, by several processes of this machine, or by a Dask cluster; in any order.

What travels to a worker are the files of the case and the scenarios of one part, what comes back is the finished part
as bytes. A worker that dies is replaced and its part solved again; a part that kills several is an error that names it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from . import parts
from .case import Case, read_case
from .data import change
from .design import Design
from .errors import EquilibriumError, SolverMissing
from .rows import solve_rows

TRIES = 3
"""So often a part is begun; a worker that dies each time dies of the part."""


@dataclass(frozen=True)
class Inputs:
    """What every part of a study has in common: the case's files by name, cells that ``--set`` replaces."""

    files: tuple[tuple[str, bytes], ...]
    changes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, case: Case, changes: Mapping[str, Any]) -> Inputs:
        """The inputs of a case as it was read."""
        files = tuple((name, (case.folder / name).read_bytes()) for name in case.hashes)
        return cls(files, tuple((name, str(value)) for name, value in changes.items()))


@lru_cache(maxsize=2)
def case_of(inputs: Inputs) -> Case:
    """The case again, on whatever machine this is."""
    with tempfile.TemporaryDirectory() as room:
        for name, content in inputs.files:
            Path(room, name).write_bytes(content)
        case = read_case(room)
    return replace(case, data=change(case.data, dict(inputs.changes))) if inputs.changes else case


def solve_part(inputs: Inputs, design: Design) -> bytes:
    """One part, finished: every scenario of ``design``, packed for the disk."""
    found = solve_rows(case_of(inputs), design, range(design.size))
    return parts.packed(found.table, found.units, found.seconds)


def part_of(design: Design, scenarios: range) -> Design:
    """Some scenarios of a design as a design of their own, under the names that they have in the whole."""
    rows = slice(scenarios.start, scenarios.stop)
    return replace(design, values=design.values[rows], labels=tuple(design.label(k) for k in scenarios))


Tasks = Iterator[tuple[int, Design]]


def here(inputs: Inputs, tasks: Tasks) -> Iterator[tuple[int, bytes]]:
    """One part after another in this process."""
    for part, design in tasks:
        yield part, solve_part(inputs, design)


def processes(inputs: Inputs, tasks: Tasks, count: int) -> Iterator[tuple[int, bytes]]:
    """By ``count`` processes of this machine."""
    again: list[tuple[int, Design]] = []
    tried: dict[int, int] = {}
    while True:
        lost: list[tuple[int, Design]] = []
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            running: dict[Future[bytes], tuple[int, Design]] = {}
            submit: Callable[[Design], Any] = partial(pool.submit, solve_part, inputs)  # type: ignore[call-arg]
            while _refill(running, again, tasks, 2 * count, submit):
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    part, design = running.pop(future)
                    try:
                        yield part, future.result()
                    except BrokenProcessPool:
                        lost.append((part, design))
                if lost:
                    lost += running.values()
                    break
        if not lost:
            return
        again = lost
        for part, _ in lost:
            tried[part] = tried.get(part, 0) + 1
            if tried[part] >= TRIES:
                raise EquilibriumError(f"part {part} of the study ended {TRIES} worker processes (out of memory?)")


def _refill(
    running: dict[Any, tuple[int, Design]],
    again: list[tuple[int, Design]],
    tasks: Tasks,
    most: int,
    submit: Callable[[Design], Any],
) -> bool:
    """Keep ``most`` parts under way, those that were lost first; False when nothing is left to wait for."""
    while len(running) < most:
        task = again.pop(0) if again else next(tasks, None)
        if task is None:
            break
        running[submit(task[1])] = task
    return bool(running)


def cluster(inputs: Inputs, tasks: Tasks, address: str, count: int) -> Iterator[tuple[int, bytes]]:
    """By the Dask cluster at ``address``, or by one of ``count`` processes that is started for it ('local').

    Raises SolverMissing where dask.distributed is not installed, EquilibriumError where the cluster does not answer.
    """
    try:
        import distributed
    except ImportError as error:
        raise SolverMissing(
            "--scheduler needs dask.distributed: pip install 'flexmarkets[cluster]' (or use --workers)"
        ) from error
    at: Any = address
    if address == "local":
        at = distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None)
    try:
        client = distributed.Client(at, timeout="20s")
    except OSError as error:
        raise EquilibriumError(f"no Dask scheduler answers at {address}: {error}") from error
    try:
        yield from _through(client, inputs, tasks)
    finally:
        client.close()
        if address == "local":
            at.close()


def _through(client: Any, inputs: Inputs, tasks: Tasks) -> Iterator[tuple[int, bytes]]:
    from distributed import as_completed

    common = client.scatter(inputs, broadcast=True)
    running: dict[Any, tuple[int, Design]] = {}

    def submit(design: Design) -> Any:
        return client.submit(solve_part, common, design, pure=False, retries=TRIES)

    most = 3 * max(1, sum(client.nthreads().values()))
    _refill(running, [], tasks, most, submit)
    queue = as_completed(list(running), with_results=False)
    for future in queue:
        part, _ = running.pop(future)
        yield part, future.result()
        before = set(running)
        _refill(running, [], tasks, most, submit)
        queue.update(set(running) - before)
