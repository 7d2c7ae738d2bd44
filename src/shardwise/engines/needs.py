"""What an engine needs on the host where it is opened, whether that is there, and how to get it.

Nothing is imported for that, and no cluster is asked.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shardwise.errors import MissingExtra

JAVA_SECONDS = 20.0
"""A Java that has not told its version by then is of no use."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that must be installed.

    Parameters
    ----------
    what : str
        For people: ``distributed 2026.1 or later``.
    found : str
        The version that is here, or where it is; empty: it is not here.
    lack : str
        What is wrong with it; empty: nothing.
    fix : str
        How to get it.
    """

    what: str
    found: str = ""
    lack: str = ""
    fix: str = ""


def library(module: str, oldest: str, extra: str) -> Need:
    """A Python library that an extra of ours brings.

    Examples
    --------
    >>> library("pyarrow", "1.0", "spark").lack
    ''
    >>> library("pyarrow", "999.0", "spark").fix
    'pip install "shardwise[spark]", in the versions of the cluster'
    """
    what = f"{module} {oldest} or later"
    fix = f'pip install "shardwise[{extra}]", in the versions of the cluster'
    if importlib.util.find_spec(module) is None:
        return Need(what, "", f"{module} is not installed", fix)
    try:
        version = importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:  # it came with a distribution of another name
        return Need(what, "installed")
    if _numbers(version) < _numbers(oldest):
        return Need(what, version, f"{module} {version} is too old", fix)
    return Need(what, version)


def module(name: str, provider: str) -> Need:
    """The module in which another package keeps an engine.

    Examples
    --------
    >>> module("nowhere.engines", "nowhere").lack
    'its module nowhere is not here'
    """
    top = name.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        return Need(f"the module {top}", "", f"its module {top} is not here", f"install {provider} again")
    return Need(f"the module {top}", "installed")


def java(oldest: int) -> Need:
    """A Java that can run a cluster's own programs: the one of ``JAVA_HOME``, else the first on the path."""
    what = f"Java {oldest} or later"
    fix = (
        f"install it (Debian, Ubuntu: apt install openjdk-{oldest}-jre-headless; macOS: brew install openjdk@{oldest}; "
        "conda install openjdk), and let JAVA_HOME or PATH lead to it"
    )
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if command is None:
        return Need(what, "", "there is no Java (neither JAVA_HOME nor java on the PATH)", fix)
    try:
        said = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS, check=False)
        found = re.search(r'version "([^"]+)"', said.stderr + said.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Need(what, "", f"{command} does not run: {error}", fix)
    if found is None:
        return Need(what, "", f"{command} does not tell its version", fix)
    version = found.group(1)
    if _numbers(version) < (oldest,):
        return Need(what, version, f"{command} is Java {version}, which is too old", fix)
    return Need(what, version)


def setting(what: str, *variables: str, fix: str) -> Need:
    """One of several environment variables."""
    for name in variables:
        if os.environ.get(name):
            return Need(what, os.environ[name])
    return Need(what, "", f"{' and '.join(variables)} are not set", fix)


def refuse_without(needs: Iterable[Need], engine: str) -> None:
    """Refuse to go on where something is not there.

    Raises
    ------
    MissingExtra
        The first that is not, with how to get it.
    """
    for need in needs:
        if need.lack:
            raise MissingExtra(f"the engine {engine!r} needs {need.what}: {need.lack}", need.fix)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, as far as they can be compared.

    Examples
    --------
    >>> _numbers("2026.8.0"), _numbers("4.1.0.dev3"), _numbers("17")
    ((2026, 8, 0), (4, 1, 0), (17,))
    """
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else ()
