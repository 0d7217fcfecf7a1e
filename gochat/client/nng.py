"""A session over nng (pynng): requests and replies in pairs, and polls for what the server says unasked.

At most one request is on its way, and beside it the poll that it ends. So frames are handed on in the order in which
the server sent them, though nng may bring two replies in either order. nng itself neither connects again nor repeats a
request here: a link ends with its connection, as those of other transports do.
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
#: How long the reply to a poll is waited for that the request should have ended. A poll and a request that are sent in
#: one breath may reach the server's sessions in either order. Facts in a wrong order would be asked for again.
ORDER_S: Final = 0.05
#: nng connects again, and repeats a request, after so long: never.
NEVER_MS: Final = 1 << 30

_TLS: Final = "TLS: the handshake failed; is the server's certificate trusted here, and for this name?"
_REASONS: Final = {
    pynng.exceptions.ConnectionRefused: "connection refused",
    pynng.exceptions.AuthenticationError: _TLS,
    pynng.exceptions.CryptoError: _TLS,
}


class NngLink:
    """A links.Link. Its first frame is `hello`."""

    def __init__(self, tls: pynng.TLSConfig | None, nursery: trio.Nursery) -> None:
        self.secret = ""
        """Of the server's session. Once that is over, or before it has begun: empty."""
        self._nursery = nursery
        self._socket = pynng.Req0(
            recv_max_size=MAX_REPLY_BYTES,
            reconnect_time_min=NEVER_MS,
            resend_time=NEVER_MS,
            tls_config=tls,
            async_backend="trio",
        )
        self._requests, self._polls = self._socket.new_context(), self._socket.new_context()
        self._turn = trio.Lock()
        self._made = 0
        self._polling: trio.Event | None = None
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
        """Connect, and end the session that the link `before` may have left. Polls run in `nursery`."""
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

    # ------------------------------------------------------------------------------------------ as a link

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Returns when the reply has come and is handed on, so that frames given meanwhile share the next request."""
        async with self._turn:
            self._made += 1
            for request in self._packed(payloads):
                for _ in range(MAX_DRAINS):
                    if not self._full:
                        break
                    await self._request(self._poll_frame(0))
                await self._request(request)

    async def receive(self) -> Sequence[bytes | str]:
        """Perhaps no frame: the server is there, and has nothing to say."""
        try:
            return await self._frames.receive()
        except trio.EndOfChannel:
            assert self._end is not None
            raise self._end from None

    async def aclose(self) -> None:
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

    async def _request(self, request: bytes) -> None:
        reply = await self._exchange(self._requests, request)
        if self._polling is not None:
            # Its reply was sent before this one, unless the request has overtaken it: then it goes on.
            with trio.move_on_after(ORDER_S):
                await self._polling.wait()
        await self._hand_on(reply)

    async def _exchange(self, context: pynng.Context, request: bytes) -> bytes:
        try:
            self._check()
            await _send(context, request)
            self._check()
            reply: bytes = await context.arecv()
        except pynng.exceptions.NNGException as error:
            raise self._end or _unreachable(error) from None
        return reply

    def _check(self) -> None:
        """Raises Unreachable once the contexts are closed."""
        if self._end is not None:
            raise self._end

    async def _leave(self, secret: str) -> None:
        await self._exchange(self._requests, b'{"session":"%b","type":"bye"}' % secret.encode())

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
                self._polling = trio.Event()
                try:
                    await self._hand_on(await self._exchange(self._polls, self._poll_frame(self._wait_ms)))
                finally:
                    self._polling.set()
                    self._polling = None
        except (Unreachable, trio.ClosedResourceError) as error:
            self._over(error if isinstance(error, Unreachable) else Unreachable("the connection broke"))

    # ------------------------------------------------------------------------------------------ replies

    async def _hand_on(self, reply: bytes) -> None:
        frames = reply.split(b"\n")
        del frames[-1]  # what follows the last line's end: nothing
        self._full = len(frames) >= FULL_FRAMES or len(reply) >= FULL_BYTES
        end = None
        if not self.secret:
            self._look_for_welcome(frames)
        elif b'"close":' in reply:  # In a text the quotes would be escaped.
            end = _ending(frames)
        await self._hand_in.send(frames)
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
            self._requests.close()
            self._polls.close()

    def _close(self) -> None:
        self._over(Unreachable("the connection was closed"))
        self._socket.close()


async def _send(context: pynng.Context, request: bytes) -> None:
    """Send; cancelled or failed, it leaves nothing behind.

    nng gives a message back that it could not send, and pynng 0.9 does not free it.
    """
    with AIOHelper(context, "trio") as aio:
        try:
            await aio.asend(request)
        except BaseException:
            if pynng.lib.nng_aio_result(aio.aio) != 0:
                pynng.lib.nng_msg_free(pynng.lib.nng_aio_get_msg(aio.aio))
            raise


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
        pass
