from __future__ import annotations

from typing import Any

import pytest

from shardwise.compute.task import Outcome, Output, TaskSpec
from shardwise.engines.protocol import Engine, EngineEvent, Finished, SlotDown, SlotUp, Want
from shardwise.engines.simulated import Faults, SimulatedEngine
from shardwise.errors import EngineError
from shardwise.records import from_json, to_json


def send(engine: Engine, slot: int, attempt: int, task: int = 0) -> None:
    engine.send(slot, to_json(TaskSpec("run", "stage", task, attempt, "blob-0", 0, 1, "")).encode())


def opened(slots: int = 1, faults: Faults | None = None, **options: object) -> SimulatedEngine:
    engine = SimulatedEngine(slots, faults=faults, **options)  # type: ignore[arg-type]
    engine.open(Want(slots))
    return engine


def always(kind: str) -> Faults:
    certain: dict[str, Any] = {kind: 1.0}
    return Faults(**certain)


def hear_all(engine: SimulatedEngine, seconds: float) -> list[EngineEvent]:
    end, heard = engine.clock() + seconds, []
    while engine.clock() < end:
        heard += engine.wait(end - engine.clock())
    return heard


def test_it_is_an_engine() -> None:
    engine: Engine = SimulatedEngine(1)
    assert engine.name == "simulated"


def test_it_lends_what_is_wanted_and_no_more_than_it_has() -> None:
    for has, wanted in ((2, 5), (5, 2)):
        engine = SimulatedEngine(has)
        engine.open(Want(wanted))
        assert [event.slot for event in engine.wait(None)] == [0, 1]


def test_time_passes_only_in_wait_and_as_the_costs_say() -> None:
    engine = opened(2, costs=lambda spec: 10.0 * spec.attempt)
    engine.wait(None)
    send(engine, 0, attempt=3)
    send(engine, 1, attempt=1)
    assert engine.clock() == 0.0
    assert engine.wait(9.0) == []
    assert engine.clock() == 9.0
    (first,) = engine.wait(None)
    assert isinstance(first, Finished)
    assert (first.slot, engine.clock()) == (1, 10.0)
    (second,) = engine.wait(None)
    assert isinstance(second, Finished)
    assert (second.slot, engine.clock()) == (0, 30.0)


def test_outcomes_have_outputs_or_a_failure() -> None:
    output = Output("state", 1, 2, "digest", b"ab")
    engine = opened(outputs=lambda spec: (output,))
    engine.wait(None)
    send(engine, 0, attempt=7, task=4)
    (event,) = engine.wait(None)
    assert isinstance(event, Finished)
    outcome = from_json(Outcome, event.outcome)
    assert (outcome.task, outcome.attempt, outcome.outputs, outcome.failure) == (4, 7, (output,), None)
    for kind in ("exception", "input", "storage"):
        engine = opened(faults=always(kind))
        engine.wait(None)
        send(engine, 0, attempt=0)
        (event,) = engine.wait(None)
        assert isinstance(event, Finished)
        failure = from_json(Outcome, event.outcome).failure
        assert failure is not None
        assert failure.kind == kind


@pytest.mark.parametrize("kind", ["crash", "memory", "engine"])
def test_a_worker_that_dies_is_replaced_by_one_with_another_number(kind: str) -> None:
    engine = opened(faults=always(kind))
    engine.wait(None)
    send(engine, 0, attempt=0)
    down, up = hear_all(engine, 10.0)
    assert isinstance(down, SlotDown)
    assert (down.slot, down.kind) == (0, kind)
    assert isinstance(up, SlotUp)
    assert up.slot == 1


def test_kill_ends_what_hangs() -> None:
    engine = opened(faults=Faults(hang=1.0))
    engine.wait(None)
    send(engine, 0, attempt=0)
    assert hear_all(engine, 1e6) == []
    engine.kill(0)
    engine.kill(0)
    assert [type(event) for event in hear_all(engine, 1.0)] == [SlotDown, SlotUp]


def test_sending_to_a_slot_that_is_gone_is_no_error_and_to_a_busy_one_is() -> None:
    engine = opened()
    engine.wait(None)
    send(engine, 9, attempt=0)
    send(engine, 0, attempt=1)
    with pytest.raises(EngineError, match="attempt 1"):
        send(engine, 0, attempt=2)


def test_messages_are_late_twice_and_out_of_order_on_demand() -> None:
    engine = opened(50, Faults(latency=5.0, duplicate=0.5), costs=lambda spec: 1.0 + spec.attempt / 100)
    hear_all(engine, 10.0)
    for slot in range(50):
        send(engine, slot, attempt=slot)
    slots = [event.slot for event in hear_all(engine, 20.0) if isinstance(event, Finished)]
    assert set(slots) == set(range(50))
    assert 60 < len(slots) < 90
    assert slots != sorted(slots)


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    def run(seed: int) -> list[str]:
        engine = SimulatedEngine(5, seed, faults=Faults(mortality=0.5, start=1.0, latency=1.0))
        engine.open(Want(5))
        return [str(event) for event in hear_all(engine, 100.0)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_waiting_for_ever_for_nothing_is_an_error() -> None:
    engine = opened()
    engine.wait(None)
    with pytest.raises(EngineError, match="wait for ever"):
        engine.wait(None)


def test_close_leaves_no_worker_and_twice_is_harmless() -> None:
    engine = opened(3)
    engine.wait(None)
    send(engine, 0, attempt=0)
    engine.close()
    engine.close()
    assert engine.wait(100.0) == []
    assert engine.wait(None) == []
