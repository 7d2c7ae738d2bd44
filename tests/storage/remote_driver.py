"""A driver whose data, output and run directory are on a remote store. Its input is one line of JSON with the URLs and
storage options, then a line that says go; it prints the digest of what it wrote, or the code of the error."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import shardwise as sw
from shardwise.errors import ShardwiseError
from shardwise.storage import open_store


def job(about: dict[str, Any]) -> sw.Job:
    """Twelve batches, each noted in a local file when a function sees it."""
    log = about["log"]

    def noted(table: pa.Table, ctx: sw.Context) -> pa.Table:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{ctx.batch.index}\n".encode())
        os.close(descriptor)
        return table.append_column("noise", pa.array(np.sqrt(ctx.rng.random(table.num_rows))))

    data = sw.read_parquet(about["data"], batch_rows=100, storage_options=about["options"])
    return data.map(noted).write_parquet(about["out"], file_batches=2)


def carry_out(about: dict[str, Any], **options: Any) -> tuple[str, sw.Result]:
    """The digest of the output, and the result."""
    given = {"run_dir": about["run"], "storage_options": about["options"], "progress": "none", **options}
    result = job(about).run(**given)
    return digest(about["out"], about["options"]), result


def digest(out: str, options: dict[str, Any] | None) -> str:
    """Of the names and bytes of all parts."""
    store = open_store(out, options)
    assert store.exists("_SUCCESS")
    parts = [name for name in store.list() if name.startswith("part-")]
    return hashlib.sha256(repr([(name, store.get(name)) for name in parts]).encode()).hexdigest()


def start(about: dict[str, Any]) -> subprocess.Popen[str]:
    """A driver that waits for the word."""
    source = str(Path(sw.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    driver = subprocess.Popen([sys.executable, __file__], text=True, env=environment, **pipes)
    assert driver.stdin is not None
    driver.stdin.write(json.dumps(about) + "\n")
    driver.stdin.flush()
    return driver


def go(driver: subprocess.Popen[str]) -> None:
    """Let a driver begin, once its imports are done."""
    assert driver.stdin is not None
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    driver.stdin.write("go\n")
    driver.stdin.flush()


def main() -> None:
    """Be a driver."""
    about = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        said, result = carry_out(about, engine=about["engine"], shard_size="1kB")
        print(said, result.run.tasks, result.run.resumed_tasks, flush=True)
    except ShardwiseError as error:
        print(error.code, error.message.replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
