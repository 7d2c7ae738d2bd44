"""The order of the durable steps of a commit, seen from between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shardwise.compute.task import Output
from shardwise.errors import StorageError
from shardwise.run.directory import Commit, RunDirectory
from shardwise.run.journal import Journal
from shardwise.run.output import begin_output
from shardwise.storage import LocalStore, digest
from shardwise.storage.naming import attempt_name


@pytest.mark.parametrize("publish", ["", "part-00000.bin"])
def test_nothing_has_its_lasting_name_before_the_journal_names_it(
    publish: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a reader would see a part of an output that no run has."""
    out = tmp_path / "out"
    with RunDirectory.open(str(tmp_path / "run"), {"job": 1}) as run:
        begin_output(str(out), run.id)
        base = str(out) if publish else None
        attempt = run.next_attempt()
        place = Path(run.attempt_directory(attempt, base))
        place.mkdir(parents=True)
        (place / attempt_name("rows.bin", publish)).write_bytes(b"rows")
        output = Output("rows.bin", 1, 4, digest(b"rows"), publish=publish)
        append = Journal.append

        def fail(self: Journal, lines: object) -> None:
            raise StorageError("the disk is full", "free space")

        monkeypatch.setattr(Journal, "append", fail)
        with pytest.raises(StorageError):
            run.commit([Commit("s", 0, 1, attempt, (output,))])
        named = _with_bytes(tmp_path)
        assert named == [place / attempt_name("rows.bin", publish)]
        monkeypatch.setattr(Journal, "append", append)
        run.commit([Commit("s", 0, 1, attempt, (output,))])
        assert _with_bytes(tmp_path) != named


def _with_bytes(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and path.read_bytes() == b"rows"]


def test_a_put_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(str(tmp_path))
    store.put("a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError):
            store.put("a", b"new, and longer")
    assert store.get("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_name_is_given_to_a_whole_file_only(tmp_path: Path) -> None:
    """Who reads, or is killed, between two steps of a put sees the old bytes or the new ones."""
    store = LocalStore(str(tmp_path))
    store.put("a", b"old")
    first = (tmp_path / "a").stat().st_ino
    store.put("a", b"new")
    assert store.get("a") == b"new"
    assert (tmp_path / "a").stat().st_ino != first, "the file was written again, not replaced"
