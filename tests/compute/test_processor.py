"""Who computes, and who waits, also where others are in the way."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from shardwise.compute.processor import Processor, processor_seconds

SPIN = "import sys, time\nprint('up', flush=True)\nwhile True: pass"
NAP = "import sys, time\nprint('up', flush=True)\nwhile True: time.sleep(0.01)"


@pytest.mark.parametrize(("program", "least", "most"), [(SPIN, 0.8, 1.0), (NAP, 0.0, 0.4)])
def test_a_process_that_spins_and_one_that_naps(program: str, least: float, most: float) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        shares = [_busy(process.pid) for _ in range(3)]  # a wait that lasts as it is read is in none yet
        process.kill()
    assert least <= sorted(shares)[1] <= most


def _busy(pid: int) -> float:
    began, before = time.monotonic(), processor_seconds(pid)
    time.sleep(0.5)
    after, ended = processor_seconds(pid), time.monotonic()
    return (after - before).busy(ended - began)


def test_who_is_gone_has_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert processor_seconds(process.pid) == Processor()


def test_seconds_add_up_and_never_go_back() -> None:
    assert Processor(1, 2) + Processor(3, 4) == Processor(4, 6)
    assert Processor(1, 2) - Processor(3, 1) == Processor(0, 1)  # threads that ended take their wait with them
    assert Processor(0, 9).busy(5) == 0
