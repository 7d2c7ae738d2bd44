"""How a CSV file is written, in the words of DuckDB's reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shardwise.data.text.records import QuoteRules
from shardwise.data.text.sql import literal
from shardwise.errors import UsageError

DELIMITERS = ",;\t|"
"""What a delimiter may be where none is given."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What ``read_csv`` was told, or found out. ``delimiter`` and ``header`` are None until they are known."""

    delimiter: str | None
    quote: str
    escape: str
    header: bool | None
    null_values: tuple[str, ...]
    decimal: str
    encoding: str
    date_format: str | None = None
    timestamp_format: str | None = None

    @property
    def rules(self) -> QuoteRules:
        """What the search for records needs."""
        delimiters = DELIMITERS if self.delimiter is None else self.delimiter
        return QuoteRules(delimiters.encode(), self.quote.encode() or None, self.escape.encode() or None)

    @property
    def special(self) -> bytes:
        """Bytes that structure the text."""
        return b"\r\n" + self.rules.delimiters + self.quote.encode() + self.escape.encode()

    def options(self) -> dict[str, str]:
        """Options of DuckDB's reader and sniffer; those that are not known yet are left out.

        The kind of newline is not among them: DuckDB 2.0 loses records where it is told ``\\r\\n``, and takes the first
        one that it sees, which is that of the line put before each text.
        """
        known = {
            "quote": literal(self.quote),
            "escape": literal(self.escape),
            "comment": "''",
            "nullstr": "[" + ", ".join(literal(value) for value in self.null_values) + "]",
            "decimal_separator": literal(self.decimal),
            "strict_mode": "true",
            "skip": "0",
            "compression": "'none'",
        }
        if self.delimiter is not None:
            known["delim"] = literal(self.delimiter)
        if self.header is not None:
            known["header"] = str(self.header).lower()
        if self.date_format:
            known["dateformat"] = literal(self.date_format)
        if self.timestamp_format:
            known["timestampformat"] = literal(self.timestamp_format)
        return known


def check_dialect(
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
    header: bool | None,
    null_values: str | Sequence[str],
    decimal: str,
    encoding: str,
) -> Dialect:
    """Refuse what contradicts itself. Raises UsageError."""
    for option, value in (("delimiter", delimiter), ("quote", quote), ("escape", escape)):
        if value and (len(value) != 1 or not value.isascii() or value in "\r\n\0" or value.isalnum()):
            raise UsageError(
                f"{option} {value!r} is not a single ASCII character.", f"give one such as {_EXAMPLE[option]}"
            )
    if delimiter == "":
        raise UsageError("delimiter '' is empty.", "leave it out to have it detected")
    if delimiter is not None and delimiter in (quote, escape):
        raise UsageError(f"delimiter {delimiter!r} is also the quote or escape.", "give another one")
    if decimal not in (".", ",") or decimal == delimiter:
        raise UsageError(
            f"decimal {decimal!r} with delimiter {delimiter!r}.", 'decimal is "." or ",", and no delimiter'
        )
    if header not in (None, True, False):
        raise UsageError(f"header is {header!r}.", "give True, False, or None to have it detected")
    nulls = (null_values,) if isinstance(null_values, str) else tuple(null_values)
    quote = quote or ""
    return Dialect(delimiter, quote, (escape or quote) if quote else "", header, nulls or ("",), decimal, encoding)


_EXAMPLE = {"delimiter": '","', "quote": "'\"' (or None for none)", "escape": '"\\\\"'}
