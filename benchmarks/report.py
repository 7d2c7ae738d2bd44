"""Tables of figures, for a terminal and for ``docs/benchmarks.md``."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.case import Case, Figures, Memory, Peer, Rate
from benchmarks.measure import MEMORY_IS


@dataclass(frozen=True, slots=True)
class Finding:
    """A case with what was measured, and why some peers have no figures."""

    name: str
    case: Case
    figures: dict[str, Figures]
    without: dict[str, str]
    scale: float = 1.0


def medians(figures: dict[str, Figures]) -> dict[str, tuple[float, float, int]]:
    """Peer -> whole process, job alone, memory."""
    return {name: (statistics.median(f.whole), statistics.median(f.job), f.memory) for name, f in figures.items()}


def table(finding: Finding) -> list[str]:
    """Lines of a Markdown table of the peers, and of the targets."""
    lines = ["| peer | version | whole process, s | job alone, s | memory, MB | n |", "|---|---|--:|--:|--:|--:|"]
    for name, found in finding.figures.items():
        peer = finding.case.peers[name]
        lines.append(
            f"| {name} | {peer.version} | {_spread(found.whole)} | {_spread(found.job)} | "
            f"{found.memory / 1e6:.0f} | {len(found.whole)} |"
        )
    lines += [f"| {name} | | {why} | | | 0 |" for name, why in finding.without.items()]
    return [*lines, *_targets(finding)]


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"


def _targets(finding: Finding) -> list[str]:
    middle = medians(finding.figures)
    lines = []
    for target in finding.case.targets if finding.scale == 1 else ():  # a target is for the full size
        found = target.measured(middle)
        if found is not None:
            shown = f"{found:,.0f}" if isinstance(target, (Rate, Memory)) else f"{found:.2f}"
            lines.append(f"| {target.words()} | {shown} | {'met' if target.holds(found) else '**missed**'} |")
    return ["", "| target | measured | |", "|---|--:|---|", *lines] if lines else []


def document(findings: Sequence[Finding], command: str, runs: int, scale: float) -> str:
    """The page."""
    about = ", ".join(f"{name}: {value}" for name, value in machine.describe().items())
    today = datetime.datetime.now(datetime.UTC).date()
    head = [
        "# Benchmarks",
        "",
        f"Made by `{command}` on {today}; the file is overwritten by the next run.",
        "",
        f"Machine: {about}. Load average when the page was written: {machine.load():.1f}.",
        "",
        f"Medians (smallest to largest) of {runs} rounds; in each round every peer runs once, in turn, as a process of",
        "its own. *Whole process* is from starting Python to its end. *Job alone* is measured inside: without imports,",
        "and without the start-up that a peer's line below leaves out. One more round, before the others and not",
        f"counted in their seconds, warms the page cache and samples memory: the peak of the {MEMORY_IS}.",
        "*n* is the number of rounds. All peers of a case gave the same answer within rounding, or the run would have",
        "stopped.",
    ]
    if scale != 1:
        head += ["", f"**Scale {scale:g}**: sizes in the titles are to be multiplied by it."]
    body = [line for finding in findings for line in _section(finding)]
    return "\n".join([*head, *body, ""])


def _section(finding: Finding) -> list[str]:
    case = finding.case
    how = [f"- {_called(peer)}: {peer.how}" for peer in case.peers.values()]
    return ["", f"## {case.title}", "", f"`{finding.name}`. {case.compares}", "", *how, "", *table(finding)]


def _called(peer: Peer) -> str:
    return f"**{peer.name}**"
