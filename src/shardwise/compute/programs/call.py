"""The program of an executor: calls functions on arguments, whatever they are."""

from __future__ import annotations

import json
import pickle
import types
from typing import Any

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
        order = _read(attempt.spec.inputs[0].data or b"")
        for key in order.forget:
            self._kept.pop(key, None)
        files = {need.key: need.path for need in order.needs if need.path}
        self._kept.update({need.key: need.data for need in order.needs if need.data is not None})

        def buffer(key: str) -> memoryview:
            kept = self._kept.get(key)
            return memoryview(bytearray(kept)) if isinstance(kept, bytes) else map_file(files[key])

        function = self._function(order.function)
        given = unpack(map_file(order.call.path) if order.call.data is None else order.call.data, buffer)
        if order.each:
            return [function(*arguments) for arguments in given]
        arguments, named = given
        return function(*arguments, **named)

    def _function(self, key: str) -> Any:
        kept = self._kept[key]
        if not isinstance(kept, bytes):
            return kept
        function = pickle.loads(kept)
        if isinstance(function, types.FunctionType):
            self._kept[key] = function
        return function


def write_order(order: Order) -> bytes:
    """The message that stands for an order: a line of JSON, then the bytes of what has no path."""
    pieces = (*order.needs, order.call)
    head = [order.each, order.function, order.forget, [[piece.key, piece.size, piece.path] for piece in pieces]]
    brought = (piece.data or b"" for piece in pieces if not piece.path)
    return b"".join((json.dumps(head).encode(), b"\n", *brought))


def _read(message: bytes) -> Order:
    start = message.index(b"\n") + 1
    each, function, forget, told = json.loads(message[:start])
    pieces = []
    for key, size, path in told:
        data = None if path else message[start : start + size]
        pieces.append(Shared(key, size, data, path))
        start += len(data or b"")
    return Order(each, function, pieces.pop(), tuple(pieces), tuple(forget))
