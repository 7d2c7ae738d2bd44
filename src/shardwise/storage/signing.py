"""Signed pickles: HMAC-SHA256 (RFC 2104) with a key that the user alone can read.

Loading a pickle runs code. A result that cannot be stored as Arrow is loaded only if its signature says that it was
written with this user's key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from shardwise.errors import StorageError
from shardwise.storage.local import LocalStore
from shardwise.storage.places import cache_directory

_MAGIC = b"shardwise-signed-1\n"
_MAC = 32


def user_key(directory: Path | None = None) -> bytes:
    """The user's key of 32 bytes, made on first use.

    Parameters
    ----------
    directory : Path, optional
        Where its file ``key`` lies; the user's cache unless given.

    Raises
    ------
    StorageError
        The file belongs to another user, others may read or write it, or it is damaged.
    """
    place = directory or cache_directory()
    path = place / "key"
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_key(place)
    found = path.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise StorageError(f"{path} can be read by others", f"delete {path}; results signed with it are made again")
    key = path.read_bytes()
    if len(key) != _MAC:
        raise StorageError(f"{path} has {len(key)} bytes where a key has {_MAC}", f"delete {path}")
    return key


def _make_key(place: Path) -> None:
    """Write a new key; of several processes that try, one wins and all use its key."""
    before = os.umask(0o077)
    try:
        LocalStore(str(place)).put_if_absent("key", secrets.token_bytes(_MAC))
    finally:
        os.umask(before)


def sign(data: bytes, key: bytes | None = None) -> bytes:
    """Return ``data`` with a signature before it.

    Examples
    --------
    >>> verify(sign(b"data", key=b"k" * 32), key=b"k" * 32)
    b'data'
    """
    return _MAGIC + hmac.digest(key or user_key(), data, hashlib.sha256) + data


def verify(signed: bytes, key: bytes | None = None) -> bytes:
    """Return the data of what ``sign`` gave.

    Raises
    ------
    StorageError
        It was not signed with this key, or was changed since.
    """
    start = len(_MAGIC) + _MAC
    data = signed[start:]
    expected = hmac.digest(key or user_key(), data, hashlib.sha256)
    if not signed.startswith(_MAGIC) or not hmac.compare_digest(signed[len(_MAGIC) : start], expected):
        raise StorageError(
            "a pickled result was not signed with your key, so that loading it could run somebody else's code",
            "run the job again with --restart",
        )
    return data
