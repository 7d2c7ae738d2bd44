"""Rows, arrays or items of a shard, kept in the run directory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardwise.compute import itemstore
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt
from shardwise.data.kinds import is_array, is_table
from shardwise.errors import FunctionError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROWS, ARRAY = "rows.arrow", "rows.npy"


@dataclass(frozen=True, slots=True)
class CollectProgram:
    """One output: ``rows.arrow``, ``rows.npy``, or items as ``itemstore`` keeps them."""

    pipeline: Pipeline

    def execute(self, attempt: Attempt) -> None:
        """Run the shard's batches through the operations and keep what comes out."""
        data = [batch.data for batch in self.pipeline.batches(attempt)]
        kept = [d for d in data if len(d)] or data[:1]
        with attempt.phase("write"):
            name, encoded, rows = encode(kept)
            attempt.give(name, encoded, rows)


def encode(parts: Sequence[Any]) -> tuple[str, bytes, int]:
    """Format, bytes and rows of consecutive batches of one kind."""
    if parts and all(map(is_array, parts)):
        import numpy as np

        joined = join_arrays(list(parts))
        buffer = io.BytesIO()
        np.save(buffer, joined, allow_pickle=False)
        return ARRAY, buffer.getvalue(), len(joined)
    if parts and not isinstance(parts[0], list):
        table = join_tables([p if is_table(p) else _table(p) for p in parts])
        return ROWS, itemstore.ipc_bytes(table), table.num_rows
    items = [item for part in parts for item in part]
    return (*itemstore.encode(items), len(items))


def _table(array: Any) -> pa.Table:
    from shardwise.compute.convert import array_to_table

    return array_to_table(array)


def decode(name: str, data: bytes | memoryview) -> Any:
    """A table, an array or a list of items."""
    if name == ROWS:
        import pyarrow as pa

        return pa.ipc.open_stream(pa.py_buffer(data)).read_all()
    if name == ARRAY:
        import numpy as np

        return np.load(io.BytesIO(data), allow_pickle=False)
    return itemstore.decode(name, data)


def join_tables(tables: list[pa.Table]) -> pa.Table:
    """Tables one below the other, with types that hold the values of all.

    Raises
    ------
    FunctionError
        A column has types that have nothing in common.
    """
    if len(tables) == 1:
        return tables[0]
    import pyarrow as pa

    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise FunctionError(
            f"batches have columns of types that do not go together: {str(error).splitlines()[0]}",
            "return the same types for every batch, or give map(..., schema={...})",
        ) from error


def join_arrays(arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Arrays one below the other.

    Raises
    ------
    FunctionError
        Their rows have different shapes.
    """
    if len({array.shape[1:] for array in arrays}) > 1:
        shapes = sorted({str(array.shape[1:]) for array in arrays})
        raise FunctionError(
            f"batches have rows of different shapes: {', '.join(shapes)}", "return the same for every batch"
        )
    import numpy as np

    return np.concatenate(arrays) if len(arrays) != 1 else arrays[0]
