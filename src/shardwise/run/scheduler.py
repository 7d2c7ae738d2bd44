"""Decides which attempt runs where, what is committed, what is tried again, and when the run is over.

Pure: events in, commands out. No clock, no chance, no input or output, so that the same events always give the same
commands, in a test, in the planner's simulation and in a run. What can happen to a task stands in ``transitions``,
what is a matter of judgement in ``policies``; here is what each event means.

Two rules carry the rest. What comes from afar (slots, attempts) may come late, twice or in another order: the first
message that ends an attempt decides what became of it; later ones change nothing. What comes from the driver's own
journal may not: an answer that nobody asked for is an ``InternalError``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush

from shardwise.compute.task import Failure
from shardwise.errors import InternalError
from shardwise.run import placement, policies
from shardwise.run.ahead import Ahead
from shardwise.run.attempts import Attempts, Running
from shardwise.run.claims import Claims
from shardwise.run.messages import (
    Budgets,
    Command,
    Commit,
    CommitFailed,
    Committed,
    Discard,
    Drain,
    Event,
    Failed,
    Kill,
    Located,
    Retry,
    Returned,
    SlotAdded,
    SlotLost,
    Start,
    Stop,
    Succeeded,
    Task,
    Tick,
    Wake,
)
from shardwise.run.paces import Paces
from shardwise.run.slots import Slot, Slots
from shardwise.run.tasks import Node, Tasks
from shardwise.run.transitions import Cause, State


class Scheduler:
    """Carries a graph of tasks through to its end.

    An event costs O(log tasks + log slots); the loss of an idle slot, a retry while a host has many, and a start
    while it is known where inputs lie, look at these.

    Parameters
    ----------
    tasks : sequence of Task
        The graph; those with ``done`` were committed by an earlier driver.
    budgets : Budgets
        How often a task may be tried again, and how long an attempt may take.
    first_attempt : int
        Number of the first attempt: above all that earlier drivers of this run gave out.
    ahead : bool
        Whether the engine takes a task for a slot that is busy (``engines.protocol.ReadsAhead``).

    Attributes
    ----------
    stopped : Stop or None
        How the run ended, once it has.

    Raises
    ------
    InternalError
        Two tasks have one id, a need is no task, or tasks need each other.

    Examples
    --------
    >>> scheduler = Scheduler([Task(0, "map", 0, 8)], Budgets())
    >>> scheduler.handle(SlotAdded(now=0.0, slot=5, host="here"))
    [Start(task=0, attempt=0, slot=5, shares=1, backup=False)]
    >>> scheduler.handle(Succeeded(now=1.0, slot=5, attempt=0))
    [Commit(task=0, attempt=0)]
    >>> scheduler.handle(Committed(now=1.1, attempt=0))
    [Stop(how='done', task=None, failure=None)]
    """

    def __init__(self, tasks: Sequence[Task], budgets: Budgets, first_attempt: int = 0, ahead: bool = False) -> None:
        self.stopped: Stop | None = None
        self._budgets = budgets
        self._tasks = Tasks(tasks)
        self._slots = Slots(budgets.shares)
        self._attempts = Attempts(first_attempt)
        self._paces = Paces()
        self._claims = Claims(self._tasks, self._slots, self._paces)
        self._ahead = Ahead(ahead, self._tasks, self._slots, self._attempts, self._claims)
        self._early: dict[int, Succeeded | Failed] = {}  # ends of attempts, before those of the ones that went before
        for task in tasks:
            self._paces[task.stage].tasks += 1
            self._paces[task.stage].finished += task.done
        self._now = float("-inf")
        self._rests: list[tuple[float, int]] = []  # heap of (end, task)
        self._limits: deque[tuple[float, int]] = deque()  # (end of the time allowed, attempt), in this order
        self._lost_in_vain = 0  # slots, since the last commit
        self._draining = False
        self._verdict: Stop | None = None  # the run is failing: this, once no commit is under way
        self._commands: list[Command] = []

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks are in each state, by its name."""
        return {state.value: count for state, count in self._tasks.counts.items()}

    @property
    def running(self) -> tuple[Running, ...]:
        """Attempts under way, in the order they were started."""
        return tuple(self._attempts.running.values())

    @property
    def finished(self) -> bool:
        """Whether Stop was given; from then on, events yield no commands."""
        return self.stopped is not None

    def start(self, now: float) -> list[Command]:
        """Begin; the same as a first ``Tick``. Ends at once a run that has nothing left to do."""
        return self.handle(Tick(now))

    def handle(self, *events: Event) -> list[Command]:
        """Take note of what happened and say what to do now.

        Parameters
        ----------
        *events : Event

        Returns
        -------
        list of Command
            To be carried out in this order; the last one is ``Wake`` as long as there is a deadline to wait for.

        Raises
        ------
        InternalError
            The journal answered what it was not asked, or a transition has no row in the table.
        """
        if self.stopped is not None:
            return []
        self._commands = []
        for event in events:
            if event.now > self._now:
                self._now = event.now
            self._take(event)
        if self._verdict is None:
            if self._rests:
                self._end_rests()
            if self._limits:
                self._kill_overdue()
            if not self._draining:
                self._start_ready()
                self._start_backups()
                self._commands += self._ahead.send(self._now)
            if self._attempts.ahead:
                self._commands += self._ahead.recall(all_of_them=self._draining)
        self._stop_or_wake()
        return self._commands

    # --- what each event means -------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Succeeded() | Failed() if event.attempt in self._attempts.ahead:
                self._early.setdefault(event.attempt, event)
            case Succeeded():
                self._succeeded(event.attempt, event.shares)
            case Committed():
                self._committed(event.attempt)
            case Failed():
                self._failed(event.attempt, event.failure)
            case Returned():
                self._returned(event.attempt)
            case SlotAdded():
                self._slots.add(event.slot, event.host)
            case SlotLost():
                self._slot_lost(event)
            case CommitFailed():
                self._commit_failed(event.attempt, event.failure)
            case Located():
                for place in event.places:
                    self._tasks.ready.locate(place.task, place.hosts)
            case Drain():
                self._draining = True
            case Tick():
                pass  # time is looked at after every event

    def _succeeded(self, attempt: int, shares: int) -> None:
        if running := self._attempts.end(attempt):
            self._slots.release(running.slot)
            self._attempts.committing[attempt] = running.task
            node = self._tasks[running.task]
            self._tasks.move(node, Cause.SUCCEEDED)
            pace = self._paces[node.task.stage]
            pace.succeeded(self._now - running.since, node.ordinals, shares or running.shares)
            self._commands.append(Commit(running.task, attempt))
            for rival in self._attempts.of(running.task):
                self._cancel(rival, f"another attempt at task {running.task} was faster")
            self._go_on(running.slot)
        elif not self._attempts.is_precious(attempt):
            self._commands.append(Discard(attempt))

    def _failed(self, attempt: int, failure: Failure) -> None:
        if running := self._attempts.end(attempt):
            if failure.kind == "memory":
                self._condemn(running.slot, "a worker that ran out of memory may still hold some")
            slot = self._slots.release(running.slot)
            self._go_on(running.slot)  # before anything else, which may end the run
            self._come_to_nothing(running.task, running.attempt, failure, slot)

    def _go_on(self, number: int) -> None:
        """Where an attempt has ended by itself, the one that was sent ahead has begun."""
        attempt = self._slots[number].attempt
        if attempt in self._attempts.ahead:
            self._under_way(self._ahead.began(attempt, self._now))
            if early := self._early.pop(attempt, None):
                self._take(early)

    def _returned(self, attempt: int) -> None:
        """It never began, though it may have been taken to be under way."""
        if running := self._ahead.take_back(attempt):
            self._slots.take_back(running.slot)
        elif running := self._attempts.end(attempt):
            self._slots.release(running.slot)
            node = self._tasks[running.task]
            if others := self._attempts.of(running.task):
                self._outlived(node, others[0])
            else:
                self._tasks.move(node, Cause.TAKEN_BACK)
            self._go_on(running.slot)

    def _take_back(self, slot: Slot) -> None:
        """What was sent ahead to a slot that is lost, or will be, is ready again; it may have begun by now."""
        if slot.ahead is not None:
            self._ahead.take_back(slot.ahead)
            self._early.pop(slot.ahead, None)
            self._commands.append(Discard(slot.ahead))
            slot.ahead = None

    def _slot_lost(self, event: SlotLost) -> None:
        if self._slots.known_lost(event.slot):
            return
        slot = self._slots.lose(event.slot)
        if slot is not None:
            self._take_back(slot)
        if slot is not None and slot.attempt is not None and (running := self._attempts.end(slot.attempt)):
            failure = policies.blame(event, self._budgets.seconds if slot.condemned else None)
            if event.narrowing and self._verdict is None and not self._attempts.of(running.task):
                self._tasks.move(self._tasks[running.task], Cause.NARROWED)
                self._commands.append(Discard(running.attempt))
                return
            self._come_to_nothing(running.task, running.attempt, failure, slot)
        elif slot is None or not slot.condemned:
            self._lose_in_vain(policies.blame(event, None))

    def _committed(self, attempt: int) -> None:
        task = self._attempts.end_commit(attempt)
        self._attempts.kept.add(attempt)
        self._lost_in_vain = 0
        self._tasks.move(self._tasks[task], Cause.COMMITTED)

    def _commit_failed(self, attempt: int, failure: Failure) -> None:
        self._come_to_nothing(self._attempts.end_commit(attempt), attempt, failure)

    # --- failures --------------------------------------------------------------------------------------------------

    def _come_to_nothing(self, task: int, attempt: int, failure: Failure, slot: Slot | None = None) -> None:
        """An attempt failed, or its commit did: try the task again, or fail the run."""
        node = self._tasks[task]
        self._commands.append(Discard(attempt))
        if others := self._attempts.of(task):  # they may still succeed
            self._outlived(node, others[0])
            if failure.kind == "engine":
                self._lose_in_vain(failure)
            return
        if failure.kind == "engine":
            self._lose_in_vain(failure)
        if self._verdict is not None:
            self._tasks.move(node, Cause.DROPPED)
            return
        if failure.kind == "memory" and slot is not None and self._give_more_memory(node, attempt, failure, slot):
            return
        count = node.failures[failure.kind] = node.failures.get(failure.kind, 0) + 1
        allowed = policies.allowance(self._budgets, failure.kind)
        if allowed is not None and count > allowed:
            self._tasks.move(node, Cause.EXHAUSTED)
            self._fail(Stop("failed", task, failure))
            return
        self._try_again(node, attempt, failure, slot)

    def _outlived(self, node: Node, other: Running) -> None:
        self._tasks.move(node, Cause.OUTLIVED)
        self._paces[node.task.stage].begin(other.since, other.attempt, self._alone)

    def _try_again(self, node: Node, attempt: int, failure: Failure, slot: Slot | None) -> None:
        self._tasks.move(node, Cause.SPOILED)
        node.failed_on = slot or node.failed_on
        failures = max(1, sum(node.failures.values()))
        seconds = policies.rest(failure.kind, failures, node.task.id, attempt)
        heappush(self._rests, (self._now + seconds, node.task.id))
        if not self._draining:
            self._commands.append(Retry(node.task.id, attempt, failure))

    def _give_more_memory(self, node: Node, attempt: int, failure: Failure, slot: Slot) -> bool:
        """Halve a task that ran out of memory, or have it claim more of its host's; False where neither is possible."""
        split = self._claims.ran_out(node, failure, slot)
        if split is not None:
            self._commands.append(split)
            return True
        if self._claims.may_grow(node, slot):
            self._try_again(node, attempt, failure, slot)
            return True
        return False

    def _lose_in_vain(self, failure: Failure) -> None:
        """Count a slot whose loss is charged to no task; one too many fails the run."""
        if self._draining or self._verdict is not None:
            return
        self._lost_in_vain += 1
        if self._lost_in_vain > policies.patience(self._slots.most):
            self._fail(Stop("failed", None, policies.despair(self._lost_in_vain, failure)))

    def _fail(self, verdict: Stop) -> None:
        """Kill and forget what runs; only commits that are under way are waited for."""
        self._verdict = verdict
        for running in list(self._attempts.running.values()):
            self._cancel(running, "the run has failed")
            if not self._attempts.of(running.task):
                self._tasks.move(self._tasks[running.task], Cause.DROPPED)

    def _cancel(self, running: Running, why: str) -> None:
        """Kill an attempt that nobody waits for any more. Its slot holds its memory until it is lost."""
        self._condemn(running.slot, why)
        self._attempts.end(running.attempt)
        self._slots.release(running.slot)
        self._commands.append(Discard(running.attempt))

    def _condemn(self, number: int, why: str) -> None:
        if self._slots.condemn(number):
            self._commands.append(Kill(number, why))
            self._take_back(self._slots[number])

    # --- what is due -----------------------------------------------------------------------------------------------

    def _end_rests(self) -> None:
        while self._rests and self._rests[0][0] <= self._now:
            self._tasks.move(self._tasks[heappop(self._rests)[1]], Cause.RESTED)

    def _kill_overdue(self) -> None:
        running = self._attempts.running
        while self._limits and (self._limits[0][0] <= self._now or self._limits[0][1] not in running):
            if late := running.get(self._limits.popleft()[1]):
                self._condemn(late.slot, f"task {late.task} took more than {self._budgets.seconds:g} s")

    def _start_ready(self) -> None:
        ready = self._tasks.ready
        while ready.ids and self._slots.idle:
            node = self._tasks.next
            if (split := self._claims.heed_lessons(node)) is not None:
                self._commands.append(split)
                continue
            if ready.knows_hosts and self._start_near(node):
                continue
            if not self._send(node, node.failed_on):
                return  # and what comes behind it waits too, or it would wait for ever
            self._tasks.start(node)

    def _start_near(self, head: Node) -> bool:
        """Start a task on a host that holds its input, if the one that is first in line may be passed."""
        found = self._tasks.ready.near(self._slots.idle_hosts)
        if found is None or not placement.may_be_passed(self._claims.of(head), head.failed_on is not None):
            return False
        node, host = self._tasks[found[0]], found[1]
        if not self._claims.is_plain(node) or not self._send(node, None, host):
            return False
        self._tasks.start(node)
        return True

    def _start_backups(self) -> None:
        if not self._may_start_backups():
            return
        for running in self._paces.stragglers(self._now, self._alone):
            if self._alone(running.attempt) and self._may_start_backups():
                node = self._tasks[running.task]
                if self._send(node, self._slots[running.slot]):
                    self._tasks.move(node, Cause.DOUBLED)

    def _may_start_backups(self) -> bool:
        """Whether slots have nothing better to do, now and when what was sent ahead is back."""
        if self._tasks.ready.ids or not self._budgets.speculate:
            return False
        return len(self._slots.idle) > len(self._attempts.ahead)

    def _alone(self, attempt: int) -> Running | None:
        """An attempt that is under way, the only one of its task, and not about to be killed."""
        running = self._attempts.running.get(attempt)
        if running is None or self._slots[running.slot].condemned or len(self._attempts.rivals[running.task]) > 1:
            return None
        return running

    def _send(self, node: Node, avoid: Slot | None, host: str | None = None) -> bool:
        """Start an attempt, if a slot is idle (on ``host``) where there is memory left for it."""
        slot = self._slots.take(avoid, self._claims.of(node), host)
        if slot is None:
            return False
        running = self._attempts.begin(node.task.id, slot.number, self._now, slot.shares)
        slot.attempt = running.attempt
        self._commands.append(Start(running.task, running.attempt, running.slot, running.shares, running.backup))
        self._under_way(running)
        return True

    def _under_way(self, running: Running) -> None:
        """From now on its time counts."""
        if self._budgets.speculate and not running.backup:
            self._paces[self._tasks[running.task].task.stage].begin(self._now, running.attempt, self._alone)
        if self._budgets.seconds is not None:
            self._limits.append((self._now + self._budgets.seconds, running.attempt))

    def _stop_or_wake(self) -> None:
        busy = self._attempts.running or self._attempts.ahead or self._attempts.committing
        if not busy and (self._verdict is not None or self._draining or self._tasks.all_done):
            self.stopped = self._verdict or Stop("done" if self._tasks.all_done else "drained")
            self._commands.append(self.stopped)
        elif self._verdict is None:
            deadlines = [self._rests[0][0]] if self._rests else []
            if self._limits:
                deadlines.append(self._limits[0][0])
            if not self._draining and self._may_start_backups():
                late = self._paces.next_straggler(self._alone)
                if late is not None:
                    deadlines.append(late)
            if deadlines:
                self._commands.append(Wake(min(deadlines)))

    def validate(self) -> None:
        """Raise InternalError unless everything that is kept twice agrees with itself."""
        self._tasks.validate()
        self._attempts.validate()
        running, ahead = self._attempts.running, self._attempts.ahead
        self._slots.validate(*({attempt: at.slot for attempt, at in kept.items()} for kept in (running, ahead)))
        self._ahead.validate()
        kept = {
            State.RUNNING: list(self._attempts.rivals),
            State.AHEAD: [running.task for running in self._attempts.ahead.values()],
            State.COMMITTING: list(self._attempts.committing.values()),
            State.RESTING: [task for _, task in self._rests],
        }
        for state, tasks in kept.items():
            if sorted(tasks) != self._tasks.in_state(state):
                raise InternalError(f"tasks {sorted(tasks)} are kept as {state}, not {self._tasks.in_state(state)}")
        if self._tasks.counts[State.FAILED] != (self._verdict is not None and self._verdict.task is not None):
            raise InternalError("a task has failed and the run has not, or the other way round")
        if self.finished and (kept[State.RUNNING] or kept[State.COMMITTING]):
            raise InternalError("the run stopped while attempts were under way")
