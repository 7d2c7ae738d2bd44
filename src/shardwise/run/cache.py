"""Runs that nobody gave a place: in the user's cache, named by their jobs' fingerprints, oldest out first."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardwise.errors import RunIsTaken, ShardwiseError, UsageError
from shardwise.run.directory import RunDirectory
from shardwise.run.fingerprint import fingerprint
from shardwise.run.lock import Lock
from shardwise.run.view import RunView
from shardwise.storage import LocalStore
from shardwise.storage.places import cache_directory

LIMIT = 20_000_000_000
"""Bytes that the cache keeps."""

PRUNE_SECONDS = 600
"""The cache is looked through at most this often."""

_DYING = ".deleting-"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A line of ``shardwise runs``.

    Parameters
    ----------
    id : str
        Short name of the job.
    url : str
        The run directory.
    status : str
        As a run says itself (``RunView.status``), or ``damaged`` where the journal cannot be read.
    at : float
        When it was last written to: seconds since 1970.
    summary : str
        The job in a few words, if its document has a ``summary``.
    size : int
        Bytes.
    """

    id: str
    url: str
    status: str
    at: float
    summary: str
    size: int


def runs_directory() -> Path:
    """Where cached runs lie."""
    return cache_directory() / "runs"


def cached_run(job: dict[str, Any]) -> str:
    """Where the run of a job belongs in the cache."""
    return str(runs_directory() / fingerprint(job)[:12])


def find_run(name: str) -> str:
    """The directory of a run: a path or URL as it is, else the cached run whose id begins with ``name``.

    Raises
    ------
    UsageError
        No run, or several, are called that.
    """
    if "/" in name or Path(name).is_dir():
        return name
    found = sorted(path for path in _directories() if path.name.startswith(name))
    if not found:
        raise UsageError(f"there is no run {name!r}", "`shardwise runs` lists them; give an id, or a run's directory")
    if len(found) > 1:
        ids = ", ".join(path.name for path in found)
        raise UsageError(f"{len(found)} runs begin with {name!r}: {ids}", "give more of the id")
    return str(found[0])


def run_info(url: str) -> RunInfo:
    """What ``shardwise runs`` says of one local run directory."""
    size = sum(LocalStore(url).list().values())
    try:
        view = RunDirectory.read(url)
    except ShardwiseError:
        path = Path(url)
        return RunInfo(path.name, url, "damaged", path.stat().st_mtime, "", size)
    return RunInfo(view.id, url, view.status, view.at, _summary(view), size)


def list_runs() -> list[RunInfo]:
    """All cached runs, the newest first."""
    return sorted((run_info(str(path)) for path in _directories()), key=lambda run: (-run.at, run.id))


def prune(limit: int = LIMIT, keep: Iterable[str] = ()) -> list[RunInfo]:
    """Delete the oldest runs until the cache holds at most ``limit`` bytes; never one that is running.

    Parameters
    ----------
    limit : int
        Bytes; 0 deletes all that may be deleted.
    keep : iterable of str
        Ids of runs that stay, whatever their age.

    Returns
    -------
    list of RunInfo
        What was deleted.
    """
    for leftover in runs_directory().glob(f"{_DYING}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    runs, spared, deleted = list_runs(), set(keep), []
    size = sum(run.size for run in runs)
    for run in reversed(runs):
        if size <= limit:
            break
        if Path(run.url).name not in spared and _delete(Path(run.url)):
            deleted.append(run)
            size -= run.size
    return deleted


def prune_now_and_then(keep: Iterable[str] = ()) -> None:
    """Prune unless that was done in the last ten minutes: looking through a thousand runs takes seconds."""
    stamp = cache_directory() / "pruned"
    with contextlib.suppress(OSError):
        if 0 <= time.time() - stamp.stat().st_mtime < PRUNE_SECONDS:
            return
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    prune(keep=keep)


def _delete(path: Path) -> bool:
    """Delete a run directory unless a driver works in it. It loses its name first, so that none is ever half there."""
    lock = Lock(str(path))
    try:
        lock.acquire()
    except RunIsTaken:
        return False
    try:
        dying = path.with_name(_DYING + path.name)
        path.rename(dying)
        shutil.rmtree(dying, ignore_errors=True)
    finally:
        lock.release()
    return True


def _directories() -> list[Path]:
    place = runs_directory()
    found = place.iterdir() if place.is_dir() else ()
    return [path for path in found if path.is_dir() and not path.name.startswith(".")]


def _summary(view: RunView) -> str:
    summary = view.job.get("summary", "")
    return summary if isinstance(summary, str) else ""
