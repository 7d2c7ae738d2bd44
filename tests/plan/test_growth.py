"""Growth: what the planned sizes are, what is refused, and that real functions come out as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import shardwise as sw
from shardwise.compute.programs.growth import GrowthProgram, Sample
from shardwise.errors import FunctionError, UsageError, WorkerError
from shardwise.plan.growth import Growth
from shardwise.plan.growth_tries import TooLarge, Tries

GB = 10**9
BASE = 100_000_000


@dataclass
class World:
    """A machine in which time and memory are laws, and a bench in it."""

    seconds: Callable[[int], float] = lambda n: 1e-9 * n**2
    memory: Callable[[int], float] = lambda n: 8 * n**2
    limit: int = 16 * GB
    time: float = 0.0
    held: float = 0.0
    tried: list[int] = field(default_factory=list)

    def clock(self) -> float:
        return self.time

    def measure(self, program: GrowthProgram, size: int) -> Sample:
        self.tried.append(size)
        if program.warm and BASE + self.memory(size) > self.limit:
            raise TooLarge("a worker was stopped")
        real = GrowthProgram(self.call, self.make, program.warm, program.repeats, program.enough, self.clock, self)
        return real.measure(size) if program.warm else real.pilot(self.limit)

    def make(self, size: int) -> int:
        return size

    def call(self, size: int) -> None:
        self.time += self.seconds(size)
        self.held = self.memory(size)

    def now(self) -> int:
        return BASE

    def forget(self) -> None:
        self.held = 0

    def peak(self) -> int:
        return BASE + round(self.held)

    def tries(self, repeats: int = 3, seconds: float = 1.0) -> Tries:
        return Tries(self, "gram", self.call, self.make, repeats, seconds, self.limit, lambda sample: None)


def test_what_is_measured_is_what_calls_take() -> None:
    world = World()
    found = world.tries().given([1000, 2000, 4000, 8000])
    assert [sample.size for sample in found.samples] == [1000, 2000, 4000, 8000]
    assert found.samples[2].seconds == pytest.approx((0.016,) * 3)
    assert found.samples[2].memory == 8 * 4000**2
    assert found.samples[2].before == BASE
    assert found.time is not None and found.time.exponent == pytest.approx(2.0, abs=0.01)
    assert found.memory is not None and found.memory.exponent == pytest.approx(2.0, abs=0.01)


def test_the_warm_up_does_not_count() -> None:
    world = World()
    world.tries(repeats=2).given([1000, 2000, 4000, 8000])
    assert world.time == pytest.approx(1e-9 * sum(2 * n**2 + 1000**2 for n in (1000, 2000, 4000, 8000)))


def test_one_slow_call_of_three_does_not_count() -> None:
    slowness = iter([1.0] * 12 + [1.0, 1.0, 30.0, 1.0] + [1.0] * 4)  # of 4000; each first call is the warm-up
    found = World(lambda n: next(slowness) * 1e-9 * n**2).tries().given([500, 1000, 2000, 4000, 8000])
    assert found.time is not None and found.time.exponent == pytest.approx(2.0, abs=0.01)


def test_a_size_that_cannot_fit_is_refused_before_it_is_tried() -> None:
    world = World()
    with pytest.raises(UsageError) as refused:
        world.tries().given([1000, 2000, 4000, 8000, 100_000])
    assert world.tried == [1000, 2000, 4000, 8000]
    assert "80.1 GB (74.6 GiB)" in refused.value.message  # 74.5 GiB and what the process holds anyway
    assert "16.0 GB" in refused.value.message
    largest = int((world.limit - BASE) ** 0.5 / 8**0.5)
    assert f"about {largest:,}" in refused.value.message and f"up to {largest:,}" in refused.value.fix


def test_two_sizes_are_enough_to_refuse_the_third() -> None:
    world = World()
    with pytest.raises(UsageError, match="would need at least 80"):
        world.tries().given([1000, 2000, 100_000, 200_000])
    assert world.tried == [1000, 2000]


@pytest.mark.parametrize(
    "sizes", [[200, 400, 800, 1600], [100, 200, 300, 400, 500], [500, 700, 1000], [1000, 2000, 4000]]
)
def test_without_a_law_a_refusal_promises_neither_too_much_nor_that_it_knows(sizes: list[int]) -> None:
    """A product X @ X.T: what is beside its square makes few sizes look as if it grew more slowly."""

    def needs(n: int) -> float:
        return 8.0 * n**2 + 400.0 * n + 100_000

    samples = tuple(Sample(n, (1e-3,), round(needs(n)), BASE) for n in sizes)
    found = Growth("gram", samples, 18 * GB)
    assert found.memory is None or found.memory.doubt
    with pytest.raises(UsageError) as refused:
        found.refuse_if_too_large(100_000)
    told = re.search(r"at least ([\d.]+) GB .* fits is about ([\d,]+)$", refused.value.message)
    assert told is not None, refused.value.message
    assert float(told[1]) * GB <= needs(100_000) + BASE
    offered = int(told[2].replace(",", ""))
    assert 0.7 * 18 * GB < needs(offered) + BASE <= 18 * GB
    found.refuse_if_too_large(offered)


def test_a_first_size_that_does_not_fit_ends_nobody_else() -> None:
    with pytest.raises(UsageError, match="was stopped"):
        World().tries().given([100_000, 200_000, 300_000, 400_000])


def test_ten_times_the_data() -> None:
    found = World().tries().given([1000, 2000, 4000, 8000, 10_000])
    cost = found.at(100_000)
    assert cost.seconds is not None and cost.seconds.low < 10.0 < cost.seconds.high
    assert cost.seconds.value == pytest.approx(10.0, rel=0.02)
    assert cost.memory is not None and cost.memory.value == pytest.approx(8e10 + BASE, rel=0.01)
    assert cost.fits is False
    assert "more than the 16.0 GB" in found.lines()[3] and "largest that fits" in found.lines()[4]
    assert World(memory=lambda n: 8.0 * n).tries().given([10**6, 2 * 10**6, 4 * 10**6, 8 * 10**6]).at(10**8).fits


def test_inputs_that_take_long_to_make_bound_the_sizes() -> None:
    world = World(lambda n: 1e-6 * n, lambda n: 100.0 * n)

    def slow(size: int) -> int:
        world.time += 1e-4 * size
        return size

    world.make = slow  # type: ignore[method-assign]
    found = world.tries().chosen()
    assert max(sample.making for sample in found.samples) < 4.0
    assert world.time < 200


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_sizes_that_are_chosen_tell(exponent: float) -> None:
    world = World(lambda n: 1e-3 + 1e-8 * n**exponent, lambda n: 100.0 * n)
    found = world.tries().chosen()
    assert found.time is not None and found.time.low <= exponent <= found.time.high and not found.time.doubt
    assert len(found.samples) >= 8
    assert world.seconds(max(world.tried)) < 10 * 2**exponent  # no call takes much longer than was asked for


def test_a_first_call_that_imports_does_not_choose_the_sizes() -> None:
    imported: list[int] = []

    def seconds(size: int) -> float:
        extra = 0.0 if imported else 1.0
        imported.append(size)
        return extra + 1e-6 * size

    world = World(seconds, lambda n: 100.0 * n)
    found = world.tries().chosen()
    assert found.samples[0].size == 2048  # the first to take 2 ms


def test_a_function_that_takes_no_small_inputs_says_which_are_tried() -> None:
    def wants_many(n: int) -> None:
        if n < 1000:
            raise ValueError("too few")

    with pytest.raises(FunctionError, match="too few") as caught:
        sw.growth(wants_many, int)
    assert "chosen from 64 up" in caught.value.fix


def test_sizes_that_are_chosen_stop_at_half_of_the_memory() -> None:
    world = World(lambda n: 1e-7 * n, lambda n: 1e5 * n)
    world.tries().chosen()
    assert BASE + world.memory(max(world.tried)) <= world.limit / 2 * 1.01


def test_what_is_too_short_or_too_little_to_measure_is_not_told() -> None:
    found = World(lambda n: 1e-6, lambda n: 1000.0).tries().given([1000, 2000, 4000, 8000])
    assert found.time is None and found.memory is None and found.largest is None
    assert found.at(10**9).fits is None
    text = "\n".join(found.lines())
    assert text.count("cannot be told") >= 4 and "0.2 ms" in text
    assert found.to_dict()["time"]["exponent"] is None


def test_noise_that_hides_the_exponent_is_not_told() -> None:
    noise = iter([1.0, 3.0, 0.4, 2.5, 0.5, 4.0] * 9)
    found = World(lambda n: 1e-3 * next(noise)).tries(repeats=1).given([1000, 1100, 1200, 1300, 1400])
    assert found.time is not None and found.time.doubt
    assert found.at(14_000).seconds is None
    assert "cannot be told" in found.lines()[1]


def test_fewer_than_four_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 4") as refused:
        World().tries().given([1, 2, 2, 3])
    assert "1000..64000:x2" in refused.value.fix
    with pytest.raises(UsageError):
        World().tries().given([0, 1, 2, 3])


def test_all_of_it_as_json() -> None:
    import json

    found = World().tries().given([1000, 2000, 4000, 8000])
    told = json.loads(json.dumps(found.to_dict()))
    assert told["time"]["exponent"] == pytest.approx(2.0, abs=0.01)
    assert told["ten_times"]["size"] == 80_000 and told["ten_times"]["fits"] is False
    assert [sample["size"] for sample in told["samples"]] == [1000, 2000, 4000, 8000]


# --- real workers ----------------------------------------------------------------------------------------------------


def make_matrix(rows: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).normal(size=(rows, 32))


def gram(x: Any) -> Any:
    return x @ x.T


@pytest.fixture(scope="module")
def real_gram() -> Growth:
    return sw.growth(gram, make_matrix, [1000, 1400, 2000, 2800, 4000], repeats=3)


def test_the_memory_of_a_gram_matrix_is_quadratic(real_gram: Growth) -> None:
    memory = real_gram.memory
    assert memory is not None and not memory.doubt
    assert memory.exponent == pytest.approx(2.0, abs=0.1)
    assert 1.8 <= memory.low <= 2.0 <= memory.high + 0.05
    for sample in real_gram.samples:  # the result, and little besides
        assert 0.95 * 8 * sample.size**2 < sample.memory < 1.3 * 8 * sample.size**2 + 10_000_000


def test_one_of_100_000_rows_is_refused_with_its_bytes(real_gram: Growth) -> None:
    with pytest.raises(UsageError) as refused:
        Growth(real_gram.name, real_gram.samples, 16 * GB).refuse_if_too_large(100_000)
    told = float(refused.value.message.partition("(")[2].partition(" GiB")[0])
    assert told == pytest.approx(74.5, rel=0.1)
    assert "largest that fits is about 4" in refused.value.message  # 44 700


def test_a_call_that_outgrows_its_memory_ends_its_worker_only() -> None:
    def hoard(n: int) -> int:
        return len([b"x" * ((10 << 20) + i) for i in range(n)])

    with pytest.raises(UsageError, match="was stopped"):
        sw.growth(hoard, int, [40_000, 40_001, 40_002, 40_003], memory="400MB", repeats=1)


def test_an_error_of_the_function_names_the_size() -> None:
    def fails(n: int) -> float:
        return 1 / (n - 2000)

    with pytest.raises(FunctionError, match=r"fails of 2,000 failed: .*ZeroDivisionError"):
        sw.growth(fails, int, [1000, 2000, 4000, 8000])


def test_a_function_that_ends_its_process() -> None:
    def ends(n: int) -> None:
        import os

        os._exit(3)

    with pytest.raises(WorkerError, match="exit status 3"):
        sw.growth(ends, int, [1, 2, 3, 4])


def test_native_threads_are_as_many_as_asked_for() -> None:
    def check(n: int) -> None:
        import os

        if os.environ["OMP_NUM_THREADS"] != "3":
            raise ValueError(os.environ["OMP_NUM_THREADS"])

    sw.growth(check, int, [1, 2, 3, 4], threads=3, repeats=1)


def test_a_generator_is_refused() -> None:
    with pytest.raises(UsageError, match="computed nothing"):
        sw.growth(lambda n: (i for i in range(n)), int, [1, 2, 3, 4])


def test_an_input_that_a_call_changes_is_made_anew() -> None:
    def sort_in_place(items: list[int]) -> None:
        assert items[0] > items[-1], "a call got what another one had sorted"
        items.sort()

    found = sw.growth(sort_in_place, lambda n: list(range(n, 0, -1)), [1000, 2000, 4000, 8000], repeats=3)
    assert all(len(sample.seconds) == 3 for sample in found.samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "repeats is 0"),
        ({"seconds": 0}, "seconds is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"memory": "lots"}, "not a size"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sw.growth(len, list, [1, 2, 3, 4], **options)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="make is of type int"):
        sw.growth(len, 3)  # type: ignore[arg-type]
