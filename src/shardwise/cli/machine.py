"""What a machine is, drawn beside what textbooks say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shardwise import records
from shardwise.sizes import format_brief, format_rate, format_size

if TYPE_CHECKING:
    from shardwise.plan.machine import Machine
    from shardwise.plan.machine_storage import Storage

HOW = {
    "direct": "past the page cache (O_DIRECT)",
    "evicted": "dropped from the page cache before",
    "cached": "it stayed in memory: this is no storage's speed",
}


def rows(machine: Machine, data: str) -> list[dict[str, Any]]:
    """A line for each measurement: what, here, and what to compare it with."""
    cores, link, starts = machine.cores, machine.link, machine.starts
    limited = "all of it may be used" if machine.memory_limit >= machine.memory else "that this process may use"
    lines = [
        ("processor", machine.processor, ""),
        ("usable cores", str(cores), "affinity and container limits count"),
        ("memory", format_size(machine.memory), limited if machine.memory_limit >= machine.memory else ""),
        *(
            []
            if machine.memory_limit >= machine.memory
            else [("memory limit", format_size(machine.memory_limit), limited)]
        ),
        ("memory copied, 1 thread", format_rate(machine.copy_rate), "memory: about 50 GB/s"),
        (f"memory copied, {cores} threads", format_rate(machine.copy_rate_all), _gain(machine)),
        *_storage_rows(machine.storage(data)),
        ("Python objects, there and back", format_rate(machine.pickle_rate), "cloudpickle"),
        ("tables, there and back", format_rate(machine.arrow_rate), "Arrow stream"),
        ("driver to worker", format_rate(link.rate), "1 Gb/s network: 0.125 GB/s"),
        ("driver to worker and back", format_brief(link.round_trip), "within a data centre: 0.5 ms"),
        ("worker, a fresh interpreter", format_brief(starts.interpreter), "before it imports libraries"),
        *([] if starts.fork is None else [("worker, forked", format_brief(starts.fork), "with libraries imported")]),
        *([] if starts.server is None else [("the first forked one", format_brief(starts.server), "once a run")]),
        *((f"a task on {name}", format_brief(each), "beside its work") for name, each in machine.task_seconds.items()),
    ]
    return [{"what": what, "here": here, "to compare": beside} for what, here, beside in lines]


def _gain(machine: Machine) -> str:
    times = machine.copy_rate_all / machine.copy_rate
    return f"{times:.1f} x one thread: workers share it"


def _storage_rows(storage: Storage | None) -> list[tuple[str, str, str]]:
    if storage is None:
        return []
    where = storage.file_system or "storage"
    if storage.read is None:
        return [(f"read, {where}", "not measured", storage.how)]
    written = "not measured" if storage.write is None else format_rate(storage.write)
    return [
        (f"read, {where}", format_rate(storage.read), "SATA SSD 0.5 GB/s, hard disk 0.1 GB/s"),
        ("  how it was read", storage.how, HOW[storage.how]),
        ("written and flushed there", written, "the same"),
    ]


def document(machine: Machine, data: str) -> dict[str, Any]:
    """The same as JSON values: bytes, seconds, bytes per second."""
    storage = machine.storage(data)
    plain: dict[str, Any] = records.plain(machine)
    return {**plain, "storage": None if storage is None else records.plain(storage)}
