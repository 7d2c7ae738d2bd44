"""What all engines that lend slots of a cluster have in common, on the driver's side."""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shardwise.compute.machine import usable_cores
from shardwise.engines.agent import Terms
from shardwise.engines.handshake import Proof, refuse_if_different
from shardwise.engines.lent import LentSlots
from shardwise.engines.needs import Need, library, refuse_without
from shardwise.engines.protocol import EngineEvent, Reach, SlotDown, Want
from shardwise.engines.room import Room
from shardwise.engines.shipping import SHIP_OURS, located
from shardwise.engines.waits import Waits
from shardwise.errors import EngineError, ShardwiseError
from shardwise.storage import Trusted, entrusted

PATIENCE_SECONDS = 60.0
"""A cluster that lends no slot at all for so long is given up."""

STILLBORN = 3
"""So many seats in a row that end before any slot was lent mean that none ever will be."""

GOES_ON = "the same command finishes the run, on this engine once it is back, or on another one (--engine local)"


class LendingEngine(ABC):
    """Lends slots by agents that a cluster places.

    An adapter says how agents are placed (`_lend`, in a thread of its own) and how mail gets to them (`_post`), and
    calls `_asked`, `_joined`, `_heard`, `_lost` and `_fail`, from any thread.

    Parameters
    ----------
    patience : float
        Seconds that the cluster may take until it lends a first slot, or another where all are lost.
    """

    name: str
    library = ""  # that must be installed,
    oldest = ""  # in this version or a later one
    reach: Reach = "network"
    reads_ahead = True
    waits = Waits()

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self.patience = patience
        self._want = Want(0)
        self._terms = Terms()
        self._news: queue.SimpleQueue[tuple[str, str, Any]] = queue.SimpleQueue()
        self._lent = LentSlots(self._post, lambda about: self.on_hello(about))
        self._proof: Proof | None = None
        self._keeper: threading.Thread | None = None
        self._last_keeper: threading.Thread | None = None
        self._leaving = threading.Event()  # what ends now is not replaced
        self._closing = threading.Event()
        self._shipped = located(())
        self._answered = False
        self._idle_since = 0.0
        self._gpus = 0  # that each slot takes
        self._failed, self._lent_before = 0, 0  # seats in a row that failed since so many slots had been lent
        self.on_hello: Callable[[dict[str, Any]], None] = self.refuse_if_unfit
        """Called with what a host says of itself before it is lent; raises where it is of no use."""

    # --- for adapters ----------------------------------------------------------------------------------------------

    @abstractmethod
    def _lend(self) -> None:
        """Have the cluster place agents, keep watch until ``_closing`` is set, then give back what was taken."""

    @abstractmethod
    def _post(self, agent: str, number: int, messages: list[bytes]) -> None:
        """Hand mail to an agent. Never blocks."""

    @abstractmethod
    def _offer(self) -> str:
        """What the cluster has, in words, for a person who waits for slots in vain."""

    def room(self) -> Room | None:
        """What the cluster has, for this engine's slots; None: that cannot be asked now."""
        return None

    @property
    def _slots(self) -> int:
        """How many slots to ask the cluster for: what is wanted, or all that there is room for."""
        room = None if self._want.slots else self.room()
        return self._want.slots or max(1, room.slots if room else 1)

    def _asked(self) -> None:
        """The cluster answers, and has been asked for slots: patience begins anew."""
        self._answered = True
        self._idle_since = time.monotonic()

    def _joined(self, agent: str) -> None:
        self._news.put(("joined", agent, None))

    def _heard(self, agent: str, message: bytes) -> None:
        self._news.put(("heard", agent, message))

    def _lost(self, agent: str, reason: str) -> None:
        self._news.put(("lost", agent, reason))

    def _in_vain(self, seats: int = 1) -> bool:
        """Count another seat that failed; whether there were too many without a slot, of so many at a time."""
        self._failed = self._failed + 1 if self._lent_before == self._lent.ever else 1
        self._lent_before = self._lent.ever
        return self._failed >= STILLBORN * seats

    def _fail(self, error: BaseException) -> None:
        self._news.put(("failed", "", error))

    # --- for the driver --------------------------------------------------------------------------------------------

    def needs(self) -> list[Need]:
        """What must be on this host."""
        return [library(self.library, self.oldest, self.name)] if self.library else []

    def open(self, want: Want) -> None:
        """Ask the cluster for slots; where none are wanted, for as many as there is room for. An engine that was closed
        may be opened again.

        Raises
        ------
        MissingExtra
            The cluster's library is not installed here.
        """
        refuse_without(self.needs(), self.name)
        self._begin_anew()
        self._shipped = located(want.ship) if self.reach == "network" else ()
        self._want = replace(want, slots=want.slots or usable_cores()) if self.reach == "host" else want
        self._terms = Terms(want.threads, want.memory, self.waits.poll, self.waits.orphan, gpus=self._gpus)
        if want.root and self.reach == "network":
            self._proof, access = Proof(want.root), Trusted(entrusted([want.root]))
            self._terms = replace(self._terms, root=want.root, nonce=self._proof.nonce, access=access, data=want.data)
        self._idle_since = time.monotonic()
        self._keeper = threading.Thread(target=self._keep, name=f"shardwise-{self.name}", daemon=True)
        self._keeper.start()

    def put(self, blob: bytes) -> str:
        """Keep a program; it travels to each host once, when the first task there names it."""
        return self._lent.put(blob)

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Hand a task to the agent of a slot, which starts it when its worker has nothing else to do."""
        self._lent.send(slot, task, memory)

    def recall(self, slot: int, attempt: int) -> None:
        """Have the agent of a slot drop a task that has not begun."""
        self._lent.recall(slot, attempt)

    def kill(self, slot: int) -> None:
        """Have a slot's worker killed."""
        self._lent.kill(slot)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Block until something happened or ``timeout`` seconds are over.

        Raises
        ------
        EngineError
            The cluster lends no slot, or is gone.
        """
        events: list[EngineEvent] = []
        deadline = None if timeout is None else time.monotonic() + timeout
        woken = False
        while self._keeper is not None and not events and not woken:
            left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
            try:
                news = self._news.get(timeout=max(0.0, left))
                while True:
                    woken |= news[0] == "woken"
                    events += self._hear(*news)
                    news = self._news.get_nowait()
            except queue.Empty:
                self._check_patience()
            if deadline is not None and time.monotonic() >= deadline:
                break
        return events

    def wake(self) -> None:
        """Have ``wait`` return soon."""
        self._news.put(("woken", "", None))

    def close(self) -> None:
        """Have all workers end, and give the slots back."""
        if self._keeper is None:
            return
        self._leaving.set()
        for agent in self._lent.agents:
            self._lent.end(agent)
        deadline = time.monotonic() + self.waits.close
        while self._lent.agents and (left := deadline - time.monotonic()) > 0:
            try:
                self._hear_last(*self._news.get(timeout=left))
            except queue.Empty:
                break
        self._closing.set()
        self._keeper.join(max(1.0, deadline - time.monotonic()))
        self._last_keeper, self._keeper = self._keeper, None
        if self._proof is not None:
            self._proof.close()
        self._lent.clear()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        """Forget what an earlier opening left: threads of it keep the events that told them to end."""
        if self._last_keeper is not None:
            self._last_keeper.join(self.patience)
            if self._last_keeper.is_alive():
                raise EngineError(f"{self.name} has not given back the slots that it was lent before", GOES_ON)
        self._leaving, self._closing, self._answered = threading.Event(), threading.Event(), False
        self._news, self._proof, self._failed = queue.SimpleQueue(), None, 0
        self._lent = LentSlots(self._post, lambda about: self.on_hello(about), self._lent.ever)

    def refuse_if_unfit(self, hello: dict[str, Any]) -> None:
        """Compare what a host says of itself with this one."""
        refuse_if_different(hello)
        if self._proof is not None:
            self._proof.refuse_if_unanswered(hello)

    def _keep(self) -> None:
        try:
            self._lend()
        except ShardwiseError as error:
            self._fail(error)
        except Exception as error:
            lacks = "No module named 'shardwise" in str(error)
            fix = f"install the same Shardwise in the cluster, {SHIP_OURS}" if lacks else GOES_ON
            self._fail(EngineError(f"{self.name}: {type(error).__name__}: {error}", fix))

    def _hear(self, what: str, agent: str, about: Any) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        match what:
            case "failed":
                raise about
            case "joined":
                self._lent.join(agent)
            case "heard":
                events = self._lent.hear(agent, about)
            case "lost":
                events = self._lent.lose(agent, about)
        if any(isinstance(event, SlotDown) for event in events):
            self._idle_since = time.monotonic()
        return events

    def _hear_last(self, what: str, agent: str, about: Any) -> None:
        """While closing, only ends matter."""
        match what:
            case "joined":
                self._lent.join(agent)
                self._lent.end(agent)
            case "heard":
                self._lent.hear_last(agent, about)
            case "lost":
                self._lent.lose_last(agent)

    def _check_patience(self) -> None:
        patience = self.patience if self._answered else 2 * self.patience  # who cannot connect says more itself
        if self._lent or time.monotonic() - self._idle_since < patience:
            return
        slots, threads = self._want.slots, self._want.threads
        each = f"of {threads} thread{'s' * (threads != 1)}"
        what = f"{slots} slot{'s' * (slots != 1)} {each}" if slots else f"as many slots as there is room for, {each}"
        raise EngineError(
            f"{self.name} lent no slot within {patience:g} s; asked for: {what}; {self._offer()}",
            f"free or add resources there, or ask for less; {GOES_ON}",
        )
