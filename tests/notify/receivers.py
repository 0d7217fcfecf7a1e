"""Receivers on loopback: an HTTP server whose answers a test scripts, and an SMTP relay."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import h11
import trio
import trio.testing
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from gochat.notify.notification import Notification

NOTIFICATION = Notification(
    id="ntf_0123456789abcdef",
    user="bob",
    room="dm:ann:bob",
    sender="ann",
    sender_name="Änne M.",
    count=3,
    seq=17,
    ts=1_790_000_000_000,
    body="meet me at ten",
)


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class HttpReceiver:
    """Answers each POST with the next of `answers`, and with 200 when there are none left."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[int | str] = deque()
        """A status; "silent": no answer; "close": the connection ends; "endless": a body without an end; or a URL, to
        which a 307 points."""
        self.headers: list[tuple[str, str]] = []
        self.bodies: dict[str, bytes] = {}
        """Bodies of answers, by path."""
        self.connections = 0
        self.port = 0
        self._scope = trio.CancelScope()

    async def serve(self, tls: ssl.SSLContext | None = None, *, task_status: trio.TaskStatus[int]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        accept: Any = listener if tls is None else trio.SSLListener(listener, tls)
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            await nursery.start(trio.serve_listeners, self._handle, [accept])
            task_status.started(self.port)

    async def stop(self) -> None:
        """From now on nobody listens."""
        self._scope.cancel()
        await trio.testing.wait_all_tasks_blocked()

    async def _handle(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # The node may give up on a receiver, which is for the test to see.
        finally:
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        request: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65_536))
            elif isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                headers = {name.decode(): value.decode() for name, value in request.headers}
                self.received.append(Received(request.target.decode(), headers, body))
                if not await self._answer(connection, stream, request.target.decode()):
                    return
                connection.start_next_cycle()
            else:
                return

    async def _answer(self, connection: h11.Connection, stream: trio.abc.Stream, path: str) -> bool:
        answer = self.answers.popleft() if self.answers else 200
        if answer == "silent":
            await trio.sleep_forever()
        if answer == "close":
            return False
        headers = list(self.headers)
        content = self.bodies.get(path, b"")
        if answer == "endless":
            await stream.send_all(connection.send(h11.Response(status_code=200, headers=[])) or b"")
            while True:
                await stream.send_all(connection.send(h11.Data(data=b"x" * 65_536)) or b"")
        if isinstance(answer, str):
            headers.append(("location", answer))
            answer = 307
        headers.append(("content-length", str(len(content))))
        data = connection.send(h11.Response(status_code=answer, headers=headers)) or b""
        if content:
            data += connection.send(h11.Data(data=content)) or b""
        await stream.send_all(data + (connection.send(h11.EndOfMessage()) or b""))
        return True


class SmtpReceiver:
    """A mail relay. `once`, by command, is what it does with the next of these instead: an answer;
    "silent": none; "close": the connection ends."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.once: dict[str, str] = {}
        self.login: tuple[bytes, bytes] | None = None

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's interface
        self, server: SMTP, session: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._scripted("RCPT", server)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        answer = await self._scripted("DATA", server)
        if answer is None:
            self.envelopes.append(envelope)
        return answer or "250 OK"

    async def _scripted(self, command: str, server: SMTP) -> str | None:
        answer = self.once.pop(command, None)
        if answer == "silent":
            await asyncio.Event().wait()
        if answer == "close":
            server.transport.abort()
        return answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        return AuthResult(success=self.login == (data.login, data.password), handled=False)


class _Controller(Controller):
    """Takes a free port, and knows which."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_relay(receiver: SmtpReceiver, tls: ssl.SSLContext | None = None, *, wrapped: bool = False) -> Iterator[int]:
    """A relay in a thread of its own; its port. With `tls` by STARTTLS, or from the first byte where `wrapped`."""
    options: dict[str, Any] = {"authenticator": receiver.authenticate} if receiver.login else {}
    if wrapped:
        options |= {"ssl_context": tls, "auth_require_tls": False}
    elif tls is not None:
        options |= {"tls_context": tls, "require_starttls": True}
    controller = _Controller(receiver, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
