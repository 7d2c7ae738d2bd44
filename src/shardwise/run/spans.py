"""What became of every attempt, when and on which slot: the driver takes note of it, the journal keeps it.

A span is a line of a timeline, as plain JSON values. It is filed once, when its attempt has ended, whichever way:
``committed``; ``failed`` (it said so itself, or its commit failed); ``lost`` with its worker; ``cancelled``, as nobody
waited for it any more; ``late``, as it succeeded when another attempt at its task had. Times are those of the driver's
clock, which never goes back, counted from 1970: one offset for the whole life of a driver.

Nothing is written for it alone: what was filed goes into the journal with the next segment that is put anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from shardwise.compute.task import Outcome
from shardwise.errors import InDoubt, RunIsTaken, StorageError

if TYPE_CHECKING:
    from shardwise.run.journal import Line
    from shardwise.run.seams import Ledger

ATTEMPTS = "attempts"
"""Kind of the journal's lines that hold spans, and which slots came and went."""

SAVE_SECONDS = 5.0
"""What was filed is written at least this often, even where nothing is committed."""

FAILURE_LENGTH = 300
"""Characters of why an attempt failed; the journal's ``retry`` and ``failed`` lines have it all."""

HERE = -1
"""The slot of attempts in the driver's own process, before any engine is open."""

Span = dict[str, Any]
"""``task, stage, attempt, slot, host, began, ended, how, backup, read, compute, write, seconds, rows, bytes_in,
rows_out, bytes_out, peak, sent, received, stored, clock, failure``: ``seconds`` is what the worker was at it, of which
it read, computed and wrote; ``sent`` and ``received`` are bytes between driver and worker, ``stored`` those of
``bytes_out`` that are in files; ``clock`` is what the worker's own clock said when it began, or null."""


class Spans:
    """Takes note of attempts and slots, for one driver.

    Parameters
    ----------
    clock : callable
        The driver's: seconds that never go back.
    wall : callable
        Seconds since 1970.

    Examples
    --------
    >>> from shardwise.compute.task import Metrics
    >>> spans = Spans(clock=lambda: 5.0, wall=lambda: 1000.0)
    >>> spans.up(0, "box")
    >>> spans.began(7, "map-0-8", "map", 0, "box")
    >>> spans.heard(Outcome(0, 7, metrics=Metrics(seconds=1.5)))
    >>> spans.ended(7, "committed")
    >>> span = spans.take()["spans"][0]
    >>> span["task"], span["how"], span["began"], span["seconds"]
    ('map-0-8', 'committed', 1000.0, 1.5)
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._offset = wall() - clock()
        self._open: dict[int, Span] = {}
        self._on: dict[int, int] = {}  # the attempt that a slot works on
        self._up: dict[int, str] = {}  # hosts of slots
        self._gone: set[int] = set()
        self._why: dict[int, str] = {}  # a slot was told to die
        self._spans: list[Span] = []
        self._slots: list[dict[str, Any]] = []
        self._asked = self.now()
        self._saved = clock()

    def now(self) -> float:
        """Seconds since 1970, by a clock that never goes back."""
        return round(self._clock() + self._offset, 6)

    # --- slots -----------------------------------------------------------------------------------------------------

    def up(self, slot: int, host: str) -> None:
        """A worker is ready."""
        if slot not in self._up and slot not in self._gone:  # messages may come twice, and in another order
            self._up[slot] = host
            self._slots.append({"slot": slot, "host": host, "asked": self._asked, "up": self.now()})

    def condemned(self, slot: int, why: str) -> None:
        """A worker is told to die."""
        self._why.setdefault(slot, why)

    def down(self, slot: int, why: str) -> None:
        """A worker is gone, and with it what it was at. Its successor is asked for in this moment."""
        self._gone.add(slot)
        host = self._up.pop(slot, None)
        why = self._why.pop(slot, why)
        attempt = self._on.pop(slot, None)
        if attempt is not None:
            self.ended(attempt, self._open[attempt]["how"] or "lost", why)
        self._asked = self.now()
        if host is not None:
            self._slots.append({"slot": slot, "host": host, "down": self._asked, "why": one_line(why)})

    # --- attempts --------------------------------------------------------------------------------------------------

    def began(
        self, attempt: int, task: str, stage: str, slot: int, host: str, backup: bool = False, sent: int = 0
    ) -> None:
        """An attempt was sent to a slot, in so many bytes."""
        self._on[slot] = attempt
        self._open[attempt] = {
            "task": task,
            "stage": stage,
            "attempt": attempt,
            "slot": slot,
            "host": host,
            "began": self.now(),
            "ended": None,
            "how": "",
            "backup": backup,
            "sent": sent,
        }

    def forget(self, attempt: int) -> None:
        """An attempt never began, whatever was taken to be the case."""
        span = self._open.pop(attempt, None)
        if span is not None and self._on.get(span["slot"]) == attempt:
            del self._on[span["slot"]]

    def heard(self, outcome: Outcome, received: int = 0) -> None:
        """An attempt has answered; what becomes of it is said by ``ended``, unless it was cancelled before."""
        attempt = outcome.attempt
        span = self._open.get(attempt)
        if span is None or span["ended"] is not None:
            return
        span["ended"] = self.now()
        _add_costs(span, outcome, received)
        if self._on.get(span["slot"]) == attempt:
            del self._on[span["slot"]]
        if span["how"]:
            self.ended(attempt, "late")

    def cancelled(self, attempt: int) -> None:
        """Nobody waits for an attempt any more. Where it has not answered, its slot works on it until that is lost."""
        span = self._open.get(attempt)
        if span is not None and span["ended"] is not None:
            self.ended(attempt, "late")
        elif span is not None:
            span["how"] = "cancelled"

    def ended(self, attempt: int, how: str, failure: str = "") -> None:
        """File what became of an attempt; again is no news."""
        span = self._open.pop(attempt, None)
        if span is None:
            return
        if span["ended"] is None:
            span["ended"] = self.now()
            _add_costs(span, _NOTHING, 0)
        if self._on.get(span["slot"]) == attempt:
            del self._on[span["slot"]]
        span["how"] = how
        span["failure"] = one_line(failure)
        self._spans.append(span)

    def tried(self, attempt: int, outcome: Outcome | None) -> None:
        """An attempt in this process came to its end, or (None) was given up. One that succeeded will be committed."""
        if outcome is None:
            self.ended(attempt, "cancelled", "it took too long for this process")
            return
        self.heard(outcome)
        if outcome.failure is None:
            self.ended(attempt, "committed")
        else:
            self.ended(attempt, "failed", f"{outcome.failure.type}: {outcome.failure.message}")

    def end(self, why: str) -> None:
        """No graph is carried out any more: whatever is still open was cancelled."""
        for attempt in list(self._open):
            self.ended(attempt, "cancelled", why)

    # --- keeping ---------------------------------------------------------------------------------------------------

    def take(self) -> dict[str, Any]:
        """What was filed since the last time."""
        spans, self._spans = self._spans, []
        slots, self._slots = self._slots, []
        return {"spans": spans, "slots": slots}

    def save(self, ledger: Ledger) -> None:
        """Hand over what was filed, for the next segment."""
        self._saved = self._clock()
        if self._spans or self._slots:
            ledger.note_later(ATTEMPTS, self.take())

    def save_at_once(self, ledger: Ledger) -> None:
        """Write what was filed, if it has waited for ``SAVE_SECONDS``. Where that fails it goes on waiting: the next
        commit says what is wrong with the disk."""
        if self._clock() < self._saved + SAVE_SECONDS:
            return
        self.save(ledger)
        try:
            ledger.write_notes()
        except (RunIsTaken, InDoubt):
            raise
        except StorageError:
            return


_NOTHING = Outcome(0, 0)


def _add_costs(span: Span, outcome: Outcome, received: int) -> None:
    metrics = outcome.metrics
    span["read"] = round(metrics.read_seconds, 6)
    span["compute"] = round(metrics.compute_seconds, 6)
    span["write"] = round(metrics.write_seconds, 6)
    span["seconds"] = round(metrics.seconds, 6)
    span["rows"] = metrics.rows_in
    span["bytes_in"] = metrics.bytes_in
    span["rows_out"] = metrics.rows_out
    span["bytes_out"] = metrics.bytes_out
    span["peak"] = metrics.peak_memory
    span["received"] = received
    span["stored"] = sum(output.size for output in outcome.outputs if output.data is None)
    span["clock"] = outcome.began


def one_line(text: str) -> str:
    """The first line that says something, within bounds.

    Examples
    --------
    >>> one_line(" the worker died of SIGKILL \\n it said: ... ")
    'the worker died of SIGKILL'
    """
    first = text.strip().partition("\n")[0].strip()
    return first if len(first) <= FAILURE_LENGTH else first[: FAILURE_LENGTH - 4] + " ..."


def spans_in(lines: Iterable[Line]) -> list[Span]:
    """The spans of all drivers of a run, in the order in which they were filed."""
    return [span for line in lines if line.kind == ATTEMPTS for span in line.data["spans"]]
