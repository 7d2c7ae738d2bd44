"""Two to eight drivers on one run directory at the same time, one of them killed now and then: one works, the others
say so within a second and end, and nothing is damaged.

``python proof/two_drivers.py [--seed N] [--count N]``. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from faults.drivers import make_data, round_of


def main() -> int:
    """Start the drivers; say what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    asked = parser.parse_args()
    chance, started = random.Random(asked.seed), time.monotonic()
    failed, drivers, kills, losers, slowest = 0, 0, 0, 0, 0.0
    with tempfile.TemporaryDirectory() as place:
        data = make_data(Path(place) / "data")
        for number in range(asked.count):
            seen = round_of(Path(place) / f"{number}", data, chance.randint(2, 8), chance.random() < 0.3, chance)
            drivers, kills, losers = drivers + seen.drivers, kills + seen.killed, losers + len(seen.waits)
            slowest = max([slowest, *seen.waits])
            failed += bool(seen.wrong)
            killed = "one" if seen.killed else "none"
            print(f"round {number}: {seen.drivers} drivers, {killed} killed {seen.wrong}", flush=True)
    figures = {"drivers": drivers, "killed": kills, "losers": losers, "slowest_loser_seconds": round(slowest, 3)}
    figures["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps({"proof": "two_drivers", "seed": asked.seed, "count": asked.count, "failed": failed} | figures))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
