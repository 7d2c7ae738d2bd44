"""Machines that one could have: a file that lists them, and which of them is cheapest for a job.

A machines file is TOML. Each table below ``machines`` is a type of machine::

    currency = "USD"            # a word for the price; may be left out

    [machines.small]            # the name is yours
    cores = 4
    memory = "16GB"             # or a number of bytes
    price = 0.17                # per machine and hour
    speed = 1.0                 # of a core, beside one of this machine; 1.0 unless given
    network = "1.25GB"          # bytes a second at which a machine reads the data; no bound unless given
    most = 8                    # how many of them can be had; 32 unless given

``speed`` is what you measure when you run the same sample there and here with one worker.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shardwise.errors import UsageError
from shardwise.plan.outlook import Outlook
from shardwise.plan.time_law import Estimate
from shardwise.records import plain
from shardwise.sizes import parse_size

MOST = 32
"""Machines of a type that can be had, unless the file says so."""

_KEYS = ("cores", "memory", "price", "speed", "network", "most")
_EXAMPLE = 'write for example [machines.small] with cores = 4, memory = "16GB", price = 0.17'


@dataclass(frozen=True, slots=True)
class Machine:
    """A type of machine.

    Attributes
    ----------
    name : str
    cores : int
    memory : int
        Bytes.
    price : float
        Per machine and hour.
    speed : float
        Of a core, beside one of this machine.
    network : float or None
        Bytes a second at which one of them reads the data.
    most : int
        How many of them can be had.
    """

    name: str
    cores: int
    memory: int
    price: float
    speed: float = 1.0
    network: float | None = None
    most: int = MOST

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return dict(plain(self))


@dataclass(frozen=True, slots=True)
class Machines:
    """What a machines file holds."""

    types: tuple[Machine, ...]
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that the job takes on a host: so many bytes, and so many more for each worker there."""

    driver: int
    worker: int

    def workers(self, machine: Machine, wanted: int) -> int:
        """How many of the wanted workers fit in a machine's memory; 0: none."""
        left = machine.memory - self.driver
        if left < 0:
            return 0
        return min(wanted, left // self.worker) if self.worker else wanted


@dataclass(frozen=True, slots=True)
class Offer:
    """So many machines of a type, the time that they would take, and what that costs."""

    machine: Machine
    nodes: int
    workers: int
    seconds: Estimate
    cost: float
    memory: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values; ``memory_bytes``: of one of them, projected."""
        return {
            "machine": self.machine.name,
            "nodes": self.nodes,
            "workers": self.workers,
            "seconds": self.seconds.to_json(),
            "cost": self.cost,
            "memory_bytes": self.memory,
        }


def offers(machine: Machine, outlook: Outlook, need: Need, per_core: float = 1.0) -> list[Offer]:
    """All numbers of a type of machine, from one up; none where not even one worker fits in its memory.

    Parameters
    ----------
    machine : Machine
    outlook : Outlook
        Of the whole job.
    need : Need
        Memory of the job.
    per_core : float
        Workers that a core can feed: more than 1 where they mostly wait.
    """
    each = need.workers(machine, max(1, math.floor(machine.cores * per_core)))
    if not each:
        return []
    found = []
    for nodes in range(1, machine.most + 1):
        network = None if machine.network is None else nodes * machine.network
        seconds = outlook.seconds(nodes * each, speed=machine.speed, network=network)
        cost = machine.price * nodes * seconds.value / 3600
        found.append(Offer(machine, nodes, nodes * each, seconds, cost, need.driver + each * need.worker))
    return found


def cheapest(found: Sequence[Offer], deadline: float | None = None) -> Offer | None:
    """The offer that costs least among those that meet the deadline (of equal ones the fastest); None: none does.

    Parameters
    ----------
    found : sequence of Offer
        Of all machines.
    deadline : float, optional
        Seconds that the job may take.
    """
    in_time = [offer for offer in found if deadline is None or offer.seconds.value <= deadline]
    return min(in_time, key=lambda o: (o.cost, o.seconds.value, o.nodes), default=None)


# --- the file --------------------------------------------------------------------------------------------------------


def load_machines(path: str) -> Machines:
    """Read a machines file.

    Raises
    ------
    UsageError
        It is not there, is no TOML, or a value in it makes no sense: with line and table.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the machines file {path} cannot be read: {error.strerror}", "name a TOML file") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the machines file {path} is not UTF-8 text: byte {error.start}", "save it as UTF-8"
        ) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the machines file {path} is no TOML: {error}", _EXAMPLE) from error
    return _File(path, text).machines(document)


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    text: str

    def machines(self, document: dict[str, Any]) -> Machines:
        for key in document:
            if key not in ("currency", "machines"):
                raise self._wrong("", key, f"{key!r} means nothing here", _near(key, ("currency", "machines")))
        tables = document.get("machines")
        if not isinstance(tables, dict) or not tables:
            raise UsageError(f"{self.path} lists no machines", _EXAMPLE)
        currency = document.get("currency", "")
        if not isinstance(currency, str):
            raise self._wrong("", "currency", f"currency is {currency!r}", 'write for example currency = "USD"')
        return Machines(tuple(self._machine(name, table) for name, table in tables.items()), currency)

    def _machine(self, name: str, table: Any) -> Machine:
        if not isinstance(table, dict):
            raise self._wrong("machines", name, f"{name!r} is no table", _EXAMPLE)
        for key in table:
            if key not in _KEYS:
                raise self._wrong(name, key, f"{key!r} means nothing here", _near(key, _KEYS))
        for key in ("cores", "memory", "price"):
            if key not in table:
                raise self._wrong(name, "", f"{key} is missing", _EXAMPLE)
        network = table.get("network")
        return Machine(
            name,
            self._whole(name, "cores", table["cores"]),
            self._bytes(name, "memory", table["memory"]),
            self._number(name, "price", table["price"], least=0.0),
            self._number(name, "speed", table.get("speed", 1.0)),
            None if network is None else float(self._bytes(name, "network", network)),
            self._whole(name, "most", table.get("most", MOST)),
        )

    def _whole(self, table: str, key: str, value: Any) -> int:
        if type(value) is not int or not 1 <= value <= 100_000:
            raise self._wrong(table, key, f"{key} is {value!r}", f"write a whole number from 1: {key} = 8")
        return value

    def _number(self, table: str, key: str, value: Any, least: float | None = None) -> float:
        good = type(value) in (int, float) and math.isfinite(value) and (value > 0 if least is None else value >= least)
        if not good:
            more = "above 0" if least is None else f"{least:g} or more"
            raise self._wrong(table, key, f"{key} is {value!r}", f"write a number, {more}: {key} = 1.0")
        return float(value)

    def _bytes(self, table: str, key: str, value: Any) -> int:
        if type(value) is int and value > 0:
            return value
        if isinstance(value, str):
            with contextlib.suppress(UsageError):
                return parse_size(value)
        raise self._wrong(table, key, f"{key} is {value!r}, which is no size", f'write for example {key} = "16GB"')

    def _wrong(self, table: str, key: str, message: str, fix: str) -> UsageError:
        where = f", [machines.{table}]" if table and table != "machines" else ""
        line = self._line(table, key)
        at = f", line {line}" if line else ""
        return UsageError(f"{self.path}{at}{where}: {message}", fix)

    def _line(self, table: str, key: str) -> int:
        """The line of a key in a table, or of the table's head; 0 where neither is found (inline tables)."""
        inside, head = not table, 0
        for number, line in enumerate(self.text.splitlines(), 1):
            if found := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
                name = found[1].replace('"', "").replace("'", "")
                inside = bool(table) and name in (f"machines.{table}", table)
                head = number if inside else head
            elif inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return number
        return head


def _near(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return (f"did you mean {close[0]}? " if close else "") + f"there are {', '.join(known)}"
