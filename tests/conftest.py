"""Fixtures of tests that need a real server; each is skipped, with the reason, where it cannot be had."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from servers.kinds import BUCKET
from servers.shared import address_of

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Remote:
    """A place of its own on a server, and what it takes to get in."""

    url: str
    options: dict[str, Any] | None = field(repr=False)

    def at(self, name: str) -> str:
        """URL of something in it."""
        return f"{self.url}/{name}"


def _place(kind: str, protocol: str, factory: pytest.TempPathFactory) -> Remote:
    return Remote(f"{protocol}://{BUCKET}/{uuid.uuid4().hex}", address_of(kind, factory))


@pytest.fixture(autouse=True)
def _clients_end_with_their_tests() -> Iterator[None]:
    """A client of HDFS has threads: in the child of a later test that forks, its end would be waited for for ever."""
    yield
    made = getattr(sys.modules.get("hdfs_native.fsspec"), "HdfsFileSystem", None)
    if made is not None and made._cache:
        made.clear_instance_cache()
        gc.collect()


@pytest.fixture(autouse=True)
def _commands_end_with_their_tests() -> Iterator[None]:
    """Of a job that a command made, quarantine is kept in the user's cache: a later test would find it there."""
    yield
    command = sys.modules.get("shardwise.api.command")
    if command is not None:
        command.TYPED.set(None)


@pytest.fixture(autouse=True, scope="module")
def _pools_end_with_their_tests() -> Iterator[None]:
    """Other tests look at which processes are left; helpers of Python and joblib would stay, some of them for ever."""
    yield
    gc.collect()  # an executor ends when it is forgotten
    for thread in threading.enumerate():
        if thread.name == "shardwise-dispatch":
            thread.join(30)
    if "joblib.externals.loky.reusable_executor" in sys.modules:
        from joblib.externals.loky import reusable_executor
        from joblib.externals.loky.backend import resource_tracker as tracker_of_loky

        if reusable_executor._executor is not None:
            reusable_executor._executor.shutdown(wait=True, kill_workers=True)
        tracker_of_loky._resource_tracker._stop()
    if "multiprocessing.forkserver" in sys.modules:
        from multiprocessing import forkserver, resource_tracker

        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """A place on a server whose conditional puts are exclusive."""
    pytest.importorskip("s3fs")
    return _place("seaweedfs", "s3", tmp_path_factory)


@pytest.fixture
def careless_s3(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """A place on a server that ignores conditions."""
    pytest.importorskip("s3fs")
    return _place("rclone", "s3", tmp_path_factory)


@pytest.fixture
def azure(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """A place in a container of Azure's."""
    pytest.importorskip("adlfs", reason='adlfs is not installed; `pip install "shardwise[abfs]"` brings it')
    return _place("azurite", "abfs", tmp_path_factory)


@pytest.fixture
def gcs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A place in a bucket of Google's."""
    # Else gcsfs asks by gRPC and TLS which kind of bucket it is, twice for a minute, of a server that speaks HTTP.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    pytest.importorskip("gcsfs", reason='gcsfs is not installed; `pip install "shardwise[gcs]"` brings it')
    return _place("fake_gcs", "gs", tmp_path_factory)


@pytest.fixture
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """A directory of HDFS."""
    pytest.importorskip("hdfs_native")
    return Remote(f"{address_of('hdfs', tmp_path_factory)['url']}/{uuid.uuid4().hex}", None)


@pytest.fixture
def webhdfs(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """The same over HTTP."""
    pytest.importorskip("requests")
    return Remote(f"{address_of('hdfs', tmp_path_factory)['web']}/{uuid.uuid4().hex}", {"user": "tester"})
