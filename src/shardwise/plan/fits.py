"""Laws of speed-up fitted to measured times, with intervals.

Amdahl's law and the Universal Scalability Law, as times of N workers, are the same sum, and linear in its parts::

    seconds(N) = parallel / N + serial + pairs * (N - 1)

with contention ``serial / (parallel + serial)`` and coherency ``pairs / (parallel + serial)`` of the USL; Amdahl's has
no ``pairs``. Least squares on *relative* errors (noise of a time is a share of it) with all parts at least 0 is so an
exact problem of two or three unknowns (``bounded.py``, which also says where the intervals come from).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shardwise.errors import UsageError
from shardwise.plan.bounded import least_squares
from shardwise.plan.time_law import LEVEL, Estimate, Floats, TimeLaw, basis, halves, peaks, seconds_of

SUPER_LINEAR = 1.05
"""An efficiency above this is more than the noise of a clock."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A law with fitted parameters.

    Attributes
    ----------
    name : str
        ``amdahl`` or ``usl``.
    law : TimeLaw
        The fitted one.
    contention : Estimate
        Of the USL; the serial fraction of Amdahl's.
    coherency : Estimate or None
        Of the USL.
    peak, half : Estimate
        Workers at the peak, and at which efficiency falls under 50 %; infinite: never.
    error : float
        Root mean square of the relative errors at the measured points.
    draws : ndarray, shape (draws, 3)
        Parts (parallel, serial, pairs) as likely as the measurements make them, and not within bounds; empty: nothing
        to tell it from.
    """

    name: str
    law: TimeLaw
    one: Estimate
    contention: Estimate
    coherency: Estimate | None
    peak: Estimate
    half: Estimate
    error: float
    draws: Floats = field(repr=False, compare=False)

    def seconds(self, workers: int) -> Estimate:
        """Time of so many workers."""
        return estimate(self.law.seconds(workers), lambda p: seconds_of(p, workers), self.draws)

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        document: dict[str, Any] = {
            "seconds_one": self.one.to_json(),
            "contention" if self.name == "usl" else "serial": self.contention.to_json(),
        }
        if self.coherency is not None:
            document["coherency"] = self.coherency.to_json()
            document["peak"] = self.peak.to_json()
        return document | {"half": self.half.to_json(), "error": self.error}


@dataclass(frozen=True, slots=True)
class Fits:
    """Both laws fitted to the same measurements; None where they do not tell it. ``remarks`` say what to know of it."""

    amdahl: Fit | None
    usl: Fit | None
    remarks: tuple[str, ...] = ()

    @property
    def best(self) -> Fit | None:
        """The one to count on: the USL where its coherency is surely more than 0, else Amdahl's."""
        found = self.usl
        if found is not None and found.coherency is not None and (found.coherency.low or 0.0) > 0:
            return found
        return self.amdahl

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "amdahl": None if self.amdahl is None else self.amdahl.to_json(),
            "usl": None if self.usl is None else self.usl.to_json(),
            "level": LEVEL,
            "remarks": list(self.remarks),
        }


def fit_laws(workers: Sequence[int], seconds: Sequence[float]) -> Fits:
    """Fit Amdahl's law and the USL to measured times.

    Parameters
    ----------
    workers : sequence of int
        How many worked, of each measurement; repeats are several measurements with the same number.
    seconds : sequence of float
        How long it took.

    Returns
    -------
    Fits
        With a law missing, and the reason in ``remarks``, where there are too few different numbers of workers.

    Raises
    ------
    UsageError
        There is nothing, or a number that cannot have been measured.

    References
    ----------
    G. M. Amdahl, 1967; N. J. Gunther, 1993 (see ``laws``).

    Examples
    --------
    >>> fits = fit_laws([1, 2, 4, 8], [10.0, 6.0, 4.0, 3.0])
    >>> round(fits.amdahl.contention.value, 6), fits.amdahl.half.value
    (0.2, 7.0)
    """
    counts, times = _checked(workers, seconds)
    different = sorted(set(counts.tolist()))
    if len(different) < 2:
        what = f"all measurements are with {_workers(different[0])}"
        return Fits(None, None, (f"{what}: a law needs at least two numbers of workers",))
    amdahl = _fit("amdahl", counts, times, 2)
    usl = _fit("usl", counts, times, 3) if len(different) > 2 else None
    return Fits(amdahl, usl, tuple(_remarks(counts, times, different, amdahl, usl)))


def _checked(workers: Sequence[int], seconds: Sequence[float]) -> tuple[Floats, Floats]:
    if len(workers) != len(seconds) or not workers:
        what = f"{len(workers)} numbers of workers and {len(seconds)} times are no measurements"
        raise UsageError(what, "give one time for each")
    for count, time in zip(workers, seconds):
        if not (count >= 1 and math.isfinite(time) and time > 0):
            raise UsageError(
                f"{time:g} s with {count:g} workers cannot be measured", "give times above 0, workers from 1"
            )
    return np.array(workers, float), np.array(seconds, float)


# --- the problem -----------------------------------------------------------------------------------------------------


def _fit(name: str, counts: Floats, times: Floats, unknowns: int) -> Fit | None:
    """Least squares on relative errors; None where no time of one worker comes of it."""
    typical = _typical(counts, times)
    rows, wanted = basis(counts)[:, :unknowns] / typical[:, None], times / typical
    parts, draws = least_squares(rows, wanted)
    law = TimeLaw(*(float(part) for part in parts))
    if law.one <= 0:
        return None
    error = math.sqrt(float(np.mean((rows @ parts - wanted) ** 2)))
    draws = np.column_stack([draws, np.zeros((len(draws), 3 - unknowns))])
    return _described(name, law, draws[draws[:, :2].sum(axis=1) > 0], error)


def _typical(counts: Floats, times: Floats) -> Floats:
    """The mean time with as many workers, for each measurement."""
    return np.array([times[counts == count].mean() for count in counts])


def _described(name: str, law: TimeLaw, draws: Floats, error: float) -> Fit:
    def told(value: float, of: Callable[[Floats], Floats]) -> Estimate:
        return estimate(value, of, draws)

    def one(parts: Floats) -> Floats:
        return parts[:, 0] + parts[:, 1]

    coherency = told(law.coherency, lambda p: np.maximum(0, p[:, 2] / one(p))) if name == "usl" else None
    return Fit(
        name,
        law,
        told(law.one, one),
        told(law.contention, lambda p: np.clip(p[:, 1] / one(p), 0, 1)),
        coherency,
        told(_or_never(law.peak), lambda p: np.maximum(1, np.round(peaks(p)))),
        told(_or_never(law.half), lambda p: np.floor(halves(p)) + 1),
        error,
        draws,
    )


def estimate(value: float, of: Callable[[Floats], Floats], draws: Floats) -> Estimate:
    """A value that was computed from the parts of a law, with its interval: ``of`` computes it from rows of parts."""
    if not len(draws):
        return Estimate(value)
    found = np.sort(of(draws))  # no value between a number and "never" is made up
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = (float(found[round(end * (len(found) - 1))]) for end in ends)
    return Estimate(value, min(value, low), max(value, high))


# --- what to know of it ----------------------------------------------------------------------------------------------


def _remarks(counts: Floats, times: Floats, different: list[float], amdahl: Fit | None, usl: Fit | None) -> list[str]:
    said = []
    if len(different) == 2:
        said.append(
            "two numbers of workers fit two parameters: coherency cannot be told from contention; measure with four"
        )
    elif len(different) == 3:
        said.append(
            "three numbers of workers fit three parameters whatever they are: coherency is told from contention only "
            "as far as the law is right; measure with a fourth"
        )
    if amdahl is not None and not len(amdahl.draws):
        said.append("as many parameters as measurements: there are no intervals; measure more often")
    if usl is None and len(different) > 2:
        said.append("the USL does not fit: no time of one worker comes of it")
    if 1 not in different:
        return [*said, "nothing was measured with one worker: its time is what the law says it is"]
    return [*said, *_odd(counts, times)]


def _odd(counts: Floats, times: Floats) -> list[str]:
    """What no law here allows, where even the least favourable measurements say it."""
    alone, several = times[counts == 1], sorted(set(counts[counts > 1].tolist()))
    speed_ups = {count: float(alone.min() / times[counts == count].max()) for count in several}
    over = [count for count, speed_up in speed_ups.items() if speed_up > SUPER_LINEAR * count]
    if over:
        most = max(over, key=lambda count: speed_ups[count] / count)
        return [
            f"super-linear: {_workers(most)} were {speed_ups[most]:.3g} x faster than one, which no law here allows; "
            "each had more cache or memory than the one alone, or the one was disturbed"
        ]
    if alone.max() <= times[counts > 1].min():
        return ["no number of workers was faster than one"]
    return []


def _workers(count: float) -> str:
    return "1 worker" if count == 1 else f"{count:g} workers"


def _or_never(count: int | None) -> float:
    return math.inf if count is None else float(count)
