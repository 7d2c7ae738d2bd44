"""Two to four drivers at once on a run directory in S3 or HDFS, where there are no locks, one of them killed now and
then: one works, the others say so, and the answer is that of local files.

``python proof/remote_drivers.py [--seed N] [--count N]``; even cases are on S3 (SeaweedFS), odd ones on HDFS.
"""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from _proof import Proof, must
from servers import kinds
from servers.shared import start as start_server
from servers.shared import wait_for
from shardwise.errors import RunIsTaken
from shardwise.storage import open_store
from storage.remote_driver import carry_out, go, start

KINDS = ("seaweedfs", "hdfs")


def main() -> None:
    """Carry out the cases."""
    proof = Proof("remote_drivers", 12, "one driver works in a remote run directory, the others say so")
    data = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": np.random.default_rng(1).standard_normal(1200)}), data)
    parquet = data.getvalue().to_pybytes()
    local = case_at(f"file://{proof.directory}/local", None, parquet, proof.directory / "log")
    answer = carry_out(local, engine="inline")[0]
    servers: dict[str, dict[str, Any] | str] = {}
    seen = {"drivers": 0, "killed": 0, "said so": 0, "finished": 0}
    for kind in KINDS:
        start_server(kind, proof.directory / kind, os.getpid())
        servers[kind] = wait_for(proof.directory / kind)
    for number in proof.numbers:
        kind = KINDS[number % 2]
        address = servers[kind]
        if isinstance(address, str):
            proof.tell(f"{kind}: {address}")
            continue
        url, options = (f"s3://{kinds.BUCKET}", address) if kind == "seaweedfs" else (address["url"], None)
        about = prepared(f"{url}/{number}", options, parquet, proof.directory / f"log{number}")
        proof.check(number, partial(meet, about, random.Random(f"{proof.seed}-{number}"), answer, seen))
        proof.passed()
    proof.end(**seen)


def prepared(url: str, options: dict[str, Any] | None, parquet: bytes, log: Path) -> dict[str, Any]:
    """Data in a place, and where the rest goes."""
    open_store(f"{url}/data", options).put("0.parquet", parquet)
    places = {name: f"{url}/{name}" for name in ("data", "out", "run")}
    return {**places, "options": options, "log": str(log), "engine": "inline"}


def case_at(url: str, options: dict[str, Any] | None, parquet: bytes, log: Path) -> dict[str, Any]:
    """The same on local files."""
    about = prepared(url, options, parquet, log)
    return {**about, **{name: about[name].removeprefix("file://") for name in ("data", "out", "run")}}


def meet(about: dict[str, Any], chance: random.Random, expected: str, seen: dict[str, int]) -> None:
    """Let drivers begin at once; kill the first, perhaps; look at what they say and leave."""
    drivers = [start(about) for _ in range(chance.randint(2, 4))]
    kill = chance.random() < 0.4
    try:
        for driver in drivers:
            go(driver)
        if kill:
            time.sleep(chance.uniform(0.5, 6.0))
            drivers[0].kill()
        said = [driver.communicate(timeout=240)[0].split() for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
    first = [words[0] for words in said if words]
    must(set(first) <= {expected, RunIsTaken.code}, f"they said {first}")
    must(expected in first or kill, f"nobody carried the run out: {first}")
    must(carry_out(about, engine="inline")[0] == expected, "another answer afterwards")
    seen["drivers"] += len(drivers)
    seen["killed"] += kill
    seen["said so"] += first.count(RunIsTaken.code)
    seen["finished"] += first.count(expected)


if __name__ == "__main__":
    main()
