"""From measurements with different numbers of workers to laws, and to how long the whole job would take."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from shardwise.plan.fits import Fit, Fits, fit_laws
from shardwise.plan.laws import karp_flatt
from shardwise.plan.outlook import Outlook, up_or_out, ways
from shardwise.plan.scaling import Circumstances, EngineScaling, Footprint, Measured, Row
from shardwise.sizes import format_duration

WIDE = 0.3
"""A serial fraction whose interval is wider is hardly known."""

WAITS = 0.5
"""Workers that need a core for less than this share of their time mostly wait for something else."""

SHORT_SECONDS = 0.1
"""Shorter times are those of clocks and threads."""


def analysed(
    engine: str,
    measured: Sequence[Measured],
    small: Sequence[Measured],
    footprint: Footprint,
    about: Circumstances,
) -> EngineScaling:
    """Fit the laws to measurements, and predict the whole job from them.

    Parameters
    ----------
    engine : str
        Its name, for people.
    measured : sequence of Measured
        Of the sample.
    small : sequence of Measured
        Of a part of it, with the most workers: what takes longer in the sample than in it grows with the data.
    footprint : Footprint
        Bytes, at most.
    about : Circumstances
    """
    over = _oversubscribed(measured, about)
    counted = [one for one in measured if one.workers not in over]
    fits = fit_laws([one.workers for one in counted], [one.seconds for one in counted])
    outlook = _outlook(counted, measured, small, about)
    rows = _rows(measured, fits, over)
    doubts = _doubts(fits)
    return EngineScaling(
        engine,
        tuple(measured),
        rows,
        fits,
        outlook,
        () if outlook is None else tuple(ways(outlook, about.far)),
        "" if outlook is None else _answer(outlook, rows, bool(doubts), about),
        (*_remarks(rows, about), *fits.remarks, *doubts),
        footprint,
    )


def _answer(outlook: Outlook, rows: Sequence[Row], unsure: bool, about: Circumstances) -> str:
    answer = up_or_out(outlook)
    if unsure:
        answer = f"as it looks, but it is not sure: {answer}"
    if _wait(rows) and not about.far and not about.inline:
        return f"first more workers in this machine, as they wait most of the time (--workers); beyond that: {answer}"
    return answer


def _wait(rows: Sequence[Row]) -> bool:
    return rows[0].busy is not None and rows[0].busy < WAITS


def _groups(measured: Sequence[Measured]) -> dict[int, list[Measured]]:
    return {n: [one for one in measured if one.workers == n] for n in sorted({one.workers for one in measured})}


def _busy(group: Sequence[Measured]) -> float | None:
    known = [one.busy for one in group if one.busy is not None]
    return statistics.median(known) if known else None


def _oversubscribed(measured: Sequence[Measured], about: Circumstances) -> set[int]:
    """Numbers of workers that want more processor time than there are cores to give it."""
    groups = _groups(measured)
    busy = _busy(groups[min(groups)])
    if about.far or busy is None:
        return set()
    return {n for n in groups if n * min(1.0, busy) > about.cores + 0.05}


def _outlook(
    counted: Sequence[Measured], measured: Sequence[Measured], small: Sequence[Measured], about: Circumstances
) -> Outlook | None:
    works = fit_laws([one.workers for one in counted], [one.work for one in counted])
    fit = works.best
    if fit is None:
        return None
    most = max(one.workers for one in counted)
    start = statistics.median(one.start for one in counted if one.workers == most)
    return Outlook(
        fit,
        wide=works.usl if fit is not works.usl else None,
        scale=about.whole / about.sample,
        start=start,
        serial=_serial_of_whole(measured, small, about),
        size=about.size,
        here=most if about.far else max(most, about.cores),
        most=about.most,
    )


def _serial_of_whole(measured: Sequence[Measured], small: Sequence[Measured], about: Circumstances) -> float:
    """Seconds before and after the work: as many as in the sample; more where each measurement of the sample took
    longer than all of the small part, which then grows with the data."""
    most = max(one.workers for one in measured)
    beside = [one.serial for one in measured if one.workers == most]
    usual = statistics.median(beside)
    few = [one.serial for one in small]
    if not few or about.small >= about.sample or min(beside) <= max(few):
        return usual
    each = (usual - statistics.median(few)) / (about.sample - about.small)
    return usual + each * (about.whole - about.sample)


def _rows(measured: Sequence[Measured], fits: Fits, over: set[int]) -> tuple[Row, ...]:
    groups = _groups(measured)
    alone = None
    if 1 in groups:
        alone = statistics.median(one.seconds for one in groups[1])
    elif fits.best is not None:
        alone = fits.best.law.one
    return tuple(_row(group, fits, alone, workers in over) for workers, group in groups.items())


def _row(group: Sequence[Measured], fits: Fits, alone: float | None, over: bool) -> Row:
    def middle(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in group))

    workers, seconds = group[0].workers, [one.seconds for one in group]
    speed_up = None if alone is None else alone / middle("seconds")
    return Row(
        workers=workers,
        repeats=len(group),
        start=middle("start"),
        work=middle("work"),
        serial=middle("serial"),
        seconds=middle("seconds"),
        least=min(seconds),
        longest=max(seconds),
        speed_up=speed_up,
        efficiency=None if speed_up is None else speed_up / workers,
        amdahl=_speed_up(fits.amdahl, workers),
        usl=_speed_up(fits.usl, workers),
        karp_flatt=None if speed_up is None or workers == 1 else karp_flatt(speed_up, workers),
        busy=_busy(group),
        oversubscribed=over,
    )


def _speed_up(fit: Fit | None, workers: int) -> float | None:
    return None if fit is None else fit.law.speed_up(workers)


def _remarks(rows: Sequence[Row], about: Circumstances) -> list[str]:
    said = []
    over = [str(row.workers) for row in rows if row.oversubscribed]
    cores = "1 core" if about.cores == 1 else f"{about.cores} cores"
    if over:
        said.append(
            f"oversubscribed: {' and '.join(over)} workers that compute share {cores}, which says how many cores there "
            "are and nothing of the job, so the laws are fitted without them"
        )
    if _wait(rows):
        said.append(
            f"workers wait: they need a core for {rows[0].busy or 0:.0%} of the time, so more workers than cores can "
            "help in this machine"
        )
    if about.load > about.cores and not about.far:
        said.append(f"this machine was busy before it began (load {about.load:.1f}, {cores}): times tell of that, too")
    if about.writes:
        said.append(f"outputs went to a temporary directory: if {about.writes} is slower or faster, so is the job")
    if min(row.work for row in rows) < SHORT_SECONDS:
        said.append(
            f"the sample is short ({format_duration(min(row.work for row in rows))} at best): take more, with --first"
        )
    return said


def _doubts(fits: Fits) -> list[str]:
    serial = None if fits.amdahl is None else fits.amdahl.contention
    if serial is None or serial.low is None or serial.high is None or serial.high - serial.low <= WIDE:
        return []
    return [
        f"the serial fraction is hardly known ({serial.low:.0%} to {serial.high:.0%}): measure more often (--repeats), "
        "on a quieter machine, or more data (--first)"
    ]
