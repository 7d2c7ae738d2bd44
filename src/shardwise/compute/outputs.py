"""Outputs of tasks as data again, whatever format their name says, so that two of them can be compared."""

from __future__ import annotations

import io
import json
from typing import Any

from shardwise.compute.program import Attempt
from shardwise.compute.programs import collect
from shardwise.compute.task import QUARANTINE

STATE, SETTLED = "state", "settled"


def decoded(name: str, data: bytes | memoryview, aggregation: Any = None, attempt: Attempt | None = None) -> Any:
    """The data of an output.

    Parameters
    ----------
    name : str
        Of the output, or of the file that it was published as.
    data : bytes
        Its bytes.
    aggregation, attempt : optional
        For states: what finishes them, as bytes of a state may differ where what it says does not.

    Returns
    -------
    pyarrow.Table, numpy.ndarray or list
    """
    if name == STATE and aggregation is not None and attempt is not None:
        return aggregation.finish(attempt, [bytes(data)])
    if name == SETTLED:
        return _settled(bytes(data))
    if name == QUARANTINE:
        from shardwise.compute.bad_rows import from_ipc

        return from_ipc([data]).drop_columns(["message", "traceback"])  # which may name processes and addresses
    if name in (collect.ROWS, collect.ARRAY) or name.startswith("items."):
        return collect.decode(name, data)
    return _file(name, bytes(data))


def _file(name: str, data: bytes) -> Any:
    suffix = name.rpartition(".")[2]
    if suffix == "parquet":
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(data))
    if suffix == "npy":
        import numpy as np

        return np.load(io.BytesIO(data), allow_pickle=False)
    if suffix == "arrow":
        import pyarrow as pa

        is_file = data.startswith(b"ARROW1")
        return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(pa.py_buffer(data)).read_all()
    if suffix == "csv":
        import csv

        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    if suffix == "ndjson":
        return [json.loads(line) for line in data.decode().splitlines()]
    return [data]


def _settled(data: bytes) -> list[str]:
    import pyarrow as pa

    found = [entry for entry in json.loads(data) if entry is not None]
    return [str(pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(entry["schema"])))) for entry in found]
