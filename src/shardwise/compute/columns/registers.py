"""HyperLogLog registers of a column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shardwise.compute.hashing import hash_array
from shardwise.compute.hyperloglog import register_and_rank

Registers = npt.NDArray[np.uint8]

_RUN = 1 << 14  # values whose hashes stay in the cache


def fill(registers: Registers, values: pa.Array) -> None:
    """Show values, none of them null, to registers."""
    for start in range(0, len(values), _RUN):
        places, ranks = register_and_rank(hash_array(values.slice(start, _RUN)))
        np.maximum.at(registers, places, ranks)
