"""What a person gives for a source becomes a defined list of files."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from shardwise.data.paths import FileInfo, expand, file_identity, open_file
from shardwise.errors import InputError, UsageError

CSV = (".csv",)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.csv",
        "a.csv",
        "売上 2024.csv",
        "notes.md",
        "c.csv.gz",
        "D.CSV",
        "_SUCCESS",
        ".hidden.csv",
        "_attempts/x.csv",
        "sub/d.csv",
        "sub/deep/e.csv",
        "odd[1].csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(files: list[FileInfo], root: Path) -> list[str]:
    return [os.path.relpath(file.url, root) for file in files]


def test_a_directory_gives_its_files_sorted_without_hidden_ones(tree: Path) -> None:
    found = ["D.CSV", "a.csv", "b.csv", "c.csv.gz", "odd[1].csv", "sub/d.csv", "sub/deep/e.csv", "売上 2024.csv"]
    assert names(expand(tree, CSV), tree) == found


def test_globs(tree: Path) -> None:
    assert names(expand(str(tree / "*.csv"), CSV), tree) == ["a.csv", "b.csv", "odd[1].csv", "売上 2024.csv"]
    assert names(expand(str(tree / "**" / "[de].csv"), CSV), tree) == ["sub/d.csv", "sub/deep/e.csv"]
    assert names(expand(str(tree / "s*"), CSV), tree) == ["sub/d.csv", "sub/deep/e.csv"]
    assert names(expand(str(tree / ".hid*"), CSV), tree) == [".hidden.csv"]
    assert names(expand(str(tree / "_attempts" / "*"), CSV), tree) == ["_attempts/x.csv"]


def test_a_list_keeps_its_order_and_each_file_once(tree: Path) -> None:
    given = [tree / "b.csv", str(tree / "*.csv"), tree / "sub", tree / "b.csv"]
    expected = ["b.csv", "a.csv", "odd[1].csv", "売上 2024.csv", "sub/d.csv", "sub/deep/e.csv"]
    assert names(expand(given, CSV), tree) == expected


def test_a_name_with_brackets_is_a_file_where_there_is_one(tree: Path) -> None:
    assert names(expand(tree / "odd[1].csv", CSV), tree) == ["odd[1].csv"]


def test_home_and_relative_paths(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    monkeypatch.chdir(tree)
    assert expand("~/a.csv", CSV) == expand("a.csv", CSV) == expand(f"file://{tree}/a.csv", CSV)
    assert Path(expand("a.csv", CSV)[0].url).is_absolute()


def test_what_is_known_of_a_file(tree: Path) -> None:
    path = tree / "a.csv"
    info = expand(path, CSV)[0]
    assert info == FileInfo(str(path), 5, path.stat().st_mtime_ns)
    before = file_identity(info)
    os.utime(path, ns=(1, 1))
    assert file_identity(expand(path, CSV)[0]) != before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.csv", r"nowhere.csv: there is no such file; .* holds D.CSV, .* and \d more"),
        ("x/y/*.csv", r"x/y/\*.csv: no file matches; .* holds "),
        ("none", r"none: the directory has no file that ends with .csv; it holds a.txt"),
    ],
)
def test_nothing_matches(tree: Path, given: str, said: str) -> None:
    (tree / "none").mkdir()
    (tree / "none" / "a.txt").touch()
    with pytest.raises(InputError, match=said):
        expand(str(tree / given), CSV)


def test_no_path_at_all() -> None:
    with pytest.raises(UsageError, match="no input path"):
        expand([], CSV)
    with pytest.raises(UsageError, match="'' is not a path"):
        expand("", CSV)
    with pytest.raises(UsageError, match="3 is not a path"):
        expand([3], CSV)  # type: ignore[list-item]


def test_urls(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("b.csv", "a b.csv", "_attempts/x.csv", "sub/c.csv", "d.txt"):
        memory.pipe(f"/paths test/{name}", name.encode())
    root = "memory:///paths test"
    assert [f.url.removeprefix(root) for f in expand(root, CSV)] == ["/a b.csv", "/b.csv", "/sub/c.csv"]
    assert [f.url.removeprefix(root) for f in expand(f"{root}/*.csv", CSV)] == ["/a b.csv", "/b.csv"]
    file = expand(f"{root}/a b.csv", CSV)[0]
    assert file.size == 7
    assert file.mtime_ns is not None
    with open_file(file.url) as stream:
        assert stream.read() == b"a b.csv"
    with pytest.raises(InputError, match=r"nope.csv: no file matches .*; /paths test holds a b.csv, b.csv"):
        expand(f"{root}/nope.csv", CSV)
    with pytest.raises(UsageError, match="nonsense"):
        expand("nonsense://x/y", CSV)


def test_a_file_that_went_away(tree: Path) -> None:
    file = expand(tree / "a.csv", CSV)[0]
    (tree / "a.csv").unlink()
    with pytest.raises(InputError, match=r"a.csv: the file is no longer there"):
        open_file(file.url)
