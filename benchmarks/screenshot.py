"""``python -m benchmarks.screenshot``: the README's picture of a report, of a real run in a real browser.

The run is made here: a function of rows over files of unequal length on two workers, with one task that fails once.
The picture shows what was predicted of it beside what was measured, and its timeline.
The browser is the one that the tests fetch.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "report.png"
WIDTH = 1280
BETWEEN = ("#measured", "#part-timeline")
PLACE = "(name) => document.querySelector(name).getBoundingClientRect().top + scrollY"
ROWS = (400_000, 250_000, 900_000, 300_000)

JOB = '''
"""Speeds of trips; the first try at one of the files fails."""

import os
import time

import pyarrow as pa
import pyarrow.compute as pc

import shardwise as sw


def speeds(trips: pa.Table, ctx: sw.Context) -> pa.Table:
    until = time.thread_time() + len(trips) * 4e-6
    while time.thread_time() < until:
        pass
    ctx.log(f"{len(trips):,} trips")
    if (ctx.batch.fragment, ctx.batch.index) == (2, 60) and not os.path.exists("failed-once"):
        open("failed-once", "w").close()
        raise ValueError("no trip takes so long")
    return trips.append_column("speed", pc.divide(trips["distance"], trips["hours"]))


job = sw.read_parquet("trips/*.parquet", batch_rows=8192).map(speeds).aggregate(n=sw.count(), mean=sw.mean("speed"))

if __name__ == "__main__":
    job.run(retries=2, run_dir="run", progress="none")
'''


def make_run(directory: Path) -> str:
    """Trips, a job over them, and its run."""
    import subprocess

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    (directory / "trips").mkdir()
    for number, rows in enumerate(ROWS):
        columns = {"distance": rng.gamma(2.0, 3.0, rows), "hours": rng.uniform(0.1, 1.5, rows)}
        pq.write_table(pa.table(columns), directory / f"trips/part-{number:05}.parquet", row_group_size=65_536)
    (directory / "speeds.py").write_text(JOB)
    subprocess.run([sys.executable, "speeds.py"], cwd=directory, env=dict(os.environ), check=True)
    return str(directory / "run")


def picture(page: Path, target: Path, given: argparse.Namespace) -> list[str]:
    """Have a browser draw a page, or what lies between two of its sections; gives what it complained of."""
    sys.path.insert(0, str(ROOT / "tests"))
    from browsers import Opened, browser

    with browser() as started:
        size = {"width": given.width, "height": 900}
        opened = Opened(started, page.as_uri(), viewport=size, color_scheme=given.scheme)
        top, bottom = (opened.page.evaluate(PLACE, name) for name in given.between)
        clip = {"x": 0, "y": top, "width": given.width, "height": bottom - top}
        opened.page.screenshot(path=str(target), full_page=True, clip=None if given.whole else clip)
        return opened.complaints


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="a run directory; one is made unless given")
    parser.add_argument("--output", type=Path, default=TARGET)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--between", nargs=2, default=BETWEEN, metavar="SELECTOR", help="what the picture lies between")
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--lang", choices=["en", "ja"], default="en")
    parser.add_argument("--whole", action="store_true", help="the whole page")
    given = parser.parse_args()
    from shardwise.report.document import document
    from shardwise.report.page import render
    from shardwise.run.directory import RunDirectory

    with tempfile.TemporaryDirectory() as work:
        run = given.run or make_run(Path(work))
        page = Path(work, "page.html")
        page.write_text(render(document(RunDirectory.read(run)), given.lang), encoding="utf-8")
        complaints = picture(page, given.output, given)
    print(f"{given.output}: {given.output.stat().st_size:,} bytes", *complaints, sep="\n")


if __name__ == "__main__":
    main()
