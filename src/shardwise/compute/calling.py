"""How calls of functions travel: a function, its arguments and its result as bytes, large buffers beside them.

Pickle (protocol 5, PEP 574) leaves contiguous buffers such as those of arrays out of its stream. A *freight* is a
length, a line of JSON with the sizes of what follows, the stream, and these buffers, each at a multiple of 64. Whoever
unpacks it gets views into it, so a freight in a file becomes arrays without being copied.
"""

from __future__ import annotations

import json
import mmap
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shardwise.compute.failure import failure_of
from shardwise.errors import FunctionError

_LENGTH = struct.Struct("!I")
_ALIGNED = 64


@dataclass(frozen=True, slots=True)
class Shared:
    """Bytes that many calls need, and that travel to each worker once: by value, or as a file of this host.

    Parameters
    ----------
    key : str
        Names them, in one executor.
    size : int
        How many.
    data : bytes, optional
        They themselves.
    path : str
        Where workers of this host find them.
    """

    key: str
    size: int
    data: bytes | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do, on one line before the bytes that are brought along.

    Parameters
    ----------
    each : bool
        The arguments are a list of tuples; the function is called on each.
    function : str
        Key of the function.
    call : Shared
        The arguments.
    needs : tuple of Shared
        Function and buffers that it has not got yet, or that are files.
    forget : tuple of str
        Keys that will not be named again.
    """

    each: bool
    function: str
    call: Shared
    needs: tuple[Shared, ...] = ()
    forget: tuple[str, ...] = ()


Lend = Callable[[memoryview], Shared | None]


def owned(view: memoryview) -> None:
    """How buffers are shared where nobody says: not at all."""


class RemoteTraceback(Exception):
    """Where a function raised, in the worker; the cause of what a future raises."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def pack(value: object, lend: Lend = owned) -> tuple[bytes, tuple[Shared, ...]]:
    """Pickle a value with cloudpickle.

    Parameters
    ----------
    value : object
        Anything that can be pickled.
    lend : callable, optional
        Says of a buffer how it is shared; None: it belongs into the freight.

    Returns
    -------
    bytes, tuple of Shared
        The freight, and what it needs besides.

    Examples
    --------
    >>> unpack(pack({"a": [1, 2]})[0])
    {'a': [1, 2]}
    """
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    stream = cloudpickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffers.append)
    views = [buffer.raw() for buffer in buffers]
    shared = [lend(view) for view in views]
    sizes = [view.nbytes if found is None else found.key for view, found in zip(views, shared, strict=True)]
    head = json.dumps([len(stream), *sizes]).encode()
    parts = [_LENGTH.pack(len(head)), head, stream]
    end = sum(map(len, parts))
    for view, found in zip(views, shared, strict=True):
        if found is None:
            parts += [bytes(-end % _ALIGNED), view]
            end += -end % _ALIGNED + view.nbytes
    return b"".join(parts), tuple({found.key: found for found in shared if found is not None}.values())


def unpack(freight: bytes | memoryview, shared: Callable[[str], memoryview] | None = None) -> Any:
    """The value that was packed; arrays in it can be written to where ``freight`` can, or is bytes.

    Parameters
    ----------
    freight : bytes or memoryview
        From `pack`.
    shared : callable, optional
        Finds buffers by their key.
    """
    (length,) = _LENGTH.unpack_from(freight)
    size, *sizes = json.loads(bytes(freight[_LENGTH.size : _LENGTH.size + length]))
    start = _LENGTH.size + length
    end = start + size
    if not sizes:
        return pickle.loads(freight[start:end])
    whole = memoryview(bytearray(freight)) if isinstance(freight, bytes) else freight
    buffers: list[memoryview] = []
    for known in sizes:
        if isinstance(known, str):
            assert shared is not None
            buffers.append(shared(known))
        else:
            end += -end % _ALIGNED
            buffers.append(whole[end : end + known])
            end += known
    return pickle.loads(whole[start : start + size], buffers=buffers)


def map_file(path: str) -> memoryview:
    """The bytes of a file; what is written to them stays in this process."""
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def pack_error(error: BaseException) -> bytes:
    """What a function raised, with its traceback; as a `FunctionError` where it survives no pickling."""
    failure = failure_of(error)
    try:
        freight, _ = pack((error, failure.traceback))
        if type(unpack(freight)[0]) is type(error):
            return freight
    except Exception:
        pass
    told = FunctionError(
        f"{failure.type}: {failure.message} (the exception itself cannot be pickled)",
        "raise exceptions whose __init__ takes what it hands to super().__init__, and that hold plain values only",
    )
    return pack((told, failure.traceback))[0]


def unpack_error(freight: bytes | memoryview) -> BaseException:
    """What was raised, caused by where."""
    error: BaseException
    error, told = unpack(freight)
    error.__cause__ = RemoteTraceback(told)
    return error
