"""Whose a run directory is, before anything is written there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shardwise.errors import DifferentJob, UsageError
from shardwise.run.fingerprint import fingerprint, unknown
from shardwise.run.journal import FIRST
from shardwise.run.lock import NAME as LOCK
from shardwise.storage import open_store
from shardwise.storage.naming import PROBE, PROBES

_OURS = frozenset({LOCK, PROBE, PROBES, "journal", "damaged", "logs", "outputs", "_attempts"})
_FIX = "pass --restart to begin anew, or choose another --run-dir"


def check_same_job(url: str, old: dict[str, Any], new: dict[str, Any], has_commits: bool) -> None:
    """Raise DifferentJob, with what differs, unless a run directory is this job's beyond doubt."""
    if fingerprint(new) != fingerprint(old):
        from shardwise.run.difference import difference

        differs = "\n".join(f"  - {line}" for line in difference(old, new))
        raise DifferentJob(f"{url} belongs to another job:\n{differs}", _FIX)
    if unknown(new) and has_commits:
        raise DifferentJob(
            f"{url} may belong to another job, for these values cannot be compared: {', '.join(unknown(new))}", _FIX
        )


def check_is_ours(url: str, options: dict[str, Any] | None) -> None:
    """Raise UsageError for a directory that has other things in it, before anything is written there."""
    store = open_store(url, options)
    if store.exists(FIRST):
        return
    local = store.local_path(LOCK)
    if local is None:
        names = {name.split("/")[0] for name in store.list()}
    else:
        root = Path(store.url)
        if root.exists() and not root.is_dir():
            raise UsageError(f"{store.url} is a file", "choose another --run-dir")
        names = {path.name for path in root.iterdir()} if root.is_dir() else set()
    others = sorted(name for name in names if name not in _OURS)
    if others:
        raise UsageError(
            f"{store.url} is not empty and not a run directory: it has {', '.join(others[:3])}",
            "choose another --run-dir",
        )
