"""Azurite, Microsoft's emulator of Azure Storage: the one that is installed, or npm's package, kept in the cache.

It needs Node, any that is installed or the one that came with Playwright. Nothing is installed, and no script of a
package is run.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from servers import debian

VERSION = "3.37.0"
FIX = f"`npm install --global azurite@{VERSION}` brings it"
SCRIPT = "node_modules/azurite/dist/src/blob/main.js"


def blob_service() -> list[str]:
    """The command that starts its blobs.

    Raises
    ------
    OSError
        It cannot be had; the message has the fix.
    """
    installed = shutil.which("azurite-blob")
    if installed is not None:
        return [installed]
    return [_node(), str(_package() / SCRIPT)]


def _node() -> str:
    installed = shutil.which("node")
    if installed is not None:
        return installed
    playwright = importlib.util.find_spec("playwright")
    beside = Path(str(playwright.origin)).with_name("driver") / "node" if playwright is not None else Path()
    if not beside.is_file():
        raise FileNotFoundError(
            f"node is not installed; {FIX}, Debian's package nodejs or Playwright's wheel brings node"
        )
    return str(beside)


def _package() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardwise-tests"
    home.mkdir(parents=True, exist_ok=True)
    kept = home / f"azurite-{VERSION}"
    with open(home / "lock-azurite", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            with tempfile.TemporaryDirectory(dir=home) as work:
                _fetch(Path(work))
                Path(work, "package").rename(kept)
    return kept


def _fetch(work: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(f"azurite is not installed, and neither is npm, which would fetch it; {FIX}")
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--fetch-retries=1"]
    try:
        debian.run([npm, "install", *quiet, "--prefix", str(work / "package"), f"azurite@{VERSION}"], work)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()[-300:]
        raise OSError(f"npm could not fetch azurite ({said or type(error).__name__}); {FIX}") from error
