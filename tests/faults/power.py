"""Power cuts: the file operations of a real run are recorded, and any instant of them is rebuilt as a pessimist would
expect the disk to be after the power came back.

The model. A file's bytes are safe up to the last flush of the file; what was written since may be missing, of zeros,
garbage, or partly there. A name is safe once its directory was flushed; until then each change of a name has happened
or not, whatever order they were made in, except that changes of one name happen in their order, and that a rename is
one change. What was made in a directory whose own name did not survive is gone with it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shardwise.storage import disk


@dataclass(frozen=True, slots=True)
class Operation:
    """What was done: ``create``, ``write``, ``sync``, ``rename``, ``link``, ``unlink``, ``mkdir``, ``rmtree``,
    ``syncdir``, or ``promise``: from here on, somebody counts on what was ``said``."""

    kind: str
    path: Path
    other: Path | None = None
    file: int = 0
    data: bytes = b""
    said: Any = None


class Recorder:
    """Writes down what passes through ``storage.disk``, below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.operations: list[Operation] = []
        self._open: dict[int, int] = {}
        self._files = 0

    def promise(self, said: Any) -> None:
        """Note that somebody was told something that must stay true."""
        self.operations.append(Operation("promise", self.root, said=said))

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Record what happens in the block."""
        names = ("create", "write", "sync_file", "sync_directory", "rename", "link", "unlink", "make_directory")
        originals = {name: getattr(disk, name) for name in (*names, "remove_tree")}
        for name, original in originals.items():
            setattr(disk, name, getattr(self, f"_{name}")(original))
        try:
            yield self
        finally:
            for name, original in originals.items():
                setattr(disk, name, original)

    def _note(self, kind: str, path: Path, other: Path | None = None, file: int = 0, data: bytes = b"") -> None:
        if path.is_relative_to(self.root):
            self.operations.append(Operation(kind, path, other, file, data))

    def _create(self, original: Callable[..., int]) -> Callable[..., int]:
        def create(path: Path, *, exclusive: bool = False) -> int:
            descriptor = original(path, exclusive=exclusive)
            self._open.pop(descriptor, None)
            if Path(path).is_relative_to(self.root):
                self._files += 1
                self._open[descriptor] = self._files
                self._note("create", Path(path), file=self._files)
            return descriptor

        return create

    def _write(self, original: Callable[..., int]) -> Callable[..., int]:
        def write(descriptor: int, data: bytes | memoryview) -> int:
            count = original(descriptor, data)
            if file := self._open.get(descriptor):
                self._note("write", self.root, file=file, data=bytes(memoryview(data).cast("B")[:count]))
            return count

        return write

    def _sync_file(self, original: Callable[..., None]) -> Callable[..., None]:
        def sync_file(descriptor: int) -> None:
            original(descriptor)
            if file := self._open.get(descriptor):
                self._note("sync", self.root, file=file)

        return sync_file

    def _on_path(self, kind: str, original: Callable[..., None]) -> Callable[..., None]:
        def changed(path: Path) -> None:
            original(path)
            self._note(kind, Path(path))

        return changed

    def _sync_directory(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._on_path("syncdir", original)

    def _unlink(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._on_path("unlink", original)

    def _make_directory(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._on_path("mkdir", original)

    def _remove_tree(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._on_path("rmtree", original)

    def _on_pair(self, kind: str, original: Callable[..., None]) -> Callable[..., None]:
        def changed(old: Path, new: Path) -> None:
            original(old, new)
            self._note(kind, Path(old), Path(new))

        return changed

    def _rename(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._on_pair("rename", original)

    def _link(self, original: Callable[..., None]) -> Callable[..., None]:
        return self._on_pair("link", original)


DIRECTORY = -1


@dataclass(slots=True)
class _Change:
    """A change of names that is not safe yet: path to file (None: the name goes), in the directories it concerns."""

    entries: dict[Path, int | None]
    unsafe: set[Path] = field(default_factory=set)  # directories that were not flushed since


class Disk:
    """What a disk holds for sure, and what it may hold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.safe: dict[Path, int] = {root: DIRECTORY}
        self.changes: list[_Change] = []
        self.now: dict[Path, int] = {root: DIRECTORY}
        self.bytes: dict[int, bytearray] = {}
        self.flushed: dict[int, int] = {}
        self.promises: list[Any] = []

    def put(self, path: Path) -> None:
        """Something that was there, safe, before the recording began."""
        file = DIRECTORY if path.is_dir() else -2 - len(self.bytes)
        if file != DIRECTORY:
            self.bytes[file] = bytearray(path.read_bytes())
            self.flushed[file] = len(self.bytes[file])
        self.safe[path] = self.now[path] = file

    def take(self, op: Operation) -> None:
        """One more operation."""
        match op.kind:
            case "promise":
                self.promises.append(op.said)
            case "create":
                self.bytes[op.file], self.flushed[op.file] = bytearray(), 0
                self._change({op.path: op.file})
            case "write":
                self.bytes[op.file] += op.data
            case "sync":
                self.flushed[op.file] = len(self.bytes[op.file])
            case "mkdir":
                self._change({op.path: DIRECTORY})
            case "rename":
                assert op.other is not None
                self._change({op.path: None, op.other: self.now[op.path]})
            case "link":
                assert op.other is not None
                self._change({op.other: self.now[op.path]})
            case "unlink":
                self._change({op.path: None} if op.path in self.now else {})
            case "rmtree":
                for path in [path for path in self.now if path.is_relative_to(op.path)]:
                    self._change({path: None})
            case "syncdir":
                self._sync_directory(op.path)

    def _change(self, entries: dict[Path, int | None]) -> None:
        for path, file in list(entries.items()):
            for parent in path.parents:  # made by others, who do not flush
                if parent == self.root or parent in self.now or not parent.is_relative_to(self.root):
                    break
                self._change({parent: DIRECTORY})
            if file is None:
                self.now.pop(path, None)
            else:
                self.now[path] = file
        if entries:
            self.changes.append(_Change(entries, {path.parent for path in entries}))

    def _sync_directory(self, directory: Path) -> None:
        """All changes in it are safe. Of a rename from elsewhere the new name is; the old one may come back."""
        left = []
        for change in self.changes:
            if directory in change.unsafe:
                change.unsafe.discard(directory)
                both = not any(path.parent == directory and file is None for path, file in change.entries.items())
                for path in list(change.entries):
                    if path.parent == directory or not both:
                        for older in left:  # changes of one name happen in their order
                            older.entries.pop(path, None)
                        self._settle(path, change.entries.pop(path))
            if change.entries:
                left.append(change)
        self.changes = left

    def _settle(self, path: Path, file: int | None) -> None:
        if file is None:
            self.safe.pop(path, None)
        else:
            self.safe[path] = file

    def after_power_cut(self, chance: random.Random) -> dict[Path, bytes | None]:
        """One of the disks that may be found: bytes by path, None for directories."""
        names = dict(self.safe)
        skipped: set[Path] = set()
        keen = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        for change in self.changes:
            if chance.random() >= keen or skipped & change.entries.keys():
                skipped |= change.entries.keys()
                continue
            for path, file in change.entries.items():
                if file is None:
                    names.pop(path, None)
                else:
                    names[path] = file
        torn: dict[int, bytes] = {}
        found: dict[Path, bytes | None] = {}
        for path in sorted(names):
            if path != self.root and found.get(path.parent, b"") is not None and path.parent != self.root:
                continue  # its directory is not there
            file = names[path]
            if file != DIRECTORY and file not in torn:
                torn[file] = self._torn(file, chance)
            found[path] = None if file == DIRECTORY else torn[file]
        return found

    def _torn(self, file: int, chance: random.Random) -> bytes:
        whole, flushed = bytes(self.bytes[file]), self.flushed[file]
        fresh = whole[flushed:]
        if not fresh:
            return whole
        kept = chance.randrange(len(fresh) + 1)
        rest = chance.choice([b"", bytes(len(fresh) - kept), chance.randbytes(len(fresh) - kept)])
        return whole[:flushed] + chance.choice([b"", fresh[:kept] + rest, bytes(len(fresh)), fresh])


def lay_out(found: dict[Path, bytes | None], root: Path) -> None:
    """Put a disk in place of what is there."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for path, data in found.items():
        if data is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(data)


def states(operations: list[Operation], model: Disk, count: int, chance: random.Random) -> Iterator[tuple[int, Disk]]:
    """Instants of a recording, as evenly as they go: how many operations were done, and the disk then."""
    every = range(len(operations) + 1)
    rounds, more = divmod(count, len(every))
    places = sorted([*(place for place in every for _ in range(rounds)), *chance.sample(every, more)])
    done = 0
    for place in places:
        while done < place:
            model.take(operations[done])
            done += 1
        yield place, model
