"""The part that the peers on WebSocket share: the upgrade, without offering compression."""

from __future__ import annotations

from bench.load.wire import websocket_frame
from bench.peers.base import Step, step


def upgrade(path: str, until: bytes) -> Step:
    """The handshake, and what the server says after it."""
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: Z29jaGF0LWJlbmNoLWtleQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return step(head.encode(), rb"^HTTP/1\.1 101 .*\r\n\r\n" + until)


def say(text: bytes, until: bytes) -> Step:
    return step(websocket_frame(text), until)
