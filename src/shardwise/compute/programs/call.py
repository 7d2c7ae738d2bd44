"""The program of an executor: calls functions on arguments, whatever they are."""

from __future__ import annotations

import pickle
import types
from typing import Any

from shardwise import records
from shardwise.compute.calling import Order, Shared, map_file, pack, pack_error, unpack
from shardwise.compute.program import CARRIED, Attempt

RETURNED, RAISED = "returned", "raised"


class CallProgram:
    """Calls a function, and gives what it returns or raises. Keeps what its driver says it will name again.

    A plain function is unpickled once. Other callables are for every call, as each call is to find them as they were
    sent, whatever it does to them.
    """

    def __init__(self) -> None:
        self._kept: dict[str, bytes | types.FunctionType] = {}

    def execute(self, attempt: Attempt) -> None:
        """Do what the order says that the attempt's only input is."""
        name = RETURNED
        try:
            freight, _ = pack(self._obey(attempt))
        except BaseException as error:  # of every kind: the future raises it
            name, freight = RAISED, pack_error(error)
        if len(freight) <= CARRIED:
            attempt.give(name, freight)
        elif attempt.spec.root:  # the driver reads files of this host
            with attempt.write(name) as file:
                file.write(freight)
        else:
            for start in range(0, len(freight), CARRIED):
                attempt.give(f"{name}.{start}", freight[start : start + CARRIED])

    def _obey(self, attempt: Attempt) -> Any:
        order, brought = _read(attempt.spec.inputs[0].data or b"")
        for key in order.forget:
            self._kept.pop(key, None)
        files: dict[str, str] = {}
        for need in order.needs:
            if need.path:
                files[need.key] = need.path
            else:
                self._kept[need.key] = brought[need.key]

        def buffer(key: str) -> memoryview:
            kept = self._kept.get(key)
            return memoryview(bytearray(kept)) if isinstance(kept, bytes) else map_file(files[key])

        call = map_file(order.call.path) if order.call.path else brought[order.call.key]
        function = self._function(order.function)
        given = unpack(call, buffer)
        del call, brought  # what the function lets go of is not held here
        if order.each:
            return [function(*arguments) for arguments in given]
        arguments, named = given
        del given
        return function(*arguments, **named)

    def _function(self, key: str) -> Any:
        kept = self._kept[key]
        if not isinstance(kept, bytes):
            return kept
        function = pickle.loads(kept)
        if isinstance(function, types.FunctionType):
            self._kept[key] = function
        return function


def _read(message: bytes) -> tuple[Order, dict[str, bytes]]:
    end = message.index(b"\n")
    order = records.from_json(Order, message[:end])
    brought, start = {}, end + 1
    for piece in (*order.needs, order.call):
        if not piece.path:
            brought[piece.key] = message[start : start + piece.size]
            start += piece.size
    return order, brought


def write_order(order: Order) -> bytes:
    """The message that stands for an order: the bytes of what has no path follow it."""
    pieces = (*order.needs, order.call)
    bare = Order(order.each, order.function, _bare(order.call), tuple(map(_bare, order.needs)), order.forget)
    brought = (piece.data or b"" for piece in pieces if not piece.path)
    return b"".join((records.to_json(bare).encode(), b"\n", *brought))


def _bare(piece: Shared) -> Shared:
    return Shared(piece.key, piece.size, None, piece.path)
