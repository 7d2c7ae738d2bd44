"""What lives in a slot of a cluster: what it passes on of its worker, and what it keeps to itself."""

from __future__ import annotations

from shardwise.engines import mail
from shardwise.engines.agent import Agent, Terms
from shardwise.engines.protocol import EngineEvent, Finished, Progress, SlotDown


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
