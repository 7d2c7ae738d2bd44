"""A run as a trace for Perfetto (ui.perfetto.dev) and Chrome (chrome://tracing): a process a host, a thread a worker.

The format is the Trace Event Format's JSON: complete events (``X``) that lie within each other or apart, metadata
(``M``) that names processes and threads, counters (``C``); times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwise.errors import StorageError

if TYPE_CHECKING:
    from shardwise.run.record import Record

Event = dict[str, Any]

_PHASES = (("read", "reading"), ("compute", "computing"), ("write", "writing"))
_COLOURS = {"failed": "terrible", "lost": "terrible", "cancelled": "grey", "late": "grey"}
"""Names that Chrome's viewer knows; Perfetto colours by name."""


def write_trace(source: dict[str, Any] | Record, path: str | Path) -> None:
    """Write the trace of a run.

    Parameters
    ----------
    source : dict or RunView
        A report's document, with the spans that it has, or a run, with all of them.
    path : str or Path
        The file; ``.json``, which both viewers open.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    text = json.dumps(trace_of(source), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", "name a file elsewhere") from error


def trace_of(source: dict[str, Any] | Record) -> dict[str, Any]:
    """The trace as JSON values."""
    if not isinstance(source, dict):
        from shardwise.report.document import document

        source = document(source, whole=True)
    hosts = list(dict.fromkeys(worker["host"] for worker in source["workers"]))
    processes = {host: number for number, host in enumerate(hosts, 1)}
    events = [
        *_names(source, processes),
        *(event for span in source["spans"] for event in _slices(span, processes)),
        *_starts(source, processes),
        *_counters(source),
    ]
    run = source["run"]
    about = {key: run[key] for key in ("id", "job", "engine", "workers", "status", "version")}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)


def _names(source: dict[str, Any], processes: dict[str, int]) -> Iterator[Event]:
    yield _meta("process_name", 0, 0, {"name": "run"})
    for host, process in processes.items():
        yield _meta("process_name", process, 0, {"name": host})
        yield _meta("process_sort_index", process, 0, {"sort_index": process})
    for worker in source["workers"]:
        name = "driver" if worker["driver"] else f"worker {worker['slot']}"
        place = processes[worker["host"]], worker["slot"] + 1
        yield _meta("thread_name", *place, {"name": name})
        yield _meta("thread_sort_index", *place, {"sort_index": worker["slot"]})


def _meta(name: str, process: int, thread: int, arguments: dict[str, Any]) -> Event:
    return {"name": name, "ph": "M", "pid": process, "tid": thread, "args": arguments}


def _slices(span: dict[str, Any], processes: dict[str, int]) -> Iterator[Event]:
    """An attempt, and its phases inside it: as long as each took altogether, one after the other."""
    begin, end = _micros(span["began"]), _micros(span["ended"])
    place = {"pid": processes[span["host"]], "tid": span["slot"] + 1}
    marks = [span["how"]] if span["how"] != "committed" else []
    marks += ["second attempt beside a slow one"] if span["backup"] else []
    name = span["task"] + (f" ({', '.join(marks)})" if marks else "")
    shown = ("stage", "attempt", "how", "backup", "rows", "bytes_in", "bytes_out", "peak", "failure")
    made: Event = {"name": name, "cat": span["stage"], "ph": "X", "ts": begin, "dur": end - begin, **place}
    made["args"] = {key: span[key] for key in shown}
    if span["how"] in _COLOURS:
        made["cname"] = _COLOURS[span["how"]]
        made["cat"] = f"{span['stage']},{span['how']}"
    elif span["backup"]:
        made["cat"] = f"{span['stage']},speculation"
    yield made
    at = begin
    for key, phase in _PHASES:
        stop = min(end, at + _micros(span[key]))
        if stop > at:
            yield {"name": phase, "cat": "phase", "ph": "X", "ts": at, "dur": stop - at, **place, "args": {}}
        at = stop


def _starts(source: dict[str, Any], processes: dict[str, int]) -> Iterator[Event]:
    for worker in source["workers"]:
        begin, end = _micros(worker["asked"]), _micros(worker["up"])
        if end > begin:
            place = {"pid": processes[worker["host"]], "tid": worker["slot"] + 1}
            yield {"name": "starting", "cat": "start", "ph": "X", "ts": begin, "dur": end - begin, **place, "args": {}}


def _counters(source: dict[str, Any]) -> Iterator[Event]:
    for at, rows, size in source["throughput"]:
        moment = {"ph": "C", "ts": _micros(at), "pid": 0, "tid": 0}
        yield {"name": "rows per second", **moment, "args": {"rows": rows}}
        yield {"name": "bytes per second", **moment, "args": {"bytes": size}}
    if source["throughput"]:
        end = max(span["ended"] for span in source["spans"]) if source["spans"] else source["throughput"][-1][0]
        moment = {"ph": "C", "ts": _micros(end), "pid": 0, "tid": 0}
        yield {"name": "rows per second", **moment, "args": {"rows": 0}}
        yield {"name": "bytes per second", **moment, "args": {"bytes": 0}}
