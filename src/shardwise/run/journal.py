"""Numbered segments of lines. Whoever puts a number first owns it; a driver that loses one is not the driver any more.

A segment is a file ``journal/00000007.jsonl``: a line with the digest of all that follows, a line that says which
segment it is and who wrote it, then one JSON object per line::

    {"digest":"9fd1..."}
    {"segment":7,"nonce":"5c0e...","pid":4711,"host":"box","since":"2031-05-04 10:11:12"}
    {"kind":"committed","at":1935655872.1,"data":{...}}

A segment that is short, of zeros, of anything but what was put, or missing, is damaged: it does not count. A power cut
leaves such a last segment, whose commits nobody was told of; anywhere else it is loss. Its number is never used again,
so that a driver that still believes in it finds the next one taken; a ``damaged`` line in a later segment says that the
loss was dealt with.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shardwise.errors import InDoubt, RunIsTaken, StorageError
from shardwise.storage import Store, digest

FIRST = "journal/00000000.jsonl"
"""A directory is a run directory if it has this file."""

DAMAGED = "damaged"
"""Kind of the line that says which segments are damaged, and that their loss was dealt with."""

_NAME = re.compile(r"journal/(\d{8})\.jsonl")
_MOST_MISSING = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal: what kind of thing happened, when (seconds since 1970), and what is to be said of it."""

    kind: str
    at: float
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Damage:
    """A segment that is not what was put. ``size`` is None where it is missing; ``named``: commits that it named."""

    number: int
    last: bool
    size: int | None
    named: tuple[str, ...]

    def __str__(self) -> str:
        state = "is missing" if self.size is None else f"is damaged ({self.size} bytes)"
        named = f"; it named {', '.join(self.named[:5])}{', ...' if len(self.named) > 5 else ''}" if self.named else ""
        return f"{_name(self.number)} {state}{named}"


def who() -> dict[str, Any]:
    """Who this driver is, in words for another one."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}


class Journal:
    """The segments of one run directory. Reading it does not change it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._me = {"nonce": secrets.token_hex(8), **who()}
        self.next = 0
        self.damaged: list[Damage] = []

    def load(self) -> list[Line]:
        """Read the lines of all segments that are whole, and remember which number is the next.

        ``damaged`` then lists those that are not, unless a later line says that it is known.

        Raises
        ------
        StorageError
            Too many segments are missing for this to be a journal.
        """
        names = {int(found[1]): name for name in self._store.list("journal") if (found := _NAME.fullmatch(name))}
        self.next = max(names, default=-1) + 1
        if self.next - len(names) > _MOST_MISSING:
            raise self._broken(f"{self.next - len(names)} of {self.next} segments are missing")
        data = dict(zip(names, self._store.get_many(list(names.values())), strict=True))
        segments = {number: _parse(number, found) for number, found in data.items()}
        lines = [line for number in sorted(segments) for line in segments[number] or ()]
        known = {number for line in lines if line.kind == DAMAGED for number in line.data["segments"]}
        lost = (n for n in range(self.next) if segments.get(n) is None and n not in known)
        self.damaged = [Damage(n, n == self.next - 1, *_remains(data.get(n))) for n in lost]
        return lines

    def check_not_taken(self) -> None:
        """Raise RunIsTaken if another driver has put the next number."""
        if self._store.exists(_name(self.next)):
            raise self._taken(_name(self.next))

    def append(self, lines: Iterable[Line]) -> None:
        """Put the next segment.

        Raises
        ------
        RunIsTaken
            Another driver has put this number.
        """
        header = json.dumps({"segment": self.next, **self._me}, separators=(",", ":"))
        body = "\n".join([header, *(_dump(line) for line in lines), ""]).encode()
        data = f'{{"digest":"{digest(body)}"}}\n'.encode() + body
        name = _name(self.next)
        try:
            won = self._store.put_if_absent(name, data)
        except StorageError as error:
            raise self._doubt(name, data, error) from error
        # A put whose reply was lost may be refused although it was done: then the bytes, with our nonce, are ours.
        if not won and self._store.get(name) != data:
            raise self._taken(name)
        self.next += 1

    def _doubt(self, name: str, data: bytes, error: StorageError) -> StorageError:
        """What a put that failed means: nothing, unless the segment is there nevertheless. Another driver's: this one
        was too late, and may have failed because that one has tidied up. Our own: whether it would outlive a power cut
        cannot be known then, so that its commits can neither be counted on nor be made again."""
        with contextlib.suppress(StorageError):
            if not self._store.exists(name):
                return error
            if self._store.get(name) != data:
                return self._taken(name)
        return InDoubt(f"{error.message}: whether the commits of {name} stand is not known", error.fix)

    def _taken(self, name: str) -> RunIsTaken:
        try:
            header = json.loads(self._store.get(name).split(b"\n", 2)[1])
        except (ValueError, IndexError):
            header = {}
        return RunIsTaken(
            f"another driver ({describe(header)}) has taken over the run in {self._store.url}; this one stops",
            "let the other one finish, or stop it and run the same command again",
        )

    def _broken(self, what: str) -> StorageError:
        return StorageError(
            f"the journal of {self._store.url} is broken: {what}",
            "restore the directory from a backup, or begin anew with --restart",
        )


def describe(driver: dict[str, Any]) -> str:
    """Who a driver is, from what ``who`` said: ``process 4711 on box, since ...``."""
    if "pid" not in driver:
        return "of unknown process"
    return f"process {driver['pid']} on {driver.get('host', '?')}, since {driver.get('since', '?')}"


def _name(number: int) -> str:
    return f"journal/{number:08d}.jsonl"


def _dump(line: Line) -> str:
    return json.dumps({"kind": line.kind, "at": line.at, "data": line.data}, ensure_ascii=False, separators=(",", ":"))


def _parse(number: int, data: bytes) -> list[Line] | None:
    """The lines of a segment, or None where it is not what was put."""
    first, _, body = data.partition(b"\n")
    if first != f'{{"digest":"{digest(body)}"}}'.encode():
        return None
    try:
        header, *rest = body.splitlines()
        if json.loads(header)["segment"] != number:
            return None
        return [Line(**json.loads(line)) for line in rest]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _remains(data: bytes | None) -> tuple[int | None, tuple[str, ...]]:
    """Bytes of a damaged segment, and the commits that can still be made out in it, in words."""
    if data is None:
        return None, ()
    named = []
    for line in data.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            commit = json.loads(line)["data"]["commit"]
            named.append(f"{commit['stage']} {commit['first']}-{commit['last']}")
    return len(data), tuple(named)
