"""``shardwise probe``: what this machine is, and what there is to run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import print_json, print_table, put, tell
from shardwise.errors import EngineError, ShardwiseError, UsageError
from shardwise.sizes import format_brief, format_size

if TYPE_CHECKING:
    from shardwise.plan.machine import Machine
    from shardwise.plan.probe import ClusterState, EngineState, HostState


@click.command(name="probe")
@click.option("--data", default=".", metavar="DIR", help="Measure the storage that holds this directory: this one.")
@click.option("--fresh", is_flag=True, help="Measure again, whatever is known.")
@click.option("--all", "every", is_flag=True, help="Also tasks on Dask, Ray and Spark, which take long to start.")
@click.option("--engine", metavar="URL", help="Look at this engine, or existing cluster, itself: dask://HOST:PORT ...")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="With --engine: slots to ask for.")
@click.option("--run-dir", metavar="DIR", help="With --engine: whether its hosts can use this place for runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(
    data: str, fresh: bool, every: bool, engine: str | None, workers: int | None, run_dir: str | None, as_json: bool
) -> None:
    """Say what this machine is, and which engines are installed here and fit; or look at one.

    Cores, memory, storage, workers and engines are measured, in about ten seconds, and kept for a week. Beside them
    stand the figures of textbooks. Nothing that runs meanwhile is stopped: measure on a machine that is idle.

    With --engine workers are started there: so it is reached, what it has is told, and each of its hosts is compared
    with this one. The exit status is 1 where it does not do for jobs.

    Examples: shardwise probe --data trips; shardwise probe --engine dask://10.0.0.7:8786 --run-dir s3://bucket/runs
    """
    from shardwise.plan import machine
    from shardwise.plan.probe import probe_cluster, probe_engines

    if engine is None:
        if workers or run_dir:
            raise UsageError("--workers and --run-dir say how to look at an engine", "name it: --engine URL")
        engines = probe_engines()
        if not as_json and (fresh or machine.load() is None):
            tell("Measuring this machine: about ten seconds, and then known for a week.")
        found = machine.load_or_measure(data, fresh)
        for each in engines if every else ():
            if each.ready:
                found = _with_task(found, each.name)
        _show_here(found, data, engines, as_json)
    else:
        state = probe_cluster(engine, workers, run_dir or "", measure=True)
        _show_cluster(state, as_json)
        if not state.ready:
            raise _unfit(state)


# --- this machine ----------------------------------------------------------------------------------------------------


def _with_task(known: Machine, engine: str) -> Machine:
    """The machine, with what a task costs on an engine, if that can be had."""
    from shardwise.plan import machine

    try:
        return machine.with_task(known, engine)
    except ShardwiseError as error:
        tell(f"{engine}: {error.message}")
        return known


def _show_here(machine: Machine, data: str, engines: list[EngineState], as_json: bool) -> None:
    from shardwise.cli.machine import document, rows

    if as_json:
        print_json({"machine": document(machine, data), "engines": [_engine_row(engine) for engine in engines]})
        return
    print_table(rows(machine, data))
    put("")
    _show_engines(engines)


# --- engines of this host --------------------------------------------------------------------------------------------


def _show_engines(engines: list[EngineState]) -> None:
    print_table([_engine_for_people(engine) for engine in engines])
    for engine in engines:
        for lack, fix in zip(engine.lacks, engine.fixes):
            tell(f"{engine.name}: {lack}")
            tell(f"  fix: {fix}")


def _engine_row(engine: EngineState) -> dict[str, Any]:
    return {
        "name": engine.name,
        "ready": engine.ready,
        "version": engine.version,
        "provider": engine.provider or "shardwise",
        "lacks": [{"what": lack, "fix": fix} for lack, fix in zip(engine.lacks, engine.fixes)],
    }


def _engine_for_people(engine: EngineState) -> dict[str, Any]:
    by = f", by {engine.provider}" if engine.provider else ""
    return {
        "engine": engine.name,
        "state": "ready" if engine.ready else "not ready",
        "version": engine.version or "-",
        "lacks": "; ".join(engine.lacks) or f"nothing{by}",
    }


# --- one engine ------------------------------------------------------------------------------------------------------


def _show_cluster(found: ClusterState, as_json: bool) -> None:
    if as_json:
        print_json(_cluster_row(found))
        return
    print_table([_host_for_people(host) for host in found.hosts])
    each = "" if found.task_seconds is None else f"; a task costs {format_brief(found.task_seconds)} beside its work"
    tell(f"{found.engine}: {_has(found)}; the first slot was up after {found.seconds:.1f} s{each}")


def _cluster_row(found: ClusterState) -> dict[str, Any]:
    room = found.room
    return {
        "engine": found.engine,
        "ready": found.ready,
        "slots": sum(host.slots for host in found.hosts),
        "seconds": found.seconds,
        "task_seconds": found.task_seconds,
        "room": room
        and {"slots": room.slots, "nodes": room.nodes, "cpus": room.cpus, "memory": room.memory, "gpus": room.gpus},
        "hosts": [
            {
                "host": host.host,
                "slots": host.slots,
                "versions": host.versions,
                "lacks": [{"what": lack, "fix": fix} for lack, fix in zip(host.lacks, host.fixes)],
            }
            for host in found.hosts
        ],
    }


def _has(found: ClusterState) -> str:
    slots = sum(host.slots for host in found.hosts)
    lent = f"{_count(slots, 'slot')} on {_count(len(found.hosts), 'host')}"
    if found.room is None:
        return lent
    gpus = f", {found.room.gpus:g} GPUs" if found.room.gpus else ""
    memory = f", {format_size(found.room.memory)}" if found.room.memory else ""
    has = f"{_count(found.room.nodes, 'node')} with {found.room.cpus:g} CPUs{memory}{gpus}"
    return f"{lent} came up; it has {has}: room for {_count(found.room.slots, 'slot')}"


def _count(number: int, of: str) -> str:
    return f"{number} {of}" + ("" if number == 1 else "s")


def _host_for_people(host: HostState) -> dict[str, Any]:
    state = "not compared" if not host.versions else "as here" if not host.lacks else "unfit"
    return {"host": host.host, "slots": host.slots, "versions and arithmetic": state, **host.versions}


def _unfit(found: ClusterState) -> EngineError:
    lacks = [(lack, fix) for host in found.hosts for lack, fix in zip(host.lacks, host.fixes)]
    message, fix = lacks[0] if lacks else (f"{found.engine} lent no slot", "free or add resources there")
    more = f" (and {len(lacks) - 1} more like this)" if len(lacks) > 1 else ""
    return EngineError(message + more, fix)
