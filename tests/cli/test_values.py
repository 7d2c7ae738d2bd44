from __future__ import annotations

import doctest

import click
import pytest
from click.testing import CliRunner

from shardwise.cli import values
from shardwise.errors import UsageError


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(values).failed == 0


def test_a_refusal_names_the_option() -> None:
    @click.command()
    @click.option("--memory", type=values.SIZE)
    def command(memory: int) -> None:
        click.echo(memory)

    assert CliRunner().invoke(command, ["--memory", "2GiB"]).stdout == f"{2 * 2**30}\n"
    error = CliRunner().invoke(command, ["--memory", "lots"]).exception
    assert isinstance(error, UsageError)
    assert error.message == "--memory: 'lots' is not a size"


@pytest.mark.parametrize("text", ["", "a", "1..", "..4", "1:2", "1..4:0", "1..4:x", "0..4:x2", "1,,2"])
def test_what_are_no_numbers_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        values.parse_numbers(text)


@pytest.mark.parametrize("text", ["", "nan", "-0.1", "101%", "0.9..0.1", "0.1..0.9:0", "inf"])
def test_what_are_no_fractions_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        values.parse_fractions(text)
