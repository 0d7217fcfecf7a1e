"""The framings of the transports, seen from the client: what to send for a frame, and how to cut what comes.

A splitter takes the bytes at hand and returns the payloads of the whole frames at their start, and how many bytes
those took. It keeps no state: the caller puts what is left in front of the next bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from bench.faults import Fault

Splitter: TypeAlias = Callable[[bytes], tuple[list[bytes], int]]

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A  # RFC 6455 section 5.2: FIN and the opcode.
_MASK = os.urandom(4)
_MASK_RUN = int.from_bytes(_MASK * 1024, "big")


def websocket_frame(payload: bytes) -> bytes:
    """A masked text frame of a payload of 1..4,096 bytes. One key for all frames: it guards proxies, of which there
    are none here, and costs the server the same."""
    size = len(payload)
    masked = (int.from_bytes(payload, "big") ^ (_MASK_RUN >> 8 * (4096 - size))).to_bytes(size, "big")
    head = bytes((_TEXT, 0x80 | size)) if size < 126 else bytes((_TEXT, 0xFE, size >> 8, size & 0xFF))
    return head + _MASK + masked


def line_frame(payload: bytes) -> bytes:
    return payload + b"\n"


def split_websocket(data: bytes) -> tuple[list[bytes], int]:
    """Whole server frames. Pings and pongs are left out: the load sends bytes often enough to be alive."""
    payloads: list[bytes] = []
    at, end = 0, len(data)
    while end - at >= 2:
        first, size = data[at], data[at + 1]
        start = at + 2
        if size == 126:
            start = at + 4
            size = int.from_bytes(data[at + 2 : start], "big")
        elif size == 127:
            start = at + 10
            size = int.from_bytes(data[at + 2 : start], "big")
        stop = start + size
        if stop > end or start > end:
            break
        if first == _TEXT:
            payloads.append(data[start:stop])
        elif first == _CLOSE:
            reason = data[start + 2 : stop].decode("utf-8", "replace")
            raise Fault(f"the server closed with {int.from_bytes(data[start : start + 2], 'big')} {reason}".rstrip())
        elif first not in (_PING, _PONG):
            raise Fault(f"not a frame that a server may send here: first byte 0x{first:02x}")
        at = stop
    return payloads, at


def split_lines(data: bytes) -> tuple[list[bytes], int]:
    end = data.rfind(b"\n") + 1
    return [line for line in data[:end].split(b"\n") if line], end


class Wire(NamedTuple):
    """How one transport carries frames."""

    name: str
    frame: Callable[[bytes], bytes]
    split: Splitter
    alive: bytes
    """Bytes that say no more than that the client lives; empty where nobody asks."""


WEBSOCKET = Wire("ws", websocket_frame, split_websocket, bytes((_PONG, 0x80)) + _MASK)
LINES = Wire("tcp", line_frame, split_lines, b"\n")
#: Lines in requests and replies: bench/load/requests.py packs them.
NNG = Wire("nng", line_frame, split_lines, b"")
#: The protocol of the fan-out limit: lines in, the bytes of WebSocket frames out, no handshake.
BARE = Wire("bare", line_frame, split_websocket, b"")

WIRES: dict[str, Wire] = {wire.name: wire for wire in (WEBSOCKET, LINES)}
