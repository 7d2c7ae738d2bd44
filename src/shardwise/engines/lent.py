"""Slots that agents lend, as their driver sees them: whose they are, what is sent there, and what their mail says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shardwise.engines import mail
from shardwise.engines.agent import understood
from shardwise.engines.children import module_path
from shardwise.engines.protocol import EngineEvent, Finished, Progress, Returned, SlotDown, SlotUp
from shardwise.engines.sharing import Mail, Programs
from shardwise.errors import EngineError


@dataclass(slots=True)
class _Place:
    """An agent, as the driver sees it."""

    host: str = ""
    posted: int = 0  # pieces of mail sent to it
    told: int = 0  # programs that tasks sent there have named
    slots: dict[int, int] = field(default_factory=dict)  # its number of a slot -> ours


class LentSlots:
    """All slots of an engine, and the agents that lend them. The driver's thread alone calls it.

    Parameters
    ----------
    post : callable
        Hands numbered mail to an agent.
    greet : callable
        Told what a host says of itself before it lends; raises where it is of no use.
    ever : int
        So many have been lent since the engine was made.
    """

    def __init__(
        self,
        post: Callable[[str, int, list[bytes]], None],
        greet: Callable[[dict[str, Any]], None],
        ever: int = 0,
    ) -> None:
        self.ever = ever
        self._post, self._greet = post, greet
        self._places: dict[str, _Place] = {}
        self._where: dict[int, tuple[str, int]] = {}  # our number of a slot -> agent, its number
        self._killed: set[int] = set()
        self._programs = Programs()

    def __bool__(self) -> bool:
        """Whether any is lent now."""
        return bool(self._where)

    @property
    def agents(self) -> list[str]:
        """Who has called and is not gone."""
        return list(self._places)

    def clear(self) -> None:
        """Forget all slots and agents."""
        self._places.clear()
        self._where.clear()

    # --- to agents -------------------------------------------------------------------------------------------------

    def put(self, blob: bytes) -> str:
        """Keep a program; it travels to each host once, when the first task there names it."""
        ref = hashlib.blake2b(blob, digest_size=20).hexdigest()
        self._programs.add(ref, blob, module_path())
        return ref

    def send(self, slot: int, task: bytes, memory: int | None) -> None:
        """Hand a task to the agent of a slot."""
        if slot not in self._where or slot in self._killed:
            return
        agent, theirs = self._where[slot]
        place = self._places[agent]
        refs, place.told = self._programs.refs[place.told :], len(self._programs.refs)
        self._mail(agent, mail.write("task", task, slot=theirs, memory=memory, programs=refs))

    def recall(self, slot: int, attempt: int) -> None:
        """Have an agent drop a task that has not begun."""
        if slot in self._where and slot not in self._killed:
            agent, theirs = self._where[slot]
            self._mail(agent, mail.write("recall", slot=theirs, attempt=attempt))

    def kill(self, slot: int) -> None:
        """Have a slot's worker killed."""
        if slot in self._where and slot not in self._killed:
            self._killed.add(slot)
            agent, theirs = self._where[slot]
            self._mail(agent, mail.write("kill", slot=theirs))

    def end(self, agent: str) -> None:
        """Have an agent end, and its worker."""
        self._mail(agent, mail.write("close"))

    def _mail(self, agent: str, message: bytes) -> None:
        place = self._places[agent]
        place.posted += 1
        self._post(agent, place.posted, [message])

    def _mail_all(self, letters: Mail) -> None:
        for agent, message in letters:
            self._mail(agent, message)

    # --- from agents -----------------------------------------------------------------------------------------------

    def join(self, agent: str) -> None:
        """An agent has called for the first time."""
        self._places[agent] = _Place()

    def hear(self, agent: str, message: bytes) -> list[EngineEvent]:
        """What an agent's message means for the driver.

        Raises
        ------
        EngineError
            No worker will ever be ready there.
        """
        if agent not in self._places:  # it was given up; what it says comes too late
            return []
        place = self._places[agent]
        kind, fields, payload = mail.read(message)
        match kind:
            case "hello":
                place.host = fields["host"]
                self._greet(fields)
            case "need":
                self._mail_all(self._programs.needed(agent, place.host, **fields))
            case "have":
                self._mail_all(self._programs.kept(agent, place.host, **fields))
            case "broken":
                raise EngineError(fields["message"], fields["fix"])
            case "closed":
                return self.lose(agent, "the engine took it back")
            case _:
                return self._translate(agent, place, kind, fields, payload)
        return []

    def lose(self, agent: str, reason: str) -> list[EngineEvent]:
        """An agent is gone, and its slots with it."""
        if agent not in self._places:
            return []
        place = self._places[agent]
        downs: list[EngineEvent] = []
        for slot in list(place.slots.values()):
            kind = "killed" if slot in self._killed else "engine"
            downs.append(SlotDown(slot, kind, f"the slot on {place.host or 'a host'} is gone: {reason}"))
            self._forget(slot)
        del self._places[agent]
        self._mail_all(self._programs.gone(agent))
        return downs

    def hear_last(self, agent: str, message: bytes) -> None:
        """While the engine closes, only ends matter."""
        if mail.read(message)[0] == "closed":
            self.lose_last(agent)

    def lose_last(self, agent: str) -> None:
        """An agent is gone while the engine closes: nobody is told."""
        self._places.pop(agent, None)

    def _translate(
        self, agent: str, place: _Place, kind: str, fields: dict[str, Any], payload: bytes
    ) -> list[EngineEvent]:
        if kind == "up":
            place.slots[fields["slot"]] = self.ever
            self._where[self.ever] = agent, fields["slot"]
            self.ever += 1
        slot = place.slots[fields["slot"]]
        event = understood(kind, fields, payload, slot)
        if isinstance(event, SlotUp):
            event = SlotUp(slot, place.host, event.pid, event.memory, event.gpus)
        if isinstance(event, SlotDown):
            self._forget(slot)
        if isinstance(event, (Finished, Progress, Returned)) and slot in self._killed:
            return []
        return [event]

    def _forget(self, slot: int) -> None:
        agent, theirs = self._where.pop(slot)
        self._killed.discard(slot)
        del self._places[agent].slots[theirs]
