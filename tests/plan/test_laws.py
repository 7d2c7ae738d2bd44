from __future__ import annotations

import doctest
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.errors import UsageError
from shardwise.plan import laws

fractions = st.floats(0, 1)
workers = st.integers(1, 10**6)
several = st.integers(2, 10**4)


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(laws).failed == 0


def test_the_issue_s_example() -> None:
    assert laws.amdahl(0.8, 16) == 4.0
    assert laws.efficiency(4.0, 16) == 0.25
    assert laws.amdahl_limit(0.8) == pytest.approx(5, rel=1e-15)


@settings(deadline=None)
@given(fractions, workers)
def test_amdahl_equals_its_formula_in_rationals(p: float, n: int) -> None:
    exact = 1 / ((1 - Fraction(p)) + Fraction(p) / n)
    assert laws.amdahl(p, n) == pytest.approx(float(exact), rel=1e-9)


@settings(deadline=None)
@given(fractions, workers)
def test_amdahl_lies_between_one_and_its_limits(p: float, n: int) -> None:
    speed_up = laws.amdahl(p, n)
    assert speed_up * (1 + 1e-12) >= 1
    assert speed_up <= min(n, laws.amdahl_limit(p)) * (1 + 1e-12)


@settings(deadline=None)
@given(fractions, workers)
def test_gustafson_is_at_least_amdahl(p: float, n: int) -> None:
    assert laws.gustafson(p, n) >= laws.amdahl(p, n) * (1 - 1e-12)


@settings(deadline=None)
@given(fractions, workers)
def test_usl_without_coherency_is_amdahl(s: float, n: int) -> None:
    assert laws.usl(n, s, 0) == pytest.approx(laws.amdahl(1 - s, n), rel=1e-9)


@settings(deadline=None)
@given(fractions, st.floats(1e-7, 10))
def test_no_number_of_workers_beats_the_peak(s: float, k: float) -> None:
    peak = laws.usl_peak(s, k)
    assert peak is not None
    best = laws.usl_limit(s, k)
    around = {1, 2, peak - 1, peak + 1, peak // 2, peak * 2, peak * 10} - {0, -1}
    assert all(laws.usl(n, s, k) <= best * (1 + 1e-12) for n in around)


def test_usl_peak_at_the_edges() -> None:
    assert laws.usl_peak(0, 0) is None and laws.usl_limit(0, 0) == math.inf
    assert laws.usl_peak(1, 0) == 1 and laws.usl_limit(1, 0) == 1
    assert laws.usl_peak(0, 5) == 1


@settings(deadline=None)
@given(fractions, several)
def test_karp_flatt_inverts_amdahl(p: float, n: int) -> None:
    assert laws.karp_flatt(laws.amdahl(p, n), n) == pytest.approx(1 - p, abs=1e-9)


def test_karp_flatt_of_a_superlinear_speed_up_is_negative() -> None:
    assert laws.karp_flatt(5, 4) < 0
    assert laws.karp_flatt(0.5, 4) > 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: laws.amdahl(1.2, 4),
        lambda: laws.amdahl(-0.1, 4),
        lambda: laws.amdahl(math.nan, 4),
        lambda: laws.amdahl(0.5, 0),
        lambda: laws.gustafson(0.5, -1),
        lambda: laws.usl(4, 2, 0),
        lambda: laws.usl(4, 0.1, -1),
        lambda: laws.usl(4, 0.1, math.inf),
        lambda: laws.karp_flatt(0, 4),
        lambda: laws.karp_flatt(2, 1),
    ],
)
def test_values_out_of_range_are_refused_with_a_fix(call) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.fix
