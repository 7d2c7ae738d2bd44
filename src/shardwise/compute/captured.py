"""What a function takes along when it is sent to workers: variables around it, or attributes of what is called."""

from __future__ import annotations

import io
import types
import warnings
from collections.abc import Iterator
from typing import Any

import cloudpickle

from shardwise import errors
from shardwise.data.loans import Loans, lending
from shardwise.sizes import format_size


def warn_of_large_captures(program: object, loans: Loans, large: int) -> None:
    """Name the largest variable of each function of a program that travels with more than ``large`` bytes."""
    with lending(loans):
        for function in _callables(program):
            sizes = {name: _size(value) for name, value in _captures(function).items()}
            if sum(sizes.values()) <= large:
                continue
            name = max(sizes, key=lambda each: sizes[each])
            called = getattr(function, "__qualname__", type(function).__qualname__)
            warnings.warn(
                f"the function {called} takes {format_size(sum(sizes.values()))} along to each worker, most of it "
                f"{name!r} ({format_size(sizes[name])}); read that from storage inside the function, or in the "
                "__init__ of a class with __call__, or make it a source of the job",
                errors.LargeClosure,
                stacklevel=2,
            )


def _callables(program: object) -> list[Any]:
    """Functions, and objects that can be called, that would be pickled by value."""
    pickler = _Noting()
    pickler.dump(program)
    return pickler.found


class _Noting(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.found: list[Any] = []

    def reducer_override(self, value: Any) -> Any:
        how = super().reducer_override(value)
        if isinstance(value, types.FunctionType):
            by_value = how is not NotImplemented and not isinstance(how, str)
        else:
            by_value = callable(value) and not isinstance(value, type) and hasattr(value, "__dict__")
        if by_value:
            self.found.append(value)
        return how


def _captures(function: Any) -> dict[str, Any]:
    """Names and values that travel with it."""
    if not isinstance(function, types.FunctionType):
        return dict(vars(function))
    found = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _size(value: Any) -> int:
    try:
        return len(cloudpickle.dumps(value))
    except Exception:  # what cannot be pickled alone may well be, inside the function
        return 0
