"""Requests and responses as handlers see them: values, but for a request's body, which is read piece by piece.

`exchange.py` makes the requests and sends the responses. Nothing here waits for a stream or knows of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import unquote

from gochat.http.upgrade import Head
from gochat.transports.admission import Slot

#: Gives the next piece of a request's body, b"" at its end and after it. Raises Problem for a body that is too large,
#: too slow or malformed, PeerGone when there is nobody left to answer; handlers let both through.
ReadBody: TypeAlias = Callable[[], Awaitable[bytes]]
#: Sends a piece of a response's body. Raises PeerGone.
SendPiece: TypeAlias = Callable[[bytes], Awaitable[None]]

_BODILESS = frozenset((204, 304))


class PeerGone(Exception):
    """The peer closed or reset the connection, or took too long to take bytes: there is nobody to answer."""


class Headers:
    """The header fields of a request. Names are given in lower case; values are latin-1 text."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._fields = fields

    def get(self, name: str, default: str = "") -> str:
        """The first value."""
        wanted = name.encode("ascii")
        for field, value in self._fields:
            if field == wanted:
                return value.decode("latin-1")
        return default

    def get_all(self, name: str) -> list[str]:
        """Every value, in the order they came."""
        wanted = name.encode("ascii")
        return [value.decode("latin-1") for field, value in self._fields if field == wanted]

    def __contains__(self, name: str) -> bool:
        wanted = name.encode("ascii")
        return any(field == wanted for field, _ in self._fields)


class Request:
    """One request. Its path is decoded, so that an encoded slash looks like any other; `raw_path` tells them apart."""

    __slots__ = ("client", "headers", "method", "path", "query", "raw_path", "read_body", "segments", "slot", "user")

    def __init__(self, head: Head, client: str, slot: Slot, read_body: ReadBody) -> None:
        self.method = head.method.decode("ascii")
        self.raw_path, _, self.query = head.target.partition(b"?")
        self.path = unquote(self.raw_path.decode("ascii"))
        self.headers = Headers(head.headers)
        self.client = client
        """The address that the request counts under: the peer's, or the one that a trusted proxy speaks for."""
        self.slot = slot
        """The connection's place. A handler sets `answering` once it knows the user."""
        self.user: str | None = None
        """The user that the request's token speaks for, once a handler has verified it."""
        self.segments: Mapping[str, str] = {}
        """The named segments of the path, decoded (router.py)."""
        self.read_body = read_body


class Response:
    """A response whose body is at hand."""

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        """The names of `headers` are in lower case. Content-Length is added, and `media_type` as Content-Type."""
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        if "content-length" not in self.headers and status not in _BODILESS:
            self.headers["content-length"] = str(len(body))
        if media_type is not None:
            self.headers["content-type"] = media_type

    @property
    def has_body(self) -> bool:
        """Whether a status of this kind is followed by a body (RFC 9110, section 6.4.1)."""
        return self.status not in _BODILESS

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The headers as they are sent."""
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in self.headers.items()]


class StreamedResponse(Response, ABC):
    """A response whose body is made while it is sent. `close` is called in every case, at the end or instead of it."""

    @abstractmethod
    async def send_body(self, send: SendPiece) -> None:
        """Send the whole body; not called for HEAD. Raises CutShort to end the connection in the middle."""

    def close(self) -> None:
        """Let go of the body's source. May be called more than once."""


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
