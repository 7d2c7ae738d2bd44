from __future__ import annotations

from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from shardwise.data.generate import batch_rng, generate
from shardwise.errors import FunctionError, InputError, UsageError


def noise(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {"x": rng.random(n)}


def whole(source: Any) -> pa.Table:
    return pa.concat_tables(batch.data for batch in source.read(0, source.fragments[0].batches))


def test_values_depend_on_seed_and_batch_alone() -> None:
    table = whole(generate(250, noise, seed=1, batch_rows=100))
    assert whole(generate(150, noise, seed=1, batch_rows=100))["x"][:100] == table["x"][:100]
    [last] = generate(250, noise, seed=1, batch_rows=100).read(2, 3)
    assert last.data["x"].to_pylist() == table["x"].to_pylist()[200:]
    assert len(set(table["x"].to_pylist())) == 250
    assert whole(generate(250, noise, seed=2, batch_rows=100))["x"] != table["x"]


def test_the_generators_are_pinned() -> None:
    assert batch_rng(7, 3).integers(0, 1 << 40, 3).tolist() == [1080075340154, 67016714067, 12881911846]


def test_generators_of_large_seeds_are_not_those_of_other_batches() -> None:
    assert batch_rng(5, 1).random() != batch_rng(5 + (1 << 32), 0).random()


def test_nothing_is_made_before_it_is_asked_for() -> None:
    calls = []

    def counted(rng: np.random.Generator, n: int) -> dict[str, Any]:
        calls.append(n)
        return {"x": rng.random(n)}

    source = generate(1000, counted, batch_rows=300)
    assert source.fragments[0].batches == 4 and source.identity()["function"] is None and not calls
    assert source.schema.names == ["x"] and source.kind == "table" and calls == [300]
    assert source.function is counted


@pytest.mark.parametrize("make", ["dict", "arrow", "polars", "pandas"])
def test_tables_of_any_kind(make: str) -> None:
    def function(rng: np.random.Generator, n: int, start: int) -> Any:
        columns = {"id": np.arange(start, start + n)}
        if make == "arrow":
            return pa.table(columns)
        return columns if make == "dict" else pytest.importorskip(make).DataFrame(columns)

    assert whole(generate(25, function, batch_rows=10))["id"].to_pylist() == list(range(25))


@pytest.mark.parametrize("columns", [None, 3])
def test_arrays(columns: int | None) -> None:
    source = generate(25, lambda rng, n: rng.random(n if columns is None else (n, columns)), batch_rows=10)
    assert source.kind == "array" and len(source.schema) == (columns or 1)
    batches = [batch.data for batch in cloudpickle.loads(cloudpickle.dumps(source)).read(0, 3)]
    assert [batch.shape for batch in batches] == [(n,) if columns is None else (n, columns) for n in (10, 10, 5)]
    [part] = source.read(1, 2, ["c0"])
    assert part.data.shape == ((10,) if columns is None else (10, 1))


def test_what_is_kept_of_batch_0_is_small() -> None:
    source = generate(100_000, noise)
    assert source.schema is not None and len(cloudpickle.dumps(source)) < 10_000


def test_no_rows() -> None:
    source = generate(0, noise)
    assert source.schema == pa.schema({"x": pa.float64()}) and source.fragments[0].batches == 0


def test_wrong_calls_and_functions() -> None:
    with pytest.raises(UsageError, match="rows=-1"):
        generate(-1, noise)
    with pytest.raises(FunctionError, match="asked for 10 rows and gave 11"):
        _ = generate(10, lambda rng, n: rng.random(n + 1)).schema
    with pytest.raises(FunctionError, match="returned a int"):
        _ = generate(10, lambda rng, n: 5).schema
    with pytest.raises(FunctionError, match="3 dimensions"):
        _ = generate(10, lambda rng, n: np.zeros((n, 1, 1))).schema

    def drifting(rng: np.random.Generator, n: int, start: int) -> dict[str, Any]:
        return {"v": ["text"] * n} if start else {"v": [1] * n}

    with pytest.raises(InputError, match="<generated> batch 1"):
        whole(generate(20, drifting, batch_rows=10))
