"""A session over nng (pynng): requests and replies in pairs, and polls for what the server says unasked.

At most one request is on its way, and beside it a poll. The server sends their replies in the order in which it carried
the two out, whichever that was, and frames must be handed on in that order: of a room that is new here the first fact
says where it begins, and an earlier one that came later would be lost. With contexts nng's threads tell of two replies
in either order. So the socket is a raw one: its replies come one after the other, by the number of their request. A raw
socket does not repeat a request either, and is not let connect again: a link ends with its connection, as those of
other transports do.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pynng
import trio
from pynng import ffi, lib
from pynng._aio import AIOHelper

from gochat.client.errors import Unreachable
from gochat.client.wire import decode
from gochat.protocol import replies

#: Largest reply that is taken. Events are at most 256 KiB of one (protocol.md, "nng"); the replies to a request of many
#: frames are bounded by the server's outbox.
MAX_REPLY_BYTES: Final = 64 << 20
MAX_WAIT_MS: Final = 30_000
#: A reply with so many frames or bytes has left events behind.
FULL_FRAMES, FULL_BYTES = 100, 192 * 1024
#: Most polls before a request, so that the server has space for its reply.
MAX_DRAINS: Final = 16
#: How long after a request a poll begins. A program that sends one message after the other ends no poll with each.
PAUSE_S: Final = 0.005
#: nng connects again after so long: never.
NEVER_MS: Final = 1 << 30
#: The number of a request has this bit (nanomsg's RFC "sp-request-reply-01").
LAST_HOP: Final = 0x8000_0000

_TLS: Final = "TLS: the handshake failed; is the server's certificate trusted here, and for this name?"
_REASONS: Final = {
    pynng.exceptions.ConnectionRefused: "connection refused",
    pynng.exceptions.AuthenticationError: _TLS,
    pynng.exceptions.CryptoError: _TLS,
}


class _Exchange:
    """A request that waits for its reply."""

    __slots__ = ("answered", "done", "silent")

    def __init__(self, silent: bool) -> None:
        self.silent = silent
        """Whether nobody is to read its reply."""
        self.answered = False
        self.done = trio.Event()
        """Set when it was answered and the reply is handed on, or when none will come."""


class NngLink:
    """A links.Link. Its first frame is `hello`."""

    def __init__(self, tls: pynng.TLSConfig | None, nursery: trio.Nursery) -> None:
        self.secret = ""
        """Of the server's session. Once that is over, or before it has begun: empty."""
        self._nursery = nursery
        self._socket = pynng.Req0(
            opener=lib.nng_req0_open_raw,
            recv_max_size=MAX_REPLY_BYTES,
            reconnect_time_min=NEVER_MS,
            tls_config=tls,
            async_backend="trio",
        )
        self._exchanges: dict[int, _Exchange] = {}
        self._number = 0
        self._turn = trio.Lock()
        self._made = 0
        self._wait_ms = MAX_WAIT_MS
        self._frame_bytes = 0
        self._full = False
        self._end: Unreachable | None = None
        # The reply to `hello` waits for the reader, who is the one that sent it.
        self._hand_in, self._frames = trio.open_memory_channel[Sequence[bytes]](1)

    @classmethod
    async def connect(
        cls, host: str, port: int, nursery: trio.Nursery, *, tls: bool, before: NngLink | None
    ) -> NngLink:
        """Connect, and end the session that the link `before` may have left. Polls and reading run in `nursery`."""
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        error = Unreachable("the name has no address")
        for ip in dict.fromkeys(str(address[0]) for *_, address in found):
            link = cls(_trusting(host) if tls else None, nursery)
            try:
                await link._dial(f"{'tls+tcp' if tls else 'tcp'}://{f'[{ip}]' if ':' in ip else ip}:{port}")
                if before is not None and before.secret:
                    await link._leave(before.secret)
            except Unreachable as reason:
                link._close()
                error = reason
            except BaseException:
                link._close()
                raise
            else:
                return link
        raise error

    async def _dial(self, url: str) -> None:
        ended = partial(self._over, Unreachable("the connection broke"))
        self._socket.add_post_pipe_remove_cb(partial(_tell, trio.lowlevel.current_trio_token(), ended))
        try:
            # Closing the socket ends it, where this task is cancelled.
            await trio.to_thread.run_sync(partial(self._socket.dial, url, block=True), abandon_on_cancel=True)
        except pynng.exceptions.NNGException as error:
            raise _unreachable(error) from None
        self._nursery.start_soon(self._read)

    # ------------------------------------------------------------------------------------------ as a link

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Returns when the reply has come and is handed on, so that frames given meanwhile share the next request."""
        async with self._turn:
            self._made += 1
            for request in self._packed(payloads):
                for _ in range(MAX_DRAINS):
                    if not self._full:
                        break
                    await self._exchange(self._poll_frame(0))
                await self._exchange(request)

    async def receive(self) -> Sequence[bytes | str]:
        """Perhaps no frame: the server is there, and has nothing to say."""
        try:
            return await self._frames.receive()
        except trio.EndOfChannel:
            assert self._end is not None
            raise self._end from None

    async def aclose(self) -> None:
        self._frames.close()  # Replies that are still to come keep nobody waiting.
        try:
            if self.secret and self._end is None:
                await self._leave(self.secret)
                self.secret = ""
        except Unreachable:
            pass  # The server ends the session when it has heard nothing of it for long enough.
        finally:
            self._close()

    # ------------------------------------------------------------------------------------------ requests

    def _packed(self, payloads: Sequence[bytes]) -> Iterator[bytes]:
        """Frames as requests; each of these has at most as many bytes as the server takes."""
        frames: list[bytes] = []
        size = 0
        for payload in payloads:
            if frames and size + len(payload) > self._frame_bytes:
                yield b"\n".join(frames)
                frames, size = [], 0
            frames.append(payload if frames or not self.secret else self._head() + payload[1:])
            size += len(frames[-1]) + 1
        yield b"\n".join(frames)

    def _head(self) -> bytes:
        """The beginning of a request's first frame."""
        return b'{"session":"%b",' % self.secret.encode()

    def _poll_frame(self, wait_ms: int) -> bytes:
        return self._head() + b'"type":"poll","wait_ms":%d}' % wait_ms

    async def _exchange(self, request: bytes, *, silent: bool = False) -> None:
        """Send a request. Returns when its reply is handed on; raises Unreachable when there will be none."""
        self._check()
        self._number = (self._number + 1) % LAST_HOP
        number = LAST_HOP | self._number
        exchange = self._exchanges[number] = _Exchange(silent)
        try:
            await _send(self._socket, number, request)
            await exchange.done.wait()
        except pynng.exceptions.NNGException as error:
            raise self._end or _unreachable(error) from None
        finally:
            del self._exchanges[number]
        if not exchange.answered:
            self._check()

    def _check(self) -> None:
        """Raises Unreachable once the link has ended."""
        if self._end is not None:
            raise self._end

    async def _leave(self, secret: str) -> None:
        await self._exchange(b'{"session":"%b","type":"bye"}' % secret.encode(), silent=True)

    async def _poll(self) -> None:
        """Ask for events whenever no request brings them."""
        try:
            while True:
                async with self._turn:
                    made = self._made
                if not self._full:
                    await trio.sleep(PAUSE_S)
                    if made != self._made:
                        continue
                await self._exchange(self._poll_frame(self._wait_ms))
        except Unreachable as error:
            self._over(error)

    # ------------------------------------------------------------------------------------------ replies

    async def _read(self) -> None:
        """Take the replies as they come; the only place where frames are handed on."""
        try:
            while self._end is None:
                number, reply = await _receive(self._socket)
                exchange = self._exchanges.get(number)
                if exchange is None:
                    continue  # Its task was cancelled, and the link with it.
                exchange.answered = True
                if not exchange.silent:
                    await self._hand_on(reply)
                exchange.done.set()
        except pynng.exceptions.NNGException as error:
            self._over(_unreachable(error))
        except trio.ClosedResourceError:
            pass  # It has ended while a reply waited to be read.

    async def _hand_on(self, reply: bytes) -> None:
        frames = reply.split(b"\n")
        del frames[-1]  # what follows the last line's end: nothing
        self._full = len(frames) >= FULL_FRAMES or len(reply) >= FULL_BYTES
        end = None
        if not self.secret:
            self._look_for_welcome(frames)
        elif b'"close":' in reply:  # In a text the quotes would be escaped.
            end = _ending(frames)
        try:
            await self._hand_in.send(frames)
        except trio.BrokenResourceError:
            pass  # Nobody listens any more.
        if end is not None:
            self.secret = ""
            self._over(end)

    def _look_for_welcome(self, frames: list[bytes]) -> None:
        for frame in frames:
            if b'"welcome"' in frame and isinstance(welcome := decode(frame), replies.Welcome):
                self.secret = welcome.session
                self._frame_bytes = welcome.limits.frame_bytes
                # A server that has nothing to say is heard twice a heartbeat.
                self._wait_ms = min(MAX_WAIT_MS, int(welcome.heartbeat_s * 500))
                self._nursery.start_soon(self._poll)

    # ------------------------------------------------------------------------------------------ the end

    def _over(self, end: Unreachable) -> None:
        """Nothing more will come. Exchanges that are under way end with it."""
        if self._end is None:
            self._end = end
            self._hand_in.close()
            for exchange in self._exchanges.values():
                exchange.done.set()
            self._socket.close()

    def _close(self) -> None:
        self._over(Unreachable("the connection was closed"))


async def _send(socket: pynng.Socket, number: int, request: bytes) -> None:
    """Send; cancelled or failed, it leaves nothing behind: nng gives a message back that it could not send."""
    pointer = ffi.new("nng_msg **")
    pynng.check_err(lib.nng_msg_alloc(pointer, 0))
    message = pointer[0]
    pynng.check_err(lib.nng_msg_append(message, request, len(request)))
    pynng.check_err(lib.nng_msg_header_append_u32(message, number))
    with AIOHelper(socket, "trio") as aio:
        lib.nng_aio_set_msg(aio.aio, message)
        lib.nng_send_aio(socket.socket, aio.aio)
        try:
            await aio.awaitable
        except BaseException:
            if lib.nng_aio_result(aio.aio) != 0:
                lib.nng_msg_free(lib.nng_aio_get_msg(aio.aio))
            raise


async def _receive(socket: pynng.Socket) -> tuple[int, bytes]:
    """The next reply, and the number of the request that it answers."""
    with AIOHelper(socket, "trio") as aio:
        lib.nng_recv_aio(socket.socket, aio.aio)
        await aio.awaitable
        message = lib.nng_aio_get_msg(aio.aio)
        try:
            header = ffi.buffer(lib.nng_msg_header(message), lib.nng_msg_header_len(message))
            body = ffi.buffer(lib.nng_msg_body(message), lib.nng_msg_len(message))
            return int.from_bytes(header, "big"), bytes(body)
        finally:
            lib.nng_msg_free(message)


def _ending(frames: list[bytes]) -> Unreachable | None:
    """Takes the error out that says why the session is over. It may carry the id of a request, which was not carried
    out, and is made again on the next connection."""
    for index, frame in enumerate(frames):
        if b'"close":' in frame and isinstance(error := decode(frame), replies.Error) and error.close is not None:
            del frames[index]
            return Unreachable(error.message, error.close)
    return None


def _unreachable(error: pynng.exceptions.NNGException) -> Unreachable:
    known = next((text for kind, text in _REASONS.items() if isinstance(error, kind)), None)
    return Unreachable(known or str(error).lower())


def _trusting(host: str) -> pynng.TLSConfig:
    """Trusts the authorities that `wss://` trusts: those of the system, or of SSL_CERT_FILE."""
    config = pynng.TLSConfig(pynng.TLSConfig.MODE_CLIENT, server_name=host)
    for authority in _authorities():
        try:
            config.set_ca_chain(authority)
        except pynng.exceptions.NNGException:
            continue  # of a kind that mbedTLS does not know
    return config


def _authorities() -> Iterator[str]:
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    yield from map(ssl.DER_cert_to_PEM_cert, found)
    folder = ssl.get_default_verify_paths().capath
    if not found and folder:  # OpenSSL reads these when it needs them, and lists none.
        for path in sorted(Path(folder).glob("*.[0-9]")):
            yield path.read_text(encoding="utf-8")


def _tell(token: trio.lowlevel.TrioToken, ended: partial[None], pipe: pynng.Pipe) -> None:
    """From one of nng's threads: its connection has gone."""
    try:
        token.run_sync_soon(ended)
    except trio.RunFinishedError:
        pass  # The client has ended before its connection.
