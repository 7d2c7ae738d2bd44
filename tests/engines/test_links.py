"""Links between driver and agents that are cut, half open, or slow: the job ends with the same answer, or says why not.

The channel is the one that Spark's slots dial; here processes that this test starts dial it, through a proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import shardwise as sw
from clusters import Clusters, skip_where_missing
from processes import PATIENCE, gone
from servers.proxy import Proxy
from shardwise.engines.channel import Door
from shardwise.engines.dialled import DialledEngine
from shardwise.engines.lending import GOES_ON, LendingEngine
from shardwise.engines.waits import Waits
from shardwise.errors import EngineError

SHORT = Waits(poll=0.5, silence=3.0, orphan=4.0, head=3.0, close=10.0)
HOST = "import sys, cloudpickle; from shardwise.engines.channel import lend; lend(*cloudpickle.load(sys.stdin.buffer))"


class ProxiedEngine(DialledEngine):
    """Lends slots of processes that dial the driver through a proxy."""

    name = "proxied"
    waits = SHORT

    def __init__(self, patience: float = PATIENCE) -> None:
        super().__init__(patience=patience)
        self.proxy: Proxy | None = None
        self.hosts: list[subprocess.Popen[bytes]] = []

    async def _occupy(self, door: Door) -> None:
        self.proxy = Proxy((door.host, door.port))
        proxied = dataclasses.replace(door, port=self.proxy.port)
        self.hosts = [self._start(proxied) for _ in range(self._want.slots)]
        self._asked()
        try:
            while not await asyncio.to_thread(self._closing.wait, 0.1):
                for number, host in enumerate(self.hosts):
                    if host.poll() is not None:
                        self.hosts[number] = self._start(proxied)
        finally:
            self._board.close()
            self.proxy.close()

    def _start(self, door: Door) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        host = subprocess.Popen(
            [sys.executable, "-c", HOST], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert host.stdin is not None
        with host.stdin, contextlib.suppress(BrokenPipeError):
            host.stdin.write(cloudpickle.dumps((door, self._terms)))
        return host

    def _offer(self) -> str:
        return f"it has {len(self.hosts)} processes"


@pytest.fixture
def proxied() -> Iterator[ProxiedEngine]:
    engine = ProxiedEngine()
    try:
        yield engine
    finally:
        engine.close()
        for host in engine.hosts:  # each ends by itself, though nobody may have told it to
            assert gone(host.pid), "an agent outlived its driver"
            host.wait()


class Meddler:
    """Lets a test do something as soon as a job has begun its n-th item; the items wait for it."""

    def __init__(self, directory: Path) -> None:
        self.begun, self.go = str(directory / "begun"), str(directory / "go")
        for fifo in (self.begun, self.go):
            os.mkfifo(fifo)
        self._ends = [os.open(fifo, os.O_RDWR) for fifo in (self.begun, self.go)]  # no side sees the other missing

    def item(self, when: int) -> Any:
        begun, go = self.begun, self.go

        def work(item: int) -> int:
            if item == when:
                with open(begun, "wb", buffering=0) as told:
                    told.write(b"!")
                with open(go, "rb", buffering=0) as answer:
                    answer.read(1)
            return item * item

        return work

    def meddle(self, act: Any, goes_on: bool = True) -> threading.Thread:
        """Wait for the item, act, and let this item go on, and any that tries again."""

        def wait_and_act() -> None:
            os.read(self._ends[0], 1)
            try:
                act()
            finally:
                if goes_on:
                    os.write(self._ends[1], b"!" * 100)

        thread = threading.Thread(target=wait_and_act, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


@pytest.fixture
def meddler(tmp_path: Path) -> Iterator[Meddler]:
    made = Meddler(tmp_path)
    yield made
    made.close()


def squares(engine: Any, work: Any, directory: Path) -> Any:
    job = sw.from_items(list(range(40))).map_items(work).collect()
    return job.run(engine=engine, workers=2, run_dir=str(directory / "run"), shard_size=2, progress="none")


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_a_link_that_fails_costs_an_attempt_and_nothing_else(
    how: str, proxied: ProxiedEngine, meddler: Meddler, tmp_path: Path
) -> None:
    def fail() -> None:
        assert proxied.proxy is not None
        until = time.monotonic() + PATIENCE
        while proxied.proxy.accepted < 2 and time.monotonic() < until:  # the other slot may be late
            time.sleep(0.01)
        links = proxied.proxy.accepted
        getattr(proxied.proxy, how)()
        if how == "stall":  # until both sides have given each other up, and others dial
            assert all(gone(host.pid) for host in list(proxied.hosts[:2]))
            proxied.proxy.flow()
        assert links >= 2

    meddling = meddler.meddle(fail)
    result = squares(proxied, meddler.item(20), tmp_path)
    meddling.join(PATIENCE)
    assert not meddling.is_alive()
    assert result.to_list() == [n * n for n in range(40)]
    assert proxied.proxy is not None
    assert proxied.proxy.accepted > 2, "the slots were lent anew"


def test_a_slow_link_is_not_given_up(proxied: ProxiedEngine, tmp_path: Path) -> None:
    """A program that takes longer than any silence would be borne; each piece of it shows that the other side lives."""
    big = os.urandom(4 << 20)
    pieces = 64

    def work(item: int) -> int:
        return item * item + 0 * len(big)

    def slow_down() -> None:
        assert proxied.proxy is not None
        proxied.proxy.slow(1.5 * SHORT.orphan / pieces)

    proxied._asked = lambda: (LendingEngine._asked(proxied), slow_down())[0]  # type: ignore[method-assign]
    result = squares(proxied, work, tmp_path)
    assert result.to_list() == [n * n for n in range(40)]
    assert proxied.proxy is not None
    assert proxied.proxy.accepted == 2, "no slot was given up"


def test_a_link_that_stays_stalled_ends_the_job_with_what_to_do(meddler: Meddler, tmp_path: Path) -> None:
    engine = ProxiedEngine(patience=PATIENCE)

    def stall() -> None:
        assert engine.proxy is not None
        engine.patience = 4.0  # from now on: the first slots may take longer
        engine.proxy.stall()

    meddler.meddle(stall, goes_on=False)
    with pytest.raises(EngineError, match=r"lent no slot within 4 s; asked for: 2 slots") as refused:
        squares(engine, meddler.item(20), tmp_path)
    assert GOES_ON in refused.value.fix
    for host in engine.hosts:
        assert gone(host.pid), "an agent outlived its driver"
        host.wait()
    os.write(meddler._ends[1], b"!" * 100)
    again = squares("inline", meddler.item(20), tmp_path)
    assert again.to_list() == [n * n for n in range(40)]
    assert again.run.resumed_tasks


@pytest.mark.parametrize("how", ["cut", "stall", "slow"])
def test_a_link_to_a_scheduler_of_dask_that_fails(
    how: str, clusters: Clusters, meddler: Meddler, tmp_path: Path
) -> None:
    skip_where_missing("dask")
    from shardwise.engines.dask import DaskEngine

    port = int(clusters.url("dask-cluster").rpartition(":")[2])
    proxy = Proxy(("127.0.0.1", port))
    engine = DaskEngine(f"tcp://127.0.0.1:{proxy.port}")
    engine.waits = SHORT  # type: ignore[misc]
    try:
        meddler.meddle({"cut": proxy.cut, "stall": proxy.stall, "slow": lambda: proxy.slow(0.2)}[how])
        result = squares(engine, meddler.item(20), tmp_path)
    finally:
        proxy.close()
    assert result.to_list() == [n * n for n in range(40)]


def test_a_scheduler_of_dask_that_cannot_be_reached_any_more_is_told(
    clusters: Clusters, meddler: Meddler, tmp_path: Path
) -> None:
    skip_where_missing("dask")
    from shardwise.engines.dask import DaskEngine

    proxy = Proxy(("127.0.0.1", int(clusters.url("dask-cluster").rpartition(":")[2])))
    engine = DaskEngine(f"tcp://127.0.0.1:{proxy.port}")
    engine.waits = SHORT  # type: ignore[misc]
    meddler.meddle(proxy.close, goes_on=False)
    with pytest.raises(EngineError, match=r"Dask's scheduler at .* is gone") as refused:
        squares(engine, meddler.item(20), tmp_path)
    assert refused.value.fix == GOES_ON
    assert clusters.started("dask").held() == 0
