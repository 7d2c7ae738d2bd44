"""A job: a dataset and what becomes of it. ``plan()`` says what would happen, ``run()`` makes it happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shardwise.api.options import Options
from shardwise.compute.operations import Operation, describe
from shardwise.compute.pipeline import Pipeline
from shardwise.plan.work import AggregateTo, DescribeTo, Target, Work, WriteTo

if TYPE_CHECKING:
    from shardwise.api.check_report import CheckReport
    from shardwise.api.dataset import Dataset, Later
    from shardwise.api.replayed import Replayed
    from shardwise.api.result import Result
    from shardwise.api.scaling import Scaling
    from shardwise.data.source import Source
    from shardwise.engines.registry import Place
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

    def plan(self, *, rows: float | str | None = None, sample: float | str | None = None, **options: Any) -> Plan:
        """What ``run`` with the same options would do, how long it would take, and what memory.

        The first tasks are tried for that, spread over the data; what they make is committed to the run, so that it is
        not done again (of a job in memory, and for a restart, it is not kept).

        Parameters
        ----------
        rows : float or str, optional
            Plan for so many rows instead of those that there are now: ``1e9``, ``"1G"``.
        sample : float or str, optional
            Share of the work that may be tried: ``0.1``, ``"10%"``; 0: none. Default: 5 %, and at most about five
            seconds of it. At least one batch is tried, though it may be more than that where there are few.
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
        from shardwise.api.ask import Ask
        from shardwise.api.prediction import plan

        return plan(self, Options.of(options), Ask.of(rows, sample))

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

    def check_functions(self, **options: Any) -> CheckReport:
        """See on a sample whether the functions are deterministic, and whether they depend on how the data is cut.

        They are called in several processes, each with a hash seed of its own, on tasks in another order, and on
        halves of batches. Nothing is kept.

        Parameters
        ----------
        **options
            See ``Options``: ``seed``, ``on_error``, ``first`` and ``timeout`` count.

        Returns
        -------
        CheckReport
            Print it; ``ok`` says whether nothing was found.

        Examples
        --------
        >>> import shardwise as sw, numpy as np
        >>> numbers = sw.from_array(np.arange(10.0), batch_rows=5)
        >>> numbers.map(lambda a: a * 2).collect().check_functions().ok
        True
        >>> print(numbers.map(lambda a: a - a.mean()).collect().check_functions().findings[0].difference)
        row 0, column 'c0': -2.0, then -0.5, relative 7.5e-01
        """
        from shardwise.api.check import check_sample

        chosen = Options.of(options)
        return check_sample(self.work(chosen), chosen)

    def replay_task(self, task: str | int, **options: Any) -> Replayed:
        """Do one task of a run again in this process, and compare what comes out with what was committed.

        Parameters
        ----------
        task : str or int
            Its name (``"partial-0-4"``), or its number in the list that ``shardwise replay RUN --list`` prints.
        **options
            ``seed``, ``run_dir``, ``on_error`` ... of the run: see ``Options``. Besides: ``anyway=True`` does it though
            the code or the data have changed since, ``debug=True`` stops in the debugger where the task raises, or, if
            it did not in the run, where a function of yours is first entered.

        Returns
        -------
        Replayed
            Print it; ``same`` says whether all outputs have the digests that were committed.

        Raises
        ------
        DifferentJob
            The run is of another job: the message says what differs.
        UsageError
            There is no such run, or no such task in it.
        Exception
            Whatever the functions raise.
        """
        from shardwise.api.replay_task import replay_task

        return replay_task(self, task, **options)

    def scale(
        self,
        workers: Sequence[int] = (1, 2, 4),
        engines: Sequence[Place] = (),
        *,
        repeats: int = 3,
        machines: str | None = None,
        deadline: float | str | None = None,
        **options: Any,
    ) -> Scaling:
        """Measure a part of the job with several numbers of workers, and say what more of them would bring.

        Each measurement is a run of its own in a temporary directory; nothing of it is kept, and nothing is written
        where the job would write.

        Parameters
        ----------
        workers : sequence of int
            How many work, in turn.
        engines : sequence
            Where, in turn, as ``engine`` of ``Options``. Default: this host, in processes or threads as ``auto`` does.
        repeats : int
            Measurements with each number of workers.
        machines : str, optional
            A machines file (TOML: cores, memory, price per hour, see ``examples/machines.toml``).
        deadline : float or str, optional
            How long the whole job may take on one of them: seconds, or ``"2h"``.
        **options
            See ``Options``; of these ``engine``, ``workers``, ``shard_size`` and ``speculate`` are set here. ``first``:
            the part that is measured, a few percent unless given. ``run_dir``: below which temporary runs lie.

        Returns
        -------
        Scaling
            Print it; ``to_json()``, ``draw("chart.svg")``.

        Raises
        ------
        UsageError
            Something is asked for that cannot be measured; nothing was started.
        ShardwiseError
            The job failed.

        Examples
        --------
        >>> import shardwise as sw, time
        >>> job = sw.from_items(range(64)).map_items(lambda x: time.sleep(0.005)).collect()
        >>> found = job.scale(workers=[1, 2], repeats=1)
        >>> [row.workers for row in found.engines[0].rows]
        [1, 2]
        """
        from shardwise.api.scaling import scale

        return scale(self, workers, engines, repeats=repeats, machines=machines, deadline=deadline, **options)

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
