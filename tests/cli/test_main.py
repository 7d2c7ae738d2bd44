"""The process as a whole: what goes to which stream, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import shardwise
from shardwise.cli import main as cli
from shardwise.errors import ExpressionError, FunctionError, InputError, MissingExtra, ShardwiseError

ROOT = str(Path(shardwise.__path__[0]).parent)
HERE = {**os.environ, "PYTHONPATH": ROOT}


def shardwise_command(*args: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": ROOT, "PYTHONIOENCODING": "utf-8", **environment}
    command = [sys.executable, "-m", "shardwise.cli.main", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, check=False)


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from shardwise.cli.main import main; status = main(['--help']);"
        "heavy = {'duckdb', 'pyarrow', 'numpy', 'pandas', 'polars', 'matplotlib', 'rich'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=HERE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for name in cli.COMMANDS:
        assert f"\n  {name} " in result.stdout


def test_law_imports_nothing_heavy() -> None:
    code = (
        "import sys; from shardwise.cli.main import main;"
        "status = main(['law', 'amdahl', '--parallel', '0.8', '--workers', '16']);"
        "heavy = {'duckdb', 'pyarrow', 'numpy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=HERE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "4.00 x" in result.stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: shardwise {name}")


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["descrbie"], "did you mean describe?"),
        (["xyzzy"], "choose one of demo, describe"),
        (["law", "amdahl", "--paralel", "1"], "--parallel"),
        (["law", "amdahl", "--workers", "1"], "--parallel"),
        (["describe"], "SOURCE..."),
    ],
)
def test_wrong_usage_ends_with_2_and_a_short_message(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error[E100]: ")
    assert words in err
    assert "\n  fix: " in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: click.Command("law", callback=fail))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ExpressionError("avg() is an aggregate", "use --agg"), 2),
        (InputError("a.csv: record 7", "mend it"), 2),
        (MissingExtra("no pandas", "pip install"), 2),
        (FunctionError("f raised", "mend it"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_errors_end_with_their_status(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert cli.main(["law"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    if isinstance(error, ShardwiseError):
        assert err == f"error[{error.code}]: {error.message}\n  fix: {error.fix}\n"
    else:
        assert err.lstrip("\n").startswith("error[E700]: interrupted\n  fix: ")


def test_a_fault_of_ours_shows_its_traceback_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ZeroDivisionError("oops"))
    monkeypatch.delenv("SHARDWISE_DEBUG", raising=False)
    assert cli.main(["law"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error[E900]: ZeroDivisionError: oops\n")
    assert "SHARDWISE_DEBUG=1" in err
    assert "Traceback" not in err
    monkeypatch.setenv("SHARDWISE_DEBUG", "1")
    assert cli.main(["law"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_json_on_standard_output_is_one_document() -> None:
    result = shardwise_command("law", "amdahl", "--parallel", "0.8", "--workers", "1,2", "--json")
    assert result.returncode == 0
    assert len(json.loads(result.stdout)["rows"]) == 2
    assert result.stderr == ""


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = f"{sys.executable} -m shardwise.cli.main law amdahl --parallel 0.8 --workers 1..9000; echo $? >&2"
    result = subprocess.run(
        ["bash", "-c", f"({command}) | head -n 1"], capture_output=True, text=True, env=HERE, check=False
    )
    assert result.stderr == "0\n"
    assert result.stdout.startswith("Amdahl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_full_disk_behind_standard_output_is_told() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "shardwise.cli.main", "law", "amdahl", "--parallel", "0.8", "--workers", "1"],
            stdout=full, stderr=subprocess.PIPE, text=True, env=HERE, check=False,
        )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("error[E500]: standard output cannot be written: No space left")


def test_a_terminal_without_unicode_gets_escapes() -> None:
    result = shardwise_command("xyzzyあ", PYTHONIOENCODING="ascii")
    assert result.returncode == 2
    assert r"xyzzy\u3042" in result.stderr


def test_the_version() -> None:
    from shardwise._version import __version__

    assert shardwise_command("--version").stdout == f"shardwise {__version__}\n"
