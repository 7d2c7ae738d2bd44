"""Ways to carry a job out, each with what it would take: predicted by the same simulation, and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shardwise.engines.registry import parse_engine
from shardwise.plan import held
from shardwise.plan.choose import SHARDS_PER_SLOT, START_SECONDS, Choice
from shardwise.plan.costs import Costs, fit
from shardwise.plan.forecast import Forecast, Load, Setting, forecast
from shardwise.plan.plan import Alternative
from shardwise.plan.sample import Sample
from shardwise.plan.waits import idle
from shardwise.run.messages import Task

BETTER = 0.05
"""A way with more processes or other shards has to be sooner done by this part, or it is not worth its trouble."""

LENGTHS = (1.0, 0.5, 2.0)
"""Lengths of shards that are compared, as multiples of the usual one."""

WAITING = 0.5
"""Where tasks wait for more than this part of their time, more workers than cores are thought of."""

MORE = (2, 4, 8)
"""As many times the cores."""

Cut = Callable[[Choice], Load]
"""What is left to do, cut as a choice says."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of a job, whichever way it is carried out.

    Parameters
    ----------
    sample : Sample
        What was measured, and where.
    native : bool
        Whether kernels do all the work, on all threads of a process.
    cores : int
        That this host has.
    carry : float
        Seconds of bringing workers what lies in this process's memory; ``carried``: bytes of it.
    head : float
        Seconds before the first task.
    limit : int
        Bytes of memory that all processes may hold together, or those of a host where the cluster is simulated.
    result : int
        Bytes of a result that is collected.
    sized : bool
        Whether weights are bytes; else they are ordinals.
    calls : bool
        Whether code that a person wrote runs: who else waits, waits for a processor.
    """

    sample: Sample
    native: bool
    cores: int
    carry: float = 0.0
    carried: int = 0
    head: float = 0.0
    limit: int = 1 << 62
    result: int = 0
    sized: bool = True
    calls: bool = True

    def idle(self, weight: float) -> float:
        """Part of the seconds in which a task of this weight waits for something else than a processor."""
        return idle(self.sample, weight) if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Way:
    """A choice, and what it would take."""

    choice: Choice
    forecast: Forecast
    memory: int
    costs: Costs
    load: Load
    sized: bool

    @property
    def readers(self) -> list[Task]:
        """Tasks that are left of those that read the source."""
        return [task for task in self.load.tasks if not task.needs and not task.done]

    def row(self, limit: int, chosen: bool = False) -> Alternative:
        """As a line of a plan."""
        f = self.forecast
        return Alternative(
            self.choice.engine,
            self.choice.workers,
            int(self.choice.target) if self.sized else None,
            None if self.sized else max(1, int(self.choice.target)),
            round(f.seconds, 3),
            round(f.low, 3),
            round(f.high, 3),
            self.memory,
            self.memory <= limit,
            chosen,
        )


def way(ground: Ground, choice: Choice, cut: Cut) -> Way:
    """What a choice would take."""
    name = parse_engine(choice.engine)[0]
    load = cut(choice)
    costs = costs_on(ground, name)
    sample = ground.sample
    here = name == "inline"
    warming, most = _warming(sample, costs), max(ground.cores, sample.workers)
    if name == "local" and choice.workers > most:
        warming *= choice.workers / most  # imports wait for processors
        costs = _side_by_side(costs, ground, choice.workers, load.heaviest)
    tried = _measured_on(sample, name)  # the start of a sample is over when its workers have the data
    start = 0.0 if here else sample.start + warming if tried else START_SECONDS
    setting = Setting(
        choice.workers,
        hosts=1 if name in ("inline", "local") else max(1, -(-choice.workers // ground.cores)),
        start=start,
        carry=0.0 if here or tried else ground.carry,
        head=ground.head,
        commit=_commit(sample),
    )
    found = forecast(load, costs, sample.merge, setting)
    return Way(choice, found, memory_of(ground, name, choice.workers, load.heaviest), costs, load, ground.sized)


def memory_of(ground: Ground, name: str, workers: int, weight: float) -> int:
    """Bytes that an engine's processes hold at their highest, with tasks of this weight at most: all together, or
    those of a host where the cluster is simulated."""
    here = name == "inline"
    args = ground.sample, name, workers, weight, ground.result, 0 if here else ground.carried, ground.native
    memory = held.of_host(*args, cores=ground.cores) if name == "simulated" else held.of_all(*args)
    if not here and memory <= ground.limit * held.MARGIN:
        memory = min(memory, ground.limit)  # without its margin it fits, and workers have ceilings
    return memory


def costs_on(ground: Ground, name: str) -> Costs:
    """Costs of a task there, from where they were measured.

    Kernels use all threads of this process inline, and one core each in workers: there a task takes as many times as
    long as it kept cores busy here, and workers do not crowd each other. The tasks of a sample are short, and pieces
    that threads share out are few in them, so that some threads have nothing to do at the end. In the long tasks of the
    run that is less: half of what is missing to all cores is taken to be made up for, and half of that is in doubt.
    """
    sample = ground.sample
    costs = replace(fit(sample), between=_between(sample))
    was, becomes = parse_engine(sample.engine)[0] == "inline", name == "inline"
    if not ground.native or not (was or becomes):
        return costs
    kept = min(sample.parallelism, ground.cores) or ground.cores
    if was and not becomes:
        return replace(costs.times(kept), crowding=0.0)
    if was:
        gain = (1 - kept / ground.cores) / 2
        return replace(costs.times(kept / (kept + (ground.cores - kept) / 2)), doubt=costs.doubt + gain / 2)
    crowd = 1 + costs.crowding * (ground.cores - 1)
    return replace(costs.times(crowd / ground.cores), crowding=0.0)


def _side_by_side(costs: Costs, ground: Ground, workers: int, weight: float) -> Costs:
    """Costs where more workers than were tried share the cores: what they share beside them crowds them as it did, and
    cores do once all are in use. Who waits uses none."""
    used = workers * (1 - ground.idle(weight)) / ground.cores
    slower = (1 + costs.crowding * (workers - 1)) * max(1.0, used)
    return replace(costs, crowding=(slower - 1) / (workers - 1))


def ways(ground: Ground, asked: Choice, cut: Cut, free: bool) -> list[Way]:
    """Ways to compare: the one that was thought of first; and where the person left it open (``free``), this process
    alone, fewer workers, more of them where they wait, and with the best of all shorter and longer shards."""
    found = [way(ground, asked, cut)]
    if not free:
        return found
    if parse_engine(asked.engine)[0] == "inline":
        why = f"local: a process for each of {ground.cores} cores"
        found.append(way(ground, _workers(asked, ground.cores, ground, why), cut))
        return found if ground.native else found + _more(ground, found[0], cut)
    found.append(
        way(ground, asked.alone("inline: no worker processes, by the times and the memory of the sample"), cut)
    )
    for fewer in _fewer(asked.workers):
        why = f"local: {fewer} of {asked.workers} workers, by the times and the memory of the sample"
        found.append(way(ground, _workers(asked, fewer, ground, why), cut))
    found += _more(ground, found[0], cut)
    best = choose(found, ground.limit)
    if best.choice.engine != "inline":
        found += [way(ground, replace(best.choice, target=best.choice.target * by), cut) for by in LENGTHS[1:]]
    return found


def choose(found: Sequence[Way], limit: int) -> Way:
    """The way that is soonest done of those that fit; of those nearly as soon the one with fewest workers, and with
    shards of the usual length."""
    fitting = [one for one in found if one.memory <= limit] or list(found)
    least = min(one.forecast.seconds for one in fitting)
    near = [one for one in fitting if one.forecast.seconds <= least * (1 + BETTER)]
    usual = found[0].choice.target
    return min(near, key=lambda one: (one.choice.engine != "inline", one.choice.workers, one.choice.target != usual))


def _workers(choice: Choice, workers: int, ground: Ground, why: str) -> Choice:
    """So many workers, which share out the memory that those of a choice may use."""
    threads = max(1, ground.cores // workers)
    memory = None if choice.memory is None else choice.memory * choice.workers // workers
    return replace(choice, engine=f"local:{workers}", workers=workers, threads=threads, memory=memory, reasons=(why,))


def _more(ground: Ground, first: Way, cut: Cut) -> list[Way]:
    """More workers than cores, where tasks mostly wait; no more than there are tasks, in shards so short that each gets
    several, and only as many as fit in memory."""
    waits = ground.idle(first.load.heaviest)
    if waits <= WAITING:
        return []
    found: list[Way] = []
    for most in (ground.cores * by for by in MORE):
        target = first.choice.target * min(1.0, len(first.readers) / (most * SHARDS_PER_SLOT))
        shorter = replace(first.choice, target=target)
        workers = min(most, len(replace(first, load=cut(shorter)).readers))
        if workers <= max([first.choice.workers, *(one.choice.workers for one in found)]):
            break
        why = f"local: {workers} processes on {ground.cores} cores, as tasks wait {waits * 100:.0f} % of their time"
        found.append(way(ground, _workers(shorter, workers, ground, why), cut))
    return [one for one in found if one.memory <= ground.limit]


def _fewer(workers: int) -> list[int]:
    """Half as many, a quarter, ... and one."""
    found = []
    while workers > 1:
        workers //= 2
        found.append(workers)
    return found


def _measured_on(sample: Sample, name: str) -> bool:
    return parse_engine(sample.engine)[0] == name and sample.start > 0


def _warming(sample: Sample, costs: Costs) -> float:
    """Seconds that the first task of a worker takes beyond those of a later one: imports, and cold caches."""
    cold = [task for phase in sample.phases if phase.cold for task in phase.tried]
    if not cold or len(cold) == len(sample.tried):
        return 0.0
    extra = [task.seconds - costs.seconds(task.weight, sample.workers) for task in cold]
    return max(0.0, sum(extra) / len(extra))


def _singles(sample: Sample) -> list[float]:
    """Seconds beside the tasks themselves, a task, in phases where one worked at a time."""
    phases = [p for p in sample.phases if p.busy == 1 and not p.cold and p.tried]
    return [max(0.0, (p.seconds - sum(t.seconds for t in p.tried)) / len(p.tried)) for p in phases]


def _commit(sample: Sample) -> float:
    """Seconds of a commit, and of telling it."""
    singles = _singles(sample)
    return sum(singles) / len(singles) if singles else 0.01


def _between(sample: Sample) -> float:
    """Seconds that a slot waits for its next task: in this process also that of committing the one before."""
    return _commit(sample) * (1.0 if parse_engine(sample.engine)[0] == "inline" else 0.25)
