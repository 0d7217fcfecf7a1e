"""The attacks of a hostile peer on one connection, over and over, on both ports.

An attack opens what it likes through its visitor and goes away as rudely as it likes. It may fail to send: that is the
server's good right. The server's answers to it are kept for later checks.
"""

from __future__ import annotations

import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence

import trio

from tests.durability.wire import CLOSE, PING, TEXT, Address, upgrade, ws_frame

Attack = Callable[["Visitor"], Awaitable[None]]
#: Signed-in attackers share few names: what a user costs is not what is measured.
USERS = tuple(f"mallory{number}" for number in range(5))
BINARY, CONTINUATION = 2, 0
DEPTH = 10_000


class Visitor:
    """One connection of an attacker."""

    def __init__(self, http: Address, tcp: Address, hellos: Sequence[bytes], rng: random.Random) -> None:
        self.hellos = hellos
        """Good ones, as JSON: one for each of USERS."""
        self.http = http
        self.tcp = tcp
        self.rng = rng
        self.heard = bytearray()
        self._stream: trio.SocketStream | None = None

    async def dial(self, address: Address) -> None:
        self._stream = await trio.open_tcp_stream(*address)

    async def send(self, data: bytes) -> None:
        assert self._stream is not None
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            pass  # The server has closed: so be it.

    async def listen(self, seconds: float = 0.05) -> bool:
        """Hear what comes for so long; True when the server has closed."""
        assert self._stream is not None
        with trio.move_on_after(seconds):
            try:
                while data := await self._stream.receive_some(1 << 16):
                    self.heard += data
            except trio.BrokenResourceError:
                return True
            return True
        return False

    async def reset(self) -> None:
        """Gone at once, by RST: what is on its way to the peer is lost, and so is what it sends."""
        assert self._stream is not None
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.aclose()

    async def leave(self) -> None:
        """Reset; or close with what came unread; or say the end, and hear the server out."""
        if self._stream is None:
            return
        way = self.rng.randrange(3)
        if way == 0:
            await self.reset()
        elif way == 1:
            try:
                await self._stream.send_eof()
            except trio.BrokenResourceError:
                pass  # The server was first.
            await self.listen()
        await self.aclose()

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    # ------------------------------------------------------------------------------------------ half-way in

    async def open_ws(self) -> None:
        await self.dial(self.http)
        await self.send(upgrade(self.http))

    async def sign_in(self) -> Callable[[bytes], Awaitable[None]]:
        """On either port; how to send a payload as a frame from here on."""
        hello = self.rng.choice(self.hellos)
        if self.rng.random() < 0.5:
            await self.dial(self.tcp)
            await self.send(hello + b"\n")
            return lambda payload: self.send(payload + b"\n")
        await self.open_ws()
        await self.send(ws_frame(hello))
        return lambda payload: self.send(ws_frame(payload))


def noise(rng: random.Random, most: int = 2_000) -> bytes:
    return rng.randbytes(rng.randint(1, most))


async def random_bytes(visitor: Visitor) -> None:
    await visitor.dial(visitor.rng.choice((visitor.http, visitor.tcp)))
    await visitor.send(noise(visitor.rng))
    await visitor.listen()


async def broken_handshake(visitor: Visitor) -> None:
    good = upgrade(visitor.http)
    await visitor.dial(visitor.http)
    await visitor.send(
        visitor.rng.choice(
            (
                good.replace(b"Version: 13", b"Version: 12"),
                good.replace(b"Sec-WebSocket-Key", b"Sec-WebSocket-Lock"),
                good.replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
                good.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
                good.replace(b"HTTP/1.1", b"HTTP/1.0"),
                good.replace(b"HTTP/1.1", b"HTTP/9.9"),
                good.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: \x00\xff\r\n\r\n"),
                good.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat.v0\r\n\r\n"),
                good.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: gochat.v1.json, bearer.x.y.z\r\n\r\n"),
                good.replace(b"\r\n\r\n", b'\r\nSec-WebSocket-Extensions: permessage-deflate; a="\r\n\r\n'),
                good.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer \xc3\x28\r\n\r\n"),
                good.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
                good.replace(b"\r\n\r\n", b"\r\nHost: other\r\n\r\n"),
                good.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n"),
                good.replace(b"/v1/ws", b"/" + b"a" * 70_000),
                good.replace(b"/v1/ws", b"http://[::1"),
                good.replace(b"\r\n", b"\n "),
                b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
                b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 50,
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + visitor.rng.randbytes(300),
                b"\r\n" * 1_000,
            )
        )
    )
    await visitor.listen()


async def trailing_then_reset(visitor: Visitor) -> None:
    await visitor.dial(visitor.http)
    trailing = visitor.rng.choice(
        (
            noise(visitor.rng),
            ws_frame(visitor.hellos[0]) * 3,
            ws_frame(b"", CLOSE),
            ws_frame(b"x")[:3],
        )
    )
    await visitor.send(upgrade(visitor.http) + trailing)
    await visitor.reset()


async def half_request(visitor: Visitor) -> None:
    whole = upgrade(visitor.http)
    await visitor.dial(visitor.http)
    await visitor.send(whole[: visitor.rng.randrange(len(whole))])


async def oversize_frame(visitor: Visitor) -> None:
    send = await visitor.sign_in() if visitor.rng.random() < 0.5 else None
    if send is not None:
        await send(b'{"type":"ping","x":"' + b"x" * 70_000 + b'"}')
    else:
        await visitor.open_ws()
        size = visitor.rng.choice((1 << 17, 1 << 31, (1 << 63) - 1, (1 << 64) - 1))
        await visitor.send(struct.pack("!BBQ", 0x81, 0xFF, size) + b"\0\0\0\0" + b"x" * 1_000)
    await visitor.listen()


async def endless_fragments(visitor: Visitor) -> None:
    await visitor.open_ws()
    size = visitor.rng.choice((0, 0, 1, 100))
    await visitor.send(ws_frame(b'{"type":', fin=False))
    for _ in range(20):
        await visitor.send(ws_frame(b"x" * size, CONTINUATION, fin=False) * 500)
    await visitor.listen()


async def deep_json(visitor: Visitor) -> None:
    opening = visitor.rng.choice((b"[", b'{"a":'))
    deep = b'{"type":"ping","id":7,"x":' + opening * DEPTH
    if opening == b"[":
        deep += b"]" * DEPTH + b"}"
    if visitor.rng.random() < 0.5:
        await visitor.dial(visitor.tcp)
        await visitor.send(deep + b"\n")
    else:
        await (await visitor.sign_in())(deep)
    await visitor.listen()


async def huge_numbers(visitor: Visitor) -> None:
    send = await visitor.sign_in()
    for number in (b"9" * 5_000, b"1e400", b"-1e-400", b"1" + b"0" * 400 + b".0", b"-0", b"9223372036854775808"):
        await send(b'{"type":"history","id":1,"room":"group:tea","after":' + number + b"}")
        await send(b'{"type":"ping","id":' + number + b"}")
        await send(b'{"type":"resume","room":"dm:mallory0:mallory1","seq":' + number + b"}")
    await visitor.listen()


async def ping_flood(visitor: Visitor) -> None:
    if visitor.rng.random() < 0.5:
        await visitor.open_ws()
        await visitor.send(ws_frame(b"x" * 125, PING) * 1_000)
    else:
        send = await visitor.sign_in()
        for _ in range(10):
            await send(b'{"type":"ping","id":1}')
        await visitor.send(b'{"type":"ping","id":1}\n' * 2_000)
    await visitor.listen()


async def slow_start(visitor: Visitor) -> None:
    """A byte now and then, until the server has had enough or the attacker has."""
    await visitor.dial(visitor.rng.choice((visitor.http, visitor.tcp)))
    whole = upgrade(visitor.http)
    for at in range(visitor.rng.randint(1, 10)):
        await visitor.send(whole[at : at + 1])
        await visitor.listen(0.02)


async def sit(visitor: Visitor) -> None:
    """Say nothing, or nearly: the server ends it by its own clock."""
    await visitor.dial(visitor.rng.choice((visitor.http, visitor.tcp)))
    await visitor.send(visitor.rng.choice((b"", b"G", b"GET / HTTP/1.1\r\n", b'{"type":"hel', upgrade(visitor.http))))
    assert await visitor.listen(20), "the server waits for ever"


async def cut_in_mid_frame(visitor: Visitor) -> None:
    await visitor.sign_in()
    frame = ws_frame(b'{"type":"send","to":"user:mallory1","body":"' + b"x" * 500 + b'"}')
    await visitor.send(frame[: visitor.rng.randrange(len(frame))])


async def line_without_end(visitor: Visitor) -> None:
    await visitor.dial(visitor.tcp)
    for _ in range(visitor.rng.randint(1, 12)):
        await visitor.send(b"x" * 8_192)
    await visitor.listen()


async def hello_then_garbage(visitor: Visitor) -> None:
    send = await visitor.sign_in()
    for _ in range(10):
        await send(
            visitor.rng.choice(
                (
                    noise(visitor.rng, 200).replace(b"\n", b" "),
                    b"null",
                    b"[]",
                    b'"x"',
                    b"{}",
                    b"{" * 50,
                    b'{"type":7}',
                    b'{"type":"send"}',
                    b'{"type":"send","to":"group:","body":"x"}',
                    b'{"type":"nothing","id":"\\ud800"}',
                    b'{"type":"send","to":"user:mallory1","body":"\\u0000"}',
                    visitor.hellos[0],
                    b'{"type":"send","to":"user:mallory1","body":"\\ud83d"}',
                    b'{"type":"watch","users":[1,null,{}]}',
                    b'{"type":"resume","room":"group:tea","seq":-5}',
                    b'{"type":"group","name":"\xff","action":"create"}',
                    b'{"type":"search","q":"\\" OR * NEAR(","in":"messages"}',
                    b'{"type":"history","room":"dm:a:b:c"}',
                    b'{"type":"send","id":{},"to":[],"body":{}}',
                    b'\xef\xbb\xbf{"type":"ping"}',
                )
            )
        )
    await visitor.listen()


async def broken_frames(visitor: Visitor) -> None:
    """Frames that RFC 6455 forbids, before and after a hello."""
    await visitor.open_ws()
    if visitor.rng.random() < 0.5:
        await visitor.send(ws_frame(visitor.hellos[0]))
    await visitor.send(
        visitor.rng.choice(
            (
                ws_frame(b'{"type":"ping"}', mask=False),
                ws_frame(b'{"type":"ping"}', rsv=visitor.rng.randint(1, 7)),
                ws_frame(b"x", visitor.rng.choice((3, 4, 7, 11, 15))),
                ws_frame(b"x", CONTINUATION),
                ws_frame(b"{", TEXT, fin=False) + ws_frame(b"}", TEXT),
                ws_frame(b"{}", BINARY),
                ws_frame(b"\xff\xfe\xfd"),
                ws_frame(b"\x03", CLOSE),
                ws_frame(struct.pack("!H", visitor.rng.choice((0, 999, 1005, 1006, 1015, 65_535))), CLOSE),
                ws_frame(struct.pack("!H", 1000) + b"\xff\xff", CLOSE),
                ws_frame(b"x" * 126, PING),
                ws_frame(b"x", PING, fin=False),
                ws_frame(b"", CLOSE) + ws_frame(b"", CLOSE) + ws_frame(b'{"type":"ping"}'),
                struct.pack("!BBQ", 0x81, 0xFF, 5) + b"\0\0\0\0hello",
                ws_frame(b"") * 500,
            )
        )
    )
    await visitor.listen()


async def controls_then_reset(visitor: Visitor) -> None:
    """Control frames that ask for an answer, from one who is gone when it comes."""
    await visitor.open_ws()
    await visitor.send(ws_frame(visitor.hellos[0]))
    while b'"welcome"' not in visitor.heard and not await visitor.listen(0.01):
        pass
    await visitor.send(ws_frame(b"x", visitor.rng.choice((PING, CLOSE))) + ws_frame(b"y", PING) * 3)
    await visitor.reset()


async def hello_and_the_end_at_once(visitor: Visitor) -> None:
    """A good hello, and in the same packet what ends the connection: it must not be welcomed after it is gone."""
    await visitor.open_ws()
    while b"\r\n\r\n" not in visitor.heard and not await visitor.listen(0.01):
        pass
    hello = ws_frame(visitor.hellos[0])
    oversize = struct.pack("!BBQ", 0x81, 0xFF, 1 << 31) + b"\0\0\0\0"
    await visitor.send(hello + visitor.rng.choice((oversize, ws_frame(b"{}", BINARY), ws_frame(b"", CLOSE))))
    await visitor.listen()


async def flood_and_vanish(visitor: Visitor) -> None:
    """Many requests, no reply read, gone."""
    send = await visitor.sign_in()
    for number in range(40):
        key = f"{visitor.rng.random()}".encode()
        await send(b'{"type":"send","id":%d,"to":"user:mallory1","body":"x","key":"%s"}' % (number, key))


ATTACKS: tuple[Attack, ...] = (
    random_bytes, broken_handshake, trailing_then_reset, half_request, oversize_frame, endless_fragments, deep_json,
    huge_numbers, ping_flood, slow_start, sit, cut_in_mid_frame, line_without_end, hello_then_garbage, broken_frames,
    controls_then_reset, hello_and_the_end_at_once, flood_and_vanish,
)  # fmt: skip


async def attack(
    http: Address,
    tcp: Address,
    token: Callable[[str], str],
    *,
    visits: int,
    seed: int,
    at_once: int = 100,
    patience_s: float = 30.0,
) -> None:
    """So many connections, each attack by turns; `token` signs for a user. Raises AssertionError when a peer was shown
    a traceback."""
    limiter = trio.CapacityLimiter(at_once)
    hellos = [json.dumps({"type": "hello", "token": token(user)}).encode() for user in USERS]

    async def visit(number: int) -> None:
        visitor = Visitor(http, tcp, hellos, random.Random(f"{seed} {number}"))
        chosen = ATTACKS[number % len(ATTACKS)]
        try:
            with trio.fail_after(patience_s):
                await chosen(visitor)
                await visitor.leave()
        finally:
            await visitor.aclose()
            limiter.release_on_behalf_of(number)
        assert b"Traceback" not in visitor.heard, bytes(visitor.heard)
        assert b'File "' not in visitor.heard, bytes(visitor.heard)

    async with trio.open_nursery() as nursery:
        for number in range(visits):
            await limiter.acquire_on_behalf_of(number)
            nursery.start_soon(visit, number, name=f"{ATTACKS[number % len(ATTACKS)].__name__} {number}")
