"""A job measured with different numbers of workers, as tables, sentences and a chart for people."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from shardwise.plan.charts import Curve, Dots, draw_speed_ups
from shardwise.plan.fits import Fit
from shardwise.plan.machines import Offer
from shardwise.plan.scaling import EngineScaling, Row
from shardwise.plan.time_law import LEVEL, Estimate
from shardwise.report.tables import PLAIN, Column, Style, draw
from shardwise.sizes import format_duration, format_percent, format_size

SHOWN_NODES = 16
"""Offers of so many machines and fewer are shown, by powers of 2."""


def measured_table(rows: Sequence[Row], style: Style = PLAIN) -> str:
    """What was measured, with the fitted laws beside it. Rows with a star are not in the fits."""
    cells = {
        "workers": [f"{row.workers}{'*' if row.oversubscribed else ''}" for row in rows],
        "start-up": [format_duration(row.start) for row in rows],
        "work": [format_duration(row.work) for row in rows],
        "serial": [format_duration(row.serial) for row in rows],
        "seconds": [f"{row.seconds:.3g}" for row in rows],
        "from .. to": [f"{row.least:.3g} .. {row.longest:.3g}" for row in rows],
        "speed-up": [_times(row.speed_up) for row in rows],
        "Amdahl": [_times(row.amdahl) for row in rows],
        "USL": [_times(row.usl) for row in rows],
        "efficiency": [_percent(row.efficiency) for row in rows],
        "Karp-Flatt": [_percent(row.karp_flatt) for row in rows],
        "busy": [_percent(row.busy) for row in rows],
    }
    return draw([Column(name, texts, right=True) for name, texts in cells.items()], style)


def fit_lines(found: EngineScaling) -> list[str]:
    """The parameters of both laws."""
    lines = []
    if (fit := found.fits.amdahl) is not None:
        lines.append(f"Amdahl   serial fraction {_fraction(fit.contention)}; {_half(fit.half)}")
    if (fit := found.fits.usl) is not None and fit.coherency is not None:
        lines.append(
            f"USL      contention {_fraction(fit.contention)}, coherency {_number(fit.coherency)}; "
            f"{_peak(fit.peak)}; {_half(fit.half)}"
        )
    if lines and any(fit is not None and len(fit.draws) for fit in (found.fits.amdahl, found.fits.usl)):
        lines.append(f"         (in brackets: {LEVEL:.0%} intervals; of the sample, without the start of workers)")
    return lines


def serial_line(found: EngineScaling) -> str:
    """What the seconds before and after the work consist of."""
    names = ("planning", "settling", "merging", "finishing", "publishing")
    parts = {name: statistics.median(getattr(one, name) for one in found.measured) for name in names}
    return "serial   " + ", ".join(f"{name} {format_duration(seconds)}" for name, seconds in parts.items())


def ways_table(found: EngineScaling, style: Style = PLAIN) -> str:
    """How long the whole job would take, and where."""
    cells = {
        "the whole job on": [way.what for way in found.ways],
        "workers": [str(way.workers) for way in found.ways],
        "takes": [format_duration(way.seconds.value) for way in found.ways],
        f"{LEVEL:.0%} interval": [_interval(way.seconds) for way in found.ways],
        "at best, if nothing is shared": ["" if w.apart is None else format_duration(w.apart) for w in found.ways],
    }
    return draw([Column(name, texts, right=i > 0) for i, (name, texts) in enumerate(cells.items())], style)


def whole_line(found: EngineScaling) -> str:
    """Where the whole job has its peak, and where efficiency falls under one half."""
    outlook = found.outlook
    assert outlook is not None
    return f"whole job: {_peak(outlook.peak)}; {_half(outlook.half)}"


def offers_table(offers: Sequence[Offer], deadline: float | None, currency: str, style: Style = PLAIN) -> str:
    """Machines, what the whole job would take there, and what that costs; and whether it is in time."""
    cells = {
        "machine": [offer.machine.name for offer in offers],
        "nodes": [str(offer.nodes) for offer in offers],
        "workers": [str(offer.workers) for offer in offers],
        "takes": [format_duration(offer.seconds.value) for offer in offers],
        "interval": [_interval(offer.seconds) for offer in offers],
        "memory of each": [f"{format_size(o.memory)} of {format_size(o.machine.memory)}" for o in offers],
        f"cost{f' ({currency})' if currency else ''}": [f"{offer.cost:.3g}" for offer in offers],
    }
    if deadline is not None:
        cells["in time"] = ["yes" if offer.seconds.value <= deadline else "no" for offer in offers]
    return draw([Column(name, texts, right=i > 0) for i, (name, texts) in enumerate(cells.items())], style, keys=2)


def cheapest_line(offer: Offer | None, deadline: float | None, currency: str) -> str:
    """The answer of the machines file."""
    within = "" if deadline is None else f" within {format_duration(deadline)}"
    if offer is None:
        return f"no machine of the file does the whole job{within} with the memory that it has"
    price = f"{offer.cost:.3g}{f' {currency}' if currency else ''}"
    late = deadline is not None and offer.seconds.high is not None and offer.seconds.high > deadline
    doubt = f"; it may take {format_duration(offer.seconds.high)}, which is late" if late and offer.seconds.high else ""
    takes = format_duration(offer.seconds.value)
    return f"cheapest{within}: {offer.nodes} x {offer.machine.name}, {takes}, {price}{doubt}"


def shown(offers: Sequence[Offer], best: Offer | None) -> list[Offer]:
    """Powers of 2 of each machine, and the best one."""
    few = [o for o in offers if o.nodes <= SHOWN_NODES and o.nodes & (o.nodes - 1) == 0]
    return [o for o in offers if o in few or o is best]


def draw_chart(path: str, title: str, engines: Sequence[EngineScaling]) -> None:
    """Draw measured and fitted speed-up."""
    curves: list[Curve] = []
    dots: list[Dots] = []
    for found in engines:
        first = len(curves)
        several = f"{found.engine}, " if len(engines) > 1 else ""
        for name, fit in (("Amdahl", found.fits.amdahl), ("USL", found.fits.usl)):
            if fit is not None:
                curves.append(Curve(f"{several}{name}", fit.law.speed_up, _limit(fit)))
        alone = next((row.seconds * row.speed_up for row in found.rows if row.speed_up), None)
        if alone is not None:
            workers = tuple(one.workers for one in found.measured)
            speed_ups = tuple(alone / one.seconds for one in found.measured)
            dots.append(Dots(f"{several}measured", workers, speed_ups, first))
    most = max(row.workers for found in engines for row in found.rows)
    draw_speed_ups(path, title, curves, [1, max(2, 2 * most)], dots)


def _limit(fit: Fit) -> float:
    law = fit.law
    if law.peak is not None:
        return law.speed_up(law.peak)
    return law.one / law.serial if law.serial else math.inf


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} x"


def _percent(value: float | None) -> str:
    return "-" if value is None else format_percent(value)


def _fraction(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.1%}"
    return f"{estimate.value:.1%} [{estimate.low:.1%} .. {estimate.high:.1%}]"


def _number(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2g}"
    return f"{estimate.value:.2g} [{estimate.low:.2g} .. {estimate.high:.2g}]"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "-"
    return f"{format_duration(estimate.low)} .. {format_duration(estimate.high)}"


def _peak(peak: Estimate) -> str:
    if math.isfinite(peak.value):
        return f"fastest with {_count(peak)} workers"
    if peak.low is not None and math.isfinite(peak.low):
        return f"no peak seen; it may be at {peak.low:.0f} workers or more"
    return "no peak"


def _half(half: Estimate) -> str:
    if math.isfinite(half.value):
        return f"efficiency under 50 % from {_count(half)} workers on"
    return "efficiency never under 50 %"


def _count(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.0f}"
    high = f"{estimate.high:.0f}" if math.isfinite(estimate.high) else "any number"
    return f"{estimate.value:.0f} [{estimate.low:.0f} .. {high}]"
