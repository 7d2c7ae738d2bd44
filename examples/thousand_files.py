"""A plain Python function over a thousand small JSON files, one item a file.

Run: ``python examples/thousand_files.py [files]``
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import shardwise as sw

files = int(sys.argv[1]) if len(sys.argv) > 1 else 1000


def total(path: str) -> dict[str, Any]:
    order = json.loads(Path(path).read_text())
    return {"order": order["id"], "total": sum(line["price"] * line["amount"] for line in order["lines"])}


with tempfile.TemporaryDirectory() as directory:
    paths = [str(Path(directory, f"{i:05}.json")) for i in range(files)]
    for i, path in enumerate(paths):
        lines = [{"price": 5 + i % 7, "amount": amount} for amount in range(1, 5)]
        Path(path).write_text(json.dumps({"id": i, "lines": lines}))

    found = sw.from_items(paths).map_items(total).collect().run().to_pylist()

assert found == [{"order": i, "total": 10 * (5 + i % 7)} for i in range(files)]
print(f"{len(found):,} files, total {sum(row['total'] for row in found):,}")
