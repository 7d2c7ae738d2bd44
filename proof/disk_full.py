"""Two hundred sizes of a disk that is too small, or just not: the run ends with status 1 and the figures, nobody sees
half a file, and the same command goes on when there is room.

``python proof/disk_full.py [--seed N] [--count N]``. Needs the right to mount. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from faults.disk_full_runs import KINDS, apart, here, make_data, small_disk, trouble

APART_EVERY = 20
"""Every so many sizes, workers and all run in processes of their own."""


def main() -> int:
    """Try the sizes; say which did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    asked = parser.parse_args()
    chance, started = random.Random(asked.seed), time.monotonic()
    went: Counter[str] = Counter()
    failed = 0
    try:
        with tempfile.TemporaryDirectory() as place:
            data = make_data(Path(place))
            known = {kind: _whole(kind, data) for kind in KINDS}
            for number in range(asked.count):
                kind = KINDS[number % len(KINDS)]
                answer, whole = known[kind]
                size = chance.randrange(4096, int(whole * 1.3))
                lonely = number % APART_EVERY == APART_EVERY - 1
                how = ("local:2", apart) if lonely else ("inline", here)
                wrong, ended = trouble(kind, data, size, answer, *how)
                went[ended] += 1
                failed += bool(wrong)
                print(f"{kind} on {size} bytes, {how[0]}: {ended} {wrong}", flush=True)
    except OSError as cause:
        print(f"skipped: {cause}")
        went["skipped"] += 1
    figures = {"sizes": dict(went), "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps({"proof": "disk_full", "seed": asked.seed, "count": asked.count, "failed": failed} | figures))
    return int(failed > 0)


def _whole(kind: str, data: Path) -> tuple[str, int]:
    """The answer, and the bytes that a run leaves."""
    with small_disk(50_000_000) as place:
        status, answer = here(kind, data, place)
        if status:
            raise RuntimeError(answer)
        return answer, sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
