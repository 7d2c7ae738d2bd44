"""SIGKILL of workers at random instants, half-sent messages among them; workers that are stopped; a held lock.

The driver, the scheduler, the engine and the run directory are the real ones. Tasks do little, so that a worker is
soon back to be killed again: one in six answers with ten megabytes, which take a while to be sent.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from _proof import Proof, median, must
from shardwise.compute.program import Attempt
from shardwise.compute.task import Failure
from shardwise.engines.local import LocalEngine
from shardwise.engines.protocol import EngineEvent, Finished, SlotDown, SlotUp, Want
from shardwise.run import policies
from shardwise.run.commits import Commit
from shardwise.run.directory import RunDirectory
from shardwise.run.driver import Driver
from shardwise.run.ephemeral import EphemeralLedger
from shardwise.run.graph import Graph
from shardwise.run.messages import Budgets, Task
from shardwise.run.seams import Ledger

cloudpickle.register_pickle_by_value(sys.modules[__name__])

ASKED = (
    "SIGKILL of workers at random instants, half-sent messages among them: no hang, no loss, at most one attempt done "
    "again per kill, a death noticed within 0.2 s; a stopped worker (SIGSTOP) is replaced within 10 s; a function that "
    "holds the interpreter's lock for 12 s is left alone"
)
WORKERS = 4
TASKS = 150
"""Of a round; rounds follow one another until there were enough kills."""

IDLE_KILLS = 3
PIECE, PIECES = 50_000, 200
ROUND_SECONDS = 300.0
LOCK_SECONDS = 12
NOTICED_SECONDS, STOPPED_SECONDS = 0.2, 10.0


class Work:
    """A program whose answer depends on the task alone."""

    def execute(self, attempt: Attempt) -> None:
        number = attempt.spec.first
        pieces = PIECES if number % 6 == 0 else 1
        time.sleep(0.0 if number % 3 == 0 else 0.01)
        for piece in range(pieces):
            attempt.give(f"{piece:03d}", expected_piece(number, piece), rows=1)


class HoldTheLock:
    """A program that is in C for long, and lets no other thread of its worker run."""

    def execute(self, attempt: Attempt) -> None:
        ctypes.PyDLL(None).sleep(LOCK_SECONDS)
        attempt.give("pid", str(os.getpid()).encode())


class Rest:
    """A program that takes a while, and says who carried it out."""

    def execute(self, attempt: Attempt) -> None:
        time.sleep(0.5)
        attempt.give("pid", str(os.getpid()).encode())


def expected_piece(number: int, piece: int) -> bytes:
    """What task ``number`` answers."""
    return hashlib.blake2b(f"{number} {piece}".encode(), digest_size=64).digest() * (PIECE // 64)


@dataclass(slots=True)
class Silent:
    """A watcher that only counts."""

    retries: list[Failure] = field(default_factory=list)

    def started(self, graph: Graph, slots: int) -> None:
        """Nothing."""

    def moved(self, now: float, running: int, commits: Sequence[Commit]) -> None:
        """Nothing."""

    def retried(self, task: Task, failure: Failure) -> None:
        """Count."""
        self.retries.append(failure)

    def split(self, task: Task, halves: Sequence[Task], failure: Failure) -> None:
        """Nothing."""

    def speculated(self, task: Task) -> None:
        """Nothing."""

    def draining(self, running: int) -> None:
        """Nothing."""


class Seen(LocalEngine):
    """A local engine that notes who is there, what is sent, and when a death is told to the driver."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.pids: dict[int, int] = {}
        self.sent = 0
        self.busy: dict[int, float] = {}
        self.down: dict[int, tuple[float, str, str]] = {}
        self.half_sent = self.finished = 0

    def send(self, slot: int, task: bytes, memory: int | None = None) -> None:
        """Send and count."""
        self.sent += 1
        self.busy[slot] = time.monotonic()
        super().send(slot, task, memory)

    def wait(self, timeout: float | None) -> list[EngineEvent]:
        """Wait and note."""
        events = super().wait(timeout)
        now = time.monotonic()
        for event in events:
            match event:
                case SlotUp(slot, pid=pid):
                    self.pids[slot] = pid
                case SlotDown(slot, kind, why):
                    self.down[self.pids.pop(slot)] = (now, kind, why)
                    self.busy.pop(slot, None)
                case Finished(slot):
                    self.finished += 1
                    self.busy.pop(slot, None)
        return events

    def starting(self) -> list[int]:
        """Workers that are not ready yet."""
        return [worker.pid for worker in list(self._slots.values()) if not worker.greeted]

    @property
    def server(self) -> int | None:
        """The process that workers are forked from."""
        return None if self._server is None or self._server.has_ended else self._server.pid

    def arrived(self, slot: int) -> int:
        """Bytes of a message that has not arrived whole."""
        worker = self._slots.get(slot)
        return 0 if worker is None else len(worker._inbox._bytes)

    def _bury(self, slot: int) -> tuple[str, str]:
        self.half_sent += bool(self._slots[slot]._inbox._bytes)
        return super()._bury(slot)


class Killer(threading.Thread):
    """Kills workers that are ready, at random instants, until it has had enough or is told to stop.

    A run gives up, as it should, when too many workers die and nothing gets done. So there are at most two kills for
    each attempt that succeeded, and three of idle workers between two of those, however slow the machine is.
    """

    def __init__(self, engine: Seen, seed: str, most: int) -> None:
        super().__init__(daemon=True)
        self.engine, self.most = engine, most
        self.chance = random.Random(seed)
        self.killed: dict[int, float] = {}
        self._ready_before = 0
        self._idle = (0, 0)  # attempts that had succeeded, idle workers killed since
        self.busy = self.stillborn = self.starters = 0
        self.enough = threading.Event()

    def run(self) -> None:
        while len(self.killed) < self.most and not self.enough.wait(self.chance.uniform(0.0, 0.12)):
            if self.chance.random() < 0.1 and self._kill_unborn():
                continue
            if self.chance.random() < 0.05 and self._kill_starter():
                continue
            if len(self.killed) > 2 * self.engine.finished + WORKERS:
                continue
            there = [(slot, pid) for slot, pid in list(self.engine.pids.items()) if pid not in self.killed]
            half = self._half_sent(there) if self.chance.random() < 0.25 else None
            if there:
                slot, pid = half or self.chance.choice(there)
                if slot in self.engine.busy:
                    self.busy += 1
                elif not self._may_kill_idle():
                    continue
                self.killed[pid] = time.monotonic()
                os.kill(pid, signal.SIGKILL)

    def _kill_starter(self) -> bool:
        """Kill the process that all workers were forked from, and them with it; while all of them are at work."""
        there, server = dict(self.engine.pids), self.engine.server
        if server is None or len(there) < WORKERS or any(slot not in self.engine.busy for slot in there):
            return False
        self.killed.update(dict.fromkeys(there.values(), time.monotonic()))
        self.busy, self.starters = self.busy + len(there), self.starters + 1
        os.kill(server, signal.SIGKILL)
        return True

    def _half_sent(self, there: list[tuple[int, int]]) -> tuple[int, int] | None:
        """One whose answer has arrived in part, within half a second."""
        wanted = self.chance.uniform(0.0, 0.8 * PIECE * PIECES)
        end = time.monotonic() + 0.5
        while time.monotonic() < end and not self.enough.is_set():
            for slot, pid in there:
                if self.engine.arrived(slot) > wanted:
                    return slot, pid
            time.sleep(0.0005)
        return None

    def _may_kill_idle(self) -> bool:
        succeeded, killed = self._idle
        if succeeded != self.engine.finished:
            killed = 0
        self._idle = (self.engine.finished, killed + (killed < IDLE_KILLS))
        return killed < IDLE_KILLS

    def _kill_unborn(self) -> bool:
        """Kill one that is starting, never two in a row: an engine gives up when too many do not live to be ready."""
        ready = len(self.engine.pids) + len(self.engine.down)
        starting = self.engine.starting()
        if not starting or ready <= self._ready_before:
            return False
        self._ready_before = ready
        self.stillborn += 1
        os.kill(self.chance.choice(starting), signal.SIGKILL)
        return True


def carry_out(engine: Seen, ledger: Ledger, program: Any, tasks: int) -> tuple[dict[int, Commit], Silent]:
    """Commits of a graph of equal tasks, and who watched."""
    graph = Graph()
    graph.stage("work", program)
    for number in range(tasks):
        graph.task("work", number, number + 1)
    watcher = Silent()
    policies.LONGEST_REST = 0.1  # a task that is killed again and again would rest for half a minute each time
    budgets = Budgets(crash=1000, speculate=False)
    driver = Driver(engine, ledger, budgets, watcher)
    return driver.run(graph), watcher


class Rounds:
    """Rounds of tasks with kills, until there were enough of those."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        self.kills = self.busy = self.sent = self.tasks = self.unnoticed = self.half_sent = self.stillborn = 0
        self.starters = 0
        self.noticed: list[float] = []
        self.number = 0

    def round(self, most: int) -> None:
        """Carry a graph out while workers are killed; check every answer."""
        number, self.number = self.number, self.number + 1
        place = self.proof.directory / f"round-{number}"
        engine = Seen(WORKERS)
        killer = Killer(engine, f"{self.proof.seed} worker {number}", most)
        alarm = threading.Timer(ROUND_SECONDS, self._hangs, [number])
        alarm.start()
        engine.open(Want(WORKERS))
        killer.start()
        try:
            if number % 2:
                with RunDirectory.open(str(place), {"round": number}) as ledger:
                    commits, watcher = carry_out(engine, ledger, Work(), TASKS)
            else:
                commits, watcher = carry_out(engine, EphemeralLedger(), Work(), TASKS)
        finally:
            killer.enough.set()
            killer.join()
            _bury(engine, killer)
            engine.close()
            alarm.cancel()
        self._check(commits, watcher, engine, killer)

    def _hangs(self, number: int) -> None:
        self.proof.fail(number, f"the run hangs: not done after {ROUND_SECONDS:g} s")
        os._exit(1)

    def _check(self, commits: dict[int, Commit], watcher: Silent, engine: Seen, killer: Killer) -> None:
        kills = len(killer.killed)
        self.kills, self.busy = self.kills + kills, self.busy + killer.busy
        self.sent, self.tasks = self.sent + engine.sent, self.tasks + TASKS
        times = [engine.down[pid][0] - at for pid, at in killer.killed.items() if pid in engine.down]
        self.noticed += times
        self.half_sent, self.stillborn = self.half_sent + engine.half_sent, self.stillborn + killer.stillborn
        self.unnoticed += kills - len(times)
        self.starters += killer.starters
        must(set(commits) == set(range(TASKS)), f"{TASKS - len(commits)} tasks are lost")
        for number, commit in commits.items():
            data = [output.data for output in commit.outputs]
            wanted = [expected_piece(number, piece) for piece in range(PIECES if number % 6 == 0 else 1)]
            must(data == wanted, f"task {number} has another answer")
        again = engine.sent - TASKS
        must(again <= kills, f"{again} attempts were done again for {kills} kills")
        must(len(watcher.retries) <= kills, f"{len(watcher.retries)} retries for {kills} kills")
        must(all(kind == "crash" for _, kind, _ in engine.down.values()), f"deaths were told as {engine.down}")


def _bury(engine: Seen, killer: Killer) -> None:
    """Hear of the last deaths: of workers that were killed when the run was all but over."""
    end = time.monotonic() + 5
    while any(pid not in engine.down for pid in killer.killed) and time.monotonic() < end:
        engine.wait(0.2)


def stopped(proof: Proof, count: int) -> list[float]:
    """Stop workers in the middle of tasks; how long each had been stopped when the driver learnt of it."""
    engine = Seen(WORKERS)
    chance = random.Random(f"{proof.seed} stopped")
    times: list[float] = []

    def stop() -> None:
        for _ in range(-(-count // WORKERS)):
            while len(engine.busy) < WORKERS:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.3))
            at = {pid: time.monotonic() for pid in list(engine.pids.values())[: count - len(times)]}
            for pid in at:
                os.kill(pid, signal.SIGSTOP)
            while any(pid not in engine.down for pid in at):
                time.sleep(0.01)
            times.extend(engine.down[pid][0] - at[pid] for pid in at)

    thread = threading.Thread(target=stop, daemon=True)
    engine.open(Want(WORKERS))
    thread.start()
    tasks = 60 + 4 * count
    try:
        commits, watcher = carry_out(engine, EphemeralLedger(), Rest(), tasks)
        thread.join(30)
    finally:
        engine.close()
    must(len(times) >= count, f"{len(times)} of {count} stopped workers were replaced")
    must(len(commits) == tasks, "tasks of stopped workers are lost")
    must(all("stopped answering" in f.message for f in watcher.retries), f"other failures: {watcher.retries}")
    must(max(times) < STOPPED_SECONDS, f"a stopped worker was noticed after {max(times):.1f} s")
    return times


def lock_held() -> bool:
    """A function that holds the interpreter's lock is not taken for a stopped worker."""
    engine = Seen(2)
    engine.open(Want(2))
    try:
        commits, watcher = carry_out(engine, EphemeralLedger(), HoldTheLock(), 2)
    finally:
        engine.close()
    must(len(commits) == 2 and not watcher.retries and not engine.down, f"it was killed: {engine.down}")
    return True


def main() -> None:
    proof = Proof("worker_kills", 2000, ASKED)
    rounds = Rounds(proof)
    while rounds.kills < proof.count and proof.failed < 5:
        kills = rounds.kills
        proof.check(f"round {rounds.number}", lambda: rounds.round(proof.count - rounds.kills))
        proof.passed(rounds.kills - kills)
    noticed = rounds.noticed
    within: Callable[[], None] = lambda: must(  # noqa: E731
        not rounds.unnoticed and median(noticed) <= NOTICED_SECONDS,
        f"deaths were noticed after {median(noticed):.3f} s (median); {rounds.unnoticed} never were",
    )
    proof.check("deaths", within)
    stops = max(1, proof.count // 100)
    times = proof.check("stopped", lambda: stopped(proof, stops)) or []
    held = proof.check("lock", lock_held)
    proof.end(
        rounds=rounds.number,
        tasks=rounds.tasks,
        attempts=rounds.sent,
        kills_of_workers_at_work=rounds.busy,
        of_these_in_half_sent_messages=rounds.half_sent,
        kills_of_workers_not_yet_ready=rounds.stillborn,
        kills_of_what_workers_are_forked_from=rounds.starters,
        death_noticed_s={"median": round(median(noticed), 4), "max": round(max(noticed, default=0.0), 3)},
        deaths_noticed_within_200_ms=f"{sum(t <= NOTICED_SECONDS for t in noticed)} of {len(noticed)}",
        stopped=len(times),
        stopped_noticed_s={"median": round(median(times), 2), "max": round(max(times, default=0.0), 2)},
        lock_held_12_s_left_alone=bool(held),
    )


if __name__ == "__main__":
    main()
