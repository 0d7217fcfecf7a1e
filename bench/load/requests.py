"""A socket over nng's REQ/REP: lines go out as requests, the lines of replies come in, and polls bring what comes
unasked. So a load speaks it as it speaks TCP. The bytes are those of nanomsg's RFC "sp-tcp-mapping-01".
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bench.faults import Fault

#: The first bytes of a REQ socket, and of the REP socket that it speaks to.
REQ, REP = b"\0SP\0\0\x30\0\0", b"\0SP\0\0\x31\0\0"
_READ = 65_536
#: Most bytes of lines in one request: the server takes 64 KiB.
_REQUEST = 60_000
_POLL_MS = 20_000
#: The highest bit ends a request's number: there are no hops that it has come by.
_LAST: Final = 0x8000_0000


class _Welcome(msgspec.Struct):
    type: str
    session: str = ""


_welcome = msgspec.json.Decoder(_Welcome)


def message(number: int, body: bytes) -> bytes:
    """A request as it travels."""
    return (4 + len(body)).to_bytes(8, "big") + (_LAST | number).to_bytes(4, "big") + body


class RequestSocket(socket.socket):
    """At most one request is on its way, and beside it the poll that it ends. Lines that are given meanwhile share the
    next request."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self.polls = True
        """Whether it asks for events while no request is on its way, once it does not block."""
        self._unsent = REQ
        self._lines = b""
        self._came = b""
        self._greeted = False
        self._number = self._poll_number = 0
        self._asking = self._polling = False
        self._head = b""

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Takes whole lines, and all of them."""
        self._lines += data
        self._flush()
        return len(data)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self.send(data)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """The lines of all replies that are there, however many bytes they have. Raises BlockingIOError where there
        are none."""
        while True:
            found = b"".join(self._replies())
            self._flush()
            if found:
                return found
            data = super().recv(_READ)
            if not data:
                return b""
            self._came += data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        data = self.recv(_READ)
        buffer[: len(data)] = data
        return len(data)

    def setblocking(self, flag: bool, /) -> None:
        super().setblocking(flag)
        self._flush()

    def _replies(self) -> Iterator[bytes]:
        if not self._greeted and len(self._came) >= len(REP):
            if not self._came.startswith(REP):
                raise Fault(f"not a REP socket: {self._came[:8]!r}")
            self._greeted, self._came = True, self._came[len(REP) :]
        at, end = 0, len(self._came) if self._greeted else 0
        while end - at >= 12:
            stop = at + 8 + int.from_bytes(self._came[at : at + 8], "big")
            if stop > end:
                break
            number, body = int.from_bytes(self._came[at + 8 : at + 12], "big") & ~_LAST, self._came[at + 12 : stop]
            if number == self._poll_number:
                self._polling = False
            else:
                self._asking = False
            if not self._head and body and (welcome := _welcome.decode(body.partition(b"\n")[0])).type == "welcome":
                self._head = b'{"session":"%b",' % welcome.session.encode()
            yield body
            at = stop
        if at:
            self._came = self._came[at:]

    def _flush(self) -> None:
        if not self._asking and self._lines:
            cut = len(self._lines) if len(self._lines) <= _REQUEST else self._lines.rfind(b"\n", 0, _REQUEST) + 1
            lines, self._lines = self._lines[:cut], self._lines[cut:]
            self._asking = True
            self._request(self._head + lines[1:] if self._head else lines)
        elif not self._asking and self._head and not self._polling and self.polls and not self.getblocking():
            self._polling, self._poll_number = True, self._number + 1
            self._request(self._head + b'"type":"poll","wait_ms":%d}' % _POLL_MS)
        if self._unsent:
            try:
                self._unsent = self._unsent[super().send(self._unsent) :]
            except BlockingIOError:
                pass  # The server reads no further for now; its next words are when to try again.

    def _request(self, body: bytes) -> None:
        self._number += 1
        self._unsent += message(self._number, body)
