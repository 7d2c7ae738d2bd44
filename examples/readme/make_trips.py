"""The made-up trips of the README: 4,000,000 rows in four Parquet files.

Run: ``python make_trips.py [directory]``
"""

import sys

import numpy as np

import shardwise as sw


def trips(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    return {
        "zone": rng.choice(["north", "south", "east", "west"], rows),
        "distance": rng.gamma(2.0, 2.5, rows).round(2),
        "hours": rng.uniform(0.05, 1.5, rows).round(3),
    }


if __name__ == "__main__":
    sw.generate(4_000_000, trips).write_parquet(sys.argv[1] if len(sys.argv) > 1 else "trips").run()
