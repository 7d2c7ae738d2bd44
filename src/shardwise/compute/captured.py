"""What functions take along when they are sent to workers: variables around them, defaults, attributes."""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cloudpickle

from shardwise import errors
from shardwise.compute.custom import Aggregate
from shardwise.sizes import format_size


def warn_of_large_captures(program: object, large: int) -> None:
    """Where the functions of a program travel with more than ``large`` bytes, name the largest variable of each one
    that does so alone, or else of all of them."""
    held = _held(program)
    alone = [variables for variables in held if sum(one.size for one in variables) > large]
    for variables in alone:
        _warn(f"{variables[0].owner} takes", variables)
    together = [one for variables in held for one in variables]
    if not alone and sum(one.size for one in together) > large:
        _warn("the functions together take", together)


@dataclass(frozen=True, slots=True)
class _Variable:
    owner: str
    name: str
    size: int


def _warn(who: str, variables: list[_Variable]) -> None:
    largest, total = max(variables, key=lambda one: one.size), sum(one.size for one in variables)
    part = "most" if largest.size * 2 > total else "the largest part"
    whose = "" if who.startswith(largest.owner) else f" of {largest.owner}"
    warnings.warn(
        f"{who} {format_size(total)} along to each worker, {part} of it "
        f"{largest.name!r}{whose} ({format_size(largest.size)}); read that from storage inside the function, or in the "
        "__init__ of a class with __call__, or make it a source of the job",
        errors.LargeClosure,
        stacklevel=3,
    )


def _held(program: object) -> list[list[_Variable]]:
    """Variables that travel with a program, by what holds them. What holds variables itself, and travels with another
    one, is not one of that one's; what two have in common is the first one's."""
    noting, weighing = _Noting(), _Weighing()
    noting.dump(program)
    return [
        [_Variable(_called(holder), name, weighing.weigh(value)) for name, value in _variables(holder)]
        for holder in noting.found
    ]


class _Noting(cloudpickle.Pickler):  # type: ignore[misc]
    """Finds what holds variables, from the outside in; the bytes are only counted."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.size = 0
        super().__init__(self)

    def write(self, data: Any) -> None:
        self.size += memoryview(data).nbytes

    def reducer_override(self, value: Any) -> Any:
        how = super().reducer_override(value)
        return self.met(value, how) if _holds(value, how) else how

    def met(self, value: Any, how: Any) -> Any:
        self.found.append(value)
        return how


class _Weighing(_Noting):
    """Weighs values without what holds variables of its own, and nothing twice, as all share its memo."""

    def weigh(self, value: Any) -> int:
        before = self.size
        with contextlib.suppress(Exception):  # what cannot be pickled alone may well be, inside the function
            self.dump(value)
        return self.size - before

    def met(self, value: Any, how: Any) -> Any:
        return int, ()


def _holds(value: Any, how: Any) -> bool:
    """Whether a value holds variables that travel with it. Functions and classes do where they travel by value."""
    if isinstance(value, (types.FunctionType, type)):
        return how is not NotImplemented and not isinstance(how, str)
    return callable(value) or isinstance(value, Aggregate)


def _called(holder: Any) -> str:
    """What a person calls it."""
    if isinstance(holder, functools.partial):
        return _called(holder.func)
    named = holder if hasattr(holder, "__qualname__") else type(holder)
    return f"the {'class' if isinstance(holder, type) else 'function'} {named.__qualname__}"


def _variables(holder: Any) -> Iterator[tuple[str, Any]]:
    """Names and values that travel with it."""
    if isinstance(holder, types.FunctionType):
        yield from _of_function(holder)
    elif isinstance(holder, type):
        yield from vars(holder).items()
    elif isinstance(holder, functools.partial):
        yield from _of_partial(holder)
    elif isinstance(holder, (types.MethodType, types.BuiltinMethodType)):
        yield from list(_of_object(holder.__self__)) or [("__self__", holder.__self__)]
    else:
        yield from _of_object(holder)


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code, defaults = function.__code__, function.__defaults__ or ()
    for name in dict.fromkeys(_globals(code)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            yield name, cell.cell_contents
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    yield from vars(function).items()


def _globals(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals(constant)


def _of_partial(partial: functools.partial[Any]) -> Iterator[tuple[str, Any]]:
    """Its arguments, by the names of the function's parameters where it tells them."""
    try:
        yield from inspect.signature(partial.func).bind_partial(*partial.args, **partial.keywords).arguments.items()
    except (TypeError, ValueError):
        yield from ((f"argument {number}", value) for number, value in enumerate(partial.args, 1))
        yield from partial.keywords.items()


def _of_object(thing: Any) -> Iterator[tuple[str, Any]]:
    """Attributes that travel, which need not be all that it has."""
    state = None
    with contextlib.suppress(Exception):
        state = thing.__reduce_ex__(5)[2]
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            yield from part.items()
