"""The opening handshake of a WebSocket (RFC 6455, section 4.2.1): a request is one, or is refused, or is another."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

import msgspec

from gochat.http.problems import Problem

PATH: Final = b"/v1/ws"
_VERSION: Final = b"13"
_HOW: Final = "this is a WebSocket: connect with version 13 and subprotocol gochat.v1.json or gochat.v1.msgpack"


Fields: TypeAlias = dict[bytes, list[bytes]]
"""The values of each header by its name, in the order they came."""


class Upgrade(msgspec.Struct, frozen=True):
    """A request that may become a WebSocket; nothing has been answered yet. It holds nothing of the HTTP phase."""

    target: str
    """The path, and the query if there is one."""
    fields: Fields
    """Names in lower case."""
    client: str
    """The address to count it under: the peer's, or the one that a trusted proxy speaks for."""
    trailing: bytes
    """Bytes that came behind the head."""

    def header(self, name: bytes) -> str | None:
        """Its value; of a header that came several times all values, joined as RFC 9110 section 5.3 has it."""
        return _joined(self.fields, name)

    def subprotocols(self) -> Iterator[str]:
        """The subprotocols that the client offers, in its order."""
        return _tokens(self.header(b"sec-websocket-protocol"))

    @property
    def key(self) -> bytes:
        """The key that the answer to the handshake is made from."""
        return (self.header(b"sec-websocket-key") or "").encode("latin-1")


class Head(NamedTuple):
    """A request's head, its target a path, its header names in lower case."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    http_version: bytes


#: A whole head of the common kind: every line as RFC 9112 writes it, ended by CRLF, none folded. No line can be read in
#: two ways, so that matching takes one pass over it.
_PLAIN = re.compile(
    rb"GET (/v1/ws(?:\?[!-~]*)?) HTTP/1\.1\r\n((?:[-!#$%&'*+.^_`|~0-9a-zA-Z]+:[\t -~\x80-\xff]*\r\n)+)\r\n"
).match
#: Where a body may follow, h11 has to say where it ends.
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


def plain_upgrade(data: bytes) -> tuple[Head, bytes] | None:
    """The head of a whole request for PATH of the common kind, and the bytes behind it; None if `data` begins with
    anything else, even with a good request. h11 would give the same head, at ten times the cost; the others are left to
    it."""
    found = _PLAIN(data)
    if found is None:
        return None
    headers = []
    hosts = 0
    for line in found[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _FRAMING:
            return None
        hosts += name == b"host"
        headers.append((name, value.strip(b" \t")))
    if hosts != 1:
        return None
    return Head(b"GET", found[1], headers, b"1.1"), data[found.end() :]


def check_upgrade(request: Head) -> Fields | None:
    """The headers of a request that opens a WebSocket; None if it is for another path. Raises Problem."""
    if request.target.partition(b"?")[0] != PATH:
        return None
    headers: Fields = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    if request.method != b"GET":
        raise Problem(405, "bad_request", _HOW, ((b"Allow", b"GET"),))
    upgrades = "websocket" in map(str.lower, _tokens(_joined(headers, b"upgrade")))
    if not upgrades or headers.get(b"sec-websocket-version") != [_VERSION]:
        wanted = ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Version", _VERSION))
        raise Problem(426, "bad_request", _HOW, wanted)
    if "upgrade" not in map(str.lower, _tokens(_joined(headers, b"connection"))):
        raise Problem(400, "bad_request", "the Connection header does not say Upgrade")
    if request.http_version < b"1.1":
        raise Problem(400, "bad_request", "a WebSocket needs HTTP/1.1")
    if not _is_key(_joined(headers, b"sec-websocket-key") or ""):
        raise Problem(400, "bad_request", "the Sec-WebSocket-Key header is not 16 bytes in base64")
    if (_joined(headers, b"content-length") or "0") != "0" or _joined(headers, b"transfer-encoding") is not None:
        raise Problem(400, "bad_request", "the opening handshake of a WebSocket has no body")
    return headers


def _joined(fields: Fields, name: bytes) -> str | None:
    found = fields.get(name)
    return None if found is None else b", ".join(found).decode("latin-1")


def _tokens(value: str | None) -> Iterator[str]:
    return (token.strip() for token in (value or "").split(",") if token.strip())


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.encode("latin-1"), validate=True)) == 16
    except binascii.Error:
        return False
