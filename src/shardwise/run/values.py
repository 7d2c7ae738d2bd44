"""Digests of Python values by structure.

Pickle's bytes will not do: they depend on which equal objects happen to be the same object, and on the order of sets.
Here a value is digested through its type and parts; objects of classes through what ``__reduce_ex__`` says of them,
part by part. Dictionaries count with their order (a loop over one sees it), sets without.
"""

from __future__ import annotations

import copyreg
import functools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from shardwise.storage.digests import digest

_PLAIN = (type(None), bool, int, complex, str, type(Ellipsis), type(NotImplemented))
_PROTOCOL = 4
_CODE = ("co_name", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_code", "co_consts") + (
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_exceptiontable",
)  # not: file name, line numbers
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_BUILTINS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)


class Digester:
    """Digests values.

    Parameters
    ----------
    refer : callable
        Gives the label of a function, class or module, and None for anything else.
    unreadable : callable
        Told the type of a value that has no structure to look at.
    """

    def __init__(self, refer: Callable[[Any], str | None], unreadable: Callable[[str], None]) -> None:
        self._refer = refer
        self._unreadable = unreadable
        self._path: dict[int, int] = {}
        self._known: dict[int, tuple[str, Any]] = {}  # by id, with the object, so that no other gets its id
        self._cycles = 0

    def digest(self, value: Any) -> str:
        """Digest of a value; the same in every process."""
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            return _of(type(value).__name__, repr(value).encode("utf-8", "surrogatepass"))
        if type(value) is float:
            return _of("float", value.hex().encode())
        label = self._refer(value)
        if label is not None:
            return _of("reference", label.encode())
        if id(value) in self._known:
            return self._known[id(value)][0]
        if id(value) in self._path:  # inside itself: say how many levels up
            self._cycles += 1
            return _of("cycle", str(len(self._path) - self._path[id(value)]).encode())
        cycles = self._cycles
        self._path[id(value)] = len(self._path)
        try:
            found = self._structure(value)
        finally:
            del self._path[id(value)]
        if self._cycles == cycles:  # else the digest depends on where it was met
            self._known[id(value)] = found, value
        return found

    def _structure(self, value: Any) -> str:
        kind = type(value)
        if kind in (bytes, bytearray, memoryview):
            return _of("bytes", bytes(value))
        if kind in (tuple, list):
            return self._sequence(kind.__name__, value)
        if kind in (dict, types.MappingProxyType):
            return self._sequence("dict", [part for item in value.items() for part in item])
        if kind in (set, frozenset):
            return _of("set", "".join(sorted(self.digest(part) for part in value)).encode())
        if kind is types.CodeType:
            return self._sequence("code", [getattr(value, name) for name in _CODE])
        return self._object(value)

    def _sequence(self, kind: str, parts: Iterable[Any]) -> str:
        return _of(kind, "".join(self.digest(part) for part in parts).encode())

    def _object(self, value: Any) -> str:
        if isinstance(value, types.MethodType):
            return self._sequence("method", [value.__func__, value.__self__])
        if isinstance(value, (staticmethod, classmethod)):
            return self._sequence(type(value).__name__, [value.__func__])
        if isinstance(value, property):
            return self._sequence("property", [value.fget, value.fset, value.fdel])
        if isinstance(value, functools.cached_property):
            return self._sequence("property", [value.func])
        if isinstance(value, _SLOTS):
            return _of("slot", value.__name__.encode())
        if isinstance(value, functools._lru_cache_wrapper):
            return self._sequence("cached", [value.__wrapped__])
        if isinstance(value, _BUILTINS):
            return self._builtin(value)
        return self._reduced(value)

    def _builtin(self, value: Any) -> str:
        """Functions of C, also bound to an object."""
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            module = str(getattr(value, "__module__", None) or getattr(value, "__objclass__", type(None)).__module__)
            return self._named(module, value.__qualname__)
        return self._sequence("method", [value.__qualname__, owner])

    def _reduced(self, value: Any) -> str:
        try:
            reduced = self._reduce(value)
        except Exception:
            self._unreadable(f"a {type(value).__module__}.{type(value).__qualname__}")
            return _of("unknown", b"")
        if isinstance(reduced, str):
            return self._named(getattr(value, "__module__", None) or type(value).__module__, reduced)
        make, arguments, *rest = reduced
        items = [list(part) if i in (1, 2) and part is not None else part for i, part in enumerate(rest)]
        return self._sequence("object", [make, arguments, *items])

    def _reduce(self, value: Any) -> Any:
        special = copyreg.dispatch_table.get(type(value))
        return special(value) if special is not None else value.__reduce_ex__(_PROTOCOL)

    def _named(self, module: str, name: str) -> str:
        """Something known by its module and name (``numpy.add``); the module's version counts through ``refer``."""
        found = sys.modules.get(module)
        label = self._refer(found) if found is not None else None
        return _of("named", f"{label or module}.{name}".encode())


def short(value: Any) -> bool | int | float | None:
    """A number that may be shown as it is. Never text: that may be a password."""
    return value if type(value) in (bool, int, float) and abs(value) < 1e18 else None


def _of(kind: str, data: bytes) -> str:
    return digest(kind.encode() + b"\0" + data)
