from __future__ import annotations

import doctest

import pytest

from shardwise import sizes
from shardwise.errors import UsageError


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(sizes).failed == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("64 MB", 64_000_000), ("64mib", 64 * 2**20), ("0.5K", 500), ("2TB", 2 * 10**12), ("1_000", 1000)],
)
def test_sizes(text: str, size: int) -> None:
    assert sizes.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "4 XB", "-4GB", "0", "0.1", "1e3", "four", "4GB GB", "١"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        sizes.parse_size(text)
    assert "4GB" in caught.value.fix


@pytest.mark.parametrize("text", ["0%", "101%", "2", "-1%", "1 GB", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        sizes.parse_share(text)


@pytest.mark.parametrize("text", ["", "0s", "2 weeks", "m", "1h-2m", "90s!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        sizes.parse_duration(text)


@pytest.mark.parametrize("text", ["1.5", "1.0005k", "", "1KiB", "x"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        sizes.parse_count(text)


@pytest.mark.parametrize("size", [1, 999, 1000, 123_456, 999_499, 999_500, 10**12, 10**18])
def test_a_size_reads_back_within_its_digits(size: int) -> None:
    assert sizes.parse_size(sizes.format_size(size)) == pytest.approx(size, rel=0.006)


def test_durations_carry_over() -> None:
    assert sizes.format_duration(0.9996) == "1.0 s"
    assert sizes.format_duration(59.7) == "1 min 0 s"
    assert sizes.format_duration(90_000) == "1 d 1 h"
