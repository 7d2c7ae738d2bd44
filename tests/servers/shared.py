"""One server for all workers of a pytest: the first that asks has it started, the others wait for its address."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

KEEPER = Path(__file__).with_name("keeper.py")
PATIENCE = 400.0  # the first time, jars have to be downloaded


def address_of(kind: str, factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a client has to know of a server; skips the test where there is none."""
    beside_workers = "PYTEST_XDIST_WORKER" in os.environ
    base = factory.getbasetemp().parent if beside_workers else factory.getbasetemp()
    directory = base / f"server-{kind}"
    with open(base / f"{kind}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            start(kind, directory, os.getppid() if beside_workers else os.getpid())
    found = wait_for(directory)
    if isinstance(found, str):
        pytest.skip(f"{kind}: {found}")
    return found


def start(kind: str, directory: Path, pid: int) -> None:
    """Have a server started, which ends with a process."""
    directory.mkdir()
    command = [sys.executable, str(KEEPER), kind, str(directory), str(pid)]
    with open(directory / "keeper.log", "wb") as log:  # it goes its own way at once
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)


def wait_for(directory: Path) -> dict[str, Any] | str:
    """The address of a server that was started, or why there is none."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (directory / "address.json").exists():
            return dict(json.loads((directory / "address.json").read_text()))
        if (directory / "reason.txt").exists():
            return (directory / "reason.txt").read_text()
        time.sleep(0.05)
    return f"not there after {PATIENCE:g} s"
