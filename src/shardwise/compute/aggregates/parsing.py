"""Aggregates as text, for the command line: ``avg=mean(speed)``, ``p95=approx_quantile("a b", 0.95)``."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

from shardwise.compute.aggregates.base import Builtin
from shardwise.compute.aggregates.registry import entry, known_aggregates
from shardwise.errors import UsageError

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')|(?P<mark>[()\[\],=])|(?P<word>[^\s()\[\],="']+))"""
)


class _Token(NamedTuple):
    kind: str  # "text" in quotes, "mark", "word"; "end"
    value: str


def parse_aggregate(text: str) -> tuple[str, Builtin]:
    """Read ``[name=]function(argument, ...)``.

    Parameters
    ----------
    text : str
        Arguments are columns (in double quotes where the name holds spaces, commas, quotes, brackets or ``=``, or
        could be read as a number), numbers, lists in square brackets, or ``option=value``. The name may be quoted too.

    Returns
    -------
    name : str
        Of the result column.
    aggregate : Builtin

    Raises
    ------
    UsageError
        The text cannot be read, or there is no such aggregate; the message lists what there is.

    Examples
    --------
    >>> parse_aggregate("avg=mean(value)")[0]
    'avg'
    >>> parse_aggregate('var("a b", ddof=0)')[1].identity()
    {'function': 'var', 'columns': ['a b'], 'options': {'ddof': 0}}
    """
    reader = _Reader(text)
    name = ""
    if reader.at(1) == _Token("mark", "="):
        name = reader.word("a name")
        reader.take("=")
    function = reader.word("an aggregate")
    construct = entry(function).construct
    args, options = reader.arguments()
    reader.take("", kind="end")
    try:
        inspect.signature(construct).bind(*args, **options)
    except TypeError as error:
        raise UsageError(f"{text!r}: {error}", f"write {_usage(function)}") from None
    made = construct(*args, **options)
    return (name, made.alias(name)) if name else (made.name, made)


def _usage(function: str) -> str:
    shown = [
        p.name if p.default is p.empty or p.default is None else f"{p.name}={p.default}"
        for p in inspect.signature(entry(function).construct).parameters.values()
    ]
    return f"{function}({', '.join(shown)})"


class _Reader:
    """Tokens of one text, read from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[_Token] = []
        self.place = 0
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.fault(f"a quote is not closed at character {position + 1}")
            kind = match.lastgroup or ""
            self.tokens.append(_Token(kind, match[kind]))
            position = match.end()

    def fault(self, what: str) -> UsageError:
        known = ", ".join(known_aggregates())
        return UsageError(
            f"{self.text!r} is no aggregate: {what}",
            f"write name=function(column), as in 'avg=mean(value)' or 'n=count()'; functions: {known}",
        )

    def at(self, ahead: int = 0) -> _Token:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else _Token("end", "")

    def take(self, value: str, kind: str = "mark") -> None:
        if self.at() != _Token(kind, value):
            wanted = repr(value) if value else "the end"
            raise self.fault(f"{wanted} is expected instead of {self.at().value or 'the end'!r}")
        self.place += 1

    def word(self, what: str) -> str:
        token = self.at()
        if token.kind not in ("word", "text"):
            raise self.fault(f"{what} is expected instead of {token.value or 'the end'!r}")
        self.place += 1
        return _unquoted(token)

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Everything between the brackets."""
        args: list[Any] = []
        options: dict[str, Any] = {}
        self.take("(")
        while self.at() != _Token("mark", ")"):
            if args or options:
                self.take(",")
            if self.at().kind == "word" and self.at(1) == _Token("mark", "="):
                option = self.word("an option")
                self.take("=")
                if option in options:
                    raise self.fault(f"{option} is given twice")
                options[option] = self.value()
            elif options:
                raise self.fault("columns come before options")
            else:
                args.append(self.value())
        self.take(")")
        return args, options

    def value(self) -> Any:
        """A list, a number, or a name."""
        close = {"[": "]", "(": ")"}.get(self.at().value) if self.at().kind == "mark" else None
        if close is None:
            token = self.at()
            text = self.word("a column or a number")
            return text if token.kind == "text" else _number(text)
        items: list[Any] = []
        self.place += 1
        while self.at() != _Token("mark", close):
            if items:
                self.take(",")
            items.append(self.value())
        self.take(close)
        return items


def _unquoted(token: _Token) -> str:
    if token.kind != "text":
        return token.value
    quote = token.value[0]
    return token.value[1:-1].replace(quote * 2, quote)


def _number(word: str) -> int | float | str:
    """A number where the word is one in plain digits; names such as ``nan`` and ``1_000`` stay names."""
    if re.fullmatch(r"[+-]?\d+", word, re.ASCII):
        return int(word)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", word, re.ASCII):
        return float(word)
    return word
