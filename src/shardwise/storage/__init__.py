"""Put, put if absent, rename, digest: all that the rest asks of a disk or an object store."""

from __future__ import annotations

from shardwise.storage.access import Trusted, entrusted, remember
from shardwise.storage.digests import DigestWriter, digest, digest_file
from shardwise.storage.local import LocalStore
from shardwise.storage.moving import move
from shardwise.storage.opening import open_store
from shardwise.storage.store import Store

__all__ = [
    "DigestWriter",
    "LocalStore",
    "Store",
    "Trusted",
    "digest",
    "digest_file",
    "entrusted",
    "move",
    "open_store",
    "remember",
]
