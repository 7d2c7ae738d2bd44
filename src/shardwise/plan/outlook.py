"""How long the whole job would take on more workers, cores and machines, from what a sample of it took.

``seconds = (start + serial + work(N) * scale) / speed``: what workers do grows with the data (``scale``) and follows
the law that was fitted to it; starting them, and what is done before and after them, is added. What is read over a
network cannot be had sooner than the network brings it.

In one machine all workers contend for the same. On several machines nobody knows beforehand what of it they share: a
lock, a database or the driver is shared by all, memory bandwidth and disks are each machine's own. So the time on
several machines is told twice: as if everything were shared, and as if nothing were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from shardwise.plan.fits import Fit, estimate
from shardwise.plan.time_law import Estimate, Floats, TimeLaw, halves, peaks, seconds_of

MOST_NODES = 16
"""Machines like this one that are looked at: 2, 4, 8 and so many."""

WORTH = 1.1
"""What is not so many times faster is not worth it."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The whole job, on any number of workers.

    Parameters
    ----------
    fit : Fit
        Law of the seconds that workers took for the sample.
    wide : Fit or None
        The more general law, where it says more about what may happen.
    scale : float
        How many times as much data the whole job has.
    start, serial : float
        Seconds until workers are ready; seconds before and after their work, of the whole job.
    size : int or None
        Bytes that are read, where that is known.
    here : int
        Workers that this machine's cores can feed.
    most : int
        Workers that there is work for: one batch each.
    """

    fit: Fit
    wide: Fit | None
    scale: float
    start: float
    serial: float
    size: int | None
    here: int
    most: int

    @property
    def law(self) -> TimeLaw:
        """Of the whole job."""
        work = self.fit.law
        return TimeLaw(work.parallel * self.scale, work.serial * self.scale + self._fixed, work.pairs * self.scale)

    def seconds(self, workers: int, *, speed: float = 1.0, network: float | None = None) -> Estimate:
        """Time of so many workers, with everything shared.

        Parameters
        ----------
        workers : int
        speed : float
            Of a core, beside one of this machine.
        network : float, optional
            Bytes a second that all of them together can read.
        """
        least = 0.0 if network is None or self.size is None else self.size / network
        busy = min(workers, self.most)

        def of(parts: Floats) -> Floats:
            work = seconds_of(parts, busy) * self.scale / speed
            return np.asarray(self._fixed / speed + np.maximum(least, work))

        law = self.fit.law
        value = float(of(np.array([[law.parallel, law.serial, law.pairs]]))[0])
        narrow = estimate(value, of, self.fit.draws)
        return narrow if self.wide is None else _joined(narrow, estimate(value, of, self.wide.draws))

    def seconds_apart(self, nodes: int) -> float:
        """Time on so many machines like this one, with nothing shared between them."""
        here = min(self.here, self.most)
        return self._fixed + self.fit.law.seconds(here) * self.scale / max(1.0, min(nodes, self.most / here))

    @property
    def peak(self) -> Estimate:
        """The number of workers that is fastest; infinite: each further one helps."""
        peak = self.law.peak if self.law.pairs else None
        value = math.inf if peak is None else float(peak)
        return self._of_whole(value, lambda p: np.where(p[:, 2] > 0, np.maximum(1, np.round(peaks(p))), math.inf))

    @property
    def half(self) -> Estimate:
        """The first number of workers whose efficiency is under 50 %; infinite: there is none."""
        half = self.law.half
        return self._of_whole(math.inf if half is None else float(half), lambda p: np.floor(halves(p)) + 1)

    @property
    def _fixed(self) -> float:
        return self.start + self.serial

    def _of_whole(self, value: float, of: Any) -> Estimate:
        def whole(parts: Floats) -> Floats:
            return np.asarray(of(parts * self.scale + np.array([0.0, self._fixed, 0.0])))

        narrow = estimate(value, whole, self.fit.draws)
        return narrow if self.wide is None else _joined(narrow, estimate(value, whole, self.wide.draws))


@dataclass(frozen=True, slots=True)
class Way:
    """A way to have more workers, and the time that the whole job would take. ``apart``: at best, on several machines
    that share nothing that workers wait for; None in one machine."""

    what: str
    nodes: int
    workers: int
    seconds: Estimate
    apart: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "what": self.what,
            "nodes": self.nodes,
            "workers": self.workers,
            "seconds": self.seconds.to_json(),
            "seconds_apart": self.apart,
        }


def ways(outlook: Outlook, far: bool = False) -> list[Way]:
    """This machine, one with twice the cores, and 2, 4, 8 ... like this one.

    Parameters
    ----------
    outlook : Outlook
    far : bool
        Workers are not on this machine: as many as were measured stand for one.
    """
    here = outlook.here
    one, several = ("as measured", "times the workers") if far else ("this machine", "machines")
    found = [
        Way(one, 1, here, outlook.seconds(here)),
        Way("twice the cores in one", 1, 2 * here, outlook.seconds(2 * here)),
    ]
    nodes = 2
    while nodes <= MOST_NODES:
        workers = nodes * here
        found.append(Way(f"{nodes} {several}", nodes, workers, outlook.seconds(workers), outlook.seconds_apart(nodes)))
        nodes *= 2
    return found


def up_or_out(outlook: Outlook) -> str:
    """Whether more cores in one machine or more machines are worth it, in a sentence or two."""
    here, twice, two, *_ = ways(outlook)
    assert two.apart is not None
    up, apart = here.seconds.value / twice.seconds.value, here.seconds.value / two.apart
    if outlook.most <= here.workers:
        return f"neither: the data has {outlook.most} tasks at most, and there are {here.workers} workers already"
    if up < WORTH and apart < WORTH:
        law = outlook.law
        alone = law.serial / law.seconds(here.workers)
        return (
            f"neither: with twice the workers the job is {_as_fast(max(up, apart))}, since {min(1.0, alone):.0%} "
            f"of its time with {here.workers} is not spread over workers; make that part smaller first"
        )
    if apart < WORTH * up:
        return (
            f"up or out, it is the same: {twice.workers} workers are {up:.2g} x as fast in one machine with twice the "
            f"cores, {apart:.2g} x at best on 2 machines; one machine needs no network, so up, as far as machines go"
        )
    return (
        f"out, if workers wait for what each machine has of its own (memory bandwidth, a disk): then 2 machines are "
        f"{apart:.2g} x as fast, where twice the cores in one are {up:.2g} x; what all machines share (a lock, a "
        "database, a store) holds them up all the same"
    )


def _as_fast(times: float) -> str:
    return "no faster" if f"{times:.2g}" == "1" else f"{times:.2g} x as fast"


def _joined(one: Estimate, other: Estimate) -> Estimate:
    """An interval that holds both."""
    lows = [e.low for e in (one, other) if e.low is not None]
    highs = [e.high for e in (one, other) if e.high is not None]
    return Estimate(one.value, min(lows, default=None), max(highs, default=None))
