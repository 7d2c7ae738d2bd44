"""Messages and journal lines as JSON: frozen dataclasses that come back equal.

Imports nothing of ours, so every package may use it.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Turn a record, or a value inside one, into what ``json`` can write. Bytes become base64, tuples lists."""
    kind: Any = type(value)
    if kind in _SIMPLE:
        return value
    if kind is bytes:
        return base64.b64encode(value).decode("ascii")
    if kind is tuple or kind is list or kind is frozenset:
        return [plain(v) for v in value]
    if kind is dict:
        return {k: plain(v) for k, v in value.items()}
    names = _names(kind)
    return value if names is None else {name: plain(getattr(value, name)) for name in names}


_SIMPLE = {str, int, float, bool, type(None)}


@functools.cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """Names of a record's fields; None for what is no record."""
    return tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def revive(kind: Any, value: Any) -> Any:
    """Turn what ``plain`` gave back into a value of the annotated type ``kind``."""
    how = _reviver(kind)
    return value if how is None else how(value)


Reviver = Callable[[Any], Any]


@functools.cache
def _reviver(kind: Any) -> Reviver | None:
    """How values of a type are revived; None: they are as they should be."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(_reviver(next(k for k in typing.get_args(kind) if k is not type(None))))
    if origin is tuple:
        return _tuple_reviver(typing.get_args(kind))
    if origin is dict:
        one = typing.get_args(kind)[1]
        return lambda value: {k: revive(one, v) for k, v in value.items()}
    if kind is bytes:
        return base64.b64decode
    return _record_reviver(kind) if dataclasses.is_dataclass(kind) else None


def _optional(inner: Reviver | None) -> Reviver | None:
    return None if inner is None else lambda value: None if value is None else inner(value)


def _tuple_reviver(kinds: tuple[Any, ...]) -> Reviver:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        inner = _reviver(kinds[0])
        return tuple if inner is None else (lambda value: tuple(map(inner, value)))
    return lambda value: tuple(revive(k, v) for k, v in zip(kinds, value, strict=True))


def _record_reviver(kind: Any) -> Reviver:
    hints = typing.get_type_hints(kind)
    how = {f.name: _reviver(hints[f.name]) for f in dataclasses.fields(kind)}

    def revived(value: dict[str, Any]) -> Any:
        return kind(**{k: v if (inner := how[k]) is None else inner(v) for k, v in value.items() if k in how})

    return revived


def to_json(record: Any) -> str:
    """Write one record on one line of JSON (keys in field order, no spaces)."""
    return json.dumps(plain(record), ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[T], text: str | bytes) -> T:
    """Read one record of type ``kind``; unknown keys are ignored, so that older code reads newer journals."""
    return typing.cast(T, revive(kind, json.loads(text)))
