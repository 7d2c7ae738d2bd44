"""The channel that agents dial: who does not know the secret gets nothing, and who hangs up is mourned."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from processes import PATIENCE, gone
from shardwise.engines import channel, mail
from shardwise.engines.agent import Terms
from shardwise.engines.waits import Waits
from shardwise.errors import EngineError


class Exchange:
    """A switchboard on a loop of its own, and what it told."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[tuple[str, str, object]] = queue.SimpleQueue()
        self.board = channel.Switchboard(
            lambda agent: self.told.put(("joined", agent, None)),
            lambda agent, message: self.told.put(("heard", agent, message)),
            lambda agent, why: self.told.put(("lost", agent, why)),
            Waits(),
        )

    def expect(self, what: str) -> tuple[str, object]:
        """The next thing of a kind that it tells."""
        while True:
            told, agent, about = self.told.get(timeout=PATIENCE)
            if told == what:
                return agent, about


@pytest.fixture
def exchange() -> Iterator[tuple[Exchange, channel.Door]]:
    made = Exchange()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    door = asyncio.run_coroutine_threadsafe(made.board.open("127.0.0.1", "127.0.0.1"), loop).result(PATIENCE)

    async def close() -> None:
        made.board.close()
        await made.board.closed()

    try:
        yield made, door
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_who_does_not_know_the_secret_is_not_let_in(exchange: tuple[Exchange, channel.Door]) -> None:
    made, door = exchange
    with pytest.raises(EngineError, match="cannot reach the driver"):
        channel.lend(replace(door, secret=b"guessed"), Terms())
    with socket.create_connection((door.host, door.port), PATIENCE) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\\r\\n" * 10)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while more := stranger.recv(4096):
                answer += more
    assert len(answer) <= channel.NONCE
    assert made.told.empty()


def test_who_does_not_prove_to_be_the_driver_is_not_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        door = channel.Door("127.0.0.1", impostor.getsockname()[1], b"secret")

        def pretend() -> None:
            line, _ = impostor.accept()
            with line:
                line.sendall(bytes(channel.NONCE))
                line.recv(4096)
                line.sendall(bytes(32))

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(EngineError, match="does not know the secret"):
            channel.lend(door, Terms())
        thread.join()


@pytest.mark.parametrize("turns", range(8))
def test_who_calls_as_the_switchboard_closes_is_hung_up_on(turns: int) -> None:
    """However far the event loop is with the call."""

    async def call() -> None:
        board = Exchange().board
        door = await board.open("127.0.0.1", "127.0.0.1")
        with socket.create_connection((door.host, door.port), PATIENCE) as caller:
            for _ in range(turns):
                await asyncio.sleep(0)
            board.close()
            await board.closed()
            with contextlib.suppress(ConnectionResetError):
                assert len(await asyncio.to_thread(caller.recv, 4096)) in (0, channel.NONCE)
                assert not await asyncio.to_thread(caller.recv, 4096)

    asyncio.run(call())
    gc.collect()  # a connection that was left open is told of here


def test_the_secret_is_not_shown() -> None:
    assert "hidden" not in repr(channel.Door("h", 1, b"hidden"))


def test_an_agent_lends_and_ends_with_the_line(exchange: tuple[Exchange, channel.Door]) -> None:
    made, door = exchange
    thread = threading.Thread(target=channel.lend, args=(door, Terms()))
    thread.start()
    agent, _ = made.expect("joined")
    kinds = []
    made.board.post(agent, mail.write("kill", slot=99))  # its first call: now it starts a worker
    while "up" not in kinds:
        kinds.append(mail.read(made.expect("heard")[1])[0])  # type: ignore[arg-type]
    assert kinds[0] == "hello"
    made.board.post(agent, mail.write("close"))
    while kinds[-1] != "closed":
        kinds.append(mail.read(made.expect("heard")[1])[0])  # type: ignore[arg-type]
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert made.expect("lost")[0] == agent


def say(line: socket.socket, message: bytes) -> None:
    line.sendall(channel.HEADER.pack(len(message)) + message)


def heard(line: socket.socket) -> tuple[str, dict[str, Any], bytes]:
    """What an agent says next; a sign of life is answered by one."""
    while True:
        (length,) = channel.HEADER.unpack(channel._exactly(line, channel.HEADER.size))
        if length:
            return mail.read(channel._exactly(line, length))
        say(line, b"")


@pytest.mark.parametrize("close", [True, False], ids=["but closes", "and is silent"])
def test_an_agent_does_not_wait_for_a_driver_that_takes_nothing(close: bool) -> None:
    """It has more to say than a link holds, and nobody reads that."""
    tasks, refs, size = 20, 900, 1000
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        door = channel.Door("127.0.0.1", listener.getsockname()[1], b"secret")
        terms = Terms(poll_seconds=0.2, orphan_seconds=PATIENCE if close else 4.0)
        lending = threading.Thread(target=channel.lend, args=(door, terms))
        lending.start()
        line, _ = listener.accept()
    with line:
        mine = bytes(channel.NONCE)
        line.sendall(mine)
        theirs, _ = channel._exactly(line, channel.NONCE), channel._exactly(line, 32)
        line.sendall(door.proof(b"driver", mine + theirs))
        kind, about = "", dict[str, Any]()
        say(line, b"")
        while kind != "up":
            kind, about, _ = heard(line)
        for task in range(tasks):  # each names programs that the agent asks for
            names = [f"{task * refs + ref:0{size}}" for ref in range(refs)]
            say(line, mail.write("task", slot=0, memory=None, programs=names))
        if close:
            say(line, mail.write("close"))
        lending.join(PATIENCE)
        assert not lending.is_alive()
        assert gone(about["pid"])
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := line.recv(1 << 16):
                taken += len(piece)
    assert taken < tasks * refs * size, "the link held all that the agent had to say"
