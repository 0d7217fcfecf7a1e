"""RFC 6455, section by section, over real sockets: the code that serves chat, with a session that echoes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from gochat.connections import Connection
from gochat.protocol.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameReader,
    client_frame,
    frame,
)
from gochat.transports.admission import Slot
from gochat.transports.outbox import WaitingBytes
from gochat.transports.poller import Poller
from gochat.transports.websocket import WebSocketConnection
from tests.transports.listening import connect, serving

LIMIT = 1 << 20


class Echo:
    """A session that says everything back, in the kind that came."""

    burst_left = 0
    waiting = False

    def __init__(self, connection: Connection, opcode: int) -> None:
        self._connection = connection
        self._opcode = opcode

    def receive(self, payload: bytes) -> None:
        self._connection.outbox.put(frame(self._opcode, payload))
        self._connection.outbox.flush()

    async def wait_readable(self) -> None:
        raise AssertionError

    async def wait_answered(self) -> None:
        pass

    def too_large(self) -> None:
        self._connection.finish(4504, "too large")

    def invalid_text(self) -> None:
        self._connection.finish(1007, "not UTF-8")

    def violated(self, problem: str) -> None:
        self._connection.finish(4501, problem)

    def ended(self) -> None:
        pass


async def echo(opcode: int, poller: Poller, nursery: trio.Nursery, stream: trio.abc.Stream, slot: Slot) -> None:
    connection = WebSocketConnection(
        stream,
        slot.handle,
        direct=True,
        peer=slot.peer,
        outbox_bytes=1 << 22,
        spawn=nursery.start_soon,
        slot=slot,
        poller=poller,
        waiting=WaitingBytes(),
    )
    try:
        await connection.converse(Echo(connection, opcode), FrameReader(LIMIT, opcode), b"")
    finally:
        await connection.close()  # noqa: ASYNC102


@asynccontextmanager
async def talking(opcode: int = TEXT) -> AsyncIterator[trio.SocketStream]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        handler = partial(echo, opcode, poller, nursery)
        async with serving(handler) as (_, listener), await connect(listener) as stream:
            yield stream
        nursery.cancel_scope.cancel()


async def answers(sent: Iterable[bytes], opcode: int = TEXT) -> list[tuple[int, bytes]]:
    """The opcodes and payloads that come back, up to the end of the stream; each of `sent` leaves by itself."""
    async with talking(opcode) as stream:
        try:
            for piece in sent:
                await stream.send_all(piece)
                await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            pass  # It has closed meanwhile.
        data, told = b"", False
        try:
            async for piece in stream:
                data += piece
                if bytes((0x80 | CLOSE,)) in data and not told:
                    told = True  # Both sides say goodbye; the server waits for ours.
                    await stream.send_all(client_frame(CLOSE, b"\x03\xe8"))
        except trio.BrokenResourceError:
            pass  # The server is free to reset the connection of a peer that broke the protocol.
    found = []
    while data:
        first, size, start = data[0], data[1], 2
        assert not size & 0x80, "a server never masks (5.1)"
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
        assert first & 0x80 and not first & 0x70
        found.append((first & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found


def closing(found: list[tuple[int, bytes]]) -> int:
    """The number of the Close, which is the last frame of all."""
    assert [opcode for opcode, _ in found].count(CLOSE) == 1
    opcode, payload = found[-1]
    assert opcode == CLOSE
    return int.from_bytes(payload[:2])


BYE = client_frame(CLOSE, (1000).to_bytes(2))


# ---------------------------------------------------------------------------------------------- 5.6: data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("chop", [0, 997])
async def test_messages_of_every_length(size: int, opcode: int, chop: int) -> None:
    payload = b"*" * size if opcode == TEXT else bytes(number % 256 for number in range(size))
    data = client_frame(opcode, payload) + BYE
    pieces = [data[at : at + chop] for at in range(0, len(data), chop)] if chop else [data]
    assert (await answers(pieces, opcode))[:-1] == [(opcode, payload)]


@pytest.mark.parametrize("piece", [64, 1_300])
async def test_fragments_of_a_long_message(piece: int) -> None:
    """5.4; 65,536 bytes in fragments of a size of their own."""
    payload = b"*" * 65_536
    cuts = range(0, len(payload), piece)
    pieces = [
        client_frame(TEXT if at == 0 else CONTINUATION, payload[at : at + piece], fin=at + piece >= len(payload))
        for at in cuts
    ]
    assert (await answers([b"".join(pieces) + BYE]))[:-1] == [(TEXT, payload)]


# ---------------------------------------------------------------------------------------------- 5.5: control frames


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(120, 245)), b"\x00\xff\xfe"])
async def test_a_ping_is_answered_with_its_own_payload(payload: bytes) -> None:
    assert (await answers([client_frame(PING, payload), BYE]))[0] == (PONG, payload)


async def test_pings_are_answered_in_order_and_pongs_not_at_all() -> None:
    sent = [client_frame(PONG, b"unasked")] + [client_frame(PING, b"%d" % number) for number in range(10)]
    assert (await answers([b"".join(sent), BYE]))[:-1] == [(PONG, b"%d" % number) for number in range(10)]


async def test_a_ping_between_fragments_is_answered_at_once() -> None:
    sent = [
        client_frame(TEXT, b"one ", fin=False),
        client_frame(PING, b"now"),
        client_frame(CONTINUATION, b"two"),
        BYE,
    ]
    assert (await answers(sent))[:-1] == [(PONG, b"now"), (TEXT, b"one two")]


# ---------------------------------------------------------------------------------------------- 5: what violates it

BROKEN = {
    "a reserved bit": b"\xc1" + client_frame(TEXT, b"x")[1:],
    "a reserved bit of a ping": b"\x99" + client_frame(PING, b"")[1:],
    "no mask": frame(TEXT, b"x"),
    "a ping in fragments": client_frame(PING, b"", fin=False),
    "a ping of 126 bytes": client_frame(PING, bytes(126)),
    "a continuation of nothing": client_frame(CONTINUATION, b"x"),
    "an unfinished continuation of nothing": client_frame(CONTINUATION, b"x", fin=False),
    "a new message inside another": client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b"),
    "a Close of one byte": client_frame(CLOSE, b"\x03"),
    "a Close of 126 bytes": client_frame(CLOSE, b"\x03\xe8" + bytes(124)),
    **{f"opcode {opcode}": client_frame(opcode, b"") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"a Close with {n}": client_frame(CLOSE, n.to_bytes(2)) for n in (0, 999, 1004, 1005, 1006, 1015, 2999, 65_535)},
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_breaks_the_protocol_closes_with_1002(what: str) -> None:
    found = await answers([client_frame(TEXT, b"before") + BROKEN[what] + client_frame(TEXT, b"after")])
    assert found[0] == (TEXT, b"before")
    assert closing(found) == 1002
    assert (TEXT, b"after") not in found


# ---------------------------------------------------------------------------------------------- 7: closing


@pytest.mark.parametrize("number", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
@pytest.mark.parametrize("reason", [b"", "going €".encode(), b"*" * 123])
async def test_a_close_is_answered_with_its_number_and_nothing_follows(number: int, reason: bytes) -> None:
    found = await answers([client_frame(CLOSE, number.to_bytes(2) + reason) + client_frame(TEXT, b"after")])
    assert [opcode for opcode, _ in found] == [CLOSE]
    assert closing(found) == number


async def test_a_close_without_a_number_is_answered() -> None:
    assert [opcode for opcode, _ in await answers([client_frame(CLOSE, b"") + client_frame(PING, b"")])] == [CLOSE]


# ---------------------------------------------------------------------------------------------- 8.1: UTF-8


@pytest.mark.parametrize("text", ["κόσμε", "\u0080", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff\ue000", "\ufffe"])
async def test_text_is_taken_however_it_is_cut(text: str) -> None:
    data = text.encode()
    sent = [
        client_frame(TEXT if at == 0 else CONTINUATION, data[at : at + 1], fin=at + 1 == len(data))
        for at in range(len(data))
    ]
    assert (await answers([*sent, BYE]))[:-1] == [(TEXT, data)]


@pytest.mark.parametrize(
    "bad",
    [b"\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xce"],
)
async def test_what_is_no_utf8_closes_with_1007_also_before_the_last_fragment(bad: bytes) -> None:
    assert closing(await answers([client_frame(TEXT, b"a" + bad)])) == 1007
    unfinished = client_frame(TEXT, b"a" + bad, fin=False) + client_frame(CONTINUATION, b"!", fin=False)
    assert closing(await answers([unfinished])) == 1007
    assert closing(await answers([client_frame(CLOSE, b"\x03\xe8" + bad)])) == 1007
