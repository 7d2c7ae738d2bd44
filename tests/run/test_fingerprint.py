"""What a fingerprint depends on, and what it does not."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import shardwise.errors
from shardwise.run.code import describe_code
from shardwise.run.difference import difference
from shardwise.run.fingerprint import fingerprint, unknown

BASE = """
    import math
    import numpy as np

    LIMIT = 10
    TABLE = {"a": [1, 2, {"x", "y", "z"}], "b": (None, 1.5, b"q")}

    def helper(x, scale=2.0):
        return x * scale

    class Base:
        factor = 3

        def shift(self, x):
            return helper(x) + self.factor

    class Model(Base):
        def __init__(self, weight):
            self.weight = weight

        def __call__(self, x):
            return self.shift(x) * self.weight

    def make(captured):
        def clean(batch: "pd.DataFrame", *, bound=LIMIT):
            if batch in {"p", "q", "r", "s"}:
                return TABLE
            return [helper(np.add(v, captured)) for v in batch if v < LIMIT and math.isfinite(v)]
        return clean

    clean = make(7)
"""


def described(source: str, name: str = "clean") -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(source), "job.py", "exec"), namespace)
    return describe_code(eval(name, namespace))


def changed(old: str, new: str, name: str = "clean") -> list[str]:
    assert old in BASE
    return difference(described(BASE, name), described(BASE.replace(old, new), name))


def test_the_same_code_elsewhere_is_the_same() -> None:
    moved = "\n\n# a comment\n" + textwrap.dedent(BASE).replace("LIMIT = 10", "LIMIT = 10  # ten\n\n\n# more")
    assert described(moved) == described(BASE)
    assert described(BASE)["unknown"] == []
    assert described(BASE)["libraries"] == {
        "numpy": np.__version__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("LIMIT = 10", "LIMIT = 11", "value LIMIT of make.<locals>.clean 10 -> 11"),
        ("x * scale", "x / scale", "function helper changed"),
        ("scale=2.0", "scale=3.0", "function helper changed"),
        ("make(7)", "make(8)", "value captured of clean 7 -> 8"),
        ("bound=LIMIT", "bound=5", "function clean changed"),
        ('"pd.DataFrame"', '"pl.DataFrame"', "function clean changed"),
        ('"z"', '"w"', "value TABLE of clean changed"),
        ('"s"}', '"t"}', "function clean changed"),
        ("math.isfinite", "math.isnan", "function clean changed"),
    ],
)
def test_what_the_answer_depends_on_changes_it(old: str, new: str, words: str) -> None:
    lines = changed(old, new)
    assert any(words.replace("make.<locals>.", "") in line for line in lines), lines


@pytest.mark.parametrize(("old", "new"), [("factor = 3", "factor = 4"), ("self.weight\n", "2\n"), ("x * scale", "x")])
def test_an_object_depends_on_its_class_and_on_what_that_refers_to(old: str, new: str) -> None:
    for name in ("Model(1)", "Model", "Model(1).__call__"):
        assert changed(old, new, name)


def test_an_object_depends_on_its_state() -> None:
    for one, other in (("Model(1)", "Model(2)"), ("Model(1).shift", "Model(2).shift")):
        assert fingerprint(described(BASE, one)) != fingerprint(described(BASE, other))
        assert described(BASE, one) == described(BASE, one)


def test_what_is_not_used_does_not_count() -> None:
    assert not changed("factor = 3", "factor = 4", "clean")
    assert not changed("LIMIT = 10", "LIMIT = 11", "helper")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(pow, 2), functools.partial(pow, 3)),
        (functools.partial(pow, 2), functools.partial(max, 2)),
        (len, sorted),
        (np.add, np.subtract),
        (str.upper, str.lower),
        ([1].count, [2].count),
        (np.random.default_rng(1).normal, np.random.default_rng(2).normal),
        (functools.lru_cache(lambda x: x), functools.lru_cache(lambda x: -x)),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: x + 1, lambda x: x + 1.0),
    ],
)
def test_callables_of_all_kinds(one: Any, other: Any) -> None:
    assert fingerprint(describe_code(one)) == fingerprint(describe_code(one))
    assert fingerprint(describe_code(one)["parts"]) != fingerprint(describe_code(other)["parts"])
    assert not unknown(describe_code(one))


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.array(["a", None], dtype=object),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pa.table({"a": [1, 2]}),
        pl.col("a") + 1,
        {"nested": [{1, 2, 3}, frozenset("abc")], 2: float("nan")},
        Path("/a/b"),
        np.float32(1.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_captured_data_counts_by_content(value: Any) -> None:
    import copy

    def capture(data: Any) -> dict[str, Any]:
        return describe_code(lambda: data)

    assert capture(value) == capture(copy.deepcopy(value))
    assert capture(value)["unknown"] == []
    assert capture(value)["parts"] != capture([value])["parts"]
    if isinstance(value, (np.ndarray, pd.DataFrame)):
        other = copy.deepcopy(value)
        other[(0, 0) if isinstance(value, np.ndarray) and value.ndim == 2 else 0] = 9
        assert capture(value)["parts"] != capture(other)["parts"]


def test_equal_values_count_alike_whether_or_not_they_are_one_object() -> None:
    shared = [1, "x"]
    one, two = [shared, shared], [[1, "x"], [1, "".join("x")]]
    assert describe_code(lambda: one)["parts"].keys() == {
        "function " + (lambda: one).__qualname__.split(".")[-1],
        "value one of <lambda>",
    }
    first = describe_code(lambda: one)["parts"]["value one of <lambda>"]
    second = describe_code(lambda: two)["parts"]["value two of <lambda>"]
    assert first == second


def test_cycles_end() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert describe_code(lambda: loop) == describe_code(lambda: loop)

    one: list[Any] = []
    other: list[Any] = [one]
    one.append(other)
    pairs = [one, other], [one, one]  # seen from inside they are all alike
    digests = [describe_code(lambda pair=pair: pair)["parts"] for pair in pairs]
    assert digests[0] == digests[1]

    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    assert set(describe_code(even)["parts"]) == {"function even", "function odd"}


def test_what_cannot_be_compared_is_listed(tmp_path: Path) -> None:
    lock = threading.Lock()
    with open(tmp_path / "f", "w") as file:

        def function() -> None:
            with lock:
                file.write("")

        document = {"code": [describe_code(function)], "unknown": "not a list"}
    found = unknown(document)
    assert len(found) == 2
    assert "lock of function (a _thread.lock)" in found[0] + found[1]
    assert "file of function (a _io.TextIOWrapper)" in found[0] + found[1]
    assert unknown({"code": describe_code(len)}) == []


def test_text_that_is_captured_is_not_shown() -> None:
    password = "hunter2"
    assert "hunter2" not in json.dumps(describe_code(lambda: password))


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import job
from shardwise.run.code import describe_code
print(json.dumps([describe_code(job.clean), describe_code(job.Model(3)), describe_code(job.uses)]))
"""

USES = """
    import helpers, package.inner

    def uses(x):
        import other
        return helpers.f(x) + package.inner.g(x)
"""


def in_process(directory: Path, seed: int) -> Any:
    source = str(Path(shardwise.errors.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source, "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(directory)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def files(directory: Path, **changes: str) -> Path:
    contents = {
        "job.py": textwrap.dedent(BASE) + textwrap.dedent(USES),
        "helpers.py": "def f(x):\n    return x + 1\n",
        "other.py": "import deeper\n",
        "deeper.py": "Y = 1\n",
        "package/__init__.py": "",
        "package/inner.py": "from . import outer\ndef g(x): return outer.h(x)\n",
        "package/outer.py": "def h(x): return x\n",
    }
    for name, content in (contents | changes).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    return directory


def test_the_same_in_every_process_and_place(tmp_path: Path) -> None:
    first = in_process(files(tmp_path / "a"), 0)
    moved = files(tmp_path / "b", **{"job.py": "# moved\n\n" + textwrap.dedent(BASE) + "\n\n" + textwrap.dedent(USES)})
    (moved / "helpers.py").write_text("# nothing new\n\ndef f(x):\n    return (x + 1)  # really\n")
    assert in_process(moved, 12345) == first
    assert first[0]["unknown"] == first[2]["unknown"] == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("helpers.py", "def f(x):\n    return x + 2\n", "module helpers changed"),
        ("deeper.py", "Y = 2\n", "module deeper changed"),
        ("package/outer.py", "def h(x): return -x\n", "module package changed"),
        ("package/outer.py", "no python", "module package changed"),
    ],
)
def test_the_source_of_modules_that_are_not_installed_counts(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    before = in_process(files(tmp_path / "a"), 0)
    after = in_process(
        files(tmp_path / "b", **{name: content})
        if name != "package/outer.py" or "def" in content
        else broken(tmp_path / "b"),
        0,
    )
    assert difference({"code": before[2]}, {"code": after[2]}) == [f"code {words}"]


def broken(directory: Path) -> Path:
    """A file that nothing imports need not be Python that compiles."""
    return files(directory, **{"package/notes.py": "this is not python"})


def test_differences_in_words() -> None:
    old = {
        "version": "1.0",
        "sources": [["a.csv", 10, 1.5], ["b.csv", 3, 1.5]],
        "operations": [{"filter": "x > 1"}, {"map": "f"}],
    }
    new = {"version": "1.1", "sources": [["a.csv", 12, 1.5], ["c.csv", 3, 1.5]], "operations": [{"filter": "x > 2"}]}
    assert difference(old, new) == [
        "version '1.0' -> '1.1'",
        "sources a.csv: 2 10 -> 12",
        "sources b.csv is gone",
        "sources c.csv is new",
        "operations 2 entries -> 1 entries",
    ]
    assert difference(old, old) == []
    assert difference({"a": 1}, {"a": True}) == ["a 1 -> True"]
    assert difference({"s": [{"path": "a"}, {"path": "b"}]}, {"s": [{"path": "b"}, {"path": "a"}]}) == [
        "s: another order"
    ]
    assert len(difference({}, {str(i): i for i in range(50)})) == 12


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": {"x": 1, "y": 2}, "b": 1}) == fingerprint({"b": 1, "a": {"y": 2, "x": 1}})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


def test_pickling_an_object_does_not_change_its_class() -> None:
    """Pickle keeps the names of slots in the class; the same job a second time in one process is still the same."""
    made = type("Made", (), {"__module__": __name__, "value": 1})
    before = describe_code(made)
    made().__reduce_ex__(4)
    assert "__slotnames__" in vars(made)
    assert describe_code(made) == before
