"""Projected memory, as plain arithmetic on the schema, the batches and the number of workers.

``memory(host) = driver + workers x (base + batches in hand)``; a collected result is held by the driver besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardwise.compute.machine import usable_memory
from shardwise.plan.work import CollectTo, Work
from shardwise.run.policies import WORKER_BASE

if TYPE_CHECKING:
    import pyarrow as pa

DRIVER_BASE = 120 << 20
"""Bytes of the driver, in the same way."""

TEXT_BYTES = 24
"""Bytes of a text value, where nobody knows better: 16 and its offset."""

ITEM_BYTES = 1024
"""Bytes of a Python item, where nobody knows better."""

USABLE_SHARE = 0.8
"""Part of the machine's memory that is free at the start that a run takes, where nobody says how much it may."""

LEAST_SHARE = 2 * WORKER_BASE
"""No worker's ceiling is lower, unless the person allows less."""

COPIES = 3
"""A batch as read, as the function sees it, and as it came out."""


def row_bytes(schema: pa.Schema | None) -> int:
    """Bytes of a row in memory.

    Examples
    --------
    >>> import pyarrow as pa
    >>> row_bytes(pa.schema({"a": pa.float64(), "b": pa.int32()}))
    12
    """
    if schema is None:
        return ITEM_BYTES
    return sum(_width(field.type) for field in schema)


def _width(kind: pa.DataType) -> int:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _width(kind.index_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return TEXT_BYTES


def projected(work: Work, engine: str, slots: int) -> int:
    """Bytes of all processes together, at their highest."""
    source = work.pipeline.source
    batch = row_bytes(source.schema) * (source.batch_rows if source.kind != "items" else 1)
    held = batch * COPIES
    result = 0
    if isinstance(work.target, CollectTo):
        rows = [fragment.rows for fragment in source.fragments]
        known = sum(r for r in rows if r is not None) * row_bytes(source.schema)
        result = known if None not in rows else sum(f.size or 0 for f in source.fragments)
    workers = held if engine == "inline" else slots * (WORKER_BASE + held)
    return DRIVER_BASE + workers + result


def share(memory: int | None, slots: int) -> int:
    """Bytes that each of several workers on a host may use: its ceiling.

    Parameters
    ----------
    memory : int or None
        That all processes may use together, the driver's included; None: as the machine allows.
    slots : int
        Workers.

    Examples
    --------
    >>> share(1 << 30, 4) == ((1 << 30) - DRIVER_BASE) // 4
    True
    """
    if memory is None:
        return max(LEAST_SHARE, int(usable_memory() * USABLE_SHARE - DRIVER_BASE) // slots)
    return max(memory - DRIVER_BASE, WORKER_BASE) // slots
