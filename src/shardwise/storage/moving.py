"""Moving files, also from one store to another."""

from __future__ import annotations

import shutil

from shardwise.storage.store import Store

_CHUNK = 1 << 20


def move(source: Store, target: Store, pairs: list[tuple[str, str]]) -> None:
    """Move files so that no new name is ever seen in part. Between stores they are copied; the source goes last."""
    if source.url == target.url:
        target.rename_many(pairs)
        return
    for old, new in pairs:
        partial = f"{new}.tmp"
        with source.open_read(old) as reader, target.open_write(partial) as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)
        target.rename(partial, new)
        source.delete(old)
