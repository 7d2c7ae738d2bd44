"""A person's output directory: whose it is, and when it is complete.

A hidden-by-convention file ``_shardwise.json`` names the run that writes into it. Parts appear one by one under their
final names, each complete; ``_SUCCESS`` comes last. ``overwrite`` keeps the old data until the first part of the new
run is committed: up to then nothing is lost if the job cannot even start. Only files that look like somebody's output
are ever deleted (``part-*``, ``part.*``, ``_SUCCESS``, ``_metadata``, ``_common_metadata``); a directory with anything
else is refused.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable
from typing import Any

from shardwise.errors import DifferentJob, StorageError, UsageError
from shardwise.storage import Store, open_store

MARKER, SUCCESS, ATTEMPTS = "_shardwise.json", "_SUCCESS", "_attempts"
_DELETABLE = ("part-*", "part.*", "_SUCCESS", "_metadata", "_common_metadata")
_FIX = "choose another output directory, or pass overwrite=True to replace what is there"


def begin_output(
    url: str,
    run_id: str,
    overwrite: bool = False,
    *,
    reads: Iterable[str] = (),
    planned: bool = False,
    options: dict[str, Any] | None = None,
) -> None:
    """Claim an output directory for a run, before work starts.

    Parameters
    ----------
    url : str
        The directory; it need not exist.
    run_id : str
        The run; its own directory is never refused.
    overwrite : bool
        Replace what another job wrote there, as soon as the first new part is committed.
    reads : iterable of str
        Paths that the job reads: a job must not replace its own input.
    planned : bool
        The run is only planned so far: until it begins, another one may have the directory, and what was tried in it.
    options : dict, optional
        Storage options.

    Raises
    ------
    DifferentJob
        It belongs to another run.
    UsageError
        It has files that no run wrote, or that the job reads.
    """
    store = open_store(url, options)
    marker = _marker(store)
    if marker.get("run") == run_id:
        if marker.get("planned") and not planned:
            store.put(MARKER, json.dumps({**marker, "planned": False}).encode())
        store.delete(SUCCESS)
        return
    data = _data(store)
    _check_free(store, marker, data, overwrite, reads)
    store.put(MARKER, json.dumps({"run": run_id, "emptied": not data, "planned": planned}).encode())


def check_output(url: str, run_id: str, overwrite: bool = False, *, reads: Iterable[str] = ()) -> None:
    """Refuse what ``begin_output`` would refuse, and change nothing."""
    store = open_store(url)
    marker = _marker(store)
    if marker.get("run") != run_id:
        _check_free(store, marker, _data(store), overwrite, reads)


def _check_free(store: Store, marker: dict[str, Any], data: list[str], overwrite: bool, reads: Iterable[str]) -> None:
    if data and not overwrite and not marker.get("planned"):
        if marker:
            raise DifferentJob(f"{store.url} is the output of another run ({marker['run']})", _FIX)
        raise UsageError(f"{store.url} is not empty: {_some(data)}", _FIX)
    _check_deletable(store, data, reads)


def holds_other_data(url: str, run_id: str, options: dict[str, Any] | None = None) -> bool:
    """Whether an output directory has files that are neither this run's nor of a run that was only planned."""
    store = open_store(url, options)
    marker = _marker(store)
    return marker.get("run") != run_id and not marker.get("planned") and bool(_data(store))


def finish_output(url: str, run_id: str, files: Iterable[str], *, options: dict[str, Any] | None = None) -> None:
    """Make an output directory complete: exactly these parts, no attempts, ``_SUCCESS`` last. Twice is harmless.

    Raises
    ------
    StorageError
        A part is missing.
    DifferentJob
        Another run has taken the directory.
    """
    store, parts = open_store(url, options), set(files)
    check_owner(store, run_id)
    empty_replaced(store)
    present = _data(store)
    missing = sorted(parts - set(present))
    if missing:
        raise StorageError(
            f"{store.url} misses {_some(missing)}", "run the same command again: what is missing is made again"
        )
    store.delete_many([n for n in present if n not in parts and n.rpartition("/")[2].startswith("part-")])
    _delete_attempts(store, run_id, before=None)
    store.clean()
    store.put(SUCCESS, b"")


def is_owner(store: Store, run_id: str) -> bool:
    """Whether an output directory is this run's."""
    return _marker(store).get("run") == run_id


def check_owner(store: Store, run_id: str) -> None:
    """Raise DifferentJob unless an output directory is this run's."""
    if not is_owner(store, run_id):
        owner = _marker(store).get("run")
        state = f"now belongs to another run ({owner})" if owner else f"has lost its {MARKER}"
        raise DifferentJob(f"{store.url} {state}", "choose another output directory")


def empty_replaced(store: Store) -> None:
    """Delete what ``overwrite`` replaces, unless that was done. Must come before the first part is published."""
    marker = _marker(store)
    if marker.get("emptied", True):
        return
    store.delete(SUCCESS)  # for good, before the first part goes
    store.delete_many([name for name in _data(store) if _is_deletable(name)])  # for good, before the marker says so
    store.put(MARKER, json.dumps({**marker, "emptied": True}).encode())


def sweep_output(store: Store, run_id: str, epoch: int) -> None:
    """Delete attempts of this run's drivers before ``epoch``."""
    _delete_attempts(store, run_id, before=epoch)


def _delete_attempts(store: Store, run_id: str, before: int | None) -> None:
    labels = {name.split("/")[1] for name in store.list(ATTEMPTS)}
    for label in labels:
        run, _, rest = label.partition("-")
        epoch = rest.partition("-")[0]
        if run == run_id and epoch.isdecimal() and (before is None or int(epoch) < before):
            store.delete_tree(f"{ATTEMPTS}/{label}")
    if not store.list(ATTEMPTS):
        store.delete_tree(ATTEMPTS)


def _marker(store: Store) -> dict[str, Any]:
    if not store.exists(MARKER):
        return {}
    try:
        return dict(json.loads(store.get(MARKER)))
    except (ValueError, TypeError, RecursionError):
        return {"run": "unknown", "emptied": True}


def _data(store: Store) -> list[str]:
    """Names of what a person would call the directory's content."""
    names = (name for name in store.list() if not name.startswith(f"{ATTEMPTS}/"))
    return [name for name in names if name != MARKER and not name.rpartition("/")[2].startswith(".")]


def _check_deletable(store: Store, data: list[str], reads: Iterable[str]) -> None:
    foreign = [name for name in data if not _is_deletable(name)]
    if foreign:
        raise UsageError(
            f"{store.url} cannot be overwritten: it has files that no run wrote: {_some(foreign)}",
            "choose another output directory, or delete those files yourself",
        )
    inputs = [path for path in reads if data and (open_store(path).url + "/").startswith(store.url + "/")]
    if inputs:
        raise UsageError(f"the job reads {inputs[0]} and would overwrite it", "choose another output directory")


def _is_deletable(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.rpartition("/")[2], pattern) for pattern in _DELETABLE)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} {'file' if len(names) == 1 else 'files'} ({shown}{', ...' if len(names) > 3 else ''})"
