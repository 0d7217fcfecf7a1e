"""A user who floods: sessions that send requests which come to nothing, as fast as the server takes them.

Blocking sockets and threads in a process of its own, which yields to the load wherever both share a core. The
server's answers are thrown away.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bench.load.client import Address, signed_in
from bench.load.wire import Wire
from bench.tokens import Issuer, TokenFile

#: Frames that are made beforehand, and sent over and over.
_BLOCK = 600


def refused(wire: Wire) -> bytes:
    """Requests that are refused or repeated, or that tell nobody anything new, each kind in its turn."""
    frames = []
    for number in range(_BLOCK // 6):
        frames += [
            {"type": "send", "to": f"group:none{number}", "body": "x"},
            {"type": "edit", "room": "dm:bystander:flooder", "seq": number + 1, "body": "x"},
            {"type": "send", "to": "user:bystander", "body": "x", "key": "the same"},
            {"type": "dance"},
            {"type": "typing", "room": f"group:none{number}"},
            {"type": "history", "room": f"group:none{number}"},
        ]
    return b"".join(wire.frame(msgspec.json.encode({**frame, "id": 1})) for frame in frames)


@contextmanager
def flooding(address: Address, issuer: Issuer | TokenFile, name: str, sessions: int) -> Iterator[None]:
    """A flood for as long as the block lasts."""
    process = multiprocessing.get_context("fork").Process(
        target=_flood, args=(address, issuer, name, sessions), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _flood(address: Address, issuer: Issuer | TokenFile, name: str, sessions: int) -> None:
    os.nice(10)
    block = refused(address.wire)
    with signed_in(address, issuer, [name] * sessions) as signed:
        threads = []
        for client, _ in signed:
            client.sock.settimeout(None)
            threads += [
                threading.Thread(target=_write, args=(client.sock, block), daemon=True),
                threading.Thread(target=_read, args=(client.sock,), daemon=True),
            ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _write(sock: socket.socket, block: bytes) -> None:
    try:
        while True:
            sock.sendall(block)
    except OSError:
        return  # The server has closed: so be it.


def _read(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 16):
            pass
    except OSError:
        return  # As above.
