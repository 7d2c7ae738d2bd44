"""``shardwise scale``: measured speed-up, the laws that fit it, and whether to scale up or out."""

from __future__ import annotations

import sys

import click

from shardwise.cli.output import print_json, put, tell
from shardwise.cli.values import DURATION, NUMBERS, SHARE


@click.command(name="scale")
@click.argument("target", metavar="FILE.py[:JOB]")
@click.option(
    "--workers", type=NUMBERS, default="1,2,4", show_default=True, help="Numbers of workers: 1,2,4 or 1..8:x2."
)
@click.option("--engine", "engines", multiple=True, metavar="URL", help="Where to measure; may be given several times.")
@click.option("--first", type=SHARE, help="Part of the data that is measured: 5%. Default: as much as is needed.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Of each measurement.")
@click.option("--machines", metavar="FILE", help="Machines to choose from, as TOML: cores, memory, price per hour.")
@click.option("--deadline", type=DURATION, help="With --machines: how long the whole job may take: 90s, 2h.")
@click.option("--run-dir", metavar="DIR", help="Where temporary runs lie: a place that all workers of a cluster reach.")
@click.option("--ship", multiple=True, metavar="MODULE", help="Send a module or package to clusters, as `run` does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with all digits.")
@click.option("-o", "chart", metavar="FILE", help="Also draw a chart: a file ending in .svg or .png.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error unless something fails.")
def command(
    target: str,
    workers: list[int],
    engines: tuple[str, ...],
    first: float | None,
    repeats: int,
    machines: str | None,
    deadline: float | None,
    run_dir: str | None,
    ship: tuple[str, ...],
    as_json: bool,
    chart: str | None,
    quiet: bool,
) -> None:
    """Measure a job with several numbers of workers: scale up or scale out?

    A part of the data is carried out again and again, in temporary directories; nothing of it is kept. Amdahl's law and
    the Universal Scalability Law are fitted to the times, and the whole job is predicted for twice the cores in one
    machine, and for 2, 4, 8 ... machines; with --machines also what it costs.

    Example: shardwise scale speeds.py --workers 1,2,4 -o speeds.svg
    """
    from shardwise.api.scaling import scale
    from shardwise.cli.scripts import find_job, load_script, split_target
    from shardwise.plan.charts import check_chart_path
    from shardwise.report.tables import style_of

    if chart:
        check_chart_path(chart, curves=2 * max(1, len(engines)))
    path, name = split_target(target)
    job = find_job(load_script(path), path, name)
    said = {"first": first, "run_dir": run_dir, "ship": ship or None}
    found = scale(
        job,
        workers,
        engines,
        repeats=repeats,
        machines=machines,
        deadline=deadline,
        told=(lambda line: None) if quiet else tell,
        **{key: value for key, value in said.items() if value is not None},
    )
    if as_json:
        print_json(found.to_json())
    else:
        put(found.render(style_of(sys.stdout)))
    if chart:
        found.draw(chart)
        if not quiet:
            tell(f"Wrote {chart}.")
