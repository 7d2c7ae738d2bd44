from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwise.compute.task import Failure
from shardwise.run.messages import Budgets, SlotLost
from shardwise.run.policies import (
    LONGEST_REST,
    WORKER_BASE,
    allowance,
    backup_after,
    blame,
    ceiling,
    despair,
    elsewhere,
    middle,
    more_shares,
    patience,
    rest,
    shares_for,
)

KINDS = ("exception", "crash", "timeout", "memory", "storage", "engine")


@pytest.mark.parametrize("kind", ["exception", "crash", "timeout", "memory", "storage"])
def test_each_kind_has_its_own_budget(kind: str) -> None:
    budgets = Budgets(**{kind: 99})
    assert allowance(budgets, kind) == 99
    assert [allowance(budgets, other) == 99 for other in KINDS].count(True) == 1


@pytest.mark.parametrize("kind", ["input", "internal", "seconds", "never heard of"])
def test_what_has_no_budget_is_not_tried_again(kind: str) -> None:
    assert allowance(Budgets(seconds=60.0), kind) == 0


def test_the_engine_is_free_of_charge() -> None:
    assert allowance(Budgets(), "engine") is None


@given(st.integers(0, 10_000))
def test_patience_lasts_for_three_restarts_of_the_cluster(slots: int) -> None:
    assert patience(slots) >= max(3 * slots, 12)
    assert patience(slots) <= patience(slots + 1)


@given(st.sampled_from(KINDS), st.integers(1, 10_000), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_rest_is_never_nothing_and_never_for_ever(kind: str, failures: int, task: int, attempt: int) -> None:
    seconds = rest(kind, failures, task, attempt)
    assert 0.05 <= seconds < 1.5 * LONGEST_REST
    assert seconds == rest(kind, failures, task, attempt)


def test_a_rest_doubles_up_to_the_longest() -> None:
    rests = [rest("crash", n, task=3, attempt=5) for n in range(1, 15)]
    assert all(later == min(2 * earlier, rests[-1]) for earlier, later in pairwise(rests))
    assert rests[-1] > 100 * rests[0]


def test_a_store_gets_more_time() -> None:
    assert rest("storage", 1, task=3, attempt=5) == pytest.approx(10 * rest("crash", 1, task=3, attempt=5))


def test_tasks_that_failed_together_do_not_come_back_together() -> None:
    rests = sorted(rest("storage", 1, task=i, attempt=i) for i in range(100))
    gaps = [b - a for a, b in pairwise(rests)]
    assert rests[0] < 0.6
    assert rests[-1] > 1.4
    assert max(gaps) < 0.05


@given(st.dictionaries(st.integers(0, 50), st.sampled_from("abc"), min_size=1), st.integers(0, 50))
def test_elsewhere_is_another_host_if_there_is_one(hosts: dict[int, str], slot: int) -> None:
    host = hosts.get(slot, "a")
    chosen = elsewhere(sorted(hosts.items()), slot, host)
    others = [number for number, at in hosts.items() if at != host]
    assert chosen == min(others or hosts.keys() - {slot} or {slot})


@pytest.mark.parametrize(
    ("kind", "blamed"),
    [("crash", "crash"), ("memory", "memory"), ("killed", "engine"), ("closed", "engine"), ("engine", "engine")],
)
def test_a_lost_slot_is_blamed_on_what_happened(kind: str, blamed: str) -> None:
    lost = SlotLost(1.0, 7, kind, "signal 11")
    assert blame(lost, None).kind == blamed
    assert blame(lost, 2.5).kind == "timeout"
    for failure in (blame(lost, None), blame(lost, 2.5)):
        assert "slot 7: signal 11" in failure.message
        assert failure.fix
        assert failure.code == ("E600" if failure.kind == "engine" else "E400")
    assert "2.5 s" in blame(lost, 2.5).message


def test_despair_gives_the_number_and_the_last_reason() -> None:
    last = Failure("crash", "WorkerError", "the worker died (slot 3: exit code 1)", code="E400")
    failure = despair(13, last)
    assert "13 slots" in failure.message
    assert "exit code 1" in failure.message
    assert (failure.kind, failure.type, failure.code) == ("crash", "WorkerError", "E400")
    assert failure.fix


@given(st.integers(0, 100), st.integers(1, 100), st.integers(1, 9))
def test_a_cut_lies_inside_on_a_unit_and_near_the_middle(first: int, ordinals: int, unit: int) -> None:
    last = first + ordinals
    cut = middle(first, last, unit)
    inside = [at for at in range(first + 1, last) if at % unit == 0]
    assert (cut in inside) if inside else cut is None
    assert cut is None or abs(2 * cut - first - last) <= 2 * unit


@given(st.integers(1, 64), st.integers(WORKER_BASE, 1 << 34))
def test_all_ceilings_together_are_never_more_than_all_shares(slots: int, share: int) -> None:
    for shares in range(1, slots + 1):
        at_work, idle = slots // shares, slots - slots // shares
        spare = min(idle, at_work * (shares - 1))  # workers whose shares were claimed
        others = idle - spare
        assert at_work * ceiling(share, shares) + spare * WORKER_BASE + others * share <= slots * share
        assert more_shares(shares, slots) > shares or shares == slots


@given(st.integers(0, 1 << 36), st.integers(WORKER_BASE, 1 << 32), st.integers(1, 64))
def test_enough_shares_are_enough(used: int, share: int, most: int) -> None:
    shares = shares_for(used, share, most)
    assert 1 <= shares <= most
    assert shares == most or ceiling(share, shares) >= used
    assert shares == 1 or ceiling(share, shares - 1) < used * 1.1


@given(st.lists(st.floats(0.0, 1e6), max_size=20).map(sorted), st.integers(0, 40))
def test_a_backup_comes_late_and_only_where_most_have_finished(seconds: list[float], others: int) -> None:
    median = seconds[len(seconds) // 2] if seconds else 0.0
    after = backup_after(median, len(seconds), len(seconds), len(seconds) + others)
    if len(seconds) >= 3 and others <= len(seconds) / 3:
        assert after is not None
        assert after >= 1.0
        assert after >= median
    else:
        assert after is None
