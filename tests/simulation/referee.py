"""What the scheduler must do, said a second time: naively, by looking at everything after every event.

It shares no code with the scheduler but the length of a rest. ``note`` takes an event, ``check`` the answer to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shardwise.run import messages as m
from shardwise.run.policies import rest


class FoulError(AssertionError):
    """The scheduler broke a rule."""


def rule(holds: object, words: str) -> None:
    if not holds:
        raise FoulError(words)


@dataclass
class Live:
    task: int
    slot: int
    since: float


@dataclass
class Referee:
    tasks: Mapping[int, m.Task]
    budgets: m.Budgets
    done: dict[int, int]  # {task: attempt}, as far as the scheduler was told
    first_attempt: int
    now: float = 0.0
    up: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    condemned: set[int] = field(default_factory=set)
    live: dict[int, Live] = field(default_factory=dict)
    committing: dict[int, int] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    resting: dict[int, float] = field(default_factory=dict)
    failures: Counter[tuple[int, str]] = field(default_factory=Counter)
    most: int = 0
    in_vain: int = 0
    draining: bool = False
    verdict: tuple[int | None, str] | None = None
    stopped: bool = False
    due: Counter[tuple[object, ...]] = field(default_factory=Counter)  # commands that must come now, once each

    # --- events ----------------------------------------------------------------------------------------------------

    def note(self, event: m.Event) -> None:
        if self.stopped:
            return
        self.now = event.now
        match event:
            case m.SlotAdded(_, slot, _):
                if slot not in self.lost:
                    self.up.add(slot)
                    self.most = max(self.most, len(self.up))
            case m.SlotLost(_, slot, kind, _):
                self._slot_lost(slot, kind)
            case m.Succeeded(_, _, attempt):
                if attempt in self.live:
                    task = self.live.pop(attempt).task
                    self.committing[attempt] = task
                    self.due["commit", task, attempt] += 1
                elif attempt >= self.first_attempt and not self._precious(attempt):
                    self.due["discard", attempt] += 1
            case m.Failed(_, _, attempt, failure):
                if attempt in self.live:
                    self._failure(self.live.pop(attempt).task, attempt, failure.kind)
            case m.Committed(_, attempt):
                self.done[self.committing.pop(attempt)] = attempt
                self.in_vain = 0
            case m.CommitFailed(_, attempt, failure):
                self._failure(self.committing.pop(attempt), attempt, failure.kind)
            case m.Drain():
                self.draining = True

    def _precious(self, attempt: int) -> bool:
        return attempt in self.committing or attempt in self.done.values()

    def _slot_lost(self, slot: int, kind: str) -> None:
        if slot in self.lost:
            return
        self.lost.add(slot)
        self.up.discard(slot)
        on_it = [attempt for attempt, live in self.live.items() if live.slot == slot]
        if on_it:
            kind = "timeout" if slot in self.condemned else kind if kind in ("crash", "memory") else "engine"
            self._failure(self.live.pop(on_it[0]).task, on_it[0], kind)
        elif slot not in self.condemned:
            self._in_vain(kind if kind in ("crash", "memory") else "engine")

    def _failure(self, task: int, attempt: int, kind: str) -> None:
        self.due["discard", attempt] += 1
        if kind == "engine":
            self._in_vain(kind)
        if self.verdict is not None:
            return
        self.failures[task, kind] += 1
        budget = {"engine": float("inf"), "input": 0, "internal": 0}.get(kind)
        if self.failures[task, kind] > (getattr(self.budgets, kind) if budget is None else budget):
            self._fail(task, kind)
            return
        failed = sum(count for (of, _), count in self.failures.items() if of == task)
        self.resting[task] = self.now + rest(kind, failed, task, attempt)
        if not self.draining:
            self.due["retry", task, attempt] += 1

    def _in_vain(self, kind: str) -> None:
        if not self.draining and self.verdict is None:
            self.in_vain += 1
            if self.in_vain > max(12, 3 * self.most):
                self._fail(None, kind)

    def _fail(self, task: int | None, kind: str) -> None:
        self.verdict = (task, kind)
        for attempt, live in self.live.items():
            self.due["discard", attempt] += 1
            if live.slot not in self.condemned:
                self.due["kill", live.slot] += 1
        self.live.clear()

    # --- the answer ------------------------------------------------------------------------------------------------

    def check(self, commands: Sequence[m.Command]) -> None:
        if self.stopped:
            rule(not commands, f"commands after Stop: {commands}")
            return
        seconds = self.budgets.seconds
        if seconds is not None and self.verdict is None:
            for live in self.live.values():
                if live.since + seconds <= self.now and live.slot not in self.condemned:
                    self.due["kill", live.slot] += 1
        for command in commands:
            self._check(command)
        rule(self.due.total() == 0, f"commands are missing: {list(self.due)}")
        rule(not (self._open() and self._idle() and self._ready()), f"{self._idle()} idle, {self._ready()} ready")
        for command in commands[:-1]:
            rule(not isinstance(command, m.Wake | m.Stop), f"{command} is not the last command")
        self._check_end(commands[-1] if commands else None)

    def _check(self, command: m.Command) -> None:
        match command:
            case m.Start(task, attempt, slot):
                self._check_start(task, attempt, slot)
            case m.Commit(task, attempt):
                self._settle(command, "commit", task, attempt)
                rule(task not in self.done, f"task {task} would be committed twice")
                rule(list(self.committing.values()).count(task) == 1, f"task {task} is committed twice at a time")
            case m.Discard(attempt):
                self._settle(command, "discard", attempt)
                rule(not self._precious(attempt), f"attempt {attempt} is discarded and precious")
            case m.Kill(slot, _):
                self._settle(command, "kill", slot)
                self.condemned.add(slot)
            case m.Retry(task, attempt, _):
                self._settle(command, "retry", task, attempt)

    def _settle(self, command: m.Command, *what: object) -> None:
        rule(self.due[what] > 0, f"{command} has no reason")
        self.due[what] -= 1
        self.due += Counter()  # drops zeros

    def _check_start(self, task: int, attempt: int, slot: int) -> None:
        rule(self._open(), f"task {task} started after Drain or failure")
        rule(slot in self._idle(), f"slot {slot} is not idle")
        rule(task in self._ready(), f"task {task} is not ready")
        rule(task == min(self._ready()), f"task {task} started before {min(self._ready())}")
        rule(attempt >= self.first_attempt and attempt not in self.started, f"attempt {attempt} is not new")
        self.started.add(attempt)
        self.live[attempt] = Live(task, slot, self.now)
        self.resting.pop(task, None)

    def _check_end(self, last: m.Command | None) -> None:
        all_done = self.tasks.keys() == self.done.keys()
        if self.live or self.committing or not (self.verdict or self.draining or all_done):
            rule(not isinstance(last, m.Stop), f"{last} came too early")
            self._check_wake(last)
            return
        rule(isinstance(last, m.Stop), "Stop is missing")
        assert isinstance(last, m.Stop)
        how = "failed" if self.verdict else "done" if all_done else "drained"
        rule(last.how == how, f"{last}, but the run has {how}")
        if self.verdict is not None:
            assert last.failure is not None
            rule((last.task, last.failure.kind) == self.verdict, f"{last}, but {self.verdict} failed first")
        self.stopped = True

    def _check_wake(self, last: m.Command | None) -> None:
        if self.verdict is not None:
            return
        seconds = self.budgets.seconds
        deadlines = [at for task, at in self.resting.items() if at > self.now] if not self.draining else []
        if seconds is not None:
            deadlines += [live.since + seconds for live in self.live.values() if live.slot not in self.condemned]
        if deadlines:
            at = last.at if isinstance(last, m.Wake) else None
            rule(at is not None and self.now < at <= min(deadlines), f"{last}, but {min(deadlines)} is due")

    # --- what is so ------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        return not self.draining and self.verdict is None

    def _idle(self) -> set[int]:
        return self.up - self.condemned - {live.slot for live in self.live.values()}

    def _ready(self) -> set[int]:
        under_way = {live.task for live in self.live.values()} | set(self.committing.values())
        return {
            task.id
            for task in self.tasks.values()
            if task.id not in self.done
            and task.id not in under_way
            and all(need in self.done for need in task.needs)
            and self.resting.get(task.id, self.now) <= self.now
        }
