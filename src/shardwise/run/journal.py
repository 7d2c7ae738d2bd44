"""Numbered segments of lines. Whoever puts a number first owns it; a driver that loses one is not the driver any more.

A segment is a file ``journal/00000007.jsonl``: a line with the digest of all that follows, a line that says which
segment it is and who wrote it, then one JSON object per line::

    {"digest":"9fd1..."}
    {"segment":7,"nonce":"5c0e...","pid":4711,"host":"box","since":"2031-05-04 10:11:12"}
    {"kind":"commit","at":1935655872.1,"data":{...}}
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shardwise.errors import RunIsTaken, StorageError
from shardwise.storage import Store, digest

FIRST = "journal/00000000.jsonl"
"""A directory is a run directory if it has this file."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal: what kind of thing happened, when (seconds since 1970), and what is to be said of it."""

    kind: str
    at: float
    data: dict[str, Any]


def who() -> dict[str, Any]:
    """Who this driver is, in words for another one."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}


class Journal:
    """The segments of one run directory. Reading it does not change it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._me = {"nonce": secrets.token_hex(8), **who()}
        self.next = 0
        self.damaged: str | None = None

    def load(self) -> list[Line]:
        """Read all lines, and remember which number is the next.

        A damaged last segment is left out, as if it had never been put; its name is in ``damaged``.

        Raises
        ------
        StorageError
            A segment in the middle is damaged or missing.
        """
        found = self._store.list("journal")
        names = [name for name in found if name.endswith(".jsonl")]
        lines: list[Line] = []
        self.damaged = None
        self.next = len(names)
        for number, (name, data) in enumerate(zip(names, self._store.get_many(names), strict=True)):
            if name != _name(number):
                raise self._broken(f"{_name(number)} is missing, though {name} is there")
            segment = _parse(number, data)
            if segment is not None:
                lines += segment
            elif number == len(names) - 1:
                self.damaged, self.next = name, number
            else:
                raise self._broken(f"{name} is damaged ({len(data)} bytes)")
        return lines

    def set_aside_damaged(self) -> None:
        """Move a damaged last segment out of the way, so that its number can be used. For the driver only."""
        if self.damaged is not None:
            self._store.rename(self.damaged, f"damaged/{self.damaged.rpartition('/')[2]}-{self._me['nonce']}")
            self.damaged = None

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
        # A put whose reply was lost may be refused although it was done: then the bytes, with our nonce, are ours.
        if not self._store.put_if_absent(name, data) and self._store.get(name) != data:
            raise self._taken(name)
        self.next += 1

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
            "restore the file from a backup, or begin anew with --restart after deleting the directory",
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
    header, *rest = body.splitlines()
    if json.loads(header)["segment"] != number:
        return None
    return [Line(**json.loads(line)) for line in rest]
