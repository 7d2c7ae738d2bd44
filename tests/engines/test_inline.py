"""What only the inline engine does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import pytest

from shardwise import records
from shardwise.compute.program import Attempt
from shardwise.compute.task import Outcome, TaskSpec
from shardwise.engines.inline import InlineEngine
from shardwise.engines.protocol import Finished, SlotDown, SlotUp, Want
from shardwise.errors import InternalError

cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Calls:
    def __init__(self, function: Callable[[Attempt], None]) -> None:
        self.execute = function


@pytest.fixture
def engine() -> Iterator[InlineEngine]:
    engine = InlineEngine()
    engine.open(Want(8, memory=1 << 30))
    yield engine
    engine.close()


def send(engine: InlineEngine, slot: int, directory: Path, function: Callable[[Attempt], None]) -> None:
    ref = engine.put(cloudpickle.dumps(Calls(function)))
    engine.send(slot, records.to_json(TaskSpec("r", "s", 1, 1, ref, 0, 1, str(directory))).encode())


def interrupt(attempt: Attempt) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    attempt.give("went", b"on")


def test_one_slot_whatever_is_wanted(engine: InlineEngine) -> None:
    (up,) = engine.wait(None)
    assert isinstance(up, SlotUp)
    assert (up.pid, up.memory) == (os.getpid(), 1 << 30)
    assert engine.wait(0) == []


def test_an_interrupt_comes_out_of_wait_and_the_slot_is_lent_anew(engine: InlineEngine, tmp_path: Path) -> None:
    engine.wait(0)
    send(engine, 0, tmp_path, interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.wait(None)
    down, up = engine.wait(0)
    assert down == SlotDown(0, "killed", "interrupted by Ctrl-C")
    assert isinstance(up, SlotUp)
    assert up.slot == 1
    assert engine.wait(0) == []
    send(engine, 1, tmp_path, lambda attempt: None)
    assert isinstance(engine.wait(None)[0], Finished)


def test_a_handler_that_takes_a_note_lets_the_attempt_end(engine: InlineEngine, tmp_path: Path) -> None:
    engine.wait(0)
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        send(engine, 0, tmp_path, interrupt)
        (finished,) = engine.wait(None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(finished, Finished)
    assert records.from_json(Outcome, finished.outcome).outputs[0].data == b"on"
    assert noted == [signal.SIGINT]


def test_a_task_that_has_not_begun_can_be_killed(engine: InlineEngine, tmp_path: Path) -> None:
    engine.wait(0)
    send(engine, 0, tmp_path, lambda attempt: os._exit(9))
    engine.kill(0)
    down, up = engine.wait(None)
    assert isinstance(down, SlotDown)
    assert (down.slot, down.kind) == (0, "killed")
    engine.kill(0)
    engine.send(0, b"for a slot that is gone")
    assert engine.wait(0) == []
    assert isinstance(up, SlotUp)


def test_waiting_for_ever_for_nothing_is_refused(engine: InlineEngine) -> None:
    engine.wait(0)
    with pytest.raises(InternalError):
        engine.wait(None)
