"""A whole run in virtual time, drawn from a seed: graph, slots, faults, a journal, and drivers that die."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from random import Random

from shardwise.compute.task import Failure, TaskSpec
from shardwise.engines import protocol
from shardwise.engines.simulated import Faults, SimulatedEngine
from shardwise.records import revive, to_json
from shardwise.run import messages as m
from shardwise.run.graph import Graph
from shardwise.run.scheduler import Scheduler
from simulation.graphs import draw_graph
from simulation.referee import Referee, rule

MOST_STEPS = 5_000
SHARE = 100  # bytes of memory
DISK_FULL = Failure("storage", "OSError", "no space left on device")


@dataclass(frozen=True)
class Scenario:
    tasks: tuple[m.Task, ...]
    budgets: m.Budgets = field(default_factory=m.Budgets)
    faults: Faults = field(default_factory=Faults)
    slots: int = 3
    even: bool = False  # all attempts take equally long, so that messages meet
    batches: bool = True  # all that is known goes to the scheduler at once, or one event at a time
    commit_seconds: float = 0.0  # at most
    commit_failures: float = 0.0
    drain_at: float | None = None
    crashes: tuple[int, ...] = ()  # after how many steps each driver dies
    heavy: float = 0.0  # bytes of memory that an ordinal takes on average; 0: memory never runs out
    uneven: bool = False  # some ordinals take ten times as much
    tells: bool = True  # attempts that succeed tell how much memory they took
    stragglers: float = 0.0  # share of attempts that take twenty times as long
    located: float = 0.0  # how often it is told where what tasks read lies
    ahead: bool = False  # slots that are busy take one task more


def draw_scenario(seed: int) -> Scenario:
    chance = Random(seed)

    def now_and_then(most: float) -> float:
        return chance.choice((0.0, 0.0, chance.random() * most))

    faults = Faults(
        exception=now_and_then(0.5),
        input=chance.choice((0.0, 0.0, 0.0, 0.0, 0.05)),
        storage=now_and_then(0.3),
        crash=now_and_then(0.3),
        memory=now_and_then(0.2),
        engine=now_and_then(0.3),
        hang=now_and_then(0.2),
        mortality=chance.choice((0.0, 0.0, 0.0, 0.0, 0.3, 0.7, 1.0)),
        lifetime=chance.choice((0.2, 3.0, 30.0)),
        start=chance.choice((0.0, 1.0, 10.0)),
        latency=chance.choice((0.0, 0.1, 3.0)),
        duplicate=now_and_then(0.5),
        hosts=chance.randint(1, 3),
    )
    generous = chance.random() < 0.4
    budgets = m.Budgets(
        **{
            kind: 1000 if generous else chance.randint(0, 3)
            for kind in ("exception", "crash", "timeout", "memory", "storage")
        },
        seconds=chance.uniform(1.0, 6.0) if faults.hang or chance.random() < 0.3 else None,
        shares=chance.choice((1, 2, 3, 6)),
        speculate=chance.random() < 0.8,
    )
    heavy = chance.choice((0.0, 0.0, 10.0, 40.0, 150.0))
    if heavy:  # what does not fit alone never will
        budgets = replace(budgets, memory=min(budgets.memory, 3))
    return Scenario(
        tasks=draw_graph(chance),
        budgets=budgets,
        faults=faults,
        slots=chance.randint(1, 6),
        even=chance.random() < 0.3,
        batches=chance.random() < 0.5,
        commit_seconds=chance.choice((0.0, 0.5, 5.0)),
        commit_failures=now_and_then(0.6),
        drain_at=chance.uniform(0.0, 12.0) if chance.random() < 0.25 else None,
        crashes=tuple(chance.randint(1, 40) for _ in range(chance.choice((0, 0, 1, 3)))),
        heavy=heavy,
        uneven=chance.random() < 0.3,
        tells=chance.random() < 0.7,
        stragglers=chance.choice((0.0, 0.1, 0.3)),
        located=chance.choice((0.0, 0.3, 0.8)),
        ahead=chance.random() < 0.5,
    )


def draw_plenty(seed: int) -> Scenario:
    """The same, with many tasks that wait for nothing, on engines that take one ahead."""
    chance = Random(f"plenty {seed}")
    unit, longest = chance.choice((0, 1)), chance.choice((1, 4))
    tasks = (m.Task(i, "stage-0", 60 * i, 60 * i + chance.randint(1, longest), unit=unit) for i in range(24))
    drawn = draw_scenario(seed)
    faults = replace(drawn.faults, latency=chance.choice((0.0, 3.0, 10.0)))
    return replace(drawn, tasks=tuple(tasks), slots=chance.randint(1, 6), ahead=True, faults=faults)


@dataclass
class Journal:
    """Takes commits, slowly and not always; outlives drivers. It names ranges of ordinals: ids of tasks do not last."""

    scenario: Scenario
    chance: Random
    committed: dict[tuple[int, int], int] = field(default_factory=dict)  # {range: attempt}
    under_way: list[tuple[float, int, tuple[int, int]]] = field(default_factory=list)  # heap of (when, attempt, range)

    def ask(self, now: float, attempt: int, task: m.Task) -> None:
        seconds = self.chance.random() * self.scenario.commit_seconds
        heappush(self.under_way, (now + seconds, attempt, (task.first, task.last)))

    def answers(self, now: float) -> list[m.Event]:
        events: list[m.Event] = []
        while self.under_way and self.under_way[0][0] <= now:
            _, attempt, ordinals = heappop(self.under_way)
            if self.chance.random() < self.scenario.commit_failures:
                events.append(m.CommitFailed(now, attempt, DISK_FULL))
            else:
                self._take(attempt, ordinals)
                events.append(m.Committed(now, attempt))
        return events

    def lose_driver(self) -> None:
        """What was under way is in the journal, or it is not."""
        for _, attempt, ordinals in self.under_way:
            if self.chance.random() < 0.5:
                self._take(attempt, ordinals)
        self.under_way.clear()

    def _take(self, attempt: int, ordinals: tuple[int, int]) -> None:
        first, last = ordinals
        for a, b in self.committed:
            rule(last <= a or b <= first, f"{ordinals} was committed though ({a}, {b}) was")
        self.committed[ordinals] = attempt

    def pieces(self, task: m.Task) -> list[tuple[int, int]]:
        """What was committed of a task of the scenario, in order."""
        return sorted((a, b) for a, b in self.committed if task.first <= a and b <= task.last)


class World:
    """Plays a scenario through to its end. ``trace`` has every event and every answer, if ``traced``."""

    def __init__(self, scenario: Scenario, seed: int, traced: bool = False) -> None:
        self.scenario = scenario
        self.chance = Random(seed)
        self.journal = Journal(scenario, self.chance)
        self.next_attempt = 0
        self.ghosts: list[m.Event] = []  # messages for a driver that is dead
        self.traced = traced
        self.trace: list[str] = []
        self.commands: Counter[str] = Counter()

    def count(self, command: m.Command) -> None:
        self.commands[type(command).__name__] += 1
        if isinstance(command, m.Start):
            self.commands["second Start"] += command.backup
            self.commands["wide Start"] += command.shares > 1

    def play(self) -> m.Stop:
        """Let drivers die as the scenario wants, and the last one live; whatever stopped it, a run without faults
        must then finish the job."""
        stop = None
        for most_steps in self.scenario.crashes:
            stop = stop or self._live(self.scenario, most_steps)
        stop = stop or self._live(self.scenario, None)
        assert stop is not None
        if stop.how != "done":
            calm = Scenario(self.scenario.tasks)
            self.journal.scenario = calm
            last = self._live(calm, None)
            rule(last == m.Stop("done"), f"a run without faults ended with {last}")
        for task in self.scenario.tasks:
            covered = self.journal.pieces(task)
            rule(covers(covered, [(task.first, task.last)]), f"{task} was committed as {covered}")
            cuts = [first for first, _ in covered[1:]]
            rule(all(task.unit and cut % task.unit == 0 for cut in cuts), f"{task} was cut at {cuts}")
        return stop

    def _live(self, scenario: Scenario, most_steps: int | None) -> m.Stop | None:
        """The life of one driver; None if it died."""
        life = Life(self, scenario)
        for step in range(MOST_STEPS):
            if life.scheduler.finished:
                life.knock_after_stop()
                return life.scheduler.stopped
            if step == most_steps:
                life.die()
                return None
            life.step()
        raise AssertionError(f"the run does not end: {life.scheduler.counts}")


class Life:
    """A driver, from its start to its end."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        tasks, self.reads = plan(scenario.tasks, world.journal)
        self.graph = Graph(tasks=list(tasks))
        done = {task.id: world.journal.committed[task.first, task.last] for task in tasks if task.done}
        self.scheduler = Scheduler(tasks, scenario.budgets, world.next_attempt, ahead=scenario.ahead)
        self.referee = Referee(
            {task.id: task for task in tasks}, scenario.budgets, done, world.next_attempt, reads_ahead=scenario.ahead
        )
        self.engine = SimulatedEngine(
            scenario.slots,
            world.chance.getrandbits(32),
            self._seconds,
            scenario.faults,
            needs=self._needs,
            ahead=scenario.ahead,
        )
        self.engine.open(protocol.Want(scenario.slots))
        self.wake: float | None = None
        self.drain_at = scenario.drain_at
        self._obey(self.scheduler.start(0.0))

    def _seconds(self, spec: TaskSpec) -> float:
        drawn = (spec.first * 7919 + spec.attempt * 104729) % 1000
        slow = 20.0 if drawn % 97 < 97 * self.scenario.stragglers else 1.0
        return slow * (1.0 if self.scenario.even else 0.1 + drawn / 300)

    def _needs(self, spec: TaskSpec) -> int:
        weights = (10.0 if self.scenario.uneven and n % 11 == 5 else 1.0 for n in range(spec.first, spec.last))
        return int(self.scenario.heavy * sum(weights))

    def step(self) -> None:
        """Wait until something happens; tell the scheduler; do as it says."""
        moments = [self.wake, self.drain_at, *(when for when, *_ in self.world.journal.under_way[:1])]
        times = [at for at in moments if at is not None]
        heard = self.engine.wait(max(0.0, min(times) - self.engine.clock()) if times else None)
        now = self.engine.clock()
        events: list[m.Event] = [translate(now, event, self.scenario.tells) for event in heard]
        events += self.world.journal.answers(now)
        if self.world.ghosts and self.world.chance.random() < 0.2:
            events.append(replace(self.world.ghosts.pop(), now=now))
        if self.world.chance.random() < self.scenario.located:
            events.append(self._located(now))
        if self.drain_at is not None and self.drain_at <= now:
            self.drain_at = None
            events.append(m.Drain(now))
        if not events:
            events.append(m.Tick(now))
        self._tell(events)

    def _located(self, now: float) -> m.Located:
        """Some hosts hold what some tasks read; another time others do."""
        hosts = sorted({*self.referee.up.values(), "elsewhere"})
        near = {task.id: tuple(self.world.chance.sample(hosts, 1)) for task in self.graph.tasks if not task.needs}
        return m.Located(now, tuple(m.Place(task, at) for task, at in near.items() if self.world.chance.random() < 0.8))

    def _tell(self, events: Sequence[m.Event]) -> None:
        for batch in [events] if self.scenario.batches else [[event] for event in events]:
            for event in batch:
                self.referee.note(event)
            commands = self.scheduler.handle(*batch)
            if self.world.traced:
                self.world.trace.append(f"{list(batch)}\n    -> {commands}")
            self.scheduler.validate()
            self.referee.check(commands)
            self.world.commands.update(self.referee.seen_happen)
            self.referee.seen_happen.clear()
            self.world.commands["passing Start"] += self.referee.passing
            self.referee.passing = 0
            self._obey(commands)

    def _obey(self, commands: Sequence[m.Command]) -> None:
        self.wake = None
        for command in commands:
            self.world.count(command)
            match command:
                case m.Start(task, attempt, slot, shares):
                    self._send(task, attempt, slot, shares)
                case m.SendAhead(task, attempt, slot):
                    self._send(task, attempt, slot, 1)
                case m.Recall(slot, attempt):
                    self.engine.recall(slot, attempt)
                case m.Split(task, halves, _):
                    self.graph.split(task, halves)
                case m.Commit(task, attempt):
                    self.world.journal.ask(self.engine.clock(), attempt, self.graph.tasks[task])
                case m.Kill(slot, _):
                    self.engine.kill(slot)
                case m.Wake(at):
                    self.wake = at

    def _send(self, task: int, attempt: int, slot: int, shares: int) -> None:
        self._check_inputs(task)
        node = self.graph.tasks[task]
        memory = SHARE * shares if self.scenario.heavy else None
        spec = TaskSpec("run", node.stage, task, attempt, "", node.first, node.last, "", memory=memory)
        self.engine.send(slot, to_json(spec).encode(), memory)
        self.world.next_attempt = max(self.world.next_attempt, attempt + 1)

    def _check_inputs(self, task: int) -> None:
        """What a task reads is committed, whole, and in the order that its graph gives, however it was cut."""
        parts = [self.graph.tasks[part] for need in self.graph.tasks[task].needs for part in self.graph.parts(need)]
        read = [(part.first, part.last) for part in parts]
        rule(all(ordinals in self.world.journal.committed for ordinals in read), f"task {task} reads too early")
        wanted = self.reads[self.referee.root(task)]
        rule(covers(read, wanted), f"task {task} reads {read}, not {wanted}")

    def die(self) -> None:
        """Leave what is in the journal, and a few messages that nobody will have asked for."""
        self.world.journal.lose_driver()
        late = [translate(0.0, event) for event in self.engine.wait(2.0)]
        self.world.ghosts = [event for event in late if isinstance(event, m.Succeeded | m.Failed | m.Returned)]
        self.engine.close()

    def knock_after_stop(self) -> None:
        """Whatever comes after Stop is not answered."""
        now = self.engine.clock()
        late = [translate(now, event) for event in self.engine.wait(2.0)]
        rule(self.scheduler.handle(*late, m.Tick(now), m.Drain(now)) == [], "commands after Stop")
        rule(not self.world.journal.under_way, "a commit was left behind")
        self.engine.close()
        self.world.ghosts.clear()


def covers(pieces: Sequence[tuple[int, int]], ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether pieces, one after the other, are these ranges, one after the other."""
    joined: list[tuple[int, int]] = []
    starts = {first for first, _ in ranges}
    for first, last in pieces:
        if joined and joined[-1][1] == first and first not in starts:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined == list(ranges)


def plan(tasks: Sequence[m.Task], journal: Journal) -> tuple[list[m.Task], dict[int, list[tuple[int, int]]]]:
    """The graph of a driver: what is committed of each task of the scenario, and one task for each gap. And what each
    of its tasks has to read."""
    pieces: dict[int, list[m.Task]] = {}
    count = 0
    for task in tasks:
        found = [(first, last, True) for first, last in journal.pieces(task)]
        at = task.first
        for first, last, _ in [*found, (task.last, task.last, True)]:
            if at < first:
                found.append((at, first, False))
            at = last
        pieces[task.id] = [
            replace(task, id=count + n, first=first, last=last, done=done)
            for n, (first, last, done) in enumerate(sorted(found))
        ]
        count += len(found)
    planned, reads = [], {}
    for task in tasks:
        needs = tuple(piece.id for need in task.needs for piece in pieces[need])
        for piece in pieces[task.id]:
            planned.append(replace(piece, needs=needs))
            reads[piece.id] = [(o.first, o.last) for need in task.needs for o in tasks if o.id == need]
    return planned, reads


def translate(now: float, event: protocol.EngineEvent, tells: bool = True) -> m.Event:
    match event:
        case protocol.SlotUp(slot, host):
            return m.SlotAdded(now, slot, host)
        case protocol.SlotDown(slot, kind, reason, used):
            return m.SlotLost(now, slot, kind, reason, used)
        case protocol.Returned(slot, attempt):
            return m.Returned(now, slot, attempt)
        case protocol.Finished(slot, raw):
            outcome = json.loads(raw)
            if outcome["failure"] is None:
                shares = max(1, -(-outcome["metrics"]["peak_memory"] // SHARE)) if tells else 0
                return m.Succeeded(now, slot, outcome["attempt"], shares)
            return m.Failed(now, slot, outcome["attempt"], revive(Failure, outcome["failure"]))
    raise AssertionError(f"no driver expects {event}")
