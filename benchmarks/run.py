"""Shardwise beside its peers: ``python -m benchmarks [CASE ...] [--runs 5] [--scale 1.0] [--peers NAME ...]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.case import NAMES, Case, Figures, Peer, load, same
from benchmarks.measure import Once, PeerFailed, run_once
from benchmarks.report import Finding, document, table


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the page."""
    asked = _parser().parse_args(arguments)
    findings = []
    for name in asked.cases or NAMES:
        finding = measure(name, asked.runs, asked.scale, asked.peers, asked.data)
        findings.append(finding)
        print("\n".join(["", finding.case.title, *table(finding)]), flush=True)
    if asked.output:
        command = " ".join(["python -m benchmarks", *(arguments if arguments is not None else sys.argv[1:])])
        Path(asked.output).write_text(document(findings, command, asked.runs, asked.scale))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the data's full size")
    parser.add_argument("--peers", nargs="+", help="peers whose names begin like one of these; default: all")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir(), "shardwise-benchmarks"))
    parser.add_argument("--output", help="page to write (make bench writes docs/benchmarks.md)")
    return parser


def measure(name: str, runs: int, scale: float, peers: list[str] | None, data: Path) -> Finding:
    """Measure a case: one round for memory, then the rounds that count.

    Raises
    ------
    SystemExit
        A peer gives another answer than the one before it.
    """
    case = load(name)
    directory = _data(name, case, scale, data)
    chosen = [p for p in case.peers.values() if not peers or p.name.startswith(tuple(peers))]
    without = {p.name: f"{p.missing} is not installed" for p in chosen if p.missing}
    ready = [p for p in chosen if not p.missing]
    memory: dict[str, int] = {}
    answers: dict[str, object] = {}
    for peer in ready:
        once = _try(name, peer, directory, without)
        if once is not None:
            _check(case, peer.name, once, answers)
            memory[peer.name] = once.memory
    figures = {peer: Figures([], [], size) for peer, size in memory.items()}
    for number in range(runs):
        for peer_name in figures:
            most = case.peers[peer_name].rounds
            if most is None or number < most:
                once = run_once(name, peer_name, directory, sample=False)
                figures[peer_name].whole.append(once.whole)
                figures[peer_name].job.append(once.job)
                print(f"{name} {number + 1}/{runs} {peer_name}: {once.whole:.3f} s", file=sys.stderr, flush=True)
    return Finding(name, case, figures, without, scale)


def _try(name: str, peer: Peer, directory: Path, without: dict[str, str]) -> Once | None:
    try:
        return run_once(name, peer.name, directory, sample=True)
    except PeerFailed as error:
        if peer.name.startswith("shardwise"):
            raise
        print(error, file=sys.stderr)
        without[peer.name] = "failed"
        return None


def _check(case: Case, name: str, once: Once, answers: dict[str, object]) -> None:
    for other, answer in answers.items():
        if not same(once.answer, answer, case.tolerance):
            raise SystemExit(f"{name} answers otherwise than {other}: {once.answer!r:.300} and {answer!r:.300}")
    answers[name] = once.answer


def _data(name: str, case: Case, scale: float, data: Path) -> Path:
    """The case's data, made the first time."""
    name = case.data or name
    directory, made = data / f"{name}-{scale:g}", data / f"{name}-{scale:g}.made"
    if not made.exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        print(f"making the data of {name} in {directory}", file=sys.stderr, flush=True)
        case.generate(directory, scale)
        made.touch()
    return directory


if __name__ == "__main__":
    main()
