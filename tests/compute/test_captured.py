"""A function that takes much along is named, together with what it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest

from shardwise.compute.packing import LARGE, dump_program
from shardwise.data.loans import Loans
from shardwise.errors import LargeClosure


def closure(size: int) -> Callable[[int], int]:
    small, table = b"x" * 1000, b"x" * size

    def look_up(x: int) -> int:
        return table[x] + len(small)

    return look_up


class Model:
    def __init__(self, size: int) -> None:
        self.name = "model"
        self.weights = b"x" * size

    def __call__(self, x: int) -> int:
        return self.weights[x]


@pytest.mark.parametrize(("make", "name"), [(closure, "table"), (Model, "weights")])
def test_the_largest_variable_is_named(make: Callable[[int], object], name: str) -> None:
    with pytest.warns(LargeClosure, match=f"along to each worker, most of it '{name}' \\(.*MB"):
        dump_program({"stage": [make(LARGE + 1)]}, Loans("network"))


@pytest.mark.parametrize("make", [closure, Model])
def test_nothing_is_said_of_what_is_small_or_stays(make: Callable[[int], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dump_program(make(LARGE // 2), Loans("network"))
        dump_program(make(LARGE + 1), Loans("process"))
        dump_program([b"x" * (LARGE + 1), make(10)], Loans("host"))
