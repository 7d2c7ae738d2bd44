"""One pass over columns: the same states as by SQL, bit for bit, for every type, cut and number of threads."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shardwise as sw
from shardwise.compute.aggregates import (
    approx_n_unique,
    approx_quantile,
    count,
    count_null,
    maximum,
    mean,
    minimum,
    std,
    total,
    var,
)
from shardwise.compute.aggregates.grouped import GroupedAggregation
from shardwise.compute.columns.sums import sums
from shardwise.compute.exact.blocks import UNIT, block_sums
from shardwise.data.text.records import BatchCutter, QuoteRules, with_toggles
from shardwise.errors import InputError

doubles = st.floats(allow_nan=False, allow_infinity=False)


def exact(values: np.ndarray, power: int) -> Fraction:
    return sum((Fraction(float(v)) ** power for v in values), Fraction(0))


def check(values: np.ndarray) -> None:
    for squares in (True, False):
        found = block_sums(values, squares)
        assert Fraction(found.first, 2**UNIT) == exact(values, 1)
        assert Fraction(found.second, 4**UNIT) == (exact(values, 2) if squares else 0)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.one_of(doubles, st.floats(-1e3, 1e3), st.sampled_from([0.0, -0.0, 5e-324, 1.7e308])), max_size=40))
def test_block_sums_are_exact(values) -> None:
    check(np.array(values, np.float64))


@pytest.mark.parametrize("low, high", [(0, 1), (-4, 6), (-40, 40), (-1074, 1020), (-1074, -1060), (1000, 1019)])
@pytest.mark.parametrize("rows", [8191, 8193, 40_000])
def test_block_sums_of_many_rows(low, high, rows) -> None:
    rng = np.random.default_rng([low + 2000, high + 2000, rows])
    values = rng.standard_normal(rows) * 2.0 ** rng.integers(low, high, rows)
    check(np.where(rng.random(rows) < 0.2, 0.0, values))
    check(np.abs(values))


@pytest.mark.parametrize("greatest", [1.7976931348623157e308, 1.0, 3e-308])
def test_blocks_as_full_as_they_can_be(greatest) -> None:
    """All bits of all values are ones: pieces are as large as pieces get."""
    full = np.nextafter(np.full(3 << 13, greatest), 0)
    check(full)
    check(-full)


def test_what_is_not_finite_is_counted_apart() -> None:
    found = block_sums(np.array([math.nan, 1.5, math.inf, -math.inf, math.inf]), True)
    assert found == (3 << UNIT - 1, 9 << 2 * UNIT - 2, 1, 2, 1)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "i8", "u8", "?"])
@pytest.mark.parametrize("rows", [1, 513, 9000])
def test_sums_of_integers(dtype, rows) -> None:
    rng = np.random.default_rng(rows)
    if dtype == "?":
        values = (rng.random(rows) < 0.5).view(np.uint8)
    else:
        ends = np.iinfo(dtype)
        values = rng.integers(ends.min, ends.max, rows, dtype, endpoint=True)
        values[:1] = ends.min
        values[-1:] = ends.max
    found = sums(values, squares=True)
    wholes = values.tolist()
    assert (found.unit, found.first, found.second) == (0, sum(wholes), sum(v * v for v in wholes))


def every_type(rows: int) -> pa.Table:
    rng = np.random.default_rng(rows)

    def some(values) -> pa.Array:
        return pa.array(values, mask=rng.random(rows) < 0.1)

    odd = [0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 5e-324]
    days = (np.datetime64("1960-01-01") + rng.integers(0, 20_000, rows)).astype("datetime64[D]")
    return pa.table(
        {
            "double": some(rng.lognormal(3, 2, rows) * rng.choice([-1, 1], rows)),
            "odd": some(rng.choice(odd, rows)),
            "float": rng.standard_normal(rows).astype("f4"),
            "long": rng.integers(-(2**63), 2**63 - 1, rows),
            "unsigned": rng.integers(0, 2**64 - 1, rows, dtype="u8"),
            "few": some(rng.poisson(20, rows)),
            "byte": rng.integers(-128, 127, rows).astype("i1"),
            "flag": some(rng.random(rows) < 0.3),
            "day": some(days),
            "instant": some(rng.integers(-(10**15), 10**15, rows)).cast(pa.timestamp("us")),
            "nanos": some(rng.integers(0, 10**18, rows)).cast(pa.timestamp("ns")),
            "word": some(rng.choice(["", "a", "日本", "zz"], rows)),
            "code": pa.array([f"K{n}" for n in rng.integers(0, 10_000, rows)], pa.large_string()),
            "nothing": pa.nulls(rows, pa.float64()),
            "minus": np.full(rows, -0.0),
        }
    )


NUMBERS = {"double", "odd", "float", "long", "unsigned", "few", "byte", "nothing", "minus"}


def aggregates_of(name: str) -> dict:
    asked = {"c": count(name), "nulls": count_null(name), "rows": count(), "low": minimum(name), "high": maximum(name)}
    asked["unique"] = approx_n_unique(name)
    if name in NUMBERS | {"day", "instant", "nanos"}:
        asked["q"] = approx_quantile(name, [0.1, 0.5])
    if name in NUMBERS | {"flag"}:
        asked |= {"m": mean(name), "s": std(name), "v": var(name, 0), "sum": total(name)}
    return asked


@pytest.mark.parametrize("rows", [0, 1, 7, 3000, 70_000])
def test_states_are_those_of_sql(rows) -> None:
    table = every_type(rows)
    con = duckdb.connect(config={"threads": 2})
    con.register("every_type", table)
    for name in table.column_names:
        grouped = GroupedAggregation([], list(aggregates_of(name).items()), table.schema)
        columns = grouped.column_pass()
        assert columns is not None, name
        by_sql = grouped.save(grouped.partial(con, "every_type", lambda column: None))
        whole = columns.state([[table.select([name])]])
        cut = columns.state([[table.slice(0, rows // 3)], [table.slice(rows // 3, 1), table.slice(rows // 3 + 1)]])
        assert grouped.save(whole) == grouped.save(cut) == by_sql, name


def test_a_pass_is_for_what_it_can_do() -> None:
    schema = pa.schema([("x", pa.float64()), ("t", pa.time64("us")), ("d", pa.decimal128(9, 2))])

    def passes(keys=(), **asked) -> bool:
        return GroupedAggregation(list(keys), list(asked.items()), schema).column_pass() is not None

    assert passes(s=std("x"), n=count()) and passes(q=approx_quantile("x", 0.5))
    assert not passes(m=mean("x"))  # SQL is as fast
    assert not passes(s=std("x"), u=approx_n_unique("t")) and not passes(s=std("d"))
    assert not passes(["d"], s=std("x"))


ROWS = 30_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory: Path = tmp_path_factory.mktemp("columns")
    rng = np.random.default_rng(1)
    words = rng.choice(["one", 'tw"o', "thr\nee"], ROWS)
    table = pa.table({"x": rng.standard_normal(ROWS).round(6), "n": rng.integers(0, 9, ROWS), "word": words})
    pq.write_table(table, directory / "rows.parquet", row_group_size=7000)
    pyarrow.csv.write_csv(table, directory / "rows.csv")
    return {form: str(directory / f"rows.{form}") for form in ("parquet", "csv")}


def read(files: dict[str, str], form: str):
    reader = sw.read_parquet if form == "parquet" else sw.read_csv
    return reader(files[form], batch_rows=1000)


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("kept", [None, "n < 4", "n < 0"])
def test_jobs_answer_as_one_group_does(files, form, kept) -> None:
    """With a key all of it is SQL; without, a pass over columns."""
    data = read(files, form) if kept is None else read(files, form).filter(kept)
    asked = {"s": sw.std("x"), "m": sw.mean("x"), "q": sw.approx_quantile("x", [0.1, 0.9]), "lo": sw.min("word")}
    asked |= {"c": sw.count(), "u": sw.approx_n_unique("word"), "v": sw.var("n")}
    answers = []
    for workers, size in ((1, None), (2, 100_000), (3, 70_000)):
        options = {"engine": "inline", "workers": workers, "shard_size": size, "restart": True}
        answers += data.aggregate(**asked).run(**options, progress=False).to_pylist()
    mapped = data.map(lambda table: table)
    answers += mapped.aggregate(**asked).run(engine="inline", shard_size=100_000, progress=False).to_pylist()
    grouped = data.with_columns(one="1").group_by("one").aggregate(**asked).run(progress=False).to_pylist()
    if grouped:
        grouped[0].pop("one")
        assert answers == grouped * 4
    else:
        assert answers == [{name: 0 if name in "cu" else None for name in asked}] * 4


def test_a_misfit_is_named_as_ever(tmp_path) -> None:
    """An error in one of several threads reaches the caller."""
    lines = [f"{n},a" for n in range(20_000)]
    lines[15_000] = "1.5,a"
    (tmp_path / "rows.csv").write_text("n,word\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"15001|1\.5"):
        sw.read_csv(str(tmp_path / "rows.csv"), batch_rows=500).describe().run(progress=False)


def test_quotes_found_beforehand_change_no_cut() -> None:
    """Blocks that start within quotes cannot use what was found for them."""
    lines = [b'1,"a\n', b"2,b\n", b'3"",\n', b'4",c\n', b"5,d\n", b'6,"e""\n', b'"\n', b"7,f\n"] * 50
    rules = QuoteRules(b",", b'"', b'"')
    plain, guessed = (BatchCutter(rules, b"\n", step=9) for _ in range(2))
    for block in lines:
        plain.feed(block)
    for block, toggles in with_toggles(iter(lines), rules, threads=2):
        guessed.feed(block, toggles)
    assert guessed.finish(20).tolist() == plain.finish(20).tolist()
    assert (guessed.cuts, guessed.inside) == (plain.cuts, plain.inside)
