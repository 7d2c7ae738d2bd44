"""HyperLogLog registers of a column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shardwise.compute.hashing import hash_array
from shardwise.compute.hyperloglog import REGISTERS, register_and_rank

Registers = npt.NDArray[np.uint8]

_RUN = 1 << 14  # values whose hashes stay in the cache


def no_registers() -> Registers:
    """Registers that have seen nothing."""
    return np.zeros(REGISTERS, np.uint8)


def fill(registers: Registers, values: pa.Array) -> None:
    """Show values, none of them null, to registers."""
    for start in range(0, len(values), _RUN):
        places, ranks = register_and_rank(hash_array(values.slice(start, _RUN)))
        np.maximum.at(registers, places, ranks)
