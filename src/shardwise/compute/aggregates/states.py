"""States as bytes: the tables in Arrow's IPC format, by name. Equal states are equal bytes."""

from __future__ import annotations

import struct

import pyarrow as pa

from shardwise.compute.aggregates.kernel import State
from shardwise.errors import InternalError

_MARK = b"SWST1"
_HEAD = struct.Struct("<IQ")


def save_state(state: State) -> bytes:
    """Write a state, tables in order of their names."""
    pieces = [_MARK]
    for name in sorted(state):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, state[name].schema) as writer:
            writer.write_table(state[name])
        body, title = sink.getvalue().to_pybytes(), name.encode()
        pieces += [_HEAD.pack(len(title), len(body)), title, body]
    return b"".join(pieces)


def load_state(data: bytes) -> State:
    """Read a state that `save_state` wrote."""
    if data[: len(_MARK)] != _MARK:
        raise InternalError(f"{len(data)} bytes are no state of an aggregation", "run again with --restart")
    state, place = {}, len(_MARK)
    while place < len(data):
        title, body = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        name = data[place : place + title].decode()
        place += title
        state[name] = pa.ipc.open_stream(pa.py_buffer(data[place : place + body])).read_all()
        place += body
    return state
