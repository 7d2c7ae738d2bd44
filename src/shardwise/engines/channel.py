"""A channel of our own between driver and agents, for engines whose slots have none: agents dial the driver.

Frames are a length of 8 bytes and a message; an empty one says that its sender lives. Before the first frame each side
proves to the other that it knows a secret, which is made for one opening of one engine and travels with the engine's
own task (HMAC, RFC 2104, over a nonce of each side). Nothing but 64 bytes is read from who does not know it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shardwise.engines.agent import Agent, Terms
from shardwise.engines.waits import Waits
from shardwise.errors import EngineError

HEADER = struct.Struct("!Q")
NONCE = 32
HANDSHAKE_SECONDS = 10.0

TURNS = 10
"""Of the event loop, until what a listener has accepted is a call, or has ended."""

PIECE = 1 << 16
"""A long message is read in pieces: each shows that its sender lives, however slow the link is."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where to dial, and with which secret."""

    host: str
    port: int
    secret: bytes = field(repr=False)

    def proof(self, who: bytes, nonces: bytes) -> bytes:
        """That ``who`` knows the secret."""
        return hmac.digest(self.secret, who + nonces, "sha256")


# --- the driver's side, on an event loop -----------------------------------------------------------------------------


class Switchboard:
    """Takes the calls of agents.

    Parameters
    ----------
    joined, heard, lost : callable
        Told of an agent's call, of each of its messages, and of its end.
    waits : Waits
        After how much silence an agent is given up: the link may be cut, though neither end was told.
    """

    def __init__(
        self,
        joined: Callable[[str], None],
        heard: Callable[[str, bytes], None],
        lost: Callable[[str, str], None],
        waits: Waits,
    ) -> None:
        self._joined, self._heard, self._lost, self._waits = joined, heard, lost, waits
        self._lines: dict[str, asyncio.StreamWriter] = {}
        self._calls: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # also of who is not known yet
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._door: Door | None = None

    async def open(self, bind: str, host: str) -> Door:
        """Listen on the interface ``bind``, which others know as ``host``."""
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._take, bind, 0, limit=1 << 20)
        port = self._server.sockets[0].getsockname()[1]
        self._door = Door(host, port, secrets.token_bytes(32))
        return self._door

    def close(self) -> None:
        """Hang up, on who calls from now on as well."""
        self._closed = True
        for line in self._calls.values():
            line.transport.abort()  # at once: nobody waits for what an agent has not taken

    async def closed(self) -> None:
        """After `close`: listen no more, and wait until every call has ended."""
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(TURNS):  # a server that is closed would lose them (CPython's gh-109564), and leave them open
            await asyncio.sleep(0)
        while self._calls:
            await asyncio.wait(self._calls)
        self._server.close()

    def post(self, agent: str, message: bytes) -> None:
        """Send a message; any thread may call this."""
        line = self._lines.get(agent)
        if line is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(line.writelines, [HEADER.pack(len(message)), message])

    def _take(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        if self._closed:
            line.transport.abort()
            return
        call = asyncio.create_task(self._answer(reader, line))
        self._calls[call] = line
        call.add_done_callback(self._calls.pop)

    async def _answer(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        agent, why = "", "it hung up"
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                agent = await self._identify(reader, line)
            self._lines[agent] = line
            self._joined(agent)
            await self._listen(agent, reader, line)
        except asyncio.IncompleteReadError:
            pass
        except (OSError, EOFError, TimeoutError) as error:
            why = f"{type(error).__name__} {error}".strip()
        finally:
            line.close()
            if self._lines.pop(agent, None):
                self._lost(agent, why)

    async def _identify(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> str:
        assert self._door is not None
        mine = secrets.token_bytes(NONCE)
        line.write(mine)
        theirs, proof = await reader.readexactly(NONCE), await reader.readexactly(32)
        if not hmac.compare_digest(proof, self._door.proof(b"agent", mine + theirs)):
            raise EOFError("who called does not know the secret")
        line.write(self._door.proof(b"driver", mine + theirs))
        return theirs.hex()

    async def _listen(self, agent: str, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        heard_at = time.monotonic()
        silent = False

        async def keep_alive() -> None:
            nonlocal silent
            while time.monotonic() - heard_at < self._waits.silence:
                line.write(HEADER.pack(0))
                await asyncio.sleep(self._waits.poll)
            silent = True
            line.transport.abort()

        async def exactly(size: int) -> bytes:
            nonlocal heard_at
            pieces = []
            while size:
                pieces.append(await reader.readexactly(min(size, PIECE)))
                size -= len(pieces[-1])
                heard_at = time.monotonic()
            return b"".join(pieces)

        beat = asyncio.create_task(keep_alive())
        try:
            while True:
                (length,) = HEADER.unpack(await exactly(HEADER.size))
                if length:
                    self._heard(agent, await exactly(length))
        except (OSError, EOFError):
            if silent:
                raise TimeoutError(f"it said nothing for {self._waits.silence:g} s") from None
            raise
        finally:
            beat.cancel()


# --- the agent's side ------------------------------------------------------------------------------------------------


def lend(door: Door, terms: Terms) -> None:
    """Lend a slot to who holds the door, until it hangs up. The calling thread must live as long as the worker.

    Raises
    ------
    EngineError
        The driver cannot be reached, or does not know the secret.
    """
    try:
        line = _dial(door)
    except OSError as error:
        fix = (
            "let its workers reach the driver there (spark.driver.host, spark.driver.bindAddress), or open the firewall"
        )
        raise EngineError(
            f"{socket.gethostname()} cannot reach the driver at {door.host}:{door.port}: {error}", fix
        ) from error
    agent = Agent(terms)
    with line:
        listening = threading.Thread(target=_listen, args=(agent, line), name="shardwise-listen", daemon=True)
        talking = threading.Thread(target=_talk, args=(agent, line), name="shardwise-talk", daemon=True)
        listening.start()
        talking.start()
        agent.run()
        talking.join(terms.poll_seconds)  # it may wait for a driver that takes nothing any more
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        listening.join()


def _dial(door: Door) -> socket.socket:
    line = socket.create_connection((door.host, door.port), HANDSHAKE_SECONDS)
    try:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        theirs, mine = _exactly(line, NONCE), secrets.token_bytes(NONCE)
        line.sendall(mine + door.proof(b"agent", theirs + mine))
        if not hmac.compare_digest(_exactly(line, 32), door.proof(b"driver", theirs + mine)):
            raise ConnectionRefusedError("who listens there does not know the secret")
        line.settimeout(None)
    except OSError:
        line.close()
        raise
    return line


def _listen(agent: Agent, line: socket.socket) -> None:
    """Hand on what the driver says, until it hangs up."""
    number = 0
    with contextlib.suppress(OSError):
        while True:
            (length,) = HEADER.unpack(_exactly(line, HEADER.size, agent.touch))
            if length:
                number += 1
                agent.post(number, [_exactly(line, length, agent.touch)])
    agent.close()


def _talk(agent: Agent, line: socket.socket) -> None:
    """Send the driver what the agent has to say, until it has closed."""
    seen = 0
    with contextlib.suppress(OSError):
        while not agent.has_ended(seen):
            seen, messages = agent.outbox.after(seen, agent.poll_seconds)
            line.sendall(b"".join(part for m in messages or [b""] for part in (HEADER.pack(len(m)), m)))


def _exactly(line: socket.socket, size: int, touch: Callable[[], None] = lambda: None) -> bytes:
    data = bytearray(size)
    view, have = memoryview(data), 0
    while have < size:
        count = line.recv_into(view[have:])
        if not count:
            raise ConnectionResetError("the driver hung up")
        touch()
        have += count
    return bytes(data)
