"""What differs between two jobs, in words."""

from __future__ import annotations

import re
from typing import Any

_DIGEST = re.compile(r"[0-9a-f]{32,128}")
_KEYS = ("path", "name", "file", "url")
_TRANSPARENT = frozenset({"parts", "files"})
_MOST = 12


def difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Say what differs between two JSON documents, one line each, at most twelve.

    Lists of objects that have a ``path`` or ``name`` (files, operations) are compared by it. Digests are not shown.

    Examples
    --------
    >>> difference({"sources": [{"path": "a.csv", "size": 10}]}, {"sources": [{"path": "a.csv", "size": 12}]})
    ['sources a.csv: size 10 -> 12']
    """
    lines = _compare([], old, new)
    if len(lines) > _MOST:
        lines = [*lines[: _MOST - 1], f"... and {len(lines) - _MOST + 1} more"]
    return lines


def _compare(path: list[str], old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return _compare_items(path, old, new)
    if isinstance(old, list) and isinstance(new, list):
        named_old, named_new = _by_name(old), _by_name(new)
        if named_old is not None and named_new is not None:
            reordered = [] if list(named_old) == list(named_new) else [f"{_words(path)}: another order"]
            return _compare_items(path, named_old, named_new) or reordered
        if len(old) == len(new):
            return [line for i, (a, b) in enumerate(zip(old, new)) for line in _compare([*path, f"{i + 1}"], a, b)]
    if old == new and type(old) is type(new):
        return []
    if _is_opaque(old) or _is_opaque(new):
        return [f"{_words(path)} changed"]
    where = f"{_words(path[:-1])}: {path[-1]}" if len(path) > 1 else _words(path)
    return [f"{where} {_show(old)} -> {_show(new)}"]


def _compare_items(path: list[str], old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    lines = []
    for key in [*old, *(k for k in new if k not in old)]:
        inner = path if key in _TRANSPARENT else [*path, str(key)]
        if key not in new:
            lines.append(f"{_words(inner)} is gone")
        elif key not in old:
            lines.append(f"{_words(inner)} is new")
        else:
            lines += _compare(inner, old[key], new[key])
    return lines


def _by_name(entries: list[Any]) -> dict[str, Any] | None:
    """The entries by their name, or None where they have none or share one."""
    found: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, dict):
            name = next((entry[key] for key in _KEYS if isinstance(entry.get(key), str)), None)
        elif isinstance(entry, list) and entry and isinstance(entry[0], str):
            name = entry[0]
        else:
            name = None
        if name is None or name in found:
            return None
        found[name] = entry
    return found


def _is_opaque(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _words(path: list[str]) -> str:
    return " ".join(path) or "the job"


def _show(value: Any) -> str:
    text = repr(value) if not isinstance(value, (dict, list)) else f"{len(value)} entries"
    return text if len(text) <= 60 else f"{text[:57]}..."
