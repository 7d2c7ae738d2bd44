"""The note of what a worker is doing, which outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from shardwise.compute.calls import SIZE, Calls, LostCall, last_call

CHILD = """
import os, sys
from shardwise.compute.calls import Calls
calls = Calls(int(sys.argv[1]))
calls.watch(float(sys.argv[3]) if len(sys.argv) > 3 else None)
calls.begin(9, 1, 2, 30, 40, True)
{}
"""


def lost(code: str, *seconds: str) -> tuple[LostCall | None, int]:
    """What a process leaves that ends in this code."""
    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        command = [sys.executable, "-c", CHILD.format(code), str(file.fileno()), "0", *seconds]
        status = subprocess.run(command, pass_fds=[file.fileno()], timeout=60).returncode
        return last_call(file.fileno(), status), status


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "os.abort()"])
def test_the_call_outlives_whatever_ends_the_process(end: str) -> None:
    found, status = lost(end)
    assert found == LostCall(9, 1, 2, 30, 40, True, status)
    assert status != 0


def test_a_call_can_name_its_row() -> None:
    found, _ = lost("calls.at(33); os._exit(0)")
    assert found == LostCall(9, 1, 2, 33, 34, True, 0)


def test_between_calls_there_is_none() -> None:
    assert lost("calls.end(); os._exit(1)")[0] is None
    assert lost("calls.begin(0, 1, 2, 3, 4, False); os._exit(1)")[0] is None


@pytest.mark.parametrize("hang", ["while True: pass", "import ctypes; ctypes.PyDLL(None).sleep(1000)"])
def test_the_kernel_ends_a_call_that_takes_too_long(hang: str) -> None:
    found, status = lost(hang, "0.2")
    assert status == -14
    assert found is not None


def test_each_call_and_each_return_winds_the_clock_anew() -> None:
    def left() -> float:
        seconds, _ = signal.getitimer(signal.ITIMER_REAL)
        signal.setitimer(signal.ITIMER_REAL, 500.0)
        return seconds

    with tempfile.TemporaryFile() as file:
        file.truncate(SIZE)
        calls = Calls(file.fileno())
        try:
            calls.watch(1000.0)
            assert left() > 900
            calls.begin(1, 0, 0, 0, 9, False)
            assert left() > 900
            calls.at(5)
            assert left() > 900
            calls.end()
            assert left() > 900
            calls.watch(5.0)
            assert left() > 50, "what loads before the first call is no call"
            calls.begin(1, 0, 0, 0, 9, False)
            assert left() <= 5
            calls.end()
            assert left() > 50
        finally:
            calls.watch(None)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_descriptor_without_a_note_has_none() -> None:
    with tempfile.TemporaryFile() as file:
        assert last_call(file.fileno(), 0) is None
        os.ftruncate(file.fileno(), SIZE)
        Calls(file.fileno())
        assert last_call(file.fileno(), 0) is None
