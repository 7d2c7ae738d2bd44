"""What bounds a job, by the numbers of its sample, and the strategy that follows. Pure.

Time is put down to resources, as monotasks do (Ousterhout et al., SOSP 2017): what a task reads, computes and writes,
what its workers wait for, and what travels.
"""

from __future__ import annotations

from dataclasses import dataclass

from shardwise.sizes import format_duration, format_size

MOST = 0.5
"""What takes this part of the workers' time bounds the job."""

SHARED = 0.2
"""Reading, computing and writing each take this part at least: none of them bounds it, their order does."""

CROWDED = 0.6
"""Two busy workers that slow each other down by this part are hardly better than one."""

LARGE_STATE = 0.25
"""Part of the memory that a function holds before it has seen a row: then the model is what is large."""


INTERPRETED = 0.9
"""Steps of the interpreter for each row that show a loop over rows: a comprehension takes one."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What bounds a job: its name, the numbers that show it, and what follows."""

    name: str
    why: str
    strategy: str


@dataclass(frozen=True, slots=True)
class Measures:
    """What is known of a job. Seconds are those of all workers together.

    Parameters
    ----------
    reading, computing, writing : float
        Of tasks.
    starting, merging, carrying : float
        Until workers are up; of tasks that merge; of what travels from this process to workers.
    between : float
        Between tasks.
    waiting : float
        Of what is computing by the clock: in which no processor worked.
    carried : int
        Bytes that travel.
    crowding : float
        Part by which a second busy worker slows the first one.
    workers, cores : int
        That are planned, and that this host has; 0: nobody knows.
    native : bool
        Whether kernels do all the work, on all threads of this process.
    model : int
        Bytes that a function holds before it has seen a row.
    memory, limit : int
        Projected, and allowed or there.
    interpreted : float
        Steps of the interpreter that a row costs; 0: rows are handled by native code, or nobody knows.
    factor : float
        How many times as long as reading the function takes.
    """

    reading: float = 0.0
    computing: float = 0.0
    writing: float = 0.0
    starting: float = 0.0
    merging: float = 0.0
    carrying: float = 0.0
    between: float = 0.0
    waiting: float = 0.0
    carried: int = 0
    crowding: float = 0.0
    workers: int = 1
    cores: int = 0
    native: bool = False
    model: int = 0
    memory: int = 0
    limit: int = 1 << 62
    interpreted: float = 0.0
    factor: float = 0.0


def bottleneck(of: Measures) -> Bottleneck:
    """Name what bounds a job.

    Examples
    --------
    >>> bottleneck(Measures(reading=8.0, computing=1.0)).name
    'I/O'
    >>> bottleneck(Measures(reading=1.0, computing=9.0)).name
    'computation'
    """
    work = of.reading + of.computing + of.writing
    aside = of.starting + of.between
    total = work + aside + of.merging + of.carrying
    if total <= 0:
        return Bottleneck("nothing", "nothing is left to do", "none is needed")
    for found in (_size(of), _latency(of, aside, total), _communication(of, total), _stages(of, work)):
        if found is not None:
            return found
    return _resource(of, work)


def _size(of: Measures) -> Bottleneck | None:
    if of.model > LARGE_STATE * of.limit:
        held = f"the function holds {format_size(of.model)} before it has seen a row, of {format_size(of.limit)}"
        return Bottleneck(
            "model size",
            held,
            "model parallelism: split the model over workers or hosts, or give fewer workers a smaller copy each",
        )
    if of.memory > of.limit:
        return Bottleneck(
            "data size",
            f"{format_size(of.memory)} would be held at once, of {format_size(of.limit)}",
            "chunks: smaller batches, fewer workers, and results in files instead of memory",
        )
    return None


def _latency(of: Measures, aside: float, total: float) -> Bottleneck | None:
    if aside <= MOST * total:
        return None
    waits = f"{format_duration(aside)} of {format_duration(total)} pass before and between tasks"
    way = "larger shards" if of.between > of.starting else "inline: begin at once, in this process"
    return Bottleneck("latency", waits, f"{way}; more workers would only wait more")


def _communication(of: Measures, total: float) -> Bottleneck | None:
    if of.merging + of.carrying <= MOST * total:
        return None
    moved = f"{format_duration(of.merging + of.carrying)} of {format_duration(total)} go into moving and merging"
    much = f" {format_size(of.carried)}" if of.carried else ""
    return Bottleneck(
        "communication",
        moved + much,
        "keep the data where it is: files that workers read themselves, fewer and larger shards, aggregates that "
        "shrink earlier",
    )


def _stages(of: Measures, work: float) -> Bottleneck | None:
    parts = (of.reading, of.computing, of.writing)
    if min(parts) < SHARED * work:
        return None
    ideal = max(parts) / work
    return Bottleneck(
        "stages",
        f"reading, computing and writing take {_shares(parts, work)}, one after the other in each worker",
        f"pipeline parallelism together with data parallelism: more workers than cores overlap them, down to "
        f"{ideal * 100:.0f} % of the time",
    )


def _resource(of: Measures, work: float) -> Bottleneck:
    parts = {"reading": of.reading, "computing": of.computing, "writing": of.writing}
    most = max(parts, key=lambda name: parts[name])
    share = f"{most} takes {parts[most] / work * 100:.0f} % of the tasks' time"
    if most != "computing":
        alone = of.native or of.crowding > CROWDED
        how = "data parallelism over hosts, each with storage of its own" if alone else "more workers"
        less = "fewer columns, a columnar format, less compression" if most == "reading" else "fewer columns and rows"
        return Bottleneck("I/O", share, f"{less}; then {how}")
    if of.waiting > MOST * of.computing:
        return Bottleneck(
            "latency",
            f"{share}, and for {of.waiting / of.computing * 100:.0f} % of that no processor works: the function waits "
            "for something, a network or a lock",
            f"{_overlap(of)}; or ask for many things at once",
        )
    if of.interpreted >= INTERPRETED:
        return Bottleneck(
            "interpreter",
            f"{share}, {of.factor:.1f} x the cost of reading this data: about {_lines(of.interpreted)} of Python for "
            "each row",
            "vectorise before you add workers; then data parallelism, in processes",
        )
    if of.crowding > CROWDED:
        slower = f"a second busy worker slows the first by {of.crowding * 100:.0f} %"
        less = "fewer workers; " if of.workers > 1 else "no more workers than this one; "
        return Bottleneck("memory bandwidth", slower, f"{less}narrower types, fewer copies of a batch")
    return Bottleneck("computation", share, f"data parallelism: {_parallel(of)}")


def _parallel(of: Measures) -> str:
    if of.native:
        return "kernels use the cores of this process already; only more cores, or more hosts, would share the work"
    return "more workers, as long as there are cores"


def _overlap(of: Measures) -> str:
    if 0 < of.cores < of.workers:
        return f"{of.workers} workers on {of.cores} cores overlap waits already"
    return "more workers than cores, as waits overlap"


def _lines(count: float) -> str:
    number = max(1, round(count))
    return f"{number} line{'' if number == 1 else 's'}"


def _shares(parts: tuple[float, ...], work: float) -> str:
    return ", ".join(f"{part / work * 100:.0f} %" for part in parts)
