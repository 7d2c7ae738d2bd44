"""A million records, a hundred of them bad in one way: none that is good is lost, none that is bad is missed.

``python proof/quarantine.py [--seed N] [--case NUMBER]``: one case a way of failing. Prints what it found on stderr,
and one line of JSON in the end; leaves with 1 when something failed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import shardwise as sw

RECORDS = 1_000_000
ASKED = "a million records, some of which raise, crash, hang or exhaust memory: are exactly those in quarantine?"


@dataclass(frozen=True)
class Case:
    """A way of failing: how many records fail, in batches of how many, and what a call may take."""

    how: str
    kind: str
    bad: int
    batch_rows: int = 131_072
    timeout: float | None = None


CASES = (
    Case("raise", "exception", 100),
    Case("segfault", "crash", 100),
    Case("memory", "memory", 100),
    Case("hang", "timeout", 100, 10_000, 2.0),
)


def failing(how: str, bad: np.ndarray[Any, Any]) -> Callable[[pa.Table], pa.Table]:
    """A function of a batch that fails where it meets a bad record."""

    def function(table: pa.Table) -> pa.Table:
        x = table["x"].to_numpy()
        met = x[np.isin(x, bad)]
        if len(met):
            match how:
                case "raise":
                    raise ValueError(f"record {met[0]}")
                case "segfault":
                    ctypes.string_at(0)
                case "memory":
                    np.ones(1 << 45)
                case "hang":
                    time.sleep(10_000)
        return pa.table({"x": x, "square": x * x})

    return function


def numbers(rng: np.random.Generator, rows: int, start: int) -> dict[str, Any]:
    """The records: their own numbers."""
    return {"x": np.arange(start, start + rows)}


def prove(case: Case, seed: int) -> dict[str, Any]:
    """Carry out a case; what it found."""
    rng = np.random.default_rng([seed, len(case.how)])
    if case.timeout is None:
        bad = np.sort(rng.choice(RECORDS, case.bad, replace=False))
    else:  # one a batch: five time-outs would send a whole batch to quarantine, and a record costs three
        bad = np.arange(case.bad) * case.batch_rows + rng.integers(0, case.batch_rows, case.bad)
    data = sw.generate(RECORDS, numbers, batch_rows=case.batch_rows)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shardwise-proof-") as place:
        result = (
            data.map(failing(case.how, bad))
            .write_parquet(f"{place}/out")
            .run(engine="local:2", on_error="quarantine", timeout=case.timeout, run_dir=f"{place}/run", progress="none")
        )
        kept = np.sort(pq.read_table(f"{place}/out")["x"].to_numpy())
        table = result.quarantine
    found = np.array([json.loads(text)["x"] for text in table["data"].to_pylist()])
    good = np.setdiff1d(np.arange(RECORDS), bad)
    return {
        "bad": len(bad),
        "found": len(np.intersect1d(found, bad)),
        "good_lost": len(np.setdiff1d(good, kept)),
        "bad_missed": len(np.setdiff1d(bad, found)),
        "wrongly_quarantined": len(np.setdiff1d(found, bad)),
        "doubled": len(kept) - len(np.unique(kept)) + len(found) - len(np.unique(found)),
        "bad_in_output": len(np.intersect1d(bad, kept)),
        "other_kinds": sum(kind != case.kind for kind in table["kind"].to_pylist()),
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Carry out the cases."""
    parser = argparse.ArgumentParser(description=ASKED)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=len(CASES), help="how many cases (default: all)")
    parser.add_argument("--case", type=int, help="only this one")
    arguments = parser.parse_args()
    chosen = range(arguments.count) if arguments.case is None else [arguments.case]
    started, failed, figures = time.monotonic(), 0, {}
    for number in chosen:
        case = CASES[number % len(CASES)]
        facts = prove(case, arguments.seed + number // len(CASES))
        wrong = sum(facts[name] for name in facts if name not in ("bad", "found", "seconds"))
        failed += bool(wrong)
        figures[case.how] = facts
        print(f"quarantine: {'FAILED' if wrong else 'passed'}: case {number}, {case.how}: {facts}", file=sys.stderr)
    done = {"proof": "quarantine", "seed": arguments.seed, "count": len(list(chosen)), "failed": failed}
    print(json.dumps({**done, "asked": ASKED, "seconds": round(time.monotonic() - started, 1), **figures}))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
