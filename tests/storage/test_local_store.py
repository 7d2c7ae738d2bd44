"""What only a store in a local directory does: links, flushes, full disks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import shardwise.errors
from shardwise.errors import StorageError
from shardwise.storage import LocalStore, open_store

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
