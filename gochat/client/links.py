"""One connection to a server: whole frames out, whole frames in, over WebSocket, raw TCP or nng.

A link tells its end by raising Unreachable, with the close code where the transport has one; it never reconnects.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from gochat.client.errors import BadUrl, Unreachable, why_closed
from gochat.protocol.ndjson import LineReader, TooLarge

#: Largest frame of a server (protocol.md, "Messages and rooms").
FRAME_BYTES: Final = 1 << 20
#: How long a connection may take until the handshake is done. The server itself gives 5 s for it.
DIAL_S: Final = 10.0
SUBPROTOCOL: Final = "gochat.v1.json"
#: Bytes that the session's secret adds to a request over nng: 43 of its own, and the JSON around them.
SECRET_BYTES: Final = 64
#: Where a node has its WebSocket, and where a URL leads that names no path.
_PATH: Final = "/v1/ws"
_PORTS: Final = {"ws": 80, "wss": 443, "tcp": 8081, "nng+tcp": 8082, "nng+tls+tcp": 8082}
_FORMS: Final = (
    "ws://HOST:PORT/v1/ws, wss://HOST/v1/ws, tcp://HOST:PORT, nng+tcp://HOST:PORT or nng+tls+tcp://HOST:PORT"
)

#: Exceptions that end a link, wherever they show: `flat` makes an Unreachable of them.
LINK_ERRORS: Final = (
    Unreachable,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.HandshakeError,
    trio_websocket.ConnectionClosed,
    ProtocolError,
)


class Address(NamedTuple):
    """Where a server listens."""

    scheme: Literal["ws", "wss", "tcp", "nng+tcp", "nng+tls+tcp"]
    host: str
    port: int
    path: str

    @property
    def websocket(self) -> bool:
        """Whether the handshake carries the token."""
        return self.scheme in ("ws", "wss")

    @property
    def nng(self) -> bool:
        return self.scheme in ("nng+tcp", "nng+tls+tcp")


class Link(Protocol):
    async def send(self, payloads: Sequence[bytes]) -> None:
        """Whole frames, in this order. One caller at a time; cancelled, the link is of no further use."""

    async def receive(self) -> Sequence[bytes | str]:
        """The next frames; none where the server only lets know that it is there. Raises one of LINK_ERRORS at the
        end."""

    async def aclose(self) -> None:
        """Say goodbye, where the transport has a way to, and close."""


def parse_url(url: str) -> Address:
    """The address in `ws://HOST[:PORT][/PATH]`, `wss://...`, `tcp://HOST[:PORT]`, `nng+tcp://...` or `nng+tls+tcp://...`.
    Raises BadUrl.

    No URL carries a token: it would end in logs and process lists.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"not a URL: {error}") from None
    scheme = parts.scheme
    if scheme not in _PORTS or not parts.hostname:
        raise BadUrl(f"the URL must be {_FORMS}")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadUrl("the URL must hold neither a user, nor a query, nor a fragment; a token goes beside it")
    if scheme not in ("ws", "wss") and parts.path not in ("", "/"):
        raise BadUrl(f"a {scheme}:// URL has no path")
    path = parts.path if parts.path not in ("", "/") else _PATH
    return Address(scheme, parts.hostname, _PORTS[scheme] if port is None else port, path)  # type: ignore[arg-type]


async def dial(address: Address, token: str | None, nursery: trio.Nursery, before: Link | None = None) -> Link:
    """Connect. The link's own tasks run in `nursery`, where its end may show as one of LINK_ERRORS too. `before` is
    the last link to the same address, which has ended."""
    with trio.fail_after(DIAL_S):
        if address.nng:
            from gochat.client.nng import NngLink  # pynng: only where it is spoken

            left = before if isinstance(before, NngLink) else None
            secure = address.scheme == "nng+tls+tcp"
            return await NngLink.connect(address.host, address.port, nursery, tls=secure, before=left)
        stream = await trio.open_tcp_stream(address.host, address.port)
        if address.scheme == "tcp":
            return LineLink(stream)
        watched = _Watched(stream)
        try:
            if address.scheme == "wss":
                watched = await _secured(stream, address.host)
            return WebSocketLink(watched, await _shake_hands(watched, address, token, nursery))
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise


async def _secured(stream: trio.SocketStream, host: str) -> _Watched:
    # HTTPS servers often end the TCP connection without a goodbye of TLS.
    secure = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
    await secure.do_handshake()
    return _Watched(secure)


async def _shake_hands(
    stream: _Watched, address: Address, token: str | None, nursery: trio.Nursery
) -> trio_websocket.WebSocketConnection:
    host = f"[{address.host}]" if ":" in address.host else address.host
    async with trio.open_nursery() as watch:
        watch.start_soon(stream.fail_at_end)
        connection = await trio_websocket.wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type]  # any stream will do
            host if address.port == _PORTS[address.scheme] else f"{host}:{address.port}",
            address.path,
            subprotocols=[SUBPROTOCOL],
            extra_headers=[(b"Authorization", b"Bearer " + token.encode())] if token else [],
            max_message_size=FRAME_BYTES,
        )
        watch.cancel_scope.cancel()
    return connection


def flat(error: BaseException) -> Unreachable:
    """One of LINK_ERRORS, or a group of them, as one Unreachable that a person can read."""
    if isinstance(error, BaseExceptionGroup):
        # The first that gives a reason beats those that only report the end.
        reasons = [flat(inner) for inner in error.exceptions]
        return next((reason for reason in reasons if reason.number is not None), reasons[0])
    match error:
        case Unreachable():
            return error
        case trio_websocket.ConnectionClosed():
            return _closed(error)
        case trio_websocket.ConnectionRejected(status_code=404):
            return Unreachable(f"there is no WebSocket at this path (HTTP status 404); a node has its own at {_PATH}")
        case trio_websocket.ConnectionRejected():
            return Unreachable(f"the server answered the WebSocket handshake with HTTP status {error.status_code}")
        case trio.TooSlowError():
            return Unreachable(f"no answer within {DIAL_S:.0f} s")
        case trio.BrokenResourceError(__cause__=ssl.SSLError(reason="WRONG_VERSION_NUMBER")):
            return Unreachable("TLS: the port answers without it")  # That is how OpenSSL takes any other protocol.
        case trio.BrokenResourceError(__cause__=ssl.SSLError() as cause):
            return Unreachable(f"TLS: {getattr(cause, 'verify_message', None) or cause.reason}")
        case trio.BrokenResourceError() | trio.ClosedResourceError():
            return Unreachable("the connection broke")
        case ProtocolError() | trio_websocket.HandshakeError():
            return Unreachable("the peer does not speak WebSocket")
        case OSError():
            return Unreachable(_os_reason(error))
    raise error


def _closed(error: trio_websocket.ConnectionClosed) -> Unreachable:
    code = error.reason.code if error.reason else None
    if code is None or code in (1005, 1006):
        return Unreachable("the connection broke")
    return Unreachable(why_closed(code), code)


def _os_reason(error: OSError) -> str:
    # trio gathers the failures of all addresses of a name into a group, as the cause.
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError):
        error = cause
    if error.errno is None or isinstance(error, socket.gaierror):
        return (error.strerror or str(error)).lower()
    return os.strerror(error.errno).lower()


class _Watched(trio.abc.Stream):
    """The stream below a WebSocket, whose end can be waited for.

    trio-websocket 0.12 waits for the rest of a handshake whose connection has ended, for ever. And it leaves the
    socket open where the server was the one to close.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._ended = trio.Event()

    async def fail_at_end(self) -> None:
        await self._ended.wait()
        # The bytes that trio-websocket read until here may still be an answer to raise.
        await trio.lowlevel.checkpoint()
        raise Unreachable("the server ended the connection during the WebSocket handshake")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._ended.set()
            raise
        if not data:
            self._ended.set()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self._ended.set()
        await self._stream.aclose()


class WebSocketLink:
    """trio-websocket answers pings and closes; a frame is one text message."""

    def __init__(self, stream: trio.abc.Stream, connection: trio_websocket.WebSocketConnection) -> None:
        self._stream = stream
        self._connection = connection

    async def send(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            await self._connection.send_message(payload.decode())

    async def receive(self) -> Sequence[bytes | str]:
        return (await self._connection.get_message(),)

    async def aclose(self) -> None:
        try:
            await self._connection.aclose()
        finally:
            await trio.aclose_forcefully(self._stream)


class LineLink:
    """One frame a line. A goodbye is the end of the stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = LineReader(FRAME_BYTES)

    async def send(self, payloads: Sequence[bytes]) -> None:
        await self._stream.send_all(b"\n".join((*payloads, b"")))

    async def receive(self) -> Sequence[bytes | str]:
        lines: list[bytes] = []
        while not lines:
            data = await self._stream.receive_some(65_536)
            if not data:
                raise Unreachable("the server closed the connection")
            try:
                lines = self._lines.feed(data)
            except TooLarge:
                raise Unreachable(f"the server sent a frame of more than {FRAME_BYTES} bytes") from None
        return lines

    async def aclose(self) -> None:
        await self._stream.aclose()
