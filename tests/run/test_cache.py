from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from shardwise.errors import RunIsTaken, UsageError
from shardwise.run import cache
from shardwise.run.directory import RunDirectory
from shardwise.run.lock import Lock


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHARDWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runs"


def made(number: int, monkeypatch: pytest.MonkeyPatch, size: int = 1000) -> str:
    job = {"number": number, "summary": f"job {number}"}
    url = cache.cached_run(job)
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: 1000.0 + number)
        with RunDirectory.open(url, job) as run:
            (Path(url) / "outputs").mkdir()
            (Path(url) / "outputs" / "x").write_bytes(b"0" * size)
            if number % 2:
                run.finish({"seconds": 1})
    return url


def test_a_run_is_named_by_its_job(place: Path) -> None:
    url = cache.cached_run({"a": 1})
    assert url == cache.cached_run({"a": 1})
    assert url != cache.cached_run({"a": 2})
    assert Path(url).parent == place
    with RunDirectory.open(url, {"a": 1}) as run:
        assert Path(run.url).name == run.id


def test_runs_are_listed_newest_first(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    assert cache.list_runs() == []
    urls = [made(number, monkeypatch) for number in range(3)]
    (place / "feed").mkdir()
    runs = cache.list_runs()
    assert [(run.url, run.status, run.summary) for run in runs if run.status != "damaged"] == [
        (urls[2], "interrupted", "job 2"),
        (urls[1], "done", "job 1"),
        (urls[0], "interrupted", "job 0"),
    ]
    assert [(run.id, run.size) for run in runs if run.status == "damaged"] == [("feed", 0)]
    assert all(run.size > 1000 for run in runs if run.status != "damaged")
    assert runs[1].at in (1001.0, 1002.0)


def test_the_oldest_go_first_and_never_a_running_one(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    urls = [made(number, monkeypatch, 10_000) for number in range(5)]
    assert cache.prune() == []
    with RunDirectory.open(urls[0], {"number": 0, "summary": "job 0"}):
        monkeypatch.setattr("shardwise.run.lock._PATIENCE", 1)
        deleted = cache.prune(15_000)  # of four times more than 10 000, and of the newest, which was swept
        assert [run.url for run in deleted] == urls[1:4]
        assert cache.prune(0, keep=[Path(urls[4]).name]) == []
        assert [run.url for run in cache.prune(0)] == [urls[4]]
    assert [path.name for path in place.iterdir()] == [Path(urls[0]).name]
    (place / ".deleting-x").mkdir()
    cache.prune()
    assert not (place / ".deleting-x").exists()


def test_the_cache_is_looked_through_now_and_then(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    looks: list[int] = []
    monkeypatch.setattr(cache, "list_runs", lambda: looks.append(1) or [])
    cache.prune_now_and_then()
    cache.prune_now_and_then()
    assert len(looks) == 1
    stamp = place.parent / "pruned"
    os.utime(stamp, (0, stamp.stat().st_mtime - cache.PRUNE_SECONDS))
    cache.prune_now_and_then()
    assert len(looks) == 2


def test_a_lock_on_a_deleted_directory_is_no_lock(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    url = made(1, monkeypatch)
    locked = Lock(url)
    locked.acquire()
    Path(url).rename(place / ".deleting-y")
    again = Lock(url)
    again.acquire()
    with pytest.raises(RunIsTaken):
        Lock(url).acquire()
    again.release()
    locked.release()


def test_a_directory_deleted_while_its_lock_is_taken(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    url, flock = Path(made(1, monkeypatch)), fcntl.flock

    def delete_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        url.rename(place / ".deleting-z")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    lock = Lock(str(url))
    lock.acquire()
    assert (url / "lock").exists()
    with pytest.raises(RunIsTaken):
        Lock(str(url)).acquire()
    lock.release()


def test_a_run_is_found_by_the_beginning_of_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    url = made(1, monkeypatch)
    assert cache.find_run(Path(url).name[:5]) == url
    assert cache.find_run("s3://b/run") == "s3://b/run"
    with pytest.raises(UsageError, match="there is no run"):
        cache.find_run("zzz")
