"""What takes much along is named, together with what it takes."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from shardwise.compute.custom import Aggregate
from shardwise.compute.packing import LARGE, dump_program
from shardwise.data.loans import Loans
from shardwise.errors import LargeClosure

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as functions of a script or a notebook are


def look_up(table: bytes, x: int, *, other: bytes = b"") -> int:
    return table[x] + len(other)


def closure(size: int) -> Callable[[int], int]:
    small, table = b"x" * 1000, b"x" * size

    def inner(x: int) -> int:
        return table[x] + len(small)

    return inner


def nested(size: int) -> Callable[[int], int]:
    helper, small = closure(size), b"x" * 1000

    def outer(x: int) -> int:
        return helper(x) + len(small)

    return outer


def in_a_list(size: int) -> Callable[[int], list[int]]:
    helpers = [closure(size)]
    return lambda x: [helper(x) for helper in helpers]


def default(size: int) -> Callable[..., int]:
    def inner(x: int, y: int = 3, table: bytes = b"x" * size) -> int:
        return table[x] + y

    return inner


def keyword(size: int) -> Callable[..., int]:
    def inner(x: int, *, table: bytes = b"x" * size) -> int:
        return table[x]

    return inner


def attribute(size: int) -> Callable[[int], int]:
    inner = closure(1)
    inner.table = b"x" * size  # type: ignore[attr-defined]
    return inner


def partial(size: int) -> Callable[[int], int]:
    return functools.partial(look_up, b"x" * size)


def partial_by_keyword(size: int) -> Callable[[int], int]:
    return functools.partial(look_up, b"x", other=b"x" * size)


def partial_of_a_closure(size: int) -> Callable[[], int]:
    return functools.partial(closure(size), 3)


def partial_without_names(size: int) -> Callable[[], object]:
    return functools.partial(max, b"x" * size)


def builtin_method(size: int) -> Callable[[int], int]:
    return (b"x" * size).count


class Model:
    def __init__(self, size: int) -> None:
        self.name = "model"
        self.weights = b"x" * size

    def __call__(self, x: int) -> int:
        return self.weights[x]


class Quiet:
    """Is no function itself."""

    def __init__(self, size: int) -> None:
        self.weights = b"x" * size

    def predict(self, x: int) -> int:
        return self.weights[x]


class Slotted:
    __slots__ = ("weights",)

    def __init__(self, size: int) -> None:
        self.weights = b"x" * size

    def __call__(self, x: int) -> int:
        return self.weights[x]


class Slim(Model):
    """Reads its weights where it is."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "weights": None, "bias": self.weights[:-1]}


class Sum(Aggregate[int]):
    def __init__(self, size: int) -> None:
        self.weights = b"x" * size

    def zero(self) -> int:
        return len(self.weights)

    step = merge = finish = zero  # type: ignore[assignment]


def of_a_class(size: int) -> Callable[[int], int]:
    class Constant:
        table = b"x" * size

        def __call__(self, x: int) -> int:
            return self.table[x]

    return Constant()


CASES: list[tuple[Callable[[int], object], str, str]] = [
    (closure, "function closure.<locals>.inner", "table"),
    (nested, "function closure.<locals>.inner", "table"),
    (in_a_list, "function closure.<locals>.inner", "table"),
    (default, "function default.<locals>.inner", "table"),
    (keyword, "function keyword.<locals>.inner", "table"),
    (attribute, "function closure.<locals>.inner", "table"),
    (partial, "function look_up", "table"),
    (partial_by_keyword, "function look_up", "other"),
    (partial_of_a_closure, "function closure.<locals>.inner", "table"),
    (partial_without_names, "function max", "argument 1"),
    (builtin_method, "function bytes.count", "__self__"),
    (lambda size: Model(size).__call__, "function Model.__call__", "weights"),
    (lambda size: Quiet(size).predict, "function Quiet.predict", "weights"),
    (Model, "function Model", "weights"),
    (Slotted, "function Slotted", "weights"),
    (Slim, "function Slim", "bias"),
    (Sum, "function Sum", "weights"),
    (of_a_class, "class of_a_class.<locals>.Constant", "table"),
]


def told(program: object) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        dump_program(program, Loans("network"))  # type: ignore[arg-type]
    assert {one.category for one in seen} <= {LargeClosure}
    return [str(one.message).partition(";")[0] for one in seen]


@pytest.mark.parametrize(("make", "owner", "name"), CASES, ids=[f"{i}-{case[1][:30]}" for i, case in enumerate(CASES)])
def test_the_largest_variable_is_named_once(make: Callable[[int], object], owner: str, name: str) -> None:
    (message,) = told({"stage": [make(LARGE + 1000)]})
    assert message.startswith(f"the {owner} takes 10.0 MB along to each worker, most of it {name!r} (10.0 MB")


def test_a_variable_that_is_an_object_is_named_and_not_its_parts() -> None:
    model = Quiet(LARGE)
    (message,) = told(lambda x: model.predict(x))
    assert "<lambda> takes 10.0 MB along to each worker, most of it 'model' (10.0 MB" in message


def test_functions_that_are_large_together_name_the_largest_variable_of_all() -> None:
    program = [closure(LARGE * 3 // 5), partial(LARGE * 7 // 10), closure(10)]
    assert told(program) == [
        "the functions together take 13.0 MB along to each worker, most of it 'table' of the function look_up (7.00 MB)"
    ]


def test_nothing_is_called_most_that_is_not() -> None:
    (message,) = told([partial(LARGE // 3) for _ in range(4)])
    assert "the largest part of it 'table' of the function look_up (3.33 MB)" in message


def test_each_function_that_is_large_alone_is_named() -> None:
    assert [message.split()[2] for message in told([partial(LARGE + 1), Model(LARGE + 1)])] == ["look_up", "Model"]


def test_what_two_functions_have_in_common_travels_once() -> None:
    table = b"x" * (LARGE * 3 // 5)
    assert told([functools.partial(look_up, table), lambda x: table[x]]) == []
    larger = b"x" * LARGE
    assert len(told([functools.partial(look_up, larger), lambda x: larger[x]])) == 1


@pytest.mark.parametrize("make", [case[0] for case in CASES], ids=range(len(CASES)))
def test_nothing_is_said_of_what_is_small_or_stays(make: Callable[[int], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dump_program(make(LARGE // 2), Loans("network"))  # type: ignore[arg-type]
        dump_program(make(LARGE + 1), Loans("process"))  # type: ignore[arg-type]
        dump_program([b"x" * (LARGE + 1), make(10)], Loans("host"))  # type: ignore[arg-type]
