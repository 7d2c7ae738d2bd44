"""The loop between scheduler, engine and run directory. All decisions are the scheduler's; this carries them out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from shardwise import errors, records
from shardwise.compute.task import QUARANTINE, Failure, Outcome, Output, TaskSpec
from shardwise.engines import protocol
from shardwise.errors import Interrupted, RunIsTaken, ShardwiseError, StorageError
from shardwise.run import messages
from shardwise.run.commits import Commit
from shardwise.run.interrupt import Interrupts
from shardwise.run.scheduler import Scheduler
from shardwise.run.suspects import Suspects

if TYPE_CHECKING:
    from shardwise.run.graph import Graph

GATHER_SECONDS = 0.1
"""Commits wait this long for company: a group shares one fsync. Nothing waits when no attempt is under way."""

GATHER_MOST = 512
"""A group of commits is never larger."""

PATIENCE_SECONDS = 0.25
"""The loop looks at the keyboard and the clock at least this often."""


class Ledger(Protocol):
    """Where a driver commits: a run directory, or memory for runs that have none."""

    @property
    def id(self) -> str:
        """Short name of the run."""

    @property
    def url(self) -> str:
        """Where it lies; empty for memory."""

    def next_attempt(self) -> int:
        """A number never used before in this run."""

    def attempt_directory(self, attempt: int, base: str | None = None) -> str:
        """Where this attempt may write."""

    def commit(self, commits: Sequence[Commit]) -> list[Commit]:
        """Make a group of outputs part of the run, all or none; returns them with their lasting paths."""

    def discard(self, attempt: int) -> None:
        """Delete what an attempt wrote that will not be committed."""

    def append_logs(self, task: str, attempt: int, lines: Sequence[str]) -> None:
        """Keep what a task said."""

    def note(self, kind: str, data: dict[str, object]) -> None:
        """Keep a line about the run."""


class Watcher(Protocol):
    """Who is told how the run goes (progress on a terminal, a report)."""

    def started(self, graph: Graph, slots: int) -> None:
        """A graph is about to be carried out."""

    def moved(self, now: float, running: int, commits: Sequence[Commit]) -> None:
        """Something happened; called often."""

    def retried(self, task: messages.Task, failure: Failure) -> None:
        """A task will be tried again."""

    def draining(self, running: int) -> None:
        """The first Ctrl-C came."""


@dataclass(slots=True)
class _Flight:
    """An attempt between Start and its end."""

    task: messages.Task
    slot: int
    outcome: Outcome | None = None


@dataclass(slots=True)
class Driver:
    """Carries out graphs on one engine, one after another.

    Parameters
    ----------
    engine : Engine
        Already open.
    ledger : Ledger
        Where to commit.
    budgets : Budgets
        Retries and time-outs.
    watcher : Watcher
        Who is told.
    call_seconds : float or None
        What one call of a function may take; enforced by workers.
    suspects : Suspects or None
        In quarantine mode: which rows kill workers.
    """

    engine: protocol.Engine
    ledger: Ledger
    budgets: messages.Budgets
    watcher: Watcher
    threads: int = 1
    memory: int | None = None
    clock: Callable[[], float] = time.monotonic
    call_seconds: float | None = None
    suspects: Suspects | None = None
    _slots: dict[int, protocol.SlotUp] = field(default_factory=dict)
    _last_attempt: int | None = None

    def run(self, graph: Graph) -> dict[int, Commit]:
        """Carry out a graph; returns the commit of every task, by id.

        Raises
        ------
        Interrupted
            Drained after a Ctrl-C; the run can be resumed.
        ShardwiseError
            As the failure of the task that used up its budget says.
        """
        first = self.ledger.next_attempt() if self._last_attempt is None else self._last_attempt + 1
        with Interrupts() as interrupts:
            round_ = _Round(self, graph, Scheduler(graph.tasks, self.budgets, first), interrupts)
            try:
                stop = round_.until_stop()
            finally:
                self._last_attempt = max([first, *round_.attempts])
        if stop.how == "failed":
            assert stop.failure is not None
            raise to_error(stop.failure, None if stop.task is None else graph.tasks[stop.task])
        if stop.how == "drained":
            raise Interrupted("interrupted; what was committed stays", "run the same command again to go on from here")
        return round_.commits


class _Round:
    """One graph being carried out."""

    def __init__(self, driver: Driver, graph: Graph, scheduler: Scheduler, interrupts: Interrupts) -> None:
        self.driver = driver
        self.graph = graph
        self.scheduler = scheduler
        self.interrupts = interrupts
        self.commits: dict[int, Commit] = dict(graph.done)
        self.attempts: set[int] = set()
        self.programs: dict[str, str] = {}
        self.flights: dict[int, _Flight] = {}
        self.gathering: list[int] = []
        self.gathering_since = 0.0
        self.wake_at: float | None = None
        self.stop: messages.Stop | None = None

    def until_stop(self) -> messages.Stop:
        """Loop until the scheduler says Stop."""
        driver = self.driver
        driver.watcher.started(self.graph, len(driver._slots))
        now = driver.clock()
        self._obey(self.scheduler.start(now))
        events: list[messages.Event] = [messages.SlotAdded(now, s.slot, s.host) for s in driver._slots.values()]
        while True:
            self._obey(self.scheduler.handle(*events))
            if self.stop is not None:
                return self.stop
            if self._commit_is_due():
                events = self._commit()
                continue
            events = self._hear(driver.engine.wait(self._timeout()))

    # --- hearing ---------------------------------------------------------------------------------------------------

    def _timeout(self) -> float:
        now = self.driver.clock()
        due = [now + PATIENCE_SECONDS]
        if self.wake_at is not None:
            due.append(self.wake_at)
        if self.gathering:
            due.append(self.gathering_since + GATHER_SECONDS)
        return max(0.0, min(due) - now)

    def _hear(self, heard: Sequence[protocol.EngineEvent]) -> list[messages.Event]:
        now = self.driver.clock()
        events: list[messages.Event] = [e for event in heard for e in self._translate(now, event)]
        if self.interrupts.take():
            self.driver.watcher.draining(len(self.flights))
            events.append(messages.Drain(now))
        if self.wake_at is not None and now >= self.wake_at:
            self.wake_at = None
            events.append(messages.Tick(now))
        self.driver.watcher.moved(now, sum(f.outcome is None for f in self.flights.values()), ())
        return events

    def _translate(self, now: float, event: protocol.EngineEvent) -> list[messages.Event]:
        match event:
            case protocol.SlotUp(slot, host):
                self.driver._slots[slot] = event
                return [messages.SlotAdded(now, slot, host)]
            case protocol.SlotDown(slot, kind, reason):
                self.driver._slots.pop(slot, None)
                return [messages.SlotLost(now, slot, kind, reason, self._narrowed(event))]
            case protocol.Finished(slot, raw):
                return self._finished(now, slot, records.from_json(Outcome, raw))
        return []

    def _finished(self, now: float, slot: int, outcome: Outcome) -> list[messages.Event]:
        flight = self.flights.get(outcome.attempt)
        if flight is None:  # an attempt of an earlier graph that was stopped
            return []
        if outcome.logs:
            self.driver.ledger.append_logs(_name(flight.task), outcome.attempt, outcome.logs)
        if outcome.failure is not None:
            del self.flights[outcome.attempt]
            return [messages.Failed(now, slot, outcome.attempt, outcome.failure)]
        flight.outcome = outcome
        return [messages.Succeeded(now, slot, outcome.attempt)]

    def _narrowed(self, down: protocol.SlotDown) -> bool:
        """Whether a worker's death tells more about which rows kill."""
        suspects = self.driver.suspects
        lost = [(n, f.task) for n, f in self.flights.items() if f.slot == down.slot and f.outcome is None]
        if suspects is None or not lost:
            return False
        attempt, task = lost[0]
        return suspects.note(task, attempt, down, divisible=False)

    # --- obeying ---------------------------------------------------------------------------------------------------

    def _obey(self, commands: Sequence[messages.Command]) -> None:
        for command in commands:
            match command:
                case messages.Start(task, attempt, slot):
                    self._start(self.graph.tasks[task], attempt, slot)
                case messages.Kill(slot, _):
                    self.driver.engine.kill(slot)
                case messages.Commit(_, attempt):
                    if not self.gathering:
                        self.gathering_since = self.driver.clock()
                    self.gathering.append(attempt)
                case messages.Discard(attempt):
                    self.flights.pop(attempt, None)
                    self.driver.ledger.discard(attempt)
                case messages.Retry(task, attempt, failure):
                    self.flights.pop(attempt, None)
                    self.driver.watcher.retried(self.graph.tasks[task], failure)
                    self.driver.ledger.note("retry", {"task": _name(self.graph.tasks[task]), **records.plain(failure)})
                case messages.Wake(at):
                    self.wake_at = at
                case messages.Stop():
                    self.stop = command

    def _start(self, task: messages.Task, attempt: int, slot: int) -> None:
        driver = self.driver
        stage = self.graph.stages[task.stage]
        if task.stage not in self.programs:
            self.programs[task.stage] = driver.engine.put(dump_program(stage.program))
        self.attempts.add(attempt)
        self.flights[attempt] = _Flight(task, slot)
        spec = TaskSpec(
            run=driver.ledger.id,
            stage=task.stage,
            task=task.id,
            attempt=attempt,
            program=self.programs[task.stage],
            first=task.first,
            last=task.last,
            directory=driver.ledger.attempt_directory(attempt, stage.output or None),
            inputs=tuple(itertools.chain.from_iterable(self._outputs(need) for need in task.needs)),
            root=driver.ledger.url,
            threads=driver.threads,
            memory=driver.memory,
            suspects=() if driver.suspects is None else driver.suspects.of(task),
            call_seconds=driver.call_seconds,
        )
        driver.engine.send(slot, records.to_json(spec).encode())

    def _outputs(self, task: int) -> tuple[Output, ...]:
        return tuple(output for output in self.commits[task].outputs if output.name != QUARANTINE)

    # --- committing ------------------------------------------------------------------------------------------------

    def _commit_is_due(self) -> bool:
        if not self.gathering:
            return False
        waited = self.driver.clock() - self.gathering_since
        alone = all(flight.outcome is not None for flight in self.flights.values())
        return alone or waited >= GATHER_SECONDS or len(self.gathering) >= GATHER_MOST

    def _commit(self) -> list[messages.Event]:
        group, self.gathering = self.gathering, []
        commits = [self._record(attempt) for attempt in group]
        driver = self.driver
        try:
            lasting = driver.ledger.commit(commits)
        except RunIsTaken:
            raise
        except (StorageError, OSError) as error:
            failure = _storage_failure(error)
            now = driver.clock()
            return [messages.CommitFailed(now, attempt, failure) for attempt in group]
        for commit in lasting:
            self.commits[self.flights.pop(commit.attempt).task.id] = commit
        now = driver.clock()
        driver.watcher.moved(now, sum(f.outcome is None for f in self.flights.values()), lasting)
        return [messages.Committed(now, attempt) for attempt in group]

    def _record(self, attempt: int) -> Commit:
        flight = self.flights[attempt]
        assert flight.outcome is not None
        task = flight.task
        return Commit(
            self.graph.journal_name(task),
            task.first,
            task.last,
            attempt,
            flight.outcome.outputs,
            flight.outcome.metrics,
        )


def _storage_failure(error: StorageError | OSError) -> Failure:
    message = error.message if isinstance(error, StorageError) else str(error)
    return Failure("storage", type(error).__name__, message, getattr(error, "fix", ""), "", StorageError.code)


def _name(task: messages.Task) -> str:
    return f"{task.stage}-{task.first}-{task.last}"


def dump_program(program: object) -> bytes:
    """A program as it travels.

    Raises
    ------
    UsageError
        Something that the user's function captured cannot be pickled; the message names it.
    """
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(program))
    except Exception as error:
        raise errors.UsageError(
            f"the function, or something that it captures, cannot be sent to a worker: {error}",
            "open files, locks and connections inside the function, or in the __init__ of a class with __call__",
        ) from error


def to_error(failure: Failure, task: messages.Task | None) -> ShardwiseError:
    """The error of the tree that a failure of a task stands for."""
    by_code = {cls.code: cls for cls in _tree(ShardwiseError)}
    by_kind: dict[str, type[ShardwiseError]] = {
        "exception": errors.FunctionError,
        "input": errors.InputError,
        "storage": errors.StorageError,
        "engine": errors.EngineError,
        "internal": errors.InternalError,
    }
    cls = by_code.get(failure.code) or by_kind.get(failure.kind, errors.WorkerError)
    where = "" if task is None else f" [task {_name(task)}]"
    message = failure.message
    if failure.kind == "exception" and not failure.code:
        message = f"the function raised {failure.type}: {failure.message}{where}\n{failure.traceback}".rstrip()
    elif failure.kind in ("crash", "timeout", "memory"):
        message = f"{message}{where}"
    return cls(message, failure.fix)


def _tree(cls: type[ShardwiseError]) -> list[type[ShardwiseError]]:
    return [cls, *itertools.chain.from_iterable(_tree(sub) for sub in cls.__subclasses__())]
