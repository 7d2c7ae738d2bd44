"""Which Ray this process is connected to: one of this machine, that keeps to loopback, or another; and whether its head
is still there."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from shardwise.errors import EngineError

LOOK_SECONDS = 2.0
"""How often the head is looked at."""

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where this variable is 0, Ray binds to loopback only."""


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
def connected(ray: Any, address: str, slots: int) -> Iterator[None]:
    """Be connected to a Ray; where this process is already, that one is used, and stays. ``local``: start one."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == "local":
        options |= {"num_cpus": slots, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        with loopback(address == "local"):
            ray.init(address, **options)
    except (OSError, RuntimeError) as error:
        raise EngineError(f"no Ray answers at {address}: {error}", "see that it runs there") from error
    try:
        yield
    finally:
        ray.shutdown()


def head_is_gone(ray: Any, seconds: float) -> Iterator[bool]:
    """Each time it is asked: whether the head has taken no connection for so long. (Ray itself would end this process,
    after 60 s.)"""
    if ray.util.client.ray.is_connected():
        while True:
            yield False  # a client's own connection says so
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    alive_at = looked_at = time.monotonic()
    while True:
        if (now := time.monotonic()) - looked_at > LOOK_SECONDS:
            looked_at = now
            with contextlib.suppress(OSError):
                socket.create_connection((host.strip("[]"), int(port)), LOOK_SECONDS).close()
                alive_at = now
        yield looked_at - alive_at > seconds
