"""What the scheduler must do, said a second time: naively, by looking at everything after every event.

It shares no code with the scheduler but some policies, which have tests of their own. ``note`` takes an event,
``check`` the answer to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shardwise.run import messages as m
from shardwise.run.policies import backup_after, middle, plenty, rest


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
    tasks: dict[int, m.Task]
    budgets: m.Budgets
    done: dict[int, int]  # {task: attempt}, as far as the scheduler was told
    first_attempt: int
    now: float = 0.0
    up: dict[int, str] = field(default_factory=dict)  # slots, and their hosts
    most_on: dict[str, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)  # shares of memory, by slot
    held_by: dict[int, int] = field(default_factory=dict)  # shares, by attempt
    claims: dict[int, tuple[int, int]] = field(default_factory=dict)  # shares that a task claims, and at least
    seen: list[tuple[bool, m.Task, int]] = field(default_factory=list)  # whether a task fitted into so many shares
    seconds: dict[str, list[float]] = field(default_factory=dict)  # of attempts that succeeded, by stage
    halves: dict[int, tuple[m.Task, ...]] = field(default_factory=dict)
    expected: dict[int, tuple[m.Task, ...]] = field(default_factory=dict)  # splits that must come now
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
    near: dict[int, tuple[str, ...]] = field(default_factory=dict)  # hosts that hold what a task reads
    passing: int = 0  # starts of a task that was not the first
    reads_ahead: bool = False
    ahead: dict[int, Live] = field(default_factory=dict)  # attempts that begin when those on their slots have ended
    early: dict[int, m.Event] = field(default_factory=dict)  # ends of such, before it was told that they began
    recalled: set[int] = field(default_factory=set)
    seen_happen: Counter[str] = field(default_factory=Counter)
    stopped: bool = False
    due: Counter[tuple[object, ...]] = field(default_factory=Counter)  # commands that must come now, once each

    # --- events ----------------------------------------------------------------------------------------------------

    def note(self, event: m.Event) -> None:
        if self.stopped:
            return
        self.now = event.now
        match event:
            case m.SlotAdded(_, slot, host):
                if slot not in self.lost:
                    self.up.setdefault(slot, host)
                    self.most = max(self.most, len(self.up))
                    self.most_on[host] = max(self.most_on.get(host, 0), list(self.up.values()).count(host))
            case m.SlotLost(_, slot, kind, _):
                self._slot_lost(slot, kind)
            case m.Succeeded() | m.Failed() if event.attempt in self.ahead:
                self.early.setdefault(event.attempt, event)
                self.seen_happen["ended early"] += 1
            case m.Returned(_, _, attempt):
                self._returned(attempt)
            case m.Succeeded(_, _, attempt, shares):
                if attempt in self.live:
                    self._succeeded(attempt, shares)
                elif attempt >= self.first_attempt and not self._precious(attempt):
                    self.due["discard", attempt] += 1
            case m.Failed(_, _, attempt, failure):
                if attempt in self.live:
                    live = self.live.pop(attempt)
                    shares = self.held[live.slot]
                    if failure.kind == "memory":
                        self._doom(live.slot)
                    else:
                        self._free(live.slot)
                        self._go_on(live.slot)
                    self._failure(live.task, attempt, failure.kind, self.up[live.slot], shares)
            case m.Committed(_, attempt):
                self.done[self.committing.pop(attempt)] = attempt
                self.in_vain = 0
            case m.CommitFailed(_, attempt, failure):
                self._failure(self.committing.pop(attempt), attempt, failure.kind)
            case m.Located(_, places):
                self.near |= {place.task: place.hosts for place in places}
            case m.Drain():
                self.draining = True

    def _precious(self, attempt: int) -> bool:
        return attempt in self.committing or attempt in self.done.values()

    def _succeeded(self, attempt: int, shares: int) -> None:
        live = self.live.pop(attempt)
        task = self.tasks[live.task]
        self._free(live.slot)
        self.committing[attempt] = task.id
        self.due["commit", task.id, attempt] += 1
        self.seconds.setdefault(task.stage, []).append(self.now - live.since)
        self.seen.append((True, task, shares or self.held_by[attempt]))
        for other in [number for number, rival in self.live.items() if rival.task == task.id]:
            self._doom(self.live.pop(other).slot)
            self.due["discard", other] += 1
        self._go_on(live.slot)

    def _go_on(self, slot: int) -> None:
        """An attempt has ended by itself: what was sent ahead to its slot is under way from now on, on one share."""
        for attempt in self._behind(slot):
            live = self.live[attempt] = replace(self.ahead.pop(attempt), since=self.now)
            self.held[live.slot] = self.held_by[attempt] = 1
            self.recalled.discard(attempt)
            self.seen_happen["began ahead"] += 1
            if attempt in self.early:
                self.note(replace(self.early.pop(attempt), now=self.now))

    def _returned(self, attempt: int) -> None:
        """It never began, so it costs nothing, and its task may start elsewhere."""
        if self.ahead.pop(attempt, None):
            self.recalled.discard(attempt)
            self.seen_happen["returned"] += 1
        elif attempt in self.live:
            slot = self.live.pop(attempt).slot
            self._free(slot)
            self._go_on(slot)
            self.seen_happen["returned late"] += 1

    def _behind(self, slot: int) -> list[int]:
        return [attempt for attempt, live in self.ahead.items() if live.slot == slot]

    def _lose_ahead(self, slot: int) -> None:
        """What was sent ahead there costs nothing, either; but nobody knows whether it has begun."""
        for attempt in self._behind(slot):
            del self.ahead[attempt]
            self.early.pop(attempt, None)
            self.recalled.discard(attempt)
            self.due["discard", attempt] += 1
            self.seen_happen["lost ahead"] += 1

    def _doom(self, slot: int) -> None:
        """It must be killed, and holds its memory until it is lost."""
        if slot not in self.condemned:
            self.due["kill", slot] += 1
            self._lose_ahead(slot)

    def _free(self, slot: int) -> None:
        if slot not in self.condemned:
            del self.held[slot]

    def _slot_lost(self, slot: int, kind: str) -> None:
        if slot in self.lost:
            return
        self.lost.add(slot)
        self._lose_ahead(slot)
        host, shares = self.up.pop(slot, ""), self.held.pop(slot, 0)
        on_it = [attempt for attempt, live in self.live.items() if live.slot == slot]
        if on_it:
            kind = "timeout" if slot in self.condemned else kind if kind in ("crash", "memory") else "engine"
            self._failure(self.live.pop(on_it[0]).task, on_it[0], kind, host, shares)
        elif slot not in self.condemned:
            self._in_vain(kind if kind in ("crash", "memory") else "engine")

    def _failure(self, task: int, attempt: int, kind: str, host: str = "", shares: int = 0) -> None:
        self.due["discard", attempt] += 1
        if kind == "engine":
            self._in_vain(kind)
        if self.verdict is not None or any(live.task == task for live in self.live.values()):
            return
        if kind == "memory" and self._more_memory(task, attempt, self._whole(host), shares):
            return
        self.failures[task, kind] += 1
        budget = {"engine": float("inf"), "input": 0, "internal": 0}.get(kind)
        if self.failures[task, kind] > (getattr(self.budgets, kind) if budget is None else budget):
            self._fail(task, kind)
            return
        self._rest(task, attempt, kind)

    def _rest(self, task: int, attempt: int, kind: str) -> None:
        failed = sum(count for (of, _), count in self.failures.items() if of == task)
        self.resting[task] = self.now + rest(kind, max(1, failed), task, attempt)
        if not self.draining:
            self.due["retry", task, attempt] += 1

    def _more_memory(self, task: int, attempt: int, whole: int, shares: int) -> bool:
        """The failure is free of charge: the task is halved, or may have more memory."""
        node = self.tasks[task]
        self.seen.append((False, node, shares))
        more = min(whole, 2 * shares)
        if middle(node.first, node.last, node.unit) is not None:
            self.expected[task] = self._halve(node, more)
            return True
        if shares < whole:
            self.claims[task] = (more, more)
            self._rest(task, attempt, "memory")
        return shares < whole

    def _halve(self, node: m.Task, shares: int) -> tuple[m.Task, ...]:
        cut, new = middle(node.first, node.last, node.unit), max(self.tasks) + 1
        assert cut is not None
        halves = replace(node, id=new, last=cut), replace(node, id=new + 1, first=cut)
        self.halves[node.id] = halves
        for half in halves:
            self.tasks[half.id] = half
            self.claims[half.id] = (shares, 1)
            self.near[half.id] = self.near.get(node.id, ())
        return halves

    def _in_vain(self, kind: str) -> None:
        if not self.draining and self.verdict is None:
            self.in_vain += 1
            if self.in_vain > max(12, 3 * self.most):
                self._fail(None, kind)

    def _fail(self, task: int | None, kind: str) -> None:
        self.verdict = (task, kind)
        for attempt, live in self.live.items():
            self.due["discard", attempt] += 1
            self._doom(live.slot)
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
                    self._doom(live.slot)
        for command in commands:
            self._check(command)
        rule(self.due.total() == 0, f"commands are missing: {list(self.due)}")
        rule(not self.expected, f"splits are missing: {self.expected}")
        for host in set(self.up.values()):
            rule(self._claimed(host) <= self._whole(host), f"more memory of {host} is claimed than it has: {self.held}")
        if self._open() and self._idle() and self._ready():
            first = min(self._ready())
            self._learn(first)
            rule(not self._places(first), f"{self._idle()} idle, {self._ready()} ready")
        self._check_ahead()
        for task, since in self._stragglers():
            late = since + (self._limit(task) or 0.0) <= self.now
            rule(not (late and self._open() and self._places(task)), f"task {task} should have a second attempt")
        for command in commands[:-1]:
            rule(not isinstance(command, m.Wake | m.Stop), f"{command} is not the last command")
        self._check_end(commands[-1] if commands else None)

    def _check(self, command: m.Command) -> None:
        match command:
            case m.Start():
                self._check_start(command)
            case m.SendAhead():
                self._check_send_ahead(command)
            case m.Recall(slot, attempt):
                rule(attempt in self._behind(slot) and attempt not in self.recalled, f"{command} has no reason")
                nobody_else = self._idle() and not self._ready()
                rule(self.verdict is None and (self.draining or nobody_else), f"{command}, but others wait")
                self.recalled.add(attempt)
                if not self.draining:
                    rule(
                        len(self.recalled) <= len(self._idle()),
                        f"{command}, but only {self._idle()} have nothing to do",
                    )
            case m.Split(task, halves, _):
                if task not in self.expected:
                    self._check_lessons(task)
                rule(self.expected.pop(task, None) == halves, f"{command} is wrong, or has no reason")
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

    def _check_lessons(self, task: int) -> None:
        """A task that never ran was split: others as large ran out of as much memory."""
        rule(self._open() and self._idle() and task == min(self._ready()), f"task {task} is split out of turn")
        node = self.tasks[task]
        self._learn(task)
        rule(self._is_too_large(task), f"task {task} is split for nothing")
        self.expected[task] = self._halve(node, min(2 * self._claim(task), self._most()))

    def _learn(self, task: int) -> None:
        """What cannot be split claims more where that was not enough for others."""
        node = self.tasks[task]
        while self._is_too_large(task) and middle(node.first, node.last, node.unit) is None:
            if self._claim(task) >= self._most():
                return
            more = min(2 * self._claim(task), self._most())
            self.claims[task] = (more, more)

    def _is_too_large(self, task: int) -> bool:
        """Two tasks of the stage, no larger and with as much memory, ran out of it, and none as large did not."""
        node, claim = self.tasks[task], self._claim(task)
        if any(fit >= node.last - node.first for shares, fit in self._fits(node.stage).items() if shares <= claim):
            return False
        failed: list[tuple[m.Task, int]] = []
        for fitted, other, shares in self.seen:
            if not fitted and other.stage == node.stage:
                inside = [
                    (old, of)
                    for old, of in failed
                    if old.first <= other.first and other.last <= old.last and of <= shares
                ]
                failed = [pair for pair in failed if pair not in inside] + [(other, shares)]
        alike = [old for old, of in failed if old.last - old.first <= node.last - node.first and of >= claim]
        return len(alike) >= 2

    def _most(self) -> int:
        return max(self.budgets.shares, *self.most_on.values(), 1)

    def _check_start(self, start: m.Start) -> None:
        task, attempt, slot = start.task, start.attempt, start.slot
        if not start.backup:
            self._learn(task)
            node = self.tasks[task]
            whole = middle(node.first, node.last, node.unit) is None
            rule(whole or not self._is_too_large(task), f"{start}, which is known to be too large")
        rule(self._open(), f"task {task} started after Drain or failure")
        rule(slot in self._idle(), f"slot {slot} is not idle")
        rule(attempt >= self.first_attempt and attempt not in self.started, f"attempt {attempt} is not new")
        rule(slot in self._places(task), f"{start}, but {self.up[slot]} has no memory left for it")
        rule(start.shares == min(self._claim(task), self._whole(self.up[slot])), f"{start} claims wrong memory")
        if start.backup:
            late = {task for task, since in self._stragglers() if since + (self._limit(task) or 0.0) <= self.now}
            rule(task in late, f"{start}, but only {late} are late")
        else:
            rule(task in self._ready(), f"task {task} is not ready")
            if task != (first := min(self._ready())):
                self.passing += 1
                rule(self.up[slot] in self.near.get(task, ()), f"task {task} started before {first}, and far")
                rule(self._claim(first) == 1, f"task {task} started before {first}, which waits for memory")
        self.started.add(attempt)
        self.live[attempt] = Live(task, slot, self.now)
        self.held[slot] = self.held_by[attempt] = start.shares
        self.resting.pop(task, None)

    def _check_send_ahead(self, sent: m.SendAhead) -> None:
        """Of the tasks that wait, the first, or the first that is near; never one that asks for more than a slot."""
        task, attempt, slot = sent.task, sent.attempt, sent.slot
        ready, host = self._ready(), self.up[slot]
        rule(self.reads_ahead and self._open(), f"{sent}, but nothing may be sent ahead")
        rule(slot in {live.slot for live in self.live.values()} - self.condemned, f"{sent}, but it is not busy")
        rule(not self._behind(slot), f"{sent}, but {self._behind(slot)} was sent ahead already")
        rule(task in ready, f"{sent}, but it is not ready")
        rule(plenty(len(ready), len(self.up)), f"{sent}, but only {ready} wait")
        rule(attempt >= self.first_attempt and attempt not in self.started, f"attempt {attempt} is not new")
        rule(self._claim(task) == 1 and not self._is_too_large(task), f"{sent}, which needs more memory")
        rule(self._claim(min(ready)) == 1, f"{sent}, but {min(ready)} waits for memory")
        near = {other for other in ready if host in self.near.get(other, ())}
        rule(
            task == min(near if any(self.near.get(other) for other in ready) else ready, default=-1), f"{sent}: passes"
        )
        self.started.add(attempt)
        self.ahead[attempt] = Live(task, slot, self.now)
        self.held_by[attempt] = 1

    def _check_ahead(self) -> None:
        """No slot is idle while a task that could run there waits behind another; while many wait, no slot will be."""
        if self.verdict is not None:
            return
        if self.draining:
            rule(self.recalled == self.ahead.keys(), f"{self.ahead} are not had back")
        elif self._idle() and not self._ready():
            wanted = min(len(self._idle()), len(self.ahead))
            rule(len(self.recalled) >= wanted, f"{self._idle()} are idle, but only {self.recalled} are had back")
        if self.reads_ahead and self._open() and plenty(len(self._ready()), len(self.up)):
            head = min(self._ready())
            plain = self._claim(head) == 1 and not any(task.id == head for task in self._unlucky())
            alone = [
                at.slot for at in self.live.values() if at.slot not in self.condemned and not self._behind(at.slot)
            ]
            rule(not plain or self.near or not alone, f"{alone} are sent nothing ahead, and {self._ready()} wait")

    def _unlucky(self) -> list[m.Task]:
        """Tasks that failed, or whose stage ran out of memory."""
        short = {task.stage for fitted, task, _ in self.seen if not fitted}
        failed = {task for task, _ in self.failures}
        return [task for task in self.tasks.values() if task.stage in short or task.id in failed]

    def _check_end(self, last: m.Command | None) -> None:
        all_done = self.tasks.keys() == self.done.keys() | self.halves.keys()
        if self.live or self.ahead or self.committing or not (self.verdict or self.draining or all_done):
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
        if not self.draining:
            due = [since + (self._limit(task) or 0.0) for task, since in self._stragglers()]
            deadlines += [at for at in due if at > self.now]
        if deadlines:
            at = last.at if isinstance(last, m.Wake) else None
            rule(at is not None and self.now < at <= min(deadlines), f"{last}, but {min(deadlines)} is due")

    # --- what is so ------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        return not self.draining and self.verdict is None

    def _idle(self) -> set[int]:
        return self.up.keys() - self.condemned - {live.slot for live in self.live.values()}

    def _ready(self) -> set[int]:
        under_way = {live.task for live in (*self.live.values(), *self.ahead.values())} | set(self.committing.values())
        return {
            task.id
            for task in self.tasks.values()
            if task.id not in self.done
            and task.id not in self.halves
            and task.id not in under_way
            and all(map(self._is_done, task.needs))
            and self.resting.get(task.id, self.now) <= self.now
        }

    def _is_done(self, task: int) -> bool:
        if task in self.halves:
            return all(self._is_done(half.id) for half in self.halves[task])
        return task in self.done

    def root(self, task: int) -> int:
        """The task that this one is a part of, as planned."""
        whole = [of for of, halves in self.halves.items() if task in (half.id for half in halves)]
        return self.root(whole[0]) if whole else task

    def _whole(self, host: str) -> int:
        return max(self.budgets.shares, self.most_on.get(host, 0))

    def _claimed(self, host: str) -> int:
        return sum(shares for slot, shares in self.held.items() if self.up.get(slot) == host)

    def _claim(self, task: int) -> int:
        """Shares of memory that a task should have: no more than tasks of its size are known to need."""
        shares, least = self.claims.get(task, (1, 1))
        node = self.tasks[task]
        fits = self._fits(node.stage)
        known = [of for of, fit in fits.items() if fit >= node.last - node.first]
        return max(least, min([shares, *known]))

    def _fits(self, stage: str) -> dict[int, int]:
        """How many ordinals fit into so many shares, as far as it was seen, and not refuted since."""
        fits: dict[int, int] = {}
        for fitted, task, shares in self.seen:
            ordinals = task.last - task.first
            if task.stage == stage and fitted:
                fits[shares] = max(fits.get(shares, 0), ordinals)
            elif task.stage == stage:
                fits |= {fewer: min(fit, ordinals - 1) for fewer, fit in fits.items() if fewer <= shares}
        return fits

    def _places(self, task: int) -> set[int]:
        """Idle slots where there is memory for a task."""
        hosts = set(self.up.values())
        room = {h for h in hosts if self._claimed(h) + min(self._claim(task), self._whole(h)) <= self._whole(h)}
        return {slot for slot in self._idle() if self.up[slot] in room}

    def _stragglers(self) -> list[tuple[int, float]]:
        """Tasks that may get a second attempt now or later, and since when they run."""
        if not self.budgets.speculate or self._ready() or len(self._idle()) <= len(self.ahead):
            return []
        lives = [live for live in self.live.values() if live.slot not in self.condemned]
        tasks = Counter(live.task for live in self.live.values())
        return [(at.task, at.since) for at in lives if tasks[at.task] == 1 and self._limit(at.task) is not None]

    def _limit(self, task: int) -> float | None:
        stage = self.tasks[task].stage
        whole = [node for node in self.tasks.values() if node.stage == stage and node.id not in self.halves]
        seconds = sorted(self.seconds.get(stage, []))
        finished = len(seconds) + sum(node.done for node in whole)
        return backup_after(seconds[len(seconds) // 2] if seconds else 0.0, len(seconds), finished, len(whole))
