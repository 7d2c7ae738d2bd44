"""Run all proofs of this directory and write down what they found: ``make proof``.

Each proof is a script of its own: ``python proof/NAME.py [--seed N] [--count N]``, whose last line on stdout is one
JSON object with at least ``proof``, ``seed``, ``count`` and ``failed``, and which leaves with 1 when something failed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "proof.md"
ORDER = (
    "driver_kills",
    "syscalls",
    "worker_kills",
    "interrupts",
    "two_drivers",
    "disk_full",
    "power_loss",
    "quarantine",
    "mutations",
)
"""First what a person may fear first; proofs that are not named here follow by name."""

QUICK = {"interrupts": 5, "worker_kills": 20}
QUICK_COUNT = 3
LIBRARIES = ("shardwise", "duckdb", "numpy", "pyarrow", "cloudpickle", "fsspec", "psutil")
NOT_FIGURES = {"proof", "seed", "count", "failed", "asked", "seconds", "table", "skipped"}

INTRO = """# Proof

What Shardwise promises when something dies, tried out. `make proof` runs all of this, on any machine, and writes this
page; `python proof/NAME.py --seed N --count N` runs one proof, and `--case N` one case of most of them. All that is
random comes from the seed; instants in real time are drawn from it too, but what a process is doing at an instant is up
to the machine.
"""


def scripts() -> list[Path]:
    """The proofs, in the order of the page."""
    found = [path for path in HERE.glob("*.py") if path.name != "run.py" and not path.name.startswith("_")]
    return sorted(found, key=lambda path: (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem))


def carry_out(script: Path, seed: int, count: int | None) -> dict[str, Any]:
    """The result of one proof; what it says on stderr goes there."""
    command = [sys.executable, str(script), "--seed", str(seed)]
    started = time.monotonic()
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        command + (["--count", str(count)] if count else []),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    result: dict[str, Any] = {"proof": script.stem, "seed": seed, "count": 0, "failed": 1}
    lines = done.stdout.strip().splitlines()
    try:
        result.update(json.loads(lines[-1]))
    except (IndexError, ValueError):
        result["said"] = f"no result; exit status {done.returncode}"
    if done.returncode and not result["failed"]:
        result.update(failed=1, said=f"exit status {done.returncode}")
    result.setdefault("seconds", round(time.monotonic() - started, 1))
    result.setdefault("asked", _first_paragraph(script))
    return result


def _first_paragraph(script: Path) -> str:
    import ast

    text = ast.get_docstring(ast.parse(script.read_text())) or script.stem
    return " ".join(text.split("\n\n")[0].split())


def verdict(result: dict[str, Any]) -> str:
    """In one word, or two."""
    if result["failed"]:
        return f"**{result['failed']} failed**"
    return "skipped" if result.get("skipped") else "passed"


def page(results: list[dict[str, Any]], minutes: float, command: str) -> str:
    """The whole page."""
    lines = [INTRO, f"Last run: `{command}`, {time.strftime('%Y-%m-%d')}, {minutes:.1f} minutes.", ""]
    lines += ["| proof | cases | seed | seconds | |", "|---|---:|---:|---:|---|"]
    for r in results:
        lines.append(f"| [{r['proof']}](#{r['proof']}) | {r['count']} | {r['seed']} | {r['seconds']} | {verdict(r)} |")
    lines += ["", "## Machine and versions", "", *(f"- {line}" for line in machine()), ""]
    for result in results:
        lines += section(result)
    return "\n".join(lines).rstrip() + "\n"


def section(result: dict[str, Any]) -> list[str]:
    """One proof: what was asked, what was measured, passed or not."""
    name = result["proof"]
    lines = [f"## {name}", "", f"Asked: {result['asked']}.", ""]
    count = f" --count {result['count']}" if result["count"] else ""
    lines += [f"`python proof/{name}.py --seed {result['seed']}{count}`: {verdict(result)}."]
    if result.get("skipped"):
        lines += ["", f"Skipped: {result['skipped']}."]
    figures = {key: value for key, value in result.items() if key not in NOT_FIGURES}
    if figures:
        lines += ["", "| measured | |", "|---|---|"]
        lines += [f"| {key.replace('_', ' ')} | {_plain(value)} |" for key, value in figures.items()]
    if table := result.get("table"):
        lines += ["", _row(table[0]), "|" + "---|" * len(table[0]), *map(_row, table[1:])]
    return [*lines, ""]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def machine() -> list[str]:
    """Where this ran."""
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    where = Path(os.environ.get("TMPDIR", "/tmp")).resolve()
    disks = [p for p in psutil.disk_partitions(all=True) if where.is_relative_to(p.mountpoint)]
    kind = max(disks, key=lambda p: len(p.mountpoint)).fstype if disks else "unknown"
    versions = ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    return [
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        f"temporary files on {kind}",
        f"Python {platform.python_version()}, {versions}",
    ]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python proof/run.py", description="Run all proofs, write docs/proof.md.")
    parser.add_argument("--quick", action="store_true", help="a few cases of each; writes no page unless --page")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", metavar="NAME", help="this proof alone (several times: these)")
    parser.add_argument("--page", type=Path, help=f"where to write (default: {PAGE.relative_to(ROOT)})")
    arguments = parser.parse_args()
    chosen = [path for path in scripts() if not arguments.only or path.stem in arguments.only]
    started = time.monotonic()
    results = []
    for script in chosen:
        print(f"{script.stem} ...", file=sys.stderr, flush=True)
        count = QUICK.get(script.stem, QUICK_COUNT) if arguments.quick else None
        results.append(carry_out(script, arguments.seed, count))
        print(f"{script.stem}: {verdict(results[-1])}, {results[-1]['seconds']} s", flush=True)
    path = arguments.page or (None if arguments.quick or arguments.only else PAGE)
    if path is not None:
        command = "make proof" if not (arguments.quick or arguments.only) else "python proof/run.py --quick"
        path.write_text(page(results, (time.monotonic() - started) / 60, command))
    sys.exit(1 if any(result["failed"] for result in results) or not results else 0)


if __name__ == "__main__":
    main()
