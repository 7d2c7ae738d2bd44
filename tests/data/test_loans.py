"""Data in memory is lent: the same object here, one mapping for processes of this host, by value elsewhere."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import weakref
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from shardwise.data.loans import Loans, lending
from shardwise.data.memory import from_array, from_frame

SOURCES = [
    from_array(np.arange(3000.0).reshape(-1, 3), batch_rows=100),
    from_array(np.arange(7, dtype=np.int16)),
    from_array(np.empty((0, 4))),
    from_array(np.asfortranarray(np.arange(60.0).reshape(-1, 3))),
    from_frame(pa.table({"a": [1, None, 3], "b": ["x", "y", None]})),
    from_frame(pa.table({"a": pa.array([], pa.int64())})),
]


def _rows(source: Any) -> Any:
    return [batch.data.tolist() if source.kind == "array" else batch.data.to_pylist() for batch in _all(source)]


def _all(source: Any) -> Any:
    return source.read(0, sum(fragment.batches for fragment in source.fragments))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reach", ["process", "host", "network"])
def test_what_is_lent_is_the_same(source: Any, reach: Any) -> None:
    loans = Loans(reach)
    with lending(loans):
        blob = cloudpickle.dumps(source)
    taken = pickle.loads(blob)
    assert (taken is source) == (reach == "process")
    assert _rows(taken) == _rows(source) and taken.fragments == source.fragments
    loans.close()
    loans.close()


def test_nothing_large_travels_within_a_host() -> None:
    source = from_array(np.ones((100_000, 10)))
    for reach, most in (("process", 1000), ("host", 2000)):
        loans = Loans(reach)  # type: ignore[arg-type]
        if loans.reach == reach:
            with lending(loans):
                assert len(cloudpickle.dumps([source, source])) < most
        loans.close()
    assert len(pickle.dumps(source)) > 8_000_000


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no unnamed files here")
def test_another_process_maps_it_while_it_is_lent() -> None:
    source, loans = from_array(np.arange(1000.0)), Loans("host")
    with lending(loans):
        blob = cloudpickle.dumps(source)
    code = "import pickle, sys; print(float(pickle.loads(sys.stdin.buffer.read()).array.sum()))"
    told = subprocess.run([sys.executable, "-c", code], input=blob, capture_output=True, check=True).stdout
    assert float(told) == 499500.0
    loans.close()
    assert subprocess.run([sys.executable, "-c", code], input=blob, capture_output=True).returncode != 0


def test_a_loan_to_this_process_keeps_nothing_alive() -> None:
    source = from_array(np.ones(10))
    with lending(Loans("process")):
        cloudpickle.dumps(source)
    gone = weakref.ref(source)
    del source
    gc.collect()
    assert gone() is None


def test_functions_may_change_what_they_get_and_nobody_else_sees_it() -> None:
    array = np.ones((10, 2))
    (batch,) = _all(from_array(array))
    assert not batch.data.flags.writeable and array.flags.writeable
