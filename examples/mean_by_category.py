"""Mean by category over Parquet files.

Run: ``python examples/mean_by_category.py [rows]``
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import shardwise as sw

rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000_000
rng = np.random.default_rng(0)
category, value = rng.integers(0, 100, rows), rng.normal(size=rows)

with tempfile.TemporaryDirectory() as directory:
    for i, part in enumerate(np.array_split(np.arange(rows), 4)):
        pq.write_table(pa.table({"category": category[part], "value": value[part]}), Path(directory, f"{i}.parquet"))

    job = sw.read_parquet(directory).group_by("category").aggregate(sw.count(), mean=sw.mean("value"))
    found = job.run().to_pylist()

present = np.unique(category)
assert [row["category"] for row in found] == present.tolist()
sizes = np.bincount(category)[present]
assert [row["count"] for row in found] == sizes.tolist()
means = np.bincount(category, weights=value)[present] / sizes
assert np.allclose([row["mean"] for row in found], means, rtol=0, atol=1e-12)
print(f"{rows:,} rows, {len(found)} categories; the first: {found[0]}")
