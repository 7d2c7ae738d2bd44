"""What a person gives for a source, made into a list of files: paths, globs, directories, URLs, or a list of those."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from shardwise.errors import InputError, ShardwiseError, StorageError, UsageError
from shardwise.storage.file_systems import file_system, url_of

PathLike = str | os.PathLike[str]
Options = dict[str, Any]

COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*(::|://)")
_MAGIC = re.compile(r"[*?\[]")
_SHOWN = 5
_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
"""What file systems call the time of the last change."""

_CHANGED_MS = ("modification_time", "modificationTime")
"""What HDFS calls it: milliseconds."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as it was when the source was made.

    Parameters
    ----------
    url : str
        Absolute local path, or URL.
    size : int
        Bytes as stored.
    mtime_ns : int or None
        Time of last modification, where the store knows it.
    etag : str or None
        The store's own mark of the content, where it has one.
    """

    url: str
    size: int
    mtime_ns: int | None = None
    etag: str | None = None


def is_url(path: PathLike) -> bool:
    """Whether ``path`` names something that fsspec opens rather than a local file.

    Examples
    --------
    >>> is_url("s3://bucket/a.csv"), is_url("data/a.csv"), is_url("file:///data/a.csv")
    (True, False, False)
    """
    text = os.fspath(path)
    return _URL.match(text) is not None and not text.startswith("file://")


def expand(
    paths: PathLike | Iterable[PathLike], suffixes: Sequence[str], storage_options: Options | None = None
) -> list[FileInfo]:
    """List the files that ``paths`` stand for, each once.

    A list keeps its order; what a glob or a directory holds is sorted by name. A directory gives its files, at any
    depth, whose names end with one of ``suffixes`` (with or without a compression suffix). Names that start with ``.``
    or ``_`` are skipped in directories and globs, as Spark and Arrow do.

    Parameters
    ----------
    paths : path, glob, directory, URL, or list of those
        ``~`` and ``**`` are understood.
    suffixes : sequence of str
        What the format's files end with, such as ``(".csv",)``.
    storage_options : dict, optional
        Options of the fsspec file system, for URLs.

    Raises
    ------
    InputError
        Nothing matches; the message says what was looked for and what is there.
    UsageError
        No path was given.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not given:
        raise UsageError("no input path was given.", "give at least one file, directory, glob or URL")
    found: dict[str, FileInfo] = {}
    for path in given:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise UsageError(f"{path!r} is not a path.", "give file paths, globs, directories or URLs as text")
        files = _remote(os.fspath(path), suffixes, storage_options or {}) if is_url(path) else _local(path, suffixes)
        for file in files:
            found.setdefault(file.url, file)
    return list(found.values())


def open_file(url: str, storage_options: Options | None = None) -> BinaryIO:
    """Open a file that ``expand`` listed, for reading bytes.

    Raises
    ------
    InputError
        It is no longer there, or may not be read.
    """
    try:
        if not is_url(url):
            return open(url, "rb")
        system, path = file_system(url, storage_options)
        return cast(BinaryIO, system.open(path, "rb"))
    except ShardwiseError:
        raise
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            f"{url}: the file is no longer there.", "put it back, or run again on what is there"
        ) from error
    except PermissionError as error:
        raise InputError(f"{url}: permission to read it is refused.", "change its permissions") from error
    except Exception as error:  # no connection, no credentials: not all libraries make OSErrors of them
        raise StorageError(f"{url}: cannot be opened: {_gist(error)}.", "see that the store can be reached") from error


def file_identity(file: FileInfo) -> dict[str, Any]:
    """What changes when the file does, as JSON."""
    mark = {"etag": file.etag} if file.etag is not None else {"mtime_ns": file.mtime_ns}
    return {"path": file.url, "size": file.size, **mark}


def _skipped(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _wanted(name: str, suffixes: Sequence[str]) -> bool:
    name = name.lower()
    for packed in COMPRESSED_SUFFIXES:
        name = name.removesuffix(packed)
    return name.endswith(tuple(suffixes))


def _hidden_in_glob(path: str, pattern: str) -> bool:
    """Whether wildcards, rather than the person, chose a name that starts with ``.`` or ``_``."""
    asked = set(pattern.split("/"))
    explicit = any(part.startswith((".", "_")) and _MAGIC.search(part) for part in asked)
    return not explicit and _skipped(part for part in path.split("/") if part not in asked)


def _listing(names: Iterable[str]) -> str:
    names = sorted(names, key=lambda name: (_skipped([name]), name))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "nothing"


# --- local files


def _local(path: PathLike, suffixes: Sequence[str]) -> list[FileInfo]:
    text = os.fspath(path).removeprefix("file://")
    full = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100  (resolve() would follow links)
    if full.is_dir():
        return _local_directory(full, suffixes)
    if full.exists():
        return [_stat(full)]
    if not _MAGIC.search(str(full)):
        raise InputError(f"{text}: there is no such file; {_what_is_there(full)}.", "correct the path")
    found = glob.glob(str(full), recursive=True)  # noqa: PTH207  (Path.glob does not take absolute patterns)
    matches = [Path(match) for match in found if not _hidden_in_glob(match, str(full))]
    files = [_stat(match) for match in matches if match.is_file()]
    if "**" not in str(full):
        files += [file for match in matches if match.is_dir() for file in _directory_files(match, suffixes)]
    if not files:
        raise InputError(f"{text}: no file matches; {_what_is_there(full)}.", "correct the pattern")
    return sorted(files, key=lambda file: file.url)


def _local_directory(directory: Path, suffixes: Sequence[str]) -> list[FileInfo]:
    files = sorted(_directory_files(directory, suffixes), key=lambda file: file.url)
    if not files:
        raise InputError(
            f"{directory}: the directory has no file that ends with {' or '.join(suffixes)}; "
            f"it holds {_listing(entry.name for entry in directory.iterdir())}.",
            f"give the directory that holds the files, or a glob such as '{directory}/*'",
        )
    return files


def _directory_files(directory: Path, suffixes: Sequence[str]) -> Iterator[FileInfo]:
    for root, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if not _skipped([name])]
        for name in names:
            if not _skipped([name]) and _wanted(name, suffixes):
                yield _stat(Path(root, name))


def _stat(path: Path) -> FileInfo:
    status = path.stat()
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file.", "copy what it gives into a file first")
    return FileInfo(str(path), status.st_size, status.st_mtime_ns)


def _what_is_there(full: Path) -> str:
    """Name the nearest directory that exists, and some of what it holds."""
    parent = full.parent
    while _MAGIC.search(str(parent)) or not parent.is_dir():
        parent = parent.parent
    try:
        return f"{parent} holds {_listing(entry.name for entry in parent.iterdir())}"
    except OSError as error:
        return f"{parent} cannot be listed: {error.strerror}"


# --- files behind fsspec


def _remote(url: str, suffixes: Sequence[str], options: Options) -> list[FileInfo]:
    system, path = file_system(url, options)
    try:
        found = _remote_look(system, path)
        if found is not None and found["type"] == "file":
            return [_remote_info(system, url, found)]
        if found is not None:
            under = path.rstrip("/")
            details = [
                info
                for name, info in system.find(under, detail=True).items()
                if not _skipped(name[len(under) :].split("/")) and _wanted(name, suffixes)
            ]
        elif _MAGIC.search(path):
            details = [
                info
                for name, info in system.glob(path, detail=True).items()
                if info.get("type") == "file" and not _hidden_in_glob(name, path)
            ]
        else:
            details = []
        there = "" if details else _remote_there(system, path)
    except Exception as error:
        raise StorageError(f"{url}: cannot be listed: {_gist(error)}.", "see that the store can be reached") from error
    if not details:
        raise InputError(
            f"{url}: no file matches ({' or '.join(suffixes)} in a directory); {there}.", "correct the URL"
        )
    return sorted((_remote_info(system, url, info) for info in details), key=lambda file: file.url)


def _remote_look(system: Any, path: str) -> dict[str, Any] | None:
    """What there is at a path. ``isfile`` and ``isdir`` of fsspec say False where they were not let in."""
    try:
        return dict(system.info(path))
    except FileNotFoundError:
        return None


def _gist(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _remote_info(system: Any, asked: str, info: dict[str, Any]) -> FileInfo:
    url = url_of(system, asked, str(info["name"]))
    etag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    changed = next((info[k] for k in _CHANGED if k in info), None)
    milliseconds = next((int(info[k]) for k in _CHANGED_MS if k in info), None)
    moment = _nanoseconds(changed) if milliseconds is None else milliseconds * 1_000_000
    return FileInfo(url, int(info["size"] or 0), moment, str(etag) if etag else None)


def _nanoseconds(moment: Any) -> int | None:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    return round(moment * 1_000_000) * 1000 if isinstance(moment, (int, float)) else None


def _remote_there(system: Any, path: str) -> str:
    parent = path.rstrip("/")
    while parent and (_MAGIC.search(parent) or not system.isdir(parent)):
        parent = parent.rpartition("/")[0]
    try:
        names = [str(name).rstrip("/").rpartition("/")[2] for name in system.ls(parent, detail=False)]
    except (OSError, ValueError):
        return "its place cannot be listed"
    return f"{parent or 'the root'} holds {_listing(names)}"
