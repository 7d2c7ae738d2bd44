"""The proofs of ``make proof``, a few cases each, and the page that they are written down on."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import shardwise

ROOT = Path(__file__).parents[2]
RUN = ROOT / "proof" / "run.py"


def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proof_run", RUN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


IN_THE_SUITE_ALREADY = {"power_loss", "quarantine", "exclusive", "remote_drivers"}
"""The same cases are tests of their own, and these take minutes."""


@pytest.mark.parametrize("name", [path.stem for path in runner().scripts() if path.stem not in IN_THE_SUITE_ALREADY])
def test_a_few_cases_of_each_proof_pass(name: str, tmp_path: Path) -> None:
    page = tmp_path / "proof.md"
    command = [sys.executable, str(RUN), "--quick", "--only", name, "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    written = page.read_text()
    assert f"\n## {name}\n" in written
    assert "passed" in written or "skipped" in written


def test_the_page_says_what_was_asked_and_what_failed() -> None:
    run = runner()
    good = {"proof": "a", "seed": 1, "count": 5, "failed": 0, "asked": "no loss", "seconds": 1.5, "kills": 7}
    bad = {**good, "proof": "b", "failed": 2, "table": [["bug", "found by"], ["x|y", "test"]]}
    skipped = {**good, "proof": "c", "skipped": "no strace"}
    page = run.page([good, bad, skipped], 0.1, "make proof")
    assert "| [a](#a) | 5 | 1 | 1.5 | passed |" in page
    assert "**2 failed**" in page
    assert "Skipped: no strace." in page
    assert "| kills | 7 |" in page
    assert "| x\\|y | test |" in page


def test_a_proof_that_says_nothing_has_failed(tmp_path: Path) -> None:
    script = tmp_path / "silent.py"
    script.write_text('"""Says nothing."""\n')
    result = runner().carry_out(script, 1, None)
    assert result["failed"] == 1
    assert result["asked"] == "Says nothing."


def test_every_planted_bug_has_its_place_and_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who changes such a line changes ``proof/_planted.py`` too."""
    monkeypatch.syspath_prepend(str(RUN.parent))
    planted = importlib.import_module("_planted")
    for bug in planted.BUGS:
        source = (Path(shardwise.__path__[0]) / bug.file).read_text()
        assert source.count(bug.old) == 1, f"{bug.file} has {source.count(bug.old)} times what {bug.name!r} replaces"
        for test in bug.tests:
            assert (ROOT / test.partition("::")[0]).exists(), f"{bug.name!r} is to be found by {test}"
    assert len({bug.name for bug in planted.BUGS}) == len(planted.BUGS)
