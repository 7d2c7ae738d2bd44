"""Engines by URL."""

from __future__ import annotations

import importlib.metadata

import pytest

from shardwise.engines import registry
from shardwise.engines.inline import InlineEngine
from shardwise.engines.local import LocalEngine
from shardwise.engines.registry import engine_room, known_engines, make_engine, parse_engine
from shardwise.engines.room import Room
from shardwise.errors import EngineError, UsageError


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("inline", ("inline", "")),
        ("local:4", ("local", "4")),
        (" local ", ("local", "")),
        ("ray://head:10001", ("ray", "//head:10001")),
        ("simulated:1000", ("simulated", "1000")),
    ],
)
def test_parse(url: str, parts: tuple[str, str]) -> None:
    assert parse_engine(url) == parts


def test_built_in_engines() -> None:
    assert isinstance(make_engine("inline"), InlineEngine)
    assert isinstance(make_engine("local"), LocalEngine)
    engine = make_engine("local:4")
    assert isinstance(engine, LocalEngine)
    assert engine.workers == 4
    assert {"inline", "local"} <= set(known_engines())


@pytest.mark.parametrize(
    "url", ["local:0", "local:-1", "local:many", "local:1.5", "local://host", "inline:2", "local:²"]
)
def test_arguments_that_make_no_sense(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_engine(url)
    assert caught.value.fix


class Asked:
    """An engine that says what it has."""

    name = "asked"

    def __init__(self, slots: int | None) -> None:
        self.slots = slots

    def room(self) -> Room | None:
        if self.slots is None:
            raise EngineError("nobody answers")
        return Room(self.slots, 1, self.slots)


def test_how_much_room_there_is() -> None:
    assert engine_room(Asked(7)) == 7  # type: ignore[arg-type]
    assert engine_room(Asked(0)) is None  # type: ignore[arg-type]  # no worker has joined yet
    assert engine_room(Asked(None)) is None  # type: ignore[arg-type]  # opening it will say why
    assert engine_room("local:3") is None


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        make_engine("locl:4")
    assert "'locl:4'" in caught.value.message
    assert "did you mean 'local'?" in caught.value.fix
    assert "inline" in caught.value.fix


def test_an_engine_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("mine", "collections:OrderedDict.fromkeys", registry.GROUP)

    def found(**wanted: str) -> importlib.metadata.EntryPoints:
        return importlib.metadata.EntryPoints([point]).select(**wanted)

    monkeypatch.setattr("importlib.metadata.entry_points", found)
    assert make_engine("mine:ab") == {"a": None, "b": None}
    assert "mine" in known_engines()
