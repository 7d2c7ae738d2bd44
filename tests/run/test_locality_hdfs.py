"""Where HDFS keeps a file, and what a run makes of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from conftest import Remote
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import EngineEvent, SlotUp
from shardwise.run import round as rounds
from shardwise.run.locality import Locality
from shardwise.storage import open_store
from shardwise.storage.blocks import block_hosts

SITE = """<configuration><property>
<name>dfs.namenode.http-address</name> <value>{address}</value>
</property></configuration>"""


@pytest.fixture
def files(hdfs: Remote, webhdfs: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Eight files, and settings that say where the NameNode can be asked."""
    store = open_store(hdfs.url)
    for number in range(8):
        pq.write_table(pa.table({"x": [number, number + 1]}), tmp_path / "part.parquet")
        store.put(f"part-{number}.parquet", (tmp_path / "part.parquet").read_bytes())
    address = webhdfs.url.partition("://")[2].partition("/")[0]
    (tmp_path / "hdfs-site.xml").write_text(SITE.format(address=address))
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    return hdfs.url


def test_blocks_and_their_hosts(files: str, webhdfs: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    ((first, size, hosts),) = block_hosts(f"{files}/part-0.parquet")
    assert first == 0 and size > 0 and "127.0.0.1" in hosts
    web = webhdfs.url.rpartition("/")[0] + "/" + files.rpartition("/")[2]
    assert block_hosts(f"{web}/part-0.parquet", webhdfs.options) == [(first, size, hosts)]
    assert block_hosts(f"{files}/nowhere.parquet") == []
    monkeypatch.delenv("HADOOP_CONF_DIR")
    assert block_hosts("hdfs://127.0.0.1:1/part-0.parquet") == []  # nobody listens: nothing is known, nothing fails


class OnTwoHosts(LocalEngine):
    """Local workers of which one says that it is on the host that holds the files, and one that it is not."""

    def __init__(self) -> None:
        super().__init__(2)
        self._ups: list[EngineEvent] = []

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        events = super().wait(timeout)
        ups = [SlotUp(e.slot, ("127.0.0.1", "far.invalid")[e.slot % 2], e.pid) for e in events if isinstance(e, SlotUp)]
        self._ups += ups
        others = [event for event in events if not isinstance(event, SlotUp)]
        if len(self._ups) < 2:
            return others
        both, self._ups = self._ups, []
        return both + others


class Patient(Locality):
    """Goes on when it is known where the files lie."""

    def came(self, host: str) -> None:
        super().came(host)
        if self._thread is not None:
            self._found.put(self._found.get(timeout=60.0))


def test_the_share_of_local_reads_is_recorded(files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "Locality", Patient)
    job = sw.read_parquet(f"{files}/*.parquet").aggregate(total=sw.sum("x"))
    done = job.run(engine=OnTwoHosts(), workers=2, shard_size=1, run_dir=str(tmp_path / "run"), progress=False)
    assert done.to_pylist() == [{"total": 64}]
    assert done.run.local_reads is not None and 0 < done.run.local_reads < 1
    assert job.run(engine="inline", run_dir=str(tmp_path / "other")).run.local_reads is None
