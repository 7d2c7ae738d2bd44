"""The worker as a process: what it is told at its start, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import psutil
import pytest

from shardwise import records
from shardwise.compute import wire
from shardwise.compute.program import Attempt
from shardwise.compute.task import Outcome, TaskSpec
from shardwise.engines.children import THREAD_VARIABLES, module_path
from shardwise.engines.process import WorkerProcess

cloudpickle.register_pickle_by_value(sys.modules[__name__])

PATIENCE = float(os.environ.get("SHARDWISE_PATIENCE", "60"))


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(threads=3)
    worker.socket.settimeout(PATIENCE)
    try:
        yield worker
    finally:
        worker.kill()
        worker.bury()


def hear(worker: WorkerProcess) -> tuple[int, bytes]:
    """The next message that is no sign of life."""
    while True:
        for kind, payload in worker.receive():
            if kind != wire.PROGRESS:
                return kind, payload
        assert not worker.hung_up, worker.bury()


def ask(worker: WorkerProcess, program: object, directory: Path) -> Outcome:
    """Have a worker that has said hello execute a program once."""
    header = records.to_json(wire.Parcel("ref", module_path())).encode() + b"\n"
    worker.post(wire.PROGRAM, header, cloudpickle.dumps(program))
    worker.post(wire.TASK, records.to_json(TaskSpec("r", "s", 0, 0, "ref", 0, 1, str(directory), threads=3)).encode())
    kind, payload = hear(worker)
    assert kind == wire.OUTCOME
    return records.from_json(Outcome, payload)


def answer(worker: WorkerProcess, text: str, directory: Path) -> str:
    """What an expression is worth inside the worker."""

    class Evaluate:
        def execute(self, attempt: Attempt) -> None:
            attempt.give("answer", repr(eval(text, {name: __import__(name) for name in ("os", "sys")})).encode())

    assert hear(worker)[0] == wire.HELLO
    outcome = ask(worker, Evaluate(), directory)
    assert outcome.failure is None, outcome.failure
    assert outcome.outputs[0].data is not None
    return outcome.outputs[0].data.decode()


def test_hello_says_who_and_where(worker: WorkerProcess) -> None:
    kind, payload = hear(worker)
    assert kind == wire.HELLO
    hello = records.from_json(wire.Hello, payload)
    assert (hello.host, hello.pid) == (socket.gethostname(), worker.pid)
    assert hello.memory > 1 << 20


def test_it_is_a_fresh_interpreter_that_imports_little(worker: WorkerProcess, tmp_path: Path) -> None:
    heavy = "('numpy', 'duckdb', 'pyarrow', 'pandas', 'polars', 'fsspec', 'pytest', 'cloudpickle')"
    assert answer(worker, f"[name for name in {heavy} if name in sys.modules]", tmp_path) in ("['cloudpickle']", "[]")


def test_native_libraries_are_told_how_many_threads(worker: WorkerProcess, tmp_path: Path) -> None:
    assert answer(worker, f"{{os.environ[name] for name in {THREAD_VARIABLES!r}}}", tmp_path) == "{'3'}"


def test_pyarrow_obeys(worker: WorkerProcess, tmp_path: Path) -> None:
    assert answer(worker, "__import__('pyarrow').cpu_count()", tmp_path) == "3"


def test_a_functions_children_get_the_persons_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    for worker in workers():
        names = "PYTHONPATH", "PYTHONHASHSEED", "SHARDWISE_WORKER_ENVIRONMENT"
        assert answer(worker, f"[os.environ.get(name) for name in {names}]", tmp_path) == "['/theirs', None, None]"


def test_sets_of_strings_have_one_order_in_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    answers = {answer(worker, "list(set('abcdefghijklmnopqrstuvwxyz'))", tmp_path) for worker in workers(3)}
    assert len(answers) == 1


def workers(count: int = 1) -> Iterator[WorkerProcess]:
    for _ in range(count):
        worker = WorkerProcess(threads=1)
        worker.socket.settimeout(PATIENCE)
        try:
            yield worker
        finally:
            worker.kill()
            worker.bury()


def test_modules_beside_the_script_are_found_though_the_path_changed_later(
    worker: WorkerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hear(worker)[0] == wire.HELLO
    (tmp_path / "neighbour.py").write_text(
        textwrap.dedent(
            """
            class Program:
                def execute(self, attempt):
                    attempt.give("where", __file__.encode())
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import neighbour  # type: ignore[import-not-found]

    outcome = ask(worker, neighbour.Program(), tmp_path)
    assert outcome.failure is None, outcome.failure
    assert outcome.outputs[0].data == str(tmp_path / "neighbour.py").encode()


def test_the_main_script_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, cloudpickle
            from shardwise import records
            from shardwise.compute.task import Outcome, TaskSpec
            from shardwise.engines.protocol import Finished, SlotUp, Want
            from shardwise.engines.registry import make_engine

            print("the script runs", flush=True)
            FACTOR = 6

            class Program:
                def execute(self, attempt):
                    attempt.give("answer", str(FACTOR * 7).encode())

            def wait(kind):
                while True:  # signs of life come between, where it takes longer
                    for event in engine.wait(60):
                        if isinstance(event, kind):
                            return event

            engine = make_engine("local")
            engine.open(Want(1))
            up = wait(SlotUp)
            spec = TaskSpec("r", "s", 0, 0, engine.put(cloudpickle.dumps(Program())), 0, 1, sys.argv[1])
            engine.send(up.slot, records.to_json(spec).encode())
            finished = wait(Finished)
            print(records.from_json(Outcome, finished.outcome).outputs[0].data.decode())
            engine.close()
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout.split("\n"), done.stderr) == (["the script runs", "42", ""], "")


def test_it_ends_when_the_socket_does(worker: WorkerProcess) -> None:
    assert hear(worker)[0] == wire.HELLO
    worker.socket.close()
    assert psutil.Process(worker.pid).wait(timeout=PATIENCE) == -signal.SIGKILL


def test_it_ends_when_the_socket_does_in_the_middle_of_a_function(worker: WorkerProcess, tmp_path: Path) -> None:
    class Busy:
        def execute(self, attempt: Attempt) -> None:
            attempt.count(rows_in=1)
            signal.pause()

    assert hear(worker)[0] == wire.HELLO
    header = records.to_json(wire.Parcel("ref", ())).encode() + b"\n"
    worker.post(wire.PROGRAM, header, cloudpickle.dumps(Busy()))
    worker.post(wire.TASK, records.to_json(TaskSpec("r", "s", 0, 0, "ref", 0, 1, str(tmp_path))).encode())
    assert worker.receive()[0][0] == wire.PROGRESS
    worker.socket.close()
    assert psutil.Process(worker.pid).wait(timeout=PATIENCE) == -signal.SIGKILL


def test_it_does_not_begin_where_its_parent_is_gone_already() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-P", "-m", "shardwise.compute.worker", str(theirs.fileno()), "1"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, start_new_session=True)
        theirs.close()
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
        assert process.wait() == -signal.SIGKILL


def test_a_task_that_names_no_program_is_our_own_fault(worker: WorkerProcess, tmp_path: Path) -> None:
    assert hear(worker)[0] == wire.HELLO
    worker.post(wire.TASK, records.to_json(TaskSpec("r", "s", 3, 4, "?", 0, 1, str(tmp_path))).encode())
    outcome = records.from_json(Outcome, hear(worker)[1])
    assert outcome.failure is not None
    assert (outcome.task, outcome.attempt, outcome.failure.kind) == (3, 4, "internal")


def test_a_message_that_makes_no_sense_ends_it_with_its_reason() -> None:
    worker = WorkerProcess(threads=1)
    worker.socket.settimeout(PATIENCE)
    assert hear(worker)[0] == wire.HELLO
    worker.post(wire.TASK, b"no json")
    assert worker.receive() == []
    kind, reason = worker.bury()
    assert kind == "crash"
    assert "JSONDecodeError" in reason


def test_a_forest_of_frames_in_any_pieces() -> None:
    frames = [(wire.TASK, b"a" * n) for n in (0, 1, 9, 300)]
    stream = b"".join(wire.HEADER.pack(len(payload), kind) + payload for kind, payload in frames)
    for step in (1, 2, 7, len(stream)):
        inbox = wire.Inbox()
        heard = [frame for at in range(0, len(stream), step) for frame in inbox.feed(stream[at : at + step])]
        assert heard == frames
