"""What states of arrays are made of: how an ingredient is made from a batch, merged, and written as JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shardwise.compute.arrays.extremes import highs, lows
from shardwise.compute.arrays.lanes import Array
from shardwise.compute.arrays.moments import merge_moments, moments
from shardwise.compute.arrays.sketches import filled_buckets, merge_buckets, merge_registers, registers
from shardwise.compute.arrays.totals import merge_totals, totals


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One kind of state of a column. Merging is exact, commutative and associative.

    Parameters
    ----------
    of : callable
        Makes one state per column of a batch.
    merge : callable
        Of two states of a column.
    plain, revive : callable
        To what JSON can write, and back.
    """

    of: Callable[[Array], list[Any]]
    merge: Callable[[Any, Any], Any]
    plain: Callable[[Any], Any] = list
    revive: Callable[[Any], Any] = tuple


def _same(value: Any) -> Any:
    return value


INGREDIENTS = {
    "total": Ingredient(totals, merge_totals),
    "moments": Ingredient(moments, merge_moments),
    "low": Ingredient(lows, min, _same, _same),
    "high": Ingredient(highs, max, _same, _same),
    "buckets": Ingredient(
        filled_buckets,
        merge_buckets,
        lambda filled: [(bucket, *values) for bucket, values in filled.items()],
        lambda rows: {bucket: tuple(values) for bucket, *values in rows},
    ),
    "registers": Ingredient(
        registers, merge_registers, lambda data: base64.b64encode(data).decode("ascii"), base64.b64decode
    ),
}
