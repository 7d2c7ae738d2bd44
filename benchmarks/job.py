"""One peer, once, as a process: ``python -m benchmarks.job CASE PEER DATA``. Prints its seconds and answer as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.case import Clock, load


def main() -> None:
    """Do the job."""
    name, peer, data = sys.argv[1:4]
    clock = Clock()
    answer = load(name).peers[peer].work(Path(data), clock)
    print(json.dumps({"seconds": clock.seconds, "answer": answer}))


if __name__ == "__main__":
    main()
