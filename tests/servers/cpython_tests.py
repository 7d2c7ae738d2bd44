"""CPython's own tests, where a Python comes without them: Debian packs them apart, and they are kept in the cache."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from servers import debian

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def directory() -> str:
    """``Lib/test`` of a Python of this minor version; empty where it cannot be had."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardwise-tests"
    home.mkdir(parents=True, exist_ok=True)
    kept = home / f"cpython-{VERSION}"
    with open(home / "lock-cpython", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            try:
                _make(home, kept)
            except (OSError, subprocess.SubprocessError):
                return ""
    return str(kept)


def _make(home: Path, kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home) as work:
        debian.download([f"libpython{VERSION}-testsuite"], Path(work))
        debian.unpack(Path(work), Path(work, "root"))
        Path(work, f"root/usr/lib/python{VERSION}/test").rename(kept)
