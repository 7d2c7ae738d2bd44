"""Exponents that are built in are found, intervals hold them as often as they say, and doubt is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.plan.power_law import CONFIDENCE, STEEPEST, PowerLaw, fit_power_law, student_t

CASES = 30
SIZES = [1000 * 2**i for i in range(9)]


def law(exponent: float, start: float = 0.0, noise: float = 0.0, seed: int = 0, sizes: list[int] = SIZES) -> PowerLaw:
    """Fit what grows like this. ``start`` is a constant, in units of what grows at the smallest size."""
    n = np.array(sizes, float)
    grown = 1e-3 * ((n / n[0]) ** exponent + start)
    found = fit_power_law(sizes, grown * np.exp(np.random.default_rng(seed).normal(0, noise, len(n))), 0.001)
    assert found is not None
    return found


@settings(max_examples=20)
@given(exponent=st.floats(0.5, 3.0), start=st.floats(0.0, 20.0))
def test_an_exponent_without_noise_is_found_whatever_the_constant(exponent: float, start: float) -> None:
    found = law(exponent, start)
    assert found.exponent == pytest.approx(exponent, abs=0.02)
    assert found.low <= exponent + 1e-3 and found.high >= exponent - 1e-3


@settings(max_examples=20)
@given(exponent=st.floats(0.5, 3.0), start=st.floats(0.0, 5.0), seed=st.integers(0, 1000))
def test_with_noise_it_is_told_right_or_not_at_all(exponent: float, start: float, seed: int) -> None:
    found = law(exponent, start, noise=0.03, seed=seed)
    assert found.low <= found.exponent <= found.high
    assert found.doubt or abs(found.exponent - exponent) < 0.35


@pytest.mark.parametrize("start", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0])
def test_the_interval_holds_the_exponent_as_often_as_it_says(exponent: float, start: float) -> None:
    found = [law(exponent, start, noise=0.05, seed=seed) for seed in range(CASES)]
    held = sum(one.low <= exponent <= one.high for one in found)
    assert held >= CASES * CONFIDENCE - 4, held
    # One that says "anything from 0 to 6" holds everything and helps nobody.
    assert start > 0 or sum(one.high - one.low < 0.4 for one in found) > 0.8 * CASES


def test_an_interval_is_narrower_where_more_is_known() -> None:
    noisy, smooth = (law(2.0, noise=noise, seed=1) for noise in (0.05, 0.005))
    few = law(2.0, noise=0.05, seed=1, sizes=SIZES[:5])
    assert smooth.high - smooth.low < noisy.high - noisy.low < few.high - few.low


def test_predictions_hold_what_comes() -> None:
    held = 0
    for seed in range(CASES):
        found = law(1.7, 0.5, noise=0.05, seed=seed)
        new = (
            1e-3
            * ((10 * SIZES[-1] / SIZES[0]) ** 1.7 + 0.5)
            * math.exp(np.random.default_rng(seed + 99).normal(0, 0.05))
        )
        estimate = found.at(10 * SIZES[-1])
        held += estimate.low <= new <= estimate.high
    assert held >= CASES * CONFIDENCE - 4, held


@pytest.mark.parametrize("input_bytes", [16, 400, 4000])
def test_a_quadratic_result_beside_a_linear_input_is_quadratic(input_bytes: int) -> None:
    sizes = [512, 1024, 1448, 2048, 2896, 4096, 8192]
    found = fit_power_law(sizes, [8.0 * n * n + input_bytes * n + 3e5 for n in sizes], 0.002)
    assert found is not None and not found.doubt
    assert found.exponent == pytest.approx(2.0, abs=0.05)
    assert found.low - 0.02 <= 2.0 <= found.high + 0.02
    estimate, true = found.at(81_920), 8.0 * 81_920**2 + input_bytes * 81_920
    assert estimate.low <= true <= estimate.high


def test_n_log_n_is_a_little_more_than_linear() -> None:
    sizes = [10_000 * 2**i for i in range(8)]
    found = fit_power_law(sizes, [1e-8 * n * math.log2(n) for n in sizes], 0.01)
    assert found is not None and 1.04 < found.exponent < 1.15
    estimate = found.at(10 * sizes[-1])
    assert estimate.low <= 1e-8 * 10 * sizes[-1] * math.log2(10 * sizes[-1]) <= estimate.high


def test_a_start_up_that_hides_the_growth_is_no_small_exponent() -> None:
    found = law(2.0, start=1e7, noise=0.02)
    assert found.doubt
    assert found.high == STEEPEST or "hidden behind a constant" in found.doubt


def test_what_does_not_grow_says_so() -> None:
    assert "did not grow" in law(0.0, noise=0.01).doubt


def test_too_few_sizes_say_nothing() -> None:
    assert fit_power_law([1, 2, 4], [1.0, 2.0, 4.0], 0.01) is None
    assert fit_power_law([1, 1, 2, 4], [1.0, 1.0, 2.0, 4.0], 0.01) is None


@settings(max_examples=20)
@given(exponent=st.floats(0.5, 3.0), most=st.floats(1e-2, 1e3))
def test_the_largest_size_fits_and_one_more_does_not(exponent: float, most: float) -> None:
    found = law(exponent)
    largest = found.largest(most)
    assert largest == 0 or found.best.at(largest) <= most * (1 + 1e-9)
    assert found.best.at(largest + 1) >= most * (1 - 1e-9)


def test_students_t_as_in_tables() -> None:
    tables = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 7: 2.3646, 10: 2.2281, 100: 1.9840}
    for freedom, quantile in tables.items():
        assert student_t(freedom) == pytest.approx(quantile, abs=1e-4)
    assert student_t(3, 0.8) == pytest.approx(1.6377, abs=1e-4)
