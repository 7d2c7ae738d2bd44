"""Sizes, counts, shares and durations as people write and read them."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from shardwise.errors import UsageError

_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40, "PI": 2**50}
_NUMBER = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z%]*)\s*\Z")
_SECONDS = {
    "ms": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip


def parse_size(text: str) -> int:
    """Bytes of a size such as ``4GB``, ``512MiB``, ``250k`` or ``64``. Powers of 1000, or of 1024 with an ``i``.

    Raises
    ------
    UsageError
        It is not a size, or is less than a byte.

    Examples
    --------
    >>> parse_size("4GB"), parse_size("512MiB"), parse_size("250k"), parse_size("1.5 g")
    (4000000000, 536870912, 250000, 1500000000)
    """
    value, unit = _split(text, "size", "write for example 4GB, 512MiB or 250k")
    scale = (_DECIMAL | _BINARY).get(unit.upper().removesuffix("B"))
    size = math.floor(value * scale) if scale else 0
    if size < 1:
        raise UsageError(f"{text!r} is not a size", "write for example 4GB, 512MiB or 250k")
    return size


def parse_count(text: str) -> int:
    """A whole number of things such as ``250000``, ``250_000``, ``250k``, ``2M`` (powers of 1000) or ``1e9``.

    Examples
    --------
    >>> parse_count("131_072"), parse_count("2M"), parse_count("1.5k"), parse_count("1e9")
    (131072, 2000000, 1500, 1000000000)
    """
    fix = "write for example 250000, 250k, 2M or 1e9"
    if found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)[eE]\+?(\d{1,2})\s*", text):
        text = format(Decimal(found[0].strip()), "f")
    value, unit = _split(text, "count", fix)
    scale = _DECIMAL.get(unit.upper())
    count = value * scale if scale else 0.5
    if count != int(count):
        raise UsageError(f"{text!r} is not a whole number", fix)
    return int(count)


def parse_share(text: str) -> float:
    """A share such as ``1%`` or ``0.01``, more than 0 and at most 1.

    Examples
    --------
    >>> parse_share("1%"), parse_share("0.25")
    (0.01, 0.25)
    """
    fix = "write for example 1% or 0.01"
    value, unit = _split(text, "share", fix)
    if unit not in ("", "%"):
        raise UsageError(f"{text!r} is not a share", fix)
    share = value / 100 if unit else value
    if not 0 < share <= 1:
        raise UsageError(f"{text!r} is not a share: it lies above 0 and at most at 100 %", fix)
    return share


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``90s``, ``2m``, ``1h30m``, ``500ms`` or ``90``.

    Examples
    --------
    >>> parse_duration("90s"), parse_duration("2m"), parse_duration("1h30m"), parse_duration("500ms")
    (90.0, 120.0, 5400.0, 0.5)
    """
    fix = "write for example 90s, 2m or 1h30m"
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)\s*", text.strip().lower())
    rest = re.sub(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)\s*", "", text.strip().lower())
    units = [unit or "s" for _, unit in parts]
    if not parts or rest or any(unit not in _SECONDS for unit in units):
        raise UsageError(f"{text!r} is not a duration", fix)
    seconds = sum(float(number) * _SECONDS[unit] for (number, _), unit in zip(parts, units, strict=True))
    if not seconds > 0:
        raise UsageError(f"{text!r} is no time at all", fix)
    return float(seconds)


def format_size(size: float) -> str:
    """Bytes in three digits, powers of 1000.

    Examples
    --------
    >>> format_size(0), format_size(1234567), format_size(999_950), format_size(4e9)
    ('0 B', '1.23 MB', '1.00 MB', '4.00 GB')
    """
    return _scaled(size, ("B", "kB", "MB", "GB", "TB", "PB"))


def format_count(count: int) -> str:
    """A whole number with commas.

    Examples
    --------
    >>> format_count(336776)
    '336,776'
    """
    return f"{count:,}"


def format_rate(per_second: float, unit: str = "") -> str:
    """Things per second in three digits; bytes without a ``unit``.

    Examples
    --------
    >>> format_rate(123456789), format_rate(4567, "rows"), format_rate(12, "rows")
    ('123 MB/s', '4.57 k rows/s', '12 rows/s')
    """
    if not unit:
        return format_size(per_second) + "/s"
    number = _scaled(per_second, ("", "k", "M", "G", "T", "P"))
    return f"{number.rstrip()} {unit}/s"


def format_duration(seconds: float) -> str:
    """A duration in its two largest units; parts of a second only below ten.

    Examples
    --------
    >>> format_duration(0.0042), format_duration(3.14159), format_duration(75), format_duration(7_260)
    ('4 ms', '3.1 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def format_brief(seconds: float) -> str:
    """A duration as `format_duration` has it, but of less than a second in three digits.

    Examples
    --------
    >>> format_brief(0.0000421), format_brief(0.0042), format_brief(0.25), format_brief(75)
    ('42.1 us', '4.20 ms', '250 ms', '1 min 15 s')
    """
    if seconds >= 0.9995:
        return format_duration(seconds)
    return _scaled(seconds * 1e9, ("ns", "us", "ms"))


def format_percent(share: float, digits: int = 1) -> str:
    """A share as a percentage.

    Examples
    --------
    >>> format_percent(0.25)
    '25.0 %'
    """
    return f"{share * 100:.{digits}f} %"


def _split(text: str, what: str, fix: str) -> tuple[float, str]:
    match = _NUMBER.match(text)
    if not match:
        raise UsageError(f"{text!r} is not a {what}", fix)
    number = match[1].replace("_", "")
    return (float(number) if "." in number else int(number)), match[2]


def _scaled(value: float, units: tuple[str, ...]) -> str:
    """Three significant digits and the largest unit that leaves at least 1 before the point."""
    step = 0
    while value >= 999.5 and step < len(units) - 1:
        value, step = value / 1000, step + 1
    if step == 0:
        return f"{value:.0f} {units[0]}"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {units[step]}"
