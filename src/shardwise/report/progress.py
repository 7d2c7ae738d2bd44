"""How far a run is: a bar on a terminal or in a notebook, a plain line now and then where there is neither. On standard
error, but for the notebook's.

The driver feeds it with its own clock (``now``, seconds that never go back) as often as it likes: between two drawings
an update is a comparison and an assignment. What is shown is made by pure functions of a ``Standing``.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, replace
from typing import IO, Literal

from shardwise.errors import UsageError
from shardwise.report.eta import Estimate
from shardwise.report.notebook_bar import NotebookBar, notebook_display
from shardwise.sizes import format_count, format_duration, format_rate

Mode = Literal["auto", "bar", "plain", "none"]

BAR_EVERY = 0.1  # seconds between two drawings of the bar
BOARD_EVERY = 0.5  # and of one that travels to a notebook
BAR_AFTER = 0.3  # seconds before the first one: a short run flashes no bar
PLAIN_EVERY = 10.0  # seconds between two plain lines,
PLAIN_STEP = 0.1  # or this share of the work,
PLAIN_AFTER = 1.0  # but never sooner than this many seconds after the last
CLEAR = "\r\x1b[2K"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Parameters
    ----------
    total, done, running : int
        Tasks: in the plan, committed (by earlier drivers too), under way now.
    share : float
        Part of the work that is done, 0 to 1.
    rows, size : int
        Rows and bytes read by this driver, which ``seconds`` belong to.
    eta : float or None
        Seconds still to go, where it can be told.
    retries, failed : int
        Attempts tried again; attempts that failed.
    """

    total: int
    done: int
    running: int = 0
    share: float = 0.0
    rows: int = 0
    size: int = 0
    seconds: float = 0.0
    eta: float | None = None
    retries: int = 0
    failed: int = 0

    def facts(self) -> list[str]:
        """What to say about it, most important first."""
        facts = [f"{self.share * 100:.0f} %", f"{format_count(self.done)}/{format_count(self.total)} tasks"]
        if self.eta:
            facts.append(f"{_left(self.eta)} left")
        if self.retries:
            facts.append(f"{format_count(self.retries)} {'retry' if self.retries == 1 else 'retries'}")
        if self.seconds > 0 and self.rows:
            facts.append(format_rate(self.rows / self.seconds, "rows"))
        if self.seconds > 0 and self.size:
            facts.append(format_rate(self.size / self.seconds))
        if self.rows:
            facts.append(f"{format_count(self.rows)} rows")
        return facts


def _left(seconds: float) -> str:
    """Time to go in whole seconds: it is an estimate."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else format_duration(whole)


def plain_line(standing: Standing, label: str = "") -> str:
    """One line for a log.

    Examples
    --------
    >>> plain_line(Standing(total=28, done=12, share=0.42, rows=1200, seconds=2.0, eta=17.0, retries=1), "aggregate")
    'aggregate: 42 %, 12/28 tasks, 17 s left, 1 retry, 600 rows/s, 1,200 rows'
    """
    return (f"{label}: " if label else "") + ", ".join(standing.facts())


def bar_line(standing: Standing, width: int, label: str = "", ascii_only: bool = False) -> str:
    """One line that fits in ``width`` columns: label, bar, and as many facts as there is room for.

    Examples
    --------
    >>> bar_line(Standing(total=4, done=2, share=0.5), width=45, label="集計")
    '集計  ━━━━━━━━━━───────────   50 %  2/4 tasks'
    """
    from rich.cells import cell_len

    from shardwise.report.tables import fit

    label = fit(label, max(0, width // 4), ascii_only)
    head = f"{label}  " if label else ""
    room = width - cell_len(head)
    facts = ""
    for fact in standing.facts():
        if len(facts) + 2 + len(fact) > room - 12 and facts:
            break
        facts += "  " + fact.rjust(5)
    return head + _bar(standing.share, max(0, min(30, room - len(facts))), ascii_only) + facts


def _bar(share: float, width: int, ascii_only: bool) -> str:
    full = max(0, min(width, int(share * width)))
    done, open_ = ("#", ".") if ascii_only else ("━", "─")
    return done * full + open_ * (width - full)


class Progress:
    """Shows a run's progress on a stream.

    Parameters
    ----------
    mode : {"auto", "bar", "plain", "none"}
        ``auto``: a bar on a terminal or in a notebook, plain lines elsewhere. ``none``: nothing, messages included.
    stream : text stream, optional
        Standard error unless given.

    Raises
    ------
    UsageError
        The mode is none of the four.
    """

    def __init__(self, mode: Mode = "auto", stream: IO[str] | None = None) -> None:
        if mode not in ("auto", "bar", "plain", "none"):
            raise UsageError(f"there is no progress {mode!r}", "choose auto, bar, plain or none")
        self._stream = sys.stderr if stream is None else stream
        display = notebook_display() if mode == "auto" and stream is None else None
        self._board = None if display is None else NotebookBar(display)
        self._mode = "bar" if self._board else _resolve(mode, self._stream)
        self._ascii = (getattr(self._stream, "encoding", None) or "").lower().replace("-", "") != "utf8"
        self._label = ""
        self._drawn = False
        self._next = float("inf")
        self._began = 0.0
        self._standing = Standing(0, 0)
        self._estimate: Estimate | None = None
        self._last_line = (0.0, 0.0)

    def begin(
        self,
        total_tasks: int,
        total_rows: int | None = None,
        total_bytes: int | None = None,
        done: int = 0,
        *,
        now: float,
        total_work: float | None = None,
        done_work: float | None = None,
        label: str = "",
        resumed: bool = True,
    ) -> None:
        """A run, or a stage of it, begins with ``done`` of its tasks committed (``resumed``: by an earlier run).

        Work is counted in ordinals where ``total_work`` says how many there are, in tasks otherwise.
        """
        work = float(total_tasks if total_work is None else total_work)
        self._estimate = Estimate.begin(now, work, float(done if done_work is None else done_work))
        self._standing = Standing(total_tasks, done, share=self._estimate.share)
        self._began, self._label = now, label
        self._last_line = (now, self._estimate.share)
        wait = {"bar": BAR_AFTER, "plain": PLAIN_AFTER}.get(self._mode)
        self._next = float("inf") if wait is None else now + wait
        if done and resumed and self._mode != "none":
            self.message(f"Going on: {format_count(done)} of {format_count(total_tasks)} tasks were already done.")

    def update(
        self,
        *,
        now: float,
        running: int,
        done: int,
        rows: int = 0,
        bytes: int = 0,  # noqa: A002 - the word for it
        retries: int = 0,
        failed: int = 0,
        work: float | None = None,
    ) -> None:
        """Say where the run stands. Costs nothing between two drawings."""
        if now < self._next or self._estimate is None:
            return
        self._estimate = self._estimate.advance(now, float(done if work is None else work))
        share, eta = self._estimate.share, self._estimate.seconds_left
        seconds = now - self._began
        self._standing = Standing(
            self._standing.total, done, running, share, rows, bytes, seconds, eta, retries, failed
        )
        if self._mode == "bar":
            self._next = now + (BOARD_EVERY if self._board else BAR_EVERY)
            self._draw()
        else:
            self._maybe_line(now, share)

    def more_tasks(self, more: int) -> None:
        """There are so many tasks more, for the same work."""
        self._standing = replace(self._standing, total=self._standing.total + more)

    def message(self, line: str) -> None:
        """Print a line of its own; a bar moves below it."""
        if self._mode == "none":
            return
        self._clear()
        self._write(line + "\n")

    def end(self, summary: str = "") -> None:
        """The run is over: the bar goes, and the summary stays."""
        self._clear()
        if self._board:
            self._board.clear()
        self._next, self._estimate = float("inf"), None
        if summary:
            self.message(summary)

    def _maybe_line(self, now: float, share: float) -> None:
        then, shown = self._last_line
        self._next = now + PLAIN_AFTER / 4
        if now - then >= PLAIN_EVERY or (now - then >= PLAIN_AFTER and share - shown >= PLAIN_STEP):
            self._last_line = (now, share)
            self._next = now + PLAIN_AFTER
            self._write(plain_line(self._standing, self._label) + "\n")

    def _draw(self) -> None:
        if self._board:
            self._board.show(self._standing, self._label)
            return
        # A line as wide as the terminal would wrap on some of them, and could not be cleared.
        width = shutil.get_terminal_size().columns - 1
        self._drawn = True
        self._write(CLEAR + bar_line(self._standing, width, self._label, self._ascii))

    def _clear(self) -> None:
        if self._drawn:
            self._drawn = False
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads standard error any more; the run goes on without telling.
            self._mode, self._next, self._drawn = "none", float("inf"), False


def _resolve(mode: Mode, stream: IO[str]) -> Mode:
    if mode != "auto":
        return mode
    return "bar" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
