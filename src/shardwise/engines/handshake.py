"""What a host must have in common with the driver before it is lent: versions, arithmetic, and the run directory.

Equal bits are promised for equal versions and equal arithmetic only; a commit names files that the driver must find.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import platform
import secrets
import socket
from typing import TYPE_CHECKING, Any

from shardwise._version import __version__
from shardwise.engines.shipping import SHIP_OURS
from shardwise.errors import EngineError, ShardwiseError
from shardwise.storage.naming import HELLO

if TYPE_CHECKING:
    from shardwise.storage import Store

LIBRARIES = ("duckdb", "numpy", "pyarrow")
"""Whose versions decide about bits."""


def about_this_host() -> dict[str, Any]:
    """Where this process runs, and what it would compute with. Imports NumPy."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "versions": _versions(), "canary": _canary()}


@functools.cache
def _versions() -> dict[str, str]:
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "shardwise": __version__}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


@functools.cache
def _canary() -> dict[str, str]:
    """A digest of each of a few functions on fixed vectors: processors and libraries may round them differently."""
    import numpy as np

    x = np.linspace(0.0009765625, 37.0, 4099)
    square = np.sqrt(x[:4096]).reshape(64, 64)
    with np.errstate(all="ignore"):
        results = {"log": np.log(x), "exp": np.exp(x), "sin": np.sin(x), "pow": x**1.7, "matmul": square @ square}
    return {name: hashlib.blake2b(value.tobytes(), digest_size=8).hexdigest() for name, value in results.items()}


def refuse_if_different(theirs: dict[str, Any]) -> None:
    """Compare what a host said of itself with this process.

    Raises
    ------
    EngineError
        It differs; the message names the host, what differs, and how to mend it.
    """
    host = theirs["host"]
    mine, versions = _versions(), theirs["versions"]
    differing = [
        f"{name} {versions.get(name, 'none')} (here {mine[name]})" for name in mine if versions.get(name) != mine[name]
    ]
    if differing:
        wanted = " ".join(f"{name}=={version}" for name, version in mine.items() if name != "Python")
        fix = (
            f"there: pip install {wanted}, under Python {mine['Python']}; or run with the versions of the cluster here"
        )
        if versions.keys() == mine.keys() and all(n == "shardwise" or versions[n] == mine[n] for n in mine):
            fix = f"there: pip install shardwise=={mine['shardwise']}, {SHIP_OURS}"
        raise EngineError(f"{host} has other versions than this driver: {', '.join(differing)}", fix)
    rounded = [name for name, value in _canary().items() if theirs["canary"].get(name) != value]
    if rounded:
        raise EngineError(
            f"{host} computes {', '.join(rounded)} with other bits than this driver, so the answer would depend on "
            "where a task ran",
            "use hosts with the same kind of processor, or set NPY_DISABLE_CPU_FEATURES and OPENBLAS_CORETYPE to what "
            "all of them have, for the driver and the workers",
        )
    if theirs.get("root_error"):
        raise EngineError(
            f"{host} cannot use the run directory: {theirs['root_error']}",
            "keep the run where the driver and all workers can read and write (--run-dir): a shared file system, or a "
            "store such as s3://",
        )

    if theirs.get("data_error"):
        raise EngineError(
            f"{host} cannot read the data: {theirs['data_error']}",
            "keep the data where all workers find it under the same name: a shared file system, or a store such as "
            "s3://",
        )


class Proof:
    """Whether hosts read and write the run directory that the driver means: it puts a nonce, and each puts an answer.

    Parameters
    ----------
    root : str
        URL of the run directory.
    """

    def __init__(self, root: str) -> None:
        from shardwise.storage import open_store

        self.root, self.nonce = root, secrets.token_hex(16)
        self._store = open_store(root)
        self._store.put(_question(self.nonce), self.nonce.encode())

    def refuse_if_unanswered(self, theirs: dict[str, Any]) -> None:
        """Look for a host's answer.

        Raises
        ------
        EngineError
            It is not there, though the host believes so: it means another directory.
        """
        name = _answer(self.nonce, theirs["pid"], theirs["host"])
        if not _says(self._store, name, self.nonce):
            raise EngineError(
                f"{theirs['host']} wrote into {self.root}, but nothing of it is seen here: that is another directory",
                "keep the run on storage that is the same for the driver and all workers (--run-dir)",
            )

    def close(self) -> None:
        """Delete questions and answers."""
        with contextlib.suppress(ShardwiseError):
            self._store.delete_tree(_place(self.nonce))


def answer_proof(root: str, nonce: str, about: dict[str, Any]) -> str:
    """On a host: read the question and put an answer; what is wrong, if something is."""
    from shardwise.storage import open_store

    try:
        store = open_store(root)
        if not _says(store, _question(nonce), nonce):
            return f"{root} is not the same directory there: what the driver wrote is not in it"
        store.put(_answer(nonce, about["pid"], about["host"]), nonce.encode())
    except (ShardwiseError, OSError, ImportError) as error:
        return f"{root}: {str(error).splitlines()[0]}"
    return ""


def lacks(path: str, size: int) -> str:
    """On a host: read a file of the data; what is wrong, if something is."""
    try:
        with open(path, "rb") as file:
            file.read(1)
            found = os.fstat(file.fileno()).st_size
    except OSError as error:
        return f"{path}: {error.strerror}"
    return "" if found == size else f"{path} has {found} bytes there, and {size} here"


def _says(store: Store, name: str, nonce: str) -> bool:
    """Whether a file is there, can be read, and is of this handshake."""
    return store.exists(name) and store.get(name) == nonce.encode()


def _place(nonce: str) -> str:
    return f"_attempts/{HELLO}{nonce}"  # whoever opens the run next deletes what a driver that was killed left there


def _question(nonce: str) -> str:
    return f"{_place(nonce)}/question"


def _answer(nonce: str, pid: int, host: str) -> str:
    return f"{_place(nonce)}/{host}-{pid}"
