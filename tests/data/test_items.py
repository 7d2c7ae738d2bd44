from __future__ import annotations

from typing import Any

import pytest

from shardwise.data import items
from shardwise.data.items import from_items
from shardwise.errors import InternalError, UsageError


def test_one_item_is_one_batch() -> None:
    source = from_items(k * k for k in range(4))
    assert [(batch.fragment, batch.index, batch.data) for batch in source.read(1, 3)] == [(0, 1, [1]), (0, 2, [4])]
    assert list(source.read(1, 3)) == list(source.read(1, 3))  # drawn once, read as often as wanted


@pytest.mark.parametrize("thing", ["text", b"bytes", 5])
def test_what_is_no_list_is_refused(thing: Any) -> None:
    with pytest.raises(UsageError, match=r"from_items\(\[item\]\)"):
        from_items(thing)


def test_parts() -> None:
    source = from_items("abcdef"[k] for k in range(6))
    part = source.part(2, 5)
    assert part.held == ("c", "d", "e")
    assert list(part.read(3, 5)) == list(source.read(3, 5)) == list(part.part(3, 5).read(3, 5))
    for first, last in ((1, 3), (4, 6)):
        with pytest.raises(InternalError):
            list(part.read(first, last))


def test_more_items_than_a_fragment_has_positions_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MAX_FRAGMENT_BATCHES", 4)
    source = from_items(range(10))
    assert [fragment.batches for fragment in source.fragments] == [4, 4, 2]
    assert [(b.fragment, b.index, b.data[0]) for b in source.read(3, 9)] == [
        (0, 3, 3), (1, 0, 4), (1, 1, 5), (1, 2, 6), (1, 3, 7), (2, 0, 8),
    ]  # fmt: skip
    assert [batch.data[0] for batch in source.part(3, 9).read(4, 9)] == [4, 5, 6, 7, 8]
