"""Functions that cannot be sent, kill or stop their worker, or return what cannot be kept.

Each is told in a message with its fix and the exit status that is documented, and nothing is lost: once the reason is
gone (a file, so that the job stays the same), the same command goes on from what was committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from shardwise.cli import main as cli

ITEMS, ODD = 16, 11

JOB = """
import ctypes, os, signal, socket, sys, threading
import shardwise as sw

TROUBLE = {trouble!r}

class Unpicklable(Exception):
    def __init__(self):
        super().__init__("holds a lock")
        self.lock = threading.Lock()

class Surprise:
    def __reduce__(self):
        return (int, ("no number",))

def nested():
    value = []
    for _ in range(100_000):
        value = [value]
    return value

def end_of(fd):
    return os.readlink(f"/proc/self/fd/{{fd}}")

def sockets():
    names = [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{{fd}}")]
    return [int(fd) for fd in names if end_of(fd).startswith("socket:")]

def once():
    os.remove(TROUBLE)

def work(item):
    if item == {odd} and os.path.exists(TROUBLE):
        {deed}
    return item * item

job = sw.from_items(list(range({items}))).map_items(work).collect()
"""


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict:
        return json.loads(self.out)


Run = Callable[..., Answer]


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    path = tmp_path / "trouble"
    path.touch()
    return path


@pytest.fixture
def run(tmp_path: Path, trouble: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the job whose function does a deed; gives status, standard output and standard error."""
    script = tmp_path / "job.py"

    def command(deed: str, *options: str, text: str = JOB) -> Answer:
        script.write_text(text.format(trouble=str(trouble), odd=ODD, items=ITEMS, deed=deed))
        capsys.readouterr()
        where = ["--engine", "local:1", "--shard-size", "1", "--run-dir", str(tmp_path / "run")]
        status = cli.main(["run", str(script), "--json", "--quiet", *where, *options])
        return Answer(status, *capsys.readouterr())

    return command


def check_whole(answer: Answer) -> dict:
    """Every item's result is there, once; gives what is said of the run."""
    assert answer.status == 0, answer.err
    assert [row["value"] for row in answer.document["rows"]] == [n * n for n in range(ITEMS)]
    return answer.document["run"]


@pytest.mark.parametrize(
    ("deed", "options", "status", "words"),
    [
        pytest.param("return threading.Lock()", (), 1, ("E300", "cannot be stored", "lock"), id="result"),
        pytest.param("return nested()", (), 1, ("E300", "cannot be stored", "recursion"), id="nested result"),
        pytest.param("return Surprise()", (), 1, ("E300", "cannot be stored", "no number"), id="not loaded again"),
        pytest.param("raise Unpicklable()", (), 1, ("E300", "Unpicklable: holds a lock"), id="exception"),
        pytest.param("os._exit(3)", (), 1, ("E400", "exit status 3"), id="exit"),
        pytest.param("sys.exit(3)", (), 1, ("E300", "sys.exit(3)"), id="sys.exit"),
        pytest.param("ctypes.string_at(0)", (), 1, ("E400", "SIGSEGV"), id="segmentation fault"),
        pytest.param(
            "ctypes.PyDLL(None).sleep(600)", ("--timeout", "5s"), 1, ("E400", "took more than 5 s"), id="held lock"
        ),
        pytest.param("[os.close(fd) for fd in sockets()]", (), 1, ("E400", "the worker died"), id="closed socket"),
        pytest.param("os.closerange(3, 1000)", (), 1, ("E400", "the worker died"), id="everything closed"),
    ],
)
def test_the_deed_is_told_and_nothing_is_lost(
    run: Run, trouble: Path, deed: str, options: tuple[str, ...], status: int, words: tuple[str, ...]
) -> None:
    failed = run(deed, "--retries", "0", *options)
    assert (failed.status, failed.out) == (status, "")
    assert all(word in failed.err for word in words), failed.err
    assert "\n  fix: " in failed.err or "the function raised" in failed.err  # what is wrong there, its author knows
    assert not psutil.Process().children(), "a worker is left"
    trouble.unlink()
    said = check_whole(run(deed, "--retries", "0", *options))
    assert said["resumed_tasks"] >= ODD, "what was committed before the deed is not done again"


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param("once(); os.kill(os.getpid(), signal.SIGSTOP)", id="stopped"),
        pytest.param("once(); os._exit(0)", id="exit 0"),
        pytest.param("once(); os.close(sockets()[0])", id="closed socket"),
        pytest.param(
            "once(); os.close(sockets()[0]); kept.append(socket.create_server(('127.0.0.1', 0)))", id="reused"
        ),
    ],
)
def test_a_worker_lost_once_costs_one_attempt(run: Run, deed: str) -> None:
    text = JOB.replace("def once()", "kept = []\n\ndef once()")
    said = check_whole(run(deed, text=text))
    assert said["retries"] == 1


@pytest.mark.parametrize("deed", ["os.close(1)", "os.close(2)", "os.close(1); os.close(2)", "sys.stdout.close()"])
def test_closing_standard_streams_harms_nobody(run: Run, deed: str) -> None:
    """Not even prints of the items that come after it, which must not land in a file that got the free number."""
    text = JOB.replace("    return item * item", "    else:\n        print('item', item)\n    return item * item")
    assert check_whole(run(deed, text=text))["retries"] == 0


def test_a_function_that_cannot_be_sent_is_refused(run: Run, tmp_path: Path) -> None:
    text = JOB.replace("def work(item):", "LOCK = threading.Lock()\n\ndef work(item):\n    LOCK.acquire(timeout=0)")
    refused = run("pass", text=text)
    assert (refused.status, refused.out) == (2, "")
    assert "E100" in refused.err
    assert "cannot be sent to a worker" in refused.err
    assert "lock" in refused.err
    assert "\n  fix: " in refused.err
    assert not psutil.Process().children(), "a worker is left"
