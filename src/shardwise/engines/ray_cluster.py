"""Which Ray this process is connected to: one of this machine, that keeps to loopback, or another; and its head."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shardwise.engines.lending import GOES_ON
from shardwise.errors import EngineError

LOOK_SECONDS = 2.0
"""How often the head is looked at."""

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where this variable is 0, Ray binds to loopback only."""


_OURS = threading.Event()  # set while the Ray that this process is connected to was started here


def is_connected_elsewhere() -> bool:
    """Whether this process is connected to a Ray that was not started here, and whose nodes may be anywhere."""
    ray = sys.modules.get("ray")
    return ray is not None and not _OURS.is_set() and bool(ray.is_initialized())


@contextlib.contextmanager
def loopback(wanted: bool) -> Iterator[None]:
    """Have a Ray that starts here bind to loopback only. It asks for that when it is imported."""
    if not wanted:
        yield
        return
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(LOOPBACK)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[LOOPBACK] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before[0]
        if before[1] is None:
            del os.environ[LOOPBACK]
        else:
            os.environ[LOOPBACK] = before[1]


@contextlib.contextmanager
def connected(ray: Any, address: str, slots: int, shipped: Sequence[Path]) -> Iterator[None]:
    """Be connected to a Ray; where this process is already, that one is used, and stays. ``local``: start one."""
    modules = list(map(str, shipped))
    if ray.is_initialized():
        if modules:
            fix = f"say so there: ray.init(runtime_env={{'py_modules': {modules}}})"
            raise EngineError("this process is connected to Ray already, and Ray takes modules only before", fix)
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if modules:
        options["runtime_env"] = {"py_modules": modules}
    if address == "local":
        options |= {"num_cpus": slots, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        with loopback(address == "local"):
            ray.init(address, **options)
    except (OSError, RuntimeError) as error:
        raise EngineError(f"no Ray answers at {address}: {error}", "see that it runs there") from error
    if address == "local":
        _OURS.set()
    with silence():
        try:
            yield
        finally:
            ray.shutdown()
            _OURS.clear()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep off stdout, which is for results, what Ray tells of nodes and actors that died: slots tell it, too.

    And let an error that nobody catches be told by whoever told it before Ray was imported: Ray tells the head first,
    and waits for it even where that is what is gone.
    """
    from ray._private import worker

    if sys.excepthook is worker.custom_excepthook:
        sys.excepthook = worker.normal_excepthook
    before, worker._worker_logs_enabled = worker._worker_logs_enabled, False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


def watch_head(ray: Any, seconds: float, ended: threading.Event, fail: Callable[[BaseException], None]) -> None:
    """Until the end, see whether the head takes connections. It ``fail``s where that has taken none for so long.

    A thread of its own does this: without its head Ray answers nothing, not even to who wants another actor, and after
    60 s it ends this process.
    """
    if ray.util.client.ray.is_connected():
        return  # a client's own connection says so
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    alive_at = time.monotonic()
    while not ended.wait(LOOK_SECONDS):
        with contextlib.suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), LOOK_SECONDS).close()
            alive_at = time.monotonic()
        if time.monotonic() - alive_at > seconds:
            fail(EngineError(f"Ray's head at {host}:{port} is gone", GOES_ON))
            return
