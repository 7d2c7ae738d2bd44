"""Which servers let exactly one of many concurrent writers create a file: the probe, over and over, on real servers.

``python proof/exclusive.py [--seed N] [--count N]``: so many probes of each. SeaweedFS, fake-gcs-server and Azurite by
conditional puts and HDFS by renames must pass all of them, rclone's server must fail every one. How often several
writers are told by SeaweedFS that they had created an object in parts is a figure, and the reason why nothing is
created in parts.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from _proof import Proof, must
from servers import kinds
from servers.shared import start, wait_for
from shardwise.storage import open_store
from shardwise.storage.probe import probe

PARTS = 5 << 20
WRITERS = 8


def main() -> None:
    """Probe each, and count."""
    proof = Proof("exclusive", 10, "one of many writers creates a file, the others are told that they did not")
    figures: dict[str, Any] = {}
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # it would ask by gRPC, and wait for minutes
    for kind in ("seaweedfs", "fake_gcs", "azurite", "hdfs", "rclone"):
        start(kind, proof.directory / kind, os.getpid())
        address = wait_for(proof.directory / kind)
        if isinstance(address, str):
            proof.tell(f"{kind}: {address}")
            figures[kind] = "not there"
            continue
        for name, url, options in places(kind, address):
            figures[name] = proof.check(name, partial(winners, proof.count, url, options, kind == "rclone"))
            proof.passed(proof.count)
        if kind == "seaweedfs":
            figures["seaweedfs in parts"] = in_parts(address, min(proof.count, 5))
    proof.end(**figures)


def places(kind: str, address: dict[str, Any]) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Name, URL and options of what is to be probed on a server."""
    if kind != "hdfs":
        protocol = {"fake_gcs": "gs", "azurite": "abfs"}.get(kind, "s3")
        return [(kind, f"{protocol}://{kinds.BUCKET}/probe", address)]
    return [("hdfs", f"{address['url']}/probe", None), ("webhdfs", f"{address['web']}/probe", {"user": "prover"})]


def winners(count: int, url: str, options: dict[str, Any] | None, careless: bool) -> dict[str, int]:
    """What probes found, which must be what is known of the server."""
    found = [each for _ in range(count) for each in most(url, options)]
    several = sum(each > 1 for each in found)
    must((several > 0) == careless, f"several writers were told so in {several} of {len(found)} rounds")
    return {"rounds": len(found), "several": several, "most": max(found)}


def most(url: str, options: dict[str, Any] | None) -> list[int]:
    """How many writers were told that they had created the file, by round of one probe."""
    rounds = probe(open_store(url, options))  # type: ignore[arg-type]
    must(not any(each.wrong for each in rounds if len(each.winners) == 1), "a file is not what its writer put")
    return [len(each.winners) for each in rounds]


def in_parts(address: dict[str, Any], count: int) -> dict[str, int]:
    """The same where an object is sent in parts and the condition stands in the request that puts them together."""
    store = open_store(f"s3://{kinds.BUCKET}/parts", address)
    won = []
    for _ in range(count):
        name = f"{kinds.BUCKET}/parts/{secrets.token_hex(8)}"

        def create(number: int, name: str = name) -> bool:
            try:
                data = bytes([number]) * (2 * PARTS)
                store._system.pipe_file(name, data, mode="create", chunksize=PARTS)  # type: ignore[attr-defined]
            except Exception:
                return False
            return True

        with ThreadPoolExecutor(WRITERS) as threads:
            won.append(sum(threads.map(create, range(WRITERS))))
    return {"rounds": count, "several": sum(n > 1 for n in won), "most": max(won)}


if __name__ == "__main__":
    main()
