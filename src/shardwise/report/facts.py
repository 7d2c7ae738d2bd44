"""What a run's journal tells about its course, put in order: sessions, workers, spans and stages, on one clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardwise.compute.task import QUARANTINE
from shardwise.errors import StorageError
from shardwise.run.history import DRIVER, OPENED
from shardwise.run.spans import ATTEMPTS, HERE, Span

if TYPE_CHECKING:
    from shardwise.run.commits import Commit
    from shardwise.run.journal import Line
    from shardwise.run.record import Record

ENDS = ("finished", "failed", "interrupted", "part")
"""Kinds of lines with which a driver says how it ended."""

_MISSING = {"seconds": 0.0, "rows_out": 0, "sent": 0, "received": 0, "stored": 0, "clock": None, "failure": ""}


@dataclass(slots=True)
class Session:
    """The life of one driver: when it began and ended (for a driver that was killed: when it was last heard of)."""

    epoch: int
    began: float
    ended: float
    said_how: bool = False


@dataclass(slots=True)
class Worker:
    """A worker: which slot of which driver, since when it was asked for, there, and gone (None: it was there last)."""

    number: int
    epoch: int
    slot: int
    host: str
    asked: float
    up: float
    down: float | None = None
    why: str = ""
    last: float = 0.0  # end of its last attempt


@dataclass(slots=True)
class StageFacts:
    """What the commits of a stage add up to."""

    name: str
    done: int = 0
    rows_in: int = 0
    bytes_in: int = 0
    rows_out: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    read: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    peak_memory: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class DriverHeld:
    """Bytes that the last driver's process held: before the run, and at most since."""

    before: int
    peak: int


@dataclass(slots=True)
class Facts:
    """A run's course. Times are seconds since it began, which was at ``epoch_seconds`` after 1970. The plan is the last
    one, which predicts what was still to be done when it was made. ``driver`` is None in journals of versions that did
    not note it."""

    epoch_seconds: float
    sessions: list[Session]
    workers: list[Worker]
    spans: list[Span]
    stages: dict[str, StageFacts]
    plan: dict[str, Any] | None
    planned_at: float
    version: str
    info: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] | None = None
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    driver: DriverHeld | None = None


def facts_of(record: Record, now: float | None) -> Facts:
    """Read a run's journal. ``now``, seconds since 1970: where it still runs.

    Raises
    ------
    StorageError
        It has lines that no driver writes.
    """
    try:
        return _facts_of(record, now)
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise StorageError(
            f"the journal of {record.url or 'the run'} has a line that no Shardwise wrote: "
            f"{type(cause).__name__}: {cause}",
            "trust nothing in that directory",
        ) from cause


def _facts_of(record: Record, now: float | None) -> Facts:
    lines = _since_begun(list(record.events()))
    began = min([line.at for line in lines[:1]] + [s["began"] for line in lines for s in line.data.get("spans", ())])
    plans = [line for line in lines if line.kind == "plan"]
    ends = [line for line in lines if line.kind in ENDS]
    done = [line.data for line in ends if line.kind in ("finished", "part")]
    workers = _workers(lines, began)
    spans = _spans(lines, began, workers)
    facts = Facts(
        began,
        _sessions(lines, began, now if record.status == "running" else None),
        list(workers.values()),
        spans,
        {},
        dict(plans[-1].data) if plans else None,
        plans[-1].at - began if plans else 0.0,
        str(next((line.data["version"] for line in reversed(lines) if "version" in line.data), "")),
        dict(done[-1]) if done else {},
        dict(ends[-1].data) if ends and ends[-1].kind in ("failed", "interrupted") else None,
        driver=_driver(lines),
    )
    commits = [commit for stage in record.stages for commit in record.committed(stage)]
    if commits:
        _count_commits(facts, commits)
    else:
        _count_spans(facts)
    return facts


def stage_of(commit: Commit) -> str:
    """The stage of a commit. The journal names an inner node of a tree by its range, which is no stage of its own."""
    return commit.stage.removesuffix(f"-{commit.first}-{commit.last}")


def task_of(commit: Commit) -> str:
    """The name of a commit's task."""
    return f"{stage_of(commit)}-{commit.first}-{commit.last}"


def _since_begun(lines: list[Line]) -> list[Line]:
    """What came after the last beginning: a restart forgets the rest."""
    begun = max((n for n, line in enumerate(lines) if line.kind == "begun"), default=0)
    return lines[begun:]


def _driver(lines: Sequence[Line]) -> DriverHeld | None:
    held = None
    for line in lines:
        if line.kind == OPENED:
            held = None
        elif line.kind == DRIVER:
            held = DriverHeld(int(line.data["before"]), int(line.data["peak"]))
    return held


def _sessions(lines: Sequence[Line], began: float, now: float | None) -> list[Session]:
    sessions: list[Session] = []
    for line in lines:
        if line.kind == "begun":
            continue
        at = line.at - began
        if line.kind == "opened":
            sessions.append(Session(int(line.data["epoch"]), at, at))
        elif not sessions:
            sessions.append(Session(0, at, at))
        session = sessions[-1]
        last = max((span["ended"] - began for span in line.data.get("spans", ())), default=at)
        session.ended = max(session.ended, at if line.kind != ATTEMPTS else last)
        session.said_how = line.kind in ENDS
    if sessions:
        sessions[0].began = min(sessions[0].began, 0.0)
        if now is not None:
            sessions[-1].ended = max(sessions[-1].ended, now - began)
    return sessions


def _workers(lines: Iterable[Line], began: float) -> dict[tuple[int, int], Worker]:
    found: dict[tuple[int, int], Worker] = {}
    epoch = 0
    for line in lines:
        if line.kind == "opened":
            epoch = int(line.data["epoch"])
        elif line.kind == ATTEMPTS:
            for news in line.data.get("slots", ()):
                key = epoch, int(news["slot"])
                if "up" in news:
                    asked, up = news["asked"] - began, news["up"] - began
                    found[key] = Worker(len(found), *key, str(news["host"]), asked, up, last=up)
                elif key in found:
                    found[key].down, found[key].why = news["down"] - began, str(news["why"])
    return found


def _spans(lines: Iterable[Line], began: float, workers: dict[tuple[int, int], Worker]) -> list[Span]:
    """Spans in the order in which they began, each with the number of its worker instead of its slot."""
    spans = []
    for line in lines:
        if line.kind == ATTEMPTS:
            for given in line.data["spans"]:
                span = {**_MISSING, **given, "began": given["began"] - began, "ended": given["ended"] - began}
                key = int(given["attempt"]) >> 32, int(given["slot"])
                if key not in workers:  # the driver itself, or its coming was lost
                    at = span["began"]
                    workers[key] = Worker(len(workers), *key, str(given["host"]), at, at)
                worker = workers[key]
                worker.asked, worker.up = min(worker.asked, span["began"]), min(worker.up, span["began"])
                worker.last = max(worker.last, span["ended"])
                if key[1] == HERE:
                    worker.down = worker.last
                span["slot"] = worker.number
                spans.append(span)
    return sorted(spans, key=lambda span: (span["began"], span["slot"]))


def _count_commits(facts: Facts, commits: Iterable[Commit]) -> None:
    for commit in commits:
        metrics = commit.metrics
        stage = facts.stages.setdefault(stage_of(commit), StageFacts(stage_of(commit)))
        bad = sum(output.rows for output in commit.outputs if output.name == QUARANTINE)
        stage.rows_out += sum(output.rows for output in commit.outputs) - bad
        stage.bytes_out += sum(output.size for output in commit.outputs)
        stage.quarantined += bad
        costs = (metrics.seconds, metrics.read_seconds, metrics.compute_seconds, metrics.write_seconds)
        _add(stage, metrics.rows_in, metrics.bytes_in, costs, metrics.peak_memory)
        facts.needs[task_of(commit)] = tuple(map(_task_of_key, commit.needs))


def _count_spans(facts: Facts) -> None:
    for span in facts.spans:
        if span["how"] == "committed":
            stage = facts.stages.setdefault(span["stage"], StageFacts(span["stage"]))
            stage.rows_out += span["rows_out"]
            stage.bytes_out += span["bytes_out"]
            costs = (span["seconds"], span["read"], span["compute"], span["write"])
            _add(stage, span["rows"], span["bytes_in"], costs, span["peak"])


def _add(stage: StageFacts, rows: int, size: int, costs: tuple[float, float, float, float], peak: int) -> None:
    stage.done += 1
    stage.rows_in += rows
    stage.bytes_in += size
    seconds, read, compute, write = costs
    stage.seconds += seconds
    stage.read += read
    stage.compute += compute
    stage.write += write
    stage.peak_memory = max(stage.peak_memory, peak)


def _task_of_key(key: str) -> str:
    """The name of the task that a key of a commit stands for."""
    stage, first, last = key.rsplit(":", 2)
    return f"{stage.removesuffix(f'-{first}-{last}')}-{first}-{last}"
