"""How much memory a run held, as plans project it: of all processes of a host together, from the plan on. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

from shardwise.plan.memory import DRIVER_BASE
from shardwise.report.facts import DriverHeld, Facts
from shardwise.report.timing import end_of
from shardwise.run.spans import HERE, Span

TICK = 1e-4
"""Clocks since 1970 are not exact to the last digit."""


def held(facts: Facts, spans: Iterable[Span]) -> int | None:
    """Bytes that a host held at most during some attempts, its driver's included; None where nothing tells.

    Attempts that had ended when the plan was made were the sample's, perhaps on another engine than the plan's. A
    journal that does not tell what the driver held (an older one, a run that was killed early) tells of workers alone.
    """
    peaks = _peaks(span for span in spans if span["ended"] > facts.planned_at + TICK)
    if not peaks:
        return None
    most = max(_together(facts, peaks), *peaks.values())
    if facts.driver is None:
        return most
    if _engine(facts) == "inline":
        return max(most, facts.driver.peak)
    return _together(facts, peaks) + _beside_workers(facts.driver)


def _beside_workers(driver: DriverHeld) -> int:
    """Bytes of a driver: of what its process held before the run no more counts than an empty one would hold, as the
    rest is the person's."""
    return min(driver.before, DRIVER_BASE) + max(0, driver.peak - driver.before)


def _engine(facts: Facts) -> str:
    return str(facts.info.get("engine") or (facts.plan or {}).get("engine") or "")


def _peaks(spans: Iterable[Span]) -> dict[int, int]:
    """The most that each worker held."""
    peaks: dict[int, int] = defaultdict(int)
    for span in spans:
        peaks[span["slot"]] = max(peaks[span["slot"]], span["peak"])
    return {worker: peak for worker, peak in peaks.items() if peak}


def _together(facts: Facts, peaks: dict[int, int]) -> int:
    """The most that workers held which were on a host together."""
    events: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for worker in facts.workers:
        if worker.number in peaks and worker.slot != HERE:
            events[worker.host].append((worker.up, peaks[worker.number]))
            events[worker.host].append((end_of(worker, facts), -peaks[worker.number]))
    sums = (most for host in events.values() for most in accumulate(change for _, change in sorted(host)))
    return max(sums, default=0)
