"""What small pieces of the library cost by themselves: ``python -m benchmarks.pieces [NAME ...]``.

The best of five each, in processor time of this process, but for ``check``, which starts others: seconds by the clock.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

BEST_OF = 5

Clock = Callable[[], float]


def best(work: Callable[[], object], clock: Clock = time.process_time) -> float:
    """Seconds of the fastest of five."""

    def once() -> float:
        began = clock()
        work()
        return clock() - began

    return min(once() for _ in range(BEST_OF))


def span(size: float) -> Iterator[str]:
    """A task's line of the timeline: noted, answered, filed, and as JSON."""
    from shardwise.compute.task import Metrics, Outcome
    from shardwise.run.spans import Spans

    count = max(1, int(20_000 * size))
    outcomes = [Outcome(0, n, metrics=Metrics(rows_in=8192, bytes_in=1 << 20, seconds=1.5)) for n in range(count)]

    def work() -> str:
        spans = Spans(time.monotonic)
        spans.up(0, "host")
        for n, outcome in enumerate(outcomes):
            spans.began(n, f"partial-{n}-{n + 1}", "partial", 0, "host")
            spans.heard(outcome)
            spans.ended(n, "committed")
        return json.dumps(spans.take(), separators=(",", ":"))

    yield f"{best(work) / count * 1e6:.1f} microseconds a task, {len(work()) / count:.0f} bytes"


def call(size: float) -> Iterator[str]:
    """A call of a function, noted in the page that a worker shares with its starter."""
    from shardwise.compute.calls import SIZE, Calls

    count = max(1, int(200_000 * size))
    with tempfile.TemporaryFile() as page:
        page.truncate(SIZE)
        calls = Calls(page.fileno())

        def work() -> None:
            for n in range(count):
                calls.begin(1, 0, n, 0, 8192, False)
                calls.end()

        yield f"{best(work) / count * 1e6:.2f} microseconds a call"


def sums(size: float) -> Iterator[str]:
    """Exact sums of doubles and of their squares."""
    from shardwise.compute.exact.blocks import block_sums

    random, count = np.random.default_rng(7), max(1, int(1_000_000 * size))
    values = {
        "normal(1000, 15)": random.normal(1000, 15, count),
        "normal(0, 1)": random.normal(0, 1, count),
        "lognormal(3, 2)": random.lognormal(3, 2, count),
    }
    for name, x in values.items():
        yield f"{best(lambda x=x: block_sums(x, True)) / count * 1e9:.1f} ns a value, {name}"  # type: ignore[misc]


def batch(size: float) -> Iterator[str]:
    """A plain function of the rows of an array, in batches of several lengths."""
    from benchmarks.cases.row_statistics import plain

    rows = max(8, int(400_000 * size))
    array = np.random.default_rng(7).normal(size=(rows, 10))
    for length in (131_072, 50_000):
        step = max(1, int(length * size))

        def work(step: int = step) -> None:
            for first in range(0, rows, step):
                plain(array[first : first + step])

        yield f"{best(work):.2f} s for {rows:,} rows, in batches of {step:,}"


def check(size: float) -> Iterator[str]:
    """Whether a vectorised function is deterministic, seen on 20 small batches."""
    import shardwise as sw

    rows = max(20, int(20_000 * size))
    job = sw.from_array(np.arange(float(rows)), batch_rows=rows // 20).map(double).collect()
    yield f"{best(job.check_functions, time.monotonic):.2f} s by the clock"


def double(x: np.ndarray) -> np.ndarray:
    """What is checked."""
    return x * 2


PIECES = {piece.__name__: piece for piece in (span, call, sums, batch, check)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pieces", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PIECES), metavar="NAME", help=", ".join(PIECES))
    parser.add_argument("--size", type=float, default=1.0, help="less than 1: smaller loops")
    given = parser.parse_args()
    if unknown := set(given.names) - set(PIECES):
        parser.error(f"no piece {', '.join(sorted(unknown))}: choose from {', '.join(PIECES)}")
    for name in given.names:
        for line in PIECES[name](given.size):
            print(f"{name:6} {line}", flush=True)


if __name__ == "__main__":
    main()
