"""A headless browser with Japanese fonts, where none is installed: Debian's packages, unpacked and kept in the cache.

Only what this machine lacks is fetched: apt says what it would install, and the loader finds the libraries beside the
browser. Nothing is installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from servers import debian

PACKAGES = ["chromium", "fonts-noto-cjk"]
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{root}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <alias binding="strong"><family>sans-serif</family><prefer><family>Noto Sans CJK JP</family></prefer></alias>
  <alias binding="strong"><family>monospace</family><prefer><family>Noto Sans Mono CJK JP</family></prefer></alias>
  <match target="pattern">
    <edit name="family" mode="append" binding="strong"><string>Noto Sans CJK JP</string></edit>
  </match>
  <cachedir>{root}/fontcache</cachedir>
</fontconfig>
"""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@dataclass(frozen=True)
class Chromium:
    """How to start it."""

    path: str
    environment: dict[str, str]


def chromium() -> Chromium:
    """The browser, made once in the user's cache.

    Raises
    ------
    OSError, subprocess.SubprocessError
        It cannot be had.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardwise-tests"
    home.mkdir(parents=True, exist_ok=True)
    kept = home / "chromium"
    with open(home / "lock-chromium", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_dir():
            with tempfile.TemporaryDirectory(dir=home) as work:
                _make(Path(work))
                Path(work, "root").rename(kept)
    return _found_in(kept)


def _make(work: Path) -> None:
    lacking = _lacking(work)
    root = work / "root"
    root.mkdir()
    if lacking:
        debian.download(lacking, work)
        debian.unpack(work, root)
    found = _found_in(root)
    subprocess.run([found.path, "--version"], env=found.environment, check=True, capture_output=True, timeout=120)


def _lacking(work: Path) -> list[str]:
    """Packages that would have to be installed here."""
    command = ["apt-get", "install", "--simulate", "-q", "-y", "--no-install-recommends", *PACKAGES]
    try:
        said = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True, timeout=120).stdout
    except subprocess.CalledProcessError:  # no list of packages yet
        debian.run(["apt-get", "update", "-q"], work)
        said = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True, timeout=120).stdout
    return re.findall(r"^Inst (\S+) ", said, re.MULTILINE)


def _found_in(root: Path) -> Chromium:
    """The browser in a tree of unpacked packages, or the one that is installed."""
    places = (root / "usr/lib/chromium/chromium", Path("/usr/lib/chromium/chromium"))
    path = next((str(place) for place in places if place.exists()), None) or shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("chromium is in none of Debian's packages that were fetched")
    configuration = root / "fonts.conf"
    configuration.write_text(FONTS.format(root=root))
    libraries = sorted(
        {str(library.parent) for library in root.rglob("*.so*")}, key=lambda name: (name.count("/"), name)
    )
    environment = {"LD_LIBRARY_PATH": ":".join(libraries), "FONTCONFIG_FILE": str(configuration), "LANG": "C.UTF-8"}
    return Chromium(path, {**os.environ, **environment})
