"""Narrowing as arithmetic: which rows are found, in how many calls, in how many deaths."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shardwise.compute.narrowing import MOST_BAD_ROWS, cut, narrow, search

bad_rows = st.integers(1, 5000).flatmap(
    lambda rows: st.tuples(st.just(rows), st.sets(st.integers(0, rows - 1), min_size=1, max_size=20))
)


class Dead(Exception):
    """The worker, on rows [first, last)."""


@given(bad_rows)
def test_exactly_the_rows_that_fail_alone_are_found(case: tuple[int, set[int]]) -> None:
    rows, bad = case
    calls = 0

    def probe(first: int, last: int) -> str | None:
        nonlocal calls
        calls += 1
        found = [row for row in bad if first <= row < last]
        return f"{min(found)}" if found else None

    assert narrow(rows, "all", probe) == ({row: f"{row}" for row in sorted(bad)} if rows > 1 else {0: "all"})
    assert calls <= 2 * len(bad) * rows.bit_length()


@given(st.integers(2, 300), st.data())
def test_rows_that_fail_only_together_are_not_bad(rows: int, data: st.DataObject) -> None:
    one = data.draw(st.integers(0, rows - 2))
    two = data.draw(st.integers(one + 1, rows - 1))
    assert narrow(rows, "bad", lambda a, b: "bad" if a <= one and two < b else None) == {}


def test_beyond_a_hundred_bad_rows_there_is_no_list() -> None:
    every = MOST_BAD_ROWS * 2
    assert narrow(every, "bad", lambda a, b: "bad") is None
    assert narrow(MOST_BAD_ROWS + 1, "bad", lambda a, b: "bad") is None
    assert len(narrow(MOST_BAD_ROWS, "bad", lambda a, b: "bad") or {}) == MOST_BAD_ROWS


@given(st.integers(1, 2_000_000), st.integers(0, 1000))
def test_parts_of_a_fatal_run_cover_it_and_are_never_all_of_it(rows: int, first: int) -> None:
    parts = list(cut(first, first + rows, exact=False))
    assert [parts[0][0], parts[-1][1]] == [first, first + rows]
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert rows == 1 or max(b - a for a, b in parts) < rows


def deaths(rows: int, fatal: set[int], raising: set[int], exact: bool) -> tuple[set[int], int]:
    """Play driver and workers: each life begins with what the last deaths told; returns bad rows and deaths."""
    found: list[tuple[int, int]] = [(0, rows)] if fatal else []
    told: set[tuple[int, int]] = set(found)
    for _ in range(1000):
        single = {a for a, b in found if b - a == 1}

        def probe(first: int, last: int, single: set[int] = single) -> str | None:
            for row in range(first, last):
                if row in single:
                    continue
                if row in fatal:
                    raise Dead(row, row + 1) if exact else Dead(first, last)
                if row in raising:
                    return "raised"
            return None

        first, last = found[-1] if found else (0, 0)
        begin = last if last - first == 1 else first
        try:
            search(rows, begin, last, exact, probe)
        except Dead as dead:
            assert dead.args not in told, "a call on rows that are known to kill"
            told.add(dead.args)
            found.append(dead.args)
            continue
        return single, len(found)
    raise AssertionError("no end")


@given(
    st.integers(1, 4000).flatmap(
        lambda rows: st.tuples(
            st.just(rows),
            st.sets(st.integers(0, rows - 1), min_size=1, max_size=8),
            st.sets(st.integers(0, rows - 1), max_size=8),
        )
    ),
    st.booleans(),
)
def test_all_rows_that_kill_are_found_one_death_after_the_other(
    case: tuple[int, set[int], set[int]], exact: bool
) -> None:
    rows, fatal, raising = case
    if rows == 1:
        return
    found, died = deaths(rows, fatal, raising - fatal, exact)
    assert found == fatal
    if not raising:
        assert died <= 1 + (1 if exact else 3) * len(fatal)


def test_one_row_of_a_million_costs_three_deaths() -> None:
    assert deaths(1 << 20, {777_777}, set(), exact=False) == ({777_777}, 3)
