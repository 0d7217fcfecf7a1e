"""One connection after its handshake, over a real socket pair; whole nodes are tried in tests/e2e and tests/hostile."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Pong, Request, TextMessage

from gochat.protocol.websocket import client_frame
from gochat.transports.connection import CLOSE_S
from gochat.transports.outbox import WaitingBytes
from gochat.transports.poller import Poller
from gochat.transports.websocket import CONTROL_BURST, Opening, WebSocketConnection, serve
from tests.transports.listening import books

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize("subprotocol", [None, "gochat.v1.json", "gochat.v1.msgpack"])
def test_the_answer_is_taken_by_a_client_and_tells_no_secret(subprotocol: str | None) -> None:
    client = WSConnection(ConnectionType.CLIENT)
    offered = ["bearer.s3cret", "gochat.v1.json", "gochat.v1.msgpack"]
    head = client.send(Request("chat.example", "/v1/ws", subprotocols=offered))
    [key] = [line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")]
    answer = Opening(key, b"", subprotocol, "s3cret").answer()
    assert b"s3cret" not in answer
    client.receive_data(answer)
    [accepted] = client.events()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == subprotocol
    assert client.receive_data(b"\x81\x02hi") is None  # type: ignore[func-returns-value]
    assert len(list(client.events())) == 1


def test_the_answer_to_the_key_of_the_rfc() -> None:
    # RFC 6455, section 1.3.
    assert b"Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in Opening(KEY, b"", None, None).answer()


class Echo:
    """A session that says everything back."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.burst_left = 0
        self.waiting = False
        self.heard: list[bytes | str] = []
        self._connection = connection

    def receive(self, payload: bytes) -> None:
        self.heard.append(payload)
        self._connection.outbox.try_send(bytes((0x81, len(payload))) + payload)

    async def wait_readable(self) -> None:
        raise AssertionError

    async def wait_answered(self) -> None:
        self.heard.append("answered")

    def too_large(self) -> None:
        self._connection.finish(4504, "too large")

    def invalid_text(self) -> None:
        self._connection.finish(1007, "not UTF-8")

    def violated(self, problem: str) -> None:
        self.heard.append(problem)
        self._connection.finish(4501, problem)

    def ended(self) -> None:
        if self.heard[-1:] != ["ended"]:
            self.heard.append("ended")


class Peer:
    """The other end: wsproto over a socket."""

    def __init__(self, handle: socket.socket, connection: WebSocketConnection) -> None:
        self.connection = connection
        self.session: Echo
        self.served = trio.Event()
        self.ws = Connection(ConnectionType.CLIENT)
        self._handle = trio.socket.from_stdlib_socket(handle)

    async def send(self, data: bytes) -> None:
        await self._handle.send(data)

    async def say(self, event: Event) -> None:
        await self.send(self.ws.send(event))

    async def events(self) -> list[Event]:
        """The events since the last time, at least one; none at the end."""
        while data := await self._handle.recv(65_536):
            self.ws.receive_data(data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP/") else data)
            if found := list(self.ws.events()):
                return found
        return []


@asynccontextmanager
async def talking(trailing: bytes = b"") -> AsyncIterator[Peer]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    async with trio.open_nursery() as nursery:

        def accept(connection: WebSocketConnection, *_: object) -> Echo:
            peer.session = Echo(connection)
            return peer.session

        async def run() -> None:
            await serve(connection, Opening(KEY, trailing, None, None), accept, 1000, 0)  # type: ignore[arg-type]
            peer.served.set()

        poller = Poller()
        slot = books().admit(ours, "192.0.2.1", direct=True)
        assert slot is not None
        nursery.start_soon(poller.run)
        connection = WebSocketConnection(
            trio.testing.memory_stream_pair()[0],
            ours,
            direct=True,
            peer="192.0.2.1",
            outbox_bytes=1 << 20,
            spawn=nursery.start_soon,
            slot=slot,
            poller=poller,
            waiting=WaitingBytes(),
        )
        peer = Peer(theirs, connection)
        nursery.start_soon(run)
        try:
            with trio.fail_after(20):
                await trio.testing.wait_all_tasks_blocked()
                yield peer
        finally:
            theirs.close()
            nursery.cancel_scope.cancel()


async def test_what_came_behind_the_request_is_read_first() -> None:
    async with talking(client_frame(1, b"one")) as peer:
        assert await peer.events() == [TextMessage("one")]
        await peer.say(TextMessage("two"))
        assert await peer.events() == [TextMessage("two")]


async def test_a_ping_is_answered_and_a_pong_is_taken() -> None:
    async with talking() as peer:
        await peer.say(Pong(b"unasked"))
        await peer.say(Ping(b"abc"))
        assert await peer.events() == [Pong(bytearray(b"abc"))]
        assert peer.connection.peer_answers


async def test_a_close_is_answered_with_its_own_number_and_ends_the_session() -> None:
    async with talking() as peer:
        await peer.say(TextMessage("one"))
        assert await peer.events() == [TextMessage("one")]
        await peer.say(CloseConnection(1001, "going"))
        assert await peer.events() == [CloseConnection(1001, "going")]
        assert await peer.events() == []
        await peer.served.wait()
        assert peer.session.heard == [b"one", "ended"]


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        (b"\x82\x85abcd" + bytes(5), 4501),  # binary where text was agreed on: the session closes
        (b"\x81\xfe\xff\xffabcd", 4504),
        (b"\x81\x02hi", 1002),  # no mask: wsproto closes
        (b"\xc1\x82abcdhi", 1002),
        (client_frame(8, b"\x03", key=bytes(4)), 1002),
        (client_frame(8, b"\x03\xe8\xff", key=bytes(4)), 1007),
    ],
)
async def test_a_violation_is_told_by_the_number_of_the_close(
    sent: bytes, number: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with talking() as peer:
        await peer.send(sent)
        [close] = await peer.events()
        assert isinstance(close, CloseConnection)
        assert close.code == number
        if number > 4000:  # Of wsproto's the peer's own is not waited for.
            await peer.say(close.response())
        assert await peer.events() == []
        await peer.served.wait()


async def test_our_close_comes_once_and_the_peer_s_is_waited_for() -> None:
    async with talking() as peer:
        peer.connection.finish(4000, "draining")
        peer.connection.finish(4001, "slow")
        assert await peer.events() == [CloseConnection(4000, "draining")]
        assert peer.session.heard == ["ended"]
        peer.connection.outbox.put(b"\x81\x04late")
        peer.connection.outbox.flush()
        await peer.send(client_frame(9, b"a ping that crossed it"))
        await trio.testing.wait_all_tasks_blocked()
        assert not peer.served.is_set()
        await peer.say(CloseConnection(4000))
        assert await peer.events() == []
        await peer.served.wait()


async def test_who_does_not_answer_our_close_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    async with talking() as peer:
        begun = trio.current_time()
        peer.connection.finish(4000, "draining")
        await peer.served.wait()
        assert trio.current_time() - begun == pytest.approx(CLOSE_S)


async def test_both_closing_at_once_is_one_close_each() -> None:
    async with talking() as peer:
        await peer.say(CloseConnection(1000))
        peer.connection.finish(4000, "draining")
        assert [event.code for event in await peer.events() if isinstance(event, CloseConnection)] in ([1000], [4000])
        await peer.served.wait()


async def test_too_many_pings_close(autojump_clock: trio.testing.MockClock) -> None:
    async with talking() as peer:
        await peer.send(client_frame(9, b"") * (CONTROL_BURST + 1))
        await peer.served.wait()
        assert peer.session.heard == ["too many control frames", "ended"]


async def test_who_reads_no_pongs_is_read_no_further(autojump_clock: trio.testing.MockClock) -> None:
    async with talking() as peer:
        peer.connection._handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        peer.connection.outbox.try_send(bytes((0x82, 127)) + (1 << 19).to_bytes(8, "big") + bytes(1 << 19))
        await peer.send(client_frame(9, b"") + client_frame(1, b"one"))
        await trio.testing.wait_all_tasks_blocked()
        await peer.send(client_frame(1, b"two"))
        await trio.testing.wait_all_tasks_blocked()
        assert peer.session.heard == [b"one"]


async def test_what_stands_in_line_does_not_leave_for_each_frame_that_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After a ping too: only who does not read is waited for."""
    async with talking() as peer:
        await peer.send(client_frame(9, b""))
        await trio.testing.wait_all_tasks_blocked()
        assert peer.connection.outbox.offer(b"\x81\x01a")
        await peer.send(client_frame(10, b""))
        await trio.testing.wait_all_tasks_blocked()
        assert peer.connection.outbox.size == 3
        await peer.send(client_frame(1, b"one"))
        await trio.testing.wait_all_tasks_blocked()
        assert peer.session.heard == [b"one"]


async def test_an_end_without_a_word_ends_the_session() -> None:
    async with talking() as peer:
        await trio.testing.wait_all_tasks_blocked()
        peer._handle.close()
        await peer.served.wait()
        assert peer.session.heard == ["answered", "ended"]
        assert peer.connection._handle.fileno() == -1
