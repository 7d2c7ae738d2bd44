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
from typing import Any, TypeVar

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Turn a record, or a value inside one, into what ``json`` can write. Bytes become base64, tuples lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (tuple, list, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def revive(kind: Any, value: Any) -> Any:
    """Turn what ``plain`` gave back into a value of the annotated type ``kind``."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return revive(next(k for k in typing.get_args(kind) if k is not type(None)), value)
    if origin is tuple:
        kinds = typing.get_args(kind)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return tuple(revive(kinds[0], v) for v in value)
        return tuple(revive(k, v) for k, v in zip(kinds, value, strict=True))
    if origin is dict:
        return {k: revive(typing.get_args(kind)[1], v) for k, v in value.items()}
    if kind is bytes:
        return base64.b64decode(value)
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        known = {f.name for f in dataclasses.fields(kind)}
        return typing.cast(Any, kind)(**{k: revive(hints[k], v) for k, v in value.items() if k in known})
    return value


def to_json(record: Any) -> str:
    """Write one record on one line of JSON (keys in field order, no spaces)."""
    return json.dumps(plain(record), ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[T], text: str | bytes) -> T:
    """Read one record of type ``kind``; unknown keys are ignored, so that older code reads newer journals."""
    return typing.cast(T, revive(kind, json.loads(text)))
