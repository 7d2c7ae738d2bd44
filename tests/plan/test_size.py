"""How large data are: measured on a few batches, whatever is in them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import shardwise as sw
from shardwise.data.memory import from_frame
from shardwise.data.source import Batch
from shardwise.errors import UsageError
from shardwise.plan import machine, size_sample
from shardwise.plan.memory import row_bytes
from shardwise.plan.size import size_class, suggestion
from shardwise.plan.size_sample import measure_size

GB = 10**9


def uneven(rows: int, length: int, seed: int = 0) -> pa.Table:
    """Strings of about this length, and nested columns."""
    chance = np.random.default_rng(seed)
    lengths = chance.integers(0, 2 * length, rows)
    return pa.table(
        {
            "id": np.arange(rows),
            "text": ["x" * n for n in lengths],
            "tags": [["tag"] * int(n % 5) for n in lengths],
            "place": [{"name": "y" * int(n // 3), "at": [0.5, 1.5]} for n in lengths],
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, int, int]:
    """Files whose rows are larger and larger; and their rows and bytes in memory."""
    rows = held = 0
    for number in range(8):
        table = uneven(2000, 20 * (number + 1), number)
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=500)
        rows, held = rows + table.num_rows, held + table.nbytes
    return str(tmp_path / "*.parquet"), rows, held


def test_strings_and_nested_columns_are_measured(files: tuple[str, int, int]) -> None:
    pattern, rows, held = files
    dataset = sw.read_parquet(pattern, batch_rows=500)
    found = dataset.size()
    assert (found.rows, found.is_exact, found.batches, found.all_batches) == (rows, True, 8, 32)
    assert found.memory == pytest.approx(held, rel=0.05)
    assert found.memory_low is not None and found.memory_high is not None
    assert found.memory_low < held < found.memory_high
    assert found.stored == sum(path.stat().st_size for path in Path(pattern).parent.glob("*.parquet"))
    by_schema = rows * row_bytes(dataset.schema)
    assert abs(by_schema - held) > 0.3 * held  # which a fixed number of bytes a value would have missed


def test_all_of_little_data_is_looked_at() -> None:
    table = uneven(1000, 30)
    found = measure_size(from_frame(table, batch_rows=250))
    assert found.memory == found.memory_low == found.memory_high
    assert found.memory == pytest.approx(table.nbytes, rel=0.01)
    assert (found.batches, found.all_batches, found.sampled_rows) == (4, 4, 1000)


@dataclass(frozen=True)
class Watched:
    """A source that notes what is read of it, each batch in so many seconds."""

    inner: Any
    read_ordinals: list[int]
    seconds: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
        self.read_ordinals.extend(range(first, last))
        yield from self.inner.read(first, last, columns)

    def clock(self) -> float:
        return len(self.read_ordinals) * self.seconds


def test_a_few_batches_are_read_spread_over_the_data() -> None:
    source = Watched(from_frame(uneven(8000, 10), batch_rows=10), [])
    found = measure_size(source)
    assert found.batches == 8
    assert sorted(source.read_ordinals) == [50, 150, 250, 350, 450, 550, 650, 750]


def test_where_reading_is_slow_it_ends_early_and_is_spread_still() -> None:
    source = Watched(from_frame(uneven(8000, 10), batch_rows=10), [], seconds=0.3)
    found = measure_size(source, 1.0, source.clock)
    assert found.batches == 4
    assert sorted(source.read_ordinals) == [50, 250, 450, 650]
    slow = Watched(source.inner, [], seconds=100.0)
    assert measure_size(slow, 1.0, slow.clock).batches == 1


def test_what_a_dataset_says_of_itself_reads_nothing() -> None:
    class Unread(Watched):
        def read(self, first: int, last: int, columns: list[str] | None = None) -> Iterator[Batch]:
            raise AssertionError("data was read")

    dataset = sw.from_frame(uneven(1000, 10))
    dataset._source = Unread(dataset._source, [])  # type: ignore[assignment]
    assert "small: fits in" in repr(dataset)
    with pytest.raises(AssertionError, match="data was read"):
        dataset.size()


def test_text_has_as_many_rows_as_its_records_are_long(tmp_path: Path) -> None:
    table = pa.table({"name": [f"name {n % 97}" for n in range(50_000)], "value": np.arange(50_000) / 7})
    pa.csv.write_csv(table, tmp_path / "a.csv")
    found = sw.read_csv(str(tmp_path / "a.csv"), batch_rows=1000).size()
    assert found.rows == pytest.approx(50_000, rel=0.03) and not found.is_exact
    assert found.memory == pytest.approx(table.nbytes, rel=0.05)
    assert "about " in repr(found)


def test_of_a_large_text_file_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_sample, "WALKED", 1000)
    table = pa.table({"name": [f"name {n % 97}" for n in range(50_000)], "value": np.arange(50_000)})
    pa.csv.write_csv(table, tmp_path / "a.csv")
    dataset = sw.read_csv(str(tmp_path / "a.csv"), batch_rows=1000)
    monkeypatch.setattr(type(dataset._source), "_find_cuts", lambda self, fragment: pytest.fail("it walked over all"))
    found = dataset.size()
    assert found.batches == size_sample.FIRST_BATCHES
    assert found.rows == pytest.approx(50_000, rel=0.1)


def test_compressed_text_that_is_short_is_read_to_its_end(tmp_path: Path) -> None:
    for number in range(3):
        with gzip.open(tmp_path / f"{number}.csv.gz", "wt") as file:
            file.write("a,b\n" + "".join(f"{n},text {n}\n" for n in range(5000)))
    found = sw.read_csv(str(tmp_path / "*.csv.gz"), batch_rows=1000).size()
    assert (found.rows, found.is_exact) == (15_000, True)
    assert found.memory is not None and found.memory_low is not None and found.all_batches is None


def test_compressed_text_that_is_long_is_not_guessed(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("a,b\n" + "".join(f"{n},text {n}\n" for n in range(5000)))
    source = Watched(sw.read_csv(str(tmp_path / "a.csv.gz"), batch_rows=1000)._source, [], seconds=5.0)
    found = measure_size(source, 1.0, source.clock)
    assert found.rows is None and found.memory is None and found.size_class is None and found.suggestion is None
    assert found.row_bytes is not None and "an unknown number of rows" in repr(found)


def test_arrays_and_items() -> None:
    array = sw.from_array(np.ones((100_000, 5))).size()
    assert (array.rows, array.memory, array.row_bytes) == (100_000, 4_000_000, 40.0)
    items = sw.from_items([{"name": "x" * 1000, "list": [1.5] * 100} for _ in range(1000)]).size()
    assert items.rows == 1000 and "items" in repr(items)
    assert items.row_bytes is not None and 1800 < items.row_bytes < 3000  # 1000 of text, 800 of a list, and the dict


def test_nothing_has_no_size(tmp_path: Path) -> None:
    empty = sw.from_frame({"a": pa.array([], pa.int64())}).size()
    assert (empty.rows, empty.memory, empty.row_bytes, empty.size_class) == (0, 0, None, "small")
    repr(empty)


def test_a_result_has_no_size_before_its_job_has_run() -> None:
    from shardwise.api.dataset import Later

    dataset = sw.from_items([1])
    later = sw.Dataset(Later((dataset.collect(),), lambda result: result))
    with pytest.raises(UsageError, match="when its job has run"):
        later.size()


# --- classes ---------------------------------------------------------------------------------------------------------


def test_classes_by_bytes_in_memory() -> None:
    ends = {0: "small", GB: "small", GB + 1: "medium", 100 * GB: "medium", 100 * GB + 1: "large", 10**12: "large"}
    assert {held: size_class(held) for held in ends} == ends
    assert size_class(10**12 + 1) == size_class(10**15) == "very large"


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (4 * GB, "with room to work"),
        (4 * GB + 1, "copies of it do not: work in pieces"),
        (16 * GB, "copies of it do not: work in pieces"),
        (16 * GB + 1, "are free here: read in pieces"),
        (1800 * GB, "reading takes 1 h 0 min, which several machines shorten"),
    ],
)
def test_what_it_suggests_on_this_machine(held: int, expected: str) -> None:
    assert suggestion(held, free=16 * GB).endswith(expected)


def test_several_machines_are_a_matter_of_how_fast_this_one_reads() -> None:
    assert "several machines" in suggestion(400 * GB, free=16 * GB, rate=0.1e9)
    assert "several machines" not in suggestion(400 * GB, free=16 * GB, rate=3e9)
    assert "several machines" not in suggestion(1800 * GB, stored=100 * GB, free=16 * GB)  # compressed on disk


def test_storage_that_was_measured_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    dataset = sw.read_parquet(str(tmp_path / "a.parquet"))
    assert dataset.size().rate is None

    class Known:
        def storage(self, directory: str) -> Any:
            assert directory == str(tmp_path)
            return machine.Storage(directory, "ext4", 1, 123e6, 1e6, "direct", 1)

    monkeypatch.setattr(machine, "load", Known)
    assert dataset.size().rate == 123e6


def test_it_says_so_in_one_line(files: tuple[str, int, int]) -> None:
    line = repr(sw.read_parquet(files[0], batch_rows=500).size())
    assert line.startswith("16,000 rows, ") and "measured on 8 of 32 batches" in line and "small: fits in" in line
    assert json.dumps(line).isascii()
