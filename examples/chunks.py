"""Mean and standard deviation of a .npy file that is read in chunks of a million rows, never whole.

The same bits come out whatever the chunks, the workers, or the order they finish in.

Run: ``python examples/chunks.py [rows]``
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import shardwise as sw

rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000

with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "values.npy")
    values = np.random.default_rng(0).normal(loc=5.0, scale=2.0, size=rows)
    np.save(path, values)

    chunks = sw.read_npy(str(path), batch_rows=1_000_000)
    row = chunks.aggregate(mean=sw.mean("c0"), std=sw.std("c0")).run().to_pylist()[0]

assert np.isclose(row["mean"], values.mean(), rtol=1e-12)
assert np.isclose(row["std"], values.std(ddof=1), rtol=1e-12)
print(f"{rows:,} rows: mean {row['mean']:.6f}, std {row['std']:.6f}")
