"""Where the user's own files of Shardwise lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_directory() -> Path:
    """The directory of cached runs and of the user's key: ``SHARDWISE_CACHE``, or ``shardwise`` in the user's cache
    (``XDG_CACHE_HOME``, ``~/.cache``; ``~/Library/Caches`` on macOS)."""
    chosen = os.environ.get("SHARDWISE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "shardwise"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "shardwise"
