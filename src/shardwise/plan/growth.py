"""How time and memory of a function grow with its input, as measured, and what more data would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any

from shardwise.compute.programs.growth import Sample
from shardwise.errors import UsageError
from shardwise.plan.power_law import CONFIDENCE, LEAST_POINTS, Curve, Estimate, PowerLaw, fit_power_law, largest_below
from shardwise.sizes import format_brief, format_count, format_size

SHORTEST = 2e-4
"""Seconds below which the clock, interrupts and the first page faults are much of what is measured."""

SMALLEST = 1 << 20
"""Bytes below which pages that libraries touch by the way are much of what is measured."""

TIME_NOISE = 0.01
"""Relative error of a time, at least."""

MEMORY_NOISE = 0.005
"""Relative error of a peak, at least: the kernel counts pages, and not each at once."""

EXPONENT_NOISE = 0.04
"""What noise alone may add to twice an exponent between two sizes: it makes no quadratic growth one of 2.5."""

STEPS = 10
"""How many times more data is answered for unasked."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a size would cost, if it goes on as it began.

    Parameters
    ----------
    size : int
    seconds, memory : Estimate or None
        Bytes include what the process holds anyway. None: it cannot be told.
    limit : int
        Bytes that there are.
    """

    size: int
    seconds: Estimate | None
    memory: Estimate | None
    limit: int

    @property
    def fits(self) -> bool | None:
        """Whether the likeliest memory is at most the limit; None: it cannot be told."""
        return None if self.memory is None else self.memory.value <= self.limit

    def __str__(self) -> str:
        time = "a time that cannot be told" if self.seconds is None else _range(self.seconds, format_brief)
        if self.memory is None:
            return f"{time}, memory that cannot be told"
        room = "" if self.fits else f": more than the {format_size(self.limit)} that there are"
        return f"{time}, {_range(self.memory, format_size)}{room}"


@dataclass(frozen=True)
class Growth:
    """What ``sw.growth`` found: measurements, fitted laws, and what more data would cost.

    Parameters
    ----------
    name : str
        Of the function.
    samples : tuple of Sample
        Measurements, by size.
    limit : int
        Bytes that a call may use.
    """

    name: str
    samples: tuple[Sample, ...]
    limit: int

    @cached_property
    def time(self) -> PowerLaw | None:
        """Seconds of a call over the size; None where too few calls were long enough to be timed."""
        timed = [(sample.size, median(sample.seconds)) for sample in self.samples]
        return _fit([(size, seconds) for size, seconds in timed if seconds >= SHORTEST], TIME_NOISE)

    @cached_property
    def memory(self) -> PowerLaw | None:
        """Bytes of a call, its input included, over the size; None where too few calls used enough."""
        used = [(sample.size, float(sample.memory)) for sample in self.samples if sample.memory >= SMALLEST]
        return _fit(used, MEMORY_NOISE)

    @property
    def base(self) -> int:
        """Bytes that the process holds without an input."""
        return max((sample.before for sample in self.samples), default=0)

    @property
    def largest(self) -> int | None:
        """The largest size that fits in memory; None where memory cannot be told."""
        return None if self.memory is None or self.memory.doubt else self.memory.largest(self.limit - self.base)

    def at(self, size: int) -> Cost:
        """What a call on an input of this size would cost.

        Examples
        --------
        >>> squares = [Sample(n, (1e-9 * n**2,), 8 * n**2, 0) for n in (1000, 2000, 4000, 8000, 16000)]
        >>> cost = Growth("gram", tuple(squares), limit=16_000_000_000).at(100_000)
        >>> round(cost.seconds.value, 3), round(cost.memory.value), cost.fits
        (10.0, 80000000000, False)
        """
        if size < 1:
            raise UsageError(f"the size is {size}", "give a whole number from 1 up")
        seconds = None if self.time is None or self.time.doubt else self.time.at(size)
        memory = None if self.memory is None or self.memory.doubt else _raised(self.memory.at(size), self.base)
        return Cost(size, seconds, memory, self.limit)

    def refuse_if_too_large(self, size: int) -> None:
        """Refuse a size that cannot fit, by what smaller ones took.

        Raises
        ------
        UsageError
            It would need more memory than there is. The message has the bytes, the limit, and the largest that fits.
        """
        if self.memory is not None and not self.memory.doubt:
            projected = self.base + self.memory.at(size).value
            if projected > self.limit:
                raise _too_large(self.name, size, format_bytes(projected), self.limit, self.largest or 0)
        elif (least := self.at_least(size) or 0) > self.limit:
            raise _too_large(self.name, size, f"at least {format_bytes(least)}", self.limit, self._safe())

    def at_least(self, size: int) -> float | None:
        """Bytes that a larger size would need at least, by the last two sizes alone; None where they do not tell.

        A straight line between logarithms: whatever is beside the fastest part, it makes that line flatter.
        """
        line = self._last_two()
        return None if line is None else self.base + line.at(size)

    def _safe(self) -> int:
        """A size that fits although the exponent is not known: it is taken from above, the next multiple of a half."""
        line = self._last_two()
        if line is None:
            return 0
        steeper = max(0.5, math.ceil(2 * line.exponent - EXPONENT_NOISE) / 2)
        return largest_below(replace(line, exponent=steeper), self.limit - self.base)

    def _last_two(self) -> Curve | None:
        """A straight line between logarithms through the last two that used enough memory."""
        used = [(sample.size, sample.memory) for sample in self.samples if sample.memory >= SMALLEST][-2:]
        if len({size for size, _ in used}) < 2:
            return None
        (n, y), (m, z) = used
        return Curve(max(0.0, math.log(z / y) / math.log(m / n)), 0.0, float(z), float(m))

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        costs = [self.at(STEPS * self.samples[-1].size)] if self.samples else []
        return {
            "function": self.name,
            "samples": [
                {"size": s.size, "seconds": list(s.seconds), "memory_bytes": s.memory, "base_bytes": s.before}
                for s in self.samples
            ],
            "time": _law(self.time, "time"),
            "memory": _law(self.memory, "memory"),
            "limit_bytes": self.limit,
            "largest": self.largest,
            "ten_times": next(cost_to_dict(cost) for cost in costs) if costs else None,
        }

    def draw(self, path: str) -> None:
        """Draw time and memory over the size, measured and fitted, and write a chart that ends in .svg or .png.

        Raises
        ------
        MissingExtra
            Matplotlib is not installed.
        """
        from shardwise.plan.growth_chart import draw_growth

        draw_growth(path, self)

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """What it says to a person."""
        if not self.samples:
            return [f"{self.name}: nothing was measured"]
        first, last = self.samples[0].size, self.samples[-1].size
        ten = self.at(STEPS * last)
        lines = [
            f"{self.name}: {len(self.samples)} sizes from {format_count(first)} to {format_count(last)}",
            f"  time    {_told(self.time, 'time')}",
            f"  memory  {_told(self.memory, 'memory')}",
            f"  ten times the data ({format_count(ten.size)}): {ten}",
        ]
        if self.largest is not None and not ten.fits:
            lines.append(f"  the largest that fits in {format_size(self.limit)}: about {format_count(self.largest)}")
        return lines


def _too_large(name: str, size: int, projected: str, limit: int, most: int) -> UsageError:
    smaller = f"the largest that fits is about {format_count(most)}" if most else "no size fits"
    return UsageError(
        f"{name} of {format_count(size)} would need {projected} of memory, and {format_bytes(limit)} are there; "
        f"{smaller}",
        f"give sizes up to {format_count(most)}, or more memory" if most else "give it more memory",
    )


def format_bytes(size: float) -> str:
    """Bytes in powers of 1000 and of 1024, as both are in use.

    Examples
    --------
    >>> format_bytes(8 * 100_000**2)
    '80.0 GB (74.5 GiB)'
    """
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB")):
        if size >= 1024**power:
            return f"{format_size(size)} ({size / 1024**power:.1f} {unit})"
    return format_size(size)


def cost_to_dict(cost: Cost) -> dict[str, Any]:
    """A cost as JSON values."""

    def ends(estimate: Estimate | None, name: str) -> dict[str, float | None]:
        if estimate is None:
            return {name: None, f"{name}_low": None, f"{name}_high": None}
        return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}

    return {"size": cost.size, **ends(cost.seconds, "seconds"), **ends(cost.memory, "memory_bytes"), "fits": cost.fits}


def _fit(points: Sequence[tuple[int, float]], least_noise: float) -> PowerLaw | None:
    return fit_power_law([size for size, _ in points], [value for _, value in points], least_noise)


def _raised(estimate: Estimate, by: float) -> Estimate:
    return Estimate(estimate.value + by, estimate.low + by, estimate.high + by)


def _doubt(law: PowerLaw | None, what: str) -> str:
    if law is not None:
        return law.doubt
    least = f"{SHORTEST * 1000:g} ms" if what == "time" else format_size(SMALLEST)
    return f"fewer than {LEAST_POINTS} sizes took {least} or more: give larger ones"


def _told(law: PowerLaw | None, what: str) -> str:
    doubt = _doubt(law, what)
    if law is None or doubt:
        return f"cannot be told: {doubt}"
    percent = round(100 * CONFIDENCE)
    return f"grows as n^{law.exponent:.2f} ({percent} % sure: {law.low:.2f} to {law.high:.2f}){_beside(law, what)}"


def _beside(law: PowerLaw, what: str) -> str:
    """What is beside the fastest part, where it is worth a word."""
    form = format_brief if what == "time" else format_size
    start = law.best.scale * law.best.start
    if start < 0.02 * law.best.at(law.best.unit):
        return ""
    if law.best.slower:
        return f", beside a part that grows as n^{law.best.slower:g}"
    return f", beside {form(start)} that do not grow"


def _law(law: PowerLaw | None, what: str) -> dict[str, Any]:
    doubt = _doubt(law, what)
    if law is None:
        return {"exponent": None, "low": None, "high": None, "doubt": doubt}
    return {"exponent": None if doubt else law.exponent, "low": law.low, "high": law.high, "doubt": doubt}


def _range(estimate: Estimate, form: Any) -> str:
    return f"about {form(estimate.value)} ({form(estimate.low)} to {form(estimate.high)})"
