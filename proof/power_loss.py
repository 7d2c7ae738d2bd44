"""Power cuts at ten thousand instants: the same bytes, nothing twice, nothing lost that was promised.

``python proof/power_loss.py [--seed N] [--count N]``. Prints what it did; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import shardwise.compute.attempt
from faults.power_runs import PLANTED, Cut, problems

SHARES = {"write": 0.4, "overwrite": 0.3, "collect": 0.25, "group": 0.05}


def main() -> int:
    """Cut the power; say how often it did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000)
    asked = parser.parse_args()
    shardwise.compute.attempt.CARRIED = 64  # outputs are files, small as they are
    started, failed, cuts = time.monotonic(), 0, {}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="shardwise-power-", dir=memory) as place:
        for kind, share in SHARES.items():
            cuts[kind] = max(1, round(asked.count * share))
            for wrong in problems(Cut(kind, Path(place) / kind), cuts[kind], asked.seed):
                failed += bool(wrong)
                if wrong:
                    print(wrong)
            print(f"{kind}: {cuts[kind]} cuts, {time.monotonic() - started:.0f} s", flush=True)
        found = {}
        for bug, (kind, planted) in PLANTED.items():
            first = next(
                (wrong for wrong in problems(Cut(kind, Path(place) / bug), 400, asked.seed, planted) if wrong), ""
            )
            found[bug] = bool(first)
            print(f"planted: {bug}: {first or 'NOT FOUND'}", flush=True)
    failed += sum(not seen for seen in found.values())
    seconds = round(time.monotonic() - started, 1)
    figures = {"cuts": cuts, "planted_found": sum(found.values()), "planted": len(found), "seconds": seconds}
    print(
        json.dumps({"proof": "power_loss", "seed": asked.seed, "count": sum(cuts.values()), "failed": failed} | figures)
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
