from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shardwise.cli.scripts import find_function, load_script, split_target
from shardwise.errors import FunctionError, UsageError


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("shardwise_script_"):
            del sys.modules[name]


def script(directory: Path, text: str, name: str = "仕事.py") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("a.py:f", "a.py", "f"),
        ("a.py", "a.py", None),
        ("/x:y/a.py", "/x:y/a.py", None),
        ("/x:y/a.py:f", "/x:y/a.py", "f"),
        ("a.py:関数", "a.py", "関数"),
    ],
)
def test_splitting(text: str, path: str, name: str | None) -> None:
    assert split_target(text) == (Path(path), name)


def test_nothing_after_the_colon_is_refused() -> None:
    with pytest.raises(UsageError):
        split_target("a.py:")


def test_a_function_travels_by_value(tmp_path: Path) -> None:
    import cloudpickle

    module = load_script(script(tmp_path, "K = 3\ndef 三倍(x): return K * x\n"))
    pickled = cloudpickle.dumps(find_function(module, tmp_path / "仕事.py", "三倍"))
    del sys.modules[module.__name__]
    assert cloudpickle.loads(pickled)(2) == 6


def test_the_file_is_not_main_and_hides_no_module(tmp_path: Path) -> None:
    import json

    module = load_script(script(tmp_path, "if __name__ == '__main__': raise SystemExit\n", "json.py"))
    assert sys.modules["json"] is json
    assert module is not json


def test_the_file_may_import_its_neighbours_and_define_dataclasses(tmp_path: Path) -> None:
    script(tmp_path, "value = 5\n", "neighbour_of_script.py")
    text = (
        "from __future__ import annotations\nimport dataclasses, neighbour_of_script\n"
        "@dataclasses.dataclass\nclass C:\n    x: int = neighbour_of_script.value\n"
    )
    assert load_script(script(tmp_path, text)).C().x == 5


def test_an_error_in_the_file_shows_its_own_lines_only(tmp_path: Path) -> None:
    path = script(tmp_path, "def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(FunctionError) as caught:
        load_script(path)
    message = caught.value.message
    assert "ZeroDivisionError: division by zero" in message
    assert "line 3, in <module>" in message
    assert "importlib" not in message
    assert "scripts.py" not in message


@pytest.mark.parametrize("text", ["def f(:\n", "import sys; sys.exit(0)", "import no_such_module_at_all"])
def test_a_file_that_cannot_be_loaded_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(FunctionError, match="failed as it was loaded"):
        load_script(script(tmp_path, text))


def test_a_missing_file_and_the_one_that_was_meant(tmp_path: Path) -> None:
    script(tmp_path, "", "clean.py")
    with pytest.raises(UsageError, match=r"did you mean .*clean\.py\?"):
        load_script(tmp_path / "claen.py")


def test_a_missing_function_and_the_one_that_was_meant(tmp_path: Path) -> None:
    path = script(tmp_path, "def clean(t): return t\nx = 3\n")
    module = load_script(path)
    with pytest.raises(UsageError, match=r"claen does not exist in .*did you mean clean\?"):
        find_function(module, path, "claen")
    with pytest.raises(UsageError, match="x is no function"):
        find_function(module, path, "x")
