"""A job measured with different numbers of workers: the measurements, and what they say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shardwise.plan.fits import Fits
from shardwise.plan.outlook import Outlook, Way
from shardwise.records import plain


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: seconds of the parts of a run, in order.

    Attributes
    ----------
    workers : int
    start : float
        Until all workers were ready, and what their first task took longer than later ones. Not in ``seconds``.
    planning, settling : float
        Before the first task that reads data.
    work : float
        From the first to the last of these tasks.
    merging, finishing, publishing : float
        After it; publishing is also handing a result over.
    tasks : int
        That read data.
    busy : float or None
        Share of the time of their tasks in which workers ran on a core, or would have if others had not been in the
        way; None: nobody knows.
    """

    workers: int
    start: float
    planning: float
    settling: float
    work: float
    merging: float
    finishing: float
    publishing: float
    tasks: int
    busy: float | None = None

    @property
    def serial(self) -> float:
        """Seconds before and after the work of the workers."""
        return self.planning + self.settling + self.merging + self.finishing + self.publishing

    @property
    def seconds(self) -> float:
        """All of it but the start of workers."""
        return self.work + self.serial

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**plain(self), "serial": self.serial, "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes at most: of a worker, and of all that its tasks put out."""

    worker: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What has to be known beside the measurements.

    Parameters
    ----------
    cores : int
        Of this machine.
    load : float
        Processes that wanted a core before anything was measured.
    far : bool
        Whether workers are on other hosts, whose cores are not these.
    inline : bool
        Whether a worker is a thread of one process.
    sample, small, whole : float
        Weight of the data of a measurement, of a small one, and of all data.
    size : int or None
        Bytes of all data.
    most : int
        Workers that there is work for.
    writes : str
        Where the job would write; what was measured wrote somewhere else. Empty: it writes nothing.
    """

    cores: int
    load: float
    far: bool
    inline: bool
    sample: float
    small: float
    whole: float
    size: int | None
    most: int
    writes: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Measurements with one number of workers: medians, and what the laws make of it.

    Attributes
    ----------
    workers, repeats : int
    start, work, serial, seconds : float
        See ``Measured``.
    least, longest : float
        Of ``seconds``.
    speed_up, efficiency : float or None
        As measured; None: no time of one worker is known.
    amdahl, usl : float or None
        Speed-up by the fitted laws.
    karp_flatt : float or None
        Serial fraction that the measured speed-up tells of.
    busy : float or None
        See ``Measured``.
    oversubscribed : bool
        There are not enough cores for so many workers that compute: the laws are fitted without it.
    """

    workers: int
    repeats: int
    start: float
    work: float
    serial: float
    seconds: float
    least: float
    longest: float
    speed_up: float | None
    efficiency: float | None
    amdahl: float | None
    usl: float | None
    karp_flatt: float | None
    busy: float | None
    oversubscribed: bool


@dataclass(frozen=True, slots=True)
class EngineScaling:
    """What was measured on one engine, and what it says.

    Attributes
    ----------
    engine : str
    measured : tuple of Measured
        Each measurement, in the order in which they were made.
    rows : tuple of Row
        The same by number of workers.
    fits : Fits
        Laws of the seconds of the sample, without the start of workers.
    outlook : Outlook or None
        The whole job; None where no law could be fitted.
    ways : tuple of Way
        This machine, twice its cores, more machines.
    answer : str
        Scale up or scale out?
    remarks : tuple of str
        What to know of all this.
    footprint : Footprint
        Bytes, at most.
    """

    engine: str
    measured: tuple[Measured, ...]
    rows: tuple[Row, ...]
    fits: Fits
    outlook: Outlook | None
    ways: tuple[Way, ...]
    answer: str
    remarks: tuple[str, ...]
    footprint: Footprint

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values; infinite (no peak) is null."""
        outlook = self.outlook
        return {
            "engine": self.engine,
            "rows": [plain(row) for row in self.rows],
            "measured": [one.to_json() for one in self.measured],
            "laws": self.fits.to_json(),
            "whole": outlook
            and {
                "times_the_sample": outlook.scale,
                "start": outlook.start,
                "serial": outlook.serial,
                "peak": outlook.peak.to_json(),
                "half": outlook.half.to_json(),
                "ways": [way.to_json() for way in self.ways],
            },
            "answer": self.answer,
            "remarks": list(self.remarks),
            "worker_bytes": self.footprint.worker,
        }
