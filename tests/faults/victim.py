"""A driver to be killed: ``python victim.py KIND DATA OUT LOG engine=local:2 [option=value ...]``.

It runs one job and prints the digest of its bytes, how many tasks it has, and how many were committed before.

Every batch that a function sees is noted in LOG, one line each, in one write, with the number of the process, so that
the tests can tell what ran. Beside it there may be a gate: a file that somebody keeps locked, and that names a batch.
On that one and all later ones the function waits until the gate is opened.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import shardwise as sw
from shardwise.engines.registry import make_engine


class Sum(sw.Aggregate[float]):
    """Adds floats in the order of the tree: another order would give other bits."""

    def zero(self) -> float:
        return 0.0

    def step(self, state: float, batch: pa.Table) -> float:
        return state + float(np.sum(batch.column("x").to_numpy()))

    def merge(self, a: float, b: float) -> float:
        return a + b

    def finish(self, state: float) -> float:
        return state


def job(kind: str, data: str, out: str, log: str) -> sw.Job:
    trips = sw.read_parquet(data, batch_rows=500)

    def wait_at_the_gate(fragment: int, index: int) -> None:
        try:
            with open(log + ".gate") as gate:
                if (fragment, index) >= tuple(int(part) for part in gate.read().split(":")):
                    fcntl.flock(gate, fcntl.LOCK_SH)
        except FileNotFoundError:
            pass

    def noted(table: pa.Table, ctx: sw.Context) -> pa.Table:
        fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, f"{ctx.batch.fragment}:{ctx.batch.index} {os.getpid()}\n".encode())
        os.close(fd)
        wait_at_the_gate(ctx.batch.fragment, ctx.batch.index)
        noise = ctx.rng.random(table.num_rows)
        for _ in range(5):  # some work, so that there is something to be killed in
            noise = np.sqrt(noise * noise + 1e-9)
        return table.append_column("noise", pa.array(noise))

    mapped = trips.map(noted)
    if kind == "aggregate":
        return mapped.group_by("k").aggregate(n=sw.count(), mean=sw.mean("x"), dev=sw.std("noise"), total=Sum())
    if kind == "map":
        return mapped.collect()
    return mapped.write_parquet(out, file_batches=2)


def digest(kind: str, out: str, result: sw.Result) -> str:
    hashed = hashlib.sha256()
    if kind == "write":
        for path in sorted(Path(out).glob("*.parquet")):
            hashed.update(path.name.encode() + path.read_bytes())
        assert (Path(out) / "_SUCCESS").exists()
    else:
        for row in result.to_pylist():
            hashed.update(repr(row).encode())
    return hashed.hexdigest()


def patient(url: str, seconds: float) -> Any:
    """An engine; a cluster may take so long until it lends a slot, as a machine that is busy with tests needs."""
    engine: Any = make_engine(url)
    if not hasattr(engine, "patience"):
        return url
    engine.patience = seconds
    return engine


def main(arguments: Sequence[str]) -> None:
    kind, data, out, log, *rest = arguments
    options: dict[str, Any] = dict(pair.split("=", 1) for pair in rest)
    if "workers" in options:
        options["workers"] = int(options["workers"])
    if patience := os.environ.get("SHARDWISE_PATIENCE"):
        options["engine"] = patient(str(options["engine"]), float(patience))
    result = job(kind, data, out, log).run(retries=5, progress="none", **options)
    print(digest(kind, out, result), result.run.tasks, result.run.resumed_tasks, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
