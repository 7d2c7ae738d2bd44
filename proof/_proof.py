"""What all proofs share: their command line, signs of life on stderr, and one line of JSON at the end.

A proof carries out cases, numbered from 0. Whatever is random in a case comes from the seed and its number alone, so
that a case that failed can be looked at by itself: ``python proof/NAME.py --seed SEED --case NUMBER``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

SIGN_SECONDS = 20.0


class Broken(AssertionError):
    """What should hold does not."""


def must(holds: object, what: str) -> None:
    """Fail the case unless something holds. Unlike ``assert`` it is not taken out by ``python -O``."""
    if not holds:
        raise Broken(what)


class Proof:
    """One proof: its arguments, its figures, its failures."""

    def __init__(self, name: str, count: int, asked: str) -> None:
        parser = argparse.ArgumentParser(prog=f"python proof/{name}.py", description=asked)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--count", type=int, default=count, help="how many cases (default: %(default)s)")
        parser.add_argument("--case", type=int, help="only this one")
        arguments = parser.parse_args()
        self.name, self.asked = name, asked
        self.seed: int = arguments.seed
        self.count: int = arguments.count
        self.numbers: Sequence[int] = range(self.count) if arguments.case is None else [arguments.case]
        self.done = 0
        self.failed = 0
        self.started = self._told = time.monotonic()
        self._place = tempfile.TemporaryDirectory(prefix="shardwise-proof-")
        self.directory = Path(self._place.name).resolve()

    def tell(self, text: str) -> None:
        """Say something on stderr."""
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def fail(self, case: object, why: str) -> None:
        """Note a failure, and print how to see it again."""
        self.failed += 1
        self.tell(f"FAILED: seed {self.seed}, case {case}: {why}")

    def passed(self, number: int = 1) -> None:
        """Note cases that are done; now and then say how far it is."""
        self.done += number
        if time.monotonic() - self._told > SIGN_SECONDS:
            self._told = time.monotonic()
            seconds = self._told - self.started
            self.tell(f"{self.done} of {self.count} after {seconds:.0f} s, {self.failed} failed")

    def check(self, case: object, act: Callable[[], Any]) -> Any:
        """Carry out a part that stands alone; what it raises is a failure."""
        try:
            return act()
        except Exception as error:
            self.fail(case, reason(error))
            return None

    def end(self, **figures: Any) -> NoReturn:
        """Print the result and leave with 0, or 1 when something failed."""
        self._place.cleanup()
        seconds = round(time.monotonic() - self.started, 1)
        done = {"proof": self.name, "seed": self.seed, "count": self.done, "failed": self.failed}
        print(json.dumps({**done, "asked": self.asked, "seconds": seconds, **figures}), flush=True)
        sys.exit(1 if self.failed else 0)


def reason(error: BaseException) -> str:
    """Why a case failed, in one text."""
    if isinstance(error, Broken):
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()


def median(values: Iterable[float]) -> float:
    """The middle one, or 0."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0
