"""What travels between driver and worker: a task to try, and how the try came out. JSON, never pickles."""

from __future__ import annotations

from dataclasses import dataclass, field

EPHEMERAL = "memory"
"""``TaskSpec.run`` of a run that nobody can resume: what its attempts write goes with its driver."""

QUARANTINE = "quarantine.arrow"
"""Name of the output that holds the rows that a task left out (see ``bad_rows``)."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of an attempt: a file under the run directory, or a few bytes carried along.

    Parameters
    ----------
    name : str
        Path relative to the attempt's directory; ``"state"``, ``"rows"`` and the like for carried bytes.
    rows, size : int
        Rows in it; bytes of it.
    digest : str
        ``blake2b-160`` in hex of its bytes.
    data : bytes or None
        The bytes themselves where they are few (at most 64 KiB); then there is no file.
    publish : str
        For a part of the person's output directory: the final file name there; else empty.
    path : str
        Set by the run directory when it commits: where the file lies, relative to its root (or an absolute URL for
        a part of an output directory). Empty where ``data`` is carried.
    """

    name: str
    rows: int
    size: int
    digest: str
    data: bytes | None = None
    publish: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Rows of a batch that a worker was calling a function on as it died: all that the driver knows of them.

    Rows are counted as they enter the first function. A single row is bad. ``searched``: every part of the batch had
    been tried before. ``kind``, ``message`` and ``traceback``: how the worker died.
    """

    fragment: int
    batch: int
    first: int
    last: int
    kind: str
    message: str
    traceback: str = ""
    searched: bool = False

    @property
    def failure(self) -> Failure:
        """The same as a failure."""
        return Failure(self.kind, "WorkerError", self.message, traceback=self.traceback, code="E400")


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """An attempt at a task, as a worker gets it."""

    run: str
    stage: str
    task: int
    attempt: int  # unique in the run, never used twice
    program: str  # reference given by Engine.put
    first: int  # ordinals [first, last) of the stage's source
    last: int
    directory: str  # where this attempt may write: a path or URL of its own
    inputs: tuple[Output, ...] = ()  # committed outputs it reads, in order of position
    root: str = ""  # of the run directory, which inputs' paths are relative to; empty without one
    threads: int = 1  # that native libraries may use
    memory: int | None = None  # bytes that its worker, and what it starts, may use
    suspects: tuple[Suspect, ...] = ()  # in quarantine mode: what earlier attempts died of, in the order of dying
    call_seconds: float | None = None  # in quarantine mode: what one call of a function may take
    divisible: bool = False  # it stands for more than the smallest shard, so that memory may be the shard's fault
    measured: bool = True  # its peak of memory is wanted: asking the kernel takes longer than a short call


@dataclass(frozen=True, slots=True)
class Metrics:
    """What an attempt cost. Seconds by the worker's own monotonic clock, bytes, rows. ``cpu_seconds``: of processors,
    that all threads of the worker's process took meanwhile; ``queued_seconds``: for which its own thread waited for
    one."""

    seconds: float = 0.0
    read_seconds: float = 0.0
    compute_seconds: float = 0.0
    write_seconds: float = 0.0
    cpu_seconds: float = 0.0
    queued_seconds: float = 0.0
    rows_in: int = 0
    bytes_in: int = 0
    rows_out: int = 0
    bytes_out: int = 0
    batches: int = 0
    peak_memory: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    ``kind``: ``exception`` (the function raised), ``input`` (the data is wrong: never retried), ``crash`` (the worker
    died), ``timeout``, ``memory``, ``storage`` (disk full, permission), ``engine`` (the slot went away: free of
    charge), ``internal``.
    ``code``: code of the error's type in the tree where it was one of ours. ``used``: bytes of memory that the worker
    held when it ran out of it; 0: nobody knows.
    """

    kind: str
    type: str
    message: str
    fix: str = ""
    traceback: str = ""
    code: str = ""
    used: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. Exactly one of ``failure`` and success; ``logs`` are lines of ``ctx.log`` and prints, and
    ``times`` when they were printed: by the clock of the worker's host, as is ``began`` (seconds since 1970)."""

    task: int
    attempt: int
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    metrics: Metrics = field(default_factory=Metrics)
    logs: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    began: float | None = None
