"""What a plan is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from shardwise.errors import UsageError
from shardwise.plan.sample import SHARE
from shardwise.sizes import parse_count, parse_share

_ROWS = "give a whole number of rows from 1: 1_000_000_000, 1e9 or '1G'"
_SHARE = "give a share from 0 to 1: 0.05 or '5%'; 0 tries nothing"


@dataclass(frozen=True, slots=True)
class Ask:
    """``rows`` of data, where there will be more than there is now; the ``share`` of the work that may be tried, where
    the person says so."""

    rows: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, rows: Any, sample: Any) -> Ask:
        """What a person gave.

        Raises
        ------
        UsageError
            It is no number of rows, or no share.

        Examples
        --------
        >>> Ask.of("1e9", "5%")
        Ask(rows=1000000000, share=0.05)
        """
        return cls(None if rows is None else _rows(rows), None if sample is None else _share(sample))

    @property
    def allowed(self) -> float:
        """The share that may be tried."""
        return SHARE if self.share is None else self.share


def _rows(given: Any) -> int:
    if isinstance(given, str):
        return _rows(parse_count(given))
    if not _is_number(given) or given != int(given) or given < 1:
        raise UsageError(f"rows is {given!r}", _ROWS)
    return int(given)


def _share(given: Any) -> float:
    if isinstance(given, str):
        return parse_share(given)
    if not _is_number(given) or not 0 <= given <= 1:
        raise UsageError(f"sample is {given!r}", _SHARE)
    return float(given)


def _is_number(given: Any) -> bool:
    """Also a number of NumPy's, but no truth value."""
    try:
        return not isinstance(given, bool) and math.isfinite(given)
    except TypeError:
        return False
