"""A thousand runs, each with its own faults. ``SHARDWISE_SEED=17 pytest tests/simulation -s`` shows run 17."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from simulation.world import Scenario, World, draw_plenty, draw_scenario

ONE = os.environ.get("SHARDWISE_SEED")
SEEDS = range(1000) if ONE is None else [int(ONE)]
GROUPS = 10 if ONE is None else 1


def play(
    seed: int,
    traced: bool = False,
    show: bool = False,
    seen: Counter[str] | None = None,
    draw: Callable[[int], Scenario] = draw_scenario,
) -> tuple[str, list[str]]:
    world = World(draw(seed), seed, traced)
    try:
        how = world.play().how
        if seen is not None:
            seen.update(world.commands)
        return how, world.trace
    except Exception as error:
        again = f"SHARDWISE_SEED={seed} pytest tests/simulation -s"
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\nto see it again: {again}") from error
    finally:
        if show:
            print(world.scenario, *world.trace, sep="\n")


def digest(trace: list[str]) -> str:
    return hashlib.blake2b("\n".join(trace).encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_run_breaks_a_rule(group: int) -> None:
    show = ONE is not None
    seen: Counter[str] = Counter()  # commands of these runs, by kind; second attempts apart
    ends = {play(seed, traced=show, show=show, seen=seen)[0] for seed in SEEDS[group::GROUPS]}
    assert show or ends == {"done", "failed", "drained"}, f"the runs are not of all kinds: {ends}"
    kinds = {
        "Start",
        "Kill",
        "Commit",
        "Discard",
        "Retry",
        "Split",
        "Wake",
        "Stop",
        "second Start",
        "wide Start",
        "passing Start",
    }
    assert show or all(seen[kind] > 5 for kind in kinds), f"some hardly happen: {seen}"


def test_no_rule_is_broken_where_tasks_are_sent_ahead() -> None:
    """The same worlds, with many tasks for few slots, so that most slots have one behind the other."""
    show = ONE is not None
    seen: Counter[str] = Counter()
    for seed in SEEDS[:100]:
        play(seed, traced=show, show=show, seen=seen, draw=draw_plenty)
    kinds = ("SendAhead", "Recall", "began ahead", "returned", "lost ahead", "ended early")
    assert show or all(seen[kind] > 5 for kind in kinds), f"some hardly happen: {seen}"


def test_ten_runs_of_a_seed_give_one_trace() -> None:
    for seed in (3, 14, 159):
        traces = {digest(play(seed, traced=True)[1]) for _ in range(10)}
        assert len(traces) == 1, f"seed {seed} gave {len(traces)} traces"


def test_the_trace_does_not_depend_on_the_process() -> None:
    seeds = range(20)
    here = [digest(play(seed, traced=True)[1]) for seed in seeds]
    assert len(set(here)) > len(here) // 2
    script = (
        "from simulation.test_scheduler_simulation import digest, play;"
        f"print(*(digest(play(seed, traced=True)[1]) for seed in {list(seeds)}))"
    )
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    for hash_seed in ("0", "1", "4711"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.split() == here, f"PYTHONHASHSEED={hash_seed} gives other traces"
