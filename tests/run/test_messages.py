"""Every message comes back from JSON as it was."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.compute import task
from shardwise.engines import protocol
from shardwise.records import from_json, to_json
from shardwise.run import messages


def records_of(module: types.ModuleType) -> list[Any]:
    """Dataclasses that a module defines (not those that it imports)."""
    found = [value for value in vars(module).values() if isinstance(value, type) and dataclasses.is_dataclass(value)]
    return [cls for cls in found if cls.__module__ == module.__name__]


ALL = [cls for module in (messages, task, protocol) for cls in records_of(module)]


def values(hint: Any) -> st.SearchStrategy[Any]:
    """All values of an annotated type that JSON can hold; NaN is left out, being unequal to itself."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(hint, **{f.name: values(hints[f.name]) for f in dataclasses.fields(hint)})
    if origin is types.UnionType:
        return st.one_of([values(arg) for arg in args])
    if origin is tuple and args[1:] == (...,):
        return st.lists(values(args[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, args))
    simple = {
        int: st.integers(),
        float: st.floats(allow_nan=False),
        str: st.text(),
        bytes: st.binary(),
        bool: st.booleans(),
        types.NoneType: st.none(),
    }
    return simple[hint]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_record_comes_back_equal(cls: Any, data: st.DataObject) -> None:
    record = data.draw(values(cls))
    line = to_json(record)
    assert "\n" not in line
    back = from_json(cls, line)
    assert type(back) is cls
    assert back == record


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_a_record_is_frozen_and_slotted(cls: Any) -> None:
    assert cls.__dataclass_params__.frozen
    assert "__slots__" in vars(cls)


def test_all_events_and_commands_are_tested() -> None:
    assert set(typing.get_args(messages.Event)) | set(typing.get_args(messages.Command)) < set(ALL)
    assert set(typing.get_args(protocol.EngineEvent)) < set(ALL)
    assert {"now"} <= {f.name for event in typing.get_args(messages.Event) for f in dataclasses.fields(event)[:1]}
