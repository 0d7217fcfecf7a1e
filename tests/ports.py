"""Ports of this machine on which a test starts a server, and starts it again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"


@contextmanager
def held_port() -> Iterator[int]:
    """A port on which servers can listen, one after the other, for as long as the block lasts. Between two of them it
    falls to nobody else: a socket of the test is bound to it, and never listens. The system gives a bound port to
    nobody who asks for just any, and lets a server bind it where both set SO_REUSEADDR, as servers do."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]
