"""One graph being carried out: hears what the engine says, asks the scheduler, obeys, commits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shardwise import records
from shardwise.compute.packing import dump_program
from shardwise.compute.task import QUARANTINE, Failure, Outcome, Output, TaskSpec
from shardwise.engines import protocol
from shardwise.errors import InDoubt, RunIsTaken, StorageError
from shardwise.run import messages, policies
from shardwise.run.commits import GATHER_SECONDS, Commit
from shardwise.run.failures import storage_failure
from shardwise.run.flights import Flight, Flights
from shardwise.run.interrupt import Interrupts
from shardwise.run.locality import Locality
from shardwise.run.scheduler import Scheduler

if TYPE_CHECKING:
    from shardwise.run.driver import Driver
    from shardwise.run.graph import Graph

GATHER_MOST = 512
"""A group of commits is never larger."""

PATIENCE_SECONDS = 0.25
"""The loop looks at the keyboard and the clock at least this often."""


class Round:
    """One graph being carried out."""

    def __init__(self, driver: Driver, graph: Graph, scheduler: Scheduler, interrupts: Interrupts) -> None:
        self.driver = driver
        self.graph = graph
        self.scheduler = scheduler
        self.interrupts = interrupts
        self.commits: dict[int, Commit] = dict(graph.done)
        self.attempts: set[int] = set()
        self.backups = self.backups_that_won = 0
        self.programs: dict[str, str] = {}
        self.flights = Flights()
        self.gathering: list[int] = []
        self.gathering_since = 0.0
        self.wake_at: float | None = None
        self.stop: messages.Stop | None = None
        self.locality = Locality(graph)

    def until_stop(self) -> messages.Stop:
        """Loop until the scheduler says Stop."""
        driver = self.driver
        driver.watcher.started(self.graph, len(driver._slots))
        now = driver.clock()
        self._obey(self.scheduler.start(now))
        events: list[messages.Event] = [messages.SlotAdded(now, s.slot, s.host) for s in driver._slots.values()]
        for up in driver._slots.values():
            self.locality.came(up.host)
        while True:
            self._obey(self.scheduler.handle(*events))
            if self.stop is not None:
                return self.stop
            driver.spans.save_at_once(driver.ledger)
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
        events += self.locality.news(now)
        if self.interrupts.take():
            self.driver.watcher.draining(len(self.flights) - len(self.flights.ahead))
            events.append(messages.Drain(now))
        if self.wake_at is not None and now >= self.wake_at:
            self.wake_at = None
            events.append(messages.Tick(now))
        self.driver.watcher.moved(now, self.flights.under_way, ())
        return events

    def _translate(self, now: float, event: protocol.EngineEvent) -> list[messages.Event]:
        match event:
            case protocol.SlotUp(slot, host):
                self.driver._slots[slot] = event
                self.driver.spans.up(slot, host)
                self.locality.came(host)
                return [messages.SlotAdded(now, slot, host)]
            case protocol.SlotDown(slot, kind, reason, used):
                self.driver._slots.pop(slot, None)
                self.driver.spans.down(slot, f"{kind}: {reason}")
                narrowing = self._narrowed(event)
                self.driver.bury(slot)
                return [messages.SlotLost(now, slot, kind, reason, used, narrowing)]
            case protocol.Finished(slot, raw):
                ended = self._finished(now, slot, records.from_json(Outcome, raw), len(raw))
                self._go_on(slot)
                return ended
            case protocol.Returned(slot, attempt):
                was_ahead = self.flights.ahead.get(slot) == attempt
                self.flights.drop(attempt)
                self.driver.spans.forget(attempt)
                if not was_ahead:
                    self._go_on(slot)
                return [messages.Returned(now, slot, attempt)]
        return []

    def _finished(self, now: float, slot: int, outcome: Outcome, size: int) -> list[messages.Event]:
        flight = self.flights.get(outcome.attempt)
        self.driver.spans.heard(outcome, size)
        if flight is None:  # it was cancelled, or belongs to an earlier graph that was stopped
            return []
        if outcome.logs:
            self.driver.ledger.append_logs(flight.task.name, outcome.attempt, outcome.logs, outcome.times)
        peak = outcome.metrics.peak_memory
        if outcome.failure is not None:
            del self.flights[outcome.attempt]
            self.driver.spans.ended(outcome.attempt, "failed", f"{outcome.failure.type}: {outcome.failure.message}")
            failure = outcome.failure if outcome.failure.kind != "memory" else replace(outcome.failure, used=peak)
            return [messages.Failed(now, slot, outcome.attempt, failure)]
        flight.outcome = outcome
        share, most = self.driver.memory, self.driver.budgets.shares
        shares = policies.shares_for(peak, share, most) if share and peak else 0
        return [messages.Succeeded(now, slot, outcome.attempt, shares)]

    def _go_on(self, slot: int) -> None:
        """What was sent ahead to a slot has begun."""
        attempt = self.flights.ahead.pop(slot, None)
        if attempt is not None:
            self._under_way(attempt)

    def _under_way(self, attempt: int) -> None:
        flight = self.flights[attempt]
        task, spans = flight.task, self.driver.spans
        spans.began(attempt, task.name, task.stage, flight.slot, flight.host, flight.backup, flight.sent)

    def _narrowed(self, down: protocol.SlotDown) -> bool:
        """Whether a worker's death tells more about which rows kill."""
        suspects = self.driver.suspects
        attempt = None if suspects is None else self.flights.lost_with(down.slot)
        if suspects is None or attempt is None:
            return False
        flight = self.flights[attempt]
        return suspects.note(flight.task, attempt, down, self._may_yet_fit(flight.task, flight.shares))

    def _may_yet_fit(self, task: messages.Task, shares: int) -> bool:
        """Whether a task that runs out of memory can be cut, or given more: then no row is to blame."""
        return policies.middle(task.first, task.last, task.unit) is not None or shares < self.driver.budgets.shares

    # --- obeying ---------------------------------------------------------------------------------------------------

    def _obey(self, commands: Sequence[messages.Command]) -> None:
        for command in commands:
            match command:
                case messages.Start():
                    self._send(self.graph.tasks[command.task], command)
                case messages.SendAhead(task, attempt, slot):
                    self.flights.ahead[slot] = attempt
                    self._send(self.graph.tasks[task], messages.Start(task, attempt, slot))
                case messages.Recall(slot, attempt):
                    self.driver.recall(slot, attempt)
                case messages.Kill(slot, why):
                    self.driver.spans.condemned(slot, why)
                    self.driver.engine.kill(slot)
                case messages.Commit(_, attempt):
                    if not self.gathering:
                        self.gathering_since = self.driver.clock()
                    self.gathering.append(attempt)
                case messages.Discard(attempt):
                    self._discard(attempt)
                case messages.Retry(task, attempt, failure):
                    self.flights.pop(attempt, None)
                    self.driver.watcher.retried(self.graph.tasks[task], failure)
                    self.driver.ledger.note("retry", {"task": self.graph.tasks[task].name, **records.plain(failure)})
                case messages.Split(task, halves, failure):
                    self.graph.split(task, halves)
                    self._note_split(self.graph.tasks[task], halves, failure)
                case messages.Wake(at):
                    self.wake_at = at
                case messages.Stop():
                    self.stop = command

    def _send(self, task: messages.Task, start: messages.Start) -> None:
        driver = self.driver
        stage = self.graph.stages[task.stage]
        if task.stage not in self.programs:
            places = (driver.ledger.url, stage.output)
            self.programs[task.stage] = driver.engine.put(dump_program(stage.program, driver.loans, places))
        self.attempts.add(start.attempt)
        up = driver._slots.get(start.slot)
        host = up.host if up else ""
        flight = self.flights[start.attempt] = Flight(task, start.slot, start.backup, start.shares, host)
        if start.backup:
            self.backups += 1
            driver.watcher.speculated(task)
        spec = TaskSpec(
            run=driver.ledger.id,
            stage=task.stage,
            task=task.id,
            attempt=start.attempt,
            program=self.programs[task.stage],
            first=task.first,
            last=task.last,
            directory=driver.ledger.attempt_directory(start.attempt, stage.output or None),
            inputs=tuple(itertools.chain.from_iterable(self._outputs(need) for need in task.needs)),
            root=driver.ledger.url,
            threads=driver.threads,
            memory=None if driver.memory is None else policies.ceiling(driver.memory, start.shares),
            suspects=() if driver.suspects is None else driver.suspects.of(task),
            call_seconds=driver.call_seconds,
            divisible=self._may_yet_fit(task, start.shares),
        )
        sent = records.to_json(spec).encode()
        flight.sent = len(sent)
        if self.flights.ahead.get(start.slot) != start.attempt:
            self._under_way(start.attempt)
        driver.engine.send(start.slot, sent, spec.memory)

    def _discard(self, attempt: int) -> None:
        """Delete what an attempt wrote; again when its worker has ended, if that may still be writing."""
        flight = self.flights.drop(attempt)
        self.driver.spans.cancelled(attempt)
        self.driver.ledger.discard(attempt)
        if flight is not None and flight.outcome is None and flight.slot in self.driver._slots:
            self.driver._dying.setdefault(flight.slot, []).append(attempt)

    def _note_split(self, task: messages.Task, halves: Sequence[messages.Task], failure: Failure) -> None:
        self.driver.watcher.split(task, halves, failure)
        into = [half.name for half in halves]
        self.driver.ledger.note("split", {"task": task.name, "into": into, **records.plain(failure)})

    def note_places(self) -> None:
        """Keep how many bytes were read where they lie, of those of which that is known."""
        self.locality.close()
        if self.locality.located:
            self.driver.local_bytes += self.locality.local
            self.driver.located_bytes += self.locality.located
            self.driver.ledger.note("locality", {"bytes": self.locality.located, "local": self.locality.local})

    def note_backups(self) -> None:
        """Keep how many second attempts were started beside slow ones, and how many of them were faster."""
        if self.backups:
            counts: dict[str, object] = {"started": self.backups, "won": self.backups_that_won}
            self.driver.ledger.note("speculation", counts)

    def _outputs(self, task: int) -> tuple[Output, ...]:
        committed = (output for part in self.graph.parts(task) for output in self.commits[part].outputs)
        return tuple(output for output in committed if output.name != QUARANTINE)

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
        driver.spans.save(driver.ledger)
        try:
            lasting = driver.ledger.commit(commits)
        except (RunIsTaken, InDoubt):
            raise
        except (StorageError, OSError) as error:
            failure = storage_failure(error)
            now = driver.clock()
            for attempt in group:
                driver.spans.ended(attempt, "failed", f"{failure.type}: {failure.message}")
            return [messages.CommitFailed(now, attempt, failure) for attempt in group]
        for commit in lasting:
            flight = self.flights.pop(commit.attempt)
            driver.spans.ended(commit.attempt, "committed")
            self.commits[flight.task.id] = commit
            self.backups_that_won += flight.backup
            self.locality.count(flight.task.id, flight.host, commit.metrics.bytes_in)
        now = driver.clock()
        driver.watcher.moved(now, self.flights.under_way, lasting)
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
            tuple(self.commits[part].key for need in task.needs for part in self.graph.parts(need)),
        )
