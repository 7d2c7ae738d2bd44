"""Several drivers on one run directory: one works, the others say so."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from faults.drivers import make_data, round_of

SEED = int(os.environ.get("SHARDWISE_SEED", "1"))


@pytest.mark.parametrize(("count", "kill"), [(2, False), (4, True)])
def test_one_of_them_works_and_nothing_is_damaged(count: int, kill: bool, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    seen = round_of(tmp_path / "place", data, count, kill, random.Random(SEED))
    assert not seen.wrong, f"seed {SEED}"
