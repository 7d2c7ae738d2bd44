"""``--check``: a job's functions called on a sample of its data by several processes, and on halves of batches.

A first process, with the hash seed that workers have, sees the sample in one order. Others, each with another seed, see
their parts of it in the opposite order; one of them calls the functions on pieces of a batch before it calls them on
the whole. What a function makes of the whole must be the same, to the last bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shardwise.api.check_report import CheckReport, Finding, How
from shardwise.api.options import Options
from shardwise.api.witnesses import Key, Seen, Witness, witnesses
from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.first_difference import Difference, difference
from shardwise.compute.machine import usable_cores
from shardwise.compute.operations import functions
from shardwise.compute.programs.witness import PIECES, WitnessProgram
from shardwise.plan.work import AggregateTo, CollectTo, Work, WriteTo

SHARE = 0.03
"""Part of the tasks of one batch that is looked at, if that is more than ``LEAST``."""

LEAST, MOST = 2, 48
"""So many at least, and at most."""

SECONDS = 2.0
"""The first process begins no further task after so long."""

BATCHES = 2
"""Of a file that can only be read from its start, so many batches are looked at."""

HALVED = 2
"""So many tasks are also called on in halves, by the second process."""

SEEDS = ("0", "1", "2", "3")
"""Hash seeds: the first is that of workers. Two seeds put the two strings of a set in the same order half the time."""


def check(work: Work, options: Options, end: int) -> CheckReport:
    """Check the functions of a job on ordinals [0, end)."""
    started = time.monotonic()
    own = own_aggregates(work)
    names = (*(function.name for function in functions(work.pipeline.operations)), *(name for name, _ in own))
    if not names or not end:
        return CheckReport((), names)
    program = WitnessProgram(work.pipeline, tuple(aggregate for _, aggregate in own), BATCHES)
    seeds = SEEDS[: 1 + min(len(SEEDS) - 1, max(end, 2))]
    found = _Findings(work, tuple(name for name, _ in own))
    timeout = options.timeout_seconds
    with witnesses(program, seeds, max(1, usable_cores() // 2)) as (first, *others):
        sample = _first_sight(first, end, timeout)
        for number, other in enumerate(others):
            for place, task in enumerate(_share_of(list(sample), number, len(others))):
                halves = number == 0 and place < HALVED
                found.compare(task, sample[task], other.see(task, timeout, halves))
            if len(sample) == 1:  # now that it has been called before
                found.compare(task, sample[task], other.see(task, timeout))
    seconds = round(time.monotonic() - started, 3)
    return CheckReport(found.all(), names, len(sample), end, len(seeds), seconds, tuple(found.notes))


def check_sample(work: Work, options: Options) -> CheckReport:
    """Check the functions of a job on as much of its data as a run with these options would read."""
    from shardwise.api.planning import reach
    from shardwise.api.runs import RunLedger
    from shardwise.run.ephemeral import EphemeralLedger

    return check(work, options, reach(work, options.share, RunLedger(EphemeralLedger(), "")))


def first_in(work: Work, ordinals: range, timeout: float | None) -> Finding | None:
    """Where in the source two processes first differ, in these ordinals (the first ``MOST`` of them)."""
    own = own_aggregates(work)
    program = WitnessProgram(work.pipeline, tuple(aggregate for _, aggregate in own), MOST)
    found = _Findings(work, tuple(name for name, _ in own))
    with witnesses(program, SEEDS[:2], max(1, usable_cores() // 2)) as (first, other):
        sample = {task: first.see(task, timeout) for task in ordinals[:MOST]}
        for task in reversed(sample):
            found.compare(task, sample[task], other.see(task, timeout))
    in_order = sorted(found.found, key=lambda key: found.tasks.get(key, 0))
    return next((found.found[key] for key in in_order if key[0] == "process"), None)


def own_aggregates(work: Work) -> list[tuple[str, Any]]:
    """The person's own aggregates of a job, with their names; by group where it groups."""
    if not isinstance(work.target, AggregateTo):
        return []
    own = [aggregate for _, aggregate in work.target.aggregates if not isinstance(aggregate, Builtin)]
    if not own:
        return []
    from shardwise.compute.mixed import ByGroup

    keys = work.target.keys
    return [(type(one).__name__, ByGroup(one, keys) if keys else one) for one in own]


def stage_of(work: Work) -> str:
    """Name of the stage whose tasks call the functions."""
    return (
        "write" if isinstance(work.target, WriteTo) else "collect" if isinstance(work.target, CollectTo) else "partial"
    )


def spread(total: int) -> Iterator[int]:
    """All numbers below ``total``, each as far from those before as may be (van der Corput's sequence).

    Examples
    --------
    >>> list(spread(5))
    [0, 2, 1, 3, 4]
    """
    given: set[int] = set()
    bits = max(1, (total - 1).bit_length())
    for number in range(1 << bits):
        place = int(f"{number:0{bits}b}"[::-1], 2) * total >> bits
        if place not in given:
            given.add(place)
            yield place


def _first_sight(first: Witness, end: int, timeout: float | None) -> dict[int, Seen]:
    """What the first process sees: a sample spread over the data, ended by time or by a failure."""
    wanted = min(end, MOST, max(LEAST, math.ceil(SHARE * end)))
    started = time.monotonic()
    sample: dict[int, Seen] = {}
    for task in spread(end):
        late = len(sample) >= LEAST and time.monotonic() - started > SECONDS
        if len(sample) == wanted or late:
            break
        sample[task] = first.see(task, timeout)
        if sample[task].failure is not None:
            break
    return sample


def _share_of(tasks: list[int], number: int, parts: int) -> list[int]:
    """What one of the other processes sees: every n-th task, the last ones first; or else the first one."""
    return tasks[number::parts][::-1] or tasks[:1]


@dataclass(slots=True)
class _Findings:
    """What differs, the first for each function."""

    work: Work
    own: tuple[str, ...]
    found: dict[tuple[How, str], Finding] = field(default_factory=dict)
    tasks: dict[tuple[How, str], int] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def all(self) -> tuple[Finding, ...]:
        """Of a function that is not deterministic nothing else can be said."""
        restless = {step for how, step in self.found if how == "process"}
        return tuple(f for (how, step), f in self.found.items() if how == "process" or step not in restless)

    def compare(self, task: int, first: Seen, other: Seen) -> None:
        """Compare what two processes saw of a task, and what one saw of halves."""
        if first.failure is not None or other.failure is not None:
            self._failed(task, first, other)
            return
        differing: set[tuple[int, int]] = set()  # batches: what later steps make of them says nothing
        for key in sorted(first.outputs, key=lambda key: key.order):  # of the first process all are ``out``
            if (key.fragment, key.batch) not in differing and (apart := self._apart(key, key, first, other)):
                differing.add((key.fragment, key.batch))
                self._add("process", task, key, apart)
        for key in other.outputs:
            if key.part == "cut":
                self._compare_pieces(task, key, other)
            elif key.part == "raised":
                self._add(
                    "step" if key.step.startswith("a") else "cut", task, key, None, f"one raised {other.data(key)}"
                )
            elif key.part == "left":
                self._add("merge", task, key, self._apart(key, _part(key, "right"), other, other))

    def _compare_pieces(self, task: int, key: Key, seen: Seen) -> None:
        pieces = (two for two in (_part(key, name) for name in PIECES) if two in seen.outputs)
        apart = next(filter(None, (self._apart(_part(key, "out"), two, seen, seen) for two in pieces)), None)
        if apart is not None and _part(key, "drew") in seen.outputs:
            self.notes[f"{self._name(key)} draws from ctx.rng by batch: it was not compared on halves"] = None
            return
        self._add("step" if key.step.startswith("a") else "cut", task, key, apart)

    def _apart(self, one: Key, two: Key, first: Seen, second: Seen) -> Difference | None:
        """The first difference of two outputs that should be the same."""
        if two not in second.outputs:
            return Difference("kind", None, "", "a result", "none")
        if first.outputs[one][1].digest == second.outputs[two][1].digest:
            return None
        a, b = first.data(one), second.data(two)
        if one.step.startswith("a"):  # a state may be kept in several ways; what counts is what it becomes
            a, b = a[-1:], b[-1:]
        return difference(a, b)

    def _failed(self, task: int, first: Seen, other: Seen) -> None:
        one, two = first.failure, other.failure
        dead = next((f for f in (one, two) if f is not None and f.kind in ("crash", "timeout", "memory")), None)
        if dead is not None:
            self.notes[f"task {self._task(task)} could not be checked: {dead.message.splitlines()[0]}"] = None
            return
        raised = [f"{f.type}: {f.message}" if f is not None else "a result" for f in (one, two)]
        if one is not None and two is not None and one.type == two.type:
            self.notes[f"task {self._task(task)} fails, whoever tries it: {raised[0]}"] = None
            return
        name = ", ".join((*(f.name for f in functions(self.work.pipeline.operations)), *self.own))
        said = f"{raised[0]}, then {raised[1]}"
        self.found.setdefault(("process", name), Finding("process", name, self._task(task), "", None, None, said))

    def _add(self, how: How, task: int, key: Key, apart: Difference | None, raised: str = "") -> None:
        if not (apart or raised) or self.tasks.get((how, key.step), task + 1) <= task:  # the first in order of position
            return
        self.tasks[how, key.step] = task
        known = key.fragment >= 0  # else it is about rows in quarantine
        file = self.work.pipeline.source.fragments[key.fragment].name if known else "quarantine"
        batch = key.batch if known else None
        finding = Finding(how, self._name(key), self._task(task), file, batch, apart, raised)
        self.found[how, key.step] = finding

    def _name(self, key: Key) -> str:
        if key.step.startswith("a"):
            return self.own[int(key.step[1:])]
        operation: Any = self.work.pipeline.operations[int(key.step)]
        return str(operation.function.name)

    def _task(self, task: int) -> str:
        return f"{stage_of(self.work)}-{task}-{task + 1}"


def _part(key: Key, part: str) -> Key:
    return Key(key.step, key.fragment, key.batch, part)
