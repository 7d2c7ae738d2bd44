"""What a run put in quarantine: all of it in one table, and how much of it a person allows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardwise.api.runs import RunLedger
from shardwise.compute.task import QUARANTINE, Output
from shardwise.errors import FunctionError, StorageError, UsageError
from shardwise.run.commits import Commit
from shardwise.sizes import format_count, parse_share
from shardwise.storage import open_store

if TYPE_CHECKING:
    import pyarrow as pa

    from shardwise.api.result import Result
    from shardwise.compute.bad_rows import BadRow
    from shardwise.run.view import RunView

FILE = "quarantine/rows.parquet"
"""Where a run directory holds all of them."""

STAGES = ("partial", "collect", "write")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many rows may go to quarantine: a number, or a share of the rows that were read.

    Examples
    --------
    >>> Allowance.of("0.1%"), Allowance.of(20)
    (Allowance(rows=None, share=0.001), Allowance(rows=20, share=None))
    """

    rows: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, given: int | float | str | None) -> Allowance:
        """As a person says it: ``20``, ``"20"``, ``0.001`` or ``"0.1%"``.

        Raises
        ------
        UsageError
            It is none of these.
        """
        fix = 'give a number of rows (20) or a share ("0.1%")'
        if given is None:
            return cls()
        if isinstance(given, str):
            text = given.strip()
            if text.isdigit():
                return cls(rows=int(text))
            given = 0.0 if text.rstrip("% ").strip("0.") == "" else float(parse_share(text))
        if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
            return cls(rows=given)
        if isinstance(given, float) and 0 <= given <= 1:
            return cls(share=given)
        raise UsageError(f"max_quarantined is {given!r}", fix)

    def check(self, bad: int, read: int | None) -> None:
        """Refuse too many bad rows. ``read``: rows in all, where that is known.

        Raises
        ------
        FunctionError
            There are more than allowed.
        """
        if self.rows is not None and bad > self.rows:
            why = f"{format_count(self.rows)} allowed"
        elif self.share is not None and read is not None and bad > self.share * read:
            why = f"{100 * self.share:g}% of {format_count(read)} rows allowed"
        else:
            return
        raise FunctionError(
            f"{rows_word(bad)} went to quarantine, more than max_quarantined allows ({why})",
            "look at them and mend the function; or raise max_quarantined, and the run goes on from here",
        )


class Keeper:
    """Follows a run's commits, and keeps its bad rows together.

    Parameters
    ----------
    ledger : RunLedger
        Of the run.
    allowance : Allowance
        How many there may be.
    rows : int or None
        Of the part of the dataset that is read, where that is known before it was read.
    end : int
        Ordinals of that part.
    """

    def __init__(self, ledger: RunLedger, allowance: Allowance, rows: int | None, end: int) -> None:
        self._ledger = ledger
        self._allowance = allowance
        self._rows = rows
        self._commits = {c.attempt: c for stage in STAGES for c in ledger.committed(stage) if c.first < end}
        ledger.on_commit = self._committed

    @property
    def outputs(self) -> list[Output]:
        """Committed outputs that hold bad rows."""
        return [output for commit in self._commits.values() for output in commit.outputs if output.name == QUARANTINE]

    @property
    def count(self) -> int:
        """Bad rows so far."""
        return sum(output.rows for output in self.outputs)

    def check(self, whole: bool = False) -> None:
        """Refuse too many bad rows. ``whole``: everything has been read, so that a share can be told.

        Raises
        ------
        FunctionError
            There are more than allowed.
        """
        read = sum(c.metrics.rows_in for c in self._commits.values()) if whole and self._rows is None else self._rows
        self._allowance.check(self.count, read)

    def table(self) -> Callable[[], pa.Table]:
        """All bad rows, in order of position; read when it is called."""
        outputs, ledger = self.outputs, self._ledger
        where = ledger.kept_at if ledger.named_by_place else ledger.id
        held = None if ledger.kept_at else [ledger.read(output) for output in outputs]  # gone when the ledger closes

        def load() -> pa.Table:
            from shardwise.compute.bad_rows import from_ipc, with_commands

            rows = from_ipc(held if held is not None else [ledger.read(output) for output in outputs])
            named = zip(*(rows.column(name).to_pylist() for name in ("file", "batch", "row")))
            commands = [replay_command(where, f"{f}:{b}:{r}") if ledger.kept_at else "" for f, b, r in named]
            return with_commands(rows, commands)

        return load

    def keep(self) -> str:
        """Write all bad rows into the run directory; returns where, empty if there is none or nothing to write."""
        if not self._ledger.kept_at:
            return ""
        store = open_store(self._ledger.kept_at)
        if not self.outputs:
            if self._ledger.is_open and store.exists(FILE):
                store.delete(FILE)
            return ""
        if self._ledger.is_open or not store.exists(FILE):
            store.put(FILE, as_parquet(self.table()()))
        return f"{self._ledger.kept_at.rstrip('/')}/{FILE}"

    def _committed(self, commits: Sequence[Commit]) -> None:
        self._commits.update({c.attempt: c for c in commits if c.stage in STAGES})
        self.check()


def joined(own: Callable[[], pa.Table], earlier: Sequence[Result]) -> Callable[[], pa.Table]:
    """The bad rows of the jobs that a job reads from, and then its own."""
    with_rows = [result for result in earlier if result.run.quarantined]

    def load() -> pa.Table:
        import pyarrow as pa

        return pa.concat_tables([*(result.quarantine for result in with_rows), own()])

    return load if with_rows else own


def quarantine_of(view: RunView) -> pa.Table:
    """All bad rows that a run has committed so far, in order of position."""
    from shardwise.compute.bad_rows import from_ipc

    store = open_store(view.url)
    outputs = [o for stage in STAGES for c in view.committed(stage) for o in c.outputs if o.name == QUARANTINE]
    return from_ipc(o.data if o.data is not None else store.get(o.path) for o in outputs)


def keep_rows(directory: str, rows: Sequence[BadRow]) -> None:
    """Write bad rows where no run keeps them: those of a stream."""
    from shardwise.compute.bad_rows import from_ipc, to_ipc, with_commands

    table = from_ipc([to_ipc(rows)] if rows else [])
    open_store(directory).put(FILE, as_parquet(with_commands(table, [""] * table.num_rows)))


def keep_after_failure(keeper: Keeper) -> None:
    """Write the bad rows of a run that failed, for whoever looks into why."""
    with contextlib.suppress(StorageError, OSError):  # the disk may be what failed: the first error is the one to tell
        keeper.keep()


def as_parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def replay_command(run: str, row: str) -> str:
    """What to type to see one row fail again."""
    import shlex

    return shlex.join(["shardwise", "replay", run, "--row", row])


def rows_word(count: int) -> str:
    """A number of rows in words.

    Examples
    --------
    >>> rows_word(1), rows_word(2000)
    ('1 row', '2,000 rows')
    """
    return f"{format_count(count)} {'row' if count == 1 else 'rows'}"
