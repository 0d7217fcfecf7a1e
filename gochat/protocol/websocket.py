"""WebSocket frames (RFC 6455) as the server's fast lane reads and writes them: bytes in, items out, no I/O.

Data messages are taken here, whole and unmasked. Everything else is somebody else's to answer: control frames pass
one at a time, and from the first frame that violates the protocol, or from a Close, every later byte passes.
Frames are masked from client to server and never from server to client; no extension is ever negotiated.
Text is checked to be UTF-8 (section 8.1), fragment by fragment where it comes in several: the JSON decoder behind skips
the fields that it does not know without looking at their bytes.
"""

from __future__ import annotations

import codecs
import enum
import os
from typing import Final, NamedTuple, TypeAlias

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

#: Most fragments of one message. Bytes do not bound them: 300,000 empty ones in a single message kept trio-websocket
#: busy for 2.8 s. A client that cuts the largest message (64 KiB) into pieces of 64 bytes sends 1,024.
MAX_FRAGMENTS: Final = 1_024

_Utf8: Final = codecs.getincrementaldecoder("utf-8")

_FIN: Final = 0x80
_RSV: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_KNOWN: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))


class Passthrough(NamedTuple):
    """Bytes that are not ours to answer: one control frame, or what comes from a violation or a Close on."""

    data: bytes


class MessageFault(enum.Enum):
    """Why no further message is taken. The caller closes; control frames still pass, so that the peer's Close does."""

    TOO_LARGE = enum.auto()
    """A message is over the limit in bytes or in fragments: told by its header, nothing of the payload is held."""
    WRONG_OPCODE = enum.auto()
    """Binary where the subprotocol is text, or the reverse."""
    NOT_UTF8 = enum.auto()
    """Text with bytes that are no UTF-8, in whatever field."""


#: `bytes` is the payload of one whole message.
Item: TypeAlias = bytes | Passthrough | MessageFault


class _Mode(enum.Enum):
    TAKING = enum.auto()
    SKIPPING = enum.auto()  # something was refused: data frames are dropped unread, control frames pass
    PASSTHROUGH = enum.auto()  # a violation or a Close was passed on: all that follows passes


class FrameReader:
    """Splits what a client sends after its handshake into whole messages and what is not ours to answer.

    `limit` bounds a message in bytes, all its fragments together, and `first_limit`, if that is more, the first
    message, which signs in; `opcode`, TEXT or BINARY, is the one that the
    subprotocol allows. Items come in the order of the wire; a message stands where its last fragment does. However
    the stream is cut into chunks the items are the same, save how the bytes after a violation or a Close are cut.
    """

    __slots__ = (
        "_common",
        "_decoder",
        "_fragments",
        "_limit",
        "_message",
        "_mode",
        "_need",
        "_opcode",
        "_partial",
        "_rest_limit",
        "_skip",
    )

    def __init__(self, limit: int, opcode: int, first_limit: int = 0) -> None:
        self._limit = max(limit, first_limit)
        self._rest_limit = limit
        self._opcode = opcode
        self._mode = _Mode.TAKING
        # The first byte of a message in one frame; -1, which no byte is, while such a frame is not to be taken, or the
        # limit is that of the first message.
        self._common = _FIN | opcode if self._limit == limit else -1
        self._partial: bytearray | None = None  # the beginning of a frame,
        self._need = 0  # and how long it must be before more can be said about it
        self._message: bytearray | None = None  # a message's fragments so far,
        self._fragments = 0  # and their number
        self._decoder: codecs.IncrementalDecoder | None = None  # of its text
        self._skip = 0  # bytes of a refused payload that are still to come

    def feed(self, data: bytes) -> list[Item]:
        """The frames that `data` completes. A chunk may hold any number of frames and any part of one."""
        if self._partial is not None:
            self._partial += data
            if len(self._partial) < self._need:
                return []
            data = bytes(self._partial)
            self._partial = None
        items: list[Item] = []
        from_bytes = int.from_bytes
        limit = self._limit
        common = self._common
        text = self._opcode == TEXT
        pos, end = 0, len(data)
        while pos < end:
            # The common case, all in one place since a call would double its cost: 0.7 us for 100 bytes.
            if data[pos] == common and end - pos >= 6:
                size = data[pos + 1] - _MASKED
                start = pos + 6
                if size >= 126:
                    start = pos + 8
                    size = data[pos + 2] << 8 | data[pos + 3] if size == 126 else -1
                    if size < 126:
                        size = -1
                after = start + size
                if 0 <= size <= limit and after <= end:
                    key = data[start - 4 : start] * (size // 4 + 1)
                    number = from_bytes(data[start:after], "little") ^ from_bytes(key[:size], "little")
                    payload = number.to_bytes(size, "little")
                    # Nearly all is ASCII, which is told at 8 bytes a step: 30 ns for 100 bytes.
                    if not text or payload.isascii() or _is_utf8(payload):
                        items.append(payload)
                        pos = after
                        continue
            pos = self._frame(data, pos, items)
            limit = self._limit
            plain = self._mode is _Mode.TAKING and self._message is None and limit == self._rest_limit
            common = self._common = _FIN | self._opcode if plain else -1
        return items

    def _frame(self, data: bytes, pos: int, items: list[Item]) -> int:
        """Any one frame that begins at `pos`. Returns where to go on."""
        end = len(data)
        if self._mode is _Mode.PASSTHROUGH:
            items.append(Passthrough(data[pos:]))
            return end
        if self._skip:
            return self._skip_payload(pos, end, self._skip)
        if end - pos < 2:
            return self._wait(data, pos, 2)
        first, second = data[pos], data[pos + 1]
        if _violates(first, second):
            return self._pass_all(data, pos, items)
        size = second & 0x7F
        start = pos + (6 if size < 126 else 8 if size == 126 else 14)
        if end < start:
            return self._wait(data, pos, start - pos)
        if size >= 126:
            shortest = 126 if size == 126 else 1 << 16
            size = int.from_bytes(data[pos + 2 : start - 4])
            if size < shortest or size >> 63:
                return self._pass_all(data, pos, items)
        if first & _OPCODE >= CLOSE:
            return self._control(data, pos, start + size, items)
        return self._data(data, pos, start, size, items)

    def _control(self, data: bytes, pos: int, after: int, items: list[Item]) -> int:
        if after > len(data):
            return self._wait(data, pos, after - pos)
        items.append(Passthrough(data[pos:after]))
        if data[pos] & _OPCODE == CLOSE:
            self._mode = _Mode.PASSTHROUGH
            self._message = None
        return after

    def _data(self, data: bytes, pos: int, start: int, size: int, items: list[Item]) -> int:
        if self._mode is _Mode.SKIPPING:
            return self._skip_payload(start, len(data), size)
        opcode, message = data[pos] & _OPCODE, self._message
        if (opcode == CONTINUATION) is (message is None):
            return self._pass_all(data, pos, items)
        if opcode not in (CONTINUATION, self._opcode):
            return self._refuse(MessageFault.WRONG_OPCODE, start, len(data), size, items)
        held = 0 if message is None else len(message)
        if held + size > self._limit or self._fragments == MAX_FRAGMENTS:
            return self._refuse(MessageFault.TOO_LARGE, start, len(data), size, items)
        after = start + size
        if after > len(data):
            return self._wait(data, pos, after - pos)
        payload = _mask(data[start:after], data[start - 4 : start])
        final = bool(data[pos] & _FIN)
        if not self._may_follow(payload, message is None, final):
            return self._refuse(MessageFault.NOT_UTF8, after, len(data), 0, items)
        message = bytearray() if message is None else message
        message += payload
        self._fragments += 1
        self._message = message
        if final:
            items.append(bytes(message))
            self._message = None
            self._fragments = 0
            self._limit = self._rest_limit
        return after

    def _may_follow(self, payload: bytes, first: bool, final: bool) -> bool:
        """Whether the text of a message goes on, or begins, with these bytes."""
        if self._opcode != TEXT:
            return True
        if first and final:
            return _is_utf8(payload)
        if first or self._decoder is None:
            self._decoder = _Utf8()
        try:
            self._decoder.decode(payload, final)
        except UnicodeDecodeError:
            return False
        return True

    def _wait(self, data: bytes, pos: int, need: int) -> int:
        self._partial = bytearray(data[pos:])
        self._need = need
        return len(data)

    def _pass_all(self, data: bytes, pos: int, items: list[Item]) -> int:
        passed = data[pos:]
        if self._message is not None:
            # The code that answers has not seen the fragments taken here. After an empty first one, text inside a
            # message is to it the violation that it is.
            passed = client_frame(self._opcode, b"", fin=False, key=bytes(4)) + passed
        items.append(Passthrough(passed))
        self._mode = _Mode.PASSTHROUGH
        self._message = None
        return len(data)

    def _refuse(self, why: MessageFault, start: int, end: int, size: int, items: list[Item]) -> int:
        items.append(why)
        self._mode = _Mode.SKIPPING
        self._message = None
        return self._skip_payload(start, end, size)

    def _skip_payload(self, pos: int, end: int, size: int) -> int:
        here = min(size, end - pos)
        self._skip = size - here
        return pos + here


def _violates(first: int, second: int) -> bool:
    """Whether the first two bytes of a frame already break RFC 6455, sections 5.1, 5.2 and 5.5."""
    opcode = first & _OPCODE
    if first & _RSV or opcode not in _KNOWN or not second & _MASKED:
        return True
    return opcode >= CLOSE and (not first & _FIN or second & 0x7F > 125)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _mask(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask (RFC 6455, section 5.3): one XOR of two big integers, some 20 times a loop over the bytes."""
    size = len(payload)
    return (int.from_bytes(payload) ^ int.from_bytes((key * (size // 4 + 1))[:size])).to_bytes(size)


def _header(opcode: int, size: int, fin: bool, masked: int) -> bytes:
    first = (_FIN if fin else 0) | opcode
    if size < 126:
        return bytes((first, masked | size))
    if size < 1 << 16:
        return bytes((first, masked | 126)) + size.to_bytes(2)
    return bytes((first, masked | 127)) + size.to_bytes(8)


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a server sends it."""
    return _header(opcode, len(payload), True, 0) + payload


def client_frame(opcode: int, payload: bytes, *, fin: bool = True, key: bytes | None = None) -> bytes:
    """A frame as a client sends it; `key` is the mask, 4 bytes, random by default."""
    key = os.urandom(4) if key is None else key
    return _header(opcode, len(payload), fin, _MASKED) + key + _mask(payload, key)
