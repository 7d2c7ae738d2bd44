"""Planted bugs: each is put into a copy of the package, and the tests that should find it must fail."""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from _planted import BUGS, Bug
from _proof import ROOT, Proof, must

ASKED = "bugs planted in scheduler, driver, run directory, storage, engine and worker: the tests find every one"
LANES = 2
LIMIT_SECONDS = 100.0
CONTROL_SECONDS = 600.0
PATIENCE_SECONDS = "8"
"""What tests wait for something that a planted bug may have made impossible."""

FOUND = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def copy_of_the_package(place: Path) -> Path:
    """A directory to put in front of the path."""
    shutil.copytree(ROOT / "src" / "shardwise", place / "shardwise", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def plant(bug: Bug, place: Path) -> None:
    """Change the one place where a bug belongs."""
    path = place / "shardwise" / bug.file
    source = path.read_text()
    must(source.count(bug.old) == 1, f"{bug.file} has {source.count(bug.old)} times what {bug.name!r} replaces")
    path.write_text(source.replace(bug.old, bug.new))


def ask(tests: tuple[str, ...], place: Path, limit: float = LIMIT_SECONDS) -> tuple[int, str]:
    """Exit code of the tests against a copy of the package, and what they printed."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:doctest", "-o", "addopts=--import-mode=importlib"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHARDWISE_PATIENCE": PATIENCE_SECONDS,
        "TMPDIR": str(place),
    }
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return 1, f"FAILED {tests[0]} (they hang)"
    return done.returncode, done.stdout + done.stderr


def hunt(bug: Bug, directory: Path, number: int) -> str:
    """The test that finds a bug."""
    place = copy_of_the_package(directory / str(number))
    try:
        plant(bug, place)
        status, said = ask(bug.tests, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    must(status != 0, f"survived: {bug.name} ({', '.join(bug.tests)} pass)")
    must(status == 1 and FOUND.search(said), f"{bug.name}: pytest ended with {status}:\n{said[-2000:]}")
    found = FOUND.search(said)
    return found[1] if found else ""


def control(directory: Path, bugs: tuple[Bug, ...]) -> None:
    """The tests pass where no bug was planted, and it is the copy that they test."""
    place = copy_of_the_package(directory / "control")
    (place / "shardwise" / "_version.py").write_text('__version__ = "copy"\n')
    where = subprocess.run(
        [sys.executable, "-c", "import shardwise; print(shardwise.__version__)"],
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
    )
    must(where.stdout.strip() == "copy", "the copy of the package is not what is tested")
    status, said = ask(tuple(dict.fromkeys(test for bug in bugs for test in bug.tests)), place, CONTROL_SECONDS)
    must(status == 0, f"tests fail without any bug:\n{said[-3000:]}")
    shutil.rmtree(place, ignore_errors=True)


def main() -> None:
    proof = Proof("mutations", len(BUGS), ASKED)
    step = max(1, len(BUGS) // max(1, proof.count))
    numbers = list(range(0, len(BUGS), step))[: proof.count] if len(proof.numbers) != 1 else list(proof.numbers)
    proof.count = len(numbers)
    caught: dict[int, tuple[str, float]] = {}

    def one(number: int) -> tuple[str, float]:
        started = time.monotonic()
        return hunt(BUGS[number], proof.directory, number), time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        checked = pool.submit(control, proof.directory, tuple(BUGS[number] for number in numbers))
        hunts = {pool.submit(one, number): number for number in numbers}
        for hunted in concurrent.futures.as_completed(hunts):
            number = hunts[hunted]
            found = proof.check(number, hunted.result)
            proof.passed()
            if found:
                caught[number] = found
        proof.check("control", checked.result)
    rows = [[BUGS[n].name, BUGS[n].file, caught[n][0] if n in caught else "SURVIVED"] for n in numbers]
    slowest = max(caught, key=lambda n: caught[n][1], default=None)
    proof.end(
        caught=len(caught),
        slowest_s=0.0 if slowest is None else round(caught[slowest][1], 1),
        table=[["bug", "in", "found by"], *rows],
    )


if __name__ == "__main__":
    main()
