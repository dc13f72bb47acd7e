"""The rows of a running study on disk: finished parts, each written whole, and at the end one file of all.

A part is a Parquet file that gets its name only when it is complete; a study that was interrupted at any moment goes on
with the parts that are missing. What is being solved is noted beside the parts: another study, or changed inputs, is
never mixed with them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DataError, Fault

PARTS, NOTE = "parts", "study.json"
ROWS = "rows.parquet"


def begin(folder: Path, note: Mapping[str, Any]) -> set[int]:
    """Make the folder, or take up the one that an earlier run left; returns the parts that are finished.

    note: what is being solved; whatever differs between two notes is a reason not to mix their parts. Raises DataError
    where the folder holds another study, or something else.
    """
    room = folder / PARTS
    if not room.exists():
        room.mkdir(parents=True)
        write_whole(folder / NOTE, json.dumps(note, indent=2).encode())
        return set()
    before = note_of(folder)
    if before is None:  # stopped before anything was noted
        shutil.rmtree(room)
        return begin(folder, note)
    different = [key for key in {*note, *before} if json.loads(json.dumps(note.get(key))) != before.get(key)]
    if different:
        message = f"holds an unfinished study of other inputs ({', '.join(sorted(different))} changed since)"
        remedy = "delete it to begin again, or give another folder with --out"
        raise DataError([Fault(str(folder), f"{message}; {remedy}")])
    for left in room.glob(".*"):
        left.unlink()
    return {int(path.stem.removeprefix("part-")) for path in room.glob("part-*.parquet")}


def note_of(folder: Path) -> dict[str, Any] | None:
    """What the folder holds, or None where nothing (or nothing complete) says so."""
    try:
        return json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def put(folder: Path, part: int, content: bytes) -> None:
    """One finished part."""
    write_whole(folder / PARTS / f"part-{part:08d}.parquet", content)


def write_whole(path: Path, content: bytes) -> None:
    """A file that is there completely or not at all, whenever the machine stops."""
    room = path.with_name(f".{path.name}-{os.getpid()}")
    with room.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(room, path)


def packed(table: pa.Table, units: Mapping[str, str], seconds: Any) -> bytes:
    """A part as bytes. The units and times are in the metadata; ``read`` leaves the times out."""
    sink = pa.BufferOutputStream()
    metadata = {"units": json.dumps(dict(units)), "seconds": json.dumps([float(s) for s in seconds])}
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    return sink.getvalue().to_pybytes()


def read(folder: Path) -> Iterator[tuple[pa.Table, dict[str, str], list[float]]]:
    """Every part in order: rows, units, seconds of each row."""
    for path in sorted((folder / PARTS).glob("part-*.parquet")):
        table = pq.read_table(path)
        metadata = table.schema.metadata
        yield table.replace_schema_metadata(None), json.loads(metadata[b"units"]), json.loads(metadata[b"seconds"])


def join(folder: Path) -> tuple[dict[str, str], pd.DataFrame]:
    """All parts as one Parquet file of one schema, ``rows.parquet``; returns the units and a table of times (part,
    rows, seconds).

    Only one part is in memory at a time.
    """
    fields: dict[str, pa.Field] = {}
    units: dict[str, str] = {}
    times = []
    for part, (table, of, seconds) in enumerate(read(folder)):
        fields |= {one.name: one for one in table.schema if one.name not in fields}
        units |= of
        times.append({"part": part, "rows": len(seconds), "seconds": sum(seconds)})
    schema = pa.schema(
        [pa.field(name, one.type, metadata={"unit": units.get(name, "")}) for name, one in fields.items()]
    )
    room = folder / f".{ROWS}"
    with pq.ParquetWriter(room, schema) as writer:
        for table, _, _ in read(folder):
            columns = [
                table[name] if name in table.column_names else pa.nulls(len(table), one.type)
                for name, one in fields.items()
            ]
            writer.write_table(pa.table(columns, schema=schema))
    os.replace(room, folder / ROWS)
    return units, pd.DataFrame(times)
