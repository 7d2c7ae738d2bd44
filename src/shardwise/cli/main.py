"""The command ``shardwise``: subcommands that are imported when called, and errors as short messages."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shardwise._version import __version__
from shardwise.api.command import TYPED, Typed
from shardwise.cli.output import tell
from shardwise.errors import InternalError, Interrupted, ShardwiseError, UsageError

COMMANDS = (
    *("demo", "describe", "aggregate", "map", "run"),
    *("runs", "show", "report", "watch", "logs", "replay"),
    *("scale", "law", "growth", "probe"),
)
"""Each is the object ``command`` of the module of its name in this package, in the order of ``--help``."""


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported when they are called (or listed)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer wants them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        # "map" and "law" are fine as modules; nothing else is named like them here.
        command: click.Command = importlib.import_module(f"shardwise.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Say which command was perhaps meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            fix = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(COMMANDS)}"
            raise UsageError(f"there is no command {args[0]!r}", fix)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="shardwise %(version)s")
def cli() -> None:
    """Write a job for one shard. Run it over all of your data.

    Start with `shardwise demo`, or with `shardwise describe FILES`. Results go to standard output, everything else to
    standard error.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Parameters
    ----------
    args : sequence of str, optional
        Those of the process unless given.

    Returns
    -------
    int
        0 done; 1 the job failed; 2 wrong usage or bad input; 3 done, with rows in quarantine; 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # What the terminal cannot show is escaped rather than a reason to stop.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    typed = sys.argv[1:] if args is None else list(args)
    TYPED.set(Typed(tuple(typed), str(Path.cwd())))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status = cli.main(args=typed, prog_name="shardwise", standalone_mode=False)
    except BaseException as error:
        return _end(error)
    return status if isinstance(status, int) else 0


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Tell about a warning in a line of its own, without the place in the code."""
    tell(f"warning: {message}")


def _end(error: BaseException) -> int:
    """Tell about an error on standard error; return the exit status."""
    if isinstance(error, click.exceptions.Exit):
        return int(error.exit_code)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if os.environ.get("SHARDWISE_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        tell(error.format_message())
        return UsageError.exit_status
    known = _in_our_tree(error)
    tell(f"error[{known.code}]: {known.message}")
    if known.fix:
        tell(f"  fix: {known.fix}")
    return known.exit_status


def _in_our_tree(error: BaseException) -> ShardwiseError:
    if isinstance(error, ShardwiseError):
        return error
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return Interrupted("interrupted", "run the same command again: what was committed is not done twice")
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "shardwise"
        return UsageError(error.format_message(), f"see {command} --help")
    return InternalError(
        f"{type(error).__name__}: {error}",
        "this is a fault of Shardwise: please report it with what SHARDWISE_DEBUG=1 prints for the same command",
    )


if __name__ == "__main__":
    sys.exit(main())
