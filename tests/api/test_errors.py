"""What a person's mistake looks like: short, named, with the fix; the right one to blame."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import shardwise as sw

TEXTS = sw.from_frame(pa.table({"a": ["1", "2", "x"]}))
AS_NUMBER = "CAST(a AS INTEGER)"


@pytest.mark.parametrize(
    "job",
    [
        TEXTS.with_columns(c=AS_NUMBER).collect(),
        TEXTS.with_columns(c=AS_NUMBER).aggregate(sw.sum("c")),
        TEXTS.filter(f"{AS_NUMBER} > 1").map(lambda table: table).collect(),
    ],
)
@pytest.mark.parametrize("engine", ["inline", "local:1"])
def test_an_expression_that_fails_on_the_data_is_not_called_a_function(job: sw.Job, engine: str) -> None:
    with pytest.raises(sw.errors.InputError, match="Could not convert string 'x'") as raised:
        job.run(engine=engine, progress=False)
    assert "TRY_CAST" in raised.value.fix
    assert "the function" not in raised.value.message


def test_a_function_that_asks_duckdb_is_to_blame_itself() -> None:
    def bad(table: pa.Table) -> pa.Table:
        return duckdb.sql("SELECT CAST('x' AS INTEGER)").to_arrow_table()

    with pytest.raises(sw.errors.FunctionError, match="ConversionException"):
        TEXTS.map(bad).collect().run(engine="inline", retries=0, progress=False)


@pytest.mark.parametrize("given", [True, False, "none"])
def test_progress_may_be_switched(given: bool | str) -> None:
    assert TEXTS.aggregate(sw.count()).run(progress=given).to_pylist() == [{"count": 3}]


def test_a_native_aggregation_tells_what_it_read(trips: str) -> None:
    run = sw.read_parquet(trips).aggregate(sw.mean("fare")).run(progress=False, restart=True).run
    assert run.rows == 3000
    assert run.bytes == sum(path.stat().st_size for path in Path(trips).glob("*.parquet"))
