"""Predictions beside what happened: ``python -m benchmarks.prediction``.

Each job is planned in a fresh process, which tries at most 5 % of it, and then run there to its end; seconds and peak
of memory (PSS of all processes) of that run are compared with the plan's. The same job is run again from the start, for
the spread from run to run, and in the other ways that ``auto`` has (this process alone, a worker a core), for what
choosing is worth. The table goes to docs/prediction.md with ``--output``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measure import _Sampler
from benchmarks.prediction_jobs import CASES, generate

CACHE = Path(tempfile.gettempdir()) / "shardwise-benchmarks"
WAYS = ("inline", "local:2")
LOOK_SECONDS = 0.1
"""How often memory is looked at: to add up what processes share takes time, which a run should not lose."""

SIZES = 10.0, 60.0
"""Seconds that a job should take."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("names", nargs="*", help="Jobs; all unless given.")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--output", help="Markdown file that the table is written to.")
    parser.add_argument("--no-choice", action="store_true", help="Leave the other ways out.")
    parser.add_argument(
        "--only-choice", action="store_true", help="Only compare what auto chooses with the other ways."
    )
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    data = _data(asked.scale)
    if asked.one:
        name, what, where = asked.one
        print(json.dumps(_one(name, what, where, data)))
        return
    _warm(data)
    rows = []
    for name in asked.names or list(CASES):
        if asked.only_choice and not CASES[name].free:
            continue
        row = _ways(name, asked.scale, {}) if asked.only_choice else _score(name, asked.scale, not asked.no_choice)
        print(json.dumps(row), flush=True)
        rows.append(row)
    text = "\n".join(_choices(rows)) if asked.only_choice else _table(rows)
    print(text)
    if asked.output:
        Path(asked.output).write_text(text)


def _data(scale: float) -> Path:
    directory = CACHE / f"prediction-{scale:g}"
    if not (directory / "scale").exists():
        directory.mkdir(parents=True, exist_ok=True)
        generate(directory, scale)
        (directory / "scale").write_text(str(scale))
    return directory


def _warm(directory: Path) -> None:
    """Have everything in the page cache, as the second run of a job would have by itself."""
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                while opened.read(16 << 20):
                    pass


def _score(name: str, scale: float, choice: bool) -> dict[str, Any]:
    case = CASES[name]
    planned = _process(name, "plan", case.engine, case.workers, scale)
    again = _process(name, "run", case.engine, case.workers, scale)
    row = {"job": name, "engine": case.engine, **planned, "again": again["seconds"]}
    if choice and case.free:
        row |= _ways(name, scale, {_label(case.engine, case.workers): again["seconds"]})
    return row


def _ways(name: str, scale: float, known: dict[str, float]) -> dict[str, Any]:
    """What ``auto`` takes, and the other ways, but for those whose time is known."""
    row: dict[str, Any] = {"job": name, "auto": _process(name, "run", "auto", None, scale)}
    ways = (*WAYS, *CASES[name].others)
    row["ways"] = {way: known.get(way) or _process(name, "run", way, _workers(way), scale)["seconds"] for way in ways}
    return row


def _workers(way: str) -> int | None:
    _, _, workers = way.partition(":")
    return int(workers) if workers else None


def _label(engine: str, workers: int | None) -> str:
    return engine if workers is None else f"{engine}:{workers}"


def _process(name: str, what: str, engine: str, workers: int | None, scale: float) -> dict[str, Any]:
    """What one fresh process says of a job, and the peak of its memory."""
    command = [sys.executable, "-m", "benchmarks.prediction", "--scale", str(scale)]
    command += ["--one", name, what, f"{engine} {workers or ''}".strip()]
    with tempfile.TemporaryDirectory(prefix="shardwise-prediction-") as scratch:
        environment = {**os.environ, "XDG_CACHE_HOME": scratch, "SHARDWISE_SCRATCH": scratch}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        sampler = _Sampler(process.pid, LOOK_SECONDS)
        out, _ = process.communicate()
        peak = sampler.stop()
    if process.returncode:
        raise SystemExit(f"{name}, {what} on {engine}: exit status {process.returncode}")
    return {**json.loads(out.splitlines()[-1]), "peak": peak}


def _one(name: str, what: str, where: str, data: Path) -> dict[str, Any]:
    """In the process of its own: plan and run, or run only."""
    engine, _, workers = where.partition(" ")
    scratch = Path(os.environ["SHARDWISE_SCRATCH"])
    options: dict[str, Any] = {"engine": engine, "progress": "none", "run_dir": str(scratch / "run")}
    if workers:
        options["workers"] = int(workers)
    job = CASES[name].make(data, scratch)
    began = time.monotonic()
    found: dict[str, Any] = {}
    if what == "plan":
        plan = job.plan(**{key: value for key, value in options.items() if key != "progress"})
        found = {key: getattr(plan, key) for key in ("seconds_low", "seconds_high", "memory_bytes", "sample")}
        found |= {"predicted": plan.seconds, "planning": time.monotonic() - began}
    result = job.run(**options)
    return found | {"seconds": result.run.seconds, "chose": result.run.engine}


def _table(rows: list[dict[str, Any]]) -> str:
    """The table, and what it adds up to."""
    errors, covered, memory, spreads = [], [], [], []
    lines = [
        "| job | engine | sample | predicted, s | 80 % | took, s | error | again, s | projected, MB | held, MB |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        error = row["predicted"] / row["seconds"] - 1
        rest = 1 - row["sample"]["share"]
        spread = abs(row["seconds"] / (row["again"] * rest) - 1)
        errors.append(abs(error))
        spreads.append(spread)
        covered.append(row["seconds_low"] <= row["seconds"] <= row["seconds_high"])
        memory.append(row["memory_bytes"] / row["peak"])
        lines.append(
            f"| {row['job']} | {row['engine']} | {row['sample']['share'] * 100:.1f} % | {row['predicted']:.1f} | "
            f"{row['seconds_low']:.1f} to {row['seconds_high']:.1f} | {row['seconds']:.1f} | {error * 100:+.0f} % | "
            f"{row['again']:.1f} | {row['memory_bytes'] / 1e6:.0f} | {row['peak'] / 1e6:.0f} |"
        )
    sizes = [row["again"] for row in rows]
    lines += ["", *_sums(errors, covered, memory, spreads, sizes), *_choices(rows)]
    about = ", ".join(f"{key} {value}" for key, value in machine.describe().items())
    return "\n".join(
        ["# Predictions beside what happened", "", f"{about}. `python -m benchmarks.prediction`.", "", *lines, ""]
    )


def _sums(
    errors: list[float], covered: list[bool], memory: list[float], spreads: list[float], sizes: list[float]
) -> list[str]:
    ordered = sorted(errors)
    tenth = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    beyond = sum(error > max(0.25, 2 * spread) for error, spread in zip(errors, spreads))
    other = sum(not SIZES[0] <= size <= SIZES[1] for size in sizes)
    return [
        f"- {len(errors)} jobs: median error {statistics.median(errors) * 100:.1f} %, 90th percentile "
        f"{tenth * 100:.1f} %; the same job again differed by {statistics.median(spreads) * 100:.1f} % in the median, "
        f"{max(spreads) * 100:.1f} % at most.",
        f"- Off by more than 25 %, and by more than twice what the same job differs by when it is run again: {beyond} "
        f"of {len(errors)}. Shorter than {SIZES[0]:g} s or longer than {SIZES[1]:g} s: {other}.",
        f"- The interval of 80 % held {sum(covered)} of {len(covered)}.",
        f"- Memory: projected {statistics.median(memory):.2f} times what was held in the median, "
        f"{min(memory):.2f} at least; {sum(ratio < 1 for ratio in memory)} of {len(memory)} held more.",
    ]


def _choices(rows: list[dict[str, Any]]) -> list[str]:
    compared = [row for row in rows if "ways" in row]
    if not compared:
        return []
    within = [row["auto"]["seconds"] <= 1.15 * min(row["ways"].values()) for row in compared]
    named = list(dict.fromkeys(way for row in compared for way in row["ways"]))
    lines = [
        f"- `auto` was within 15 % of the best way in {sum(within)} of {len(within)} jobs.",
        "",
        "| job | auto chose | auto, s | " + " | ".join(f"{way}, s" for way in named) + " |",
        "|---|---|--:|" + "--:|" * len(named),
    ]
    for row in compared:
        ways = " | ".join(f"{row['ways'][way]:.1f}" if way in row["ways"] else "" for way in named)
        lines.append(f"| {row['job']} | {row['auto']['chose']} | {row['auto']['seconds']:.1f} | {ways} |")
    return lines


if __name__ == "__main__":
    main()
