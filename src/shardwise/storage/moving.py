"""Moving a file, also from one store to another."""

from __future__ import annotations

import shutil

from shardwise.storage.store import Store

_CHUNK = 1 << 20


def move(source: Store, old: str, target: Store, new: str) -> None:
    """Move a file so that ``new`` is never seen in part. Between stores it is copied; the source goes last."""
    if source.url == target.url:
        target.rename(old, new)
        return
    partial = f"{new}.tmp"
    with source.open_read(old) as reader, target.open_write(partial) as writer:
        shutil.copyfileobj(reader, writer, _CHUNK)
    target.rename(partial, new)
    source.delete(old)
