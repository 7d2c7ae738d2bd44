"""A full disk ends a run with status 1 and the figures; nothing half-written is seen; the same command goes on."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.disk_full_runs import KINDS, apart, here, make_data, small_disk, trouble
from shardwise.compute.failure import failure_of
from shardwise.errors import DiskFull, StorageError
from shardwise.storage import LocalStore, disk

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", autouse=True)
def _can_mount() -> None:
    try:
        with small_disk(4096):
            pass
    except OSError as cause:
        pytest.skip(str(cause))


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_of_any_size_loses_nothing(kind: str, data: Path) -> None:
    with small_disk(50_000_000) as place:
        status, answer = here(kind, data, place)
        assert status == 0, answer
        whole = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    chance = random.Random(f"{SEED} {kind}")
    for size in [4096, *(chance.randrange(4096, whole) for _ in range(4))]:
        assert trouble(kind, data, size, answer) == ("", "full"), f"{size} bytes, seed {SEED}"
    assert trouble(kind, data, 2 * whole + 500_000, answer) == ("", "enough")


def test_workers_of_their_own_meet_a_full_disk(data: Path) -> None:
    with small_disk(50_000_000) as place:
        answer = apart("write", data, place)[1].strip()
    assert trouble("write", data, 120_000, answer, "local:2", apart) == ("", "full")


def test_how_much_is_needed_is_estimated(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty batches of about 8 kB: what is said to be needed is what they need."""
    monkeypatch.setattr("shardwise.run.round.GATHER_MOST", 1)
    with small_disk(120_000) as place:
        status, said = here("write", data, place)
    assert status == 1
    assert "more are needed for the" in said
    each = float(said.partition(" batches that are left (")[2].split()[0])
    assert 7 <= each <= 11, said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("operation", ["create", "write", "sync_file", "sync_directory", "rename", "link"])
def test_whatever_the_disk_refuses_is_told_and_leaves_no_trace(
    number: int, operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(str(tmp_path))
    store.put("kept", b"old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    actions: list[Callable[[], object]] = [lambda: store.put("kept", b"new"), lambda: store.put_if_absent("n", b"x")]
    for action in actions:
        with monkeypatch.context() as patch:
            patch.setattr(disk, operation, refuse)
            try:
                action()
            except StorageError as error:
                assert os.strerror(number) in error.message
                assert error.fix
                assert isinstance(error, DiskFull) == (number in (errno.ENOSPC, errno.EDQUOT))
                assert failure_of(error).code == error.code
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"kept", "n"}, f"{operation} left {left}"
    assert store.get("kept") in (b"old", b"new")
    store.put("kept", b"newer")
    assert store.get("kept") == b"newer"


def test_a_function_that_fills_the_disk_itself_is_told_as_a_full_disk() -> None:
    assert failure_of(OSError(errno.ENOSPC, "No space left on device", "/tmp/mine")).code == DiskFull.code
    assert failure_of(OSError(errno.EIO, "Input/output error", "/tmp/mine")).code == StorageError.code
    assert failure_of(OSError(errno.ENOENT, "No such file", "/tmp/mine")).code == ""
