"""Quarantine inside one attempt: functions are called so that rows that make them fail are found and left out.

The rows of a batch as they enter the first function are called on as a whole first. Where that fails, the rows that
fail alone are found (``narrowing``), and the functions run once more on the batch without them: that output, and no
other, is kept. What kills the worker is found over several attempts: the driver tells what earlier ones died of
(``TaskSpec.suspects``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from shardwise.compute.bad_rows import BadRow, reason, rows_as_json
from shardwise.compute.calls import Calls
from shardwise.compute.failure import failure_of, kind_of
from shardwise.compute.narrowing import MOST_BAD_ROWS, narrow, search
from shardwise.compute.task import Failure, Suspect, TaskSpec
from shardwise.data.source import Batch

MOST_TIMEOUTS = 5
"""So many calls on parts of one batch that run out of time send all of it to quarantine."""

MOST_DEATHS = 3 * MOST_BAD_ROWS
"""So many deaths over one batch do as well: each bad row costs two, and the first one a third."""

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(slots=True)
class Quarantine:
    """What an attempt leaves out, and what it knows of calls."""

    spec: TaskSpec
    calls: Calls | None = None
    rows: list[BadRow] = field(default_factory=list)
    searched: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Chain:
    """How a batch goes through the functions.

    Parameters
    ----------
    prepare : callable
        What comes before the first function; errors in it are not a row's.
    numbers : callable
        For each row that ``prepare`` leaves: which row of the source's batch it is.
    call : callable
        The functions, given the prepared batch (or some of its rows) and whom to tell which row comes next.
    exact : bool
        ``call`` tells each row.
    """

    prepare: Callable[[Batch], Batch]
    numbers: Callable[[Batch], Rows]
    call: Callable[[Batch, Callable[[int], None]], Batch]
    exact: bool


class Guard:
    """Calls a chain on batches and keeps what fails out.

    Parameters
    ----------
    chain : Chain
        What is called.
    quarantine : Quarantine
        Takes the bad rows.
    names : sequence of str
        Of the fragments.
    """

    def __init__(self, chain: Chain, quarantine: Quarantine, names: Sequence[str]) -> None:
        self._chain = chain
        self._quarantine = quarantine
        self._names = names

    def judged(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """What the functions make of the batches; one of which nothing is left is passed over."""
        for batch in batches:
            made = self._judge(batch)
            if made is not None:
                yield made

    def search(self, batch: Batch) -> None:
        """Find what kills the worker in a batch that has killed one: dies, or has called the functions on all parts."""
        known = self._known(batch)
        if (batch.fragment, batch.index) in self._quarantine.searched or hopeless(known) is not None:
            return
        entering = self._chain.prepare(batch)
        if len(entering.data):
            trial = _Trial(self, entering, _alive(len(entering.data), known), searched=False)
            latest = known[-1]
            single = latest.last - latest.first == 1
            begin = latest.last if single else latest.first
            search(len(entering.data), begin, latest.last, self._chain.exact, trial.between)
        self._quarantine.searched.add((batch.fragment, batch.index))

    def _judge(self, batch: Batch) -> Batch | None:
        known = self._known(batch)
        given_up = hopeless(known)
        if known and given_up is None:
            self.search(batch)
        case = _Case(self, batch, self._chain.prepare(batch), known)
        return case.give_up(*given_up) if given_up is not None else case.settle()

    def _known(self, batch: Batch) -> list[Suspect]:
        here = (batch.fragment, batch.index)
        return [s for s in self._quarantine.spec.suspects if (s.fragment, s.batch) == here]

    @contextmanager
    def _noted(self, batch: Batch, first: int, last: int, searched: bool) -> Iterator[None]:
        calls = self._quarantine.calls
        if calls is None:
            yield
            return
        calls.begin(self._quarantine.spec.attempt, batch.fragment, batch.index, first, last, searched)
        try:
            yield
        finally:
            calls.end()

    def _try(self, entering: Batch, rows: Rows, searched: bool) -> Batch | Failure:
        """Call the functions on some rows."""
        first, last = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        given = replace(entering, data=take(entering.data, rows))
        calls = self._quarantine.calls
        tell = (lambda row: None) if calls is None else (lambda row: calls.at(int(rows[row])))
        with self._noted(entering, first, last, searched):
            try:
                return self._chain.call(given, tell)
            except (Exception, SystemExit) as error:
                kind = kind_of(error)
                if not self._is_a_rows_fault(kind):
                    raise
                return replace(failure_of(error), kind=kind)

    def _is_a_rows_fault(self, kind: str) -> bool:
        """Memory that a shard of several batches ran out of says nothing of a row: the shard is too large."""
        return kind == "exception" or (kind == "memory" and not self._quarantine.spec.divisible)


class _Trial:
    """Calls on parts of those rows of a batch that are not known to be bad."""

    def __init__(self, guard: Guard, entering: Batch, rows: Rows, searched: bool) -> None:
        self._guard = guard
        self._entering = entering
        self._rows = rows
        self._searched = searched

    def of(self, first: int, last: int) -> Failure | None:
        """The failure of the first to the last of these rows."""
        return self._failure(self._rows[first:last])

    def between(self, first: int, last: int) -> Failure | None:
        """The failure of those of these rows that lie in [first, last) of the batch."""
        return self._failure(self._rows[(self._rows >= first) & (self._rows < last)])

    def _failure(self, rows: Rows) -> Failure | None:
        if not len(rows):
            return None
        made = self._guard._try(self._entering, rows, self._searched)
        return made if isinstance(made, Failure) else None


@dataclass(slots=True)
class _Case:
    """One batch that is being judged."""

    guard: Guard
    batch: Batch
    entering: Batch
    known: list[Suspect]

    def settle(self) -> Batch | None:
        """Call, narrow where it fails, call once more, and record who was left out."""
        total = len(self.entering.data)
        dead = {s.first: s.failure for s in self.known if s.last - s.first == 1}
        alive = _alive(total, self.known)
        if not len(alive) and (total or self.known):
            return self._without(dead)
        made = self.guard._try(self.entering, alive, bool(self.known))
        if isinstance(made, Batch):
            return self._without(dead, made)
        bad = narrow(len(alive), made, _Trial(self.guard, self.entering, alive, bool(self.known)).of)
        if bad is None or len(bad) + len(dead) > MOST_BAD_ROWS:
            return self.give_up(f"more than {MOST_BAD_ROWS} rows of the batch fail, among them", made)
        return self._once_more(alive, dead, {int(alive[row]): why for row, why in bad.items()})

    def _once_more(self, alive: Rows, dead: dict[int, Failure], bad: dict[int, Failure]) -> Batch | None:
        rest = alive[~np.isin(alive, list(bad))]
        if not len(rest):
            return self._without(dead | bad)
        made = self.guard._try(self.entering, rest, bool(self.known))
        if isinstance(made, Failure):
            return self.give_up("the rows fail only together", made)
        return self._without(dead | bad, made)

    def give_up(self, why: str, failure: Failure) -> Batch | None:
        """All rows are left out, so that nothing is left."""
        told = reason(failure, why)
        self._record(dict.fromkeys(range(len(self.entering.data)), told), "batch")
        return None

    def _without(self, bad: dict[int, Failure], rest: Batch | None = None) -> Batch | None:
        """The rest, once the bad rows are on record."""
        self._record({row: reason(bad[row]) for row in sorted(bad)}, "row")
        return rest

    def _record(self, bad: dict[int, Failure], scope: str) -> None:
        if not bad:
            return
        numbers = self.guard._chain.numbers(self.batch)
        texts = rows_as_json(take(self.entering.data, np.array(list(bad), dtype=np.int64)))
        where = self.guard._names[self.batch.fragment], self.batch.fragment, self.batch.index
        self.guard._quarantine.rows += [
            BadRow(*where, int(numbers[row]), scope, why.kind, why.type, why.message, why.traceback, text)
            for (row, why), text in zip(bad.items(), texts)
        ]


def hopeless(known: Sequence[Suspect]) -> tuple[str, Failure] | None:
    """Why a batch is given up without another call, and after which failure; None: it is not."""
    late = [s for s in known if s.kind == "timeout"]
    single = [s for s in known if s.last - s.first == 1]
    together = [s for s in known if s.searched]
    if together:
        return "the rows kill the worker only together", together[0].failure
    if len(late) >= MOST_TIMEOUTS:
        return f"{MOST_TIMEOUTS} calls on rows of the batch ran out of time", late[0].failure
    if len(single) > MOST_BAD_ROWS or len(known) > MOST_DEATHS:
        return f"more than {MOST_BAD_ROWS} rows of the batch kill the worker", known[0].failure
    return None


def _alive(total: int, known: Sequence[Suspect]) -> Rows:
    rows = np.arange(total, dtype=np.int64)
    dead = [s.first for s in known if s.last - s.first == 1]
    return rows[~np.isin(rows, dead)] if dead else rows


def take(data: Any, rows: Rows) -> Any:
    """These rows (ascending) of a batch. An array is copied, as the function may change it and be called again."""
    if isinstance(data, np.ndarray):
        return data[rows]
    if len(rows) == len(data):
        return data
    if not isinstance(data, pa.Table):
        return [data[row] for row in rows.tolist()]
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return data.slice(int(rows[0]), len(rows))
    wanted = np.zeros(len(data), dtype=bool)
    wanted[rows] = True
    return data.filter(pa.array(wanted))
