"""What only remote stores do: a probe before they hold a run, refusals, options that are remembered by place."""

from __future__ import annotations

import importlib.util
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import shardwise as sw
from conftest import Remote
from shardwise.errors import MissingExtra, ShardwiseError, StorageError, UsageError
from shardwise.storage import access, objects, open_store, probe
from shardwise.storage.memory import MemoryStore
from shardwise.storage.naming import PROBE, PROBES
from shardwise.storage.objects import ObjectStore
from shardwise.storage.probe import Round


def test_threads_take_turns_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec looks and then creates: two threads that both have looked would both create."""
    store = MemoryStore(f"memory://{uuid.uuid4().hex}")
    looked = threading.Barrier(2)
    exists = type(store._system).exists

    def meet(self: object, path: str) -> bool:
        found = bool(exists(self, path))
        try:
            looked.wait(0.2)
        except threading.BrokenBarrierError:
            pass
        return found

    monkeypatch.setattr(type(store._system), "exists", meet)
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(lambda _: store.put_if_absent("a", b"1"), range(2))) == [False, True]


# --- the probe -----------------------------------------------------------------------------------------------------


def test_a_store_without_such_a_request_is_refused(tmp_path: Any) -> None:
    from shardwise.storage.remote import FsspecStore

    with pytest.raises(StorageError, match="only if it is absent"):
        FsspecStore(f"file://{tmp_path}").put_if_absent("a", b"1")


def test_a_server_that_ignores_conditions_is_refused_with_numbers_but_read_and_written(careless_s3: Remote) -> None:
    given = {"storage_options": careless_s3.options, "engine": "inline", "progress": "none"}
    table = sw.from_frame({"x": [1, 2, 3]})
    with pytest.raises(StorageError, match=r"8 of 8 writers were told that they had created the same file") as caught:
        table.aggregate(sw.sum("x")).run(run_dir=careless_s3.at("run"), **given)
    assert "results be written here" in caught.value.fix
    # Nothing of a run. Files of the probe were deleted, but this server answers writers before it has settled which of
    # them replaced which, and brings a deleted file back when it does.
    left = open_store(careless_s3.at("run"), careless_s3.options).list()
    assert [name for name in left if not name.startswith(f"{PROBES}/")] == []
    table.write_csv(careless_s3.at("out")).run(**given)
    back = sw.read_csv(careless_s3.at("out"), storage_options=careless_s3.options)
    assert back.aggregate(sw.sum("x")).run(**given).to_pylist() == [{"sum_x": 6}]


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "webhdfs"])
def test_others_pass_once_and_leave_nothing_but_the_result(kind: str, request: pytest.FixtureRequest) -> None:
    place: Remote = request.getfixturevalue(kind)
    store = open_store(place.at("run"), place.options)
    probe._PASSED.clear()
    assert store.put_if_absent("a", b"1")
    assert not store.put_if_absent("a", b"2")
    assert set(store._list_all("")) == {"a", PROBE}  # type: ignore[attr-defined]


class Seen(MemoryStore):
    """A store whose probe was."""

    def put_if_absent(self, name: str, data: bytes) -> bool:
        probe.require_exclusive(self)
        return self.create(name, data)


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([Round((1,), 8), Round((1, 4, 6), 8), Round((2, 3), 8)], r"3 of 8 writers .* \(in 2 of 3 rounds"),
        ([Round((1,), 8), Round((1,), 8, "a file does not hold what it should")], "does not hold"),
    ],
)
def test_the_refusal_has_the_numbers(rounds: list[Round], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "probe", lambda store: rounds)
    monkeypatch.setattr(probe, "_PASSED", set())
    store = Seen(f"memory://{uuid.uuid4().hex}")
    with pytest.raises(StorageError, match=said):
        store.put_if_absent("a", b"1")
    assert store.list() == {}


def test_a_directory_keeps_the_result_and_a_copy_of_it_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[str] = []
    monkeypatch.setattr(probe, "probe", lambda store: probes.append(store.url) or [Round((1,), 8)])
    first = f"memory://{uuid.uuid4().hex}"
    for url in (first, first, f"{first}-copy"):
        monkeypatch.setattr(probe, "_PASSED", set())
        store = Seen(url)
        if url != first:
            store.put(PROBE, Seen(first).get(PROBE))
        store.put_if_absent("a", b"1")
    assert probes == [first, f"{first}-copy"]


@pytest.mark.parametrize("late", [False, True])
def test_a_store_that_replaces_or_mixes_is_wrong(late: bool) -> None:
    class Odd(MemoryStore):
        def create(self, name: str, data: bytes) -> bool:
            return late

    store = Odd(f"memory://{uuid.uuid4().hex}")
    store.put("a", probe.body(2, 16))
    assert probe._wrong(store, "a", 16, (3,)).startswith("it replaced" if late else "a file does not hold")
    assert late or not probe._wrong(store, "a", 16, (2,))
    assert late or not probe._wrong(store, "a", 16, ())  # nobody heard of it, but it is a writer's


# --- what stores say -----------------------------------------------------------------------------------------------


class Refusal(OSError):
    """What s3fs raises: an OSError whose cause has the answer."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(5, code)
        self.__cause__ = RuntimeError()
        self.__cause__.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]


def bucket(answers: list[Exception | None]) -> ObjectStore:
    """A store that answers so, one after the other."""
    store = ObjectStore(f"memory://{uuid.uuid4().hex}")

    class System:
        def pipe_file(self, path: str, data: bytes, mode: str) -> None:
            assert mode == "create"
            answer = answers.pop(0)
            if answer is not None:
                raise answer

        def invalidate_cache(self) -> None: ...

        def info(self, path: str) -> None:
            raise FileNotFoundError(path)

    store._system = System()
    return store


@pytest.mark.parametrize("taken", [Refusal("PreconditionFailed", 412), Refusal("412", 412), FileExistsError("a")])
def test_a_condition_that_does_not_hold_means_taken(taken: Exception) -> None:
    assert not bucket([taken]).create("a", b"1")


def test_others_at_work_mean_trying_again() -> None:
    contended = Refusal("ConditionalRequestConflict", 409)
    assert bucket([contended, contended, None]).create("a", b"1")
    assert not bucket([contended, Refusal("PreconditionFailed", 412)]).create("a", b"1")


def test_anything_else_is_an_error_with_the_name() -> None:
    with pytest.raises(StorageError, match=r"/a: .*SlowDown"):
        bucket([Refusal("SlowDown", 503)]).create("a", b"1")


def test_what_takes_several_requests_is_not_created() -> None:
    with pytest.raises(StorageError, match="cannot be put at once"):
        bucket([]).create("a", bytes(objects._LARGEST + 1))


# --- getting in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://b", "s3"), ("hdfs://h/x", "hdfs"), ("abfs://c", "abfs"), ("gs://b", "gcs")]
)
def test_a_missing_library_is_named_with_its_extra(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for act in (lambda: open_store(url), lambda: sw.read_parquet(f"{url}/a.parquet")):
        with pytest.raises(MissingExtra) as caught:
            act()
        assert caught.value.fix == f'pip install "shardwise[{extra}]"'


def test_options_are_those_of_the_closest_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_KNOWN", {})
    access.remember("s3://b", {"anon": True})
    access.remember("s3://b/out/", {"key": "k"})
    access.remember("/local", {"never": 1})
    access.remember("s3://b/none", None)
    assert access.options_for("s3://b/out/1") == {"key": "k"}
    assert access.options_for("s3://b/outer") == {"anon": True}
    assert access.entrusted(["s3://b/out", "s3://other", "/local"]) == {"s3://b/out": {"key": "k"}}


def test_a_server_that_is_not_there_is_an_error_of_ours() -> None:
    pytest.importorskip("s3fs")
    nobody = {
        "key": "k",
        "secret": "sssh",
        "endpoint_url": "http://127.0.0.1:9",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    for act in (
        lambda: open_store("s3://b", nobody).get("a"),
        lambda: sw.read_csv("s3://b/a.csv", storage_options=nobody),
    ):
        with pytest.raises(StorageError) as caught:
            act()
        assert "sssh" not in str(caught.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        open_store("sftp://me:secret@host/x")
    assert "secret" not in str(caught.value)


def test_an_unknown_protocol_is_an_error_of_ours() -> None:
    with pytest.raises(ShardwiseError, match="nosuch"):
        open_store("nosuch://x/y")
