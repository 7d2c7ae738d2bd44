"""Debian's packages, unpacked and not installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

DOWNLOAD_SECONDS = 240


def download(packages: list[str], work: Path) -> None:
    """Put packages into a directory.

    Raises
    ------
    OSError, subprocess.SubprocessError
        They cannot be had.
    """
    try:
        run(["apt-get", "download", "-q", *packages], work)
    except subprocess.CalledProcessError:  # no list of packages yet
        run(["apt-get", "update", "-q"], work)
        run(["apt-get", "download", "-q", *packages], work)


def unpack(work: Path, root: Path) -> None:
    """Unpack all packages of a directory."""
    for package in work.glob("*.deb"):
        run(["dpkg", "-x", str(package), str(root)], work)


def run(command: list[str], work: Path) -> None:
    """Run a command, quietly."""
    subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=DOWNLOAD_SECONDS)
