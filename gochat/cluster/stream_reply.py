"""Reads the reply to XREAD: the partitions' entries, each with the one field `e`.

Every message of the cluster comes to every node this way. A client library looks at each of the ten pieces of an entry;
here one expression takes them together, which costs a third of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from redis.exceptions import InvalidResponse, ResponseError

from gochat.cluster.ports import MOST_BYTES, MOST_NUMBER, Element, Position

_COUNT: Final = re.compile(rb"\*(-?\d+)\r\n")
_STREAM: Final = re.compile(rb"\*2\r\n\$(\d+)\r\n")
_ENTRY: Final = re.compile(rb"\*2\r\n\$\d+\r\n(\d+)-(\d+)\r\n\*2\r\n\$1\r\ne\r\n\$(\d+)\r\n")
_ERROR: Final = re.compile(rb"-([^\r]*)\r\n")
_TOO_MUCH: Final = (
    "{0} has an entry {1}-{2} of {3} bytes, which no node wrote: somebody else did. Empty the server (FLUSHDB of this "
    "database): the nodes put back what they have"
)
#: How many lines each has: with as many, and no match, nothing that is still to come makes it one.
_LINES: Final = {_COUNT: 1, _STREAM: 2, _ENTRY: 7, _ERROR: 1}
#: No head of a piece takes more bytes: what does not match then is of another form.
_LONGEST_HEAD: Final = 200


class _Bytes:
    """The bytes that have come, and the place up to which they are read."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self.data = b""
        self.at = 0

    def match(self, *patterns: re.Pattern[bytes]) -> re.Match[bytes]:
        """The piece that comes next, which is of one of these forms."""
        while True:
            for pattern in patterns:
                found = pattern.match(self.data, self.at)
                if found is not None:
                    self.at = found.end()
                    return found
            come = self.data[self.at : self.at + _LONGEST_HEAD + 1]
            if len(come) > _LONGEST_HEAD or come.count(b"\r\n") >= max(_LINES[pattern] for pattern in patterns):
                raise InvalidResponse(f"no reply to XREAD: {self.data[self.at : self.at + 50]!r}")
            self._more()

    def take(self, length: int) -> bytes:
        """So many bytes, and the end of their line after them."""
        while len(self.data) < self.at + length + 2:
            self._more()
        begin, self.at = self.at, self.at + length + 2
        return self.data[begin : begin + length]

    def _more(self) -> None:
        chunk = self._receive()
        if not chunk:
            raise ConnectionError("the server has closed the connection")
        self.data = self.data[self.at :] + chunk
        self.at = 0


def read_reply(receive: Callable[[], bytes], cut: Callable[[], None] = lambda: None) -> dict[bytes, list[Element]]:
    """The entries by stream, in order; none where the server has waited in vain. `receive` gives the next bytes, at
    least one, and none at the end. Where more of a stream comes after MOST_BYTES of it, `cut` is called, and the rest
    of the reply left unread: it could fill the memory. Raises ResponseError where the server says that it can't,
    InvalidResponse for another reply than one to XREAD, and ConnectionError."""
    return _read(_Bytes(receive), cut)


class _Incomplete(Exception):
    """There is more of the reply than has come, or than is read at once."""


def whole_reply(data: bytes) -> dict[bytes, list[Element]] | None:
    """What `read_reply` gives, if these bytes are all of a reply. None: they are not, or are an error. Raises
    InvalidResponse where they are another reply, or more than one."""
    chunks = [data]

    def receive() -> bytes:
        if not chunks:
            raise _Incomplete
        return chunks.pop()

    def give_up() -> None:
        raise _Incomplete

    source = _Bytes(receive)
    try:
        found = _read(source, give_up)
    except (_Incomplete, ResponseError):
        return None
    if source.at < len(source.data):
        raise InvalidResponse("more than one reply to XREAD")
    return found


def _read(source: _Bytes, cut: Callable[[], None]) -> dict[bytes, list[Element]]:
    head = source.match(_COUNT, _ERROR)
    if head.re is _ERROR:
        raise ResponseError(head[1].decode(errors="replace"))
    found: dict[bytes, list[Element]] = {}
    for _ in range(int(head[1])):
        key = source.take(int(source.match(_STREAM)[1]))
        elements = found[key] = []
        size = 0
        for _ in range(int(source.match(_COUNT)[1])):
            if size >= MOST_BYTES:
                cut()
                return found
            term, n, length = map(int, source.match(_ENTRY).groups())
            if length > MOST_BYTES or term > MOST_NUMBER or n > MOST_NUMBER:
                raise InvalidResponse(_TOO_MUCH.format(key.decode(errors="replace"), term, n, length))
            elements.append(Element(Position(term, n), source.take(length)))
            size += length
    return found
