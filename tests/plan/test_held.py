"""Memory of long tasks, told from what short ones held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shardwise.plan.held import of_worker
from shardwise.plan.sample import Phase, Sample, Tried

MB = 10**6


def projected(weights: tuple[float, ...], held: tuple[int, ...], weight: float, native: bool = True) -> float:
    """In megabytes: what a task of so many would hold, by the first tasks of a sample in this process."""
    tried = tuple(Tried(1.0, one, peak=peak * MB) for one, peak in zip(weights, held, strict=True))
    return of_worker(Sample("inline", 1, (Phase(1, 1.0, tried),), before=175 * MB), weight, native) / MB


def test_a_little_less_held_is_not_much_less_projected() -> None:
    """Real samples of a group-by over NDJSON, whose run held 861 MB: where growth turns from a power of the weight to
    the weight itself, 18 MB made 400."""
    lengths = 0.33, 0.33, 2.66, 45.3
    low, high = (projected(lengths, (201, 205, 234, most), 134.2) for most in (415, 433))
    assert 861 < low < high < 1.1 * low


def test_pools_that_fill_are_foreseen_before_they_are_full() -> None:
    """Sketches over Parquet, whose run held 780 MB."""
    assert 780 < projected((0.18, 0.18, 1.42, 24.35), (213, 217, 249, 439), 124.1) < 2.5 * 780


@given(st.integers(210, 1000), st.integers(0, 10), st.floats(50.0, 400.0))
def test_who_held_more_is_projected_no_less(held: int, more: int, weight: float) -> None:
    lengths = 0.4, 3.0, 45.0
    one, other = (projected(lengths, (200, 205, most), weight, native=False) for most in (held, held + more))
    assert one <= other
