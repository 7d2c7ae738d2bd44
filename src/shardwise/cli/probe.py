"""``shardwise probe``: what there is to run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import print_json, print_table, tell
from shardwise.errors import EngineError, UsageError
from shardwise.sizes import format_size

if TYPE_CHECKING:
    from shardwise.plan.probe import ClusterState, EngineState, HostState


@click.command(name="probe")
@click.option("--engine", metavar="URL", help="Look at this engine, or existing cluster, itself: dask://HOST:PORT ...")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="With --engine: slots to ask for.")
@click.option("--run-dir", metavar="DIR", help="With --engine: whether its hosts can use this place for runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, nothing else.")
def command(engine: str | None, workers: int | None, run_dir: str | None, as_json: bool) -> None:
    """List the engines that are installed here and fit, and what the others lack; or look at one.

    With --engine workers are started there: so it is reached, what it has is told, and each of its hosts is compared
    with this one. The exit status is 1 where it does not do for jobs.

    Examples: shardwise probe; shardwise probe --engine dask://10.0.0.7:8786 --run-dir s3://bucket/runs
    """
    from shardwise.plan.probe import probe_cluster, probe_engines

    if engine is None:
        if workers or run_dir:
            raise UsageError("--workers and --run-dir say how to look at an engine", "name it: --engine URL")
        _show_engines(probe_engines(), as_json)
    else:
        found = probe_cluster(engine, workers, run_dir or "")
        _show_cluster(found, as_json)
        if not found.ready:
            raise _unfit(found)


# --- engines of this host --------------------------------------------------------------------------------------------


def _show_engines(engines: list[EngineState], as_json: bool) -> None:
    if as_json:
        print_json({"engines": [_engine_row(engine) for engine in engines]})
        return
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
    tell(f"{found.engine}: {_has(found)}; the first slot was up after {found.seconds:.1f} s")


def _cluster_row(found: ClusterState) -> dict[str, Any]:
    room = found.room
    return {
        "engine": found.engine,
        "ready": found.ready,
        "slots": sum(host.slots for host in found.hosts),
        "seconds": found.seconds,
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
