"""What lives in a slot of a cluster: what it passes on of its worker, what it keeps, and what it does by itself."""

from __future__ import annotations

from typing import Any

import pytest

from shardwise import records
from shardwise.compute.task import TaskSpec
from shardwise.engines import mail
from shardwise.engines.agent import BRIEF_SECONDS, REST_SECONDS, Agent, Terms, rest_after
from shardwise.engines.protocol import EngineEvent, Finished, Progress, SlotDown, SlotUp


def told(*events: EngineEvent) -> list[str]:
    """Kinds of the messages that these events at once become."""
    agent = Agent(Terms())
    for event in events:
        agent._hear(event)
    return [mail.read(message)[0] for message in agent.outbox.after(0)[1]]


FAR = Progress(0, 1, 7, 56, 1 << 20)


def test_how_far_a_task_was_is_no_news_once_it_has_ended() -> None:
    assert told(FAR, Finished(0, b"{}")) == ["finished"]


def test_what_a_worker_said_before_it_died_is_told() -> None:
    """Nobody else says any more how far it was."""
    assert told(FAR, SlotDown(0, "crash", "exit status 1")) == ["progress", "down"]
    assert told(SlotDown(0, "crash", "exit status 1")) == ["down"]


# --- a task ahead ----------------------------------------------------------------------------------------------------


class Slot:
    """An agent whose worker only notes what it is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.agent = Agent(Terms())
        self.begun: list[tuple[int, int]] = []  # worker's number, attempt
        self.posted = self.seen = 0
        monkeypatch.setattr(self.agent._engine, "send", self._note)
        monkeypatch.setattr(self.agent._engine, "put", lambda *program: "")
        self.hear(SlotUp(0, "here", 1))

    def _note(self, slot: int, task: bytes, memory: int | None) -> None:
        self.begun.append((slot, records.from_json(TaskSpec, task).attempt))

    def hear(self, event: EngineEvent) -> None:
        self.agent._hear(event)

    def order(self, kind: str, payload: bytes = b"", **fields: Any) -> None:
        self.posted += 1
        self.agent.post(self.posted, [mail.write(kind, payload, **fields)])
        self.agent._obey(self.agent._engine)

    def send(self, attempt: int, slot: int = 0, programs: tuple[str, ...] = ()) -> None:
        spec = TaskSpec("run", "stage", attempt, attempt, "", 0, 1, "")
        self.order("task", records.to_json(spec).encode(), slot=slot, memory=None, programs=programs)

    def said(self) -> list[bytes]:
        self.seen, messages = self.agent.outbox.after(self.seen)
        return messages

    def kinds(self) -> list[str]:
        return [mail.read(message)[0] for message in self.said()]


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> Slot:
    return Slot(monkeypatch)


def test_the_next_task_begins_without_a_word_of_the_driver(slot: Slot) -> None:
    slot.send(1)
    slot.send(2)
    assert slot.begun == [(0, 1)], "not before the other one has ended"
    slot.hear(Finished(0, b"{}"))
    assert slot.begun == [(0, 1), (0, 2)]
    slot.hear(Finished(0, b"{}"))
    assert slot.begun == [(0, 1), (0, 2)]


def test_a_task_that_has_not_begun_is_given_back(slot: Slot) -> None:
    slot.send(1)
    slot.send(2)
    slot.said()
    slot.order("recall", slot=0, attempt=1)
    assert slot.said() == [], "it is under way"
    slot.order("recall", slot=0, attempt=2)
    (message,) = slot.said()
    assert mail.read(message)[:2] == ("returned", {"slot": 0, "attempt": 2})
    slot.order("recall", slot=0, attempt=2)
    slot.hear(Finished(0, b"{}"))
    assert slot.kinds() == ["finished"]
    slot.send(3)
    assert slot.begun == [(0, 1), (0, 3)]


def test_what_a_dead_worker_had_ahead_is_forgotten(slot: Slot) -> None:
    slot.send(1)
    slot.send(2)
    slot.hear(SlotDown(0, "crash", "exit status 1"))
    slot.send(3)  # the driver has not heard of it yet
    slot.hear(SlotUp(1, "here", 2))
    slot.send(4, slot=0)
    assert slot.begun == [(0, 1)]
    slot.send(5, slot=1)
    assert slot.begun == [(0, 1), (1, 5)]


def test_no_task_begins_before_the_programs_that_were_named_are_there(slot: Slot) -> None:
    """Also those that a task named which was given back: the driver names each but once."""
    slot.send(1)
    slot.send(2, programs=("p",))
    slot.order("recall", slot=0, attempt=2)
    slot.send(3)
    slot.hear(Finished(0, b"{}"))
    assert slot.begun == [(0, 1)]
    slot.order("program", b"blob", ref="p", path=[])
    assert slot.begun == [(0, 1), (0, 3)]
    slot.agent._clear()


def test_nobody_rests_for_long_while_something_is_under_way_or_on_its_way(slot: Slot) -> None:
    slot.said()
    slot.send(1)
    slot.send(2)
    assert rest_after(slot.said(), posted=2) == 0, "nothing has ended"
    slot.hear(Finished(0, b"{}"))
    assert rest_after(slot.said(), posted=2) == BRIEF_SECONDS, "the other one has begun"
    slot.hear(Finished(0, b"{}"))
    news = slot.said()
    assert rest_after(news, posted=2) == REST_SECONDS
    assert rest_after(news, posted=3) == BRIEF_SECONDS, "it will begin as soon as it arrives"
