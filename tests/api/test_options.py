"""Options that say nothing are refused by name, with what would do."""

from __future__ import annotations

from typing import Any

import pytest

import shardwise as sw
from shardwise.errors import UsageError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": "2"}, "workers is '2'"),
        ({"workers": 0}, "workers is 0"),
        ({"retries": -1}, "retries is -1"),
        ({"retries": "many"}, "retries is 'many'"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"ship": "my_module"}, "ship is 'my_module'"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"max_quarantined": 3}, "max_quarantined says nothing"),
        ({"engine": 3}, "engine is of type int, which lends no slots"),
        ({"engine": object()}, "engine is of type object, which lends no slots"),
        ({"worker": 2}, "there is no option 'worker'"),
    ],
)
@pytest.mark.parametrize("ask", ["run", "plan"])
def test_what_makes_no_sense_is_named(ask: str, given: dict[str, Any], words: str) -> None:
    job = sw.from_items([1]).map_items(str).collect()
    with pytest.raises(UsageError, match=words):
        getattr(job, ask)(**given)
