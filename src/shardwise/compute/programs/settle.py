"""Find out what columns functions return, on the first batches, once, before the stage starts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from shardwise.compute.operations import Map, Operation, Tabulate
from shardwise.compute.pipeline import Pipeline
from shardwise.compute.program import Attempt


@dataclass(frozen=True, slots=True)
class SettleProgram:
    """Its one output, ``settled``, is read by ``settled_operations``."""

    pipeline: Pipeline

    def execute(self, attempt: Attempt) -> None:
        """Run the first batches through the operations and record the schemas that come out."""
        found = [_describe(op) for op in self.pipeline.settle(attempt)]
        attempt.quarantine.rows.clear()  # who comes after meets them again, and records them
        attempt.give("settled", json.dumps(found).encode())


def _describe(op: Operation) -> dict[str, Any] | None:
    if not isinstance(op, (Map, Tabulate)) or op.schema is None:
        return None
    return {"kind": op.kind if isinstance(op, Map) else "table", "schema": op.schema.serialize().to_pybytes().hex()}


def settled_operations(operations: tuple[Operation, ...], data: bytes) -> tuple[Operation, ...]:
    """The operations with the schemas that a ``SettleProgram`` recorded."""
    import pyarrow as pa

    out: list[Operation] = []
    for op, found in zip(operations, json.loads(data), strict=True):
        if found is not None and isinstance(op, (Map, Tabulate)):
            schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(found["schema"])))
            op = replace(op, schema=schema, kind=found["kind"]) if isinstance(op, Map) else replace(op, schema=schema)
        out.append(op)
    return tuple(out)
