"""What a function's answers depend on, as JSON: its code and all that it refers to.

The description does not depend on the process, on where a file lies, on line numbers, comments or blank lines. It
changes with a constant, a default, an annotation, a captured value, a global value, a helper function or class at any
depth, the source of an imported module that is not installed, and the versions of Python and of installed libraries.

Functions and classes are parts of their own, referred to by name: so cycles do no harm, and a difference can be told
in words. Values are digested by structure (see ``shardwise.run.values``). What has no structure to look at (locks,
open files, connections) is listed under ``"unknown"``; a job with such a value is never taken from the cache.
"""

from __future__ import annotations

import dis
import platform
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shardwise.run import origin
from shardwise.run.values import Digester, short
from shardwise.storage.digests import digest

_IGNORED = frozenset(
    (
        "__slotnames__",
        "__dict__",
        "__weakref__",
        "__module__",
        "__qualname__",
        "__doc__",
        "__firstlineno__",
        "__static_attributes__",
    )
    + ("_abc_impl", "__annotate__", "__annotate_func__", "__annotations_cache__")
)
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


def describe_code(function: Callable[..., Any] | type) -> dict[str, Any]:
    """Describe all that the answers of a function depend on.

    Parameters
    ----------
    function : callable or class
        A function, lambda, bound method, ``functools.partial``, built-in, class, or an object with ``__call__``.

    Returns
    -------
    dict
        ``name``; ``parts``, from words (``function clean``, ``value LIMIT of clean``) to digests or small numbers;
        ``libraries``, from names to versions; ``unknown``, what cannot be compared.

    Examples
    --------
    >>> describe_code(lambda x: x + 1)["parts"] == describe_code(lambda x: x + 2)["parts"]
    False
    """
    return _Description().of(function)


class _Description:
    """Collects parts until nothing new is referred to."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}
        self._libraries: dict[str, str] = {"python": ".".join(platform.python_version_tuple()[:2])}
        self._unknown: list[str] = []
        self._labels: dict[int, tuple[str, Any]] = {}  # by id, with the object, so that no other gets its id
        self._taken: set[str] = set()
        self._queue: list[tuple[str, Any]] = []

    def of(self, function: Any) -> dict[str, Any]:
        digested = self._digest(function, "the function")
        name = getattr(function, "__qualname__", type(function).__qualname__)
        if not self._queue:
            self._parts[f"value {name}"] = digested
        elif self._queue[0][1] is not function:
            self._parts["value the function"] = digested
        while self._queue:
            label, thing = self._queue.pop(0)
            self._describe(label, thing)
        return {
            "name": name.rpartition(".")[2],
            "parts": self._parts,
            "libraries": dict(sorted(self._libraries.items())),
            "unknown": self._unknown,
        }

    def _describe(self, label: str, thing: Any) -> None:
        if isinstance(thing, types.FunctionType):
            self._describe_function(label, thing)
        elif isinstance(thing, type):
            self._describe_class(label, thing)
        else:
            self._describe_module(label, thing)

    # --- references ------------------------------------------------------------------------------------------------

    def refer(self, thing: Any) -> str | None:
        """The label of a function, class or module; None for a value. Queues it when it is new."""
        if isinstance(thing, types.ModuleType):
            return self._refer_module(thing.__name__.partition(".")[0])
        if not isinstance(thing, (types.FunctionType, type)):
            return None
        module = getattr(thing, "__module__", None) or "builtins"
        if origin.is_library(module):
            self._add_library(module)
            return f"{module}.{thing.__qualname__}"
        kind = "class" if isinstance(thing, type) else "function"
        return self._label(id(thing), f"{kind} {thing.__qualname__.rpartition('<locals>.')[2]}", thing)

    def _refer_module(self, top: str) -> str:
        if origin.is_absent(top):
            return f"module {top} (absent)"
        if origin.is_sourceless(top):
            self._unknown.append(f"module {top} (it has no source)")
        elif not origin.local_files(top):
            self._add_library(top)
        if not origin.local_files(top):
            return f"module {top}"
        return self._label(hash(("module", top)), f"module {top}", top)

    def _label(self, key: int, wanted: str, thing: Any) -> str:
        if key not in self._labels:
            label, number = wanted, 2
            while label in self._taken:
                label, number = f"{wanted} ({number})", number + 1
            self._taken.add(label)
            self._labels[key] = label, thing
            self._queue.append((label, thing))
        return self._labels[key][0]

    def _add_library(self, module: str) -> None:
        top = module.partition(".")[0]
        if not origin.is_standard(top) and top not in ("__main__", "__mp_main__"):
            self._libraries[top] = origin.version(top)

    def _digest(self, value: Any, where: str) -> str:
        return Digester(self.refer, lambda what: self._unknown.append(f"{where} ({what})")).digest(value)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _describe_function(self, label: str, function: types.FunctionType) -> None:
        name = label.partition(" ")[2]
        own = [
            self._digest(function.__code__, name),
            self._digest(function.__defaults__, f"a default of {name}"),
            self._digest(function.__kwdefaults__, f"a default of {name}"),
            self._digest(_annotations(function), f"an annotation of {name}"),
            self._digest(dict(vars(function)), f"an attribute of {name}"),
        ]
        for used, value in _captured(function):
            own.append(f"{used} is {self._note_value(used, name, value)}")
        for used, value in _globals(function.__code__, function.__globals__):
            own.append(f"{used} is {self._note_value(used, name, value)}")
        package = str(function.__globals__.get("__package__") or function.__module__).partition(".")[0]
        own += [self._refer_module(top or package) for top in sorted(origin.imports(function.__code__))]
        self._parts[label] = digest("\n".join(own).encode())

    def _note_value(self, used: str, by: str, value: Any) -> str:
        """The label of what a name means; a value becomes a part of its own, so that a change of it can be told."""
        label = self.refer(value)
        if label is not None:
            return label
        part = f"value {used} of {by}"
        self._parts[part] = short(value) if short(value) is not None else self._digest(value, f"{used} of {by}")
        return part

    def _describe_class(self, label: str, cls: type) -> None:
        name = label.partition(" ")[2]
        own = [self.refer(base) or "" for base in cls.__bases__]
        for attribute in sorted(vars(cls)):
            if attribute not in _IGNORED:
                value = vars(cls)[attribute]
                own.append(f"{attribute} is {self._digest(value, f'{attribute} of {name}')}")
        self._parts[label] = digest("\n".join(own).encode())

    def _describe_module(self, label: str, top: str) -> None:
        own = []
        for file in origin.local_files(top):
            code = _compiled(file)
            own.append(f"{file.name} is {self._digest(code, file.name)}")
            if isinstance(code, types.CodeType):
                own += [self._refer_module(used) for used in sorted(origin.imports(code)) if used not in ("", top)]
        self._parts[label] = digest("\n".join(own).encode())


def _compiled(file: Path) -> types.CodeType | bytes:
    """Code of a source file, which comments do not change; the bytes of any other file."""
    data = file.read_bytes()
    if file.suffix != ".py":
        return data
    try:
        return compile(data, "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return data


def _annotations(function: types.FunctionType) -> dict[str, str]:
    """Annotations as text: they choose what a function receives."""
    return {name: note if isinstance(note, str) else _name(note) for name, note in function.__annotations__.items()}


def _name(note: Any) -> str:
    return note.__qualname__ if isinstance(note, type) else str(note)


def _captured(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not yet assigned
            yield name, None


def _globals(code: types.CodeType, namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names that code, nested functions included, looks up globally, with what they mean; built-ins left out."""
    for name in sorted(_global_names(code)):
        if name in namespace and not origin.is_builtin(name, namespace[name]):
            yield name, namespace[name]


def _global_names(code: types.CodeType) -> set[str]:
    found = {i.argval for i in dis.get_instructions(code) if i.opname in _GLOBALS}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _global_names(constant)
    return found
