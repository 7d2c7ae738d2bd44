"""A plain Python function called on every row of a NumPy array, in parallel; its results come back in order.

Run: ``python examples/row_statistics.py [rows]``
"""

import statistics
import sys

import numpy as np

import shardwise as sw

rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
array = np.random.default_rng(0).exponential(size=(rows, 16))


def statistics_of(row: np.ndarray) -> dict[str, float]:
    values = row.tolist()
    return {"median": statistics.median(values), "spread": max(values) - min(values)}


found = sw.from_array(array, batch_rows=5_000).map_items(statistics_of).collect().run().to_pylist()

assert [row["median"] for row in found] == np.median(array, axis=1).tolist()
assert [row["spread"] for row in found] == np.ptp(array, axis=1).tolist()
print(f"{len(found):,} rows; the first: median {found[0]['median']:.3f}, spread {found[0]['spread']:.3f}")
