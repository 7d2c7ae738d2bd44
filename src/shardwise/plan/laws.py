"""Laws of speed-up: what N workers can give, and what a measured speed-up says about the program. Pure functions.

A speed-up is (time with one worker) / (time with N workers); an efficiency is speed-up / N. Fractions are 0 to 1.
"""

from __future__ import annotations

import math

from shardwise.errors import UsageError


def amdahl(parallel: float, workers: int) -> float:
    """Speed-up of a fixed amount of work by Amdahl's law: ``1 / ((1 - p) + p / N)``.

    Parameters
    ----------
    parallel : float
        Fraction p of the one-worker time that can be spread over workers, 0 to 1.
    workers : int
        N, at least 1.

    Returns
    -------
    float
        Times faster than one worker.

    Raises
    ------
    UsageError
        A value is out of its range.

    References
    ----------
    G. M. Amdahl, "Validity of the single processor approach to achieving large scale computing capabilities",
    AFIPS Spring Joint Computer Conference, 1967.

    Examples
    --------
    >>> amdahl(0.8, workers=16)
    4.0
    """
    _check_fraction("parallel", parallel)
    _check_workers(workers)
    # The same as in the docstring, times N / N: fewer roundings, so that round inputs give round results.
    return workers / (workers - parallel * (workers - 1))


def amdahl_limit(parallel: float) -> float:
    """Speed-up that no number of workers exceeds by Amdahl's law: ``1 / (1 - p)``; infinite when all is parallel.

    Examples
    --------
    >>> amdahl_limit(0.75)
    4.0
    >>> amdahl_limit(1.0)
    inf
    """
    _check_fraction("parallel", parallel)
    return math.inf if parallel == 1 else 1 / (1 - parallel)


def gustafson(parallel: float, workers: int) -> float:
    """Scaled speed-up by Gustafson's law, where the work grows with the workers: ``(1 - p) + p N``.

    Parameters
    ----------
    parallel : float
        Fraction p of the time *on N workers* that is spent in parallel, 0 to 1 (Amdahl's is of the one-worker time).
    workers : int
        N, at least 1.

    Returns
    -------
    float
        How many times more work is done in the same time than by one worker. It has no limit while p > 0.

    Raises
    ------
    UsageError
        A value is out of its range.

    References
    ----------
    J. L. Gustafson, "Reevaluating Amdahl's law", Communications of the ACM 31(5), 1988.

    Examples
    --------
    >>> gustafson(0.75, workers=64)
    48.25
    """
    _check_fraction("parallel", parallel)
    _check_workers(workers)
    return (1 - parallel) + parallel * workers


def usl(workers: int, contention: float, coherency: float) -> float:
    """Speed-up by the Universal Scalability Law: ``N / (1 + s (N - 1) + k N (N - 1))``.

    Parameters
    ----------
    workers : int
        N, at least 1.
    contention : float
        s, 0 to 1: the share of work that waits its turn for something shared (a disk, a lock, the driver).
        With ``coherency=0`` the law is Amdahl's with a parallel fraction of 1 - s.
    coherency : float
        k, 0 or more: the cost of keeping each pair of workers in agreement. It makes adding workers harmful.

    Returns
    -------
    float
        Times faster than one worker; below 1 where coherency costs more than the workers bring.

    Raises
    ------
    UsageError
        A value is out of its range.

    References
    ----------
    N. J. Gunther, "A simple capacity model of massively parallel transaction systems", CMG National Conference, 1993;
    "Guerrilla Capacity Planning", Springer, 2007.

    Examples
    --------
    >>> usl(1, contention=0.1, coherency=0.01)
    1.0
    >>> round(usl(16, contention=0.1, coherency=0.01), 3)
    3.265
    """
    _check_workers(workers)
    _check_fraction("contention", contention)
    _check_coherency(coherency)
    return workers / (1 + contention * (workers - 1) + coherency * workers * (workers - 1))


def usl_peak(contention: float, coherency: float) -> int | None:
    """Number of workers with the greatest speed-up by the USL: the whole number beside ``sqrt((1 - s) / k)`` that gives
    more. None where there is no peak because each further worker still helps (``coherency=0``).

    Examples
    --------
    >>> usl_peak(contention=0.1, coherency=0.01)
    9
    >>> usl_peak(contention=0.1, coherency=0) is None
    True
    """
    _check_fraction("contention", contention)
    _check_coherency(coherency)
    if contention == 1:
        return 1
    if coherency == 0:
        return None
    below = max(1, math.floor(math.sqrt((1 - contention) / coherency)))
    return max((below, below + 1), key=lambda n: (usl(n, contention, coherency), -n))


def usl_limit(contention: float, coherency: float) -> float:
    """Greatest speed-up that any number of workers gives by the USL: the one at the peak, else ``1 / s``.

    Examples
    --------
    >>> usl_limit(contention=0.125, coherency=0)
    8.0
    >>> round(usl_limit(contention=0.1, coherency=0.01), 3)
    3.571
    """
    peak = usl_peak(contention, coherency)
    if peak is not None:
        return usl(peak, contention, coherency)
    return math.inf if contention == 0 else 1 / contention


def efficiency(speed_up: float, workers: int) -> float:
    """What a worker is worth beside a lone one: ``speed-up / N``; 1 means that nothing is lost.

    Examples
    --------
    >>> efficiency(4.0, workers=16)
    0.25
    """
    _check_workers(workers)
    return speed_up / workers


def karp_flatt(speed_up: float, workers: int) -> float:
    """Serial fraction that a measured speed-up tells of: ``(1 / S - 1 / N) / (1 - 1 / N)``.

    Parameters
    ----------
    speed_up : float
        S as measured, more than 0.
    workers : int
        N it was measured with, at least 2.

    Returns
    -------
    float
        The experimentally determined serial fraction, the inverse of Amdahl's law. It should stay the same as N grows:
        where it rises, overhead grows with the workers. Below 0 the speed-up is more than N (caches, more memory);
        above 1 it is less than 1.

    Raises
    ------
    UsageError
        A value is out of its range.

    References
    ----------
    A. H. Karp and H. P. Flatt, "Measuring parallel processor performance", Communications of the ACM 33(5), 1990.

    Examples
    --------
    >>> round(karp_flatt(4.0, workers=16), 12)
    0.2
    """
    if not (math.isfinite(speed_up) and speed_up > 0):
        raise UsageError(f"a speed-up of {speed_up:g} cannot be measured", "give seconds with 1 / seconds with N")
    _check_workers(workers)
    if workers < 2:
        raise UsageError("one worker has no speed-up to measure", "give a measurement with 2 workers or more")
    return (workers / speed_up - 1) / (workers - 1)


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:  # also refuses NaN
        raise UsageError(f"{name} is {value:g}: a fraction is between 0 and 1", "give for example 0.8 (or 80%)")


def _check_coherency(value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"coherency is {value:g}: it is 0 or more", "give for example 0.001")


def _check_workers(value: int) -> None:
    if not value >= 1:
        raise UsageError(f"workers is {value:g}: at least one works", "give a whole number from 1 up")
