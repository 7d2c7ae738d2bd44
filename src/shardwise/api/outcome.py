"""From commits to the answer that a person gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardwise.api.runs import RunLedger
from shardwise.compute.task import QUARANTINE, Output
from shardwise.data.kinds import is_table
from shardwise.plan.work import CollectTo, DescribeTo, Work, WriteTo
from shardwise.run.commits import Commit

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Answer:
    """How to load the data, the parts that were written, and rows in their own types where the table has text."""

    load: Callable[[], Any]
    files: list[str] = field(default_factory=list)
    rows: Callable[[], list[dict[str, Any]]] | None = None


def answer(work: Work, commits: Sequence[Commit], ledger: RunLedger) -> Answer:
    """The answer of a job from the commits of its last stage, in order of position."""
    if isinstance(work.target, WriteTo):
        return _written(commits, work.target.directory)
    if isinstance(work.target, CollectTo):
        return Answer(lambda: _collected(work, commits, ledger))
    table = _memo(lambda: _table(ledger.read(commits[0].outputs[0])))
    if isinstance(work.target, DescribeTo):
        from shardwise.compute.description import as_table, description

        schema = work.pipeline.shape.schema
        assert schema is not None
        rows = _memo(lambda: description(table(), schema))
        return Answer(lambda: as_table(rows()), rows=rows)
    return Answer(table)


def _memo(make: Callable[[], Any]) -> Callable[[], Any]:
    kept: list[Any] = []

    def get() -> Any:
        if not kept:
            kept.append(make())
        return kept[0]

    return get


def _table(data: bytes | memoryview) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def _collected(work: Work, commits: Sequence[Commit], ledger: RunLedger) -> Any:
    from shardwise.compute.programs import collect  # here, as other jobs do not need it

    outputs = _outputs(commits)
    parts = [collect.decode(output.name, ledger.read(output)) for output in outputs if output.rows or len(outputs) == 1]
    if not parts or (isinstance(parts[0], list) and not any(parts) and len(outputs) == 1):
        return _nothing(work)
    if is_table(parts[0]):
        return collect.join_tables(parts)
    if isinstance(parts[0], list):
        return [item for part in parts for item in part]
    return collect.join_arrays(parts)


def _outputs(commits: Sequence[Commit]) -> list[Output]:
    return [output for commit in commits for output in commit.outputs if output.name != QUARANTINE]


def _nothing(work: Work) -> Any:
    shape = work.pipeline.shape
    if shape.kind == "items":
        return []
    import pyarrow as pa

    return shape.schema.empty_table() if shape.schema is not None else pa.table({})


def _written(commits: Sequence[Commit], directory: str) -> Answer:
    outputs = _outputs(commits)
    files = [output.publish for output in outputs]

    def table() -> pa.Table:
        import pyarrow as pa

        return pa.table(
            {
                "file": pa.array([f"{directory.rstrip('/')}/{name}" for name in files], pa.string()),
                "rows": pa.array([output.rows for output in outputs], pa.int64()),
                "bytes": pa.array([output.size for output in outputs], pa.int64()),
            }
        )

    return Answer(table, files)
