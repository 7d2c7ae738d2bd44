from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shardwise.errors import StorageError
from shardwise.storage import DigestWriter, LocalStore, digest
from shardwise.storage.places import cache_directory
from shardwise.storage.signing import sign, user_key, verify


def test_digest_is_blake2b_of_twenty_bytes() -> None:
    assert digest(b"abc") == hashlib.blake2b(b"abc", digest_size=20).hexdigest()


def test_digest_writer_counts_what_arrow_writes(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    writer = DigestWriter(store.open_write("t.parquet"))
    pq.write_table(pa.table({"a": list(range(1000))}), writer)
    writer.close()
    data = store.get("t.parquet")
    assert (writer.size, writer.digest) == (len(data), digest(data))


def test_digest_writer_counts_bytes_of_wide_views(tmp_path: Path) -> None:
    with DigestWriter(LocalStore(str(tmp_path)).open_write("f")) as writer:
        assert writer.write(memoryview(b"12345678").cast("q")) == 8
    assert writer.size == 8


def test_a_signature_holds_for_its_data_and_key_only() -> None:
    key = b"k" * 32
    signed = sign(b"some pickle", key)
    assert verify(signed, key) == b"some pickle"
    for damaged in (signed[:-1] + b"x", b"x" + signed, signed[:30], b"", b"some pickle"):
        with pytest.raises(StorageError, match="not signed with your key"):
            verify(damaged, key)
    with pytest.raises(StorageError):
        verify(signed, b"l" * 32)


def test_the_key_is_made_once_for_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "c"))
    assert user_key() == user_key()
    assert verify(sign(b"x")) == b"x"
    file = tmp_path / "c" / "key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(StorageError, match="read by others"):
        user_key()


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("SHARDWISE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x/cache")
    assert cache_directory() == Path("/x/cache/shardwise")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == Path.home() / ".cache" / "shardwise"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_directory() == Path.home() / "Library" / "Caches" / "shardwise"
    monkeypatch.setenv("SHARDWISE_CACHE", "/elsewhere")
    assert cache_directory() == Path("/elsewhere")
