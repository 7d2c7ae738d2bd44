from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from shardwise import records
from shardwise.compute.task import Metrics, Output
from shardwise.errors import InDoubt, RunIsTaken, StorageError
from shardwise.run.commits import Commit, Covered, from_plain
from shardwise.run.history import History, committed_line
from shardwise.run.journal import Journal, Line
from shardwise.storage import LocalStore, Store, open_store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return LocalStore(str(tmp_path)) if request.param == "local" else open_store(f"memory://{uuid.uuid4().hex}")


LINES = [Line("plan", 1.5, {"a": [1, "\N{SNOWMAN}\u2028\n"]}), Line("retry", 2.5, {"kind": "crash"})]


def written(store: Store, segments: int) -> Journal:
    journal = Journal(store)
    for number in range(segments):
        journal.append([Line("note", float(number), {"number": number}), *LINES])
    return journal


def test_lines_come_back_in_order(store: Store) -> None:
    written(store, 12)
    journal = Journal(store)
    lines = journal.load()
    assert lines[1:3] == LINES
    assert [line.data["number"] for line in lines if line.kind == "note"] == list(range(12))
    assert journal.next == 12
    assert Journal(open_store(store.url + "/empty")).load() == []


def test_whoever_loses_a_number_stops(store: Store) -> None:
    first = written(store, 1)
    second = Journal(store)
    second.load()
    second.append(LINES)
    before = store.get("journal/00000001.jsonl")
    with pytest.raises(RunIsTaken, match="process "):
        first.append([])
    assert store.get("journal/00000001.jsonl") == before
    assert not store.exists("journal/00000002.jsonl")


def test_a_put_whose_reply_was_lost_was_a_put(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(store)
    put = store.put_if_absent
    monkeypatch.setattr(store, "put_if_absent", lambda name, data: put(name, data) and False)
    journal.append(LINES)
    assert Journal(store).load() == LINES


TORN = {
    "short": lambda d: d[:-1],
    "empty": lambda d: b"",
    "changed": lambda d: d.replace(b"crash", b"crush"),
    "half": lambda d: d[:40],
    "zeros": lambda d: bytes(len(d)),
    "zeros at the end": lambda d: d[:-30] + bytes(30),
    "garbage": lambda d: bytes(range(256)) * 2,
}


@pytest.mark.parametrize("damage", TORN.values(), ids=TORN)
def test_a_torn_last_segment_does_not_count_and_its_number_is_not_used_again(store: Store, damage: object) -> None:
    written(store, 3)
    name = "journal/00000002.jsonl"
    store.put(name, damage(store.get(name)))  # type: ignore[operator]
    journal = Journal(store)
    assert len(journal.load()) == 6
    assert [(found.number, found.last) for found in journal.damaged] == [(2, True)]
    assert journal.next == 3
    journal.append([Line("damaged", 1.0, {"segments": [2]})])
    again = Journal(store)
    assert len(again.load()) == 7
    assert again.damaged == []  # known, and dealt with


def test_a_driver_whose_last_segment_was_taken_for_torn_stops(store: Store) -> None:
    """Were the number used again, the first driver would go on to the next one and never notice."""
    first = written(store, 3)
    store.put("journal/00000002.jsonl", b"")
    second = Journal(store)
    second.load()
    second.append([Line("damaged", 1.0, {"segments": [2]})])
    with pytest.raises(RunIsTaken):
        first.append(LINES)


@pytest.mark.parametrize("how", [*TORN, "missing", "of another number"])
def test_damage_in_the_middle_is_told_with_what_it_named(store: Store, how: str) -> None:
    written(store, 2).append([committed_line(commit(0, 4, 7), "", 1.0), *LINES])
    written_on = Journal(store)
    written_on.load()
    written_on.append(LINES)
    name = "journal/00000002.jsonl"
    whole = store.get(name)
    if how == "missing":
        store.delete(name)
    else:
        store.put(name, store.get("journal/00000003.jsonl") if how == "of another number" else TORN[how](whole))
    journal = Journal(store)
    assert len(journal.load()) == 8
    (damage,) = journal.damaged
    assert (damage.number, damage.last, journal.next) == (2, False, 4)
    assert name in str(damage)
    if how in ("short", "changed"):
        assert "it named s 0-4" in str(damage)
    store.put(name, whole)
    assert len(Journal(store).load()) == 11


def test_a_journal_with_a_number_from_nowhere_is_refused_at_once(store: Store) -> None:
    written(store, 1)
    store.put("journal/99999999.jsonl", b"")
    with pytest.raises(StorageError, match="99999998 of 100000000 segments are missing"):
        Journal(store).load()


def test_files_of_other_names_are_no_segments(store: Store) -> None:
    written(store, 1)
    store.put("journal/notes.jsonl", b"x")
    store.put("journal/00000001.jsonl.bak", b"x")
    journal = Journal(store)
    assert (len(journal.load()), journal.next, journal.damaged) == (3, 1, [])


def test_a_disk_that_fails_in_the_middle_of_a_put_leaves_a_doubt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = written(store, 1)
    put = store.put_if_absent

    def fail(name: str, data: bytes) -> bool:
        put(name, data)
        raise StorageError("cannot flush the directory: Input/output error")

    monkeypatch.setattr(store, "put_if_absent", fail)
    with pytest.raises(InDoubt, match=r"00000001\.jsonl stand is not known"):
        journal.append(LINES)
    assert len(Journal(store).load()) == 5


def commit(first: int, last: int, attempt: int, stage: str = "s") -> Commit:
    return Commit(stage, first, last, attempt, (Output("o", 1, 3, "d", data=b"\0\1\xff"),), Metrics(seconds=0.25))


def test_history_is_the_fold_of_the_lines() -> None:
    begun = Line("begun", 1.0, {"id": "i", "job": {"a": 1}})
    opened = Line("opened", 2.0, {"epoch": 1})
    lines = [begun, opened, committed_line(commit(4, 8, 1), "", 3.0), committed_line(commit(0, 4, 2), "/out", 4.0)]
    history = History(lines)
    assert history.commits() == [commit(0, 4, 2), commit(4, 8, 1)]
    assert (history.id, history.job, history.epoch, history.at) == ("i", {"a": 1}, 1, 4.0)
    history.apply(committed_line(commit(2, 6, 3), "", 5.0))
    assert history.commits() == [commit(0, 4, 2), commit(4, 8, 1)]
    history.apply(Line("finished", 6.0, {"seconds": 1}))
    history.apply(Line("dropped", 7.0, {"attempts": [2, 99]}))
    assert history.finished is None
    assert history.commits() == [commit(4, 8, 1)]
    history.apply(committed_line(commit(0, 3, 5), "", 8.0))
    assert history.commits() == [commit(0, 3, 5), commit(4, 8, 1)]
    history.apply(begun)
    assert history.commits() == []


def test_a_commit_survives_json() -> None:
    line = committed_line(commit(0, 4, 1 << 40 | 3), "", 1.0)
    data = json.loads(json.dumps(line.data["commit"]))
    data["metrics"]["of_the_future"] = data["of_the_future"] = data["outputs"][0]["of_the_future"] = 1
    assert from_plain(data) == records.revive(Commit, data) == commit(0, 4, 1 << 40 | 3)


def test_empty_ranges_count_once() -> None:
    covered = Covered()
    assert covered.is_free(0, 0)
    covered.add(commit(0, 0, 1))
    assert not covered.is_free(0, 0)
    assert covered.is_free(0, 4)


def test_a_put_that_failed_because_another_driver_was_there_is_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stores without locks the other one may have tidied up what was about to get the name."""
    mine, other = written(store, 1), Journal(store)
    other.load()
    other.append(LINES)

    def fail(name: str, data: bytes) -> bool:
        raise StorageError("the hidden file has vanished", "")

    monkeypatch.setattr(store, "put_if_absent", fail)
    with pytest.raises(RunIsTaken):
        mine.append(LINES)
