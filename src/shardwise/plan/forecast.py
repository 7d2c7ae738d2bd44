"""How long a run will take, and how sure that is: its graph, carried out in virtual time at the costs of a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, pstdev

from shardwise.plan.costs import T80_MANY, Costs
from shardwise.plan.shards import Weights
from shardwise.plan.simulate import World, carry_out
from shardwise.run.messages import Budgets, Task

COURSES = 5
"""Simulated runs that a forecast is the mean of,"""

ENOUGH = 1500
"""and fewer where they have more tasks than that together: chance evens out, and a driver simulates while it works."""

MANY = 20_000
"""Beyond so many tasks nothing is speculated in a simulated run, and no run foretells itself."""

DRIFT = 0.06
"""Relative standard deviation of the same job's time from one run to the next, on a machine that does nothing else
(``python -m benchmarks.prediction``: its table has the spread of each job)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to do: a graph, and the weights of the ordinals that its tasks stand for. What is done costs
    nothing."""

    tasks: Sequence[Task]
    weights: Weights

    @property
    def heaviest(self) -> float:
        """Weight of the heaviest task that reads the source."""
        return max((self.weights.between(t.first, t.last) for t in self.tasks if not t.needs), default=0.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a graph would be carried out.

    Parameters
    ----------
    workers, hosts : int
        Slots, and the hosts that they are spread over: only those of one host crowd each other.
    start : float
        Seconds until workers are up.
    carry : float
        Seconds of bringing them what lies in this process's memory.
    head : float
        Seconds before the first task is sent.
    commit : float
        Seconds of a commit by itself.
    """

    workers: int
    hosts: int = 1
    start: float = 0.0
    carry: float = 0.0
    head: float = 0.0
    commit: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is predicted to take, in seconds: the middle, and an interval that holds four runs in five.

    Parameters
    ----------
    stages : dict
        Seconds, by stage, from the end of the one before.
    waiting : float
        Part of the workers' time in which none of them has a task.
    """

    seconds: float
    low: float
    high: float
    stages: dict[str, float]
    waiting: float = 0.0


def forecast(load: Load, costs: Costs, merge: float, setting: Setting) -> Forecast:
    """Carry a graph out in virtual time, a few times.

    Parameters
    ----------
    load : Load
        What there is to do.
    costs : Costs
        Of tasks that read the source.
    merge : float
        Seconds for each input of a task that reads outputs of others.
    setting : Setting
        Where.

    Examples
    --------
    >>> tasks = [Task(n, "collect", n, n + 1) for n in range(10)]
    >>> found = forecast(Load(tasks, Weights((0, 10), (1.0,))), Costs(0.0, 1.0), 0.0, Setting(2))
    >>> 4.9 < found.seconds < 5.3 and found.low < found.seconds < found.high
    True
    """
    tasks, weights = load.tasks, load.weights
    needs = {task.id: len(task.needs) for task in tasks}
    weight = {task.id: weights.between(task.first, task.last) for task in tasks if not task.needs}

    def cost(task: Task, busy: int, chance: Random) -> float:
        if needs[task.id]:
            return merge * needs[task.id] + costs.between
        return costs.drawn(weight[task.id], max(1, math.ceil(busy / setting.hosts)), chance)

    apart = setting.carry / max(1, setting.workers)
    together = math.ceil(setting.workers / setting.hosts)
    world = World(setting.workers, cost, setting.start + apart, apart, setting.commit, slots_per_host=together)
    rounds = max(1, min(COURSES, ENOUGH // max(1, len(tasks))))
    budgets = Budgets(speculate=len(tasks) <= MANY)
    courses = [carry_out(tasks, world, seed, budgets) for seed in range(rounds)]
    work = fmean(course.seconds for course in courses)
    chance = pstdev([course.seconds for course in courses])
    seconds = work + setting.head
    unsure = max(0.0, work - setting.start)  # of the start nothing is in doubt
    half = T80_MANY * math.hypot(chance, DRIFT * seconds, costs.doubt / T80_MANY * unsure) / max(seconds, 1e-9)
    less, more = costs.far(load.heaviest)
    busy = fmean(course.busy for course in courses)
    return Forecast(
        seconds,
        max(setting.head, (seconds + unsure * math.expm1(-less)) * math.exp(-half)),
        (seconds + unsure * math.expm1(more)) * (1 + half),  # of few tasks half is much: its power would be absurd
        _by_stage([course.ends for course in courses], setting.head),
        max(0.0, 1 - busy / (work * setting.workers)) if work else 0.0,
    )


def _by_stage(ends: Sequence[dict[str, float]], head: float) -> dict[str, float]:
    found: dict[str, float] = {}
    last = -head
    for stage in ends[0]:
        end = fmean(each[stage] for each in ends)
        found[stage], last = max(0.0, end - last), end
    return found
