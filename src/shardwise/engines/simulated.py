"""An engine that lends slots in virtual time: nothing is computed, hours pass at once, and faults come on order.

For tests of what sits on top of an engine, and for trying out a schedule. Everything follows from the arguments and
from the calls: the same seed gives the same run, to the last message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from shardwise.compute.task import Failure, Metrics, Outcome, Output, TaskSpec
from shardwise.engines.protocol import EngineEvent, Finished, Reach, Returned, SlotDown, SlotUp, Want
from shardwise.errors import EngineError
from shardwise.records import from_json, to_json

RAISING = 0.3
"""Part of the attempts without enough memory that raise MemoryError, so that their worker lives on."""

Costs = Callable[[TaskSpec], float]
"""How many seconds an attempt takes."""

Needs = Callable[[TaskSpec], int]
"""How many bytes of memory an attempt takes."""

Outputs = Callable[[TaskSpec], tuple[Output, ...]]
"""What an attempt that succeeds has to show for it."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, how often. Probabilities for each attempt unless it says otherwise; times in seconds.

    Parameters
    ----------
    exception, input, storage : float
        It ends in a failure of this kind and the worker lives on.
    crash, memory, engine : float
        Its worker is gone half-way.
    hang : float
        It never ends.
    mortality : float
        For each worker: it dies within ``lifetime`` seconds, whatever it does by then.
    lifetime : float
        See ``mortality``.
    start : float
        A worker needs up to this long to come up, or to come back.
    latency : float
        A message needs up to this long, each its own time: so they overtake each other.
    duplicate : float
        For each message: it comes twice.
    hosts : int
        Workers are spread over so many hosts.
    """

    exception: float = 0.0
    input: float = 0.0
    storage: float = 0.0
    crash: float = 0.0
    memory: float = 0.0
    engine: float = 0.0
    hang: float = 0.0
    mortality: float = 0.0
    lifetime: float = 1.0
    start: float = 0.0
    latency: float = 0.0
    duplicate: float = 0.0
    hosts: int = 1

    def fate(self, chance: Random) -> str:
        """Draw how an attempt ends: the name of a fault, or empty for success."""
        drawn = chance.random()
        for fault in ("exception", "input", "storage", "crash", "memory", "engine", "hang"):
            drawn -= getattr(self, fault)
            if drawn < 0:
                return fault
        return ""


def one_second(spec: TaskSpec) -> float:
    """Costs of a world where every attempt takes a second."""
    return 1.0


def no_memory(spec: TaskSpec) -> int:
    """Needs of a world where memory never runs out."""
    return 0


def nothing(spec: TaskSpec) -> tuple[Output, ...]:
    """Outputs of a world where nobody looks at them."""
    return ()


class SimulatedEngine:
    """Implements ``engines.protocol.Engine``; time goes on only in ``wait``, and ``clock`` tells it.

    Parameters
    ----------
    slots : int
        How many it lends, if ``open`` does not want fewer.
    seed : int
        Of all chance.
    costs : callable, optional
        Seconds that an attempt takes; one second by default.
    needs : callable, optional
        Bytes of memory that an attempt takes; none by default. One that takes more than ``TaskSpec.memory`` fails
        half-way: most lose their worker, some raise.
    faults : Faults, optional
        What goes wrong; nothing by default.
    outputs : callable, optional
        Outputs of an attempt that succeeds; none by default.
    ahead : bool
        Whether a slot that is at a task takes one more (``protocol.ReadsAhead``).

    Examples
    --------
    >>> from shardwise.engines.protocol import Want
    >>> engine = SimulatedEngine(slots=1, costs=lambda spec: 3600.0)
    >>> engine.open(Want(slots=1))
    >>> engine.wait(None)
    [SlotUp(slot=0, host='host-0', pid=0, memory=None, gpus=0)]
    >>> engine.send(0, to_json(TaskSpec("run", "map", 0, 0, "", 0, 1, "")).encode())
    >>> len(engine.wait(None)), engine.clock()
    (1, 3600.0)
    """

    name = "simulated"
    reach: Reach = "host"

    def __init__(
        self,
        slots: int,
        seed: int = 0,
        costs: Costs = one_second,
        faults: Faults | None = None,
        outputs: Outputs = nothing,
        needs: Needs = no_memory,
        ahead: bool = False,
    ) -> None:
        self._most = slots
        self._costs = costs
        self._faults = faults or Faults()
        self._outputs = outputs
        self._needs = needs
        self._chance = Random(seed)
        self._now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None] | EngineEvent]] = []  # heap; the int keeps its order
        self._entries = 0
        self._slots = 0  # numbers given out
        self._alive: dict[int, int | None] = {}  # slot: attempt
        self.reads_ahead = ahead
        self._ahead: dict[int, TaskSpec] = {}  # by slot
        self._blobs: list[bytes] = []
        self._want = Want(0)
        self._open = False

    def clock(self) -> float:
        """Seconds of virtual time since the beginning."""
        return self._now

    # --- the protocol ----------------------------------------------------------------------------------------------

    def open(self, want: Want) -> None:
        """Launch workers."""
        self._open = True
        self._want = want
        for _ in range(min(want.slots, self._most)):
            self._launch()

    def put(self, blob: bytes) -> str:
        """Keep a blob."""
        self._blobs.append(blob)
        return f"blob-{len(self._blobs) - 1}"

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Start an attempt; how it will end is drawn now."""
        if slot not in self._alive:
            return
        if self._alive[slot] is not None and (not self.reads_ahead or slot in self._ahead):
            raise EngineError(f"slot {slot} was sent a task while attempt {self._alive[slot]} is under way on it")
        spec = from_json(TaskSpec, task)
        if self._alive[slot] is None:
            self._begin(slot, spec)
        else:
            self._ahead[slot] = spec

    def recall(self, slot: int, attempt: int) -> None:
        """Drop an attempt that has not begun."""
        if slot in self._ahead and self._ahead[slot].attempt == attempt:
            del self._ahead[slot]
            self._tell(Returned(slot, attempt))

    def _begin(self, slot: int, spec: TaskSpec) -> None:
        self._alive[slot] = spec.attempt
        fate = self._faults.fate(self._chance)
        seconds = self._costs(spec)
        if spec.memory is not None and self._needs(spec) > spec.memory:
            fate = "memory"
            if self._chance.random() < RAISING:
                self._later(seconds / 2, lambda: self._finish(slot, spec, fate, seconds / 2))
                return
        if fate in ("crash", "memory", "engine"):
            self._later(
                seconds / 2, lambda: self._die(slot, fate, f"simulated {fate} in task {spec.task}", spec.attempt)
            )
        elif fate != "hang":
            self._later(seconds, lambda: self._finish(slot, spec, fate, seconds))

    def kill(self, slot: int) -> None:
        """Kill a worker; a fresh one follows."""
        self._die(slot, "killed", "killed by the driver")

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Let time go on until there is something to tell, and no longer than ``timeout``.

        Raises
        ------
        EngineError
            Without a time-out, if nothing will ever happen: whoever calls would wait for ever.
        """
        end = None if timeout is None else self._now + timeout
        heard: list[EngineEvent] = []
        while self._agenda and (end is None or self._agenda[0][0] <= end):
            if heard and self._agenda[0][0] > self._now:
                break
            self._now, _, entry = heappop(self._agenda)
            if callable(entry):
                entry()
            else:
                heard.append(entry)
        if not heard:
            if end is None and self._open:
                raise EngineError("nothing is under way on the simulated engine, and it was told to wait for ever")
            self._now = max(self._now, end or 0.0)
        return heard

    def wake(self) -> None:
        """Nobody waits: time goes on only in ``wait``."""

    def close(self) -> None:
        """Take all slots back; nothing is told any more."""
        self._open = False
        self._alive.clear()
        self._ahead.clear()
        self._agenda.clear()

    # --- the workers -----------------------------------------------------------------------------------------------

    def _later(self, seconds: float, entry: Callable[[], None] | EngineEvent) -> None:
        heappush(self._agenda, (self._now + seconds, self._entries, entry))
        self._entries += 1

    def _up_to(self, most: float) -> float:
        return self._chance.random() * most if most else 0.0

    def _tell(self, event: EngineEvent) -> None:
        twice = self._chance.random() < self._faults.duplicate
        for _ in range(1 + twice):
            self._later(self._up_to(self._faults.latency), event)

    def _launch(self) -> None:
        slot = self._slots
        self._slots += 1
        self._later(self._up_to(self._faults.start), lambda: self._rise(slot))

    def _rise(self, slot: int) -> None:
        self._alive[slot] = None
        self._tell(SlotUp(slot, f"host-{slot % self._faults.hosts}", pid=slot, memory=self._want.memory))
        if self._chance.random() < self._faults.mortality:
            kind = self._chance.choice(("crash", "memory", "closed", "engine"))
            self._later(self._up_to(self._faults.lifetime), lambda: self._die(slot, kind, "simulated death"))

    def _die(self, slot: int, kind: str, reason: str, attempt: int | None = None) -> None:
        """End a worker that is alive (and, where ``attempt`` is given, still at it), and launch the next one."""
        if slot in self._alive and attempt in (None, self._alive[slot]):
            del self._alive[slot]
            self._ahead.pop(slot, None)
            self._tell(SlotDown(slot, kind, reason))
            self._launch()

    def _finish(self, slot: int, spec: TaskSpec, fate: str, seconds: float) -> None:
        if self._alive.get(slot) != spec.attempt:
            return
        self._alive[slot] = None
        failure = Failure(fate, "Simulated", f"simulated {fate} in task {spec.task}") if fate else None
        outputs = () if failure else self._outputs(spec)
        metrics = Metrics(seconds=seconds, peak_memory=self._needs(spec))
        outcome = Outcome(spec.task, spec.attempt, outputs, failure, metrics)
        self._tell(Finished(slot, to_json(outcome).encode()))
        if slot in self._ahead:
            self._begin(slot, self._ahead.pop(slot))
