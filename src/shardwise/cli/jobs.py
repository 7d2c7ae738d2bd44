"""A job carried out, or only planned, and its result handed over: the same for all commands that run jobs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from shardwise.cli.output import print_json, print_table, put, tell
from shardwise.sizes import format_count, format_duration, format_size

QUARANTINED = 3
"""Exit status of a job that is done, with rows in quarantine."""

if TYPE_CHECKING:
    import pyarrow as pa

    from shardwise.api.job import Job
    from shardwise.api.result import Result
    from shardwise.cli.options import RunOptions


def print_plan(job: Job, options: RunOptions) -> None:
    """Print what would happen; with ``--check``, look at the job's functions before."""
    _check(job, options)
    plan = job.plan(**options.for_plan())
    if options.as_json:
        print_json(plan.to_dict())
    else:
        put(str(plan))


def run_job(job: Job, options: RunOptions) -> Result:
    """Run a job with the options of the command line; with ``--check``, look at its functions before.

    Raises
    ------
    Unrepeatable
        One of them is not deterministic.
    """
    _check(job, options)
    result = job.run(**options.for_run())
    if options.redundancy == 2 and not options.quiet:
        tell("every task was done twice, by other processes and in another order: the same")
    return result


def _check(job: Job, options: RunOptions) -> None:
    if options.check:
        report = job.check_functions(**options.for_plan())
        report.enforce()
        if not options.quiet:
            tell(report.summary)


def show_result(result: Result, options: RunOptions, keys: int = 1) -> None:
    """Print a result on standard output, and what the run was on standard error."""
    if options.as_json:
        print_json(document(result))
        return
    print_table(rows_of(result), keys)
    if not options.quiet:
        tell(run_line(result))


def end(result: Result) -> None:
    """Say what went to quarantine, and end with exit status 3 where anything did.

    Raises
    ------
    click.exceptions.Exit
        Rows were left out.
    """
    if result.run.quarantined:
        for line in quarantine_lines(result):
            tell(line)
        raise click.exceptions.Exit(QUARANTINED)


def quarantine_lines(result: Result) -> list[str]:
    """What went to quarantine: how many rows, why, where they lie, how to see one fail."""
    from shardwise.api.quarantine import FILE

    rows = result.quarantine
    kinds = Counter(zip(rows.column("kind").to_pylist(), rows.column("type").to_pylist()))
    shown = [f"{format_count(n)} {kind if kind != 'exception' else name}" for (kind, name), n in kinds.most_common(5)]
    more = f", and {len(kinds) - 5} other reasons" if len(kinds) > 5 else ""
    count = f"{plural(rows.num_rows, 'row')} went to quarantine"
    lines = [f"{count}, in {plural(len(set(rows.column('file').to_pylist())), 'file')}: {', '.join(shown)}{more}."]
    if result.run.dir:
        lines.append(f"  rows: {result.run.dir}/{FILE}")
        lines.append(f"  see the first one fail: {rows.column('replay')[0].as_py()}")
    return lines


def document(result: Result) -> dict[str, Any]:
    """The JSON document of a result."""
    from shardwise.report.json_rows import to_json_rows

    return {"rows": to_json_rows(rows_of(result)), "run": result.run.to_json()}


def rows_of(result: Result) -> pa.Table | list[dict[str, Any]]:
    """A result as rows with names: a table, or dicts where values of several types share a column."""
    import numpy as np

    data = result.data
    if isinstance(data, list):
        return [item if isinstance(item, dict) else {"value": item} for item in data]
    if isinstance(data, np.ndarray) and data.ndim > 2:
        return [{"value": row} for row in data.tolist()]
    # A description has dates and numbers in one column, which its table can only hold as text.
    return result.to_pylist() if result.is_mixed else result.to_arrow()


def run_line(result: Result) -> str:
    """One line about a run: what was read, in what time, where it lies."""
    facts = run_facts(result.run.to_json())
    where = f"; run {result.run.dir}" if result.run.dir else ""
    return ", ".join(facts) + where


def run_facts(run: dict[str, Any]) -> list[str]:
    """What a run's JSON says, in words."""
    facts = []
    read = [f"{format_count(run['rows'])} rows"] if run.get("rows") else []
    read += [format_size(run["bytes"])] if run.get("bytes") else []
    if read:
        facts.append(f"read {', '.join(read)}")
    if run.get("seconds") is not None:
        facts.append(format_duration(run["seconds"]))
    if run.get("engine"):
        facts.append(f"engine {run['engine']}")
    if run.get("resumed_tasks") and run["resumed_tasks"] == run["tasks"]:
        facts.append("all of it was already done")
    elif run.get("resumed_tasks"):
        facts.append(f"{format_count(run['resumed_tasks'])} of {format_count(run['tasks'])} tasks were already done")
    return facts


def plural(count: int, one: str, many: str = "") -> str:
    """A number with its noun.

    Examples
    --------
    >>> plural(1, "file"), plural(2000, "file"), plural(2, "retry", "retries")
    ('1 file', '2,000 files', '2 retries')
    """
    return f"{format_count(count)} {one if count == 1 else many or one + 's'}"
