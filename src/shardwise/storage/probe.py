"""Whether a store keeps its word: of many that create the same file at the same time, exactly one is told so.

Documentation does not settle that, and neither does one writer after another: some servers look first and create then,
some do not know the condition and ignore it, some clients leave it out where a file is small. So before a store holds
a run, several threads of several processes create the same files, in rounds, small ones and larger ones.
"""

from __future__ import annotations

import json
import os
import pickle
import secrets
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from shardwise.errors import ShardwiseError, StorageError, UsageError
from shardwise.storage.naming import PROBE, PROBES

if TYPE_CHECKING:
    from shardwise.storage.remote import FsspecStore

SIZES = (16, 70_000, 16)
"""Bytes that are put in each round: as few, and as many, as a segment of a journal has."""

THREADS = 4
"""Writers of a process. There are two processes: this one, and one that is started for it."""

_PASSED: set[object] = set()
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Round:
    """What writers were told: those that they had created the file; how many asked; what was wrong besides."""

    winners: tuple[int, ...]
    writers: int
    wrong: str = ""


def require_exclusive(store: FsspecStore) -> None:
    """Probe the service that keeps a store: once a process, and once for a directory, which keeps the result.

    Raises
    ------
    StorageError
        It fails the probe, or cannot be asked; the message has the numbers.
    """
    with _ONE_AT_A_TIME:
        if store.service in _PASSED or _has_passed(store):
            return
        rounds = probe(store)
        worst = max(rounds, key=lambda each: len(each.winners))
        if len(worst.winners) > 1:
            often = sum(len(each.winners) > 1 for each in rounds)
            raise store.not_exclusive(
                f"{len(worst.winners)} of {worst.writers} writers were told that they had created the same file "
                f"(in {often} of {len(rounds)} rounds more than one was)"
            )
        wrong = next((each.wrong for each in rounds if each.wrong), "")
        if wrong:
            raise store.not_exclusive(wrong)
        _PASSED.add(store.service)
        result = {"url": store.url, "writers": worst.writers, "rounds": len(rounds), "most_winners": len(worst.winners)}
        store.put(PROBE, json.dumps(result).encode())


def _has_passed(store: FsspecStore) -> bool:
    """Whether this very directory says so: a copy of another one proves nothing."""
    if not store.exists(PROBE):
        return False
    try:
        return bool(json.loads(store.get(PROBE))["url"] == store.url)
    except (ValueError, TypeError, KeyError):
        return False


def probe(store: FsspecStore) -> list[Round]:
    """Let writers meet, and delete what they wrote."""
    place = f"{PROBES}/{secrets.token_hex(8)}"
    names = [f"{place}/{number}" for number in range(len(SIZES))]
    store.create(f"{place}/alone", b"")  # refused where there is no such request, before a process is started for it
    try:
        with _start(store) as helper:
            try:
                return [_round(store, helper, name, size) for name, size in zip(names, SIZES, strict=True)]
            finally:
                helper.kill()
    finally:
        store.delete_tree(place)


def compete(store: FsspecStore, name: str, size: int, first: int, start: threading.Barrier) -> list[bool | None]:
    """What writers ``first`` and following of this process were told; None: the store gave no answer."""
    told: list[bool | None] = [None] * THREADS

    def write(number: int) -> None:
        start.wait()
        try:
            told[number] = store.create(name, body(first + number, size))
        except ShardwiseError:
            told[number] = None

    writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(THREADS)]
    for writer in writers:
        writer.start()
    start.wait()
    for writer in writers:
        writer.join()
    return told


def body(writer: int, size: int) -> bytes:
    """What a writer puts: so many bytes that nobody else puts."""
    return bytes([writer + 1]) * size


def _start(store: FsspecStore) -> subprocess.Popen[bytes]:
    try:
        where = pickle.dumps((store.url, store.options))
    except Exception as cause:
        raise UsageError(
            f"the storage_options of {store.url} cannot be sent to another process: {cause}",
            "give names and keys in them instead of objects, or let the environment provide the credentials",
        ) from cause
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "shardwise.storage.probe_writer"]
    helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    cast(IO[bytes], helper.stdin).write(where)
    return helper


def _round(store: FsspecStore, helper: subprocess.Popen[bytes], name: str, size: int) -> Round:
    asked, answered = cast(IO[bytes], helper.stdin), cast(IO[bytes], helper.stdout)
    _say(asked, (name, size))
    _hear(answered, store)  # its threads are at their start
    start = threading.Barrier(THREADS + 1, action=lambda: _say(asked, "go"))
    told = compete(store, name, size, 0, start)
    told += cast(list[bool | None], _hear(answered, store))
    winners = tuple(number for number, won in enumerate(told) if won)
    if told.count(None) == len(told):
        raise StorageError(
            f"{store.url} did not answer any of {len(told)} writers", "mend that, then run the same command again"
        )
    return Round(winners, len(told), _wrong(store, name, size, winners))


def _wrong(store: FsspecStore, name: str, size: int, winners: tuple[int, ...]) -> str:
    """What is not as it should be afterwards. Where nobody was told, a lost answer may be the reason: then the file is
    there, and a journal knows its own by what it holds."""
    if store.create(name, b"late"):
        return "it replaced a file that it was asked to create only if absent"
    bodies = [body(number, size) for number in winners or range(2 * THREADS)]
    return "" if store.get(name) in bodies else "a file does not hold what the writer put that created it"


def _say(pipe: IO[bytes], what: object) -> None:
    pickle.dump(what, pipe)
    pipe.flush()


def _hear(pipe: IO[bytes], store: FsspecStore) -> object:
    try:
        return pickle.load(pipe)
    except EOFError as cause:
        raise StorageError(
            f"{store.url} could not be probed: the process that should have written there ended",
            "see what it said on standard error",
        ) from cause
