"""Options of a run, the same for every job, engine and face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from shardwise.engines.registry import refuse_what_lends_nothing
from shardwise.errors import UsageError
from shardwise.sizes import parse_duration, parse_share, parse_size

if TYPE_CHECKING:
    from shardwise.engines.registry import Place

ProgressStyle = Literal["auto", "bar", "plain", "none"]
OnError = Literal["fail", "quarantine"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a job is carried out. Of these only ``seed``, ``on_error`` and ``first`` change the answer.

    Parameters
    ----------
    engine : str, Engine or Executor
        ``"auto"``, ``"inline"``, ``"local"``, ``"local:4"``, ``"dask://host:8786"``, ``"ray://host:10001"``,
        ``"spark://host:7077"``, ``"joblib"`` ..., an engine that you made of a client or session of yours, or a pool of
        yours that lends slots: any ``concurrent.futures.Executor``, or a backend of joblib's.
    workers : int, optional
        Worker processes (inline: native threads). Default: as many as there are usable cores; of a cluster that can be
        asked, as many slots as it has.
    memory : int or str, optional
        Bytes that all processes of a host may use together: ``"4GB"``. A worker that grows beyond its share is
        stopped, and its shard is halved and tried again with fewer beside it. Default: four fifths of what is free
        when the run starts. Inline nothing is watched, but DuckDB spills.
    shard_size : int or str, optional
        Stored bytes of a shard (items and generated rows: batches). Default: chosen by the plan.
    retries : int
        How often a task whose function raised is tried again. Lost workers have a budget of their own, two larger.
    timeout : float or str, optional
        Seconds that one attempt may take (``"2m"``) before its worker is killed. Not enforced inline.
    speculate : bool
        Try a task a second time, on an idle worker, while a first attempt takes much longer than the others of its
        stage; the faster one counts, the other is killed. Not inline.
    on_error : str
        What a row that makes a function fail does. ``"fail"``: the job fails. ``"quarantine"``: the row is left out and
        kept apart with its reason; ``timeout`` is then what one call of a function may take. It changes the answer.
    max_quarantined : int, float or str, optional
        The job fails where more rows (``20``), or more than this share of them (``"0.1%"``), go to quarantine.
    seed : int
        Of ``ctx.rng``.
    run_dir : str, optional
        Where the run is kept: a path or URL. Default: the user's cache, by the job's fingerprint. An engine whose
        workers may be on other hosts needs one that all of them reach.
    storage_options : dict, optional
        Credentials and the like, for the fsspec library of ``run_dir`` and of an output directory that was given none
        of its own. Default: what that library finds in the environment. Never written anywhere.
    check : bool
        Before the run, call the functions on a sample of the data in several processes and orders, and on halves of
        batches: refuse those that are not deterministic, and warn of those that depend on how the data is cut.
    redundancy : int
        2: after the run, do every task a second time in other processes, and refuse the answer where one comes out
        different. Takes twice the time.
    restart : bool
        Forget what an earlier run of this job committed.
    first : float or str, optional
        Only the first part of the data (``0.01``, ``"1%"``); a later whole run goes on from it.
    ship : sequence of str
        Modules and packages, by name or path, that the hosts of a cluster lack: its own means bring them there.
        ``"shardwise"`` is one of them. Workers on this host find what the driver finds.
    progress : str or bool
        ``"auto"`` (the same as True), ``"bar"``, ``"plain"`` or ``"none"`` (the same as False).
    """

    engine: Place = "auto"
    workers: int | None = None
    memory: int | str | None = None
    shard_size: int | str | None = None
    retries: int = 2
    timeout: float | str | None = None
    speculate: bool = True
    on_error: OnError = "fail"
    max_quarantined: int | float | str | None = None
    seed: int = 0
    run_dir: str | None = None
    storage_options: dict[str, Any] | None = field(default=None, repr=False, hash=False)
    check: bool = False
    redundancy: int = 1
    restart: bool = False
    first: float | str | None = None
    ship: Sequence[str] = ()
    progress: ProgressStyle = "auto"

    @classmethod
    def of(cls, given: dict[str, Any]) -> Options:
        """Options from keyword arguments.

        Raises
        ------
        UsageError
            An unknown option, or a value that says nothing.
        """
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise UsageError(f"there is no option {name!r}", f"options: {', '.join(known)}")
        styles: dict[Any, ProgressStyle] = {True: "auto", False: "none"}
        if isinstance(given.get("progress"), bool):
            given = {**given, "progress": styles[given["progress"]]}
        return cls(**{k: v for k, v in given.items() if v is not None})

    def __post_init__(self) -> None:
        refuse_what_lends_nothing(self.engine)
        if not isinstance(self.retries, int) or self.retries < 0:
            raise UsageError(f"retries is {self.retries!r}", "give a whole number, 0 or more")
        if self.workers is not None and (not isinstance(self.workers, int) or self.workers < 1):
            raise UsageError(f"workers is {self.workers!r}", "give a whole number, 1 or more")
        if self.on_error not in ("fail", "quarantine"):
            raise UsageError(f"on_error is {self.on_error!r}", 'give "fail" or "quarantine"')
        if self.max_quarantined is not None and self.on_error == "fail":
            raise UsageError("max_quarantined says nothing where on_error is 'fail'", 'add on_error="quarantine"')
        if self.redundancy not in (1, 2):
            raise UsageError(
                f"redundancy is {self.redundancy!r}", "give 2 to have every task done twice, or leave it out"
            )
        if isinstance(self.ship, str):
            raise UsageError(f"ship is {self.ship!r}", f"give a list: [{self.ship!r}]")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise UsageError(f"seed is {self.seed!r}", "give a whole number, 0 or more")

    @property
    def memory_bytes(self) -> int | None:
        """``memory`` in bytes."""
        return _size(self.memory)

    @property
    def shard_bytes(self) -> int | None:
        """``shard_size`` in bytes (or batches)."""
        return _size(self.shard_size)

    @property
    def timeout_seconds(self) -> float | None:
        """``timeout`` in seconds."""
        return parse_duration(self.timeout) if isinstance(self.timeout, str) else self.timeout

    @property
    def share(self) -> float:
        """``first`` as a share of the data, in (0, 1]."""
        if self.first is None:
            return 1.0
        share = parse_share(self.first) if isinstance(self.first, str) else float(self.first)
        if not 0 < share <= 1:
            raise UsageError(f"first is {self.first}", "give more than 0 and at most 100%")
        return share


def _size(value: int | str | None) -> int | None:
    size = parse_size(value) if isinstance(value, str) else value
    if size is not None and size < 1:
        raise UsageError(f"a size of {value} is too small", "give at least 1 byte, for example 64MB")
    return size
