"""What Google's and Azure's libraries do otherwise than that of S3, against servers of theirs."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import shardwise as sw
from conftest import Remote
from shardwise.data.paths import expand
from shardwise.errors import ShardwiseError, StorageError, UsageError
from shardwise.storage import objects, open_store

QUIET = {"engine": "inline", "progress": "none"}
ACCOUNT = "abfss://tests@shardwise.dfs.core.windows.net"


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp, to gcsfs and adlfs
@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_the_largest_that_may_be_created_is_created_once(kind: str, request: pytest.FixtureRequest) -> None:
    """In parts it would be created twice: gcsfs begins with them at 50 MiB, and the server forgets the condition."""
    place: Remote = request.getfixturevalue(kind)
    store = open_store(place.at("run"), place.options)
    largest = bytes(objects._LARGEST)
    assert store.create("a", largest)  # type: ignore[attr-defined]
    assert not store.create("a", largest[:-1])  # type: ignore[attr-defined]
    assert store.size("a") == len(largest)


@pytest.mark.parametrize("limit", [0, objects._LARGEST])
def test_a_copy_through_here_that_breaks_off_publishes_nothing(
    limit: int, azure: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_LARGEST", limit)
    store = open_store(azure.at("out"), azure.options)
    store.put("a.tmp", b"0123456789")
    with monkeypatch.context() as broken:
        broken.setattr(shutil, "copyfileobj", _break_off)
        broken.setattr(type(store._system), "pipe_file", _break_off)  # type: ignore[attr-defined]
        with pytest.raises(StorageError, match=r"rename .*a\.tmp to .*/a: .*gone"):
            store.rename("a.tmp", "a")
    assert store.list() == {"a.tmp": 10}
    store.rename("a.tmp", "a")
    assert store.get("a") == b"0123456789"
    assert store.list() == {"a": 10}


@pytest.mark.parametrize("kind", ["gcs", "azure"])
def test_drivers_that_publish_the_same_do_not_disturb_each_other(kind: str, request: pytest.FixtureRequest) -> None:
    """On Azure a copy in blocks is refused where another one was put together meanwhile."""
    place: Remote = request.getfixturevalue(kind)
    store = open_store(place.at("out"), place.options)
    start = threading.Barrier(8)

    def publish(number: int) -> None:
        store.put(f"{number}.tmp", b"the same" * 9000)
        start.wait()
        store.rename(f"{number}.tmp", "part")

    with ThreadPoolExecutor(8) as drivers:
        list(drivers.map(publish, range(8)))
    assert store.list() == {"part": 72000}


def _break_off(source: Any, target: Any, _: Any = None) -> None:
    if hasattr(target, "write"):
        target.write(source.read(4))
    raise OSError("gone")


def test_files_found_under_an_account_are_named_with_it(azure: Remote) -> None:
    directory = azure.url.replace("abfs://tests", ACCOUNT)
    open_store(f"{directory}/d", azure.options).put("a.csv", b"x\n1\n")
    for asked in (f"{directory}/d", f"{directory}/d/*.csv", f"{directory}/d/a.csv"):
        data = sw.read_csv(asked, storage_options=azure.options)
        assert data.aggregate(sw.sum("x")).run(**QUIET).to_pylist() == [{"sum_x": 1}]
        assert [file.url for file in expand(asked, [".csv"], azure.options)] == [f"{directory}/d/a.csv"]


@pytest.mark.parametrize("kind", ["gcs", "azure"])
def test_a_bucket_that_is_not_there(kind: str, request: pytest.FixtureRequest) -> None:
    place: Remote = request.getfixturevalue(kind)
    elsewhere = place.url.replace("://tests/", "://nosuch/")
    store = open_store(elsewhere, place.options)
    assert store.list() == {}
    assert not store.exists("a")
    for act in (lambda: store.get("a"), lambda: store.put("a", b"1"), lambda: store.put_if_absent("a", b"1")):
        _refused(act, elsewhere)
    with pytest.raises(ShardwiseError, match="no file matches"):
        sw.read_csv(f"{elsewhere}/a.csv", storage_options=place.options)


def test_a_wrong_key_is_an_error_of_one_line(azure: Remote) -> None:
    assert azure.options is not None
    account, _, rest = str(azure.options["connection_string"]).partition("AccountKey=")
    wrong = {"connection_string": f"{account}AccountKey=c2Vzc3No;{rest.partition(';')[2]}"}
    store = open_store(azure.url, wrong)
    for act in (lambda: store.get("a"), lambda: store.put_if_absent("a", b"1"), lambda: store.list()):
        _refused(act, "authenticate")
    _refused(lambda: sw.read_csv(azure.at("a.csv"), storage_options=wrong), "authenticate")


def _refused(act: Any, said: str) -> None:
    with pytest.raises(StorageError, match=said) as caught:
        act()
    assert "\n" not in caught.value.message


# --- without a server ----------------------------------------------------------------------------------------------


def test_no_account_is_not_taken_for_an_unknown_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adlfs")
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="account_name") as caught:
        open_store("abfs://c/x")
    assert "storage_options" in caught.value.fix
    with pytest.raises(UsageError, match="nosuch") as caught:
        open_store("nosuch://c/x")
    assert "protocol" in caught.value.fix


class Library:
    """A library that repeats what it was told."""

    def __call__(self, url: str, **options: Any) -> None:
        raise ConnectionError(f"GET /tokeninfo?access_token={options['token'].replace('/', '%2F')}: no such host")


def test_what_a_library_says_is_said_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", Library())
    with pytest.raises(StorageError, match="access_token=") as caught:
        open_store("memory://b", {"token": "ya29/secret", "short": 1})
    assert "secret" not in str(caught.value)
    assert "no such host" in str(caught.value)
    assert caught.value.__suppress_context__


def test_options_that_no_other_process_can_have(azure: Remote) -> None:
    options = {**(azure.options or {}), "credential": open(__file__)}  # noqa: SIM115
    with options["credential"], pytest.raises(UsageError, match="cannot be sent to another process") as caught:
        open_store(azure.at("run"), options).put_if_absent("a", b"1")
    assert "names and keys" in caught.value.fix
