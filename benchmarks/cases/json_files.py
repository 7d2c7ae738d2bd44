"""A plain Python function over many small JSON files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Clock, Ratio
from benchmarks.cores import usable

FILES, RECORDS = 2000, 200


def generate(directory: Path, scale: float) -> None:
    """Files of some 20 kB."""
    import random

    random_ = random.Random(7)
    for number in range(max(20, int(FILES * scale))):
        records = [
            {
                "id": number * RECORDS + i,
                "name": f"sensor-{random_.randrange(500)}",
                "value": random_.random(),
                "tags": [random_.choice("abcdefgh") for _ in range(4)],
                "where": {"x": random_.random(), "y": random_.random()},
            }
            for i in range(RECORDS)
        ]
        (directory / f"{number:05}.json").write_text(json.dumps({"file": number, "records": records}))


CASE = Case(
    "(g) A plain Python function over 2 000 small JSON files",
    "Each file (25 kB) is read and parsed, and a few values are taken from it. Shardwise commits every result to a run "
    "directory on disk, and a second call would go on from there; the peers keep them in memory only.",
    generate,
    targets=(
        Ratio("shardwise", "joblib", 1.0),
        Ratio("shardwise", "joblib", 1.0, "whole"),
        Ratio("shardwise", "Pool", 1.0),
    ),
)


def extract(path: str) -> dict[str, Any]:
    """What is wanted of a file."""
    with open(path, "rb") as file:
        document = json.load(file)
    records = document["records"]
    return {
        "file": document["file"],
        "records": len(records),
        "value": sum(record["value"] for record in records),
        "tagged": sum("a" in record["tags"] for record in records),
        "far": max(record["where"]["x"] ** 2 + record["where"]["y"] ** 2 for record in records),
    }


def _paths(data: Path) -> list[str]:
    return sorted(str(path) for path in data.glob("*.json"))


def _digest(rows: list[dict[str, Any]]) -> Any:
    return {name: [len(rows), sum(row[name] for row in rows)] for name in rows[0]}


@CASE.peer("shardwise", "`from_items(paths).map_items(extract).collect().run(run_dir=...)`, engine `auto`", "shardwise")
def shardwise(data: Path, clock: Clock) -> Any:
    import shardwise as sw

    paths = _paths(data)
    with tempfile.TemporaryDirectory() as directory, clock:
        job = sw.from_items(paths).map_items(extract).collect()
        rows = job.run(run_dir=f"{directory}/run").to_list()
    return _digest(rows)


@CASE.peer("plain loop", "one core")
def plain_loop(data: Path, clock: Clock) -> Any:
    paths = _paths(data)
    with clock:
        rows = [extract(path) for path in paths]
    return _digest(rows)


@CASE.peer("Pool", "`Pool.map`, its own chunk size; starting it counts")
def pool(data: Path, clock: Clock) -> Any:
    import multiprocessing

    paths = _paths(data)
    with clock, multiprocessing.Pool(usable()) as workers:
        rows = workers.map(extract, paths)
    return _digest(rows)


@CASE.peer("joblib", "`Parallel(n_jobs=cores)`, which batches by itself; starting its processes counts", "joblib")
def joblib(data: Path, clock: Clock) -> Any:
    from joblib import Parallel, delayed

    paths = _paths(data)
    with clock:
        rows = Parallel(n_jobs=usable())(delayed(extract)(path) for path in paths)
    return _digest(rows)
