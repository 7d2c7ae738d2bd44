"""``python many_shards.py KIND SHARDS PLACE DESCRIPTORS``: a job of that many tasks, in this process.

It may have so many files open; prints how many tasks there were.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import shardwise as sw


def double(item: int) -> int:
    """Twice a number."""
    return item * 2


def numbers(rng: object, count: int, start: int) -> dict[str, list[int]]:
    """Rows that count up."""
    return {"x": list(range(start, start + count))}


def main() -> None:
    """Run the job."""
    kind, shards, place, descriptors = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    items = sw.from_items(list(range(shards))).map_items(double)
    options = {"engine": "inline", "progress": "none", "run_dir": str(place / "run"), "shard_size": 1}
    if kind == "items":
        result = items.collect().run(**options)
        right = result.to_list() == [2 * n for n in range(shards)]
    elif kind == "write":
        result = items.write_ndjson(str(place / "out"), file_batches=1).run(**options)
        right = len(list((place / "out").glob("part-*"))) == shards
    else:
        rows = sw.generate(shards * 10, numbers, batch_rows=10)
        result = rows.aggregate(total=sw.sum("x")).run(**options)
        right = result.to_pylist() == [{"total": sum(range(shards * 10))}]
    wanted = [task for task in range(result.run.tasks) if task < shards]
    print(len(wanted), "right" if right else "wrong")


if __name__ == "__main__":
    main()
