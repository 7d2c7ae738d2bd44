"""The mean of every column of a NumPy array, in parallel. Nothing is copied into a file by hand.

Run: ``python examples/column_mean.py [rows]``
"""

import sys

import numpy as np

import shardwise as sw

rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000_000
columns = 8
array = np.random.default_rng(0).normal(size=(rows, columns)) + np.arange(columns)

means = sw.from_array(array).aggregate(**{f"c{i}": sw.mean(f"c{i}") for i in range(columns)})
row = means.run().to_pylist()[0]

answer = np.array([row[f"c{i}"] for i in range(columns)])
assert np.allclose(answer, array.mean(axis=0), rtol=0, atol=1e-12)
print(f"means of {columns} columns of {rows:,} rows:", np.round(answer, 3).tolist())
