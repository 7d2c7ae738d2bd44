"""What every store must do; each test runs on each kind of store."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

import shardwise.errors
from shardwise.errors import ShardwiseError, StorageError, UsageError
from shardwise.storage import FsspecStore, LocalStore, Store, digest, digest_file, move, open_store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return LocalStore(str(tmp_path / "store"))
    return FsspecStore(f"memory://{uuid.uuid4().hex}/store")


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


def test_a_directory_is_not_a_file(store: Store) -> None:
    store.put("a/b", b"1")
    assert not store.exists("a")


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


def test_threads_take_turns_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec looks and then creates: two threads that both have looked would both create."""
    store = FsspecStore(f"memory://{uuid.uuid4().hex}")
    looked = threading.Barrier(2)
    exists = type(store._system).exists

    def meet(self: object, path: str) -> bool:
        found = bool(exists(self, path))
        with contextlib.suppress(threading.BrokenBarrierError):
            looked.wait(0.2)
        return found

    monkeypatch.setattr(type(store._system), "exists", meet)
    won: list[bool] = []
    threads = [threading.Thread(target=lambda: won.append(store.put_if_absent("a", b"1"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False, True]


def test_rename_replaces(store: Store) -> None:
    store.put("a", b"a")
    store.put("x/b", b"b")
    store.rename("a", "x/b")
    assert store.get("x/b") == b"a"
    assert not store.exists("a")


def test_rename_many(store: Store) -> None:
    for number in range(40):
        store.put(f"a/{number}/x", b"%d" % number)
    store.rename_many([(f"a/{number}/x", f"b/{number}") for number in range(40)])
    assert store.list("a") == {}
    assert store.get_many([f"b/{number}" for number in range(40)]) == [b"%d" % number for number in range(40)]
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


# --- local only ----------------------------------------------------------------------------------------------------


COMPETE = """
import sys
from shardwise.storage import LocalStore
store, me = LocalStore(sys.argv[1]), sys.argv[2]
for number in range(40):
    assert sys.stdin.readline()
    won = store.put_if_absent(f"journal/{number}", me.encode() * 5000)
    seen = store.get(f"journal/{number}")
    print(int(won), seen[:1].decode(), len(seen), len(set(seen)), flush=True)
"""


def test_of_many_processes_one_puts_and_nobody_reads_a_part(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(shardwise.errors.__file__).parents[1])}
    command = [sys.executable, "-c", COMPETE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment, "text": True}
    drivers = {me: subprocess.Popen([*command, me], **pipes) for me in "abc"}
    try:
        for _ in range(40):
            for driver in drivers.values():
                driver.stdin.write("go\n")
                driver.stdin.flush()
            answers = {me: driver.stdout.readline().split() for me, driver in drivers.items()}
            winners = [me for me, answer in answers.items() if answer[0] == "1"]
            assert len(winners) == 1
            assert all(answer[1:] == [winners[0], "5000", "1"] for answer in answers.values())
    finally:
        for driver in drivers.values():
            driver.kill()
            driver.communicate()
    assert list(LocalStore(str(tmp_path)).list()) == sorted(f"journal/{n}" for n in range(40))


def test_a_link_inside_the_root_is_refused(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "store"))
    store.put("a", b"1")
    (tmp_path / "outside").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "store" / "file").symlink_to(tmp_path / "outside" / "x")
    for name in ("link/x", "file"):
        with pytest.raises(StorageError, match="symbolic link"):
            store.put(name, b"1")
        with pytest.raises(StorageError, match="symbolic link"):
            store.open_write(name)
        with pytest.raises(StorageError):
            store.get_many([name])
    assert list(store.list()) == ["a"]
    store.delete_tree("")
    assert (tmp_path / "outside").is_dir()


def test_a_root_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    LocalStore(str(tmp_path / "link")).put("a", b"1")
    assert (tmp_path / "real" / "a").read_bytes() == b"1"


def test_what_a_killed_writer_left_is_hidden_and_cleaned(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put("journal/0", b"1")
    (tmp_path / "journal" / ".put-1234").write_bytes(b"half")
    assert list(store.list()) == ["journal/0"]
    store.clean()
    assert [p.name for p in (tmp_path / "journal").iterdir()] == ["0"]


def test_closing_makes_file_and_directory_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd))[1]
    )
    store = LocalStore(str(tmp_path / "s"))
    file = store.open_write("d/f")
    file.write(b"1")
    assert str(tmp_path / "s" / "d" / "f") not in synced
    file.close()
    file.close()
    assert synced == [str(tmp_path), str(tmp_path / "s"), str(tmp_path / "s/d/f"), str(tmp_path / "s/d")]


def test_put_if_absent_syncs_the_bytes_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(
        os, "fsync", lambda fd: (steps.append(str(Path(f"/proc/self/fd/{fd}").readlink())), fsync(fd))[1]
    )
    monkeypatch.setattr(os, "link", lambda a, b: (steps.append("link"), link(a, b))[1])
    store = LocalStore(str(tmp_path))
    store.put("earlier", b"")  # the first one also flushes the name of the directory itself
    steps.clear()
    store.put_if_absent("f", b"1")
    assert [Path(step).name.partition("-")[0] for step in steps] == [".put", "link", tmp_path.name.partition("-")[0]]


def test_a_full_disk_is_a_storage_error_with_a_fix() -> None:
    with pytest.raises(StorageError, match="No space left") as caught, open_store("/dev").open_write("full") as file:
        file.write(b"x" * (4 << 20))
    assert "free space" in caught.value.fix


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(a: object, b: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StorageError, match="hard links"):
        LocalStore(str(tmp_path)).put_if_absent("a", b"1")
    assert list(tmp_path.iterdir()) == []


# --- remote only ---------------------------------------------------------------------------------------------------


def test_a_store_that_cannot_create_exclusively_is_refused(tmp_path: Path) -> None:
    store = FsspecStore(f"file://{tmp_path}")
    with pytest.raises(StorageError, match="only if it is absent"):
        store.put_if_absent("a", b"1")


def test_a_store_that_says_it_creates_exclusively_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    class Bucket(MemoryFileSystem):
        conditional = True

        def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite") -> None: ...

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
            super().pipe_file(path, value, mode=mode if self.conditional else "overwrite")

    def bucket() -> FsspecStore:
        store = FsspecStore(f"memory://{uuid.uuid4().hex}")
        store._protocol, store._system = "s3", Bucket(skip_instance_cache=True)
        return store

    store = bucket()
    assert store.put_if_absent("a", b"1")
    assert not store.put_if_absent("a", b"2")
    assert list(store.list()) == ["a"]
    monkeypatch.setattr(Bucket, "conditional", False)
    with pytest.raises(StorageError, match="replaced a file"):
        bucket().put_if_absent("a", b"1")


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        open_store("sftp://me:secret@host/x")
    assert "secret" not in str(caught.value)


def test_an_unknown_protocol_is_an_error_of_ours() -> None:
    with pytest.raises(ShardwiseError, match="nosuch"):
        open_store("nosuch://x/y")
