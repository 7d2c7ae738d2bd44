"""What every store must do; each test runs on each kind of store. To put another one to the test, add it to KINDS."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shardwise.errors import StorageError
from shardwise.storage import LocalStore, Store, digest, digest_file, move, open_store, remember

KINDS = ["local", "memory", "s3", "gcs", "azure", "hdfs"]
"""Kinds of stores; those after the second are fixtures, a place on a real server each."""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return LocalStore(str(tmp_path / "store"))
    if request.param == "memory":
        return open_store(f"memory://{uuid.uuid4().hex}/store")
    remote = request.getfixturevalue(request.param)
    remember(remote.url, remote.options)
    return open_store(remote.at("store"))


def test_put_replaces_and_get_gives_it_back(store: Store) -> None:
    store.put("a/b", b"old")
    store.put("a/b", b"new bytes")
    assert store.get("a/b") == b"new bytes"
    assert store.size("a/b") == 9
    assert store.exists("a/b")


def test_an_absent_file_is_none_false_or_an_error_with_its_name(store: Store) -> None:
    assert store.size("x/nothing") is None
    assert not store.exists("nothing")
    with pytest.raises(StorageError, match="nothing"):
        store.get("nothing")
    with pytest.raises(StorageError, match="nothing"):
        store.rename("nothing", "b")
    store.delete("nothing")
    store.delete_tree("nothing")
    assert store.list("nothing") == {}


def test_a_directory_is_not_a_file_nor_a_file_a_directory(store: Store) -> None:
    store.put("a/b", b"1")
    assert not store.exists("a")
    assert store.list("a/b") == {}
    assert store.list("a") == {"a/b": 1}


def test_a_file_that_is_written_can_be_read_after_closing(store: Store) -> None:
    with store.open_write("deep/er/file") as file:
        file.write(b"one ")
        file.write(b"two")
    assert store.get("deep/er/file") == b"one two"
    with store.open_read("deep/er/file") as first, store.open_read("deep/er/file") as second:
        assert first.read(3) == b"one"
        assert second.read() == b"one two"
    assert digest_file(store, "deep/er/file") == digest(b"one two")


def test_put_if_absent_keeps_the_first(store: Store) -> None:
    assert store.put_if_absent("n/0", b"first")
    assert not store.put_if_absent("n/0", b"second")
    assert store.get("n/0") == b"first"


def test_of_many_threads_one_puts(store: Store) -> None:
    barrier = threading.Barrier(8)
    won: list[int] = []

    def compete(me: int) -> None:
        barrier.wait()
        if store.put_if_absent("n/0", bytes([me]) * 1000):
            won.append(me)

    threads = [threading.Thread(target=compete, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("n/0") == bytes(won) * 1000


def test_rename_replaces(store: Store) -> None:
    store.put("a", b"a")
    store.put("x/b", b"b")
    store.rename("a", "x/b")
    assert store.get("x/b") == b"a"
    assert not store.exists("a")


def test_rename_many(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.put(f"a/{number}/x", b"%d" % number), range(24)))
    store.rename_many([(f"a/{number}/x", f"b/{number}") for number in range(24)])
    assert store.list("a") == {}
    assert store.get_many([f"b/{number}" for number in range(24)]) == [b"%d" % number for number in range(24)]
    with pytest.raises(StorageError, match="a/1/x"):
        store.rename_many([("b/1", "c/1"), ("a/1/x", "c/2")])
    store.rename_many([])


def test_list_is_sorted_with_sizes_and_only_below_the_directory(store: Store) -> None:
    for name in ("b/2", "b/1", "b/c/3", "bb/4", "5"):
        store.put(name, b"x" * len(name))
    assert list(store.list("b").items()) == [("b/1", 3), ("b/2", 3), ("b/c/3", 5)]
    assert list(store.list()) == ["5", "b/1", "b/2", "b/c/3", "bb/4"]


def test_delete_tree_takes_all_below_and_nothing_else(store: Store) -> None:
    for name in ("b/2", "b/c/3", "bb/4"):
        store.put(name, b"x")
    store.delete_tree("b")
    assert list(store.list()) == ["bb/4"]
    store.delete_tree("")
    assert store.list() == {}


def test_get_many_keeps_the_order(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.put(name, name.encode())
    assert store.get_many(["c", "a", "b"]) == [b"c", b"a", b"b"]
    assert store.get_many(["c"]) == [b"c"]
    assert store.get_many([]) == []


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/etc/passwd", "", "a//b", "./a", "a\0b", "s3://b/c"])
def test_names_cannot_leave_the_root(store: Store, name: str) -> None:
    calls = [lambda: store.put(name, b""), lambda: store.get(name), lambda: store.rename("a", name)]
    calls += [lambda: store.open_write(name), lambda: store.delete(name), lambda: store.put_if_absent(name, b"")]
    calls += [lambda: store.address(name), lambda: store.local_path(name)]
    for call in calls:
        with pytest.raises(StorageError):
            call()
    if name:
        with pytest.raises(StorageError):
            store.delete_tree(name)


def test_address_opens_the_same_file(store: Store) -> None:
    store.put("a/b", b"1")
    assert open_store(store.address("a")).get("b") == b"1"


def test_move_between_stores(store: Store, tmp_path: Path) -> None:
    other = LocalStore(str(tmp_path / "other"))
    store.put("a", b"data")
    move(store, other, [("a", "deep/b")])
    assert not store.exists("a")
    assert other.list() == {"deep/b": 4}
    move(other, store, [("deep/b", "back")])
    assert store.list() == {"back": 4}
