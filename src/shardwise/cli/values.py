"""Values of options as people write them: sizes, shares, times, and lists and ranges of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from shardwise import sizes
from shardwise.errors import UsageError

MOST_NUMBERS = 10_000


if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # generic only since click 8.4
    _ParamType = click.ParamType


class Parsed(_ParamType):
    """An option's type made of a function that parses text or raises UsageError."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse text; a default that is parsed already stays as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            where = f"{param.opts[0]}: " if param is not None else ""
            raise UsageError(where + error.message, error.fix) from None


SIZE = Parsed("SIZE", sizes.parse_size)
COUNT = Parsed("N", sizes.parse_count)
SHARE = Parsed("SHARE", sizes.parse_share)
DURATION = Parsed("TIME", sizes.parse_duration)


def parse_fractions(text: str) -> list[float]:
    """Fractions between 0 and 1, one or several.

    Examples
    --------
    >>> parse_fractions("0.8"), parse_fractions("50%,0.9"), parse_fractions("0.5..0.9:0.2")
    ([0.8], [0.5, 0.9], [0.5, 0.7, 0.9])
    """
    return [value for part in text.split(",") for value in _fraction_range(part)]


def parse_numbers(text: str) -> list[int]:
    """Whole numbers, one, several, or ranges: ``a..b``, ``a..b:step``, ``a..b:xfactor``.

    Examples
    --------
    >>> parse_numbers("16"), parse_numbers("1,2,4"), parse_numbers("1..4")
    ([16], [1, 2, 4], [1, 2, 3, 4])
    >>> parse_numbers("1..64:x2"), parse_numbers("1..10:3,100")
    ([1, 2, 4, 8, 16, 32, 64], [1, 4, 7, 10, 100])
    """
    numbers = [n for part in text.split(",") for n in _number_range(part)]
    if len(numbers) > MOST_NUMBERS:
        raise UsageError(f"{text!r} are {len(numbers)} numbers", f"give at most {MOST_NUMBERS}, or a step: 1..1M:x2")
    return numbers


def _number_range(part: str) -> list[int]:
    ends, _, step = part.strip().partition(":")
    first, dots, last = ends.partition("..")
    low = sizes.parse_count(first)
    if not dots:
        if step:
            raise UsageError(f"{part!r} has a step and no range", "write for example 1..64:x2")
        return [low]
    high = sizes.parse_count(last)
    if high < low:
        raise UsageError(f"the range {part!r} runs backwards", f"write {last}..{first}")
    if step.startswith("x"):
        return _powers(low, high, sizes.parse_count(step[1:]), part)
    width = sizes.parse_count(step) if step else 1
    if width < 1 or (high - low) // width >= MOST_NUMBERS:
        raise UsageError(f"the range {part!r} has too many numbers", "give a larger step: 1..1M:x2")
    return list(range(low, high + 1, width))


def _powers(low: int, high: int, factor: int, part: str) -> list[int]:
    if factor < 2 or low < 1:
        raise UsageError(f"the range {part!r} never ends", "start at 1 or more, with a factor of 2 or more")
    numbers = []
    while low <= high:
        numbers.append(low)
        low *= factor
    return numbers


def _fraction_range(part: str) -> list[float]:
    ends, _, step = part.strip().partition(":")
    first, dots, last = ends.partition("..")
    low = _fraction(first)
    if not dots:
        return [low]
    high, width = _fraction(last), _fraction(step) if step else 0.1
    if width <= 0 or high < low:
        raise UsageError(f"{part!r} is not a range of fractions", "write for example 0.5..0.9:0.1")
    count = int((high - low) / width + 1e-9) + 1
    return [round(low + i * width, 12) for i in range(min(count, MOST_NUMBERS))]


def _fraction(text: str) -> float:
    number = text.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"{text!r} is not a fraction", "write for example 0.8, 80% or 0.5,0.9,0.99") from None
    if not 0 <= value <= 1:
        raise UsageError(f"{text!r} is not a fraction: those lie between 0 and 1", "write for example 0.8 or 80%")
    return value


NUMBERS = Parsed("N,N..", parse_numbers)
FRACTIONS = Parsed("F,F..", parse_fractions)
