"""A job: a dataset and what becomes of it. ``plan()`` says what would happen, ``run()`` makes it happen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shardwise.api.options import Options
from shardwise.compute.operations import Operation, describe
from shardwise.compute.pipeline import Pipeline
from shardwise.plan.sample import SHARE
from shardwise.plan.work import AggregateTo, DescribeTo, Target, Work, WriteTo

if TYPE_CHECKING:
    from shardwise.api.dataset import Dataset, Later
    from shardwise.api.result import Result
    from shardwise.data.source import Source
    from shardwise.plan.plan import Plan


class Job:
    """What ``aggregate``, ``describe``, ``collect`` and ``write_*`` return. Nothing has run yet.

    Examples
    --------
    >>> import shardwise as sw
    >>> job = sw.from_items([1, 2, 3]).map_items(lambda x: x * x).collect()
    >>> job.run().to_list()
    [1, 4, 9]
    """

    def __init__(self, source: Source | Later, operations: tuple[Operation, ...], target: Target) -> None:
        self._source = source
        self._operations = operations
        self._target = target

    def plan(self, *, rows: float | None = None, sample: float = SHARE, **options: Any) -> Plan:
        """What ``run`` with the same options would do, how long it would take, and what memory.

        The first tasks are tried for that, spread over the data; what they make is committed to the run, so that it is
        not done again.

        Parameters
        ----------
        rows : float, optional
            Plan for so many rows instead of those that there are now.
        sample : float
            Share of the work that may be tried, at most about five seconds of it. At least one task is; 0: none.
        **options
            See ``Options``. ``engine`` may be ``"simulated:1000"`` here: a cluster that is not there.

        Returns
        -------
        Plan
            Print it.

        Raises
        ------
        UsageError
            The job cannot be carried out like this: a column does not suit its aggregate, or memory is too small.
        """
        from shardwise.api.prediction import Ask, plan

        return plan(self, Options.of(options), Ask(None if rows is None else int(rows), sample))

    def run(self, **options: Any) -> Result:
        """Carry it out, or go on where an earlier run of the same job stopped; a finished run answers at once.

        Parameters
        ----------
        **options
            See ``Options``.

        Returns
        -------
        Result
            The answer, and what it cost.

        Raises
        ------
        ShardwiseError
            See ``shardwise.errors``: whose fault it is, and what to do.
        """
        from shardwise.api.ahead import workers_ahead

        chosen = Options.of(options)
        with workers_ahead(self._source, self._operations, chosen):
            from shardwise.api.runner import run

            return run(self, chosen)

    def replay(self, row: str, **options: Any) -> Any:
        """Call the functions on one row in this process, to see it fail.

        Parameters
        ----------
        row : str
            ``FILE:BATCH:ROW``, from the column ``replay`` of ``Result.quarantine``; ``*`` for all rows of the batch.
        **options
            ``seed`` and ``run_dir`` of the run; see ``Options``.

        Returns
        -------
        pyarrow.Table, numpy.ndarray or list
            What they make of it, if it passes.

        Raises
        ------
        Exception
            Whatever the function raises.
        UsageError
            There is no such row, or it does not reach the functions.

        Examples
        --------
        >>> import shardwise as sw
        >>> job = sw.from_items([4, 2, 0]).map_items(lambda x: 8 // x).collect()
        >>> job.run(on_error="quarantine", engine="inline").quarantine["type"].to_pylist()
        ['ZeroDivisionError']
        >>> job.replay("0:1:0")
        [4]
        """
        from shardwise.api.replay import replay

        return replay(self, row, Options.of(options))

    def check(self) -> None:
        """Refuse now what can be refused without reading anything."""
        from shardwise.api.dataset import Later

        if isinstance(self._source, Later):
            return
        work = Work(Pipeline(self._source, self._operations), self._target)
        if work.settled and isinstance(self._target, (AggregateTo, DescribeTo)):
            work.aggregation()

    def work(self, options: Options) -> Work:
        """The job for the planner. Runs the jobs that it reads from, where there are any."""
        from shardwise.api.dataset import Later

        source = self._source
        results: tuple[Result, ...] = ()
        if isinstance(source, Later):
            earlier = replace(options, run_dir=None, first=None, shard_size=None)
            from shardwise.api.runner import run

            results = tuple(run(job, earlier) for job in source.jobs)
            source = source.make(*results)
        quarantine = options.on_error == "quarantine"
        return Work(Pipeline(source, self._operations, options.seed, quarantine), self._target, results)

    def then(self) -> Dataset:
        """The job's result as a dataset for another job, which runs this one first.

        Examples
        --------
        >>> import shardwise as sw
        >>> by_zone = sw.from_frame({"z": ["a", "b", "a"], "x": [1, 2, 3]}).group_by("z").aggregate(s=sw.sum("x"))
        >>> by_zone.then().aggregate(sw.max("s")).run().to_pylist()
        [{'max_s': 4}]
        """
        from shardwise.api.dataset import Dataset, Later
        from shardwise.api.reading import source_of_result

        return Dataset(Later((self,), source_of_result))

    @property
    def title(self) -> str:
        """One line that says what it is."""
        from shardwise.api.describe_dataset import source_name

        steps = [source_name(self._source), *(describe(op) for op in self._operations), _target(self._target)]
        return " | ".join(steps)

    def __repr__(self) -> str:
        return f"<Job: {self.title}; not run yet: call .run(), or .plan() to see what it would do>"


def _target(target: Target) -> str:
    match target:
        case AggregateTo(keys, aggregates):
            by = f" by {', '.join(keys)}" if keys else ""
            return f"aggregate {', '.join(name for name, _ in aggregates)}{by}"
        case DescribeTo():
            return "describe"
        case WriteTo(directory, form):
            return f"write {form} to {directory}"
    return "collect"
