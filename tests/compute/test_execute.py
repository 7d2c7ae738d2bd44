"""What a program may do in an attempt, and what comes of it."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shardwise.compute import attempt as attempts
from shardwise.compute.execute import PickledProgram, execute
from shardwise.compute.failure import failure_of, kind_of
from shardwise.compute.logs import LINES, Logs, shorten
from shardwise.compute.program import CARRIED, Attempt
from shardwise.compute.task import Outcome, Output, TaskSpec
from shardwise.errors import FunctionError, InputError, MissingExtra
from shardwise.storage import digest


class Calls:
    def __init__(self, function: Callable[[Attempt], None]) -> None:
        self.execute = function


@pytest.fixture
def spec(tmp_path: Path) -> TaskSpec:
    return TaskSpec("run", "stage", 1, 2, "ref", 0, 1, str(tmp_path / "attempt"), root=str(tmp_path))


def done(spec: TaskSpec, function: Callable[[Attempt], None]) -> Outcome:
    outcome = execute(spec, Calls(function))
    assert outcome.failure is None, outcome.failure
    return outcome


def failed(spec: TaskSpec, function: Callable[[Attempt], None]) -> tuple[str, str]:
    outcome = execute(spec, Calls(function))
    assert outcome.failure is not None
    assert outcome.outputs == ()
    return outcome.failure.kind, outcome.failure.message


# --- outputs and inputs --------------------------------------------------------------------------------------------


def test_few_bytes_are_carried_and_many_are_a_file(spec: TaskSpec) -> None:
    few, many = b"x" * CARRIED, b"y" * (CARRIED + 1)

    def give(attempt: Attempt) -> None:
        attempt.give("few", few, rows=1)
        attempt.give("many", many, rows=2)

    outputs = done(spec, give).outputs
    assert outputs == (
        Output("few", 1, len(few), digest(few), few),
        Output("many", 2, len(many), digest(many)),
    )
    assert [path.name for path in Path(spec.directory).iterdir()] == ["many"]
    assert Path(spec.directory, "many").read_bytes() == many


def test_nothing_is_made_before_something_is_written(spec: TaskSpec) -> None:
    done(spec, lambda attempt: attempt.give("few", b""))
    assert not Path(spec.directory).exists()


def test_pyarrow_writes_into_an_output(spec: TaskSpec) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"a": [1, 2, 3]})

    def write(attempt: Attempt) -> None:
        with attempt.write("part.parquet") as file:
            pq.write_table(table, file)
        attempt.wrote_rows("part.parquet", len(table))

    (output,) = done(spec, write).outputs
    data = Path(spec.directory, "part.parquet").read_bytes()
    assert (output.rows, output.size, output.digest) == (3, len(data), digest(data))
    assert pq.read_table(Path(spec.directory, "part.parquet")).equals(table)


def test_a_broken_write_leaves_neither_output_nor_file(spec: TaskSpec) -> None:
    def write(attempt: Attempt) -> None:
        try:
            with attempt.write("a", publish="a.csv") as file:
                file.write(b"half")
                raise ValueError
        except ValueError:
            attempt.give("b", b"whole")

    assert [output.name for output in done(spec, write).outputs] == ["b"]
    assert list(Path(spec.directory).iterdir()) == []


def test_a_name_is_written_once(spec: TaskSpec) -> None:
    def twice(attempt: Attempt) -> None:
        attempt.give("a", b"1")
        attempt.give("a", b"2")

    assert failed(spec, twice)[0] == "internal"
    assert failed(spec, lambda attempt: attempt.wrote_rows("never", 1))[0] == "internal"


def test_inputs_come_in_order_from_the_task_and_from_files(spec: TaskSpec, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.bin"
    elsewhere.write_bytes(b"third")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "two.bin").write_bytes(b"second")
    inputs = (
        Output("one", 0, 5, digest(b"first"), b"first"),
        Output("two", 0, 6, digest(b"second"), path="outputs/two.bin"),
        Output("three", 0, 5, digest(b"third"), path=str(elsewhere)),
    )
    with_inputs = TaskSpec("run", "stage", 1, 2, "ref", 0, 1, spec.directory, inputs, spec.root)

    def join(attempt: Attempt) -> None:
        attempt.give("all", b",".join(bytes(data) for _, data in attempt.inputs()))

    assert done(with_inputs, join).outputs[0].data == b"first,second,third"
    elsewhere.write_bytes(b"THIRD")
    kind, message = failed(with_inputs, join)
    assert kind == "storage"
    assert str(elsewhere) in message
    elsewhere.unlink()
    kind, message = failed(with_inputs, join)
    assert kind == "storage"
    assert str(elsewhere) in message


def test_a_remote_store(spec: TaskSpec) -> None:
    remote = TaskSpec("run", "stage", 1, 2, "ref", 0, 1, "memory://runs/1/_attempts/2", root="memory://runs/1")

    def work(attempt: Attempt) -> None:
        attempt.give("big", b"x" * (CARRIED + 1))
        assert attempt.connection().execute("SELECT 1").fetchall() == [(1,)]

    (output,) = done(remote, work).outputs
    again = TaskSpec(
        "run",
        "stage",
        1,
        3,
        "ref",
        0,
        1,
        "memory://runs/1/_attempts/3",
        (attempts.replace(output, path="_attempts/2/big"),),
        "memory://runs/1",
    )
    sizes = done(again, lambda attempt: attempt.give("n", str([len(d) for _, d in attempt.inputs()]).encode())).outputs
    assert sizes[0].data == b"[65537]"


# --- metrics -------------------------------------------------------------------------------------------------------


def test_time_of_inner_phases_is_not_counted_twice(spec: TaskSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(attempts.time, "monotonic", lambda: float(next(clock)))

    def work(attempt: Attempt) -> None:  # one second goes by at each turn
        with attempt.phase("read"):
            with attempt.phase("compute"), attempt.phase("write"):
                pass
            with attempt.phase("compute"):
                pass

    metrics = done(spec, work).metrics
    assert (metrics.read_seconds, metrics.compute_seconds, metrics.write_seconds) == (3.0, 3.0, 1.0)
    assert metrics.seconds == 9.0


def test_a_phase_ends_with_an_error_too(spec: TaskSpec) -> None:
    def work(attempt: Attempt) -> None:
        with pytest.raises(ValueError, match="x"), attempt.phase("read"):
            raise ValueError("x")
        with attempt.phase("compute"):
            pass

    done(spec, work)
    assert failed(spec, lambda attempt: attempt.phase("sleep").__enter__())[0] == "internal"


def test_progress_is_told_at_most_ten_times_a_second(spec: TaskSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(attempts.time, "monotonic", lambda: now)
    told: list[tuple[int, int]] = []

    def work(attempt: Attempt) -> None:
        nonlocal now
        for _ in range(1000):
            attempt.count(rows_in=2, bytes_in=16)
            now += 0.001

    outcome = execute(spec, Calls(work), lambda rows, size, memory: told.append((rows, size)))
    assert outcome.failure is None
    assert outcome.metrics.rows_in == 2000
    assert 8 <= len(told) <= 11
    assert told[0] == (2, 16)


# --- the connection ------------------------------------------------------------------------------------------------


def test_the_connection_is_set_up_as_the_task_says(tmp_path: Path) -> None:
    seen = []

    def look(attempt: Attempt) -> None:
        names = ["threads", "memory_limit", "TimeZone", "temp_directory", "autoload_known_extensions"]
        (row,) = (
            attempt.connection().execute(f"SELECT {', '.join(f'current_setting({n!r})' for n in names)}").fetchall()
        )
        seen.append(row)
        assert attempt.connection() is attempt.connection()

    for number, (threads, memory) in enumerate([(1, None), (3, 512 << 20), (2, None)]):
        directory = str(tmp_path / str(number))
        done(TaskSpec("r", "s", 0, number, "ref", 0, 1, directory, threads=threads, memory=memory), look)
    default, bounded = seen[0][1], seen[1][1]
    assert bounded.endswith(" MiB")  # less than the worker's memory, of which the interpreter needs a part
    assert 200 < float(bounded.split()[0]) < 512
    assert seen == [
        (1, default, "UTC", str(tmp_path / "0" / "_spill"), False),
        (3, bounded, "UTC", str(tmp_path / "1" / "_spill"), False),
        (2, default, "UTC", str(tmp_path / "2" / "_spill"), False),
    ]


def test_attempts_do_not_see_each_others_views_and_variables(spec: TaskSpec) -> None:
    import pyarrow as pa

    hidden = pa.table({"a": [1]})
    done(spec, lambda attempt: attempt.connection().register("mine", hidden))
    assert "mine" in failed(spec, lambda attempt: attempt.connection().execute("FROM mine"))[1]
    assert "hidden" in failed(spec, lambda attempt: attempt.connection().execute("FROM hidden"))[1]


def test_what_is_spilled_is_gone_after_the_attempt(spec: TaskSpec) -> None:
    small = TaskSpec("r", "s", 0, 1, "ref", 0, 1, spec.directory, memory=60 << 20)

    def sort(attempt: Attempt) -> None:
        rows = attempt.connection().execute(
            "CREATE TEMP TABLE t AS "
            "SELECT hash(range) h, range::VARCHAR || repeat('x', 30) s FROM range(1500000) ORDER BY h"
        )
        assert rows.fetchall() == [(1_500_000,)]
        assert Path(spec.directory, "_spill").is_dir()

    done(small, sort)
    assert not Path(spec.directory).exists()
    done(spec, lambda attempt: attempt.connection().execute("SELECT 1").fetchall())


def test_too_little_memory_is_a_failure_of_that_kind(spec: TaskSpec) -> None:
    small = TaskSpec("r", "s", 0, 1, "ref", 0, 1, spec.directory, memory=20 << 20)
    kind, message = failed(
        small,
        lambda a: a.connection().execute("SELECT list(range ORDER BY hash(range)) FROM range(5000000)").fetchall(),
    )
    assert kind == "memory"
    assert "Out of Memory" in message


# --- failures ------------------------------------------------------------------------------------------------------


def test_the_traceback_is_the_persons_own(spec: TaskSpec) -> None:
    def theirs() -> None:
        try:
            {}["key"]
        except KeyError as cause:
            raise ValueError("because") from cause

    outcome = execute(spec, Calls(lambda attempt: theirs()))
    assert outcome.failure is not None
    text = outcome.failure.traceback
    assert "shardwise/compute" not in text
    assert "in theirs" in text
    assert "KeyError: 'key'" in text
    assert text.rstrip().endswith("ValueError: because")


def test_code_and_fix_of_our_own_errors_are_kept() -> None:
    failure = failure_of(InputError("t.csv, row 7: 'x' is no number", "mend the row"))
    assert (failure.kind, failure.code, failure.fix) == ("input", "E200", "mend the row")
    failure = failure_of(MissingExtra("pandas is not installed", 'pip install "shardwise[pandas]"'))
    assert (failure.kind, failure.code) == ("input", "E120")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EDQUOT, "quota"), "storage"),
        (PermissionError(errno.EACCES, "denied"), "exception"),
        (FunctionError("gave a set"), "exception"),
        (GeneratorExit(), "exception"),
    ],
)
def test_kinds(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind


class Hostile(Exception):
    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise SystemExit

    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_a_hostile_exception_is_a_failure(spec: TaskSpec) -> None:
    def work(attempt: Attempt) -> None:
        raise Hostile

    kind, message = failed(spec, work)
    assert (kind, message) == ("exception", "<str() of Hostile raised KeyboardInterrupt>")


def test_messages_are_bounded_and_can_be_sent() -> None:
    failure = failure_of(ValueError("\ud800" + "x" * 1_000_000))
    assert len(failure.message.encode()) <= 8192
    assert "bytes cut" in failure.message


def test_an_interrupt_goes_through_where_the_keyboard_is_ours(spec: TaskSpec) -> None:
    def work(attempt: Attempt) -> None:
        raise KeyboardInterrupt

    before = sys.stdout, sys.stderr
    with pytest.raises(KeyboardInterrupt):
        execute(spec, Calls(work), interruptible=True)
    assert (sys.stdout, sys.stderr) == before
    assert failed(spec, work)[0] == "exception"


def test_a_missing_module_is_named_with_its_cure(spec: TaskSpec) -> None:
    outcome = execute(spec, PickledProgram(b"cno_such_module\nf\n."))
    assert outcome.failure is not None
    assert "no_such_module" in outcome.failure.message
    assert "install" in outcome.failure.fix


# --- logs ----------------------------------------------------------------------------------------------------------


def test_without_capture_lines_go_to_standard_error(spec: TaskSpec, capsys: pytest.CaptureFixture[str]) -> None:
    def chat(attempt: Attempt) -> None:
        print("out")
        attempt.log("line")

    assert execute(spec, Calls(chat), capture=False).logs == ()
    assert capsys.readouterr() == ("out\n", "line\n")


def test_threads_that_were_there_before_print_where_they_did(
    spec: TaskSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, answered = threading.Event(), threading.Event()

    def bar() -> None:
        asked.wait()
        print("50 %", file=sys.stderr)
        answered.set()

    other = threading.Thread(target=bar)
    other.start()

    def work(attempt: Attempt) -> None:
        asked.set()
        answered.wait()
        mine = threading.Thread(target=print, args=("from a thread of mine",))
        mine.start()
        mine.join()

    outcome = execute(spec, Calls(work))
    other.join()
    assert outcome.logs == ("from a thread of mine",)
    assert "50 %" in capsys.readouterr().err


def test_a_function_may_close_its_streams(spec: TaskSpec) -> None:
    before = sys.stdout

    def work(attempt: Attempt) -> None:
        print("last")
        sys.stdout.close()
        sys.stderr.detach()  # type: ignore[union-attr]

    assert done(spec, work).logs == ("last",)
    assert sys.stdout is before


def test_short_logs_are_kept_whole() -> None:
    logs = Logs()
    for n in range(LINES):
        logs.add(str(n))
    assert logs.lines() == tuple(str(n) for n in range(LINES))
    logs.add("one\nmore")
    assert logs.lines()[LINES // 2] == "... 2 lines dropped ..."
    assert len(logs.lines()) == LINES + 1


def test_shorten_never_splits_a_character() -> None:
    for limit in range(30, 60):
        text = shorten("é" * 100, limit)
        assert len(text.encode()) <= limit
        assert "bytes cut" in text
    assert shorten("short", 10) == "short"
